//! What is wrong with a configuration, where, and how to mend it; collected, never thrown one by one.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::json;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A part of the file, in bytes.
pub type Span = Range<usize>;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used, and may not do what its author wants.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// One thing that is wrong, with its place and its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 where it is about the whole file.
    pub line: usize,
    /// The column in characters, counted from 1; 0 where it is about the whole file.
    pub column: usize,
    /// What is wrong, on one line.
    pub message: String,
    /// How to mend it, on one line.
    pub help: Option<String>,
    /// The part of the file that is meant; `None` for the whole file.
    pub span: Option<Span>,
    /// Another part of the file that it is about, with a few words on it.
    pub also: Option<(Span, String)>,
    text: Arc<str>,
}

impl Problem {
    /// Something about the file as a whole.
    #[must_use]
    pub fn of_file(severity: Severity, file: &Path, message: String, help: Option<String>) -> Self {
        Problem {
            severity,
            file: file.to_owned(),
            line: 0,
            column: 0,
            message,
            help,
            span: None,
            also: None,
            text: "".into(),
        }
    }

    /// Several lines for people: the message, the line itself with a caret, the mend. With `colour`
    /// for a terminal.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(self.message.as_str()).elements(self.snippet());
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }

    fn snippet(&self) -> Option<Snippet<'_, annotate_snippets::Annotation<'_>>> {
        let span = self.span.clone()?;
        let snippet = Snippet::source(&*self.text)
            .path(self.file.to_string_lossy())
            .annotation(AnnotationKind::Primary.span(span));
        let also = self.also.iter();
        Some(snippet.annotations(
            also.map(|(span, label)| AnnotationKind::Context.span(span.clone()).label(label.as_str())),
        ))
    }

    /// For machines: severity, file, line, column, message, help.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "severity": self.severity.to_string(),
            "file": self.file.to_string_lossy(),
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "help": self.help,
        })
    }
}

impl fmt::Display for Problem {
    /// One line: `locum.toml:3:8: error: message (help: mend)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.span.is_some() {
            write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        }
        write!(f, "{}: {}", self.severity, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " (help: {help})"))
    }
}

/// Everything that is wrong with one file, errors and warnings, in the order of the file. At least
/// one is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// All of them, [rendered](Problem::render).
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        render_all(&self.0, colour)
    }

    /// For machines: a list of [`Problem::to_json`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(Problem::to_json).collect()
    }
}

/// `problems` [rendered](Problem::render), with an empty line between two.
#[must_use]
pub fn render_all(problems: &[Problem], colour: bool) -> String {
    let each: Vec<_> = problems.iter().map(|problem| problem.render(colour)).collect();
    each.join("\n\n")
}

impl fmt::Display for Problems {
    /// One problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// A problem before its place in the file is worked out.
#[derive(Debug)]
pub(super) struct Finding {
    severity: Severity,
    span: Span,
    message: String,
    help: Option<String>,
    also: Option<(Span, String)>,
}

impl Finding {
    pub(super) fn error(span: &Span, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Error,
            span: span.clone(),
            message: message.into(),
            help: None,
            also: None,
        }
    }

    pub(super) fn warning(span: &Span, message: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, ..Finding::error(span, message) }
    }

    /// Of a line that says its mend behind its last colon.
    pub(super) fn told(span: &Span, line: &str) -> Self {
        match line.rsplit_once(": ") {
            Some((message, mend)) => Finding::error(span, message).help(mend),
            None => Finding::error(span, line),
        }
    }

    /// The same as a warning.
    pub(super) fn softened(self) -> Self {
        Finding { severity: Severity::Warning, ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Finding { help: Some(help.into()), ..self }
    }

    pub(super) fn also(self, span: &Span, label: impl Into<String>) -> Self {
        Finding { also: Some((span.clone(), label.into())), ..self }
    }
}

/// Where findings gather while a file is read, and the files it includes.
///
/// Places are counted through all files joined end to end, so that one number says which file.
#[derive(Debug)]
pub(super) struct Sink {
    files: RefCell<Vec<Joined>>,
    found: RefCell<Vec<(usize, Problem)>>,
}

/// One file and where its first byte is counted.
#[derive(Clone, Debug)]
struct Joined {
    path: PathBuf,
    text: Arc<str>,
    start: usize,
}

impl Sink {
    pub(super) fn new(file: &Path, text: &str) -> Self {
        let sink = Sink { files: RefCell::default(), found: RefCell::default() };
        sink.join(file, text);
        sink
    }

    /// Takes in another file, and returns where its first byte is counted.
    pub(super) fn join(&self, file: &Path, text: &str) -> usize {
        let mut files = self.files.borrow_mut();
        // One more than its length, so that the end of a file is not the start of the next.
        let start = files.last().map_or(0, |last| last.start + last.text.len() + 1);
        files.push(Joined { path: file.to_owned(), text: text.into(), start });
        start
    }

    /// Keeps a finding; what is wrong with a value that is used twice is told once.
    pub(super) fn add(&self, finding: Finding) {
        let start = finding.span.start;
        let found = (start, self.problem(finding));
        let mut known = self.found.borrow_mut();
        if !known.contains(&found) {
            known.push(found);
        }
    }

    /// A finding with its place, not kept.
    pub(super) fn problem(&self, finding: Finding) -> Problem {
        let file = self.file(finding.span.start);
        let span = local(&finding.span, &file);
        let (line, column) = place(&file.text, span.start);
        let mut message = finding.message;
        let also = finding.also.and_then(|(other, label)| {
            let there = self.file(other.start);
            let other = local(&other, &there);
            if there.start == file.start {
                return Some((other, label));
            }
            let (line, _) = place(&there.text, other.start);
            message = format!("{message} ({label}: {}:{line})", there.path.display());
            None
        });
        Problem {
            severity: finding.severity,
            file: file.path,
            line,
            column,
            message,
            help: finding.help,
            span: Some(span),
            also,
            text: file.text,
        }
    }

    fn file(&self, at: usize) -> Joined {
        let files = self.files.borrow();
        let found = files.iter().rfind(|file| file.start <= at).or(files.first());
        found.cloned().unwrap_or(Joined { path: PathBuf::new(), text: "".into(), start: 0 })
    }

    /// Everything found, in the order of the files.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(start, problem)| (*start, problem.severity));
        found.into_iter().map(|(_, problem)| problem).collect()
    }

    /// Everything found so far, and where.
    pub(super) fn placed(&self) -> Vec<(usize, Problem)> {
        self.found.borrow().clone()
    }

    /// The text of a place.
    pub(super) fn text(&self, span: &Span) -> String {
        let file = self.file(span.start);
        file.text.get(local(span, &file)).unwrap_or_default().to_owned()
    }

    /// Whether two places are on one line of one file.
    pub(super) fn on_one_line(&self, from: usize, to: usize) -> bool {
        let file = self.file(from);
        let ours = to <= file.start + file.text.len();
        ours && file.text.get(local(&(from..to), &file)).is_some_and(|text| !text.contains('\n'))
    }

    /// Whether an error was found inside `span`.
    pub(super) fn has_errors_in(&self, span: &Span) -> bool {
        let found = self.found.borrow();
        found.iter().any(|(start, problem)| problem.severity == Severity::Error && span.contains(start))
    }

    pub(super) fn has_errors(&self) -> bool {
        let found = self.found.borrow();
        found.iter().any(|(_, problem)| problem.severity == Severity::Error)
    }
}

/// `span` counted from the start of `file`, and no longer than it.
fn local(span: &Span, file: &Joined) -> Span {
    let inside = |at: usize| at.saturating_sub(file.start).min(file.text.len());
    inside(span.start)..inside(span.end)
}

/// Line and column, counted from 1, of byte `at`.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
