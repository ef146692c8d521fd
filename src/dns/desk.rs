//! What is to be written of one record, and when: only the latest wish, with ever longer pauses after failures,
//! and a circuit breaker. Computes; the clock and chance are handed in.
//!
//! A new wish is tried at once, whatever failed before, unless the breaker is open: after [`ENOUGH`] failures in a
//! row, after one that does not heal by itself, or where the other side asked for a pause. Then one attempt is
//! made when the pause is over, and a success closes it.
//!
//! What a role has written is looked at again every [`LOOK`]: where a cut network had made two hosts Master, the
//! other one has written as well, and whoever stayed Master has no new wish when the cut is over. Where somebody writes
//! something else again and again, two are Master and do not hear each other: after [`OFTEN`] times in [`MEMORY`] it
//! is left to the other one, for clients are better off with one of two than with each in turn.

use crate::stream::retry::{Refusal, pause};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// How often pauses double: up to 32 seconds.
const DOUBLINGS: u32 = 5;
/// The same after what does not heal by itself: 256 seconds.
const LONG: u32 = 8;
/// So many failures in a row open the breaker.
const ENOUGH: u32 = 5;
/// So often what somebody else has made of a record is written over.
const OFTEN: usize = 3;
/// Within this time.
const MEMORY: Duration = Duration::from_hours(1);
/// How often a record that follows a role is looked at.
pub(super) const LOOK: Duration = Duration::from_mins(1);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write(IpAddr),
    /// Whether the record still holds this.
    Look(IpAddr),
    /// Until then, or until there is another wish.
    Wait(Option<Instant>),
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Desk {
    wish: Option<IpAddr>,
    /// The wish has yet to be fulfilled.
    pending: bool,
    failures: u32,
    again_at: Option<Instant>,
    open: bool,
    /// A person has had the record hold something, and nothing else is wished since.
    by_hand: bool,
    /// How often what was written is looked at; `None`: never.
    every: Option<Duration>,
    look_at: Option<Instant>,
    /// When somebody else was found to have written.
    taken: Vec<Instant>,
    /// It is left to somebody else.
    contested: bool,
}

impl Desk {
    /// A desk whose record is looked at so often.
    pub(super) fn looking(every: Option<Duration>) -> Self {
        Desk { every, ..Desk::default() }
    }

    /// From now on this is wished; `None`: nothing is to be written. Whether that is another wish.
    pub(super) fn wish(&mut self, wish: Option<IpAddr>) -> bool {
        if self.wish == wish {
            return false;
        }
        self.wish = wish;
        self.pending = wish.is_some();
        self.look_at = None;
        self.by_hand = false;
        self.contested = false;
        if !self.open {
            self.rest();
        }
        true
    }

    pub(super) fn step(&self, now: Instant) -> Step {
        match (self.wish, self.again_at) {
            (Some(_), Some(at)) if self.pending && at > now => Step::Wait(Some(at)),
            (Some(address), _) if self.pending => Step::Write(address),
            (Some(address), _) if self.look_at.is_some_and(|at| at <= now) => Step::Look(address),
            _ => Step::Wait(self.look_at),
        }
    }

    /// The record holds this.
    pub(super) fn written(&mut self, now: Instant, address: IpAddr) {
        self.pending &= self.wish != Some(address);
        self.look_at = self.every.filter(|_| self.wish == Some(address)).map(|every| now + every);
        self.close();
    }

    /// The record was looked at, and holds what is wished or not; `None`: nobody answered. Whether that has changed
    /// who is right.
    pub(super) fn seen(&mut self, now: Instant, right: Option<bool>) -> bool {
        // Meanwhile there may be another wish, or a person has written something else.
        if self.look_at.is_none() {
            return false;
        }
        self.look_at = self.every.map(|every| now + every);
        let before = self.contested;
        match right {
            Some(false) if !self.contested => {
                self.taken.retain(|at| now.saturating_duration_since(*at) < MEMORY);
                self.contested = self.taken.len() >= OFTEN;
                self.pending |= !self.contested;
                self.taken.push(now);
            }
            Some(true) => self.contested = false,
            Some(false) | None => {}
        }
        self.contested != before
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, now: Instant, refusal: &Refusal, chance: u64) {
        self.failures = self.failures.saturating_add(1);
        let (asked, doublings) = match refusal {
            Refusal::Later(_, asked) => (*asked, (self.failures - 1).min(DOUBLINGS)),
            Refusal::Never(_) => (None, LONG),
        };
        self.open = self.failures >= ENOUGH || asked.is_some() || matches!(refusal, Refusal::Never(_));
        self.again_at = Some(now + pause(FIRST, doublings, asked, chance));
    }

    /// Somebody has the record hold something else: this wish is not to be written any more.
    pub(super) fn drop_wish(&mut self) {
        self.pending = false;
        self.look_at = None;
        self.contested = false;
    }

    /// A person has had the record hold something.
    pub(super) fn keep(&mut self) {
        self.by_hand = true;
    }

    /// The other one was heard, and gives way: what was left to it is ours again. Whether there is something to write.
    pub(super) fn heard(&mut self) -> bool {
        self.taken.clear();
        self.pending |= self.contested;
        std::mem::take(&mut self.contested)
    }

    /// The wish is to be written after all; but not over what a person had written before.
    pub(super) fn take_up(&mut self) {
        self.pending = self.wish.is_some() && !self.by_hand;
    }

    /// The other side is known to be well.
    pub(super) fn close(&mut self) {
        self.open = false;
        self.rest();
    }

    fn rest(&mut self) {
        self.failures = 0;
        self.again_at = None;
    }

    pub(super) fn wanted(&self) -> Option<IpAddr> {
        self.wish
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether somebody else writes it as well, and it is left to them.
    pub(super) fn is_contested(&self) -> bool {
        self.contested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn later() -> Refusal {
        Refusal::later("no answer")
    }

    #[test]
    fn only_the_latest_wish_is_written_and_once() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert_eq!(desk.step(now), Step::Wait(None));
        assert!(desk.wish(Some(A)) && desk.wish(Some(B)) && !desk.wish(Some(B)));
        assert_eq!(desk.step(now), Step::Write(B));
        desk.written(now, B);
        assert_eq!(desk.step(now), Step::Wait(None));
        assert!(!desk.wish(Some(B)));
        assert_eq!(desk.step(now), Step::Wait(None), "it is written");
    }

    #[test]
    fn what_is_no_longer_wished_is_not_written() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.wish(Some(A));
        desk.failed(now, &later(), 0);
        desk.wish(None);
        assert_eq!(desk.step(now + Duration::from_secs(600)), Step::Wait(None));
        desk.wish(Some(A));
        assert_eq!(desk.step(now), Step::Write(A), "who is Master again writes again");
    }

    #[test]
    fn what_was_written_does_not_fulfil_a_wish_that_came_meanwhile() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.wish(Some(A));
        desk.wish(Some(B));
        desk.written(now, A);
        assert_eq!(desk.step(now), Step::Write(B));
    }

    #[test]
    fn pauses_grow_and_a_new_wish_does_not_wait_for_them() {
        let (mut desk, began) = (Desk::default(), Instant::now());
        let mut now = began;
        desk.wish(Some(A));
        for seconds in [1, 2, 4, 8] {
            assert_eq!(desk.step(now), Step::Write(A));
            desk.failed(now, &later(), 0);
            let end = now + Duration::from_secs(seconds);
            assert_eq!((desk.step(now), desk.is_open()), (Step::Wait(Some(end)), false));
            now = end;
        }
        desk.wish(Some(B));
        assert_eq!(desk.step(began), Step::Write(B));
    }

    #[test]
    fn the_breaker_opens_after_enough_failures_holds_back_new_wishes_and_closes_with_a_success() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.wish(Some(A));
        for _ in 0..ENOUGH {
            desk.failed(now, &later(), 0);
        }
        assert!(desk.is_open());
        desk.wish(Some(B));
        let end = now + Duration::from_secs(16);
        assert_eq!(desk.step(now), Step::Wait(Some(end)));
        assert_eq!(desk.step(end), Step::Write(B), "one attempt, of the latest");
        desk.failed(end, &later(), 0);
        assert_eq!(desk.step(end), Step::Wait(Some(end + Duration::from_secs(32))));
        desk.written(now, B);
        desk.wish(Some(A));
        assert_eq!((desk.step(now), desk.is_open()), (Step::Write(A), false));
    }

    #[test]
    fn what_does_not_heal_or_asks_for_a_pause_opens_it_at_once() {
        let now = Instant::now();
        for (refusal, seconds) in [
            (Refusal::Never("status 401".to_owned()), 256),
            (Refusal::Later("status 429".to_owned(), Some(Duration::from_secs(30))), 30),
        ] {
            let mut desk = Desk::default();
            desk.wish(Some(A));
            desk.failed(now, &refusal, 0);
            desk.wish(Some(B));
            assert_eq!(desk.step(now), Step::Wait(Some(now + Duration::from_secs(seconds))));
            desk.close();
            assert_eq!(desk.step(now), Step::Write(B), "somebody has seen that it is well");
        }
    }

    #[test]
    fn what_a_person_writes_stays_until_there_is_another_wish() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        desk.wish(Some(A));
        desk.drop_wish();
        desk.written(now, B);
        assert!(!desk.wish(Some(A)));
        assert_eq!(desk.step(now), Step::Wait(None));
        desk.take_up();
        assert_eq!(desk.step(now), Step::Write(A), "the person's write has failed");
        desk.drop_wish();
        desk.written(now, B);
        desk.keep();
        desk.drop_wish();
        desk.take_up();
        assert_eq!(
            desk.step(now),
            Step::Wait(None),
            "the person's second write has failed, and the first stays"
        );
        desk.wish(None);
        desk.take_up();
        assert_eq!(desk.step(now), Step::Wait(None));
        desk.wish(Some(A));
        assert_eq!(desk.step(now), Step::Write(A));
    }

    #[test]
    fn what_a_role_has_written_is_looked_at_and_written_again_where_somebody_has_changed_it() {
        let (mut desk, now) = (Desk::looking(Some(LOOK)), Instant::now());
        desk.wish(Some(A));
        desk.written(now, A);
        let later = now + LOOK;
        assert_eq!((desk.step(now), desk.step(later)), (Step::Wait(Some(later)), Step::Look(A)));
        assert!(!desk.seen(later, Some(true)));
        assert_eq!(desk.step(later), Step::Wait(Some(later + LOOK)));
        desk.seen(later + LOOK, None);
        assert_eq!(desk.step(later + LOOK), Step::Wait(Some(later + LOOK * 2)), "nobody has answered");
        assert!(!desk.seen(later + LOOK * 2, Some(false)));
        assert_eq!(desk.step(later + LOOK * 2), Step::Write(A));
    }

    /// Has the record be found changed `times`, once a look, and written again where that is to be.
    fn taken(desk: &mut Desk, now: &mut Instant, times: usize) {
        for _ in 0..times {
            *now += LOOK;
            desk.seen(*now, Some(false));
            if let Step::Write(address) = desk.step(*now) {
                desk.written(*now, address);
            }
        }
    }

    #[test]
    fn a_record_that_somebody_else_writes_again_and_again_is_left_to_them_until_there_is_another_wish() {
        let (mut desk, mut now) = (Desk::looking(Some(LOOK)), Instant::now());
        desk.wish(Some(A));
        desk.written(now, A);
        taken(&mut desk, &mut now, OFTEN);
        assert!(!desk.is_contested());
        now += LOOK;
        assert!(desk.seen(now, Some(false)) && desk.is_contested());
        for _ in 0..100 {
            assert_eq!(desk.step(now), Step::Wait(Some(now + LOOK)), "it looks, and does not write");
            now += LOOK;
            assert!(!desk.seen(now, if desk.is_pending() { None } else { Some(false) }));
        }
        desk.seen(now, None);
        assert!(desk.is_contested(), "nobody has answered");
        desk.wish(None);
        desk.wish(Some(A));
        assert_eq!((desk.step(now), desk.is_contested()), (Step::Write(A), false), "Master anew");
    }

    #[test]
    fn what_was_left_to_another_master_is_written_once_the_two_hear_each_other() {
        let (mut desk, mut now) = (Desk::looking(Some(LOOK)), Instant::now());
        desk.wish(Some(A));
        desk.written(now, A);
        taken(&mut desk, &mut now, OFTEN + 1);
        assert!(desk.is_contested() && desk.heard() && !desk.heard());
        assert_eq!((desk.step(now), desk.is_contested()), (Step::Write(A), false));
    }

    #[test]
    fn who_has_left_a_record_to_another_has_it_again_once_it_holds_what_is_wished() {
        let (mut desk, mut now) = (Desk::looking(Some(LOOK)), Instant::now());
        desk.wish(Some(A));
        desk.written(now, A);
        taken(&mut desk, &mut now, OFTEN + 1);
        assert!(desk.is_contested() && desk.seen(now + LOOK, Some(true)) && !desk.is_contested());
        now += MEMORY * 2;
        desk.seen(now, Some(false));
        assert_eq!(desk.step(now), Step::Write(A), "what was long ago does not count");
    }

    #[test]
    fn nobody_looks_without_a_role_or_at_what_a_person_has_written() {
        let now = Instant::now();
        for by_hand in [false, true] {
            let mut desk = Desk::looking(by_hand.then_some(LOOK));
            desk.wish(Some(A));
            desk.written(now, A);
            if by_hand {
                desk.drop_wish();
                desk.written(now, B);
            }
            desk.seen(now, Some(false));
            assert_eq!(desk.step(now + LOOK * 2), Step::Wait(None));
        }
        let mut desk = Desk::looking(Some(LOOK));
        desk.wish(Some(A));
        desk.written(now, A);
        desk.wish(None);
        desk.seen(now, Some(false));
        assert_eq!(desk.step(now + LOOK * 2), Step::Wait(None), "the role is gone");
    }
}
