//! Routes and rules: what is wanted against what the kernel has, and the difference changed.
//!
//! What Locum puts there carries its protocol number (112), and nothing else is ever touched. An equal
//! one that somebody else has put there counts as held.

use super::netlink::Refusal;
use super::route::{self, OURS, family};
use super::rtnl::Rtnl;
use super::rule;
use crate::agent::{Route, Rule};
use crate::vrrp::Family;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use nix::errno::Errno;
use std::fmt;
use std::io;

/// Something that steers packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    Route(Route),
    Rule(Rule),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Route(route) => write!(f, "route {route}"),
            Entry::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}

/// What became of a wanted entry.
pub(super) enum Outcome {
    WasThere,
    Added,
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Present {
    Route(RouteMessage),
    Rule(RuleMessage),
}

/// The routes and rules of this host, as far as they are Locum's to change.
pub(super) struct Routing {
    rtnl: Rtnl,
}

impl Routing {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Routing { rtnl: Rtnl::new()? })
    }

    /// Makes it true that `wanted` is there, one after the other. One outcome for each.
    pub(super) fn add(&self, wanted: &[Entry]) -> Vec<Outcome> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let present = match self.ours() {
            Ok(present) => present,
            Err(error) => return wanted.iter().map(|entry| Outcome::Failed(about(entry, &error))).collect(),
        };
        wanted.iter().map(|entry| self.add_one(entry, &present)).collect()
    }

    fn add_one(&self, entry: &Entry, present: &[Present]) -> Outcome {
        let wanted = match message(entry) {
            Ok(wanted) => wanted,
            Err(reason) => return Outcome::Failed(about(entry, &reason)),
        };
        if present.iter().any(|present| same(&wanted, present)) {
            return Outcome::WasThere;
        }
        let added = match wanted {
            // Before an equal one of somebody else's: this one shall be in force.
            Present::Route(message) => self.rtnl.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE),
            Present::Rule(message) => {
                self.rtnl.change(RouteNetlinkMessage::NewRule(message), NLM_F_CREATE | NLM_F_EXCL)
            }
        };
        match added {
            Ok(()) => Outcome::Added,
            Err(refusal) if refusal.errno == Errno::EEXIST => Outcome::WasThere,
            Err(refusal) => Outcome::Failed(about(entry, &refusal.to_string())),
        }
    }

    /// Removes what is Locum's and `unwanted`, the last first, unless it is `wanted` as well. `Err`:
    /// one line about what could not be removed.
    pub(super) fn remove(&self, unwanted: &[Entry], wanted: &[Entry]) -> Result<(), String> {
        if unwanted.is_empty() {
            return Ok(());
        }
        let mut present = self.unwanted(wanted)?;
        let mut result = Ok(());
        for entry in unwanted.iter().rev() {
            // An interface that is gone has taken its routes along.
            let Ok(message) = message(entry) else { continue };
            while let Some(place) = present.iter().position(|present| same(&message, present)) {
                if let Err(refusal) = self.delete(&present.swap_remove(place)) {
                    result = Err(format!("cannot remove {}", about(entry, &refusal.to_string())));
                }
            }
        }
        result
    }

    /// Removes everything that is Locum's and not `wanted`. Returns one line about each.
    pub(super) fn sweep(&self, wanted: &[Entry]) -> Vec<String> {
        // What cannot be read now is found by the next start; holding does not depend on it.
        let mut left = self.unwanted(wanted).unwrap_or_default();
        left.reverse();
        left.retain(|present| self.delete(present).is_ok());
        left.iter().map(describe).collect()
    }

    fn unwanted(&self, wanted: &[Entry]) -> Result<Vec<Present>, String> {
        let wanted: Vec<Present> = wanted.iter().filter_map(|entry| message(entry).ok()).collect();
        let mut present = self.ours()?;
        present.retain(|present| !wanted.iter().any(|wanted| same(wanted, present)));
        Ok(present)
    }

    fn delete(&self, present: &Present) -> Result<(), Refusal> {
        let message = match present {
            Present::Route(message) => {
                let mut message = message.clone();
                message.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
                RouteNetlinkMessage::DelRoute(message)
            }
            Present::Rule(message) => RouteNetlinkMessage::DelRule(message.clone()),
        };
        match self.rtnl.change(message, 0) {
            // Somebody was faster.
            Err(refusal) if matches!(refusal.errno, Errno::ESRCH | Errno::ENOENT | Errno::ENODEV) => Ok(()),
            result => result,
        }
    }

    /// Everything on this host that is Locum's.
    fn ours(&self) -> Result<Vec<Present>, String> {
        let mut found = Vec::new();
        for of in [Family::Ipv4, Family::Ipv6] {
            let mut question = RouteMessage::default();
            question.header.address_family = family(of);
            question.header.protocol = OURS;
            found.extend(self.rtnl.dump(
                RouteNetlinkMessage::GetRoute(question),
                |message| match message {
                    // Kernels before 4.20 do not filter.
                    RouteNetlinkMessage::NewRoute(route) if route.header.protocol == OURS => {
                        Some(Present::Route(route))
                    }
                    _ => None,
                },
            )?);
            let mut question = RuleMessage::default();
            question.header.family = family(of);
            found.extend(self.rtnl.dump(
                RouteNetlinkMessage::GetRule(question),
                |message| match message {
                    RouteNetlinkMessage::NewRule(rule) if rule::is_ours(&rule) => Some(Present::Rule(rule)),
                    _ => None,
                },
            )?);
        }
        Ok(found)
    }
}

fn message(entry: &Entry) -> Result<Present, String> {
    match entry {
        Entry::Route(route) => route::message(route).map(Present::Route),
        Entry::Rule(rule) => Ok(Present::Rule(rule::message(rule))),
    }
}

fn same(wanted: &Present, present: &Present) -> bool {
    match (wanted, present) {
        (Present::Route(wanted), Present::Route(present)) => route::same(wanted, present),
        (Present::Rule(wanted), Present::Rule(present)) => rule::same(wanted, present),
        _ => false,
    }
}

fn about(entry: &Entry, reason: &str) -> String {
    format!("{entry}: {reason}")
}

/// What names it, in one line.
fn describe(present: &Present) -> String {
    match present {
        Present::Route(message) => {
            let to = message.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(address.to_string()),
                RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(address.to_string()),
                _ => None,
            });
            let to = to.map(|to| format!("{to}/{}", message.header.destination_prefix_length));
            format!("route {}", to.unwrap_or_else(|| "default".to_owned()))
        }
        Present::Rule(message) => {
            let priority = message.attributes.iter().find_map(|attribute| match attribute {
                RuleAttribute::Priority(priority) => Some(*priority),
                _ => None,
            });
            format!("rule {}", priority.unwrap_or_default())
        }
    }
}
