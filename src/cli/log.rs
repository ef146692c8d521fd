//! `locum log`: what the running daemon logs, and for how long.

use super::{Daemon, Failure, USAGE, complain, report};
use crate::control::{LONGEST_WAIT, LogOrder, Question};
use crate::daemon::levels;
use clap::Args;
use jiff::SignedDuration;
use std::time::Duration;

/// Show what the daemon logs, or have it log more or less, for all modules or one, for good or for a time
#[derive(Debug, Args)]
#[command(
    after_help = "As in: locum log debug vrrp 10m. Modules: vrrp, check, claim, config, daemon, dns, history, net, \
                        notify, snmp, web. A restart forgets it."
)]
pub(super) struct Log {
    /// off, error, warn, info, debug or trace
    #[arg(value_parser = level)]
    level: Option<String>,
    /// Only this module's lines
    module: Option<String>,
    /// For so long, then as before: 90s, 10m; without a module it may stand in its place
    #[arg(value_name = "TIME")]
    span: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

fn level(text: &str) -> Result<String, String> {
    levels::level(text).map(|_| text.to_owned())
}

impl Log {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let (module, span) = match self.scope() {
            Ok(both) => both,
            Err(line) => {
                complain(&line);
                return Ok(USAGE);
            }
        };
        let for_ms = span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let question = Question::Log(LogOrder { level: self.level, module, for_ms });
        report(self.daemon.ask(&question, LONGEST_WAIT)?)
    }

    /// Which module, and how long.
    fn scope(&self) -> Result<(Option<String>, Option<Duration>), String> {
        let (module, span) = match (&self.module, &self.span) {
            (Some(span), None) if span.starts_with(|first: char| first.is_ascii_digit()) => {
                (None, Some(span))
            }
            (module, span) => (module.as_ref(), span.as_ref()),
        };
        let module = module.map(|name| levels::module(name).map(str::to_owned)).transpose()?;
        Ok((module, span.map(|span| time(span)).transpose()?))
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    parsed
        .filter(|span| !span.is_zero())
        .ok_or_else(|| format!("\"{text}\" is no time: write a number and its unit, 90s, 10m, 2h"))
}
