//! What a router that goes on does over and over, without deciding anew: the Backup waits once more, the
//! Master says once more what it said. RFC 9568 sections 6.4.2 and 6.4.3.
//!
//! The contract: nothing else has happened since it was done last, and it would be done again.

use super::group::Group;
use super::instance::{First, Instance, State};
use crate::time::Time;
use std::time::Duration;

impl Instance {
    /// 6.4.2 on an advert that says what the last one said: the timer runs until `at`.
    fn put_off(&mut self, now: Time, at: Time) -> bool {
        match &mut self.state {
            State::Backup { down_at, .. } if *down_at > now => {
                *down_at = at;
                true
            }
            _ => false,
        }
    }

    /// Whether this is a Master whose turn came at `due`, and who has to do nothing but to advertise.
    fn only_advertises(&self, now: Time, due: Time) -> bool {
        match &self.state {
            State::Master { advertise_at, announce, first: First::Sent, .. } => {
                *advertise_at == due && announce.next().is_none_or(|at| at > now)
            }
            _ => false,
        }
    }

    /// One that is late by so much looks first what it has missed.
    fn patient_for(&self) -> Duration {
        let half = self.config.interval.duration() / 2;
        self.config.patience().map_or(half, |patience| patience.min(half))
    }

    fn advertised(&mut self) {
        if let State::Master { advertise_at, .. } = &mut self.state {
            *advertise_at = *advertise_at + self.config.interval.duration();
        }
    }
}

impl Group {
    /// Has a Backup wait for its Master until `at`, as after an advert that changes nothing else. `false`: it is no
    /// Backup, or its time has come.
    pub fn put_off(&mut self, member: usize, now: Time, at: Time) -> bool {
        self.members.get_mut(member).is_some_and(|member| member.put_off(now, at))
    }

    /// How late all members may be to [say again](Group::say_again) what they said.
    pub fn patient_for(&self) -> Duration {
        self.members.iter().map(Instance::patient_for).min().unwrap_or_default()
    }

    /// Has all members advertise whose turn came at `due`. `false`: some have something else to do.
    pub fn say_again(&mut self, now: Time, due: Time) -> bool {
        let all = self.members.iter().all(|member| member.only_advertises(now, due));
        if all {
            self.members.iter_mut().for_each(Instance::advertised);
        }
        all
    }
}
