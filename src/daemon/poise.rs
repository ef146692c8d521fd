//! How long the core sleeps, so that it is awake when something is due; and that all is ready then, where that is a takeover.
//!
//! Only when. A processor that sleeps takes a tenth of a millisecond to wake, and what was not done for seconds twice as
//! long as what was done just now. Whoever knows a rare moment can spare a millisecond for it; among a thousand
//! takeovers nobody sleeps, and the processors are needed.

use crate::time::Time;
use std::time::Duration;

/// A longer sleep than of any Master that advertises every second.
const LONG: Duration = Duration::from_millis(1200);
/// How long before a takeover all gets ready for it. The core sleeps then: whom it wakes may be on this processor.
const LEAD: Duration = Duration::from_millis(1);
/// How long before it the core does not sleep any more.
const AWAKE: Duration = Duration::from_micros(200);
/// How long it sleeps after it, so that the address comes before what can wait.
pub(super) const GIVES_WAY: Duration = Duration::from_micros(100);
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
    /// Have all get ready.
    GetReady,
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
            Some(prepared) if prepared == at && left > AWAKE => Rest::Sleep(left.saturating_sub(AWAKE)),
            Some(prepared) if prepared == at => Rest::Stay,
            Some(prepared) if now.since(prepared) < PAUSE => Rest::Sleep(nap(left)),
            _ if left > LEAD * 5 / 4 => Rest::Sleep(most(left.saturating_sub(LEAD))),
            // Too late for that.
            _ if left < AWAKE => Rest::Stay,
            _ => {
                self.0 = Some(at);
                Rest::GetReady
            }
        }
    }

    /// Whether what is done at this moment was prepared.
    pub(super) fn is_for(&self, now: Time) -> bool {
        self.0.is_some_and(|prepared| prepared <= now && now.since(prepared) < LEAD)
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
        let rest = Rest::Sleep(Duration::from_micros(3_600_000 - slept - 200));
        assert_eq!(poise.before(at(slept), due), rest);
        assert_eq!(poise.before(at(3_599_800), due), Rest::Stay);
        assert!(!poise.is_for(at(3_599_999)) && poise.is_for(due) && !poise.is_for(at(3_601_000)));
    }

    #[test]
    fn among_many_takeovers_one_alone_is_prepared() {
        let mut poise = Poise::default();
        assert_eq!(poise.before(at(99_700), at(100_000)), Rest::GetReady);
        assert_eq!(poise.before(at(100_050), at(100_300)), Rest::Sleep(Duration::from_micros(250)));
        assert_eq!(poise.before(at(300_100), at(300_400)), Rest::GetReady);
        assert_eq!(poise.before(at(600_000), at(600_100)), Rest::Stay);
    }
}
