//! One router at run time: its instances, what it tracks, and what it counts.
//!
//! Binds the configuration to what the host has: which interface, which source address, which
//! fault. Nothing here knows other routers.

use super::config::{self, Interface};
use super::damping::Failures;
use super::effect::InstanceId;
use super::intruders::Evictions;
use super::link::{Link, LinkAddress};
use super::memory::Memory;
use super::peers::Peers;
use super::request::Ticket;
use super::rivals::{Rivals, Sighting};
use super::second_path;
use super::set::Set;
use super::status::HookStatus;
use super::transition::{Standing, Transition};
use super::words::Words;
use crate::health::{CheckName, Health};
use crate::time::Time;
use crate::vrrp::auth::Auth;
use crate::vrrp::instance::{Instance, State};
use crate::vrrp::ledger::Ledger;
use crate::vrrp::succession::{Followers, Told};
use crate::vrrp::why::{Fault, Why};
use crate::vrrp::{Checksum, ChecksumPolicy, Family, Priority};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A held address that was removed by somebody else more often than this within
/// [`RESTORE_WINDOW`] is contested, and the router steps back.
pub(super) const RESTORE_LIMIT: usize = 5;
/// See [`RESTORE_LIMIT`].
pub(super) const RESTORE_WINDOW: Duration = Duration::from_mins(1);
/// How long a router stays in Fault after its addresses could not be held, at first. Doubles.
const RETRY_FIRST: Duration = Duration::from_secs(10);
/// The longest such pause.
pub(super) const RETRY_LONGEST: Duration = Duration::from_mins(5);

/// One router at run time.
#[derive(Debug)]
pub(super) struct Router {
    pub config: config::Router,
    /// Its set, by its place in the agent's list.
    pub set: usize,
    /// One for each address family, IPv4 first.
    pub members: Vec<Member>,
    pub link: Option<Arc<str>>,
    /// Taken out by the operator.
    pub drained: bool,
    /// Why the addresses cannot be held, and when to try again.
    pub contested: Option<(String, Time)>,
    /// Those of its set, where it is the first of it.
    pub failures: Failures,
    pub retries: u32,
    /// When it last stepped back.
    pub stepped_back: Time,
    /// The last time each address was put back.
    pub restored: VecDeque<Time>,
    pub evictions: Evictions,
    pub handover: Option<Handover>,
    pub hooks: HookStatus,
    /// Losing adverts are not told of again until this moment.
    pub lower_told: Time,
    /// How often another holder was seen.
    pub dual_masters: u64,
    pub rivals: Rivals,
    /// The other host that was noted as Master.
    pub elsewhere: Option<IpAddr>,
    /// How much was said of what comes in.
    pub words: Words,
    pub became_master: u64,
    pub left_master: u64,
    /// When its state last changed.
    pub changed: Time,
    /// Its changes of state, by what it became and why, in order. Mostly no more than these, and then with the router:
    /// where a thousand change at once, what each keeps would lie between what goes.
    pub transitions: SmallVec<[((Standing, &'static str), u64); 2]>,
    pub takeover: Takeover,
    /// How often the addresses could not be held.
    pub hold_errors: u64,
}

/// How its last change to Master went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Takeover {
    /// When anybody else was last heard before it, since it had become Backup.
    pub heard: Option<Time>,
    /// From then to the change.
    pub detected: Option<Duration>,
    /// From then until every address was here.
    pub recovered: Option<Duration>,
}

/// What belongs to one member of the group besides its state machine.
#[derive(Debug)]
pub(super) struct Member {
    pub id: InstanceId,
    /// Its instance's place in the group of the router's set.
    pub seat: usize,
    pub family: Family,
    pub peers: Peers,
    /// When anybody else was heard, by which way.
    pub heard: second_path::LastHeard,
    /// Who is Master elsewhere, where damping has to know.
    pub master: Option<IpAddr>,
    /// Which seals were sent and heard.
    pub ledger: Ledger,
    /// What was told to the Master.
    pub told: Told,
    /// Who has told us, where we are Master.
    pub followers: Followers,
    /// The checksum the peers were last heard to speak.
    pub spoken: Option<Checksum>,
    /// The kernel has confirmed the addresses.
    pub held: bool,
    /// The lease of what is held, as was noted last.
    pub leased: Option<Duration>,
    /// Orders to give them up that the kernel has not carried out yet: until then they answer.
    pub giving: usize,
    pub sent: u64,
    pub farewells_sent: u64,
    pub farewells_heard: u64,
    pub send_errors: u64,
    pub last_send_error: Option<(Time, String)>,
    pub announced: u64,
    pub announce_errors: u64,
    /// Since when it was Master when it asked who else is.
    pub asked: Option<Time>,
    /// Who was last heard to answer for an address that is not held here, and when.
    pub answered: Option<Box<(Time, Sighting)>>,
    /// What was seen of this host's answers to ARP since the addresses are held.
    pub answers: Option<Result<(), String>>,
    pub restored: BTreeMap<IpAddr, u64>,
    /// On the way out: what its successor has told the neighbours of.
    pub taken: BTreeSet<IpAddr>,
}

/// A handover under way.
#[derive(Debug)]
pub(super) struct Handover {
    pub ticket: Ticket,
    pub started: Time,
    pub heard: Option<(Time, IpAddr)>,
}

impl Router {
    /// A router whose members have no seats yet.
    pub fn new(config: config::Router, mut id: impl FnMut() -> InstanceId) -> Self {
        Router {
            set: 0,
            members: config.families().into_iter().map(|family| Member::new(id(), family)).collect(),
            config,
            link: None,
            drained: false,
            contested: None,
            failures: Failures::default(),
            retries: 0,
            stepped_back: Time::ZERO,
            restored: VecDeque::new(),
            evictions: Evictions::default(),
            handover: None,
            hooks: HookStatus::default(),
            lower_told: Time::ZERO,
            dual_masters: 0,
            rivals: Rivals::default(),
            elsewhere: None,
            words: Words::default(),
            became_master: 0,
            left_master: 0,
            changed: Time::ZERO,
            transitions: SmallVec::new(),
            takeover: Takeover::default(),
            hold_errors: 0,
        }
    }

    /// Counts a change of its state.
    pub fn count(&mut self, now: Time, transition: &Transition) {
        let Transition { from, to, why, .. } = transition;
        self.changed = now;
        self.became_master += u64::from(*to == Standing::Master);
        self.left_master += u64::from(*from == Standing::Master);
        let key = (*to, why.name());
        match self.transitions.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(place) => self.transitions[place].1 += 1,
            Err(place) => self.transitions.insert(place, (key, 1)),
        }
    }

    /// The kernel has the addresses of a member.
    pub fn holds(&mut self, now: Time, member: usize) {
        self.members[member].held = true;
        let Takeover { heard, recovered, .. } = &mut self.takeover;
        if recovered.is_none() && self.members.iter().all(|member| member.held) {
            *recovered = heard.map(|heard| now.since(heard));
        }
    }

    /// Takes what it remembers out of `memory`.
    pub fn recall(&mut self, memory: &mut Memory) {
        for member in &mut self.members {
            if let Some(ledger) = memory.take(&self.config, member.family) {
                member.ledger = ledger;
            }
        }
    }

    /// Puts what it remembers into `memory`, for one that takes its place.
    pub fn lay_by(&self, memory: &mut Memory) {
        for member in &self.members {
            memory.put(&self.config, member.family, member.ledger.clone());
        }
    }

    /// Its instances, one for each member.
    pub fn instances<'a>(&'a self, sets: &'a [Set]) -> impl Iterator<Item = &'a Instance> {
        self.members.iter().filter_map(|member| sets[self.set].group.members().get(member.seat))
    }

    /// The state in the users' words: the least of what its members are.
    pub fn standing(&self, sets: &[Set]) -> Standing {
        self.instances(sets).map(standing).min().unwrap_or(Standing::Stop)
    }

    /// Why it is so: the reason of a member that did not merely follow another.
    pub fn why<'a>(&'a self, sets: &'a [Set]) -> &'a Why {
        let least = self.standing(sets);
        let mut reasons = self.instances(sets).filter(|m| standing(m) == least).map(Instance::why);
        let first = reasons.next().unwrap_or(&Why::Stopped);
        if *first == Why::Group { reasons.next().unwrap_or(first) } else { first }
    }

    /// The effective priority: what is configured, and what each track adds.
    pub fn priority(&self, checks: &BTreeMap<CheckName, Health>) -> Priority {
        let added = self
            .config
            .tracks
            .iter()
            .filter_map(|track| {
                checks.get(&track.check).map(|check| track.contribution(check.standing(), check.value()))
            })
            .fold(0_i32, i32::saturating_add);
        self.config.priority.adjusted(added)
    }

    /// The tracked check whose first result it waits for before it takes part at all.
    pub fn awaits<'a>(
        &self,
        standing: Standing,
        checks: &'a BTreeMap<CheckName, Health>,
    ) -> Option<&'a Health> {
        let idle = standing == Standing::Stop;
        let mut tracked =
            self.config.tracks.iter().filter_map(|track| Some((track, checks.get(&track.check)?)));
        let pending = |(track, check): &(&crate::health::Track, &Health)| {
            check.standing() == crate::health::Standing::Pending
                && track.bars(crate::health::Standing::Pending, 0, false)
        };
        tracked.find(pending).map(|(_, check)| check).filter(|_| idle)
    }

    /// What keeps it from taking part, the most basic reason first. Also binds it to its interface.
    pub fn assess(&mut self, links: &BTreeMap<String, Link>, world: &World<'_>) -> Assessment {
        let link = self.find(links);
        // Adverts carry the name on their way out: shared, and made anew only where it is another.
        if self.link.as_deref() != link.map(|link| &*link.name) {
            self.link = link.map(|link| link.name.as_str().into());
        }
        let mut sources = Vec::new();
        let fault = self.fault(link, links, world, &mut sources);
        Assessment { fault, sources }
    }

    fn fault(
        &self,
        link: Option<&Link>,
        links: &BTreeMap<String, Link>,
        world: &World<'_>,
        sources: &mut Vec<Option<IpAddr>>,
    ) -> Option<Fault> {
        if let Some(line) = &self.config.barred {
            return Some(Fault::Secret(line.clone()));
        }
        if matches!(self.config.auth, Auth::Hmac(_)) && !world.clock {
            return Some(Fault::NoClock);
        }
        let Some(link) = link else {
            return Some(Fault::NoInterface(self.config.interface.to_string()));
        };
        if !link.up && !self.config.ignore_link {
            return Some(Fault::LinkDown(link.name.clone()));
        }
        // Half of the addresses are worse than none: a better host that cannot hold them all disturbs a good one.
        if let Some(missing) = self.devices().find(|name| !links.contains_key(*name)) {
            return Some(Fault::NoInterface(missing.to_owned()));
        }
        for member in &self.members {
            match self.source(link, member.family, world.vips) {
                Ok(source) => sources.push(Some(source)),
                Err(missing) => return Some(Fault::NoSource(missing)),
            }
            if let Some(line) = world.sockets.get(&(link.name.clone(), member.family)) {
                return Some(Fault::Socket(line.clone()));
            }
        }
        if let Some((line, _)) = &self.contested {
            return Some(Fault::CannotHold(line.clone()));
        }
        let running = !matches!(self.standing(world.sets), Standing::Stop | Standing::Fault);
        self.config.tracks.iter().find_map(|track| {
            let check = world.checks.get(&track.check)?;
            track.bars(check.standing(), check.value(), running).then(|| Fault::Check(check.complaint()))
        })
    }

    /// The other interfaces that addresses are to stand on.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        self.config.vips.iter().chain(&self.config.excluded).filter_map(|vip| vip.dev.as_deref())
    }

    fn find<'a>(&self, links: &'a BTreeMap<String, Link>) -> Option<&'a Link> {
        match &self.config.interface {
            Interface::Named(name) => links.get(name),
            Interface::Subnet(network, prefix) => links
                .values()
                .filter(|link| link.addresses.iter().any(|a| within(a.address, *network, *prefix)))
                .min_by_key(|link| link.index),
        }
    }

    /// The address to advertise from: RFC 9568 5.1.1.1 and 5.1.2.1, never a virtual one unless owner.
    fn source(&self, link: &Link, family: Family, vips: &BTreeSet<IpAddr>) -> Result<IpAddr, String> {
        if let Some(wanted) = self.config.sources.iter().find(|source| Family::of(**source) == family) {
            return match link.addresses.iter().find(|a| a.address == *wanted) {
                Some(LinkAddress { tentative: false, .. }) => Ok(*wanted),
                Some(_) => Err(format!("source address {wanted} on {} is still tentative", link.name)),
                None => Err(format!("source address {wanted} is not on {}", link.name)),
            };
        }
        let by_group = self.config.peers.is_empty();
        let suits = |address: IpAddr| match address {
            IpAddr::V4(_) => family == Family::Ipv4,
            // Peers by a routable address cannot be reached from a link-local one.
            IpAddr::V6(v6) => {
                let local = by_group || self.config.peers.iter().any(is_link_local);
                family == Family::Ipv6 && v6.is_unicast_link_local() == local
            }
        };
        let owner = self.config.priority.is_owner();
        let mut candidates = link
            .addresses
            .iter()
            .filter(|a| suits(a.address) && (owner || !vips.contains(&a.address)))
            .collect::<Vec<_>>();
        candidates.sort_by_key(|a| (a.tentative, a.secondary));
        let kind = match family {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 if by_group => "IPv6 link-local",
            Family::Ipv6 => "IPv6",
        };
        match candidates.first() {
            Some(LinkAddress { tentative: false, address, .. }) => Ok(*address),
            Some(LinkAddress { address, .. }) => {
                Err(format!("{kind} source address {address} on {} is still tentative", link.name))
            }
            None => Err(format!("interface {} has no {kind} address to advertise from", link.name)),
        }
    }

    /// The addresses cannot be held: step back, and try again later, each time after a longer pause.
    pub fn step_back(&mut self, now: Time, line: String) {
        // What went well for longer than the longest pause is another matter, and begins anew.
        if now.since(self.stepped_back) > RETRY_LONGEST * 2 {
            self.retries = 0;
        }
        self.stepped_back = now;
        let pause = RETRY_FIRST.saturating_mul(1 << self.retries.min(5)).min(RETRY_LONGEST);
        self.retries = self.retries.saturating_add(1);
        self.contested = Some((line, now + pause));
        self.restored.clear();
    }

    /// The checksum to send for member `index`.
    pub fn checksum(&self, index: usize) -> Checksum {
        match self.config.checksum {
            ChecksumPolicy::Pseudo => Checksum::Pseudo,
            ChecksumPolicy::Rfc9568 => Checksum::Rfc9568,
            ChecksumPolicy::Auto => self.members[index].spoken.unwrap_or(Checksum::Pseudo),
        }
    }
}

/// What a router is judged by besides its own state.
pub(super) struct World<'a> {
    pub sets: &'a [Set],
    pub checks: &'a BTreeMap<CheckName, Health>,
    pub sockets: &'a BTreeMap<(String, Family), String>,
    /// Whether the wall clock is known.
    pub clock: bool,
    /// Every virtual address of every router.
    pub vips: &'a BTreeSet<IpAddr>,
}

/// What [`Router::assess`] found.
pub(super) struct Assessment {
    pub fault: Option<Fault>,
    /// One for each member, where there is no more basic fault.
    pub sources: Vec<Option<IpAddr>>,
}

impl Member {
    fn new(id: InstanceId, family: Family) -> Self {
        Member {
            id,
            seat: 0,
            family,
            peers: Peers::default(),
            heard: second_path::LastHeard::default(),
            ledger: Ledger::default(),
            told: Told::default(),
            followers: Followers::default(),
            spoken: None,
            master: None,
            held: false,
            leased: None,
            giving: 0,
            sent: 0,
            farewells_sent: 0,
            farewells_heard: 0,
            send_errors: 0,
            last_send_error: None,
            announced: 0,
            announce_errors: 0,
            asked: None,
            answered: None,
            answers: None,
            restored: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }
}

/// An instance's state in the users' words.
pub(super) fn standing(instance: &Instance) -> Standing {
    match instance.state() {
        State::Initialize => Standing::Stop,
        State::Fault(_) => Standing::Fault,
        State::Backup { .. } | State::Drained => Standing::Backup,
        State::Master { .. } | State::Leaving { .. } => Standing::Master,
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whether `address` lies in `network`/`prefix`.
fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((a, a_width), (n, n_width)) = (bits(address), bits(network));
    let same = u128::from(prefix.min(n_width));
    a_width == n_width && (same == 0 || (a ^ n) >> (128 - same) == 0)
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_subnet_holds_its_own_addresses_and_no_others() {
        let within = |a: &str, n: &str, p| within(a.parse().unwrap(), n.parse().unwrap(), p);
        assert!(within("10.0.0.9", "10.0.0.0", 24));
        assert!(!within("10.0.1.9", "10.0.0.0", 24));
        assert!(within("10.0.1.9", "0.0.0.0", 0));
        assert!(!within("fd00::1", "0.0.0.0", 0));
        assert!(within("fd00::1", "fd00::", 64));
        assert!(!within("fd00:0:0:1::1", "fd00::", 64));
    }
}
