//! `locum sniff`: every VRRP packet on one line, with what the configuration makes of it.

use super::pcap::{self, LinkType, Network};
use super::{DEFAULT_CONFIG, Failure, WELL, complain, rules, say};
use crate::agent::config::Config;
use crate::doctor::verdict::{Verdict, judge};
use crate::net::live::Live;
use crate::vrrp::auth::Seal;
use crate::vrrp::packet::{Envelope, Heard, Refusal, Remark, decode, open_ipv4, open_ipv6};
use crate::vrrp::succession::Word;
use crate::vrrp::{PROTOCOL, Priority, Version, ah};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Show every VRRP packet, live or of a capture, and whether this configuration would accept it
#[derive(Debug, Args)]
#[command(
    after_help = "Live it needs root, and disturbs nothing: the daemon hears the same packets. Without \
                        --config, live packets are judged by /etc/locum/locum.toml where it exists."
)]
pub(super) struct Sniff {
    /// Listen on this interface only; on all otherwise
    #[arg(short, long, value_name = "NAME")]
    interface: Option<String>,
    /// Read a pcap file instead
    #[arg(short, long, value_name = "FILE", conflicts_with = "interface")]
    read: Option<PathBuf>,
    /// Judge by this configuration file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one line of JSON a packet
    #[arg(long)]
    json: bool,
    /// End after so many packets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Sniff {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let config = self.rules()?;
        let shown = match &self.read {
            Some(file) => self.read(file, config.as_ref())?,
            None => self.listen(config.as_ref())?,
        };
        if shown == 0 {
            complain("no VRRP packet was found");
        }
        Ok(WELL)
    }

    fn rules(&self) -> Result<Option<Config>, Failure> {
        let default =
            || Some(PathBuf::from(DEFAULT_CONFIG)).filter(|file| self.read.is_none() && file.exists());
        self.config.clone().or_else(default).map(|file| rules(&file)).transpose()
    }

    fn read(&self, file: &Path, config: Option<&Config>) -> Result<u64, Failure> {
        let named = |error: &dyn std::fmt::Display| {
            Failure::Other(format!("cannot read {}: {error}", file.display()))
        };
        let bytes = std::fs::read(file).map_err(|error| named(&error))?;
        let mut shown = 0;
        for frame in pcap::frames(&bytes).map_err(|error| named(&error))? {
            if self.count.is_some_and(|count| shown >= count) {
                break;
            }
            let frame = frame.map_err(|error| named(&error))?;
            let Some(network) = pcap::network(frame.link, frame.frame) else { continue };
            let packet = Packet { at: frame.at, interface: None, ours: false, network };
            shown += u64::from(self.show(&packet, config)?);
        }
        Ok(shown)
    }

    fn listen(&self, config: Option<&Config>) -> Result<u64, Failure> {
        let routers = config.into_iter().flat_map(|config| &config.routers);
        let groups = routers.flat_map(|router| router.groups.iter().copied()).collect();
        let mut live = Live::open(self.interface.as_deref(), &groups).map_err(Failure::Other)?;
        let mut shown = 0;
        while self.count.is_none_or(|count| shown < count) {
            let Some(seen) = live.next(None).map_err(Failure::Other)? else { continue };
            let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let Some(network) = pcap::network(LinkType::RAW, seen.packet) else { continue };
            let packet = Packet { at, interface: Some(&seen.interface), ours: seen.ours, network };
            shown += u64::from(self.show(&packet, config)?);
        }
        Ok(shown)
    }

    /// Shows a packet; false where it has nothing to do with VRRP.
    fn show(&self, packet: &Packet<'_>, config: Option<&Config>) -> Result<bool, Failure> {
        if !packet.is_vrrp() {
            return Ok(false);
        }
        let opened = packet.open();
        let is_advert = !opened.is_ok_and(|envelope| Word::peek(&envelope).is_some());
        let config = config.filter(|_| !packet.ours && is_advert);
        let verdict = opened.ok().zip(config);
        let verdict = verdict.map(|(envelope, config)| judge(config, packet.interface, packet.at, &envelope));
        say(&if self.json {
            format!("{}\n", packet.json(opened, verdict.as_ref()))
        } else {
            packet.text(opened, verdict.as_ref())
        })?;
        Ok(true)
    }
}

/// A packet as it was seen.
struct Packet<'a> {
    /// When, since the Unix epoch.
    at: Duration,
    /// Where, if that is known.
    interface: Option<&'a str>,
    /// Whether this host sent it.
    ours: bool,
    network: Network<'a>,
}

impl Packet<'_> {
    fn is_vrrp(&self) -> bool {
        match self.network {
            // Authentication headers are around other things as well.
            Network::Ipv4(packet) if packet.get(9) == Some(&ah::PROTOCOL) => {
                open_ipv4(packet) != Err(Refusal::IpProtocol)
            }
            Network::Ipv4(packet) => packet.get(9) == Some(&PROTOCOL),
            Network::Ipv6(packet) => packet.get(6) == Some(&PROTOCOL),
        }
    }

    fn open(&self) -> Result<Envelope<'_>, Refusal> {
        match self.network {
            Network::Ipv4(packet) => open_ipv4(packet),
            Network::Ipv6(packet) => open_ipv6(packet),
        }
    }

    /// To the microsecond, in UTC.
    fn time(&self) -> String {
        let at = jiff::Timestamp::from_microsecond(i64::try_from(self.at.as_micros()).unwrap_or(i64::MAX));
        at.map_or_else(|_| "?".to_owned(), |at| format!("{at:.6}"))
    }

    fn text(&self, opened: Result<Envelope<'_>, Refusal>, verdict: Option<&Verdict>) -> String {
        let mut text = self.time();
        if let Some(interface) = self.interface {
            let _ = write!(text, " {interface}");
        }
        match opened {
            Err(refusal) => {
                let _ = write!(text, " ? > ?: malformed: {refusal}");
            }
            Ok(envelope) => {
                let _ = write!(text, " {} > {}: ", envelope.source, envelope.destination);
                let malformed = |refusal| format!("malformed: {refusal}");
                text.push_str(
                    &word_of(&envelope).unwrap_or_else(|| decode(&envelope).map_or_else(malformed, said)),
                );
                let _ = write!(text, ", ttl {}", envelope.ttl.unwrap_or(0));
            }
        }
        if self.ours {
            text.push_str(" | sent by this host");
        }
        if let Some(verdict) = verdict {
            let _ = write!(text, " | {}", judged(verdict));
        }
        text.push('\n');
        text
    }

    fn json(&self, opened: Result<Envelope<'_>, Refusal>, verdict: Option<&Verdict>) -> Value {
        let decoded = opened.and_then(|envelope| decode(&envelope));
        let envelope = opened.ok();
        let word = envelope.as_ref().and_then(word_of);
        json!({
            "at": self.time(),
            "interface": self.interface,
            "ours": self.ours,
            "source": envelope.map(|envelope| envelope.source),
            "destination": envelope.map(|envelope| envelope.destination),
            "ttl": envelope.and_then(|envelope| envelope.ttl),
            "word": word,
            "malformed": decoded.as_ref().err().filter(|_| word.is_none()).map(|refusal| refusal.name()),
            "advert": decoded.ok().map(|heard| advert_json(&heard)),
            "verdict": verdict.map(verdict_json),
        })
    }
}

/// What one Locum says to another, besides adverts.
fn word_of(envelope: &Envelope<'_>) -> Option<String> {
    let (word, message) = Word::peek(envelope)?;
    let [_, vrid, priority, ..] = *message.as_slice() else { return None };
    let what = match word {
        Word::Follows => format!("the sender, of priority {priority}, follows it"),
        Word::Next => "it is next".to_owned(),
        Word::Yields => format!("the sender, of priority {priority}, was Master and steps back"),
    };
    Some(format!("a word of Locum, VRID {vrid}: {what}"))
}

fn said(heard: Heard) -> String {
    let advert = heard.advert;
    let mut text = format!("version {}, VRID {}, ", advert.version, advert.vrid);
    let _ = match advert.priority {
        Some(priority) => write!(text, "priority {priority}"),
        None => write!(text, "priority 0 (farewell)"),
    };
    let addresses: Vec<_> = advert.addresses.iter().map(ToString::to_string).collect();
    let _ = write!(text, ", every {}, for {}", advert.interval, addresses.join(" "));
    let _ = match heard.seal {
        Seal::None => Ok(()),
        Seal::Signed { key, .. } => write!(text, ", signed with key {key}"),
        Seal::Ah { spi, sequence } => {
            write!(text, ", AH of {} number {sequence}", Ipv4Addr::from_bits(spi))
        }
    };
    for remark in heard.remarks {
        let _ = write!(text, ", {remark}");
    }
    text
}

fn judged(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Nobody => "no router here is meant".to_owned(),
        Verdict::Refused(router, refusal) => format!("{router}: refused: {refusal}"),
        Verdict::Barred(router, why) => format!("{router}: takes no part: {why}"),
        Verdict::Accepted(router, remarks) => {
            remarks.iter().fold(format!("{router}: accepted"), |text, remark| format!("{text}, but {remark}"))
        }
    }
}

fn advert_json(heard: &Heard) -> Value {
    let advert = &heard.advert;
    json!({
        "version": if advert.version == Version::V2 { 2 } else { 3 },
        "vrid": advert.vrid,
        "priority": advert.priority.map_or(0, Priority::get),
        "interval_ms": u32::from(advert.interval.centiseconds()) * 10,
        "addresses": advert.addresses,
        "checksum": heard.checksum,
        "seal": seal_json(&heard.seal),
        "remarks": names(&heard.remarks),
    })
}

fn seal_json(seal: &Seal) -> Value {
    match seal {
        Seal::None => Value::Null,
        Seal::Signed { key, sequence } => json!({ "key": key, "sequence": sequence }),
        Seal::Ah { spi, sequence } => json!({ "spi": Ipv4Addr::from_bits(*spi), "sequence": sequence }),
    }
}

fn verdict_json(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Nobody => json!({ "router": null, "accepted": false }),
        Verdict::Refused(router, refusal) => {
            json!({ "router": router, "accepted": false, "refused": refusal.name() })
        }
        Verdict::Barred(router, why) => json!({ "router": router, "accepted": false, "barred": why }),
        Verdict::Accepted(router, remarks) => {
            json!({ "router": router, "accepted": true, "remarks": names(remarks) })
        }
    }
}

fn names(remarks: &[Remark]) -> Vec<&'static str> {
    remarks.iter().map(|remark| remark.name()).collect()
}
