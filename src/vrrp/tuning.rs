//! What an operator, a tracker or the host changes while an instance runs: configuration, priority, source.
//!
//! None of it changes the state. A Master says at once what its neighbours have to know.

use super::Priority;
use super::instance::{Actions, Config, Instance};
use smallvec::smallvec;
use std::net::IpAddr;

impl Instance {
    /// The next comparison, advert and timer start know the new values; running timers stay.
    pub(super) fn retune(&mut self, config: Config) -> Actions {
        let other_addresses = self.config.addresses != config.addresses;
        self.config = config;
        self.say_if(other_addresses)
    }

    /// A Master tells its new priority at once, on top of its rhythm.
    pub(super) fn set_priority(&mut self, priority: Priority) -> Actions {
        let changed = self.priority != priority;
        self.priority = priority;
        self.say_if(changed)
    }

    pub(super) fn set_source(&mut self, source: IpAddr) -> Actions {
        let changed = self.source.is_some_and(|old| old != source);
        self.source = Some(source);
        self.say_if(changed)
    }

    /// Whether it leaves a Master of lower priority alone for now.
    #[must_use]
    pub fn is_damped(&self) -> bool {
        self.damped
    }

    pub(super) fn damp(&mut self, damped: bool) -> Actions {
        self.damped = damped;
        Actions::new()
    }

    fn say_if(&self, news: bool) -> Actions {
        if news && self.is_master() { smallvec![self.advertise()] } else { Actions::new() }
    }
}
