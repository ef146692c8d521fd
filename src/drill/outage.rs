//! What a client noticed that asked all the time: how long it got no answer. Pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// One question of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When it was asked, since the client began.
    pub asked: Duration,
    /// Whether it was answered in time.
    pub answered: bool,
}

/// A time without answers: from the first question without one to the next with one, or to the last question.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Its beginning, in milliseconds.
    pub from_ms: f64,
    /// Its end.
    pub to_ms: f64,
}

impl Gap {
    /// How long it is, in milliseconds.
    #[must_use]
    pub fn length(&self) -> f64 {
        self.to_ms - self.from_ms
    }
}

/// What a client noticed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// Questions.
    pub sent: usize,
    /// Those without an answer.
    pub lost: usize,
    /// The longest of the gaps, in milliseconds.
    pub longest_ms: f64,
    /// All of them.
    pub gaps: Vec<Gap>,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} probes lost, longest outage {:.0} ms", self.lost, self.sent, self.longest_ms)
    }
}

/// What these questions come to. Times count from `origin`, and are negative before it.
#[must_use]
pub fn judge(probes: &[Probe], origin: Duration) -> Outage {
    let at = |time: Duration| (time.as_secs_f64() - origin.as_secs_f64()) * 1000.0;
    let mut gaps: Vec<Gap> = Vec::new();
    let mut open = false;
    for probe in probes {
        let now = at(probe.asked);
        match gaps.last_mut().filter(|_| open) {
            Some(gap) => gap.to_ms = now,
            None if !probe.answered => gaps.push(Gap { from_ms: now, to_ms: now }),
            None => {}
        }
        open = !probe.answered;
    }
    Outage {
        sent: probes.len(),
        lost: probes.iter().filter(|probe| !probe.answered).count(),
        longest_ms: gaps.iter().map(Gap::length).fold(0.0, f64::max),
        gaps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One probe a millisecond: `x` for one without an answer.
    fn of(text: &str) -> Outage {
        let probe = |(at, letter): (usize, char)| Probe {
            asked: Duration::from_millis(at.try_into().unwrap()),
            answered: letter != 'x',
        };
        judge(&text.chars().enumerate().map(probe).collect::<Vec<_>>(), Duration::from_millis(2))
    }

    #[test]
    fn a_gap_ends_with_the_next_answer_and_the_longest_counts() {
        let outage = of("..xxx.x..");
        assert_eq!((outage.sent, outage.lost), (9, 4));
        let gap = |from_ms, to_ms| Gap { from_ms, to_ms };
        assert_eq!(outage.gaps, [gap(0.0, 3.0), gap(4.0, 5.0)]);
        assert!((outage.longest_ms - 3.0).abs() < 1e-9, "{outage:?}");
        assert_eq!(of(".....").gaps, []);
        assert_eq!(of("...xx").gaps, [gap(1.0, 2.0)], "one that goes on at the end");
        assert_eq!(of("").sent, 0);
    }
}
