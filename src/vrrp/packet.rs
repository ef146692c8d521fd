//! Bytes and adverts: RFC 9568 sections 5 and 7, RFC 3768 sections 5 and 7.
//!
//! [`parse`] turns bytes into an [`Advert`] or one [`Refusal`]; nothing that came from a packet
//! goes past it unchecked, and no bytes make it panic. What an advert means is the instance's.

pub use super::envelope::{Envelope, open_ipv4, open_ipv6, peek_version, peek_vrid};
pub use super::expect::{Expect, Reach};
pub use super::refusal::{Refusal, Remark};

use super::auth::{Auth, PASSWORD_LEN};
use super::expect::first_not_link_local;
use super::{Advert, Checksum, Family, Interval, Priority, Version, Vrid, checksum};
use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bytes in front of the addresses, in both versions.
const HEADER_LEN: usize = 8;
/// Where the checksum is.
const CHECKSUM_AT: usize = 6;
/// The only message type there is.
const ADVERTISEMENT: u8 = 1;
/// The interval of version 3 has twelve bits; the four above it are reserved (RFC 9568 section 5.2.6).
const INTERVAL_MASK: u16 = 0x0FFF;

/// An advert that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it; decides between equal priorities.
    pub source: IpAddr,
    /// What it says.
    pub advert: Advert,
    /// The reading of the version 3 checksum over IPv4 that it was verified under; `None` where
    /// both hold, and for everything else, which has one reading only.
    pub checksum: Option<Checksum>,
    /// What is odd about it.
    pub remarks: Vec<Remark>,
}

/// Verifies a packet against what its receiver expects (RFC 9568 section 7.1, RFC 3768 section 7.1).
pub fn parse(envelope: &Envelope<'_>, expect: &Expect<'_>) -> Result<Heard, Refusal> {
    let message = Message::read(envelope)?;
    let remarks = expect.judge(envelope, &message)?;
    Ok(message.heard(envelope.source, remarks))
}

/// Decodes a packet of either version without a receiver's expectations: for looking at traffic.
/// The message itself is checked as [`parse`] checks it.
pub fn decode(envelope: &Envelope<'_>) -> Result<Heard, Refusal> {
    let message = Message::read(envelope)?;
    let mut remarks = Vec::new();
    if first_not_link_local(&message.advert) {
        remarks.push(Remark::FirstNotLinkLocal);
    }
    if message.auth_type == 1 {
        remarks.push(Remark::Password);
    }
    Ok(message.heard(envelope.source, remarks))
}

/// Writes the message of `advert`, without an IP header. `form` matters for version 3 over IPv4
/// only, `auth` for version 2 only.
///
/// The configuration sees to it that everything fits. What does not is left out or cut: addresses
/// of the other family, those after the 255th, the part of an interval the wire has no bits for.
#[must_use]
pub fn encode(advert: &Advert, source: IpAddr, destination: IpAddr, form: Checksum, auth: &Auth) -> Vec<u8> {
    let family = Family::of(source);
    let same_family = advert.addresses.iter().filter(|ip| Family::of(**ip) == family);
    let addresses: Vec<IpAddr> = same_family.take(usize::from(u8::MAX)).copied().collect();
    let [fifth, sixth] = interval_field(advert, auth);
    let (version, count) = (version_number(advert.version), u8::try_from(addresses.len()).unwrap_or(u8::MAX));
    let priority = advert.priority.map_or(0, Priority::get);

    let mut message = Vec::with_capacity(HEADER_LEN + addresses.len() * address_len(family) + PASSWORD_LEN);
    message.extend([version << 4 | ADVERTISEMENT, advert.vrid.get(), priority, count, fifth, sixth, 0, 0]);
    for address in addresses {
        match address {
            IpAddr::V4(v4) => message.extend(v4.octets()),
            IpAddr::V6(v6) => message.extend(v6.octets()),
        }
    }
    if advert.version == Version::V2 {
        message.extend(auth.wire_data());
    }
    let start = match (advert.version, family, form) {
        (Version::V2, ..) | (Version::V3, Family::Ipv4, Checksum::Rfc9568) => 0,
        _ => checksum::pseudo_header(source, destination, message.len()),
    };
    let sum = !checksum::sum(start, &message);
    for (to, from) in message.iter_mut().skip(CHECKSUM_AT).zip(sum.to_be_bytes()) {
        *to = from;
    }
    message
}

/// The fifth and sixth byte: reserved bits and centiseconds, or authentication type and seconds.
fn interval_field(advert: &Advert, auth: &Auth) -> [u8; 2] {
    let centiseconds = advert.interval.centiseconds();
    match advert.version {
        Version::V2 => [auth.wire_type(), u8::try_from(centiseconds / 100).unwrap_or(u8::MAX).max(1)],
        Version::V3 => centiseconds.min(INTERVAL_MASK).to_be_bytes(),
    }
}

/// A message that is well-formed in itself.
pub(super) struct Message<'a> {
    pub(super) advert: Advert,
    checksum: Option<Checksum>,
    /// Version 2 only; 0 in version 3, which has none.
    pub(super) auth_type: u8,
    /// Version 2 only; empty in version 3.
    pub(super) auth_data: &'a [u8],
}

impl<'a> Message<'a> {
    fn read(envelope: &Envelope<'a>) -> Result<Self, Refusal> {
        let payload = envelope.payload;
        let &[first, vrid, priority, count, fifth, sixth, _, _, ref rest @ ..] = payload else {
            return Err(Refusal::Truncated);
        };
        let family = Family::of(envelope.source);
        let version = peek_version(payload).ok_or(Refusal::Version)?;
        if (version, family) == (Version::V2, Family::Ipv6) {
            return Err(Refusal::Version);
        }
        if first & 0x0F != ADVERTISEMENT {
            return Err(Refusal::Type);
        }
        let vrid = Vrid::new(vrid).ok_or(Refusal::VridZero)?;
        if count == 0 {
            return Err(Refusal::CountZero);
        }
        let (list, auth_data) =
            rest.split_at_checked(usize::from(count) * address_len(family)).ok_or(Refusal::Truncated)?;
        let tail = if version == Version::V2 { PASSWORD_LEN } else { 0 };
        match auth_data.len().cmp(&tail) {
            Ordering::Less => return Err(Refusal::Truncated),
            Ordering::Equal => {}
            Ordering::Greater => return Err(Refusal::TrailingBytes),
        }
        let checksum = verify(envelope, version, family)?;
        let (auth_type, centiseconds) = match version {
            Version::V2 => (fifth, u16::from(sixth) * 100),
            Version::V3 => (0, u16::from_be_bytes([fifth, sixth]) & INTERVAL_MASK),
        };
        let interval = Interval::from_centiseconds(centiseconds).ok_or(Refusal::IntervalZero)?;
        let addresses = addresses(list, family);
        let advert = Advert { version, vrid, priority: Priority::new(priority), interval, addresses };
        Ok(Message { advert, checksum, auth_type, auth_data })
    }

    fn heard(self, source: IpAddr, remarks: Vec<Remark>) -> Heard {
        Heard { source, advert: self.advert, checksum: self.checksum, remarks }
    }
}

/// Verifies the checksum, over IPv4 and version 3 under both readings, and says which one held.
fn verify(envelope: &Envelope<'_>, version: Version, family: Family) -> Result<Option<Checksum>, Refusal> {
    let Envelope { source, destination, payload, .. } = *envelope;
    let alone = checksum::sum(0, payload) == checksum::CORRECT;
    let pseudo = || {
        checksum::sum(checksum::pseudo_header(source, destination, payload.len()), payload)
            == checksum::CORRECT
    };
    match (version, family) {
        (Version::V2, _) => alone.then_some(None),
        (Version::V3, Family::Ipv6) => pseudo().then_some(None),
        (Version::V3, Family::Ipv4) => match (alone, pseudo()) {
            (true, true) => Some(None),
            (true, false) => Some(Some(Checksum::Rfc9568)),
            (false, true) => Some(Some(Checksum::Pseudo)),
            (false, false) => None,
        },
    }
    .ok_or(Refusal::Checksum)
}

const fn version_number(version: Version) -> u8 {
    match version {
        Version::V2 => 2,
        Version::V3 => 3,
    }
}

const fn address_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    }
}

fn addresses(list: &[u8], family: Family) -> Vec<IpAddr> {
    match family {
        Family::Ipv4 => list.as_chunks::<4>().0.iter().map(|octets| Ipv4Addr::from(*octets).into()).collect(),
        Family::Ipv6 => {
            list.as_chunks::<16>().0.iter().map(|octets| Ipv6Addr::from(*octets).into()).collect()
        }
    }
}
