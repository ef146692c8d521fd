//! `locum run`: becomes the daemon.

use super::{DEFAULT_CONFIG, NOT_DONE, complain};
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
}

impl Run {
    /// Until there is a daemon: says so.
    pub(super) fn run(self) -> u8 {
        let Run { config, socket } = self;
        complain(&format!("this build has no daemon to run {} on {socket:?}", config.display()));
        NOT_DONE
    }
}
