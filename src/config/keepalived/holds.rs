//! The addresses of one `vrrp_instance`: what adverts name, what is held besides, and whether it is on an
//! interface with the virtual MAC address.

use super::address::Address;
use super::document::Instance;
use super::particulars;
use super::report::Report;
use crate::agent::VirtualMac;
use crate::config::{file, router as front};
use crate::vrrp::{Family, Vip};
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The longest name of an interface, in bytes.
const LONGEST_NAME: usize = 15;

/// Which addresses go onto an interface with the virtual MAC address; others may say so themselves.
pub(super) fn virtual_mac(instance: &Instance, report: &Report) -> VirtualMac {
    let own = instance.interface.as_ref().map(Spanned::get_ref);
    let mut all = instance.virtual_ipaddress.iter().chain(&instance.virtual_ipaddress_excluded);
    let away = all.any(|address| address.dev.as_ref().is_some_and(|dev| Some(dev.get_ref()) != own));
    VirtualMac::of(on_own(instance, report), away && instance.use_vmac_addr.is_some())
}

/// Whether those on the instance's own interface do.
fn on_own(instance: &Instance, report: &Report) -> bool {
    let Some(vmac) = &instance.use_vmac else { return false };
    if vmac.get_ref().ipvlan {
        let message = "known to keepalived, not done by Locum, effect: the addresses are on the interface itself; \
                       an ipvlan has its MAC address too, not one of the virtual router that moves with them";
        report.refuse(&vmac.span(), message, "remove it; or write use_vmac for the virtual MAC address");
        return false;
    }
    true
}

/// The addresses of an instance.
#[derive(Default)]
pub(super) struct Holds {
    pub(super) vips: Vec<file::Address>,
    pub(super) excluded: Vec<file::Address>,
    /// What adverts name and nobody can hold, or another holds: peers with the same file count it.
    pub(super) named: Vec<file::Address>,
}

/// Who holds which address, by the name of the instance.
pub(super) type Holders = BTreeMap<IpAddr, String>;

/// What `instance` holds that nobody does yet, and what else it names.
pub(super) fn holds(instance: &Instance, family: Family, holders: &mut Holders, report: &Report) -> Holds {
    let mut holds = Holds::default();
    for address in &instance.virtual_ipaddress {
        let ip = address.address;
        if Family::of(ip) != family {
            let message = format!("{ip} is not {family} like the first address: keepalived leaves it out");
            report.refuse(&address.span, message, "write a second instance for it");
            continue;
        }
        let found = held(instance, address, true, report);
        match take(ip, instance, holders) {
            Ok(()) => holds.vips.push(found),
            Err(why) => {
                let message = format!("{ip} {why}: adverts name it, and this instance does not hold it");
                report.warning(&address.span, message, "remove it on every host");
                holds.named.push(file::Address { hold: false, ..found });
            }
        }
    }
    for address in &instance.virtual_ipaddress_excluded {
        match take(address.address, instance, holders) {
            Ok(()) => holds.excluded.push(held(instance, address, false, report)),
            Err(why) => {
                let message = format!("{} {why}: this line is left out", address.address);
                report.warning(&address.span, message, "remove it");
            }
        }
    }
    holds
}

/// Lets `instance` hold an address, or says why it cannot.
fn take(ip: IpAddr, instance: &Instance, holders: &mut Holders) -> Result<(), String> {
    let name = instance.name.get_ref();
    match (front::unusable(ip), holders.get(&ip)) {
        (Some(why), _) => Err(why.to_owned()),
        (None, Some(holder)) if holder == name => Err("stands here twice".to_owned()),
        (None, Some(holder)) => Err(format!("is held by {holder} already")),
        (None, None) => {
            holders.insert(ip, name.clone());
            Ok(())
        }
    }
}

/// `dev` with the instance's own interface says nothing: with a virtual MAC address it is on that.
fn held(instance: &Instance, address: &Address, advertise: bool, report: &Report) -> file::Address {
    let mut held = vip(address, advertise, report);
    let own = inner(instance.interface.as_ref());
    held.vip.dev = held.vip.dev.filter(|dev| Some(dev) != own.as_ref());
    held
}

/// keepalived leaves out the label of an IPv6 address. One that is too long it leaves out with the address.
fn label(address: &Address, report: &Report) -> Option<Spanned<String>> {
    let label = address.label.clone()?;
    let why = if address.address.is_ipv6() {
        "only IPv4 addresses have labels"
    } else if label.get_ref().len() > LONGEST_NAME {
        "the kernel takes no label of more than 15 bytes"
    } else {
        return Some(label);
    };
    report.refuse(&label.span(), format!("{why}: this address has none"), "remove the label, or shorten it");
    None
}

pub(super) fn vip(address: &Address, advertise: bool, report: &Report) -> file::Address {
    let link_local = matches!(address.address, IpAddr::V6(six) if six.is_unicast_link_local());
    let label = label(address, report);
    let vip = Vip {
        address: address.address,
        prefix: address.peer.as_ref().and_then(|peer| peer.get_ref().1).unwrap_or(address.prefix),
        dev: inner(address.dev.as_ref()),
        label: inner(label.as_ref()),
        scope: inner(address.scope.as_ref()).unwrap_or(if link_local { 253 } else { 0 }),
        more: particulars::of(address, report),
    };
    file::Address {
        vip,
        advertise,
        hold: true,
        span: address.span.clone(),
        label: label.as_ref().map(Spanned::span),
    }
}

fn inner<T: Clone>(written: Option<&Spanned<T>>) -> Option<T> {
    written.map(|written| written.get_ref().clone())
}
