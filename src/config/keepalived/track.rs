//! `track_script` and its kin, `vrrp_track_process` and `track_file`.

use super::document::{File, ParamMatch, Process, Track, Tracking, Weight};
use super::keywords::Block;
use super::statement::{Statement, statements};
use super::tree::{Node, Word};
use super::value;
use crate::config::problem::Finding;
use crate::config::section::Wrong;
use crate::config::suggest::nearest;
use serde_spanned::Spanned;
use std::time::Duration;

/// The largest weight of scripts and interfaces.
pub(super) const MOST: i64 = 253;
/// And that of files and processes.
const MOST_OF_FILES: i64 = 254;

/// Reads a `track_…` block; `false` where the statement is none.
pub(super) fn tracking(statement: &Statement<'_>, tracking: &mut Tracking) -> bool {
    let (list, most) = match statement.name {
        "track_script" => (&mut tracking.scripts, MOST),
        "track_interface" => (&mut tracking.interfaces, MOST),
        "track_file" => (&mut tracking.files, MOST_OF_FILES),
        "track_process" => (&mut tracking.processes, MOST_OF_FILES),
        "track_bfd" => (&mut tracking.sessions, MOST),
        _ => return false,
    };
    for node in statement.members() {
        let Some(track) = track(node, statement, most) else { continue };
        if let Some(first) = list.iter().find(|other| other.name.get_ref() == track.name.get_ref()) {
            let message = format!("{} stands here twice", track.name.get_ref());
            let finding = Finding::error(&track.name.span(), message).also(&first.name.span(), "first here");
            statement.report().refuse_finding(finding.help("remove one"), &track.name.span());
        } else {
            list.push(track);
        }
    }
    true
}

/// `NAME [weight N [reverse|noreverse]]`
fn track(node: &Node, statement: &Statement<'_>, most: i64) -> Option<Track> {
    let name = node.words.first()?;
    let mut track = Track { name: Spanned::new(name.span.clone(), name.text.clone()), weight: None };
    let report = statement.report();
    let mut rest = node.arguments().iter();
    while let Some(word) = rest.next() {
        match (word.text.as_str(), &mut track.weight) {
            ("weight", None) => {
                let Some(number) = rest.next() else {
                    report.refuse(&word.span, "weight has no value", "write a number from -253 to 253");
                    break;
                };
                match value::weight(most)(number) {
                    Ok(weight) => track.weight = Some(Spanned::new(number.span.clone(), weight)),
                    Err(wrong) => statement.wrong(
                        number,
                        Wrong { message: wrong.message.replacen("this", "the weight", 1), ..wrong },
                    ),
                }
            }
            ("reverse", Some(weight)) => weight.get_mut().reverse = true,
            ("noreverse", Some(_)) => {}
            (text, _) => {
                let near = nearest(text, ["weight", "reverse", "noreverse"]);
                let help = match (text.strip_prefix("weight="), near) {
                    (Some(number), _) => format!("write weight {number}"),
                    (None, Some(near)) if near != text => format!("did you mean {near}?"),
                    (None, _) => "write one name a line: NAME weight N reverse".to_owned(),
                };
                report.refuse(&word.span, format!("unknown word {text} after {}", name.text), help);
            }
        }
    }
    Some(track)
}

const MATCHES: &[(&str, ParamMatch)] = &[("initial", ParamMatch::Initial), ("partial", ParamMatch::Partial)];

/// Reads a `vrrp_track_process`.
pub(super) fn process(statement: &Statement<'_>) -> Option<Process> {
    let mut process = Process {
        name: statement.title()?,
        process: None,
        param_match: None,
        weight: None,
        quorum: None,
        quorum_max: None,
        fork_delay: None,
        terminate_delay: None,
        full_command: None,
    };
    let delay = |word: &Word| value::seconds(0.000_001, 3600.0)(word);
    for inner in statements(statement.members(), Block::Process, statement.context) {
        match inner.name {
            "process" => {
                let program = inner.required(0, value::text);
                let words = inner.node.arguments().iter().map(|word| word.text.clone()).collect();
                inner.put(&mut process.process, program.map(|program| Spanned::new(program.span(), words)));
            }
            "param_match" => {
                let exact = Spanned::new(inner.span(), ParamMatch::Exact);
                let found = inner.argument(0, value::choice(MATCHES));
                inner.put(&mut process.param_match, found.or(Some(exact)));
            }
            "weight" => inner.weight(&mut process.weight, MOST_OF_FILES),
            "quorum" => inner.one(&mut process.quorum, value::number(1, 65_535)),
            "quorum_max" => inner.one(&mut process.quorum_max, value::number(0, 65_535)),
            "fork_delay" => inner.one(&mut process.fork_delay, delay),
            "terminate_delay" => inner.one(&mut process.terminate_delay, delay),
            "delay" => {
                let found: Option<Spanned<Duration>> = inner.required(0, delay);
                process.fork_delay.clone_from(&found);
                process.terminate_delay = found;
                inner.no_more_than(1);
            }
            "full_command" => inner.bare(&mut process.full_command),
            _ => inner.not_read(),
        }
    }
    if process.process.is_none() {
        let message = format!("track process {} names no process", process.name.get_ref());
        statement.report().refuse(&process.name.span(), message, "add: process NAME");
        return None;
    }
    Some(process)
}

/// Reads a `track_file`.
pub(super) fn file(statement: &Statement<'_>) -> Option<File> {
    let mut file = File { name: statement.title()?, file: None, weight: None, init_file: None };
    for inner in statements(statement.members(), Block::File, statement.context) {
        match inner.name {
            "file" => inner.one(&mut file.file, value::text),
            "weight" => inner.weight(&mut file.weight, MOST_OF_FILES),
            "init_file" => init_file(&inner, &mut file.init_file),
            _ => inner.not_read(),
        }
    }
    if file.file.is_none() {
        let message = format!("track file {} names no file", file.name.get_ref());
        statement.report().refuse(&file.name.span(), message, "add: file /PATH");
        return None;
    }
    Some(file)
}

/// `init_file [VALUE] [overwrite]`
fn init_file(inner: &Statement<'_>, slot: &mut Option<Spanned<(i32, bool)>>) {
    let (overwrite, numbers): (Vec<_>, Vec<_>) =
        inner.node.arguments().iter().partition(|word| word.text == "overwrite");
    let number =
        match numbers.first().map(|word| value::number(i64::from(i32::MIN), i64::from(i32::MAX))(word)) {
            None => Some(0),
            Some(Ok(number)) => Some(number),
            Some(Err(wrong)) => {
                inner.wrong(numbers[0], wrong);
                None
            }
        };
    inner.put(slot, number.map(|number| Spanned::new(inner.span(), (number, !overwrite.is_empty()))));
    inner.no_more_than(2);
}

impl Weight {
    /// Whether it is a plain fault when down.
    #[must_use]
    pub fn is_fault(self) -> bool {
        self.value == 0
    }
}
