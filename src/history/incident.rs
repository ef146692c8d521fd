//! Incidents: what happened shortly after something else belongs to it. Pure.

use super::entry::{CheckChange, Entry, Event, Hook, Moved};
use super::outage::{Outage, outages};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// What comes so long after the rest is another incident, in milliseconds.
const APART: u64 = 10_000;

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// When it began: what is noticed has begun before.
    pub began: Timestamp,
    /// From its beginning until the last step, in milliseconds.
    pub took_ms: u64,
    /// What happened, in its order.
    pub steps: Vec<Step>,
    /// The outages that began in it, as this host saw them.
    pub outages: Vec<Outage>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// How long after the beginning of the incident, in milliseconds.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
}

/// The incidents that these entries, in their order, tell of: the last `most` of them, the latest first.
#[must_use]
pub fn incidents(entries: &[Entry], most: usize) -> Vec<Incident> {
    let known = |entry: &&Entry| entry.event != Event::Unknown;
    let mut groups: Vec<Vec<&Entry>> = Vec::new();
    for entry in entries.iter().filter(known) {
        // A clock that stands before the last entry's is that of another start of the host.
        let goes_on = |group: &&mut Vec<&Entry>| {
            let last = group.last().map_or(0, |last| last.clock_ms);
            entry.clock_ms.checked_sub(last).is_some_and(|pause| pause <= APART)
        };
        match groups.last_mut().filter(goes_on) {
            Some(group) => group.push(entry),
            None => groups.push(vec![entry]),
        }
    }
    let mut open = outages(entries);
    let found = groups.iter().rev().take(most).map(|group| {
        let start =
            group.iter().map(|entry| entry.clock_ms.saturating_sub(ago(&entry.event))).min().unwrap_or(0);
        let since = |entry: &Entry| entry.clock_ms.saturating_sub(start);
        let (first, last) = (group.first(), group.last());
        let began = first.map_or(Timestamp::UNIX_EPOCH, |first| before(first.time, since(first)));
        let step = |entry: &&Entry| Step { at_ms: since(entry), entry: (*entry).clone() };
        // The latest incidents come first: what began before this one is another's.
        let theirs = open.iter().position(|outage| outage.began >= began).unwrap_or(open.len());
        Incident {
            began,
            took_ms: last.map_or(0, |last| since(last)),
            steps: group.iter().map(step).collect(),
            outages: open.split_off(theirs),
        }
    });
    found.collect()
}

/// How long before it was noticed this began, in milliseconds.
fn ago(event: &Event) -> u64 {
    match event {
        Event::Transition(Moved { silent_ms, .. }) => silent_ms.unwrap_or(0),
        Event::Check(CheckChange { after_ms, .. }) => *after_ms,
        Event::Hook(Hook { took_ms, .. }) => *took_ms,
        _ => 0,
    }
}

fn before(time: Timestamp, ms: u64) -> Timestamp {
    let span = SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX));
    time.checked_sub(span).unwrap_or(time)
}
