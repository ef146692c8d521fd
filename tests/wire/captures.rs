//! Adverts that keepalived and FRR really sent: frames in JSON, and whole captures where present.

use crate::folder;
use locum::cli::pcap::{self, LinkType, Network};
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::hmac::{Key, Origin, TRAILER_LEN, sign, verify};
use locum::vrrp::packet::{Envelope, Expect, Heard, Reach, Refusal, Remark};
use locum::vrrp::packet::{decode, open_ipv4, open_ipv6, parse, peek_version, peek_vrid};
use locum::vrrp::sequence::{AntiReplay, MULTICAST_SENDERS, Marks};
use locum::vrrp::{Checksum, Family, Priority, Version};
use serde::Deserialize;
use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Frames {
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    frame_hex: String,
    kind: String,
}

fn open(packet: Network<'_>) -> Result<Envelope<'_>, Refusal> {
    match packet {
        Network::Ipv4(packet) => open_ipv4(packet),
        Network::Ipv6(packet) => open_ipv6(packet),
    }
}

#[test]
fn the_adverts_among_the_frames_decode_and_nothing_else_does() {
    let mut adverts = 0;
    for path in folder::all().iter().flat_map(|folder| folder::files(folder, "frames", ".json")) {
        for frame in folder::json::<Frames>(&path).frames {
            let bytes = folder::hex(&frame.frame_hex);
            let heard = pcap::network(LinkType::ETHERNET, &bytes).map(|packet| decode(&open(packet)?));
            let is_advert = frame.kind == "advertisement";
            assert_eq!(heard.is_some_and(|heard| heard.is_ok()), is_advert, "{}", frame.frame_hex);
            adverts += usize::from(is_advert);
        }
    }
    assert!(adverts > 0, "no frames.json, or no advert in it");
}

/// What the receiver of a capture shares with its sender, told by the name of the file.
fn auth_of(name: &str) -> Auth {
    if name.contains("v2-pass-8plus") {
        Auth::Pass(Secret::new(*b"longer-than-eight"))
    } else if name.contains("v2-pass") {
        Auth::Pass(Secret::new(*b"s3cr3t"))
    } else {
        Auth::None
    }
}

/// Judges an advert as the router it was meant for would.
fn receive(name: &str, envelope: &Envelope<'_>) -> Heard {
    let seen = decode(envelope).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    let (auth, peers) = (auth_of(name), [seen.source]);
    let expect = Expect {
        version: if name.contains("-v2-") { Version::V2 } else { Version::V3 },
        vrid: seen.advert.vrid,
        interval: seen.advert.interval,
        owner: false,
        reach: if name.contains("unicast") { Reach::Unicast(&peers) } else { Reach::Multicast },
        min_ttl: None,
        auth: &auth,
        addresses: &seen.advert.addresses,
        strict: true,
    };
    let heard = parse(envelope, &expect).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    assert_eq!(heard.remarks, [], "{name}");
    assert_eq!(seen.remarks.contains(&Remark::Password), auth != Auth::None, "{name}");
    let pseudo = heard.advert.version == Version::V3 && Family::of(heard.source) == Family::Ipv4;
    assert_eq!(heard.checksum, pseudo.then_some(Checksum::Pseudo), "{name}");
    heard
}

/// Every capture tells the same story: the first router leads, says farewell, the second leads,
/// says farewell.
fn tells_its_story(path: &Path) -> usize {
    let name = path.file_name().unwrap().to_string_lossy();
    let file = fs::read(path).unwrap();
    let mut story: Vec<(IpAddr, u8)> = Vec::new();
    let mut adverts = 0;
    for frame in pcap::frames(&file).unwrap_or_else(|error| panic!("{name}: {error}")) {
        let frame = frame.unwrap_or_else(|error| panic!("{name}: {error}"));
        let envelope = match pcap::network(frame.link, frame.frame).map(open) {
            None | Some(Err(Refusal::IpProtocol)) => continue,
            Some(opened) => opened.unwrap_or_else(|refusal| panic!("{name}: {refusal}")),
        };
        let heard = receive(&name, &envelope);
        let line = (heard.source, heard.advert.priority.map_or(0, Priority::get));
        if story.last() != Some(&line) {
            story.push(line);
        }
        adverts += 1;
    }
    let priorities: Vec<_> = story.iter().map(|(_, priority)| *priority).collect();
    assert_eq!(priorities, [200, 0, 100, 0], "{name}");
    adverts
}

#[test]
fn captures_of_keepalived_are_understood_from_the_first_advert_to_the_last() {
    for folder in folder::all().iter().map(|folder| folder.join("captures")).filter(|folder| folder.is_dir())
    {
        let plain = |path: &&PathBuf| {
            let name = path.to_string_lossy();
            !name.contains("-ah.") && (!name.contains("-hmac-") || name.contains("receive-only"))
        };
        let files = folder::files(&folder, "", ".pcap");
        let adverts: usize = files.iter().filter(plain).map(|path| tells_its_story(path)).sum();
        assert!(adverts > 0, "no capture in {}", folder.display());
        folder::say(&format!("{adverts} captured adverts understood in {}", folder.display()));
    }
}

/// Verifies the trailer of every advert at the time of its capture.
fn is_signed_throughout(path: &Path) -> usize {
    let name = path.file_name().unwrap().to_string_lossy();
    let file = fs::read(path).unwrap();
    let keys = [Key::new(NonZeroU8::MIN, Secret::new((0..32).collect::<Vec<u8>>())).unwrap()];
    let mode = AntiReplay::Time(5);
    let mut marks = Marks::new(MULTICAST_SENDERS);
    let mut adverts = 0;
    for frame in pcap::frames(&file).unwrap().map(Result::unwrap) {
        let Some(Ok(envelope)) = pcap::network(frame.link, frame.frame).map(open) else { continue };
        let (message, trailer) = envelope.payload.split_last_chunk::<TRAILER_LEN>().unwrap();
        let (version, vrid) = (peek_version(message).unwrap(), peek_vrid(message).unwrap());
        let origin = Origin { source: envelope.source, version, vrid };
        let sequence = verify(message, trailer, origin, &keys, mode, frame.at)
            .unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(marks.admit(envelope.source, sequence, mode, frame.at), Ok(()), "{name}");
        assert_eq!(sign(message, origin, &keys[0], sequence), *trailer, "{name}");
        adverts += 1;
    }
    adverts
}

#[test]
fn captures_of_signed_adverts_verify_at_the_time_they_were_taken() {
    for folder in folders() {
        let signed = |path: &&PathBuf| {
            let name = path.to_string_lossy();
            name.contains("-hmac-") && !name.contains("receive-only")
        };
        let files = folder::files(&folder, "", ".pcap");
        let adverts: usize = files.iter().filter(signed).map(|path| is_signed_throughout(path)).sum();
        assert!(adverts > 0, "no signed capture in {}", folder.display());
        folder::say(&format!("{adverts} signed adverts verified in {}", folder.display()));
    }
}

/// The folders with captures, of those there are.
fn folders() -> Vec<PathBuf> {
    let captures = folder::all().into_iter().map(|folder| folder.join("captures"));
    captures.filter(|folder| folder.is_dir()).collect()
}
