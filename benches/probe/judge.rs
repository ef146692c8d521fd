//! What the sent probes and the heard answers come to. Pure: no socket, no clock. See `probe.rs`.

use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// One answer: to which probe, from whom, and when it came.
pub struct Answer {
    /// The number of the probe: its place among the sent.
    pub probe: usize,
    /// When it came, on the clock of the sendings.
    pub at: Duration,
    /// Who sent it.
    pub name: String,
}

/// Everything that was seen.
pub struct Seen {
    /// When each probe was sent, on `CLOCK_MONOTONIC`, ascending.
    pub sent: Vec<Duration>,
    /// The answers in the order they came.
    pub answers: Vec<Answer>,
    /// The longest time an answer may take.
    pub patience: Duration,
    /// Add this to a time of the monotonic clock for the time since 1970.
    pub to_wall: Duration,
    /// Sendings that the kernel refused; they count as lost.
    pub send_errors: u64,
    /// Datagrams that were no answer to this run.
    pub strangers: u64,
}

/// The findings. Times named `_ms` are milliseconds; `at_ms` counts from the first probe.
#[derive(Debug, PartialEq, Serialize)]
pub struct Report {
    pub sent: usize,
    pub lost: usize,
    pub late: usize,
    pub longest_outage_ms: f64,
    pub outages: Vec<Outage>,
    pub answered_by: Vec<Span>,
    pub slowest_answer_ms: f64,
    pub longest_pause_ms: f64,
    pub send_errors: u64,
    pub strangers: u64,
    pub start_monotonic_ms: f64,
    pub start_wall: String,
}

/// A time without answers.
#[derive(Debug, PartialEq, Serialize)]
pub struct Outage {
    pub at_ms: f64,
    pub start_monotonic_ms: f64,
    pub start_wall: String,
    pub lasted_ms: f64,
    pub lost: usize,
    /// No answer came any more.
    pub open: bool,
}

/// Consecutive probes answered by the same one, losses between them included.
#[derive(Debug, PartialEq, Serialize)]
pub struct Span {
    pub name: String,
    pub from_ms: f64,
    pub until_ms: f64,
    pub answers: usize,
}

/// Judges one run.
pub fn judge(seen: &Seen) -> Report {
    let start = seen.sent.first().copied().unwrap_or_default();
    let at_ms = |time: Duration| ms(time.saturating_sub(start));
    let mut first: Vec<Option<&Answer>> = vec![None; seen.sent.len()];
    for answer in &seen.answers {
        if let Some(slot @ None) = first.get_mut(answer.probe) {
            *slot = Some(answer);
        }
    }
    let mut report = Report {
        sent: seen.sent.len(),
        lost: 0,
        late: 0,
        longest_outage_ms: 0.0,
        outages: Vec::new(),
        answered_by: Vec::new(),
        slowest_answer_ms: 0.0,
        longest_pause_ms: ms(longest_pause(&seen.sent)),
        send_errors: seen.send_errors,
        strangers: seen.strangers,
        start_monotonic_ms: ms(start),
        start_wall: wall(start, seen.to_wall),
    };
    let mut outage: Option<(Duration, usize)> = None;
    for (sent, answer) in seen.sent.iter().copied().zip(first) {
        let took = answer.map(|answer| answer.at.saturating_sub(sent));
        if let (Some(answer), Some(took)) = (answer, took.filter(|took| *took <= seen.patience)) {
            report.slowest_answer_ms = report.slowest_answer_ms.max(ms(took));
            if let Some((since, lost)) = outage.take() {
                report.close(since, answer.at, lost, false, seen.to_wall);
            }
            answered(&mut report.answered_by, &answer.name, at_ms(answer.at));
        } else {
            report.lost += 1;
            report.late += usize::from(took.is_some());
            outage.get_or_insert((sent, 0)).1 += 1;
        }
    }
    if let (Some((since, lost)), Some(last)) = (outage, seen.sent.last()) {
        report.close(since, *last, lost, true, seen.to_wall);
    }
    report
}

impl Report {
    fn close(&mut self, since: Duration, until: Duration, lost: usize, open: bool, to_wall: Duration) {
        let lasted_ms = ms(until.saturating_sub(since));
        self.longest_outage_ms = self.longest_outage_ms.max(lasted_ms);
        self.outages.push(Outage {
            at_ms: rounded(ms(since) - self.start_monotonic_ms),
            start_monotonic_ms: ms(since),
            start_wall: wall(since, to_wall),
            lasted_ms,
            lost,
            open,
        });
    }
}

fn answered(spans: &mut Vec<Span>, name: &str, at: f64) {
    match spans.last_mut() {
        Some(span) if span.name == name => {
            span.until_ms = at;
            span.answers += 1;
        }
        _ => spans.push(Span { name: name.to_owned(), from_ms: at, until_ms: at, answers: 1 }),
    }
}

fn longest_pause(sent: &[Duration]) -> Duration {
    let pauses = sent.iter().zip(sent.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one));
    pauses.max().unwrap_or_default()
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}

fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

fn wall(time: Duration, to_wall: Duration) -> String {
    jiff::Timestamp::UNIX_EPOCH.checked_add(time + to_wall).unwrap_or_default().to_string()
}

impl Display for Report {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "{} sent, {} lost ({} of them late), longest outage {} ms",
            self.sent, self.lost, self.late, self.longest_outage_ms
        )?;
        for outage in &self.outages {
            let open = if outage.open { ", and no answer since" } else { "" };
            let Outage { at_ms, lasted_ms, lost, start_wall, .. } = outage;
            writeln!(to, "outage at {at_ms} ms ({start_wall}): {lasted_ms} ms, {lost} probes{open}")?;
        }
        for span in &self.answered_by {
            let Span { name, from_ms, until_ms, answers } = span;
            writeln!(to, "{name} answered {answers} from {from_ms} to {until_ms} ms")?;
        }
        write!(
            to,
            "slowest answer {} ms, longest pause between sendings {} ms",
            self.slowest_answer_ms, self.longest_pause_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten probes, one a millisecond; `answers` are (probe, milliseconds it took, name).
    fn judged(answers: &[(usize, u64, &str)]) -> Report {
        let sent: Vec<_> = (1000..1010).map(Duration::from_millis).collect();
        let answer = |&(probe, took, name): &(usize, u64, &str)| Answer {
            probe,
            at: sent[probe] + Duration::from_millis(took),
            name: name.to_owned(),
        };
        let answers = answers.iter().map(answer).collect();
        let (patience, to_wall) = (Duration::from_millis(100), Duration::from_secs(59));
        judge(&Seen { sent, answers, patience, to_wall, send_errors: 0, strangers: 0 })
    }

    #[test]
    fn an_outage_lasts_from_the_first_loss_to_the_next_answer() {
        let mut answers: Vec<_> = (0..3).map(|probe| (probe, 0, "a")).collect();
        answers.extend((7..10).map(|probe| (probe, 1, "b")));
        let report = judged(&answers);
        assert_eq!((report.sent, report.lost, report.late), (10, 4, 0));
        let start_wall = "1970-01-01T00:01:00.003Z".to_owned();
        let outage = Outage {
            at_ms: 3.0,
            start_monotonic_ms: 1003.0,
            start_wall,
            lasted_ms: 5.0,
            lost: 4,
            open: false,
        };
        assert_eq!(report.outages, [outage]);
        assert!((report.longest_outage_ms - 5.0).abs() < f64::EPSILON, "{report}");
        let span = |name: &str, from_ms, until_ms| Span { name: name.into(), from_ms, until_ms, answers: 3 };
        assert_eq!(report.answered_by, [span("a", 0.0, 2.0), span("b", 8.0, 10.0)]);
    }

    #[test]
    fn a_late_answer_is_a_loss_and_a_second_answer_counts_nothing() {
        let mut answers: Vec<_> = (0..10).map(|probe| (probe, 0, "a")).collect();
        answers[4].1 = 101;
        answers.push((5, 1, "b"));
        let report = judged(&answers);
        assert_eq!((report.lost, report.late, report.outages.len()), (1, 1, 1));
        assert_eq!(report.answered_by.len(), 1);
    }

    #[test]
    fn an_outage_without_an_end_stays_open() {
        let report = judged(&[(0, 0, "a")]);
        assert!(report.outages.iter().all(|outage| outage.open && outage.lost == 9));
        assert!((report.longest_outage_ms - 8.0).abs() < f64::EPSILON, "{report}");
        assert_eq!(judged(&[]).lost, 10);
    }
}
