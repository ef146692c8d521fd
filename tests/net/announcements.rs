//! Gratuitous ARP and neighbour advertisements: the bytes, and their arrival at the neighbour.

use crate::namespace::{Namespace, PATIENCE, Reports};
use locum::agent::Holding;
use locum::agent::config::Pace;
use locum::net::address::{Holder, Means, Order, Report};
use locum::net::announce::frame;
use locum::vrrp::Vip;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn mac(text: &str) -> [u8; 6] {
    bytes(&text.replace(':', "")).try_into().expect("six bytes")
}

#[test]
fn a_gratuitous_arp_is_what_rfc_9568_and_its_errata_say() {
    let wanted = "ffffffffffff00005e0001010806000108000604000100005e000101c000020100005e000101c0000201";
    assert_eq!(frame([0, 0, 0x5e, 0, 1, 1], "192.0.2.1".parse().expect("one")), bytes(wanted));
}

#[test]
fn a_neighbour_advertisement_is_what_rfc_9568_and_rfc_4861_say() {
    let wanted = "33330000000100005e00020a86dd6000000000203aff20010db80000000000000000000000fe\
                  ff02000000000000000000000000000188001927a000000020010db80000000000000000000000fe020100005e00020a";
    assert_eq!(frame([0, 0, 0x5e, 0, 2, 10], "2001:db8::fe".parse().expect("one")), bytes(wanted));
}

#[test]
fn every_derived_frame_of_the_collection_is_built_alike() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let collections = ["tests/conformance/frames.json", "../shared/conformance/frames.json"];
    let Some(text) = collections.iter().find_map(|path| std::fs::read_to_string(here.join(path)).ok()) else {
        // The two frames above are from it.
        return;
    };
    let collection: Value = serde_json::from_str(&text).expect("JSON");
    let mut seen = 0;
    for known in collection["frames"].as_array().expect("a list") {
        let derived = known["source"].as_str().is_some_and(|source| source.starts_with("derived"));
        let address = match known["kind"].as_str() {
            Some("arp") if derived => &known["sender_ip"],
            Some("na") if derived => &known["target"],
            _ => continue,
        };
        let address: IpAddr = address.as_str().and_then(|text| text.parse().ok()).expect("an address");
        let wanted = bytes(known["frame_hex"].as_str().expect("hex"));
        assert_eq!(frame(mac(known["eth_src"].as_str().expect("a MAC")), address), wanted, "{address}");
        seen += 1;
    }
    assert!(seen >= 7, "{seen} frames");
}

/// Hears every frame that reaches eth0.
pub(crate) fn listen(namespace: &Namespace) -> OwnedFd {
    namespace.run(|| {
        let all = Some(SockProtocol::EthAll);
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), all).expect("a socket");
        let link: LinkAddr = getifaddrs()
            .expect("interfaces")
            .filter(|entry| entry.interface_name == "eth0")
            .find_map(|entry| entry.address?.as_link_addr().copied())
            .expect("eth0");
        bind(socket.as_raw_fd(), &link).expect("bound");
        let timeout = TimeVal::new(i64::try_from(PATIENCE.as_secs()).expect("short"), 0);
        setsockopt(&socket, sockopt::ReceiveTimeout, &timeout).expect("a timeout");
        socket
    })
}

pub(crate) fn hear(socket: &OwnedFd, wanted: &[Vec<u8>]) -> Vec<Vec<u8>> {
    hear_some(socket, wanted.len(), &wanted.iter().cloned().collect())
}

/// So many of these.
fn hear_some(socket: &OwnedFd, count: usize, wanted: &BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2048];
    let mut heard = Vec::new();
    while heard.len() < count {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("a frame in time");
        // Address detection and router solicitations of the hosts themselves pass as well.
        if wanted.contains(&buffer[..length]) {
            heard.push(buffer[..length].to_vec());
        }
    }
    heard
}

#[test]
fn held_addresses_are_announced_to_the_neighbour_as_often_as_asked() {
    let (left, right) = Namespace::pair();
    left.ip("link set eth0 address 02:00:00:00:00:01");
    let (sender, reports) = Reports::channel();
    let report = move |report| sender.send(report).expect("a listening test");
    let holder = left.run(|| Holder::start(Means::default(), report).expect("a holder"));
    let addresses =
        ["10.9.0.100", "2001:db8:9::100", "10.9.0.101"].map(|a| a.parse::<IpAddr>().expect("one"));
    let prefix = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let vips = addresses
        .iter()
        .map(|address| Vip::new(*address, prefix(address)))
        .chain([Vip { dev: Some("lo".to_owned()), ..Vip::new(IpAddr::from([127, 0, 0, 9]), 32) }])
        .collect();
    holder.order(Order::Hold {
        until: None,
        owner: 1,
        holding: Holding { interface: "eth0".to_owned(), vips, ..Holding::default() },
    });
    assert_eq!(reports.next(), Report::Held { owner: 1, result: Ok(()) });

    let neighbour = listen(&right);
    holder.order(Order::Announce { owner: 1, count: 2 });
    // The loopback has no neighbours: neither sent nor failed.
    assert_eq!(reports.next(), Report::Announced { owner: 1, sent: 6, failed: 0 });
    let round = addresses.map(|address| frame([2, 0, 0, 0, 0, 1], address));
    let wanted: Vec<Vec<u8>> = round.iter().chain(&round).cloned().collect();
    assert_eq!(hear(&neighbour, &wanted), wanted);

    // Another hardware address, another announcement.
    left.ip("link set eth0 down");
    left.ip("link set eth0 address 02:00:00:00:00:02");
    holder.order(Order::Announce { owner: 1, count: 1 });
    assert_eq!(reports.next(), Report::Announced { owner: 1, sent: 0, failed: 3 });
    left.ip("link set eth0 up");
    holder.order(Order::Announce { owner: 1, count: 1 });
    assert_eq!(reports.next(), Report::Announced { owner: 1, sent: 3, failed: 0 });
    let wanted: Vec<Vec<u8>> = addresses.iter().map(|address| frame([2, 0, 0, 0, 0, 2], *address)).collect();
    assert_eq!(hear(&neighbour, &wanted), wanted);
}

#[test]
fn of_many_addresses_each_is_announced_while_others_come_and_all_once_before_any_is_repeated() {
    let (left, right) = Namespace::pair();
    left.ip("link set eth0 address 02:00:00:00:00:01");
    let addresses: Vec<IpAddr> =
        (0..400).map(|n| IpAddr::from((0x0a09_0100_u32 + n).to_be_bytes())).collect();
    let frames: BTreeSet<Vec<u8>> =
        addresses.iter().map(|address| frame([2, 0, 0, 0, 0, 1], *address)).collect();
    // One that is there already does not come, and is announced all the same.
    left.ip(&format!("addr add {}/32 dev eth0", addresses[7]));
    let neighbour = listen(&right);
    setsockopt(&neighbour, sockopt::RcvBufForce, &(8 << 20)).expect("room for all");
    let (sender, reports) = Reports::channel();
    let (sign, gate) = channel();
    let report = move |report| {
        if matches!(report, Report::Held { owner: 0, .. }) {
            gate.recv().expect("more orders");
        }
        // What left before the holder said that all are there.
        let mut early = Vec::new();
        let mut buffer = [0; 2048];
        let now = MsgFlags::MSG_DONTWAIT;
        while matches!(report, Report::Held { owner: 1, .. })
            && let Ok(length) = recv(neighbour.as_raw_fd(), &mut buffer, now)
        {
            early.extend(frames.get(&buffer[..length]).cloned());
        }
        let all = matches!(report, Report::Announced { .. });
        let late = if all { hear_some(&neighbour, 401, &frames) } else { Vec::new() };
        sender.send((report, early, late)).expect("a listening test");
    };
    let holder = left.run(|| Holder::start(Means::default(), report).expect("a holder"));
    let order = |owner, addresses: &[IpAddr]| {
        let vips = addresses.iter().map(|address| Vip::new(*address, 32)).collect();
        let holding = Holding { interface: "eth0".to_owned(), vips, ..Holding::default() };
        holder.order(Order::Hold { until: None, owner, holding });
    };
    order(0, &[]);
    order(1, &addresses);
    holder.order(Order::Announce { owner: 1, count: 2 });
    sign.send(()).expect("a waiting holder");
    let (_, (held, early, _), (announced, _, late)) = (reports.next(), reports.next(), reports.next());
    assert_eq!(held, Report::Held { owner: 1, result: Ok(()) });
    assert_eq!(early.len(), 399);
    assert_eq!(announced, Report::Announced { owner: 1, sent: 800, failed: 0 });
    let first: BTreeSet<_> = early.iter().chain(&late[..1]).collect();
    let second: BTreeSet<_> = late[1..].iter().collect();
    assert_eq!((first.len(), second.len()), (400, 400), "each once, and once more");
}

#[test]
fn what_could_not_be_held_is_not_announced() {
    let (left, _right) = Namespace::pair();
    left.run(|| std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").expect("sysctl"));
    let (sender, reports) = Reports::channel();
    let report = move |report| drop(sender.send(report));
    let holder = left.run(|| Holder::start(Means::default(), report).expect("a holder"));
    let vip = |address: &str, prefix| {
        let address = address.parse().expect("an address");
        Vip::new(address, prefix)
    };
    let vips = vec![vip("10.9.0.100", 32), vip("2001:db8:9::100", 128)];
    holder.order(Order::Hold {
        until: None,
        owner: 1,
        holding: Holding { interface: "eth0".to_owned(), vips, ..Holding::default() },
    });
    assert!(matches!(reports.next(), Report::Held { owner: 1, result: Err(_) }));
    holder.order(Order::Announce { owner: 1, count: 3 });
    assert_eq!(reports.next(), Report::Announced { owner: 1, sent: 3, failed: 0 });
}

#[test]
fn what_is_on_another_interface_can_be_announced_alone() {
    let (left, _right) = Namespace::pair();
    left.ip("link add eth1 type veth peer name eth2");
    left.ip("link set eth1 up");
    left.ip("link set eth2 up");
    let (sender, reports) = Reports::channel();
    let holder =
        left.run(|| Holder::start(Means::default(), move |r| drop(sender.send(r))).expect("a holder"));
    let vip = |last, dev: Option<&str>| {
        let address = IpAddr::from([10, 9, 0, last]);
        Vip { dev: dev.map(str::to_owned), ..Vip::new(address, 32) }
    };
    let vips = vec![vip(1, None), vip(2, Some("eth1")), vip(3, Some("eth1"))];
    holder.order(Order::Hold {
        until: None,
        owner: 1,
        holding: Holding { interface: "eth0".to_owned(), vips, ..Holding::default() },
    });
    assert_eq!(reports.next(), Report::Held { owner: 1, result: Ok(()) });
    holder.order(Order::AnnounceElsewhere { owner: 1 });
    assert_eq!(reports.next(), Report::Announced { owner: 1, sent: 2, failed: 0 });
    holder.order(Order::Announce { owner: 1, count: 1 });
    assert_eq!(reports.next(), Report::Announced { owner: 1, sent: 3, failed: 0 });
}

#[test]
fn paced_frames_keep_their_distance_while_orders_go_on_and_end_with_their_address() {
    let (left, _right) = Namespace::pair();
    let (sender, reports) = Reports::channel();
    let holder =
        left.run(|| Holder::start(Means::default(), move |r| drop(sender.send(r))).expect("a holder"));
    let vip = |last| {
        let address = IpAddr::from([10, 9, 0, last]);
        Vip::new(address, 32)
    };
    let hold = |owner, last| Order::Hold {
        until: None,
        owner,
        holding: Holding { interface: "eth0".to_owned(), vips: vec![vip(last)], ..Holding::default() },
    };
    let arp = Duration::from_millis(200);
    holder.order(Order::Pace(vec![Pace { arp, ..Pace::default() }]));
    holder.order(hold(1, 1));
    assert_eq!(reports.next(), Report::Held { owner: 1, result: Ok(()) });
    let start = Instant::now();
    holder.order(Order::Announce { owner: 1, count: 100 });
    holder.order(hold(2, 2));
    let one = |owner| Report::Announced { owner, sent: 1, failed: 0 };
    assert_eq!(reports.next(), Report::Announced { owner: 1, sent: 0, failed: 0 }, "all of it waits");
    let mut next: Vec<Report> = (0..4).map(|_| reports.next()).collect();
    let answered = next.iter().position(|report| *report == Report::Held { owner: 2, result: Ok(()) });
    assert!(answered.is_some_and(|place| place < 3), "nobody waits for a hundred frames: {next:?}");
    next.retain(|report| *report == one(1));
    assert_eq!(next.len(), 3);
    // The first leaves at once.
    assert!(start.elapsed() >= arp * 2, "{:?}", start.elapsed());
    holder.order(Order::Release { owner: 1 });
    let mut rest = reports.next();
    while rest == one(1) {
        rest = reports.next();
    }
    assert_eq!(rest, Report::Released { owner: 1, result: Ok(()) });
    holder.order(Order::Announce { owner: 2, count: 1 });
    assert_eq!(reports.next(), Report::Announced { owner: 2, sent: 0, failed: 0 });
    assert_eq!(reports.next(), one(2), "nothing of the other is left");
}
