//! `locum run`: becomes the daemon.

use super::{DEFAULT_CONFIG, Reading};
use crate::daemon::{self, Overrides};
use clap::Args;
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

impl Run {
    /// Returns when the daemon has ended, with its exit code.
    pub(super) fn run(self) -> u8 {
        if self.guardian && self.guarded.is_none() {
            return daemon::guard();
        }
        let overrides = Overrides {
            control: self.socket,
            reading: self.reading.options(),
            guardian: self.guarded,
            ..Overrides::default()
        };
        daemon::run(&self.config, &overrides)
    }
}
