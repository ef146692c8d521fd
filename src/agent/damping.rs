//! Flapping, damped: a host that keeps failing does not take its addresses back at once.
//!
//! Only taking back is put off. A Backup whose Master is silent or leaves takes over whatever was before: damping
//! moves addresses less often, and never leaves them without a holder. Only failures of this host count, so the
//! one that steps in for it is not held up.

use super::Agent;
use super::effect::Effect;
use super::settle::News;
use super::transition::Standing;
use crate::time::Time;
use crate::vrrp::instance::Event;
use std::collections::VecDeque;
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
}

/// How many times the first pause is the longest.
pub const LONGEST: u32 = 16;

/// The failures of one router.
#[derive(Debug, Default)]
pub(super) struct Failures {
    times: VecDeque<Time>,
    until: Option<Time>,
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

    /// Until when nothing is taken back, where that is later than `now`.
    pub fn damped(&self, now: Time) -> Option<Time> {
        self.until.filter(|until| *until > now)
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
            self.pass(now, set, &Event::Damped(until.is_some()), effects);
        }
        self.retry_at = self.retry_at.into_iter().chain(until).min();
    }

    /// Until when a set takes nothing back.
    pub(super) fn damped(&self, now: Time, set: usize) -> Option<Time> {
        self.damping(set)?;
        self.routers[self.sets[set].routers[0]].failures.damped(now)
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
