//! How many lines of one kind are written: of what is said again and again, the first ones of each span, and then how
//! many were left out. What changes a state is always written.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The lines of one kind within [`SPAN`].
const MOST: u32 = 20;
/// From the first line of a kind.
const SPAN: Duration = Duration::from_secs(10);

/// A place in the source: all lines from there are of one kind.
pub(super) type Kind = (&'static str, u32);

/// What was written lately, by its kind: as many as there are places that log.
#[derive(Default)]
pub(super) struct Limit {
    seen: BTreeMap<Kind, Seen>,
    /// See [`Limit::owes`].
    owes: bool,
}

struct Seen {
    began: Instant,
    written: u32,
    left_out: u64,
    /// The module of the lines.
    module: String,
    /// The first that was left out.
    text: String,
}

/// Lines of one kind that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) module: String,
    pub(super) count: u64,
    /// The first of them.
    text: String,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.count == 1 { "line was" } else { "lines were" };
        write!(f, "{} more {plural} left out within {} s, such as: {}", self.count, SPAN.as_secs(), self.text)
    }
}

impl Limit {
    /// Whether a line of this kind is to be written.
    pub(super) fn admits(
        &mut self,
        kind: Kind,
        module: &str,
        text: impl Fn() -> String,
        now: Instant,
    ) -> bool {
        let seen = self.seen.entry(kind).or_insert_with(|| Seen {
            began: now,
            written: 0,
            left_out: 0,
            module: module.to_owned(),
            text: String::new(),
        });
        if seen.left_out == 0 && now.saturating_duration_since(seen.began) >= SPAN {
            (seen.began, seen.written) = (now, 0);
        }
        if seen.written < MOST {
            seen.written += 1;
            return true;
        }
        if seen.left_out == 0 {
            seen.text = text();
        }
        seen.left_out += 1;
        self.owes = true;
        false
    }

    /// Whether anything is left out that was not told of.
    pub(super) fn owes(&self) -> bool {
        self.owes
    }

    /// What was left out in spans that are over; all of it `at_last`. Each is told once.
    pub(super) fn settle(&mut self, now: Instant, at_last: bool) -> Vec<LeftOut> {
        let mut told = Vec::new();
        self.owes = false;
        for seen in self.seen.values_mut() {
            if seen.left_out == 0 {
                continue;
            }
            if at_last || now.saturating_duration_since(seen.began) >= SPAN {
                let count = std::mem::take(&mut seen.left_out);
                (seen.began, seen.written) = (now, 0);
                told.push(LeftOut {
                    module: seen.module.clone(),
                    count,
                    text: std::mem::take(&mut seen.text),
                });
            } else {
                self.owes = true;
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = ("src/x.rs", 7);

    fn text() -> String {
        "refused".to_owned()
    }

    #[test]
    fn the_first_lines_of_a_kind_are_written_and_then_how_many_were_not() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        let written = (0..50).filter(|_| limit.admits(KIND, "vrrp", text, start)).count();
        assert_eq!(written, MOST as usize);
        assert!(limit.admits(("src/y.rs", 1), "net", text, start), "another kind has its own count");
        assert_eq!(limit.settle(start, false), []);
        let told = limit.settle(start + SPAN, false);
        assert_eq!(told, [LeftOut { module: "vrrp".to_owned(), count: 30, text: text() }]);
        assert_eq!(told[0].to_string(), "30 more lines were left out within 10 s, such as: refused");
        assert_eq!(limit.settle(start + SPAN * 2, false), []);
        assert!(limit.admits(KIND, "vrrp", text, start + SPAN), "and it begins anew");
    }

    #[test]
    fn a_kind_that_keeps_to_its_measure_is_never_left_out() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        for n in 0..10 {
            for _ in 0..MOST {
                assert!(limit.admits(KIND, "vrrp", text, start + SPAN * n));
            }
        }
        assert_eq!(limit.settle(start + SPAN * 10, true), []);
    }
}
