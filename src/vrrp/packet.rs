//! Bytes and adverts: RFC 9568 sections 5 and 7, RFC 3768 sections 5 and 7.
//!
//! [`parse`] turns bytes into an [`Advert`] or one [`Refusal`]; nothing that came from a packet
//! goes past it unchecked, and no bytes make it panic. What an advert means is the instance's.

pub use super::draft::{Draft, Parcel, encode};
pub use super::envelope::{Envelope, open_ipv4, open_ipv6, peek_version, peek_vrid, repeats_ipv4};
pub use super::expect::{Expect, Reach};
pub use super::refusal::{Refusal, Remark};

use super::auth::{Auth, PASSWORD_LEN, Seal};
use super::expect::first_not_link_local;
use super::hmac::{TRAILER_LEN, claim};
use super::succession::Word;
use super::{Advert, Checksum, Family, Interval, Priority, Version, Vrid, checksum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The bytes in front of the addresses, in both versions.
pub(super) const HEADER_LEN: usize = 8;
/// Where the checksum is.
pub(super) const CHECKSUM_AT: usize = 6;
/// The only message type there is.
pub(super) const ADVERTISEMENT: u8 = 1;
/// The interval of version 3 has twelve bits; the four above it are reserved (RFC 9568 section 5.2.6).
pub(super) const INTERVAL_MASK: u16 = 0x0FFF;

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
    /// What it carries to be believed. Whether it was seen before is the ledger's to say.
    pub seal: Seal,
    /// What is odd about it.
    pub remarks: Vec<Remark>,
}

/// Verifies a packet against what its receiver expects (RFC 9568 section 7.1, RFC 3768 section 7.1).
///
/// Whether it was seen before is not asked; who has a ledger, asks it between [`authenticate`] and
/// [`Authentic::judge`], which this is.
pub fn parse(envelope: &Envelope<'_>, expect: &Expect<'_>) -> Result<Heard, Refusal> {
    authenticate(envelope, expect, None)?.judge(expect)
}

/// Verifies that a packet is well-formed, is for its receiver, and comes from who may send it: an advert, or a word
/// as [`Word::peek`] has put it.
pub fn authenticate<'a>(
    envelope: &Envelope<'a>,
    expect: &Expect<'_>,
    word: Option<Word>,
) -> Result<Authentic<'a>, Refusal> {
    let kind = word.map_or(ADVERTISEMENT, Word::kind);
    let bare = expect.bare || word.is_some();
    let message = Message::read(envelope, kind, matches!(expect.auth, Auth::Hmac(_)), bare)?;
    expect.admit(envelope, &message, word.is_some())?;
    Ok(Authentic { envelope: *envelope, message, word })
}

/// A packet from who may send it.
pub struct Authentic<'a> {
    envelope: Envelope<'a>,
    message: Message<'a>,
    word: Option<Word>,
}

impl Authentic<'_> {
    /// What it carries to be believed.
    #[must_use]
    pub const fn seal(&self) -> &Seal {
        &self.message.claim
    }

    /// Judges what it says. Of a word only the priority is meant.
    pub fn judge(self, expect: &Expect<'_>) -> Result<Heard, Refusal> {
        let judged = self.word.is_none().then(|| expect.content(&self.message.advert));
        let remarks = judged.transpose()?.unwrap_or_default();
        Ok(self.message.heard(&self.envelope, remarks))
    }
}

/// Decodes a packet of either version without a receiver's expectations: for looking at traffic.
/// The message itself is checked as [`parse`] checks it; its seal is told and not verified.
pub fn decode(envelope: &Envelope<'_>) -> Result<Heard, Refusal> {
    let message = Message::read(envelope, ADVERTISEMENT, true, false)?;
    let mut remarks = Vec::new();
    if first_not_link_local(&message.advert) {
        remarks.push(Remark::FirstNotLinkLocal);
    }
    if message.auth_type == 1 {
        remarks.push(Remark::Password);
    }
    Ok(message.heard(envelope, remarks))
}

/// A message that is well-formed in itself.
pub(super) struct Message<'a> {
    pub(super) advert: Advert,
    checksum: Option<Checksum>,
    /// Version 2 only; 0 in version 3, which has none.
    pub(super) auth_type: u8,
    /// Version 2 only; empty in version 3.
    pub(super) auth_data: &'a [u8],
    /// The message without its trailer.
    pub(super) bytes: &'a [u8],
    pub(super) trailer: Option<&'a [u8; TRAILER_LEN]>,
    /// What the trailer says it is.
    claim: Seal,
}

impl<'a> Message<'a> {
    /// Without addresses it is nothing but where `bare`. A trailer is known by its length alone, and only where `signed`: elsewhere it is trailing bytes.
    fn read(envelope: &Envelope<'a>, kind: u8, signed: bool, bare: bool) -> Result<Self, Refusal> {
        let payload = envelope.payload;
        let &[first, vrid, priority, count, fifth, sixth, _, _, ref rest @ ..] = payload else {
            return Err(Refusal::Truncated);
        };
        let family = Family::of(envelope.source);
        let version = peek_version(payload).ok_or(Refusal::Version)?;
        if (version, family) == (Version::V2, Family::Ipv6) {
            return Err(Refusal::Version);
        }
        if first & 0x0F != kind {
            return Err(Refusal::Type);
        }
        let vrid = Vrid::new(vrid).ok_or(Refusal::VridZero)?;
        if count == 0 && !bare {
            return Err(Refusal::CountZero);
        }
        let (list, rest) =
            rest.split_at_checked(usize::from(count) * address_len(family)).ok_or(Refusal::Truncated)?;
        let tail = if version == Version::V2 { PASSWORD_LEN } else { 0 };
        let (auth_data, rest) = rest.split_at_checked(tail).ok_or(Refusal::Truncated)?;
        let trailer: Option<&[u8; TRAILER_LEN]> = match rest {
            [] => None,
            _ => Some(rest.try_into().ok().filter(|_| signed).ok_or(Refusal::TrailingBytes)?),
        };
        let bytes = payload.strip_suffix(rest).unwrap_or(payload);
        // Over IPv6 the sum is the kernel's, and covers whatever was sent.
        let covered = if family == Family::Ipv4 { bytes } else { payload };
        let checksum = verify(envelope, covered, version, family)?;
        let (auth_type, centiseconds) = match version {
            Version::V2 => (fifth, u16::from(sixth) * 100),
            Version::V3 => (0, u16::from_be_bytes([fifth, sixth]) & INTERVAL_MASK),
        };
        let interval = Interval::from_centiseconds(centiseconds).ok_or(Refusal::IntervalZero)?;
        let addresses = addresses(list, family);
        let advert = Advert { version, vrid, priority: Priority::new(priority), interval, addresses };
        let claim = match (trailer, envelope.ah) {
            (Some(trailer), _) => {
                let (key, sequence) = claim(trailer).ok_or(Refusal::BadTrailer)?;
                Seal::Signed { key, sequence }
            }
            (None, Some(header)) => Seal::Ah { spi: header.spi, sequence: header.sequence },
            (None, None) => Seal::None,
        };
        Ok(Message { advert, checksum, auth_type, auth_data, bytes, trailer, claim })
    }

    fn heard(self, envelope: &Envelope<'_>, remarks: Vec<Remark>) -> Heard {
        let Message { advert, checksum, claim: seal, .. } = self;
        Heard { source: envelope.source, advert, checksum, seal, remarks }
    }
}

/// Verifies the checksum, over IPv4 and version 3 under both readings, and says which one held.
fn verify(
    envelope: &Envelope<'_>,
    covered: &[u8],
    version: Version,
    family: Family,
) -> Result<Option<Checksum>, Refusal> {
    let Envelope { source, destination, .. } = *envelope;
    let alone = checksum::sum(0, covered) == checksum::CORRECT;
    let pseudo = || {
        checksum::sum(checksum::pseudo_header(source, destination, covered.len()), covered)
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

pub(super) const fn address_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    }
}

fn addresses(list: &[u8], family: Family) -> Arc<[IpAddr]> {
    match family {
        Family::Ipv4 => list.as_chunks::<4>().0.iter().map(|octets| Ipv4Addr::from(*octets).into()).collect(),
        Family::Ipv6 => {
            list.as_chunks::<16>().0.iter().map(|octets| Ipv6Addr::from(*octets).into()).collect()
        }
    }
}
