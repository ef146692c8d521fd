//! Scenario files: who there is, what happens when, and what is expected of it. JSON, in
//! microseconds from the start.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One scenario, or a file of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum File {
    /// Many.
    Many {
        /// About the file.
        #[serde(rename = "_meta", default)]
        meta: Meta,
        /// All of them.
        scenarios: Vec<Scenario>,
    },
    /// One.
    One(Box<Scenario>),
}

/// About a file of scenarios.
#[derive(Debug, Default, Deserialize)]
pub struct Meta {
    /// What the protocol leaves open and no scenario judges.
    #[serde(default)]
    pub implementation_defined: Vec<String>,
}

/// One scenario.
#[derive(Debug, Deserialize)]
pub struct Scenario {
    /// Its short name.
    pub id: String,
    /// What it is about.
    #[serde(default)]
    pub title: String,
    /// The one-way delay of the LAN.
    #[serde(default)]
    pub link_delay_us: f64,
    /// The virtual routers.
    pub vrs: Vec<VirtualRouter>,
    /// What happens.
    #[serde(default)]
    pub events: Vec<Event>,
    /// When it ends.
    pub end_us: f64,
    /// What shall come of it.
    #[serde(default)]
    pub expect: Expect,
}

/// One virtual router and who takes part in it.
#[derive(Debug, Deserialize)]
pub struct VirtualRouter {
    /// Its number.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Its addresses.
    pub vips: Vec<IpAddr>,
    /// Who takes part.
    pub nodes: Vec<Member>,
}

/// One node's part in a virtual router.
#[derive(Debug, Deserialize)]
pub struct Member {
    /// The node.
    pub name: String,
    /// The address it advertises from.
    pub ip: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Its interval in centiseconds.
    pub interval_cs: u16,
    /// Whether it preempts; it does unless it says otherwise.
    #[serde(default = "yes")]
    pub preempt: bool,
}

const fn yes() -> bool {
    true
}

/// Something that happens.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// When.
    pub t_us: f64,
    /// What.
    #[serde(flatten)]
    pub op: Op,
}

/// What can happen.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// A node starts.
    Start {
        /// Which.
        node: String,
    },
    /// A node stops gracefully.
    Stop {
        /// Which.
        node: String,
    },
    /// A node vanishes.
    Crash {
        /// Which.
        node: String,
    },
    /// A node's link loses its carrier.
    LinkDown {
        /// Whose.
        node: String,
    },
    /// A node's link is back.
    LinkUp {
        /// Whose.
        node: String,
    },
    /// Only nodes of one group hear each other.
    Partition {
        /// The groups.
        groups: Vec<Vec<String>>,
    },
    /// All hear each other again.
    Heal {},
    /// Adverts are lost.
    Loss {
        /// Sent by these; by all unless given.
        from: Option<Names>,
        /// On their way to these; to all unless given.
        to: Option<Names>,
        /// So many of them.
        count: Option<u32>,
        /// All of them, until then.
        until_us: Option<f64>,
    },
    /// Adverts take longer.
    Delay {
        /// Sent by these; by all unless given.
        from: Option<Names>,
        /// On their way to these; to all unless given.
        to: Option<Names>,
        /// By so much.
        #[serde(alias = "extra_us", alias = "extra_delay_us", alias = "by_us")]
        delay_us: f64,
        /// Those sent until then; for good unless given.
        until_us: Option<f64>,
    },
    /// A node's priority is configured anew.
    SetPriority {
        /// Whose.
        node: String,
        /// In which virtual router, by place; in all unless given.
        vr: Option<usize>,
        /// To what.
        priority: u8,
    },
    /// A node's interval is configured anew.
    SetInterval {
        /// Whose.
        node: String,
        /// In which virtual router, by place; in all unless given.
        vr: Option<usize>,
        /// To what.
        interval_cs: u16,
    },
    /// A node's preemption is configured anew.
    SetPreempt {
        /// Whose.
        node: String,
        /// In which virtual router, by place; in all unless given.
        vr: Option<usize>,
        /// To what.
        preempt: bool,
    },
    /// A packet that no node sent.
    Inject {
        /// Who gets it.
        to: Names,
        /// For which virtual router, by place; for the first unless given.
        #[serde(default)]
        vr: usize,
        /// What it says.
        packet: Packet,
    },
}

/// One name or many.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Many.
    Many(Vec<String>),
}

impl Names {
    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[String] {
        match self {
            Names::One(name) => std::slice::from_ref(name),
            Names::Many(names) => names,
        }
    }
}

/// A crafted advert.
#[derive(Debug, Deserialize)]
pub struct Packet {
    /// Its source.
    pub src: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Its interval.
    pub interval_cs: u16,
    /// Its version.
    pub version: u8,
    /// Its virtual router's number, where it is not the scenario's.
    pub vrid: Option<u8>,
    /// What is wrong with it.
    pub defect: Option<String>,
}

/// What shall come of a scenario.
#[derive(Debug, Default, Deserialize)]
pub struct Expect {
    /// Who is Master while.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Who changes when.
    #[serde(default)]
    pub transitions: Vec<Move>,
    /// Who says what when; the first of them.
    #[serde(default)]
    pub advertisements: Vec<Said>,
    /// How many adverts there are, by virtual router and node: `0/A`.
    #[serde(default)]
    pub advertisements_total: BTreeMap<String, usize>,
    /// Who is Master at the end, for each virtual router.
    pub final_active: Option<Vec<Vec<String>>>,
}

/// A time in which the Masters do not change.
#[derive(Debug, Deserialize)]
pub struct Window {
    /// Of which virtual router, by place.
    pub vr: usize,
    /// The Masters.
    pub active: Vec<String>,
    /// The part of it that is judged.
    pub assert_sans_io: Option<(f64, f64)>,
}

/// A change of state.
#[derive(Debug, Deserialize)]
pub struct Move {
    /// Of which virtual router, by place.
    pub vr: usize,
    /// Whose.
    pub node: String,
    /// When.
    pub t_us: f64,
    /// From `Initialize`, `Backup` or `Active`,
    pub from: String,
    /// to one of them.
    pub to: String,
    /// When it may be at the earliest and latest; ten milliseconds around unless given.
    pub bounds_us: Option<(f64, f64)>,
}

/// An advert that a node sends.
#[derive(Debug, Deserialize)]
pub struct Said {
    /// For which virtual router, by place.
    pub vr: usize,
    /// Who.
    pub node: String,
    /// When.
    pub t_us: f64,
    /// With which priority; 0 is the farewell.
    pub priority: u8,
    /// What it is for.
    #[serde(default)]
    pub why: String,
}
