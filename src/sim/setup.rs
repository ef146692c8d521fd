//! Random configurations: how many nodes, which routers, which addresses. All of them are such that
//! `config` would let them through.

use super::node::{Node, link, links_for};
use super::rng::Rng;
use crate::agent::config::{Claims, Group, GroupName, Interface, Router, Store, Vote};
use crate::agent::damping::Damping;
use crate::agent::{Config, Install, Link, RouterName, SecondPath, VirtualInterface, VirtualMac};
use crate::claim::quorum::Quorum;
use crate::claim::{Ttl, VoterId, etcd};
use crate::health::{self, CheckName, Initial, OnFail, Track};
use crate::vrrp::announcing::Announcing;
use crate::vrrp::auth::{Auth, Secret};
use crate::vrrp::config::Manner;
use crate::vrrp::hmac::{Key, Keyring, Mode};
use crate::vrrp::sequence::AntiReplay;
use crate::vrrp::{ChecksumPolicy, Family, Interval, Priority, Version, Vip, Vrid};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

/// The nodes of a run with given configurations: each has the addresses its routers need, and those that the
/// others name it by.
pub(super) fn given(configs: &[Config]) -> Vec<Node> {
    let node = |(place, config): (usize, &Config)| {
        let place = u8::try_from(place).unwrap_or(u8::MAX);
        let mut links = links_for(config, place);
        // By which it is known to the others, and not the others to it.
        let only = |named: &dyn Fn(&Config) -> Vec<IpAddr>| -> Vec<IpAddr> {
            let others = configs.iter().enumerate().filter(|(other, _)| *other != usize::from(place));
            let own = named(config);
            others.flat_map(|(_, other)| named(other)).filter(|ip| !own.contains(ip)).collect()
        };
        let here = only(&|config| {
            let by_peers = config.routers.iter().flat_map(|router| router.peers.iter().copied());
            by_peers.chain(paths(config).flat_map(|path| path.peers.keys().copied())).collect()
        });
        for ip in here.iter().rev() {
            for link in &mut links {
                link.addresses.retain(|known| known.address != *ip);
                let first = super::node::link("", 0, vec![*ip]).addresses;
                link.addresses.splice(0..0, first);
            }
        }
        let there = only(&|config| paths(config).flat_map(|path| path.peers.values().copied()).collect());
        for path in paths(config) {
            if !links.iter().any(|link| link.name == path.interface) {
                links.push(second_link(&path.interface, place, there.clone()));
            }
        }
        Node::new(format!("n{}", place + 1), config.clone(), links)
    };
    configs.iter().enumerate().map(node).collect()
}

fn paths(config: &Config) -> impl Iterator<Item = &SecondPath> {
    config.routers.iter().filter_map(|router| router.second_path.as_ref())
}

/// Whether any of them has a second path.
pub(super) fn has_second_path(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| paths(&node.config).next().is_some())
}

/// The interface to the second network.
fn second_link(name: &str, place: u8, addresses: Vec<IpAddr>) -> Link {
    Link { index: 3, mac: Some([2, 0, 0, 0, 1, place]), ..link(name, place, addresses) }
}

/// The nodes of a random run.
pub(super) fn random(rng: &mut Rng) -> Vec<Node> {
    let count = rng.pick(&[2, 2, 3, 3, 3, 4, 5]);
    let v4 = distinct(rng, count);
    let v6 = distinct(rng, count);
    let addresses: Vec<[IpAddr; 2]> = (0..count)
        .map(|n| {
            let v4 = Ipv4Addr::new(10, 0, 0, v4[n]);
            [v4.into(), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, v6[n].into()).into()]
        })
        .collect();
    let mut configs = vec![Config::default(); count];
    let routers = if rng.chance(700) { 1 } else { 2 };
    let check = health::Config {
        name: CheckName("web".into()),
        rise: 2,
        fall: 2,
        initial: Initial::Pending,
        inverse: false,
        fingerprint: 1,
        link: None,
    };
    let on_fail =
        rng.pick(&[None, None, Some(OnFail::Fault), Some(OnFail::Weight(-30)), Some(OnFail::Weight(20))]);
    let grouped = routers > 1 && rng.chance(400);
    let mut priorities = random_priorities(rng, count);
    for place in 0..routers {
        let shared = Shared::random(rng, place);
        if !grouped {
            priorities = random_priorities(rng, count);
        }
        for (n, config) in configs.iter_mut().enumerate() {
            let mut router = shared.router(rng, priorities[n]);
            if shared.unicast {
                let families = router.families();
                let others = addresses.iter().enumerate().filter(|(other, _)| *other != n);
                let peers = others.flat_map(|(_, pair)| *pair);
                router.peers = peers.filter(|peer| families.contains(&Family::of(*peer))).collect();
            }
            if let Some(on_fail) = on_fail {
                router.tracks.push(Track { check: check.name.clone(), on_fail });
                config.checks = vec![check.clone()];
            }
            config.routers.push(router);
        }
    }
    if grouped {
        for config in &mut configs {
            let routers = config.routers.iter().map(|router| router.name.clone()).collect();
            config.groups =
                vec![Group { name: GroupName("both".into()), routers, tracks: Vec::new(), fingerprint: 0 }];
        }
    }
    let node = |(n, config): (usize, Config)| {
        let place = u8::try_from(n).unwrap_or(u8::MAX);
        Node::new(format!("n{}", n + 1), config, vec![link("eth0", place, addresses[n].to_vec())])
    };
    configs.into_iter().enumerate().map(node).collect()
}

/// The nodes of a random run under a quorum: two that want to hold, or three, and a witness where they are two.
pub(super) fn voting(rng: &mut Rng) -> Vec<Node> {
    let mut nodes = random(rng);
    nodes.truncate(rng.pick(&[2, 2, 2, 3]));
    let quorum = rng.pick(&[Quorum::Require, Quorum::Require, Quorum::Require, Quorum::Prefer]);
    let interval = rng.pick(&[60, 100, 100]);
    let interval = Interval::from_centiseconds(interval).unwrap_or(Interval::SECOND);
    let id = |host: usize| {
        let host = u8::try_from(host).unwrap_or(u8::MAX);
        VoterId { address: Ipv4Addr::new(10, 1, 0, host).into(), port: 5112 }
    };
    let voters: Vec<VoterId> = (0..nodes.len().max(3)).map(id).collect();
    let count = nodes.len();
    for (place, node) in nodes.iter_mut().enumerate() {
        let mut config = node.config.clone();
        let others = voters.iter().copied().filter(|voter| *voter != id(place)).collect();
        let witness = (count < voters.len()).then(|| voters[count]);
        let longest = Ttl::of_interval(Duration::from_secs(1));
        let vote = Vote { own: id(place), others, witness, key: Secret::new([7; 32]), longest };
        let claims = Claims::Vote(vote);
        for router in &mut config.routers {
            router.interval = if router.version == Version::V2 { Interval::SECOND } else { interval };
            router.quorum = quorum;
            router.manner.lone_backup = claims.has_one_rival();
            router.manner.lease = Some(router.interval.lease(router.manner.down_adverts));
            if router.priority.is_owner() {
                router.priority = Priority::DEFAULT;
            }
        }
        config.claims = Some(claims);
        node.configure(config);
    }
    nodes
}

/// All hosts are on a second network as well, and every router's adverts take it too.
pub(super) fn second_network(nodes: &mut [Node]) {
    let there = |place: u8, family| -> IpAddr {
        let host = place.saturating_add(1);
        match family {
            Family::Ipv4 => Ipv4Addr::new(10, 1, 0, host).into(),
            Family::Ipv6 => Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, host.into()).into(),
        }
    };
    let hosts: Vec<(u8, Vec<IpAddr>)> = (0..)
        .zip(nodes.iter())
        .map(|(place, node)| (place, node.links[0].addresses.iter().map(|own| own.address).collect()))
        .collect();
    for (own, node) in (0..).zip(nodes) {
        let mut config = node.config.clone();
        for router in &mut config.routers {
            let families = router.families();
            let others = hosts.iter().filter(|(place, _)| *place != own);
            let pairs = others.flat_map(|(place, known)| {
                known.iter().map(|known| (*known, there(*place, Family::of(*known))))
            });
            let peers = pairs.filter(|(known, _)| families.contains(&Family::of(*known))).collect();
            router.second_path = Some(SecondPath { interface: "eth1".to_owned(), peers });
        }
        node.configure(config);
        let addresses = [Family::Ipv4, Family::Ipv6].map(|family| there(own, family));
        node.links.push(second_link("eth1", own, addresses.to_vec()));
    }
}

/// Whoever fails too often as Master takes nothing back for a while.
pub(super) fn damp(rng: &mut Rng, nodes: &mut [Node]) {
    let failures = rng.pick(&[2, 3]);
    let (within, pause) = (Duration::from_mins(10), Duration::from_mins(1));
    let hold = Duration::from_secs(rng.pick(&[0, 0, 5, 20]));
    let damping = Damping { failures, within, pause, hold };
    for node in nodes {
        let mut config = node.config.clone();
        config.routers.iter_mut().for_each(|router| router.damping = Some(damping));
        node.configure(config);
    }
}

/// An etcd takes the voters' place.
pub(super) fn ask_a_store(nodes: &mut [Node]) {
    let Some(ttl) = Ttl::from_millis(etcd::LEAST * 1000) else { return };
    for node in nodes {
        let mut config = node.config.clone();
        config.claims =
            Some(Claims::Store(Store { endpoints: vec!["etcd".into()], prefix: "/".into(), ttl }));
        config.routers.iter_mut().for_each(|router| router.manner.lone_backup = false);
        node.configure(config);
    }
}

/// What all nodes agree on about one router.
struct Shared {
    place: u8,
    version: Version,
    families: &'static [Family],
    interval: u16,
    /// Each node has an interval of its own.
    intervals_differ: bool,
    preempt: Option<bool>,
    unicast: bool,
    auth: Auth,
    manner: Manner,
}

impl Shared {
    fn random(rng: &mut Rng, place: u8) -> Self {
        let version = if rng.chance(200) { Version::V2 } else { Version::V3 };
        let families: &[Family] = match version {
            Version::V2 => &[Family::Ipv4],
            Version::V3 => rng.pick(&[&[Family::Ipv4][..], &[Family::Ipv6], &[Family::Ipv4, Family::Ipv6]]),
        };
        Shared {
            place,
            version,
            families,
            interval: match version {
                Version::V2 => rng.pick(&[100, 100, 200]),
                Version::V3 => rng.pick(&[10, 20, 50, 100, 100]),
            },
            intervals_differ: version == Version::V3 && rng.chance(100),
            preempt: rng.pick(&[Some(true), Some(true), Some(true), Some(true), Some(false), None]),
            unicast: rng.chance(250),
            manner: manner(rng),
            auth: auth(rng, version),
        }
    }

    fn router(&self, rng: &mut Rng, priority: Priority) -> Router {
        let centiseconds = if self.intervals_differ { rng.pick(&[10, 50, 100]) } else { self.interval };
        let number = Vrid::new(self.place + 1).expect("not zero");
        Router {
            version: self.version,
            priority,
            interval: Interval::from_centiseconds(centiseconds).unwrap_or(Interval::SECOND),
            preempt: self.preempt.unwrap_or_else(|| rng.chance(500)),
            vips: self.families.iter().map(|family| vip(*family, self.place, 0)).collect(),
            checksum: rng.pick(&[ChecksumPolicy::Auto, ChecksumPolicy::Pseudo, ChecksumPolicy::Rfc9568]),
            auth: self.auth.clone(),
            manner: Manner { answer_losing: self.version == Version::V3, ..self.manner.clone() },
            ..plain(RouterName(format!("r{}", self.place).into()), "eth0", number)
        }
    }
}

/// A router that holds nothing, and has nothing that it need not have.
pub(super) fn plain(name: RouterName, interface: &str, vrid: Vrid) -> Router {
    Router {
        name,
        interface: Interface::Named(interface.to_owned()),
        vrid,
        version: Version::V3,
        priority: Priority::DEFAULT,
        interval: Interval::SECOND,
        preempt: true,
        vips: Vec::new(),
        peers: Vec::new(),
        sources: Vec::new(),
        min_ttl: None,
        ttls: Vec::new(),
        checksum: ChecksumPolicy::Pseudo,
        auth: Auth::None,
        strict: false,
        announce: Announcing::default(),
        manner: Manner::default(),
        excluded: Vec::new(),
        named: Vec::new(),
        ignore_link: false,
        routes: Vec::new(),
        rules: Vec::new(),
        install: Install::Address,
        virtual_mac: VirtualMac::Off,
        virtual_interface: VirtualInterface::default(),
        adverts_from_base: false,
        groups: Vec::new(),
        family: None,
        ttl: 255,
        accept: true,
        close_connections: true,
        drain_ports: BTreeSet::new(),
        second_path: None,
        quorum: Quorum::Off,
        damping: None,
        tracks: Vec::new(),
        barred: None,
        fingerprint: 0,
    }
}

fn auth(rng: &mut Rng, version: Version) -> Auth {
    let secret = Secret::new(*b"secret");
    match (version, rng.below(6)) {
        (Version::V2, 0) => Auth::Ah(secret),
        (Version::V2, 1 | 2) => Auth::Pass(secret),
        (_, 5) => first_key(rng.pick(&[AntiReplay::Time(30), AntiReplay::Monotonic])),
        _ => Auth::None,
    }
}

/// The key that all have at first.
pub(super) fn first_key(anti_replay: AntiReplay) -> Auth {
    let key = Key::new(NonZeroU8::MIN, Secret::new([7; 32]));
    let keys = key.and_then(|key| Keyring::new(vec![key], NonZeroU8::MIN, anti_replay, Mode::Enforce));
    keys.map_or(Auth::None, Auth::Hmac)
}

/// Mostly the RFC's manner.
fn manner(rng: &mut Rng) -> Manner {
    let usual = Manner::default();
    match rng.below(20) {
        0 => Manner { down_adverts: 2, ..usual },
        1 => Manner { down_adverts: 5, ..usual },
        2 => Manner { preempt_delay: Duration::from_secs(1), ..usual },
        3 => Manner { parting_advert: true, ..usual },
        4 => Manner { eager: true, ..usual },
        _ => usual,
    }
}

/// Virtual address number `extra` of router `place`.
pub(super) fn vip(family: Family, place: u8, extra: u8) -> Vip {
    let host = 200 + u16::from(place) * 10 + u16::from(extra);
    match family {
        Family::Ipv4 => Vip::new(Ipv4Addr::from_bits(0x0A00_0000 + u32::from(host)).into(), 32),
        Family::Ipv6 => {
            let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host).into();
            Vip::new(address, 128)
        }
    }
}

/// Different numbers in 1..=199, in no order.
fn distinct(rng: &mut Rng, count: usize) -> Vec<u8> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let number = u8::try_from(rng.between(1, 199)).unwrap_or(1);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

/// Mostly different priorities; sometimes equal ones, neighbours, or an owner.
fn random_priorities(rng: &mut Rng, count: usize) -> Vec<Priority> {
    let mut priorities: Vec<u8> = match rng.below(10) {
        0 | 1 => vec![100; count],
        2 => (0..count).map(|n| 100 + u8::try_from(n).unwrap_or(0)).collect(),
        _ => distinct(rng, count),
    };
    if rng.chance(100) {
        let owner = rng.below(count);
        priorities[owner] = 255;
    }
    priorities.into_iter().map(|p| Priority::new(p).unwrap_or(Priority::DEFAULT)).collect()
}
