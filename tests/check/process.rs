//! Checks of kind `process`, by processes that the tests start.

use super::runner::Check;
use super::{Server, failure, verdict};
use locum::check::{Pattern, Probe, Schedule, process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A program of its own name: a copy of `sleep`.
fn program(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    // Not by this process: what it has open for writing while another test starts a program cannot be run.
    assert!(Command::new("cp").arg("/bin/sleep").arg(&path).status().unwrap().success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A name no other process on this machine has.
fn unused(name: &str) -> String {
    format!("{name}{}", std::process::id())
}

fn start(program: &Path, seconds: &str) -> Server {
    loop {
        match Command::new(program).arg(seconds).spawn() {
            // A child of another test has the copy open until it is another program itself.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            started => return Server(started.unwrap()),
        }
    }
}

fn named(name: &str, min: usize, max: Option<usize>) -> Probe {
    Probe::Process(process::Config { name: Some(name.to_owned()), min, max, ..Default::default() })
}

#[tokio::test]
async fn processes_are_counted_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("lo");
    let program = program(directory.path(), &name);
    let none = format!("0 processes named {name}, wanted 1 or more");
    assert_eq!(failure(named(&name, 1, None)).await, none);
    assert_eq!(verdict(named(&name, 0, Some(0))).await, Ok(()));

    let _first = start(&program, "300");
    assert_eq!(verdict(named(&name, 1, Some(1))).await, Ok(()));
    let _second = start(&program, "300");
    assert_eq!(verdict(named(&name, 2, None)).await, Ok(()));
    assert_eq!(failure(named(&name, 3, None)).await, format!("2 processes named {name}, wanted 3 or more"));
    assert_eq!(
        failure(named(&name, 1, Some(1))).await,
        format!("2 processes named {name}, wanted 1 or fewer")
    );
}

#[tokio::test]
async fn a_long_name_is_found_whole() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("a-rather-long-name-");
    let _running = start(&program(directory.path(), &name), "300");
    assert_eq!(verdict(named(&name, 1, Some(1))).await, Ok(()));
    assert_eq!(verdict(named("a-rather-long-n", 1, None)).await, Ok(()), "as ps shows it");
    assert!(
        failure(named("a-rather-long", 1, None)).await.starts_with("0 processes"),
        "a part is not enough"
    );
}

#[tokio::test]
async fn a_zombie_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("zo");
    // Nobody takes it from the process table until the end of the test.
    let ended = start(&program(directory.path(), &name), "0");
    let stat = format!("/proc/{}/stat", ended.0.id());
    while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
        tokio::task::yield_now().await;
    }
    assert!(failure(named(&name, 1, None)).await.starts_with("0 processes"));
}

#[tokio::test]
async fn processes_are_found_by_their_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("ar");
    let _running = start(&program(directory.path(), &name), "299.5");
    let by = |pattern: &str| {
        let command = Some(Pattern::new(pattern).unwrap());
        Probe::Process(process::Config { command, min: 1, ..Default::default() })
    };
    assert_eq!(verdict(by(&format!(r"/{name} 299\.5$"))).await, Ok(()));
    let text = failure(by(&format!(r"/{name} 299\.6$"))).await;
    assert_eq!(text, format!(r"0 processes run as //{name} 299\.6$/, wanted 1 or more"));
}

#[tokio::test]
async fn a_pidfile_must_name_a_living_process_of_the_right_name() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("pi");
    let running = start(&program(directory.path(), &name), "300");
    let pidfile = directory.path().join("pid");
    let probe = |name: Option<&str>| {
        let (name, pidfile) = (name.map(str::to_owned), Some(pidfile.clone()));
        Probe::Process(process::Config { name, pidfile, min: 1, ..Default::default() })
    };
    let shown = pidfile.display();
    assert_eq!(failure(probe(None)).await, format!("{shown}: no such file or directory"));
    fs::write(&pidfile, "starting\n").unwrap();
    assert_eq!(failure(probe(None)).await, format!("{shown} holds no process number"));
    fs::write(&pidfile, format!("{}\n", running.0.id())).unwrap();
    assert_eq!(verdict(probe(None)).await, Ok(()));
    assert_eq!(verdict(probe(Some(&name))).await, Ok(()));
    let stale = failure(probe(Some("other"))).await;
    assert_eq!(stale, format!("0 processes named other and with the number in {shown}, wanted 1 or more"));
    drop(running);
    let gone = failure(probe(None)).await;
    assert_eq!(gone, format!("0 processes with the number in {shown}, wanted 1 or more"));
}

#[tokio::test]
async fn a_check_for_nothing_in_particular_fails() {
    let probe = Probe::Process(process::Config { min: 1, ..Default::default() });
    assert_eq!(failure(probe).await, "a process check needs a name, a pidfile or a command");
}

/// Looks once, and then not before the test is long over.
fn once(probe: Probe) -> Check {
    Check::start(probe, Schedule { interval: Duration::from_secs(3600), ..Schedule::default() })
}

#[tokio::test]
async fn the_end_of_a_process_is_seen_without_waiting_for_the_next_look() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("di");
    let running = start(&program(directory.path(), &name), "300");
    let mut check = once(named(&name, 1, None));
    assert_eq!(check.next().await, Ok(()));
    let killed = Instant::now();
    drop(running);
    assert_eq!(check.next().await, Err(format!("0 processes named {name}, wanted 1 or more")));
    println!("seen {:?} after its end", killed.elapsed());
}

#[tokio::test]
async fn only_the_end_of_one_too_many_is_looked_into() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("qu");
    let program = program(directory.path(), &name);
    let [first, second, _third] = ["301", "302", "303"].map(|seconds| start(&program, seconds));
    let mut check = once(named(&name, 2, None));
    assert_eq!(check.next().await, Ok(()));
    drop(first);
    assert_eq!(verdict(named(&name, 2, Some(2))).await, Ok(()), "one may end");
    drop(second);
    assert_eq!(check.next().await, Err(format!("1 processes named {name}, wanted 2 or more")));
}

#[tokio::test]
async fn a_process_that_was_replaced_before_it_ended_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let name = unused("re");
    let program = program(directory.path(), &name);
    let old = start(&program, "301");
    let mut check = once(named(&name, 1, None));
    assert_eq!(check.next().await, Ok(()));
    let _new = start(&program, "302");
    drop(old);
    assert_eq!(check.next().await, Ok(()));
}
