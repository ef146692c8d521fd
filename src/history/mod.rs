//! The record of what happened: who was Master when, why, and who gave which order.
//!
//! `entry` is what one line says, `file` appends lines and keeps the files bounded, `read` reads them back
//! whatever a crash has left, `outage` makes outages of them and `incident` incidents. Nothing here decides or waits: a thread of
//! the daemon writes, the command line reads, and either does without the other. Addresses that are held
//! now are noted elsewhere, by `net::journal`.

mod entry;
mod file;
mod incident;
mod outage;
mod read;

pub(crate) use entry::millis;
pub use entry::{
    By, CheckChange, DualMaster, Entry, Event, FORMAT, Hook, LastRun, LeaseLate, MasterHeard, Moved, Order,
    Ordered, Started,
};
pub use file::{File, Settings, rotated};
pub use incident::{Incident, Step, incidents};
pub use outage::{Outage, outages};
pub use read::{Damage, Line, Record, parse, read, recent};

use std::path::{Path, PathBuf};

/// Where the record of a daemon with the usual control socket is.
pub const USUAL: &str = "/var/lib/locum/history.jsonl";

/// Where the record is unless the configuration says: where it outlives a restart of the host; for a
/// daemon whose control socket is not the `usual` one beside that socket, so that two do not meet.
#[must_use]
pub fn place(control: &Path, usual: &Path) -> PathBuf {
    if control == usual { PathBuf::from(USUAL) } else { control.with_extension("history.jsonl") }
}
