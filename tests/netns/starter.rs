//! Script checks of another user than the daemon's: a process of that user starts them, and is not relied on.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{Locum, Router};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// After which one that does not answer is ended.
const GIVEN_UP: Duration = Duration::from_secs(40);

/// A directory that scripts of all users may write to, with one in it.
struct Place(TempDir);

impl Place {
    fn new(body: &str) -> Self {
        let place = Place(TempDir::new().unwrap());
        let script = place.file("check");
        fs::write(&script, format!("#!/bin/sh\nout={}\n{body}\n", place.file("out").display())).unwrap();
        fs::create_dir(place.file("out")).unwrap();
        for (path, mode) in [(place.file(""), 0o755), (script, 0o755), (place.file("out"), 0o1777)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        place
    }

    /// With one that leaves a process behind, and waits for it once this is unwell.
    fn well() -> Self {
        let place = Place::new("sleep 3600 & echo $! $$ >> $out/ran; [ -e $out/well ] && exit 0; wait");
        fs::write(place.file("out").join("well"), "").unwrap();
        place
    }

    fn make_unwell(&self) {
        fs::remove_file(self.file("out").join("well")).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the script wrote.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file("out").join(name)).unwrap_or_default()
    }

    fn router(&self, more: &str) -> Router {
        let path = self.file("check");
        let command = path.display();
        let check =
            format!("[check.app]\ntype = 'script'\ncommand = ['{command}']\ninterval = '100ms'\n{more}\n");
        Router::new(150).with("checks", r#"["app"]"#).and(&check)
    }
}

/// The starters of a daemon, ended ones that nobody waited for included.
fn starters(of: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let mut found: Vec<_> = children.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let tasks = fs::read_dir(format!("/proc/{of}/task")).unwrap();
    for task in tasks.map(|task| task.unwrap().path().join("children")) {
        let more = fs::read_to_string(task).unwrap_or_default();
        found.extend(more.split_whitespace().map(|id| id.parse::<i32>().unwrap()));
    }
    found.sort_unstable();
    found.dedup();
    let starts = |id: &i32| {
        let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.is_empty() || line.contains("--starts-scripts")
    };
    found.into_iter().filter(starts).map(Pid::from_raw).collect()
}

fn check(a: &Locum<'_>) -> String {
    a.status()["checks"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn scripts_of_another_user_are_started_by_a_process_of_that_user_and_by_the_next_when_it_is_killed() {
    let lab = Lab::new(&["a"]);
    let place = Place::new(
        "echo $(id -u) $(id -G) $(tr '\\0' ' ' < /proc/$PPID/cmdline) > $out/new; mv $out/new $out/who; echo >> $out/ran",
    );
    let mut a = lab["a"].locum(&place.router(""));
    lab.wait_owner(VIP, &["a"]);
    assert_eq!(place.read("who"), "65534 65534 locum --starts-scripts\n");
    let [first] = starters(a.process.pid())[..] else { panic!("{:?}", starters(a.process.pid())) };
    let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    assert!(status.contains("Uid:\t65534\t65534\t65534\t65534\n"), "{status}");
    let files = fs::read_dir(format!("/proc/{first}/fd")).unwrap();
    let files = files.map(|file| fs::read_link(file.unwrap().path()).unwrap());
    let sockets = files.filter(|file| file.to_string_lossy().starts_with("socket:")).count();
    assert_eq!(sockets, 1, "it has none of the daemon's");

    let before = place.read("ran").len();
    kill(first, Signal::SIGKILL).unwrap();
    wait_until("it goes on", LONG, || place.read("ran").len() > before + 10);
    let [second] = starters(a.process.pid())[..] else { panic!("{:?}", starters(a.process.pid())) };
    assert_ne!(first, second);
    assert_eq!((check(&a), a.state()), ("up".to_owned(), "MASTER".to_owned()));

    a.stop();
    wait_until("it ends with the daemon", LONG, || kill(second, None).is_err());
}

#[test]
fn a_starter_that_hangs_is_replaced() {
    let lab = Lab::new(&["a"]);
    let place = Place::new("echo >> $out/ran");
    let a = lab["a"].locum(&place.router("timeout = '500ms'"));
    lab.wait_owner(VIP, &["a"]);
    let [first] = starters(a.process.pid())[..] else { panic!("{:?}", starters(a.process.pid())) };
    kill(first, Signal::SIGSTOP).unwrap();
    wait_until("the check fails", LONG, || check(&a) == "down");
    wait_until("another starts it", GIVEN_UP, || check(&a) == "up");
    wait_until("the first is gone", GIVEN_UP, || kill(first, None).is_err());
}

#[test]
fn what_a_starter_has_started_is_ended_with_all_of_its_group_when_its_time_is_up() {
    let lab = Lab::new(&["a"]);
    let place = Place::well();
    let a = lab["a"].locum(&place.router("timeout = '300ms'"));
    lab.wait_owner(VIP, &["a"]);
    place.make_unwell();
    wait_until("the check is down", LONG, || check(&a) == "down");
    assert!(a.why().contains("timed out and was killed"), "{}", a.why());
    let lines = place.read("ran");
    let timed_out = lines.lines().nth_back(1).unwrap();
    wait_until("they are gone", LONG, || {
        timed_out.split(' ').all(|id| kill(Pid::from_raw(id.parse().unwrap()), None).is_err())
    });
    let well = lines.split(' ').next().unwrap();
    assert!(kill(Pid::from_raw(well.parse().unwrap()), None).is_ok(), "what ended well left it behind");
}

#[test]
fn what_runs_when_its_starter_is_killed_is_ended_and_the_check_says_why() {
    let lab = Lab::new(&["a"]);
    let place = Place::well();
    let a = lab["a"].locum(&place.router("timeout = '60s'\nfall = 1"));
    lab.wait_owner(VIP, &["a"]);
    place.make_unwell();
    let started = || place.read("ran").lines().last().unwrap_or_default().to_owned();
    let lives = |line: &str| {
        let leader = line.split(' ').nth(1).unwrap_or("none");
        fs::read_to_string(format!("/proc/{leader}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    wait_until("one waits", LONG, || {
        let before = started();
        std::thread::sleep(Duration::from_millis(300));
        before == started() && lives(&before)
    });
    let waiting = started();
    let [first] = starters(a.process.pid())[..] else { panic!("{:?}", starters(a.process.pid())) };
    kill(first, Signal::SIGKILL).unwrap();
    wait_until("the check is down", LONG, || check(&a) == "down");
    assert!(a.why().ends_with("was killed: see who kills processes of nobody"), "{}", a.why());
    wait_until("it is gone", LONG, || !lives(&waiting));
}
