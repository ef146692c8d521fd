//! Who takes part: this host with one role of its configuration, and the peers that are given, or one
//! that is assumed.

use super::Peer;
use crate::agent::config::{Claims, Router};
use crate::agent::{self, RouterName};
use crate::claim::quorum::Quorum;
use crate::config::Config;
use crate::health::{CheckName, Standing};
use crate::sim::{Rehearsal, Seat, links_for, seat_of};
use crate::vrrp::{Family, Priority, Vrid};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// What an assumed peer has where this host's priority is above it: the default of VRRP.
const USUAL: Priority = Priority::DEFAULT;
/// This host.
pub(super) const OWN: usize = 0;
/// The peer, where one is assumed.
pub(super) const PEER: usize = 1;

/// One role and all who may take it.
pub(super) struct Cast<'a> {
    pub(super) name: String,
    pub(super) written: Vec<&'a Router>,
    pub(super) is_group: bool,
    /// This host, with nothing but that role.
    own: agent::Config,
    /// The other hosts, with theirs; empty where one is to be assumed.
    pub(super) peers: Vec<(String, agent::Config)>,
    /// Peers that have no such router.
    pub(super) absent: Vec<String>,
    /// Where the first router of the role takes part.
    pub(super) seat: Seat,
    /// What the assumed peer has in the first router.
    pub(super) assumed: Priority,
}

/// Every role of `config`, in the order of the file.
pub(super) fn casts<'a>(config: &'a Config, peers: &[Peer]) -> Vec<Cast<'a>> {
    let mut casts: Vec<Cast<'a>> = Vec::new();
    for router in &config.agent.routers {
        if casts.iter().any(|cast| cast.written.iter().any(|known| known.name == router.name)) {
            continue;
        }
        let group = config.agent.groups.iter().find(|group| group.routers.contains(&router.name));
        let routers = config.agent.routers.iter();
        let written: Vec<&Router> = match group {
            Some(group) => routers.filter(|other| group.routers.contains(&other.name)).collect(),
            None => vec![router],
        };
        let name = group.map_or_else(|| router.name.to_string(), |group| group.name.to_string());
        casts.extend(Cast::new(name, group.is_some(), written, config, peers));
    }
    casts
}

impl<'a> Cast<'a> {
    fn new(
        name: String,
        is_group: bool,
        written: Vec<&'a Router>,
        config: &Config,
        files: &[Peer],
    ) -> Option<Self> {
        let first = *written.first()?;
        let seat = seat_of(first)?;
        let own = only(&config.agent, &written);
        let (mut peers, mut absent) = (Vec::new(), Vec::new());
        for file in files {
            let theirs = &file.rules.routers;
            let found: Vec<&Router> = written.iter().filter_map(|own| counterpart(own, theirs)).collect();
            if found.is_empty() {
                absent.push(file.name.clone());
            } else {
                peers.push((file.name.clone(), only(&file.rules, &found)));
            }
        }
        let mut cast = Cast { name, written, is_group, own, peers, absent, seat, assumed: USUAL };
        cast.set_apart();
        let told = config.details.peer_priority.get(&first.name).copied();
        let below = |priority: Priority| priority.get() > USUAL.get();
        cast.assumed = told.unwrap_or_else(|| match cast.priority() {
            Some(own) if !below(own) => lower(own),
            _ => USUAL,
        });
        Some(cast)
    }

    /// A VRID may stand twice in a group, on different interfaces, and the rehearsal has one LAN only: the
    /// later of them get numbers of their own there.
    fn set_apart(&mut self) {
        let mut taken: BTreeSet<u8> = self.own.routers.iter().map(|router| router.vrid.get()).collect();
        for place in 1..self.own.routers.len() {
            let (earlier, rest) = self.own.routers.split_at_mut(place);
            let Some(router) = rest.first_mut() else { continue };
            if !earlier.iter().any(|other| other.vrid == router.vrid) {
                continue;
            }
            let free = (1..=u8::MAX).find(|number| !taken.contains(number)).and_then(Vrid::new);
            let Some(free) = free else { continue };
            taken.insert(free.get());
            let known = router.clone();
            router.vrid = free;
            let all = self.peers.iter_mut().flat_map(|(_, config)| &mut config.routers);
            for other in all.filter(|other| meets(&known, other) && other.interface == known.interface) {
                other.vrid = free;
            }
        }
        self.seat = self.own.routers.first().and_then(seat_of).unwrap_or(self.seat);
    }

    /// Whether the peer is an assumption.
    pub(super) fn is_assumed(&self) -> bool {
        self.peers.is_empty()
    }

    /// What the hosts are called.
    pub(super) fn host(&self, node: usize) -> String {
        match node.checked_sub(1) {
            None => "this host".to_owned(),
            Some(place) => self.peers.get(place).map_or("the peer".to_owned(), |(name, _)| name.clone()),
        }
    }

    /// How many hosts there are.
    pub(super) fn hosts(&self) -> usize {
        1 + self.peers.len().max(1)
    }

    /// All of them; nobody runs yet. An assumed peer has `priority`.
    pub(super) fn rehearsal(&self, priority: Priority) -> Rehearsal {
        let mut configs = vec![self.own.clone()];
        if self.is_assumed() {
            configs.push(assumed(&self.own, priority));
        }
        configs.extend(self.peers.iter().map(|(_, config)| config.clone()));
        Rehearsal::new(&configs)
    }

    /// This host's priority with every check well: `None` where it takes no part.
    pub(super) fn priority(&self) -> Option<Priority> {
        let mut rehearsal = self.rehearsal(USUAL);
        rehearsal.start(OWN);
        rehearsal.settle();
        priorities(&rehearsal).first().copied().and_then(Priority::new)
    }

    /// The checks that must have passed before this host takes part.
    pub(super) fn faults(&self) -> Vec<String> {
        let tracks = self.own.routers.iter().flat_map(|router| &router.tracks);
        let mut names: Vec<String> = Vec::new();
        for track in tracks.filter(|track| track.bars(Standing::Pending, 0, false)) {
            if !names.contains(&track.check.to_string()) {
                names.push(track.check.to_string());
            }
        }
        names
    }

    /// The routers as they take part, in the order of those written.
    pub(super) fn played(&self) -> &[Router] {
        &self.own.routers
    }

    /// Who grants the claim on the role, where it needs one.
    pub(super) fn claims(&self) -> Option<&Claims> {
        let needed = self.own.routers.iter().any(|router| router.quorum != Quorum::Off);
        self.own.claims.as_ref().filter(|_| needed)
    }

    /// How long this host takes no part after its start.
    pub(super) fn start_delay(&self) -> Duration {
        self.own.start_delay
    }
}

/// This host's priorities at the moment, a router each; none where it does not run.
pub(super) fn priorities(rehearsal: &Rehearsal) -> Vec<u8> {
    let routers = rehearsal.status(OWN).map(|status| status.routers).unwrap_or_default();
    routers.iter().map(|router| router.priority.effective).collect()
}

/// The same virtual router on another host: where its number stands there for several, on the same interface.
fn counterpart<'a>(own: &Router, theirs: &'a [Router]) -> Option<&'a Router> {
    let all = || theirs.iter().filter(|router| meets(own, router));
    all().find(|router| router.interface == own.interface).or_else(|| all().next())
}

/// Whether two routers are the same virtual router.
fn meets(own: &Router, other: &Router) -> bool {
    own.vrid == other.vrid && own.families().iter().any(|family| other.families().contains(family))
}

/// One below, or where there is none, one above.
fn lower(priority: Priority) -> Priority {
    let below = priority.get().checked_sub(1).and_then(Priority::new);
    below.or(Priority::new(2)).unwrap_or(USUAL)
}

/// `config` with these routers and what belongs to them.
fn only(config: &agent::Config, routers: &[&Router]) -> agent::Config {
    let mine = |name: &RouterName| routers.iter().any(|router| router.name == *name);
    let mates = |router: &&Router| {
        mine(&router.name)
            || config
                .groups
                .iter()
                .any(|group| group.routers.contains(&router.name) && group.routers.iter().any(mine))
    };
    let routers: Vec<Router> = config.routers.iter().filter(mates).cloned().collect();
    let kept = |name: &RouterName| routers.iter().any(|router| router.name == *name);
    let tracked =
        |name: &CheckName| routers.iter().flat_map(|router| &router.tracks).any(|track| track.check == *name);
    agent::Config {
        checks: config.checks.iter().filter(|check| tracked(&check.name)).cloned().collect(),
        groups: config.groups.iter().filter(|group| group.routers.iter().any(kept)).cloned().collect(),
        start_delay: config.start_delay,
        link_delays: config.link_delays.clone(),
        routers,
        claims: config.claims.clone(),
        ..agent::Config::default()
    }
}

/// A healthy peer with the same file but for its priority, and the other way round where hosts are named.
fn assumed(own: &agent::Config, priority: Priority) -> agent::Config {
    let step =
        own.routers.first().map_or(0, |first| i32::from(priority.get()) - i32::from(first.priority.get()));
    let links = links_for(own, 0);
    let addresses = || links.iter().flat_map(|link| &link.addresses).map(|known| known.address);
    let of = |family, mut from: Vec<IpAddr>| {
        from.retain(|address| Family::of(*address) == family);
        from.first().copied()
    };
    let mut config = own.clone();
    config.checks.clear();
    config.start_delay = Duration::ZERO;
    // It votes from the other end: who of the others is the peer, and who a witness, is the same here.
    if let Some(Claims::Vote(vote)) = &mut config.claims
        && let Some(theirs) = vote.others.first_mut()
    {
        std::mem::swap(&mut vote.own, theirs);
    }
    for (place, router) in config.routers.iter_mut().enumerate() {
        router.priority = if place == 0 { priority } else { router.priority.adjusted(step) };
        router.tracks.clear();
        router.barred = None;
        router.manner.eager = false;
        let sources = if router.sources.is_empty() { addresses().collect() } else { router.sources.clone() };
        let unicast = !router.peers.is_empty();
        let (peers, families) = (std::mem::take(&mut router.peers), router.families());
        router.sources.clear();
        if unicast {
            router.sources = families.iter().filter_map(|family| of(*family, peers.clone())).collect();
            router.peers = families.iter().filter_map(|family| of(*family, sources.clone())).collect();
            // Whom else it has to wait for is as here.
            router.peers.extend(peers.into_iter().filter(|peer| !router.sources.contains(peer)));
        }
    }
    config
}
