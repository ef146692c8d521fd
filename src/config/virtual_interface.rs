//! `virtual_interface` of a router: how the interface with the virtual MAC address is made, where it is not
//! made as usual.

use super::file::Router;
use super::problem::{Finding, Sink};
use super::section::{Section, Value, Wrong};
use super::value::{interface, number, text};
use crate::agent::VirtualInterface;
use crate::vrrp::Family;
use serde_spanned::Spanned;

/// As written.
#[derive(Default)]
pub(super) struct Written {
    pub(super) name: Option<Spanned<String>>,
    pub(super) mac: Option<Spanned<[u8; 6]>>,
    pub(super) group: Option<u32>,
}

pub(super) fn read(section: &Section<'_>) -> Written {
    let Some(table) = section.section("virtual_interface") else { return Written::default() };
    let written = Written {
        name: table.optional("name", interface),
        mac: table.optional("mac", mac),
        group: table.optional("group", number(0, i64::from(u32::MAX))).map(Spanned::into_inner),
    };
    table.finish();
    written
}

fn mac(value: &Value<'_>) -> Result<[u8; 6], Wrong> {
    let text = text(value)?;
    let wrong = |why| Wrong::new(format!("\"{text}\" is {why}")).help("write it like \"02:00:00:00:00:51\"");
    let mac = octets(&text).and_then(|octets| octets.try_into().ok());
    let mac: [u8; 6] = mac.ok_or_else(|| wrong("not a MAC address"))?;
    if is_of_many(mac) { Err(wrong("a multicast address, or none at all")) } else { Ok(mac) }
}

/// Whether no interface can have it.
pub(super) fn is_of_many(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 1 || mac == [0; 6]
}

/// What stands between colons.
pub(super) fn octets(text: &str) -> Option<Vec<u8>> {
    let digits = |octet: &str| (1..=2).contains(&octet.len()) && octet.chars().all(|c| c.is_ascii_hexdigit());
    let octet = |octet| u8::from_str_radix(octet, 16).ok().filter(|_| digits(octet));
    text.split(':').map(octet).collect()
}

impl Written {
    /// What it is; reports what it cannot be.
    pub(super) fn judged(&self, part: &Router, sink: &Sink) -> VirtualInterface {
        if let Some(name) = &self.name {
            let has = |family| part.vips.iter().any(|address| Family::of(address.vip.address) == family);
            let refuse = |message: String, help: &str| {
                sink.add(Finding::error(&name.span(), message).help(help));
            };
            if has(Family::Ipv4) && has(Family::Ipv6) {
                let message = format!("{} is one interface, and each family has its own", name.get_ref());
                refuse(message, "remove the name, or write a router for each family");
            } else if !part.virtual_mac.own() {
                let message = format!("without virtual_mac nothing is called {}", name.get_ref());
                refuse(message, "add virtual_mac = true, or remove the name");
            }
        }
        if let Some(mac) = self.mac.as_ref().filter(|_| !part.has_virtual_mac()) {
            let finding = Finding::error(&mac.span(), "without virtual_mac nothing has this MAC address");
            sink.add(finding.help("add virtual_mac = true, or remove the address"));
        }
        VirtualInterface {
            name: self.name.as_ref().map(|name| name.get_ref().clone()),
            mac: self.mac.as_ref().map(|mac| *mac.get_ref()),
            group: self.group.unwrap_or_default(),
        }
    }
}

/// Reports a name that two routers give.
pub(super) fn apart(earlier: &Router, later: &Router, sink: &Sink) {
    let (Some(first), Some(second)) = (&earlier.virtual_interface.name, &later.virtual_interface.name) else {
        return;
    };
    if first.get_ref() == second.get_ref() {
        let message = format!("{} is router {}'s already", second.get_ref(), earlier.name.get_ref());
        let finding = Finding::error(&second.span(), message).also(&first.span(), "first here");
        sink.add(finding.help("give each interface a name of its own"));
    }
}
