//! What the vote does to an instance: RFC 9568 knows none. Who may hold is decided in `claim`, and joined to
//! the routers by the agent.

use super::Advert;
use super::event::State;
use super::instance::Instance;
use super::why::Why;
use crate::time::Time;

/// Whose claim is not over after so many intervals is alive.
const ALIVE: u32 = 3;

impl Instance {
    /// What tells a Master of lower priority that there is a better one, where it is to be preempted. Also where
    /// none is heard, or believed, though somebody has the claim: it may hear.
    #[must_use]
    pub fn challenge(&self, now: Time) -> Option<Advert> {
        let State::Backup { cause, preempt_at, down_at, .. } = &self.state else { return None };
        let unheard = self.config.preempt && *down_at + self.config.interval.duration() * ALIVE <= now;
        let preempts = matches!(cause, Why::Preempted(_)) || preempt_at.is_some() || unheard;
        preempts.then(|| self.advert(Some(self.priority)))
    }
}
