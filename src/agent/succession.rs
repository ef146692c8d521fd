//! Who is next, in words between Locums: says them when it is time, and follows them. What they are, is told in
//! `vrrp::succession`.

use super::Agent;
use super::effect::Effect;
use super::rivals::Rival;
use super::router::Router;
use super::transition::RouterName;
use crate::time::Time;
use crate::vrrp::auth::{Auth, Seal};
use crate::vrrp::instance::{Event, State};
use crate::vrrp::packet::{Draft, Heard};
use crate::vrrp::succession::{Told, Word};
use std::net::IpAddr;

impl Agent {
    /// Whether words are said and heard: a host that only listens says none.
    pub fn succession(&mut self, wanted: bool) {
        self.succession = wanted;
    }

    /// Whom a Master would name at `now`, in each family where it knows somebody.
    pub fn successors(&self, now: Time, router: &RouterName) -> impl Iterator<Item = IpAddr> {
        let index = self.routers.iter().position(|mine| mine.config.name == *router);
        let members = index.into_iter().flat_map(|index| 0..self.routers[index].members.len());
        members.filter_map(move |member| self.successor(now, index?, member))
    }

    /// A word came in from who may say it.
    pub(super) fn hear_word(
        &mut self,
        now: Time,
        (index, member): (usize, usize),
        word: Word,
        heard: &Heard,
        effects: &mut Vec<Effect>,
    ) {
        match (word, heard.advert.priority) {
            (Word::Follows, Some(priority)) => {
                self.routers[index].members[member].followers.note(now, heard.source, priority);
            }
            (Word::Next, _) => {
                self.pass_member(now, index, member, Event::Named { source: heard.source }, effects);
            }
            (Word::Yields, Some(priority)) => {
                let rival = Rival::Master { source: heard.source, priority: priority.get() };
                self.yielded(now, (index, member), rival, effects);
            }
            (Word::Follows | Word::Yields, None) => {}
        }
        self.remember(now, false, effects);
    }

    /// The Master that a Backup follows was heard: it is told who follows it, where it may not know.
    pub(super) fn tell_master(&mut self, now: Time, index: usize, member: usize, effects: &mut Vec<Effect>) {
        let instance = self.instance(index, member);
        let State::Backup { master: Some(master), .. } = *instance.state() else { return };
        let own = instance.priority();
        if self.says_words(index) && self.routers[index].members[member].told.is_due(now, master, own) {
            self.send_word(now, (index, member), Word::Follows, master, effects);
        }
    }

    /// One that was Master has stepped back before another.
    pub(super) fn yields(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        to: IpAddr,
        effects: &mut Vec<Effect>,
    ) {
        let follows = matches!(self.instance(index, member).state(), State::Backup { master: Some(it), .. } if *it == to);
        if follows && self.knows_words(index) {
            self.send_word(now, (index, member), Word::Yields, to, effects);
        }
    }

    /// A Master is about to say farewell: who is next hears it first.
    pub(super) fn name_successor(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        effects: &mut Vec<Effect>,
    ) {
        if self.says_words(index)
            && let Some(next) = self.routers[index].members[member].followers.take_best(now)
        {
            self.send_word(now, (index, member), Word::Next, next, effects);
        }
    }

    /// A Master has another Master behind it later on, of whom nothing is known yet.
    pub(super) fn forget_told(&mut self, index: usize, member: usize) {
        self.routers[index].members[member].told = Told::default();
    }

    /// Where one other host is all there can be, it needs no word.
    fn says_words(&self, index: usize) -> bool {
        self.routers[index].config.peers.len() != 1 && self.knows_words(index)
    }

    fn knows_words(&self, index: usize) -> bool {
        self.succession && !matches!(self.routers[index].config.auth, Auth::Ah(_))
    }

    /// Whom a Master would name at `now`.
    pub(super) fn successor(&self, now: Time, index: usize, member: usize) -> Option<IpAddr> {
        self.routers[index].members[member].followers.best(now).filter(|_| self.says_words(index))
    }

    fn send_word(
        &mut self,
        now: Time,
        (index, member): (usize, usize),
        word: Word,
        to: IpAddr,
        effects: &mut Vec<Effect>,
    ) {
        let clock = self.wall_clock(now);
        let form = self.routers[index].checksum(member);
        let instance = self.instance(index, member);
        let advert = instance.advert(Some(instance.priority()));
        let Some(way) = self.ways(index, member).into_iter().next() else { return };
        let router = &mut self.routers[index];
        let ttl = router.word_ttl();
        let member = &mut router.members[member];
        let auth = &self.sets[router.set].group.members()[member.seat].config().auth;
        let Some(seal) = member.ledger.next(auth, way.source, clock) else { return };
        self.keeping.news |= seal != Seal::None;
        let parcel = Draft::word(word, &advert, way.source, auth, &seal).to(to, form);
        effects.push(Effect::Send(way.outgoing(member.id, None, to, ttl, parcel)));
        self.remember(now, false, effects);
    }
}

impl Router {
    /// The TTL of a word: as near as adverts come from.
    pub(super) fn word_ttl(&self) -> u8 {
        if self.config.peers.is_empty() { u8::MAX } else { self.config.ttl }
    }
}
