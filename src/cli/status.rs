//! `locum status`: how everything stands, for people and for machines.

use super::{Daemon, Failure, NO_ANSWER, NOT_DONE, WELL, complain, report, say, show};
use crate::agent::Request;
use crate::agent::status::{Overall, Status as Snapshot};
use crate::control::{Answer, Question};
use clap::Args;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

/// A daemon that is well answers in milliseconds.
const WITHIN: Duration = Duration::from_secs(5);
/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);
/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show how everything stands, why, and what comes next
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 healthy, 1 degraded, 2 a router is in fault, 3 no answer from the \
                        daemon; with --watch that of the last look.")]
pub(super) struct Status {
    /// Print JSON; with --watch one line each time
    #[arg(long)]
    json: bool,
    /// Look again each second
    #[arg(short, long)]
    watch: bool,
    /// With --watch: end after so many looks
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Status {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let mut looked = 0;
        loop {
            let code = match self.look() {
                Err(Failure::Daemon(error)) if self.watch => {
                    // It may be restarting: say so, and look again.
                    say(self.clear())?;
                    complain(&error.to_string());
                    NO_ANSWER
                }
                other => other?,
            };
            looked += 1;
            if !self.watch || self.count.is_some_and(|count| looked >= count) {
                return Ok(code);
            }
            std::thread::sleep(EVERY);
        }
    }

    fn look(&self) -> Result<u8, Failure> {
        let status = match self.daemon.ask(&Question::Agent(Request::Status), WITHIN)? {
            Answer::Status(status) => status,
            other => return report(other),
        };
        let text =
            if self.json { self.json(&status)? } else { show::show(&status, show::on_terminal(&stdout())) };
        match say(&format!("{}{text}", self.clear())) {
            // `locum status | head -1` has its exit code all the same.
            Ok(()) => Ok(code(status.health)),
            Err(Failure::Unread) if !self.watch => Ok(code(status.health)),
            Err(failure) => Err(failure),
        }
    }

    fn json(&self, status: &Snapshot) -> Result<String, Failure> {
        let write = if self.watch { serde_json::to_string } else { serde_json::to_string_pretty };
        write(status).map(|text| text + "\n").map_err(|error| Failure::Other(error.to_string()))
    }

    fn clear(&self) -> &'static str {
        if self.watch && !self.json && stdout().is_terminal() { CLEAR } else { "" }
    }
}

const fn code(health: Overall) -> u8 {
    match health {
        Overall::Healthy => WELL,
        Overall::Degraded => NOT_DONE,
        Overall::Fault => 2,
    }
}
