//! Whether a Master whose link goes and comes back goes on as Master. Ours: the RFCs know no links.
//!
//! It may for as long as no Backup can have missed it, by the time of its last advert, and if it has heard
//! nobody else. Then nothing moves, and clients miss it for no longer than the link was gone.

use super::config::Config;
use super::event::State;
use super::instance::Instance;
use super::why::{Fault, Why};
use crate::time::Time;

impl Instance {
    /// Whether it was Master when its link went, and nobody else can have become it since.
    #[must_use]
    pub fn may_go_on(&self, now: Time) -> bool {
        matches!(self.state, State::Fault(_)) && self.master_until.is_some_and(|until| now < until)
    }

    /// Until when whoever loses its link now may go on as Master. Backups wait for so many missed adverts,
    /// and their skew besides; that is left to the way of the adverts. A link that goes again sooner than
    /// a takeover takes is no good to anybody: then a Backup shall have its turn.
    pub(super) fn until_missed(&self, now: Time, fault: &Fault) -> Option<Time> {
        let Config { interval, version, manner, .. } = &self.config;
        match (&self.state, fault) {
            (State::Master { advertise_at, .. }, Fault::LinkDown(_) | Fault::Group(_)) => {
                let down = interval.down(*version, self.priority);
                let settled = self.why != Why::LinkBack || now.since(self.since) >= down;
                let missed = u32::from(manner.down_adverts.min(3));
                (settled && manner.goes_on)
                    .then(|| *advertise_at + interval.duration() * missed - interval.duration())
            }
            (State::Fault(_), Fault::LinkDown(_) | Fault::NoSource(_) | Fault::Group(_)) => self.master_until,
            _ => None,
        }
    }
}
