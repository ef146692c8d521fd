//! What the RFCs' tables tell and no snapshot has: since when a router takes part, why it became Master last,
//! and its last protocol error. Learnt from what is told; forgotten with the process.

use crate::agent::status::RouterStatus;
use crate::agent::{RouterName, Standing, Subject, Transition};
use crate::vrrp::why::Why;
use std::collections::BTreeMap;
use std::time::Instant;

/// `vrrpv3StatisticsNewMasterReason` (RFC 6527).
const NOT_MASTER: i32 = 0;
const PRIORITY: i32 = 1;
const PREEMPTED: i32 = 2;
const NO_RESPONSE: i32 = 3;

/// What is remembered of all routers.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<RouterName, Known>);

#[derive(Debug, Default)]
struct Known {
    /// Since when it takes part.
    since: Option<Instant>,
    reason: i32,
    error: i32,
}

impl Memory {
    pub(super) fn transition(&mut self, transition: &Transition, now: Instant) {
        let Subject::Router(name) = &transition.subject else { return };
        let known = self.0.entry(name.clone()).or_default();
        let takes_part = |state| matches!(state, Standing::Backup | Standing::Master);
        known.since = known.since.filter(|_| takes_part(transition.from)).or(Some(now));
        known.since = known.since.filter(|_| takes_part(transition.to));
        if transition.to == Standing::Master {
            known.reason = match transition.why {
                Why::Preempted(_) => PREEMPTED,
                Why::Silence | Why::Farewell(_) | Why::LinkBack | Why::NobodyTook => NO_RESPONSE,
                _ => PRIORITY,
            };
        }
    }

    /// A protocol error, by its number in RFC 6527.
    pub(super) fn error(&mut self, router: &RouterName, error: i32) {
        self.0.entry(router.clone()).or_default().error = error;
    }

    pub(super) fn last_error(&self, router: &RouterName) -> i32 {
        self.0.get(router).map_or(0, |known| known.error)
    }

    /// Why it became Master last.
    pub(super) fn reason(&self, router: &RouterStatus) -> i32 {
        match self.0.get(&router.name) {
            Some(known) if known.reason != NOT_MASTER => known.reason,
            _ if router.became_master > 0 => PRIORITY,
            _ => NOT_MASTER,
        }
    }

    /// For how long it takes part, in hundredths of a second; 0 where it does not.
    pub(super) fn part_for(&self, router: &RouterStatus, now: Instant) -> u32 {
        if !matches!(router.state, Standing::Backup | Standing::Master) {
            return 0;
        }
        let since = self.0.get(&router.name).and_then(|known| known.since);
        let known = since.map(|since| now.saturating_duration_since(since).as_millis() / 10);
        let least = u128::from(router.since_ms / 10);
        u32::try_from(known.unwrap_or(least).max(least)).unwrap_or(u32::MAX)
    }
}
