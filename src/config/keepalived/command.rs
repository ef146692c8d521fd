//! Commands: the words of a script line, who runs it, and no shell anywhere.

use super::document::Command;
use super::statement::Statement;
use super::text::Line;
use super::tree::Word;
use super::value;
use crate::config::problem::{Finding, Span};
use crate::process::resolve_user;
use serde_spanned::Spanned;

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
    let group = word(1).map(|group| {
        let name = group.get_ref().trim_start_matches(':').to_owned();
        Spanned::new(group.span(), name)
    });
    (command.get_mut().user, command.get_mut().group) = (word(0), group);
}

/// The command of a line, and what stands behind it.
fn first(statement: &Statement<'_>) -> Option<(Spanned<Command>, Vec<Part>)> {
    let Some(rest) = &statement.node.rest else {
        let help = "write it on the same line, in quotes: \"/path/to/script argument\"";
        statement.report().refuse(&statement.span(), format!("{} has no command", statement.name), help);
        return None;
    };
    let Some(mut parts) = parts(rest) else {
        let help = "add the quote where it ends, on the same line";
        statement.report().refuse(&rest.whole(), "a quote is not closed", help);
        return None;
    };
    if parts.is_empty() {
        return None;
    }
    let (text, span) = parts.remove(0);
    let words = split(&text);
    if words.is_empty() {
        let help = "name a program, or remove the line";
        statement.report().refuse(&span, format!("the command of {} is empty", statement.name), help);
        return None;
    }
    no_shell(statement, &words, &span);
    Some((Spanned::new(span, Command { words, user: None, group: None }), parts))
}

fn only(command: &Spanned<Command>) -> String {
    format!("only {} is the command here", command.get_ref().words[0])
}

fn in_quotes(statement: &Statement<'_>) -> String {
    let line = statement.node.rest.as_ref().map_or("", |rest| rest.text.trim());
    format!("put all of it in quotes: {} \"{}\"", statement.name, line.replace('"', "\\\""))
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

/// `user [group]` after the keyword.
pub(super) fn user(statement: &Statement<'_>, slot: &mut Option<Spanned<(String, Option<String>)>>) {
    let user = statement.required(0, value::text);
    let group = statement.argument(1, |word: &Word| Ok(word.text.trim_start_matches(':').to_owned()));
    let group = group.map(Spanned::into_inner);
    statement.put(slot, user.map(|user| Spanned::new(user.span(), (user.into_inner(), group))));
    statement.no_more_than(2);
}

/// The parts of a line, quotes taken off; quotes may be glued inside. `None` for an open quote.
fn parts(line: &Line) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut current: Option<(String, usize)> = None;
    let (mut quote, mut escaped) = (None, false);
    for (at, sign) in line.text.char_indices() {
        if quote.is_none() && !escaped && sign.is_whitespace() {
            if let Some((text, start)) = current.take() {
                parts.push((text, line.span(start..at)));
            }
            continue;
        }
        let (text, _) = current.get_or_insert((String::new(), at));
        match (sign, quote) {
            _ if escaped => {
                // A backslash of its own is left for the words inside the command.
                if sign != '"' {
                    text.push('\\');
                }
                text.push(sign);
                escaped = false;
            }
            ('\\', _) => escaped = true,
            ('"' | '\'', None) => quote = Some(sign),
            (sign, Some(open)) if sign == open => quote = None,
            _ => text.push(sign),
        }
    }
    if let Some((mut text, start)) = current {
        if escaped {
            text.push('\\');
        }
        parts.push((text, line.span(start..line.text.len())));
    }
    (quote.is_none() && !parts.is_empty()).then_some(parts)
}

/// The words of a command: quotes of both kinds, and escapes outside single ones.
fn split(command: &str) -> Vec<String> {
    let (mut words, mut current, mut quote) = (Vec::new(), None::<String>, None);
    let mut signs = command.chars().peekable();
    while let Some(sign) = signs.next() {
        match (sign, quote) {
            (sign, None) if sign.is_whitespace() => words.extend(current.take()),
            ('"' | '\'', None) => {
                quote = Some(sign);
                current.get_or_insert_default();
            }
            (sign, Some(open)) if sign == open => quote = None,
            ('\\', open) if open != Some('\'') => {
                if let Some(made) = escape(&mut signs) {
                    current.get_or_insert_default().push(made);
                }
            }
            _ => current.get_or_insert_default().push(sign),
        }
    }
    words.extend(current);
    words
}

/// What stands after a backslash.
fn escape(signs: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let sign = signs.next()?;
    let mut digits = |radix: u32, most: usize, first: u32| {
        let mut value = first;
        for _ in 0..most {
            let Some(digit) = signs.peek().and_then(|sign| sign.to_digit(radix)) else { break };
            value = value * radix + digit;
            signs.next();
        }
        char::from_u32(value & 0xff)
    };
    match sign {
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'E' => Some('\u{1b}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        'x' => digits(16, 2, 0),
        '0'..='7' => digits(8, 2, sign.to_digit(8).unwrap_or_default()),
        'c' => signs.next().map(|control| char::from_u32(u32::from(control) & 0x1f).unwrap_or(control)),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Option<Vec<String>> {
        let mut line = Line::new(&Path::new("/").into());
        line.copy(text, 0);
        Some(parts(&line)?.into_iter().map(|(text, _)| text).collect())
    }

    #[test]
    fn the_first_part_is_the_command_and_user_and_group_follow() {
        assert_eq!(read("\"/bin/a b\" user :group").unwrap(), ["/bin/a b", "user", ":group"]);
        assert_eq!(read("'killall -0 haproxy'").unwrap(), ["killall -0 haproxy"]);
        assert_eq!(read("/bin/a\" b\"c").unwrap(), ["/bin/a bc"]);
        assert_eq!(read("\"a \\\"b c\\\" d\"").unwrap(), ["a \"b c\" d"]);
        assert_eq!(read("\"a"), None);
    }

    #[test]
    fn a_command_is_split_with_quotes_and_escapes() {
        assert_eq!(split("a 'b c' \"d e\" f\\ g \"\""), ["a", "b c", "d e", "f g", ""]);
        assert_eq!(split("\\x41\\101\\n\\cA\\q\\"), ["AA\n\u{1}q"]);
        assert_eq!(split("'a\\nb'"), ["a\\nb"]);
        assert_eq!(split("  "), [""; 0]);
    }
}
