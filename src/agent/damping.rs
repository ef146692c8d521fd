//! Flapping, damped: a host that keeps failing does not take its addresses back at once, and no host takes any from a
//! Master that has only just come.
//!
//! Only taking back is put off. A Backup whose Master is silent or leaves takes over whatever was before: damping
//! moves addresses less often, and never leaves them without a holder. Only failures of this host count, so the
//! one that steps in for it is not held up. The minimum hold is the taker's, too: a Master that hears a better one gives
//! way at once (RFC 9568 6.4.3), or there would be two.

use super::Agent;
use super::effect::{Effect, Note};
use super::settle::News;
use super::transition::Standing;
use crate::time::Time;
use crate::vrrp::instance::Event;
use crate::vrrp::packet::Heard;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// When a router fails too often, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// So many failures as Master, 2..=100, …
    pub failures: u8,
    /// … within this time, are too many.
    pub within: Duration,
    /// From then on it takes nothing back for so long after a failure; twice as long after the next one within
    /// that time, at most [`LONGEST`] times as long.
    pub pause: Duration,
    /// A Master that has been heard for less than this is left what it has, whatever its priority; zero for off.
    pub hold: Duration,
}

/// How many times the first pause is the longest.
pub const LONGEST: u32 = 16;

/// The failures of one router.
#[derive(Debug, Default)]
pub(super) struct Failures {
    times: VecDeque<Time>,
    until: Option<Time>,
    /// Until when the Master has what it has.
    held: Option<Time>,
}

impl Failures {
    /// One more. Several of one moment are one.
    fn count(&mut self, now: Time, damping: Damping) {
        self.times.retain(|at| now.since(*at) < damping.within);
        if self.times.back() == Some(&now) {
            return;
        }
        self.times.push_back(now);
        if let Some(beyond) = self.times.len().checked_sub(usize::from(damping.failures)) {
            let times =
                u32::try_from(beyond).ok().and_then(|beyond| 1_u32.checked_shl(beyond)).unwrap_or(LONGEST);
            self.until = Some(now + damping.pause * times.min(LONGEST));
        }
    }

    /// Nobody is left to be left alone.
    pub fn took_over(&mut self) {
        self.held = None;
    }

    /// Until when nothing is taken back for them, where that is later than `now`.
    fn paused(&self, now: Time) -> Option<Time> {
        self.until.filter(|until| *until > now)
    }

    /// Until when a Master that has only just come is left alone, where that is later than `now`.
    fn held(&self, now: Time) -> Option<Time> {
        self.held.filter(|until| *until > now)
    }
}

impl Agent {
    /// A set is no longer Master: whether that was its own failure, and one too many.
    pub(super) fn count_failure(
        &mut self,
        now: Time,
        set: usize,
        before: &[(usize, Standing)],
        effects: &mut Vec<Effect>,
    ) {
        if self.stopping || !before.iter().any(|(_, standing)| *standing == Standing::Master) {
            return;
        }
        let Some(damping) = self.damping(set) else { return };
        let routers = || self.sets[set].routers.iter().map(|index| (*index, &self.routers[*index]));
        let lost = routers().all(|(index, _)| self.standing(index) != Standing::Master);
        let ours = routers().any(|(index, router)| {
            self.standing(index) == Standing::Fault || router.priority(&self.checks) < router.config.priority
        });
        if lost && ours {
            let first = self.sets[set].routers[0];
            self.routers[first].failures.count(now, damping);
            self.damp(now, set, effects);
        }
    }

    /// Tells a set whether it may take back now, and sees to it that it is told when it may again.
    pub(super) fn damp(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        let until = self.damped(now, set);
        if self.sets[set].group.members().iter().any(|member| member.is_damped() != until.is_some()) {
            if let Some(until) = until {
                let failures = self.paused(now, set).map_or(0, |_| self.failures(now, set));
                let router = self.routers[self.sets[set].routers[0]].config.name.clone();
                effects.push(Effect::Note(Note::Damped { router, span: until.since(now), failures }));
            }
            self.pass(now, set, &Event::Damped(until.is_some()), effects);
        }
        self.retry_at = self.retry_at.into_iter().chain(until).min();
    }

    /// An advert has come, before anybody acts on it: whether of a Master that was not there before, which then has
    /// what it has for a while.
    pub(super) fn hold_off(
        &mut self,
        now: Time,
        (index, place): (usize, usize),
        heard: &Heard,
        effects: &mut Vec<Effect>,
    ) {
        let set = self.routers[index].set;
        let Some(hold) = self.damping(set).map(|damping| damping.hold).filter(|hold| !hold.is_zero()) else {
            return;
        };
        let instance = self.instance(index, place);
        let interval = instance.config().interval.max(heard.advert.interval).duration();
        let (holds, lately) = (instance.holds(), now - interval * 3);
        let member = &mut self.routers[index].members[place];
        let there = |known: &IpAddr| member.peers.heard_from(*known).is_some_and(|at| at >= lately);
        let known = member.master.filter(|known| !holds && there(known));
        if heard.advert.priority.is_none() || known.is_some() {
            member.master = known.filter(|known| heard.advert.priority.is_some() || *known != heard.source);
        } else if !holds {
            member.master = Some(heard.source);
            let first = self.sets[set].routers[0];
            self.routers[first].failures.held = Some(now + hold);
            self.damp(now, set, effects);
        }
    }

    /// Until when a set takes nothing back.
    pub(super) fn damped(&self, now: Time, set: usize) -> Option<Time> {
        self.paused(now, set).max(self.held_off(now, set))
    }

    /// The same, for its failures;
    pub(super) fn paused(&self, now: Time, set: usize) -> Option<Time> {
        self.damping(set)?;
        self.routers[self.sets[set].routers[0]].failures.paused(now)
    }

    /// and since the Master has only just come.
    pub(super) fn held_off(&self, now: Time, set: usize) -> Option<Time> {
        self.damping(set)?;
        self.routers[self.sets[set].routers[0]].failures.held(now)
    }

    /// How many failures of a set count now.
    pub(super) fn failures(&self, now: Time, set: usize) -> u64 {
        let Some(damping) = self.damping(set) else { return 0 };
        let times = &self.routers[self.sets[set].routers[0]].failures.times;
        times.iter().map(|at| u64::from(now.since(*at) < damping.within)).sum()
    }

    fn damping(&self, set: usize) -> Option<Damping> {
        self.sets[set].routers.iter().find_map(|index| self.routers[*index].config.damping)
    }

    /// An operator has seen to it: what was does not count any more. Returns a line for each of the routers.
    pub(super) fn acknowledge(
        &mut self,
        now: Time,
        chosen: &[usize],
        effects: &mut Vec<Effect>,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for index in chosen {
            let router = &self.routers[*index];
            let damped = self.damped(now, router.set).is_some();
            let what = if damped { "takes its addresses back again" } else { "was not held back" };
            lines.push(format!("{} {what}", router.config.name));
        }
        for index in chosen {
            self.routers[*index].failures = Failures::default();
        }
        self.settle(now, News::All, effects);
        lines
    }
}
