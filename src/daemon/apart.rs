//! Files for one kind of entry each, beside the record of everything: changes of state, changes of checks, records of
//! DNS. Written by the record's own thread; one that cannot be written costs the record nothing.

use crate::config::Journal;
use crate::history::{Entry, Event, File, Settings};
use tracing::warn;

/// The files that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    transitions: Option<Settings>,
    health: Option<Settings>,
    dns: Option<Settings>,
}

impl Wanted {
    pub(super) fn of(journal: &Journal) -> Self {
        let settings = |path: &Option<_>| {
            path.clone().map(|path| Settings { path, size: journal.size, keep: journal.keep })
        };
        Wanted {
            transitions: settings(&journal.transitions),
            health: settings(&journal.health),
            dns: settings(&journal.dns),
        }
    }
}

/// The files as they are.
#[derive(Default)]
pub(super) struct Apart {
    transitions: Kept,
    health: Kept,
    dns: Kept,
}

#[derive(Default)]
struct Kept {
    file: Option<File>,
    /// It was told that it cannot be written.
    told: bool,
}

impl Apart {
    /// Writes an entry into the file that is for its kind, if there is one.
    pub(super) fn take(&mut self, wanted: &Wanted, entry: &Entry) {
        match entry.event {
            Event::Transition(_) => self.transitions.append(wanted.transitions.as_ref(), entry),
            Event::Check(_) => self.health.append(wanted.health.as_ref(), entry),
            Event::DnsWritten { .. } | Event::DnsOrdered { .. } => {
                self.dns.append(wanted.dns.as_ref(), entry);
            }
            _ => {}
        }
    }
}

impl Kept {
    fn append(&mut self, wanted: Option<&Settings>, entry: &Entry) {
        if self.file.as_ref().map(File::settings) != wanted {
            *self = Kept { file: wanted.cloned().map(File::new), told: false };
        }
        let Some(file) = &mut self.file else { return };
        match file.append(entry) {
            Ok(()) => self.told = false,
            Err(error) => {
                if !self.told {
                    warn!("cannot write {}: {error}", file.settings().path.display());
                }
                self.told = true;
            }
        }
    }
}
