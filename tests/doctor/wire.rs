//! What is heard on the wire, and who answers to ARP.

use crate::{assert_fine, assert_found, config, eth0, judged, secret};
use locum::agent::config::Config;
use locum::doctor::Report;
use locum::doctor::Severity::{Doubt, Trouble};
use locum::doctor::address::{self, Asked};
use locum::doctor::heard::{Heard, Listened, Seen};
use locum::doctor::wire::judge;
use locum::vrrp::auth::Seal;
use locum::vrrp::packet::Draft;
use locum::vrrp::{Advert, Checksum, GROUP_V4};
use std::net::Ipv4Addr;
use std::time::Duration;

const CLOCK: Duration = Duration::from_secs(1_700_000_000);
const SPAN: Duration = Duration::from_secs(4);
const OWN: [u8; 4] = [10, 0, 0, 1];
const PEER: [u8; 4] = [10, 0, 0, 2];

/// The lines of a file, which is read whole.
fn file(lines: &str) -> Config {
    config(lines, "").agent
}

/// `count` adverts of the first router of `config`, as `from` would multicast them at the end of the time.
pub(crate) fn adverts(config: &Config, from: [u8; 4], count: u32, ours: bool) -> Vec<Seen> {
    let router = &config.routers[0];
    let advert = Advert {
        version: router.version,
        vrid: router.vrid,
        priority: Some(router.priority),
        interval: router.interval,
        addresses: router.vips.iter().map(|vip| vip.address).collect(),
    };
    let source = Ipv4Addr::from(from);
    let (form, seal) = (Checksum::Pseudo, Seal::None);
    let payload = Draft::new(&advert, source.into(), &router.auth, &seal).to(GROUP_V4.into(), form).payload;
    let packet = ipv4(source, &payload);
    let start = CLOCK + SPAN.saturating_sub(Duration::from_millis(100) * count);
    let at = |number: u32| start + Duration::from_millis(100) * number;
    let mac = Some([2, 0, 0, 0, 0, from[3]]);
    (0..count)
        .map(|number| Seen {
            interface: "eth0".to_owned(),
            ours,
            mac,
            at: at(number),
            packet: packet.clone(),
        })
        .collect()
}

fn ipv4(source: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0xc0, total[0], total[1], 0, 0, 0, 0, 255, 112, 0, 0];
    packet.extend(source.octets());
    packet.extend(GROUP_V4.octets());
    let words = packet.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

pub(crate) fn heard(config: &Config, seen: Vec<Seen>) -> Heard {
    Listened { span: SPAN, end: CLOCK + SPAN, seen }.by(config)
}

fn of(config: &Config, seen: Vec<Seen>) -> Report {
    judged(|report| judge(config, &[eth0()], &heard(config, seen), None, report))
}

#[test]
fn one_master_with_the_same_file_is_fine() {
    let own = file("");
    assert_fine(&of(&own, adverts(&own, PEER, 4, false)), "wire");
    assert_fine(&of(&own, adverts(&own, OWN, 4, true)), "wire");
}

#[test]
fn another_cluster_with_our_number_is_trouble_by_multicast_and_a_doubt_by_unicast() {
    let other = file("addresses = [\"10.0.0.200/24\"]");
    let report = of(&file(""), adverts(&other, PEER, 4, false));
    assert_found(&report, Trouble, "wire.foreign-vrid", &["10.0.0.2", "10.0.0.200", "vrid = 52"]);
    let unicast = file("peers = [\"10.0.0.3\"]");
    let report = of(&unicast, adverts(&other, PEER, 4, false));
    assert!(
        report.findings.iter().any(|one| one.id == "wire.foreign-vrid" && one.severity == Doubt),
        "{report:#?}"
    );
}

#[test]
fn a_number_that_is_offered_is_one_that_nobody_was_heard_with() {
    let others =
        [file("addresses = [\"10.0.0.200/24\"]"), file("vrid = 52\naddresses = [\"10.0.0.201/24\"]")];
    let seen = others.iter().flat_map(|other| adverts(other, PEER, 4, false)).collect();
    assert_found(&of(&file(""), seen), Trouble, "wire.foreign-vrid", &["vrid = 53"]);
}

#[test]
fn our_address_under_another_number_is_trouble() {
    let own = file("");
    let mut seen = adverts(&own, OWN, 4, true);
    seen.extend(adverts(&file("vrid = 52"), PEER, 4, false));
    assert_found(&of(&own, seen), Trouble, "wire.vrid", &["VRID 52", "VRID 51"]);
}

#[test]
fn what_is_refused_is_trouble_under_the_name_of_the_refusal() {
    let key = secret(&"k".repeat(32));
    let signed = format!("auth = {{ hmac = {{ keys = {{ 1 = \"file:{}\" }} }} }}", key.path().display());
    for (ours, id, word) in [
        (signed.as_str(), "wire.unsigned", "not signed"),
        ("version = 2", "wire.version", "same version"),
        ("peers = [\"10.0.0.2\"]", "wire.multicast-destination", "10.0.0.2"),
    ] {
        let report = of(&file(ours), adverts(&file(""), PEER, 4, false));
        assert_found(&report, Trouble, id, &["10.0.0.2", word]);
    }
}

#[test]
fn other_addresses_and_intervals_and_sums_are_doubts() {
    let more = file("addresses = [\"10.0.0.100/24\", \"10.0.0.101/24\"]");
    let sent = || adverts(&file(""), PEER, 4, false);
    assert_found(&of(&more, sent()), Doubt, "wire.other-addresses", &["10.0.0.2"]);
    assert_found(&of(&file("interval = \"500ms\""), sent()), Doubt, "wire.other-interval", &["interval"]);
    let fixed = file("checksum = \"rfc9568\"");
    assert_found(&of(&fixed, sent()), Doubt, "wire.checksum-reading", &["without", "10.0.0.2 with it"]);
    assert_fine(&of(&file("checksum = \"pseudo\""), sent()), "wire");
}

#[test]
fn two_that_go_on_are_two_masters_and_one_that_has_ended_is_not() {
    let (own, better) = (file("priority = 50"), file("priority = 150"));
    let with = |theirs| {
        let mut seen = adverts(&own, OWN, 4, true);
        seen.extend(adverts(&better, PEER, theirs, false));
        seen
    };
    let words = ["10.0.0.1 (this host, priority 50)", "10.0.0.2 (priority 150)"];
    assert_found(&of(&own, with(4)), Trouble, "wire.two-masters", &words);
    assert_fine(&of(&own, with(2)), "wire");
}

#[test]
fn silence_is_a_doubt_where_it_lasts_and_else_not_looked_at() {
    assert_found(&of(&file(""), Vec::new()), Doubt, "wire.silence", &["VRID 51", "eth0"]);
    let slow = of(&file("interval = \"10s\""), Vec::new());
    assert_eq!((slow.findings.len(), slow.unseen.len()), (0, 1), "{slow:#?}");
    assert!(slow.unseen[0].why.contains("--listen 40s"), "{slow:#?}");
}

fn asked(config: &Config, address: &str, held: bool, answers: &[[u8; 6]], seen: Vec<Seen>) -> Report {
    let (address, answers) = (address.parse().unwrap(), answers.to_vec());
    let asked = [Asked { address, interface: "eth0".to_owned(), held, answers }];
    judged(|report| address::judge(config, &heard(config, seen), &asked, report))
}

fn arp(held: bool, answers: &[[u8; 6]], seen: Vec<Seen>) -> Report {
    asked(&file(""), "10.0.0.100", held, answers, seen)
}

#[test]
fn an_address_is_on_one_host() {
    const MASTER: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const STRAY: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];
    let advertised = || adverts(&file(""), PEER, 2, false);
    for fine in [
        arp(true, &[], Vec::new()),
        arp(false, &[], Vec::new()),
        arp(false, &[MASTER], advertised()),
        arp(false, &[VIRTUAL], advertised()),
    ] {
        assert_fine(&fine, "address");
    }
    let stray = "02:00:00:00:00:09";
    assert_found(&arp(true, &[STRAY], Vec::new()), Trouble, "address.duplicate", &["this host has", stray]);
    let two = arp(false, &[MASTER, STRAY], advertised());
    assert_found(&two, Trouble, "address.duplicate", &["several hosts", stray]);
    assert_found(&arp(false, &[STRAY], Vec::new()), Trouble, "address.unadvertised", &[stray]);
    assert_found(&arp(false, &[STRAY], advertised()), Doubt, "address.elsewhere", &[stray]);
    assert_found(&arp(false, &[], advertised()), Doubt, "address.unanswered", &["10.0.0.2"]);
}

#[test]
fn an_ipv6_address_is_on_one_host_as_well() {
    let stray = [2, 0, 0, 0, 0, 9];
    let two = asked(&file(""), "2001:db8::100", false, &[stray, [2, 0, 0, 0, 0, 8]], Vec::new());
    assert_found(&two, Trouble, "address.duplicate", &["2001:db8::100", "02:00:00:00:00:09"]);
    let silent = asked(&file(""), "2001:db8::7", false, &[], Vec::new());
    assert_found(&silent, Doubt, "address.peer", &["2001:db8::7", "neighbour discovery"]);
}

#[test]
fn where_adverts_are_too_seldom_to_be_heard_nothing_is_said_of_their_absence() {
    let slow = asked(&file("interval = \"10s\""), "10.0.0.100", false, &[[2, 0, 0, 0, 0, 2]], Vec::new());
    assert_eq!((slow.findings.len(), slow.unseen.len()), (0, 1), "{slow:#?}");
}

#[test]
fn a_peer_is_one_host_that_answers() {
    let own = file("peers = [\"10.0.0.2\"]");
    let peer = |answers: &[[u8; 6]]| asked(&own, "10.0.0.2", false, answers, Vec::new());
    assert_fine(&peer(&[[2, 0, 0, 0, 0, 2]]), "address.peer");
    assert_found(&peer(&[]), Doubt, "address.peer", &["10.0.0.2", "eth0"]);
    let both = peer(&[[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]]);
    assert_found(&both, Trouble, "address.duplicate", &["02:00:00:00:00:03"]);
}
