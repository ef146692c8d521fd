//! Status: the one snapshot that table, JSON and everything else read. Versioned; see `SCHEMA`.
//!
//! Times are ages in milliseconds at the moment of the snapshot, since the agent has no wall clock.

use super::config::GroupName;
pub use super::record_status::DnsStatus;
use super::transition::{RouterName, Standing};
use crate::health::{self, CheckName};
use crate::vrrp::{Family, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The version of this shape. Fields may be added within a version; none is removed or changed.
pub const SCHEMA: u32 = 1;

/// The whole state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What all of it comes to.
    pub health: Overall,
    /// One line for each thing that is not as it should be.
    pub complaints: Vec<String>,
    /// The routers, in the order of the configuration.
    pub routers: Vec<RouterStatus>,
    /// The checks, in the order of the configuration.
    pub checks: Vec<CheckStatus>,
    /// What was left out of a configuration that is read leniently, a line each with its place.
    #[serde(default)]
    pub skipped: Vec<String>,
    /// How late adverts left, as the daemon saw.
    #[serde(default)]
    pub lateness: LatenessStatus,
    /// What the daemon has counted.
    #[serde(default)]
    pub counts: CountsStatus,
    /// Who receives messages, in the order of the configuration.
    #[serde(default)]
    pub messages: Vec<MessageStatus>,
    /// Records of DNS that move, in the order of the configuration.
    #[serde(default)]
    pub dns: Vec<DnsStatus>,
    /// Facts that the daemon adds: version, node, process.
    #[serde(default)]
    pub daemon: BTreeMap<String, String>,
}

/// What a self-test says that has found nothing wrong.
pub const PASSED: &str = "passed";

impl Status {
    /// Says that these lines of the configuration were left out: with any, not all is as it should be.
    pub fn leave_out(&mut self, skipped: &[String]) {
        if !skipped.is_empty() {
            self.health = self.health.max(Overall::Degraded);
            let things = if skipped.len() == 1 { "thing" } else { "things" };
            self.complaints.push(format!("{} {things} left out of the configuration", skipped.len()));
        }
        skipped.clone_into(&mut self.skipped);
    }

    /// Says how the receivers of messages stand: one that fails is not as it should be.
    pub fn receivers(&mut self, messages: Vec<MessageStatus>) {
        for MessageStatus { name, last_error, .. } in messages.iter().filter(|message| message.failing) {
            let why = last_error.as_deref().unwrap_or("it fails");
            self.cannot(&[format!("message {name}: {why}")]);
        }
        self.messages = messages;
    }

    /// Says how the records of DNS stand: one that cannot be written is not as it should be.
    pub fn records(&mut self, dns: Vec<DnsStatus>) {
        for DnsStatus { name, last_error, .. } in dns.iter().filter(|record| record.failing) {
            let why = last_error.as_deref().unwrap_or("it cannot be written");
            self.cannot(&[format!("dns {name}: {why}")]);
        }
        self.dns = dns;
    }

    /// Says that this was asked for and cannot be had, a line each.
    pub fn cannot(&mut self, refused: &[String]) {
        if !refused.is_empty() {
            self.health = self.health.max(Overall::Degraded);
            self.complaints.extend_from_slice(refused);
        }
    }
}

/// How late adverts left after the moment that they were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatenessStatus {
    /// The worst since the start, in milliseconds.
    pub worst_ms: f64,
    /// The worst of the last minute, in milliseconds.
    pub recent_ms: f64,
}

/// What the daemon has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsStatus {
    /// Addresses, routes and the like that somebody else removed and that were put back.
    pub repaired: u64,
    /// Things left by an earlier run that were removed.
    pub swept: u64,
    /// Entries of the record that are lost.
    pub record_lost: u64,
    /// Times that leased addresses were renewed in the core's own turns.
    pub leases_renewed: u64,
    /// How many of them came when more than three quarters of the lease were over.
    pub leases_late: u64,
    /// Configurations that were adopted.
    pub reloads: u64,
    /// Configurations that were refused.
    pub reloads_refused: u64,
    /// Whether the last one was adopted; `None` where there was none since the start.
    pub reloaded: Option<bool>,
    /// How long ago it was, in milliseconds.
    pub reloaded_ms: Option<u64>,
}

/// What everything comes to; the exit code of `locum status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Everything is as it should be.
    Healthy,
    /// Something is not, but every router can take part.
    Degraded,
    /// A router cannot take part.
    Fault,
}

/// One router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// Its name.
    pub name: RouterName,
    /// The sync group it belongs to.
    pub group: Option<GroupName>,
    /// Its state.
    pub state: Standing,
    /// How long it has been so, in milliseconds.
    pub since_ms: u64,
    /// Why it is so, in one line.
    pub why: String,
    /// Taken out by the operator.
    pub drained: bool,
    /// Where it failed too often: for how long it takes nothing back, in milliseconds from now.
    #[serde(default)]
    pub damped_ms: Option<u64>,
    /// Where a Master has only just come: for how long it is left what it has, in milliseconds from now.
    #[serde(default)]
    pub hold_ms: Option<u64>,
    /// How many of its failures count for that now.
    #[serde(default)]
    pub failures: u64,
    /// What it waits for, in one line; empty where it waits for nothing.
    pub waits_for: String,
    /// When that comes at the latest, in milliseconds from now.
    pub waits_ms: Option<u64>,
    /// The interface, resolved; `None` where there is none.
    pub interface: Option<String>,
    /// The virtual router's number.
    pub vrid: u8,
    /// The protocol version.
    pub version: Version,
    /// Its own interval, in milliseconds.
    pub interval_ms: u32,
    /// How it knows the others, in words without secrets; "none" where it does not.
    #[serde(default)]
    pub authentication: String,
    /// What the voters say to its holding the addresses, in words; "none" where it needs nobody's vote.
    #[serde(default)]
    pub claim: String,
    /// What is wrong with the vote, a line each.
    #[serde(default)]
    pub claim_trouble: Vec<String>,
    /// What its priority is made of.
    pub priority: PriorityStatus,
    /// Its virtual addresses.
    pub addresses: Vec<AddressStatus>,
    /// One entry for each address family.
    pub instances: Vec<InstanceStatus>,
    /// Hooks that ran.
    pub hooks: HookStatus,
    /// How often it became Master, and how often it gave that up.
    pub became_master: u64,
    /// See `became_master`.
    pub left_master: u64,
    /// How often, while Master, another holder was seen: by an advert that loses against ours, once an interval
    /// at most, or by ARP or neighbour discovery, once a second at most.
    #[serde(default)]
    pub dual_master_seen: u64,
    /// Who that was, the latest first; the last sixteen.
    #[serde(default)]
    pub rivals: Vec<RivalStatus>,
    /// Its changes of state, by what it became and why.
    #[serde(default)]
    pub transitions: Vec<TransitionStatus>,
    /// When it last became Master: how long the one that it had followed had not been heard, in milliseconds;
    /// `None` where it had followed nobody.
    #[serde(default)]
    pub detected_ms: Option<f64>,
    /// From the same moment until every address was here, in milliseconds.
    #[serde(default)]
    pub recovered_ms: Option<f64>,
    /// How often the kernel did not let it hold its addresses.
    #[serde(default)]
    pub hold_errors: u64,
    /// The vote in numbers; `None` where it needs nobody's, or there is none yet.
    #[serde(default)]
    pub vote: Option<VoteStatus>,
}

/// Another holder of what a Master holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RivalStatus {
    /// Of a Master whose adverts lose against ours: who sends them.
    pub source: Option<IpAddr>,
    /// Of a host that says that it has one of the addresses: the last one that it said so of,
    pub address: Option<IpAddr>,
    /// and at which Ethernet address it says that it is.
    pub mac: Option<String>,
    /// How long ago it was last seen, in milliseconds.
    pub seen_ms: u64,
    /// How often it was seen.
    pub times: u64,
}

/// How often a router came to a state for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionStatus {
    /// What it became.
    pub to: Standing,
    /// Why, in one word.
    pub cause: String,
    /// How often.
    pub count: u64,
}

/// What the voters say, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteStatus {
    /// Whether this host has the claim now.
    pub held: bool,
    /// In which term; `None` where it has none.
    pub term: Option<u64>,
    /// How long it still has it, in milliseconds; `None` where it has none.
    pub ends_ms: Option<u64>,
    /// How many voters there are.
    pub voters: usize,
    /// How many of them said yes to it, and that of late.
    pub granted: usize,
}

/// What a priority is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityStatus {
    /// What is advertised.
    pub effective: u8,
    /// What is configured.
    pub base: u8,
    /// What each tracked check adds, zero included.
    pub tracks: Vec<TrackStatus>,
}

/// One tracked check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackStatus {
    /// The check.
    pub check: CheckName,
    /// How it stands.
    pub state: health::Standing,
    /// What it adds now.
    pub adds: i32,
    /// Whether it alone puts the router in Fault when down.
    pub fault: bool,
}

/// One virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// Whether the kernel has it from us: from its word that it does to its word that it does not any more.
    pub held: bool,
    /// How often somebody removed it and it was put back.
    pub restored: u64,
    /// Something else has it on this host, which does not hold it.
    #[serde(default)]
    pub intruded: bool,
    /// How often something else put it there while a claim to it was required, and it was taken away.
    #[serde(default)]
    pub evicted: u64,
    /// How long the kernel keeps it without being told to, in milliseconds; `None` for ever.
    #[serde(default)]
    pub lease_ms: Option<u64>,
}

/// One address family of a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// The family.
    pub family: Family,
    /// The address its adverts leave from.
    pub source: Option<IpAddr>,
    /// The current Master: ourselves, or the one heard last.
    pub master: Option<IpAddr>,
    /// By multicast, or by unicast to the configured peers.
    pub unicast: bool,
    /// Everybody heard, by address.
    pub peers: Vec<PeerStatus>,
    /// Adverts sent.
    pub sent: u64,
    /// Adverts heard and accepted.
    pub heard: u64,
    /// Farewells among the adverts sent.
    #[serde(default)]
    pub farewells_sent: u64,
    /// Farewells among the adverts heard.
    #[serde(default)]
    pub farewells_heard: u64,
    /// Packets that could not be sent.
    pub send_errors: u64,
    /// The last such error.
    pub last_send_error: Option<String>,
    /// How long ago it was, in milliseconds.
    pub last_send_error_ms: Option<u64>,
    /// Packets refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Valid adverts deliberately not followed, by reason.
    pub discarded: BTreeMap<String, u64>,
    /// Announcement frames sent, and those that could not be.
    pub announced: u64,
    /// See `announced`.
    pub announce_errors: u64,
    /// The self-test of the virtual MAC address: [`PASSED`], or one line that tells what is wrong; `None` where
    /// nobody has asked for the addresses by ARP since they are here, or they have none.
    #[serde(default)]
    pub arp_test: Option<String>,
    /// The second path: [`IN_USE`], or one line that tells what is wrong with either; `None` without one.
    #[serde(default)]
    pub second_path: Option<String>,
}

/// What is said of a second path by which all is well.
pub const IN_USE: &str = "in use";

/// Somebody heard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its source address.
    pub address: IpAddr,
    /// Whether it is one of the peers that unicast goes to.
    #[serde(default)]
    pub configured: bool,
    /// How long ago its last valid advert came, in milliseconds; `None` where none ever did.
    pub heard_ms: Option<u64>,
    /// The priority it advertised last; 0 is a farewell.
    pub priority: Option<u8>,
    /// The interval it advertised last, in milliseconds.
    pub interval_ms: Option<u32>,
    /// Valid adverts from it.
    pub adverts: u64,
    /// How far its clock is ahead of ours, by its last signature, in milliseconds; `None` without one.
    #[serde(default)]
    pub clock_ms: Option<i64>,
    /// How far it may be, either way, in milliseconds.
    #[serde(default)]
    pub clock_window_ms: Option<u64>,
    /// Packets of it that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Why the last of them was, for people.
    pub last_refused: Option<String>,
    /// How long ago that was, in milliseconds.
    pub last_refused_ms: Option<u64>,
    /// What is odd about it: other addresses, other interval, our priority.
    pub remarks: Vec<String>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: CheckName,
    /// How it stands.
    pub state: health::Standing,
    /// How long, in milliseconds.
    pub since_ms: u64,
    /// The number last read, where one is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// The last failure's line, while the last result is a failure.
    pub error: Option<String>,
    /// How long the last attempt took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// How long ago the last result came, in milliseconds.
    pub checked_ms: Option<u64>,
    /// All results since the start.
    #[serde(default)]
    pub results: ResultsStatus,
}

/// What all results of a check came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultsStatus {
    /// How many counted as a pass.
    pub passed: u64,
    /// How many did not.
    pub failed: u64,
    /// How long all of them took together, in milliseconds.
    pub latency_sum_ms: f64,
    /// How many took no longer than each of [`health::LATENCY_ENDS`] and longer than the one before; last the
    /// rest.
    pub latency: Vec<u64>,
}

/// The hooks of a router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HookStatus {
    /// How many ended.
    pub ran: u64,
    /// How many of them did not end with exit code 0.
    pub failed: u64,
    /// Transitions overtaken while waiting.
    pub skipped: u64,
    /// Whether the last one failed.
    pub last_failed: bool,
    /// The last one: script and how it ended.
    pub last: Option<String>,
}

/// One who receives messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStatus {
    /// Its name.
    pub name: String,
    /// Messages that it took.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Transitions that it will not be told of, because it refused them or all attempts failed.
    pub dropped: u64,
    /// Transitions that it had been told of a moment before.
    pub repeated: u64,
    /// Transitions that wait, with those that it is just being told of.
    pub waiting: u64,
    /// Whether the last attempt failed.
    pub failing: bool,
    /// Why the last one that failed did, without secrets.
    pub last_error: Option<String>,
}

/// What others count together of what was refused, by the names that have a counter here.
pub mod refusals {
    use std::collections::BTreeMap;

    /// Its length is not what it should be.
    pub const LENGTH: &[&str] =
        &["ip-header", "ip-length", "fragment", "truncated", "count-zero", "trailing-bytes"];
    /// Its interval is not ours.
    pub const INTERVAL: &[&str] = &["interval-mismatch", "interval-zero"];
    /// It may have come through a router.
    pub const TTL: &[&str] = &["ttl"];
    /// It is no advertisement.
    pub const TYPE: &[&str] = &["type"];
    /// Its addresses are not allowed.
    pub const ADDRESSES: &[&str] = &["first-not-link-local"];
    /// Its sender shows in another way than ours who it is.
    pub const AUTH_TYPE: &[&str] = &["auth-type"];
    /// Its sender does not know the secret.
    pub const AUTH_FAILURE: &[&str] = &["wrong-password", "bad-digest", "other-spi"];
    /// Its sum is wrong.
    pub const CHECKSUM: &[&str] = &["ip-checksum", "checksum"];
    /// It is of another version.
    pub const VERSION: &[&str] = &["version"];
    /// It is of no router that is known here.
    pub const VRID: &[&str] = &["vrid-zero", "vrid-unknown"];

    /// How many there were, of all these together.
    #[must_use]
    pub fn sum(refused: &BTreeMap<String, u64>, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| refused.get(*name)).sum()
    }
}

impl InstanceStatus {
    /// How many packets were refused for any of these reasons.
    #[must_use]
    pub fn refusals(&self, names: &[&str]) -> u64 {
        refusals::sum(&self.refused, names)
    }
}
