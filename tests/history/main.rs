//! The record of what happened: its files stay bounded, and whatever a crash or a disk does to them, what
//! is left is read.

mod disk;
mod files;
mod incidents;

use locum::agent::RouterName;
use locum::history::{Entry, Event, FORMAT, File, Settings};
use std::path::Path;

/// The entry with this number: told from all others by its clock.
pub(crate) fn entry(number: u64) -> Entry {
    let event = Event::Priority { router: RouterName("web".into()), from: 1, to: 2 };
    Entry { v: FORMAT, time: jiff::Timestamp::UNIX_EPOCH, clock_ms: number, event }
}

pub(crate) fn file(path: &Path, size: u64, keep: u32) -> File {
    File::new(Settings { path: path.to_owned(), size, keep })
}

/// The numbers of the entries that can be read.
pub(crate) fn numbers(path: &Path) -> Vec<u64> {
    locum::history::read(path).unwrap().lines.iter().map(|line| line.entry.clock_ms).collect()
}
