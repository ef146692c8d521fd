//! Everybody heard on behalf of one instance: what they said last, and why they were refused.
//!
//! Bounded: a flood of made-up senders pushes out made-up senders first.

use super::status::PeerStatus;
use crate::time::Time;
use crate::vrrp::instance::Discard;
use crate::vrrp::packet::{Heard, Refusal, Remark};
use crate::vrrp::{Interval, Priority};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// The most senders remembered for one instance.
const MOST: usize = 64;

/// Everybody heard.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// By address. Most routers hear one other, of which a map would take the room of eleven.
    known: Vec<(IpAddr, Peer)>,
    /// Valid adverts, all senders together.
    pub heard: u64,
    /// Refused packets, all senders together.
    pub refused: BTreeMap<Refusal, u64>,
    /// Valid adverts deliberately not followed.
    pub discarded: BTreeMap<Discard, u64>,
}

#[derive(Debug, Default)]
struct Peer {
    seen: Time,
    heard: Option<(Time, Option<Priority>, Interval)>,
    adverts: u64,
    refused: BTreeMap<Refusal, u64>,
    last_refused: Option<(Time, Refusal)>,
    remarks: Vec<Remark>,
    same_priority: bool,
    clock: Option<Offset>,
}

/// How a sender's clock and ours differ, by its last signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// Positive where the sender's clock is ahead, in milliseconds.
    pub ahead: i64,
    /// From where on nothing is believed, in milliseconds.
    pub window: u64,
}

impl Offset {
    /// Whether it is worth a word: more than half of what is tolerated.
    fn is_wide(self) -> bool {
        self.ahead.unsigned_abs() > self.window / 2
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.ahead < 0 { "behind" } else { "ahead of" };
        let (apart, window) = (self.ahead.unsigned_abs(), self.window / 1000);
        write!(
            f,
            "its clock is {apart} ms {way} ours, and beyond {window} s its adverts are refused: mend the clocks"
        )
    }
}

impl Peers {
    /// Counts a valid advert. Returns what was not odd about this sender before.
    pub fn hear(&mut self, now: Time, heard: &Heard, own: Priority) -> Vec<Remark> {
        self.heard += 1;
        let mut remarks = heard.remarks.clone();
        if heard.advert.priority == Some(Priority::OWNER) && self.has_other_owner(now, heard.source) {
            remarks.push(Remark::TwoOwners);
        }
        let peer = self.peer(now, heard.source);
        let news = remarks.iter().copied().filter(|r| !peer.remarks.contains(r)).collect();
        peer.adverts += 1;
        peer.heard = Some((now, heard.advert.priority, heard.advert.interval));
        peer.remarks = remarks;
        peer.same_priority = heard.advert.priority == Some(own);
        news
    }

    /// Whether somebody else has claimed priority 255 of late (RFC 9568 section 8.3.2).
    fn has_other_owner(&self, now: Time, source: IpAddr) -> bool {
        self.known.iter().any(|(address, peer)| {
            let owner = |(at, priority, interval): (Time, Option<Priority>, Interval)| {
                priority == Some(Priority::OWNER) && now.since(at) <= interval.duration() * 3
            };
            *address != source && peer.heard.is_some_and(owner)
        })
    }

    /// Counts an advert that is the same as the last one of this sender.
    pub fn hear_again(&mut self, now: Time, source: IpAddr) {
        self.heard += 1;
        if let Some((_, peer)) = self.known.iter_mut().find(|(address, _)| *address == source) {
            peer.seen = now;
            peer.adverts += 1;
            if let Some((at, ..)) = &mut peer.heard {
                *at = now;
            }
        }
    }

    /// Notes how far a sender's clock is off. Whether that has become worth a word.
    pub fn compare_clocks(&mut self, now: Time, source: IpAddr, offset: Offset) -> bool {
        let before = self.peer(now, source).clock.replace(offset);
        offset.is_wide() && !before.is_some_and(Offset::is_wide)
    }

    /// Counts a refused packet. Returns how many of this kind this sender has sent.
    pub fn refuse(&mut self, now: Time, source: IpAddr, refusal: Refusal) -> u64 {
        *self.refused.entry(refusal).or_default() += 1;
        let peer = self.peer(now, source);
        peer.last_refused = Some((now, refusal));
        let count = peer.refused.entry(refusal).or_default();
        *count += 1;
        *count
    }

    /// The sender of the latest valid advert that was no farewell, not older than `since`.
    pub fn latest(&self, since: Time) -> Option<IpAddr> {
        self.known
            .iter()
            .filter_map(|(address, peer)| match peer.heard {
                Some((at, Some(_), _)) if at >= since => Some((at, *address)),
                _ => None,
            })
            .max()
            .map(|(_, address)| address)
    }

    /// When anybody's valid advert came last, farewells included.
    pub fn last(&self) -> Option<Time> {
        self.known.iter().filter_map(|(_, peer)| peer.heard.map(|(at, ..)| at)).max()
    }

    /// When this sender's last valid advert came, unless that was a farewell.
    pub fn heard_from(&self, source: IpAddr) -> Option<Time> {
        let (at, priority, _) = self.known[self.place(source).ok()?].1.heard?;
        priority.map(|_| at)
    }

    /// For status: everybody heard, and the configured ones that never were.
    pub fn status(&self, now: Time, configured: &[IpAddr]) -> Vec<PeerStatus> {
        let silent = configured.iter().filter(|peer| self.place(**peer).is_err());
        let silent = silent.map(|address| Peer::default().status(now, *address, true));
        let known = self.known.iter();
        known.map(|(a, peer)| peer.status(now, *a, configured.contains(a))).chain(silent).collect()
    }

    fn peer(&mut self, now: Time, source: IpAddr) -> &mut Peer {
        let known = self.place(source);
        if known.is_err() && self.known.len() >= MOST {
            // Whoever never sent a valid advert goes first, then whoever was seen longest ago.
            let least =
                self.known.iter().enumerate().min_by_key(|(_, (_, peer))| (peer.adverts > 0, peer.seen));
            if let Some(place) = least.map(|(place, _)| place) {
                self.known.remove(place);
            }
        }
        let place = known.or_else(|_| self.place(source)).unwrap_or_else(|place| {
            self.known.reserve_exact(1);
            self.known.insert(place, (source, Peer::default()));
            place
        });
        let (_, peer) = &mut self.known[place];
        peer.seen = now;
        peer
    }

    /// Where this sender stands, or would.
    fn place(&self, source: IpAddr) -> Result<usize, usize> {
        self.known.binary_search_by_key(&source, |(address, _)| *address)
    }
}

impl Peer {
    fn status(&self, now: Time, address: IpAddr, configured: bool) -> PeerStatus {
        let mut remarks: Vec<String> = self.remarks.iter().map(ToString::to_string).collect();
        if self.same_priority {
            remarks.push("the sender has our priority: the greater address wins".to_owned());
        }
        remarks.extend(self.clock.filter(|offset| offset.is_wide()).map(|offset| offset.to_string()));
        PeerStatus {
            address,
            configured,
            heard_ms: self.heard.map(|(at, ..)| millis(now.since(at))),
            priority: self.heard.map(|(_, priority, _)| priority.map_or(0, Priority::get)),
            interval_ms: self.heard.map(|(_, _, interval)| u32::from(interval.centiseconds()) * 10),
            adverts: self.adverts,
            clock_ms: self.clock.map(|offset| offset.ahead),
            clock_window_ms: self.clock.map(|offset| offset.window),
            refused: by_name(&self.refused, Refusal::name),
            last_refused: self.last_refused.map(|(_, refusal)| refusal.to_string()),
            last_refused_ms: self.last_refused.map(|(at, _)| millis(now.since(at))),
            remarks,
        }
    }
}

/// Counters under the names they are shown with.
pub(super) fn by_name<K: Copy>(
    counts: &BTreeMap<K, u64>,
    name: fn(K) -> &'static str,
) -> BTreeMap<String, u64> {
    counts.iter().map(|(key, count)| (name(*key).to_owned(), *count)).collect()
}

/// Whole milliseconds.
pub(super) fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::auth::Seal;

    #[test]
    fn a_flood_of_strangers_does_not_push_out_a_real_peer() {
        let mut peers = Peers::default();
        let real: IpAddr = "10.0.0.2".parse().unwrap();
        let advert = crate::vrrp::Advert {
            version: crate::vrrp::Version::V3,
            vrid: crate::vrrp::Vrid::new(1).unwrap(),
            priority: Some(Priority::DEFAULT),
            interval: Interval::SECOND,
            addresses: [real].into(),
        };
        let heard = Heard { source: real, advert, checksum: None, seal: Seal::None, remarks: Vec::new() };
        peers.hear(Time::ZERO, &heard, Priority::DEFAULT);
        for n in 0..1000_u32 {
            let stranger = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0b00_0000 + n));
            peers.refuse(Time::from_nanos(n.into()), stranger, Refusal::Checksum);
        }
        let status = peers.status(Time::from_nanos(1000), &[]);
        assert_eq!(status.len(), MOST);
        assert!(status.iter().any(|peer| peer.address == real));
        assert_eq!(peers.refused[&Refusal::Checksum], 1000);
    }
}
