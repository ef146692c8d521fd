//! Held routes and rules: there while held, put back when somebody takes them, gone when released.

use crate::namespace::{Namespace, Reports};
use locum::agent::route::{Congestion, Preference, Realms};
use locum::agent::{Holding, Hop, Network, Route, RouteKind, RouteOption, Rule, RuleAction};
use locum::net::address::{Holder, Means, Order, Report};
use locum::vrrp::{Family, Vip};

const OURS: u32 = 1;

fn start(namespace: &Namespace) -> (Holder, Reports<Report>) {
    let (sender, reports) = Reports::channel();
    // The test may be over: then nobody listens.
    let report = move |report| drop(sender.send(report));
    (namespace.run(|| Holder::start(Means::default(), report).expect("a holder")), reports)
}

fn network(text: &str) -> Network {
    let (address, prefix) = text.split_once('/').expect("address/prefix");
    let (address, prefix) = (address.parse().expect("an address"), prefix.parse().expect("a prefix"));
    Network { address, prefix }
}

fn via(address: &str) -> Hop {
    Hop { via: Some(address.parse().expect("an address")), ..Hop::default() }
}

fn dev(name: &str) -> Hop {
    Hop { dev: Some(name.to_owned()), ..Hop::default() }
}

fn route(to: &str, hops: Vec<Hop>) -> Route {
    let destination = network(to);
    Route { hops, ..Route::new(Family::of(destination.address), Some(destination)) }
}

fn hold(owner: u32, routes: Vec<Route>, rules: Vec<Rule>) -> Order {
    let vips = vec![Vip::new("10.9.0.100".parse().expect("an address"), 32)];
    Order::Hold {
        until: None,
        owner,
        holding: Holding { interface: "eth0".to_owned(), vips, routes, rules, ..Holding::default() },
    }
}

fn held() -> Report {
    Report::Held { owner: OURS, result: Ok(()) }
}

fn released() -> Report {
    Report::Released { owner: OURS, result: Ok(()) }
}

/// The lines of `ip`, each with single blanks.
fn ip(namespace: &Namespace, arguments: &str) -> Vec<String> {
    let output = namespace.run(|| {
        let ip = std::process::Command::new("ip").args(arguments.split_whitespace()).output();
        ip.expect("iproute2").stdout
    });
    let text = String::from_utf8_lossy(&output).into_owned();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// What the kernel has of Locum's.
fn ours(namespace: &Namespace) -> Vec<String> {
    let all = ["-4 route show table all", "-6 route show table all", "-4 rule show", "-6 rule show"];
    let lines = all.iter().flat_map(|arguments| ip(namespace, &format!("-d {arguments}")));
    lines.filter(|line| line.contains("proto 112")).collect()
}

fn has(namespace: &Namespace, words: &str) {
    let ours = ours(namespace);
    assert!(
        ours.iter().any(|line| words.split_whitespace().all(|w| line.split(' ').any(|l| l == w))),
        "{words}: {ours:#?}"
    );
}

fn every_kind() -> (Vec<Route>, Vec<Rule>) {
    let routes = vec![
        Route {
            source: Some("10.9.0.100".parse().expect("an address")),
            metric: Some(7),
            options: [(RouteOption::LockedMtu, 1300), (RouteOption::AdvertisedSegment, 1200)].into(),
            ..route("192.0.2.0/24", vec![via("10.9.0.2")])
        },
        Route { table: 1000, hops: vec![via("10.9.0.2")], ..Route::new(Family::Ipv4, None) },
        Route {
            hops: vec![Hop { onlink: true, dev: Some("eth0".to_owned()), ..via("172.16.0.1") }],
            ..route("198.51.100.0/25", vec![])
        },
        route("198.51.100.128/25", vec![Hop { extra_weight: 4, ..via("10.9.0.2") }, via("10.9.0.3")]),
        route("203.0.113.0/24", vec![dev("eth0")]),
        Route { kind: RouteKind::Blackhole, ..route("100.64.0.0/10", vec![]) },
        Route { kind: RouteKind::Prohibit, ..route("100.128.0.0/10", vec![]) },
        Route { kind: RouteKind::Throw, table: 5, ..route("100.192.0.0/10", vec![]) },
        Route { kind: RouteKind::Local, table: 255, ..route("10.77.0.0/16", vec![dev("lo")]) },
        Route { kind: RouteKind::Unreachable, ..route("2001:db8:dead::/48", vec![]) },
        Route {
            source: Some("2001:db8:9::1".parse().expect("an address")),
            ..route("2001:db8:a::/48", vec![via("2001:db8:9::2")])
        },
        route("2001:db8:b::/48", vec![via("2001:db8:9::2"), via("2001:db8:9::3")]),
        Route {
            hops: vec![Hop { dev: Some("eth0".to_owned()), ..via("fe80::2") }],
            table: 70_000,
            metric: Some(5),
            ..Route::new(Family::Ipv6, None)
        },
        Route {
            options: [(RouteOption::LockedMtu, 1400), (RouteOption::Ecn, 1), (RouteOption::QuickAck, 1)]
                .into(),
            congestion: Some(Congestion { algorithm: "reno".to_owned(), locked: true }),
            ..route("192.0.3.0/24", vec![Hop { realms: Some(Realms { from: 3, to: 4 }), ..via("10.9.0.2") }])
        },
        route(
            "192.0.4.0/24",
            vec![Hop { realms: Some(Realms { from: 0, to: 5 }), ..via("10.9.0.2") }, via("10.9.0.3")],
        ),
        Route { preference: Some(Preference::High), ..route("2001:db8:c::/48", vec![via("2001:db8:9::2")]) },
        route("192.0.0.0/24", vec![Hop { dev: Some("eth0".to_owned()), ..via("fe80::2") }]),
    ];
    let rule = |family, action| Rule::new(family, action);
    let rules = vec![
        Rule { from: Some(network("10.9.0.100/32")), ..rule(Family::Ipv4, RuleAction::Lookup(1000)) },
        Rule {
            to: Some(network("192.0.2.0/24")),
            iif: Some("eth0".to_owned()),
            priority: Some(50),
            ..rule(Family::Ipv4, RuleAction::Lookup(70_000))
        },
        Rule {
            mark: Some((1, 0xff)),
            tos: 0x10,
            priority: Some(60),
            inverted: true,
            ..rule(Family::Ipv4, RuleAction::Prohibit)
        },
        Rule {
            protocol: Some(6),
            destination_ports: Some((80, 443)),
            users: Some((5, 9)),
            oif: Some("eth0".to_owned()),
            priority: Some(61),
            suppress_prefix: Some(0),
            ..rule(Family::Ipv4, RuleAction::Lookup(254))
        },
        Rule { priority: Some(40), ..rule(Family::Ipv4, RuleAction::Goto(60)) },
        Rule {
            tunnel: Some(5),
            realms: Some(Realms { from: 3, to: 4 }),
            priority: Some(41),
            ..rule(Family::Ipv4, RuleAction::Lookup(1000))
        },
        Rule { priority: Some(42), ..rule(Family::Ipv4, RuleAction::Vrf) },
        Rule {
            from: Some(network("2001:db8:9::100/128")),
            priority: Some(70),
            ..rule(Family::Ipv6, RuleAction::Lookup(70_000))
        },
        Rule { from: Some(network("2001:db8:f::/48")), ..rule(Family::Ipv6, RuleAction::Blackhole) },
    ];
    (routes, rules)
}

#[test]
fn every_kind_of_route_and_rule_is_there_while_held_and_knows_itself_again() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let (routes, rules) = every_kind();
    let all = routes.len() + rules.len();
    holder.order(hold(OURS, routes.clone(), rules.clone()));
    assert_eq!(reports.next(), held());

    has(&left, "192.0.2.0/24 via 10.9.0.2 src 10.9.0.100 metric 7 1300 lock advmss 1200");
    has(&left, "default via 10.9.0.2 table 1000");
    has(&left, "198.51.100.0/25 via 172.16.0.1 onlink");
    has(&left, "203.0.113.0/24 dev eth0 scope link");
    has(&left, "blackhole 100.64.0.0/10");
    has(&left, "throw 100.192.0.0/10 table 5");
    has(&left, "local 10.77.0.0/16 dev lo table local scope host");
    has(&left, "unreachable 2001:db8:dead::/48 metric 1024");
    has(&left, "default via fe80::2 table 70000 metric 5");
    has(&left, "192.0.0.0/24 via inet6 fe80::2");
    has(&left, "50: to 192.0.2.0/24 iif eth0 lookup 70000");
    has(&left, "60: not from all tos 0x10 fwmark 0x1/0xff prohibit");
    has(&left, "61: oif eth0 uidrange 5-9 ipproto tcp dport 80-443 suppress_prefixlength 0");
    has(&left, "40: goto 60");
    has(&left, "192.0.3.0/24 realms 3/4 lock 1400 features ecn quickack 1 congctl reno");
    has(&left, "2001:db8:c::/48 pref high");
    has(&left, "41: tun_id 5 lookup 1000 realms 3/4");
    has(&left, "42: lookup [l3mdev-table]");
    let ways = ip(&left, "-4 route show 192.0.4.0/24");
    assert!(ways.contains(&"nexthop via 10.9.0.2 realm 5 dev eth0 weight 1".to_owned()), "{ways:#?}");
    has(&left, "from 2001:db8:f::/48 blackhole");
    let before = ours(&left);
    // iproute2 shows the same mark once for each way to several hops of IPv6.
    assert!(before.len() >= all, "{before:#?}");

    // Nothing is to be done for the same again: what is there is recognised in all its parts.
    holder.order(hold(OURS, routes, rules));
    assert_eq!(reports.next(), held());
    holder.order(Order::Check);
    holder.order(Order::Sweep);
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released(), "neither repaired nor swept");
    assert_eq!(ours(&left), Vec::<String>::new());
}

#[test]
fn a_deleted_route_or_rule_is_put_back_by_the_check() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let rule = Rule {
        priority: Some(50),
        from: Some(network("10.9.0.100/32")),
        ..Rule::new(Family::Ipv4, RuleAction::Lookup(100))
    };
    holder.order(hold(OURS, vec![route("192.0.2.0/24", vec![via("10.9.0.2")])], vec![rule]));
    assert_eq!(reports.next(), held());
    left.ip("route del 192.0.2.0/24");
    left.ip("rule del priority 50");
    holder.order(Order::Check);
    let what = "route 192.0.2.0/24 via 10.9.0.2".to_owned();
    assert_eq!(reports.next(), Report::Repaired { owner: OURS, what });
    let what = "rule 50: from 10.9.0.100/32 lookup 100".to_owned();
    assert_eq!(reports.next(), Report::Repaired { owner: OURS, what });
    has(&left, "192.0.2.0/24 via 10.9.0.2");
    has(&left, "50: from 10.9.0.100 lookup 100");
}

#[test]
fn a_route_that_goes_with_its_source_address_comes_back_with_it() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let address = "10.9.0.100".parse().expect("an address");
    let from_vip = Route { source: Some(address), ..route("192.0.2.0/24", vec![via("10.9.0.2")]) };
    holder.order(hold(OURS, vec![from_vip], vec![]));
    assert_eq!(reports.next(), held());
    left.ip("addr del 10.9.0.100/32 dev eth0");
    assert_eq!(ours(&left), Vec::<String>::new());
    holder.order(Order::Gone { interface: "eth0".to_owned(), address });
    assert_eq!(reports.next(), Report::Restored { owner: OURS, address });
    assert!(matches!(reports.next(), Report::Repaired { owner: OURS, .. }));
    has(&left, "192.0.2.0/24 src 10.9.0.100");
}

#[test]
fn a_new_list_changes_only_the_difference_and_shared_entries_stay_until_the_last_owner_goes() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let shared = route("192.0.2.0/24", vec![via("10.9.0.2")]);
    let own = route("198.51.100.0/24", vec![via("10.9.0.2")]);
    let other = Route { options: [(RouteOption::Mtu, 1400)].into(), ..own.clone() };
    holder.order(hold(OURS, vec![shared.clone(), own], vec![]));
    assert_eq!(reports.next(), held());
    holder.order(hold(2, vec![shared.clone()], vec![]));
    assert_eq!(reports.next(), Report::Held { owner: 2, result: Ok(()) });
    holder.order(hold(OURS, vec![shared, other], vec![]));
    assert_eq!(reports.next(), held());
    has(&left, "198.51.100.0/24 mtu 1400");
    assert_eq!(ours(&left).len(), 2);
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    has(&left, "192.0.2.0/24 via 10.9.0.2");
    assert_eq!(ours(&left).len(), 1);
    holder.order(Order::Stop);
    assert_eq!(reports.next(), Report::Released { owner: 2, result: Ok(()) });
    assert_eq!(ours(&left), Vec::<String>::new());
}

#[test]
fn what_is_somebody_elses_is_never_touched_and_ours_goes_before_it() {
    let (left, _right) = Namespace::pair();
    left.ip("route add default via 10.9.0.3");
    left.ip("-6 route add 2001:db8:a::/48 via 2001:db8:9::2");
    left.ip("rule add from 10.9.0.100 table 100 priority 50");
    let lines =
        |namespace: &Namespace| [ip(namespace, "route"), ip(namespace, "-6 route"), ip(namespace, "rule")];
    let before = lines(&left);
    let (holder, reports) = start(&left);
    let rule = Rule {
        priority: Some(50),
        from: Some(network("10.9.0.100/32")),
        ..Rule::new(Family::Ipv4, RuleAction::Lookup(100))
    };
    let default = Route { hops: vec![via("10.9.0.2")], ..Route::new(Family::Ipv4, None) };
    holder.order(hold(OURS, vec![default, route("2001:db8:a::/48", vec![via("2001:db8:9::2")])], vec![rule]));
    assert_eq!(reports.next(), held());
    let chosen = ip(&left, "route get 192.0.2.1");
    assert!(chosen[0].contains("via 10.9.0.2"), "{chosen:?}");
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    holder.order(Order::Sweep);
    assert!(holder.finish(crate::namespace::PATIENCE));
    assert_eq!(lines(&left), before);
}

#[test]
fn leftover_routes_and_rules_of_a_crash_are_swept_and_wanted_ones_taken_over() {
    let (left, _right) = Namespace::pair();
    let (crashed, reports) = start(&left);
    let kept = route("192.0.2.0/24", vec![via("10.9.0.2")]);
    let rule = Rule { priority: Some(50), ..Rule::new(Family::Ipv6, RuleAction::Lookup(100)) };
    crashed.order(hold(
        OURS,
        vec![kept.clone(), route("2001:db8:a::/48", vec![via("2001:db8:9::2")])],
        vec![rule],
    ));
    assert_eq!(reports.next(), held());
    drop(crashed);
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vec![kept], vec![]));
    assert_eq!(reports.next(), held());
    holder.order(Order::Sweep);
    assert_eq!(reports.next(), Report::Cleared { what: "rule 50".to_owned() });
    assert_eq!(reports.next(), Report::Cleared { what: "route 2001:db8:a::/48".to_owned() });
    assert_eq!(ours(&left).len(), 1);
}

#[test]
fn a_route_that_cannot_be_is_said_in_one_line_and_the_rest_is_held() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let nowhere = route("192.0.2.0/24", vec![via("172.16.0.1")]);
    let good = route("198.51.100.0/24", vec![via("10.9.0.2")]);
    holder.order(hold(OURS, vec![nowhere, good.clone()], vec![]));
    let Report::Held { result: Err(reason), .. } = reports.next() else { panic!("no way there") };
    assert!(reason.starts_with("route 192.0.2.0/24 via 172.16.0.1: "), "{reason}");
    assert!(reason.contains("gateway") || reason.contains("unreachable"), "{reason}");
    has(&left, "198.51.100.0/24 via 10.9.0.2");
    holder.order(hold(OURS, vec![good, route("192.0.2.0/24", vec![dev("eth9")])], vec![]));
    let reason = "route 192.0.2.0/24 dev eth9: there is no interface eth9".to_owned();
    assert_eq!(reports.next(), Report::Held { owner: OURS, result: Err(reason) });
}
