//! What moves with the addresses besides: routes, rules, the virtual MAC address, and what is refused.

use crate::lab::{Lab, VIP};
use crate::locum::Router;

#[test]
fn routes_and_rules_come_and_go_with_the_addresses() {
    let lab = Lab::new(&["a", "client"]);
    let a = &lab["a"];
    let router = Router::new(100)
        .with("routes", r#"[{ to = "10.99.0.0/16", via = "10.77.0.2", table = 123, metric = 7 }]"#)
        .with("rules", r#"[{ from = "10.98.0.0/16", table = 123, priority = 1234 }]"#);
    let mut locum = a.locum(&router);
    lab.wait_owner(VIP, &["a"]);
    crate::lab::wait_until("the rule is there", crate::lab::LONG, || {
        a.run("ip rule show").contains("1234:\tfrom 10.98.0.0/16 lookup 123")
    });
    let table = a.run("ip route show table 123");
    assert!(table.contains("10.99.0.0/16 via 10.77.0.2") && table.contains("metric 7"), "{table}");
    assert!(locum.stop().success());
    assert!(!a.run("ip rule show").contains("1234:"));
    assert!(!a.run("ip route show table all").contains("10.99.0.0"));
}

#[test]
fn with_a_virtual_mac_the_neighbours_learn_that_and_keep_it_when_it_moves() {
    let lab = Lab::new(&["a", "b", "client"]);
    let virtual_mac = |priority| Router::new(priority).with("virtual_mac", "true");
    let mut a = lab["a"].locum(&virtual_mac(200));
    lab.wait_owner(VIP, &["a"]);
    let _b = lab["b"].locum(&virtual_mac(100));
    let client = &lab["client"];
    assert!(client.pings(VIP));
    let mac = client.neighbour(VIP).expect("a neighbour");
    assert!(mac.starts_with("00:00:5e:00:01:"), "{mac}");
    assert!(a.stop().success());
    lab.wait_owner(VIP, &["b"]);
    assert!(client.pings(VIP));
    assert_eq!(client.neighbour(VIP), Some(mac));
    assert!(!lab["a"].run("ip link show").contains("vrrp"), "nothing is left behind");
}

#[test]
fn what_is_not_accepted_is_not_answered_though_it_is_announced() {
    let lab = Lab::new(&["a", "client"]);
    let mut locum = lab["a"].locum(&Router::new(100).with("accept", "false"));
    lab.wait_owner(VIP, &["a"]);
    assert!(!lab["client"].pings(VIP));
    assert_eq!(lab["client"].neighbour(VIP), Some(lab["a"].mac()), "it is there all the same");
    assert!(locum.stop().success());
    assert_eq!(lab.owners(VIP), [""; 0]);
}

#[test]
fn adverts_can_keep_the_mac_of_the_interface_though_the_addresses_have_a_virtual_one() {
    let lab = Lab::new(&["a", "client"]);
    let router = Router::new(100).with("virtual_mac", "true");
    for (from_base, mac) in [("false", "00:00:5e:00:01:33".to_owned()), ("true", lab["a"].mac())] {
        let capture = lab["client"].capture();
        let mut locum = lab["a"].locum(&router.clone().with("adverts_from_base", from_base));
        lab.wait_owner(VIP, &["a"]);
        crate::lab::wait_until("it answers", crate::lab::LONG, || lab["client"].pings(VIP));
        assert_eq!(lab["client"].neighbour(VIP).as_deref(), Some("00:00:5e:00:01:33"));
        assert!(locum.stop().success());
        assert_eq!(capture.end().advert_macs(), [mac].into());
    }
}

#[test]
fn what_a_virtual_mac_changed_of_the_host_is_as_it_was_after_a_stop_a_crash_and_a_restart_in_place() {
    let lab = Lab::new(&["a", "client"]);
    let settings = || -> String {
        let names = ["arp_ignore", "arp_filter", "arp_announce", "rp_filter"];
        let of =
            |name| ["all", "eth0"].map(|interface| format!("/proc/sys/net/ipv4/conf/{interface}/{name}"));
        names.into_iter().flat_map(of).map(|path| lab["a"].run(&format!("cat {path}"))).collect()
    };
    lab["a"].sysctl("net/ipv4/conf/all/rp_filter", "1");
    let before = settings();
    let mut a = lab["a"].locum(&Router::new(150).with("virtual_mac", "true").with("interval", r#""1s""#));
    lab.wait_owner(VIP, &["a"]);
    let changed = settings();
    assert_ne!(changed, before);
    // The next process stays Backup for three seconds.
    a.kill9();
    a.restart();
    crate::lab::wait_until("it is as it was", crate::lab::SOON, || settings() == before);
    assert_eq!(a.state(), "BACKUP");
    lab.wait_owner(VIP, &["a"]);
    assert_eq!(settings(), changed);
    assert_eq!(a.cli(&["restart"]).0, Some(0));
    a.wait_state("MASTER");
    assert_eq!(settings(), changed);
    assert!(a.stop().success());
    assert_eq!(settings(), before);
}

#[test]
fn a_virtual_mac_tests_itself_by_what_this_host_answers_and_mends_what_it_can() {
    let lab = Lab::new(&["a", "client"]);
    let (a, client) = (&lab["a"], &lab["client"]);
    let locum = a.locum(&Router::new(150).with("virtual_mac", "true"));
    lab.wait_owner(VIP, &["a"]);
    let test = || locum.router()["instances"][0]["arp_test"].clone();
    assert_eq!(test(), serde_json::Value::Null, "nobody has asked");
    let ask = || {
        client.attempt(&format!("ip neighbour flush to {VIP}"));
        assert!(client.pings(VIP));
    };
    let says = |what: &str| {
        crate::lab::wait_until(what, crate::lab::LONG, || {
            ask();
            test().as_str().is_some_and(|test| test.contains(what))
        });
    };
    says("passed");
    // Another interface on the same network knows of no virtual MAC address.
    a.run("ip link add link eth0 name other address 02:00:00:00:00:99 type macvlan mode bridge");
    a.run("ip link set other up");
    a.sysctl("net/ipv4/conf/all/rp_filter", "0");
    a.sysctl("net/ipv4/conf/other/rp_filter", "0");
    says("other answered by ARP that 10.77.0.100 is at 02:00:00:00:00:99");
    let complaints = locum.status()["complaints"].to_string();
    assert!(complaints.contains("set net.ipv4.conf.other.arp_ignore to 1"), "{complaints}");
    a.run("ip link del other");
    says("passed");
    // The interface below answers itself where somebody has changed its settings.
    a.sysctl("net/ipv4/conf/eth0/arp_filter", "0");
    a.sysctl("net/ipv4/conf/eth0/arp_ignore", "0");
    crate::lab::wait_until("it is set again", crate::lab::LONG, || {
        ask();
        a.run("cat /proc/sys/net/ipv4/conf/eth0/arp_ignore").trim() == "1"
    });
    says("passed");
    assert_eq!(locum.status()["complaints"].to_string(), "[]");
    let log = locum.process.log();
    assert!(log.contains("settings of eth0 had been changed, and are set again"), "{log}");
}
