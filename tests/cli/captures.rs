//! `locum sniff --read`: captures made here, with verdicts; and those of other routers.

use crate::program::{Ran, command};
use locum::vrrp::auth::{Auth, Seal, Secret};
use locum::vrrp::hmac::{Key, Keyring, Mode};
use locum::vrrp::packet::{Draft, encode};
use locum::vrrp::sequence::{AntiReplay, Sequence};
use locum::vrrp::{Advert, Checksum, Interval, Priority, Version, Vrid};
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU8;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONFIG: &str = "[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n\
                      [router.six]\ninterface = \"eth0\"\nvrid = 6\naddresses = [\"fe80::100\"]\n";

fn advert(vrid: u8, priority: u8, address: IpAddr) -> Advert {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(vrid).unwrap(),
        priority: Priority::new(priority),
        interval: Interval::SECOND,
        addresses: [address].into(),
    }
}

/// An IPv4 packet that carries `payload`.
fn ipv4(source: Ipv4Addr, ttl: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut header = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, ttl, protocol, 0, 0];
    header.extend(source.octets());
    header.extend([224, 0, 0, 18]);
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !u16::try_from((sum & 0xFFFF) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    [&header, payload].concat()
}

/// An advert of VRID `vrid` over IPv4, from 10.0.0.2.
fn packet(vrid: u8, priority: u8, ttl: u8) -> Vec<u8> {
    let source = Ipv4Addr::new(10, 0, 0, 2);
    let advert = advert(vrid, priority, [10, 0, 0, 100].into());
    let group = [224, 0, 0, 18].into();
    ipv4(source, ttl, 112, &encode(&advert, source.into(), group, Checksum::Pseudo, &Auth::None))
}

fn packet_v6() -> Vec<u8> {
    let (source, group) = ("fe80::2".parse::<std::net::Ipv6Addr>().unwrap(), locum::vrrp::GROUP_V6);
    let advert = advert(6, 100, "fe80::100".parse().unwrap());
    let payload = encode(&advert, source.into(), group.into(), Checksum::Pseudo, &Auth::None);
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], 112, 255];
    packet.extend(source.octets());
    packet.extend(group.octets());
    [packet, payload].concat()
}

/// A little-endian capture of raw IP packets, one second apart.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for field in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(field.to_le_bytes());
    }
    for (second, packet) in (1_700_000_000_u32..).zip(packets) {
        let length = u32::try_from(packet.len()).unwrap();
        for field in [second, 250_000, length, length] {
            file.extend(field.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn sniff(file: &[u8], more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let (capture, config) = (folder.path().join("a.pcap"), folder.path().join("locum.toml"));
    fs::write(&capture, file).unwrap();
    fs::write(&config, CONFIG).unwrap();
    let mut command = command(&["sniff", "--read"]);
    command.arg(capture).args(more.iter().filter(|word| **word != "CONFIG"));
    if more.contains(&"CONFIG") {
        command.arg("--config").arg(config);
    }
    command.output().unwrap().into()
}

fn damaged(mut packet: Vec<u8>) -> Vec<u8> {
    *packet.last_mut().unwrap() ^= 1;
    packet
}

#[test]
fn every_advert_is_one_line_with_the_verdict_of_the_configuration() {
    let source = Ipv4Addr::new(10, 0, 0, 2);
    let packets = [
        packet(51, 200, 255),
        ipv4(source, 64, 17, b"no VRRP"),
        packet(51, 0, 255),
        packet(51, 200, 64),
        packet(7, 200, 255),
        damaged(packet(51, 200, 255)),
        packet_v6(),
    ];
    let ran = sniff(&capture(&packets), &["CONFIG"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let to = "10.0.0.2 > 224.0.0.18:";
    let says = "every 1s, for 10.0.0.100, ttl";
    let expected = format!(
        "2023-11-14T22:13:20.250000Z {to} version 3, VRID 51, priority 200, {says} 255 | web: accepted
2023-11-14T22:13:22.250000Z {to} version 3, VRID 51, priority 0 (farewell), {says} 255 | web: accepted
2023-11-14T22:13:23.250000Z {to} version 3, VRID 51, priority 200, {says} 64 | web: refused: \
the TTL is too low: it came through a router, or is forged
2023-11-14T22:13:24.250000Z {to} version 3, VRID 7, priority 200, {says} 255 | no router here is meant
2023-11-14T22:13:25.250000Z {to} malformed: the VRRP checksum is wrong, ttl 255 | web: refused: \
the VRRP checksum is wrong
2023-11-14T22:13:26.250000Z fe80::2 > ff02::12: version 3, VRID 6, priority 100, every 1s, \
for fe80::100, ttl 255 | six: accepted
"
    );
    assert_eq!(ran.out, expected);
}

#[test]
fn a_signature_and_an_authentication_header_are_told_and_judged() {
    let source = Ipv4Addr::new(10, 0, 0, 2);
    let advert = advert(51, 200, [10, 0, 0, 100].into());
    let group = [224, 0, 0, 18].into();
    let second = Duration::from_secs(1_700_000_000);
    let key = Key::new(NonZeroU8::MIN, Secret::new([7; 32])).unwrap();
    let ring = Keyring::new(vec![key], NonZeroU8::MIN, AntiReplay::Time(5), Mode::Enforce).unwrap();
    let (signs, header) = (Auth::Hmac(ring), Auth::Ah(Secret::new(*b"c3cr3t42")));
    let sealed = |advert: &Advert, auth: &Auth, seal: &Seal| {
        let parcel = Draft::new(advert, source.into(), auth, seal).to(group, Checksum::Pseudo);
        ipv4(source, 255, parcel.protocol, &parcel.payload)
    };
    let signed = sealed(&advert, &signs, &Seal::Signed { key: 1, sequence: Sequence::at(second) });
    let old = Advert { version: Version::V2, ..advert };
    let wrapped = sealed(&old, &header, &Seal::Ah { spi: source.to_bits(), sequence: 9 });
    let foreign = [&wrapped[..20], &[6], &wrapped[21..]].concat();
    let file = capture(&[signed, wrapped, foreign]);

    let place = tempfile::tempdir().unwrap();
    let (key, config) = (place.path().join("key"), place.path().join("locum.toml"));
    fs::write(&key, [7; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let auth = "auth.hmac = { keys = { 1 = \"file:key\" } }";
    let plain = "[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n";
    fs::write(&config, format!("{plain}{auth}\n")).unwrap();
    let ran = sniff(&file, &["--config", config.to_str().unwrap()]);
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(lines[0].ends_with("signed with key 1, ttl 255 | web: accepted"), "{ran:?}");
    assert!(lines[1].contains(", AH of 10.0.0.2 number 9, ttl 255 | web: refused: "), "{ran:?}");
    assert_eq!(lines.len(), 2, "a header around something else is none of VRRP's: {ran:?}");
    let json: Value = serde_json::from_str(sniff(&file, &["--json"]).out.lines().next().unwrap()).unwrap();
    assert_eq!(json["advert"]["seal"]["key"], 1);
}

#[test]
fn json_has_a_line_a_packet_and_the_verdict_only_with_a_configuration() {
    let file = capture(&[packet(51, 200, 255), packet(51, 200, 64)]);
    let lines = |more: &[&str]| -> Vec<Value> {
        sniff(&file, more).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let judged = lines(&["--json", "CONFIG"]);
    assert_eq!(judged[0]["advert"]["priority"], 200);
    assert_eq!(judged[0]["verdict"]["accepted"], true);
    assert_eq!(
        judged[1]["verdict"],
        serde_json::json!({"router": "web", "accepted": false, "refused": "ttl"})
    );
    let plain = lines(&["--json"]);
    assert!(plain.len() == 2 && plain.iter().all(|line| line["verdict"].is_null()), "{plain:?}");
}

#[test]
fn the_count_bounds_what_is_shown() {
    let file = capture(&[packet(51, 200, 255), packet(51, 201, 255), packet(51, 202, 255)]);
    assert_eq!(sniff(&file, &["--count", "2"]).out.lines().count(), 2);
}

#[test]
fn a_capture_that_cannot_be_read_is_an_error_after_what_could() {
    let whole = capture(&[packet(51, 200, 255), packet(51, 200, 255)]);
    let cut = sniff(&whole[..whole.len() - 1], &[]);
    assert_eq!((cut.code, cut.out.lines().count()), (1, 1), "{cut:?}");
    assert!(cut.complaint().ends_with("it ends in the middle of a packet"), "{cut:?}");
    let other = sniff(b"PK\x03\x04", &[]);
    assert_eq!((other.code, other.out.as_str()), (1, ""));
    assert!(other.complaint().ends_with("it is not a pcap file"), "{other:?}");
    let mut radio = capture(&[packet(51, 200, 255)]);
    radio[20] = 127;
    let radio = sniff(&radio, &[]);
    assert_eq!((radio.code, radio.out.as_str()), (1, ""));
    assert!(
        radio.complaint().contains("a link of type 127 (802.11 with radiotap); wanted Ethernet"),
        "{radio:?}"
    );
    let none = sniff(&capture(&[]), &[]);
    assert_eq!((none.code, none.complaint()), (0, "no VRRP packet was found"));
}

#[test]
fn a_wrong_configuration_points_at_check() {
    let ran: Ran = command(&["sniff", "--read", "a.pcap", "--config", "/none.toml"]).output().unwrap().into();
    assert_eq!(ran.code, 1);
    assert_eq!(ran.complaint(), "/none.toml cannot be used; `locum check /none.toml` says why");
}

#[test]
fn captures_of_other_routers_are_read_to_their_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/captures");
    if !folder.is_dir() {
        return;
    }
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let readable = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".pcap") && !name.contains("-ah.") && !name.contains("hmac")
    };
    let files: Vec<_> = files.filter(readable).collect();
    assert!(!files.is_empty(), "no capture in {}", folder.display());
    for file in files {
        let ran: Ran = command(&["sniff", "--read"]).arg(&file).output().unwrap().into();
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", file.display());
        assert!(!ran.out.contains("malformed"), "{}: {}", file.display(), ran.out);
        assert!(ran.out.contains("priority 200") && ran.out.contains("farewell"), "{}", file.display());
    }
}
