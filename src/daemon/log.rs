//! Where log lines go, and in which form; and the lines themselves for what the agent notes and for each change of
//! state.

use super::Overrides;
use super::levels::Levels;
use super::logger::{self, Journal, Out};
use crate::agent::effect::CheckChange;
use crate::agent::incident::Kind;
use crate::agent::{Incident, Input, Note, Subject, Transition};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::OnceLock;
use tracing::{debug, info, warn};

/// The environment variable that names the levels, where no argument does: info, or info,vrrp=debug.
const LEVELS: &str = "LOCUM_LOG";
/// Where systemd says whether it is the journal that standard error goes to.
const STREAM: &str = "JOURNAL_STREAM";
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";

/// Where log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// To standard error, or the journal behind it.
    #[default]
    Stderr,
    /// To syslog, under this facility: 3 daemon, 1 user, 16 to 23 local0 to local7 (RFC 3164).
    Syslog(u8),
    /// Behind the end of this file.
    File(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// The form of lines that go to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
    /// The journal's own, to the journal itself.
    Journal,
}

/// Starts logging. A second start changes nothing.
///
/// # Errors
/// The log cannot be opened.
pub(super) fn start(overrides: &Overrides) -> io::Result<()> {
    let out = match &overrides.log {
        Log::Stderr => stderr(overrides.form)?,
        Log::Syslog(facility) => Out::Syslog(Syslog::new(*facility)?),
        Log::File(path) => Out::File(OpenOptions::new().append(true).create(true).open(path)?),
        Log::Nowhere => return Ok(()),
    };
    let named = std::env::var(LEVELS).ok().filter(|text| !text.is_empty());
    let (usual, wrong) = match named.as_deref().map(str::parse::<Levels>) {
        Some(Err(line)) => (Levels::default(), Some(line)),
        Some(Ok(levels)) => (levels, None),
        None => (Levels::default(), None),
    };
    logger::start(overrides.levels.clone().unwrap_or(usual), out);
    if let Some(line) = wrong {
        warn!("{LEVELS} is not followed: {line}");
    }
    Ok(())
}

/// As asked for; else the journal's form where the journal is what standard error goes to, else people's.
fn stderr(form: Option<Form>) -> io::Result<Out> {
    let human = |timed| Out::Human { timed, colours: io::stderr().is_terminal() };
    Ok(match form {
        Some(Form::Json) => Out::Json,
        Some(Form::Journal) => {
            let none = || io::Error::other("there is no journal on this host");
            Out::Journal(Journal::open().ok_or_else(none)?)
        }
        None if is_journal() => Journal::open().map_or(human(false), Out::Journal),
        Some(Form::Human) | None => human(true),
    })
}

/// Whether systemd has connected standard error with the journal, and nobody has put another in its place since.
fn is_journal() -> bool {
    let named = std::env::var(STREAM).unwrap_or_default();
    let there = std::fs::metadata("/proc/self/fd/2");
    there.is_ok_and(|there| named == format!("{}:{}", there.dev(), there.ino()))
}

/// What this daemon is called after `locum`, where there are several.
static NAME: OnceLock<String> = OnceLock::new();

/// Lets syslog and the journal tell this daemon from others on this host.
pub(super) fn name(suffix: &str) {
    // Called once.
    let _ = NAME.set(format!("_{suffix}"));
}

/// What syslog and the journal know this daemon as.
pub(super) fn program() -> String {
    format!("locum{}", NAME.get().map_or("", String::as_str))
}

/// The local syslog, by datagrams; a line that it has no room for is lost rather than waited for.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
    facility: u8,
}

impl Syslog {
    fn new(facility: u8) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Syslog { socket, facility })
    }

    pub(super) fn write(&self, severity: u8, text: &str) {
        let priority = self.facility * 8 + severity;
        let line = format!("<{priority}>{}[{}]: {text}", program(), std::process::id());
        // Where syslog is away there is nobody to tell.
        let _ = self.socket.send_to(line.as_bytes(), SYSLOG);
    }
}

/// Says what was heard of others, or of itself.
pub(super) fn incident(incident: &Incident) {
    let router = &incident.router;
    match incident.kind {
        Kind::HeardLower { source, priority } => {
            info!(target: "locum::vrrp", %router, %source, priority, "a losing advert was heard: there is another Master");
        }
        Kind::DualMaster { rival, times } => {
            warn!(target: "locum::vrrp", %router, times, "there is another holder: {rival}");
        }
        Kind::PriorityChanged { from } => {
            info!(target: "locum::vrrp", %router, from, to = incident.priority, "the priority changed");
        }
    }
}

/// One line for a change of state, with the words of the status.
pub(super) fn transition(transition: &Transition) {
    let Transition { subject, from, to, why, priority, .. } = transition;
    let name = subject.name();
    match subject {
        Subject::Router(_) => {
            info!(target: "locum::vrrp", router = name, %from, %to, reason = %why, priority,
                "{subject}: {from} -> {to}: {why}");
        }
        Subject::Group(_) => {
            info!(target: "locum::vrrp", group = name, %from, %to, reason = %why, priority,
                "{subject}: {from} -> {to}: {why}");
        }
    }
}

/// What comes in, for who looks closely.
pub(super) fn input(input: &Input) {
    if let Input::Outcome(check, outcome) = input {
        let result = outcome.verdict.as_ref().map_or_else(String::as_str, |()| "passed");
        debug!(target: "locum::check", %check, latency = ?outcome.latency, "{result}");
    }
}

/// Why nothing is taken back.
fn damped(failures: u64) -> &'static str {
    if failures > 0 { "it failed too often" } else { "the Master has only just come" }
}

/// One line for what the agent has noted.
pub(super) fn note(note: &Note) {
    match note {
        Note::Refused { router, source, refusal, count } => {
            warn!(target: "locum::vrrp", %router, %source, reason = refusal.name(), count, "packet refused: {refusal}");
        }
        Note::Check(change) => {
            let CheckChange { check, from, to, error, .. } = change;
            let why = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            info!(target: "locum::check", %check, %from, %to, reason = error, "check {check}: {from} -> {to}{why}");
        }
        Note::MasterHeard { router, source, priority } => {
            info!(target: "locum::vrrp", %router, %source, priority, "there is another Master");
        }
        Note::Claim { office, term: Some(term) } => {
            info!(target: "locum::claim", %office, term, "the claim is granted");
        }
        Note::Claim { office, term: None } => {
            info!(target: "locum::claim", %office, "the claim is over, or given back");
        }
        Note::Vote { office, holder, term } => {
            debug!(target: "locum::claim", %office, %holder, term, "this node has voted");
        }
        Note::Lease { router, family, lease } => {
            debug!(target: "locum::net", %router, ?family, ?lease, "the lease of what is held");
        }
        Note::Damped { router, span, failures } => {
            let span = span.as_secs_f64();
            info!(target: "locum::vrrp", %router, failures, "nothing is taken back for {span:.1}s: {}", damped(*failures));
        }
        Note::LastHeard { router, ago } => {
            debug!(target: "locum::vrrp", %router, ?ago, "another Master was last heard");
        }
        Note::Warning(router, line) => warn!(target: "locum::vrrp", %router, "{line}"),
        Note::Trouble(line) => warn!("{line}"),
        Note::Reloaded(lines) => {
            info!(target: "locum::config", "the configuration was read again: {}", lines.join("; "));
        }
    }
}
