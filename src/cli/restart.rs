//! `locum restart`: lets the program as it is installed now take the place of the daemon's.

use super::{Daemon, Failure, report, say};
use crate::agent::Request;
use crate::control::{Answer, ClientError, LONGEST_WAIT, Question};
use clap::Args;
use std::process::Command;
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
    /// For a unit's ExecStop=: only where systemd is to start UNIT again, and then the daemon ends, and leaves what it
    /// holds as it is to the one that comes next
    #[arg(long, value_name = "UNIT")]
    service: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Restart {
    pub(super) fn run(self) -> Result<u8, Failure> {
        if let Some(unit) = &self.service
            && !is_restarted(unit)
        {
            // It is stopped, in the way that it is told next.
            return Ok(super::WELL);
        }
        let started_by_service = self.service.is_some();
        match self.daemon.ask(&Question::Restart { started_by_service }, LONGEST_WAIT) {
            Err(ClientError::Garbled(..)) if started_by_service => return Ok(super::WELL),
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

/// Whether systemd stops a unit to start it again. Who cannot be asked says no.
fn is_restarted(unit: &str) -> bool {
    let asked = Command::new("systemctl").args(["list-jobs", "--no-legend", "--plain", unit]).output();
    let jobs = asked.map(|told| String::from_utf8_lossy(&told.stdout).into_owned()).unwrap_or_default();
    // Number, unit, what is done, whether it has begun.
    jobs.lines().any(|line| line.split_whitespace().nth(2) == Some("restart"))
}
