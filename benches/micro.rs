//! What each step costs on the way of an advert, in and out, without the kernel: `cargo bench`.
//!
//! The numbers of the whole program beside keepalived are in `scripts/bench`. These tell which step
//! they come from, and that no step costs more with a thousand routers than with one.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use locum::agent::{Agent, Datagram, Effect, Input, Link, LinkAddress};
use locum::config::{self, Secrets};
use locum::net::raw_socket;
use locum::time::Time;
use locum::vrrp::announcing::Announcing;
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::hmac::{self, Key, Origin};
use locum::vrrp::instance::{self, Event, Instance, Manner};
use locum::vrrp::packet::{self, Envelope};
use locum::vrrp::sequence::{AntiReplay, Sequence};
use locum::vrrp::why::Why;
use locum::vrrp::{Advert, Checksum, ChecksumPolicy, Family, GROUP_V4, Interval, Priority, Version, Vrid};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::path::Path;
use std::time::Duration;

const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const SECOND: Duration = Duration::from_secs(1);
const INTERFACES: u32 = 4;
/// How many routers a host has.
const ROUTERS: [u32; 2] = [1, 1000];

fn main() {
    divan::main();
}

fn vrid(number: u8) -> Vrid {
    Vrid::new(number).expect("not zero")
}

fn advert(number: u8, priority: u8) -> Advert {
    Advert {
        version: Version::V3,
        vrid: vrid(number),
        priority: Priority::new(priority),
        interval: Interval::SECOND,
        addresses: [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100))].into(),
    }
}

fn payload(number: u8, priority: u8) -> Vec<u8> {
    packet::encode(&advert(number, priority), PEER, GROUP_V4.into(), Checksum::Pseudo, &Auth::None)
}

fn one() -> instance::Config {
    instance::Config {
        vrid: vrid(51),
        family: Family::Ipv4,
        version: Version::V3,
        priority: Priority::DEFAULT,
        interval: Interval::SECOND,
        preempt: true,
        addresses: advert(51, 100).addresses,
        peers: Vec::new(),
        group: Family::Ipv4.group(),
        min_ttl: None,
        ttls: Vec::new(),
        checksum: ChecksumPolicy::Auto,
        auth: Auth::None,
        strict: false,
        announce: Announcing::default(),
        farewells: 2,
        manner: Manner::default(),
    }
}

#[divan::bench]
fn packet_parse(bencher: Bencher) {
    let (payload, config) = (payload(51, 100), one());
    let envelope =
        Envelope { source: PEER, destination: GROUP_V4.into(), ttl: Some(255), ah: None, payload: &payload };
    assert!(packet::parse(&envelope, &config.expect(None)).is_ok());
    bencher.bench_local(|| packet::parse(black_box(&envelope), &config.expect(None)));
}

#[divan::bench]
fn packet_refuse_bad_checksum(bencher: Bencher) {
    let (mut payload, config) = (payload(51, 100), one());
    payload[6] ^= 1;
    let envelope =
        Envelope { source: PEER, destination: GROUP_V4.into(), ttl: Some(255), ah: None, payload: &payload };
    assert!(packet::parse(&envelope, &config.expect(None)).is_err());
    bencher.bench_local(|| packet::parse(black_box(&envelope), &config.expect(None)));
}

#[divan::bench]
fn packet_emit(bencher: Bencher) {
    let advert = advert(51, 100);
    bencher.bench_local(|| {
        packet::encode(black_box(&advert), OWN, GROUP_V4.into(), Checksum::Pseudo, &Auth::None)
    });
}

fn key() -> (Key, Origin) {
    let key = Key::new(NonZeroU8::MIN, Secret::new([7; 32])).expect("long enough");
    (key, Origin { source: PEER, version: Version::V3, vrid: vrid(51) })
}

#[divan::bench]
fn hmac_sign(bencher: Bencher) {
    let (message, (key, origin)) = (payload(51, 100), key());
    let sequence = Sequence::from_wire(1_u64.to_be_bytes());
    bencher.bench_local(|| hmac::sign(black_box(&message), origin, &key, sequence));
}

#[divan::bench]
fn hmac_verify(bencher: Bencher) {
    let (message, (key, origin)) = (payload(51, 100), key());
    let trailer = hmac::sign(&message, origin, &key, Sequence::from_wire(1_u64.to_be_bytes()));
    let (keys, mode) = ([key], AntiReplay::Monotonic);
    let verify = || hmac::verify(black_box(&message), &trailer, origin, &keys, mode, Duration::ZERO);
    assert!(verify().is_ok());
    bencher.bench_local(verify);
}

/// What the kernel runs for each packet: made anew when routers come or go.
#[divan::bench(args = [1, 255])]
fn filter_build(bencher: Bencher, routers: u8) {
    let vrids: Vec<_> = (1..=routers).map(vrid).collect();
    bencher.bench_local(|| raw_socket::filter(Family::Ipv4, locum::vrrp::PROTOCOL, true, black_box(&vrids)));
}

#[divan::bench]
fn instance_hears_its_master(bencher: Bencher) {
    let mut now = Time::ZERO;
    let mut instance = Instance::new(one(), now);
    drop(instance.handle(now, Event::Source(OWN)));
    drop(instance.handle(now, Event::Startup(Why::Started)));
    bencher.bench_local(|| {
        now = now + SECOND;
        let priority = Priority::new(200);
        instance.handle(now, Event::Heard { source: PEER, priority, interval: Interval::SECOND })
    });
}

#[divan::bench]
fn instance_ticks_as_master(bencher: Bencher) {
    let mut instance = Instance::new(one(), Time::ZERO);
    drop(instance.handle(Time::ZERO, Event::Source(OWN)));
    drop(instance.handle(Time::ZERO, Event::Startup(Why::Started)));
    bencher.bench_local(|| {
        let (due, _) = instance.deadline().expect("it takes part");
        instance.handle(due, Event::Tick)
    });
    assert!(instance.is_master());
}

/// The interface and the VRID of a router.
fn place(router: u32) -> (String, u8) {
    let vrid = u8::try_from(router / INTERFACES + 1).expect("at most 255 on an interface");
    (format!("eth{}", router % INTERFACES), vrid)
}

/// A host whose routers have just started.
fn host(routers: u32) -> Agent {
    let mut text = String::new();
    for router in 0..routers {
        let (interface, vrid) = place(router);
        // Priorities apart, and with them the moments of the adverts.
        let (priority, address) = (router % 199 + 1, Ipv4Addr::from(0x0a01_0000 + router));
        let section = format!(
            "[router.r{router}]\ninterface = \"{interface}\"\nvrid = {vrid}\npriority = {priority}\n\
             interval = \"1s\"\naddresses = [\"{address}\"]\n"
        );
        text.write_str(&section).expect("memory");
    }
    let config =
        config::parse(&text, Path::new("bench.toml"), Secrets::MustRead).expect("a good file").config;
    let (mut agent, _) = Agent::new(&config.agent, Time::ZERO);
    for index in 1..=INTERFACES {
        let own = LinkAddress { address: OWN, prefix: 24, tentative: false, secondary: false };
        let (name, mac) = (format!("eth{}", index - 1), Some([2, 0, 0, 0, 0, 1]));
        let link = Link { name, index, up: true, mac, mtu: 1500, addresses: vec![own] };
        drop(agent.handle(Time::ZERO, Input::Link(link)));
    }
    drop(agent.handle(Time::ZERO, Input::LinksReady));
    agent
}

/// Ticks until then. Returns how many adverts went out.
fn run(agent: &mut Agent, until: Time) -> usize {
    let mut sent = 0;
    while let Some((due, _)) = agent.deadline().filter(|(due, _)| *due <= until) {
        for effect in agent.handle(due, Input::Tick) {
            match effect {
                Effect::Send(_) => sent += 1,
                Effect::Hold { instance, .. } => {
                    drop(agent.handle(due, Input::Held { instance, result: Ok(()) }));
                }
                _ => {}
            }
        }
    }
    sent
}

fn datagram(router: u32, priority: u8, spoil: u8) -> Datagram {
    let (interface, number) = place(router);
    let mut payload = payload(number, priority);
    payload[6] ^= spoil;
    let length = u8::try_from(20 + payload.len()).expect("short");
    let mut packet = vec![0x45, 0xc0, 0, length, 0, 0, 0, 0, 255, 112, 0, 0, 10, 0, 0, 2, 224, 0, 0, 18];
    let words = packet.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum = words.sum::<u32>();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("one carry");
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    let interface = interface.as_str().into();
    Datagram { interface, source: PEER, destination: GROUP_V4.into(), ttl: Some(255), packet }
}

/// An advert comes in at a Backup, and the next deadline is asked for.
#[divan::bench(args = ROUTERS, sample_size = 1000)]
fn agent_hears_an_advert(bencher: Bencher, routers: u32) {
    give(bencher, routers, 0);
}

/// The same with a wrong checksum.
#[divan::bench(args = ROUTERS, sample_size = 1000)]
fn agent_refuses_an_advert(bencher: Bencher, routers: u32) {
    give(bencher, routers, 1);
}

fn give(bencher: Bencher, routers: u32, spoil: u8) {
    let (mut agent, datagram) = (host(routers), datagram(routers / 2, 250, spoil));
    let mut now = Time::ZERO;
    if routers == 1 {
        let before = agent.due_at();
        now = now + Duration::from_micros(1);
        drop(agent.handle(now, Input::Datagram(datagram.clone())));
        assert_eq!(
            agent.due_at() > before,
            spoil == 0,
            "an advert puts off the deadline, and a bad one does not"
        );
    }
    bencher.bench_local(|| {
        // So little that no other router is overdue at the end: with one that is, all are looked at.
        now = now + Duration::from_micros(1);
        let effects = agent.handle(now, Input::Datagram(datagram.clone()));
        (effects, agent.deadline())
    });
}

/// A second of a host that is Master of all its routers: divide by their number for one advert.
#[divan::bench(args = ROUTERS)]
fn agent_ticks_for_a_second(bencher: Bencher, routers: u32) {
    let mut agent = host(routers);
    let mut now = Time::ZERO + 10 * SECOND;
    run(&mut agent, now);
    bencher.counter(ItemsCount::new(routers)).bench_local(|| {
        now = now + SECOND;
        run(&mut agent, now)
    });
    let sent = run(&mut agent, now + 10 * SECOND);
    assert!(sent >= routers as usize * 9, "{sent} adverts in ten seconds");
}
