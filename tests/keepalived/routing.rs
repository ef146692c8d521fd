//! Routes, rules and what is static: what reaches the agent of what is written.

use crate::spoken::{config, instance, options, said};
use locum::agent::route::{Congestion, Realms, RouteOption};
use locum::config::keepalived::{Options, parse};
use locum::health::OnFail;
use std::path::Path;

#[test]
fn routes_rules_and_the_virtual_mac_address_reach_the_agent() {
    let config = config(&instance(
        "use_vmac mac0\n virtual_routes {\n 192.0.2.0/24 dev mac0 src 10.0.0.100 table local mtu lock 1400\n default via 10.0.0.254 or 10.0.0.253\n \
         10.1.2.3/16 nexthop via 10.0.0.8 weight 2 nexthop via 10.0.0.9\n }\n \
         virtual_rules {\n from 10.0.0.100 table 100 preference 10\n to 10.0.0.0/8 sport 1-9 ipproto tcp goto 20 preference 11\n l3mdev preference 12\n }",
    ));
    let router = &config.agent.routers[0];
    assert!(router.virtual_mac.own());
    let shown: Vec<_> = router.routes.iter().map(ToString::to_string).collect();
    let wanted = [
        "192.0.2.0/24 dev mac0 table 255",
        "default via 10.0.0.254",
        "10.1.0.0/16 via 10.0.0.8 via 10.0.0.9",
    ];
    assert_eq!(shown, wanted);
    assert_eq!(router.routes[0].options[&RouteOption::LockedMtu], 1400);
    assert_eq!(router.routes[2].hops[0].extra_weight, 1);
    let shown: Vec<_> = router.rules.iter().map(ToString::to_string).collect();
    let wanted = [
        "10: from 10.0.0.100/32 lookup 100",
        "11: from all to 10.0.0.0/8 goto 20",
        "12: from all lookup [l3mdev-table]",
    ];
    assert_eq!(shown, wanted);
    assert_eq!((router.rules[1].protocol, router.rules[1].source_ports), (Some(6), Some((1, 9))));
}

#[test]
fn what_is_static_is_held_from_start_to_end_on_the_default_interface() {
    let text = "static_ipaddress {\n 10.0.0.5/24\n 10.1.0.5 dev eth1\n}\n\
                static_routes {\n 10.9.0.0/16 via 10.0.0.254\n}\nstatic_rules {\n from 10.9.0.0/16 table 7\n}\n";
    let fixed = config(&(text.to_owned() + &instance(""))).agent.fixed;
    assert_eq!((fixed.interface.as_str(), fixed.own), ("eth0", true));
    let shown: Vec<_> = fixed.vips.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.5/24", "10.1.0.5/32 on eth1"]);
    assert_eq!((fixed.routes.len(), fixed.rules.len()), (1, 1));
    let other = format!("global_defs {{\n default_interface eth7\n}}\n{text}");
    assert_eq!(config(&(other + &instance(""))).agent.fixed.interface, "eth7");
    let moving = "static_ipaddress {\n 10.0.0.100\n}\n".to_owned() + &instance("");
    assert!(said(&moving).iter().any(|line| line.contains("10.0.0.100 is static, and stands here twice")));
}

#[test]
fn a_track_group_is_in_fault_with_the_interfaces_of_its_static_entries_before_any_weight() {
    let group = "track_group G {\n group {\n web\n }\n}\nstatic_ipaddress {\n 10.1.0.1/24 dev eth1 track_group G\n \
                 10.1.0.2/24 dev eth3\n}\nstatic_routes {\n 10.2.0.0/24 via 10.1.0.9 dev eth2 track_group G\n \
                 10.3.0.0/24 dev eth0 track_group G\n}\nstatic_rules {\n from 10.1.0.0/24 iif eth4 table 7 \
                 preference 9 track_group G\n}\n";
    let own = instance("track_interface {\n eth1 weight -10\n eth5 weight 5\n }");
    let config = config(&format!("{group}{own}"));
    let tracks: Vec<_> = config.agent.routers[0]
        .tracks
        .iter()
        .map(|track| (track.check.0.to_string(), track.on_fail))
        .collect();
    let fault = |name: &str| (format!("interface.{name}"), OnFail::Fault);
    let weight = ("interface.eth5".to_owned(), OnFail::Weight(5));
    assert_eq!(tracks, [fault("eth1"), fault("eth2"), fault("eth4"), weight]);
    let all: Vec<_> = config.agent.checks.iter().filter_map(|check| check.link.clone()).collect();
    assert_eq!(all, ["eth1", "eth5", "eth2", "eth4"]);
}

#[test]
fn a_track_group_that_does_nothing_is_told_of() {
    let of = |text: &str| said(&format!("{text}{}", instance("")));
    for (text, wanted) in [
        ("static_ipaddress {\n 10.1.0.1/24 dev eth1 track_group G\n}\n", "there is no track_group G"),
        (
            "track_group G {\n group { web }\n}\nstatic_routes {\n 10.2.0.0/24 via 10.1.0.9 track_group G\n}\n",
            "no interface is named here",
        ),
        ("track_group G {\n}\n", "a track_group of no instance changes nothing"),
        ("track_group G {\n group { webb }\n}\n", "there is no vrrp_instance webb"),
        (
            "static_ipaddress {\n 10.1.0.1/24 dev eth1 track_group G\n}\ntrack_group G {\n group { web }\n}\n",
            "it does not find a track_group that stands further down",
        ),
    ] {
        assert!(of(text).iter().any(|line| line.contains(wanted)), "{text}: {:#?}", of(text));
    }
    let moving = instance("virtual_routes {\n 10.2.0.0/24 dev eth0 track_group G\n }");
    assert!(said(&moving).iter().any(|line| line.contains("only static entries have a track_group")));
}

#[test]
fn what_a_route_says_besides_its_way_is_set_or_told_of() {
    let of = |line: &str| {
        let text = instance(&format!("virtual_routes {{\n {line}\n }}"));
        let options = Options { lenient: true, ..options() };
        let mut config = parse(&text, Path::new("k.conf"), &options).unwrap().config;
        (said(&text), config.agent.routers.remove(0).routes)
    };
    let (told, routes) =
        of("10.2.0.0/24 via 10.0.0.9 dev eth0 realms cosmos/5 congctl lock bbr features ecn rto_min 5s");
    assert_eq!(told, [""; 0]);
    assert_eq!(routes[0].hops[0].realms, Some(Realms { from: 0, to: 5 }));
    assert_eq!(routes[0].congestion, Some(Congestion { algorithm: "bbr".to_owned(), locked: true }));
    assert_eq!(routes[0].options, [(RouteOption::Ecn, 1), (RouteOption::MinimumTimeout, 5000)].into());
    for (line, wanted) in [
        ("10.2.0.0/24 via 10.0.0.9 dev eth0 vrf red", "this route is not set, for its vrf"),
        ("10.2.0.0/24 via 10.0.0.9 dev eth0 encap mpls 100", "this route is not set, for its encap"),
        ("10.2.0.0/24 via 10.0.0.9 dev eth0 protocol bird", "as one of protocol 112, Locum's own, not bird"),
        ("10.2.0.0/24 via 10.0.0.9 dev eth0 cwnd lock 10", "without the lock of cwnd"),
        ("10.2.0.0/24 via 10.0.0.9 dev eth0 pref high", "pref high means nothing here"),
        ("2001:db8::/32 via fe80::9 dev eth0 pref higher", "pref higher means nothing here"),
        ("10.2.0.0/24 via 10.0.0.9 dev eth0 features red", "features red means nothing here"),
        (
            "10.2.0.0/24 via 10.0.0.9 dev eth0 realms 70000",
            "there is no realm 70000 in /etc/iproute2/rt_realms",
        ),
        ("2001:db8::/32 via fe80::9 dev eth0 realms 5", "only IPv4 has realms"),
        ("2001:db8::/32 via fe80::9 dev eth0 expires 60", "without expires"),
    ] {
        let (told, _) = of(line);
        assert!(told.iter().any(|said| said.contains(wanted)), "{line}: {told:#?}");
    }
    let rule = |line: &str| said(&instance(&format!("virtual_rules {{\n {line} preference 9\n }}")));
    for (line, wanted) in [
        ("from 10.2.0.0/24 table 5 tunnel-id x", "x is no value of tunnel-id"),
        ("from 10.2.0.0/24 table 5 l3mdev", "this rule does several things"),
        ("from 10.2.0.0/24 table 5 protocol 99", "the kernel has this rule as one of protocol 112"),
    ] {
        assert!(rule(line).iter().any(|said| said.contains(wanted)), "{line}: {:#?}", rule(line));
    }
    let (told, _) = of("10.2.0.0/24 via 10.0.0.9 dev eth0 protocol 18");
    assert_eq!(told, [""; 0], "it is keepalived's own");
}
