//! How one record of DNS stands, as a part of the status.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One record that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct DnsStatus {
    /// What the configuration calls it.
    pub name: String,
    /// Its name in DNS and its kind: `www.example.org A`.
    pub record: String,
    /// Where it is kept, as the configuration writes it.
    pub provider: String,
    /// What this host wants it to hold; `None` where another host writes, or nothing is to be changed.
    pub wanted: Option<IpAddr>,
    /// What it held when this host last had it hold something; `None` where it never has.
    pub holds: Option<IpAddr>,
    /// Whether what is wanted has yet to be written.
    pub waiting: bool,
    /// Writes that were made.
    pub written: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Whether what is wanted could not be written so far.
    pub failing: bool,
    /// Whether even a new address waits for the end of the pause, after too many failures.
    pub paused: bool,
    /// Whether somebody else writes it again and again, so that this host does not any more; it counts as failing.
    #[serde(default)]
    pub contested: bool,
    /// Why the last attempt that failed did, without secrets.
    pub last_error: Option<String>,
}
