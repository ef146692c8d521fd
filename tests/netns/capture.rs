//! What went over a host's cable: adverts, and the announcements of addresses.

use crate::lab::{Host, SOON, need};
use crate::process::Process;
use locum::cli::pcap::{Captured, Network, frames, network};
use locum::vrrp::packet::{Heard, Refusal, decode, open_ipv4, open_ipv6};
use nix::sys::signal::Signal;
use std::net::IpAddr;
use std::path::PathBuf;
use tempfile::TempDir;

/// A capture that runs.
pub struct Capture {
    process: Process,
    file: PathBuf,
    _dir: TempDir,
}

/// One VRRP packet.
#[derive(Debug)]
pub struct Seen {
    pub heard: Result<Heard, Refusal>,
}

/// What was captured.
pub struct Packets {
    bytes: Vec<u8>,
}

impl Host {
    /// Begins to capture VRRP, ARP and neighbour advertisements on `eth0`.
    pub fn capture(&self) -> Capture {
        need("tcpdump", "tcpdump");
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("pcap");
        let mut command = self.command("tcpdump");
        command.args(["-n", "-i", "eth0", "-U", "--immediate-mode", "-Z", "root", "-w"]).arg(&file);
        command.arg("arp or proto 112 or proto 51 or ip6 proto 112 or icmp6");
        let process = Process::start(&format!("{self}/tcpdump"), command);
        process.wait_for("listening on", SOON);
        Capture { process, file, _dir: dir }
    }
}

impl Capture {
    pub fn end(mut self) -> Packets {
        self.process.signal(Signal::SIGINT);
        self.process.wait(SOON);
        Packets { bytes: std::fs::read(&self.file).unwrap() }
    }
}

impl Packets {
    fn frames(&self) -> impl Iterator<Item = Captured<'_>> {
        frames(&self.bytes).unwrap().map(Result::unwrap)
    }

    /// Every VRRP packet, in order.
    pub fn adverts(&self) -> Vec<Seen> {
        let advert = |frame: Captured<'_>| {
            let envelope = match network(frame.link, frame.frame)? {
                Network::Ipv4(packet) => open_ipv4(packet),
                Network::Ipv6(packet) => open_ipv6(packet),
            };
            match envelope.and_then(|envelope| decode(&envelope)) {
                Err(Refusal::IpProtocol) => None,
                heard => Some(Seen { heard }),
            }
        };
        self.frames().filter_map(advert).collect()
    }

    /// The whole IPv4 packets of VRRP from `source`, in order.
    pub fn ipv4_from(&self, source: IpAddr) -> Vec<&[u8]> {
        let from = |packet: &&[u8]| open_ipv4(packet).is_ok_and(|envelope| envelope.source == source);
        self.frames().filter_map(ipv4).filter(from).collect()
    }

    /// The source MAC addresses of frames with VRRP in them, each once.
    pub fn advert_macs(&self) -> std::collections::BTreeSet<String> {
        let mac = |frame: Captured<'_>| {
            let source = source_mac(frame.frame)?;
            let Network::Ipv4(packet) = network(frame.link, frame.frame)? else { return None };
            open_ipv4(packet).ok().map(|_| source)
        };
        self.frames().filter_map(mac).collect()
    }

    /// The priorities that `source` advertised, in order; 0 is its farewell.
    pub fn priorities(&self, source: &str) -> Vec<u8> {
        let source: IpAddr = source.parse().unwrap();
        let heard = self.adverts().into_iter().filter_map(|seen| seen.heard.ok());
        heard
            .filter(|heard| heard.source == source)
            .map(|heard| heard.advert.priority.map_or(0, locum::vrrp::Priority::get))
            .collect()
    }

    /// The source MAC addresses of the frames that announced `address`, in order.
    pub fn announcers(&self, address: &str) -> Vec<String> {
        let address: IpAddr = address.parse().unwrap();
        let announcing = self.frames().filter(|frame| announces(frame.frame, address));
        announcing.filter_map(|frame| source_mac(frame.frame)).collect()
    }

    /// How many gratuitous ARP frames or unsolicited neighbour advertisements named `address`.
    pub fn announcements(&self, address: &str) -> usize {
        let address: IpAddr = address.parse().unwrap();
        self.frames().filter(|frame| announces(frame.frame, address)).count()
    }
}

fn source_mac(frame: &[u8]) -> Option<String> {
    let source: Vec<_> = frame.get(6..12)?.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(source.join(":"))
}

fn ipv4(frame: Captured<'_>) -> Option<&[u8]> {
    match network(frame.link, frame.frame)? {
        Network::Ipv4(packet) => Some(packet),
        Network::Ipv6(_) => None,
    }
}

/// Destination and source MAC, then the type: 0806 for ARP, 86dd for IPv6.
fn announces(frame: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let at = |from| frame.get(from..from + 4) == Some(address.octets().as_slice());
            frame.get(12..14) == Some(&[0x08, 0x06]) && at(28) && at(38)
        }
        IpAddr::V6(address) => {
            // To all nodes; an advertisement; the target.
            frame.get(12..14) == Some(&[0x86, 0xdd])
                && frame.get(38..40) == Some(&[0xff, 0x02])
                && frame.get(54) == Some(&136)
                && frame.get(62..78) == Some(address.octets().as_slice())
        }
    }
}
