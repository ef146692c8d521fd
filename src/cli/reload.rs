//! `locum reload`: has the daemon read its configuration file again.

use super::{Daemon, Failure, report};
use crate::control::{LONGEST_WAIT, Question};
use clap::Args;

/// Have the daemon read its configuration again; says what changed. A wrong file changes nothing
#[derive(Debug, Args)]
pub(super) struct Reload {
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    daemon: Daemon,
}

impl Reload {
    pub(super) fn run(self) -> Result<u8, Failure> {
        report(self.daemon.ask(&Question::Reload { dry_run: self.dry_run }, LONGEST_WAIT)?)
    }
}
