//! Routes and rules that move with a router: plain facts, as an operator writes them.
//!
//! What they mean to the kernel is in `net::route` and `net::rule`.

use crate::vrrp::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// The routing table that holds where nothing else is said.
pub const MAIN_TABLE: u32 = 254;

/// A network, or with the full prefix length a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Network {
    /// Its address; bits beyond the prefix are clear.
    pub address: IpAddr,
    /// Its prefix length: 0 to 32, or 128.
    pub prefix: u8,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// One entry of a routing table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The family; with a destination, that of the destination.
    pub family: Family,
    /// Where it leads; `None` is the default route.
    pub destination: Option<Network>,
    /// What becomes of a packet.
    pub kind: RouteKind,
    /// The ways there. More than one share the load; of a blackhole and the like there is none.
    pub hops: Vec<Hop>,
    /// The source address of this host's own packets.
    pub source: Option<IpAddr>,
    /// The table.
    pub table: u32,
    /// The smaller one wins. `None`: what the kernel does, 0 for IPv4 and 1024 for IPv6.
    pub metric: Option<u32>,
    /// The kernel scope (0 global, 253 link, 254 host), IPv4 only. `None`: as the kind and hops ask for.
    pub scope: Option<u8>,
    /// Only packets with this type of service, IPv4 only; 0 is all.
    pub tos: u8,
    /// What is set for the connections over it.
    pub options: BTreeMap<RouteOption, u32>,
    /// How the connections over it avoid congestion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub congestion: Option<Congestion>,
    /// Which one of several equal routers is taken, IPv6 only. `None`: what the kernel does, medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<Preference>,
}

impl Route {
    /// A unicast route in the main table with nothing special; hops and all else can be set.
    #[must_use]
    pub fn new(family: Family, destination: Option<Network>) -> Self {
        Route {
            family,
            destination,
            kind: RouteKind::Unicast,
            hops: Vec::new(),
            source: None,
            table: MAIN_TABLE,
            metric: None,
            scope: None,
            tos: 0,
            options: BTreeMap::new(),
            congestion: None,
            preference: None,
        }
    }
}

/// An algorithm of congestion control (`RTAX_CC_ALGO`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Congestion {
    /// Its name, such as `bbr`; at most 15 bytes.
    pub algorithm: String,
    /// A program cannot choose another.
    pub locked: bool,
}

/// The preference of a router (RFC 4191 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are named as the words they stand for")]
pub enum Preference {
    Low,
    Medium,
    High,
}

/// What packets are counted under, IPv4 only: see `tc-route(8)`. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Realms {
    /// That of where they come from.
    pub from: u16,
    /// That of where they go.
    pub to: u16,
}

impl fmt::Display for Realms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from > 0 {
            write!(f, "{}/", self.from)?;
        }
        write!(f, "{}", self.to)
    }
}

/// What becomes of a packet that a route matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// It is sent on.
    Unicast,
    /// It is taken in, as for an address of this host.
    Local,
    /// It is broadcast.
    Broadcast,
    /// It is sent to a group.
    Multicast,
    /// It is dropped in silence.
    Blackhole,
    /// It is dropped, and the sender told that there is no way.
    Unreachable,
    /// It is dropped, and the sender told that it is not allowed.
    Prohibit,
    /// The search goes on with the next rule.
    Throw,
}

impl RouteKind {
    fn word(self) -> &'static str {
        match self {
            RouteKind::Unicast => "unicast",
            RouteKind::Local => "local",
            RouteKind::Broadcast => "broadcast",
            RouteKind::Multicast => "multicast",
            RouteKind::Blackhole => "blackhole",
            RouteKind::Unreachable => "unreachable",
            RouteKind::Prohibit => "prohibit",
            RouteKind::Throw => "throw",
        }
    }
}

/// The next station of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hop {
    /// The gateway. An IPv4 route may go by an IPv6 one.
    pub via: Option<IpAddr>,
    /// The interface; `None` where the gateway's network says it.
    pub dev: Option<String>,
    /// Its share among several, less one, as the kernel counts: 0 to 255.
    pub extra_weight: u8,
    /// The gateway is on the link, whatever the addresses say.
    pub onlink: bool,
    /// What packets this way are counted under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realms: Option<Realms>,
}

/// What a route sets for the connections over it (`RTAX_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteOption {
    /// The largest packet in bytes.
    Mtu,
    /// The same, and path MTU discovery does not lower it.
    LockedMtu,
    /// The largest window in bytes.
    Window,
    /// The first round trip time in milliseconds.
    Rtt,
    /// The first variation of it in milliseconds.
    RttVariation,
    /// The first slow-start threshold in segments.
    SlowStart,
    /// The congestion window's upper bound in segments.
    CongestionWindow,
    /// The segment size that is advertised, in bytes.
    AdvertisedSegment,
    /// The reordering that is tolerated, in segments.
    Reordering,
    /// The hop limit: 1 to 255.
    HopLimit,
    /// The first congestion window in segments.
    InitialWindow,
    /// Explicit congestion notification: 1.
    Ecn,
    /// The smallest retransmission timeout in milliseconds.
    MinimumTimeout,
    /// The first window that is advertised, in segments.
    InitialReceiveWindow,
    /// Acknowledge at once: 1.
    QuickAck,
    /// TCP Fast Open without a cookie: 1.
    FastOpenNoCookie,
}

/// One entry of the list that says which routing table is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// The family.
    pub family: Family,
    /// Packets from here.
    pub from: Option<Network>,
    /// Packets to there.
    pub to: Option<Network>,
    /// Packets that came in by this interface.
    pub iif: Option<String>,
    /// Packets of this host's sockets that are bound to this interface.
    pub oif: Option<String>,
    /// Packets with this mark, under this mask.
    pub mark: Option<(u32, u32)>,
    /// Packets with this type of service; 0 is all.
    pub tos: u8,
    /// Packets of this IP protocol.
    pub protocol: Option<u8>,
    /// Packets from these ports, first and last.
    pub source_ports: Option<(u16, u16)>,
    /// Packets to these ports, first and last.
    pub destination_ports: Option<(u16, u16)>,
    /// Packets of these users' sockets, first and last.
    pub users: Option<(u32, u32)>,
    /// All other packets instead of these.
    pub inverted: bool,
    /// The place in the list, the smallest first. `None`: before all others but the first.
    pub priority: Option<u32>,
    /// What is done.
    pub action: RuleAction,
    /// Take no route of the table with a prefix this short or shorter.
    pub suppress_prefix: Option<u32>,
    /// Take no route of the table out of an interface of this group.
    pub suppress_group: Option<u32>,
    /// Packets that came by the tunnel of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<u64>,
    /// What packets are counted under, where the route does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realms: Option<Realms>,
}

impl Rule {
    /// A rule for all packets of a family; what it asks for can be set.
    #[must_use]
    pub fn new(family: Family, action: RuleAction) -> Self {
        Rule {
            family,
            from: None,
            to: None,
            iif: None,
            oif: None,
            mark: None,
            tos: 0,
            protocol: None,
            source_ports: None,
            destination_ports: None,
            users: None,
            inverted: false,
            priority: None,
            action,
            suppress_prefix: None,
            suppress_group: None,
            tunnel: None,
            realms: None,
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Asks this table.
    Lookup(u32),
    /// Asks the table of the VRF that the packet's interface is in (`l3mdev`).
    Vrf,
    /// Goes on with the rule of this priority, which comes later.
    Goto(u32),
    /// Does nothing.
    Nop,
    /// Drops in silence.
    Blackhole,
    /// Drops, and tells the sender that there is no way.
    Unreachable,
    /// Drops, and tells the sender that it is not allowed.
    Prohibit,
}

impl fmt::Display for Route {
    /// As `ip route` would have it, without the options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind.word())?;
        }
        match &self.destination {
            Some(network) => write!(f, "{network}")?,
            None => write!(f, "default")?,
        }
        for hop in &self.hops {
            if let Some(via) = hop.via {
                write!(f, " via {via}")?;
            }
            if let Some(dev) = &hop.dev {
                write!(f, " dev {dev}")?;
            }
        }
        if self.table != MAIN_TABLE {
            write!(f, " table {}", self.table)?;
        }
        self.metric.map_or(Ok(()), |metric| write!(f, " metric {metric}"))
    }
}

impl fmt::Display for Rule {
    /// As `ip rule` would have it, with what is most used.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(priority) = self.priority {
            write!(f, "{priority}: ")?;
        }
        if self.inverted {
            write!(f, "not ")?;
        }
        match self.from {
            Some(from) => write!(f, "from {from}")?,
            None => write!(f, "from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        for (word, name) in [("iif", &self.iif), ("oif", &self.oif)] {
            if let Some(name) = name {
                write!(f, " {word} {name}")?;
            }
        }
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        match self.action {
            RuleAction::Lookup(table) => write!(f, " lookup {table}"),
            RuleAction::Vrf => write!(f, " lookup [l3mdev-table]"),
            RuleAction::Goto(priority) => write!(f, " goto {priority}"),
            RuleAction::Nop => write!(f, " nop"),
            RuleAction::Blackhole => write!(f, " blackhole"),
            RuleAction::Unreachable => write!(f, " unreachable"),
            RuleAction::Prohibit => write!(f, " prohibit"),
        }
    }
}
