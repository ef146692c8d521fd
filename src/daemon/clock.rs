//! What the deciders do not ask for themselves: the time, and chance.

use crate::time::Time;
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime};

/// Monotonic, and counts the time that the machine slept: after a suspend the gap is seen.
pub(super) fn now() -> Time {
    let clock = clock_gettime(ClockId::CLOCK_BOOTTIME).or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC));
    clock.map_or(Time::ZERO, |spec| Time::ZERO + Duration::from(spec))
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
