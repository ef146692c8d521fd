//! `routes` and `rules` of a router: what moves with its addresses besides them.

use super::address::scope;
use super::problem::Finding;
use super::section::{Section, Value, Wrong};
use super::value::{choice, flag, interface, ip, number, subnet, text};
use crate::agent::route::{
    Congestion, Hop, MAIN_TABLE, Network, Preference, Realms, Route, RouteKind, RouteOption, Rule, RuleAction,
};
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

pub(super) const KINDS: &[(&str, RouteKind)] = &[
    ("unicast", RouteKind::Unicast),
    ("local", RouteKind::Local),
    ("broadcast", RouteKind::Broadcast),
    ("multicast", RouteKind::Multicast),
    ("blackhole", RouteKind::Blackhole),
    ("unreachable", RouteKind::Unreachable),
    ("prohibit", RouteKind::Prohibit),
    ("throw", RouteKind::Throw),
];
/// What a route may set for the connections over it.
pub(super) const OPTIONS: &[(&str, RouteOption)] = &[
    ("mtu", RouteOption::Mtu),
    ("locked_mtu", RouteOption::LockedMtu),
    ("window", RouteOption::Window),
    ("rtt", RouteOption::Rtt),
    ("rtt_variation", RouteOption::RttVariation),
    ("slow_start", RouteOption::SlowStart),
    ("congestion_window", RouteOption::CongestionWindow),
    ("advertised_segment", RouteOption::AdvertisedSegment),
    ("reordering", RouteOption::Reordering),
    ("hop_limit", RouteOption::HopLimit),
    ("initial_window", RouteOption::InitialWindow),
    ("ecn", RouteOption::Ecn),
    ("minimum_timeout", RouteOption::MinimumTimeout),
    ("initial_receive_window", RouteOption::InitialReceiveWindow),
    ("quick_ack", RouteOption::QuickAck),
    ("fast_open_no_cookie", RouteOption::FastOpenNoCookie),
];
pub(super) const FAMILIES: &[(&str, Family)] = &[("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
pub(super) const PREFERENCES: &[(&str, Preference)] =
    &[("low", Preference::Low), ("medium", Preference::Medium), ("high", Preference::High)];
/// The longest name of an algorithm of congestion control, in bytes (`TCP_CA_NAME_MAX`).
pub(super) const LONGEST_ALGORITHM: usize = 15;
pub(super) const ACTIONS: &[(&str, RuleAction)] = &[
    ("nothing", RuleAction::Nop),
    ("vrf", RuleAction::Vrf),
    ("blackhole", RuleAction::Blackhole),
    ("unreachable", RuleAction::Unreachable),
    ("prohibit", RuleAction::Prohibit),
];
/// The largest number of a table, and of most else in routing.
const MOST: i64 = u32::MAX as i64;

pub(super) fn routes(section: &Section<'_>) -> Vec<Route> {
    tables(section, "routes", "[{ to = \"10.1.0.0/16\", via = \"10.0.0.1\" }]", route)
}

pub(super) fn rules(section: &Section<'_>) -> Vec<Rule> {
    tables(section, "rules", "[{ from = \"10.1.0.0/16\", table = 100 }]", rule)
}

fn tables<'a, T>(
    section: &Section<'a>,
    key: &'static str,
    example: &str,
    read: impl Fn(&Section<'a>) -> Option<T>,
) -> Vec<T> {
    if section.raw(key).is_none() {
        return Vec::new();
    }
    let members = section.members(key, &format!("a list of tables: {example}")).unwrap_or_default();
    let one = |value: &'a Value<'a>| {
        let table = section.inner(key, value, format!("one of the {key} of {}", section.title))?;
        let found = read(&table);
        table.finish();
        found
    };
    members.iter().filter_map(one).collect()
}

fn route(table: &Section<'_>) -> Option<Route> {
    let to = table.required("to", "to = \"0.0.0.0/0\", the default route, or another network", subnet);
    let source = table.optional("source", ip);
    let kind = table.optional("kind", choice(KINDS)).map_or(RouteKind::Unicast, Spanned::into_inner);
    let number_of = |key, most| table.optional(key, number::<u32>(0, most)).map(Spanned::into_inner);
    let (metric, in_table) = (number_of("metric", MOST), number_of("table", MOST));
    let scope = table.optional("scope", scope).map(Spanned::into_inner);
    let tos = table.optional("tos", number(0, 255)).map_or(0, Spanned::into_inner);
    let first = hop(table);
    let others =
        tables(table, "hops", "[{ via = \"10.0.0.1\" }, { via = \"10.0.0.2\", weight = 2 }]", |table| {
            Some(hop(table))
        });
    let options = options(table);
    let congestion = congestion(table);
    let preference = table.optional("preference", choice(PREFERENCES));
    let (network, family) = network(to?.into_inner());
    if let Some(preference) = preference.as_ref().filter(|_| family == Family::Ipv4) {
        let finding = Finding::error(&preference.span(), "only IPv6 routes have a preference");
        table.sink().add(finding.help("write a metric: the smaller one wins"));
    }
    if let Some(source) = &source {
        same_family(table, family, source);
    }
    let hops: Vec<_> = std::iter::once(first).chain(others).filter(leads).collect();
    if family == Family::Ipv6 && hops.iter().any(|hop| hop.realms.is_some()) {
        no_realms(table);
    }
    if family == Family::Ipv6
        && let Some(via) = hops.iter().filter_map(|hop| hop.via).find(IpAddr::is_ipv4)
    {
        same_family(table, family, &Spanned::new(table.span.clone(), via));
    }
    let drops = matches!(
        kind,
        RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw
    );
    if drops != hops.is_empty() {
        let what = if drops { "drops, and yet leads somewhere" } else { "leads nowhere" };
        let finding = Finding::error(&table.span, format!("this route {what}"));
        table
            .sink()
            .add(finding.help("a unicast route has `via` or `dev`, a blackhole and its like neither"));
    }
    Some(Route {
        kind,
        hops,
        source: source.map(Spanned::into_inner),
        table: in_table.unwrap_or(MAIN_TABLE),
        metric,
        scope,
        tos,
        options,
        congestion,
        preference: preference.map(Spanned::into_inner),
        ..Route::new(family, network)
    })
}

fn leads(hop: &Hop) -> bool {
    hop.via.is_some() || hop.dev.is_some()
}

fn hop(table: &Section<'_>) -> Hop {
    Hop {
        via: table.optional("via", ip).map(Spanned::into_inner),
        dev: table.optional("dev", interface).map(Spanned::into_inner),
        extra_weight: table.optional("weight", number::<u16>(1, 256)).map_or(0, less_one),
        onlink: table.optional("onlink", flag).is_some_and(Spanned::into_inner),
        realms: table.optional("realms", realms).map(Spanned::into_inner),
    }
}

fn no_realms(table: &Section<'_>) {
    let finding = Finding::error(&table.span, "only IPv4 has realms");
    table.sink().add(finding.help("remove `realms`"));
}

/// To which realm, or from which and to which: `5`, or `"3/5"`.
fn realms(value: &Value<'_>) -> Result<Realms, Wrong> {
    if value.get_ref().is_integer() {
        return number(0, u16::MAX.into())(value).map(|to| Realms { from: 0, to });
    }
    let text = text(value)?;
    let (from, to) = text.split_once('/').unwrap_or(("0", &text));
    let found = from.parse().ok().zip(to.parse().ok()).map(|(from, to)| Realms { from, to });
    found.ok_or_else(|| Wrong::new(format!("\"{text}\" is no realm")).help("write it like 5, or \"3/5\""))
}

/// `congestion`, and `locked_congestion` which no program can change.
fn congestion(table: &Section<'_>) -> Option<Congestion> {
    let name = |value: &Value<'_>| {
        let name = text(value)?;
        let fits = !name.is_empty() && name.len() <= LONGEST_ALGORITHM;
        let wrong = || Wrong::new(format!("\"{name}\" is no algorithm of congestion control"));
        if fits {
            Ok(name)
        } else {
            Err(wrong().help("see sysctl net.ipv4.tcp_available_congestion_control"))
        }
    };
    let read = |key, locked| {
        let algorithm = table.optional(key, name)?.into_inner();
        Some(Congestion { algorithm, locked })
    };
    let (open, locked) = (read("congestion", false), read("locked_congestion", true));
    if open.is_some() && locked.is_some() {
        let finding = Finding::error(&table.span, "this route has two algorithms of congestion control");
        table.sink().add(finding.help("write `congestion`, or `locked_congestion`"));
    }
    locked.or(open)
}

/// The kernel counts weights from 0.
fn less_one(weight: Spanned<u16>) -> u8 {
    u8::try_from(weight.into_inner().saturating_sub(1)).unwrap_or(u8::MAX)
}

fn options(table: &Section<'_>) -> BTreeMap<RouteOption, u32> {
    let Some(written) = table.section("options") else { return BTreeMap::new() };
    let one = |(name, option): &(&'static str, RouteOption)| {
        Some((*option, written.optional(name, number::<u32>(0, MOST))?.into_inner()))
    };
    let found = OPTIONS.iter().filter_map(one).collect();
    written.finish();
    found
}

fn rule(table: &Section<'_>) -> Option<Rule> {
    let (from, to) = (table.optional("from", subnet), table.optional("to", subnet));
    let text_of = |key| table.optional(key, interface).map(Spanned::into_inner);
    let number_of = |key| table.optional(key, number::<u32>(0, MOST)).map(Spanned::into_inner);
    let (iif, oif) = (text_of("iif"), text_of("oif"));
    let family = table.optional("family", choice(FAMILIES)).map(Spanned::into_inner);
    let action = action(table);
    let rest = Rule {
        iif,
        oif,
        mark: table.optional("mark", mark).map(Spanned::into_inner),
        tos: table.optional("tos", number(0, 255)).map_or(0, Spanned::into_inner),
        protocol: table.optional("protocol", number(0, 255)).map(Spanned::into_inner),
        source_ports: table.optional("source_ports", range).map(Spanned::into_inner),
        destination_ports: table.optional("destination_ports", range).map(Spanned::into_inner),
        users: table.optional("users", range).map(Spanned::into_inner),
        inverted: table.optional("not", flag).is_some_and(Spanned::into_inner),
        priority: number_of("priority"),
        suppress_prefix: number_of("suppress_prefix"),
        suppress_group: number_of("suppress_group"),
        tunnel: table.optional("tunnel", number(0, i64::MAX)).map(Spanned::into_inner),
        realms: table.optional("realms", realms).map(Spanned::into_inner),
        ..Rule::new(Family::Ipv4, RuleAction::Nop)
    };
    let families: Vec<_> =
        [&from, &to].into_iter().flatten().map(|net| Family::of(net.get_ref().0)).chain(family).collect();
    let Some(family) = families.first().copied() else {
        let finding = Finding::error(&table.span, "this rule says neither from nor to which network");
        table.sink().add(finding.help("add from = \"10.1.0.0/16\" or to = …, or family = \"ipv4\" for all"));
        return None;
    };
    if families.iter().any(|other| *other != family) {
        let finding = Finding::error(&table.span, "this rule has networks of both families");
        table.sink().add(finding.help("make two rules of it"));
    }
    if family == Family::Ipv6 && rest.realms.is_some() {
        no_realms(table);
    }
    let net = |written: Option<Spanned<(IpAddr, u8)>>| network(written?.into_inner()).0;
    Some(Rule { family, from: net(from), to: net(to), action: action?, ..rest })
}

/// What a rule does: one of `table`, `goto` and `action`.
fn action(table: &Section<'_>) -> Option<RuleAction> {
    let number_of = |key| table.optional(key, number::<u32>(1, MOST)).map(Spanned::into_inner);
    let found = [
        number_of("table").map(RuleAction::Lookup),
        number_of("goto").map(RuleAction::Goto),
        table.optional("action", choice(ACTIONS)).map(Spanned::into_inner),
    ];
    let written = ["table", "goto", "action"].iter().filter(|key| table.raw(key).is_some()).count();
    if written != 1 {
        let what = if written == 0 { "nothing" } else { "several things" };
        let finding = Finding::error(&table.span, format!("this rule does {what}"));
        table
            .sink()
            .add(finding.help("write table = 100; or instead goto = PRIORITY, or action = \"blackhole\""));
    }
    found.into_iter().flatten().next().filter(|_| written == 1)
}

/// A mark, and under which mask: `5`, or `"0x5/0xff"`.
fn mark(value: &Value<'_>) -> Result<(u32, u32), Wrong> {
    if value.get_ref().is_integer() {
        return Ok((number(0, MOST)(value)?, u32::MAX));
    }
    let text = text(value)?;
    let one = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let found = match text.split_once('/') {
        Some((value, bits)) => one(value).zip(one(bits)),
        None => one(&text).zip(Some(u32::MAX)),
    };
    found.ok_or_else(|| Wrong::new(format!("\"{text}\" is no mark")).help("write it like 5 or \"0x5/0xff\""))
}

/// First and last: `80`, or `"80-89"`.
fn range<T: TryFrom<i64> + FromStr + PartialOrd + Copy>(value: &Value<'_>) -> Result<(T, T), Wrong> {
    if value.get_ref().is_integer() {
        return number(0, MOST)(value).map(|only| (only, only));
    }
    let text = text(value)?;
    let found =
        text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    found
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| Wrong::new(format!("\"{text}\" is no range")).help("write 80, or \"80-89\""))
}

/// A network and its family; a prefix of 0 is any address, which the kernel has no network for.
fn network((address, prefix): (IpAddr, u8)) -> (Option<Network>, Family) {
    ((prefix > 0).then_some(Network { address, prefix }), Family::of(address))
}

fn same_family(table: &Section<'_>, family: Family, other: &Spanned<IpAddr>) {
    let address = other.get_ref();
    if Family::of(*address) != family {
        let finding = Finding::error(&other.span(), format!("{address} is not of {family} as its route is"));
        table.sink().add(finding.help("name an address of the same family"));
    }
}
