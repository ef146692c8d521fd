//! `locum handover`: moves addresses to another host, and says how long nobody held them.

use super::{Daemon, Failure, NOT_DONE, WELL, report, router, say};
use crate::agent::Request;
use crate::agent::request::Moved;
use crate::control::{Answer, LONGEST_WAIT, Question};
use clap::Args;

/// Move the addresses to another host, and stay out until `locum resume`
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 moved, 1 nobody took them and they are back here, 3 no answer.")]
pub(super) struct Handover {
    /// Only this router; all of them otherwise
    router: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

impl Handover {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let question = Question::Agent(Request::Handover { router: router(self.router) });
        let routers = match self.daemon.ask(&question, LONGEST_WAIT)? {
            Answer::Moved { routers } => routers,
            other => return report(other),
        };
        say(&routers.iter().map(told).collect::<String>())?;
        Ok(if routers.iter().all(|moved| moved.successor.is_some()) { WELL } else { NOT_DONE })
    }
}

fn told(moved: &Moved) -> String {
    let router = &moved.router;
    let (took, gap) = (moved.took_ms, moved.gap_ms);
    moved.successor.map_or_else(
        || format!("{router}: nobody took the addresses; they are back here, gap {gap:.0} ms\n"),
        |host| format!("{router}: moved to {host} after {took:.0} ms, gap {gap:.0} ms\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::RouterName;

    #[test]
    fn a_handover_is_told_in_one_line() {
        let successor = Some([10, 0, 0, 2].into());
        let mut moved = Moved { router: RouterName("web".into()), successor, took_ms: 611.8, gap_ms: 0.0 };
        assert_eq!(told(&moved), "web: moved to 10.0.0.2 after 612 ms, gap 0 ms\n");
        moved.successor = None;
        assert!(told(&moved).starts_with("web: nobody took the addresses"));
    }
}
