//! One of `addresses`: as a string, or as a table with what is said of it.

use super::problem::Finding;
use super::section::{Section, Value, Wrong};
use super::value::{address, choice, duration, flag, interface, ip, number, text};
use crate::vrrp::{AddressFlag, Family, Preferred, Vip};
use serde_spanned::Spanned;
use std::net::IpAddr;
use std::ops::Range;

/// As written.
pub(super) struct Address {
    pub(super) vip: Vip,
    /// Whether adverts name it.
    pub(super) advertise: bool,
    /// Whether it is held; else it is in adverts only.
    pub(super) hold: bool,
    pub(super) span: Range<usize>,
    pub(super) label: Option<Range<usize>>,
}

pub(super) const SCOPES: &[(&str, u8)] = &[("global", 0), ("site", 200), ("link", 253), ("host", 254)];

/// `flags` of an address.
pub(super) const FLAGS: &[(&str, AddressFlag)] = &[
    ("home", AddressFlag::Home),
    ("dad", AddressFlag::Dad),
    ("mngtmpaddr", AddressFlag::ManageTemporary),
    ("noprefixroute", AddressFlag::NoPrefixRoute),
    ("no_track", AddressFlag::NoTrack),
    ("virtual_mac", AddressFlag::VirtualMac),
];

/// By its name or as the kernel counts.
pub(super) fn scope(value: &Value<'_>) -> Result<u8, Wrong> {
    if value.get_ref().is_integer() { number(0, 255)(value) } else { choice(SCOPES)(value) }
}

pub(super) fn one_address<'a>(section: &Section<'a>, value: &'a Value<'a>) -> Option<Address> {
    if !value.get_ref().is_table() {
        return match address(value) {
            Ok(address) => Some(plain(address, value.span())),
            Err(wrong) => {
                section.wrong("addresses", value, wrong);
                None
            }
        };
    }
    let table = section.inner("addresses", value, format!("an address of {}", section.title))?;
    let address = table.required("address", "address = \"10.0.0.100\"", address);
    let dev = inner(table.optional("dev", interface));
    let label = table.optional("label", text);
    let scope = table.optional("scope", scope);
    let advertise = inner(table.optional("advertise", flag)).unwrap_or(true);
    let hold = inner(table.optional("hold", flag)).unwrap_or(true);
    let mut found = plain(address.as_ref().map_or((IpAddr::from([0; 4]), None), |it| *it.get_ref()), 0..0);
    particulars(&table, &mut found.vip);
    table.finish();
    found.span = address?.span();
    found.vip.dev = dev;
    found.advertise = advertise;
    found.hold = hold;
    found.label = label.as_ref().map(Spanned::span);
    found.vip.label = inner(label);
    if let Some(scope) = scope {
        found.vip.scope = scope.into_inner();
    }
    Some(found)
}

/// What the kernel would refuse, or pass over without a word, is refused here.
fn particulars(table: &Section<'_>, vip: &mut Vip) {
    let broadcast = table.optional("broadcast", ip);
    let peer = table.optional("peer", ip);
    let preferred = table.optional("preferred", preferred);
    let flags = table.list("flags", choice(FLAGS)).map(Spanned::into_inner).unwrap_or_default();
    let (six, ip) = (vip.address.is_ipv6(), vip.address);
    let refuse = |span: Range<usize>, message: String| {
        table.sink().add(Finding::error(&span, message).help("remove it"));
    };
    match broadcast.map(|written| (written.span(), written.into_inner())) {
        Some((_, IpAddr::V4(four))) if !six => vip.more.broadcast = Some(four),
        Some((span, _)) => refuse(span, "only IPv4 addresses have a broadcast address, of IPv4".to_owned()),
        None => {}
    }
    if let Some(peer) = peer {
        if Family::of(*peer.get_ref()) != Family::of(ip) {
            refuse(peer.span(), format!("{} and {ip} are of two families", peer.get_ref()));
        }
        vip.more.peer = Some(peer.into_inner());
    }
    if let Some(preferred) = preferred {
        if !six {
            refuse(preferred.span(), "the kernel prefers all IPv4 addresses".to_owned());
        }
        vip.more.preferred = Some(preferred.into_inner());
    }
    for flag in flags {
        let of_six = matches!(flag.get_ref(), AddressFlag::Home | AddressFlag::Dad);
        if of_six && !six {
            refuse(flag.span(), "the kernel has this of IPv6 addresses alone".to_owned());
        } else if *flag.get_ref() == AddressFlag::ManageTemporary && !manages_temporary(vip) {
            refuse(flag.span(), "the kernel has this of IPv6 addresses with /64 alone".to_owned());
        }
        vip.more.flags.insert(flag.into_inner());
    }
}

/// Whether the kernel makes temporary addresses beside such a one.
pub(super) fn manages_temporary(vip: &Vip) -> bool {
    vip.address.is_ipv6() && vip.prefix == 64
}

fn preferred(value: &Value<'_>) -> Result<Preferred, Wrong> {
    if value.get_ref().as_str() == Some("forever") {
        return Ok(Preferred::Forever);
    }
    let time = duration(value)?;
    if time.subsec_nanos() != 0 {
        return Err(
            Wrong::new("the kernel counts this in whole seconds").help("write \"5s\", or \"forever\"")
        );
    }
    Ok(Preferred::For(time))
}

fn plain((address, prefix): (IpAddr, Option<u8>), span: Range<usize>) -> Address {
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let prefix = prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
    let scope = if link_local { 253 } else { 0 };
    Address {
        vip: Vip { scope, ..Vip::new(address, prefix) },
        advertise: true,
        hold: true,
        span,
        label: None,
    }
}

fn inner<T>(value: Option<Spanned<T>>) -> Option<T> {
    value.map(Spanned::into_inner)
}
