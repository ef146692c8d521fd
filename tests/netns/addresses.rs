//! What others do to the addresses, and what Locum leaves alone.

use crate::lab::{LONG, Lab, SOON, VIP, VIP6, wait_until};
use crate::locum::{Locum, Router};

fn restored(locum: &Locum<'_>) -> u64 {
    let addresses = locum.router()["addresses"].as_array().unwrap().clone();
    addresses.iter().map(|address| address["restored"].as_u64().unwrap()).sum()
}

#[test]
fn an_address_that_somebody_removed_is_put_back_and_counted() {
    let lab = Lab::new(&["a", "client"]);
    let both = format!(r#"["{VIP}", "{VIP6}"]"#);
    let a = lab["a"].locum(&Router::new(100).with("addresses", &both));
    lab.wait_owner(VIP6, &["a"]);
    lab.wait_owner(VIP, &["a"]);
    let watch = lab.watch(VIP);
    lab["a"].ip(&format!("address del {VIP}/32 dev eth0\naddress del {VIP6}/128 dev eth0"));
    wait_until("two are put back", SOON, || restored(&a) == 2);
    assert_eq!((lab.owners(VIP), lab.owners(VIP6)), (vec!["a"], vec!["a"]));
    assert!(lab["client"].pings(VIP) && lab["client"].pings(VIP6));
    assert_eq!(a.became_master(), 1);
    println!("put back: {}", watch.end());
}

#[test]
fn who_loses_a_fight_for_an_address_steps_back_and_says_why() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let _b = lab["b"].locum(&Router::new(100));
    for fight in 1..=6 {
        lab.wait_owner(VIP, &["a"]);
        lab["a"].ip(&format!("address del {VIP}/32 dev eth0"));
        wait_until("it is put back", SOON, || a.state() == "FAULT" || restored(&a) == fight);
    }
    a.wait_state("FAULT");
    println!("{}", a.why());
    assert!(a.why().contains(VIP), "{}", a.why());
    lab.wait_owner(VIP, &["b"]);
}

#[test]
fn an_address_that_was_there_before_is_held_but_never_removed() {
    let lab = Lab::new(&["a", "client"]);
    lab["a"].ip(&format!("address add {VIP}/24 dev eth0"));
    let mut a = lab["a"].locum(&Router::new(100).with("addresses", &format!(r#"["{VIP}/24"]"#)));
    a.wait_state("MASTER");
    assert!(lab["client"].pings(VIP));
    assert!(a.stop().success());
    assert_eq!(lab.owners(VIP), ["a"], "it belongs to somebody else");
}

#[test]
fn a_label_a_prefix_and_another_interface_are_as_configured() {
    let lab = Lab::new(&["a"]);
    lab["a"].ip("link add aside type veth peer name nowhere\nlink set aside up\nlink set nowhere up");
    let addresses = format!(
        r#"[{{ address = "{VIP}/24", label = "eth0:web" }}, {{ address = "10.9.9.9", dev = "aside" }}]"#
    );
    let mut a = lab["a"].locum(&Router::new(100).with("addresses", &addresses));
    lab.wait_owner("10.9.9.9", &["a"]);
    lab.wait_owner(VIP, &["a"]);
    assert!(lab["a"].run("ip address show label eth0:web").contains(&format!("{VIP}/24")));
    assert!(lab["a"].run("ip address show dev aside").contains("10.9.9.9/32"));
    a.stop();
    wait_until("both are gone", LONG, || lab.owners("10.9.9.9").is_empty() && lab.owners(VIP).is_empty());
}
