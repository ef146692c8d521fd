//! The packet vectors: what a receiver must accept, must refuse, and why.

use crate::folder;
use crate::sum::sum;
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::packet::{
    Envelope, Expect, Heard, Reach, Refusal, Remark, decode, open_ipv4, open_ipv6, parse,
};
use locum::vrrp::{Checksum, Family, Interval, Priority, Version, Vrid};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    family: String,
    src: IpAddr,
    ttl: u8,
    payload_hex: String,
    ip_packet_hex: String,
    expect: Verdict,
    #[serde(default)]
    rx_config: Receiver,
}

#[derive(Deserialize)]
struct Verdict {
    valid: bool,
    level: Level,
    reasons: Vec<Reason>,
    version: Option<u8>,
    vrid: Option<u8>,
    priority: Option<u8>,
    #[serde(default)]
    addrs: Option<Vec<IpAddr>>,
    interval: Option<Wire>,
    profiles: Option<Profiles>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Must,
    Erratum,
    Policy,
    May,
}

#[derive(Deserialize)]
struct Reason {
    check: String,
}

#[derive(Deserialize)]
struct Wire {
    cs: u16,
}

#[derive(Deserialize)]
struct Profiles {
    rfc9568_message_only: bool,
    rfc5798_pseudo_header: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receiver {
    version: Option<u8>,
    vrids: Option<Vec<u8>>,
    adver_int_s: Option<u16>,
    adver_int_cs: Option<u16>,
    auth_type: Option<u8>,
    auth_data: Option<String>,
    #[serde(default)]
    owner: bool,
    #[serde(default)]
    addrs: Vec<IpAddr>,
}

impl Vector {
    fn open<'a>(&self, packet: &'a [u8]) -> Result<Envelope<'a>, Refusal> {
        match self.family.as_str() {
            "ipv4" => open_ipv4(packet),
            "ipv6" => open_ipv6(packet),
            other => panic!("{}: family {other}", self.name),
        }
    }

    fn auth(&self) -> Auth {
        let data = self.rx_config.auth_data.as_deref().map(folder::hex);
        match (self.rx_config.auth_type, data) {
            (None | Some(0), _) => Auth::None,
            (Some(1), Some(data)) => Auth::Pass(Secret::new(data)),
            other => panic!("{}: authentication {other:?}", self.name),
        }
    }

    /// The receiver of the vector. What it does not say is as in the packet, and where the packet
    /// has nothing possible, something possible.
    fn receiver<'a>(&'a self, auth: &'a Auth, strict: bool) -> Expect<'a> {
        let (config, packet) = (&self.rx_config, &self.expect);
        let vrid = config.vrids.as_ref().map_or(packet.vrid, |vrids| vrids.first().copied());
        let centiseconds = config
            .adver_int_cs
            .or(config.adver_int_s.map(|seconds| seconds * 100))
            .or(packet.interval.as_ref().map(|wire| wire.cs));
        Expect {
            version: match config.version.or(packet.version) {
                Some(2) => Version::V2,
                _ => Version::V3,
            },
            vrid: vrid.and_then(Vrid::new).unwrap_or(Vrid::new(1).unwrap()),
            interval: centiseconds.and_then(Interval::from_centiseconds).unwrap_or(Interval::SECOND),
            owner: config.owner,
            owner_ignores: false,
            bare: false,
            reach: Reach::Multicast(if self.family == "ipv6" { Family::Ipv6 } else { Family::Ipv4 }.group()),
            min_ttl: None,
            ttls: &[],
            auth,
            clock: None,
            addresses: &config.addrs,
            strict,
        }
    }

    fn judge(&self, strict: bool) -> Result<Heard, Refusal> {
        let packet = folder::hex(&self.ip_packet_hex);
        let auth = self.auth();
        parse(&self.open(&packet)?, &self.receiver(&auth, strict))
    }

    /// `None` where the verdict is the expected one, else what is different.
    fn difference(&self) -> Option<String> {
        match self.judge(true) {
            Ok(heard) if self.expect.valid => self.wrong_field(&heard),
            Ok(_) => Some(format!("accepted, expected {:?}", self.reasons())),
            Err(refusal) if self.expect.valid => Some(format!("refused as {}", refusal.name())),
            Err(refusal) if self.reasons().contains(&word(refusal)) || self.shows(refusal) => None,
            Err(refusal) => Some(format!("refused as {}, expected {:?}", refusal.name(), self.reasons())),
        }
    }

    fn reasons(&self) -> Vec<&str> {
        self.expect.reasons.iter().map(|reason| reason.check.as_str()).collect()
    }

    /// Whether `refusal` is a fact of the IPv4 header, which the reasons of garbled packets leave out.
    fn shows(&self, refusal: Refusal) -> bool {
        let packet = folder::hex(&self.ip_packet_hex);
        match refusal {
            Refusal::Fragment => packet[6] & 0x3F != 0 || packet[7] != 0,
            Refusal::IpChecksum => sum(&packet[..usize::from(packet[0] & 0x0F) * 4]) != 0xFFFF,
            _ => false,
        }
    }

    fn wrong_field(&self, heard: &Heard) -> Option<String> {
        let (advert, packet) = (&heard.advert, &self.expect);
        let form = packet.profiles.as_ref().and_then(|forms| {
            match (forms.rfc9568_message_only, forms.rfc5798_pseudo_header) {
                (true, false) => Some(Checksum::Rfc9568),
                (false, true) => Some(Checksum::Pseudo),
                _ => None,
            }
        });
        let fields = [
            ("source", heard.source == self.src),
            ("version", Some(advert.version.to_string()) == packet.version.map(|v| v.to_string())),
            ("vrid", Some(advert.vrid.get()) == packet.vrid),
            ("priority", Some(advert.priority.map_or(0, Priority::get)) == packet.priority),
            ("interval", Some(advert.interval.centiseconds()) == packet.interval.as_ref().map(|i| i.cs)),
            ("addresses", Some(&*advert.addresses) == packet.addrs.as_deref()),
            ("checksum", heard.checksum == form),
        ];
        let wrong: Vec<_> = fields.iter().filter(|(_, right)| !right).map(|(name, _)| *name).collect();
        (!wrong.is_empty()).then(|| format!("wrong {wrong:?}: {heard:?}"))
    }
}

/// The vectors' word for a refusal. They have one word for two of ours.
fn word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnicastDestination => Refusal::BadDestination.name(),
        other => other.name(),
    }
}

fn each_vector(body: impl FnMut(&Vector)) {
    each_vector_of(&folder::asked_for(), body);
}

fn each_vector_of(folders: &[PathBuf], mut body: impl FnMut(&Vector)) {
    for folder in folders {
        let files = folder::files(folder, "vectors", ".json");
        assert!(!files.is_empty(), "no vectors*.json in {}", folder.display());
        for path in files {
            let file: File = folder::json(&path);
            assert!(!file.vectors.is_empty(), "no vectors in {}", path.display());
            file.vectors.iter().for_each(&mut body);
        }
    }
}

#[test]
fn every_vector_is_judged_as_the_rfcs_and_errata_say() {
    let (mut ran, mut failures) = (0, Vec::new());
    each_vector(|vector| {
        ran += 1;
        let Some(difference) = vector.difference() else {
            return;
        };
        let line = format!("{} ({:?}): {difference}", vector.name, vector.expect.level);
        match vector.expect.level {
            Level::Must | Level::Erratum => failures.push(line),
            Level::Policy | Level::May => folder::say(&format!("differs by choice: {line}")),
        }
    });
    folder::say(&format!("{ran} packet vectors ran"));
    assert!(failures.is_empty(), "{} of {ran} vectors fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn leniency_accepts_nothing_more_than_a_first_address_that_is_not_link_local() {
    each_vector(|vector| match (vector.judge(true), vector.judge(false)) {
        (Err(Refusal::FirstNotLinkLocal), Ok(heard)) => {
            assert!(heard.remarks.contains(&Remark::FirstNotLinkLocal), "{}", vector.name);
        }
        (strict, lenient) => assert_eq!(strict, lenient, "{}", vector.name),
    });
}

#[test]
fn what_is_accepted_decodes_the_same_without_a_receiver() {
    each_vector(|vector| {
        if let Ok(heard) = vector.judge(false) {
            let packet = folder::hex(&vector.ip_packet_hex);
            let seen = decode(&vector.open(&packet).unwrap()).unwrap();
            assert_eq!(seen.advert, heard.advert, "{}", vector.name);
        }
    });
}

#[test]
fn the_ip_header_is_stripped_to_the_payload_and_the_ttl_of_the_vector() {
    each_vector(|vector| {
        let packet = folder::hex(&vector.ip_packet_hex);
        if let (Ok(envelope), true) = (vector.open(&packet), vector.expect.valid) {
            assert_eq!(envelope.payload, folder::hex(&vector.payload_hex), "{}", vector.name);
            assert_eq!(envelope.ttl, Some(vector.ttl), "{}", vector.name);
        }
    });
}

/// The differences between lists, intervals and owners that are told but not refused.
#[test]
fn what_is_odd_about_a_valid_packet_is_remarked_on() {
    let mut seen = Vec::new();
    each_vector_of(&folder::all(), |vector| {
        let Ok(heard) = vector.judge(false) else { return };
        let advert = &heard.advert;
        let ours = &vector.rx_config;
        let mut expected = Vec::new();
        if ours.adver_int_cs.is_some_and(|cs| cs != advert.interval.centiseconds()) {
            expected.push(Remark::OtherInterval);
        }
        if ours.owner && advert.priority == Some(Priority::OWNER) {
            expected.push(Remark::OwnerConflict);
        }
        if vector.reasons().contains(&Remark::FirstNotLinkLocal.name()) {
            expected.push(Remark::FirstNotLinkLocal);
        }
        let lacks = |list: &[IpAddr], other: &[IpAddr]| other.iter().any(|ip| !list.contains(ip));
        let (theirs, ours) = (&advert.addresses, &ours.addrs);
        if !ours.is_empty() && (lacks(theirs, ours) || lacks(ours, theirs)) {
            expected.push(Remark::OtherAddresses);
        }
        seen.extend(expected.iter().copied());
        assert_eq!(heard.remarks, expected, "{}", vector.name);
    });
    let of_one_packet = |remark: &&Remark| !matches!(remark, Remark::Password | Remark::TwoOwners);
    for remark in Remark::ALL.iter().filter(of_one_packet) {
        assert!(seen.contains(remark), "no vector raises {}", remark.name());
    }
}
