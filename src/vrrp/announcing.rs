//! When a Master announces its addresses: a plan of pauses, then refreshes. RFC 9568 leaves it open.

use crate::time::Time;
use std::time::Duration;

/// When a Master announces its addresses by gratuitous ARP or unsolicited NA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcing {
    /// Pauses after becoming Master at which a further burst is sent, ascending.
    pub again: Vec<Duration>,
    /// The pause between refreshes for as long as the instance is Master; `None` for no refresh.
    pub refresh: Option<Duration>,
}

impl Default for Announcing {
    fn default() -> Self {
        let again = [200, 1000, 5000].map(Duration::from_millis).to_vec();
        Announcing { again, refresh: Some(Duration::from_mins(1)) }
    }
}

impl Announcing {
    /// The first announcement after the one on becoming Master.
    pub(super) fn first(&self, now: Time) -> Option<(Time, usize)> {
        self.again
            .first()
            .map(|pause| (now + *pause, 0))
            .or_else(|| self.refresh.map(|pause| (now + pause, self.again.len())))
    }

    /// The announcement after number `step`, which was made at `now`.
    pub(super) fn after(&self, step: usize, now: Time) -> Option<(Time, usize)> {
        match (self.again.get(step), self.again.get(step + 1)) {
            (Some(this), Some(next)) => Some((now + next.saturating_sub(*this), step + 1)),
            _ => self.refresh.map(|pause| (now + pause, self.again.len())),
        }
    }
}
