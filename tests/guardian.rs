//! What the guardian does after its start, against the real kernel, while all that is allocated is counted: nothing.
//! Needs root. One test, for the count is the whole process's.

#[expect(dead_code, reason = "not all of it is needed here")]
#[path = "net/namespace.rs"]
mod namespace;

use locum::agent::{Holding, Install, InstanceId, Outgoing, Will};
use locum::claim::VoterId;
use locum::daemon::last_will::LastWill;
use locum::daemon::word;
use locum::net::address::{Holder, Means, Order, Report};
use locum::net::announce::{Announcer, frame};
use locum::vrrp::{Vip, Vrid};
use namespace::{Namespace, Reports, eventually};
use nix::net::if_::if_nametoindex;
use peak_alloc::PeakAlloc;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::iter::{empty, once};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Counts what is allocated.
#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

const MANY: u32 = 5000;

/// What was allocated meanwhile, in bytes, freed again or not.
fn allocated(what: impl FnOnce()) -> usize {
    PEAK.reset_peak_usage();
    let before = PEAK.current_usage();
    what();
    PEAK.peak_usage() - before
}

fn many() -> BTreeSet<IpAddr> {
    (1..=MANY).map(|host| Ipv4Addr::from(0x0a0a_0000 + host).into()).collect()
}

/// A Master's farewell to the group and to one peer, with as many addresses as an advert can have.
fn will(patience: Duration, pleas: &[(VoterId, Vec<u8>)]) -> Will {
    let payload: Vec<u8> = [0x31, 51, 0, 0].into_iter().chain([10, 10, 0, 1].repeat(255)).collect();
    let packet = |destination: &str| Outgoing {
        instance: InstanceId(1),
        due: None,
        interface: "eth0".into(),
        source: "10.9.0.1".parse().unwrap(),
        destination: destination.parse().unwrap(),
        // The interface's own, by the daemon's account.
        mac: Some([2, 0, 0, 0, 0, 1]),
        ttl: 255,
        protocol: 112,
        identification: 0,
        payload: payload.clone(),
    };
    let farewell = vec![packet("224.0.0.18"), packet("10.9.0.2")];
    Will {
        vrid: Vrid::new(51).unwrap(),
        pleas: pleas.to_vec(),
        releases: Vec::new(),
        farewell,
        patience,
        linger: Duration::from_millis(10),
    }
}

/// Has the kernel hold them as a daemon would, which then is no more.
fn held(namespace: &Namespace, addresses: &BTreeSet<IpAddr>, install: Install) {
    held_with(namespace, addresses, install, 32);
}

fn held_with(namespace: &Namespace, addresses: &BTreeSet<IpAddr>, install: Install, prefix: u8) {
    let (sender, reports) = Reports::channel();
    let report = move |report| drop(sender.send(report));
    let holder = namespace.run(|| Holder::start(Means::default(), report).expect("a holder"));
    let vip = |address: &IpAddr| Vip::new(*address, prefix);
    let vips = addresses.iter().map(vip).collect();
    let holding = Holding { interface: "eth0".to_owned(), vips, install, ..Holding::default() };
    holder.order(Order::Hold { until: None, owner: 1, holding });
    assert_eq!(reports.next(), Report::Held { owner: 1, result: Ok(()) });
}

fn there(namespace: &Namespace) -> usize {
    let ours =
        |info: &serde_json::Value| info["local"].as_str().is_some_and(|text| text.starts_with("10.10."));
    let routes = namespace.show(&["route", "show", "table", "local", "proto", "113"]);
    namespace.addresses("eth0").into_iter().filter(ours).count() + routes.len()
}

#[test]
fn after_its_start_a_guardian_allocates_nothing_to_keep_its_list_and_to_carry_it_out() {
    let (left, right) = Namespace::pair();
    left.ip("addr add 10.10.255.1/32 dev eth0");
    let (all, kept) = (many(), 1);
    let few: BTreeSet<IpAddr> = all.iter().copied().take(100).collect();
    let voter = right.run(|| UdpSocket::bind(("10.9.0.2", 0)).unwrap());
    voter.set_nonblocking(true).unwrap();
    let id = VoterId { address: "10.9.0.2".parse().unwrap(), port: voter.local_addr().unwrap().port() };
    let heard = || voter.recv(&mut [0; 9]).ok();
    let store = right.run(|| TcpListener::bind(("10.9.0.2", 0)).unwrap());
    let at = store.local_addr().unwrap();
    let clerk = thread::spawn(move || {
        let (mut asks, mut bytes) = (store.accept().unwrap().0, [0; 9]);
        let asked = asks.read(&mut bytes).unwrap();
        asks.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        (asked, store)
    });
    let words = |pleas: &[(VoterId, Vec<u8>)], posts: &[Vec<(SocketAddr, Vec<u8>)>]| {
        [
            word::anew(None, Path::new("/nowhere/locum.sock"), true),
            word::holds(1, &few, empty(), false),
            word::farewell(1, &will(Duration::from_millis(300), &[]), &BTreeMap::new(), &[]),
            word::holds(2, &few, empty(), false),
            word::holds(1, &all, once("made"), true),
            word::farewell(1, &will(Duration::from_millis(200), pleas), &BTreeMap::new(), posts),
            word::releases(2),
            b"\x07no word".to_vec(),
        ]
    };
    let (none, back): (&[_], &[_]) = (&[], &[(id, b"back".to_vec())]);
    let (unasked, posted) = (&[][..], &[vec![(at, b"free".to_vec()), (at, b"again".to_vec())]][..]);
    let cases = [
        (Install::Address, none, unasked),
        (Install::LocalRoute, none, unasked),
        (Install::Address, back, unasked),
        (Install::Address, none, posted),
    ];
    for (install, pleas, posts) in cases {
        let mut guardian = LastWill::default();
        held(&left, &all, install);
        left.ip("link add link eth0 name made type macvlan");
        assert_eq!(there(&left), all.len() + kept);
        let words = words(pleas, posts);
        let took = allocated(|| words.iter().for_each(|word| guardian.note(word)));
        assert_eq!(took, 0, "bytes allocated to keep the list");
        let took = left.run(|| allocated(|| guardian.carry_out()));
        assert_eq!(took, 0, "bytes allocated to carry it out");
        eventually("all of it is gone, and nothing else", || there(&left) == kept);
        assert!(left.show(&["link", "show"]).iter().all(|link| link["ifname"] != "made"));
        assert_eq!(heard(), pleas.first().map(|(_, bytes)| bytes.len()));
    }
    let (asked, store) = clerk.join().unwrap();
    store.set_nonblocking(true).unwrap();
    assert_eq!(
        (asked, store.accept().is_err()),
        (4, true),
        "one endpoint has answered, and no other is asked"
    );
    // What somebody else has put there stays, and with it the claim.
    left.ip("addr add 10.10.0.1/32 dev eth0");
    let mut guardian = LastWill::default();
    for word in words(back, posted) {
        guardian.note(&word);
    }
    left.run(|| guardian.carry_out());
    assert_eq!((there(&left), heard()), (kept + 1, None));
    assert!(store.accept().is_err());
    assert!(allocated(|| drop(vec![0_u8; 10])) >= 10, "what is allocated is counted");
    for address in ["10.10.1.1", "fd00:10::1"] {
        whoever_announces_an_address_has_it(address.parse().unwrap());
    }
}

/// However patient the guardian is.
fn whoever_announces_an_address_has_it(address: IpAddr) {
    let (left, right) = Namespace::pair();
    held_with(&left, &[address].into(), Install::Address, if address.is_ipv4() { 32 } else { 128 });
    let has_it = || left.addresses("eth0").iter().any(|it| it["local"] == address.to_string());
    assert!(has_it());
    let mut will = will(Duration::from_secs(3600), &[]);
    if address.is_ipv6() {
        will.farewell.truncate(1);
        for packet in &mut will.farewell {
            (packet.source, packet.destination) = ("fe80::1".parse().unwrap(), "ff02::12".parse().unwrap());
        }
    }
    let mut guardian = LastWill::default();
    guardian.note(&word::anew(None, Path::new("/nowhere/locum.sock"), true));
    guardian.note(&word::holds(1, &[address].into(), empty(), false));
    guardian.note(&word::farewell(1, &will, &BTreeMap::new(), &[]));
    let (done, is_done) = channel();
    let announcer = right.run(|| Announcer::open(if_nametoindex("eth0").unwrap()).unwrap());
    let neighbour = thread::spawn(move || {
        let frames = [frame([2, 0, 0, 0, 0, 2], address)];
        // Again and again: it may not be heard yet.
        while is_done.recv_timeout(Duration::from_millis(20)).is_err() {
            let _ = announcer.send(&frames);
        }
    });
    left.run(|| guardian.carry_out());
    assert!(!has_it(), "{address}");
    done.send(()).unwrap();
    neighbour.join().unwrap();
}
