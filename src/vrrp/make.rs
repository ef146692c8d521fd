//! Make before break: whoever takes the addresses from a living Master has them first, and then says so.
//!
//! RFC 9568 section 6.4.2 advertises first. The old Master would give up at once, and clients would find
//! an address nowhere until the new one has installed and announced it: a thousand take their time. So
//! the first advert waits for them, but no longer than an interval, as a Master may be silent for.

use super::announcing::Schedule;
use super::event::{Action, Event, First, State};
use super::instance::{Actions, Instance};
use super::why::Why;
use crate::time::Time;
use smallvec::smallvec;

impl Instance {
    /// Whether the first advert waits, and what for.
    #[must_use]
    pub fn first(&self) -> First {
        if let State::Master { first, .. } = self.state { first } else { First::Sent }
    }

    /// The addresses come first. A losing advert of the old Master is not answered meanwhile.
    pub(super) fn take_from(&mut self, now: Time, why: Why) -> Actions {
        let advertise_at = now + self.config.interval.duration();
        let announce = Schedule::since(&self.config.announce, now, now);
        let first = First::Waits;
        self.enter(now, State::Master { advertise_at, announce, quiet_until: advertise_at, first }, why);
        smallvec![Action::Hold, Action::Announce(self.config.announce.count)]
    }

    /// The addresses are here, or those of the whole group are.
    pub(super) fn made(&mut self, now: Time, event: &Event) -> Actions {
        let advert = self.advertise();
        let interval = self.config.interval.duration();
        let State::Master { advertise_at, quiet_until, first, .. } = &mut self.state else {
            return Actions::new();
        };
        match (*first, event) {
            (First::Waits, Event::Announced) => *first = First::Ready,
            (First::Ready, Event::AllAnnounced) => {
                *first = First::Sent;
                *quiet_until = now;
                *advertise_at = now + interval;
                return smallvec![advert];
            }
            _ => {}
        }
        Actions::new()
    }
}
