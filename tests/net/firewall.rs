//! Refused addresses: held, announced and found by neighbours, but deaf and mute.

use crate::namespace::{Namespace, Reports, eventually};
use locum::agent::{Holding, Vmac};
use locum::net::address::{Holder, Means, Order, Report};
use locum::vrrp::Vip;
use std::net::IpAddr;
use std::process::Command;

const OURS: u32 = 1;

fn start(namespace: &Namespace) -> (Holder, Reports<Report>) {
    let (sender, reports) = Reports::channel();
    // The test may be over: then nobody listens.
    let report = move |report| drop(sender.send(report));
    (namespace.run(|| Holder::start(Means::default(), report).expect("a holder")), reports)
}

fn hold(owner: u32, addresses: &[&str], refuse: bool) -> Order {
    let vip = |text: &&str| {
        let address: IpAddr = text.parse().expect("an address");
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Vip::new(address, prefix)
    };
    let vips = addresses.iter().map(vip).collect();
    Order::Hold {
        until: None,
        owner,
        holding: Holding { interface: "eth0".to_owned(), refuse, vips, ..Holding::default() },
    }
}

fn held(owner: u32) -> Report {
    Report::Held { owner, result: Ok(()) }
}

fn released(owner: u32) -> Report {
    Report::Released { owner, result: Ok(()) }
}

fn pings(namespace: &Namespace, arguments: &[&str]) -> bool {
    let ping = || Command::new("ping").args(["-c1", "-W1"]).args(arguments).output().expect("ping");
    namespace.run(ping).status.success()
}

/// One lost on a busy host is no silence.
fn answers(namespace: &Namespace, address: &str) -> bool {
    (0..5).any(|_| pings(namespace, &[address]))
}

/// What `nft` sees; empty without a table.
fn ruleset(namespace: &Namespace) -> String {
    let nft = || Command::new("nft").args(["list", "ruleset"]).output().expect("nft").stdout;
    String::from_utf8(namespace.run(nft)).expect("text")
}

#[test]
fn refused_addresses_hear_and_say_nothing_but_are_found_by_neighbours() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let addresses = ["10.9.0.100", "2001:db8:9::100"];
    holder.order(hold(OURS, &addresses, true));
    assert_eq!(reports.next(), held(OURS));
    for address in addresses {
        assert!(!pings(&right, &[address]), "{address} answered");
        let entry = right.show(&["neigh", "show", "to", address]);
        assert!(entry.iter().any(|entry| entry["lladdr"].is_string()), "{address}: {entry:?}");
    }
    assert!(!pings(&left, &["-I", "10.9.0.100", "10.9.0.2"]), "spoke from a refused address");
    // The host's own addresses are as before.
    assert!(answers(&right, "10.9.0.1") && answers(&right, "2001:db8:9::1"));
    assert!(ruleset(&left).contains("icmpv6 type 135-136 accept"), "{}", ruleset(&left));

    // The address owner accepts.
    holder.order(hold(OURS, &addresses, false));
    assert_eq!(reports.next(), held(OURS));
    assert!(answers(&right, "10.9.0.100") && answers(&right, "2001:db8:9::100"));
    assert_eq!(ruleset(&left), "");
}

#[test]
fn each_owner_adds_and_takes_away_its_own_addresses_only() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, &["10.9.0.100", "10.9.0.101"], true));
    holder.order(hold(2, &["10.9.0.102"], true));
    holder.order(hold(3, &["10.9.0.103"], false));
    for owner in [OURS, 2, 3] {
        assert_eq!(reports.next(), held(owner));
    }
    holder.order(hold(OURS, &["10.9.0.101"], true));
    assert_eq!(reports.next(), held(OURS));
    let rules = ruleset(&left);
    assert!(rules.contains("10.9.0.101") && rules.contains("10.9.0.102"), "{rules}");
    assert!(!rules.contains("10.9.0.100") && !rules.contains("10.9.0.103"), "{rules}");
    assert!(answers(&right, "10.9.0.103"));
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released(OURS));
    assert!(!ruleset(&left).contains("10.9.0.101"));
    assert!(!pings(&right, &["10.9.0.102"]));
    holder.order(Order::Release { owner: 2 });
    assert_eq!(reports.next(), released(2));
    assert_eq!(ruleset(&left), "");
}

#[test]
fn nothing_is_refused_any_more_after_a_crash_and_nobody_elses_rules_are_touched() {
    let (left, right) = Namespace::pair();
    left.run(|| {
        let table = Command::new("nft").args(["add", "table", "inet", "others"]).status();
        assert!(table.expect("nft").success());
        // As a Locum on a kernel without owners would have left it.
        for table in ["locum", "locum_drain"] {
            let left_behind = Command::new("nft").args(["add", "table", "inet", table]).status();
            assert!(left_behind.expect("nft").success());
        }
    });
    let (crashed, reports) = start(&left);
    crashed.order(hold(OURS, &["10.9.0.100"], true));
    assert_eq!(reports.next(), held(OURS));
    assert!(!pings(&right, &["10.9.0.100"]));
    drop(crashed);
    eventually("the kernel has removed the table", || !ruleset(&left).contains("10.9.0.100"));
    assert!(answers(&right, "10.9.0.100"));
    let (holder, _reports) = start(&left);
    holder.order(Order::Sweep);
    assert!(holder.finish(crate::namespace::PATIENCE));
    assert_eq!(ruleset(&left), "table inet others {\n}\n");
}

#[test]
fn thousands_of_addresses_are_refused_at_once_also_on_a_virtual_interface() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left);
    let texts: Vec<String> = (0..2500).map(|n| format!("10.6.{}.{}", n / 250, n % 250 + 1)).collect();
    let addresses: Vec<&str> = texts.iter().map(String::as_str).chain(["10.9.0.100"]).collect();
    let Order::Hold { owner, holding, .. } = hold(OURS, &addresses, true) else { unreachable!("a hold") };
    let (name, base) = ("vrrp.51".to_owned(), "eth0".to_owned());
    let vmac = Vmac { name, base, mac: [0, 0, 0x5e, 0, 1, 51], group: 0 };
    holder.order(Order::Hold { until: None, owner, holding: Holding { vmac: Some(vmac), ..holding } });
    assert_eq!(reports.next(), held(OURS));
    assert_eq!(left.has("vrrp.51").len(), 2501);
    assert_eq!(ruleset(&left).matches("10.6.").count(), 2500);
    assert!(!pings(&right, &["10.9.0.100"]));
    let entry = right.show(&["neigh", "show", "to", "10.9.0.100"]);
    assert_eq!(entry[0]["lladdr"], "00:00:5e:00:01:33");
}
