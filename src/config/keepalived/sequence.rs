//! `~SEQ(var,start,step,end) rest` and `~LST(var,a,b) rest`: one line for each value.

use super::expand::{Expander, Locals};
use super::text::Line;
use crate::config::problem::Span;

/// A line that begins with one of the two.
pub(super) struct Sequence {
    kind: Kind,
    /// What stands between the brackets.
    inside: Span,
    /// Where the rest of the line begins.
    rest: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Numbers,
    Hexadecimal,
    List,
}

const KINDS: [(&str, Kind); 3] =
    [("~SEQx", Kind::Hexadecimal), ("~SEQ", Kind::Numbers), ("~LST", Kind::List)];

/// The sequence that a line begins with.
pub(super) fn find(line: &Line) -> Option<Sequence> {
    let text = line.text.trim_start();
    let (kind, inside) = named(text)?;
    let open = line.text.len() - inside.len();
    let close = open + inside.find(')')?;
    Some(Sequence { kind, inside: open..close, rest: close + 1 })
}

/// Which of them `text` begins with, and what stands behind its bracket.
fn named(text: &str) -> Option<(Kind, &str)> {
    let behind = |name| text.strip_prefix(name)?.trim_start().strip_prefix('(');
    KINDS.iter().find_map(|(name, kind)| Some((*kind, behind(name)?)))
}

/// Whether `text` begins with one.
pub(super) fn begins(text: &str) -> bool {
    named(text).is_some()
}

/// Reads the rest of the line once for each value.
pub(super) fn repeat(to: &mut Expander<'_>, line: &Line, found: &Sequence, locals: &Locals, depth: usize) {
    let span = line.span(found.inside.clone());
    if depth == 0 {
        to.report.error(&span, "too many sequences in sequences", "use fewer on a line");
        return;
    }
    let inside = to.inline(&line.slice(found.inside.clone()), locals, depth).text;
    let rest = line.slice(found.rest..line.text.len());
    let each = |to: &mut Expander<'_>, values: Locals| {
        let stays = values.first().cloned();
        let mut locals = locals.clone();
        locals.extend(values);
        to.line(&rest, &locals, depth - 1);
        // As in keepalived, the first variable keeps its last value for the lines that follow.
        if let Some((name, value)) = stays {
            to.set(&name, &value, &line.slice(found.inside.clone()));
        }
        !to.is_full()
    };
    let done = match found.kind {
        Kind::List => list(&inside).map(|rounds| rounds.into_iter().all(|values| each(to, values))),
        Kind::Numbers | Kind::Hexadecimal => numbers(&inside).map(|(name, values)| {
            values.into_iter().all(|value| {
                let shown =
                    if found.kind == Kind::Numbers { value.to_string() } else { format!("{value:x}") };
                each(to, vec![(name.to_owned(), shown)])
            })
        }),
    };
    if done.is_none() {
        let (message, help) = match found.kind {
            Kind::List => ("this is no list of values", "write ~LST(NAME,a,b) or ~LST({A,B},{a,1},{b,2})"),
            _ => ("this is no sequence of numbers", "write ~SEQ(NAME,1,10), or ~SEQ(NAME,START,STEP,END)"),
        };
        to.report.refuse(&span, message, help);
    }
}

/// The variable of `var[,start[,step]],end`, and its values.
fn numbers(inside: &str) -> Option<(&str, impl IntoIterator<Item = i64> + use<>)> {
    let mut parts = inside.split(',').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let bounds: Vec<i64> = parts.map(number).collect::<Option<_>>()?;
    let (start, step, end) = match *bounds.as_slice() {
        [end] => (1, if end < 1 { -1 } else { 1 }, end),
        [start, end] => (start, if end < start { -1 } else { 1 }, end),
        [start, step, end] if step != 0 => (start, step, end),
        _ => return None,
    };
    let more = move |value: &i64| if step > 0 { *value <= end } else { *value >= end };
    Some((name, std::iter::successors(Some(start), move |value| value.checked_add(step)).take_while(more)))
}

/// A number as C reads it: `0x` begins a hexadecimal one, and `0` an octal one; nothing is 0.
fn number(text: &str) -> Option<i64> {
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if text.is_empty() {
        return Some(0);
    }
    let digits = Some(digits).filter(|digits| digits.starts_with(|sign: char| sign.is_ascii_hexdigit()))?;
    i64::from_str_radix(&format!("{minus}{digits}"), radix).ok()
}

/// The rounds of `var,a,b` or `{x,y},{1,2},{3,4}`, each with the value of every variable.
fn list(inside: &str) -> Option<Vec<Locals>> {
    let mut parts = tuples(inside)?.into_iter();
    let names = parts.next()?;
    let round = |values: Vec<&str>| {
        (values.len() == names.len()).then(|| {
            names.iter().zip(&values).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        })
    };
    parts.map(round).collect()
}

/// What stands between the commas, each a single word or several in braces.
fn tuples(inside: &str) -> Option<Vec<Vec<&str>>> {
    let (mut rest, mut found) = (inside.trim(), Vec::new());
    loop {
        let after = if let Some(open) = rest.strip_prefix('{') {
            let (tuple, after) = open.split_once('}')?;
            found.push(tuple.split(',').map(str::trim).collect());
            after.trim_start()
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            found.push(vec![rest[..end].trim()]);
            &rest[end..]
        };
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return after.is_empty().then_some(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(inside: &str) -> Option<Vec<i64>> {
        numbers(inside).map(|(_, values)| values.into_iter().collect())
    }

    #[test]
    fn numbers_run_up_or_down_by_their_step() {
        assert_eq!(values("x,3"), Some(vec![1, 2, 3]));
        assert_eq!(values("x, 3, 1"), Some(vec![3, 2, 1]));
        assert_eq!(values("x,0,5,12"), Some(vec![0, 5, 10]));
        assert_eq!(values("x,12,-5,0"), Some(vec![12, 7, 2]));
        assert_eq!(values("x,1,-1,5"), Some(vec![]));
        assert_eq!(values("x,1,0,5"), None);
        assert_eq!(values("x, 0x9, 0XB"), Some(vec![9, 10, 11]));
        assert_eq!(values("x,010,+9"), Some(vec![8, 9]));
        assert_eq!(values("x,-0x1,"), Some(vec![-1, 0]));
        assert_eq!([values("x,--1"), values("x,1a"), values("x,0x")], [None, None, None]);
        assert_eq!(values("x"), None);
        assert_eq!(values("x,a"), None);
        assert_eq!(values("x,9223372036854775806,9223372036854775807").map(|found| found.len()), Some(2));
    }

    #[test]
    fn a_blank_may_stand_before_the_bracket() {
        assert!(named("~SEQ (n,1,2) x") == Some((Kind::Numbers, "n,1,2) x")));
        assert!(named("~SEQx\t(n,1,2)") == Some((Kind::Hexadecimal, "n,1,2)")));
        assert!(named("~ LST(n,1,2)").is_none() && named("~SEQy(n,1,2)").is_none());
    }

    #[test]
    fn lists_give_one_or_several_variables_their_values() {
        let shown = |inside| list(inside).map(|rounds| format!("{rounds:?}"));
        assert_eq!(shown("x,a,b").as_deref(), Some("[[(\"x\", \"a\")], [(\"x\", \"b\")]]"));
        let two = "[[(\"x\", \"1\"), (\"y\", \"2\")], [(\"x\", \"3\"), (\"y\", \"4\")]]";
        assert_eq!(shown("{x, y}, {1,2}, {3,4}").as_deref(), Some(two));
        assert_eq!(shown("{x,y},{1}"), None);
        assert_eq!(shown("{x,y"), None);
    }
}
