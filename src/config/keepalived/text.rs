//! One file as lines without comments, each byte with its place. No keyword, no definition.

use super::report::Report;
use crate::config::problem::Span;
use std::path::Path;
use std::sync::Arc;

/// keepalived reads no line longer than this, in bytes.
const KEEPALIVED_LINE: usize = 1024;

/// A line whose bytes know where they were written.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    pieces: Vec<Piece>,
    /// The folder of the file it is written in.
    pub(super) folder: Arc<Path>,
    /// Its comment ends with a `\`, by which a definition goes on.
    pub(super) goes_on: bool,
}

/// A part of a line: copied from its place byte by byte, or standing for it as a whole.
#[derive(Clone, Debug)]
struct Piece {
    end: usize,
    from: Span,
    copied: bool,
}

impl Line {
    pub(super) fn new(folder: &Arc<Path>) -> Self {
        Line { text: String::new(), pieces: Vec::new(), folder: Arc::clone(folder), goes_on: false }
    }

    /// Adds text that stands at byte `at` of the files.
    pub(super) fn copy(&mut self, text: &str, at: usize) {
        self.put(text, at..at + text.len(), true);
    }

    /// Adds text that comes from `from` as a whole, such as the value of a definition.
    pub(super) fn make(&mut self, text: &str, from: &Span) {
        self.put(text, from.clone(), false);
    }

    fn put(&mut self, text: &str, from: Span, copied: bool) {
        if !text.is_empty() || self.pieces.is_empty() {
            self.text.push_str(text);
            self.pieces.push(Piece { end: self.text.len(), from, copied });
        }
    }

    /// Adds another line at the end.
    pub(super) fn append(&mut self, other: &Line) {
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.pieces
            .extend(other.pieces.iter().cloned().map(|piece| Piece { end: piece.end + shift, ..piece }));
    }

    /// The bytes `range` of it as a line of its own; nothing where that is not within it.
    pub(super) fn slice(&self, range: Span) -> Line {
        let mut part = Line { goes_on: self.goes_on, ..Line::new(&self.folder) };
        let mut start = 0;
        for piece in &self.pieces {
            let (from, to) = (range.start.max(start), range.end.min(piece.end));
            if let Some(text) = self.text.get(from..to).filter(|_| from < to || piece.end == start) {
                if piece.copied {
                    part.copy(text, piece.from.start + from - start);
                } else {
                    part.make(text, &piece.from);
                }
            }
            start = piece.end;
        }
        part
    }

    /// Where the bytes `range` are written.
    pub(super) fn span(&self, range: Span) -> Span {
        let Some((start, first)) = self.piece(range.start) else { return 0..0 };
        let (start_of_last, last) =
            self.piece(range.end.saturating_sub(1).max(range.start)).unwrap_or((start, first));
        let begin = if first.copied {
            first.from.start + range.start.saturating_sub(start)
        } else {
            first.from.start
        };
        let end = if last.copied {
            (last.from.start + range.end.saturating_sub(start_of_last)).min(last.from.end)
        } else {
            last.from.end
        };
        // Pieces of a definition used here can be written further up.
        if end >= begin { begin..end } else { first.from.clone() }
    }

    /// Where all of it is written.
    pub(super) fn whole(&self) -> Span {
        self.span(0..self.text.len())
    }

    /// The piece that holds byte `at`, or the last one, and where it begins in the line.
    fn piece(&self, at: usize) -> Option<(usize, &Piece)> {
        let place =
            self.pieces.partition_point(|piece| piece.end <= at).min(self.pieces.len().checked_sub(1)?);
        let start =
            place.checked_sub(1).and_then(|before| self.pieces.get(before)).map_or(0, |piece| piece.end);
        self.pieces.get(place).map(|piece| (start, piece))
    }

    /// Where behind a brace something begins that stands on lines of its own otherwise.
    pub(super) fn behind_brace(&self, begins: impl Fn(&str) -> bool) -> Option<usize> {
        let (mut before, mut quoted, mut reference) = (' ', false, false);
        for (at, sign) in self.text.char_indices() {
            quoted ^= sign == '"';
            reference |= sign == '{' && before == '$';
            if matches!(sign, '{' | '}') && !quoted && !reference {
                let rest = &self.text[at + 1..];
                let apart = before.is_whitespace() || matches!(before, '{' | '}');
                if (apart || rest.starts_with(char::is_whitespace)) && begins(rest.trim_start()) {
                    return Some(self.text.len() - rest.trim_start().len());
                }
            }
            reference &= sign != '}';
            before = sign;
        }
        None
    }

    /// Without blanks at both ends.
    pub(super) fn trimmed(&self) -> Line {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start..start.max(self.text.trim_end().len()))
    }
}

/// A comment, without its sign, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) span: Span,
    /// Nothing else stands on its line.
    pub(super) alone: bool,
}

/// The lines of a file whose first byte is counted as `start`, without comments.
pub(super) fn lines(
    text: &str,
    start: usize,
    folder: &Arc<Path>,
    report: &Report,
) -> (Vec<Line>, Vec<Comment>) {
    let (mut lines, mut comments) = (Vec::new(), Vec::new());
    let mut at = start;
    for raw in text.split('\n') {
        // Editors of another system put a mark at the start, and end lines by two signs.
        let (shown, skipped) = match raw.strip_prefix('\u{feff}') {
            Some(rest) if at == start => (rest, '\u{feff}'.len_utf8()),
            _ => (raw, 0),
        };
        let shown = shown.strip_suffix('\r').unwrap_or(shown);
        let here = at + skipped..at + skipped + shown.len();
        if shown.contains('\0') {
            report.refuse(&here, "this line holds a NUL byte", "write it anew, as plain text");
        } else {
            let (line, comment) = without_comment(shown, here.start, folder, report);
            if line.text.len() > KEEPALIVED_LINE {
                let help = "Locum reads it; make it shorter if keepalived is to read it too";
                report.warning(&here, "keepalived ignores lines longer than 1024 bytes", help);
            }
            comments.extend(comment);
            lines.push(line);
        }
        at += raw.len() + 1;
    }
    (lines, comments)
}

fn without_comment(raw: &str, start: usize, folder: &Arc<Path>, report: &Report) -> (Line, Option<Comment>) {
    let mut line = Line::new(folder);
    let (mut quoted, mut escaped, mut done, mut behind) = (false, false, 0, None);
    for (at, sign) in raw.char_indices() {
        match sign {
            '"' if !escaped => quoted = !quoted,
            '"' => behind = Some(at),
            '#' | '!' if escaped && !quoted => {
                line.copy(&raw[done..at - 1], start + done);
                done = at;
            }
            '#' | '!' if !quoted => {
                line.copy(&raw[done..at], start + done);
                line.goes_on = raw.trim_end().ends_with('\\');
                glued(raw, at, start, report);
                let comment =
                    Comment { span: start + at + 1..start + raw.len(), alone: raw[..at].trim().is_empty() };
                return (line, Some(comment));
            }
            _ => {}
        }
        escaped = sign == '\\' && !escaped;
    }
    // Without the backslash there is none that is open: where words are cut nothing is told.
    let even = raw.matches('"').count().is_multiple_of(2);
    if let Some(at) = behind.filter(|_| quoted && even) {
        let message =
            "keepalived complains of this quote, which a backslash stands before, and takes it as the end";
        report.flaw(
            &(start + at..start + at + 1),
            message,
            "double the backslash if it is meant, or remove it",
        );
    }
    line.copy(&raw[done..], start + done);
    (line, None)
}

/// Warns of a comment that begins inside a word: `auth_pass secret!`.
fn glued(raw: &str, at: usize, start: usize, report: &Report) {
    let before = raw[..at].chars().next_back();
    if before.is_some_and(|sign| !sign.is_whitespace() && !"{}\"'".contains(sign)) {
        let span = start + at..start + at + 1;
        let sign = &raw[at..=at];
        let help = format!("put a blank before it, or write \\{sign} where the sign itself is meant");
        report.warning(&span, format!("{sign} begins a comment here, in the middle of a word"), help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let report = Report::new(Path::new("x.conf"), text, false);
        let (lines, _) = lines(text, 0, &Path::new("/").into(), &report);
        let said = report.into_parts().0.iter().map(ToString::to_string).collect();
        (lines.into_iter().map(|line| line.text).collect(), said)
    }

    #[test]
    fn comments_end_lines_but_not_inside_quotes_or_after_a_backslash() {
        let (lines, said) = read("a # b\n! c\nd \"#e\" !f\r\ng \\# h\\! i\n");
        assert_eq!(lines, ["a ", "", "d \"#e\" ", "g # h! i", ""]);
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn a_backslash_before_the_last_quote_is_told_of_where_the_quotes_are_even() {
        for (line, tells) in [
            (r#"x "a\""#, true),
            (r#"x '/bin/true "a\"'"#, true),
            (r#"x "a\" # b"#, true),
            (r#"x "a\"b""#, false),
            (r#"x "a \'b\'""#, false),
            (r#"x "a \\""#, false),
            (r"x a\", false),
            (r#"# x "a\""#, false),
        ] {
            let told = read(line).1.iter().any(|said| said.contains("a backslash stands before"));
            assert_eq!(told, tells, "{line}");
        }
    }

    #[test]
    fn a_comment_glued_to_a_word_is_read_and_warned_of() {
        let (lines, said) = read("auth_pass secret!");
        assert_eq!(lines, ["auth_pass secret"]);
        assert!(said[0].starts_with("x.conf:1:17: warning: ! begins a comment here"), "{said:?}");
    }

    #[test]
    fn places_survive_cutting_joining_and_replacing() {
        let folder: Arc<Path> = Path::new("/").into();
        let mut line = Line::new(&folder);
        line.copy("priority ", 10);
        line.make("100", &(19..24));
        line.copy(" x", 24);
        assert_eq!(line.text, "priority 100 x");
        assert_eq!(line.span(0..8), 10..18);
        assert_eq!(line.span(9..12), 19..24);
        assert_eq!(line.span(13..14), 25..26);
        assert_eq!(line.slice(9..14).span(4..5), 25..26);
        assert_eq!(line.slice(2..11).text, "iority 10");
        assert_eq!(line.trimmed().span(0..1), 10..11);
    }
}
