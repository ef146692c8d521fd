//! The signed trailer that keepalived 2.4.2 and later put behind an advert: HMAC-SHA-256, cut to
//! 128 bits, over the message, its origin and a sequence number made from the wall clock.
//!
//! Internet-Draft draft-cassen-vrrp-auth-hmac. Signs and verifies bytes; the wall clock is an argument, as
//! the time since the Unix epoch. What a receiver does with an advert that has no trailer is decided
//! elsewhere.

use super::auth::Secret;
use super::sequence::{AntiReplay, Sequence};
use super::{Version, Vrid};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The bytes of a trailer.
pub const TRAILER_LEN: usize = 28;
/// Those of them in front of the tag: type, key id, two reserved, sequence.
const PREFIX_LEN: usize = TRAILER_LEN - TAG_LEN;
const TAG_LEN: usize = 16;
/// The only kind of trailer there is.
const HMAC_SHA_256_128: u8 = 1;
/// How short and how long a key may be, in bytes.
pub const KEY_LEN: std::ops::RangeInclusive<usize> = 32..=64;

/// A shared key and the number it goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    id: NonZeroU8,
    secret: Secret,
}

impl Key {
    /// A key of 32 to 64 bytes, else `None`.
    #[must_use]
    pub fn new(id: NonZeroU8, secret: Secret) -> Option<Self> {
        KEY_LEN.contains(&secret.expose().len()).then_some(Key { id, secret })
    }

    /// The number it goes by.
    #[must_use]
    pub const fn id(&self) -> NonZeroU8 {
        self.id
    }

    /// The key itself.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// What a router does about signatures besides verifying every one it sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Signs, and believes nothing that is not signed.
    #[default]
    Enforce,
    /// Signs, and believes what is not signed at all: for rolling signatures out.
    Permissive,
    /// Does not sign, and believes what is not signed at all: for rolling keys out first.
    ReceiveOnly,
}

/// The keys of a virtual router, and the rules about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    keys: Vec<Key>,
    active: Key,
    anti_replay: AntiReplay,
    mode: Mode,
}

impl Keyring {
    /// Every one of `keys` verifies; the one that goes by `active` signs. `None` where there is none such.
    #[must_use]
    pub fn new(keys: Vec<Key>, active: NonZeroU8, anti_replay: AntiReplay, mode: Mode) -> Option<Self> {
        let active = keys.iter().find(|key| key.id == active)?.clone();
        Some(Keyring { keys, active, anti_replay, mode })
    }

    /// All keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What is done about signatures.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The key that signs.
    #[must_use]
    pub const fn active(&self) -> &Key {
        &self.active
    }

    /// How old adverts are told.
    #[must_use]
    pub const fn anti_replay(&self) -> AntiReplay {
        self.anti_replay
    }

    /// Whether adverts are signed here.
    #[must_use]
    pub const fn signs(&self) -> bool {
        matches!(self.mode, Mode::Enforce | Mode::Permissive)
    }

    /// Whether adverts without any signature are refused.
    #[must_use]
    pub const fn demands(&self) -> bool {
        matches!(self.mode, Mode::Enforce)
    }

    /// Verifies a trailer, with whichever key it names. See [`verify`].
    pub fn verify(
        &self,
        message: &[u8],
        trailer: &[u8; TRAILER_LEN],
        origin: Origin,
        clock: Duration,
    ) -> Result<Sequence, Untrusted> {
        verify(message, trailer, origin, &self.keys, self.anti_replay, clock)
    }
}

impl fmt::Display for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| key.id.to_string()).collect();
        let (ids, active) = (ids.join(" and "), self.active.id);
        match self.mode {
            Mode::Enforce => write!(f, "signatures by key {active} of {ids}")?,
            Mode::Permissive => write!(f, "signatures by key {active} of {ids}, not demanded of others")?,
            Mode::ReceiveOnly => write!(f, "no signatures, those by key {ids} verified")?,
        }
        match self.anti_replay {
            AntiReplay::Time(seconds) => write!(f, ", within {seconds}s"),
            AntiReplay::Monotonic => write!(f, ", ever growing"),
        }
    }
}

/// What a signature binds an advert to besides its own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address it is sent from.
    pub source: IpAddr,
    /// The version: the sender's own when signing, the receiver's own when verifying.
    pub version: Version,
    /// The virtual router, likewise.
    pub vrid: Vrid,
}

/// Why a trailer is not believed, in the order it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Untrusted {
    /// It is of another kind, or its reserved bytes are set.
    Malformed,
    /// Its clock and ours are too far apart.
    Stale,
    /// We have no key of this number.
    UnknownKey,
    /// It was made with another key, for another router, or changed on the way.
    BadTag,
    /// This sender has already sent this sequence, or a later one.
    Replay,
}

/// The key number and the sequence a trailer claims, before anything is verified; `None` where it is of
/// an unknown kind.
#[must_use]
pub fn claim(trailer: &[u8; TRAILER_LEN]) -> Option<(u8, Sequence)> {
    let &[HMAC_SHA_256_128, id, 0, 0, s1, s2, s3, s4, s5, s6, s7, s8, ..] = trailer else { return None };
    Some((id, Sequence::from_wire([s1, s2, s3, s4, s5, s6, s7, s8])))
}

/// Makes the trailer of `message`, which is complete but for its checksum.
///
/// One advert is signed once, however many peers it goes to: destination and checksum are not
/// signed. Over IPv6 the checksum is then made over message and trailer, over IPv4 over the message.
#[must_use]
pub fn sign(message: &[u8], origin: Origin, key: &Key, sequence: Sequence) -> [u8; TRAILER_LEN] {
    let mut trailer = [0; TRAILER_LEN];
    let (prefix, tag_field) = trailer.split_at_mut(PREFIX_LEN);
    let [s1, s2, s3, s4, s5, s6, s7, s8] = sequence.to_wire();
    prefix.copy_from_slice(&[HMAC_SHA_256_128, key.id.get(), 0, 0, s1, s2, s3, s4, s5, s6, s7, s8]);
    tag_field.copy_from_slice(&tag(message, origin, key, prefix));
    trailer
}

/// Verifies the trailer of `message`, whose checksum may be anything. The sequence of a good one
/// still has to be shown to [`super::sequence::Marks::admit`].
pub fn verify(
    message: &[u8],
    trailer: &[u8; TRAILER_LEN],
    origin: Origin,
    keys: &[Key],
    mode: AntiReplay,
    clock: Duration,
) -> Result<Sequence, Untrusted> {
    let (prefix, sent_tag) = trailer.split_at(PREFIX_LEN);
    let &[HMAC_SHA_256_128, id, 0, 0, s1, s2, s3, s4, s5, s6, s7, s8] = prefix else {
        return Err(Untrusted::Malformed);
    };
    let sequence = Sequence::from_wire([s1, s2, s3, s4, s5, s6, s7, s8]);
    // Before the tag, since it is cheap and only ever refuses.
    if mode.stale(sequence, clock) {
        return Err(Untrusted::Stale);
    }
    let key = keys.iter().find(|key| key.id.get() == id).ok_or(Untrusted::UnknownKey)?;
    if !bool::from(tag(message, origin, key, prefix).ct_eq(sent_tag)) {
        return Err(Untrusted::BadTag);
    }
    Ok(sequence)
}

/// The tag over origin, message with its checksum read as zero, and trailer with its tag read as zero.
fn tag(message: &[u8], origin: Origin, key: &Key, prefix: &[u8]) -> [u8; TAG_LEN] {
    let (head, body) = message.split_at_checked(6).unwrap_or((message, &[]));
    let (family, mut source) = (if origin.source.is_ipv4() { 4 } else { 6 }, [0; 16]);
    match origin.source {
        IpAddr::V4(v4) => source.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from),
        IpAddr::V6(v6) => source = v6.octets(),
    }
    let version = match origin.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose()).expect("HMAC takes any length of key");
    mac.update(&[family, version, origin.vrid.get(), 0]);
    mac.update(&source);
    mac.update(head);
    mac.update(&[0, 0]);
    mac.update(body.get(2..).unwrap_or_default());
    mac.update(prefix);
    mac.update(&[0; TAG_LEN]);
    let mut tag = [0; TAG_LEN];
    tag.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Sequence = Sequence::from_wire([0x68, 0, 0, 0, 0x80, 0, 0, 0]);
    const LONG_AFTER: Duration = Duration::from_secs(0x7000_0000);

    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn key(id: u8, len: u8) -> Key {
        Key::new(NonZeroU8::new(id).unwrap(), Secret::new((0..len).collect::<Vec<_>>())).unwrap()
    }

    fn origin(source: &str, version: Version) -> Origin {
        Origin { source: source.parse().unwrap(), version, vrid: Vrid::new(51).unwrap() }
    }

    fn v4() -> Origin {
        origin("198.51.100.10", Version::V3)
    }

    fn v6() -> (Vec<u8>, [u8; TRAILER_LEN], Origin) {
        let message = hex("3133c8010064a2e9 fe800000000000000000000000000100");
        let trailer = hex("010100006800000080000000 c8c56146ebfd66ee10ec4d8186461b78");
        (message, trailer.try_into().unwrap(), origin("fe80::10", Version::V3))
    }

    fn monotonic(message: &[u8], trailer: &[u8; TRAILER_LEN], origin: Origin) -> Result<Sequence, Untrusted> {
        verify(message, trailer, origin, &[key(1, 32)], AntiReplay::Monotonic, Duration::ZERO)
    }

    #[test]
    fn trailers_are_byte_for_byte_those_of_the_draft_and_of_keepalived() {
        let (v6_message, v6_trailer, v6) = v6();
        let v2 = origin("198.51.100.10", Version::V2);
        let tag = "1b84bc4e8e43892dc6d98448f8ee2265";
        let cases = [
            ("3133c80100644402c0000264", tag, v4(), key(1, 32), SENT),
            ("3133c80100643935c0000264", tag, v4(), key(1, 32), SENT),
            ("3133c8010064dd32c0000264", tag, v4(), key(1, 32), SENT),
            (
                "2133c80100015465c00002640000000000000000",
                "d0b9391b8d008f779ef2e8cf66238947",
                v2,
                key(1, 32),
                SENT,
            ),
            (
                "3133000200643ecbc0000264c0000265",
                "6010145a1029f713beb389bd48c2918d",
                v4(),
                key(2, 64),
                Sequence::from_wire([0x68, 0, 0, 0, 0xff, 0xff, 0, 7]),
            ),
        ];
        for (message, tag, origin, key, sequence) in cases {
            let trailer = sign(&hex(message), origin, &key, sequence);
            assert_eq!(trailer[PREFIX_LEN..], hex(tag), "{message}");
            let verdict =
                verify(&hex(message), &trailer, origin, &[key], AntiReplay::Monotonic, Duration::ZERO);
            assert_eq!(verdict, Ok(sequence), "{message}");
        }
        assert_eq!(sign(&v6_message, v6, &key(1, 32), SENT), v6_trailer);
    }

    #[test]
    fn a_flipped_bit_is_found_unless_it_is_in_the_checksum() {
        let (message, trailer, origin) = v6();
        for bit in 0..message.len() * 8 {
            let mut message = message.clone();
            message[bit / 8] ^= 1 << (bit % 8);
            let expected = if matches!(bit / 8, 6 | 7) { Ok(SENT) } else { Err(Untrusted::BadTag) };
            assert_eq!(monotonic(&message, &trailer, origin), expected, "bit {bit}");
        }
        for bit in 0..TRAILER_LEN * 8 {
            let mut trailer = trailer;
            trailer[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0 | 2 | 3 => Untrusted::Malformed,
                1 => Untrusted::UnknownKey,
                _ => Untrusted::BadTag,
            };
            assert_eq!(monotonic(&message, &trailer, origin), Err(expected), "bit {bit} of the trailer");
        }
    }

    #[test]
    fn a_trailer_is_good_for_its_own_router_version_and_sender_only() {
        let (message, trailer, ours) = v6();
        for other in [
            Origin { vrid: Vrid::new(52).unwrap(), ..ours },
            Origin { version: Version::V2, ..ours },
            Origin { source: "fe80::11".parse().unwrap(), ..ours },
        ] {
            assert_eq!(monotonic(&message, &trailer, other), Err(Untrusted::BadTag), "{other:?}");
        }
    }

    #[test]
    fn a_message_too_short_for_a_checksum_signs_and_verifies_without_a_panic() {
        for len in 0..9 {
            let message = vec![0x31; len];
            let trailer = sign(&message, v4(), &key(1, 32), SENT);
            assert_eq!(monotonic(&message, &trailer, v4()), Ok(SENT));
        }
    }

    #[test]
    fn the_window_includes_its_edge_in_the_past_and_in_the_future() {
        let (message, trailer, origin) = v6();
        let at_second = |offset: i64| Duration::from_secs(0x6800_0000_u64.saturating_add_signed(offset));
        let at = |clock| verify(&message, &trailer, origin, &[key(1, 32)], AntiReplay::Time(5), clock);
        for good in [at_second(0), at_second(5), at_second(-5)] {
            assert_eq!(at(good), Ok(SENT), "{good:?}");
        }
        for bad in [at_second(6), at_second(-6), at_second(100), LONG_AFTER] {
            assert_eq!(at(bad), Err(Untrusted::Stale), "{bad:?}");
        }
    }

    #[test]
    fn keys_have_32_to_64_bytes() {
        let with = |len| Key::new(NonZeroU8::MIN, Secret::new(vec![7; len])).is_some();
        assert!(!with(31) && with(32) && with(64) && !with(65));
    }
}
