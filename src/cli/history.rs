//! `locum history`: what happened here, from the record that the daemon writes. Asks no daemon.

use super::told::{at, cause, tell};
use super::{DEFAULT_CONFIG, Daemon, Failure, WELL, complain, say, show};
use crate::agent::Standing;
use crate::config::{Journal, journal_of};
use crate::control;
use crate::history::{Entry, Event, Line, Outage, Record, outages, read};
use clap::Args;
use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, Timestamp, Zoned};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

/// Show what happened here: who was Master when and why, checks, hooks, orders, outages
///
/// Reads the files that the daemon writes, whether it runs or not. Times are local ones.
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only what is not older: a span (2h, 3d) or a moment (14:30, 2026-03-01, 2026-03-01T14:30)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only of this router or group
    #[arg(long, value_name = "NAME")]
    router: Option<String>,
    /// Only the last N entries
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// The record [default: what the configuration says, else that of the daemon with this socket]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// The daemon's configuration [default: /etc/locum/locum.toml, where there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    daemon: Daemon,
}

/// An outage as a line of JSON.
#[derive(Serialize)]
struct Tagged<'a> {
    v: u32,
    event: &'static str,
    #[serde(flatten)]
    outage: &'a Outage,
}

impl History {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let path = self.path()?;
        let record = read(&path).map_err(|(path, error)| unreadable(&path, &error))?;
        for damage in &record.damage {
            complain(&damage.to_string());
        }
        let shown = self.shown(&record);
        let first = if self.last.is_some() { shown.first().map(|line| line.entry.time) } else { self.since };
        let outages: Vec<_> = outages(record.lines.iter().map(|line| &line.entry))
            .into_iter()
            .filter(|outage| self.router.as_ref().is_none_or(|name| *name == *outage.router.0))
            .filter(|outage| outage.recover_ms.is_none() || first.is_none_or(|first| ended(outage) >= first))
            .filter(|outage| outage.recover_ms.is_some() || first.is_none_or(|first| outage.began >= first))
            .collect();
        say(&if self.json { json(&shown, &outages)? } else { page(&record, &shown, &outages) })?;
        Ok(WELL)
    }

    fn shown<'a>(&self, record: &'a Record) -> Vec<&'a Line> {
        // What concerns all concerns each.
        let about = |entry: &Entry| match (&self.router, entry.event.subject()) {
            (Some(wanted), Some(subject)) => wanted == subject,
            _ => true,
        };
        let young = |entry: &Entry| self.since.is_none_or(|since| entry.time >= since);
        let mut shown: Vec<_> =
            record.lines.iter().filter(|line| young(&line.entry) && about(&line.entry)).collect();
        let surplus = self.last.map_or(0, |last| shown.len().saturating_sub(last));
        shown.drain(..surplus);
        shown
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        self.file.clone().map_or_else(|| record(self.config.as_deref(), &self.daemon), Ok)
    }
}

/// Where the record is of the daemon with this configuration or, without one, of that which is named.
pub(super) fn record(config: Option<&Path>, daemon: &Daemon) -> Result<PathBuf, Failure> {
    let file = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    let (journal, control) = match journal_of(file) {
        Ok(both) => both,
        Err(error) if config.is_none() && error.kind() == io::ErrorKind::NotFound => {
            (Journal::default(), None)
        }
        Err(error) => {
            let text = format!("cannot read {}: {error}; name the record with --file", file.display());
            return Err(Failure::Other(text));
        }
    };
    // A named socket is another daemon's than that of the usual file.
    let named = daemon.named();
    let journal = if config.is_none() && named.is_some() { Journal::default() } else { journal };
    let control = named.or(control).unwrap_or_else(|| control::DEFAULT_PATH.into());
    let settings = journal.settings(&control).ok_or_else(|| {
        let text = format!("{} says path = \"off\" in [journal]: nothing is recorded", file.display());
        Failure::Other(text)
    })?;
    Ok(settings.path)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::Other(match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no record at {path}: no daemon has written one, or [journal] of its configuration names \
             another place; --config and --file do too"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("cannot read {path}: {error}; root and the daemon's user may")
        }
        _ => format!("cannot read {path}: {error}"),
    })
}

/// A moment as people write it; spans count back from now.
fn moment(text: &str) -> Result<Timestamp, String> {
    let now = Zoned::now();
    let zone = now.time_zone();
    if let Ok(span) = text.parse::<Span>() {
        let then = now.checked_sub(span.abs()).map_err(|error| error.to_string())?;
        return Ok(then.timestamp());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(Date::into))
        .or_else(|_| text.parse::<Time>().map(|time| now.date().to_datetime(time)));
    let local = civil.and_then(|civil| civil.to_zoned(zone.clone())).map(|zoned| zoned.timestamp());
    local.map_err(|_| {
        "wanted a span such as 2h or 3d, or a moment such as 14:30 or 2026-03-01T14:30".to_owned()
    })
}

/// When it ended, by the clock on the wall.
fn ended(outage: &Outage) -> Timestamp {
    let span = outage.recover_ms.and_then(|ms| i64::try_from(ms).ok()).map(jiff::SignedDuration::from_millis);
    span.and_then(|span| outage.began.checked_add(span).ok()).unwrap_or(outage.began)
}

fn json(shown: &[&Line], outages: &[Outage]) -> Result<String, Failure> {
    let mut text = String::new();
    for line in shown {
        text.push_str(&line.text);
        text.push('\n');
    }
    for outage in outages {
        let tagged = Tagged { v: crate::history::FORMAT, event: "outage", outage };
        let line = serde_json::to_string(&tagged).map_err(|error| Failure::Other(error.to_string()))?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn page(record: &Record, shown: &[&Line], outages: &[Outage]) -> String {
    let spent = spent(record);
    let subject = |entry: &Entry| show::clean(entry.event.subject().unwrap_or("-"));
    let width = |names: &mut dyn Iterator<Item = String>| names.map(|name| name.chars().count()).max();
    let widest = width(&mut shown.iter().map(|line| subject(&line.entry))).unwrap_or(0);
    let mut text = String::new();
    for line in shown {
        let entry = &line.entry;
        let spent = spent.get(&std::ptr::from_ref(entry)).copied();
        let (name, told) = (subject(entry), show::clean(&tell(&entry.event, spent)));
        let _ = writeln!(text, "{}  {name:widest$}  {told}", at(entry.time));
    }
    if shown.is_empty() {
        text.push_str("nothing is recorded of that\n");
    }
    if !outages.is_empty() {
        text.push_str("\noutages, as seen from here\n");
        let widest = width(&mut outages.iter().map(|outage| show::clean(&outage.router.0))).unwrap_or(0);
        for outage in outages {
            let (name, told) = (show::clean(&outage.router.0), show::clean(&cause(outage)));
            let _ = writeln!(text, "{}  {name:widest$}  {told}", at(outage.began));
        }
    }
    text
}

/// How long each router had been what it was, in milliseconds, by the entry that changes it.
fn spent(record: &Record) -> BTreeMap<*const Entry, u64> {
    let mut since: BTreeMap<&str, u64> = BTreeMap::new();
    let mut spent = BTreeMap::new();
    for Line { entry, .. } in &record.lines {
        match &entry.event {
            Event::Started(_) => since.clear(),
            Event::Transition(moved) => {
                let before = since.insert(moved.subject.name(), entry.clock_ms);
                if let Some(before) = before.filter(|_| moved.from != Standing::Stop) {
                    spent.insert(std::ptr::from_ref(entry), entry.clock_ms.saturating_sub(before));
                }
            }
            _ => {}
        }
    }
    spent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_before_now_or_a_time_of_its_own() {
        let now = Timestamp::now();
        let ago = |text: &str| now.duration_since(moment(text).unwrap()).as_secs().abs();
        assert!((7199..=7201).contains(&ago("2h")), "{}", ago("2h"));
        assert!(ago("3d") >= 3 * 86_400 - 7200, "a day may have 23 hours");
        assert_eq!(moment("2026-03-01T10:00:00Z").unwrap().to_string(), "2026-03-01T10:00:00Z");
        for local in ["2026-03-01", "2026-03-01T14:30", "2026-03-01 14:30:05", "00:00"] {
            assert!(moment(local).is_ok(), "{local}");
        }
        for wrong in ["", "yesterday", "2", "25:00"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
