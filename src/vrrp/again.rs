//! What a router that goes on does over and over, without deciding anew: the Backup waits once more, the
//! Master says once more what it said. RFC 9568 sections 6.4.2 and 6.4.3.
//!
//! The contract: nothing else has happened since it was done last, and it would be done again.

use super::group::Group;
use super::instance::{First, Instance, State};
use crate::time::Time;

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

    /// Whether this is a Master whose turn came at `due`, and who has to do nothing but to advertise. One that
    /// is late looks first what it has missed.
    fn only_advertises(&self, now: Time, due: Time) -> bool {
        let late = now.since(due);
        match &self.state {
            State::Master { advertise_at, announce, first: First::Sent, .. } => {
                *advertise_at == due
                    && due <= now
                    && late < self.config.interval.duration() / 2
                    && self.config.patience().is_none_or(|patience| late < patience)
                    && announce.next().is_none_or(|at| at > now)
            }
            _ => false,
        }
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

    /// Has all members advertise whose turn came at `due`. `false`: some have something else to do.
    pub fn say_again(&mut self, now: Time, due: Time) -> bool {
        let all = self.members.iter().all(|member| member.only_advertises(now, due));
        if all {
            self.members.iter_mut().for_each(Instance::advertised);
        }
        all
    }
}
