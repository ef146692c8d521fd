//! The addresses of one `vrrp_instance`: what adverts name, what is held besides, and whether it is on an
//! interface with the virtual MAC address.

use super::address::Address;
use super::document::Instance;
use super::report::Report;
use crate::agent::VirtualMac;
use crate::config::file;
use crate::vrrp::{Family, Vip};
use serde_spanned::Spanned;
use std::net::IpAddr;

/// Which addresses go onto an interface with the virtual MAC address.
pub(super) fn virtual_mac(instance: &Instance, report: &Report) -> VirtualMac {
    let own = instance.interface.as_ref().map(Spanned::get_ref);
    let all = instance.virtual_ipaddress.iter().chain(&instance.virtual_ipaddress_excluded);
    let (elsewhere, here): (Vec<&Address>, Vec<_>) =
        all.partition(|address| address.dev.as_ref().is_some_and(|dev| Some(dev.get_ref()) != own));
    let every = instance.use_vmac_addr.is_some() || elsewhere.iter().all(|address| address.use_vmac);
    let apart = [(here, instance.use_vmac.is_some()), (elsewhere.clone(), every)];
    let alone = apart.iter().filter(|(_, all)| !all).flat_map(|(addresses, _)| addresses);
    if let Some(address) = alone.into_iter().find(|address| address.use_vmac) {
        let message = "known to keepalived, not done by Locum, effect: all addresses on the instance's own \
                       interface have the virtual MAC address or none, and so have all on other ones";
        let help = "write use_vmac in the instance for the former, use_vmac_addr for the latter";
        report.refuse(&address.span, message, help);
    }
    VirtualMac::of(on_own(instance, report), every && !elsewhere.is_empty())
}

/// Whether those on the instance's own interface do. keepalived lets one name theirs and give it another
/// address.
fn on_own(instance: &Instance, report: &Report) -> bool {
    let Some(vmac) = &instance.use_vmac else { return false };
    if vmac.get_ref().ipvlan {
        let message = "known to keepalived, not done by Locum, effect: the addresses are on the interface itself, \
                       with its MAC address, which an ipvlan has as well";
        report.refuse(&vmac.span(), message, "remove it; or write use_vmac for the virtual MAC address");
        return false;
    }
    let words = &vmac.get_ref().words;
    if words.iter().any(|word| word.contains(':') || word == "group") {
        let message = "known to keepalived, not done by Locum, effect: the virtual MAC address is that of the RFC, \
                       and its interface is in no group";
        report.warning(&vmac.span(), message, "write the name of the interface only");
    }
    true
}

pub(super) fn vips(instance: &Instance, family: Family, report: &Report) -> Vec<file::Address> {
    let mut found = Vec::new();
    for address in &instance.virtual_ipaddress {
        if Family::of(address.address) == family {
            found.push(held(instance, address, true, report));
        } else {
            let message = format!(
                "{} is not {family} like the first address: keepalived leaves it out",
                address.address
            );
            report.refuse(&address.span, message, "write a second instance for it");
        }
    }
    found
}

/// `dev` with the instance's own interface says nothing: with a virtual MAC address it is on that.
pub(super) fn held(
    instance: &Instance,
    address: &Address,
    advertise: bool,
    report: &Report,
) -> file::Address {
    let mut held = vip(address, advertise, report);
    let own = inner(instance.interface.as_ref());
    held.vip.dev = held.vip.dev.filter(|dev| Some(dev) != own.as_ref());
    held
}

pub(super) fn vip(address: &Address, advertise: bool, report: &Report) -> file::Address {
    let ignored = [
        ("brd", address.brd.is_some()),
        ("peer", address.peer.is_some()),
        ("preferred_lft", address.preferred_lft.is_some()),
        ("home", address.home),
        ("-nodad", address.dad),
        ("mngtmpaddr", address.mngtmpaddr),
        ("noprefixroute", address.noprefixroute),
        ("autojoin", address.autojoin),
        ("no_track", address.no_track),
        ("track_group", address.track_group.is_some()),
    ];
    let ignored: Vec<_> = ignored.iter().filter(|(_, written)| *written).map(|(name, _)| *name).collect();
    if !ignored.is_empty() {
        let message = format!(
            "known to keepalived, not done by Locum, effect: {} is held without {}",
            address.address,
            ignored.join(", ")
        );
        report.warning(&address.span, message, "remove the words if it is the same to you");
    }
    let link_local = matches!(address.address, IpAddr::V6(six) if six.is_unicast_link_local());
    let vip = Vip {
        address: address.address,
        prefix: address.prefix,
        dev: inner(address.dev.as_ref()),
        label: inner(address.label.as_ref()),
        scope: inner(address.scope.as_ref()).unwrap_or(if link_local { 253 } else { 0 }),
    };
    file::Address {
        vip,
        advertise,
        span: address.span.clone(),
        label: address.label.as_ref().map(Spanned::span),
    }
}

fn inner<T: Clone>(written: Option<&Spanned<T>>) -> Option<T> {
    written.map(|written| written.get_ref().clone())
}
