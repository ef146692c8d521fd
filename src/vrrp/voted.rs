//! What the vote does to an instance: RFC 9568 knows none. Who may hold is decided in `claim`, and joined to
//! the routers by the agent.

use super::Advert;
use super::event::State;
use super::instance::Instance;
use super::why::Why;

impl Instance {
    /// What tells a Master of lower priority that there is a better one, where it is to be preempted.
    #[must_use]
    pub fn challenge(&self) -> Option<Advert> {
        let preempts = matches!(
            &self.state,
            State::Backup { cause: Why::Preempted(_), .. } | State::Backup { preempt_at: Some(_), .. }
        );
        preempts.then(|| self.advert(Some(self.priority)))
    }
}
