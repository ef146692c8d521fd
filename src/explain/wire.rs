//! What is on the wire: read off the adverts that this host sent in a rehearsal, and said of those that
//! it accepts.

use super::cast::{Cast, OWN};
use crate::agent::config::{Interface, Router};
use crate::agent::{Outgoing, RouterName};
use crate::sim::seat_of;
use crate::vrrp::auth::Auth;
use crate::vrrp::packet::peek_version;
use crate::vrrp::{ChecksumPolicy, Family, Version, ah};
use serde::Serialize;
use std::net::IpAddr;

/// The adverts of one router in one family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wire {
    /// The router.
    pub router: RouterName,
    /// The family.
    pub family: Family,
    /// The interface; `None` where it is chosen by its subnet.
    pub interface: Option<String>,
    /// The virtual router's number.
    pub vrid: u8,
    /// The protocol version.
    pub version: Version,
    /// The IP protocol: 112, or 51 behind an Authentication Header.
    pub protocol: u8,
    /// The group, or the peers.
    pub destinations: Vec<IpAddr>,
    /// The configured source address.
    pub source: Option<IpAddr>,
    /// How often the Master advertises, in milliseconds.
    pub interval_ms: u32,
    /// TTL or hop limit of what is sent.
    pub ttl: u8,
    /// The smallest that is accepted.
    pub min_ttl: u8,
    /// The source address of the frames, where it is not the interface's own.
    pub source_mac: Option<String>,
    /// An advert in bytes, from its IP header on.
    pub bytes: usize,
    /// How the routers know each other.
    pub authentication: String,
    /// How the checksum is made, where there are several readings.
    pub checksum: Option<String>,
    /// What to think of.
    pub remarks: Vec<String>,
}

/// What the routers of a role send; nothing for one that takes no part.
pub(super) fn wire(cast: &Cast<'_>) -> Vec<Wire> {
    let mut rehearsal = cast.rehearsal(cast.assumed);
    rehearsal.start(OWN);
    rehearsal.settle();
    let played = cast.written.iter().zip(cast.played());
    let each = played.flat_map(|(written, played)| {
        let adverts = |family| seat_of(played).map(|seat| (family, rehearsal.adverts(OWN, seat, family)));
        written
            .families()
            .into_iter()
            .filter_map(adverts)
            .map(|(family, sent)| (*written, family, sent))
            .collect::<Vec<_>>()
    });
    let both = |(router, family, sent): (&Router, _, Vec<_>)| {
        let first = one(router, family, &sent);
        let second = first.as_ref().and_then(|first| by_second_path(router, first));
        first.into_iter().chain(second)
    };
    each.flat_map(both).collect()
}

/// The same adverts by another way.
fn by_second_path(router: &Router, first: &Wire) -> Option<Wire> {
    let path = router.second_path.as_ref()?;
    Some(Wire {
        interface: Some(path.interface.clone()),
        destinations: path.peers_of(first.family).collect(),
        source: None,
        ttl: router.ttl,
        min_ttl: router.min_ttl.unwrap_or(0),
        source_mac: None,
        remarks: vec!["the second path of the adverts above".to_owned()],
        ..first.clone()
    })
}

fn one(router: &Router, family: Family, sent: &[&Outgoing]) -> Option<Wire> {
    let first = sent.first()?;
    let message = match first.protocol {
        ah::PROTOCOL => first.payload.get(ah::HEADER_LEN..)?,
        _ => &first.payload,
    };
    let header = match family {
        Family::Ipv4 => 20,
        Family::Ipv6 => 40,
    };
    let multicast = first.destination.is_multicast();
    let wire = Wire {
        router: router.name.clone(),
        family,
        interface: match &router.interface {
            Interface::Named(name) => Some(name.clone()),
            Interface::Subnet(..) => None,
        },
        vrid: router.vrid.get(),
        version: peek_version(message)?,
        protocol: first.protocol,
        destinations: sent.iter().map(|out| out.destination).collect(),
        source: router.sources.iter().copied().find(|source| Family::of(*source) == family),
        interval_ms: u32::try_from(router.interval.duration().as_millis()).unwrap_or(u32::MAX),
        ttl: first.ttl,
        min_ttl: router.instance(family).expect(None).least_ttl(),
        source_mac: first.mac.filter(|own| *own == router.mac(family)).map(mac),
        bytes: header + first.payload.len(),
        authentication: authentication(&router.auth).to_owned(),
        checksum: checksum(router, family).map(str::to_owned),
        remarks: remarks(router, multicast),
    };
    Some(wire)
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

const fn authentication(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "none: whoever is on this network can send adverts that are believed",
        Auth::Pass(_) => "PASS, a password that anybody on this network can read off every advert",
        Auth::Ah(_) => {
            "AH, IP protocol 51 with HMAC-MD5-96: readable, and nobody can forge it without the key"
        }
        Auth::Hmac(ring) if ring.demands() => {
            "HMAC-SHA-256 trailer of 28 bytes: readable, and nobody can forge it without the key"
        }
        Auth::Hmac(_) => "HMAC-SHA-256 trailer, and adverts without one are believed as well",
    }
}

/// RFC 9568 section 5.2.8 has two readings over IPv4.
fn checksum(router: &Router, family: Family) -> Option<&'static str> {
    match (router.version, family, router.checksum) {
        (Version::V3, Family::Ipv4, ChecksumPolicy::Auto) => {
            Some("with the pseudo-header until a peer is heard that does without; both are accepted")
        }
        (Version::V3, Family::Ipv4, ChecksumPolicy::Pseudo) => {
            Some("with the pseudo-header, as keepalived; both are accepted")
        }
        (Version::V3, Family::Ipv4, ChecksumPolicy::Rfc9568) => {
            Some("of the message alone, as RFC 9568; both are accepted")
        }
        _ => None,
    }
}

fn remarks(router: &Router, multicast: bool) -> Vec<String> {
    /// The VRID of the examples that everybody copies.
    const COPIED: u8 = 51;
    let mut remarks = Vec::new();
    if multicast && router.vrid.get() == COPIED {
        remarks.push(
            "VRID 51 is that of most examples: `locum sniff` shows whether another cluster has it".to_owned(),
        );
    }
    if !router.peers.is_empty() {
        remarks.push("adverts of other senders than these peers are refused".to_owned());
    }
    for (peer, bounds) in &router.ttls {
        remarks.push(format!("of {peer} a TTL of {} to {} is accepted", bounds.start(), bounds.end()));
    }
    remarks
}
