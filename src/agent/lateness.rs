//! How late adverts left after the moment that they were due: the worst since the start, and of late.

use super::status::LatenessStatus;
use crate::time::Time;
use std::time::Duration;

/// What is told as recent is up to this many of [`SPAN`] old.
const SPANS: usize = 6;
const SPAN: Duration = Duration::from_secs(10);

/// Keeps the worst.
#[derive(Debug, Default)]
pub struct Lateness {
    worst: Duration,
    /// When each of the last spans began, and the worst in it; the oldest is overwritten.
    spans: [(Time, Duration); SPANS],
    current: usize,
}

impl Lateness {
    /// An advert that was due at `due` has left at `now`.
    pub fn note(&mut self, now: Time, due: Time) {
        let late = now.since(due);
        self.worst = self.worst.max(late);
        if now.since(self.spans[self.current].0) >= SPAN {
            self.current = (self.current + 1) % SPANS;
            self.spans[self.current] = (now, Duration::ZERO);
        }
        let span = &mut self.spans[self.current].1;
        *span = late.max(*span);
    }

    /// What to tell at `now`.
    #[must_use]
    pub fn status(&self, now: Time) -> LatenessStatus {
        let recent = self.spans.iter().filter(|(began, _)| now.since(*began) < SPAN * 6);
        let recent = recent.map(|(_, worst)| *worst).max().unwrap_or_default();
        let millis = |span: Duration| span.as_secs_f64() * 1000.0;
        LatenessStatus { worst_ms: millis(self.worst), recent_ms: millis(recent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    /// The worst since the start and the recent one, in whole milliseconds.
    fn told(lateness: &Lateness, millis: u64) -> [String; 2] {
        let told = lateness.status(at(millis));
        [told.worst_ms, told.recent_ms].map(|ms| format!("{ms:.0}"))
    }

    #[test]
    fn the_worst_stays_and_is_recent_for_a_minute() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.status(at(0)), LatenessStatus::default());
        for second in 0..200 {
            let late = if second == 100 { 7 } else { 1 };
            let millis = second * 1000 + late;
            lateness.note(at(millis), at(second * 1000));
            let recent = &told(&lateness, millis);
            match second {
                0..100 => assert_eq!(recent, &["1", "1"], "after {second} s"),
                100..150 => assert_eq!(recent, &["7", "7"], "after {second} s"),
                150..161 => assert_eq!(recent[0], "7", "after {second} s"),
                _ => assert_eq!(recent, &["7", "1"], "after {second} s"),
            }
        }
    }

    #[test]
    fn what_leaves_before_its_time_is_not_late_and_silence_is_no_news() {
        let mut lateness = Lateness::default();
        lateness.note(at(10), at(20));
        assert_eq!(told(&lateness, 10), ["0", "0"]);
        lateness.note(at(23), at(20));
        assert_eq!(told(&lateness, 23), ["3", "3"]);
        assert_eq!(told(&lateness, 90_000), ["3", "0"]);
    }
}
