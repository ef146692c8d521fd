//! Time as the deciders know it: a monotonic number of nanoseconds, handed in from outside.
//!
//! Nothing here reads a clock. The daemon and the simulator each bring their own.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock, in nanoseconds since an arbitrary origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(u64);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Time = Time(0);

    /// The point `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero where `earlier` lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at the end of the clock (584 years).
    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    /// Saturates at the origin.
    fn sub(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The earlier of two optional deadlines. `None` means "never" and therefore loses, which
/// `Option::min` gets the other way round.
#[must_use]
pub fn earliest<W>(a: Option<(Time, W)>, b: Option<(Time, W)>) -> Option<(Time, W)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The first of several moments, of which `None` means "never".
#[must_use]
pub fn first<const N: usize>(moments: [Option<Time>; N]) -> Option<Time> {
    // A moment at the end of the clock never comes either, and numbers are compared faster than options.
    let first = moments.into_iter().fold(u64::MAX, |first, at| first.min(at.map_or(u64::MAX, |at| at.0)));
    (first < u64::MAX).then_some(Time(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_loses_against_any_deadline() {
        let soon = Some((Time::from_nanos(5), 'a'));
        let late = Some((Time::from_nanos(9), 'b'));
        assert_eq!(earliest(None, soon), soon);
        assert_eq!(earliest(soon, None), soon);
        assert_eq!(earliest(late, soon), soon);
        assert_eq!(earliest::<char>(None, None), None);
    }

    #[test]
    fn of_several_moments_the_first_comes_first_and_never_does_not_count() {
        let [soon, late] = [5, 9].map(|nanos| Some(Time::from_nanos(nanos)));
        assert_eq!(first([late, None, soon]), soon);
        assert_eq!(first([None, late]), late);
        assert_eq!((first([None, None]), first([])), (None, None));
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Time::from_nanos(3).since(Time::from_nanos(9)), Duration::ZERO);
        assert_eq!(Time::from_nanos(u64::MAX) + Duration::from_secs(1), Time::from_nanos(u64::MAX));
        assert_eq!(Time::from_nanos(3) - Duration::from_secs(1), Time::ZERO);
    }
}
