//! What comes over the wire: adverts of every version and kind, to a whole agent; captures; netlink.

use crate::harness::Fuzz;
#[path = "../wire/invariants.rs"]
mod invariants;
use locum::agent::{Agent, Datagram, Effect, Input, Link, LinkAddress};
use locum::check::bfd_packet::{Packet, State};
use locum::check::bfd_session::{Session, Timing};
use locum::cli::pcap::{self, Network};
use locum::config::keepalived::{self, Options};
use locum::net::{announce, decoders};
use locum::time::Time;
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::packet::{Envelope, Expect, Reach};
use locum::vrrp::{Interval, Version, Vrid};
use serde_json::Value;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// Every packet of the conformance vectors.
fn packets() -> Vec<Vec<u8>> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/vectors.json"));
    let mut found = Vec::new();
    collect(&serde_json::from_str(&text.unwrap()).unwrap(), &mut found);
    assert!(found.len() > 20, "{} packets", found.len());
    found
}

/// Every string that is bytes in hexadecimal and long enough for an advert.
fn collect(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) if text.len() >= 16 && text.len() % 2 == 0 => {
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            found.extend(text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>());
        }
        Value::Array(all) => all.iter().for_each(|value| collect(value, found)),
        Value::Object(all) => all.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn any_packet_is_refused_or_reads_the_same_again() {
    let auth = Auth::Pass(Secret::new(*b"tops3cre"));
    Fuzz::new(packets(), &[]).run("packets", move |input| {
        for (version, source, group) in [
            (Version::V2, ip("192.0.2.1"), ip("224.0.0.18")),
            (Version::V3, ip("192.0.2.1"), ip("224.0.0.18")),
            (Version::V3, ip("fe80::1"), ip("ff02::12")),
        ] {
            let auth = if version == Version::V2 { &auth } else { &Auth::None };
            let expect = Expect {
                version,
                vrid: Vrid::new(51).unwrap(),
                interval: Interval::SECOND,
                owner: false,
                reach: Reach::Multicast(group),
                min_ttl: None,
                ttls: &[],
                auth,
                clock: None,
                addresses: &[],
                strict: false,
                bare: false,
                owner_ignores: false,
            };
            let addressed = Envelope { source, destination: group, ttl: None, ah: None, payload: &[] };
            invariants::hold(input, Some(255), &addressed, &expect);
        }
    });
}

#[test]
fn any_bfd_packet_is_refused_or_reads_the_same_again() {
    let seed = "20c003189fb205d64a2357dc000493e0000493e00000c350";
    let mut seeds = Vec::new();
    collect(&Value::String(seed.to_owned()), &mut seeds);
    Fuzz::new(seeds, &[]).run("bfd", |input| {
        let Ok(packet) = Packet::from_wire(input) else { return };
        assert_eq!(Packet::from_wire(&packet.to_wire()), Ok(packet));
        // And no session is brought out of step by it.
        let mut session = Session::new(Time::ZERO, 1, Timing::default());
        session.hear(Time::ZERO, &packet);
        let due = session.deadline().expect("it listens until the detection time is over");
        session.tick(due, 0.5);
        assert!(session.deadline().is_none_or(|next| next > due || session.state() == State::Down));
    });
}

/// An agent that speaks every dialect on one link.
fn agent(address: &str) -> Agent {
    let instance = |vrid: u8, lines: &str| {
        format!(
            "vrrp_instance r{vrid} {{\n interface eth0\n virtual_router_id {vrid}\n \
             virtual_ipaddress {{ 10.0.0.{vrid} }}\n{lines}\n}}\n"
        )
    };
    let auth = |kind| format!("version 2\n authentication {{\n auth_type {kind}\n auth_pass tops3cre\n }}");
    let signed = "version 3\n auth_hmac {\n key 1 0123456789abcdef0123456789abcdef\n active_key 1\n }";
    let text = instance(51, "version 2")
        + &instance(52, "version 3")
        + &instance(53, &auth("PASS"))
        + &instance(54, &auth("AH"))
        + &instance(55, signed);
    let options = Options { lenient: true, vrrp_only: true, config_id: None, all_files: false };
    let loaded =
        keepalived::parse(&text, Path::new("k.conf"), &options).unwrap_or_else(|all| panic!("{all}"));
    assert!(loaded.skipped.is_empty(), "{:?}", loaded.skipped);
    let (mut agent, _) = Agent::new(&loaded.config.agent, Time::ZERO);
    let address = LinkAddress { address: ip(address), prefix: 24, tentative: false, secondary: false };
    let link =
        Link { name: "eth0".to_owned(), index: 2, up: true, mac: None, mtu: 1500, addresses: vec![address] };
    for input in [Input::Link(link), Input::LinksReady, Input::Clock(Duration::from_secs(1_800_000_000))] {
        drop(agent.handle(Time::ZERO, input));
    }
    agent
}

/// What such an agent sends as Master, each in its IPv4 packet.
fn adverts() -> Vec<Vec<u8>> {
    let (mut agent, mut sent) = (agent("10.0.0.2"), Vec::new());
    while sent.len() < 5 {
        let (now, _) = agent.deadline().unwrap();
        for effect in agent.handle(now, Input::Tick) {
            let Effect::Send(datagram) = effect else { continue };
            let length = u16::try_from(20 + datagram.payload.len()).unwrap().to_be_bytes();
            let [high, low] = datagram.identification.to_be_bytes();
            let mut packet =
                vec![0x45, 0xc0, length[0], length[1], high, low, 0, 0, 255, datagram.protocol, 0, 0];
            packet.extend([10, 0, 0, 2, 224, 0, 0, 18]);
            let sum = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
            let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet.extend(datagram.payload);
            sent.push(packet);
        }
    }
    sent
}

fn hear(agent: &mut Agent, now: Time, packet: &[u8]) {
    drop(agent.handle(
        now,
        Input::Datagram(Datagram {
            interface: "eth0".into(),
            source: ip("10.0.0.2"),
            destination: ip("224.0.0.18"),
            ttl: Some(255),
            packet: packet.to_vec(),
        }),
    ));
}

#[test]
fn an_agent_survives_any_datagrams_in_a_row() {
    let (mut agent, mut now) = (agent("10.0.0.1"), Time::ZERO);
    let seeds = adverts();
    for seed in &seeds {
        hear(&mut agent, now, seed);
    }
    let heard: Vec<_> = agent.status(now).routers.iter().map(|router| router.instances[0].heard).collect();
    assert_eq!(heard, [1; 5], "the seeds are good ones");
    Fuzz::new(seeds, &["3", "4", "5", "6", "7"]).run("agent", move |input| {
        now = now + Duration::from_millis(37);
        hear(&mut agent, now, input);
        drop(agent.handle(now, Input::Tick));
        assert!(agent.deadline().is_none_or(|(at, _)| at > now));
        assert_eq!(agent.status(now).routers.len(), 5);
    });
}

/// A capture of these frames.
fn capture(frames: &[&[u8]]) -> Vec<u8> {
    let mut file =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        file.extend([[1, 0, 0, 0], [2, 0, 0, 0], length, length].concat());
        file.extend(*frame);
    }
    file
}

#[test]
fn any_capture_is_read_to_its_end() {
    let ethernet = |packet: &Vec<u8>| [&[1; 12][..], &[8, 0], packet].concat();
    let frames: Vec<_> = packets().iter().take(4).map(ethernet).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    Fuzz::new(vec![capture(&frames), capture(&[])], &[]).run("captures", |input| {
        let Ok(frames) = pcap::frames(input) else { return };
        let mut count = 0;
        for captured in frames {
            count += 1;
            let found = captured.ok().and_then(|captured| pcap::network(captured.link, captured.frame));
            if let Some(Network::Ipv4(packet) | Network::Ipv6(packet)) = found {
                assert!(packet.len() <= input.len());
            }
        }
        assert!(count <= input.len());
    });
}

#[test]
fn any_netlink_datagram_is_read_to_its_end() {
    // A link, an address and an answer, as a kernel of 64 bits and little end sends them.
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(16 + body.len()).unwrap().to_le_bytes();
        [&length[..], &[kind, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], body].concat()
    };
    let name = [9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0];
    let link = message(16, &[&[0; 4][..], &[2, 0, 0, 0, 0x43, 0, 1, 0, 0, 0, 0, 0], &name].concat());
    let address = message(20, &[&[2, 24, 0, 0, 2, 0, 0, 0, 8, 0, 2, 0, 10, 0, 0, 1][..], &name].concat());
    let answer = message(2, &[[0xef, 0xff, 0xff, 0xff], [20, 0, 0, 0]].concat());
    let all = [link.clone(), address.clone(), answer.clone()].concat();
    assert_eq!(decoders::netlink(&all), 3);
    Fuzz::new(vec![all, link, address, answer], &[]).run("netlink", |input| {
        assert!(decoders::netlink(input) <= input.len() / 16);
    });
}

#[test]
fn whatever_a_neighbour_says_is_read_to_its_end() {
    let packet = |address: &str| announce::frame([2, 0, 0, 0, 0, 1], address.parse().unwrap())[14..].to_vec();
    let (four, six) = (packet("10.0.0.100"), packet("fd00::100"));
    assert_eq!([&four, &six].map(|packet| decoders::neighbour(packet)), [[true, false], [false, true]]);
    Fuzz::new(vec![four, six], &[]).run("neighbour", |input| {
        let [arp, advertisement] = decoders::neighbour(input);
        assert!(!(arp && advertisement));
    });
}
