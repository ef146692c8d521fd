//! Which transition's hooks come next. The latest state wins: of those that wait, only the newest
//! is kept, because hooks for a state that is over do harm. STOP is always told. Of incidents, one for
//! each script waits at most.

use crate::agent::Standing;
use crate::process::Command;
use std::collections::VecDeque;

/// The scripts of one transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// What they are told.
    pub(super) state: Standing,
    /// In this order; may be none, and then still drops what is older.
    pub(super) commands: Vec<Command>,
    /// Something that is no transition.
    pub(super) incident: bool,
}

/// What waits, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Job>,
    /// Jobs with scripts that were dropped since the last `take_skipped`.
    skipped: u32,
}

impl Queue {
    pub(super) fn push(&mut self, job: Job) {
        let skipped = &mut self.skipped;
        self.waiting.retain(|old| {
            let keep = old.state == Standing::Stop;
            *skipped += u32::from(!keep && !old.commands.is_empty());
            keep
        });
        self.waiting.push_back(job);
    }

    /// Waits its turn behind transitions, and drops none.
    pub(super) fn push_incident(&mut self, state: Standing, command: Command) {
        let same = |job: &Job| job.commands.first().is_some_and(|waiting| waiting.argv == command.argv);
        if !self.waiting.iter().any(|job| job.incident && same(job)) {
            self.waiting.push_back(Job { state, commands: vec![command], incident: true });
        }
    }

    pub(super) fn pop(&mut self) -> Option<Job> {
        self.waiting.pop_front()
    }

    /// How many were dropped since this was last asked.
    pub(super) fn take_skipped(&mut self) -> u32 {
        std::mem::take(&mut self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Inherit, User};
    use Standing::{Backup, Fault, Master, Stop};
    use std::time::Duration;

    fn job(state: Standing) -> Job {
        let argv = vec!["/bin/true".to_owned()];
        let command = Command {
            argv,
            inherit: Inherit::Nothing,
            environment: vec![],
            user: User::own(),
            timeout: Duration::from_secs(1),
        };
        Job { state, commands: vec![command], incident: false }
    }

    fn order(states: &[Standing]) -> (Vec<Standing>, u32) {
        let mut queue = Queue::default();
        for state in states {
            queue.push(job(*state));
        }
        (std::iter::from_fn(|| queue.pop().map(|job| job.state)).collect(), queue.take_skipped())
    }

    #[test]
    fn only_the_newest_waits() {
        assert_eq!(order(&[Backup, Master, Backup, Fault]), (vec![Fault], 3));
    }

    #[test]
    fn stop_is_never_dropped_and_keeps_its_place() {
        assert_eq!(order(&[Master, Stop]), (vec![Stop], 1));
        assert_eq!(order(&[Master, Stop, Backup, Master]), (vec![Stop, Master], 2));
    }

    #[test]
    fn an_incident_waits_once_drops_nobody_and_is_dropped_by_the_next_state() {
        let mut queue = Queue::default();
        let command = || job(Master).commands.remove(0);
        queue.push(job(Master));
        queue.push_incident(Master, command());
        queue.push_incident(Master, command());
        let waits: Vec<_> = std::iter::from_fn(|| queue.pop().map(|job| job.incident)).collect();
        assert_eq!(waits, [false, true]);
        let mut other = command();
        other.argv = vec!["/bin/false".to_owned()];
        queue.push_incident(Master, command());
        queue.push_incident(Master, other);
        assert_eq!(queue.waiting.len(), 2, "another script is told as well");
        queue.waiting.clear();
        queue.push_incident(Master, command());
        queue.push(job(Backup));
        assert_eq!(queue.pop().map(|job| job.state), Some(Backup));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_state_without_hooks_still_drops_what_is_older() {
        let mut queue = Queue::default();
        queue.push(job(Master));
        let silent = || Job { state: Backup, commands: vec![], incident: false };
        queue.push(silent());
        queue.push(silent());
        assert_eq!(queue.pop().map(|job| job.state), Some(Backup));
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.take_skipped(), 1, "one without hooks does not count");
        assert_eq!(queue.take_skipped(), 0);
    }
}
