//! Real FIFOs with real readers: what is written, by whom it can be read, and what is not lost.

use crate::{AMPLE, to, until};
use locum::agent::config::GroupName;
use locum::agent::incident::Kind;
use locum::agent::{Incident, RouterName, Standing, Subject};
use locum::notify::fifo::{Fifo, ROOM, Report, Writer, incident_line, transition_line};
use locum::notify::{Inherit, Script, User};
use nix::sys::stat::Mode;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

type Reports = Arc<Mutex<Vec<Report>>>;

/// A directory that everybody may enter.
fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("own directory");
    place
}

fn fifo(place: &TempDir) -> Fifo {
    Fifo { path: place.path().join("events"), owner: None, mode: 0o600, reader: None }
}

fn writer(fifo: Fifo) -> (Writer, Reports) {
    let reports = Reports::default();
    let sink = Arc::clone(&reports);
    (Writer::start(fifo, move |report| sink.lock().expect("whole").push(report)), reports)
}

/// A script that the test's own user runs.
fn script(place: &TempDir, body: &str) -> Script {
    let path = place.path().join("reader");
    fs::write(&path, format!("#!/bin/sh\nout={}\n{body}\n", place.path().display())).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own file");
    let command = vec![path.to_str().expect("UTF-8").to_owned(), "first".to_owned()];
    Script { command, user: User::own(), inherit: Inherit::Nothing, timeout: AMPLE }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Reads what is in the FIFO now.
fn take(path: &PathBuf) -> String {
    let mut file =
        OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).expect("it is there");
    let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count) = file.read(&mut chunk) {
        if count == 0 {
            break;
        }
        text.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(text).expect("text")
}

#[test]
fn every_line_is_as_keepalived_writes_it() {
    assert_eq!(transition_line(&to(Standing::Master)), "INSTANCE \"web\" MASTER 150\n");
    let mut group = to(Standing::Fault);
    (group.subject, group.priority) = (Subject::Group(GroupName("all".into())), 0);
    assert_eq!(transition_line(&group), "GROUP \"all\" FAULT 0\n");
    let incident = |kind, standing| Incident {
        router: RouterName("we\"b\n".into()),
        standing,
        priority: 40,
        addresses: vec![],
        kind,
    };
    let lower = Kind::HeardLower { source: "192.0.2.9".parse().expect("an address"), priority: 1 };
    let changed = Kind::PriorityChanged { from: 100 };
    for (kind, standing, word) in [
        (lower, Standing::Master, "MASTER_RX_LOWER_PRI"),
        (changed, Standing::Master, "MASTER_PRIORITY"),
        (changed, Standing::Backup, "BACKUP_PRIORITY"),
    ] {
        let line = incident_line(&incident(kind, standing));
        assert_eq!(line.as_deref(), Some(&*format!("INSTANCE \"we'b \" {word} 40\n")));
    }
    assert_eq!(incident_line(&incident(changed, Standing::Fault)), None);
}

#[tokio::test]
async fn the_fifo_is_its_owners_alone_and_gone_at_the_end() {
    let place = place();
    let (uid, gid) = if nix::unistd::geteuid().is_root() { (65_534, 65_534) } else { own() };
    let fifo = Fifo { owner: Some((uid, gid)), ..fifo(&place) };
    let path = fifo.path.clone();
    let (writer, reports) = writer(fifo);
    until("made", || fs::metadata(&path).is_ok_and(|found| found.mode() & 0o777 == 0o600)).await;
    until("given away", || fs::metadata(&path).is_ok_and(|found| found.uid() == uid)).await;
    assert!(fs::metadata(&path).expect("it is there").file_type().is_fifo());
    writer.finish(AMPLE).await;
    assert!(!path.exists());
    assert_eq!(*reports.lock().expect("whole"), []);
}

fn own() -> (u32, u32) {
    let user = User::own();
    (user.uid, user.gid)
}

#[tokio::test]
async fn what_was_written_before_anybody_read_waits_in_the_fifo() {
    let place = place();
    let (writer, _) = writer(fifo(&place));
    for line in ["one\n", "two\n", "three\n"] {
        writer.tell(line.to_owned());
    }
    let path = place.path().join("events");
    let mut text = String::new();
    until("read", || {
        if path.exists() {
            text.push_str(&take(&path));
        }
        text == "one\ntwo\nthree\n"
    })
    .await;
}

#[tokio::test]
async fn a_fifo_that_was_there_stays_at_the_end() {
    let place = place();
    let fifo = fifo(&place);
    nix::unistd::mkfifo(&fifo.path, Mode::from_bits_truncate(0o666)).expect("made");
    let path = fifo.path.clone();
    let (writer, _) = writer(fifo);
    until("its mode set", || fs::metadata(&path).is_ok_and(|found| found.mode() & 0o777 == 0o600)).await;
    writer.finish(AMPLE).await;
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_no_fifo_or_somebody_elses_is_not_written_to() {
    let place = place();
    let plain = place.path().join("plain");
    fs::write(&plain, "precious").expect("written");
    let link = place.path().join("link");
    std::os::unix::fs::symlink(&plain, &link).expect("linked");
    let foreign = place.path().join("foreign");
    nix::unistd::mkfifo(&foreign, Mode::from_bits_truncate(0o666)).expect("made");
    let root = nix::unistd::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(&foreign, Some(12_345), None).expect("given away");
    }
    for (path, why) in [(&plain, "no FIFO"), (&link, "a symbolic link"), (&foreign, "belongs to 12345")] {
        if path == &foreign && !root {
            continue;
        }
        let (writer, reports) = writer(Fifo { path: path.clone(), ..fifo(&place) });
        writer.tell("mine\n".to_owned());
        until(why, || !reports.lock().expect("whole").is_empty()).await;
        let said = reports.lock().expect("whole")[0].to_string();
        assert!(said.contains(why), "{said}");
        writer.finish(AMPLE).await;
    }
    assert_eq!(read(&plain), "precious");
}

#[tokio::test]
async fn more_than_the_kernel_holds_waits_and_comes_in_order() {
    let place = place();
    let (writer, reports) = writer(fifo(&place));
    let path = place.path().join("events");
    until("made", || path.exists()).await;
    let line = |number: usize| format!("INSTANCE \"a router with a longer name\" MASTER {number:05}\n");
    let all: String = (0..ROOM).map(line).collect();
    for number in 0..ROOM {
        writer.tell(line(number));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut text = take(&path);
    assert!(text.len() <= 65_536 && !text.is_empty(), "the kernel holds 64 KiB, not {}", text.len());
    until("all of it", || {
        text.push_str(&take(&path));
        text.len() >= all.len()
    })
    .await;
    assert!(text == all, "{} bytes of {}", text.len(), all.len());
    assert_eq!((writer.lost(), reports.lock().expect("whole").len()), (0, 0));
}

#[tokio::test]
async fn what_is_lost_is_the_oldest_and_is_counted_and_reported() {
    let place = place();
    let blocked = Fifo { path: place.path().join("missing/events"), ..fifo(&place) };
    let (writer, reports) = writer(blocked);
    for number in 0..ROOM + 10 {
        writer.tell(format!("{number}\n"));
    }
    assert_eq!(writer.lost(), 10);
    let lost = |report: &Report| match report {
        Report::Lost(_, count) => Some(*count),
        _ => None,
    };
    let told: Vec<u64> = reports.lock().expect("whole").iter().filter_map(lost).collect();
    assert_eq!(told, [1, 10]);
    fs::create_dir(place.path().join("missing")).expect("a directory");
    let path = place.path().join("missing/events");
    let mut text = String::new();
    until("the rest", || {
        if path.exists() {
            text.push_str(&take(&path));
        }
        text.ends_with(&format!("\n{}\n", ROOM + 9))
    })
    .await;
    assert!(text.starts_with("10\n"), "{text:.20}");
}

#[tokio::test]
async fn the_reader_is_given_the_path_last_and_reads_the_last_line_too() {
    let place = place();
    let reader =
        script(&place, "echo \"$@\" > $out/arguments; cat \"$2\" > $out/read; echo end >> $out/read");
    let fifo = Fifo { reader: Some(reader), ..fifo(&place) };
    let path = fifo.path.clone();
    let (writer, reports) = writer(fifo);
    let out = place.path().join("read");
    writer.tell("one\n".to_owned());
    until("one", || read(&out) == "one\n").await;
    writer.tell("STOP\n".to_owned());
    writer.finish(AMPLE).await;
    assert_eq!(read(&out), "one\nSTOP\nend\n");
    assert_eq!(read(&place.path().join("arguments")), format!("first {}\n", path.display()));
    assert_eq!(*reports.lock().expect("whole"), []);
}

#[tokio::test]
async fn a_reader_that_dies_is_started_again_and_nothing_is_lost_meanwhile() {
    let place = place();
    let body = "read line < \"$2\"; echo \"$line\" >> $out/read; echo had enough; exit 3";
    let fifo = Fifo { reader: Some(script(&place, body)), ..fifo(&place) };
    let (writer, reports) = writer(fifo);
    let out = place.path().join("read");
    writer.tell("one\n".to_owned());
    until("one", || read(&out) == "one\n").await;
    until("told", || !reports.lock().expect("whole").is_empty()).await;
    let said = reports.lock().expect("whole")[0].to_string();
    assert!(said.ends_with("exit code 3: had enough; starting it again in 1s"), "{said}");
    writer.tell("two\n".to_owned());
    until("two", || read(&out) == "one\ntwo\n").await;
}

#[tokio::test]
async fn a_reader_that_does_not_end_is_ended() {
    let place = place();
    let body = "trap 'echo told >> $out/read; exit 0' TERM; echo $$ > $out/id; while :; do sleep 0.05; done";
    let (writer, _) = writer(Fifo { reader: Some(script(&place, body)), ..fifo(&place) });
    until("it runs", || read(&place.path().join("id")).ends_with('\n')).await;
    writer.finish(AMPLE).await;
    assert_eq!(read(&place.path().join("read")), "told\n");
    let id = read(&place.path().join("id"));
    assert!(!Path::new(&format!("/proc/{}", id.trim())).exists());
}
