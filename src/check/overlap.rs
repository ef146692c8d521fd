//! A check whose probes may overlap: one starts each interval, whether or not the last has ended. So a target
//! that hangs is found out after `fall` intervals and one probe, not after `fall` probes.
//!
//! What a probe says must not be older than what is known already; what follows from it is not decided here.

use super::lane::Lane;
use super::sentry::Sentry;
use super::{SHORTEST_INTERVAL, Spec, after, jitter, round, spread};
use crate::health::Outcome;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The most probes of one check at a time.
pub const MOST: u32 = 16;

/// Probes for ever, and hands to `report` every failure, and every pass that is newer than what was said.
pub(super) async fn run(spec: &Spec, mut report: impl FnMut(Outcome)) {
    let (lane, sentry) = (Lane::default(), Sentry::default());
    let interval = spec.schedule.interval.max(SHORTEST_INTERVAL);
    let mut running = FuturesUnordered::new();
    let mut next = after(Instant::now(), jitter(spec.schedule.jitter));
    let mut span = spread(interval);
    let (mut number, mut newest, mut passed): (u64, u64, u64) = (0, 0, 0);
    loop {
        tokio::select! {
            () = sleep_until(next), if running.len() < MOST as usize => {
                number += 1;
                let (nth, lane, sentry) = (number, &lane, &sentry);
                running.push(async move { (nth, round(spec, lane, sentry).await) });
                next = after(Instant::now(), span.saturating_add(jitter(spec.schedule.jitter)));
                span = interval;
            }
            Some((nth, outcome)) = running.next() => {
                // Of one that began before a probe that has passed, nobody wants to hear; and that it was well
                // before it failed is no news.
                let stale = nth < passed || outcome.verdict.is_ok() && nth < newest;
                newest = newest.max(nth);
                if outcome.verdict.is_ok() {
                    passed = passed.max(nth);
                }
                if !stale {
                    report(outcome);
                }
            }
        }
    }
}

impl Spec {
    /// Whether more probes than [`MOST`] would have to run at a time.
    #[must_use]
    pub fn overlaps_too_much(&self) -> bool {
        let interval = self.schedule.interval.max(SHORTEST_INTERVAL);
        self.schedule.overlap && self.round() > interval.saturating_mul(MOST)
    }

    /// From the start of one probe to the start of the next, at most.
    pub(super) fn period(&self) -> Duration {
        let period = self.schedule.interval.max(SHORTEST_INTERVAL).saturating_add(self.schedule.jitter);
        if self.schedule.overlap { period } else { period.max(self.round()) }
    }
}
