//! Every reason for not following a packet is raised once through an agent, and seen in its status.

use crate::desk::{ABOVE, BELOW, Desk, OWN, SECOND, advert, advert2, advert6, config, eth0, ip};
use locum::agent::{Config, Datagram, Effect, Input, LinkAddress, Outgoing};
use locum::sim::wire::{self, Crafted};
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::hmac::{Key, Keyring, Mode, TRAILER_LEN};
use locum::vrrp::instance::Discard;
use locum::vrrp::packet::Refusal;
use locum::vrrp::sequence::AntiReplay;
use std::num::NonZeroU8;
use std::time::Duration;

const CLOCK: Duration = Duration::from_secs(1_700_000_000);

/// Reasons that an agent never counts, and why.
const ELSEWHERE: &[(Refusal, &str)] = &[
    (Refusal::VridUnknown, "an agent leaves other virtual routers alone; only a sniffer judges them all"),
    (Refusal::OtherSpi, "only a holder of the key can forge it: a test of vrrp::ah does"),
];

fn signed(id: u8, byte: u8) -> Config {
    let id = NonZeroU8::new(id).unwrap();
    let key = Key::new(id, Secret::new([byte; 32])).unwrap();
    let ring = Keyring::new(vec![key], id, AntiReplay::Time(5), Mode::Enforce).unwrap();
    with_auth("", Auth::Hmac(ring))
}

fn headed(secret: &str) -> Config {
    with_auth("version = 2", Auth::Ah(Secret::new(secret.as_bytes())))
}

fn with_auth(more: &str, auth: Auth) -> Config {
    let mut config = config(more);
    config.routers[0].auth = auth;
    config
}

fn started(config: &Config, clock: Duration) -> Desk {
    let mut desk = Desk::new(config);
    desk.give(Input::Clock(clock));
    desk.give(Input::Link(eth0(true)));
    desk.give(Input::LinksReady);
    desk
}

/// The first advert of another host that is configured so and whose clock is right, or ahead.
fn sent_by(config: &Config, ahead: Duration) -> Outgoing {
    let mut desk = Desk::new(config);
    let mut link = eth0(true);
    let address = ip(ABOVE);
    link.addresses = vec![LinkAddress { address, prefix: 24, tentative: false, secondary: false }];
    desk.give(Input::Clock(CLOCK + ahead));
    desk.give(Input::Link(link));
    desk.give(Input::LinksReady);
    let effects = desk.wait(SECOND * 4);
    let adverts = effects.into_iter().filter_map(|(_, effect)| match effect {
        Effect::Send(out) => Some(out),
        _ => None,
    });
    adverts.last().expect("a Master advertises")
}

/// A packet of version 3 with one change to its IPv4 header, whose checksum is made right again or not.
fn header(at: usize, byte: u8, right: bool) -> Datagram {
    let mut datagram = advert(ABOVE, 200).datagram("eth0");
    datagram.packet[at] = byte;
    if right {
        datagram.packet[10..12].fill(0);
        let words = datagram.packet[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let sum: u32 = words.sum();
        let folded = (sum & 0xFFFF) + (sum >> 16);
        let sum = !u16::try_from((folded & 0xFFFF) + (folded >> 16)).unwrap();
        datagram.packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    datagram
}

/// What raises a reason: the router, and the packets, of which the last one is refused.
fn provoke(refusal: Refusal) -> Option<(Config, Vec<Datagram>)> {
    let plain = |crafted: Crafted| Some((config(""), vec![crafted.datagram("eth0")]));
    let two = |crafted: Crafted| Some((config("version = 2"), vec![crafted.datagram("eth0")]));
    let raw = |datagram| Some((config(""), vec![datagram]));
    let peers = "peers = ['10.0.0.9']\nsource = '10.0.0.5'";
    let arrived = |out: &Outgoing| wire::sent("eth0", out);
    match refusal {
        Refusal::IpHeader => raw(header(0, 0x44, true)),
        Refusal::IpLength => raw(header(3, 200, true)),
        Refusal::IpProtocol => raw(header(9, 17, true)),
        Refusal::Fragment => raw(header(6, 0x20, true)),
        Refusal::IpChecksum => raw(header(8, 254, false)),
        Refusal::Truncated => plain(Crafted { cut: 1, ..advert(ABOVE, 200) }),
        Refusal::Version => plain(advert2(ABOVE, 200)),
        Refusal::Type => plain(Crafted { kind: 2, ..advert(ABOVE, 200) }),
        Refusal::VridZero => plain(Crafted { vrid: 0, ..advert(ABOVE, 200) }),
        Refusal::CountZero => plain(Crafted { count: Some(0), ..advert(ABOVE, 200) }),
        Refusal::TrailingBytes => plain(Crafted { tail: vec![0; 4], ..advert(ABOVE, 200) }),
        Refusal::Checksum => plain(Crafted { bad_checksum: true, ..advert(ABOVE, 200) }),
        Refusal::IntervalZero => plain(Crafted { interval: [0, 0], ..advert(ABOVE, 200) }),
        Refusal::Ttl => plain(Crafted { ttl: 254, ..advert(ABOVE, 200) }),
        Refusal::MulticastDestination => Some((config(peers), vec![advert(ABOVE, 200).datagram("eth0")])),
        Refusal::UnicastDestination => plain(Crafted { destination: ip(OWN), ..advert(ABOVE, 200) }),
        Refusal::BadDestination => plain(Crafted { destination: ip("224.0.0.19"), ..advert(ABOVE, 200) }),
        Refusal::NotAPeer => {
            let stranger = Crafted { destination: ip(OWN), ..advert(BELOW, 200) };
            Some((config(peers), vec![stranger.datagram("eth0")]))
        }
        Refusal::SourceNotLinkLocal => {
            Some((config("addresses = ['fe80::100']"), vec![advert6("fd00::9", 200).datagram("eth0")]))
        }
        Refusal::AuthType => two(Crafted { interval: [1, 1], ..advert2(ABOVE, 200) }),
        Refusal::WrongPassword => {
            let wrong = Crafted { interval: [1, 1], ..advert2(ABOVE, 200) };
            let config = with_auth("version = 2", Auth::Pass(Secret::new(*b"s3cr3t")));
            Some((config, vec![wrong.datagram("eth0")]))
        }
        Refusal::BadDigest => {
            Some((headed("secret"), vec![arrived(&sent_by(&headed("s3cr3t"), Duration::ZERO))]))
        }
        Refusal::Unsigned => Some((signed(1, 7), vec![advert(ABOVE, 200).datagram("eth0")])),
        Refusal::BadTrailer => {
            let mut out = sent_by(&signed(1, 7), Duration::ZERO);
            let kind = out.payload.len() - TRAILER_LEN;
            out.payload[kind] = 9;
            Some((signed(1, 7), vec![arrived(&out)]))
        }
        Refusal::Stale => Some((signed(1, 7), vec![arrived(&sent_by(&signed(1, 7), SECOND * 60))])),
        Refusal::UnknownKey => Some((signed(1, 7), vec![arrived(&sent_by(&signed(2, 7), Duration::ZERO))])),
        Refusal::BadSignature => Some((signed(1, 7), vec![arrived(&sent_by(&signed(1, 8), Duration::ZERO))])),
        Refusal::Replay => {
            let out = arrived(&sent_by(&signed(1, 7), Duration::ZERO));
            Some((signed(1, 7), vec![out.clone(), out]))
        }
        Refusal::IntervalMismatch => two(Crafted { interval: [0, 2], ..advert2(ABOVE, 200) }),
        Refusal::LocalOwner => {
            Some((config("version = 2\npriority = 255"), vec![advert2(ABOVE, 255).datagram("eth0")]))
        }
        Refusal::FirstNotLinkLocal => {
            let global = Crafted { addresses: vec![ip("fd00::1")], ..advert6("fe80::9", 200) };
            let mut strict = config("addresses = ['fe80::100']");
            strict.routers[0].strict = true;
            Some((strict, vec![global.datagram("eth0")]))
        }
        Refusal::VridUnknown | Refusal::OtherSpi => None,
    }
}

#[test]
fn every_refusal_is_raised_and_counted() {
    for refusal in Refusal::ALL {
        let Some((config, mut packets)) = provoke(*refusal) else {
            assert!(ELSEWHERE.iter().any(|(other, _)| other == refusal), "{refusal:?} is never raised");
            continue;
        };
        let mut desk = started(&config, CLOCK);
        desk.wait(SECOND * 3);
        let last = packets.pop().expect("a packet");
        for packet in packets {
            desk.give(Input::Datagram(packet));
        }
        desk.unmoved(|desk| desk.give(Input::Datagram(last)).into_iter().filter(keeps_nothing).collect());
        assert_eq!(desk.refused(refusal.name()), 1, "{refusal:?}: {:?}", desk.status().instances);
    }
}

fn keeps_nothing(effect: &Effect) -> bool {
    !matches!(effect, Effect::Remember(_))
}

#[test]
fn every_discard_is_raised_and_counted() {
    for discard in Discard::ALL {
        let mut desk = match discard {
            Discard::Own | Discard::LowerPriority | Discard::StrangersFarewell => Desk::backup(""),
            Discard::NotTakingPart => {
                let mut desk = Desk::backup("");
                desk.give(Input::Link(eth0(false)));
                desk
            }
            Discard::Losing => Desk::master(""),
        };
        if *discard == Discard::StrangersFarewell {
            desk.hear(&advert(ABOVE, 200));
        }
        let heard = match discard {
            Discard::Own => advert(OWN, 100),
            Discard::NotTakingPart => advert(ABOVE, 200),
            Discard::LowerPriority | Discard::Losing => advert(BELOW, 99),
            Discard::StrangersFarewell => advert(BELOW, 0),
        };
        desk.hear(&heard);
        assert_eq!(desk.discarded(discard.name()), 1, "{discard:?}");
    }
}
