//! Other holders of what a Master holds: Masters whose adverts lose, and hosts that say by ARP (RFC 826) or
//! neighbour discovery (RFC 4861) that one of the addresses is at their own Ethernet address.
//!
//! Who takes over in order says so as well, and may be heard saying it before its first advert is. So a word
//! counts only where this router is still the same Master once that advert must have come. Whoever contests an
//! address is answered once a second: two hosts that both answer at once would fill the network, and anybody
//! can send ARP as fast as it likes.

use super::Agent;
use super::effect::{Effect, InstanceId};
use super::incident::Kind;
use super::peers::millis;
use super::router::Member;
use super::status::RivalStatus;
use crate::time::Time;
use crate::vrrp::Family;
use crate::vrrp::instance::{Event, State};
use crate::vrrp::why::Why;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The most that are remembered for one router.
const MOST: usize = 16;
/// How long after an interval an advert may still be on its way, or wait to be read.
const SLACK: Duration = Duration::from_millis(100);
/// The least time between two answers of one router,
const QUIET: Duration = Duration::from_secs(1);
/// for so many addresses: an answer names all of them.
const ADDRESSES: usize = 100;
/// How long a rival needs no further proof.
const PROVEN: Duration = Duration::from_secs(10);
/// How often the same one is told of.
const TELL_AGAIN: Duration = Duration::from_mins(1);
/// The least time between telling of one and of another: Ethernet addresses cost nothing.
const TELL_APART: Duration = Duration::from_secs(10);

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if place > 0 { ":" } else { "" })?;
        }
        Ok(())
    }
}

/// Somebody was heard to say that a held address is at this Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Who holds the address here.
    pub instance: InstanceId,
    /// The address.
    pub address: IpAddr,
    /// Where it is said to be.
    pub mac: Mac,
}

/// Another holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// A Master whose adverts lose against ours.
    Master {
        /// Who sends them.
        source: IpAddr,
        /// The priority in the last one.
        priority: u8,
    },
    /// A host that says that it has an address.
    Holder {
        /// Which; the last one that it said so of.
        address: IpAddr,
        /// Where it says that the address is.
        mac: Mac,
    },
}

impl Rival {
    /// Whether it is the same, whatever else is new of it.
    fn is(&self, other: &Rival) -> bool {
        match (self, other) {
            (Rival::Master { source, .. }, Rival::Master { source: other, .. }) => source == other,
            (Rival::Holder { mac, .. }, Rival::Holder { mac: other, .. }) => mac == other,
            _ => false,
        }
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rival::Master { source, priority } => {
                write!(f, "{source} advertised priority {priority}, which is below ours")
            }
            Rival::Holder { address, mac } => {
                write!(f, "{mac} says that it has {address}, which is held here")
            }
        }
    }
}

/// The rivals of one router.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    known: Vec<Known>,
    suspect: Option<Suspect>,
    /// Nobody is answered before this.
    quiet_until: Time,
    told: Option<Time>,
}

#[derive(Debug)]
struct Known {
    rival: Rival,
    seen: Time,
    times: u64,
    told: Option<Time>,
    /// How often it was seen since it was last told of.
    untold: u64,
}

/// One that has yet to be believed.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    judge_at: Time,
    seen: Time,
    sighting: Sighting,
}

impl Rivals {
    /// Counts one. Returns how often it was seen since it was last told of, where it is to be told of now.
    pub fn count(&mut self, now: Time, rival: Rival) -> Option<u64> {
        let place = self.known.iter().position(|known| known.rival.is(&rival)).unwrap_or_else(|| {
            if self.known.len() >= MOST {
                let oldest = self.known.iter().enumerate().min_by_key(|(_, known)| known.seen);
                let _ = oldest.map(|(place, _)| place).map(|place| self.known.remove(place));
            }
            self.known.push(Known { rival, seen: now, times: 0, told: None, untold: 0 });
            self.known.len() - 1
        });
        let known = &mut self.known[place];
        (known.rival, known.seen) = (rival, now);
        known.times += 1;
        known.untold += 1;
        let past = |at: Option<Time>, pause| at.is_none_or(|at| now.since(at) >= pause);
        if !past(known.told, TELL_AGAIN) || !past(self.told, TELL_APART) {
            return None;
        }
        (known.told, self.told) = (Some(now), Some(now));
        Some(std::mem::take(&mut known.untold))
    }

    /// Whether this one was a rival only just now.
    fn is_proven(&self, now: Time, mac: Mac) -> bool {
        let same = |rival: &Rival| matches!(rival, Rival::Holder { mac: known, .. } if *known == mac);
        self.known.iter().any(|known| same(&known.rival) && now.since(known.seen) < PROVEN)
    }

    /// For status, the latest first.
    pub fn status(&self, now: Time) -> Vec<RivalStatus> {
        let mut rivals: Vec<&Known> = self.known.iter().collect();
        rivals.sort_by_key(|known| now.since(known.seen));
        let status = |known: &Known| {
            let (source, address, mac) = match known.rival {
                Rival::Master { source, .. } => (Some(source), None, None),
                Rival::Holder { address, mac } => (None, Some(address), Some(mac.to_string())),
            };
            RivalStatus { source, address, mac, seen_ms: millis(now.since(known.seen)), times: known.times }
        };
        rivals.into_iter().map(status).collect()
    }
}

impl Agent {
    /// Somebody says that it has what is held here. For whoever is on the way out that is the successor, and the
    /// end of the wait, once it has said so of all that there is. Of no concern to whoever else is not Master.
    pub(super) fn sighted(&mut self, now: Time, sighting: Sighting, effects: &mut Vec<Effect>) {
        let Some((index, member)) = self.find(sighting.instance) else { return };
        if self.is_own(index, sighting.mac) {
            return;
        }
        if matches!(self.instance(index, member).state(), State::Leaving { successor: Some(_), .. }) {
            self.taken(now, (index, member), sighting.address, effects);
        }
        self.answered_ahead(now, (index, member), sighting);
        if self.routers[index].rivals.suspect.is_some() || !self.is_settled(now, index, member) {
            return;
        }
        let moment = self.moment(index, member);
        let rivals = &mut self.routers[index].rivals;
        let moment = if rivals.is_proven(now, sighting.mac) { Duration::ZERO } else { moment };
        let judge_at = (now + moment).max(rivals.quiet_until);
        rivals.suspect = Some(Suspect { judge_at, seen: now, sighting });
        self.judge_at = self.judge_at.into_iter().chain([judge_at]).min();
    }

    /// The successor has this one. With all of them it has taken the place of whoever is on the way out.
    fn taken(
        &mut self,
        now: Time,
        (index, member): (usize, usize),
        address: IpAddr,
        effects: &mut Vec<Effect>,
    ) {
        let router = &mut self.routers[index];
        let Member { family, taken, .. } = &mut router.members[member];
        taken.insert(address);
        if router.config.held_by(*family).all(|vip| taken.contains(&vip.address)) {
            self.pass_member(now, index, member, Event::Taken, effects);
        }
    }

    /// Believes those whose moment is over.
    pub(super) fn judge_rivals(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.judge_at.is_none_or(|at| at > now) {
            return;
        }
        for index in 0..self.routers.len() {
            if let Some(suspect) = self.routers[index].rivals.suspect.take_if(|it| it.judge_at <= now) {
                self.judge(now, index, &suspect, effects);
            }
        }
        let suspects = self.routers.iter().filter_map(|router| router.rivals.suspect);
        self.judge_at = suspects.map(|suspect| suspect.judge_at).min();
    }

    fn judge(&mut self, now: Time, index: usize, suspect: &Suspect, effects: &mut Vec<Effect>) {
        let Sighting { instance, address, mac } = suspect.sighting;
        let Some((_, member)) = self.find(instance) else { return };
        let instance = self.instance(index, member);
        if !instance.is_master() || instance.since() > suspect.seen {
            return;
        }
        self.answer(now, index, Rival::Holder { address, mac }, effects);
    }

    /// Another Master has heard us and has stepped back.
    pub(super) fn yielded(
        &mut self,
        now: Time,
        (index, member): (usize, usize),
        rival: Rival,
        effects: &mut Vec<Effect>,
    ) {
        // Whoever was just preempted was no rival.
        if self.is_settled(now, index, member) && self.routers[index].rivals.quiet_until <= now {
            self.answer(now, index, rival, effects);
        }
    }

    /// Another had the addresses as well: the neighbours are told again whose they are, and not too often.
    fn answer(&mut self, now: Time, index: usize, rival: Rival, effects: &mut Vec<Effect>) {
        let router = &mut self.routers[index];
        let addresses = router.config.vips.len() + router.config.excluded.len();
        let parts = u32::try_from(addresses.div_ceil(ADDRESSES)).unwrap_or(u32::MAX).max(1);
        router.rivals.quiet_until = now + QUIET * parts;
        self.rivalled(now, index, rival, effects);
        // Whoever has one family's addresses may have told of all of them.
        for member in 0..self.routers[index].members.len() {
            self.pass_member(now, index, member, Event::Rivalled, effects);
        }
    }

    /// Tells the neighbours, and asks them once more where the Master before was not heard to go: its daemon may be dead,
    /// and its kernel answer still. Not before this one is settled: a switch may answer for whom it knew (RFC 9161).
    pub(super) fn announce(
        &mut self,
        now: Time,
        (index, member): (usize, usize),
        count: u8,
        effects: &mut Vec<Effect>,
    ) {
        let instance = self.routers[index].members[member].id;
        effects.push(Effect::Announce { instance, count });
        let (since, silent) = {
            let machine = self.instance(index, member);
            (machine.since(), *machine.why() == Why::Silence)
        };
        if silent && since == now {
            self.tell_answered(now, (index, member), effects);
        }
        let settled = self.is_settled(now, index, member);
        let asked = &mut self.routers[index].members[member].asked;
        if silent && settled && *asked != Some(since) {
            *asked = Some(since);
            effects.push(Effect::Ask { instance });
        }
    }

    /// Counts a rival, and tells of it where it is news.
    pub(super) fn rivalled(&mut self, now: Time, index: usize, rival: Rival, effects: &mut Vec<Effect>) {
        let router = &mut self.routers[index];
        router.dual_masters += 1;
        if let Some(times) = router.rivals.count(now, rival) {
            self.tell(index, Kind::DualMaster { rival, times }, effects);
        }
    }

    /// Whether it has been Master for so long that the one before it knows that it has lost.
    pub(super) fn is_settled(&self, now: Time, index: usize, member: usize) -> bool {
        let instance = self.instance(index, member);
        instance.is_master() && now.since(instance.since()) >= self.moment(index, member)
    }

    /// Within that the advert of a new Master comes: one that preempts has and announces the addresses before it
    /// advertises, but waits for that no longer than an interval.
    fn moment(&self, index: usize, member: usize) -> Duration {
        self.instance(index, member).config().interval.duration() + SLACK
    }

    /// Whether it is this host's: of one of its interfaces, or the virtual one that is about to be.
    fn is_own(&self, index: usize, mac: Mac) -> bool {
        let config = &self.routers[index].config;
        let virtual_one = || [Family::Ipv4, Family::Ipv6].map(|family| Mac(config.mac(family)));
        self.links.known().values().any(|link| link.mac == Some(mac.0))
            || config.has_virtual_mac() && virtual_one().contains(&mac)
    }
}
