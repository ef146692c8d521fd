//! Interfaces with the virtual MAC address: there and answering while held, gone without a trace after.

use crate::adverts;
use crate::namespace::{Namespace, Reports};
use locum::agent::{Holding, Hop, Network, Route, Vmac};
use locum::net::address::{Holder, Means, Order, Report};
use locum::vrrp::{Family, Vip};
use serde_json::Value;
use std::process::Command;

const OURS: u32 = 1;
const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

fn start(namespace: &Namespace) -> (Holder, Reports<Report>) {
    let (sender, reports) = Reports::channel();
    // The test may be over: then nobody listens.
    let report = move |report| drop(sender.send(report));
    (namespace.run(|| Holder::start(Means::default(), report).expect("a holder")), reports)
}

fn vip(address: &str) -> Vip {
    let address: std::net::IpAddr = address.parse().expect("an address");
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    Vip::new(address, prefix)
}

fn vmac() -> Vmac {
    Vmac { name: "vrrp.51".to_owned(), base: "eth0".to_owned(), mac: MAC, group: 0 }
}

fn hold(owner: u32, vmac: Vmac, vips: Vec<Vip>) -> Order {
    let holding = Holding { interface: "eth0".to_owned(), vmac: Some(vmac), vips, ..Holding::default() };
    Order::Hold { until: None, owner, holding }
}

fn held() -> Report {
    Report::Held { owner: OURS, result: Ok(()) }
}

fn released() -> Report {
    Report::Released { owner: OURS, result: Ok(()) }
}

fn link(namespace: &Namespace, name: &str) -> Option<Value> {
    namespace.show(&["link", "show"]).into_iter().find(|link| link["ifname"] == name)
}

/// Every setting of every interface and of all.
fn settings(namespace: &Namespace) -> String {
    namespace.run(|| {
        let output = Command::new("sh")
            .args(["-c", "cd /proc/sys/net/ipv4/conf && grep -H . */arp_ignore */arp_filter */rp_filter */accept_local */arp_announce"])
            .output();
        String::from_utf8(output.expect("a shell").stdout).expect("text")
    })
}

fn setting(namespace: &Namespace, path: &str) -> String {
    namespace.run(|| {
        std::fs::read_to_string(format!("/proc/sys/net/{path}")).expect("a setting").trim().to_owned()
    })
}

fn ping(namespace: &Namespace, address: &str) {
    let output = namespace.run(|| Command::new("ping").args(["-c1", "-W5", address]).output().expect("ping"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn neighbour(namespace: &Namespace, address: &str) -> Option<String> {
    let entries = namespace.show(&["neigh", "show"]);
    let entry = entries.iter().find(|entry| entry["dst"] == address)?;
    entry["lladdr"].as_str().map(str::to_owned)
}

#[test]
fn the_addresses_answer_with_the_virtual_mac_and_the_host_with_its_own() {
    let (left, right) = Namespace::pair();
    left.run(|| std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1").expect("sysctl"));
    let (before, settings_before) = (left.show(&["link", "show"]).len(), settings(&left));
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vmac(), vec![vip("10.9.0.100"), vip("2001:db8:9::100")]));
    assert_eq!(reports.next(), held());
    let made = link(&left, "vrrp.51").expect("made");
    assert_eq!((&made["address"], &made["link"]), (&"00:00:5e:00:01:33".into(), &"eth0".into()));
    assert_eq!(made["linkinfo"]["info_data"]["mode"], "vepa");
    // No address of its own.
    assert_eq!(left.has("vrrp.51"), ["10.9.0.100/32", "2001:db8:9::100/128"]);
    assert_eq!(setting(&left, "ipv4/conf/vrrp.51/rp_filter"), "0");
    assert_eq!(setting(&left, "ipv4/conf/all/rp_filter"), "0");
    assert_eq!(
        setting(&left, "ipv4/conf/eth0/rp_filter"),
        "1",
        "what was in force for all is in force for each"
    );

    for address in ["10.9.0.100", "2001:db8:9::100", "10.9.0.1"] {
        ping(&right, address);
    }
    let virtual_mac = Some("00:00:5e:00:01:33".to_owned());
    assert_eq!(neighbour(&right, "10.9.0.100"), virtual_mac);
    assert_eq!(neighbour(&right, "2001:db8:9::100"), virtual_mac);
    assert_ne!(neighbour(&right, "10.9.0.1"), virtual_mac);

    holder.order(Order::Announce { owner: OURS, count: 2 });
    assert_eq!(reports.next(), Report::Announced { owner: OURS, sent: 4, failed: 0 });

    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(left.show(&["link", "show"]).len(), before);
    assert_eq!(settings(&left), settings_before);
}

#[test]
fn announcements_leave_with_the_virtual_mac() {
    let (left, right) = Namespace::pair();
    right.run(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/arp_accept", "1").expect("sysctl"));
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vmac(), vec![vip("10.9.0.100")]));
    assert_eq!(reports.next(), held());
    holder.order(Order::Announce { owner: OURS, count: 1 });
    assert_eq!(reports.next(), Report::Announced { owner: OURS, sent: 1, failed: 0 });
    let virtual_mac = Some("00:00:5e:00:01:33".to_owned());
    crate::namespace::eventually("the neighbour has heard", || {
        neighbour(&right, "10.9.0.100") == virtual_mac
    });
}

#[test]
fn the_base_hears_another_master_that_sends_from_the_same_virtual_mac() {
    for (family, source, mac) in
        [(Family::Ipv4, "10.9.0.2", MAC), (Family::Ipv6, "fe80::2", [0, 0, 0x5e, 0, 2, 51])]
    {
        let (left, right) = Namespace::pair();
        let (holder, reports) = start(&left);
        holder.order(hold(OURS, Vmac { mac, ..vmac() }, vec![vip("10.9.0.100"), vip("2001:db8:9::100")]));
        assert_eq!(reports.next(), held());
        let (hears, mut sends) =
            (adverts::open(&left, family, true, &[51]), adverts::open(&right, family, true, &[51]));
        let sent = adverts::advert(source, family.group(), 51);
        right.run(|| sends.send_from(mac, &sent)).expect("sent");
        assert_eq!(adverts::wait(&hears).source, sent.source);
    }
}

#[test]
fn an_interface_that_somebody_deletes_or_sets_down_is_put_back_with_all_on_it() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let destination = Network { address: "192.0.2.0".parse().expect("an address"), prefix: 24 };
    let hop = Hop { dev: Some("vrrp.51".to_owned()), ..Hop::default() };
    let route = Route { hops: vec![hop], ..Route::new(Family::Ipv4, Some(destination)) };
    let holding = Holding {
        vmac: Some(vmac()),
        vips: vec![vip("10.9.0.100")],
        routes: vec![route],
        ..Holding::default()
    };
    holder.order(Order::Hold { until: None, owner: OURS, holding });
    assert_eq!(reports.next(), held());
    left.ip("link del vrrp.51");
    let address = "10.9.0.100".parse().expect("an address");
    holder.order(Order::Gone { interface: "vrrp.51".to_owned(), address });
    assert_eq!(reports.next(), Report::Restored { owner: OURS, address });
    let back = |what: &str| Report::Repaired { owner: OURS, what: what.to_owned() };
    assert_eq!(reports.next(), back("interface vrrp.51"));
    assert_eq!(reports.next(), back("route 192.0.2.0/24 dev vrrp.51"));
    ping(&right, "10.9.0.100");
    left.ip("link set vrrp.51 down");
    holder.order(Order::Check);
    assert_eq!(reports.next(), back("interface vrrp.51"));
    assert_eq!(reports.next(), back("route 192.0.2.0/24 dev vrrp.51"));
    ping(&right, "10.9.0.100");
}

#[test]
fn a_thousand_ipv6_addresses_are_on_a_virtual_interface_before_it_is_up() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let vips: Vec<Vip> = (1..=1000).map(|n| vip(&format!("2001:db8:9:0:1::{n:x}"))).collect();
    holder.order(hold(OURS, Vmac { mac: [0, 0, 0x5e, 0, 2, 51], ..vmac() }, vips));
    assert_eq!(reports.next(), held());
    assert_eq!(left.has("vrrp.51").len(), 1000);
    ping(&right, "2001:db8:9:0:1::3e8");
    holder.order(Order::Stop);
    assert_eq!(reports.next(), released());
    assert!(link(&left, "vrrp.51").is_none());
}

#[test]
fn another_mac_makes_it_anew_and_a_shared_base_keeps_its_settings_to_the_last() {
    let (left, _right) = Namespace::pair();
    let before = settings(&left);
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vmac(), vec![vip("10.9.0.100")]));
    assert_eq!(reports.next(), held());
    let second = Vmac { name: "vrrp.52".to_owned(), mac: [0, 0, 0x5e, 0, 1, 52], ..vmac() };
    holder.order(hold(2, second, vec![vip("10.9.0.101")]));
    assert_eq!(reports.next(), Report::Held { owner: 2, result: Ok(()) });
    holder.order(hold(OURS, Vmac { mac: [0, 0, 0x5e, 0, 1, 53], ..vmac() }, vec![vip("10.9.0.100")]));
    assert_eq!(reports.next(), held());
    assert_eq!(link(&left, "vrrp.51").expect("made")["address"], "00:00:5e:00:01:35");
    assert_eq!(left.has("vrrp.51"), ["10.9.0.100/32"]);
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(setting(&left, "ipv4/conf/eth0/arp_ignore"), "1");
    holder.order(Order::Release { owner: 2 });
    assert_eq!(reports.next(), Report::Released { owner: 2, result: Ok(()) });
    assert_eq!(settings(&left), before);
}

#[test]
fn what_a_crash_leaves_is_taken_over_or_swept_and_what_is_not_ours_is_left_alone() {
    let (left, right) = Namespace::pair();
    let (crashed, reports) = start(&left);
    crashed.order(hold(OURS, vmac(), vec![vip("10.9.0.100")]));
    let second = Vmac { name: "vrrp.52".to_owned(), mac: [0, 0, 0x5e, 0, 1, 52], ..vmac() };
    crashed.order(hold(2, second, vec![vip("10.9.0.101")]));
    assert_eq!(reports.next(), held());
    reports.next();
    drop(crashed);
    left.ip("link add foreign link eth0 type macvlan mode private");

    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vmac(), vec![vip("10.9.0.100")]));
    assert_eq!(reports.next(), held());
    holder.order(Order::Sweep);
    assert_eq!(reports.next(), Report::Cleared { what: "interface vrrp.52".to_owned() });
    ping(&right, "10.9.0.100");
    holder.order(hold(2, Vmac { name: "foreign".to_owned(), ..vmac() }, vec![]));
    let reason = "interface foreign: it is there already and not Locum's: name the virtual one otherwise";
    assert_eq!(reports.next(), Report::Held { owner: 2, result: Err(reason.to_owned()) });
    holder.order(hold(3, Vmac { base: "eth9".to_owned(), ..vmac() }, vec![]));
    let reason = "interface vrrp.51: there is no eth9 to put it on";
    assert_eq!(reports.next(), Report::Held { owner: 3, result: Err(reason.to_owned()) });
    holder.order(Order::Stop);
    reports.until(|report| matches!(report, Report::Released { owner: 3, .. }));
    assert!(link(&left, "foreign").is_some());
    assert!(link(&left, "vrrp.51").is_none());
}

#[test]
fn the_interface_is_in_the_group_that_is_asked_for() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    for group in [5, 7] {
        holder.order(hold(OURS, Vmac { group, ..vmac() }, vec![vip("10.9.0.100")]));
        assert_eq!(reports.next(), held());
        assert_eq!(link(&left, "vrrp.51").expect("there")["group"], group.to_string());
    }
}

#[test]
fn an_address_on_another_interface_has_the_virtual_mac_there() {
    let (left, right) = Namespace::pair();
    left.cable(&right, "eth1");
    left.ip("address add 10.8.0.1/24 dev eth1");
    right.ip("address add 10.8.0.2/24 dev eth1");
    for namespace in [&left, &right] {
        namespace.ip("link set eth1 up");
    }
    let before = (left.show(&["link", "show"]).len(), settings(&left));
    let (holder, reports) = start(&left);
    let more_vmacs = vec![Vmac { name: "vrrp.51.1".to_owned(), base: "eth1".to_owned(), ..vmac() }];
    let elsewhere = Vip { dev: Some("vrrp.51.1".to_owned()), ..vip("10.8.0.100") };
    let holding = Holding {
        interface: "eth0".to_owned(),
        more_vmacs,
        vips: vec![vip("10.9.0.100"), elsewhere],
        ..Holding::default()
    };
    holder.order(Order::Hold { until: None, owner: OURS, holding });
    assert_eq!(reports.next(), held());
    for address in ["10.9.0.100", "10.8.0.100", "10.8.0.1"] {
        ping(&right, address);
    }
    assert_eq!(neighbour(&right, "10.8.0.100").as_deref(), Some("00:00:5e:00:01:33"));
    for own in ["10.9.0.100", "10.8.0.1"] {
        assert_ne!(neighbour(&right, own).as_deref(), Some("00:00:5e:00:01:33"), "{own}");
    }
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!((left.show(&["link", "show"]).len(), settings(&left)), before);
}
