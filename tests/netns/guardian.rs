//! Under a guardian: what becomes of the address, and of the processes, when the daemon or its guardian dies.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{Locum, Router, settle};
use crate::neighbour::Instance;
use crate::privileges::AS_NOBODY;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::NamedTempFile;

/// A daemon that may outlive its guardian, but not the test.
pub struct Daemon(Pid);

impl Daemon {
    fn of(guardian: Pid) -> Option<Daemon> {
        let text = fs::read_to_string(format!("/proc/{guardian}/task/{guardian}/children")).ok()?;
        Some(Daemon(Pid::from_raw(text.split_whitespace().next()?.parse().ok()?)))
    }

    pub fn kill(&self) {
        kill(self.0, Signal::SIGKILL).unwrap();
    }

    fn lives(&self) -> bool {
        let state = fs::read_to_string(Path::new("/proc").join(self.0.to_string()).join("stat"));
        // Whom it was left to may not have waited for it yet.
        state.is_ok_and(|line| line.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.lives() {
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

pub fn daemon(locum: &Locum) -> Daemon {
    Daemon::of(locum.process.pid()).expect("a guardian has a daemon")
}

/// At this interval a Backup that hears no farewell waits for more than 12 seconds.
fn slow(priority: u8) -> Router {
    Router::new(priority).with("interval", r#""4s""#).with("preempt", "false")
}

fn killed(router: impl Fn(u8) -> Router) {
    let lab = Lab::new(&["a", "b", "client"]);
    let mut a = lab["a"].locum_guarded(&router(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&router(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    let (first, probe) = (daemon(&a), lab["client"].probe(VIP));
    settle(2);
    let watch = lab.watch(VIP);
    first.kill();
    lab.wait_owner(VIP, &["b"]);
    let timeline = watch.end();
    // The other waits for more than two seconds after a farewell: the address stays until it is heard, which is
    // just before it has it.
    assert!(timeline.time_with(0) < Duration::from_secs(1), "{timeline}");
    assert!(b.why().contains("said farewell"), "{}", b.why());
    assert_eq!(b.refused_at_all(), 0);
    println!("daemon killed: {}", probe.end());
    wait_until("a new daemon is Backup", LONG, || {
        let second = Daemon::of(a.process.pid());
        let other = second.as_ref().is_some_and(|second| second.0 != first.0);
        std::mem::forget(second);
        other && a.cli(&["status"]).0 != Some(3) && a.state() == "BACKUP"
    });
    let second = daemon(&a);
    assert!(a.stop().success());
    assert!(!second.lives());
    assert_eq!(b.became_master(), 1);
}

#[test]
fn the_guardian_of_a_killed_daemon_says_farewell_removes_the_address_and_starts_another() {
    killed(slow);
}

#[test]
fn an_authenticated_farewell_is_said_for_a_killed_daemon_and_believed() {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("hex:{}", "5a".repeat(32))).unwrap();
    let auth = format!(r#"{{ hmac = {{ keys = {{ 1 = "file:{}" }}, active = 1 }} }}"#, file.path().display());
    killed(|priority| slow(priority).with("auth", &auth));
}

#[test]
fn keepalived_takes_over_at_once_from_a_killed_daemon_with_a_guardian() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum_guarded(&Router::new(150).with("preempt", "false"));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].keepalived(&Instance::new(100));
    settle(2);
    let (first, capture) = (daemon(&a), lab["client"].capture());
    let probe = lab["client"].probe(VIP);
    settle(1);
    first.kill();
    lab.wait_owner(VIP, &["b"]);
    assert!(b.is("MASTER"));
    println!("daemon killed, keepalived takes over: {}", probe.end());
    assert!(capture.end().priorities(&lab["a"].ipv4()).contains(&0));
    let _last = daemon_when_there(&a);
}

pub fn daemon_when_there(locum: &Locum) -> Daemon {
    let mut found = None;
    wait_until("there is a daemon again", LONG, || {
        found = Daemon::of(locum.process.pid());
        found.is_some()
    });
    found.unwrap()
}

/// The guardian is killed, then the daemon, then the daemon is told to end. `setpriv`: as whom they run.
fn guardian_killed(setpriv: &'static str) {
    let lab = Lab::new(&["a"]);
    let mut a = lab["a"].locum_guarded_under(setpriv, &Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let (first, watch) = (daemon(&a), lab.watch(VIP));
    a.kill9();
    a.process.wait_for("the guardian has gone; another is started", LONG);
    a.process.wait_for("a guardian watches", LONG);
    wait_until("status says so", LONG, || a.status()["daemon"]["guardian"] == "watches");
    assert_eq!(a.state(), "MASTER");
    let timeline = watch.end();
    assert_eq!(timeline.time_with(1), timeline.whole(), "nothing happens to the address: {timeline}");
    // It knows what the first one knew, through another program in the daemon's place as well.
    let (code, text) = a.cli(&["restart"]);
    assert_eq!(code, Some(0), "{text}");
    a.wait_state("MASTER");
    settle(3);
    first.kill();
    a.process.wait_for("the daemon has ended without a word: farewell in its place", LONG);
    let process =
        || a.cli(&["status", "--json"]).1.contains("MASTER").then(|| a.status()["daemon"]["pid"].clone());
    let mut second = None;
    wait_until("a new daemon is Master", LONG, || {
        second = process();
        second.is_some()
    });
    let second = Daemon(Pid::from_raw(second.unwrap().as_str().unwrap().parse().unwrap()));
    assert_ne!(second.0, first.0);
    let guardian = Daemon(parent(second.0));
    kill(second.0, Signal::SIGTERM).unwrap();
    wait_until("both end", LONG, || !second.lives() && !guardian.lives());
    lab.wait_owner(VIP, &[]);
}

fn parent(process: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(line.trim().parse().unwrap())
}

#[test]
fn a_daemon_whose_guardian_is_killed_goes_on_under_another_that_does_the_same() {
    guardian_killed("");
}

#[test]
fn another_guardian_has_what_the_first_was_allowed() {
    guardian_killed(AS_NOBODY);
}

#[test]
fn a_daemon_that_ends_by_itself_takes_a_guardian_along_that_came_later() {
    let lab = Lab::new(&["a"]);
    let mut a = lab["a"].locum_guarded(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let daemon = daemon(&a);
    a.kill9();
    a.process.wait_for("a guardian watches", LONG);
    kill(daemon.0, Signal::SIGTERM).unwrap();
    wait_until("it ends", LONG, || !daemon.lives());
    lab.wait_owner(VIP, &[]);
    settle(5);
    assert!(!a.process.log().contains("farewell in its place"), "{}", a.process.log());
    assert_eq!(a.cli(&["status"]).0, Some(3), "nobody has started it again");
}

/// The guardian that a daemon has found itself.
pub fn guardian_of(daemon: Pid) -> Option<Daemon> {
    let is_it = |id: &Pid| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&format!("--guards\0{daemon}\0"))
    };
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let mut ids = entries.filter_map(|name| name.to_str()?.parse().ok().map(Pid::from_raw));
    ids.find(is_it).map(Daemon)
}

#[test]
fn under_a_service_manager_the_daemon_is_the_main_process_and_the_manager_starts_it_again() {
    let lab = Lab::new(&["a", "b"]);
    let mut a = lab["a"].locum_managed(&slow(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&slow(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    assert_eq!(a.status()["daemon"]["pid"], a.process.pid().to_string().as_str());
    assert_eq!(a.status()["daemon"]["guardian"], "watches");
    let guardian = guardian_of(a.process.pid()).expect("it has found one");
    let (code, text) = a.cli(&["restart"]);
    assert_eq!(code, Some(0), "{text}");
    let same = guardian_of(a.process.pid()).map(|guardian| guardian.0);
    assert_eq!(same, Some(guardian.0), "the program that has taken its place has the same");
    settle(2);
    let watch = lab.watch(VIP);
    a.kill9();
    lab.wait_owner(VIP, &["b"]);
    assert!(b.why().contains("said farewell"), "{}", b.why());
    let timeline = watch.end();
    assert!(timeline.time_with(0) < Duration::from_secs(1), "{timeline}");
    wait_until("nobody is left", LONG, || !guardian.lives());
    assert_eq!(a.cli(&["status"]).0, Some(3), "the guardian starts nothing");
}

#[test]
fn a_daemon_that_the_service_manager_has_started_meanwhile_keeps_what_is_its_own() {
    let lab = Lab::new(&["a"]);
    // Its farewell has 4.5 seconds of patience, and an owner takes its address at once.
    let owner = Router::new(255).with("interval", r#""4s""#);
    let mut a = lab["a"].locum_managed(&owner);
    lab.wait_owner(VIP, &["a"]);
    wait_until("it has a guardian", LONG, || a.status()["daemon"]["guardian"] == "watches");
    let first = guardian_of(a.process.pid()).expect("it has found one");
    settle(2);
    a.kill9();
    a.restart();
    // The new one sweeps first, whatever it takes back then.
    wait_until("it holds", LONG, || a.router()["addresses"][0]["held"] == true);
    let watch = lab.watch(VIP);
    wait_until("the first guardian has ended", LONG, || !first.lives());
    settle(2);
    let timeline = watch.end();
    assert_eq!(timeline.time_with(1), timeline.whole(), "the address stays: {timeline}");
}

#[test]
fn when_both_are_killed_no_process_is_left() {
    let lab = Lab::new(&["a"]);
    let mut a = lab["a"].locum_guarded(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let daemon = daemon(&a);
    a.kill9();
    daemon.kill();
    wait_until("it ends", LONG, || !daemon.lives());
}

#[test]
fn a_guarded_daemon_restarts_in_place_as_the_same_process_of_the_same_guardian() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum_guarded(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let before = daemon(&a);
    let (code, text) = a.cli(&["restart"]);
    assert_eq!(code, Some(0), "{text}");
    a.wait_state("MASTER");
    assert_eq!(daemon(&a).0, before.0);
}
