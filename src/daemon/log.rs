//! Where log lines go: stderr, for the journal or a terminal to keep.

use std::io::{self, IsTerminal};
use tracing::Level;
use tracing_subscriber::fmt;

/// The environment variable that names the level: error, warn, info, debug or trace.
const LEVEL: &str = "LOCUM_LOG";

/// Starts logging. A second start changes nothing.
pub(super) fn start() {
    let level = std::env::var(LEVEL).ok().and_then(|name| name.parse().ok()).unwrap_or(Level::INFO);
    let lines = fmt()
        .with_writer(io::stderr)
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // The journal has its own clock.
    let started = if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().try_init()
    } else {
        lines.try_init()
    };
    drop(started);
}
