//! The two readings of the version 3 checksum over IPv4 get on with each other.

use crate::capture::Packets;
use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{Router, settle};
use crate::neighbour::Instance;
use locum::vrrp::Checksum;
use std::net::IpAddr;

fn readings(packets: &Packets, source: &str) -> Vec<Option<Checksum>> {
    let source: IpAddr = source.parse().unwrap();
    let heard = packets.adverts().into_iter().filter_map(|seen| seen.heard.ok());
    let mut readings: Vec<_> =
        heard.filter(|heard| heard.source == source).map(|heard| heard.checksum).collect();
    readings.dedup();
    readings
}

#[test]
fn locum_answers_in_the_reading_that_it_heard() {
    let lab = Lab::new(&["a", "b", "client"]);
    let mut a = lab["a"].locum(&Router::new(150).with("checksum", r#""rfc9568""#));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    let capture = lab["client"].capture();
    settle(3);
    a.stop();
    lab.wait_owner(VIP, &["b"]);
    settle(3);
    let packets = capture.end();
    assert_eq!(readings(&packets, &lab["a"].ipv4()), [Some(Checksum::Rfc9568)]);
    assert_eq!(readings(&packets, &lab["b"].ipv4()), [Some(Checksum::Rfc9568)]);
    assert_eq!(b.refused_at_all(), 0);
}

#[test]
fn keepalived_sums_the_pseudo_header_and_so_does_locum_unless_told_otherwise() {
    let lab = Lab::new(&["a", "b", "client"]);
    let _b = lab["b"].keepalived(&Instance::new(100));
    lab.wait_owner(VIP, &["b"]);
    let capture = lab["client"].capture();
    let mut a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    a.stop();
    lab.wait_owner(VIP, &["b"]);
    settle(2);
    let packets = capture.end();
    assert_eq!(readings(&packets, &lab["a"].ipv4()), [Some(Checksum::Pseudo)]);
    assert_eq!(readings(&packets, &lab["b"].ipv4()), [Some(Checksum::Pseudo)]);
}
