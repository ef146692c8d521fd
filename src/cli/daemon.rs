//! `locum run`: becomes the daemon.

use super::{DEFAULT_CONFIG, Reading};
use crate::daemon::levels::Levels;
use crate::daemon::{self, Form, Guarding, Overrides};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Run the daemon in the foreground
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Listen for orders on this socket, whatever the configuration says
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Which lines to log: a level for all, and for modules, as info,vrrp=debug [default: `LOCUM_LOG`, else info]
    #[arg(long, value_name = "LEVELS")]
    log: Option<Levels>,
    /// In which form: human, json or journal [default: journal where systemd keeps it, else human]
    #[arg(long, value_name = "FORM", value_parser = form)]
    log_form: Option<Form>,
    /// Without the small parent process that says the farewell of a daemon that is killed and starts it again
    #[arg(long)]
    no_guardian: bool,
    /// This is the daemon of a guardian that has this real-time priority
    #[arg(long, value_name = "PRIORITY", hide = true, conflicts_with = "no_guardian")]
    guarded: Option<u8>,
    #[command(flatten)]
    reading: Reading,
}

/// Whether these arguments make this process a guardian: of the daemon it starts, or of one that is there. Looked
/// at before anything is parsed, which would touch more memory than the guardian needs: what is wrong with them,
/// the daemon says. `managed`: a service manager has started it, who wants the daemon itself.
pub(super) fn is_guardian(arguments: &[OsString], managed: bool) -> bool {
    let Some((command, rest)) = arguments.get(1..).and_then(<[_]>::split_first) else { return false };
    let has = |word: &str| rest.iter().any(|argument| argument == word);
    let starts = command == "run"
        && !managed
        && !["--no-guardian", daemon::GUARDED, "--help", "-h"].into_iter().any(has);
    let daemon = command == "run" || command == "keepalived";
    daemon && has(daemon::GUARDS) || starts
}

impl Run {
    /// Returns when the daemon has ended, with its exit code.
    pub(super) fn run(self) -> u8 {
        let overrides = Overrides {
            control: self.socket,
            levels: self.log,
            form: self.log_form,
            reading: self.reading.options(),
            guardian: match self.no_guardian {
                true => Guarding::No,
                false if daemon::managed() => Guarding::CleansUp,
                false => Guarding::Restarts,
            },
            usual_priority: self.guarded.unwrap_or(0),
            ..Overrides::default()
        };
        daemon::run(&self.config, &overrides)
    }
}

fn form(text: &str) -> Result<Form, String> {
    match text {
        "human" => Ok(Form::Human),
        "json" => Ok(Form::Json),
        "journal" => Ok(Form::Journal),
        _ => Err("write human, json or journal".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guardian_is_known_by_its_arguments_and_its_daemon_is_none() {
        let under = |managed, line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            is_guardian(&arguments, managed)
        };
        let is = |line| under(false, line);
        assert!(is("locum run") && is("locum run -c x.toml --lenient") && is("locum run --guards 7"));
        assert!(!under(true, "locum run -c x.toml") && under(true, "locum run -c x.toml --guards 7"));
        assert!(!is("keepalived keepalived -n") && is("keepalived keepalived -n --guards 7"));
        for line in ["locum", "locum status", "locum run --no-guardian", "locum run -c x --guarded 0"] {
            assert!(!is(line), "{line}");
        }
        assert!(!is("locum run --help") && !is("locum --lenient run"));
    }
}
