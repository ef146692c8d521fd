//! Where findings about keepalived.conf go: strictly or leniently. Knows no keyword.

use crate::config::problem::{Finding, Problem, Sink, Span};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::Path;

/// A line, or a part of one, that was left out: because `lenient` was asked for, or since keepalived leaves
/// it out without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What is wrong with it, and where.
    pub problem: Problem,
}

impl fmt::Display for Skipped {
    /// One line: `keepalived.conf:3:8: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { file, line, column, message, .. } = &self.problem;
        write!(f, "{}:{line}:{column}: {message}", file.display())
    }
}

/// How many findings are kept: nobody reads more, and some files are not configurations at all.
const MOST: usize = 1000;

/// All findings of one reading.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) sink: Sink,
    lenient: bool,
    skipped: RefCell<Vec<(usize, Skipped)>>,
    told: Cell<usize>,
    refused: Cell<usize>,
    flaws: Cell<usize>,
    incomplete: Cell<bool>,
}

impl Report {
    pub(super) fn new(file: &Path, text: &str, lenient: bool) -> Self {
        Report {
            sink: Sink::new(file, text),
            lenient,
            skipped: RefCell::default(),
            told: Cell::default(),
            refused: Cell::default(),
            flaws: Cell::default(),
            incomplete: Cell::default(),
        }
    }

    /// What cannot be used, however lenient the reader.
    pub(super) fn error(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        // An error must never be lost: without one the file would be used.
        self.sink.add(Finding::error(span, message).help(help));
    }

    /// As [`Report::error`], of a file that has to be included: keepalived ends without it.
    pub(super) fn missing(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.incomplete.set(true);
        self.error(span, message, help);
    }

    /// Whether a file is missing that has to be included.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    pub(super) fn warning(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(Finding::warning(span, message).help(help), span);
    }

    /// As [`Report::warning`], where keepalived complains as well.
    pub(super) fn flaw(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.count_flaw();
        self.warning(span, message, help);
    }

    /// Keeps in mind that keepalived complains of what is told of elsewhere.
    pub(super) fn count_flaw(&self) {
        self.flaws.set(self.flaws.get() + 1);
    }

    /// Whether so much was found that the rest is not told of.
    pub(super) fn is_full(&self) -> bool {
        self.told.get() >= MOST
    }

    /// Keeps a finding that changes nothing.
    pub(super) fn add(&self, finding: Finding, span: &Span) {
        if self.may_tell(span) {
            self.sink.add(finding);
        }
    }

    fn may_tell(&self, span: &Span) -> bool {
        self.told.set(self.told.get() + 1);
        if self.told.get() == MOST {
            let message = format!("more than {MOST} problems: this one and later ones are not told");
            self.sink.add(Finding::error(span, message).help("mend those above first"));
        }
        self.told.get() < MOST
    }

    /// What keepalived logs and leaves out: an error, or when lenient an entry in the list.
    pub(super) fn refuse(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.refuse_finding(Finding::error(span, message).help(help), span);
    }

    pub(super) fn refuse_finding(&self, finding: Finding, span: &Span) {
        self.count_flaw();
        if self.lenient {
            self.skip(finding, span);
        } else if self.may_tell(span) {
            self.refused.set(self.refused.get() + 1);
            self.sink.add(finding);
        }
    }

    /// What keepalived leaves out without a word: an entry in the list, however strict the reader.
    pub(super) fn skip(&self, finding: Finding, span: &Span) {
        if self.may_tell(span) {
            let problem = self.sink.problem(finding.softened());
            self.skipped.borrow_mut().push((span.start, Skipped { problem }));
        }
    }

    /// How often keepalived would have complained.
    pub(super) fn flaws(&self) -> usize {
        self.flaws.get()
    }

    /// How many errors there are that a lenient reader would not have.
    pub(super) fn refused(&self) -> usize {
        self.refused.get()
    }

    /// What was left out, and where.
    pub(super) fn placed_skipped(&self) -> Vec<(usize, Problem)> {
        self.skipped.borrow().iter().map(|(at, skipped)| (*at, skipped.problem.clone())).collect()
    }

    /// Everything found, then everything skipped, in the order of the files.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Skipped>) {
        let mut skipped = self.skipped.into_inner();
        skipped.sort_by_key(|(start, _)| *start);
        (self.sink.into_problems(), skipped.into_iter().map(|(_, skipped)| skipped).collect())
    }
}
