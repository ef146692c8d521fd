//! keepalived's command line as getopt reads it, written so that clap reads it too: short options with
//! their value glued to them, long ones cut short, words that nobody asked for. What even getopt would
//! not take stays as it is, for clap to tell of.

use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What an option does with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    None,
    /// Glued to it, or none.
    Glued,
    /// Glued to it, or the next word.
    Next,
}

/// Whether the option of `arg` takes a value, and where it stands.
fn value(arg: &Arg) -> Value {
    if !arg.get_action().takes_values() {
        Value::None
    } else if arg.is_require_equals_set() {
        Value::Glued
    } else {
        Value::Next
    }
}

/// The words for clap, and those that are no options and belong to none.
pub(super) fn normal(options: &Command, words: &[OsString]) -> (Vec<OsString>, Vec<OsString>) {
    let (mut normal, mut stray) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            stray.extend(words.by_ref().cloned());
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            let end = long.iter().position(|sign| *sign == b'=').unwrap_or(long.len());
            let (name, behind) = (&long[..end], long.get(end + 1..));
            match (named(options, name), behind) {
                (Some(arg), Some(given)) => normal.push(with(arg, given)),
                (Some(arg), None) if value(arg) == Value::Next => normal.push(following(arg, words.next())),
                (Some(arg), None) => normal.push(bare(arg)),
                (None, _) => normal.push(word.clone()),
            }
        } else if bytes.len() > 1 && bytes.starts_with(b"-") {
            let mut rest = &bytes[1..];
            while let Some((sign, behind)) = rest.split_first() {
                let sign = char::from(*sign);
                rest = behind;
                let Some(arg) = options.get_arguments().find(|arg| arg.get_short() == Some(sign)) else {
                    normal.push(format!("-{sign}").into());
                    continue;
                };
                let kind = value(arg);
                if kind == Value::None || (kind == Value::Glued && rest.is_empty()) {
                    normal.push(bare(arg));
                } else if rest.is_empty() {
                    normal.push(following(arg, words.next()));
                } else {
                    // `-t=FILE` is nothing that getopt knows, and was taken here before.
                    let glued =
                        Some(rest).filter(|_| kind == Value::Glued).and_then(|rest| rest.strip_prefix(b"="));
                    normal.push(with(arg, glued.unwrap_or(rest)));
                    rest = &[];
                }
            }
        } else {
            stray.push(word.clone());
        }
    }
    (normal, stray)
}

/// The option of this name, or the only one that begins with it.
fn named<'a>(options: &'a Command, name: &[u8]) -> Option<&'a Arg> {
    let long = |arg: &&Arg| arg.get_long().map(str::as_bytes).unwrap_or_default().to_vec();
    let arguments = || options.get_arguments();
    arguments().find(|arg| long(arg) == name).or_else(|| {
        let mut found = arguments().filter(|arg| !name.is_empty() && long(arg).starts_with(name));
        found.next().filter(|_| found.next().is_none())
    })
}

fn bare(arg: &Arg) -> OsString {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}").into(),
        (None, short) => short.map(|sign| format!("-{sign}")).unwrap_or_default().into(),
    }
}

fn with(arg: &Arg, given: &[u8]) -> OsString {
    let mut word = bare(arg).into_vec();
    word.push(b'=');
    word.extend(given);
    OsString::from_vec(word)
}

fn following(arg: &Arg, next: Option<&OsString>) -> OsString {
    next.map_or_else(|| bare(arg), |next| with(arg, OsStr::as_bytes(next)))
}

#[cfg(test)]
mod tests {
    use super::super::Line;
    use super::*;
    use clap::CommandFactory;

    fn read(line: &str) -> (String, String) {
        let mut options = Line::command();
        options.build();
        let options = options.find_subcommand("keepalived").unwrap();
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (normal, stray) = normal(options, &words);
        let shown = |words: Vec<OsString>| words.join(" ".as_ref()).into_string().unwrap();
        (shown(normal), shown(stray))
    }

    #[track_caller]
    fn becomes(line: &str, wanted: &str) {
        assert_eq!(read(line), (wanted.to_owned(), String::new()), "{line}");
    }

    #[test]
    fn values_are_glued_or_follow() {
        becomes(
            "-nlf x -tLOG -t -Mcore",
            "--dont-fork --log-console --use-file=x --config-test=LOG --config-test --core-dump-pattern=core",
        );
        becomes("-fx -i=y --pid z", "--use-file=x --config-id==y --pid=z");
        becomes("-t=LOG -f -x", "--config-test=LOG --use-file=-x");
    }

    #[test]
    fn long_options_may_be_cut_short_while_one_begins_so() {
        becomes(
            "--use-fi=x --log-fac 3 --all-c --all --vrrp",
            "--use-file=x --log-facility=3 --all-config --all --vrrp",
        );
        becomes("--v --bogus -Z --no", "--v --bogus -Z --no");
    }

    #[test]
    fn words_that_belong_to_no_option_are_set_aside() {
        assert_eq!(read("a -n b -- -x"), ("--dont-fork".to_owned(), "a b -x".to_owned()));
    }
}
