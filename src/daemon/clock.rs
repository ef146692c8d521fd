//! What the deciders do not ask for themselves: the time, and chance.

use crate::time::Time;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// Monotonic, and counts the time that the machine slept: after a suspend the gap is seen.
pub(super) fn now() -> Time {
    let read = clock_gettime(ClockId::Boottime);
    let [seconds, nanos] = [read.tv_sec, read.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    Time::from_nanos(seconds.saturating_mul(1_000_000_000) + nanos)
}

/// What the wall clock reads, since the Unix epoch.
pub(super) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A number that nobody guesses, and not 0.
pub(super) fn chance() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes).max(1))
}
