//! What the world is told of a router: hooks, lines in a FIFO, mails, messages.
//!
//! Hooks are scripts run on transitions, in order per router, within a time limit. What a hook is
//! given, as keepalived gives it and more, is here; who runs next is in `queue`, the task that runs
//! them in `runner`. Which state a router is in is decided elsewhere.

pub mod fifo;
pub mod mail;
pub mod message;
pub mod messenger;
pub mod post;
mod queue;
mod runner;
pub mod smtp;
pub mod template;
mod waiting;

pub use crate::process::{Ended, Inherit, User};
pub use runner::Runner;

use crate::agent::incident::Kind;
use crate::agent::{Incident, Rival, Standing, Subject, Transition};
use crate::process::Command;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The scripts of one router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// On becoming Master.
    pub master: Option<Script>,
    /// On becoming Backup.
    pub backup: Option<Script>,
    /// On a fault.
    pub fault: Option<Script>,
    /// When the router stops.
    pub stop: Option<Script>,
    /// The general one: on every transition, after the specific one, with four more arguments:
    /// `INSTANCE`, the router's name, the state and the priority.
    pub any: Option<Script>,
    /// When a Master hears an advert that loses against its own. Never for a group.
    pub rx_lower: Option<Script>,
    /// When there is another holder, and it is news. Never for a group.
    pub dual_master: Option<Script>,
}

/// One script and how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The script as an absolute path, then its arguments.
    pub command: Vec<String>,
    /// Who runs it.
    pub user: User,
    /// What of the daemon's environment it has.
    pub inherit: Inherit,
    /// How long it may take.
    pub timeout: Duration,
}

/// A hook that was run, or could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whose hook.
    pub subject: Subject,
    /// The path of the script.
    pub script: String,
    /// The state it was told of.
    pub state: Standing,
    /// How it ended.
    pub result: Ended,
    /// How long it took.
    pub took: Duration,
    /// How many transitions with hooks were dropped before it, because a newer one had come.
    pub skipped: u32,
    /// The last lines it wrote, at most 4 KiB; empty where it succeeded.
    pub output: String,
}

impl fmt::Display for Report {
    /// One line for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { subject, script, state, result, took, skipped, output } = self;
        write!(f, "{subject}: hook {script} for {state}: {result}")?;
        if !matches!(result, Ended::NotStarted(_)) {
            write!(f, " after {:.1} s", took.as_secs_f64())?;
        }
        if *skipped > 0 {
            write!(f, "; {skipped} older not told, a newer state had come")?;
        }
        output.lines().next_back().map_or(Ok(()), |line| write!(f, "; last said: {}", one_line(line)))
    }
}

/// What is to be run for `transition`: the specific script, then the general one.
fn commands(transition: &Transition, hooks: &Hooks) -> Vec<Command> {
    let specific = match transition.to {
        Standing::Master => &hooks.master,
        Standing::Backup => &hooks.backup,
        Standing::Fault => &hooks.fault,
        Standing::Stop => &hooks.stop,
    };
    let told = Told {
        subject: &transition.subject,
        from: transition.from,
        to: transition.to,
        reason: transition.why.to_string(),
        priority: transition.priority,
        addresses: &transition.addresses,
        peer: transition.peer,
        term: transition.term,
    };
    let general = hooks.any.as_ref().map(|script| {
        let mut command = command(script, &told);
        command.argv.extend([
            transition.subject.kind().to_owned(),
            transition.subject.name().to_owned(),
            transition.to.to_string(),
            transition.priority.to_string(),
        ]);
        command
    });
    specific.iter().map(|script| command(script, &told)).chain(general).collect()
}

/// What is to be run for `incident`.
fn incident_command(incident: &Incident, hooks: &Hooks) -> Option<Command> {
    let (script, rival) = match incident.kind {
        Kind::HeardLower { source, priority } => (&hooks.rx_lower, Rival::Master { source, priority }),
        Kind::DualMaster { rival, .. } => (&hooks.dual_master, rival),
        Kind::PriorityChanged { .. } => return None,
    };
    let (peer, mac) = match rival {
        Rival::Master { source, .. } => (Some(source), None),
        Rival::Holder { mac, .. } => (None, Some(mac)),
    };
    let told = Told {
        subject: &Subject::Router(incident.router.clone()),
        from: incident.standing,
        to: incident.standing,
        reason: rival.to_string(),
        priority: incident.priority,
        addresses: &incident.addresses,
        peer,
        term: None,
    };
    let mut command = command(script.as_ref()?, &told);
    if let Kind::DualMaster { .. } = incident.kind {
        let mac = mac.map(|mac| mac.to_string()).unwrap_or_default();
        let more = [("LOCUM_EVENT", "dual_master_seen".to_owned()), ("LOCUM_PEER_MAC", mac)];
        command.environment.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    Some(command)
}

/// What a script finds in its environment.
struct Told<'a> {
    subject: &'a Subject,
    from: Standing,
    to: Standing,
    reason: String,
    priority: u8,
    addresses: &'a [IpAddr],
    peer: Option<IpAddr>,
    term: Option<u64>,
}

fn command(script: &Script, told: &Told<'_>) -> Command {
    let addresses: Vec<_> = told.addresses.iter().map(IpAddr::to_string).collect();
    let environment = [
        ("LOCUM_KIND", told.subject.kind().to_owned()),
        ("LOCUM_ROUTER", told.subject.name().to_owned()),
        ("LOCUM_OLD_STATE", told.from.to_string()),
        ("LOCUM_STATE", told.to.to_string()),
        ("LOCUM_REASON", one_line(&told.reason)),
        ("LOCUM_PRIORITY", told.priority.to_string()),
        ("LOCUM_ADDRESSES", addresses.join(" ")),
        ("LOCUM_PEER", told.peer.map(|peer| peer.to_string()).unwrap_or_default()),
        ("LOCUM_TERM", told.term.map(|term| term.to_string()).unwrap_or_default()),
    ];
    Command {
        argv: script.command.clone(),
        inherit: script.inherit,
        environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        user: script.user.clone(),
        timeout: script.timeout,
    }
}

/// A reason can quote what a check's script said: no line breaks, no terminal codes, no NUL.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
