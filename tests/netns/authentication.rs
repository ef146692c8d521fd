//! Signed adverts and authentication headers on real kernels: whoever has the key takes part, and nobody
//! else moves anything. The elections with keepalived's own header are in `keepalived`.

use crate::capture::Packets;
use crate::lab::{Host, LONG, Lab, VIP, VIP6, wait_until};
use crate::locum::{Router, settle};
use locum::vrrp::auth::Seal;
use locum::vrrp::{GROUP_V4, PROTOCOL, ah};
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddrV4};
use tempfile::NamedTempFile;

/// A key of 32 bytes in a file, each of them this one.
pub fn key(byte: u8) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let digits = (0..32).fold("hex:".to_owned(), |mut text, _| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    std::fs::write(file.path(), digits).unwrap();
    file
}

pub fn signed(priority: u8, key: &NamedTempFile, more: &str) -> Router {
    let path = key.path().display();
    let auth = format!(r#"{{ hmac = {{ keys = {{ 1 = "file:{path}" }}, active = 1{more} }} }}"#);
    Router::new(priority).with("auth", &auth)
}

pub fn in_both_families(router: Router) -> Router {
    router.with("addresses", &format!(r#"["{VIP}", "{VIP6}"]"#))
}

fn headed(priority: u8, secret: &NamedTempFile) -> Router {
    let router = Router::new(priority).with("version", "2").with("interval", r#""1s""#);
    router.with("auth", &format!(r#"{{ ah = "file:{}" }}"#, secret.path().display()))
}

fn secret(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The stronger starts last, takes over, stops, comes back, crashes, comes back.
fn elect(lab: &Lab, vips: &[&str], router: impl Fn(u8) -> Router) {
    let everywhere = |owners: &[&str]| vips.iter().for_each(|vip| lab.wait_owner(vip, owners));
    let b = lab["b"].locum(&router(100));
    everywhere(&["b"]);
    let mut a = lab["a"].locum(&router(150));
    everywhere(&["a"]);
    b.wait_state("BACKUP");
    a.stop();
    everywhere(&["b"]);
    assert!(b.why().contains("said farewell"), "{}", b.why());
    a.restart();
    everywhere(&["a"]);
    b.wait_state("BACKUP");
    a.kill9();
    wait_until("b takes over", LONG, || b.state() == "MASTER");
    a.restart();
    everywhere(&["a"]);
    b.wait_state("BACKUP");
    assert_eq!((a.refused_at_all(), b.refused_at_all()), (0, 0));
}

fn seals(packets: &Packets) -> Vec<Seal> {
    packets.adverts().into_iter().map(|seen| seen.heard.unwrap().seal).collect()
}

#[test]
fn two_hosts_with_one_key_elect_in_both_families_and_sign_every_advert() {
    let (lab, key) = (Lab::new(&["a", "b", "client"]), key(7));
    let capture = lab["client"].capture();
    elect(&lab, &[VIP, VIP6], |priority| in_both_families(signed(priority, &key, "")));
    let seals = seals(&capture.end());
    assert!(seals.len() > 20, "{}", seals.len());
    assert!(seals.iter().all(|seal| matches!(seal, Seal::Signed { key: 1, .. })), "{seals:?}");
}

#[test]
fn two_hosts_with_one_key_elect_by_unicast() {
    let (lab, key) = (Lab::new(&["a", "b"]), key(7));
    // A host's own address among the peers would be an error.
    let to = |peer: &str, priority| {
        let peers = format!(r#"["{}"]"#, lab[peer].ipv4());
        signed(priority, &key, "").with("peers", &peers)
    };
    let b = lab["b"].locum(&to("a", 100));
    lab.wait_owner(VIP, &["b"]);
    let mut a = lab["a"].locum(&to("b", 150));
    lab.wait_owner(VIP, &["a"]);
    a.stop();
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(b.refused_at_all(), 0);
}

#[test]
fn a_clock_close_to_ours_is_shown_and_not_complained_of() {
    let (lab, key) = (Lab::new(&["a", "b"]), key(7));
    let _a = lab["a"].locum(&signed(150, &key, ""));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&signed(100, &key, ""));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["heard"] != 0);
    let peer = b.router()["instances"][0]["peers"][0].clone();
    assert!(peer["clock_ms"].as_i64().is_some_and(|ahead| ahead.abs() < 1000), "{peer}");
    assert_eq!(peer["clock_window_ms"], 5000);
    let (code, text) = b.cli(&["status"]);
    assert!(code == Some(0) && text.contains(", clock "), "{text}");
}

#[test]
fn two_hosts_with_one_secret_elect_behind_authentication_headers() {
    let (lab, secret) = (Lab::new(&["a", "b", "client"]), secret("c3cr3t42"));
    let capture = lab["client"].capture();
    elect(&lab, &[VIP], |priority| headed(priority, &secret));
    let (seals, mut last) = (seals(&capture.end()), 0);
    for seal in &seals {
        let Seal::Ah { sequence, .. } = seal else { panic!("{seals:?}") };
        assert!(*sequence > last, "{sequence} after {last}: restarts and crashes must not go back");
        last = *sequence;
    }
    assert!(last > 5, "{last}");
}

#[test]
fn a_host_with_another_key_or_none_takes_nothing_and_is_counted() {
    let (lab, ours, theirs) = (Lab::new(&["a", "b"]), key(7), key(8));
    let a = lab["a"].locum(&signed(100, &ours, ""));
    lab.wait_owner(VIP, &["a"]);
    // The owner does not wait, and says farewell with priority 0.
    let renamed = format!(r#"{{ hmac = {{ keys = {{ 2 = "file:{}" }} }} }}"#, ours.path().display());
    for (stranger, reason) in [
        (Router::new(255).with("auth", &renamed), "unknown-key"),
        (signed(255, &theirs, ""), "bad-signature"),
        (Router::new(255), "unsigned"),
        (Router::new(255).with("version", "2").with("interval", r#""1s""#), "version"),
    ] {
        let mut b = lab["b"].locum(&stranger);
        wait_until(&format!("refused: {reason}"), LONG, || a.refused(reason) >= 2);
        b.stop();
        settle(3);
        assert_eq!((a.state(), a.became_master()), ("MASTER".to_owned(), 1), "{reason}");
    }
}

#[test]
fn a_host_with_another_secret_or_none_takes_nothing_and_is_counted() {
    let (lab, ours, theirs) = (Lab::new(&["a", "b"]), secret("c3cr3t42"), secret("c3cr3t43"));
    let a = lab["a"].locum(&headed(100, &ours));
    lab.wait_owner(VIP, &["a"]);
    for (stranger, reason) in
        [(headed(255, &theirs), "bad-digest"), (headed(255, &theirs).without("auth"), "auth-type")]
    {
        let mut b = lab["b"].locum(&stranger);
        wait_until(&format!("refused: {reason}"), LONG, || a.refused(reason) >= 2);
        b.stop();
        settle(3);
        assert_eq!((a.state(), a.became_master()), ("MASTER".to_owned(), 1), "{reason}");
    }
}

/// Sends what was captured of `source` once more, from `host`.
fn replay(host: &Host, packets: &Packets, source: &str) -> usize {
    let source: IpAddr = source.parse().unwrap();
    let packets = packets.ipv4_from(source);
    host.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).unwrap();
        socket.set_header_included_v4(true).unwrap();
        socket.bind_device(Some(b"eth0")).unwrap();
        for packet in &packets {
            assert!(packet[9] == PROTOCOL || packet[9] == ah::PROTOCOL);
            socket.send_to(packet, &SocketAddrV4::new(GROUP_V4, 0).into()).unwrap();
        }
    });
    packets.len()
}

/// Adverts of `a` and its farewell, sent again by somebody else, while `b` is Master: at once, and after `b`
/// has been restarted.
fn old_adverts_stay_old(lab: &Lab, router: impl Fn(u8) -> Router) {
    let capture = lab["client"].capture();
    let mut a = lab["a"].locum(&router(150));
    lab.wait_owner(VIP, &["a"]);
    let mut b = lab["b"].locum(&router(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["heard"].as_u64() > Some(2));
    a.stop();
    lab.wait_owner(VIP, &["b"]);
    let packets = capture.end();
    let again = replay(&lab["client"], &packets, &lab["a"].ipv4());
    assert!(again > 3);
    wait_until("b refuses them", LONG, || b.refused("replay") >= again.try_into().unwrap());
    assert_eq!((b.state(), b.became_master()), ("MASTER".to_owned(), 1));

    b.stop();
    assert!(b.files().iter().any(|name| name == "locum.state"), "{:?}", b.files());
    b.restart();
    // It answers a moment before it hears.
    b.wait_state("BACKUP");
    replay(&lab["client"], &packets, &lab["a"].ipv4());
    wait_until("b still refuses them", LONG, || b.refused("replay") > 3);
    assert_eq!(b.router()["instances"][0]["heard"], 0);
    lab.wait_owner(VIP, &["b"]);
}

#[test]
fn signed_adverts_stay_old_over_a_restart() {
    let key = key(7);
    // Long enough for a restart on a busy machine, or they would be stale instead.
    old_adverts_stay_old(&Lab::new(&["a", "b", "client"]), |priority| {
        signed(priority, &key, r#", window = "300s""#)
    });
}

#[test]
fn adverts_behind_a_header_stay_old_over_a_restart() {
    let secret = secret("c3cr3t42");
    old_adverts_stay_old(&Lab::new(&["a", "b", "client"]), |priority| headed(priority, &secret));
}

#[test]
fn keys_change_and_spread_without_a_failover() {
    let (lab, old, new) = (Lab::new(&["a", "b"]), key(7), key(8));
    let (old, new) = (old.path().display().to_string(), new.path().display().to_string());
    let hmac = |text: &str| {
        let text = text.replace("OLD", &old).replace("NEW", &new);
        move |priority| Router::new(priority).with("auth", &format!("{{ hmac = {{ {text} }} }}")).toml()
    };
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["heard"] != 0);
    for step in [
        r#"keys = { 1 = "file:OLD" }, mode = "receive-only""#,
        r#"keys = { 1 = "file:OLD" }, mode = "permissive""#,
        r#"keys = { 1 = "file:OLD" }"#,
        r#"keys = { 1 = "file:OLD", 2 = "file:NEW" }, active = 1"#,
        r#"keys = { 1 = "file:OLD", 2 = "file:NEW" }, active = 2"#,
        r#"keys = { 2 = "file:NEW" }"#,
    ] {
        // Neither order within a step may matter.
        for (locum, priority) in [(&b, 100), (&a, 150)] {
            let (code, said) = locum.reload(&hmac(step)(priority));
            assert_eq!(code, Some(0), "{step}: {said}");
            settle(4);
        }
    }
    assert_eq!((a.state().as_str(), b.state().as_str()), ("MASTER", "BACKUP"));
    assert_eq!((a.became_master(), b.became_master()), (1, 0));
    assert_eq!((a.refused_at_all(), b.refused_at_all()), (0, 0));
}

#[test]
fn a_router_without_its_key_takes_no_part_and_says_so() {
    let (lab, key) = (Lab::new(&["a"]), key(7));
    let router = signed(150, &key, "");
    drop(key);
    let a = lab["a"].locum(&router);
    a.wait_state("FAULT");
    assert!(a.why().contains("cannot read the key"), "{}", a.why());
    settle(8);
    assert_eq!(lab.owners(VIP), [""; 0]);
}
