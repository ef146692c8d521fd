//! Definitions, conditions and references: `$NAME=`, `@id`, `${_ENV X}`. Bounded in depth and size.
//!
//! `~SEQ` and `~LST` are in `sequence`. Lines come out as keepalived would read them, and every byte
//! still knows where it was written.

use super::report::Report;
use super::sequence;
use super::text::Line;
use crate::config::problem::Span;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How deep definitions may use definitions.
const DEPTH: usize = 32;
/// How many bytes definitions may make, counted again at every level.
const BYTES: usize = 8 * 1024 * 1024;
/// What a line costs besides its bytes.
const LINE: usize = 64;

/// Who the configuration is read for.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// What `@id` is compared with, and `${_INSTANCE}` stands for.
    pub(super) config_id: String,
    /// Every file that is included has to be there.
    pub(super) all_files: bool,
}

/// Values that `~SEQ` gives its variables, the innermost last.
pub(super) type Locals = Vec<(String, String)>;

pub(super) struct Expander<'a> {
    pub(super) report: &'a Report,
    reader: &'a Reader,
    definitions: BTreeMap<String, Vec<Line>>,
    /// A definition of several lines, as far as it was read.
    open: Option<(String, Vec<Line>)>,
    out: Vec<Line>,
    spent: usize,
    full: bool,
}

/// The lines that `lines` stand for.
pub(super) fn expand(lines: &[Line], reader: &Reader, report: &Report) -> Vec<Line> {
    let mut expander = Expander {
        report,
        reader,
        definitions: BTreeMap::new(),
        open: None,
        out: Vec::new(),
        spent: 0,
        full: false,
    };
    for line in lines {
        expander.line(line, &Locals::new(), DEPTH);
        if expander.full {
            break;
        }
    }
    if let Some((name, body)) = &expander.open {
        let span = body.last().map_or(0..0, Line::whole);
        let message = format!("the definition of ${name} goes on after the end of the file");
        report.refuse(&span, message, "remove the \\ at the end of its last line");
    }
    expander.out
}

/// A reference within a line.
struct Reference {
    /// Which bytes of the line it takes.
    range: Span,
    name: String,
    /// What stands after the name, such as the variable of `${_ENV X}`.
    rest: String,
}

impl Expander<'_> {
    /// One line as written, or as a definition of several lines replays it.
    pub(super) fn line(&mut self, line: &Line, locals: &Locals, depth: usize) {
        if self.full || (depth < DEPTH && !self.afford(line)) {
            return;
        }
        if let Some((_, body)) = &mut self.open {
            let (part, more) = continued(line);
            body.push(part);
            if !more && let Some((name, body)) = self.open.take() {
                self.definitions.insert(name, body);
            }
            return;
        }
        let Some(line) = meant_for(&self.reader.config_id, line) else { return };
        if self.define(&line) {
            return;
        }
        let begins =
            |rest: &str| rest.starts_with('@') || sequence::begins(rest) || definition(rest).is_some();
        if let Some(at) = line.behind_brace(begins) {
            self.line(&line.slice(0..at), locals, depth);
            self.line(&line.slice(at..line.text.len()), locals, depth);
            return;
        }
        if let Some(sequence) = sequence::find(&line) {
            sequence::repeat(self, &line, &sequence, locals, depth);
            return;
        }
        if let Some((reference, body)) = self.first_of_several_lines(&line, locals) {
            if self.too_deep(&line.span(reference.range.clone()), &reference.name, depth) {
                return;
            }
            for part in replayed(&line, &reference, &body) {
                self.line(&part, locals, depth - 1);
            }
            return;
        }
        let made = self.inline(&line, locals, depth);
        let changed = made.text != line.text;
        let text = made.text.trim_start();
        if changed && depth > 0 && (text.starts_with(['@', '~']) || definition(text).is_some()) {
            self.line(&made, locals, depth - 1);
        } else {
            self.out.push(made);
        }
    }

    /// Counts what a made line costs; `false` and one error where it is too much.
    fn afford(&mut self, line: &Line) -> bool {
        self.spent = self.spent.saturating_add(line.text.len() + LINE);
        if self.spent > BYTES && !self.full {
            self.stop(&line.whole());
        }
        !self.full
    }

    pub(super) fn stop(&mut self, span: &Span) {
        if !self.full {
            let message = "the definitions make more text than is read: 8 MiB";
            self.report.error(span, message, "look for a definition that multiplies itself");
        }
        self.full = true;
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    fn too_deep(&self, span: &Span, name: &str, depth: usize) -> bool {
        if depth == 0 && !self.full {
            let message = format!("${name} is defined by itself, or {DEPTH} deep");
            self.report.refuse(span, message, "mend its definition");
        }
        depth == 0
    }

    /// Takes a definition in, if the line is one.
    fn define(&mut self, line: &Line) -> bool {
        let text = line.text.trim_start();
        let Some(name) = definition(text) else { return false };
        let start = line.text.len() - text.len() + name.len() + 2;
        let (body, more) = continued(&line.slice(start..line.text.len()).trimmed());
        let name = name.to_owned();
        if more {
            let first = if body.text.trim().is_empty() { Vec::new() } else { vec![body] };
            self.open = Some((name, first));
        } else {
            self.definitions.insert(name, vec![body]);
        }
        true
    }

    /// Defines a variable by what is written at `place`.
    pub(super) fn set(&mut self, name: &str, value: &str, place: &Line) {
        let mut body = Line::new(&place.folder);
        body.make(value, &place.whole());
        self.definitions.insert(name.to_owned(), vec![body]);
    }

    /// The first reference to a definition of several lines.
    fn first_of_several_lines(&self, line: &Line, locals: &Locals) -> Option<(Reference, Vec<Line>)> {
        let mut from = 0;
        while let Some(reference) = reference(&line.text, from) {
            from = reference.range.end;
            let local = locals.iter().any(|(name, _)| *name == reference.name);
            let body = self.definitions.get(&reference.name).filter(|body| body.len() > 1 && !local);
            if let Some(body) = body {
                return Some((reference, body.clone()));
            }
        }
        None
    }

    /// The line with its references replaced.
    pub(super) fn inline(&mut self, line: &Line, locals: &Locals, depth: usize) -> Line {
        let mut made = Line::new(&line.folder);
        let mut done = 0;
        while let Some(reference) = reference(&line.text, done) {
            let range = reference.range.clone();
            made.append(&line.slice(done..range.start));
            let span = line.span(range.clone());
            match self.value(line, &reference, locals, depth) {
                Some(value) => {
                    if !self.afford(&value) {
                        break;
                    }
                    made.make(&value.text, &span);
                }
                None => made.append(&line.slice(range.clone())),
            }
            done = range.end;
        }
        made.append(&line.slice(done..line.text.len()));
        made
    }

    /// What a reference stands for; `None` where it stays as it is.
    fn value(&mut self, line: &Line, reference: &Reference, locals: &Locals, depth: usize) -> Option<Line> {
        let span = line.span(reference.range.clone());
        let made = |text: &str| {
            let mut value = Line::new(&line.folder);
            value.make(text, &span);
            value
        };
        if reference.name.starts_with('_')
            && let Some(text) = self.builtin(line, reference, &span)
        {
            return Some(made(&text));
        }
        if let Some((_, value)) = locals.iter().rev().find(|(name, _)| *name == reference.name) {
            return Some(made(value));
        }
        let Some(body) = self.definitions.get(&reference.name).and_then(|body| body.first()).cloned() else {
            let message = format!("${} is not defined, so it stays as it is", reference.name);
            self.report.warning(&span, message, format!("define it above: ${}=VALUE", reference.name));
            return None;
        };
        if self.too_deep(&span, &reference.name, depth) {
            return Some(made(""));
        }
        Some(self.inline(&body, locals, depth - 1))
    }

    fn builtin(&self, line: &Line, reference: &Reference, span: &Span) -> Option<String> {
        match reference.name.as_str() {
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_PWD" => Some(line.folder.to_string_lossy().into_owned()),
            "_INSTANCE" => Some(self.reader.config_id.clone()),
            "_ENV" => Some(self.environment(&reference.rest, span)),
            "_RANDOM" => self.random(&reference.rest, span),
            _ => None,
        }
    }

    fn environment(&self, name: &str, span: &Span) -> String {
        std::env::var(name).unwrap_or_else(|_| {
            let message = format!("there is no environment variable {name}, so this is empty");
            self.report.warning(span, message, "set it in the unit: Environment=NAME=VALUE");
            String::new()
        })
    }

    /// A number by host and place: another host draws another, a reload draws the same.
    fn random(&self, bounds: &str, span: &Span) -> Option<String> {
        let bounds: Option<Vec<u64>> = bounds.split_whitespace().map(|bound| bound.parse().ok()).collect();
        let (least, most) = match bounds.as_deref() {
            Some([]) => (0, 32_767),
            Some([least]) => (*least, 32_767),
            Some([least, most]) => (*least, *most),
            _ => return None,
        };
        if least > most {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (&self.reader.config_id, span).hash(&mut hasher);
        Some(
            hasher
                .finish()
                .checked_rem((most - least).saturating_add(1))
                .map_or(least, |over| least + over)
                .to_string(),
        )
    }
}

/// The line without its `@id`; `None` where it is for other hosts.
pub(super) fn meant_for(config_id: &str, line: &Line) -> Option<Line> {
    let mut line = line.clone();
    loop {
        let start = line.text.len() - line.text.trim_start().len();
        let Some(condition) = line.text.get(start..).and_then(|rest| rest.strip_prefix('@')) else {
            return Some(line);
        };
        let word = condition.split(char::is_whitespace).next().unwrap_or_default();
        let (wanted, id) = word.strip_prefix('^').map_or((true, word), |id| (false, id));
        if (id == config_id) != wanted {
            return None;
        }
        line = line.slice(start + 1 + word.len()..line.text.len());
    }
}

fn is_name(name: &str) -> bool {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
    !name.starts_with(|sign: char| sign.is_ascii_digit()) && !name.is_empty() && name.chars().all(fits)
}

/// The name that `text` defines, if it begins with a definition.
fn definition(text: &str) -> Option<&str> {
    text.strip_prefix('$')?.split_once('=').map(|(name, _)| name).filter(|name| is_name(name))
}

/// A line without its `\` at the end, and whether the next one belongs to it.
fn continued(line: &Line) -> (Line, bool) {
    let line = line.slice(0..line.text.trim_end().len());
    if let Some(text) = line.text.strip_suffix('\\') {
        return (line.slice(0..text.len()), true);
    }
    let more = line.goes_on;
    (line, more)
}

/// The lines of a definition, with what stands before and after the reference to it.
fn replayed(line: &Line, reference: &Reference, body: &[Line]) -> Vec<Line> {
    let mut parts: Vec<_> = body.to_vec();
    if let Some(first) = parts.first_mut() {
        let mut before = line.slice(0..reference.range.start);
        before.append(first);
        *first = before;
    }
    if let Some(last) = parts.last_mut() {
        last.append(&line.slice(reference.range.end..line.text.len()));
    }
    parts
}

/// The first reference at or after byte `from`.
fn reference(text: &str, from: usize) -> Option<Reference> {
    let mut from = from;
    loop {
        let at = from + text.get(from..)?.find('$')?;
        let rest = &text[at + 1..];
        from = at + 1;
        if let Some(inner) = rest.strip_prefix('{') {
            let Some(end) = inner.find('}') else { continue };
            let inner = &inner[..end];
            let (name, after) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            if is_name(name) && (after.is_empty() || name.starts_with('_')) {
                let range = at..at + end + 3;
                return Some(Reference { range, name: name.to_owned(), rest: after.trim().to_owned() });
            }
            continue;
        }
        let length =
            rest.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').unwrap_or(rest.len());
        let ends =
            rest[length..].chars().next().is_none_or(|sign| sign.is_whitespace() || ",)".contains(sign));
        if ends && is_name(&rest[..length]) {
            let range = at..at + 1 + length;
            return Some(Reference { range, name: rest[..length].to_owned(), rest: String::new() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::lines;
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let report = Report::new(Path::new("x.conf"), text, false);
        let (lines, _) = lines(text, 0, &Path::new("/etc/k").into(), &report);
        let expanded = expand(&lines, &Reader { config_id: "low".to_owned(), all_files: false }, &report);
        let texts = expanded.iter().map(|line| line.text.trim().to_owned()).filter(|text| !text.is_empty());
        let texts = texts.collect();
        (texts, report.into_parts().0.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn gives(text: &str, wanted: &[&str]) {
        let (lines, said) = read(text);
        assert_eq!(lines, wanted);
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn lines_for_other_hosts_are_left_out() {
        gives("@low a\n@high b\n@^low c\n@^high d\n  @low @^high e", &["a", "d", "e"]);
    }

    #[test]
    fn definitions_are_used_recursively_and_at_the_time_of_use() {
        gives("$A=1 ${B}\n$B=2\nx $A y\n$B=3\nx ${A}z $A, $A)", &["x 1 2 y", "x 1 3z 1 3, 1 3)"]);
    }

    #[test]
    fn a_definition_may_be_made_by_others() {
        gives("~SEQ(n,1,2) $I${n}=10.0.0.10$n\nx $I1 ${I2}/24", &["x 10.0.0.101 10.0.0.102/24"]);
        gives("$X=1\n$I${X}=5\nx $I1", &["x 5"]);
    }

    #[test]
    fn a_bare_reference_ends_at_a_blank_a_comma_or_a_bracket_only() {
        gives("$A=1\n\"$A\" $A. $A", &["\"$A\" $A. 1"]);
    }

    #[test]
    fn a_definition_of_several_lines_is_replayed_with_conditions_and_definitions_in_it() {
        let text =
            "$X=eth9\n$D= \\\n  $X=eth0 \\\n  @low dev $X \\\n  @high never \\\n  prio 5\n$D after $X\nx $D";
        let again = ["x   $X=eth0", "dev eth0", "prio 5"];
        gives(text, &[["dev eth0", "prio 5 after eth0"].as_slice(), &again].concat());
    }

    #[test]
    fn builtin_names_are_known() {
        gives("a${_HASH}${_BANG} ${_PWD}/x ${_INSTANCE}", &["a#! /etc/k/x low"]);
        let (lines, said) = read("a ${_ENV LOCUM_TEST_NOT_SET}b");
        assert_eq!(lines, ["a b"]);
        assert!(said[0].contains("no environment variable LOCUM_TEST_NOT_SET"), "{said:?}");
        let (lines, _) = read("${_RANDOM 5 6} ${_RANDOM 9 9}");
        assert!(["5 9", "6 9"].contains(&lines[0].as_str()), "{lines:?}");
    }

    #[test]
    fn what_is_not_defined_stays_and_is_warned_of() {
        let (lines, said) = read("priority $PRIO");
        assert_eq!(lines, ["priority $PRIO"]);
        assert!(said[0].starts_with("x.conf:1:10: warning: $PRIO is not defined"), "{said:?}");
    }

    #[test]
    fn a_definition_by_itself_is_one_clear_error() {
        let (_, said) = read("$A=${A}\nx $A");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("error: $A is defined by itself"), "{said:?}");
        let (_, said) = read("$A= \\\n x \\\n ${A}\n$A");
        assert!(said[0].contains("error: $A is defined by itself"), "{said:?}");
    }

    #[test]
    fn definitions_that_multiply_are_stopped() {
        let levels = (1..30).map(|level| format!("$A{level}=${{A{0}}}${{A{0}}}\n", level - 1));
        let text = "$A0=0123456789\n".to_owned() + &levels.collect::<String>();
        let (_, said) = read(&(text + "x ${A29}"));
        assert!(said.iter().any(|said| said.contains("more text than is read")), "{said:?}");
    }
}
