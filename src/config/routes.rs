//! `routes` and `rules` of a router: what moves with its addresses besides them.

use super::problem::Finding;
use super::section::{Section, Value};
use super::value::{choice, interface, ip, number, subnet};
use crate::agent::route::{Hop, MAIN_TABLE, Network, Route, RouteKind, Rule, RuleAction};
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::net::IpAddr;

const KINDS: &[(&str, RouteKind)] = &[
    ("unicast", RouteKind::Unicast),
    ("local", RouteKind::Local),
    ("blackhole", RouteKind::Blackhole),
    ("unreachable", RouteKind::Unreachable),
    ("prohibit", RouteKind::Prohibit),
    ("throw", RouteKind::Throw),
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
    let via = table.optional("via", ip);
    let source = table.optional("source", ip);
    let dev = table.optional("dev", interface).map(Spanned::into_inner);
    let kind = table.optional("kind", choice(KINDS)).map_or(RouteKind::Unicast, Spanned::into_inner);
    let number_of = |key| table.optional(key, number::<u32>(0, MOST)).map(Spanned::into_inner);
    let (metric, in_table) = (number_of("metric"), number_of("table"));
    let (network, family) = network(to?.into_inner());
    for other in [&source, &via].into_iter().flatten() {
        same_family(table, family, other);
    }
    let leads = via.is_some() || dev.is_some();
    let forwards = matches!(kind, RouteKind::Unicast | RouteKind::Local);
    if forwards != leads {
        let what = if forwards { "leads nowhere" } else { "drops, and yet leads somewhere" };
        let finding = Finding::error(&table.span, format!("this route {what}"));
        table
            .sink()
            .add(finding.help("a unicast route has `via` or `dev`, a blackhole and its like neither"));
    }
    let via = via.map(Spanned::into_inner);
    let hops = if leads { vec![Hop { via, dev, ..Hop::default() }] } else { Vec::new() };
    Some(Route {
        kind,
        hops,
        source: source.map(Spanned::into_inner),
        table: in_table.unwrap_or(MAIN_TABLE),
        metric,
        ..Route::new(family, network)
    })
}

fn rule(table: &Section<'_>) -> Option<Rule> {
    let (from, to) = (table.optional("from", subnet), table.optional("to", subnet));
    let iif = table.optional("iif", interface).map(Spanned::into_inner);
    let in_table = table.required("table", "table = 100", number::<u32>(1, MOST));
    let priority = table.optional("priority", number::<u32>(1, 32_765)).map(Spanned::into_inner);
    let families: Vec<_> =
        [&from, &to].into_iter().flatten().map(|net| Family::of(net.get_ref().0)).collect();
    let Some(family) = families.first().copied() else {
        let finding = Finding::error(&table.span, "this rule says neither from nor to which network");
        table.sink().add(finding.help("add from = \"10.1.0.0/16\" or to = …; 0.0.0.0/0 and ::/0 mean any"));
        return None;
    };
    if families.iter().any(|other| *other != family) {
        let finding = Finding::error(&table.span, "this rule has networks of both families");
        table.sink().add(finding.help("make two rules of it"));
    }
    let net = |written: Option<Spanned<(IpAddr, u8)>>| network(written?.into_inner()).0;
    let action = RuleAction::Lookup(in_table?.into_inner());
    Some(Rule { from: net(from), to: net(to), iif, priority, ..Rule::new(family, action) })
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
