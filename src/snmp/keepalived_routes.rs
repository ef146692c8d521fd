//! KEEPALIVED-MIB, the routes and rules that move with a router. Pure.
//!
//! Left out are columns that the MIB calls obsolete.

use super::keepalived_mib::scope;
use super::oid::Value;
use super::rows::Rows;
use super::view::{View, kind, nobody};
use crate::agent::{Network, Route, RouteKind, RouteOption, Rule, RuleAction};
use crate::vrrp::Family;

/// `vrrpRouteEntry`
const ROUTE: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 7, 1];
/// `vrrpRuleEntry`
const RULE: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 8, 1];
/// `vrrpRouteNextHopEntry`
const HOP: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 11, 1];
/// `keepalived` of `vrrpRouteProtocol`: the number of VRRP, which the kernel has of each route as well.
const PROTOCOL: i32 = 112;
/// `ecmp` of `RouteType`
const SEVERAL_WAYS: i32 = 2;

/// Those of router `number`, or with 0 the static ones.
pub(super) fn put(
    view: &View<'_>,
    number: u32,
    (routes, rules): (&[Route], &[Rule]),
    held: bool,
    rows: &mut Rows,
) {
    for (at, one) in (1..).zip(routes) {
        route(view, &[number, at], one, held, rows);
    }
    for (at, one) in (1..).zip(rules) {
        rule(&[number, at], one, held, rows);
    }
}

fn route(view: &View<'_>, index: &[u32], route: &Route, held: bool, rows: &mut Rows) {
    let network = route.destination.unwrap_or(Network { address: nobody(route.family), prefix: 0 });
    // Of several ways each has a row of its own.
    let hop = if let [hop] = route.hops.as_slice() { Some(hop) } else { None };
    let dev = hop.and_then(|hop| hop.dev.as_deref());
    let columns = [
        (2, Some(family(route.family))),
        (3, Some(Value::address(network.address))),
        (4, Some(Value::number(network.prefix))),
        (5, hop.and_then(|hop| hop.via).map(Value::address)),
        (7, route.source.map(Value::address)),
        (8, Some(Value::number(route.metric.unwrap_or_default()))),
        (9, Some(Value::Integer(scope(route.scope.unwrap_or_default())))),
        (10, Some(Value::Integer(route_kind(route)))),
        (11, dev.and_then(|dev| view.link(dev)).map(number)),
        (12, dev.map(Value::text)),
        (13, Some(Value::number(route.table))),
        (14, Some(Value::either(held, 1, 2))),
        (17, (route.tos > 0).then(|| Value::number(route.tos))),
        (18, Some(Value::Integer(PROTOCOL))),
        (19, Some(Value::truth(route.options.get(&RouteOption::Ecn) == Some(&1)))),
        (20, Some(Value::truth(route.options.get(&RouteOption::QuickAck) == Some(&1)))),
        (42, route.congestion.as_ref().map(|congestion| Value::text(&congestion.algorithm))),
        (43, route.preference.map(|preference| Value::Integer(preference as i32 + 1))),
        (44, hop.and_then(|hop| hop.realms).and_then(|realms| realm(realms.to))),
        (45, hop.and_then(|hop| hop.realms).and_then(|realms| realm(realms.from))),
        (55, route.options.get(&RouteOption::FastOpenNoCookie).map(|value| Value::truth(*value == 1))),
    ];
    rows.row(ROUTE, index, columns);
    for (option, value) in &route.options {
        if let Some((column, lock)) = option_columns(*option) {
            rows.put(ROUTE, column, index, Value::number(*value));
            let locked = Value::truth(*option == RouteOption::LockedMtu);
            if let Some(lock) = lock {
                rows.put(ROUTE, lock, index, locked);
            }
        }
    }
    for (at, hop) in (1..).zip(route.hops.iter().filter(|_| hop.is_none())) {
        let dev = hop.dev.as_deref();
        let columns = [
            (2, hop.via.map(|via| family(Family::of(via)))),
            (3, hop.via.map(Value::address)),
            (4, dev.and_then(|dev| view.link(dev)).map(number)),
            (5, dev.map(Value::text)),
            (6, (hop.extra_weight > 0).then(|| Value::number(u32::from(hop.extra_weight) + 1))),
            (7, Some(Value::truth(hop.onlink))),
            (8, hop.realms.and_then(|realms| realm(realms.to))),
            (9, hop.realms.and_then(|realms| realm(realms.from))),
        ];
        rows.row(HOP, &[index, &[at]].concat(), columns);
    }
}

/// Where a number stands that a route sets for its connections, and whether it is the last word.
const fn option_columns(option: RouteOption) -> Option<(u32, Option<u32>)> {
    Some(match option {
        RouteOption::Mtu | RouteOption::LockedMtu => (22, Some(23)),
        RouteOption::HopLimit => (24, None),
        RouteOption::AdvertisedSegment => (25, Some(26)),
        RouteOption::Rtt => (27, Some(28)),
        RouteOption::RttVariation => (29, Some(30)),
        RouteOption::Reordering => (31, Some(32)),
        RouteOption::Window => (33, None),
        RouteOption::CongestionWindow => (34, Some(35)),
        RouteOption::SlowStart => (36, Some(37)),
        RouteOption::MinimumTimeout => (38, Some(39)),
        RouteOption::InitialWindow => (40, None),
        RouteOption::InitialReceiveWindow => (41, None),
        RouteOption::Ecn | RouteOption::QuickAck | RouteOption::FastOpenNoCookie => return None,
    })
}

fn route_kind(route: &Route) -> i32 {
    match route.kind {
        RouteKind::Unicast if route.hops.len() > 1 => SEVERAL_WAYS,
        // Of this host's own the MIB knows nothing.
        RouteKind::Unicast | RouteKind::Local => 1,
        RouteKind::Blackhole => 3,
        RouteKind::Multicast => 5,
        RouteKind::Broadcast => 6,
        RouteKind::Unreachable => 7,
        RouteKind::Prohibit => 8,
        RouteKind::Throw => 9,
    }
}

fn rule(index: &[u32], rule: &Rule, held: bool, rows: &mut Rows) {
    let action = match rule.action {
        RuleAction::Lookup(_) | RuleAction::Vrf => 1,
        RuleAction::Goto(_) => 2,
        RuleAction::Nop => 3,
        RuleAction::Blackhole => 6,
        RuleAction::Unreachable => 7,
        RuleAction::Prohibit => 8,
    };
    let table = if let RuleAction::Lookup(table) = rule.action { Some(Value::number(table)) } else { None };
    let target = if let RuleAction::Goto(rule) = rule.action { Some(Value::number(rule)) } else { None };
    let columns = [
        (6, table.clone()),
        (7, Some(Value::either(held, 1, 2))),
        (8, Some(Value::truth(rule.inverted))),
        (15, Some(Value::number(rule.tos))),
        (16, rule.mark.map(|(mark, _)| Value::number(mark))),
        (17, rule.mark.map(|(_, mask)| Value::number(mask))),
        (18, rule.realms.and_then(|realms| realm(realms.to))),
        (19, rule.realms.and_then(|realms| realm(realms.from))),
        (20, rule.iif.as_deref().map(Value::text)),
        (21, rule.oif.as_deref().map(Value::text)),
        (22, target),
        (23, Some(Value::Integer(action))),
        (24, table),
        (25, rule.priority.map(Value::number)),
        (26, rule.suppress_prefix.map(Value::number)),
        (28, rule.tunnel.map(|tunnel| Value::number(u32::try_from(tunnel >> 32).unwrap_or_default()))),
        (
            29,
            rule.tunnel.map(|tunnel| Value::number(u32::try_from(tunnel & 0xffff_ffff).unwrap_or_default())),
        ),
        (30, rule.users.map(|(first, _)| Value::number(first))),
        (31, rule.users.map(|(_, last)| Value::number(last))),
        (32, (rule.action == RuleAction::Vrf).then(|| Value::truth(true))),
        (34, rule.protocol.map(Value::number)),
        (35, rule.source_ports.map(|(first, _)| Value::number(first))),
        (36, rule.source_ports.map(|(_, last)| Value::number(last))),
        (37, rule.destination_ports.map(|(first, _)| Value::number(first))),
        (38, rule.destination_ports.map(|(_, last)| Value::number(last))),
    ];
    rows.row(RULE, index, columns);
    for (first, network) in [(9, rule.to), (12, rule.from)] {
        if let Some(network) = network {
            let values =
                [family(rule.family), Value::address(network.address), Value::number(network.prefix)];
            for (column, value) in (first..).zip(values) {
                rows.put(RULE, column, index, value);
            }
        }
    }
}

/// 0 is none, which the MIB has no number for.
fn realm(number: u16) -> Option<Value> {
    (number > 0).then(|| Value::number(number))
}

fn family(family: Family) -> Value {
    Value::Integer(i32::from(kind(family)))
}

fn number(link: u32) -> Value {
    Value::Integer(i32::try_from(link).unwrap_or(i32::MAX))
}
