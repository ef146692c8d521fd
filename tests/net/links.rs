//! Links and addresses as they change: every change is reported, and Locum's own addresses are not
//! a link's own.

use crate::namespace::{Namespace, Reports};
use locum::agent::{Holding, Link, LinkAddress};
use locum::net::Placed;
use locum::net::address::{Holder, Means, Order};
use locum::net::link::{RECEIVE_BUFFER, Report, watch_with};
use locum::vrrp::Vip;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Watches until the end of the test process.
fn watch(namespace: &Namespace, buffer: usize, placed: Placed) -> Reports<Report> {
    watch_through(namespace, buffer, placed, Arc::default())
}

/// The same; reports wait while `gate` is locked, and the watch with them.
fn watch_through(
    namespace: &Namespace,
    buffer: usize,
    placed: Placed,
    gate: Arc<Mutex<()>>,
) -> Reports<Report> {
    let (sender, reports) = Reports::channel();
    namespace.run(|| {
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let report = move |report| {
                drop(gate.lock());
                // The test may be over: then nobody listens.
                drop(sender.send(report));
            };
            let error = runtime.block_on(watch_with(buffer, placed, report));
            panic!("the watch ended: {error}");
        });
    });
    reports
}

fn started(namespace: &Namespace) -> (Reports<Report>, Vec<Link>) {
    let reports = watch(namespace, RECEIVE_BUFFER, Placed::default());
    let mut links = Vec::new();
    loop {
        match reports.next() {
            Report::Link(link) => links.push(link),
            Report::Ready => return (reports, links),
            other => panic!("{other:?}"),
        }
    }
}

fn vip(address: &str) -> Vip {
    Vip::new(ip(address), 32)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The next facts about `name` that fulfil `wanted`.
fn link(reports: &Reports<Report>, name: &str, wanted: impl Fn(&Link) -> bool) -> Link {
    let found =
        reports.until(|report| matches!(report, Report::Link(link) if link.name == name && wanted(link)));
    if let Report::Link(link) = found { link } else { unreachable!("looked for a link") }
}

fn has(link: &Link, address: &str) -> bool {
    link.addresses.iter().any(|own| own.address == ip(address))
}

#[test]
fn what_locum_puts_there_and_renews_is_no_news_and_wakes_nobody() {
    let (left, _right) = Namespace::pair();
    let (watched, others) = (placed_and_leased(&left), left.monitor());
    let (holder, reports, idle) = watched;
    let before = idle();
    for _ in 0..6 {
        thread::sleep(Duration::from_millis(300));
        holder.order(Order::Renew { at: Instant::now() });
    }
    let renewals = others.additions();
    assert!(renewals >= 4, "{renewals} were told of to others");
    // Nor is what Locum puts there itself.
    holder.order(hold(&["10.9.0.200", "10.9.0.201", "2001:db8:9::201"]));
    crate::namespace::eventually("they are there", || {
        left.has("eth0").contains(&"2001:db8:9::201/128".to_owned())
    });
    assert_eq!(idle(), before, "switches of the watching thread");
    // What is neither is told as ever.
    left.ip("addr del 10.9.0.200/32 dev eth0");
    reports.until(
        |report| matches!(report, Report::AddressGone { address, .. } if *address == ip("10.9.0.200")),
    );
}

/// A holder of a leased address, a watch that knows of it, and how often the watching thread was woken.
fn placed_and_leased(namespace: &Namespace) -> (Holder, Reports<Report>, impl Fn() -> u64) {
    let (sender, number) = std::sync::mpsc::channel();
    let (told, reports) = Reports::channel();
    namespace.run(|| {
        thread::spawn(move || {
            sender.send(nix::unistd::gettid().as_raw()).expect("somebody asks");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            // The test may be over: then nobody listens.
            let report = move |report| drop(told.send(report));
            panic!(
                "the watch ended: {}",
                runtime.block_on(watch_with(RECEIVE_BUFFER, Placed::default(), report))
            );
        });
    });
    let number = number.recv().expect("its number");
    reports.until(|report| *report == Report::Ready);
    let holder = namespace.run(|| Holder::start(Means::default(), |_| {}).expect("a holder"));
    let vips = vec![vip("10.9.0.200")];
    let lease = Some(Duration::from_secs(2));
    let holding = Holding { interface: "eth0".to_owned(), vips, lease, ..Holding::default() };
    holder.order(Order::Hold { until: None, owner: 1, holding });
    crate::namespace::eventually("it is there", || {
        namespace.has("eth0").contains(&"10.9.0.200/32".to_owned())
    });
    thread::sleep(Duration::from_millis(200));
    let woken = move || {
        let status = std::fs::read_to_string(format!("/proc/self/task/{number}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse().ok()).expect("a count")
    };
    (holder, reports, woken)
}

#[test]
fn the_first_reports_are_all_links_in_full() {
    let (left, _right) = Namespace::pair();
    left.ip("link set eth0 address 02:00:00:00:00:01 mtu 1400");
    left.ip("addr add 10.9.0.3/24 dev eth0");
    let (_, links) = started(&left);
    assert_eq!(links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["lo", "eth0"]);
    assert_eq!(links[0].mac, None);
    let own = |address, prefix, secondary| LinkAddress {
        address: ip(address),
        prefix,
        tentative: false,
        secondary,
    };
    let eth0 = Link {
        name: "eth0".to_owned(),
        index: left.index("eth0"),
        up: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1400,
        addresses: vec![
            own("10.9.0.1", 24, false),
            own("10.9.0.3", 24, true),
            own("2001:db8:9::1", 64, false),
            own("fe80::1", 64, false),
        ],
    };
    assert_eq!(links[1], eth0);
}

#[test]
fn links_going_down_losing_carrier_and_changing_are_reported() {
    let (left, right) = Namespace::pair();
    let (reports, _) = started(&left);
    left.ip("link set eth0 down");
    let down = link(&reports, "eth0", |link| !link.up);
    left.ip("link set eth0 up");
    assert_eq!(link(&reports, "eth0", |link| link.up).index, down.index);
    right.ip("link set eth0 down");
    link(&reports, "eth0", |link| !link.up);
    right.ip("link set eth0 up");
    link(&reports, "eth0", |link| link.up);
    left.ip("link set eth0 mtu 1300");
    assert_eq!(link(&reports, "eth0", |link| link.mtu == 1300).mac, down.mac);
    left.ip("link set eth0 address 02:00:00:00:00:09");
    link(&reports, "eth0", |link| link.mac == Some([2, 0, 0, 0, 0, 9]));
}

#[test]
fn addresses_coming_and_going_are_reported_in_the_kernels_order() {
    let (left, _right) = Namespace::pair();
    let (reports, _) = started(&left);
    left.ip("addr add 10.9.0.4/24 dev eth0");
    let added = link(&reports, "eth0", |link| has(link, "10.9.0.4"));
    assert!(added.addresses.iter().any(|own| own.address == ip("10.9.0.4") && own.secondary));
    left.ip("addr del 10.9.0.4/24 dev eth0");
    reports.until(|report| {
        let gone = ("eth0".to_owned(), ip("10.9.0.4"), 24);
        matches!(report, Report::AddressGone { interface, address, prefix } if (interface.clone(), *address, *prefix) == gone)
    });
    link(&reports, "eth0", |link| !has(link, "10.9.0.4"));
    left.ip("addr add 2001:db8:9::4/64 dev eth0");
    let tentative =
        |link: &Link| link.addresses.iter().any(|own| own.address == ip("2001:db8:9::4") && own.tentative);
    link(&reports, "eth0", tentative);
    link(&reports, "eth0", |link| has(link, "2001:db8:9::4") && !tentative(link));
}

#[test]
fn an_interface_that_goes_comes_back_and_is_renamed_is_reported() {
    let (left, _right) = Namespace::pair();
    let (reports, links) = started(&left);
    left.ip("link del eth0");
    reports.until(|report| *report == Report::Gone("eth0".to_owned()));
    left.ip("link add eth0 type veth peer name other");
    let again = link(&reports, "eth0", |_| true);
    assert_ne!(again.index, links[1].index);
    assert!(again.addresses.is_empty());
    left.ip("addr add 10.9.0.5/24 dev eth0");
    link(&reports, "eth0", |link| has(link, "10.9.0.5"));
    left.ip("link set eth0 name wan0");
    reports.until(|report| *report == Report::Gone("eth0".to_owned()));
    assert_eq!(link(&reports, "wan0", |_| true).index, again.index);
}

#[test]
fn a_bridge_letting_go_of_its_port_does_not_make_the_port_vanish() {
    let (left, _right) = Namespace::pair();
    left.ip("link add br0 type bridge");
    left.ip("link set eth0 master br0");
    let (reports, _) = started(&left);
    left.ip("link set eth0 nomaster");
    left.ip("link set eth0 mtu 1300");
    let mut before = Vec::new();
    loop {
        match reports.next() {
            Report::Link(link) if link.name == "eth0" && link.mtu == 1300 => break,
            other => before.push(other),
        }
    }
    assert!(!before.contains(&Report::Gone("eth0".to_owned())), "{before:?}");
}

fn hold(vips: &[&str]) -> Order {
    let vip = |address: &&str| {
        let address = ip(address);
        Vip::new(address, if address.is_ipv4() { 32 } else { 128 })
    };
    Order::Hold {
        until: None,
        owner: 1,
        holding: Holding {
            interface: "eth0".to_owned(),
            vips: vips.iter().map(vip).collect(),
            ..Holding::default()
        },
    }
}

#[test]
fn locums_addresses_are_no_own_addresses_but_their_loss_is_reported_and_mended() {
    let (left, _right) = Namespace::pair();
    let (reports, _) = started(&left);
    let (sender, held) = Reports::channel();
    let report = move |report| drop(sender.send(report));
    let holder = left.run(|| Holder::start(Means::default(), report).expect("a holder"));
    holder.order(hold(&["10.9.0.100", "2001:db8:9::100"]));
    held.next();
    left.ip("addr add 10.9.0.4/24 dev eth0");
    let own = link(&reports, "eth0", |link| has(link, "10.9.0.4"));
    assert!(!has(&own, "10.9.0.100") && !has(&own, "2001:db8:9::100"), "{own:?}");

    left.ip("addr del 10.9.0.100/32 dev eth0");
    let gone = reports.until(|report| matches!(report, Report::AddressGone { .. }));
    let Report::AddressGone { interface, address, prefix: 32 } = gone else { panic!("{gone:?}") };
    holder.order(Order::Gone { interface, address });
    let restored = locum::net::address::Report::Restored { owner: 1, address: ip("10.9.0.100") };
    assert_eq!(held.next(), restored);
}

#[test]
fn what_is_listed_as_locums_is_left_out_on_kernels_without_a_mark() {
    let (left, _right) = Namespace::pair();
    let placed = Placed::default();
    placed.write().expect("no panic").insert(ip("10.9.0.100"));
    let reports = watch(&left, RECEIVE_BUFFER, placed);
    reports.until(|report| *report == Report::Ready);
    left.ip("addr add 10.9.0.100/32 dev eth0");
    left.ip("addr add 10.9.0.101/32 dev eth0");
    assert!(!has(&link(&reports, "eth0", |link| has(link, "10.9.0.101")), "10.9.0.100"));
}

#[test]
fn after_an_overrun_everything_is_read_anew() {
    let (left, _right) = Namespace::pair();
    left.ip("addr add 10.9.0.100/32 dev eth0");
    let placed = Placed::default();
    placed.write().expect("no panic").insert(ip("10.9.0.100"));
    let gate = Arc::new(Mutex::new(()));
    let reports = watch_through(&left, 4096, placed, Arc::clone(&gate));
    reports.until(|report| *report == Report::Ready);

    // While the listener does not come back, more happens than the buffer can hold, the interesting
    // changes last: their messages are lost, and what still waits is older.
    let closed = gate.lock().expect("no panic");
    left.ip("link set eth0 mtu 1400");
    for n in 0..50 {
        left.ip(&format!("link set eth0 mtu {}", 1401 + n));
    }
    left.ip("link set eth0 mtu 1300");
    left.ip("addr add 10.9.0.4/24 dev eth0");
    left.ip("addr del 10.9.0.100/32 dev eth0");
    left.ip("link add eth7 type veth peer name eth8");
    drop(closed);

    let mut seen = Vec::new();
    let complete = |seen: &[Report]| {
        let last = seen.iter().rev().find_map(|report| match report {
            Report::Link(link) if link.name == "eth0" => Some(link.mtu == 1300 && has(link, "10.9.0.4")),
            _ => None,
        });
        let gone = |report: &Report| matches!(report, Report::AddressGone { address, .. } if *address == ip("10.9.0.100"));
        let new = |report: &Report| matches!(report, Report::Link(link) if link.name == "eth7");
        last == Some(true) && seen.contains(&Report::Lost) && seen.iter().any(gone) && seen.iter().any(new)
    };
    while !complete(&seen) {
        seen.push(reports.next());
    }
    left.ip("addr add 10.9.0.5/24 dev eth0");
    let later = link(&reports, "eth0", |link| has(link, "10.9.0.5"));
    assert_eq!(later.mtu, 1300, "what waited in the queue is not believed after the resync");
}
