//! Packets that were heard, gathered by who sent them.

use super::verdict::{Verdict, judge};
use crate::agent::config::Config;
use crate::vrrp::packet::{Envelope, decode, open_ipv4, open_ipv6, peek_vrid};
use crate::vrrp::succession::Word;
use crate::vrrp::{Checksum, Family, Priority, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// A VRRP packet that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub interface: String,
    /// Whether this host sent it.
    pub ours: bool,
    /// The MAC address that it came from.
    pub mac: Option<[u8; 6]>,
    /// When, by the wall clock, since the Unix epoch.
    pub at: Duration,
    /// The IP packet with its header.
    pub packet: Vec<u8>,
}

/// All that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listened {
    /// For how long.
    pub span: Duration,
    /// Until when, by the wall clock, since the Unix epoch.
    pub end: Duration,
    /// In the order in which they came.
    pub seen: Vec<Seen>,
}

/// The same by sender, with what a configuration makes of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub(super) span: Duration,
    pub(super) end: Duration,
    pub(super) senders: Vec<Sender>,
}

/// Who sent something for one virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub interface: String,
    pub family: Family,
    pub vrid: Option<Vrid>,
    pub source: IpAddr,
    pub ours: bool,
    pub macs: BTreeSet<[u8; 6]>,
    /// How many packets.
    pub count: usize,
    /// When the last came.
    pub last: Duration,
    /// The priority that the last says; 0 is a farewell.
    pub priority: u8,
    /// The addresses that the last names; empty where none can be read.
    pub addresses: Vec<IpAddr>,
    pub checksum: Option<Checksum>,
    /// What this host's configuration makes of the last.
    pub verdict: Option<Verdict>,
}

impl Listened {
    /// Who sent what, judged by `config`.
    #[must_use]
    pub fn by(&self, config: &Config) -> Heard {
        let mut senders: BTreeMap<_, Vec<&Seen>> = BTreeMap::new();
        for seen in &self.seen {
            if let Some(envelope) = open(&seen.packet).filter(|envelope| Word::peek(envelope).is_none()) {
                let vrid = peek_vrid(envelope.payload).map(Vrid::get);
                senders.entry((&seen.interface, vrid, envelope.source, seen.ours)).or_default().push(seen);
            }
        }
        let senders = senders.into_values().filter_map(|packets| Sender::of(&packets, config)).collect();
        Heard { span: self.span, end: self.end, senders }
    }
}

/// The message in an IP packet of either family.
fn open(packet: &[u8]) -> Option<Envelope<'_>> {
    match packet.first()? >> 4 {
        4 => open_ipv4(packet).ok(),
        6 => open_ipv6(packet).ok(),
        _ => None,
    }
}

impl Sender {
    /// The sender of all these, which are of one.
    fn of(packets: &[&Seen], config: &Config) -> Option<Sender> {
        let last = packets.last()?;
        let envelope = open(&last.packet)?;
        let heard = decode(&envelope).ok();
        let advert = heard.as_ref().map(|heard| &heard.advert);
        let verdict = || judge(config, Some(&last.interface), last.at, &envelope);
        Some(Sender {
            interface: last.interface.clone(),
            family: Family::of(envelope.source),
            vrid: peek_vrid(envelope.payload),
            source: envelope.source,
            ours: last.ours,
            macs: packets.iter().filter_map(|seen| seen.mac).collect(),
            count: packets.len(),
            last: last.at,
            priority: advert.and_then(|advert| advert.priority).map_or(0, Priority::get),
            addresses: advert.map(|advert| advert.addresses.to_vec()).unwrap_or_default(),
            checksum: heard.as_ref().and_then(|heard| heard.checksum),
            verdict: (!last.ours).then(verdict),
        })
    }
}
