//! Whoever was stopped for a while, process or host, gives up and listens. Ours: the RFCs know no pauses.
//!
//! Meanwhile the kernel has removed its addresses, or is about to, and somebody else has them; a timer that ran
//! out while nobody could hear says nothing.

use super::config::Config;
use super::event::{Action, State};
use super::instance::{Actions, Instance};
use super::why::Why;
use crate::time::Time;
use smallvec::smallvec;
use std::time::Duration;

/// Nobody is taken to be stopped for less: a busy machine is late by that much.
const LEAST: Duration = Duration::from_secs(1);

impl Config {
    /// How late a turn may come: later, the addresses are taken to be gone. `None` where they stay for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        Some(self.manner.lease?.saturating_sub(self.interval.duration()).max(LEAST))
    }
}

impl Instance {
    pub(super) fn wake(&mut self, now: Time, late: Duration) -> Actions {
        match self.state() {
            State::Master { .. } => self.step_down(now, Why::Woke(late)),
            State::Backup { .. } => self.follow_nobody(now, Why::Woke(late)),
            _ => Actions::new(),
        }
    }

    /// Gives up without a farewell: nobody may be left who follows this one.
    pub(super) fn step_down(&mut self, now: Time, why: Why) -> Actions {
        let mut actions = smallvec![Action::Release];
        actions.extend(self.follow_nobody(now, why));
        actions
    }
}
