//! Sequences of signed adverts: made from the wall clock by the sender, each accepted once by the
//! receiver. The wall clock is an argument, as the time since the Unix epoch.

use super::hmac::Untrusted;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// How many senders are remembered on a group, where nobody says how many there are. More than any group
/// has, since whoever is forgotten can be replayed.
pub const MULTICAST_SENDERS: usize = 64;

/// How old adverts are kept from being sent again by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AntiReplay {
    /// Sequences are clock readings and may be off by this many seconds.
    Time(u32),
    /// Sequences only ever grow.
    Monotonic,
}

impl AntiReplay {
    /// Whether `sequence` is too far from the clock, either way.
    pub(super) fn stale(self, sequence: Sequence, clock: Duration) -> bool {
        match self {
            AntiReplay::Time(window) => sequence.seconds_from(Sequence::at(clock)) > window,
            AntiReplay::Monotonic => false,
        }
    }
}

/// Seconds (32 bits), a binary fraction (16) and a counter (16), compared as serial numbers
/// (RFC 1982): the wrap in 2106 is an ordinary moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(u64);

impl Sequence {
    /// The sequence of a clock reading.
    #[must_use]
    pub fn at(clock: Duration) -> Self {
        let fraction = (u64::from(clock.subsec_nanos()) << 16) / 1_000_000_000;
        Sequence(clock.as_secs() << 32 | fraction << 16)
    }

    /// The sequence to send after `last`: the clock's where it has moved on, else one more. A
    /// sender stranded ahead of a clock that was set back returns to it, where sequences are
    /// clock readings.
    #[must_use]
    pub fn following(last: Option<Sequence>, clock: Duration, mode: AntiReplay) -> Self {
        let now = Sequence::at(clock);
        match (last, mode) {
            (None, _) => now,
            (Some(last), _) if now.after(last) => now,
            (Some(last), AntiReplay::Time(window)) if last.seconds_from(now) > window => now,
            (Some(last), _) => Sequence(last.0.wrapping_add(1)),
        }
    }

    /// The eight bytes as they are sent.
    #[must_use]
    pub const fn to_wire(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The sequence of eight received bytes.
    #[must_use]
    pub const fn from_wire(bytes: [u8; 8]) -> Self {
        Sequence(u64::from_be_bytes(bytes))
    }

    /// How far this is ahead of a clock reading in milliseconds, negative where it is behind: what two
    /// clocks differ by, less the time on the way.
    #[must_use]
    pub fn ahead_of(self, clock: Duration) -> i64 {
        let apart = i128::from(self.0.wrapping_sub(Sequence::at(clock).0).cast_signed());
        i64::try_from((apart * 1000) >> 32).unwrap_or(i64::MAX)
    }

    /// The sequence so long after this one.
    #[must_use]
    pub fn later(self, span: Duration) -> Self {
        Sequence(self.0.wrapping_add(Sequence::at(span).0))
    }

    fn after(self, other: Sequence) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// The distance in whole seconds, whichever is later.
    fn seconds_from(self, other: Sequence) -> u32 {
        let [ours, theirs] = [self, other].map(|sequence| (sequence.0 >> 32) as u32);
        ours.wrapping_sub(theirs).cast_signed().unsigned_abs()
    }
}

/// The latest sequence of each sender, for as many senders as there is room for; the one not heard
/// for the longest makes place. Only what was verified comes here, so nobody without a key can
/// move a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marks {
    /// The latest heard sender is the last.
    senders: Vec<(IpAddr, Sequence)>,
}

impl Marks {
    /// Whether `sequence` is later than all before it from `source`; if so, remembers it. Where
    /// sequences are clock readings, a mark far from the clock is void: its sender's clock was mended.
    /// There is room for as many as there are peers, or for [`MULTICAST_SENDERS`].
    pub fn admit(
        &mut self,
        source: IpAddr,
        sequence: Sequence,
        mode: AntiReplay,
        clock: Duration,
        room: usize,
    ) -> Result<(), Untrusted> {
        let known = self.senders.iter().position(|(sender, _)| *sender == source);
        let mark = known.map(|at| self.senders.remove(at).1);
        let valid = mark.filter(|mark| !mode.stale(*mark, clock));
        let outcome = match valid {
            Some(mark) if !sequence.after(mark) => Err((mark, Untrusted::Replay)),
            _ => Ok(sequence),
        };
        let surplus = (self.senders.len() + 1).saturating_sub(room).min(self.senders.len());
        self.senders.drain(..surplus);
        let (mark, verdict) = match outcome {
            Ok(sequence) => (sequence, Ok(())),
            Err((mark, why)) => (mark, Err(why)),
        };
        self.senders.push((source, mark));
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Sequence = Sequence(0x6800_0000_8000_0000);

    #[test]
    fn sequences_follow_the_clock_and_never_repeat() {
        let time = AntiReplay::Time(5);
        let clock = Duration::new(0x6800_0000, 500_000_000);
        let first = Sequence::following(None, clock, time);
        assert_eq!(first, SENT);
        assert_eq!(Sequence::following(Some(first), clock, time), Sequence(SENT.0 + 1));
        let back = Duration::from_secs(0x6800_0000 - 3600);
        assert_eq!(Sequence::following(Some(first), back, time), Sequence::at(back));
        assert_eq!(Sequence::following(Some(first), back, AntiReplay::Monotonic), Sequence(SENT.0 + 1));
        let wrapped = Sequence::at(Duration::from_secs(0x1_0000_0000));
        assert!(wrapped.after(Sequence(u64::MAX)) && !Sequence(u64::MAX).after(wrapped));
    }

    #[test]
    fn a_sequence_tells_how_far_two_clocks_are_apart() {
        let clock = Duration::new(0x6800_0000, 500_000_000);
        assert_eq!(SENT.ahead_of(clock), 0);
        assert_eq!(SENT.ahead_of(Duration::from_secs(0x67FF_FFFE)), 2500);
        assert_eq!(SENT.ahead_of(clock + Duration::from_secs(3600)), -3_600_000);
    }

    #[test]
    fn a_sequence_is_admitted_once_per_sender() {
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let clock = Duration::from_secs(0x6800_0000);
        let mut marks = Marks::default();
        let mut admit = |source, sequence| marks.admit(source, sequence, AntiReplay::Time(5), clock, 2);
        assert_eq!(admit(a, SENT), Ok(()));
        assert_eq!(admit(a, SENT), Err(Untrusted::Replay));
        assert_eq!(admit(a, Sequence(SENT.0 - 1)), Err(Untrusted::Replay));
        assert_eq!(admit(b, SENT), Ok(()));
        assert_eq!(admit(a, Sequence(SENT.0 + 1)), Ok(()));
    }

    #[test]
    fn a_mark_far_ahead_expires_by_the_clock_and_stays_without_one() {
        let sender = "192.0.2.1".parse().unwrap();
        let clock = Duration::from_secs(0x6800_0000);
        let ahead = Sequence::at(clock + Duration::from_secs(3600));
        for (mode, expected) in
            [(AntiReplay::Time(5), Ok(())), (AntiReplay::Monotonic, Err(Untrusted::Replay))]
        {
            let mut marks = Marks::default();
            marks.admit(sender, ahead, mode, clock, 1).unwrap();
            assert_eq!(marks.admit(sender, Sequence::at(clock), mode, clock, 1), expected);
        }
    }

    #[test]
    fn the_sender_not_heard_for_the_longest_is_forgotten_first() {
        let senders: Vec<IpAddr> = (1..=3).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let mut marks = Marks::default();
        let mut admit =
            |at: usize| marks.admit(senders[at], SENT, AntiReplay::Monotonic, Duration::ZERO, 2).is_ok();
        assert!(admit(0) && admit(1));
        // A replay is a sign of life too, so the second one has to go.
        assert!(!admit(0));
        assert!(admit(2) && !admit(0) && admit(1));
    }
}
