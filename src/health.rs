//! The health of what is checked: rise and fall, weights, faults. Counts results; runs nothing.

use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The name of a check, as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckName(pub Arc<str>);

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one probe, with its retries, came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `Ok`, or one line that says what failed, for people: "connection refused".
    pub verdict: Result<(), String>,
    /// From the start of the last attempt to its end.
    pub latency: Duration,
    /// What was read, where the probe reads a number.
    pub value: Option<i32>,
}

/// How the results of one check are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub name: CheckName,
    /// Consecutive passes that bring it up, at least 1.
    pub rise: u32,
    /// Consecutive failures that bring it down, at least 1.
    pub fall: u32,
    /// What it is before its first result.
    pub initial: Initial,
    /// A pass counts as a failure, and the reverse.
    pub inverse: bool,
    /// The interface whose state it is, for a check that nobody probes: up is a pass.
    pub link: Option<String>,
    /// Changes whenever the details (host, path, timing) change: then the probe is started anew.
    pub fingerprint: u64,
}

/// What a check is before its first result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initial {
    /// Nothing yet: its first result decides, whatever `rise` and `fall` say.
    #[default]
    Pending,
    /// Up until it has failed `fall` times.
    Up,
    /// Down until it has passed `rise` times.
    Down,
}

/// Where a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// No result yet.
    Pending,
    /// Passing.
    Up,
    /// Failing.
    Down,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Standing::Pending => "pending",
            Standing::Up => "up",
            Standing::Down => "down",
        })
    }
}

/// The ends of the spans in which latencies are counted, in milliseconds. What took longer than all of them is
/// counted behind the last.
pub const LATENCY_ENDS: [u32; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// What all results of a check came to since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many counted as a pass.
    pub passed: u64,
    /// How many did not.
    pub failed: u64,
    /// How long all of them took together.
    pub latency: Duration,
    /// How many took no longer than each of [`LATENCY_ENDS`] and longer than the one before; last the rest.
    pub spans: [u64; LATENCY_ENDS.len() + 1],
}

impl Tally {
    fn add(&mut self, passed: bool, latency: Duration) {
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
        self.latency = self.latency.saturating_add(latency);
        let span = LATENCY_ENDS.partition_point(|end| Duration::from_millis(u64::from(*end)) < latency);
        self.spans[span] += 1;
    }
}

/// One check as it stands, with what led there.
#[derive(Clone, Debug)]
pub struct Health {
    config: Config,
    standing: Standing,
    since: Time,
    streak: u32,
    /// When the first probe of the last streak began.
    turned: Time,
    last: Option<(Time, Outcome)>,
    tally: Tally,
}

/// What is known of a check, for a next process: everything but how it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    standing: Standing,
    since: Time,
    streak: u32,
    last: Option<(Time, Outcome)>,
}

impl Health {
    /// A check without a result.
    #[must_use]
    pub fn new(config: Config, now: Time) -> Self {
        let standing = match config.initial {
            Initial::Pending => Standing::Pending,
            Initial::Up => Standing::Up,
            Initial::Down => Standing::Down,
        };
        Health { config, standing, since: now, streak: 0, turned: now, last: None, tally: Tally::default() }
    }

    /// How it is counted.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Counts other than before; the standing is kept.
    pub fn retune(&mut self, config: Config) {
        self.config = config;
    }

    /// What is known of it.
    #[must_use]
    pub fn known(&self) -> Known {
        let Health { standing, since, streak, .. } = *self;
        Known { standing, since, streak, last: self.last.clone() }
    }

    /// What an earlier process knew of it.
    pub fn recall(&mut self, known: Known) {
        Known { standing: self.standing, since: self.since, streak: self.streak, last: self.last } = known;
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Since when it stands there.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }

    /// How long its results had said what it came to stand for, when it did: since the start of the first
    /// such probe.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.since.since(self.turned)
    }

    /// The last outcome, and when it came.
    #[must_use]
    pub fn last(&self) -> Option<&(Time, Outcome)> {
        self.last.as_ref()
    }

    /// The number last read; 0 where none was.
    #[must_use]
    pub fn value(&self) -> i32 {
        self.last.as_ref().and_then(|(_, outcome)| outcome.value).unwrap_or(0)
    }

    /// What all results came to.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Counts one outcome. True where the standing or the number changed.
    pub fn count(&mut self, now: Time, outcome: Outcome) -> bool {
        let passed = outcome.verdict.is_ok() != self.config.inverse;
        let before = self.value();
        let began = now - outcome.latency;
        self.tally.add(passed, outcome.latency);
        self.last = Some((now, outcome));
        let other = self.value() != before;
        let (wanted, needed) =
            if passed { (Standing::Up, self.config.rise) } else { (Standing::Down, self.config.fall) };
        if self.standing == wanted {
            self.streak = 0;
            return other;
        }
        if self.streak == 0 {
            self.turned = began;
        }
        self.streak = self.streak.saturating_add(1);
        if self.standing != Standing::Pending && self.streak < needed {
            return other;
        }
        (self.standing, self.since, self.streak) = (wanted, now, 0);
        true
    }

    /// Counts one outcome that changes nothing. `false`: it is to be counted as another.
    pub fn count_on(&mut self, now: Time, outcome: &Outcome) -> bool {
        let passed = outcome.verdict.is_ok() != self.config.inverse;
        let stands = if passed { Standing::Up } else { Standing::Down };
        let goes_on = (self.standing, self.streak, self.value()) == (stands, 0, outcome.value.unwrap_or(0));
        if goes_on {
            self.tally.add(passed, outcome.latency);
            self.last = Some((now, outcome.clone()));
        }
        goes_on
    }

    /// One line on the last failure, for people.
    #[must_use]
    pub fn complaint(&self) -> String {
        let name = &self.config.name;
        match (&self.standing, &self.last) {
            (Standing::Pending, _) => format!("{name} has no result yet"),
            (_, Some((_, Outcome { verdict: Err(text), .. }))) => format!("{name}: {text}"),
            (_, Some(_)) if self.config.inverse => format!("{name}: passes, and is inverse"),
            (_, _) => format!("{name} is {}", self.standing),
        }
    }
}

/// What a router makes of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The check.
    pub check: CheckName,
    /// What follows when it is down.
    pub on_fail: OnFail,
}

/// What follows when a check is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFail {
    /// The router is in Fault.
    Fault,
    /// Positive: added to the priority while the check is up. Negative: added while it is down.
    Weight(i32),
    /// The number that the check reads, times this, is added; -254 and less is a Fault. Times 0:
    /// any other number than 0 is a Fault.
    Times(i32),
}

impl Track {
    /// What this track adds to the priority while its check stands so and has read this number.
    #[must_use]
    pub fn contribution(&self, standing: Standing, value: i32) -> i32 {
        match (self.on_fail, standing) {
            (OnFail::Times(times), _) => value.saturating_mul(times).clamp(-254, 253),
            (OnFail::Weight(weight), Standing::Up) if weight > 0 => weight,
            (OnFail::Weight(weight), Standing::Down) if weight < 0 => weight,
            _ => 0,
        }
    }

    /// Whether the check alone keeps a router out while it stands so, `running` or not. No result
    /// yet is no pass, but it stops nobody who runs: a reload that adds a check drops nothing.
    #[must_use]
    pub fn bars(&self, standing: Standing, value: i32, running: bool) -> bool {
        match self.on_fail {
            OnFail::Fault if running => standing == Standing::Down,
            OnFail::Fault => standing != Standing::Up,
            OnFail::Times(0) => value != 0,
            OnFail::Times(times) => value.saturating_mul(times) <= -254,
            OnFail::Weight(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(rise: u32, fall: u32, initial: Initial) -> Health {
        let name = CheckName("web".into());
        Health::new(
            Config { name, rise, fall, initial, inverse: false, link: None, fingerprint: 0 },
            Time::ZERO,
        )
    }

    fn outcome(passed: bool) -> Outcome {
        let verdict = if passed { Ok(()) } else { Err("refused".to_owned()) };
        Outcome { verdict, latency: Duration::ZERO, value: None }
    }

    fn after(mut health: Health, outcomes: &[bool]) -> Standing {
        for passed in outcomes {
            health.count(Time::ZERO, outcome(*passed));
        }
        health.standing()
    }

    #[test]
    fn the_first_result_decides_a_pending_check() {
        assert_eq!(after(health(3, 3, Initial::Pending), &[]), Standing::Pending);
        assert_eq!(after(health(3, 3, Initial::Pending), &[true]), Standing::Up);
        assert_eq!(after(health(3, 3, Initial::Pending), &[false]), Standing::Down);
    }

    #[test]
    fn one_pass_in_between_starts_the_count_of_failures_again() {
        assert_eq!(after(health(1, 3, Initial::Up), &[false, false, true, false, false]), Standing::Up);
        assert_eq!(after(health(1, 3, Initial::Up), &[false, false, false]), Standing::Down);
    }

    #[test]
    fn a_check_that_starts_down_needs_its_full_rise() {
        assert_eq!(after(health(2, 1, Initial::Down), &[true]), Standing::Down);
        assert_eq!(after(health(2, 1, Initial::Down), &[true, true]), Standing::Up);
    }

    #[test]
    fn an_inverse_check_is_down_while_it_passes() {
        let mut inverse = health(1, 1, Initial::Pending);
        inverse.config.inverse = true;
        inverse.count(Time::ZERO, outcome(true));
        assert_eq!(inverse.standing(), Standing::Down);
        assert_eq!(inverse.complaint(), "web: passes, and is inverse");
    }

    #[test]
    fn positive_weights_count_while_up_and_negative_ones_while_down() {
        let track = |weight| Track { check: CheckName("web".into()), on_fail: OnFail::Weight(weight) };
        assert_eq!(track(20).contribution(Standing::Up, 0), 20);
        assert_eq!(track(20).contribution(Standing::Down, 0), 0);
        assert_eq!(track(-20).contribution(Standing::Up, 0), 0);
        assert_eq!(track(-20).contribution(Standing::Down, 0), -20);
        assert!(!track(-20).bars(Standing::Down, 0, false));
    }

    #[test]
    fn a_check_without_a_result_bars_a_start_and_nothing_that_runs() {
        let track = Track { check: CheckName("web".into()), on_fail: OnFail::Fault };
        assert!(track.bars(Standing::Pending, 0, false) && !track.bars(Standing::Pending, 0, true));
        assert!(track.bars(Standing::Down, 0, true) && !track.bars(Standing::Up, 0, false));
    }

    #[test]
    fn a_number_is_taken_times_its_factor_and_too_low_a_sum_is_a_fault() {
        let times = |factor| Track { check: CheckName("load".into()), on_fail: OnFail::Times(factor) };
        assert_eq!(times(2).contribution(Standing::Up, -30), -60);
        assert_eq!(times(i32::MAX).contribution(Standing::Up, 2), 253);
        assert!(!times(1).bars(Standing::Up, -253, true) && times(1).bars(Standing::Up, -254, true));
        assert!(times(0).bars(Standing::Up, 1, true) && !times(0).bars(Standing::Up, 0, true));
    }

    #[test]
    fn every_result_is_counted_in_the_span_that_its_latency_ends_in() {
        let mut health = health(1, 1, Initial::Pending);
        for (passed, micros) in [(true, 0), (true, 1000), (false, 1001), (true, 10_000_001)] {
            health.count(Time::ZERO, Outcome { latency: Duration::from_micros(micros), ..outcome(passed) });
        }
        let tally = health.tally();
        assert_eq!((tally.passed, tally.failed), (3, 1));
        assert_eq!(tally.spans, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(tally.latency, Duration::from_micros(10_002_002));
    }

    #[test]
    fn another_number_is_news_though_the_standing_is_the_same() {
        let mut load = health(1, 1, Initial::Up);
        let reads = |value| Outcome { value: Some(value), ..outcome(true) };
        assert!(load.count(Time::ZERO, reads(-5)) && !load.count(Time::ZERO, reads(-5)));
        assert_eq!(load.value(), -5);
    }
}
