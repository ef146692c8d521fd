//! How long the core sleeps, so that it is awake when something is due; and the holder with it, where that is a takeover.
//!
//! Only when. A processor that sleeps takes a tenth of a millisecond to wake, and the one that the addresses are put
//! there by as long again. Whoever knows a rare moment can spare a millisecond for it; among a thousand takeovers
//! nobody sleeps, and the processors are needed.

use crate::time::Time;
use std::time::Duration;

/// A longer sleep than of any Master that advertises every second.
const LONG: Duration = Duration::from_millis(1200);
/// How long before a takeover nobody sleeps any more.
const LEAD: Duration = Duration::from_millis(1);
/// For how long after it was due the holder stays awake at most.
pub(super) const REACH: Duration = Duration::from_millis(1);
/// For so long after one no other takeover is prepared.
const PAUSE: Duration = Duration::from_millis(200);

/// How long to sleep at once of so long a rest.
pub(super) fn nap(rest: Duration) -> Duration {
    if rest > LONG { most(rest) } else { rest }
}

/// Whoever is not real-time is woken late by up to a thousandth of its sleep, 4 ms before a takeover: so it ends
/// shortly before, and the rest is short.
fn most(rest: Duration) -> Duration {
    rest / 512 * 511
}

/// What to do until then.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Sleep for so long.
    Sleep(Duration),
    /// Wake the holder, have all ready, and do not sleep.
    Rouse,
    /// Do not sleep.
    Stay,
}

/// Which takeover was prepared last.
#[derive(Debug, Default)]
pub(super) struct Poise(Option<Time>);

impl Poise {
    /// What to do where a takeover is due at `at`, and nothing before it.
    pub(super) fn before(&mut self, now: Time, at: Time) -> Rest {
        let left = at.since(now);
        match self.0 {
            Some(prepared) if prepared == at => Rest::Stay,
            Some(prepared) if now.since(prepared) < PAUSE => Rest::Sleep(nap(left)),
            _ if left > LEAD * 5 / 4 => Rest::Sleep(most(left.saturating_sub(LEAD))),
            _ => {
                self.0 = Some(at);
                Rest::Rouse
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Time {
        Time::ZERO + Duration::from_micros(micros)
    }

    #[test]
    fn a_sleep_ends_shortly_before_a_takeover_and_none_follows() {
        let mut poise = Poise::default();
        let due = at(3_600_000);
        let mut slept = 0;
        while let Rest::Sleep(rest) = poise.before(at(slept), due) {
            // As late as a kernel may be.
            slept += u64::try_from((rest + rest / 1000).as_micros()).unwrap();
            assert!(slept <= 3_600_000 - 990, "{slept}");
        }
        assert!(slept >= 3_600_000 - 1260, "{slept}");
        assert_eq!(poise.before(at(slept), due), Rest::Stay);
    }

    #[test]
    fn among_many_takeovers_one_alone_is_prepared() {
        let mut poise = Poise::default();
        assert_eq!(poise.before(at(99_700), at(100_000)), Rest::Rouse);
        assert_eq!(poise.before(at(100_050), at(100_300)), Rest::Sleep(Duration::from_micros(250)));
        assert_eq!(poise.before(at(300_100), at(300_400)), Rest::Rouse);
    }
}
