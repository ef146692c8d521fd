//! Adverts that keepalived and FRR really sent: frames in JSON, and whole captures where present.

use crate::folder;
use locum::cli::pcap::{self, LinkType, Network};
use locum::vrrp::auth::{Auth, Seal, Secret};
use locum::vrrp::hmac::{Key, Keyring, Mode};
use locum::vrrp::ledger::Ledger;
use locum::vrrp::packet::{Draft, Envelope, Expect, Heard, Reach, Refusal, Remark};
use locum::vrrp::packet::{decode, open_ipv4, open_ipv6, parse};
use locum::vrrp::sequence::AntiReplay;
use locum::vrrp::{Checksum, Family, Priority, Version};
use serde::Deserialize;
use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::Path;
use std::time::Duration;

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
    } else if name.contains("v2-ah") {
        Auth::Ah(Secret::new(*b"s3cr3t"))
    } else if name.contains("-hmac-") {
        let key = Key::new(NonZeroU8::MIN, Secret::new((0..32).collect::<Vec<u8>>())).unwrap();
        let mode = if name.contains("receive-only") { Mode::ReceiveOnly } else { Mode::Enforce };
        Auth::Hmac(Keyring::new(vec![key], NonZeroU8::MIN, AntiReplay::Time(5), mode).unwrap())
    } else {
        Auth::None
    }
}

/// Judges an advert as the router it was meant for would have, when it was captured.
fn receive(name: &str, envelope: &Envelope<'_>, at: Duration) -> Heard {
    let seen = decode(envelope).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    let (auth, peers) = (auth_of(name), [seen.source]);
    let expect = Expect {
        version: if name.contains("-v2") { Version::V2 } else { Version::V3 },
        vrid: seen.advert.vrid,
        interval: seen.advert.interval,
        owner: false,
        owner_ignores: false,
        bare: false,
        reach: if name.contains("unicast") {
            Reach::Unicast(&peers)
        } else {
            Reach::Multicast(Family::of(envelope.source).group())
        },
        min_ttl: None,
        ttls: &[],
        auth: &auth,
        clock: Some(at),
        addresses: &seen.advert.addresses,
        strict: true,
    };
    let heard = parse(envelope, &expect).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    assert_eq!(heard.remarks, [], "{name}");
    assert_eq!(heard.seal, seen.seal, "{name}");
    assert_eq!(seen.remarks.contains(&Remark::Password), matches!(auth, Auth::Pass(_)), "{name}");
    let pseudo = heard.advert.version == Version::V3 && Family::of(heard.source) == Family::Ipv4;
    assert_eq!(heard.checksum, pseudo.then_some(Checksum::Pseudo), "{name}");
    heard
}

/// What was captured is what we would have sent, byte for byte.
fn is_what_we_would_send(name: &str, packet: Network<'_>, envelope: &Envelope<'_>, heard: &Heard) {
    let auth = auth_of(name);
    let form = heard.checksum.unwrap_or(Checksum::Pseudo);
    let parcel = Draft::new(&heard.advert, heard.source, &auth, &heard.seal).to(envelope.destination, form);
    let (Network::Ipv4(packet), Some(_)) = (packet, envelope.ah) else {
        assert_eq!(parcel.payload, envelope.payload, "{name}");
        return;
    };
    // The digest covers the identification, which keepalived counts anew from each start.
    let same_identification = packet[4..6] == parcel.identification.to_be_bytes();
    let compared = if same_identification { 0..parcel.payload.len() } else { 0..12 };
    assert_eq!(parcel.payload[compared.clone()], packet[20..][compared], "{name}");
}

/// Every capture tells the same story: the first router leads, says farewell, the second leads,
/// says farewell. Nothing in it comes twice.
fn tells_its_story(path: &Path) -> usize {
    let name = path.file_name().unwrap().to_string_lossy();
    let file = fs::read(path).unwrap();
    let mut story: Vec<(IpAddr, u8)> = Vec::new();
    let mut adverts = 0;
    let (auth, mut ledger) = (auth_of(&name), Ledger::default());
    for frame in pcap::frames(&file).unwrap_or_else(|error| panic!("{name}: {error}")) {
        let frame = frame.unwrap_or_else(|error| panic!("{name}: {error}"));
        let Some(packet) = pcap::network(frame.link, frame.frame) else { continue };
        let envelope = match open(packet) {
            Err(Refusal::IpProtocol) => continue,
            opened => opened.unwrap_or_else(|refusal| panic!("{name}: {refusal}")),
        };
        let heard = receive(&name, &envelope, frame.at);
        is_what_we_would_send(&name, packet, &envelope, &heard);
        let signed = heard.seal != Seal::None;
        let signs = name.contains("-ah.") || (name.contains("-hmac-") && !name.contains("receive-only"));
        assert_eq!(signed, signs, "{name}");
        let mut admit = || ledger.admit(heard.source, &heard.seal, &auth, Some(frame.at), 0);
        assert_eq!(admit(), Ok(()), "{name}");
        assert_eq!(admit().is_err(), signed, "{name}: seen twice");
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
fn captures_of_keepalived_are_understood_and_written_alike_from_the_first_advert_to_the_last() {
    for folder in folder::all().iter().map(|folder| folder.join("captures")).filter(|folder| folder.is_dir())
    {
        let files = folder::files(&folder, "", ".pcap");
        let adverts: usize = files.iter().map(|path| tells_its_story(path)).sum();
        assert!(adverts > 0, "no capture in {}", folder.display());
        folder::say(&format!("{adverts} captured adverts understood in {}", folder.display()));
    }
}
