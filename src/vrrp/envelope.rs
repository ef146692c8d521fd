//! The IP packet around a VRRP message: RFC 791 and RFC 8200 headers, read and stripped.
//!
//! The kernel has checked most of this where it delivers to a raw socket. Captures and packet
//! sockets give no such promise, and neither do these functions rely on it.

use super::refusal::Refusal;
use super::{PROTOCOL, Version, Vrid, ah, checksum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A VRRP message as it came off the wire, with what the IP layer says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The sender.
    pub source: IpAddr,
    /// The group, or one of our own addresses.
    pub destination: IpAddr,
    /// The TTL or hop limit on arrival; `None` where the kernel did not say.
    pub ttl: Option<u8>,
    /// The Authentication Header in front of the message, version 2 only.
    pub ah: Option<ah::Header<'a>>,
    /// The message, cut where the IP packet ends.
    pub payload: &'a [u8],
}

/// Reads an IPv4 packet, header included, as a raw socket delivers it. Ethernet padding behind the
/// packet is cut off.
pub fn open_ipv4(packet: &[u8]) -> Result<Envelope<'_>, Refusal> {
    let fixed: &[u8; 20] = packet.first_chunk().ok_or(Refusal::IpHeader)?;
    let &[first, _, len1, len2, _, _, frag1, frag2, ttl, protocol, _, _, s1, s2, s3, s4, d1, d2, d3, d4] =
        fixed;
    if first >> 4 != 4 || first & 0x0F < 5 {
        return Err(Refusal::IpHeader);
    }
    let header_len = usize::from(first & 0x0F) * 4;
    let header = packet.get(..header_len).ok_or(Refusal::IpHeader)?;
    let total = usize::from(u16::from_be_bytes([len1, len2]));
    let payload = packet.get(header_len..total).ok_or(Refusal::IpLength)?;
    let (ah, payload) = match protocol {
        PROTOCOL => (None, payload),
        ah::PROTOCOL => {
            let (header, message) = ah::Header::read(header, payload).ok_or(Refusal::IpProtocol)?;
            (Some(header), message)
        }
        _ => return Err(Refusal::IpProtocol),
    };
    // More Fragments, or an offset; Don't Fragment and the reserved bit may be set.
    if u16::from_be_bytes([frag1, frag2]) & 0x3FFF != 0 {
        return Err(Refusal::Fragment);
    }
    if checksum::sum(0, header) != checksum::CORRECT {
        return Err(Refusal::IpChecksum);
    }
    Ok(Envelope {
        source: Ipv4Addr::new(s1, s2, s3, s4).into(),
        destination: Ipv4Addr::new(d1, d2, d3, d4).into(),
        ttl: Some(ttl),
        ah,
        payload,
    })
}

/// Reads an IPv6 packet, header included, as a capture holds it. Extension headers are refused:
/// no VRRP router sends any.
pub fn open_ipv6(packet: &[u8]) -> Result<Envelope<'_>, Refusal> {
    let (head, rest) = packet.split_first_chunk::<8>().ok_or(Refusal::IpHeader)?;
    let (source, rest) = rest.split_first_chunk::<16>().ok_or(Refusal::IpHeader)?;
    let (destination, rest) = rest.split_first_chunk::<16>().ok_or(Refusal::IpHeader)?;
    let &[first, _, _, _, len1, len2, next_header, hop_limit] = head;
    if first >> 4 != 6 {
        return Err(Refusal::IpHeader);
    }
    let length = usize::from(u16::from_be_bytes([len1, len2]));
    let payload = rest.get(..length).ok_or(Refusal::IpLength)?;
    if next_header != PROTOCOL {
        return Err(Refusal::IpProtocol);
    }
    Ok(Envelope {
        source: Ipv6Addr::from(*source).into(),
        destination: Ipv6Addr::from(*destination).into(),
        ttl: Some(hop_limit),
        ah: None,
        payload,
    })
}

/// The virtual router a message claims to be about, before anything is verified: for finding the
/// instance that shall judge it. `None` where it is too short or the VRID is 0.
#[must_use]
pub fn peek_vrid(payload: &[u8]) -> Option<Vrid> {
    payload.get(1).copied().and_then(Vrid::new)
}

/// The version a message claims to have, before anything is verified.
#[must_use]
pub fn peek_version(payload: &[u8]) -> Option<Version> {
    match payload.first()? >> 4 {
        2 => Some(Version::V2),
        3 => Some(Version::V3),
        _ => None,
    }
}

/// Whether an IPv4 packet says what `other`, which was opened, has said: it differs at most in what a sender's
/// kernel counts, the identification, and in the header's checksum, which has to be right.
#[must_use]
pub fn repeats_ipv4(packet: &[u8], other: &[u8]) -> bool {
    let (Some((head, rest)), Some((other_head, other_rest))) =
        (packet.split_first_chunk::<12>(), other.split_first_chunk::<12>())
    else {
        return false;
    };
    // What else the header says is the same: so the one that changes makes up for the other (RFC 1624).
    let counted = |head: &[u8; 12]| checksum::sum(0, &[head[4], head[5], head[10], head[11]]);
    head[..4] == other_head[..4]
        && head[6..10] == other_head[6..10]
        && counted(head) == counted(other_head)
        && rest == other_rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty IPv4 packet with this flags and fragment field, its header checksum right.
    fn packet(fragment: u16) -> [u8; 20] {
        let [f1, f2] = fragment.to_be_bytes();
        let mut packet = [0x45, 0, 0, 20, 0, 0, f1, f2, 255, PROTOCOL, 0, 0, 192, 0, 2, 1, 224, 0, 0, 18];
        let [c1, c2] = (!checksum::sum(0, &packet)).to_be_bytes();
        (packet[10], packet[11]) = (c1, c2);
        packet
    }

    #[test]
    fn no_fragment_is_taken_for_a_whole_packet() {
        let (more_follow, at_an_offset, must_not_be_cut) = (0x2000, 0x0001, 0x4000);
        assert_eq!(open_ipv4(&packet(more_follow)), Err(Refusal::Fragment));
        assert_eq!(open_ipv4(&packet(at_an_offset)), Err(Refusal::Fragment));
        assert!(open_ipv4(&packet(must_not_be_cut)).is_ok());
    }

    #[test]
    fn a_damaged_ip_header_is_refused() {
        let mut damaged = packet(0);
        damaged[12] ^= 1;
        assert_eq!(open_ipv4(&damaged), Err(Refusal::IpChecksum));
    }

    #[test]
    fn only_what_the_senders_kernel_counts_may_be_other_in_a_packet_that_repeats_one() {
        let first = packet(0);
        for number in [0, 1, 0x00ff, 0xff00, 0xffff_u16] {
            let mut other = first;
            [other[4], other[5], other[10], other[11]] = [0; 4];
            other[4..6].copy_from_slice(&number.to_be_bytes());
            let sum = !checksum::sum(0, &other);
            other[10..12].copy_from_slice(&sum.to_be_bytes());
            assert!(repeats_ipv4(&other, &first), "{number}");
            for byte in 0..other.len() {
                let mut damaged = other;
                damaged[byte] ^= 0x10;
                assert!(!repeats_ipv4(&damaged, &first), "byte {byte} of {number}");
            }
        }
        assert!(!repeats_ipv4(&first[..19], &first) && !repeats_ipv4(&[&first[..], &[0]].concat(), &first));
        assert!(!repeats_ipv4(&[], &first));
    }

    #[test]
    fn what_is_no_message_has_no_router_and_no_version() {
        assert_eq!((peek_vrid(&[]), peek_vrid(&[0x31]), peek_vrid(&[0x31, 0])), (None, None, None));
        assert_eq!(peek_vrid(&[0x31, 7]), Vrid::new(7));
        assert_eq!((peek_version(&[]), peek_version(&[0x41])), (None, None));
        assert_eq!(peek_version(&[0x21]), Some(Version::V2));
    }
}
