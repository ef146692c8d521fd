//! One simulated host: an agent, its kernel's addresses, and what is wrong with it at the moment.

use super::kernel::Leased;
use super::world::Arrival;
use crate::agent::config::Interface;
use crate::agent::{
    Agent, Config, InstanceId, Link, LinkAddress, Listen, Memory, Outgoing, Relay, RouterName, Standing,
    Subject, Ticket, Will,
};
use crate::health::CheckName;
use crate::time::Time;
use crate::vrrp::{Family, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// What the nodes' configurations have in common about one virtual router: its number and its
/// first family. Names may differ between hosts.
pub type Seat = (Vrid, Family);

/// One host.
#[derive(Debug)]
pub struct Node {
    /// Its name in traces.
    pub name: String,
    /// What its agent is configured to be.
    pub config: Config,
    /// Its interfaces.
    pub links: Vec<Link>,
    pub(super) agent: Option<Agent>,
    /// Counts processes, so that nothing meant for one reaches the next.
    pub(super) life: u32,
    pub(super) frozen: bool,
    pub(super) inbox: Vec<Arrival>,
    pub(super) listening: BTreeSet<Listen>,
    pub(super) held: BTreeMap<InstanceId, Held>,
    /// What instances were ordered to hold, whether they could or not.
    pub(super) ordered: BTreeMap<InstanceId, BTreeSet<IpAddr>>,
    /// Addresses that a crashed process left on the interface.
    pub(super) leftovers: BTreeSet<IpAddr>,
    /// What its kernel has, where never two may hold; and what processes left there that are no more.
    pub(super) leased: BTreeMap<InstanceId, Leased>,
    pub(super) orphans: Vec<Leased>,
    /// What its guardian has on its list.
    pub(super) wills: BTreeMap<InstanceId, Will>,
    pub(super) clock: Clock,
    /// What its process is called by the store.
    pub(super) session: u64,
    /// How many more attempts to hold addresses fail.
    pub(super) refusals: u32,
    pub(super) probes: BTreeMap<CheckName, u32>,
    pub(super) failing: BTreeSet<CheckName>,
    /// What checks that read a number read; 0 unless given.
    pub(super) numbers: BTreeMap<CheckName, Option<i32>>,
    /// The last advert to each receiver.
    pub(super) adverts: BTreeMap<(InstanceId, IpAddr), (Seat, Outgoing)>,
    pub(super) standing: BTreeMap<RouterName, Standing>,
    /// What the hooks of each router and group were told last.
    pub(super) told: BTreeMap<Subject, Standing>,
    pub(super) tickets: BTreeMap<Ticket, Time>,
    pub(super) stopping: Option<Time>,
    /// When each instance advertised last, while nothing disturbs its rhythm.
    pub(super) rhythm: BTreeMap<InstanceId, Time>,
    /// Until when a timer of an interval that is no longer configured may run.
    pub(super) retuned_until: Time,
    /// What was advertised last, by instance.
    pub(super) said: BTreeMap<InstanceId, u8>,
    /// For sabotage: every second time.
    pub(super) odd: bool,
    /// How far its wall clock is ahead of the slowest.
    pub(super) clock_ahead: Duration,
    /// What its processes asked to be remembered.
    pub(super) memory: Option<Memory>,
    /// What a process handed to the one that takes its place.
    pub(super) relay: Option<Box<Relay>>,
    pub(super) seats: BTreeMap<RouterName, Seat>,
    /// For sabotage: whom a Backup heard first.
    pub(super) followed: BTreeMap<Family, IpAddr>,
}

/// A host's own clock: all of its timers are its.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// By how many thousandths it is too fast.
    pub speed: i64,
}

impl Clock {
    /// What it reads now.
    pub fn reads(self, now: Time) -> Time {
        Time::from_nanos(scale(now.as_nanos(), 1000 + self.speed, 1000))
    }

    /// When it reads that: not before.
    pub fn when(self, reads: Time) -> Time {
        let at = Time::from_nanos(scale(reads.as_nanos(), 1000, 1000 + self.speed));
        if self.reads(at) < reads { at + Duration::from_nanos(1) } else { at }
    }
}

fn scale(nanos: u64, by: i64, of: i64) -> u64 {
    let scaled = i128::from(nanos) * i128::from(by) / i128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Addresses that an instance holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub seat: Seat,
    pub family: Family,
    pub addresses: BTreeSet<IpAddr>,
    /// Since when it has said farewell.
    pub leaving: Option<Time>,
}

impl Node {
    /// A host whose process does not run yet.
    #[must_use]
    pub fn new(name: impl Into<String>, config: Config, links: Vec<Link>) -> Self {
        let mut node = Node {
            name: name.into(),
            config: Config::default(),
            links,
            agent: None,
            life: 0,
            frozen: false,
            inbox: Vec::new(),
            listening: BTreeSet::new(),
            held: BTreeMap::new(),
            ordered: BTreeMap::new(),
            leftovers: BTreeSet::new(),
            leased: BTreeMap::new(),
            orphans: Vec::new(),
            wills: BTreeMap::new(),
            clock: Clock::default(),
            session: 0,
            refusals: 0,
            probes: BTreeMap::new(),
            failing: BTreeSet::new(),
            numbers: BTreeMap::new(),
            adverts: BTreeMap::new(),
            standing: BTreeMap::new(),
            told: BTreeMap::new(),
            tickets: BTreeMap::new(),
            stopping: None,
            rhythm: BTreeMap::new(),
            retuned_until: Time::ZERO,
            said: BTreeMap::new(),
            odd: false,
            followed: BTreeMap::new(),
            clock_ahead: Duration::ZERO,
            memory: None,
            relay: None,
            seats: BTreeMap::new(),
        };
        node.configure(config);
        node
    }

    /// Whether its process runs and is not frozen.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.agent.is_some() && !self.frozen
    }

    /// Whether it was last heard to be Master of `seat`.
    #[must_use]
    pub fn is_master(&self, seat: Seat) -> bool {
        self.agent.is_some() && self.standing_of(seat) == Some(Standing::Master)
    }

    /// Whether it is Master of `seat` and has not said farewell.
    #[must_use]
    pub(super) fn leads(&self, seat: Seat) -> bool {
        self.is_master(seat) && self.held.values().filter(|h| h.seat == seat).all(|h| h.leaving.is_none())
    }

    pub(super) fn standing_of(&self, seat: Seat) -> Option<Standing> {
        let (name, _) = self.seats.iter().find(|(_, other)| **other == seat)?;
        self.standing.get(name).copied()
    }

    /// Takes another configuration; the seats of routers that are no longer in it stay known.
    pub(super) fn configure(&mut self, config: Config) {
        self.seats.extend(config.routers.iter().filter_map(|r| Some((r.name.clone(), seat_of(r)?))));
        self.config = config;
    }

    pub(super) fn has_own(&self, address: IpAddr) -> bool {
        self.links.iter().any(|link| link.addresses.iter().any(|a| a.address == address))
    }

    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        self.links.iter().any(|link| link.up && link.addresses.iter().any(|a| a.address == address))
    }
}

/// The seat a router takes.
#[must_use]
pub fn seat_of(router: &crate::agent::config::Router) -> Option<Seat> {
    router.families().first().map(|family| (router.vrid, *family))
}

/// Interfaces for node number `place` that let every router of `config` take part.
#[must_use]
pub fn links_for(config: &Config, place: u8) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for router in &config.routers {
        let (name, network) = match &router.interface {
            Interface::Named(name) => (name.clone(), None),
            Interface::Subnet(network, _) => ("lan".to_owned(), Some(*network)),
        };
        let at = links.iter().position(|link| link.name == name).unwrap_or_else(|| {
            let addresses = defaults(place, network);
            links.push(link(name, place, addresses));
            links.len() - 1
        });
        for source in &router.sources {
            if !links[at].addresses.iter().any(|a| a.address == *source) {
                links[at].addresses.push(own(*source));
            }
        }
    }
    let devices = config.routers.iter().flat_map(|router| router.vips.iter().chain(&router.excluded));
    let devices = devices.filter_map(|vip| vip.dev.as_ref());
    for name in config.checks.iter().filter_map(|check| check.link.as_ref()).chain(devices) {
        if !links.iter().any(|link| link.name == *name) {
            links.push(link(name.clone(), place, Vec::new()));
        }
    }
    links
}

/// An interface that is up and has these addresses.
#[must_use]
pub fn link(name: impl Into<String>, place: u8, addresses: Vec<IpAddr>) -> Link {
    Link {
        name: name.into(),
        index: 2,
        up: true,
        mac: Some([2, 0, 0, 0, 0, place]),
        mtu: 1500,
        addresses: addresses.into_iter().map(own).collect(),
    }
}

fn defaults(place: u8, network: Option<IpAddr>) -> Vec<IpAddr> {
    let host = u32::from(place) + 1;
    let v4 = match network {
        Some(IpAddr::V4(network)) => Ipv4Addr::from_bits(network.to_bits().wrapping_add(host)),
        _ => Ipv4Addr::from_bits(0x0AFF_FF00 + host),
    };
    let v6 = Ipv6Addr::from_bits(0xFE80 << 112 | u128::from(host));
    let mut addresses = vec![IpAddr::V4(v4), IpAddr::V6(v6)];
    if let Some(IpAddr::V6(network)) = network {
        addresses.push(Ipv6Addr::from_bits(network.to_bits().wrapping_add(host.into())).into());
    }
    addresses
}

fn own(address: IpAddr) -> LinkAddress {
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    LinkAddress { address, prefix, tentative: false, secondary: false }
}
