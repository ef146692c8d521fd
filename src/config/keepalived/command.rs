//! Commands: the words of a script line, who runs it, and no shell anywhere.

use super::document::Command;
use super::statement::Statement;
use super::tree::Word;
use super::value;
use crate::config::problem::{Finding, Span};
use crate::process::resolve_user;
use serde_spanned::Spanned;
use std::iter::{Enumerate, Peekable};
use std::ops::Range;
use std::str::Bytes;

/// What people write for a shell, which nothing here is.
const SHELL: [&str; 11] = ["|", "||", "&&", ">", ">>", "<", "2>", "2>&1", ">&2", "&", ";"];

/// A part of a line without its quotes, and where it is.
type Part = (String, Span);

/// Reads the line of `statement` into `slot`.
pub(super) fn command(statement: &Statement<'_>, slot: &mut Option<Spanned<Command>>) {
    statement.put(slot, read(statement));
}

/// Reads the line of a check into `slot`: the command alone, which is the first word or in quotes. keepalived
/// reads no more; here a user is one.
pub(super) fn alone(statement: &Statement<'_>, slot: &mut Option<Spanned<Command>>) {
    let Some((mut command, others)) = first(statement) else { return };
    let is_user = others.len() <= 2 && others.first().is_some_and(|(text, _)| resolve_user(text).is_ok());
    if let (true, [(_, span), ..]) = (is_user, others.as_slice()) {
        statement.trap(span, "a check has no user here", "write it on a line of its own: user NAME");
        named(&mut command, &others);
    } else if let Some((_, surplus)) = others.first() {
        let message = format!("{}: nothing reads the rest of the line", only(&command));
        statement.report().skip(Finding::error(surplus, message).help(in_quotes(statement)), surplus);
    }
    statement.put(slot, Some(command));
}

/// Reads the line of `statement`: the command, user and group.
pub(super) fn read(statement: &Statement<'_>) -> Option<Spanned<Command>> {
    let (mut command, others) = first(statement)?;
    let odd = others.iter().find(|(text, _)| text.starts_with(['-', '/', '|', '>', '&', ';', '$']));
    if let Some((_, odd)) = odd.or(others.get(2)) {
        let message = format!("{}; what follows is a user and a group", only(&command));
        statement.report().skip(Finding::error(odd, message).help(in_quotes(statement)), odd);
        return None;
    }
    named(&mut command, &others);
    Some(command)
}

/// Puts user and group to a command.
fn named(command: &mut Spanned<Command>, words: &[Part]) {
    let word = |place: usize| words.get(place).map(|(text, span)| Spanned::new(span.clone(), text.clone()));
    (command.get_mut().user, command.get_mut().group) = (word(0), word(1));
}

/// The command of a line, and what stands behind it.
fn first(statement: &Statement<'_>) -> Option<(Spanned<Command>, Vec<Part>)> {
    let Some(rest) = &statement.node.rest else {
        let help = "write it on the same line, in quotes: \"/path/to/script argument\"";
        statement.report().refuse(&statement.span(), format!("{} has no command", statement.name), help);
        return None;
    };
    let parts = cut(&rest.text).inspect_err(|why| why.refuse(statement, &rest.whole(), "")).ok()?;
    let mut parts = parts.into_iter().map(|(text, range)| (text, rest.span(range)));
    let (text, span) = parts.next()?;
    let words = cut(&text).inspect_err(|why| why.refuse(statement, &span, " inside the command")).ok()?;
    let words: Vec<_> = words.into_iter().map(|(word, _)| word).collect();
    if words.is_empty() {
        let help = "name a program, or remove the line";
        statement.report().refuse(&span, format!("the command of {} is empty", statement.name), help);
        return None;
    }
    no_shell(statement, &words, &span);
    Some((Spanned::new(span, Command { words, user: None, group: None }), parts.collect()))
}

fn only(command: &Spanned<Command>) -> String {
    format!("only {} is the command here", command.get_ref().words[0])
}

fn in_quotes(statement: &Statement<'_>) -> String {
    let line = statement.node.rest.as_ref().map_or("", |rest| &rest.text);
    // Without the quotes that it has around a part of it.
    let parts: Vec<_> = cut(line).unwrap_or_default().into_iter().map(|(part, _)| part).collect();
    format!("put all of it in quotes: {} \"{}\"", statement.name, parts.join(" ").replace('"', "\\\""))
}

fn no_shell(statement: &Statement<'_>, words: &[String], span: &Span) {
    let device =
        words.first().is_some_and(|word| word.starts_with("</dev/tcp/") || word.starts_with("</dev/udp/"));
    let special = words.iter().find(|word| SHELL.contains(&word.as_str()));
    let sign = match special {
        Some(sign) => sign.as_str(),
        None if device => "/dev/tcp",
        None => return,
    };
    let message = format!("no shell reads this, in keepalived either: {sign} does not do what it does there");
    statement.report().warning(span, message, "put the command into a script, or write /bin/sh -c '…'");
}

/// `user [[:]group]` after the keyword; the colon stays.
pub(super) fn user(statement: &Statement<'_>, slot: &mut Option<Spanned<(String, Option<String>)>>) {
    let user = statement.required(0, value::text);
    let group = statement.argument(1, |word: &Word| Ok(word.text.clone()));
    let group = group.map(Spanned::into_inner);
    statement.put(slot, user.map(|user| Spanned::new(user.span(), (user.into_inner(), group))));
    statement.no_more_than(2);
}

/// What keeps a line from being cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uncut {
    /// This quote is not closed.
    Quote(char),
    /// Nothing stands behind the last backslash.
    Backslash,
}

impl Uncut {
    fn refuse(self, statement: &Statement<'_>, span: &Span, inside: &str) {
        let (message, help) = match self {
            Uncut::Quote(sign) => (
                format!("the quote {sign}{inside} is not closed"),
                format!("add a {sign} where it ends, on the same line"),
            ),
            Uncut::Backslash => (
                format!("nothing stands behind the last \\{inside}"),
                "remove it, or double it where the sign itself is meant".to_owned(),
            ),
        };
        statement.report().refuse(span, message, help);
    }
}

/// The words of a line, and which bytes each takes. keepalived cuts twice, first the line and then its
/// command, and both times takes off quotes of both kinds, and makes what escapes stand for, in quotes too.
fn cut(line: &str) -> Result<Vec<(String, Range<usize>)>, Uncut> {
    let (mut words, mut current, mut quote) = (Vec::new(), None::<(Vec<u8>, usize)>, None);
    let mut signs = line.bytes().enumerate().peekable();
    while let Some((at, sign)) = signs.next() {
        if quote.is_none() && is_blank(sign) {
            words.extend(current.take().map(|(bytes, start)| (word(&bytes), start..at)));
            continue;
        }
        let (bytes, _) = current.get_or_insert((Vec::new(), at));
        match (sign, quote) {
            (b'\\', _) => {
                bytes.push(escape(&mut signs).ok_or(Uncut::Backslash)?);
                // As in keepalived: behind one nobody looks whether a quote is open.
                if signs.peek().is_none() {
                    quote = None;
                }
            }
            (b'"' | b'\'', None) => quote = Some(sign).filter(|_| signs.peek().is_some()),
            (sign, Some(open)) if sign == open => quote = None,
            _ => bytes.push(sign),
        }
    }
    words.extend(current.map(|(bytes, start)| (word(&bytes), start..line.len())));
    quote.map_or(Ok(words), |open| Err(Uncut::Quote(open.into())))
}

fn is_blank(sign: u8) -> bool {
    sign.is_ascii_whitespace() || sign == 0xb
}

/// What a program is given: nothing of it from a NUL on.
fn word(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|sign| *sign == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

type Signs<'a> = Peekable<Enumerate<Bytes<'a>>>;

/// What stands after a backslash.
fn escape(signs: &mut Signs<'_>) -> Option<u8> {
    let (_, sign) = signs.next()?;
    Some(match sign {
        b'a' => 0x7,
        b'b' => 0x8,
        b'E' => 0x1b,
        b'f' => 0xc,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0xb,
        b'0'..=b'7' => digits(signs, 8, 2, sign - b'0'),
        b'x' if signs.peek().is_some_and(|(_, sign)| sign.is_ascii_hexdigit()) => {
            digits(signs, 16, usize::MAX, 0)
        }
        b'c' => signs.next().map_or(sign, |(_, control)| control & 0x1f),
        other => other,
    })
}

/// The number of the digits that follow, `most` of them, behind `first`; what is over 8 bits is lost.
fn digits(signs: &mut Signs<'_>, radix: u8, most: usize, first: u8) -> u8 {
    let mut value = first;
    for _ in 0..most {
        let digit = signs.peek().and_then(|(_, sign)| char::from(*sign).to_digit(radix.into()));
        let Some(digit) = digit.and_then(|digit| u8::try_from(digit).ok()) else { break };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        signs.next();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that a program is given, by a line of a script.
    fn given(line: &str) -> Result<Vec<String>, Uncut> {
        let texts = |words: Vec<(String, _)>| words.into_iter().map(|(text, _)| text).collect::<Vec<_>>();
        let parts = texts(cut(line)?);
        Ok(texts(cut(&parts[0])?))
    }

    #[test]
    fn the_first_part_is_the_command_and_user_and_group_follow() {
        let parts = |line| cut(line).map(|parts| parts.into_iter().map(|(text, _)| text).collect::<Vec<_>>());
        assert_eq!(parts("\"/bin/a b\" user :group").unwrap(), ["/bin/a b", "user", ":group"]);
        assert_eq!(parts("'killall -0 haproxy'").unwrap(), ["killall -0 haproxy"]);
        assert_eq!(parts("/bin/a\" b\"c").unwrap(), ["/bin/a bc"]);
        assert_eq!(parts("\"a \\\"b c\\\" d\"").unwrap(), ["a \"b c\" d"]);
        assert_eq!(parts("\"a"), Err(Uncut::Quote('"')));
        assert_eq!(cut(" a  'b c' ").unwrap()[1].1, 4..9);
        assert_eq!(parts("  ").unwrap(), [""; 0]);
    }

    #[test]
    fn escapes_are_read_twice_and_in_quotes_of_both_kinds() {
        // Each as keepalived 2.2.7 gives it to a program.
        for (line, wanted) in [
            (r#""a\ b \x41\102\n \q""#, &["a", "b", "AB", "q"][..]),
            (r#""a\tb 'a\tb' \"a\tb\"""#, &["a", "b", "a\tb", "a\tb"]),
            (r#""a\\b a\\\\b""#, &["a\u{8}", "a\\b"]),
            (r#""'a\\nb' ""#, &["a\nb"]),
            (r#"'a\nb "c\nd" \\x'"#, &["a", "b", "c\nd", "x"]),
            (r#""\cA\E\\ x""#, &["\u{1}\u{1b} x"]),
            (r#""x \\\"x""#, &["x", "\"x"]),
            (r#""--format=\"%s %t\" 'x=\"y\"'""#, &["--format=%s %t", "x=\"y\""]),
            (r#""a'b c'd ''""#, &["ab cd", ""]),
            (r"/bin/false\ x", &["/bin/false", "x"]),
            (r#""\x414 \1011 \x41g \xc3\xa9""#, &["\u{14}", "A1", "Ag", "é"]),
            (r#""x \\x41 \\\x41 \\\\x41""#, &["x", "A", "A", "\\x41"]),
            (r#""\x7 \08 \x""#, &["\u{7}"]),
            (r#""x \c\\ y""#, &["x", "\u{1c}", "y"]),
            // Open quotes that keepalived does not see.
            (r#""x a\""#, &["x", "a"]),
            (r#""x '""#, &["x", ""]),
        ] {
            assert_eq!(given(line).unwrap(), wanted, "{line}");
        }
    }

    #[test]
    fn a_quote_or_an_escape_without_an_end_is_none() {
        assert_eq!(given(r#""/bin/sh -c 'exit 1""#), Err(Uncut::Quote('\'')));
        assert_eq!(given(r#""x 'it\'s' y""#), Err(Uncut::Quote('\'')));
        assert_eq!(given(r#""x \\""#), Err(Uncut::Backslash));
        assert_eq!(given(r#""x" 'y"#), Err(Uncut::Quote('\'')));
    }
}
