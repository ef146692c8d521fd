//! What the agent is configured to be: names and rules, never hosts, commands or passwords (but for
//! the VRRP key itself, since checking a packet is protocol).

use super::damping::Damping;
use super::holding::{Holding, Install, VirtualInterface, VirtualMac, Vmac, can_be_leased, is_crowd};
use super::route::{Route, Rule};
use super::second_path::SecondPath;
use super::transition::RouterName;
use crate::claim::quorum::Quorum;
use crate::claim::{Ttl, VoterId};
use crate::health::{self, Track};
use crate::vrrp::announcing::Announcing;
use crate::vrrp::auth::{Auth, Secret};
use crate::vrrp::instance::{self, Manner};
use crate::vrrp::{AddressFlag, ChecksumPolicy, Family, Interval, Priority, Version, Vip, Vrid};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Everything the agent decides by. Built by `config`, which lets no wrong value in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The routers, in the order of the file. Names are unique. Those of one interface, family and VRID hear
    /// other peers each.
    pub routers: Vec<Router>,
    /// The checks that routers track, in the order of the file.
    pub checks: Vec<health::Config>,
    /// Routers that share one role. A router is in one group at most.
    pub groups: Vec<Group>,
    /// How long after the start no router takes part.
    pub start_delay: Duration,
    /// Interfaces whose changes of carrier are waited out.
    pub link_delays: BTreeMap<String, LinkDelay>,
    /// What is held from start to end, whatever the state of the routers; its addresses are own ones.
    pub fixed: Holding,
    /// Where announcements keep a distance. An interface is in one at most, and one at most is for all
    /// that none names.
    pub paces: Vec<Pace>,
    /// Who grants the claims that routers under a quorum need.
    pub claims: Option<Claims>,
}

/// Who grants claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claims {
    /// A majority of these.
    Vote(Vote),
    /// An etcd.
    Store(Store),
}

/// The vote: who this node is in it, who else has one, and by what key they know each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Where this node votes.
    pub own: VoterId,
    /// The other voters, a witness among them.
    pub others: Vec<VoterId>,
    /// Which of them only votes, if one does.
    pub witness: Option<VoterId>,
    /// The key that all share, of at least 32 bytes.
    pub key: Secret,
    /// For how long this node grants at most, whatever its own routers ask for: it is silent for as long after its
    /// start, since in its earlier life it granted for no longer.
    pub longest: Ttl,
}

/// An etcd that grants claims. How it is reached is the doers' business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// What its endpoints are called.
    pub endpoints: Vec<Arc<str>>,
    /// What every key begins with.
    pub prefix: Arc<str>,
    /// For how long it grants at least; in whole seconds.
    pub ttl: Ttl,
}

impl Claims {
    /// Whether only one other node can hold, as far as is known.
    #[must_use]
    pub fn has_one_rival(&self) -> bool {
        match self {
            Claims::Vote(Vote { others, witness, .. }) => {
                others.iter().filter(|other| Some(**other) != *witness).count() == 1
            }
            Claims::Store(_) => false,
        }
    }

    /// For how long a router of this interval asks.
    #[must_use]
    pub fn ttl(&self, interval: Duration) -> Ttl {
        let usual = Ttl::of_interval(interval);
        match self {
            Claims::Vote(_) => usual,
            Claims::Store(store) => store.ttl.max(usual.in_seconds()),
        }
    }
}

/// The distance between announcements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// On these interfaces together; where empty, on every interface that no other names by itself.
    pub interfaces: BTreeSet<String>,
    /// After a gratuitous ARP.
    pub arp: Duration,
    /// After an unsolicited neighbour advertisement.
    pub na: Duration,
}

/// How long a change of carrier must last before it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkDelay {
    /// When it went.
    pub down: Duration,
    /// When it came.
    pub up: Duration,
}

/// The name of a group of routers, as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupName(pub Arc<str>);

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Config {
    /// What a router tracks by itself, without what its group tracks.
    pub fn own_tracks<'a>(&'a self, router: &'a Router) -> impl Iterator<Item = &'a Track> {
        let group = self.groups.iter().find(|group| group.routers.contains(&router.name));
        let shared = group.map_or(&[][..], |group| &group.tracks);
        router.tracks.iter().filter(move |track| !shared.contains(track))
    }
}

/// Routers that share one role: all of them Master, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Its routers; each exists.
    pub routers: Vec<RouterName>,
    /// What they track together; it stands among what each tracks as well.
    pub tracks: Vec<Track>,
    /// Changes whenever its hooks change.
    pub fingerprint: u64,
}

/// One router: its addresses of one or both families, and what decides where they are.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its name.
    pub name: RouterName,
    /// The interface its adverts use.
    pub interface: Interface,
    /// The virtual router's number, the same in both families.
    pub vrid: Vrid,
    /// The protocol version. Version 2 has IPv4 addresses only.
    pub version: Version,
    /// The priority without any tracking.
    pub priority: Priority,
    /// How often the Master advertises. Fits the version.
    pub interval: Interval,
    /// Whether it takes over from a Master of lower priority.
    pub preempt: bool,
    /// The addresses to hold and to advertise.
    pub vips: Vec<Vip>,
    /// The family of the election where no address is advertised; then not `None`.
    pub family: Option<Family>,
    /// Addresses to hold as well, of any family, that adverts do not name.
    pub excluded: Vec<Vip>,
    /// Addresses that adverts name besides, and that this router does not hold.
    pub named: Vec<IpAddr>,
    /// Routes to hold with the addresses.
    pub routes: Vec<Route>,
    /// Rules to hold with the addresses.
    pub rules: Vec<Rule>,
    /// How it holds its addresses; local routes are for IPv4 alone, without a virtual MAC address.
    pub install: Install,
    /// Which addresses to hold on an interface with the virtual MAC address (RFC 9568 section 7.3).
    pub virtual_mac: VirtualMac,
    /// How their interfaces are made; with a name it has addresses of one family.
    pub virtual_interface: VirtualInterface,
    /// Adverts leave with the interface's own MAC address nevertheless.
    pub adverts_from_base: bool,
    /// Answer on the addresses though this host does not own them (`Accept_Mode`, section 6.1).
    pub accept: bool,
    /// End the TCP connections of addresses before they go, so that the other ends notice.
    pub close_connections: bool,
    /// TCP ports of the addresses that take no new connections from the moment on that these go.
    pub drain_ports: BTreeSet<u16>,
    /// Whether holding needs the claim that a majority of the voters gives.
    pub quorum: Quorum,
    /// Take part whatever the state of the interface.
    pub ignore_link: bool,
    /// Unicast peers of both families; empty for multicast.
    pub peers: Vec<IpAddr>,
    /// The multicast groups of its adverts where they are not the usual ones, at most one a family.
    pub groups: Vec<IpAddr>,
    /// Another way to the other hosts, which adverts take as well.
    pub second_path: Option<SecondPath>,
    /// The addresses to send adverts from, at most one a family; the interface's first otherwise.
    pub sources: Vec<IpAddr>,
    /// The TTL or hop limit of adverts by unicast, 1..=255; by multicast it is 255.
    pub ttl: u8,
    /// The smallest TTL accepted; see [`instance::Config::min_ttl`].
    pub min_ttl: Option<u8>,
    /// The TTLs accepted of one peer, where it has its own.
    pub ttls: Vec<(IpAddr, RangeInclusive<u8>)>,
    /// The checksum sent, version 3 over IPv4.
    pub checksum: ChecksumPolicy,
    /// Authentication, version 2.
    pub auth: Auth,
    /// Refuse what only errata forbid.
    pub strict: bool,
    /// What the RFCs leave open.
    pub manner: Manner,
    /// When to announce the addresses.
    pub announce: Announcing,
    /// What follows where it fails too often; nothing where `None`.
    pub damping: Option<Damping>,
    /// The checks it tracks.
    pub tracks: Vec<Track>,
    /// Why it must not take part at all: an unreadable secret. One line for people.
    pub barred: Option<String>,
    /// Changes whenever its hooks change.
    pub fingerprint: u64,
}

/// How a router's interface is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// By its name.
    Named(String),
    /// The first interface, by index, that has an own address in this subnet.
    Subnet(IpAddr, u8),
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interface::Named(name) => f.write_str(name),
            Interface::Subnet(network, prefix) => write!(f, "with an address in {network}/{prefix}"),
        }
    }
}

impl Router {
    /// The families of its addresses, IPv4 first: one instance each.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .filter(|family| self.vips.iter().any(|vip| Family::of(vip.address) == *family))
            .chain(self.family.filter(|_| self.vips.is_empty()))
            .collect()
    }

    /// Whether both have instances of the same number and family.
    #[must_use]
    pub fn shares_number_with(&self, other: &Router) -> bool {
        let theirs = other.families();
        self.vrid == other.vrid && self.families().iter().any(|family| theirs.contains(family))
    }

    /// The multicast group of its adverts of `family`.
    #[must_use]
    pub fn group(&self, family: Family) -> IpAddr {
        self.groups
            .iter()
            .copied()
            .find(|group| Family::of(*group) == family)
            .unwrap_or_else(|| family.group())
    }

    /// Whether there are adverts, of their number and on their interface, that both would believe: all of a
    /// group, or those of a peer that both have.
    #[must_use]
    pub fn hears_same_as(&self, other: &Router) -> bool {
        match (self.peers.is_empty(), other.peers.is_empty()) {
            (true, true) => {
                let theirs = other.families();
                let mut ours = self.families().into_iter();
                ours.any(|family| theirs.contains(&family) && self.group(family) == other.group(family))
            }
            (false, false) => self.peers.iter().any(|peer| other.peers.contains(peer)),
            _ => false,
        }
    }

    /// The longest a stopping Master keeps answering: until every Backup's skew is over. Never less than that of
    /// the default interval: who preempts has not learned ours.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let slack = Duration::from_millis(500);
        match self.version {
            Version::V2 => Duration::from_secs(1) + slack,
            Version::V3 => {
                (self.interval.max(Interval::SECOND).duration() + slack).min(Duration::from_secs(5))
            }
        }
    }

    /// Whether it may have this priority: an owner asks no voters.
    #[must_use]
    pub fn may_have(&self, priority: Priority) -> bool {
        self.quorum == Quorum::Off || !priority.is_owner()
    }

    /// Whether its second path leads to one other host alone.
    fn has_one_rival(&self, family: Family) -> bool {
        self.second_path.as_ref().is_some_and(|second| second.peers_of(family).count() == 1)
    }

    /// The addresses of `family` that it advertises.
    pub fn vips_of(&self, family: Family) -> impl Iterator<Item = &Vip> {
        self.vips.iter().filter(move |vip| Family::of(vip.address) == family)
    }

    /// What its adverts of `family` name.
    pub fn named_of(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        let besides = self.named.iter().copied().filter(move |address| Family::of(*address) == family);
        self.vips_of(family).map(|vip| vip.address).chain(besides)
    }

    /// How long the kernel keeps this address of a process that does nothing; `None` for ever.
    #[must_use]
    pub fn lease_of(&self, vip: &Vip) -> Option<Duration> {
        let is_crowd = || is_crowd(self.all_vips());
        self.manner.lease.filter(|_| can_be_leased(vip.address, vip.prefix, self.install, is_crowd))
    }

    /// The same of what the instance of `family` holds; `None` where none of it goes by itself.
    #[must_use]
    pub fn lease(&self, family: Family) -> Option<Duration> {
        let is_crowd = is_crowd(self.all_vips());
        let leased = |vip: &Vip| can_be_leased(vip.address, vip.prefix, self.install, || is_crowd);
        self.manner.lease.filter(|_| self.held_by(family).any(leased))
    }

    /// Every address that it holds.
    pub fn all_vips(&self) -> impl Iterator<Item = &Vip> {
        self.vips.iter().chain(&self.excluded)
    }

    /// Whether an interface of it has one.
    #[must_use]
    pub fn has_virtual_mac(&self) -> bool {
        let itself = |vip: &Vip| vip.has(AddressFlag::VirtualMac);
        self.virtual_mac != VirtualMac::Off || self.all_vips().any(itself)
    }

    /// The MAC address of its interfaces that have a virtual one.
    #[must_use]
    pub fn mac(&self, family: Family) -> [u8; 6] {
        self.virtual_interface.mac.unwrap_or_else(|| self.vrid.mac(family))
    }

    /// Whether what is of a family goes with the instance of `family`: its own, or the first where that has none.
    fn goes_with(&self, family: Family) -> impl Fn(Family) -> bool {
        let families = self.families();
        move |own| {
            let host = if families.contains(&own) { Some(own) } else { families.first().copied() };
            host == Some(family)
        }
    }

    /// All addresses that the instance of `family` holds.
    pub fn held_by(&self, family: Family) -> impl Iterator<Item = &Vip> {
        let with = self.goes_with(family);
        self.vips_of(family).chain(self.excluded.iter().filter(move |vip| with(Family::of(vip.address))))
    }

    /// What the instance of `family` holds on `interface`: what is of its family, and what goes with
    /// it because its own family has no instance.
    #[must_use]
    pub fn holding(&self, family: Family, interface: String) -> Holding {
        let with = self.goes_with(family);
        let mut vips: Vec<Vip> = self.held_by(family).cloned().collect();
        let name = format!("{}.{}", if family == Family::Ipv4 { "vrrp" } else { "vrrp6" }, self.vrid);
        let group = self.virtual_interface.group;
        let vmac = |name, base| Vmac { name, base, mac: self.mac(family), group };
        let mut more_vmacs: Vec<Vmac> = Vec::new();
        for vip in &mut vips {
            let dev = vip.dev.clone().unwrap_or_else(|| interface.clone());
            let (here, itself) = (dev == interface, vip.has(AddressFlag::VirtualMac));
            if here && self.virtual_mac.own() {
                vip.dev = vip.dev.take().filter(|_| !itself);
            } else if itself || !here && self.virtual_mac.elsewhere() {
                let known = more_vmacs.iter().find(|vmac| vmac.base == dev).map(|vmac| vmac.name.clone());
                vip.dev = Some(known.unwrap_or_else(|| {
                    let name = if here { name.clone() } else { format!("{name}.{}", more_vmacs.len() + 1) };
                    more_vmacs.push(vmac(name.clone(), dev));
                    name
                }));
            }
        }
        Holding {
            vmac: self
                .virtual_mac
                .own()
                .then(|| vmac(self.virtual_interface.name.clone().unwrap_or(name), interface.clone())),
            more_vmacs,
            interface,
            install: self.install,
            own: false,
            lease: self.manner.lease,
            adverts_from_base: self.adverts_from_base,
            refuse: !self.accept && !self.priority.is_owner(),
            close_connections: self.close_connections,
            drain_ports: self.drain_ports.iter().copied().collect(),
            vips,
            routes: self.routes.iter().filter(|route| with(route.family)).cloned().collect(),
            rules: self.rules.iter().filter(|rule| with(rule.family)).cloned().collect(),
        }
    }

    /// The instance of `family`.
    #[must_use]
    pub fn instance(&self, family: Family) -> instance::Config {
        instance::Config {
            vrid: self.vrid,
            family,
            version: self.version,
            priority: self.priority,
            interval: self.interval,
            preempt: self.preempt,
            addresses: self.named_of(family).collect(),
            peers: self.peers.iter().copied().filter(|peer| Family::of(*peer) == family).collect(),
            group: self.group(family),
            min_ttl: self.min_ttl,
            ttls: self.ttls.clone(),
            checksum: self.checksum,
            auth: self.auth.clone(),
            strict: self.strict,
            announce: self.announce.clone(),
            farewells: 2,
            manner: Manner {
                // By the second path the others hear at once that the link has gone.
                goes_on: self.manner.goes_on && self.quorum == Quorum::Off && self.second_path.is_none(),
                lone_backup: self.manner.lone_backup || self.has_one_rival(family),
                ..self.manner.clone()
            },
        }
    }
}
