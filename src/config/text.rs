//! What is wrong with a text before anything in it can be judged: bytes that are none, and broken TOML.

use super::problem::{Finding, Problems, Sink, Span};
use std::path::Path;

/// The bytes of the file at `path` as text, or where they are none.
pub(super) fn decoded(bytes: Vec<u8>, path: &Path) -> Result<String, Problems> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let shown = String::from_utf8_lossy(&bytes);
        let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        let file = path.display();
        let finding = Finding::error(&span, format!("byte 0x{byte:02x} is no text (UTF-8)"));
        let help = format!("save the file as UTF-8; from Latin-1: iconv -f latin1 -t utf-8 {file}");
        Problems(vec![Sink::new(path, &shown).problem(finding.help(help))])
    })
}

/// A place where `text` is no TOML.
pub(super) fn broken(error: &toml::de::Error, text: &str) -> Finding {
    let span = error.span().unwrap_or(0..0);
    let message = error.message().trim().replace('\n', ", ");
    let twice = message.starts_with("duplicate key");
    let finding = Finding::error(&span, message.clone());
    match first(&span, text).filter(|_| twice) {
        Some(first) => finding.also(&first, "first here").help("remove one of the two"),
        None if twice => finding.help("it stands above already: remove one of the two"),
        None => finding.help(mend(&message, text.get(span).unwrap_or_default())),
    }
}

/// How to mend what `message` complains of, at `word`.
fn mend(message: &str, word: &str) -> String {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let truth = match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some("true"),
        "false" | "no" | "off" => Some("false"),
        _ => None,
    };
    match what {
        "string values must be quoted" | "invalid boolean" if truth.is_some() => {
            format!("write {}", truth.unwrap_or_default())
        }
        "string values must be quoted" if word.is_empty() => "write a value here".to_owned(),
        "string values must be quoted" => format!("write \"{word}\""),
        "key with no value" => "write it as KEY = VALUE; a comment begins with #".to_owned(),
        _ if what.starts_with("missing comma") => "put a comma before this".to_owned(),
        "unexpected leading zero" => "write the number without it".to_owned(),
        _ if expected.starts_with('`') => format!("write {} here", expected.replace(", `", " or `")),
        _ => "a line of TOML is KEY = VALUE, or [SECTION], or a comment that begins with #".to_owned(),
    }
}

/// Where the key or header at `span` stood before, each on a line of its own.
fn first(span: &Span, text: &str) -> Option<Span> {
    let (mut next, mut section) = (0, "");
    let lines = text.split_inclusive('\n').map(|line| {
        let at = next;
        next += line.len();
        if line.trim_start().starts_with('[') {
            section = header(line);
        }
        (at, line, section)
    });
    let lines: Vec<(usize, &str, &str)> = lines.take_while(|(at, ..)| *at <= span.start).collect();
    let ((at, here, section), above) = lines.split_last()?;
    let before = here.get(..span.start - at)?;
    let (found, what) = if before.trim_start().starts_with('[') {
        let same = |line: &str| line.trim_start().starts_with('[') && header(line) == *section;
        (above.iter().find(|(_, line, _)| same(line))?, *section)
    } else if before.trim().is_empty() {
        let key = text.get(span.clone())?;
        let same = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        (above.iter().find(|(_, line, within)| within == section && same(line))?, key)
    } else {
        // Inside of braces.
        return None;
    };
    let begin = found.0 + found.1.find(what)?;
    Some(begin..begin + what.len())
}

/// `[router.web]` of a line that begins with it.
fn header(line: &str) -> &str {
    line.split_inclusive(']').next().unwrap_or_default().trim()
}
