//! `locum resume`: ends what `locum handover` began.

use super::{Daemon, Failure, report, router};
use crate::agent::Request;
use crate::control::{LONGEST_WAIT, Question};
use clap::Args;

/// Take part in the election again after a handover
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// Only this router; all of them otherwise
    router: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Resume {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let question = Question::Agent(Request::Resume { router: router(self.router) });
        report(self.daemon.ask(&question, LONGEST_WAIT)?)
    }
}
