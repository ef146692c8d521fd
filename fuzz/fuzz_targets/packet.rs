//! Any bytes, any TTL, any receiver: nothing panics, and what is accepted reads the same again.
//!
//! `cargo +nightly fuzz run packet`; what holds is written in `tests/wire/invariants.rs`, which
//! plain `cargo test` runs too.

#![no_main]

#[path = "../../tests/wire/invariants.rs"]
mod invariants;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::packet::{Envelope, Expect, Reach};
use locum::vrrp::{Family, Interval, Version, Vrid};
use std::net::IpAddr;

#[derive(Arbitrary, Debug)]
struct Input {
    ttl: Option<u8>,
    min_ttl: Option<u8>,
    version_2: bool,
    vrid: u8,
    centiseconds: u16,
    owner: bool,
    strict: bool,
    bare: bool,
    owner_ignores: bool,
    peers: Option<Vec<IpAddr>>,
    password: Option<[u8; 8]>,
    source: IpAddr,
    destination: IpAddr,
    bytes: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let auth = input.password.map_or(Auth::None, |password| Auth::Pass(Secret::new(password)));
    let expect = Expect {
        version: if input.version_2 { Version::V2 } else { Version::V3 },
        vrid: Vrid::new(input.vrid).unwrap_or(Vrid::new(1).unwrap()),
        interval: Interval::from_centiseconds(input.centiseconds).unwrap_or(Interval::SECOND),
        owner: input.owner,
        reach: input.peers.as_deref().map_or(Reach::Multicast(Family::of(input.source).group()), Reach::Unicast),
        min_ttl: input.min_ttl,
        ttls: &[],
        auth: &auth,
        clock: None,
        addresses: &[],
        strict: input.strict,
        bare: input.bare,
        owner_ignores: input.owner_ignores,
    };
    // The IP layer never mixes families.
    let same_family = input.source.is_ipv4() == input.destination.is_ipv4();
    let destination = if same_family { input.destination } else { input.source };
    let addressed = Envelope { source: input.source, destination, ttl: None, ah: None, payload: &[] };
    invariants::hold(&input.bytes, input.ttl, &addressed, &expect);
});
