//! `locum handover`: moves addresses to another host, and measures how long nobody answered for them.

use super::{Daemon, Failure, NOT_DONE, WELL, report, router, say};
use crate::agent::Request;
use crate::agent::request::Moved;
use crate::control::{Answer, LONGEST_WAIT, Question};
use crate::survey;
use clap::Args;
use std::time::Duration;

/// How long the successor may take to answer for an address before that is called wrong.
const PATIENCE: Duration = Duration::from_secs(1);

/// Move the addresses to another host, and stay out until `locum resume`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 moved, 1 nobody took them, or whoever says so does not answer for them, \
                  3 no answer."
)]
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
        // The addresses have just gone from here: whatever is waited for now is a gap.
        let told: Vec<_> = routers.iter().map(|moved| told(moved, &gap(moved))).collect();
        say(&told.iter().map(|(line, _)| line.as_str()).collect::<String>())?;
        Ok(if told.iter().all(|(_, good)| *good) { WELL } else { NOT_DONE })
    }
}

/// How long after they had gone from here somebody answered for the addresses; `None`: nobody did.
fn gap(moved: &Moved) -> Result<Option<Duration>, String> {
    let wanted = moved.successor.and(moved.addresses.first());
    let address = *wanted.ok_or_else(|| "there is no address to ask for".to_owned())?;
    let interface = moved.interface.as_deref().ok_or_else(|| "its interface is gone".to_owned())?;
    survey::first_answer(interface, address, PATIENCE)
}

/// The line for people, and whether all is well.
fn told(moved: &Moved, gap: &Result<Option<Duration>, String>) -> (String, bool) {
    let (router, took) = (&moved.router, moved.took_ms);
    let Some(host) = moved.successor else {
        let rest =
            if moved.back { "they are back here" } else { "this host lost them: locum status tells why" };
        return (format!("{router}: nobody took the addresses; {rest}\n"), false);
    };
    let (rest, good) = match gap {
        Ok(Some(gap)) => (format!(", gap {:.1} ms", gap.as_secs_f64() * 1000.0), true),
        Ok(None) => {
            (format!(", but nobody answers for them {} s later: look there", PATIENCE.as_secs()), false)
        }
        Err(why) => (format!("; gap not measured: {why}"), true),
    };
    (format!("{router}: moved to {host} after {took:.0} ms{rest}\n"), good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::RouterName;
    use std::net::IpAddr;

    #[test]
    fn a_handover_is_told_in_one_line_and_is_good_only_where_somebody_answers() {
        let moved = |successor: Option<IpAddr>, back| Moved {
            router: RouterName("web".into()),
            successor,
            back,
            took_ms: 611.8,
            interface: None,
            addresses: Vec::new(),
        };
        let to_b = moved(Some([10, 0, 0, 2].into()), false);
        let line = |rest: &str| format!("web: moved to 10.0.0.2 after 612 ms{rest}\n");
        assert_eq!(told(&to_b, &Ok(Some(Duration::from_micros(340)))), (line(", gap 0.3 ms"), true));
        let silent = told(&to_b, &Ok(None));
        assert_eq!(silent, (line(", but nobody answers for them 1 s later: look there"), false));
        let unknown = told(&to_b, &Err("ARP is odd".to_owned()));
        assert_eq!(unknown, (line("; gap not measured: ARP is odd"), true));
        let nobody = "web: nobody took the addresses; ";
        let (line, good) = told(&moved(None, true), &Ok(None));
        assert_eq!((line, good), (format!("{nobody}they are back here\n"), false));
        let (line, good) = told(&moved(None, false), &Ok(None));
        assert_eq!((line, good), (format!("{nobody}this host lost them: locum status tells why\n"), false));
    }
}
