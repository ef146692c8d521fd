//! What the agent holds of an instance's addresses, and where.

use crate::spoken::{config, instance, options, said};
use locum::config::keepalived::{Options, parse};
use locum::vrrp::{Family, Particulars, Preferred, Vip};
use std::path::Path;
use std::time::Duration;

#[test]
fn an_instance_without_addresses_elects_where_keepalived_does() {
    let leniently = |lines: &str| {
        let text = format!("vrrp_instance a {{\n interface eth0\n virtual_router_id 1\n{lines}\n}}\n");
        let options = Options { lenient: true, ..options() };
        let loaded = parse(&text, Path::new("k.conf"), &options).unwrap_or_else(|wrong| panic!("{wrong}"));
        loaded.config.agent.routers
    };
    for lines in ["", "virtual_ipaddress {\n}", "virtual_ipaddress {\n web.example\n}"] {
        assert_eq!(leniently(lines)[0].families(), [Family::Ipv4], "{lines}");
    }
    let excluded = leniently("virtual_ipaddress_excluded {\n 10.0.0.100/24\n 2001:db8::1/64\n}");
    let held = excluded[0].holding(Family::Ipv4, "eth0".to_owned()).vips;
    assert_eq!(held.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.100/24", "2001:db8::1/64"]);
    // There it ends with "at least one is required".
    for lines in ["version 3", "strict_mode on", "unicast_peer {\n fe80::2\n}"] {
        assert!(leniently(lines).is_empty(), "{lines}");
    }
}

#[test]
fn one_address_of_two_can_be_on_an_interface_with_the_virtual_mac_address() {
    let places = |lines: &str| {
        let router = config(&instance(lines)).agent.routers.remove(0);
        let held = router.holding(Family::Ipv4, "eth0".to_owned());
        let place = |vip: &Vip| vip.dev.clone().unwrap_or_default();
        let vmacs: Vec<_> = held.vmacs().map(|vmac| format!("{} on {}", vmac.name, vmac.base)).collect();
        (held.vips.iter().map(place).collect::<Vec<_>>().join(" "), vmacs.join(", "))
    };
    let held = |lines: &str, places_: &str, vmacs: &str| {
        let lines = lines.replace("ALSO {", "virtual_ipaddress_excluded {\n");
        assert_eq!(places(&lines), (places_.to_owned(), vmacs.to_owned()), "{lines}");
    };
    held("ALSO { 10.1.0.1 use_vmac\n 10.1.0.2\n }", " vrrp.51 ", "vrrp.51 on eth0");
    held("ALSO { 10.1.0.1 dev eth1 use_vmac\n 10.1.0.2 dev eth1\n }", " vrrp.51.1 eth1", "vrrp.51.1 on eth1");
    held("use_vmac web\n ALSO { 10.1.0.1 use_vmac\n }", " ", "web on eth0");
    let both = "web on eth0, vrrp.51.1 on eth1";
    held("use_vmac web\n ALSO { 10.1.0.1 dev eth1 use_vmac\n 10.1.0.2 dev eth1\n }", " vrrp.51.1 eth1", both);
    held("use_vmac web\n use_vmac_addr\n ALSO { 10.1.0.1 dev eth1\n }", " vrrp.51.1", both);
}

#[test]
fn what_is_said_of_an_address_reaches_the_agent() {
    let more = |line: &str| {
        let lines = format!("virtual_ipaddress_excluded {{\n {line}\n }}");
        let vip = config(&instance(&lines)).agent.routers[0].excluded[0].clone();
        (vip.prefix, vip.more)
    };
    let said = |line: &str| said(&instance(&format!("virtual_ipaddress_excluded {{\n {line}\n }}")));
    let four = |line: &str| more(line).1.broadcast.map(|address| address.to_string()).unwrap_or_default();
    assert_eq!(four("10.1.0.9/24 brd +"), "10.1.0.255");
    assert_eq!(four("10.1.0.9/24 brd -"), "10.1.0.0");
    assert_eq!(four("10.1.0.9 brd 10.1.0.255"), "10.1.0.255");
    assert_eq!(four("10.1.0.9 brd +"), "");
    let (prefix, point) = more("10.1.0.9 peer 10.2.0.0/16");
    assert_eq!((prefix, point.peer), (16, Some("10.2.0.0".parse().unwrap())));
    let words = more("2001:db8::9/64 home -nodad mngtmpaddr noprefixroute no_track preferred_lft 5").1;
    assert_eq!(words.preferred, Some(Preferred::For(Duration::from_secs(5))));
    assert_eq!(words.flags.len(), 5);
    assert_eq!(more("2001:db8::9 preferred_lft forever").1.preferred, Some(Preferred::Forever));
    assert_eq!(more("10.1.0.9 home -nodad mngtmpaddr preferred_lft 9").1, Particulars::default());
    for (line, why) in [
        ("2001:db8::9 preferred_lft 5", "has a lease that is renewed"),
        ("2001:db8::9 mngtmpaddr", "the kernel takes mngtmpaddr of an address with /64 alone"),
        ("10.1.0.9 autojoin", "the kernel takes autojoin of a multicast address alone"),
        ("10.1.0.9 preferred_lft 5", "the kernel prefers all IPv4 addresses"),
        ("10.1.0.9 peer 2001:db8::1", "are of two families"),
        ("2001:db8::9 brd 10.0.0.1", "only IPv4 addresses have a broadcast address"),
    ] {
        assert!(said(line).iter().any(|told| told.contains(why)), "{line}: {:#?}", said(line));
    }
    for line in ["10.1.0.9/24 brd + noprefixroute no_track", "2001:db8::9/64 home -nodad preferred_lft 5"] {
        assert_eq!(said(line), [""; 0]);
    }
}

#[test]
fn the_interface_of_the_virtual_mac_address_is_made_as_is_written() {
    let made = |words: &str| {
        let router = config(&instance(&format!("use_vmac {words}"))).agent.routers.remove(0);
        let vmac = router.holding(Family::Ipv4, "eth0".to_owned()).vmac.unwrap();
        (vmac.name, vmac.mac, vmac.group)
    };
    let rfc = [0, 0, 0x5e, 0, 1, 51];
    let own = [2, 0, 0, 0, 0, 1];
    assert_eq!(made(""), ("vrrp.51".to_owned(), rfc, 0));
    assert_eq!(made("web"), ("web".to_owned(), rfc, 0));
    assert_eq!(made("name web netlink_notify_msg group 5"), ("web".to_owned(), rfc, 5));
    assert_eq!(made("2:0:0:0:0:1 group default"), ("vrrp.51".to_owned(), own, 0));
    assert_eq!(made("web 02:00:00:00:00"), ("web".to_owned(), [2, 0, 0, 0, 0, 51], 0));
    // What keepalived leaves out is left out, and told.
    for (words, why) in [
        ("web db", "db is left out"),
        ("web 01:00:5e:00:00:01", "is a multicast address"),
        ("web 00:00:5e:00:01", "is one of the RFC"),
        ("web 02:00", "is no MAC address"),
        ("web group nosuch", "there is no group nosuch"),
    ] {
        assert_eq!(made(words), ("web".to_owned(), rfc, 0), "{words}");
        let said = said(&instance(&format!("use_vmac {words}")));
        assert!(said.iter().any(|line| line.contains(why)), "{words}: {said:#?}");
    }
    let other =
        instance("use_vmac web").replace("instance web", "instance db").replace("10.0.0.100", "10.0.0.9");
    let text = instance("use_vmac web") + &other.replace("router_id 51", "router_id 52");
    let routers = config(&text).agent.routers;
    let names =
        routers.iter().map(|router| router.holding(Family::Ipv4, "eth0".to_owned()).vmac.unwrap().name);
    assert_eq!(names.collect::<Vec<_>>(), ["web", "vrrp.52"]);
}
