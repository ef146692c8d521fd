//! When a Master announces its addresses: a plan of pauses, then refreshes. RFC 9568 leaves it open.

use crate::time::{Time, first};
use std::sync::Arc;
use std::time::Duration;

/// When a Master announces its addresses by gratuitous ARP or unsolicited NA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcing {
    /// Frames for each address, 1..=100.
    pub count: u8,
    /// Pauses after becoming Master at which a further burst is sent, ascending. The first is short: whoever asked
    /// while two answered, as one took over from the other, may have been told of the one that went.
    pub again: Arc<[Duration]>,
    /// The pause between refreshes for as long as the instance is Master; `None` for no refresh.
    pub refresh: Option<Duration>,
    /// Frames of a refresh for each address, 1..=100.
    pub refresh_count: u8,
    /// Frames for each address when a losing advert was heard, 0..=100: somebody else may have told the
    /// neighbours of them.
    pub losing_count: u8,
    /// The pause after that at which the same is sent once more.
    pub losing_again: Option<Duration>,
    /// The pause between refreshes of addresses on other interfaces than that of the adverts, which let
    /// no switch forget where this host is.
    pub elsewhere: Option<Duration>,
}

impl Default for Announcing {
    fn default() -> Self {
        Announcing {
            count: 1,
            again: [50, 200, 1000, 5000].map(Duration::from_millis).into(),
            refresh: Some(Duration::from_mins(1)),
            refresh_count: 1,
            losing_count: 1,
            losing_again: None,
            elsewhere: None,
        }
    }
}

/// What comes when, as long as an instance is Master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The next of the plan, or the next refresh, and its place in the plan.
    planned: Option<(Time, usize)>,
    losing: Option<Time>,
    elsewhere: Option<Time>,
}

/// What is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Frames for each address, if any.
    pub count: Option<u8>,
    /// One frame for each address on another interface.
    pub elsewhere: bool,
}

impl Schedule {
    /// What follows at `now` for one that has been Master since then: on becoming it, all of it.
    pub(super) fn since(announcing: &Announcing, master: Time, now: Time) -> Self {
        let Announcing { again, refresh, elsewhere, .. } = announcing;
        let left = again.iter().enumerate().find(|(_, pause)| master + **pause > now);
        let planned = left.map(|(step, pause)| (master + *pause, step));
        let refresh = refresh.map(|pause| (now + pause, again.len()));
        Schedule { planned: planned.or(refresh), losing: None, elsewhere: elsewhere.map(|pause| now + pause) }
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Time> {
        first([self.planned.map(|(at, _)| at), self.losing, self.elsewhere])
    }

    /// What is due at `now`, which is then over.
    pub(super) fn due(&mut self, announcing: &Announcing, now: Time) -> Due {
        let mut due = Due::default();
        if let Some((_, step)) = self.planned.filter(|(at, _)| *at <= now) {
            let refreshes = step >= announcing.again.len();
            due.count = Some(if refreshes { announcing.refresh_count } else { announcing.count });
            self.planned = announcing.after(step, now);
        }
        if self.losing.take_if(|at| *at <= now).is_some() {
            due.count = due.count.max(Some(announcing.losing_count));
        }
        if self.elsewhere.take_if(|at| *at <= now).is_some() {
            due.elsewhere = true;
            self.elsewhere = announcing.elsewhere.map(|pause| now + pause);
        }
        due
    }

    /// A losing advert was heard. Returns the frames for each address to send at once.
    pub(super) fn heard_losing(&mut self, announcing: &Announcing, now: Time) -> Option<u8> {
        let count = Some(announcing.losing_count).filter(|count| *count > 0)?;
        self.losing = announcing.losing_again.map(|pause| now + pause);
        Some(count)
    }
}

impl Announcing {
    /// The announcement after number `step`, which was made at `now`.
    fn after(&self, step: usize, now: Time) -> Option<(Time, usize)> {
        match (self.again.get(step), self.again.get(step + 1)) {
            (Some(this), Some(next)) => Some((now + next.saturating_sub(*this), step + 1)),
            _ => self.refresh.map(|pause| (now + pause, self.again.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::ZERO;

    fn at(seconds: u64) -> Time {
        START + Duration::from_secs(seconds)
    }

    fn announcing() -> Announcing {
        let seconds = Duration::from_secs;
        Announcing {
            count: 5,
            again: [seconds(5)].into(),
            refresh: Some(seconds(60)),
            refresh_count: 2,
            losing_count: 3,
            losing_again: Some(seconds(10)),
            elsewhere: None,
        }
    }

    /// Everything that comes until `end`, with the second it came at.
    fn play(schedule: &mut Schedule, announcing: &Announcing, end: u64) -> Vec<(Time, Due)> {
        let mut came = Vec::new();
        while let Some(next) = schedule.next().filter(|next| *next <= at(end)) {
            came.push((next, schedule.due(announcing, next)));
        }
        came
    }

    fn frames(count: u8) -> Due {
        Due { count: Some(count), elsewhere: false }
    }

    #[test]
    fn unless_it_is_written_otherwise_a_new_master_announces_soon_at_1_s_at_5_s_and_slowly_for_ever() {
        let usual = Announcing::default();
        let came = play(&mut Schedule::since(&usual, START, START), &usual, 200);
        let [soon, later] = [50, 200].map(|pause| START + Duration::from_millis(pause));
        assert_eq!(came, [soon, later, at(1), at(5), at(65), at(125), at(185)].map(|time| (time, frames(1))));
    }

    #[test]
    fn refreshes_have_a_count_of_their_own() {
        let announcing = announcing();
        let came = play(&mut Schedule::since(&announcing, START, START), &announcing, 130);
        assert_eq!(came, [(at(5), frames(5)), (at(65), frames(2)), (at(125), frames(2))]);
    }

    #[test]
    fn who_goes_on_as_master_repeats_no_announcement() {
        let announcing = announcing();
        let mut late = Schedule::since(&announcing, at(0), at(50));
        assert_eq!(play(&mut late, &announcing, 110), [(at(110), frames(2))]);
        let mut soon = Schedule::since(&announcing, at(0), at(4));
        assert_eq!(play(&mut soon, &announcing, 65), [(at(5), frames(5)), (at(65), frames(2))]);
    }

    #[test]
    fn a_losing_advert_is_followed_by_two_announcements_and_the_plan_goes_on() {
        let announcing = announcing();
        let mut schedule = Schedule::since(&announcing, START, START);
        assert_eq!(schedule.heard_losing(&announcing, at(1)), Some(3));
        let came = play(&mut schedule, &announcing, 70);
        assert_eq!(came, [(at(5), frames(5)), (at(11), frames(3)), (at(65), frames(2))]);
    }

    #[test]
    fn without_frames_a_losing_advert_changes_nothing() {
        let announcing = Announcing { losing_count: 0, ..announcing() };
        let mut schedule = Schedule::since(&announcing, START, START);
        let before = schedule.clone();
        assert_eq!((schedule.heard_losing(&announcing, at(1)), &schedule), (None, &before));
    }

    #[test]
    fn what_is_elsewhere_has_a_rhythm_of_its_own() {
        let pause = Some(Duration::from_secs(30));
        let announcing =
            Announcing { again: Arc::default(), refresh: None, elsewhere: pause, ..announcing() };
        let came = play(&mut Schedule::since(&announcing, START, START), &announcing, 60);
        let due = Due { count: None, elsewhere: true };
        assert_eq!(came, [(at(30), due), (at(60), due)]);
    }
}
