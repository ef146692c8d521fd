//! Packet filters: chains of rules as the kernel walks them, for one packet that is not sent.
//!
//! What a rule asks and cannot be known here (rate limits, marks, other modules) is answered both ways: see
//! [`Filter::fate`]. How the rules are written is `nft`'s and `iptables`'.

use super::network::within;
use crate::vrrp::{Family, PROTOCOL, ah};
use std::net::IpAddr;

/// How deep chains may call each other; the kernel allows no more.
const DEEPEST: u32 = 16;

/// A packet of ours, or for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Comes in, or goes out.
    pub way: Way,
    /// By this interface, where that is known.
    pub interface: Option<String>,
    /// Its family.
    pub family: Family,
    /// Its IP protocol.
    pub protocol: u8,
    /// Who sends it, where that is known.
    pub source: Option<IpAddr>,
    /// Where to, where that is known.
    pub destination: Option<IpAddr>,
    /// The port it is for, where its protocol has any.
    pub port: Option<u16>,
}

/// Comes in, or goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// For this host.
    In,
    /// From this host.
    Out,
}

/// All chains of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In the order in which the kernel told of them.
    pub chains: Vec<Chain>,
}

/// One chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The tool that changes it: `nft`, `iptables` and the like.
    pub tool: &'static str,
    /// The families that it is for: `ip`, `ip6` or `inet`.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Which packets begin here; `None` where other chains call it.
    pub way: Option<Way>,
    /// What becomes of a packet at its end, where packets begin here.
    pub drops: bool,
    /// In their order.
    pub rules: Vec<Rule>,
}

/// One rule: what all has to hold, and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// All of them have to hold.
    pub tests: Vec<Test>,
    /// What follows then; `None` where the packet goes on.
    pub verdict: Option<Verdict>,
    /// How a person finds it.
    pub named: String,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Through, as far as this hook goes.
    Accept,
    /// Gone.
    Drop,
    /// On in this chain, and back.
    Jump(String),
    /// On in this chain.
    Goto(String),
    /// Back.
    Return,
}

/// One question of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// About what.
    pub field: Field,
    /// None of the values may hold, else one has to.
    pub negated: bool,
    /// What it may be.
    pub values: Vec<Value>,
}

/// What a rule may ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The interface that a packet comes in by.
    Input,
    /// The interface that it leaves by.
    Output,
    /// The protocol behind the IP header.
    Protocol,
    /// The family, as `ipv4` or `ipv6`.
    Family,
    /// The sender.
    Source,
    /// The receiver.
    Destination,
    /// The port it is for.
    Port,
    /// What connection tracking knows of it: of an advert nothing, each is a new one.
    State,
    /// To whom: `multicast`, or this host alone.
    Cast,
    /// Something else, which is not understood here.
    Other,
}

/// What a field may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word, or a name with a star at its end.
    Word(String),
    /// A number from here to there.
    Range(u64, u64),
    /// An address in this network.
    Network(IpAddr, u8),
    /// An address from here to there.
    Addresses(IpAddr, IpAddr),
    /// Something that is not understood here.
    Unknown,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It gets through; or nothing that is understood here stops it.
    Passes,
    /// It is lost: in this base chain, by this rule or policy.
    Lost(Loss),
    /// It is lost unless a rule lets it through that is not understood here.
    Unsure(Loss),
}

/// Where a packet is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The place in [`Filter::chains`] of the base chain.
    pub chain: usize,
    /// The rule, or the policy, for people.
    pub by: String,
}

/// What one chain does.
enum Walked {
    Accepted,
    Dropped(String),
    Through,
}

impl Filter {
    /// What becomes of `packet`: lost where any base chain loses it.
    #[must_use]
    pub fn fate(&self, packet: &Packet) -> Fate {
        let mut unsure = None;
        let starts = |chain: &Chain| chain.way == Some(packet.way) && chain.is_for(packet.family);
        for (place, chain) in self.chains.iter().enumerate().filter(|(_, chain)| starts(chain)) {
            let loss = |by: String| Loss { chain: place, by };
            match (self.ends(chain, packet, false), self.ends(chain, packet, true)) {
                (Some(by), Some(_)) => return Fate::Lost(loss(by)),
                (Some(by), None) => unsure = unsure.or(Some(loss(by))),
                (None, _) => {}
            }
        }
        unsure.map_or(Fate::Passes, Fate::Unsure)
    }

    /// By what a base chain loses a packet, where everything that is not known is `guess`.
    fn ends(&self, chain: &Chain, packet: &Packet, guess: bool) -> Option<String> {
        match self.walk(chain, packet, guess, 0) {
            Walked::Accepted => None,
            Walked::Dropped(by) => Some(by),
            Walked::Through => chain.drops.then(|| "its policy".to_owned()),
        }
    }

    fn walk(&self, chain: &Chain, packet: &Packet, guess: bool, depth: u32) -> Walked {
        for rule in &chain.rules {
            if !rule.tests.iter().all(|test| test.holds(packet).unwrap_or(guess)) {
                continue;
            }
            let call = |name: &str| match self.called(chain, name).filter(|_| depth < DEEPEST) {
                Some(called) => self.walk(called, packet, guess, depth + 1),
                None => Walked::Through,
            };
            match &rule.verdict {
                None => {}
                Some(Verdict::Accept) => return Walked::Accepted,
                Some(Verdict::Drop) => return Walked::Dropped(rule.named.clone()),
                Some(Verdict::Return) => return Walked::Through,
                Some(Verdict::Goto(name)) => return call(name),
                Some(Verdict::Jump(name)) => match call(name) {
                    Walked::Through => {}
                    end => return end,
                },
            }
        }
        Walked::Through
    }

    fn called(&self, from: &Chain, name: &str) -> Option<&Chain> {
        let there = |chain: &&Chain| {
            (chain.tool, &chain.family, &chain.table) == (from.tool, &from.family, &from.table)
                && chain.name == name
        };
        self.chains.iter().find(there)
    }
}

impl Chain {
    fn is_for(&self, family: Family) -> bool {
        match &*self.family {
            "ip" => family == Family::Ipv4,
            "ip6" => family == Family::Ipv6,
            other => other == "inet",
        }
    }
}

impl Test {
    /// What is not understood here.
    #[must_use]
    pub fn unknown() -> Test {
        Test { field: Field::Other, negated: false, values: Vec::new() }
    }

    /// Whether it holds; `None` where that is not known.
    fn holds(&self, packet: &Packet) -> Option<bool> {
        if self.field == Field::Other {
            return None;
        }
        let mut any = Some(false);
        for value in &self.values {
            // One that holds decides; else each has to be known.
            match self.field.is(packet, value) {
                Some(true) => return Some(!self.negated),
                Some(false) => {}
                None => any = None,
            }
        }
        any.map(|any| any != self.negated)
    }
}

impl Field {
    fn is(self, packet: &Packet, value: &Value) -> Option<bool> {
        let interface = |way| {
            if packet.way == way { packet.interface.clone() } else { Some(String::new()) }
        };
        match self {
            Field::Input => word(&interface(Way::In)?, value),
            Field::Output => word(&interface(Way::Out)?, value),
            Field::Protocol => match value {
                Value::Word(name) => Some(protocol(name)? == packet.protocol),
                _ => number(packet.protocol.into(), value),
            },
            Field::Family => word(if packet.family == Family::Ipv4 { "ipv4" } else { "ipv6" }, value),
            Field::Source => address(packet.source, packet.family, value),
            Field::Destination => address(packet.destination, packet.family, value),
            Field::Port => packet.port.map_or(Some(false), |port| number(port.into(), value)),
            Field::State => word("new", value),
            Field::Cast => {
                word(if packet.destination?.is_multicast() { "multicast" } else { "local" }, value)
            }
            Field::Other => None,
        }
    }
}

fn word(is: &str, value: &Value) -> Option<bool> {
    let Value::Word(word) = value else { return None };
    Some(word.strip_suffix('*').map_or(word == is, |start| is.starts_with(start)))
}

fn number(is: u64, value: &Value) -> Option<bool> {
    match value {
        Value::Range(from, to) => Some((*from..=*to).contains(&is)),
        _ => None,
    }
}

fn address(is: Option<IpAddr>, family: Family, value: &Value) -> Option<bool> {
    let (from, to) = match value {
        Value::Network(network, 0) => return Some(Family::of(*network) == family),
        Value::Network(network, prefix) => return Some(within(is?, *network, *prefix)),
        Value::Addresses(from, to) => (*from, *to),
        _ => return None,
    };
    Some((from..=to).contains(&is?))
}

/// The number of a protocol by the name that the tools print.
fn protocol(name: &str) -> Option<u8> {
    Some(match name {
        "vrrp" | "carp" => PROTOCOL,
        "ah" => ah::PROTOCOL,
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "icmpv6" | "ipv6-icmp" => 58,
        "ospf" => 89,
        "pim" => 103,
        "sctp" => 132,
        other => return other.parse().ok(),
    })
}
