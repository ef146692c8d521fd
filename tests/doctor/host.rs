//! This host: interfaces, settings of the kernel, sizes, managers, clock.

use crate::{assert_fine, assert_found, config, eth0, judged, secret};
use locum::agent::{Link, LinkAddress};
use locum::doctor::Severity::{Doubt, Trouble};
use locum::doctor::kernel::Settings;
use locum::doctor::network_manager::{Managed, Manager};
use locum::doctor::{Report, clock, interface, kernel, mtu, network_manager};
use locum::explain::wires;

fn on(keys: &str, links: &[Link]) -> Report {
    judged(|report| interface::judge(&config(keys, "").agent.routers, links, report))
}

#[test]
fn an_interface_has_to_be_there_and_up_and_have_an_address() {
    assert_fine(&on("", &[eth0()]), "interface");
    let other = Link { name: "ens3".to_owned(), ..eth0() };
    assert_found(&on("", &[other]), Trouble, "interface.missing", &["no interface eth0", "ens3"]);
    assert_found(
        &on("", &[Link { up: false, ..eth0() }]),
        Trouble,
        "interface.down",
        &["ip link set eth0 up"],
    );
    let bare = Link { addresses: Vec::new(), ..eth0() };
    assert_found(&on("", &[bare]), Trouble, "interface.source", &["no own IPv4 address"]);
    let subnet = "interface = { subnet = \"10.9.0.0/24\" }";
    assert_found(&on(subnet, &[eth0()]), Trouble, "interface.missing", &["10.9.0.0/24"]);
    let source = "source = \"10.0.0.7\"\npeers = [\"10.0.0.2\"]";
    assert_found(&on(source, &[eth0()]), Doubt, "interface.source", &["10.0.0.7"]);
}

#[test]
fn a_tentative_address_is_no_address_and_ipv6_by_multicast_needs_a_link_local_one() {
    let ipv6 = "addresses = [\"fe80::5\", \"fd00::5\"]";
    assert_fine(&on(ipv6, &[eth0()]), "interface");
    let mut tentative = eth0();
    tentative.addresses[1].tentative = true;
    assert_found(&on(ipv6, &[tentative]), Trouble, "interface.source", &["fe80::1", "tentative"]);
    let mut global = eth0();
    global.addresses[1].address = "fd00::1".parse().unwrap();
    assert_found(&on(ipv6, &[global]), Trouble, "interface.source", &["no own IPv6 address"]);
}

#[test]
fn a_second_path_has_to_be_up() {
    let path = "peers = [\"10.0.0.2\"]\nsecond_path = { interface = \"eth1\", peers = { \"10.0.0.2\" = \"10.1.0.2\" } }";
    assert_found(&on(path, &[eth0()]), Doubt, "interface.second-path", &["eth1"]);
    assert_fine(&on(path, &[eth0(), Link { name: "eth1".to_owned(), ..eth0() }]), "interface.second-path");
}

fn set(keys: &str, links: &[Link], settings: &Settings) -> Report {
    let settings = Settings { interface: "eth0".to_owned(), ..settings.clone() };
    judged(|report| kernel::judge(&config(keys, "").agent.routers, links, &[settings], report))
}

#[test]
fn a_strict_reverse_path_matters_for_peers_of_other_networks() {
    let strict = Settings { rp_filter: Some(1), ..Settings::default() };
    let far = "peers = [\"10.9.0.2\"]";
    assert_found(&set(far, &[eth0()], &strict), Doubt, "kernel.rp-filter", &["10.9.0.2", "rp_filter=2"]);
    assert_fine(&set("peers = [\"10.0.0.2\"]", &[eth0()], &strict), "kernel");
    let loose = Settings { rp_filter: Some(2), ..Settings::default() };
    assert_fine(&set(far, &[eth0()], &loose), "kernel");
}

#[test]
fn arp_ignore_matters_by_how_the_addresses_are_held() {
    let level = |level| Settings { arp_ignore: Some(level), ..Settings::default() };
    let alone = "addresses = [\"10.0.0.100\"]";
    let local = "addresses = [\"10.0.0.100\"]\ninstall = \"local-route\"";
    let id = "kernel.arp-ignore";
    for (lines, bad, good) in [(alone, 2, 1), (alone, 8, 0), ("", 8, 2), (local, 1, 0)] {
        assert_found(&set(lines, &[eth0()], &level(bad)), Trouble, id, &["arp_ignore", "sysctl -w"]);
        assert_fine(&set(lines, &[eth0()], &level(good)), "kernel");
    }
}

#[test]
fn two_interfaces_in_one_network_answer_for_each_other() {
    let twin = Link { name: "eth1".to_owned(), ..eth0() };
    let own = LinkAddress { address: "10.1.0.1".parse().unwrap(), ..eth0().addresses[0].clone() };
    let apart = Link { addresses: vec![own], ..twin.clone() };
    let (open, closed) = (
        Settings { arp_ignore: Some(0), ..Settings::default() },
        Settings { arp_ignore: Some(1), ..Settings::default() },
    );
    assert_found(&set("", &[eth0(), twin.clone()], &open), Doubt, "kernel.arp-flux", &["eth0 and eth1"]);
    assert_fine(&set("", &[eth0(), twin], &closed), "kernel");
    assert_fine(&set("", &[eth0(), apart], &open), "kernel");
}

#[test]
fn ipv6_addresses_need_ipv6() {
    let off = Settings { ipv6_off: true, ..Settings::default() };
    let ipv6 = "addresses = [\"fe80::5\", \"fd00::5\"]";
    assert_found(&set(ipv6, &[eth0()], &off), Trouble, "kernel.ipv6", &["disable_ipv6=0"]);
    assert_fine(&set("", &[eth0()], &off), "kernel");
}

#[test]
fn an_advert_has_to_fit_with_all_its_addresses() {
    let many: Vec<_> = (1..=120).map(|last| format!("\"10.0.0.{last}\"")).collect();
    let config = config(&format!("addresses = [{}]", many.join(", ")), "");
    let of = |mtu| judged(|report| mtu::judge(&wires(&config), &[Link { mtu, ..eth0() }], report));
    // 20 of IP, 8 of VRRP, and 4 for each address.
    assert_fine(&of(508), "mtu");
    assert_found(&of(507), Trouble, "mtu", &["508 bytes", "507"]);
}

fn managed(lines: &str, by: Manager) -> Report {
    let managed = [Managed { interface: "eth0".to_owned(), by }];
    judged(|report| network_manager::judge(&config(lines, "").agent.routers, &[eth0()], &managed, report))
}

fn networkd(text: &str, global: &str) -> Manager {
    let file = "/run/systemd/network/10-netplan-eth0.network".to_owned();
    Manager::Networkd { file, texts: vec![text.to_owned()], global: vec![global.to_owned()] }
}

#[test]
fn networkd_has_to_be_told_to_keep_leased_addresses_and_static_is_not_enough() {
    let drop_in = "/etc/systemd/network/10-netplan-eth0.network.d/locum.conf";
    let id = "network-manager.networkd";
    let report = managed("", networkd("[Network]\nDHCP=yes\n", ""));
    assert_found(&report, Doubt, id, &[drop_in, "KeepConfiguration=yes"]);
    let keeps = |value: &str| networkd(&format!("[Network]\nKeepConfiguration={value}\n"), "");
    assert_found(&managed("", keeps("static")), Doubt, id, &["does not keep leased addresses"]);
    assert_fine(&managed("lease = \"off\"", keeps("static")), "network-manager");
    assert_fine(&managed("", keeps("yes")), "network-manager");
}

#[test]
fn networkd_has_to_leave_routes_alone_where_there_are_any() {
    let routes = "routes = [{ to = \"10.1.0.0/16\", via = \"10.0.0.2\" }]";
    let keeps = "[Network]\nKeepConfiguration=yes\n";
    let report = managed(routes, networkd(keeps, ""));
    assert_found(&report, Doubt, "network-manager.networkd", &["ManageForeignRoutes=no"]);
    let left = networkd(keeps, "[Network]\nManageForeignRoutes=no\n");
    assert_fine(&managed(routes, left), "network-manager");
}

#[test]
fn network_manager_is_a_doubt_and_nobody_is_fine() {
    let report = managed("", Manager::NetworkManager);
    assert_found(&report, Doubt, "network-manager.nm", &["unmanaged-devices=interface-name:eth0"]);
    let nobody =
        judged(|report| network_manager::judge(&config("", "").agent.routers, &[eth0()], &[], report));
    assert_fine(&nobody, "network-manager");
}

#[test]
fn the_clock_matters_where_signatures_are_believed_by_it() {
    let key = secret(&"k".repeat(32));
    let signed = format!("auth = {{ hmac = {{ keys = {{ 1 = \"file:{}\" }} }} }}", key.path().display());
    let of = |lines: &str, synchronized| {
        judged(|report| clock::judge(&config(lines, "").agent.routers, synchronized, report))
    };
    assert_found(&of(&signed, Ok(false)), Doubt, "clock", &["set-ntp"]);
    assert_fine(&of(&signed, Ok(true)), "clock");
    assert_eq!(of("", Ok(false)), Report::default());
    let unseen = of(&signed, Err("no tool".to_owned()));
    assert_eq!((unseen.findings.len(), unseen.unseen.len()), (0, 1));
}
