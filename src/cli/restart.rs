//! `locum restart`: lets the program as it is installed now take the place of the daemon's.

use super::{Daemon, Failure, report, say};
use crate::agent::Request;
use crate::control::{Answer, ClientError, LONGEST_WAIT, Question};
use clap::Args;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the new program may take to answer.
const WITHIN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(10);

/// Start the daemon's program anew in its place, after an upgrade: the addresses stay where they are
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 the new program answers; 1 refused, the old one goes on: it says why; \
                        3 no answer."
)]
pub(super) struct Restart {
    #[command(flatten)]
    daemon: Daemon,
}

impl Restart {
    pub(super) fn run(self) -> Result<u8, Failure> {
        match self.daemon.ask(&Question::Restart, LONGEST_WAIT) {
            // It hung up: the next one has its place.
            Err(ClientError::Garbled(..)) => {}
            answer => return report(answer?),
        }
        let until = Instant::now() + WITHIN;
        loop {
            match self.daemon.ask(&Question::Agent(Request::Status), WITHIN) {
                Ok(Answer::Status(status)) => {
                    let version = status.daemon.get("version").map_or("", String::as_str);
                    say(&format!("locum {version} runs\n"))?;
                    return Ok(super::WELL);
                }
                Ok(other) => return report(other),
                Err(error) if Instant::now() >= until => return Err(error.into()),
                Err(_) => sleep(AGAIN),
            }
        }
    }
}
