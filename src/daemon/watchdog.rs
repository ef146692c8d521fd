//! What the service manager is told, and how often. Patted by the core itself: a core that hangs is
//! a daemon that hangs, whatever its other threads do.

use crate::time::Time;
use sd_notify::NotifyState;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When the next pat is due; 0 before the first.
static NEXT: AtomicU64 = AtomicU64::new(0);

pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("running")]);
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Around a reload, as `Type=notify-reload` wants it.
pub(super) fn reloading() {
    if let Ok(state) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, state]);
    }
}

/// Tells the service manager that the core lives, twice in each period that it asked for.
pub(super) fn pat(now: Time) {
    let Some(period) = period() else { return };
    if now.as_nanos() >= NEXT.load(Ordering::Relaxed) {
        tell(&[NotifyState::Watchdog]);
        NEXT.store((now + period / 2).as_nanos(), Ordering::Relaxed);
    }
}

/// When to call [`pat`] next; `None` where nobody asked.
pub(super) fn deadline() -> Option<Time> {
    period().map(|_| Time::from_nanos(NEXT.load(Ordering::Relaxed)))
}

fn period() -> Option<Duration> {
    static PERIOD: OnceLock<Option<Duration>> = OnceLock::new();
    *PERIOD.get_or_init(sd_notify::watchdog_enabled)
}

fn tell(state: &[NotifyState]) {
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(state);
}
