//! `vrrp_track_process`: which processes are looked for. Those that a command line decides are found by a
//! pattern of it, out of which SNMP reads what was written.

use super::checks::{LOOK_INTERVAL, schedule};
use super::document::{ParamMatch, Process};
use super::report::Report;
use crate::check::{self, Pattern, Probe, Spec};
use serde_spanned::Spanned;

/// The kernel cuts names of processes here, in bytes; keepalived looks for no longer ones.
const COMM: usize = 15;
/// What ends a pattern by which the last word may be longer, more words may follow, and neither.
const INITIAL: &str = "";
const PARTIAL: &str = "( |$)";
const EXACT: &str = "$";

/// What is looked for; `None` where that cannot be, with the reason in the report.
pub(super) fn spec(process: &Process, report: &Report) -> Option<Spec> {
    let written = process.process.as_ref()?;
    let words = written.get_ref();
    let number =
        |written: Option<&Spanned<u32>>| written.and_then(|count| usize::try_from(*count.get_ref()).ok());
    let max = number(process.quorum_max.as_ref());
    let min = number(process.quorum.as_ref()).unwrap_or(usize::from(max != Some(0)));
    let whole = words.len() > 1 || process.param_match.is_some() || process.full_command.is_some();
    let (name, command) = if whole {
        match Pattern::new(&pattern(words, process.param_match.as_ref().map(|kind| *kind.get_ref()))) {
            Ok(pattern) => (None, Some(pattern)),
            Err(error) => {
                let message = format!("this command cannot be looked for: {error}");
                report.refuse(&written.span(), message, "shorten it");
                return None;
            }
        }
    } else {
        (Some(name(written, report)), None)
    };
    let config = check::process::Config { name, pidfile: None, command, min, max };
    let spec = Spec { probe: Probe::Process(config), schedule: schedule(LOOK_INTERVAL, LOOK_INTERVAL) };
    if let Err(why) = spec.validate() {
        report.refuse(&process.name.span(), why, "mend quorum and quorum_max");
        return None;
    }
    Some(spec)
}

/// The name that a command without arguments goes by. keepalived compares all of it with what the kernel
/// calls the process, so it finds neither a path nor a long name.
fn name(written: &Spanned<Vec<String>>, report: &Report) -> String {
    let command = written.get_ref().first().map_or("", String::as_str);
    let name = command.rsplit('/').next().unwrap_or(command);
    if command != name || name.len() > COMM {
        let message = format!("keepalived never finds a process named {command}; Locum looks for {name}");
        let help = "write full_command and the command as it is run, for keepalived to find it too";
        report.warning(&written.span(), message, help);
    }
    name.to_owned()
}

/// What the whole command line must look like. Where nothing is said of arguments, any will do.
fn pattern(words: &[String], matching: Option<ParamMatch>) -> String {
    let end = match (matching, words) {
        (Some(ParamMatch::Exact), _) | (None, [_, _, ..]) => EXACT,
        (Some(ParamMatch::Initial), [_, _, ..]) => INITIAL,
        (Some(ParamMatch::Partial | ParamMatch::Initial) | None, _) => PARTIAL,
    };
    format!("^{}{end}", regex::escape(&words.join(" ")))
}

/// What a pattern that was made here looks for: the program, its parameters and how they are compared;
/// `None` of any other.
#[must_use]
pub fn looked_for(pattern: &Pattern) -> Option<(String, String, Option<ParamMatch>)> {
    let text = pattern.as_str().strip_prefix('^')?;
    // One that is meant as a sign of the command has a backslash before it.
    let bare = |text: &&str| text.bytes().rev().take_while(|sign| *sign == b'\\').count() % 2 == 0;
    let (text, matching) = if let Some(text) = text.strip_suffix(PARTIAL) {
        (text, ParamMatch::Partial)
    } else if let Some(text) = text.strip_suffix(EXACT).filter(bare) {
        (text, ParamMatch::Exact)
    } else {
        (text, ParamMatch::Initial)
    };
    let (mut line, mut escaped) = (String::new(), false);
    for sign in text.chars() {
        escaped = !escaped && sign == '\\';
        if !escaped {
            line.push(sign);
        }
    }
    (regex::escape(&line) == text).then(|| {
        let (program, parameters) = line.split_once(' ').unwrap_or((&line, ""));
        let any = parameters.is_empty() && matching == ParamMatch::Partial;
        (program.to_owned(), parameters.to_owned(), Some(matching).filter(|_| !any))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_out_of_the_pattern() {
        use ParamMatch::{Exact, Initial, Partial};
        for (words, matching) in [
            (&["nginx"][..], Some(Exact)),
            (&["/usr/bin/x"], None),
            (&["x", "-a", "b.c", "(d)", "$", "\\"], Some(Exact)),
            (&["x", "$"], Some(Initial)),
            (&["x", "( |$)"], Some(Partial)),
            (&["x", "a\\"], Some(Exact)),
            (&["x", "a\\$"], Some(Initial)),
        ] {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            let made = Pattern::new(&pattern(&words, matching)).unwrap();
            assert_eq!(looked_for(&made), Some((words[0].clone(), words[1..].join(" "), matching)), "{made}");
        }
        assert_eq!(looked_for(&Pattern::new("^java .*-jar").unwrap()), None);
        assert_eq!(looked_for(&Pattern::new("nginx").unwrap()), None);
    }

    #[test]
    fn the_last_word_may_be_longer_or_others_may_follow() {
        let fits = |matching, line: &[u8]| {
            let words = ["sleep".to_owned(), "77".to_owned()];
            Pattern::new(&pattern(&words, matching)).unwrap().matches(line)
        };
        let lines = [&b"sleep 77"[..], b"sleep 777", b"sleep 77 7", b"/bin/sleep 77", b"sleep 7"];
        let all = |matching| lines.map(|line| fits(matching, line));
        assert_eq!(all(None), [true, false, false, false, false]);
        assert_eq!(all(Some(ParamMatch::Exact)), [true, false, false, false, false]);
        assert_eq!(all(Some(ParamMatch::Partial)), [true, false, true, false, false]);
        assert_eq!(all(Some(ParamMatch::Initial)), [true, true, true, false, false]);
    }
}
