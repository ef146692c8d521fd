//! Under a guardian: what becomes of the address, and of the processes, when the daemon or its guardian dies.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{Locum, Router, settle};
use crate::neighbour::Instance;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::NamedTempFile;

/// A daemon that may outlive its guardian, but not the test.
struct Daemon(Pid);

impl Daemon {
    fn of(guardian: Pid) -> Option<Daemon> {
        let text = fs::read_to_string(format!("/proc/{guardian}/task/{guardian}/children")).ok()?;
        Some(Daemon(Pid::from_raw(text.split_whitespace().next()?.parse().ok()?)))
    }

    fn kill(&self) {
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

fn daemon(locum: &Locum) -> Daemon {
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

fn daemon_when_there(locum: &Locum) -> Daemon {
    let mut found = None;
    wait_until("there is a daemon again", LONG, || {
        found = Daemon::of(locum.process.pid());
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_daemon_whose_guardian_is_killed_goes_on_and_says_so() {
    let lab = Lab::new(&["a"]);
    let mut a = lab["a"].locum_guarded(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let daemon = daemon(&a);
    a.kill9();
    a.process.wait_for("the guardian has gone", LONG);
    assert_eq!(a.state(), "MASTER");
    kill(daemon.0, Signal::SIGTERM).unwrap();
    wait_until("it ends", LONG, || !daemon.lives());
    lab.wait_owner(VIP, &[]);
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
