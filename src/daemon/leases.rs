//! When leased addresses are to be renewed: in the core's own turns, so that a core that hangs renews nothing.
//!
//! What goes with the claim of voters is not among them: it is renewed with every answer of theirs. That of a store
//! lasts for longer than a lease, and its answers may take as long.
//!
//! Only when, and what is told of those that come late; how long a lease is comes with what is held, and the renewing is
//! `net::address`'s.

use crate::agent::InstanceId;
use crate::history::{LeaseLate, millis};
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Of late renewals is told once within this time: whoever is late with all of them would fill the record.
const TOLD_EACH: Duration = Duration::from_mins(1);

/// The leases of what is held now.
#[derive(Debug, Default)]
pub(super) struct Leases {
    lengths: BTreeMap<InstanceId, Duration>,
    pace: Option<Pace>,
    renewed: Time,
    /// How often.
    pub(super) renewals: u64,
    /// How many of those came when more than three quarters of the lease were over.
    pub(super) late: u64,
    /// Those that were not told of.
    untold: Option<LeaseLate>,
    told: Option<Time>,
}

/// What follows from the shortest lease, at hand for every turn: all since the last renewal.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// From when on to renew: a third of it. An advert is due about then, and the core is awake for it anyway.
    due: Duration,
    /// When to wake for that, where nothing else wakes the core: five eighths.
    wake: Duration,
    /// From when on that is late: three quarters.
    late: Duration,
    lease: Duration,
}

impl Leases {
    /// This instance holds something, put there now and leased for so long.
    pub(super) fn hold(&mut self, instance: InstanceId, lease: Option<Duration>, now: Time) {
        if self.lengths.is_empty() {
            self.renewed = now;
        }
        match lease {
            Some(lease) => self.lengths.insert(instance, lease),
            None => self.lengths.remove(&instance),
        };
        self.set_pace();
    }

    pub(super) fn release(&mut self, instance: InstanceId, now: Time) {
        let pace = self.pace;
        if self.lengths.remove(&instance).is_some() {
            self.set_pace();
            if let (Some(pace), None) = (pace, self.pace) {
                // No renewal comes that would be late.
                self.judge(pace, now.since(self.renewed));
            }
        }
    }

    /// Whether it was late, after so long.
    fn judge(&mut self, pace: Pace, over: Duration) -> bool {
        let late = over > pace.late;
        if late {
            let untold = self.untold.get_or_insert(LeaseLate { lease_ms: 0, after_ms: 0, times: 0 });
            if millis(over) > untold.after_ms {
                (untold.lease_ms, untold.after_ms) = (millis(pace.lease), millis(over));
            }
            untold.times += 1;
        }
        late
    }

    /// What is to be told now of those that were late.
    pub(super) fn news(&mut self, now: Time) -> Option<LeaseLate> {
        let quiet = self.pace.is_some() && self.told.is_some_and(|told| now.since(told) < TOLD_EACH);
        let late = self.untold.take_if(|_| !quiet)?;
        self.told = Some(now);
        Some(late)
    }

    fn set_pace(&mut self) {
        let shortest = self.lengths.values().min();
        self.pace = shortest.map(|lease| Pace {
            due: *lease / 3,
            wake: *lease * 5 / 8,
            late: *lease * 3 / 4,
            lease: *lease,
        });
    }

    /// Whether to renew in this turn, which is then taken to be done.
    pub(super) fn are_due(&mut self, now: Time) -> bool {
        let over = now.since(self.renewed);
        let Some(pace) = self.pace.filter(|pace| over >= pace.due) else { return false };
        self.renewals += 1;
        self.late += u64::from(self.judge(pace, over));
        self.renewed = now;
        true
    }

    /// When the core is to wake for it, where nothing else wakes it.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.pace.map(|pace| self.renewed + pace.wake)
    }
}

/// The moment of the kernel's clock that the agent means.
pub(super) fn instant(time: Time) -> Instant {
    Instant::now() + time.since(super::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_lease_of_two_seconds_is_renewed_with_every_advert_and_never_wakes_anybody() {
        let mut leases = Leases::default();
        leases.hold(InstanceId(1), Some(Duration::from_secs(2)), at(5000));
        for advert in (6000..60_000).step_by(1000) {
            assert!(leases.deadline().is_some_and(|deadline| deadline > at(advert)));
            assert!(!leases.are_due(at(advert - 500)));
            assert!(leases.are_due(at(advert)));
        }
        assert_eq!((leases.renewals, leases.late), (54, 0));
        assert!(leases.are_due(at(60_501)));
        assert_eq!((leases.renewals, leases.late), (55, 1));
    }

    #[test]
    fn the_shortest_lease_sets_the_pace_and_without_any_there_is_none() {
        let mut leases = Leases::default();
        leases.hold(InstanceId(1), None, at(0));
        assert_eq!((leases.deadline(), leases.are_due(at(9000))), (None, false));
        leases.hold(InstanceId(2), Some(Duration::from_secs(8)), at(9000));
        leases.hold(InstanceId(3), Some(Duration::from_secs(1)), at(9000));
        assert_eq!(leases.deadline(), Some(at(9625)));
        leases.release(InstanceId(3), at(9000));
        assert_eq!(leases.deadline(), Some(at(14_000)));
    }

    #[test]
    fn of_late_renewals_the_worst_is_told_at_once_and_then_once_a_minute() {
        let mut leases = Leases::default();
        leases.hold(InstanceId(1), Some(Duration::from_secs(2)), at(0));
        assert!(leases.are_due(at(1000)) && leases.news(at(1000)).is_none());
        let mut told = Vec::new();
        for renewal in 1..=70 {
            // All of them are late, one of them too late.
            let now = at(1000 + renewal * 1600 + if renewal >= 20 { 700 } else { 0 });
            assert!(leases.are_due(now));
            told.extend(leases.news(now).map(|late| (renewal, late.after_ms, late.times)));
        }
        assert_eq!(told, [(1, 1600, 1), (39, 2300, 38)]);
    }

    #[test]
    fn who_was_frozen_and_steps_down_tells_that_its_leases_had_ended() {
        let mut leases = Leases::default();
        for instance in [1, 2] {
            leases.hold(InstanceId(instance), Some(Duration::from_secs(2)), at(0));
        }
        leases.release(InstanceId(1), at(9000));
        assert_eq!(leases.news(at(9000)), None, "there is one that is renewed yet, or given up");
        leases.release(InstanceId(2), at(9000));
        assert_eq!(leases.news(at(9000)), Some(LeaseLate { lease_ms: 2000, after_ms: 9000, times: 1 }));
        leases.hold(InstanceId(1), Some(Duration::from_secs(2)), at(10_000));
        leases.release(InstanceId(1), at(11_000));
        assert_eq!(leases.news(at(11_000)), None, "in order");
    }
}
