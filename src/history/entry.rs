//! What one line of the record says. Versioned; see [`FORMAT`] and `packaging/history-json.md`.
//!
//! What is not known here, since a newer Locum wrote it, is [`Event::Unknown`] and no error. Of secrets
//! there are none in it: everything comes from the agent's words and from answers to people.

use crate::agent::{HookEnd, Rival, RouterName, Standing, Subject, Transition};
use crate::health::{self, CheckName};
use crate::vrrp::Family;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// The version of this shape. Fields and events may be added within a version; none is removed or changed.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`FORMAT`].
    pub v: u32,
    /// What the wall clock read, to the millisecond.
    pub time: Timestamp,
    /// Milliseconds since the host was started, by a clock that nobody sets.
    pub clock_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The daemon runs.
    Started(Started),
    /// The daemon ended in order.
    Stopped {
        /// Whether everything was given up in time.
        given_up: bool,
    },
    /// A router or a group changed its state.
    Transition(Moved),
    /// Another host is Master, where none was before, or another one.
    MasterHeard(MasterHeard),
    /// This node has the claim to hold what goes with an office, or has it no more.
    Claim {
        /// The router, or the group.
        office: String,
        /// In which term; `None` where they do no more.
        term: Option<u64>,
    },
    /// This node has voted for somebody to hold what goes with an office; not told again each time it is renewed.
    Vote {
        /// The router, or the group.
        office: String,
        /// For whom: the address and port that it votes from.
        holder: String,
        /// In which term.
        term: u64,
    },
    /// The kernel keeps what a router holds for so long of a daemon that does nothing, or no more. Not told again
    /// each time it is renewed.
    Lease {
        /// Whose.
        router: RouterName,
        /// What goes with its adverts of this family.
        family: Family,
        /// How long, in milliseconds; `None` where it is given up.
        lease_ms: Option<u64>,
    },
    /// Leases were renewed late, or not in time.
    LeaseLate(LeaseLate),
    /// A router takes nothing back from now on.
    Damped {
        /// Which.
        router: RouterName,
        /// For how long, in milliseconds, unless `locum ack` ends it.
        for_ms: u64,
        /// After so many failures; 0 where the Master has only just come.
        failures: u64,
    },
    /// While Master, another holder was seen: by adverts that lose against ours, or by ARP or neighbour
    /// discovery.
    DualMasterSeen(DualMaster),
    /// The effective priority changed.
    Priority {
        /// Whose.
        router: RouterName,
        /// What it was.
        from: u8,
        /// What it is.
        to: u8,
    },
    /// A check came up or went down.
    Check(CheckChange),
    /// A hook ended.
    Hook(Hook),
    /// Somebody gave an order.
    Order(Ordered),
    /// An order was refused.
    Refused {
        /// Which.
        order: Order,
        /// Why, a line each.
        lines: Vec<String>,
    },
    /// A record of DNS was written.
    DnsWritten {
        /// What the configuration calls it.
        record: String,
        /// Its name and kind: `www.example.org A`.
        name: String,
        /// What it held before.
        was: Vec<IpAddr>,
        /// What it holds.
        now: IpAddr,
    },
    /// Somebody ordered that a record of DNS hold an address.
    DnsOrdered {
        /// What the configuration calls it.
        record: String,
        /// The address.
        address: IpAddr,
        /// By whom.
        by: Option<By>,
    },
    /// The configuration was read again, and this changed.
    Reloaded {
        /// A line each.
        lines: Vec<String>,
    },
    /// Something held was removed by somebody else, and is back.
    Repaired {
        /// What.
        what: String,
    },
    /// Something left by an earlier run was removed.
    Swept {
        /// What.
        what: String,
    },
    /// Something to look at.
    Trouble {
        /// In one line.
        text: String,
    },
    /// So many entries could not be written before this one.
    Lost {
        /// How many.
        entries: u64,
        /// Why, in one line.
        why: String,
    },
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The daemon's version.
    pub version: String,
    /// What this host is called.
    pub node: String,
    /// The daemon's process.
    pub pid: u32,
    /// Its configuration.
    pub config: String,
    /// The kernel's name for the time since the host was started; empty where it tells none.
    pub boot: String,
    /// How the run before this one ended.
    pub last: LastRun,
}

/// How a run ended, as its record tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum LastRun {
    /// There was none.
    None,
    /// In order.
    Stopped,
    /// By a crash, a kill, or with the whole host.
    Broken {
        /// When it was last heard of.
        seen: Timestamp,
        /// Whether the host was started anew since.
        rebooted: bool,
    },
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Whose.
    #[serde(flatten)]
    pub subject: Subject,
    /// What it was.
    pub from: Standing,
    /// What it is.
    pub to: Standing,
    /// Why, in one word for programs: `silence`, `farewell`, `fault`.
    pub cause: String,
    /// Why, in one line.
    pub why: String,
    /// The effective priority at that moment.
    pub priority: u8,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The other party, where there is one.
    pub peer: Option<IpAddr>,
    /// Of a Master by the voters' leave: in which term.
    #[serde(default)]
    pub term: Option<u64>,
    /// For a Master: how long ago anybody else was last heard as one, in milliseconds.
    #[serde(default)]
    pub silent_ms: Option<u64>,
}

impl Moved {
    /// What the agent tells, and how long ago another Master was heard.
    #[must_use]
    pub fn new(transition: &Transition, silent: Option<Duration>) -> Self {
        let Transition { subject, from, to, why, priority, addresses, peer, term } = transition;
        Moved {
            subject: subject.clone(),
            from: *from,
            to: *to,
            cause: why.name().to_owned(),
            why: why.to_string(),
            priority: *priority,
            addresses: addresses.clone(),
            peer: *peer,
            term: *term,
            silent_ms: silent.map(millis),
        }
    }
}

/// Another Master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterHeard {
    /// Whose Master.
    pub router: RouterName,
    /// Who it is.
    pub source: IpAddr,
    /// The priority it advertises.
    pub priority: u8,
}

/// Leases that were renewed when more than three quarters of them were over, or not before their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLate {
    /// The shortest of them, in milliseconds.
    pub lease_ms: u64,
    /// How long they were not renewed at the worst, in milliseconds.
    pub after_ms: u64,
    /// How often since it last stood here; once a minute at most.
    pub times: u64,
}

/// Another holder beside this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DualMaster {
    /// Of which router.
    pub router: RouterName,
    /// Who it is, where it advertises;
    pub source: Option<IpAddr>,
    /// its priority then.
    pub priority: Option<u8>,
    /// Where it was seen by ARP or neighbour discovery: the address that it says it has,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// and its Ethernet address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Our priority.
    pub ours: u8,
    /// How often it was seen since it last stood here; once an interval or second at most.
    pub times: u64,
}

impl DualMaster {
    /// What the agent tells, and our own priority.
    #[must_use]
    pub fn new(router: RouterName, rival: Rival, ours: u8, times: u64) -> Self {
        let (source, priority, address, mac) = match rival {
            Rival::Master { source, priority } => (Some(source), Some(priority), None, None),
            Rival::Holder { address, mac } => (None, None, Some(address), Some(mac.to_string())),
        };
        DualMaster { router, source, priority, address, mac, ours, times }
    }
}

/// A check came up or went down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckChange {
    /// Its name.
    pub check: CheckName,
    /// Where it stood.
    pub from: health::Standing,
    /// Where it stands.
    pub to: health::Standing,
    /// What failed, where something did.
    pub error: Option<String>,
    /// How long its results had said so, from the start of the first such probe, in milliseconds.
    pub after_ms: u64,
}

/// A hook ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Whose.
    #[serde(flatten)]
    pub subject: Subject,
    /// Its command line.
    pub script: String,
    /// How it ended, in one line.
    pub ended: String,
    /// Whether it did not end with exit code 0.
    pub failed: bool,
    /// How long it ran, in milliseconds.
    pub took_ms: u64,
    /// Older states that this one overtook while waiting.
    pub skipped: u32,
}

impl Hook {
    /// What the doer reports.
    #[must_use]
    pub fn new(end: &HookEnd) -> Self {
        let HookEnd { subject, script, ended, failed, took, skipped } = end.clone();
        Hook { subject, script, ended, failed, took_ms: millis(took), skipped }
    }
}

/// What can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Move the addresses away.
    Handover,
    /// Take part again.
    Resume,
    /// Forget how often it failed.
    Ack,
    /// Read the configuration again.
    Reload,
    /// Let the installed program take the place of this one.
    Restart,
    /// Have a record of DNS hold an address.
    DnsSet,
    /// Stop the daemon.
    Stop,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Order {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Order::Handover => "handover",
            Order::Resume => "resume",
            Order::Ack => "ack",
            Order::Reload => "reload",
            Order::Restart => "restart",
            Order::DnsSet => "dns set",
            Order::Stop => "stop",
            Order::Unknown => "something else",
        }
    }
}

/// An order that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// Which.
    pub order: Order,
    /// Of which router; of all where `None`.
    pub router: Option<RouterName>,
    /// By whom, as the kernel says; `None` for a signal.
    pub by: Option<By>,
}

/// Who was at the other end of the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// The user's number.
    pub uid: u32,
    /// The user's name, where there is one.
    pub user: Option<String>,
    /// The process.
    pub pid: Option<i32>,
}

impl Event {
    /// The router or group that it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match self {
            Event::Transition(Moved { subject, .. }) | Event::Hook(Hook { subject, .. }) => {
                Some(subject.name())
            }
            Event::MasterHeard(MasterHeard { router, .. })
            | Event::DualMasterSeen(DualMaster { router, .. })
            | Event::Priority { router, .. }
            | Event::Lease { router, .. }
            | Event::Damped { router, .. }
            | Event::Order(Ordered { router: Some(router), .. }) => Some(&router.0),
            Event::DnsWritten { record, .. } | Event::DnsOrdered { record, .. } => Some(record),
            _ => None,
        }
    }
}

/// In whole milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::why::{Fault, Why};

    fn moved(why: Why) -> Moved {
        let transition = Transition {
            subject: Subject::Router(RouterName("web".into())),
            from: Standing::Backup,
            to: Standing::Master,
            why,
            priority: 150,
            addresses: vec!["10.0.0.100".parse().unwrap()],
            peer: None,
            term: None,
        };
        Moved::new(&transition, Some(Duration::from_millis(3600)))
    }

    #[test]
    fn a_line_is_one_flat_object_and_comes_back_the_same() {
        let entry = Entry {
            v: FORMAT,
            time: "2026-03-01T10:00:00.250Z".parse().unwrap(),
            clock_ms: 7,
            event: Event::Transition(moved(Why::Silence)),
        };
        let line = r#"{"v":1,"time":"2026-03-01T10:00:00.25Z","clock_ms":7,"event":"transition","router":"web","from":"BACKUP","to":"MASTER","cause":"silence","why":"no Master heard for the down interval","priority":150,"addresses":["10.0.0.100"],"peer":null,"term":null,"silent_ms":3600}"#;
        assert_eq!(serde_json::to_string(&entry).unwrap(), line);
        assert_eq!(serde_json::from_str::<Entry>(line).unwrap(), entry);
    }

    #[test]
    fn a_cause_is_one_word_whatever_belongs_to_it() {
        let fault = Why::Fault(Fault::Check("app: connection refused".to_owned()));
        assert_eq!(moved(fault).cause, "fault");
        assert_eq!(moved(Why::Farewell("10.0.0.1".parse().unwrap())).cause, "farewell");
        assert_eq!(moved(Why::HandedOver).cause, "handed_over");
    }

    #[test]
    fn what_a_newer_version_writes_is_unknown_and_no_error() {
        let line =
            r#"{"v":1,"time":"2026-03-01T10:00:00Z","clock_ms":7,"event":"eclipse","term":9,"for":"a"}"#;
        assert_eq!(serde_json::from_str::<Entry>(line).unwrap().event, Event::Unknown);
    }
}
