//! What a drill came to: the report, as JSON and for people. Versioned; see [`SCHEMA`] and
//! `packaging/drill-json.md`.

use super::Kind;
use super::objectives::{Measured, Objectives};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The version of this shape. Fields may be added within a version; none is removed or changed.
pub const SCHEMA: u32 = 1;

/// How a step ended; the worst is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was not done, and the notes say why.
    Skipped,
    /// It happened as it should, within what is promised.
    Met,
    /// It did not.
    Missed,
    /// Something is not as it was before.
    NotRestored,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Skipped => "skipped",
            Outcome::Met => "met",
            Outcome::Missed => "missed",
            Outcome::NotRestored => "not restored",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// When, in milliseconds since the step's deed.
    pub at_ms: f64,
    /// What, in a few words.
    pub what: String,
}

/// What was seen of one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What was done, in one line.
    pub what: String,
    /// What was measured.
    pub measured: Measured,
    /// What happened, in its order.
    pub timeline: Vec<Moment>,
    /// What did not happen as it should, a line each.
    pub problems: Vec<String>,
    /// What is to be known besides.
    pub notes: Vec<String>,
    /// What is not as it was before, a line each with its mend.
    pub left: Vec<String>,
}

impl Run {
    /// Something happened so many milliseconds after the deed.
    pub fn happened(&mut self, at_ms: f64, what: impl Into<String>) {
        self.timeline.push(Moment { at_ms, what: what.into() });
        self.timeline.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
    }
}

/// One step of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What kind of a drill.
    pub kind: Kind,
    /// What was done, in one line.
    pub what: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was measured.
    #[serde(flatten)]
    pub measured: Measured,
    /// What was not kept or did not happen, a line each.
    pub problems: Vec<String>,
    /// What is to be known besides.
    pub notes: Vec<String>,
    /// What happened, in its order.
    pub timeline: Vec<Moment>,
}

impl Step {
    /// Judges what was seen.
    #[must_use]
    pub fn of(kind: Kind, run: Run, objectives: &Objectives) -> Self {
        let Run { what, measured, timeline, mut problems, notes, left } = run;
        problems.extend(objectives.missed(kind, &measured));
        let outcome = match (left.is_empty(), problems.is_empty()) {
            (false, _) => Outcome::NotRestored,
            (true, false) => Outcome::Missed,
            (true, true) => Outcome::Met,
        };
        problems.extend(left);
        Step { kind, what, outcome, measured, problems, notes, timeline }
    }

    /// A step that is not done.
    #[must_use]
    pub fn skipped(kind: Kind, why: String) -> Self {
        let what = "not done".to_owned();
        let run = Run { what, notes: vec![why], ..Run::default() };
        Step { outcome: Outcome::Skipped, ..Step::of(kind, run, &Objectives::default()) }
    }
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `live` or `lab`.
    pub place: String,
    /// What this host is called.
    pub node: String,
    /// When it began.
    pub began: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The worst of the steps.
    pub outcome: Outcome,
    /// What is promised, in milliseconds, by name; what is not is missing.
    pub objectives: BTreeMap<String, f64>,
    /// The steps, in the order in which they were done.
    pub steps: Vec<Step>,
}

impl Report {
    /// Of these steps.
    #[must_use]
    pub fn new(lab: bool, node: String, began: Timestamp, took_ms: u64, objectives: &Objectives) -> Self {
        let promises = objectives.promises().into_iter();
        let most = promises
            .filter_map(|(name, promise)| Some((format!("{name}_ms"), promise?.as_secs_f64() * 1000.0)));
        Report {
            schema: SCHEMA,
            place: if lab { "lab" } else { "live" }.to_owned(),
            node,
            began,
            took_ms,
            outcome: Outcome::Skipped,
            objectives: most.collect(),
            steps: Vec::new(),
        }
    }

    /// With these steps.
    #[must_use]
    pub fn with(mut self, steps: Vec<Step>) -> Self {
        self.outcome = steps.iter().map(|step| step.outcome).max().unwrap_or(Outcome::Skipped);
        self.steps = steps;
        self
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let began = self.began.strftime("%Y-%m-%d %H:%M:%S UTC");
        let place = if self.place == "lab" { "in a lab" } else { "on live hosts" };
        let mut text = format!("drill {place}, {}, {began}\n", self.node);
        let promised: Vec<_> =
            self.objectives.iter().map(|(name, most)| format!("{} {most:.0} ms", plain(name))).collect();
        if promised.is_empty() {
            text.push_str("nothing is promised: [slo] of the configuration says what is\n");
        } else {
            let _ = writeln!(text, "promised, at most: {}", promised.join(", "));
        }
        for step in &self.steps {
            let _ = writeln!(text, "\n{:12} {}: {}", step.outcome.name(), step.kind, step.what);
            let numbers = measured(&step.measured);
            if !numbers.is_empty() {
                let _ = writeln!(text, "{:13}{numbers}", "");
            }
            for line in step.problems.iter().chain(&step.notes) {
                let _ = writeln!(text, "{:13}{line}", "");
            }
        }
        let _ = writeln!(text, "\n{}", self.verdict());
        text
    }

    /// What all of it comes to, in one line.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self.outcome {
            Outcome::Skipped => "nothing was done",
            Outcome::Met if self.objectives.is_empty() => "everything happened as it should",
            Outcome::Met => "every promise was kept",
            Outcome::Missed => "not everything happened as it should",
            Outcome::NotRestored => "something is not as it was before: look at it now",
        }
    }
}

/// The name of a promise without its unit.
fn plain(name: &str) -> &str {
    name.strip_suffix("_ms").unwrap_or(name)
}

/// The numbers of one step in one line; empty where there are none.
pub(super) fn measured(measured: &Measured) -> String {
    let numbers = measured.numbers();
    let mut parts: Vec<_> = numbers
        .iter()
        .filter_map(|(name, number)| number.map(|number| format!("{name} {number:.0} ms")))
        .collect();
    if let Some(outage) = &measured.outage {
        parts.push(format!("{} of {} probes lost", outage.lost, outage.sent));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::Outage;
    use std::time::Duration;

    fn report() -> Report {
        let objectives = Objectives { takeover: Some(Duration::from_millis(200)), ..Objectives::default() };
        let mut good = Run { what: "handed over <b>".to_owned(), ..Run::default() };
        good.measured.takeover_ms = Some(12.4);
        good.measured.outage = Some(Outage { sent: 900, lost: 3, longest_ms: 2.6, gaps: Vec::new() });
        good.happened(12.4, "b is Master");
        good.happened(0.0, "locum handover");
        let slow =
            Run { measured: Measured { takeover_ms: Some(900.0), ..Measured::default() }, ..good.clone() };
        let left = Run { left: vec!["a stays out: locum resume".to_owned()], ..good.clone() };
        let steps = vec![
            Step::skipped(Kind::Dns, "the configuration has no [dns.NAME]".to_owned()),
            Step::of(Kind::Failover, good, &objectives),
            Step::of(Kind::Daemon, slow, &objectives),
            Step::of(Kind::Daemon, left, &Objectives::default()),
        ];
        let began = "2026-03-01T10:00:00Z".parse().unwrap();
        Report::new(true, "a".to_owned(), began, 5, &objectives).with(steps)
    }

    #[test]
    fn the_worst_step_is_the_outcome_and_each_says_why() {
        let report = report();
        let outcomes: Vec<_> = report.steps.iter().map(|step| step.outcome).collect();
        assert_eq!(outcomes, [Outcome::Skipped, Outcome::Met, Outcome::Missed, Outcome::NotRestored]);
        assert_eq!(report.outcome, Outcome::NotRestored);
        assert_eq!(report.steps[1].timeline[0].what, "locum handover", "in the order of their times");
        let text = report.text();
        for line in [
            "promised, at most: takeover 200 ms",
            "skipped      dns: not done",
            "             the configuration has no [dns.NAME]",
            "met          failover: handed over <b>",
            "             takeover 12 ms, outage 3 ms, 3 of 900 probes lost",
            "             takeover 900.0 ms, and at most 200 ms are promised",
            "             outage was not measured",
            "not restored daemon: handed over <b>",
            "             a stays out: locum resume",
            "something is not as it was before: look at it now",
        ] {
            let found = text.lines().any(|said| said == line);
            assert_eq!(found, line != "             outage was not measured", "{line} in\n{text}");
        }
    }

    #[test]
    fn the_json_is_versioned_and_comes_back_the_same() {
        let report = report();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((json["schema"].as_u64(), json["place"].as_str()), (Some(1), Some("lab")));
        assert_eq!(json["objectives"]["takeover_ms"], 200.0);
        assert_eq!(json["steps"][1]["takeover_ms"], 12.4);
        assert_eq!(json["steps"][1]["outage"]["lost"], 3);
        assert_eq!(json["steps"][3]["outcome"], "not_restored");
    }
}
