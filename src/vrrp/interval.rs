//! Intervals and priorities, and the arithmetic that turns them into timers. Only here.
//!
//! RFC 9568 section 6.1 (version 3), RFC 3768 section 6.1 (version 2). Results keep nanoseconds:
//! with whole centiseconds priorities 100 and 101 would share one skew and both take over.

use super::Version;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// An advertisement interval in centiseconds (10 ms), 1..=25500.
///
/// Version 3 carries 1..=4095 cs on the wire, version 2 whole seconds 1..=255: [`Interval::fits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Interval(u16);

impl Interval {
    /// The default of both RFCs: one second.
    pub const SECOND: Interval = Interval(100);

    /// `centiseconds` in 1..=25500, else `None`.
    #[must_use]
    pub const fn from_centiseconds(centiseconds: u16) -> Option<Self> {
        match centiseconds {
            1..=25_500 => Some(Interval(centiseconds)),
            _ => None,
        }
    }

    /// The interval in centiseconds, as version 3 sends it.
    #[must_use]
    pub const fn centiseconds(self) -> u16 {
        self.0
    }

    /// Whole seconds, as version 2 sends it; `None` where it is not a whole number.
    #[must_use]
    pub const fn whole_seconds(self) -> Option<u8> {
        if self.0.is_multiple_of(100) {
            #[expect(clippy::cast_possible_truncation, reason = "25500 / 100 is 255")]
            Some((self.0 / 100) as u8)
        } else {
            None
        }
    }

    /// Whether `version` can carry this interval on the wire.
    #[must_use]
    pub const fn fits(self, version: Version) -> bool {
        match version {
            Version::V2 => self.0.is_multiple_of(100),
            Version::V3 => self.0 <= 4095,
        }
    }

    /// The interval as a span of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }

    /// `Skew_Time`: (256 - priority) / 256 of the interval (version 3) or of one second (version 2).
    #[must_use]
    pub const fn skew(self, version: Version, priority: Priority) -> Duration {
        let base = match version {
            Version::V2 => 1_000_000_000,
            Version::V3 => self.0 as u64 * 10_000_000,
        };
        Duration::from_nanos(base * (256 - priority.0 as u64) / 256)
    }

    /// `Active_Down_Interval` (`Master_Down_Interval`): three intervals and the skew.
    #[must_use]
    pub fn down(self, version: Version, priority: Priority) -> Duration {
        self.down_after(3, version, priority)
    }

    /// As [`Interval::down`], with another number of missed adverts than the RFC's three.
    #[must_use]
    pub fn down_after(self, adverts: u8, version: Version, priority: Priority) -> Duration {
        self.duration() * u32::from(adverts) + self.skew(version, priority)
    }

    /// For how long a Master's addresses stay without being renewed: they are gone when a Backup takes over
    /// that has missed so many adverts, and by no more than that before. Whole seconds, which the kernel counts
    /// in, so that below half a second or so it can only be too long; see [`lease_ends`].
    #[must_use]
    pub fn lease(self, adverts: u8) -> Duration {
        lease_within(self.duration() * u32::from(adverts))
    }
}

/// By how much later than told the kernel removes an address at most: 0.01 to 0.35 s were measured.
const LEASE_LATE: Duration = Duration::from_millis(350);

/// The longest lease that is over within this span, as far as whole seconds can be; never less than one.
#[must_use]
pub fn lease_within(span: Duration) -> Duration {
    Duration::from_secs(span.saturating_sub(LEASE_LATE).as_secs().max(1))
}

/// When the kernel has removed addresses of this lease at the latest, counted from the last renewal.
#[must_use]
pub fn lease_ends(lease: Duration) -> Duration {
    lease.saturating_add(LEASE_LATE)
}

/// How long a renewal may take, from when it is due to when the kernel has it.
const TURN: Duration = Duration::from_millis(20);

/// When what goes with a claim that ends then can be renewed for the last time, whatever the voters answer: by the
/// shortest lease, which ends with the claim, and later than a longer one of before.
#[must_use]
pub fn last_renewal(ends: Time) -> Time {
    ends - (lease_ends(lease_within(Duration::ZERO)) + TURN)
}

/// The longest lease, up to `length`, of what goes with a claim that lasts for `left`; `None` where even the
/// shortest would end later.
#[must_use]
pub fn lease_under(left: Duration, length: Duration) -> Option<Duration> {
    let lease = length.min(lease_within(left));
    (lease_ends(lease) <= left).then_some(lease)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole_seconds() {
            Some(seconds) => write!(f, "{seconds}s"),
            None => write!(f, "{}ms", u32::from(self.0) * 10),
        }
    }
}

/// The priority of a taking-part router, 1..=255. 255 is the owner's; 0, the farewell, is no priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Priority {
    /// The default of both RFCs for a router that does not own the address.
    pub const DEFAULT: Priority = Priority(100);
    /// The address owner's priority.
    pub const OWNER: Priority = Priority(255);

    /// `value` in 1..=255, else `None`.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            0 => None,
            _ => Some(Priority(value)),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether this is the address owner.
    #[must_use]
    pub const fn is_owner(self) -> bool {
        self.0 == 255
    }

    /// This priority with `weight` added, kept within 1..=254. An owner stays an owner, and nobody
    /// becomes one (RFC 9568 section 5.2.4).
    #[must_use]
    pub fn adjusted(self, weight: i32) -> Self {
        if self.is_owner() {
            return self;
        }
        let sum = i32::from(self.0).saturating_add(weight).clamp(1, 254);
        Priority(u8::try_from(sum).unwrap_or(1))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_priorities_keep_their_distance() {
        let skew = |p| Interval::SECOND.skew(Version::V3, Priority(p));
        assert_eq!(skew(100), skew(101) + Duration::from_nanos(3_906_250));
    }

    #[test]
    fn the_longest_down_interval_does_not_overflow() {
        let longest = Interval(25_500).down(Version::V2, Priority(1));
        assert_eq!(longest, Duration::from_nanos(765_996_093_750));
    }

    #[test]
    fn a_lease_ends_before_a_backup_takes_over_and_is_never_less_than_a_second() {
        let lease = |centiseconds, adverts| Interval(centiseconds).lease(adverts).as_secs();
        assert_eq!([lease(100, 3), lease(100, 2), lease(50, 3), lease(45, 3)], [2, 1, 1, 1]);
        assert_eq!([lease(1000, 3), lease(25_500, 100)], [29, 25_499]);
        assert_eq!([lease(100, 1), lease(10, 3), lease(1, 1)], [1, 1, 1]);
        for interval in (45..1000).map(Interval) {
            assert!(lease_ends(interval.lease(3)) <= interval.duration() * 3, "{interval}");
        }
    }

    #[test]
    fn a_lease_under_a_claim_ends_before_it() {
        let [second, two] = [1, 2].map(Duration::from_secs);
        let under = |left, length| lease_under(Duration::from_millis(left), length);
        assert_eq!([under(2850, two), under(2349, two)], [Some(two), Some(second)]);
        assert_eq!(
            [under(2850, second), under(1350, two), under(1349, two)],
            [Some(second), Some(second), None]
        );
    }

    #[test]
    fn the_last_renewal_under_a_claim_reaches_as_far_as_whole_seconds_can_and_never_beyond_it() {
        let ends = Time::ZERO + Duration::from_millis(7850);
        for late in (0..=20).map(Duration::from_millis) {
            let now = last_renewal(ends) + late;
            let lease = lease_under(ends.since(now), Duration::from_secs(2)).unwrap();
            assert!(now + lease_ends(lease) <= ends, "late by {late:?}");
            assert!(now + lease > Time::ZERO + Duration::from_millis(7000), "than what the last answer gave");
        }
    }

    #[test]
    fn weights_never_make_or_unmake_an_owner() {
        assert_eq!(Priority(100).adjusted(1000), Priority(254));
        assert_eq!(Priority(100).adjusted(i32::MIN), Priority(1));
        assert_eq!(Priority::OWNER.adjusted(-200), Priority::OWNER);
    }

    #[test]
    fn only_whole_seconds_fit_version_2_and_only_twelve_bits_fit_version_3() {
        assert!(Interval(150).fits(Version::V3) && !Interval(150).fits(Version::V2));
        assert!(Interval(4200).fits(Version::V2) && !Interval(4200).fits(Version::V3));
        assert_eq!(Interval::from_centiseconds(0), None);
        assert_eq!(Interval::from_centiseconds(25_501), None);
    }
}
