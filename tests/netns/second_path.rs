//! Adverts by two interfaces: one cut cable makes no second Master, and who loses the other says so.

use crate::lab::{Host, LONG, Lab, VIP, wait_until};
use crate::locum::{BINARY, Locum, Router, settle};
use crate::process::Process;
use serde_json::Value;
use std::fs;
use tempfile::NamedTempFile;

/// At this interval a Backup that hears nothing waits for more than 6 seconds.
fn router(own: &Host, other: &Host, priority: u8) -> Router {
    let path = format!(r#"{{ interface = "eth1", peers = {{ "{}" = "{}" }} }}"#, other.ipv4(), there(other));
    assert_ne!(own.ipv4(), other.ipv4());
    Router::new(priority).with("interval", r#""2s""#).with("second_path", &path)
}

fn said(locum: &Locum<'_>) -> Value {
    locum.router()["instances"][0]["second_path"].clone()
}

/// A pair whose Backup has heard its Master both ways.
pub fn pair(lab: &Lab, with: impl Fn(Router) -> Router) -> (Locum<'_>, Locum<'_>) {
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

fn there(host: &Host) -> String {
    host.ipv4().replace("10.77.", "10.78.")
}

#[test]
fn votes_by_the_second_path_keep_a_master_whose_first_network_is_cut() {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
    let key = format!("file:{}", file.path().display());
    let lab = Lab::new(&["a", "b", "w"]);
    lab.second_network();
    let (w, mut command) = (&lab["w"], lab["w"].command(BINARY));
    command.args(["witness", "--listen", &w.ipv4(), "--key", &key, "--interval", "200"]);
    command.args(["--second-path", &there(w)]);
    for host in [&lab["a"], &lab["b"]] {
        command.args(["--also", &format!("{}={}", host.ipv4(), there(host))]);
    }
    let _witness = Process::start("w/witness", command);
    let start = |own: &str, other: &str, priority| {
        let (own, other) = (&lab[own], &lab[other]);
        let claim = format!(
            "\n[claim]\nlisten = \"{}\"\nkey = \"{key}\"\nwitness = \"w\"\n\
             voters = {{ o = \"{}\", w = \"{}\" }}\n\
             second_path = {{ listen = \"{}\", voters = {{ o = \"{}\", w = \"{}\" }} }}\n",
            own.ipv4(),
            other.ipv4(),
            w.ipv4(),
            there(own),
            there(other),
            there(w),
        );
        let router = router(own, other, priority).with("interval", r#""200ms""#);
        own.locum(&router.with("quorum", r#""require""#).and(&claim))
    };
    let a = start("a", "b", 150);
    lab.wait_owner(VIP, &["a"]);
    let b = start("b", "a", 100);
    wait_until("b hears a both ways", LONG, || said(&b) == "in use");
    let watch = lab.watch(VIP);
    lab["a"].forward(false);
    settle(30);
    let timeline = watch.end();
    assert_eq!(timeline.time_with(1), timeline.whole(), "the address stays: {timeline}");
    assert_eq!((a.state().as_str(), b.became_master()), ("MASTER", 0));
    // Both ways cut: a majority is elsewhere.
    lab["a"].second_cable(false);
    lab.wait_owner(VIP, &["b"]);
}
