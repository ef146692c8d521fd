//! `locum ack`: an operator has seen to a router that failed too often.

use super::{Daemon, Failure, report, router};
use crate::agent::Request;
use crate::control::{LONGEST_WAIT, Question};
use clap::Args;

/// Let a router that failed too often take its addresses back
#[derive(Debug, Args)]
pub(super) struct Ack {
    /// Only this router; all of them otherwise
    router: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Ack {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let question = Question::Agent(Request::Ack { router: router(self.router) });
        report(self.daemon.ask(&question, LONGEST_WAIT)?)
    }
}
