//! Routes as the kernel's messages: there, and back again as far as telling them apart needs it.

use super::netlink::MARK;
use crate::agent::route::{Hop, Preference, Realms, Route, RouteKind, RouteOption};
use crate::vrrp::Family;
use netlink_packet_core::Nla;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RoutePreference, RouteProtocol,
    RouteRealm, RouteScope, RouteType,
};
use nix::net::if_::if_nametoindex;
use rtnetlink::{RouteMessageBuilder, RouteNextHopBuilder};
use std::net::IpAddr;

const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
/// What the kernel takes for an IPv6 route that names no metric.
const IPV6_METRIC: u32 = 1024;
/// `RTAX_MTU` as a bit of `RTAX_LOCK`.
const MTU_LOCKED: u32 = 1 << 2;
/// `RTAX_CC_ALGO`, the same way.
const CONGESTION_LOCKED: u32 = 1 << 16;

/// Who put a route or a rule there: Locum.
pub(super) const OURS: RouteProtocol = RouteProtocol::Other(MARK);

pub(super) fn family(family: Family) -> AddressFamily {
    if family == Family::Ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

/// As it goes to the kernel. `Err`: one line that says what is wrong with it.
pub(super) fn message(route: &Route) -> Result<RouteMessage, String> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new();
    builder.get_mut().header.address_family = family(route.family);
    let scope = route.scope.unwrap_or_else(|| scope(route));
    builder = builder.protocol(OURS).kind(kind(route.kind)).scope(RouteScope::from(scope)).tos(route.tos);
    // The kernel says it so, whatever the number.
    builder.get_mut().attributes.push(RouteAttribute::Table(route.table));
    if let Some(network) = route.destination.filter(|network| network.prefix > 0) {
        let to = builder.destination_prefix(network.address, network.prefix);
        builder = to.map_err(|error| error.to_string())?;
    }
    if let Some(source) = route.source {
        builder = builder.pref_source(source).map_err(|error| error.to_string())?;
    }
    let default = if route.family == Family::Ipv4 { 0 } else { IPV6_METRIC };
    let metric = Some(route.metric.unwrap_or(default)).filter(|metric| *metric > 0);
    if let Some(metric) = metric {
        builder = builder.priority(metric);
    }
    if let [hop] = route.hops.as_slice() {
        if let Some(via) = hop.via {
            builder = builder.gateway(via).map_err(|_| wrong_family(via))?;
        }
        if let Some(dev) = &hop.dev {
            builder = builder.output_interface(index(dev)?);
        }
        if hop.onlink {
            builder = builder.onlink();
        }
        if let Some(realms) = hop.realms {
            builder.get_mut().attributes.push(RouteAttribute::Realm(realm(realms)));
        }
    } else if !route.hops.is_empty() {
        let hops: Result<_, String> = route.hops.iter().map(|hop| next_hop(route.family, hop)).collect();
        builder = builder.multipath(hops?);
    }
    let mut message = builder.build();
    let metrics = metrics(route);
    if !metrics.is_empty() {
        message.attributes.push(RouteAttribute::Metrics(metrics));
    }
    message.attributes.extend(route.preference.map(|of| RouteAttribute::Preference(preference(of))));
    Ok(message)
}

fn next_hop(of: Family, hop: &Hop) -> Result<RouteNextHop, String> {
    let mut builder = RouteNextHopBuilder::new(family(of)).weight(hop.extra_weight);
    if let Some(via) = hop.via {
        builder = builder.via(via).map_err(|_| wrong_family(via))?;
    }
    if let Some(dev) = &hop.dev {
        builder = builder.interface(index(dev)?);
    }
    let mut built = if hop.onlink { builder.onlink() } else { builder }.build();
    built.attributes.extend(hop.realms.map(|realms| RouteAttribute::Realm(realm(realms))));
    Ok(built)
}

pub(super) fn realm(realms: Realms) -> RouteRealm {
    RouteRealm { source: realms.from, destination: realms.to }
}

fn preference(preference: Preference) -> RoutePreference {
    match preference {
        Preference::Low => RoutePreference::Low,
        Preference::Medium => RoutePreference::Medium,
        Preference::High => RoutePreference::High,
    }
}

fn wrong_family(via: IpAddr) -> String {
    format!("{via} cannot be the gateway of an IPv6 route")
}

fn index(dev: &str) -> Result<u32, String> {
    if_nametoindex(dev).map_err(|_| format!("there is no interface {dev}"))
}

/// What `ip route` takes where none is given.
fn scope(route: &Route) -> u8 {
    let direct = route.hops.iter().all(|hop| hop.via.is_none()) && !route.hops.is_empty();
    match route.kind {
        _ if route.family == Family::Ipv6 => 0,
        RouteKind::Local => SCOPE_HOST,
        RouteKind::Unicast | RouteKind::Broadcast | RouteKind::Multicast if direct => SCOPE_LINK,
        RouteKind::Broadcast => SCOPE_LINK,
        _ => 0,
    }
}

fn kind(kind: RouteKind) -> RouteType {
    match kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Local => RouteType::Local,
        RouteKind::Broadcast => RouteType::Broadcast,
        RouteKind::Multicast => RouteType::Multicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Throw => RouteType::Throw,
    }
}

/// In the order of their numbers, as the kernel says them.
fn metrics(route: &Route) -> Vec<RouteMetric> {
    let mtu = route.options.contains_key(&RouteOption::LockedMtu).then_some(MTU_LOCKED);
    let by_name = route.congestion.as_ref();
    let congestion = by_name.and_then(|it| it.locked.then_some(CONGESTION_LOCKED));
    let locks = mtu.unwrap_or(0) | congestion.unwrap_or(0);
    let lock = (locks > 0).then_some(RouteMetric::Lock(locks));
    let algorithm = by_name.map(|it| RouteMetric::CcAlgo(it.algorithm.clone()));
    let metric = |(option, value): (&RouteOption, &u32)| match option {
        RouteOption::Mtu | RouteOption::LockedMtu => RouteMetric::Mtu(*value),
        RouteOption::Window => RouteMetric::Window(*value),
        // The kernel counts in eighths and quarters.
        RouteOption::Rtt => RouteMetric::Rtt(value.saturating_mul(8)),
        RouteOption::RttVariation => RouteMetric::RttVar(value.saturating_mul(4)),
        RouteOption::SlowStart => RouteMetric::SsThresh(*value),
        RouteOption::CongestionWindow => RouteMetric::Cwnd(*value),
        RouteOption::AdvertisedSegment => RouteMetric::Advmss(*value),
        RouteOption::Reordering => RouteMetric::Reordering(*value),
        RouteOption::HopLimit => RouteMetric::Hoplimit(*value),
        RouteOption::InitialWindow => RouteMetric::InitCwnd(*value),
        RouteOption::Ecn => RouteMetric::Features(*value),
        RouteOption::MinimumTimeout => RouteMetric::RtoMin(*value),
        RouteOption::InitialReceiveWindow => RouteMetric::InitRwnd(*value),
        RouteOption::QuickAck => RouteMetric::QuickAck(*value),
        RouteOption::FastOpenNoCookie => RouteMetric::FastopenNoCookie(*value),
    };
    let mut all: Vec<_> = lock.into_iter().chain(route.options.iter().map(metric)).chain(algorithm).collect();
    all.sort_by_key(Nla::kind);
    all
}

/// Whether the kernel's `present` is what `wanted` has asked it for.
pub(super) fn same(wanted: &RouteMessage, present: &RouteMessage) -> bool {
    let (a, b) = (&wanted.header, &present.header);
    let header = a.address_family == b.address_family
        && a.destination_prefix_length == b.destination_prefix_length
        && a.tos == b.tos
        && a.kind == b.kind
        && (a.scope == b.scope || a.address_family == AddressFamily::Inet6)
        && a.flags.contains(RouteFlags::Onlink) == b.flags.contains(RouteFlags::Onlink);
    let has = |message: &RouteMessage, wanted: &RouteAttribute| message.attributes.contains(wanted);
    header
        && wanted.attributes.iter().all(|attribute| match attribute {
            RouteAttribute::MultiPath(hops) => same_hops(hops, &present.attributes),
            attribute => has(present, attribute),
        })
        && present
            .attributes
            .iter()
            .filter(|attribute| is_asked(attribute))
            .all(|attribute| has(wanted, attribute))
}

/// Whether this is there only if it was asked for; all else the kernel may add by itself.
fn is_asked(attribute: &RouteAttribute) -> bool {
    use RouteAttribute::{Destination, Gateway, Metrics, PrefSource, Priority, Realm, Table, Via};
    match attribute {
        Destination(_) | Gateway(_) | Via(_) | Priority(_) | PrefSource(_) | Metrics(_) | Table(_)
        | Realm(_) => true,
        // What the kernel has of every IPv6 route.
        RouteAttribute::Preference(preference) => *preference != RoutePreference::Medium,
        _ => false,
    }
}

/// The order of the hops is the kernel's, and its flags say what has become of their links.
fn same_hops(wanted: &[RouteNextHop], present: &[RouteAttribute]) -> bool {
    let Some(present) = present.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => Some(hops),
        _ => None,
    }) else {
        return false;
    };
    let same = |wanted: &RouteNextHop, hop: &RouteNextHop| {
        wanted.hops == hop.hops
            && (wanted.interface_index == 0 || wanted.interface_index == hop.interface_index)
            && wanted.attributes.iter().all(|attribute| hop.attributes.contains(attribute))
    };
    wanted.len() == present.len() && wanted.iter().all(|hop| present.iter().any(|other| same(hop, other)))
}
