//! The same advert once more: nearly all that a Backup hears, and all that a Master says. What was done the last
//! time is done again, only later, so nothing of it is read or made anew.
//!
//! Whatever else comes in between makes the next advert one that is read (RFC 9568 6.4.2) or made (6.4.3).

use super::Agent;
use super::effect::{Datagram, Effect, Input, Outgoing};
use super::second_path::Way;
use super::set::Seat;
use crate::time::Time;
use crate::vrrp::auth::{Auth, Seal};
use crate::vrrp::instance::{First, Instance, State};
use crate::vrrp::packet::{self, Heard};
use crate::vrrp::why::Why;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A packet as it came in, not copied yet.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// Where.
    pub interface: &'a Arc<str>,
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// TTL or hop limit, as the kernel tells.
    pub ttl: Option<u8>,
    /// IPv4: the whole packet with its header. IPv6: the VRRP message.
    pub packet: &'a [u8],
}

impl<'a> Came<'a> {
    /// One that was kept.
    #[must_use]
    pub fn of(kept: &'a Datagram) -> Self {
        let Datagram { interface, source, destination, ttl, packet } = kept;
        Came { interface, source: *source, destination: *destination, ttl: *ttl, packet }
    }

    /// A copy that can be kept.
    #[must_use]
    pub fn kept(&self) -> Datagram {
        Datagram {
            interface: Arc::clone(self.interface),
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
            packet: self.packet.to_vec(),
        }
    }

    fn is(&self, other: &Datagram) -> bool {
        let repeats = match self.source {
            IpAddr::V4(_) => packet::repeats_ipv4(self.packet, &other.packet),
            IpAddr::V6(_) => self.packet == other.packet,
        };
        repeats
            && self.ttl == other.ttl
            && self.source == other.source
            && self.destination == other.destination
            && *self.interface == other.interface
    }
}

/// An advert that put off a takeover, and nothing more.
#[derive(Debug)]
pub(super) struct Again {
    datagram: Datagram,
    router: usize,
    member: usize,
    /// For how long.
    wait: Duration,
}

/// What the Masters of a set said the last time, and would say again.
#[derive(Debug)]
pub(super) struct Said {
    /// How much had come in by then.
    inputs: u64,
    /// Who is late by so much does not.
    patience: Duration,
    datagrams: Box<[Outgoing]>,
}

impl Agent {
    /// What the Master says whose turn has come, where that is what it said the last time, and when it was due; it
    /// has said it then. `None`: somebody has more to do than that, or nobody has anything.
    pub fn say_again(&mut self, now: Time) -> Option<(Time, &[Outgoing])> {
        let (due, place) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        let set = &mut self.sets[place];
        let said = set.said.as_ref().filter(|said| said.inputs == self.inputs)?;
        if now.since(due) >= said.patience || !set.group.say_again(now, due) {
            return None;
        }
        for seat in &set.seats {
            self.routers[seat.router].members[seat.member].sent += 1;
        }
        self.deadlines.file(place, set.group.deadline().map(|(at, _)| at));
        Some((due, &said.datagrams))
    }

    /// Keeps what a set has said in its turn, if all that it did can be done again.
    pub(super) fn keep_said(&mut self, place: usize, effects: &[Effect]) {
        let set = &self.sets[place];
        let goes_on = |member: &Instance| member.is_master() && member.first() == First::Sent;
        let plain = |index: &usize| {
            let router = &self.routers[*index];
            matches!(router.config.auth, Auth::None | Auth::Pass(_)) && router.handover.is_none()
        };
        let masters = set.office.is_none() && set.group.members().iter().all(goes_on);
        let again = masters && self.is_quiet() && set.routers.iter().all(plain);
        // A farewell for the case that we are killed is the same as before.
        let said = effects.iter().map(|effect| match effect {
            Effect::Send(outgoing) => Some(Some(outgoing.clone())),
            Effect::Will(..) => Some(None),
            _ => None,
        });
        let datagrams = again.then(|| said.collect::<Option<Vec<_>>>()).flatten().unwrap_or_default();
        let datagrams: Box<[Outgoing]> = datagrams.into_iter().flatten().collect();
        // Both families of a router may advertise at different times.
        let spoke = |seat: &Seat| {
            let member = &self.routers[seat.router].members[seat.member];
            datagrams.iter().any(|datagram| datagram.instance == member.id)
        };
        let all = set.seats.iter().all(spoke);
        let patience = set.group.patient_for();
        self.sets[place].said = all.then_some(Said { inputs: self.inputs, patience, datagrams });
    }

    /// Whether nothing is under way that concerns all routers.
    fn is_quiet(&self) -> bool {
        !self.keeping.news && !self.stopping && self.relay.is_none()
    }

    /// Does with what came in then what was done with the last of its kind, if nothing else follows from it. `false`:
    /// nothing was done, it is to be handled.
    pub fn is_as_before(&mut self, at: Time, input: &Input) -> bool {
        match input {
            Input::Datagram(datagram) => self.again(at, &Came::of(datagram)),
            Input::Outcome(name, outcome) => {
                self.checks.get_mut(name).is_some_and(|check| check.count_on(at, outcome))
            }
            _ => false,
        }
    }

    /// Does what the last advert did, if this one is the same and nothing else has happened since. `false`:
    /// nothing was done, it is to be handled.
    pub fn again(&mut self, now: Time, came: &Came<'_>) -> bool {
        let Some(again) = self.again.as_ref().filter(|again| came.is(&again.datagram)) else { return false };
        let router = &mut self.routers[again.router];
        let (set, member) = (router.set, &mut router.members[again.member]);
        if self.succession && member.told.wants_more(now) {
            return false;
        }
        let at = now + again.wait;
        // Whoever is late has to be told so first.
        if !self.sets[set].group.put_off(member.seat, now, at) {
            return false;
        }
        member.peers.hear_again(now, came.source);
        member.heard.note(Way::First, now);
        self.file(set);
        true
    }

    /// Keeps an advert whose next of kin is one of those, now that it was heard.
    pub(super) fn keep(
        &mut self,
        now: Time,
        datagram: &Datagram,
        (index, member): (usize, usize),
        heard: &Heard,
    ) {
        let router = &self.routers[index];
        let set = &self.sets[router.set];
        let [instance] = set.group.members() else { return };
        let alone = set.name.is_none() && set.office.is_none() && router.handover.is_none();
        let plain = heard.seal == Seal::None && instance.source() != Some(heard.source);
        if !(alone && plain && self.is_quiet()) {
            return;
        }
        if let State::Backup { master, down_at, preempt_at: None, cause: Why::Silence, .. } = instance.state()
            && *master == Some(heard.source)
            && heard.advert.priority.is_some_and(|theirs| theirs >= instance.priority())
        {
            let wait = down_at.since(now);
            self.again = Some(Again { datagram: datagram.clone(), router: index, member, wait });
        }
    }
}
