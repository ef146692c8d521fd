//! Packets as a receiver's kernel would hand them over, valid ones and broken ones.

use crate::agent::{Datagram, Outgoing};
use crate::vrrp::{Family, PROTOCOL, ah};
use std::net::IpAddr;

/// What a packet made by hand says, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Crafted {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// TTL or hop limit on arrival.
    pub ttl: u8,
    /// The version in the first byte.
    pub version: u8,
    /// The type in the first byte; 1 is the only one there is.
    pub kind: u8,
    /// The virtual router.
    pub vrid: u8,
    /// The priority.
    pub priority: u8,
    /// The address count; as many as there are unless given.
    pub count: Option<u8>,
    /// The fifth and sixth byte.
    pub interval: [u8; 2],
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Authentication data, version 2.
    pub tail: Vec<u8>,
    /// Bytes cut off the end.
    pub cut: usize,
    /// Flips a bit of the checksum.
    pub bad_checksum: bool,
}

impl Crafted {
    /// The packet as it arrives on `interface`.
    #[must_use]
    pub fn datagram(&self, interface: &str) -> Datagram {
        let count = self.count.unwrap_or(u8::try_from(self.addresses.len()).unwrap_or(u8::MAX));
        let [fifth, sixth] = self.interval;
        let mut message =
            vec![self.version << 4 | self.kind, self.vrid, self.priority, count, fifth, sixth, 0, 0];
        for address in &self.addresses {
            message.extend(octets(*address));
        }
        message.extend(&self.tail);
        message.truncate(message.len().saturating_sub(self.cut));
        seal(&mut message, self.version, self.source, self.destination);
        if self.bad_checksum {
            message[7] ^= 1;
        }
        let way = Way { source: self.source, destination: self.destination, ttl: self.ttl };
        way.arrival(interface, (PROTOCOL, 0), &message)
    }
}

/// Puts the right checksum into a message of at least eight bytes.
pub(super) fn seal(message: &mut [u8], version: u8, source: IpAddr, destination: IpAddr) {
    message[6..8].fill(0);
    let mut start = 0;
    if version == 3 {
        let addresses = octets(source).into_iter().chain(octets(destination)).collect::<Vec<_>>();
        start = words(&addresses) + u64::from(PROTOCOL) + message.len() as u64;
    }
    let sum = checksum(start, message);
    message[6..8].copy_from_slice(&sum.to_be_bytes());
}

/// What was sent, as it arrives after one hop.
#[must_use]
pub fn sent(interface: &str, out: &Outgoing) -> Datagram {
    let way = Way { source: out.source, destination: out.destination, ttl: u8::MAX };
    way.arrival(interface, (out.protocol, out.identification), &out.payload)
}

struct Way {
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
}

impl Way {
    /// As the kernel gives it: IPv4 with its header, with this protocol and identification.
    fn arrival(&self, interface: &str, header: (u8, u16), payload: &[u8]) -> Datagram {
        let Way { source, destination, ttl } = *self;
        let packet = match (source, destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => {
                let total = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX);
                let [high, low] = total.to_be_bytes();
                let (protocol, [id1, id2]) = (header.0, header.1.to_be_bytes());
                let mut packet = vec![0x45, 0xC0, high, low, id1, id2, 0, 0, ttl, protocol, 0, 0];
                packet.extend(octets(source));
                packet.extend(octets(destination));
                let sum = checksum(0, &packet);
                packet[10..12].copy_from_slice(&sum.to_be_bytes());
                packet.extend(payload);
                packet
            }
            _ => payload.to_vec(),
        };
        Datagram { interface: interface.into(), source, destination, ttl: Some(ttl), packet }
    }
}

/// Where the VRRP message begins in what arrived.
pub(super) fn message_at(datagram: &Datagram) -> usize {
    match (Family::of(datagram.source), datagram.packet.get(9)) {
        (Family::Ipv4, Some(&ah::PROTOCOL)) => 20 + ah::HEADER_LEN,
        (Family::Ipv4, _) => 20,
        (Family::Ipv6, _) => 0,
    }
}

/// The VRRP message in what is sent.
pub(super) fn message(out: &Outgoing) -> &[u8] {
    let skipped = if out.protocol == ah::PROTOCOL { ah::HEADER_LEN } else { 0 };
    out.payload.get(skipped..).unwrap_or_default()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn checksum(start: u64, bytes: &[u8]) -> u16 {
    let mut sum = start + words(bytes);
    while sum > 0xFFFF {
        sum = (sum >> 16) + (sum & 0xFFFF);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn words(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))).sum()
}
