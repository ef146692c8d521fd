//! Bytes nobody should send: mutated, cut, prolonged and random.

use crate::invariants;
use crate::sum::sum;
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::hmac::TRAILER_LEN;
use locum::vrrp::packet::{Envelope, Expect, Reach, Refusal, decode, encode, open_ipv4, parse};
use locum::vrrp::{Advert, Checksum, Family, GROUP_V4, Interval, Priority, Version, Vrid};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An advert, the sender, and how it is written.
#[derive(Clone, Debug)]
struct Sent {
    advert: Advert,
    source: IpAddr,
    form: Checksum,
    auth: Auth,
}

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        encode(&self.advert, self.source, Family::of(self.source).group(), self.form, &self.auth)
    }

    fn in_envelope<'a>(&self, payload: &'a [u8]) -> Envelope<'a> {
        let destination = Family::of(self.source).group();
        Envelope { source: self.source, destination, ttl: Some(255), ah: None, payload }
    }

    fn receiver(&self) -> Expect<'_> {
        Expect {
            version: self.advert.version,
            vrid: self.advert.vrid,
            interval: self.advert.interval,
            owner: false,
            owner_ignores: false,
            bare: false,
            reach: Reach::Multicast(Family::of(self.source).group()),
            min_ttl: None,
            ttls: &[],
            auth: &self.auth,
            clock: None,
            addresses: &self.advert.addresses,
            strict: false,
        }
    }
}

fn addresses(family: Family) -> BoxedStrategy<Vec<IpAddr>> {
    match family {
        Family::Ipv4 => vec(any::<Ipv4Addr>().prop_map(IpAddr::from), 1..=255).boxed(),
        Family::Ipv6 => vec(any::<Ipv6Addr>().prop_map(IpAddr::from), 1..=255).boxed(),
    }
}

fn source(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ipv4 => any::<Ipv4Addr>().prop_map(IpAddr::from).boxed(),
        Family::Ipv6 => {
            any::<u64>().prop_map(|low| Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(low)).into()).boxed()
        }
    }
}

fn auth(version: Version) -> BoxedStrategy<Auth> {
    match version {
        Version::V2 => {
            let password = vec(any::<u8>(), 0..12).prop_map(|bytes| Auth::Pass(Secret::new(bytes)));
            prop_oneof![Just(Auth::None), password].boxed()
        }
        Version::V3 => Just(Auth::None).boxed(),
    }
}

fn interval(version: Version) -> BoxedStrategy<u16> {
    match version {
        Version::V2 => (1..=255_u16).prop_map(|seconds| seconds * 100).boxed(),
        Version::V3 => (1..=4095_u16).boxed(),
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let kinds =
        [(Version::V2, Family::Ipv4), (Version::V3, Family::Ipv4), (Version::V3, Family::Ipv6)].map(Just);
    let form = prop_oneof![Just(Checksum::Pseudo), Just(Checksum::Rfc9568)];
    (proptest::sample::select(kinds.to_vec()), form).prop_flat_map(|(kind, form)| {
        let (version, family) = kind.0;
        let fields = (1..=255_u8, any::<u8>(), interval(version), addresses(family));
        (fields, source(family), auth(version)).prop_map(
            move |((vrid, priority, centiseconds, addresses), source, auth)| {
                let advert = Advert {
                    version,
                    vrid: Vrid::new(vrid).unwrap(),
                    priority: Priority::new(priority),
                    interval: Interval::from_centiseconds(centiseconds).unwrap(),
                    addresses: addresses.into(),
                };
                Sent { advert, source, form, auth }
            },
        )
    })
}

fn other(form: Checksum) -> Checksum {
    match form {
        Checksum::Pseudo => Checksum::Rfc9568,
        Checksum::Rfc9568 => Checksum::Pseudo,
    }
}

/// An IPv4 packet around `payload`, its header checksum right.
fn ipv4_packet(source: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0xc0, total[0], total[1], 0, 0, 0, 0, 255, 112, 0, 0];
    packet.extend(source.octets());
    packet.extend(GROUP_V4.octets());
    let checksum = !sum(&packet);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(payload);
    packet
}

proptest! {
    #[test]
    fn what_is_written_is_read_the_same(sent in sent()) {
        let bytes = sent.bytes();
        let heard = parse(&sent.in_envelope(&bytes), &sent.receiver()).unwrap();
        prop_assert_eq!(&heard.advert, &sent.advert);
        prop_assert_eq!(heard.source, sent.source);
        let two_readings = sent.advert.version == Version::V3 && sent.source.is_ipv4();
        // Both hold at once only where the pseudo-header sums to zero.
        let other = Sent { form: other(sent.form), ..sent.clone() };
        let expected = (two_readings && other.bytes() != bytes).then_some(sent.form);
        prop_assert_eq!(heard.checksum, expected);
    }

    #[test]
    fn a_buffer_with_dirt_behind_the_packet_reads_the_same(
        sent in sent().prop_filter("IPv4", |sent| sent.source.is_ipv4()),
        dirt in vec(any::<u8>(), 0..64),
    ) {
        let IpAddr::V4(source) = sent.source else { unreachable!() };
        let packet = ipv4_packet(source, &sent.bytes());
        let dirty = [packet.as_slice(), &dirt].concat();
        let heard = parse(&open_ipv4(&dirty).unwrap(), &sent.receiver()).unwrap();
        prop_assert_eq!(heard.advert, sent.advert);
    }

    /// One flipped bit always breaks a one's complement sum; only the pseudo-header could mend it,
    /// and it stays as it was.
    #[test]
    fn a_flipped_bit_is_never_believed(sent in sent(), at in any::<prop::sample::Index>()) {
        let mut bytes = sent.bytes();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let heard = parse(&sent.in_envelope(&bytes), &sent.receiver());
        if sent.advert.version == Version::V3 && sent.source.is_ipv4() {
            // With two readings accepted, a flip may turn one into the other: one pair of adverts
            // in 2^16 per bit. Then the advert differs in that bit, and nothing can tell.
            prop_assert!(heard.is_err() || heard.unwrap().checksum != Some(sent.form));
        } else {
            prop_assert!(heard.is_err(), "{heard:?}");
        }
    }

    #[test]
    fn a_message_of_another_length_is_never_believed(
        sent in sent(), at in any::<prop::sample::Index>(), more in vec(any::<u8>(), 1..40),
    ) {
        let bytes = sent.bytes();
        let cut = &bytes[..at.index(bytes.len())];
        prop_assert_eq!(decode(&sent.in_envelope(cut)), Err(Refusal::Truncated));
        let longer = [bytes.as_slice(), &more].concat();
        prop_assert_eq!(parse(&sent.in_envelope(&longer), &sent.receiver()), Err(Refusal::TrailingBytes));
        if more.len() != TRAILER_LEN {
            prop_assert_eq!(decode(&sent.in_envelope(&longer)), Err(Refusal::TrailingBytes));
        }
    }

    #[test]
    fn random_bytes_hold_the_invariants(
        bytes in vec(any::<u8>(), 0..80), ttl in any::<Option<u8>>(), sent in sent(), strict: bool,
    ) {
        let expect = Expect { strict, ..sent.receiver() };
        invariants::hold(&bytes, ttl, &sent.in_envelope(&[]), &expect);
    }

    #[test]
    fn nearly_right_bytes_hold_the_invariants(
        sent in sent(), at in any::<prop::sample::Index>(), byte: u8, strict: bool, unicast: bool,
    ) {
        let mut bytes = sent.bytes();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let peers = [sent.source];
        let reach = if unicast { Reach::Unicast(&peers) } else { sent.receiver().reach };
        let expect = Expect { strict, reach, ..sent.receiver() };
        invariants::hold(&bytes, Some(255), &sent.in_envelope(&[]), &expect);
        if let IpAddr::V4(source) = sent.source {
            invariants::hold(&ipv4_packet(source, &bytes), None, &sent.in_envelope(&[]), &expect);
        }
    }
}
