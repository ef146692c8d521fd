//! The Authentication Header in front of a version 2 advert: RFC 2338 section 5.3.6.3, RFC 2402,
//! HMAC-MD5-96 (RFC 2403), as keepalived speaks it. IPv4 only.
//!
//! Differences to RFC 2402 are keepalived's: the TTL is covered by multicast, the SPI is the sender's
//! address, and one counter serves sending and hearing. MD5 is broken as a hash, not as a MAC; still,
//! signed trailers ([`super::hmac`]) are what to use where no old router has to be heard.

use super::auth::Secret;
use super::refusal::Refusal;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use subtle::ConstantTimeEq;

/// The IP protocol number of the Authentication Header.
pub const PROTOCOL: u8 = 51;
/// The bytes of the header with a digest of 96 bits.
pub const HEADER_LEN: usize = 24;
/// The digest's part of them, at the end.
const ICV_LEN: usize = 12;
/// The length of the header in words of 32 bits, less two (RFC 2402 section 2.2).
const PAYLOAD_LEN: u8 = 4;
const IPV4_HEADER: usize = 20;
/// The TTL that every VRRP packet is sent with.
const TTL: u8 = 255;

/// An Authentication Header as it came, and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The Security Parameters Index, by which the sender names itself.
    pub spi: u32,
    /// The sender's sequence number.
    pub sequence: u32,
    ip: &'a [u8],
    prefix: &'a [u8],
    icv: &'a [u8; ICV_LEN],
    message: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header at the start of `payload`, which follows the IPv4 header `ip`. Returns it and the
    /// message behind it. `None` where it is not one of VRRP's.
    pub(super) fn read(ip: &'a [u8], payload: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (prefix, rest) = payload.split_at_checked(HEADER_LEN - ICV_LEN)?;
        let (icv, message) = rest.split_first_chunk::<ICV_LEN>()?;
        let &[super::PROTOCOL, PAYLOAD_LEN, _, _, s1, s2, s3, s4, n1, n2, n3, n4] = prefix else {
            return None;
        };
        let (spi, sequence) = (u32::from_be_bytes([s1, s2, s3, s4]), u32::from_be_bytes([n1, n2, n3, n4]));
        Some((Header { spi, sequence, ip, prefix, icv, message }, message))
    }

    /// Whether `secret` made the digest, and the sender is the one it names. Its sequence still has to be
    /// shown to [`Counter::admit`].
    pub(super) fn verify(&self, secret: &Secret, source: Ipv4Addr) -> Result<(), Refusal> {
        let ours = icv(secret, self.ip, self.prefix, self.message);
        if !bool::from(ours.as_slice().ct_eq(self.icv)) {
            return Err(Refusal::BadDigest);
        }
        if self.spi != source.to_bits() {
            return Err(Refusal::OtherSpi);
        }
        Ok(())
    }
}

/// Puts the header in front of `message`. It holds for a packet with this identification, a TTL of 255
/// and no options only.
pub(super) fn wrap(
    message: &[u8],
    [source, destination]: [Ipv4Addr; 2],
    sequence: u32,
    secret: &Secret,
) -> Vec<u8> {
    let total = u16::try_from(IPV4_HEADER + HEADER_LEN + message.len()).unwrap_or(u16::MAX);
    let mut ip = vec![0x45, 0];
    ip.extend(total.to_be_bytes());
    ip.extend(identification(sequence).to_be_bytes());
    ip.extend([0, 0, TTL, PROTOCOL, 0, 0]);
    ip.extend(source.octets());
    ip.extend(destination.octets());
    let mut wrapped = vec![super::PROTOCOL, PAYLOAD_LEN, 0, 0];
    wrapped.extend(source.octets());
    wrapped.extend(sequence.to_be_bytes());
    let digest = icv(secret, &ip, &wrapped, message);
    wrapped.extend(digest);
    wrapped.extend(message);
    wrapped
}

/// The identification of the IP packet, which the digest covers. Never 0, which the kernel would replace.
#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
pub(super) const fn identification(sequence: u32) -> u16 {
    match sequence as u16 {
        0 => u16::MAX,
        id => id,
    }
}

/// The digest over the IP header without what changes on the way, the header and the message.
fn icv(secret: &Secret, ip: &[u8], prefix: &[u8], message: &[u8]) -> [u8; ICV_LEN] {
    let mut ip = ip.to_vec();
    let multicast = ip.get(16).is_some_and(|first| first >> 4 == 0xE);
    // Type of service, flags and fragment, TTL, checksum (RFC 2402 section 3.3.3.1.1).
    for (at, byte) in ip.iter_mut().enumerate() {
        if matches!(at, 1 | 6 | 7 | 10 | 11) || (at == 8 && !multicast) {
            *byte = 0;
        }
    }
    let mut mac = Hmac::<Md5>::new_from_slice(&secret.password()).expect("HMAC takes any length of key");
    mac.update(&ip);
    mac.update(prefix);
    mac.update(&[0; ICV_LEN]);
    mac.update(message);
    let mut icv = [0; ICV_LEN];
    icv.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    icv
}

/// The last sequence sent or heard: all routers share one. A Backup so learns from its Master where to
/// go on, and whoever replays what another has sent comes too late.
///
/// Two Masters may say the same number at once, each before it has heard the other. So a number counts
/// once for each sender: refused by both, such adverts would leave both Master for as long as their timers
/// agree.
///
/// It ends after 136 years of one advert a second; then change the key and restart all routers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    last: u32,
    /// Who was heard to say it, by SPI. Only who has the key gets in.
    said_by: Vec<u32>,
}

impl Counter {
    /// The sequence to send next.
    pub(super) fn next(&mut self) -> u32 {
        self.advance(self.last.saturating_add(1));
        self.last
    }

    /// Whether `sequence` is no earlier than any before, and new from this sender; if so, remembers it.
    pub(super) fn admit(&mut self, spi: u32, sequence: u32) -> Result<(), Refusal> {
        if sequence > self.last {
            self.advance(sequence);
        }
        if sequence < self.last || sequence == 0 || self.said_by.contains(&spi) {
            return Err(Refusal::Replay);
        }
        self.said_by.push(spi);
        Ok(())
    }

    fn advance(&mut self, sequence: u32) {
        self.last = sequence;
        self.said_by.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
    const MESSAGE: &str = "2133c80102015265c00002640000000000000000";

    fn secret() -> Secret {
        Secret::new(*b"secret")
    }

    #[test]
    fn a_header_is_byte_for_byte_that_of_keepalived() {
        let wrapped = wrap(&hex(MESSAGE), [SOURCE, super::super::GROUP_V4], 1, &secret());
        let header = "70040000c633640a00000001 47e3e87ad9330caceecb7c2e";
        assert_eq!(wrapped, hex(&[header, MESSAGE].concat()));
    }

    #[test]
    fn every_flipped_bit_is_found_unless_routers_may_change_it() {
        let ip = hex("45c0004000010000ff330000c633640ae0000012");
        let sent = wrap(&hex(MESSAGE), [SOURCE, super::super::GROUP_V4], 1, &secret());
        let verdict = |ip: &[u8], payload: &[u8]| {
            Header::read(ip, payload).map(|(header, _)| header.verify(&secret(), SOURCE))
        };
        assert_eq!(verdict(&ip, &sent), Some(Ok(())));
        for bit in 0..ip.len() * 8 {
            let mut ip = ip.clone();
            ip[bit / 8] ^= 1 << (bit % 8);
            let may_change = matches!(bit / 8, 1 | 6 | 7 | 10 | 11);
            let expected = if may_change { Ok(()) } else { Err(Refusal::BadDigest) };
            assert_eq!(verdict(&ip, &sent), Some(expected), "bit {bit} of the IP header");
        }
        for bit in 0..sent.len() * 8 {
            let mut sent = sent.clone();
            sent[bit / 8] ^= 1 << (bit % 8);
            let expected = (bit / 8 > 1).then_some(Err(Refusal::BadDigest));
            assert_eq!(verdict(&ip, &sent), expected, "bit {bit} of the payload");
        }
    }

    #[test]
    fn by_unicast_the_ttl_is_not_covered() {
        let peer = Ipv4Addr::new(198, 51, 100, 11);
        let sent = wrap(&hex(MESSAGE), [SOURCE, peer], 1, &secret());
        for ttl in [255, 64] {
            let mut ip = hex("45c0004000010000ff330000c633640a");
            ip.extend(peer.octets());
            ip[8] = ttl;
            assert_eq!(Header::read(&ip, &sent).unwrap().0.verify(&secret(), SOURCE), Ok(()));
        }
    }

    #[test]
    fn a_sender_names_itself() {
        let mut ip = hex("45c0004000010000ff330000c633640ae0000012");
        let sent = wrap(&hex(MESSAGE), [SOURCE, super::super::GROUP_V4], 1, &secret());
        // A key holder that signs for another address: the digest holds, the name does not.
        ip[15] = 11;
        let other = Ipv4Addr::new(198, 51, 100, 11);
        let (header, _) = Header::read(&ip, &sent).unwrap();
        let digest = icv(&secret(), &ip, header.prefix, header.message);
        let forged = Header { icv: &digest, ..header };
        assert_eq!(forged.verify(&secret(), other), Err(Refusal::OtherSpi));
    }

    #[test]
    fn what_is_heard_and_what_is_sent_count_together() {
        let mut counter = Counter::default();
        assert_eq!(counter.next(), 1);
        assert_eq!(counter.admit(7, 0), Err(Refusal::Replay));
        assert_eq!(counter.admit(7, 1000), Ok(()));
        assert_eq!(counter.admit(7, 1000), Err(Refusal::Replay));
        assert_eq!(counter.admit(8, 999), Err(Refusal::Replay));
        assert_eq!(counter.next(), 1001);
        assert_eq!((identification(0x1_0000), identification(7)), (u16::MAX, 7));
    }

    #[test]
    fn masters_that_say_the_same_number_at_once_hear_each_other() {
        let mut counter = Counter::default();
        assert_eq!(counter.next(), 1);
        assert_eq!((counter.admit(7, 1), counter.admit(8, 1)), (Ok(()), Ok(())));
        assert_eq!((counter.admit(7, 1), counter.admit(8, 1)), (Err(Refusal::Replay), Err(Refusal::Replay)));
    }
}
