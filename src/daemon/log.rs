//! Where log lines go: stderr, for the journal or a terminal to keep; or syslog, or a file.
//! And the lines themselves for what the agent notes.

use crate::agent::Note;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tracing::{Level, Metadata, debug, info, warn};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;

/// The environment variable that names the level: error, warn, info, debug or trace.
const LEVEL: &str = "LOCUM_LOG";
/// Where syslog listens.
const SYSLOG: &str = "/dev/log";

/// Where log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// To standard error.
    #[default]
    Stderr,
    /// To syslog, under this facility: 3 daemon, 1 user, 16 to 23 local0 to local7 (RFC 3164).
    Syslog(u8),
    /// Behind the end of this file.
    File(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// Starts logging. A second start changes nothing.
///
/// # Errors
/// The log cannot be opened.
pub(super) fn start(log: &Log) -> io::Result<()> {
    let level = std::env::var(LEVEL).ok().and_then(|name| name.parse().ok()).unwrap_or(Level::INFO);
    let lines = fmt().with_max_level(level).with_target(false);
    let started = match log {
        Log::Stderr => {
            let lines = lines.with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
            // The journal has its own clock.
            if std::env::var_os("JOURNAL_STREAM").is_some() {
                lines.without_time().try_init()
            } else {
                lines.try_init()
            }
        }
        Log::Syslog(facility) => {
            let syslog = Syslog::new(*facility)?;
            lines.with_writer(syslog).with_ansi(false).without_time().with_level(false).try_init()
        }
        Log::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            lines.with_writer(Arc::new(file)).with_ansi(false).try_init()
        }
        Log::Nowhere => Ok(()),
    };
    drop(started);
    Ok(())
}

/// What syslog calls this daemon after `locum`, where there are several.
static NAME: OnceLock<String> = OnceLock::new();

/// Lets syslog tell this daemon from others on this host.
pub(super) fn name(suffix: &str) {
    // Called once.
    let _ = NAME.set(format!("_{suffix}"));
}

/// The local syslog, by datagrams; a line that it has no room for is lost rather than waited for.
#[derive(Debug)]
struct Syslog {
    socket: UnixDatagram,
    facility: u8,
}

impl Syslog {
    fn new(facility: u8) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Syslog { socket, facility })
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { syslog: self, severity: 6 }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line<'a> {
        let severity = match *about.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        Line { syslog: self, severity }
    }
}

/// One line on its way to syslog.
struct Line<'a> {
    syslog: &'a Syslog,
    severity: u8,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let priority = self.syslog.facility * 8 + self.severity;
        let mut line =
            format!("<{priority}>locum{}[{}]: ", NAME.get().map_or("", String::as_str), std::process::id())
                .into_bytes();
        line.extend_from_slice(text.trim_ascii_end());
        // Where syslog is away there is nobody to tell.
        let _ = self.syslog.socket.send_to(&line, SYSLOG);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line for what the agent has noted.
pub(super) fn note(note: &Note) {
    match note {
        Note::Refused { router, source, refusal, count } => {
            warn!(%router, %source, reason = refusal.name(), count, "packet refused: {refusal}");
        }
        Note::Check(change) => {
            let error = change.error.as_deref().unwrap_or("");
            info!(check = %change.check, from = %change.from, to = %change.to, "the check changed {error}");
        }
        Note::MasterHeard { router, source, priority } => {
            info!(%router, %source, priority, "there is another Master");
        }
        Note::Claim { office, term: Some(term) } => info!(%office, term, "the claim is granted"),
        Note::Claim { office, term: None } => info!(%office, "the claim is over, or given back"),
        Note::LastHeard { router, ago } => debug!(%router, ?ago, "another Master was last heard"),
        Note::Warning(router, line) => warn!(%router, "{line}"),
        Note::Trouble(line) => warn!("{line}"),
        Note::Reloaded(lines) => info!("the configuration was read again: {}", lines.join("; ")),
    }
}
