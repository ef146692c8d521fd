//! Values of the configuration as TOML has them.

use super::page::{inline, list, quoted};
use crate::agent::VirtualInterface;
use crate::agent::route::{Hop, MAIN_TABLE, Network, Route, RouteKind, Rule, RuleAction};
use crate::config::address::{FLAGS, SCOPES};
use crate::config::hooks::ALL_GROUPS;
use crate::config::routes::{ACTIONS, FAMILIES, KINDS, OPTIONS, PREFERENCES};
use crate::config::show;
use crate::notify::Script;
use crate::process::{User, group_name, resolve_user};
use crate::vrrp::{Family, Preferred, Vip};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A duration, to the nanosecond.
pub(super) fn time(time: Duration) -> String {
    if time.subsec_nanos().is_multiple_of(1_000_000) {
        return quoted(&show(time));
    }
    let text = format!("{}.{:09}", time.as_secs(), time.subsec_nanos());
    quoted(&format!("{}s", text.trim_end_matches('0')))
}

/// `name`, or `name:group` where the group is not the user's own, and a `+` for all of its groups.
pub(super) fn user(user: &User) -> String {
    let own = resolve_user(&user.name).is_ok_and(|known| known.gid == user.gid);
    let mut text = if own { user.name.clone() } else { format!("{}:{}", user.name, group_name(user.gid)) };
    text.extend((!user.groups.is_empty()).then_some(ALL_GROUPS));
    text
}

/// A command, with who runs it where that is not the usual one.
pub(super) fn script(script: &Script, usual: &str) -> String {
    let command = list(script.command.iter().map(|word| quoted(word)));
    let user = user(&script.user);
    if user == usual { command } else { inline(&[("command", command), ("user", quoted(&user))]) }
}

pub(super) fn word<T: PartialEq>(choices: &[(&str, T)], value: &T) -> String {
    let found = choices.iter().find(|(_, choice)| choice == value);
    quoted(found.map_or("", |(word, _)| word))
}

fn scope(scope: u8) -> String {
    if SCOPES.iter().any(|(_, known)| *known == scope) { word(SCOPES, &scope) } else { scope.to_string() }
}

/// An address that is held.
pub(super) fn vip(vip: &Vip, advertise: bool) -> String {
    let longest = if vip.address.is_ipv4() { 32 } else { 128 };
    let address = if vip.prefix == longest {
        quoted(&vip.address.to_string())
    } else {
        quoted(&format!("{}/{}", vip.address, vip.prefix))
    };
    let link_local = matches!(vip.address, IpAddr::V6(six) if six.is_unicast_link_local());
    let usual = if link_local { 253 } else { 0 };
    let mut pairs = vec![("address", address.clone())];
    pairs.extend(vip.dev.as_ref().map(|dev| ("dev", quoted(dev))));
    pairs.extend(vip.label.as_ref().map(|label| ("label", quoted(label))));
    if vip.scope != usual {
        pairs.push(("scope", scope(vip.scope)));
    }
    if !advertise {
        pairs.push(("advertise", "false".to_owned()));
    }
    let more = &vip.more;
    pairs.extend(more.broadcast.map(|broadcast| ("broadcast", quoted(&broadcast.to_string()))));
    pairs.extend(more.peer.map(|peer| ("peer", quoted(&peer.to_string()))));
    pairs.extend(more.preferred.map(|preferred| match preferred {
        Preferred::Forever => ("preferred", quoted("forever")),
        Preferred::For(length) => ("preferred", time(length)),
    }));
    if !more.flags.is_empty() {
        pairs.push(("flags", list(more.flags.iter().map(|flag| word(FLAGS, flag)))));
    }
    if pairs.len() == 1 { address } else { inline(&pairs) }
}

/// How the interface with the virtual MAC address is made.
pub(super) fn virtual_interface(of: &VirtualInterface) -> String {
    let mac = of.mac.map(|mac| mac.map(|octet| format!("{octet:02x}")).join(":"));
    let pairs = [
        ("name", of.name.as_deref().map(quoted)),
        ("mac", mac.as_deref().map(quoted)),
        ("group", (of.group != 0).then(|| of.group.to_string())),
    ];
    let pairs: Vec<_> = pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    inline(&pairs)
}

/// A peer, with the TTLs that are accepted of it.
pub(super) fn peer(peer: IpAddr, ttls: &[(IpAddr, RangeInclusive<u8>)]) -> String {
    let address = quoted(&peer.to_string());
    let Some((_, bounds)) = ttls.iter().find(|(known, _)| *known == peer) else { return address };
    let mut pairs = vec![("address", address), ("min_ttl", bounds.start().to_string())];
    if *bounds.end() != u8::MAX {
        pairs.push(("max_ttl", bounds.end().to_string()));
    }
    inline(&pairs)
}

/// An address that adverts name, and that is not held.
pub(super) fn named(address: IpAddr) -> String {
    inline(&[("address", quoted(&address.to_string())), ("hold", "false".to_owned())])
}

fn network(network: Option<Network>, family: Family) -> String {
    match (network, family) {
        (Some(network), _) => quoted(&network.to_string()),
        (None, Family::Ipv4) => quoted("0.0.0.0/0"),
        (None, Family::Ipv6) => quoted("::/0"),
    }
}

fn hop(hop: &Hop) -> Vec<(&'static str, String)> {
    let mut pairs = Vec::new();
    pairs.extend(hop.via.map(|via| ("via", quoted(&via.to_string()))));
    pairs.extend(hop.dev.as_ref().map(|dev| ("dev", quoted(dev))));
    if hop.extra_weight > 0 {
        pairs.push(("weight", (u16::from(hop.extra_weight) + 1).to_string()));
    }
    if hop.onlink {
        pairs.push(("onlink", "true".to_owned()));
    }
    pairs.extend(hop.realms.map(|realms| ("realms", quoted(&realms.to_string()))));
    pairs
}

pub(super) fn route(route: &Route) -> String {
    let mut pairs = vec![("to", network(route.destination, route.family))];
    match route.hops.as_slice() {
        [only] => pairs.extend(hop(only)),
        [] => {}
        several => pairs.push(("hops", list(several.iter().map(|each| inline(&hop(each)))))),
    }
    if route.kind != RouteKind::Unicast {
        pairs.push(("kind", word(KINDS, &route.kind)));
    }
    pairs.extend(route.source.map(|source| ("source", quoted(&source.to_string()))));
    if route.table != MAIN_TABLE {
        pairs.push(("table", route.table.to_string()));
    }
    pairs.extend(route.metric.map(|metric| ("metric", metric.to_string())));
    pairs.extend(route.scope.map(|of| ("scope", scope(of))));
    if route.tos != 0 {
        pairs.push(("tos", route.tos.to_string()));
    }
    let name = |option| OPTIONS.iter().find(|(_, known)| *known == option).map(|(name, _)| *name);
    let options: Vec<_> = route
        .options
        .iter()
        .filter_map(|(option, value)| Some((name(*option)?, value.to_string())))
        .collect();
    if !options.is_empty() {
        pairs.push(("options", inline(&options)));
    }
    pairs.extend(
        route
            .congestion
            .as_ref()
            .map(|it| (if it.locked { "locked_congestion" } else { "congestion" }, quoted(&it.algorithm))),
    );
    pairs.extend(route.preference.map(|preference| ("preference", word(PREFERENCES, &preference))));
    inline(&pairs)
}

pub(super) fn rule(rule: &Rule) -> String {
    let net = |net: Network| quoted(&net.to_string());
    let number = |value: &Option<u32>| value.map(|value| value.to_string());
    let range = |(first, last): (u32, u32)| quoted(&format!("{first}-{last}"));
    let ports = |(first, last): (u16, u16)| range((first.into(), last.into()));
    let nowhere = rule.from.is_none() && rule.to.is_none();
    let action = match rule.action {
        RuleAction::Lookup(table) => ("table", Some(table.to_string())),
        RuleAction::Goto(priority) => ("goto", Some(priority.to_string())),
        other => ("action", Some(word(ACTIONS, &other))),
    };
    let pairs = [
        ("from", rule.from.map(net)),
        ("to", rule.to.map(net)),
        ("family", nowhere.then(|| word(FAMILIES, &rule.family))),
        ("iif", rule.iif.as_deref().map(quoted)),
        ("oif", rule.oif.as_deref().map(quoted)),
        ("mark", rule.mark.map(|(mark, mask)| quoted(&format!("{mark:#x}/{mask:#x}")))),
        ("tos", (rule.tos != 0).then(|| rule.tos.to_string())),
        ("protocol", rule.protocol.map(|protocol| protocol.to_string())),
        ("source_ports", rule.source_ports.map(ports)),
        ("destination_ports", rule.destination_ports.map(ports)),
        ("users", rule.users.map(range)),
        ("not", rule.inverted.then(|| "true".to_owned())),
        action,
        ("priority", number(&rule.priority)),
        ("suppress_prefix", number(&rule.suppress_prefix)),
        ("suppress_group", number(&rule.suppress_group)),
        ("tunnel", rule.tunnel.map(|tunnel| tunnel.to_string())),
        ("realms", rule.realms.map(|realms| quoted(&realms.to_string()))),
    ];
    let pairs: Vec<_> = pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    inline(&pairs)
}
