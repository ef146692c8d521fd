//! When what is held is compared with the kernel's own list, besides on every change that it tells of.
//!
//! Only when: the comparing is `net::address`'s.

use crate::agent::InstanceId;
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often.
const USUAL: Duration = Duration::from_secs(20);
/// The same where the kernel tells of every change: what is left are changes it had no room to tell of.
const TOLD: Duration = Duration::from_secs(120);

/// The audits to come.
#[derive(Debug, Default)]
pub(super) struct Audits {
    /// How often, for each instance that holds something.
    often: BTreeMap<InstanceId, Duration>,
    /// Whether another Locum may have left something meanwhile.
    watched: bool,
    last: Time,
    next: Option<Time>,
}

impl Audits {
    /// This instance holds something, of whose changes the kernel tells, or not of all.
    pub(super) fn hold(&mut self, instance: InstanceId, is_told: bool) {
        self.often.insert(instance, if is_told { TOLD } else { USUAL });
        self.plan();
    }

    pub(super) fn release(&mut self, instance: InstanceId) {
        self.often.remove(&instance);
        self.plan();
    }

    /// Whether to look though nothing is held: for another Locum on this host, until it has ended.
    pub(super) fn watch(&mut self, watched: bool) {
        self.watched = watched;
        self.plan();
    }

    /// Whether to compare in this turn, which is then taken to be done.
    pub(super) fn are_due(&mut self, now: Time) -> bool {
        let due = self.next.is_some_and(|at| at <= now);
        if due {
            self.last = now;
            self.plan();
        }
        due
    }

    /// When the next is due. Who holds nothing has nothing to compare, and sleeps on.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.next
    }

    fn plan(&mut self) {
        let often = self.often.values().copied().chain(self.watched.then_some(USUAL)).min();
        self.next = often.map(|every| self.last + every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn what_the_kernel_tells_least_of_sets_the_pace_and_who_holds_nothing_sleeps_on() {
        let mut audits = Audits::default();
        assert_eq!((audits.deadline(), audits.are_due(at(1000))), (None, false));
        audits.hold(InstanceId(1), true);
        assert!(audits.are_due(at(1000)) && !audits.are_due(at(1000)));
        assert_eq!(audits.deadline(), Some(at(1120)));
        audits.hold(InstanceId(2), false);
        assert_eq!(audits.deadline(), Some(at(1020)));
        audits.release(InstanceId(2));
        assert_eq!(audits.deadline(), Some(at(1120)));
        audits.release(InstanceId(1));
        assert_eq!(audits.deadline(), None);
    }

    #[test]
    fn another_locum_on_this_host_is_watched_until_it_has_ended() {
        let mut audits = Audits::default();
        audits.watch(true);
        assert!(audits.are_due(at(50)));
        assert_eq!(audits.deadline(), Some(at(70)));
        audits.watch(false);
        assert_eq!(audits.deadline(), None);
    }
}
