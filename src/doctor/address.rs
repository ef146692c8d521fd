//! Who answers for the virtual addresses, and for the peers: by ARP, or as a neighbour (IPv6).

use super::Report;
use super::heard::{Heard, Sender};
use super::network::mac;
use super::wire::ENOUGH;
use crate::agent::config::{Config, Router};
use crate::vrrp::Vrid;
use std::net::IpAddr;

/// An address that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The address: a virtual one, or that of a peer.
    pub address: IpAddr,
    /// Where.
    pub interface: String,
    /// Whether this host has it.
    pub held: bool,
    /// Who answered, each once.
    pub answers: Vec<[u8; 6]>,
}

/// Judges who answered, beside what was on the wire shortly before.
pub fn judge(config: &Config, heard: &Heard, asked: &[Asked], report: &mut Report) {
    for one in asked {
        match config.routers.iter().find(|router| router.vips.iter().any(|vip| vip.address == one.address)) {
            Some(router) => one.virtual_one(router, heard, report),
            None => one.peer(report),
        }
    }
}

impl Asked {
    fn peer(&self, report: &mut Report) {
        let Asked { address, interface, answers, .. } = self;
        match answers.as_slice() {
            [] => {
                let what = format!("peer {address} does not answer {} on {interface}", self.way());
                let why = "that host is down, or the address is wrong: then it hears nothing, and is Master as well";
                let mend = "start it, or write its own address among the peers: ip -brief address, there";
                report.doubt("address.peer", what, why, mend);
            }
            [_] => report.fine("address.peer", format!("peer {address} is there, on {interface}")),
            [..] => {
                let what = format!(
                    "several hosts on {interface} have the address of peer {address}: {}",
                    self.who()
                );
                let why = "adverts go to one of them, and perhaps not to the one that is meant";
                report.trouble("address.duplicate", what, why, self.find());
            }
        }
    }

    fn virtual_one(&self, router: &Router, heard: &Heard, report: &mut Report) {
        let Asked { address, interface, held, answers } = self;
        let advertises = |sender: &&Sender| {
            sender.interface == *interface
                && (sender.addresses.contains(address) || sender.vrid == Some(router.vrid))
        };
        let senders: Vec<&Sender> = heard.senders.iter().filter(advertises).collect();
        let why = "some clients reach one of them and some the other";
        match (held, answers.as_slice()) {
            (true, [_, ..]) => {
                let what = format!("this host has {address}, and so has {} on {interface}", self.who());
                report.trouble("address.duplicate", what, why, self.find());
            }
            (false, [_, _, ..]) => {
                let what = format!("several hosts on {interface} have {address}: {}", self.who());
                report.trouble("address.duplicate", what, why, self.find());
            }
            (true, []) => report.fine("address", format!("this host alone has {address}")),
            (false, answers) if senders.is_empty() && heard.span < router.interval.duration() * ENOUGH => {
                let what = format!("whether {} hosts have {address} rightly", answers.len());
                report.unseen(what, format!("{} advertises too seldom to be heard meanwhile", router.name));
            }
            (false, [_]) if senders.is_empty() => {
                let what = format!("{} on {interface} has {address}, and nobody advertises it", self.who());
                let why = "it was left behind, or belongs to another machine: beside a Master both have it";
                report.trouble("address.unadvertised", what, why, self.find());
            }
            (false, [one]) => self.beside(*one, &senders, report),
            (false, []) if senders.is_empty() => {
                report.fine("address", format!("nobody has {address} on {interface}"));
            }
            (false, []) => {
                let sources: Vec<_> = senders.iter().map(|sender| sender.source.to_string()).collect();
                let source = sources.join(", ");
                let what = format!(
                    "{source} advertises {address}, and nobody on {interface} answers {} for it",
                    self.way()
                );
                let why = "clients of this network do not find it";
                let ipv4 = if address.is_ipv4() { ", and sysctl net.ipv4.conf.all.arp_ignore" } else { "" };
                let mend = format!("on {source}: ip address show{ipv4}");
                report.doubt("address.unanswered", what, why, mend);
            }
        }
    }

    /// Whether the one that answers is one that advertises.
    fn beside(&self, one: [u8; 6], senders: &[&Sender], report: &mut Report) {
        let Asked { address, interface, .. } = self;
        // The virtual MAC address (RFC 9568 section 7.3), or the sender's own.
        let [start @ .., number] = one;
        let family = if address.is_ipv4() { 1 } else { 2 };
        let virtual_mac =
            |sender: &Sender| start == [0, 0, 0x5e, 0, family] && sender.vrid.map(Vrid::get) == Some(number);
        if senders.iter().any(|sender| sender.macs.contains(&one) || virtual_mac(sender)) {
            report.fine("address", format!("the Master alone has {address} on {interface}"));
        } else {
            let what =
                format!("{address} is at {} on {interface}, and its Master sends from elsewhere", self.who());
            let why = "it may be on a host that is not Master";
            report.doubt("address.elsewhere", what, why, self.find());
        }
    }

    /// How hosts are asked.
    fn way(&self) -> &'static str {
        if self.address.is_ipv4() { "ARP" } else { "neighbour discovery" }
    }

    fn who(&self) -> String {
        let macs: Vec<_> = self.answers.iter().map(|bytes| mac(*bytes)).collect();
        macs.join(" and ")
    }

    fn find(&self) -> String {
        let address = self.address;
        format!(
            "find the host by its MAC address ({}), and there: ip address del {address} dev …",
            self.who()
        )
    }
}
