//! Drills: a failover by day. What kinds there are, what is promised, and what was measured beside it.
//!
//! Facts in, a report out: nothing here opens, reads or runs anything. [`crate::lab`] and [`crate::survey`] are
//! the hands, and `locum drill` joins both.

mod html;
mod objectives;
mod outage;
mod ready;
mod report;
mod window;

pub use html::html;
pub use objectives::{Measured, Objectives};
pub use outage::{Gap, Outage, Probe, judge};
pub use ready::{Others, meant, peers, refusal, unready};
pub use report::{Moment, Outcome, Report, Run, SCHEMA, Step};
pub use window::Window;

use crate::health::CheckName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Whether the hosts hear each other.
    Connectivity,
    /// Whether checks find what they look for.
    Health,
    /// The service behind the address ends.
    Service,
    /// The daemon of the Master is killed.
    Daemon,
    /// A planned handover, and back.
    Failover,
    /// Whether records of DNS could be written.
    Dns,
}

impl Kind {
    /// All of them, in the order in which they are done: what moves nothing comes first.
    pub const ALL: [Kind; 6] =
        [Kind::Connectivity, Kind::Health, Kind::Dns, Kind::Failover, Kind::Service, Kind::Daemon];

    /// Whether it moves addresses between hosts.
    #[must_use]
    pub const fn moves(self) -> bool {
        matches!(self, Kind::Service | Kind::Daemon | Kind::Failover)
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Connectivity => "connectivity",
            Kind::Health => "health",
            Kind::Service => "service",
            Kind::Daemon => "daemon",
            Kind::Failover => "failover",
            Kind::Dns => "dns",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `[drill]`: what a drill on live hosts may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// When it may move addresses.
    pub window: Option<Window>,
    /// Checks that pass where another host is ready to take addresses.
    pub ready: Vec<CheckName>,
    /// Stops the service, without a shell.
    pub service_stop: Option<Vec<String>>,
    /// Starts it again.
    pub service_start: Option<Vec<String>>,
}
