//! What a check reports. A pass behind others is no news: to wake the core for it costs as much as the probe. It
//! waits until the core wakes for something else, at the longest for the next result of the same check.

use super::inbox::{Arrival, Inbox};
use crate::agent::Input;
use crate::health::{CheckName, Outcome};

/// The results of one check.
pub(super) struct Results {
    check: CheckName,
    /// So many passes in a row are told at once. Where a reload asks for more, the last of them may be told an interval
    /// later.
    settled: u32,
    inbox: Inbox,
    passes: u32,
    value: Option<i32>,
    /// How often the core had taken what was there, when it was last left something.
    left: Option<u64>,
}

impl Results {
    pub(super) fn new(check: CheckName, settled: u32, inbox: Inbox) -> Self {
        Results { check, settled, inbox, passes: 0, value: None, left: None }
    }

    pub(super) fn put(&mut self, outcome: Outcome) {
        let before = if self.value == outcome.value { self.passes } else { 0 };
        self.passes = if outcome.verdict.is_ok() { before.saturating_add(1) } else { 0 };
        self.value = outcome.value;
        let input = Input::Outcome(self.check.clone(), outcome);
        if self.passes > self.settled && self.left != Some(self.inbox.taken()) {
            self.left = Some(self.inbox.leave(input));
        } else {
            self.left = None;
            self.inbox.put(Arrival::Input(input));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::sync::mpsc::Receiver;
    use std::time::Duration;

    const SETTLED: u32 = 2;

    fn results() -> (Results, Inbox, Receiver<Arrival>) {
        let (inbox, arrivals) = Inbox::new().unwrap();
        (Results::new(CheckName("app".into()), SETTLED, inbox.clone()), inbox, arrivals)
    }

    fn outcome(value: i32, passed: bool) -> Outcome {
        let verdict = if passed { Ok(()) } else { Err("it is down".to_owned()) };
        Outcome { verdict, latency: Duration::ZERO, value: Some(value) }
    }

    /// Whether the core is woken; it takes what is there then.
    fn wakes(inbox: &Inbox, arrivals: &Receiver<Arrival>) -> Option<usize> {
        let woken = poll(&mut [PollFd::new(inbox, PollFlags::IN)], Some(&Timespec::default())).unwrap() == 1;
        inbox.clear();
        woken.then(|| inbox.take(arrivals).len())
    }

    /// Passes, of which the core takes each.
    fn settle(results: &mut Results, inbox: &Inbox, arrivals: &Receiver<Arrival>) {
        for _ in 0..SETTLED {
            results.put(outcome(1, true));
            assert_eq!(wakes(inbox, arrivals), Some(1));
        }
    }

    #[test]
    fn a_pass_behind_others_waits_until_the_core_wakes_and_a_failure_wakes_it() {
        let (mut results, inbox, arrivals) = results();
        settle(&mut results, &inbox, &arrivals);
        for _ in 0..3 {
            results.put(outcome(1, true));
            assert_eq!(wakes(&inbox, &arrivals), None);
            assert_eq!(inbox.take(&arrivals).len(), 1, "the core was awake for something else");
        }
        results.put(outcome(1, true));
        results.put(outcome(1, false));
        assert_eq!(wakes(&inbox, &arrivals), Some(2));
        settle(&mut results, &inbox, &arrivals);
    }

    #[test]
    fn another_number_wakes_the_core() {
        let (mut results, inbox, arrivals) = results();
        settle(&mut results, &inbox, &arrivals);
        results.put(outcome(2, true));
        assert_eq!(wakes(&inbox, &arrivals), Some(1));
    }

    #[test]
    fn no_result_waits_for_longer_than_for_the_next() {
        let (mut results, inbox, arrivals) = results();
        settle(&mut results, &inbox, &arrivals);
        results.put(outcome(1, true));
        assert_eq!(wakes(&inbox, &arrivals), None);
        results.put(outcome(1, true));
        assert_eq!(wakes(&inbox, &arrivals), Some(2));
    }
}
