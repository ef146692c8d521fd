//! A packet comes in: find whose it is, check it, count it, pass it on.
//!
//! A refused packet changes nothing but a counter: no timer, no state, no answer.

use super::Agent;
use super::effect::{Datagram, Effect, Note};
use super::incident::Kind;
use super::peers::Offset;
use super::rivals::Rival;
use super::router::Takeover;
use super::second_path::Way;
use super::set::Seat;
use crate::time::Time;
use crate::vrrp::auth::{Auth, Seal};
use crate::vrrp::instance::{Event, State};
use crate::vrrp::packet::{self, Envelope, Expect, Heard, Reach, Refusal};
use crate::vrrp::sequence::AntiReplay;
use crate::vrrp::succession::Word;
use crate::vrrp::{Family, Vrid};
use std::net::IpAddr;

impl Agent {
    pub(super) fn receive(&mut self, now: Time, datagram: &Datagram, effects: &mut Vec<Effect>) {
        let family = Family::of(datagram.source);
        let opened = match open(datagram, family) {
            Ok(envelope) => envelope,
            Err(refusal) => return self.refuse_unopened(now, datagram, family, refusal, effects),
        };
        let word = if self.succession { Word::peek(&opened) } else { None };
        let envelope = word.as_ref().map_or(opened, |(_, message)| Envelope { payload: message, ..opened });
        let word = word.as_ref().map(|(word, _)| *word);
        let Some(vrid) = packet::peek_vrid(envelope.payload) else {
            return self.refuse_unopened(now, datagram, family, Refusal::VridZero, effects);
        };
        let Some((Seat { router: index, member }, way)) = self.addressee(datagram, vrid, family) else {
            return;
        };
        if word.is_some() && way == Way::Second {
            return;
        }
        match self.parse(now, (index, member), (way, word), &envelope) {
            Ok(heard) => {
                if let Some(word) = word {
                    return self.hear_word(now, (index, member), word, &heard, effects);
                }
                if self.instance(index, member).source() != Some(heard.source) {
                    self.routers[index].members[member].heard.note(way, now);
                }
                self.hear(now, index, member, &heard, effects);
                if effects.is_empty() && way == Way::First {
                    self.keep(now, datagram, (index, member), &heard);
                }
            }
            Err(refusal) => self.refuse(now, index, member, datagram, refusal, effects),
        }
    }

    /// Whose packet it is. Routers of one interface share a number where no packet can be for two of them: what one
    /// has from its peers, another has from a group or from other peers.
    fn addressee(&self, datagram: &Datagram, vrid: Vrid, family: Family) -> Option<(Seat, Way)> {
        let here = |seat: &Seat| {
            let router = &self.routers[seat.router];
            Some((*seat, Way::by(&datagram.interface, router.link.as_deref(), &router.config)?))
        };
        let mut all = self.by_vrid.get(&(vrid, family))?.iter().filter_map(here);
        let first = all.next()?;
        let meant = |(seat, _): &(Seat, Way)| {
            let config = &self.routers[seat.router].config;
            if datagram.destination.is_multicast() {
                config.peers.is_empty() && config.group(family) == datagram.destination
            } else {
                config.peers.contains(&datagram.source)
            }
        };
        let Some(second) = all.next() else { return Some(first) };
        Some([first, second].into_iter().chain(all).find(meant).unwrap_or(first))
    }

    /// Believes the packet, once, or says why not. Whatever a true sender has sent is remembered, also where
    /// we must not follow it: a count is learned from it. What comes by the second path is said to come from where
    /// its sender is on the first.
    fn parse(
        &mut self,
        now: Time,
        (index, member): (usize, usize),
        (way, word): (Way, Option<Word>),
        envelope: &Envelope<'_>,
    ) -> Result<Heard, Refusal> {
        let clock = self.wall_clock(now);
        let router = &mut self.routers[index];
        let member = &mut router.members[member];
        let instance = &self.sets[router.set].group.members()[member.seat];
        let config = instance.config();
        let second = router.config.second_path.as_ref().filter(|_| way == Way::Second);
        let there: Vec<IpAddr> = second.into_iter().flat_map(|path| path.peers_of(member.family)).collect();
        let expect = match way {
            Way::First => config.expect(clock),
            Way::Second => Expect { reach: Reach::Unicast(&there), ..config.expect(clock) },
        };
        let packet = packet::authenticate(envelope, &expect, word)?;
        // What comes back to us is no news, and is told from others' later on.
        if *packet.seal() != Seal::None && instance.source() != Some(envelope.source) {
            let ways = 1 + usize::from(router.config.second_path.is_some());
            let peers = config.peers.len() * ways;
            member.ledger.admit(envelope.source, packet.seal(), &config.auth, clock, peers)?;
            self.keeping.news = true;
        }
        let mut heard = packet.judge(&expect)?;
        heard.source = second.and_then(|path| path.known_as(heard.source)).unwrap_or(heard.source);
        Ok(heard)
    }

    fn hear(&mut self, now: Time, index: usize, member: usize, heard: &Heard, effects: &mut Vec<Effect>) {
        let instance = self.instance(index, member);
        let (own, ours) = (instance.priority(), instance.source() == Some(heard.source));
        let leaving = matches!(instance.state(), State::Leaving { .. });
        let master = instance.is_master();
        let offset = self.offset(now, index, heard);
        let mut odd = Vec::new();
        if !ours {
            self.hold_off(now, (index, member), heard, effects);
            let router = &mut self.routers[index];
            if let Some(offset) = offset
                && router.members[member].peers.compare_clocks(now, heard.source, offset)
            {
                odd.push(offset.to_string());
            }
            let remarks = router.members[member].peers.hear(now, heard, own);
            odd.extend(remarks.iter().map(ToString::to_string));
            if heard.checksum.is_some() {
                router.members[member].spoken = heard.checksum;
            }
            router.members[member].farewells_heard += u64::from(heard.advert.priority.is_none());
        }
        if let Some(handover) = &mut self.routers[index].handover
            && leaving
            && !ours
            && heard.advert.priority.is_some()
        {
            handover.heard.get_or_insert((now, heard.source));
        }
        for what in odd {
            let line = format!("advert from {}: {what}", heard.source);
            let note = Note::Warning(self.routers[index].config.name.clone(), line);
            self.remark(now, index, note, effects);
        }
        let event = Event::Heard {
            source: heard.source,
            priority: heard.advert.priority,
            interval: heard.advert.interval,
        };
        self.pass_member(now, index, member, event, effects);
        if master && !ours {
            self.yields(now, index, member, heard.source, effects);
            self.tell_of_lower(now, index, member, heard, effects);
        }
        if !ours {
            self.tell_master(now, index, member, effects);
            self.note_master(now, index, member, heard, effects);
        }
        self.remember(now, false, effects);
    }

    /// Whoever advertises below a Master held the addresses as well for a moment.
    fn tell_of_lower(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        heard: &Heard,
        effects: &mut Vec<Effect>,
    ) {
        let instance = self.instance(index, member);
        let below = |theirs| theirs < instance.priority() || Some(heard.source) < instance.source();
        let Some(priority) = heard.advert.priority.filter(|theirs| instance.is_master() && below(*theirs))
        else {
            return;
        };
        let interval = instance.config().interval.duration();
        let router = &mut self.routers[index];
        if router.lower_told > now {
            return;
        }
        router.lower_told = now + interval;
        let (source, priority) = (heard.source, priority.get());
        self.tell(index, Kind::HeardLower { source, priority }, effects);
        if self.is_settled(now, index, member) {
            self.rivalled(now, index, Rival::Master { source, priority }, effects);
        }
    }

    /// Notes who is Master elsewhere, where nobody was before, or another one.
    fn note_master(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        heard: &Heard,
        effects: &mut Vec<Effect>,
    ) {
        let instance = self.instance(index, member);
        let follows = match instance.state() {
            State::Master { .. } | State::Leaving { .. } => return,
            State::Backup { master, .. } => Some(*master == Some(heard.source)),
            _ => None,
        };
        let stale = now - instance.config().interval.duration() * 4;
        let router = &mut self.routers[index];
        let Some(priority) = heard.advert.priority else {
            // Gone, to come back as news.
            router.elsewhere.take_if(|known| *known == heard.source);
            return;
        };
        let heard_from =
            |known: IpAddr| router.members.iter().filter_map(move |it| it.peers.heard_from(known)).max();
        let gone = |known: IpAddr| heard_from(known).is_none_or(|at| at < stale);
        let believed = follows.unwrap_or_else(|| router.elsewhere.is_none_or(gone));
        // Another family's address is the same host's, as far as anybody knows.
        let news = router.elsewhere.is_none_or(|known| {
            known != heard.source && (known.is_ipv4() == heard.source.is_ipv4() || gone(known))
        });
        if believed && news {
            router.elsewhere = Some(heard.source);
            let (router, source) = (router.config.name.clone(), heard.source);
            effects.push(Effect::Note(Note::MasterHeard { router, source, priority: priority.get() }));
        }
    }

    /// Notes, of a router that has just become Master, how long it had been alone.
    pub(super) fn look_back(&mut self, now: Time, index: usize, effects: &mut Vec<Effect>) {
        let router = &mut self.routers[index];
        router.elsewhere = None;
        router.members.iter_mut().for_each(|member| member.master = None);
        router.failures.took_over();
        let heard = router.members.iter().filter_map(|member| member.peers.last()).max();
        let followed = heard.filter(|heard| *heard >= router.changed);
        let detected = followed.map(|heard| now.since(heard));
        router.takeover = Takeover { heard: followed, detected, recovered: None };
        if let Some(at) = heard {
            let router = router.config.name.clone();
            effects.push(Effect::Note(Note::LastHeard { router, ago: now.since(at) }));
        }
    }

    /// What a signature by the clock tells of the clocks.
    fn offset(&self, now: Time, index: usize, heard: &Heard) -> Option<Offset> {
        let Auth::Hmac(ring) = &self.routers[index].config.auth else { return None };
        let AntiReplay::Time(window) = ring.anti_replay() else { return None };
        let Seal::Signed { sequence, .. } = heard.seal else { return None };
        Some(Offset { ahead: sequence.ahead_of(self.wall_clock(now)?), window: u64::from(window) * 1000 })
    }

    fn refuse(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        datagram: &Datagram,
        refusal: Refusal,
        effects: &mut Vec<Effect>,
    ) {
        let router = &mut self.routers[index];
        let count = router.members[member].peers.refuse(now, datagram.source, refusal);
        if worth_a_line(count) {
            let (router, source) = (router.config.name.clone(), datagram.source);
            self.remark(now, index, Note::Refused { router, source, refusal, count }, effects);
        }
    }

    /// Too broken to say whose it is: counted for every instance that might have been meant.
    fn refuse_unopened(
        &mut self,
        now: Time,
        datagram: &Datagram,
        family: Family,
        refusal: Refusal,
        effects: &mut Vec<Effect>,
    ) {
        for index in 0..self.routers.len() {
            if self.routers[index].link.as_deref() != Some(&*datagram.interface) {
                continue;
            }
            if let Some(member) = self.routers[index].members.iter().position(|m| m.family == family) {
                self.refuse(now, index, member, datagram, refusal, effects);
            }
        }
    }
}

fn open(datagram: &Datagram, family: Family) -> Result<Envelope<'_>, Refusal> {
    let (source, destination, ttl) = (datagram.source, datagram.destination, datagram.ttl);
    match family {
        // What the kernel says of the TTL counts, not what a header within our reach says.
        Family::Ipv4 => packet::open_ipv4(&datagram.packet).map(|envelope| Envelope { ttl, ..envelope }),
        Family::Ipv6 => Ok(Envelope { source, destination, ttl, ah: None, payload: &datagram.packet }),
    }
}

/// The first, the tenth, the hundredth: a flood must not fill the log.
fn worth_a_line(count: u64) -> bool {
    count.checked_ilog10().is_some_and(|digits| 10_u64.pow(digits) == count)
}
