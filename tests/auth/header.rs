//! The authentication header of version 2: one count for all that send and hear.

use crate::host::{Host, SECOND, usual, web};
use locum::agent::{Config, Outgoing, Standing};
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::{PROTOCOL, ah};

fn headed(priority: u8, secret: &str) -> Config {
    web(priority, Auth::Ah(Secret::new(secret.as_bytes())), "version = 2")
}

fn sequence(advert: &Outgoing) -> u32 {
    assert_eq!(advert.protocol, ah::PROTOCOL);
    u32::from_be_bytes(*advert.payload[8..].first_chunk().unwrap())
}

#[test]
fn a_backup_learns_the_count_from_its_master_and_goes_on_from_there() {
    let (mut a, mut b) = (Host::new(1, &headed(150, "secret"), 0), Host::new(2, &headed(100, "secret"), 0));
    let mut last = 0;
    for advert in a.lead() {
        assert_eq!(sequence(&advert), last + 1);
        last += 1;
        b.now = a.now;
        b.hear(&advert);
    }
    assert_eq!(b.heard(), u64::from(last));
    let first = b.lead().remove(0);
    assert_eq!(sequence(&first), last + 1);
    // Whoever comes back without any memory is refused until it has listened.
    let mut fresh = Host::new(1, &headed(255, "secret"), 0);
    fresh.now = b.now;
    let too_low = fresh.sent.remove(0);
    b.hear(&too_low);
    assert_eq!((b.refused("replay"), b.standing()), (1, Standing::Master));
    // An owner obeys nobody, and learns all the same.
    fresh.hear(&b.advertise().pop().unwrap());
    assert_eq!((fresh.standing(), fresh.refused("local-owner")), (Standing::Master, 1));
    let now_known = fresh.advertise().pop().unwrap();
    b.hear(&now_known);
    assert_eq!(b.standing(), Standing::Backup);
}

#[test]
fn one_count_serves_all_peers_and_each_copy_has_a_digest_of_its_own() {
    let config = web(150, Auth::Ah(Secret::new(*b"secret")), "version = 2\npeers = ['10.0.0.2', '10.0.0.3']");
    let mut host = Host::new(1, &config, 0);
    host.lead();
    let adverts = host.advertise();
    assert_eq!(adverts.len(), 2);
    assert_eq!(sequence(&adverts[0]), sequence(&adverts[1]));
    assert_ne!(adverts[0].payload[12..24], adverts[1].payload[12..24]);
    for (n, advert) in [(2, &adverts[0]), (3, &adverts[1])] {
        let config = web(100, Auth::Ah(Secret::new(*b"secret")), "version = 2\npeers = ['10.0.0.1']");
        let mut receiver = Host::new(n, &config, 0);
        receiver.hear(advert);
        assert_eq!(receiver.heard(), 1);
    }
}

#[test]
fn every_flipped_bit_and_every_other_secret_moves_nothing() {
    let mut a = Host::new(1, &headed(150, "secret"), 0);
    let advert = a.lead().pop().unwrap();
    let mut b = Host::new(2, &headed(100, "secret"), 0);
    b.now = a.now;
    let before = b.agent.deadline();
    for bit in 0..advert.payload.len() * 8 {
        let mut forged = advert.clone();
        forged.payload[bit / 8] ^= 1 << (bit % 8);
        b.hear(&forged);
        assert_eq!((b.agent.deadline(), b.heard()), (before, 0), "bit {bit}");
    }
    assert!(b.refused("bad-digest") > 0);
    let stranger = Host::new(9, &headed(255, "Secret"), 0).sent.remove(0);
    b.hear(&stranger);
    assert_eq!((b.agent.deadline(), b.heard()), (before, 0));
    b.hear(&advert);
    assert_eq!(b.heard(), 1);
}

#[test]
fn with_and_without_a_header_do_not_mix() {
    let advert = |config: &Config| Host::new(1, config, 0).lead().remove(0);
    let plain = web(150, Auth::None, "version = 2");
    for (sent, received) in [
        (headed(150, "secret"), plain.clone()),
        (plain.clone(), headed(100, "secret")),
        (headed(150, "secret"), web(100, usual(), "version = 2")),
        (web(150, usual(), "version = 2"), headed(100, "secret")),
        (web(150, Auth::Pass(Secret::new(*b"secret")), "version = 2"), headed(100, "secret")),
    ] {
        let mut receiver = Host::new(2, &received, 0);
        receiver.now = receiver.now + SECOND;
        receiver.hear(&advert(&sent));
        let refused: Vec<_> = receiver.instance().refused.into_keys().collect();
        assert!(refused == ["auth-type"] || refused == ["trailing-bytes"], "{refused:?}");
        assert_eq!(receiver.heard(), 0);
    }
    assert_eq!(advert(&plain).protocol, PROTOCOL);
}
