//! An address is a lease in the kernel: whoever is killed or frozen loses it, and whoever lives keeps it.

use crate::lab::{LONG, Lab, SOON, VIP, VIP6, wait_until};
use crate::locum::{Router, settle};
use nix::sys::signal::Signal;

/// With a lease of a second, which ends before a Backup takes over.
fn leased(priority: u8) -> Router {
    let both = format!(r#"["{VIP}", "{VIP6}"]"#);
    Router::new(priority).with("interval", r#""500ms""#).with("addresses", &both)
}

#[test]
fn a_killed_daemon_has_no_address_any_more_and_nobody_had_to_start_it_again() {
    let lab = Lab::new(&["a"]);
    let mut a = lab["a"].locum(&leased(150));
    lab.wait_owner(VIP6, &["a"]);
    a.kill9();
    wait_until("the kernel removes both", SOON, || lab.owners(VIP).is_empty() && lab.owners(VIP6).is_empty());
}

#[test]
fn a_frozen_daemon_loses_its_addresses_first_and_listens_before_it_takes_part_again() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&leased(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&leased(100));
    b.wait_state("BACKUP");
    for vip in [VIP, VIP6] {
        lab.wait_owner(vip, &["a"]);
    }
    let watches = [VIP, VIP6].map(|vip| lab.watch(vip));
    a.process.signal(Signal::SIGSTOP);
    for vip in [VIP, VIP6] {
        lab.wait_owner(vip, &["b"]);
    }
    settle(30);
    a.process.signal(Signal::SIGCONT);
    // Less than its down interval: it only listens.
    settle(8);
    for timeline in watches.map(crate::kernel::Watch::end) {
        println!("frozen: {timeline}");
        assert!(timeline.time_with(2).is_zero(), "nobody had it at the same time: {timeline}");
    }
    assert!(a.process.log().contains("was stopped for"), "it says why");
    // It is the better one, and takes over in order.
    lab.wait_owner(VIP, &["a"]);
    assert_eq!(a.became_master(), 2);
}

#[test]
fn a_living_daemon_keeps_its_addresses_through_many_lease_times() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum(&leased(150));
    lab.wait_owner(VIP6, &["a"]);
    let watches = [VIP, VIP6].map(|vip| lab.watch(vip));
    settle(60);
    for timeline in watches.map(crate::kernel::Watch::end) {
        assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
    }
    let router = a.router();
    for address in router["addresses"].as_array().unwrap() {
        assert_eq!((&address["restored"], &address["lease_ms"]), (&0.into(), &1000.into()), "{router}");
    }
}

#[test]
fn without_a_lease_the_address_of_a_killed_daemon_stays_until_the_next_start() {
    let lab = Lab::new(&["a"]);
    let mut a = lab["a"].locum(&leased(150).with("lease", r#""off""#));
    lab.wait_owner(VIP, &["a"]);
    lab.wait_owner(VIP6, &["a"]);
    a.kill9();
    settle(30);
    assert_eq!((lab.owners(VIP), lab.owners(VIP6)), (vec!["a"], vec!["a"]));
    a.restart();
    lab.wait_owner(VIP, &["a"]);
    wait_until("it is Master again", LONG, || a.state() == "MASTER");
}
