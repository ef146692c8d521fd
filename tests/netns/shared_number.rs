//! Routers of one number on one interface: good where no advert can be for two of them.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::Router;

const OTHER: &str = "10.77.0.101";

#[test]
fn two_routers_of_one_number_hear_their_own_peers_each() {
    let lab = Lab::new(&["a", "b", "c"]);
    let [a, b, c] = ["a", "b", "c"].map(|host| lab[host].ipv4());
    let second = format!(
        "[router.other]\ninterface = 'eth0'\nvrid = 51\npriority = 150\naddresses = ['{OTHER}']\npeers = ['{c}']"
    );
    let both = lab["a"].locum(&Router::new(150).with("peers", &format!("['{b}']")).and(&second));
    lab.wait_owner(VIP, &["a"]);
    lab.wait_owner(OTHER, &["a"]);
    let first = lab["b"].locum(&Router::new(200).with("peers", &format!("['{a}']")));
    let peer = Router::new(100).with("peers", &format!("['{a}']")).with("addresses", &format!("['{OTHER}']"));
    let second = lab["c"].locum(&peer);
    // The stronger one of the first is none of the second.
    lab.wait_owner(VIP, &["b"]);
    wait_until("c follows a", LONG, || second.router()["instances"][0]["master"] == *a);
    lab.wait_owner(OTHER, &["a"]);
    let states = |index: usize| both.status()["routers"][index]["state"].clone();
    assert_eq!([states(0), states(1)], ["BACKUP", "MASTER"]);
    assert_eq!((first.state(), second.state()), ("MASTER".to_owned(), "BACKUP".to_owned()));
    assert_eq!(both.refused_at_all(), 0);
}

#[test]
fn two_routers_of_one_number_hear_their_own_groups_each() {
    let lab = Lab::new(&["a", "b", "c"]);
    let group = |router: Router| router.with("multicast_group", "'224.0.0.81'");
    let second = format!(
        "[router.other]\ninterface = 'eth0'\nvrid = 51\npriority = 150\naddresses = ['{OTHER}']\n\
         multicast_group = '224.0.0.81'"
    );
    let both = lab["a"].locum(&Router::new(150).and(&second));
    lab.wait_owner(VIP, &["a"]);
    lab.wait_owner(OTHER, &["a"]);
    let _first = lab["b"].locum(&Router::new(200));
    let second = lab["c"].locum(&group(Router::new(100)).with("addresses", &format!("['{OTHER}']")));
    lab.wait_owner(VIP, &["b"]);
    wait_until("c follows a", LONG, || second.router()["instances"][0]["master"] == *lab["a"].ipv4());
    lab.wait_owner(OTHER, &["a"]);
    assert_eq!(both.refused_at_all() + second.refused_at_all(), 0);
}

#[test]
fn a_router_that_is_found_on_the_interface_of_its_twin_is_in_fault() {
    let lab = Lab::new(&["a"]);
    let twin = format!("[router.twin]\ninterface = 'eth0'\nvrid = 51\naddresses = ['{OTHER}']");
    let a = lab["a"].locum(&Router::new(150).with("interface", "{ subnet = '10.77.0.0/24' }").and(&twin));
    lab.wait_owner(VIP, &["a"]);
    let twin = || a.status()["routers"][1].clone();
    wait_until("the twin is in fault", LONG, || twin()["state"] == "FAULT");
    assert_eq!(twin()["why"], "router web has VRID 51 on eth0 already: give one another number");
    assert!(lab.owners(OTHER).is_empty());
}
