//! `vrrp_track_process`: which processes are looked for, by their name or by how they are run.

use super::checks::{LOOK_INTERVAL, schedule};
use super::document::{ParamMatch, Process};
use super::report::Report;
use crate::check::command_line::{self, Arguments};
use crate::check::{self, Probe, Spec};
use serde_spanned::Spanned;

/// The kernel cuts names of processes here, in bytes; keepalived looks for no longer ones.
const COMM: usize = 15;

/// What is looked for; `None` where that cannot be, with the reason in the report.
pub(super) fn spec(process: &Process, report: &Report) -> Option<Spec> {
    let written = process.process.as_ref()?;
    let words = written.get_ref();
    let number =
        |written: Option<&Spanned<u32>>| written.and_then(|count| usize::try_from(*count.get_ref()).ok());
    let max = number(process.quorum_max.as_ref());
    let min = number(process.quorum.as_ref()).unwrap_or(usize::from(max != Some(0)));
    let matching = process.param_match.as_ref().map(|kind| *kind.get_ref());
    let whole = words.len() > 1 || matching.is_some() || process.full_command.is_some();
    let (name, command) = if whole {
        let arguments = match matching {
            Some(ParamMatch::Exact) => Arguments::Exact,
            None if words.len() > 1 => Arguments::Exact,
            Some(ParamMatch::Initial) => Arguments::Longer,
            Some(ParamMatch::Partial) | None => Arguments::More,
        };
        match command_line::pattern(words, arguments) {
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
