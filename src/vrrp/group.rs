//! Instances that must move together: a pure machine over instances.
//!
//! A dual-stack router is a group of two, a sync group one of many. The members advertise each for
//! itself, and share one role:
//! - **Nobody takes over alone.** A member whose Master has gone waits until every other member's
//!   Master has gone as well; then all take over in the same moment.
//! - **Nobody gives up alone.** Where one member loses its role, the others release too.
//! - **Nobody goes on alone.** After a short loss of link all go on as the Masters that they were, or none.
//! - **Ties are the first member's.** Two groups of one priority may each have the greater address
//!   in another family. If each family decided, both groups would give up, and both come back
//!   together, for ever. So the others leave a tie to the first member, and yield to it themselves
//!   only where it lasts for an interval: then the first family hears nothing.
//!
//! With one member it is that instance and nothing else. Faults, priorities and handovers are
//! events for all members: the agent sends them to the group.

use super::instance::{Action, Discard, Event, First, Instance, State, Wait};
use super::why::Why;
use crate::time::{Time, earliest};
use smallvec::SmallVec;
use std::time::Duration;

/// What a group wants done, in order, each with the place of the member that wants it.
pub type Steps = SmallVec<[(usize, Action); 3]>;

/// Instances with one role.
#[derive(Clone, Debug)]
pub struct Group {
    pub(super) members: Vec<Instance>,
    /// Since when a member but the first has been losing a tie, and when it last did.
    tied: Option<(Time, Time)>,
    /// When it was last awake though nothing was done.
    awake: Time,
}

impl Group {
    /// A group of `members`, none of which takes part yet.
    #[must_use]
    pub fn new(members: Vec<Instance>) -> Self {
        Group { members, tied: None, awake: Time::ZERO }
    }

    /// Takes the group apart.
    #[must_use]
    pub fn into_members(self) -> Vec<Instance> {
        self.members
    }

    /// The members, in the order they were given.
    #[must_use]
    pub fn members(&self) -> &[Instance] {
        &self.members
    }

    /// Something that concerns every member. Actions come with their member's place.
    #[must_use]
    pub fn handle(&mut self, now: Time, event: &Event) -> Steps {
        let mut actions = self.wake(now);
        if matches!(event, Event::Tick) {
            actions.extend(self.tick(now));
            return actions;
        }
        let healed = matches!(event, Event::Startup(Why::Healed));
        let goes_on = healed && self.members.iter().all(|m| m.may_go_on(now));
        let event = if goes_on { &Event::Startup(Why::LinkBack) } else { event };
        for member in 0..self.members.len() {
            actions.extend(self.pass(now, member, event.clone()));
        }
        actions
    }

    /// Something that happened to one member; the others follow where it lost its role.
    #[must_use]
    pub fn handle_member(&mut self, now: Time, member: usize, event: Event) -> Steps {
        let mut actions = self.wake(now);
        let Some(before) = self.members.get(member).map(Instance::is_master) else {
            return actions;
        };
        if self.leaves_to_first(now, member, &event) {
            actions.push((member, Action::Discard(Discard::Losing)));
            return actions;
        }
        let hears = matches!(event, Event::Heard { .. });
        let announced = matches!(event, Event::Announced);
        actions.extend(self.pass(now, member, event));
        if before && matches!(self.members[member].state(), State::Backup { .. }) {
            for other in (0..self.members.len()).filter(|other| *other != member) {
                actions.extend(self.pass(now, other, Event::Yield));
            }
        }
        // The first to advertise breaks the old Master's rule over all.
        if announced && self.members.iter().all(|member| member.first() != First::Waits) {
            actions.extend(self.handle(now, &Event::AllAnnounced));
        }
        // Whoever announced one family's addresses may have announced all of them.
        if hears && actions.iter().any(|(_, action)| matches!(action, Action::Announce(_))) {
            for other in (0..self.members.len()).filter(|other| *other != member) {
                actions.extend(self.pass(now, other, Event::Rivalled));
            }
        }
        actions
    }

    /// When to tick at the latest, and what for. A member that waits for the others sets none.
    #[must_use]
    pub fn deadline(&self) -> Option<(Time, Wait)> {
        let (mut takeover, mut first, mut all_wait) = (None, None, true);
        for member in &self.members {
            match member.deadline() {
                // All members take over together, so what counts among down timers is the last.
                Some((at, Wait::TakeOver)) => takeover = takeover.max(Some(at)),
                other => {
                    first = earliest(first, other);
                    all_wait &= member.is_master();
                }
            }
        }
        earliest(takeover.filter(|_| all_wait).map(|at| (at, Wait::TakeOver)), first)
    }

    /// How late its turn is, where that is so late that others may hold its addresses.
    #[must_use]
    pub fn overslept(&self, now: Time) -> Option<Duration> {
        let patience = self.members.iter().filter_map(|member| member.config().patience()).min()?;
        let late = now.since(self.deadline()?.0.max(self.awake));
        (late >= patience).then_some(late)
    }

    /// What is due waits for something else than a turn: it is not late for that.
    pub fn stay_awake(&mut self, now: Time) {
        self.awake = now;
    }

    fn wake(&mut self, now: Time) -> Steps {
        let mut actions = Steps::new();
        if let Some(late) = self.overslept(now) {
            for member in 0..self.members.len() {
                actions.extend(self.pass(now, member, Event::Woke { late }));
            }
        }
        actions
    }

    fn tick(&mut self, now: Time) -> Steps {
        let together = self.members.iter().all(|member| member.is_master() || member.is_due(now));
        let mut actions = Steps::new();
        // A handover has succeeded once any family's successor was heard: nobody goes back alone.
        if self.members.iter().any(Instance::has_handed_over) {
            actions.extend(self.handle(now, &Event::Succeeded));
        }
        for member in 0..self.members.len() {
            let waits = matches!(self.members[member].state(), State::Backup { .. });
            if together || !waits {
                actions.extend(self.pass(now, member, Event::Tick));
            }
        }
        actions
    }

    /// Whether `event` is a lost tie that the first member shall decide.
    fn leaves_to_first(&mut self, now: Time, member: usize, event: &Event) -> bool {
        let Event::Heard { source, priority: Some(priority), .. } = *event else { return false };
        let (first, tied) = (&self.members[0], &self.members[member]);
        let loses = member > 0 && tied.is_master() && tied.is_tied_below(source, priority);
        if !loses || !first.is_master() {
            return false;
        }
        let interval = tied.config().interval.duration();
        let fresh = self.tied.filter(|(_, last)| now.since(*last) <= interval * 2);
        let since = fresh.map_or(now, |(since, _)| since);
        self.tied = Some((since, now));
        now.since(since) < interval
    }

    fn pass(&mut self, now: Time, member: usize, event: Event) -> Steps {
        self.members[member].handle(now, event).into_iter().map(|action| (member, action)).collect()
    }
}
