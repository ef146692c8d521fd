//! The words behind an address, and what Locum makes of them. What the kernel refuses keepalived does not hold;
//! Locum holds the address without the word, and tells.

use super::address::{Address, Broadcast};
use super::report::Report;
use crate::config::problem::Span;
use crate::vrrp::{AddressFlag, Family, Particulars, Preferred};
use serde_spanned::Spanned;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// What is said of the address.
pub(super) fn of(address: &Address, report: &Report) -> Particulars {
    let six = address.address.is_ipv6();
    let mut more = Particulars {
        broadcast: broadcast(address, report),
        peer: peer(address, report),
        preferred: preferred(address, report),
        ..Particulars::default()
    };
    let temporary = address.mngtmpaddr && six && address.prefix == 64;
    let flags = [
        (address.home && six, AddressFlag::Home),
        (address.dad && six, AddressFlag::Dad),
        (temporary, AddressFlag::ManageTemporary),
        (address.noprefixroute, AddressFlag::NoPrefixRoute),
        (address.no_track, AddressFlag::NoTrack),
        (address.use_vmac, AddressFlag::VirtualMac),
    ];
    more.flags.extend(flags.into_iter().filter(|(said, _)| *said).map(|(_, flag)| flag));
    let refused = |word: &str, of: &str| {
        let message = format!(
            "the kernel takes {word} of {of} alone, and keepalived does not hold {}: Locum holds it without",
            address.address
        );
        report.warning(&address.span, message, "remove the word");
    };
    if address.mngtmpaddr && six && !temporary {
        refused("mngtmpaddr", "an address with /64");
    }
    if address.autojoin {
        refused("autojoin", "a multicast address");
    }
    more
}

/// What makes no difference.
fn nothing(span: &Span, message: &str, report: &Report) {
    report.warning(span, message, "remove the word");
}

fn broadcast(address: &Address, report: &Report) -> Option<Ipv4Addr> {
    let written = address.brd.as_ref()?;
    let IpAddr::V4(four) = address.address else {
        nothing(&written.span(), "only IPv4 addresses have a broadcast address", report);
        return None;
    };
    let rest = u32::MAX.checked_shr(address.prefix.into()).unwrap_or(0);
    match written.get_ref() {
        Broadcast::Last if rest > 1 => Some(Ipv4Addr::from_bits(four.to_bits() | rest)),
        Broadcast::First if rest > 1 => Some(Ipv4Addr::from_bits(four.to_bits() & !rest)),
        Broadcast::Last | Broadcast::First => None,
        Broadcast::At(IpAddr::V4(four)) => Some(*four),
        Broadcast::At(IpAddr::V6(_)) => {
            nothing(&written.span(), "an IPv4 address has no broadcast address of IPv6", report);
            None
        }
    }
}

fn peer(address: &Address, report: &Report) -> Option<IpAddr> {
    let written = address.peer.as_ref()?;
    let (peer, _) = *written.get_ref();
    if Family::of(peer) == Family::of(address.address) {
        return Some(peer);
    }
    let message = format!("{peer} and {} are of two families: there is no other end", address.address);
    report.refuse(&written.span(), message, "name an address of the same family");
    None
}

/// An IPv4 address is always preferred. One with a lease of its own would be deprecated anew at each renewal.
fn preferred(address: &Address, report: &Report) -> Option<Preferred> {
    let written: &Spanned<Option<u32>> = address.preferred_lft.as_ref()?;
    if address.address.is_ipv4() {
        nothing(
            &written.span(),
            "the kernel prefers all IPv4 addresses, whatever preferred_lft says",
            report,
        );
        return None;
    }
    let Some(seconds) = *written.get_ref() else { return Some(Preferred::Forever) };
    if seconds > 0 && address.prefix == 128 {
        let message = format!(
            "{} has a lease that is renewed, and is preferred for as long as it is held, not for {seconds}s",
            address.address
        );
        report.warning(&written.span(), message, "write preferred_lft 0, or forever");
    }
    Some(Preferred::For(Duration::from_secs(seconds.into())))
}
