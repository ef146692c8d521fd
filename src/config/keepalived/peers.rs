//! Whom the adverts of one `vrrp_instance` go to, from where, and from how far others may come.

use super::document::{Instance, Peer};
use super::report::Report;
use super::trust::Trust;
use crate::config::peer::Distance;
use crate::config::router as front;
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::net::IpAddr;

/// The peers. Those that keepalived leaves out go, and so do those that hear nothing. Where nobody is left,
/// keepalived turns to multicast, which a strict reader refuses.
pub(super) fn peers(
    instance: &Instance,
    family: Family,
    auth: &mut Trust,
    report: &Report,
) -> Option<Spanned<Vec<Spanned<IpAddr>>>> {
    let written = instance.unicast_peer.as_ref();
    let of_family = written.into_iter().flat_map(Spanned::get_ref).map(|peer| &peer.address);
    let of_family: Vec<_> = of_family.filter(|peer| is_of(family, peer, report)).collect();
    let mut list: Vec<Spanned<IpAddr>> = Vec::new();
    for peer in &of_family {
        if let Some(why) = deaf(*peer.get_ref(), instance, &list) {
            let message = format!("{} {why}: it is no peer", peer.get_ref());
            report.warning(&peer.span(), message, "name the peer's own address, or remove it");
        } else {
            list.push((*peer).clone());
        }
    }
    if let (Some(written), false) = (written, list.is_empty()) {
        return Some(Spanned::new(written.span(), list));
    }
    let places = [
        written.map(Spanned::span),
        instance.unicast_src_ip.as_ref().map(Spanned::span),
        instance.check_unicast_src.as_ref().map(Spanned::span),
        instance.unicast_ttl.as_ref().map(Spanned::span),
    ];
    let span = places.into_iter().flatten().next()?;
    if !of_family.is_empty() {
        // keepalived talks to itself: never by multicast.
        auth.barred = Some("unicast, and none of the peers is another host".to_owned());
    } else if instance.unicast_fault_no_peer.is_some() {
        auth.barred = Some("unicast without peers, and unicast_fault_no_peer".to_owned());
    } else if written.is_none() && instance.unicast_src_ip.is_none() {
        report.flaw(&span, "without unicast_peer this changes nothing", "remove it, or add unicast_peer");
    } else {
        let message = "unicast without a peer: keepalived turns to multicast";
        report.refuse(&span, message, "add: unicast_peer { 10.0.0.2 }; or for multicast remove the line");
    }
    None
}

fn is_of(family: Family, peer: &Spanned<IpAddr>, report: &Report) -> bool {
    let fits = Family::of(*peer.get_ref()) == family;
    if !fits {
        let message =
            format!("{} is not {family}, like the addresses, so it would hear nothing", peer.get_ref());
        report.refuse(&peer.span(), message, "remove it, or write a second instance for it");
    }
    fits
}

/// Why adverts to an address would reach nobody else.
fn deaf(ip: IpAddr, instance: &Instance, earlier: &[Spanned<IpAddr>]) -> Option<&'static str> {
    let own = instance.unicast_src_ip.as_ref().is_some_and(|own| *own.get_ref() == ip);
    match front::unusable(ip) {
        Some(why) => Some(why),
        None if own => Some("is the source of this host"),
        None if is_virtual(ip, instance) => Some("is a virtual address"),
        None if earlier.iter().any(|other| *other.get_ref() == ip) => Some("stands here twice"),
        None => None,
    }
}

fn is_virtual(ip: IpAddr, instance: &Instance) -> bool {
    let held = instance.virtual_ipaddress.iter().chain(&instance.virtual_ipaddress_excluded);
    held.into_iter().any(|address| address.address == ip)
}

/// Where adverts come from, if the file says it.
pub(super) fn source(
    instance: &Instance,
    unicast: bool,
    family: Family,
    auth: &mut Trust,
    report: &Report,
) -> Vec<Spanned<IpAddr>> {
    let written = if unicast { &instance.unicast_src_ip } else { &instance.mcast_src_ip };
    let Some(written) = written.as_ref().or(if unicast { instance.mcast_src_ip.as_ref() } else { None })
    else {
        return Vec::new();
    };
    let ip = *written.get_ref();
    if Family::of(ip) != family {
        let message = format!("{ip} is not {family}, like the addresses");
        report.refuse(&written.span(), message, "remove it, or name an address of this host");
    } else if let Some(why) = front::unusable(ip) {
        let message = format!("{ip} {why}: adverts come from the interface's own address");
        report.warning(&written.span(), message, "name an address of this host");
    } else if !unicast && front::is_beyond_link(ip) {
        let message = format!("{ip} is not link-local: adverts come from the interface's own address");
        report.warning(&written.span(), message, "name an address of fe80::/10 of this host");
    } else if is_virtual(ip, instance) {
        let why = format!("{ip} is a virtual address, and adverts cannot come from it before it is held");
        report.warning(&written.span(), format!("{why}: no part is taken"), "name an address of this host");
        auth.barred.get_or_insert(why);
    } else {
        return vec![written.clone()];
    }
    Vec::new()
}

/// From how far their adverts may come.
pub(super) fn distances(instance: &Instance, report: &Report) -> Vec<Distance> {
    let peers = instance.unicast_peer.iter().flat_map(Spanned::get_ref);
    let bounded = peers.filter(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
    let distance = |peer: &Peer| {
        if let (Some(least), Some(most)) = (&peer.min_ttl, &peer.max_ttl)
            && least.get_ref() > most.get_ref()
        {
            let message = format!("min_ttl is above max_ttl: nothing is heard of {}", peer.address.get_ref());
            report.flaw(&least.span(), message, "remove max_ttl");
        }
        let (min_ttl, max_ttl) = (peer.min_ttl.clone(), peer.max_ttl.clone());
        Distance { peer: *peer.address.get_ref(), min_ttl, max_ttl }
    };
    bounded.map(distance).collect()
}
