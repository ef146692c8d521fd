//! `second_path` of a router: another way to the other hosts.

use super::file;
use super::problem::{Finding, Sink};
use super::router::unusable;
use super::section::Section;
use super::value::{interface, ip};
use crate::agent::SecondPath;
use crate::agent::config::Interface;
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::net::IpAddr;

/// As written.
pub(super) struct Written {
    pub(super) interface: Option<Spanned<String>>,
    peers: Vec<(String, Spanned<IpAddr>)>,
}

pub(super) fn read(section: &Section<'_>) -> Option<Written> {
    let inner = section.section("second_path")?;
    let written = Written {
        interface: inner.required("interface", "interface = \"eth1\"", interface),
        peers: inner.section("peers").map(|peers| peers.all(ip)).unwrap_or_default(),
    };
    let peers = inner.raw("peers").map(|peers| peers.get_ref().as_table());
    match peers {
        None => inner.missing("peers", "peers = { \"10.0.0.2\" = \"10.1.0.2\" }"),
        Some(Some(none)) if none.is_empty() => {
            let finding = Finding::error(&inner.span, "a second path to nobody");
            let help = "name every other host: peers = { \"10.0.0.2\" = \"10.1.0.2\" }";
            inner.sink().add(finding.help(help));
        }
        Some(_) => {}
    }
    inner.finish();
    Some(written)
}

impl Written {
    /// The path; reports what it cannot be.
    pub(super) fn judged(&self, part: &file::Router, sink: &Sink) -> Option<SecondPath> {
        let name = self.interface.as_ref()?;
        if let Some(own) = part.interface.as_ref()
            && *own.get_ref() == Interface::Named(name.get_ref().clone())
        {
            let finding =
                Finding::error(&name.span(), format!("{} is the first path already", name.get_ref()));
            sink.add(finding.also(&own.span(), "here").help("name another interface"));
        }
        let pairs = self.peers.iter().filter_map(|(known, there)| Self::pair(part, known, there, sink));
        let path = SecondPath { interface: name.get_ref().clone(), peers: pairs.collect() };
        let twice = |there: &Spanned<IpAddr>| {
            self.peers.iter().filter(|(_, other)| other.get_ref() == there.get_ref()).count() > 1
        };
        if let Some((_, there)) = self.peers.iter().rev().find(|(_, there)| twice(there)) {
            let message = format!("two hosts cannot both be {} there", there.get_ref());
            sink.add(Finding::error(&there.span(), message).help("name each host's own address"));
        }
        Some(path)
    }

    /// One host: its address on the router's own interface, and the one there.
    fn pair(
        part: &file::Router,
        known: &str,
        there: &Spanned<IpAddr>,
        sink: &Sink,
    ) -> Option<(IpAddr, IpAddr)> {
        let refuse = |why: String, help: &str| sink.add(Finding::error(&there.span(), why).help(help));
        let Ok(known) = known.parse::<IpAddr>() else {
            refuse(
                format!("\"{known}\" is not an IP address"),
                "write the host's address on the router's own interface",
            );
            return None;
        };
        let ip = *there.get_ref();
        let peers: Vec<_> =
            part.peers.iter().flat_map(Spanned::get_ref).map(|peer| *peer.get_ref()).collect();
        if let Some(why) = unusable(ip) {
            refuse(format!("{ip} {why}, no host has it"), "name the host's own address there");
        } else if part.held().any(|address| address.vip.address == ip) {
            refuse(format!("{ip} is a virtual address, no host's own"), "name the host's own address there");
        } else if Family::of(known) != Family::of(ip) {
            refuse(format!("{known} and {ip} are of two families"), "name an address of the same family");
        } else if !peers.is_empty() && !peers.contains(&known) {
            refuse(format!("{known} is none of this router's peers"), "write one of them before the =");
        }
        Some((known, ip))
    }
}
