//! Whom the adverts of one `vrrp_instance` go to, from where, and from how far others may come.

use super::document::Instance;
use super::report::Report;
use super::trust::Trust;
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::net::IpAddr;

/// The peers; without any keepalived would turn to multicast in silence, and Locum does not.
pub(super) fn peers(
    instance: &Instance,
    auth: &mut Trust,
    report: &Report,
) -> Option<Spanned<Vec<Spanned<IpAddr>>>> {
    let written = instance.unicast_peer.as_ref().filter(|peers| !peers.get_ref().is_empty());
    if let Some(peers) = written {
        let list = peers.get_ref().iter().map(|peer| peer.address.clone()).collect();
        return Some(Spanned::new(peers.span(), list));
    }
    let span = [
        instance.unicast_peer.as_ref().map(Spanned::span),
        instance.unicast_src_ip.as_ref().map(Spanned::span),
    ];
    let span = span.into_iter().flatten().next()?;
    if instance.unicast_fault_no_peer.is_some() {
        auth.barred = Some("unicast without peers, and unicast_fault_no_peer".to_owned());
    } else {
        let message = "unicast without a peer: keepalived would turn to multicast in silence";
        report.error(&span, message, "add: unicast_peer { 10.0.0.2 }; or for multicast remove the line");
    }
    None
}

pub(super) fn source(
    instance: &Instance,
    unicast: bool,
    family: Family,
    report: &Report,
) -> Vec<Spanned<IpAddr>> {
    let written = if unicast { &instance.unicast_src_ip } else { &instance.mcast_src_ip };
    let Some(written) = written.as_ref().or(if unicast { instance.mcast_src_ip.as_ref() } else { None })
    else {
        return Vec::new();
    };
    if Family::of(*written.get_ref()) != family {
        let message = format!("{} is not {family}, like the addresses", written.get_ref());
        report.refuse(&written.span(), message, "remove it, or name an address of this host");
        return Vec::new();
    }
    vec![written.clone()]
}

pub(super) fn min_ttl(instance: &Instance, report: &Report) -> Option<Spanned<u8>> {
    let peers = instance.unicast_peer.iter().flat_map(serde_spanned::Spanned::get_ref);
    if let Some(most) = peers.clone().find_map(|peer| peer.max_ttl.as_ref()) {
        let message =
            "known to keepalived, not done by Locum, effect: adverts of any larger TTL are taken too";
        report.warning(&most.span(), message, "write min_ttl where the distance matters");
    }
    // One bound for all: the smallest lets every peer be heard.
    let all: Option<Vec<_>> = peers.map(|peer| peer.min_ttl.clone()).collect();
    all?.into_iter().min_by_key(|ttl| *ttl.get_ref())
}
