//! A router's change of state as the world outside is told of it: hooks, log, status.

use super::config::GroupName;
use crate::vrrp::why::Why;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The name of a router, as in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouterName(pub Arc<str>);

impl fmt::Display for RouterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a router in the words users know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Standing {
    /// Not started, or stopped.
    Stop,
    /// Cannot hold the addresses; the reason is known and can heal.
    Fault,
    /// Waiting behind a Master.
    Backup,
    /// Holding the addresses.
    Master,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Standing::Stop => "STOP",
            Standing::Fault => "FAULT",
            Standing::Backup => "BACKUP",
            Standing::Master => "MASTER",
        })
    }
}

/// Whose state changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A router.
    Router(RouterName),
    /// A sync group: told after its routers.
    Group(GroupName),
}

impl Subject {
    /// Its name alone.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Subject::Router(name) => &name.0,
            Subject::Group(name) => &name.0,
        }
    }

    /// The word that hooks are given for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Subject::Router(_) => "INSTANCE",
            Subject::Group(_) => "GROUP",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Router(name) => write!(f, "router {name}"),
            Subject::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// One change of state of one router or group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Whose.
    pub subject: Subject,
    /// What it was.
    pub from: Standing,
    /// What it is now.
    pub to: Standing,
    /// Why; its `Display` is one line for people.
    pub why: Why,
    /// The effective priority at that moment.
    pub priority: u8,
    /// The virtual addresses, in the order of the configuration.
    pub addresses: Vec<IpAddr>,
    /// The other party, where there is one: the Master that we follow or that left.
    pub peer: Option<IpAddr>,
    /// The term of its claim on the addresses, where it has one: it only grows, on all hosts together.
    #[serde(default)]
    pub term: Option<u64>,
}
