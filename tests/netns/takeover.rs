//! Two Locums: who has the address when one crashes, stops, loses its cable, or stands still.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{Locum, Router, settle};
use nix::sys::signal::Signal;

/// `a` with priority 150 and `b` with 100: `a` is Master, and `b` has heard it.
fn pair(lab: &Lab) -> (Locum<'_>, Locum<'_>) {
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    (a, b)
}

#[test]
fn a_backup_takes_over_from_a_crashed_master_which_takes_over_when_it_comes_back() {
    let lab = Lab::new(&["a", "b", "client"]);
    let (mut a, b) = pair(&lab);
    let probe = lab["client"].probe(VIP);
    settle(2);
    a.kill9();
    // The kernel of a removes what nobody renews, and the client is told of b.
    lab.wait_owner(VIP, &["b"]);
    wait_until("the client asks b", LONG, || lab["client"].neighbour(VIP) == Some(lab["b"].mac()));
    assert_eq!(b.why(), "no Master heard for the down interval");
    println!("crash: {}", probe.end());

    let capture = lab["client"].capture();
    a.restart();
    lab.wait_owner(VIP, &["a"]);
    wait_until("b is Backup again", LONG, || b.state() == "BACKUP");
    let packets = capture.end();
    let announced_by_a = packets.announcements(VIP);
    assert!(announced_by_a >= 1);
}

#[test]
fn a_leftover_is_swept_at_once_even_while_another_is_master() {
    let lab = Lab::new(&["a", "b"]);
    let mut a = lab["a"].locum(&Router::new(100).with("lease", r#""off""#));
    lab.wait_owner(VIP, &["a"]);
    a.kill9();
    let _b = lab["b"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a", "b"]);
    a.restart();
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(a.state(), "BACKUP");
    assert_eq!(a.became_master(), 0);
}

#[test]
fn a_stopped_master_says_farewell_and_its_backup_takes_over_without_waiting() {
    let lab = Lab::new(&["a", "b", "client"]);
    let slow = |priority| Router::new(priority).with("interval", r#""2s""#);
    let mut a = lab["a"].locum(&slow(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&slow(200).with("preempt", "false"));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    settle(1);
    a.stop();
    lab.wait_owner(VIP, &["b"]);
    settle(1);
    let (timeline, outage) = (watch.end(), probe.end());
    println!("farewell: {outage}; {timeline}");
    assert!(b.why().contains("said farewell"), "{}", b.why());
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "a holds the address until b is heard: {timeline}");
}

#[test]
fn a_pulled_cable_moves_the_address_and_a_cable_put_back_brings_it_home() {
    let lab = Lab::new(&["a", "b", "client"]);
    let (a, b) = pair(&lab);
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    settle(1);
    lab["a"].cable(false);
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(a.state(), "FAULT");
    assert_eq!(a.why(), "interface eth0 is down");
    lab["a"].cable(true);
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    settle(2);
    println!("cable: {}; {}", probe.end(), watch.end());
    assert_eq!(lab["client"].neighbour(VIP), Some(lab["a"].mac()));
}

#[test]
fn after_a_network_that_was_cut_in_two_is_whole_again_one_has_the_address() {
    let lab = Lab::new(&["a", "b", "client"]);
    let (a, b) = pair(&lab);
    assert!(lab["client"].pings(VIP));
    lab["a"].forward(false);
    lab.wait_owner(VIP, &["a", "b"]);
    wait_until("the client is told of b", LONG, || lab["client"].neighbour(VIP) == Some(lab["b"].mac()));
    lab["a"].forward(true);
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    assert_eq!(a.became_master(), 1, "a never saw anything");
    wait_until("the client is told of a", LONG, || lab["client"].neighbour(VIP) == Some(lab["a"].mac()));
}

#[test]
fn a_master_that_stood_still_gives_way_to_who_took_over_or_announces_itself_again() {
    let lab = Lab::new(&["a", "b", "client"]);
    let (a, b) = pair(&lab);
    assert!(lab["client"].pings(VIP));
    a.process.signal(Signal::SIGSTOP);
    lab.wait_owner(VIP, &["a", "b"]);
    wait_until("the client is told of b", LONG, || lab["client"].neighbour(VIP) == Some(lab["b"].mac()));
    let watch = lab.watch(VIP);
    a.process.signal(Signal::SIGCONT);
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    wait_until("the client is told of a", LONG, || lab["client"].neighbour(VIP) == Some(lab["a"].mac()));
    println!("frozen: {}", watch.end());
}

#[test]
fn a_stronger_newcomer_preempts_and_one_that_may_not_waits() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let mut polite = lab["b"].locum(&Router::new(200).with("preempt", "false"));
    settle(8);
    assert_eq!(lab.owners(VIP), ["a"]);
    assert_eq!(polite.state(), "BACKUP");
    polite.stop();
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    let b = lab["b"].locum(&Router::new(200));
    lab.wait_owner(VIP, &["b"]);
    a.wait_state("BACKUP");
    settle(2);
    println!("preempted: {}; {}", probe.end(), watch.end());
    assert_eq!(b.why(), format!("preempted {}, which has a lower priority", lab["a"].ipv4()));
    assert_eq!((a.became_master(), b.became_master()), (1, 1));
}

#[test]
fn a_minimum_hold_is_told_and_ends_by_order() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(200).with("damping", r#"{ hold = "1h" }"#));
    wait_until("it sees that a has only just come", LONG, || b.router()["hold_ms"].is_u64());
    settle(8);
    assert_eq!((lab.owners(VIP), b.state().as_str()), (vec!["a"], "BACKUP"));
    let (_, page) = b.cli(&["status"]);
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("the Master has only just come; `locum ack web` ends it"), "{page}");
    assert_eq!(b.cli(&["ack"]).0, Some(0));
    lab.wait_owner(VIP, &["b"]);
    a.wait_state("BACKUP");
    assert!(b.router()["hold_ms"].is_null());
    let (_, page) = b.cli(&["history"]);
    let held = page.find("takes nothing back for 1h00m: the Master has only just come");
    assert!(held < page.find("ack") && held.is_some(), "{page}");
}

#[test]
fn of_two_equal_priorities_the_higher_address_wins() {
    let lab = Lab::new(&["a", "b"]);
    let _a = lab["a"].locum(&Router::new(100));
    let _b = lab["b"].locum(&Router::new(100));
    wait_until("one owner", LONG, || lab.owners(VIP).len() == 1);
    settle(10);
    assert_eq!(lab.owners(VIP).len(), 1, "equal priorities do not preempt one another");
    lab["a"].forward(false);
    lab.wait_owner(VIP, &["a", "b"]);
    lab["a"].forward(true);
    lab.wait_owner(VIP, &["b"]);
}
