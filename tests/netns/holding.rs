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
