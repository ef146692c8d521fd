//! Other hosts that have the address too: a second one by mistake, a keepalived under another number, a liar.
//! And takeovers in order, which are none of that.

use crate::lab::{Host, LONG, Lab, SOON, VIP, VIP6, need, wait_until};
use crate::locum::{Locum, Router, settle};
use crate::neighbour::Instance;
use locum::net::announce::{Announcer, frame};
use nix::net::if_::if_nametoindex;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What the record says of other holders.
pub fn recorded(locum: &Locum<'_>) -> Vec<Value> {
    let (code, text) = locum.cli(&["history", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["event"] == "dual_master_seen").collect()
}

/// A hook that appends what it is told to the file beside it.
fn hook(place: &TempDir) -> String {
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = place.path().join("hook");
    let told = place.path().join("told");
    let say = "$LOCUM_EVENT $LOCUM_ROUTER $LOCUM_STATE $LOCUM_PEER_MAC: $LOCUM_REASON";
    fs::write(&script, format!("#!/bin/sh\necho \"{say}\" >> {}\n", told.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    format!("\n[router.web.notify]\ndual_master = \"{}\"\nuser = \"root\"\n", script.display())
}

fn told(place: &Path) -> String {
    fs::read_to_string(place.join("told")).unwrap_or_default()
}

/// Gives this host the addresses as well, in a way that its kernel says so.
fn steal(host: &Host, mac: &str) {
    host.ip(&format!("address add {VIP}/32 dev eth0\naddress add {VIP6}/128 dev eth0 nodad"));
    host.sysctl("net/ipv4/conf/eth0/arp_notify", "1");
    host.sysctl("net/ipv6/conf/eth0/ndisc_notify", "1");
    // The kernel tells the neighbours of its addresses when they are at another Ethernet address.
    host.ip(&format!("link set eth0 address {mac}"));
}

#[test]
fn a_second_host_with_the_addresses_is_recorded_counted_hooked_and_answered() {
    const THIEF: &str = "02:00:00:00:00:99";
    let lab = Lab::new(&["a", "thief", "client"]);
    let place = TempDir::new().unwrap();
    let both = format!(r#"["{VIP}", "{VIP6}"]"#);
    let a = lab["a"].locum(&Router::new(200).with("addresses", &both).and(&hook(&place)));
    a.wait_state("MASTER");
    let announced = || -> Vec<u64> {
        let instances = a.router()["instances"].as_array().unwrap().clone();
        instances.iter().map(|instance| instance["announced"].as_u64().unwrap()).collect()
    };
    // Of the plan only one is left, which is made after 5 s.
    wait_until("the plan is through", LONG, || announced().iter().all(|times| *times >= 4));
    let before = announced();
    let capture = lab["client"].capture();
    steal(&lab["thief"], THIEF);

    wait_until("it is recorded", LONG, || !recorded(&a).is_empty());
    assert!(a.router()["dual_master_seen"].as_u64() >= Some(1));
    let seen = &recorded(&a)[0];
    assert_eq!((seen["mac"].as_str(), seen["router"].as_str()), (Some(THIEF), Some("web")), "{seen}");
    assert!([VIP, VIP6].contains(&seen["address"].as_str().unwrap()), "{seen}");
    let rival = &a.router()["rivals"][0];
    assert_eq!(rival["mac"], THIEF);
    let complaint = format!("{THIEF} says that it has");
    assert!(a.status()["complaints"].to_string().contains(&complaint), "{}", a.status()["complaints"]);
    wait_until("the hook has run", SOON, || {
        told(place.path())
            .starts_with(&format!("dual_master_seen web MASTER {THIEF}: {THIEF} says that it has"))
    });
    // The hook may be faster than who puts announcements on the wire.
    wait_until("it is answered", LONG, || announced().iter().zip(&before).all(|(now, before)| now > before));
    let packets = capture.end();
    for address in [VIP, VIP6] {
        let who = packets.announcers(address);
        let stolen = who.iter().position(|mac| mac == THIEF).expect("the thief has spoken");
        assert!(who[stolen..].contains(&lab["a"].mac()), "{address} was taken back: {who:?}");
    }
    assert_eq!(a.state(), "MASTER");
}

#[test]
fn a_keepalived_with_the_same_address_under_another_number_is_seen() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&Router::new(200));
    a.wait_state("MASTER");
    let capture = lab["client"].capture();
    let _wrong = lab["b"].keepalived(&Instance::new(100).with("virtual_router_id 52"));
    lab.wait_owner(VIP, &["a", "b"]);
    wait_until("it is recorded", LONG, || !recorded(&a).is_empty());
    assert_eq!(recorded(&a)[0]["mac"].as_str(), Some(&*lab["b"].mac()));
    // keepalived announces again after 5 s, and then no more.
    settle(65);
    let who = capture.end().announcers(VIP);
    assert_eq!(who.last(), Some(&lab["a"].mac()), "whoever is right has the last word: {who:?}");
    assert!(a.router()["dual_master_seen"].as_u64() >= Some(2), "{}", a.router()["rivals"]);
}

/// As a daemon without a lease leaves it behind when it dies: its host says nothing unless it is asked.
#[test]
fn a_dead_masters_host_that_still_answers_for_the_address_is_asked_before_it_is_taken_and_recorded() {
    let lab = Lab::new(&["a", "b"]);
    lab["b"].ip(&format!("address add {VIP}/32 dev eth0\naddress add {VIP6}/128 dev eth0 nodad"));
    for address in [VIP, VIP6] {
        let is_known_with_the_takeover = || {
            let router = Router::new(200).with("interval", r#""1s""#);
            let a = lab["a"].locum(&router.with("addresses", &format!(r#"["{address}"]"#)));
            a.wait_state("MASTER");
            wait_until("it is recorded", LONG, || !recorded(&a).is_empty());
            let (seen, theirs) = (&recorded(&a)[0], lab["b"].mac());
            assert_eq!((seen["mac"].as_str(), seen["address"].as_str()), (Some(&*theirs), Some(address)));
            let (_, text) = a.cli(&["history", "--json"]);
            let at = |what: &str| text.lines().position(|line| line.contains(what)).expect(what);
            at(r#""event":"dual_master_seen""#) < at(r#""to":"MASTER""#)
        };
        // Where a host is too busy for an answer in time, it is asked after the takeover.
        assert!((0..5).any(|_| is_known_with_the_takeover()), "never asked before: {address}");
    }
}

#[test]
fn takeovers_in_order_between_locums_count_nothing() {
    let lab = Lab::new(&["a", "b"]);
    let both = format!(r#"["{VIP}", "{VIP6}"]"#);
    let router = |priority| Router::new(priority).with("addresses", &both);
    let weak = lab["b"].locum(&router(100));
    lab.wait_owner(VIP, &["b"]);
    settle(5);
    let mut strong = lab["a"].locum(&router(200));
    for _ in 0..3 {
        lab.wait_owner(VIP, &["a"]);
        settle(5);
        assert!(strong.stop().success());
        lab.wait_owner(VIP, &["b"]);
        settle(5);
        strong.restart();
    }
    lab.wait_owner(VIP, &["a"]);
    assert_eq!(strong.cli(&["handover"]).0, Some(0));
    settle(5);
    assert_eq!(strong.cli(&["resume"]).0, Some(0));
    lab.wait_owner(VIP, &["a"]);
    settle(5);
    assert_eq!((recorded(&strong), recorded(&weak)), (vec![], vec![]));
}

#[test]
fn a_liar_that_sends_as_fast_as_it_can_costs_a_line_and_an_announcement_a_second() {
    let lab = Lab::new(&["a", "liar", "client"]);
    let a = lab["a"].locum(&Router::new(200).with("announce", "{ refresh = \"off\", again = [] }"));
    a.wait_state("MASTER");
    settle(5);
    let capture = lab["client"].capture();
    let (began, mut sent) = (Instant::now(), 0_u32);
    lab["liar"].within(|| {
        let announcer = Announcer::open(if_nametoindex("eth0").unwrap()).unwrap();
        while began.elapsed() < Duration::from_secs(3) {
            let [.., high, low] = sent.to_be_bytes();
            sent += 1;
            let lie = frame([2, 1, 1, 1, high, low], VIP.parse().unwrap());
            assert_eq!(announcer.send(&[lie]), 1);
        }
    });
    settle(12);
    let seconds = began.elapsed().as_secs() + 1;
    let who = capture.end().announcers(VIP);
    let answers = u64::try_from(who.iter().filter(|mac| **mac == lab["a"].mac()).count()).unwrap();
    println!("{sent} lies, {answers} answers in {seconds} s; {}", a.status()["lateness"]);
    assert!((1..=seconds).contains(&answers), "{answers} answers");
    assert_eq!(a.process.log().matches("there is another holder").count(), 1);
    assert_eq!(a.state(), "MASTER");
    assert!(a.router()["rivals"].as_array().unwrap().len() <= 16);
}

#[test]
fn two_that_contest_an_address_do_not_drive_each_other_on() {
    let lab = Lab::new(&["a", "b", "client"]);
    let router =
        |vrid| Router::new(200).with("vrid", vrid).with("announce", "{ refresh = \"off\", again = [] }");
    let a = lab["a"].locum(&router("51"));
    a.wait_state("MASTER");
    let (began, capture) = (Instant::now(), lab["client"].capture());
    let b = lab["b"].locum(&router("52"));
    b.wait_state("MASTER");
    wait_until("each sees the other", LONG, || !recorded(&a).is_empty() && !recorded(&b).is_empty());
    settle(50);
    let who = capture.end().announcers(VIP);
    let most = began.elapsed().as_secs() + 2;
    for host in ["a", "b"] {
        let times = u64::try_from(who.iter().filter(|mac| **mac == lab[host].mac()).count()).unwrap();
        assert!((2..=most).contains(&times), "{host} announced {times} times in {most} s");
    }
}

#[test]
fn nobody_looks_for_others_while_it_holds_nothing() {
    need("cat", "coreutils");
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&Router::new(200));
    a.wait_state("MASTER");
    let b = lab["b"].locum(&Router::new(100));
    b.wait_state("BACKUP");
    // The protocol is the fourth word of a line: 0806 is ARP, 86dd IPv6.
    let looks = |host: &str, protocol: &str| {
        let sockets = lab[host].run("cat /proc/net/packet");
        sockets.lines().any(|line| line.split_whitespace().nth(3) == Some(protocol))
    };
    wait_until("a looks", SOON, || looks("a", "0806"));
    assert!(!looks("a", "86dd"), "it has no IPv6 address to look for");
    assert!(!looks("b", "0806") && !looks("b", "86dd"));
    assert_eq!(a.cli(&["handover"]).0, Some(0));
    wait_until("b looks", SOON, || looks("b", "0806"));
    wait_until("a looks no more", SOON, || !looks("a", "0806"));
}
