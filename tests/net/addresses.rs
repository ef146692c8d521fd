//! Held addresses: what is ordered is true in the kernel, stays true, and is gone when released.

use crate::namespace::{Namespace, Reports, eventually};
use locum::agent::Holding;
use locum::net::address::{Holder, Means, Order, Report};
use locum::vrrp::Vip;
use serde_json::Value;

pub const OURS: u32 = 1;

pub fn start(namespace: &Namespace) -> (Holder, Reports<Report>) {
    start_with(namespace, Means::default())
}

fn start_with(namespace: &Namespace, means: Means) -> (Holder, Reports<Report>) {
    let (sender, reports) = Reports::channel();
    // The test may be over: then nobody listens.
    let report = move |report| drop(sender.send(report));
    (namespace.run(|| Holder::start(means, report).expect("a holder")), reports)
}

pub fn vip(text: &str) -> Vip {
    let (address, prefix) = text.split_once('/').expect("address/prefix");
    let (address, prefix) = (address.parse().expect("an address"), prefix.parse().expect("a prefix"));
    Vip::new(address, prefix)
}

pub fn hold(owner: u32, vips: Vec<Vip>) -> Order {
    Order::Hold {
        until: None,
        owner,
        holding: Holding { interface: "eth0".to_owned(), vips, ..Holding::default() },
    }
}

pub fn held() -> Report {
    Report::Held { owner: OURS, result: Ok(()) }
}

pub fn released() -> Report {
    Report::Released { owner: OURS, result: Ok(()) }
}

pub fn find(namespace: &Namespace, interface: &str, address: &str) -> Option<Value> {
    namespace.addresses(interface).into_iter().find(|info| info["local"] == address)
}

#[test]
fn held_addresses_are_there_as_ordered_and_gone_when_released() {
    let (left, right) = Namespace::pair();
    left.ip("link add eth1 type veth peer name eth2");
    left.ip("link set eth1 up");
    let before = left.has("eth0");
    let (holder, reports) = start(&left);
    holder.order(hold(
        OURS,
        vec![
            vip("10.9.0.100/32"),
            Vip { label: Some("eth0:web".to_owned()), scope: 253, ..vip("10.5.0.101/24") },
            vip("2001:db8:9::100/128"),
            vip("2001:db8:9::101/64"),
            Vip { dev: Some("eth1".to_owned()), ..vip("10.8.0.100/24") },
        ],
    ));
    assert_eq!(reports.next(), held());

    let plain = find(&left, "eth0", "10.9.0.100").expect("there");
    assert_eq!(
        (&plain["prefixlen"], &plain["label"], &plain["scope"]),
        (&32.into(), &"eth0".into(), &"global".into())
    );
    let labelled = find(&left, "eth0", "10.5.0.101").expect("there");
    assert_eq!((&labelled["label"], &labelled["scope"]), (&"eth0:web".into(), &"link".into()));
    let host = find(&left, "eth0", "2001:db8:9::100").expect("there");
    assert_eq!(
        (&host["nodad"], &host["noprefixroute"], &host["tentative"]),
        (&true.into(), &true.into(), &Value::Null)
    );
    assert_eq!(host["preferred_life_time"], 0, "never a source of the host's own connections");
    assert!(find(&left, "eth0", "2001:db8:9::101").expect("there")["noprefixroute"].is_null());
    assert_eq!(left.has("eth1").first().map(String::as_str), Some("10.8.0.100/24"));
    // Usable at once: the other host reaches both families.
    right.run(|| {
        for address in ["10.9.0.100", "2001:db8:9::100"] {
            let ping =
                std::process::Command::new("ping").args(["-c1", "-W5", address]).output().expect("ping");
            assert!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
        }
    });

    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(left.has("eth0"), before);
    assert_eq!(find(&left, "eth1", "10.8.0.100"), None);
}

#[test]
fn a_new_list_removes_and_adds_only_the_difference() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vec![vip("10.9.0.100/32"), vip("10.9.0.101/32"), vip("2001:db8:9::101/128")]));
    assert_eq!(reports.next(), held());
    let relabelled = Vip { label: Some("eth0:b".to_owned()), ..vip("10.9.0.102/32") };
    let new = vec![relabelled, vip("10.9.0.100/32"), vip("2001:db8:9::101/64")];
    holder.order(hold(OURS, new));
    assert_eq!(reports.next(), held());
    let has: Vec<String> = left.has("eth0").into_iter().filter(|address| address.contains(".10")).collect();
    // In the kernel's order: put there again, the first would have come last.
    assert_eq!(has, ["10.9.0.100/32", "10.9.0.102/32"]);
    assert_eq!(find(&left, "eth0", "2001:db8:9::101").expect("there")["prefixlen"], 64);

    holder.order(hold(OURS, vec![vip("10.9.0.100/32"), vip("10.9.0.102/32")]));
    assert_eq!(reports.next(), held());
    assert_eq!(
        find(&left, "eth0", "10.9.0.102").expect("there")["label"],
        "eth0",
        "another label is a difference"
    );
}

#[test]
fn addresses_that_were_there_before_are_held_and_never_removed() {
    let (left, _right) = Namespace::pair();
    left.ip("addr add 10.9.0.100/32 dev eth0");
    left.ip("addr add 2001:db8:9::100/128 dev eth0 nodad");
    let before = left.addresses("eth0");
    let (holder, reports) = start(&left);
    // The last one has another prefix on the interface: the address owner's own.
    holder.order(hold(OURS, vec![vip("10.9.0.100/32"), vip("2001:db8:9::100/128"), vip("10.9.0.1/32")]));
    assert_eq!(reports.next(), held());
    assert_eq!(left.addresses("eth0"), before);
    holder.order(Order::Release { owner: OURS });
    holder.order(Order::Sweep);
    holder.order(Order::Stop);
    assert_eq!(reports.next(), released());
    assert!(holder.finish(crate::namespace::PATIENCE));
    assert_eq!(left.addresses("eth0"), before);
}

#[test]
fn what_the_kernel_takes_along_with_our_address_is_put_back() {
    let (left, _right) = Namespace::pair();
    left.run(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "0").expect("sysctl"));
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vec![vip("10.7.0.1/24"), vip("10.7.0.2/24")]));
    assert_eq!(reports.next(), held());
    left.ip("addr add 10.7.0.9/24 dev eth0 label eth0:own valid_lft 5000 preferred_lft 4000");
    assert_eq!(find(&left, "eth0", "10.7.0.9").expect("there")["secondary"], true);
    holder.order(hold(OURS, vec![vip("10.7.0.2/24")]));
    assert_eq!(reports.next(), held());
    assert!(find(&left, "eth0", "10.7.0.2").is_some(), "wanted, and back");
    let foreign = find(&left, "eth0", "10.7.0.9").expect("not ours, and back");
    assert_eq!(foreign["label"], "eth0:own");
    assert!(foreign["valid_life_time"].as_u64() <= Some(5000), "{foreign}");
    assert_eq!(find(&left, "eth0", "10.7.0.1"), None);
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(find(&left, "eth0", "10.7.0.2"), None, "put back as ours");
    assert!(find(&left, "eth0", "10.7.0.9").is_some(), "put back as not ours");
}

#[test]
fn a_deleted_address_is_restored_when_told_and_by_the_check() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vec![vip("10.9.0.100/32"), vip("2001:db8:9::100/128")]));
    assert_eq!(reports.next(), held());

    left.ip("addr del 10.9.0.100/32 dev eth0");
    let address = "10.9.0.100".parse().expect("an address");
    holder.order(Order::Gone { interface: "eth0".to_owned(), address });
    assert_eq!(reports.next(), Report::Restored { owner: OURS, address });
    assert!(find(&left, "eth0", "10.9.0.100").is_some());

    left.ip("addr flush dev eth0");
    holder.order(Order::Check);
    let mut restored = [reports.next(), reports.next()].map(|report| match report {
        Report::Restored { address, .. } => address.to_string(),
        other => panic!("{other:?}"),
    });
    restored.sort();
    assert_eq!(restored, ["10.9.0.100", "2001:db8:9::100"]);

    // What is not wanted stays away, and what is there needs no repair.
    holder.order(Order::Gone { interface: "eth0".to_owned(), address: "10.9.0.1".parse().expect("one") });
    holder.order(Order::Check);
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(left.has("eth0"), Vec::<String>::new());
}

#[test]
fn a_thousand_addresses_come_and_go_together() {
    let (left, _right) = Namespace::pair();
    let before = left.has("eth0").len();
    let (holder, reports) = start(&left);
    let many: Vec<Vip> = (0..1000).map(|n| vip(&format!("10.6.{}.{}/32", n / 250, n % 250 + 1))).collect();
    holder.order(hold(OURS, many.clone()));
    assert_eq!(reports.next(), held());
    assert_eq!(left.has("eth0").len(), before + 1000);
    holder.order(hold(OURS, many));
    assert_eq!(reports.next(), held());
    holder.order(Order::Stop);
    assert_eq!(reports.next(), released());
    assert_eq!(left.has("eth0").len(), before);
}

#[test]
fn of_many_the_one_that_the_kernel_refuses_is_named_and_all_others_are_there_in_their_order() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    // Neither the first nor the last of what is asked for together; the kernel knows no such prefix.
    let prefix = |n| if n == 100 { 33 } else { 32 };
    holder.order(hold(OURS, (1..=200).map(|n| vip(&format!("10.6.0.{n}/{}", prefix(n)))).collect()));
    let Report::Held { result: Err(reason), .. } = reports.next() else { panic!("one cannot be held") };
    assert!(reason.starts_with("10.6.0.100/33 on eth0: "), "{reason}");
    let there =
        left.addresses("eth0").into_iter().filter_map(|info| Some(info["local"].as_str()?.to_owned()));
    let there: Vec<String> = there.filter(|address| address.starts_with("10.6.0.")).collect();
    let others: Vec<String> = (1..=200).filter(|n| *n != 100).map(|n| format!("10.6.0.{n}")).collect();
    assert_eq!(there, others);
}

#[test]
fn an_address_that_two_owners_want_stays_until_both_have_released_it() {
    let (left, _right) = Namespace::pair();
    let (holder, reports) = start(&left);
    for owner in [OURS, 2] {
        holder.order(hold(owner, vec![vip("10.9.0.100/32")]));
        assert_eq!(reports.next(), Report::Held { owner, result: Ok(()) });
    }
    holder.order(Order::Release { owner: 2 });
    assert_eq!(reports.next(), Report::Released { owner: 2, result: Ok(()) });
    assert!(find(&left, "eth0", "10.9.0.100").is_some());
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(find(&left, "eth0", "10.9.0.100"), None);
}

#[test]
fn leftovers_of_a_crash_are_swept_and_what_is_held_is_not() {
    let (left, _right) = Namespace::pair();
    let before = left.has("eth0");
    let (crashed, reports) = start(&left);
    crashed.order(hold(OURS, vec![vip("10.9.0.100/32"), vip("10.9.0.101/24"), vip("2001:db8:9::100/128")]));
    assert_eq!(reports.next(), held());
    drop(crashed);

    let (holder, reports) = start(&left);
    // What the last life left behind is ours again, as if we had put it there.
    holder.order(hold(OURS, vec![vip("10.9.0.100/32")]));
    assert_eq!(reports.next(), held());
    holder.order(Order::Sweep);
    let mut swept = [reports.next(), reports.next()].map(|report| match report {
        Report::Swept { address, interface } => format!("{address} {interface}"),
        other => panic!("{other:?}"),
    });
    swept.sort();
    assert_eq!(swept, ["10.9.0.101 eth0", "2001:db8:9::100 eth0"]);
    assert!(find(&left, "eth0", "10.9.0.100").is_some());
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(left.has("eth0"), before);
}

#[test]
fn what_cannot_be_held_is_said_in_one_line_and_the_rest_is_held() {
    let (left, _right) = Namespace::pair();
    left.run(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").expect("sysctl"));
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vec![vip("2001:db8:9::100/128"), vip("10.9.0.100/32")]));
    let Report::Held { result: Err(reason), .. } = reports.next() else { panic!("IPv6 is off") };
    assert!(reason.starts_with("2001:db8:9::100/128 on eth0: "), "{reason}");
    assert!(reason.contains("ermission") || reason.contains("disabled"), "{reason}");
    assert!(find(&left, "eth0", "10.9.0.100").is_some());

    let elsewhere = Vip { dev: Some("eth9".to_owned()), ..vip("10.9.0.102/32") };
    holder.order(hold(OURS, vec![vip("10.9.0.100/32"), elsewhere]));
    let reason = "10.9.0.102/32 on eth9: there is no such interface".to_owned();
    assert_eq!(reports.next(), Report::Held { owner: OURS, result: Err(reason) });
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    eventually("all gone", || find(&left, "eth0", "10.9.0.100").is_none());
}

#[test]
fn an_address_of_another_owner_survives_the_release_of_its_primary() {
    let (left, _right) = Namespace::pair();
    left.run(|| std::fs::write("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "0").expect("sysctl"));
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vec![vip("10.7.0.1/24"), vip("10.7.0.3/24")]));
    holder.order(hold(2, vec![vip("10.7.0.2/24")]));
    holder.order(Order::Release { owner: OURS });
    reports.until(|report| *report == released());
    let has: Vec<String> = left.has("eth0").into_iter().filter(|address| address.contains("10.7")).collect();
    assert_eq!(has, ["10.7.0.2/24"]);
    holder.order(Order::Release { owner: 2 });
    assert_eq!(reports.next(), Report::Released { owner: 2, result: Ok(()) });
    assert_eq!(find(&left, "eth0", "10.7.0.2"), None, "still ours after it was put back");
}

#[test]
fn ipv6_addresses_that_the_kernel_flushes_with_the_link_are_restored_and_usable_when_it_is_back() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left);
    holder.order(hold(OURS, vec![vip("2001:db8:9::100/128")]));
    assert_eq!(reports.next(), held());
    left.ip("link set eth0 down");
    assert_eq!(find(&left, "eth0", "2001:db8:9::100"), None);
    let address = "2001:db8:9::100".parse().expect("an address");
    holder.order(Order::Gone { interface: "eth0".to_owned(), address });
    assert_eq!(reports.next(), Report::Restored { owner: OURS, address });
    left.ip("link set eth0 up");
    left.ip("addr add 2001:db8:9::1/64 dev eth0 nodad");
    eventually("an answer to ping", || {
        right.run(|| {
            let ping = std::process::Command::new("ping").args(["-c1", "-W1", "2001:db8:9::100"]).output();
            ping.expect("ping").status.success()
        })
    });
}

#[test]
fn without_the_mark_a_journal_tells_leftovers_from_what_was_there_before() {
    let (left, _right) = Namespace::pair();
    left.ip("addr add 10.9.0.50/32 dev eth0");
    let before = left.has("eth0");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("addresses");
    let means = || Means { journal: Some(path.clone()), unmarked: true, ..Means::default() };

    let (crashed, reports) = start_with(&left, means());
    crashed.order(hold(OURS, vec![vip("10.9.0.100/32"), vip("2001:db8:9::100/128"), vip("10.9.0.50/32")]));
    assert_eq!(reports.next(), held());
    // Ours is known as ours, what was there before is not.
    crashed.order(hold(OURS, vec![vip("10.9.0.101/32"), vip("2001:db8:9::100/128")]));
    assert_eq!(reports.next(), held());
    assert_eq!(find(&left, "eth0", "10.9.0.100"), None);
    assert!(find(&left, "eth0", "10.9.0.50").is_some());
    drop(crashed);
    let journal = std::fs::read_to_string(&path).expect("a journal");
    assert_eq!(journal, "eth0 10.9.0.101/32\neth0 2001:db8:9::100/128\n");

    let means = means();
    let placed = means.placed.clone();
    let (holder, reports) = start_with(&left, means);
    assert_eq!(placed.read().expect("no panic").len(), 2, "known to the link watch from the start");
    holder.order(hold(OURS, vec![vip("10.9.0.101/32")]));
    assert_eq!(reports.next(), held());
    holder.order(Order::Sweep);
    let address = "2001:db8:9::100".parse().expect("an address");
    assert_eq!(reports.next(), Report::Swept { address, interface: "eth0".to_owned() });
    holder.order(Order::Stop);
    assert_eq!(reports.next(), released());
    assert_eq!(left.has("eth0"), before);
    assert!(!path.exists(), "nothing left to remember");
    assert!(placed.read().expect("no panic").is_empty());
}

#[test]
fn a_journal_that_cannot_be_written_is_told_of_once_and_the_address_is_held() {
    let (left, _right) = Namespace::pair();
    let means = Means { journal: Some("/nowhere/addresses".into()), unmarked: true, ..Means::default() };
    let (holder, reports) = start_with(&left, means);
    holder.order(hold(OURS, vec![vip("10.9.0.100/32")]));
    assert_eq!(reports.next(), held());
    let Report::Forgets { why } = reports.next() else { panic!("nothing is told of the journal") };
    assert!(why.contains("No such file"), "{why}");
    holder.order(hold(OURS, vec![vip("10.9.0.101/32")]));
    assert_eq!(reports.next(), held());
    holder.order(Order::Stop);
    assert_eq!(reports.next(), released(), "not told again");
    assert_eq!(find(&left, "eth0", "10.9.0.101"), None);
}

#[test]
fn with_the_mark_no_journal_is_kept() {
    let (left, _right) = Namespace::pair();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("addresses");
    let (holder, reports) = start_with(&left, Means { journal: Some(path.clone()), ..Means::default() });
    holder.order(hold(OURS, vec![vip("10.9.0.100/32")]));
    assert_eq!(reports.next(), held());
    assert!(!path.exists());
}

#[test]
fn where_others_carry_a_mark_no_takeover_has_to_find_out_about_ours() {
    let (left, _right) = Namespace::pair();
    left.ip("link set lo up");
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Some(folder.path().join("addresses"));
    let (holder, reports) = start_with(&left, Means { journal, ..Means::default() });
    let changed = || std::fs::metadata(&folder).and_then(|folder| folder.modified()).expect("a time");
    let before = changed();
    holder.order(Order::Sweep);
    holder.order(hold(OURS, vec![vip("10.9.0.100/32")]));
    assert_eq!(reports.next(), held());
    assert_eq!(changed(), before, "a journal was written");
}

fn hold_routes(vips: Vec<Vip>) -> Order {
    let install = locum::agent::Install::LocalRoute;
    let holding = Holding { interface: "eth0".to_owned(), install, vips, ..Holding::default() };
    Order::Hold { until: None, owner: OURS, holding }
}

fn local_routes(namespace: &Namespace) -> Vec<String> {
    let routes = namespace.show(&["route", "show", "table", "local", "proto", "113"]);
    routes.iter().map(|route| route["dst"].as_str().unwrap_or("?").to_owned()).collect()
}

#[test]
fn local_routes_of_the_host_itself_count_as_held_and_are_never_removed() {
    let (left, _right) = Namespace::pair();
    left.ip("addr add 10.9.0.100/32 dev eth0");
    left.ip("route add local 10.9.0.101 dev eth0 table local proto static");
    let (holder, reports) = start(&left);
    holder.order(hold_routes(["10.9.0.100/32", "10.9.0.101/32", "10.9.0.102/32"].map(vip).into()));
    assert_eq!(reports.next(), held());
    assert_eq!(local_routes(&left), ["10.9.0.102"]);
    // A sweep takes what nobody wants, and the address that is wanted stays.
    left.ip("route add local 10.9.0.103 dev eth0 table local proto 113");
    holder.order(Order::Sweep);
    let swept =
        Report::Swept { address: "10.9.0.103".parse().expect("an address"), interface: "eth0".into() };
    assert_eq!(reports.next(), swept);
    assert_eq!(local_routes(&left), ["10.9.0.102"]);
    left.ip("route del local 10.9.0.102 dev eth0 table local");
    holder.order(Order::Check);
    let address = "10.9.0.102".parse().expect("an address");
    assert_eq!(reports.next(), Report::Restored { owner: OURS, address });
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), released());
    assert_eq!(local_routes(&left), [""; 0]);
    assert!(find(&left, "eth0", "10.9.0.100").is_some());
    assert_eq!(left.show(&["route", "show", "table", "local", "proto", "static"]).len(), 1);
}
