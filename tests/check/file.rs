//! Checks of kind `file`.

use super::{failure, verdict};
use locum::check::{Pattern, Probe, Schedule, Spec, file};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn exists(path: &Path) -> file::Config {
    file::Config {
        path: path.to_owned(),
        readable: false,
        contains: None,
        younger_than: None,
        number: false,
        make: None,
    }
}

fn contains(path: &Path, pattern: &str) -> Probe {
    Probe::File(file::Config { contains: Some(Pattern::new(pattern).unwrap()), ..exists(path) })
}

#[tokio::test]
async fn what_exists_passes_and_what_does_not_fails_by_name() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(verdict(Probe::File(exists(directory.path()))).await, Ok(()));
    let missing = directory.path().join("missing");
    let text = failure(Probe::File(exists(&missing))).await;
    assert_eq!(text, format!("{}: no such file or directory", missing.display()));
}

#[tokio::test]
async fn a_link_to_nowhere_does_not_exist() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    assert!(failure(Probe::File(exists(&link))).await.ends_with("no such file or directory"));
}

#[tokio::test]
async fn the_content_is_matched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::write(&path, b"\xff\xfe\nrole=primary\n").unwrap();
    assert_eq!(verdict(contains(&path, "(?m)^role=primary$")).await, Ok(()));
    let text = failure(contains(&path, "standby")).await;
    assert_eq!(text, format!("{} does not contain /standby/", path.display()));
}

#[tokio::test]
async fn only_the_first_part_of_a_long_file_is_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let before = usize::try_from(file::READ).unwrap() - 5;
    fs::write(&path, "x".repeat(before) + "ready").unwrap();
    assert_eq!(verdict(contains(&path, "ready")).await, Ok(()));
    fs::write(&path, "x".repeat(before + 1) + "ready").unwrap();
    assert!(failure(contains(&path, "ready")).await.ends_with("does not contain /ready/"));
}

#[tokio::test]
async fn a_fifo_without_a_writer_does_not_hang_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(verdict(Probe::File(file::Config { readable: true, ..exists(&path) })).await, Ok(()));
    let text = failure(contains(&path, "ready")).await;
    assert_eq!(text, format!("{} is not a regular file", path.display()));
}

#[tokio::test]
async fn an_old_file_fails_by_its_age() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("heartbeat");
    let file = File::create(&path).unwrap();
    let young =
        || Probe::File(file::Config { younger_than: Some(Duration::from_secs(3600)), ..exists(&path) });
    assert_eq!(verdict(young()).await, Ok(()));
    file.set_modified(SystemTime::now() + Duration::from_secs(86_400)).unwrap();
    assert_eq!(verdict(young()).await, Ok(()), "a change in the future is one just now");
    file.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
    let text = failure(young()).await;
    assert!(text.starts_with(&format!("{} is 86400s old, wanted less than 3600s", path.display())), "{text}");
}

/// A path that can be looked up but not opened, even by root.
#[tokio::test]
async fn what_cannot_be_read_fails() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(verdict(Probe::File(exists(&path))).await, Ok(()));
    let text = failure(Probe::File(file::Config { readable: true, ..exists(&path) })).await;
    assert_eq!(text, format!("{}: no such device or address", path.display()));
}

#[tokio::test]
async fn a_number_is_read_from_the_beginning_and_anything_else_is_0() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("load");
    let read = async |text: &str| {
        fs::write(&path, text).unwrap();
        let spec = numbered(&path);
        locum::check::probe_once(&spec).await.value
    };
    assert_eq!(read("-42 of 100\n").await, Some(-42));
    assert_eq!(read("7").await, Some(7));
    assert_eq!(read("99999999999").await, Some(i32::MAX));
    assert_eq!(read("none").await, Some(0));
    let spec = numbered(Path::new("/nowhere"));
    let outcome = locum::check::probe_once(&spec).await;
    assert_eq!((outcome.verdict, outcome.value), (Ok(()), Some(0)));
}

fn numbered(path: &Path) -> Spec {
    let probe = Probe::File(file::Config { number: true, ..exists(path) });
    Spec { probe, schedule: Schedule::default() }
}

#[test]
fn a_file_is_made_with_its_number_and_what_is_there_stays_unless_told_otherwise() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("load");
    let make = |number, overwrite| {
        let make = Some(file::Make { number, overwrite });
        file::Config { make, ..exists(&path) }.make()
    };
    let content = || std::fs::read_to_string(&path).unwrap();
    assert_eq!((exists(&path).make(), path.exists()), (Ok(()), false));
    assert_eq!((make(7, false), content().as_str()), (Ok(()), "7\n"));
    assert_eq!((make(-8, false), content().as_str()), (Ok(()), "7\n"));
    assert_eq!((make(-8, true), content().as_str()), (Ok(()), "-8\n"));
    let link = place.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let through = file::Config { make: Some(file::Make { number: 1, overwrite: true }), ..exists(&link) };
    let refused = through.make().unwrap_err();
    assert!(refused.starts_with(&format!("cannot make {}: ", link.display())), "{refused}");
    assert_eq!(content(), "-8\n");
}
