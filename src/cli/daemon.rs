//! `locum run`: becomes the daemon.

use super::{DEFAULT_CONFIG, Reading};
use crate::daemon::{self, Overrides};
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
    /// Under a small parent process, which says the farewell of a daemon that is killed and starts it again
    #[arg(long)]
    guardian: bool,
    /// This is the daemon of the guardian with this process id
    #[arg(long, value_name = "PID", hide = true, requires = "guardian")]
    guarded: Option<i32>,
    #[command(flatten)]
    reading: Reading,
}

/// Whether these arguments make this process a guardian. Looked at before anything is parsed, which would
/// touch more memory than the guardian needs: what is wrong with them, the daemon says.
pub(super) fn is_guardian(arguments: &[OsString]) -> bool {
    let Some((command, rest)) = arguments.get(1..).and_then(<[_]>::split_first) else { return false };
    let has = |word: &str| rest.iter().any(|argument| argument == word);
    command == "run" && has("--guardian") && !["--guarded", "--help", "-h"].into_iter().any(has)
}

impl Run {
    /// Returns when the daemon has ended, with its exit code.
    pub(super) fn run(self) -> u8 {
        let overrides = Overrides {
            control: self.socket,
            reading: self.reading.options(),
            guardian: self.guarded.filter(|_| self.guardian),
            ..Overrides::default()
        };
        daemon::run(&self.config, &overrides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guardian_is_known_by_its_arguments_and_its_daemon_is_none() {
        let is = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            is_guardian(&arguments)
        };
        assert!(is("locum run --guardian") && is("locum run -c x.toml --guardian --lenient"));
        for line in ["locum", "locum run", "locum status --guardian", "locum run --guardian --guarded 7"] {
            assert!(!is(line), "{line}");
        }
        assert!(!is("locum run --guardian --help") && !is("locum --guardian run"));
    }
}
