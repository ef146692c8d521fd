//! Who is next: several hosts of one group, and the one that the Master names.

use crate::authentication::{in_both_families, key, signed};
use crate::lab::{LONG, Lab, VIP, VIP6, wait_until};
use crate::locum::Router;

/// The best Backup has the addresses long before its skew is over, and the other takes no part in it.
fn the_best_is_named(vips: &[&str], router: impl Fn(u8) -> Router) {
    let lab = Lab::new(&["a", "b", "c", "client"]);
    let slow = |priority| router(priority).with("interval", r#""30s""#);
    let (b, c) = (lab["b"].locum(&slow(2)), lab["c"].locum(&slow(1)));
    b.wait_state("BACKUP");
    c.wait_state("BACKUP");
    // An owner is Master at once.
    let mut a = lab["a"].locum(&slow(255));
    let everywhere = |owners: &[&str]| vips.iter().for_each(|vip| lab.wait_owner(vip, owners));
    everywhere(&["a"]);
    let follows = |instance: usize, backup: &crate::locum::Locum<'_>| {
        backup.router()["instances"][instance]["master"].is_string()
    };
    for backup in [&b, &c] {
        (0..vips.len()).for_each(|place| wait_until("a is heard", LONG, || follows(place, backup)));
    }
    let (watch, probe) = (lab.watch(vips[0]), lab["client"].probe(vips[0]));
    a.stop();
    b.wait_state("MASTER");
    everywhere(&["b"]);
    let (timeline, outage) = (watch.end(), probe.end());
    println!("named: {outage}; {timeline}; {}", b.why());
    assert_eq!((c.state(), c.became_master()), ("BACKUP".to_owned(), 0));
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
}

#[test]
fn the_best_backup_of_a_group_is_named_and_waits_no_skew() {
    the_best_is_named(&[VIP], Router::new);
}

#[test]
fn with_keys_and_in_both_families_the_best_is_named_too() {
    let key = key(7);
    the_best_is_named(&[VIP, VIP6], |priority| in_both_families(signed(priority, &key, "")));
}
