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
    #[command(flatten)]
    reading: Reading,
}

impl Run {
    /// Returns when the daemon has ended, with its exit code.
    pub(super) fn run(self) -> u8 {
        daemon::run(
            &self.config,
            &Overrides { control: self.socket, reading: self.reading.options(), ..Overrides::default() },
        )
    }
}
