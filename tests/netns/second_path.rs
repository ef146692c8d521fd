//! Adverts by two interfaces: one cut cable makes no second Master, and who loses the other says so.

use crate::lab::{Host, LONG, Lab, VIP, wait_until};
use crate::locum::{Locum, Router, settle};
use serde_json::Value;
use std::fs;
use tempfile::NamedTempFile;

/// At this interval a Backup that hears nothing waits for more than 6 seconds.
fn router(own: &Host, other: &Host, priority: u8) -> Router {
    let there = other.ipv4().replace("10.77.", "10.78.");
    let path = format!(r#"{{ interface = "eth1", peers = {{ "{}" = "{there}" }} }}"#, other.ipv4());
    assert_ne!(own.ipv4(), other.ipv4());
    Router::new(priority).with("interval", r#""2s""#).with("second_path", &path)
}

fn said(locum: &Locum<'_>) -> Value {
    locum.router()["instances"][0]["second_path"].clone()
}

/// A pair whose Backup has heard its Master both ways.
fn pair(lab: &Lab, with: impl Fn(Router) -> Router) -> (Locum<'_>, Locum<'_>) {
    lab.second_network();
    let a = lab["a"].locum(&with(router(&lab["a"], &lab["b"], 150)));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&with(router(&lab["b"], &lab["a"], 100)));
    wait_until("b hears a both ways", LONG, || {
        b.router()["instances"][0]["heard"].as_u64() >= Some(2) && said(&b) == "in use"
    });
    (a, b)
}

#[test]
fn a_switch_that_forwards_nothing_makes_no_second_master_and_both_say_which_way_is_silent() {
    let lab = Lab::new(&["a", "b"]);
    let (a, b) = pair(&lab, |router| router);
    lab["b"].forward(false);
    wait_until("b misses it on its interface", LONG, || {
        said(&b) == "the other host is heard by the second path alone, not on eth0"
    });
    settle(80);
    assert_eq!((a.state().as_str(), b.state().as_str()), ("MASTER", "BACKUP"));
    assert_eq!((b.became_master(), b.cli(&["status"]).0), (0, Some(1)));
    // Known by its address on the router's own interface, whichever way it is heard.
    assert_eq!(b.router()["instances"][0]["master"], lab["a"].ipv4());
    lab["b"].forward(true);
    wait_until("both ways again", LONG, || said(&b) == "in use");
    lab["b"].second_cable(false);
    wait_until("it is said", LONG, || said(&b) == "no second path: interface eth1 is down");
    lab["b"].second_cable(true);
    lab["a"].second_cable(false);
    wait_until("nothing comes", LONG, || said(&b) == "nothing comes by the second path, eth1");
    assert_eq!((b.state().as_str(), b.refused_at_all(), a.refused_at_all()), ("BACKUP", 0, 0));
}

/// The cable of the Master's own interface is pulled: nobody waits for its silence.
fn link_lost(with: impl Fn(Router) -> Router) {
    let lab = Lab::new(&["a", "b"]);
    let (a, b) = pair(&lab, with);
    let watch = lab.watch(VIP);
    lab["a"].cable(false);
    lab.wait_owner(VIP, &["b"]);
    println!("cable pulled: {}", watch.end());
    assert!(b.why().contains("said farewell"), "{}", b.why());
    assert_eq!(a.state(), "FAULT");
    lab["a"].cable(true);
    lab.wait_owner(VIP, &["a"]);
    assert_eq!((b.became_master(), b.state().as_str()), (1, "BACKUP"));
    assert_eq!((a.refused_at_all(), b.refused_at_all()), (0, 0));
}

#[test]
fn a_master_whose_link_dies_says_farewell_by_the_other_way() {
    link_lost(|router| router);
}

#[test]
fn signed_adverts_are_believed_both_ways() {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("hex:{}", "5a".repeat(32))).unwrap();
    let auth = format!(r#"{{ hmac = {{ keys = {{ 1 = "file:{}" }}, active = 1 }} }}"#, file.path().display());
    link_lost(|router| router.with("auth", &auth));
}
