//! One Locum on an empty network: it takes the addresses, announces them, and gives them up.

use crate::lab::{Lab, SOON, VIP, VIP6, wait_until};
use crate::locum::{Router, settle};

#[test]
fn alone_it_takes_the_address_announces_it_and_gives_it_up_when_stopped() {
    let lab = Lab::new(&["a", "client"]);
    let (a, client) = (&lab["a"], &lab["client"]);
    let before = a.kernel.addresses().len();
    let capture = client.capture();
    let mut locum = a.locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    assert!(client.pings(VIP));
    assert_eq!(client.neighbour(VIP), Some(a.mac()));
    assert_eq!(locum.state(), "MASTER");
    assert_eq!(locum.became_master(), 1);

    assert!(locum.stop().success());
    let packets = capture.end();
    assert!(packets.announcements(VIP) >= 1);
    let sent = packets.priorities(&a.ipv4());
    assert_eq!(sent.first(), Some(&100));
    assert!(sent.ends_with(&[100, 0, 0]), "a farewell is sent twice, and nothing after it: {sent:?}");
    assert_eq!(lab.owners(VIP), [""; 0]);
    assert_eq!(a.kernel.addresses().len(), before);
    // Its lock stays: whoever removed it would take it from somebody who starts just then.
    assert_eq!(locum.files(), ["locum.history.jsonl", "locum.sock.lock"]);
}

#[test]
fn an_ipv6_router_takes_its_address_and_tells_its_neighbours() {
    let lab = Lab::new(&["a", "client"]);
    let (a, client) = (&lab["a"], &lab["client"]);
    let capture = client.capture();
    let mut locum = a.locum(&Router::new(100).with("addresses", &format!(r#"["{VIP6}"]"#)));
    lab.wait_owner(VIP6, &["a"]);
    assert!(client.pings(VIP6));
    assert_eq!(client.neighbour(VIP6), Some(a.mac()));
    locum.stop();
    assert_eq!(lab.owners(VIP6), [""; 0]);
    let packets = capture.end();
    assert!(packets.announcements(VIP6) >= 1);
    let sent = packets.priorities(&a.link_local());
    assert!(sent.starts_with(&[100]) && sent.ends_with(&[0, 0]), "{sent:?}");
}

#[test]
fn a_router_of_both_families_holds_both_addresses_and_moves_them_together() {
    let lab = Lab::new(&["a", "b", "client"]);
    let both = format!(r#"["{VIP}", "{VIP6}"]"#);
    let mut a = lab["a"].locum(&Router::new(150).with("addresses", &both));
    lab.wait_owner(VIP, &["a"]);
    lab.wait_owner(VIP6, &["a"]);
    let b = lab["b"].locum(&Router::new(100).with("addresses", &both));
    assert_eq!(b.state(), "BACKUP");
    let client = &lab["client"];
    assert!(client.pings(VIP) && client.pings(VIP6));
    a.stop();
    lab.wait_owner(VIP, &["b"]);
    lab.wait_owner(VIP6, &["b"]);
    assert!(client.pings(VIP) && client.pings(VIP6));
    assert_eq!(client.neighbour(VIP6), Some(lab["b"].mac()));
}

#[test]
fn an_election_needs_no_addresses() {
    let lab = Lab::new(&["a", "b"]);
    let bare = |priority| Router::new(priority).with("addresses", "[]").with("family", r#""ipv4""#);
    let mut a = lab["a"].locum(&bare(200));
    a.wait_state("MASTER");
    let b = lab["b"].locum(&bare(100));
    settle(10);
    assert_eq!((a.state().as_str(), b.state().as_str(), b.became_master()), ("MASTER", "BACKUP", 0));
    assert_eq!(b.refused_at_all(), 0);
    assert!(a.stop().success());
    b.wait_state("MASTER");
    assert_eq!(b.status()["health"], "healthy");
}

#[test]
fn adverts_to_peers_have_the_ttl_that_is_set() {
    let lab = Lab::new(&["a", "b"]);
    let unicast = |priority, peer: &str| Router::new(priority).with("peers", &format!("[\"{peer}\"]"));
    let a = lab["a"].locum(&unicast(200, "10.77.0.2").with("ttl", "9"));
    a.wait_state("MASTER");
    let b = lab["b"].locum(&unicast(100, "10.77.0.1").with("min_ttl", "9"));
    settle(10);
    assert_eq!((b.state().as_str(), b.refused_at_all()), ("BACKUP", 0));
    drop(b);
    let b = lab["b"].locum(&unicast(100, "10.77.0.1").with("min_ttl", "10"));
    wait_until("it is refused", SOON, || b.refused("ttl") > 0);
}
