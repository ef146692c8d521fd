//! An advert on its way out: written once, sealed once, then addressed to each receiver.
//!
//! RFC 9568 section 5, RFC 3768 section 5; what a seal is, is told in `ledger`. Only the destination and
//! the checksum over it differ between the copies of one advert.

use super::auth::{Auth, PASSWORD_LEN, Seal, Secret};
use super::hmac::{Origin, TRAILER_LEN, sign};
use super::packet::{ADVERTISEMENT, CHECKSUM_AT, HEADER_LEN, INTERVAL_MASK, address_len};
use super::succession::{Word, transpose};
use super::{Advert, Checksum, Family, PROTOCOL, Priority, Version, ah, checksum};
use std::net::IpAddr;

/// An advert that is complete but for its destination.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    version: Version,
    source: IpAddr,
    /// The message, with zeros for its checksum, and a trailer where there is one.
    bytes: Vec<u8>,
    /// Where the message ends.
    message: usize,
    ah: Option<(u32, &'a Secret)>,
    is_word: bool,
}

/// A copy for one receiver: what goes behind an IP header, and what that header has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The IP protocol: VRRP's own or that of the Authentication Header.
    pub protocol: u8,
    /// The identification of the IPv4 header; 0 where the kernel may choose.
    pub identification: u16,
    /// What follows the IP header.
    pub payload: Vec<u8>,
}

impl<'a> Draft<'a> {
    /// Writes `advert`. `auth` and `seal` belong together: [`super::ledger::Ledger::next`].
    ///
    /// The configuration sees to it that everything fits. What does not is left out or cut: addresses
    /// of the other family, those after the 255th, the part of an interval the wire has no bits for.
    #[must_use]
    pub fn new(advert: &Advert, source: IpAddr, auth: &'a Auth, seal: &Seal) -> Self {
        Draft::of(advert, ADVERTISEMENT, source, auth, seal)
    }

    /// The same of a word, without the addresses of `advert`, which says its router and priority.
    #[must_use]
    pub fn word(word: Word, advert: &Advert, source: IpAddr, auth: &'a Auth, seal: &Seal) -> Self {
        let advert = Advert { addresses: [].into(), ..advert.clone() };
        Draft { is_word: true, ..Draft::of(&advert, word.kind(), source, auth, seal) }
    }

    fn of(advert: &Advert, kind: u8, source: IpAddr, auth: &'a Auth, seal: &Seal) -> Self {
        let mut bytes = message(advert, kind, Family::of(source), auth);
        let (message, mut ah) = (bytes.len(), None);
        match (auth, seal) {
            (Auth::Hmac(ring), Seal::Signed { sequence, .. }) => {
                let origin = Origin { source, version: advert.version, vrid: advert.vrid };
                bytes.extend(sign(&bytes, origin, ring.active(), *sequence));
            }
            (Auth::Ah(secret), Seal::Ah { sequence, .. }) => ah = Some((*sequence, secret)),
            _ => {}
        }
        Draft { version: advert.version, source, bytes, message, ah, is_word: false }
    }

    /// The copy for `destination`. `form` matters for version 3 over IPv4 only.
    #[must_use]
    pub fn to(&self, destination: IpAddr, form: Checksum) -> Parcel {
        let mut message = self.summed(destination, form);
        if self.is_word {
            transpose(&mut message);
        }
        match (self.ah, self.source, destination) {
            (Some((sequence, secret)), IpAddr::V4(source), IpAddr::V4(destination)) => Parcel {
                protocol: ah::PROTOCOL,
                identification: ah::identification(sequence),
                payload: ah::wrap(&message, [source, destination], sequence, secret),
            },
            _ => Parcel { protocol: PROTOCOL, identification: 0, payload: message },
        }
    }

    /// Message and trailer with the checksum. Over IPv6 the sum covers both, over IPv4 the message.
    fn summed(&self, destination: IpAddr, form: Checksum) -> Vec<u8> {
        let family = Family::of(self.source);
        let mut bytes = self.bytes.clone();
        let covered = match family {
            Family::Ipv4 => self.bytes.get(..self.message).unwrap_or_default(),
            Family::Ipv6 => &self.bytes,
        };
        let start = match (self.version, family, form) {
            (Version::V2, ..) | (Version::V3, Family::Ipv4, Checksum::Rfc9568) => 0,
            _ => checksum::pseudo_header(self.source, destination, covered.len()),
        };
        let sum = !checksum::sum(start, covered);
        for (to, from) in bytes.iter_mut().skip(CHECKSUM_AT).zip(sum.to_be_bytes()) {
            *to = from;
        }
        bytes
    }
}

/// Writes the message of `advert` without any seal, and without an IP header. `form` matters for version 3
/// over IPv4 only, `auth` for version 2 only.
#[must_use]
pub fn encode(advert: &Advert, source: IpAddr, destination: IpAddr, form: Checksum, auth: &Auth) -> Vec<u8> {
    Draft::new(advert, source, auth, &Seal::None).to(destination, form).payload
}

fn message(advert: &Advert, kind: u8, family: Family, auth: &Auth) -> Vec<u8> {
    let same_family = advert.addresses.iter().filter(|ip| Family::of(**ip) == family);
    let addresses = same_family.take(usize::from(u8::MAX));
    let count = addresses.clone().count();
    let [fifth, sixth] = interval_field(advert, auth);
    let (version, priority) = (version_number(advert.version), advert.priority.map_or(0, Priority::get));

    let mut message =
        Vec::with_capacity(HEADER_LEN + count * address_len(family) + PASSWORD_LEN + TRAILER_LEN);
    let count = u8::try_from(count).unwrap_or(u8::MAX);
    message.extend([version << 4 | kind, advert.vrid.get(), priority, count, fifth, sixth, 0, 0]);
    for address in addresses {
        match address {
            IpAddr::V4(v4) => message.extend(v4.octets()),
            IpAddr::V6(v6) => message.extend(v6.octets()),
        }
    }
    if advert.version == Version::V2 {
        message.extend(auth.wire_data());
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

const fn version_number(version: Version) -> u8 {
    match version {
        Version::V2 => 2,
        Version::V3 => 3,
    }
}
