//! Interfaces and own addresses come and go under a running daemon.

use crate::lab::{LONG, Lab, SOON, VIP, VIP6, wait_until};
use crate::locum::Router;

#[test]
fn an_interface_that_is_removed_and_made_anew_is_used_again() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    let index = || lab["a"].within(|| nix::net::if_::if_nametoindex("eth0").unwrap());
    let before = index();
    lab["a"].ip("link del eth0");
    lab.wait_owner(VIP, &["b"]);
    a.wait_state("FAULT");
    assert_eq!(a.why(), "interface eth0 does not exist");
    lab["a"].ip("link add filler type veth peer name filler2");
    lab.switch(&lab["a"].plug());
    lab["a"].configure();
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    assert!(lab["client"].pings(VIP));
    assert_ne!(index(), before);
}

#[test]
fn an_interface_that_comes_after_the_start_is_waited_for() {
    let lab = Lab::new(&["a", "client"]);
    lab["a"].ip("link del eth0");
    let a = lab["a"].locum(&Router::new(150));
    a.wait_state("FAULT");
    assert_eq!(a.why(), "interface eth0 does not exist");
    assert_eq!(a.cli(&["status"]).0, Some(2));
    lab.switch(&lab["a"].plug());
    lab["a"].configure();
    lab.wait_owner(VIP, &["a"]);
    assert!(lab["client"].pings(VIP));
    assert_eq!(a.cli(&["status"]).0, Some(0));
}

#[test]
fn without_an_own_address_a_router_is_in_fault_until_it_has_one() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    lab["a"].ip("address del 10.77.0.1/24 dev eth0");
    a.wait_state("FAULT");
    println!("{}", a.why());
    assert!(a.why().contains("IPv4") && a.why().contains("eth0"), "{}", a.why());
    lab.wait_owner(VIP, &["b"]);
    lab["a"].ip("address add 10.77.0.1/24 dev eth0");
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
}

#[test]
fn an_interface_is_found_by_the_subnet_of_its_address() {
    let lab = Lab::new(&["a", "client"]);
    let router = Router::new(100).with("interface", r#"{ subnet = "10.77.0.0/24" }"#);
    let a = lab["a"].locum(&router);
    lab.wait_owner(VIP, &["a"]);
    assert_eq!(a.router()["interface"], "eth0");
    assert!(lab["client"].pings(VIP));
    lab["a"].ip("link set eth0 down\nlink set eth0 name renamed\nlink set renamed up");
    wait_until("it is found under its new name", LONG, || a.router()["interface"] == "renamed");
    a.wait_state("MASTER");
    wait_until("the address is there", SOON, || lab["a"].run("ip address show dev renamed").contains(VIP));
}

#[test]
fn an_ipv6_router_waits_for_its_link_local_address_to_be_proven_unique() {
    let lab = Lab::new(&["a", "client"]);
    lab["a"].ip("link set eth0 down");
    lab["a"].sysctl("net/ipv6/conf/eth0/accept_dad", "1");
    lab["a"].sysctl("net/ipv6/conf/eth0/dad_transmits", "3");
    let capture = lab["client"].capture();
    // IPv6 addresses went with the link.
    lab["a"].ip("link set eth0 up\naddress add fd77::1/64 dev eth0 nodad");
    let a = lab["a"].locum(&Router::new(100).with("addresses", &format!(r#"["{VIP6}"]"#)));
    let tentative =
        format!("IPv6 link-local source address {} on eth0 is still tentative", lab["a"].link_local());
    assert_eq!((a.state(), a.why()), ("FAULT".to_owned(), tentative));
    lab.wait_owner(VIP6, &["a"]);
    assert!(lab["client"].pings(VIP6));
    let instance = &a.router()["instances"][0];
    assert_eq!(instance["source"], lab["a"].link_local());
    assert_eq!(instance["send_errors"], 0);
    let sent = capture.end().priorities(&lab["a"].link_local());
    assert!(!sent.is_empty() && sent.iter().all(|priority| *priority == 100), "{sent:?}");
}

#[test]
fn a_better_host_that_lacks_the_interface_of_an_address_leaves_the_others_to_a_good_one() {
    let lab = Lab::new(&["a", "b", "client"]);
    let b = lab["b"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["b"]);
    let addresses = format!("['{VIP}', {{ address = '10.5.0.1/24', dev = 'eth7' }}]");
    let a = lab["a"].locum(&Router::new(150).with("addresses", &addresses));
    a.wait_state("FAULT");
    assert_eq!(a.why(), "interface eth7 does not exist");
    // Longer than it takes to try again.
    let watch = lab.watch(VIP);
    crate::locum::settle(12);
    let timeline = watch.end();
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
    assert_eq!((a.became_master(), b.became_master()), (0, 1));
    lab["a"].ip("link add eth7 type veth peer name far7");
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
}
