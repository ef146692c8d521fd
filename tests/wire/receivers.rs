//! What receivers expect that no vector has: unicast peers, TTL limits, passwords.

use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::packet::{Envelope, Expect, Heard, Reach, Refusal, encode, parse};
use locum::vrrp::{Advert, Checksum, GROUP_V4, GROUP_V6, Interval, Priority, Version, Vrid};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SENDER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const US: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const US_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));
const GROUP: IpAddr = IpAddr::V4(GROUP_V4);

fn advert(version: Version) -> Advert {
    Advert {
        version,
        vrid: Vrid::new(51).unwrap(),
        priority: Priority::new(200),
        interval: Interval::SECOND,
        addresses: [IpAddr::from([192, 0, 2, 100])].into(),
    }
}

fn expect<'a>(version: Version, reach: Reach<'a>, auth: &'a Auth) -> Expect<'a> {
    Expect {
        version,
        vrid: Vrid::new(51).unwrap(),
        interval: Interval::SECOND,
        owner: false,
        owner_ignores: false,
        bare: false,
        reach,
        min_ttl: None,
        ttls: &[],
        auth,
        clock: None,
        addresses: &[],
        strict: true,
    }
}

/// What a receiver makes of a version 3 advert that came this way.
fn over(source: IpAddr, destination: IpAddr, ttl: Option<u8>, expect: &Expect<'_>) -> Result<Heard, Refusal> {
    let addresses = match source {
        IpAddr::V4(_) => [IpAddr::from([192, 0, 2, 100])].into(),
        IpAddr::V6(_) => vec!["fe80::100".parse().unwrap()],
    };
    let advert = Advert { addresses: addresses.into(), ..advert(Version::V3) };
    let payload = encode(&advert, source, destination, Checksum::Pseudo, &Auth::None);
    parse(&Envelope { source, destination, ttl, ah: None, payload: &payload }, expect)
}

#[test]
fn a_unicast_router_hears_its_peers_at_any_distance_and_nobody_else() {
    let peers = [SENDER, SENDER_V6];
    let unicast = expect(Version::V3, Reach::Unicast(&peers), &Auth::None);
    assert!(over(SENDER, US, Some(64), &unicast).is_ok());
    assert!(over(SENDER, US, None, &unicast).is_ok());
    assert!(over(SENDER_V6, US_V6, Some(1), &unicast).is_ok());
    assert_eq!(over(STRANGER, US, Some(255), &unicast), Err(Refusal::NotAPeer));
    assert_eq!(over(SENDER, GROUP, Some(255), &unicast), Err(Refusal::MulticastDestination));
}

#[test]
fn a_multicast_router_hears_the_group_and_nothing_else() {
    let multicast = expect(Version::V3, Reach::Multicast(GROUP), &Auth::None);
    assert!(over(SENDER, GROUP, Some(255), &multicast).is_ok());
    assert_eq!(over(SENDER, US, Some(255), &multicast), Err(Refusal::UnicastDestination));
    let all_hosts = IpAddr::from([224, 0, 0, 1]);
    assert_eq!(over(SENDER, all_hosts, Some(255), &multicast), Err(Refusal::BadDestination));
    let multicast = Expect { reach: Reach::Multicast(GROUP_V6.into()), ..multicast };
    let global = over(SENDER_V6, GROUP_V6.into(), Some(255), &multicast);
    assert_eq!(global, Err(Refusal::SourceNotLinkLocal));
}

#[test]
fn a_router_with_a_group_of_its_own_hears_that_one_alone() {
    let own = IpAddr::from([224, 0, 0, 81]);
    let expect = expect(Version::V3, Reach::Multicast(own), &Auth::None);
    assert!(over(SENDER, own, Some(255), &expect).is_ok());
    assert_eq!(over(SENDER, GROUP, Some(255), &expect), Err(Refusal::BadDestination));
}

#[test]
fn a_ttl_limit_holds_in_both_reaches_and_an_untold_ttl_meets_none() {
    let peers = [SENDER];
    for (reach, destination) in [(Reach::Multicast(GROUP), GROUP), (Reach::Unicast(&peers), US)] {
        let limited = Expect { min_ttl: Some(254), ..expect(Version::V3, reach, &Auth::None) };
        assert!(over(SENDER, destination, Some(255), &limited).is_ok());
        assert!(over(SENDER, destination, Some(254), &limited).is_ok());
        assert_eq!(over(SENDER, destination, Some(253), &limited), Err(Refusal::Ttl));
        assert_eq!(over(SENDER, destination, None, &limited), Err(Refusal::Ttl));
    }
    let multicast = expect(Version::V3, Reach::Multicast(GROUP), &Auth::None);
    assert_eq!(over(SENDER, GROUP, None, &multicast), Err(Refusal::Ttl));
}

#[test]
fn a_peer_with_ttls_of_its_own_is_heard_within_them_alone() {
    let peers = [SENDER, STRANGER];
    let ttls = [(SENDER, 60..=64)];
    let unicast = Expect { ttls: &ttls, ..expect(Version::V3, Reach::Unicast(&peers), &Auth::None) };
    for (ttl, heard) in
        [(Some(60), true), (Some(64), true), (Some(59), false), (Some(65), false), (None, false)]
    {
        assert_eq!(over(SENDER, US, ttl, &unicast).is_ok(), heard, "{ttl:?}");
        assert!(over(STRANGER, US, ttl, &unicast).is_ok());
    }
    assert_eq!(over(SENDER, US, Some(65), &unicast), Err(Refusal::Ttl));
}

#[test]
fn a_password_is_asked_for_in_version_2_only() {
    let ours = Auth::Pass(Secret::new(*b"secret"));
    let theirs = Auth::Pass(Secret::new(*b"Secret"));
    let hear = |version, sent: &Auth, expected: &Auth| {
        let payload = encode(&advert(version), SENDER, GROUP, Checksum::Pseudo, sent);
        let envelope =
            Envelope { source: SENDER, destination: GROUP, ttl: Some(255), ah: None, payload: &payload };
        parse(&envelope, &expect(version, Reach::Multicast(GROUP), expected)).map(|heard| heard.remarks)
    };
    assert_eq!(hear(Version::V2, &ours, &ours), Ok(vec![]));
    assert_eq!(hear(Version::V2, &theirs, &ours), Err(Refusal::WrongPassword));
    assert_eq!(hear(Version::V2, &Auth::None, &ours), Err(Refusal::AuthType));
    assert_eq!(hear(Version::V2, &ours, &Auth::None), Err(Refusal::AuthType));
    assert_eq!(hear(Version::V3, &ours, &theirs), Ok(vec![]));
}

#[test]
fn a_password_goes_out_as_keepalived_sends_it() {
    let auth = Auth::Pass(Secret::new(*b"secret"));
    let message = encode(&advert(Version::V2), SENDER, GROUP, Checksum::Rfc9568, &auth);
    assert_eq!(message, crate::folder::hex("2133c80101011719c00002647365637265740000"));
}

#[test]
fn what_the_wire_has_no_room_for_is_cut_and_still_a_valid_message() {
    let addresses = (0..300_u16).map(|n| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]));
    let addresses = addresses.chain([SENDER_V6]).collect();
    let interval = Interval::from_centiseconds(25_500).unwrap();
    let large = Advert { addresses, interval, ..advert(Version::V3) };
    let payload = encode(&large, SENDER, GROUP, Checksum::Pseudo, &Auth::None);
    let envelope =
        Envelope { source: SENDER, destination: GROUP, ttl: Some(255), ah: None, payload: &payload };
    let heard = parse(&envelope, &expect(Version::V3, Reach::Multicast(GROUP), &Auth::None)).unwrap();
    assert_eq!(heard.advert.addresses[..], large.addresses[..255]);
    assert_eq!(heard.advert.interval.centiseconds(), 4095);
}
