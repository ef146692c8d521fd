//! What a drill sees of a daemon: its status, asked for again and again, and when things in it happened.

use crate::agent::status::{RouterStatus, Status};
use crate::agent::{Request, Standing};
use crate::control::{self, Answer, Question};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// A daemon that is well answers in milliseconds.
const WITHIN: Duration = Duration::from_secs(5);
/// The pause between two questions.
const AGAIN: Duration = Duration::from_millis(2);
/// How long hooks and messages may take before they count as not done.
const TOLD: Duration = Duration::from_secs(10);

/// A daemon.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) socket: PathBuf,
}

/// Its status at one moment.
#[derive(Debug)]
pub(super) struct Seen {
    at: Instant,
    pub(super) status: Status,
}

impl Seen {
    pub(super) fn router(&self, name: &str) -> Option<&RouterStatus> {
        self.status.routers.iter().find(|router| &*router.name.0 == name)
    }

    pub(super) fn is(&self, name: &str, state: Standing) -> bool {
        self.router(name).is_some_and(|router| router.state == state)
    }

    /// When this age began.
    pub(super) fn before(&self, age_ms: u64) -> Instant {
        self.at.checked_sub(Duration::from_millis(age_ms)).unwrap_or(self.at)
    }

    /// Since when the router is what it is.
    pub(super) fn since(&self, name: &str) -> Instant {
        self.before(self.router(name).map_or(0, |router| router.since_ms))
    }

    /// How much of what is told others of a router has been done.
    fn told(&self, name: &str) -> u64 {
        let messages = self.status.messages.iter().map(|told| told.sent + told.dropped + told.repeated);
        messages.sum::<u64>() + self.router(name).map_or(0, |router| router.hooks.ran)
    }

    fn is_telling(&self) -> bool {
        self.status.messages.iter().any(|message| message.waiting > 0)
    }
}

impl Watch {
    pub(super) fn ask(&self, question: &Question, within: Duration) -> Result<Answer, String> {
        control::ask(&self.socket, question, within).map_err(|error| error.to_string())
    }

    pub(super) fn look(&self) -> Result<Seen, String> {
        let asked = Instant::now();
        match self.ask(&Question::Agent(Request::Status), WITHIN)? {
            // Between question and answer.
            Answer::Status(status) => Ok(Seen { at: asked + asked.elapsed() / 2, status: *status }),
            _ => Err("the daemon answered something else than was asked".to_owned()),
        }
    }

    /// Waits until it is `ready`. A daemon that does not answer is not.
    ///
    /// # Errors
    /// One line: it is not for so long.
    pub(super) fn wait(
        &self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&Seen) -> bool,
    ) -> Result<Seen, String> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(seen) = self.look().ok().filter(&mut ready) {
                return Ok(seen);
            }
            thread::sleep(AGAIN);
        }
        Err(format!("{what}: not within {:.1} s", limit.as_secs_f64()))
    }

    /// How long after `since` hooks and messages about a router were done, in milliseconds, of a daemon that had looked
    /// so `before`. `None` where they are not.
    pub(super) fn notified(&self, name: &str, before: &Seen, since: Instant) -> Option<f64> {
        let done = |seen: &Seen| seen.told(name) > before.told(name) && !seen.is_telling();
        self.wait("hooks and messages", TOLD, done).ok().map(|seen| ms(since, seen.at))
    }
}

/// From the one moment to the other, in milliseconds; none where that was before.
pub(super) fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}
