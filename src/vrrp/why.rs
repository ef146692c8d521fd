//! Reasons: why an instance is where it is, and what keeps it from taking part. For people.

use super::Priority;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Why an instance is in the state it is in. `Display` is one line for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Just started.
    Started,
    /// The address owner starts as Master.
    Owner,
    /// No Master was heard for the whole down interval.
    Silence,
    /// The Master said farewell.
    Farewell(IpAddr),
    /// The Master we heard has a lower priority than ours, and we preempt.
    Preempted(IpAddr),
    /// A better advert was heard.
    Better(IpAddr, Priority),
    /// Something is wrong here.
    Fault(Fault),
    /// What was wrong has healed.
    Healed,
    /// The link came back before any Backup could miss us.
    LinkBack,
    /// An operator moved the addresses away.
    HandedOver,
    /// Nobody took the addresses that were handed over.
    NobodyTook,
    /// An operator let the router take part again.
    Resumed,
    /// The daemon stops, or the router was removed from the configuration.
    Stopped,
    /// Another instance of the same router moved.
    Group,
    /// The process, or its host, was stopped for a while: its turn came so late.
    Woke(Duration),
    /// A majority of the voters does not grant it.
    Outvoted,
}

/// What keeps an instance from taking part. Ours, not the RFC's; each heals by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The interface does not exist.
    NoInterface(String),
    /// The interface is down or has no carrier.
    LinkDown(String),
    /// The interface has no usable source address; the text says which is missing or tentative.
    NoSource(String),
    /// The socket could not be opened.
    Socket(String),
    /// A check without a weight is down, or has no first result yet.
    Check(String),
    /// The addresses cannot be held.
    CannotHold(String),
    /// A secret cannot be read.
    Secret(String),
    /// Signatures are made of the wall clock, and it is not known yet.
    NoClock,
    /// Another router of the same group is in Fault.
    Group(String),
}

impl Why {
    /// One word for programs: that it is written with, whatever it is about.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Why::Started => "started",
            Why::Owner => "owner",
            Why::Silence => "silence",
            Why::Farewell(_) => "farewell",
            Why::Preempted(_) => "preempted",
            Why::Better(..) => "better",
            Why::Fault(_) => "fault",
            Why::Healed => "healed",
            Why::LinkBack => "link_back",
            Why::HandedOver => "handed_over",
            Why::NobodyTook => "nobody_took",
            Why::Resumed => "resumed",
            Why::Stopped => "stopped",
            Why::Group => "group",
            Why::Woke(_) => "woke",
            Why::Outvoted => "outvoted",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Started => f.write_str("just started"),
            Why::Owner => f.write_str("address owner (priority 255)"),
            Why::Silence => f.write_str("no Master heard for the down interval"),
            Why::Farewell(from) => write!(f, "Master {from} said farewell"),
            Why::Preempted(from) => write!(f, "preempted {from}, which has a lower priority"),
            Why::Better(from, priority) => {
                write!(f, "{from} advertises priority {priority}, which beats ours")
            }
            Why::Fault(fault) => fault.fmt(f),
            Why::Healed => f.write_str("fault healed"),
            Why::LinkBack => {
                f.write_str("Master as before: the link was gone for less than a takeover takes")
            }
            Why::HandedOver => f.write_str("handed over by the operator"),
            Why::NobodyTook => f.write_str("handed over, but nobody took the addresses"),
            Why::Resumed => f.write_str("resumed by the operator"),
            Why::Stopped => f.write_str("stopped"),
            Why::Group => f.write_str("moves with its group"),
            Why::Woke(late) => {
                write!(f, "this process was stopped for {:.1} s: others first", late.as_secs_f64())
            }
            Why::Outvoted => f.write_str("nobody grants it the claim to the addresses any more"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoInterface(name) => write!(f, "interface {name} does not exist"),
            Fault::LinkDown(name) => write!(f, "interface {name} is down"),
            Fault::NoSource(text) | Fault::Socket(text) | Fault::CannotHold(text) | Fault::Secret(text) => {
                f.write_str(text)
            }
            Fault::NoClock => f.write_str("the wall clock, which signatures are made of, is not known yet"),
            Fault::Check(text) => write!(f, "check {text}"),
            Fault::Group(router) => write!(f, "router {router} of the same group is in FAULT"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_the_one_that_it_is_written_with() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        for why in [
            Why::Started,
            Why::Owner,
            Why::Silence,
            Why::Farewell(peer),
            Why::Preempted(peer),
            Why::Better(peer, Priority::DEFAULT),
            Why::Fault(Fault::NoClock),
            Why::Healed,
            Why::LinkBack,
            Why::HandedOver,
            Why::NobodyTook,
            Why::Resumed,
            Why::Stopped,
            Why::Group,
            Why::Woke(Duration::ZERO),
            Why::Outvoted,
        ] {
            let word = match serde_json::to_value(&why).unwrap() {
                serde_json::Value::Object(map) => map.keys().next().unwrap().clone(),
                word => word.as_str().unwrap().to_owned(),
            };
            assert_eq!(why.name(), word);
        }
    }
}
