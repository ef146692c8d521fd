//! `virtual_routes` and `virtual_rules` become what the agent holds; what has no meaning here is told
//! of, and a route that would lead elsewhere without it is left out.

use super::report::Report;
use super::route::{self as written, Table};
use crate::agent::route::{Hop, MAIN_TABLE, Network, Route, RouteKind, RouteOption, Rule, RuleAction};
use crate::config::problem::Span;
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::fs;
use std::net::IpAddr;

/// Where names of tables are, the first to have one counts.
const NAMES: [&str; 2] = ["/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables"];
/// Those that need no file.
const TABLES: [(&str, u32); 3] = [("main", MAIN_TABLE), ("default", 253), ("local", 255)];
/// Names of IP protocols in rules; others go by their number.
const PROTOCOLS: [(&str, u8); 6] =
    [("tcp", 6), ("udp", 17), ("icmp", 1), ("ipv6-icmp", 58), ("sctp", 132), ("gre", 47)];
/// Words of a route, and what they set.
const OPTIONS: [(&str, RouteOption); 14] = [
    ("fastopen_no_cookie", RouteOption::FastOpenNoCookie),
    ("window", RouteOption::Window),
    ("rtt", RouteOption::Rtt),
    ("rttvar", RouteOption::RttVariation),
    ("ssthresh", RouteOption::SlowStart),
    ("cwnd", RouteOption::CongestionWindow),
    ("advmss", RouteOption::AdvertisedSegment),
    ("reordering", RouteOption::Reordering),
    ("hoplimit", RouteOption::HopLimit),
    ("initcwnd", RouteOption::InitialWindow),
    ("rto_min", RouteOption::MinimumTimeout),
    ("initrwnd", RouteOption::InitialReceiveWindow),
    ("quickack", RouteOption::QuickAck),
    ("mtu", RouteOption::Mtu),
];

/// Makes routes and rules of one instance. `family` is for those that do not say theirs.
pub(super) struct Router<'a> {
    pub(super) family: Family,
    pub(super) report: &'a Report,
}

impl Router<'_> {
    fn not_done(&self, span: &Span, effect: &str) {
        let message = format!("known to keepalived, not done by Locum, effect: {effect}");
        self.report.warning(span, message, "remove it if it is the same to you");
    }

    fn table(&self, table: &Table, span: &Span) -> Option<u32> {
        let found = match table {
            Table::Number(number) => Some(*number),
            Table::Name(name) => TABLES
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, number)| *number)
                .or_else(|| NAMES.iter().find_map(|path| named(&fs::read_to_string(path).ok()?, name))),
        };
        if found.is_none() {
            let message = format!("there is no routing table of this name in {}", NAMES.join(" or "));
            self.report.refuse(span, message, "write its number, or add it there");
        }
        found
    }

    /// A route to hold; `None` where it would lead elsewhere than meant, which is told of.
    pub(super) fn route(&self, from: &written::Route) -> Option<Route> {
        let Some(kind) = kind(from.kind) else {
            self.not_done(&from.span, "this route is not set, for its type");
            return None;
        };
        if from.vrf.is_some() || from.options.iter().any(|(name, _)| name == "encap") {
            self.not_done(&from.span, "this route is not set, for its vrf or encap");
            return None;
        }
        let named = match from.to {
            written::Network::Prefix(address, _) => Some(Family::of(address)),
            written::Network::All => from.via.as_ref().map(|via| Family::of(*via.get_ref())),
        };
        let family = from.family.or(named).unwrap_or(self.family);
        if !self.of_one_family(family, from) {
            return None;
        }
        if from.dev.is_none() && !from.no_track {
            let message = "keepalived does not watch a route without an interface; Locum watches every route";
            self.report.flaw(&from.span, message, "add: dev IF");
        }
        let table = match &from.table {
            Some(table) => self.table(table.get_ref(), &table.span())?,
            None => MAIN_TABLE,
        };
        let mut route = Route {
            kind,
            hops: hops(from),
            source: value(from.src.as_ref()),
            table,
            metric: value(from.metric.as_ref()),
            scope: value(from.scope.as_ref()),
            tos: value(from.tos.as_ref()).unwrap_or(0),
            ..Route::new(family, network(from.to))
        };
        if route.hops.is_empty() && matches!(kind, RouteKind::Unicast) {
            self.report.refuse(&from.span, "this route leads nowhere", "add: via IP, or dev IF");
            return None;
        }
        let mut without = options(from, &mut route);
        let drops = [RouteKind::Blackhole, RouteKind::Unreachable, RouteKind::Prohibit, RouteKind::Throw];
        if drops.contains(&kind) && !route.hops.is_empty() {
            // The kernel refuses such a route.
            route.hops.clear();
            without.push("via and dev".to_owned());
        }
        without.extend(from.or.as_ref().map(|_| "or".to_owned()));
        without.extend(from.protocol.as_ref().map(|_| "protocol".to_owned()));
        if !without.is_empty() {
            self.not_done(&from.span, &format!("this route is set without {}", without.join(", ")));
        }
        Some(route)
    }

    /// Whether all addresses of a route are of its family, which is told of.
    fn of_one_family(&self, family: Family, from: &written::Route) -> bool {
        let hops = from.nexthops.iter().filter_map(|hop| hop.via.as_ref());
        let mut others = [&from.via, &from.src].into_iter().flatten().chain(hops);
        let odd = others.find(|address| Family::of(*address.get_ref()) != family);
        if let Some(odd) = odd {
            let message = format!("{} is not {family} as its route is, which is left out", odd.get_ref());
            self.report.refuse(&odd.span(), message, "mend one of the addresses");
        }
        odd.is_none()
    }

    /// A rule to hold; `None` where it would match or do something else than meant, which is told of.
    pub(super) fn rule(&self, from: &written::Rule) -> Option<Rule> {
        let family = [&from.from, &from.to].into_iter().flatten().find_map(|net| match net.get_ref() {
            written::Network::Prefix(address, _) => Some(Family::of(*address)),
            written::Network::All => None,
        });
        let family = from.family.or(family).unwrap_or(self.family);
        if let Some(odd) = [&from.from, &from.to].into_iter().flatten().find(|net| match net.get_ref() {
            written::Network::Prefix(address, _) => Family::of(*address) != family,
            written::Network::All => false,
        }) {
            let message = format!("this network is not {family} as its rule is, which is left out");
            self.report.refuse(&odd.span(), message, "mend one of the networks");
            return None;
        }
        if let (Some(goto), Some(own)) = (&from.goto, &from.preference)
            && goto.get_ref() <= own.get_ref()
        {
            let message = "a rule cannot go back: this one is left out";
            self.report.refuse(&goto.span(), message, "name a greater preference");
            return None;
        }
        let action = match (&from.table, &from.goto, &from.verdict) {
            (Some(table), ..) => Some(RuleAction::Lookup(self.table(table.get_ref(), &table.span())?)),
            (_, Some(priority), _) => Some(RuleAction::Goto(*priority.get_ref())),
            (.., Some(verdict)) => match verdict.get_ref() {
                None => Some(RuleAction::Nop),
                Some(written::RouteKind::Blackhole) => Some(RuleAction::Blackhole),
                Some(written::RouteKind::Unreachable) => Some(RuleAction::Unreachable),
                Some(written::RouteKind::Prohibit) => Some(RuleAction::Prohibit),
                Some(_) => None,
            },
            _ => None,
        };
        let Some(action) = action.filter(|_| !from.l3mdev) else {
            self.not_done(&from.span, "this rule is not set, for its type or l3mdev");
            return None;
        };
        let net = |written: &Option<Spanned<written::Network>>| network(*written.as_ref()?.get_ref());
        let mut rule = Rule {
            from: net(&from.from),
            to: net(&from.to),
            iif: inner(from.iif.as_ref()),
            oif: inner(from.oif.as_ref()),
            mark: value(from.fwmark.as_ref()),
            tos: value(from.tos.as_ref()).unwrap_or(0),
            inverted: from.inverted,
            priority: value(from.preference.as_ref()),
            ..Rule::new(family, action)
        };
        for (name, text) in &from.options {
            if !selector(&mut rule, name, text) {
                self.not_done(&from.span, &format!("this rule is not set, for its {name} {text}"));
                return None;
            }
        }
        Some(rule)
    }
}

/// Sets what can be; returns the names of the rest.
fn options(from: &written::Route, route: &mut Route) -> Vec<String> {
    let mut rest = Vec::new();
    for (name, values) in &from.options {
        let known = OPTIONS.iter().find(|(known, _)| known == name).map(|(_, option)| *option);
        let last = values.last().map(|value| value.trim_end_matches("ms").parse::<u32>());
        match (name.as_str(), known, last) {
            ("mtu", _, Some(Ok(number))) if values.len() > 1 => {
                route.options.insert(RouteOption::LockedMtu, number);
            }
            (_, Some(option), Some(Ok(number))) => drop(route.options.insert(option, number)),
            _ => rest.push(name.clone()),
        }
    }
    rest
}

/// Sets one of the rarer selectors; `false` where it has no meaning here.
fn selector(rule: &mut Rule, name: &str, text: &str) -> bool {
    fn range<T: std::str::FromStr + Copy>(text: &str) -> Option<(T, T)> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    }
    match name {
        "uidrange" => rule.users = range(text),
        "sport" => rule.source_ports = range(text),
        "dport" => rule.destination_ports = range(text),
        "ipproto" => {
            let known = PROTOCOLS.iter().find(|(known, _)| *known == text).map(|(_, number)| *number);
            rule.protocol = known.or_else(|| text.parse().ok());
        }
        "suppress_prefixlength" | "suppress_prefixlen" => rule.suppress_prefix = text.parse().ok(),
        "suppress_ifgroup" => rule.suppress_group = text.parse().ok(),
        // Who made a rule is not what it does.
        "protocol" => return true,
        _ => return false,
    }
    match name {
        "uidrange" => rule.users.is_some(),
        "sport" => rule.source_ports.is_some(),
        "dport" => rule.destination_ports.is_some(),
        "ipproto" => rule.protocol.is_some(),
        "suppress_ifgroup" => rule.suppress_group.is_some(),
        _ => rule.suppress_prefix.is_some(),
    }
}

fn value<T: Clone>(written: Option<&Spanned<T>>) -> Option<T> {
    written.map(|written| written.get_ref().clone())
}

/// The number of a table in the text of `rt_tables`.
fn hops(from: &written::Route) -> Vec<Hop> {
    let first = Hop {
        via: value(from.via.as_ref()),
        dev: inner(from.dev.as_ref()),
        extra_weight: 0,
        onlink: from.onlink,
    };
    let others = from.nexthops.iter().map(|hop| Hop {
        via: value(hop.via.as_ref()),
        dev: inner(hop.dev.as_ref()),
        extra_weight: value(hop.weight.as_ref()).map_or(0, |weight: u8| weight.saturating_sub(1)),
        onlink: hop.onlink,
    });
    let leads = |hop: &Hop| hop.via.is_some() || hop.dev.is_some();
    std::iter::once(first).chain(others).filter(leads).collect()
}

fn inner(written: Option<&Spanned<String>>) -> Option<String> {
    written.map(|written| written.get_ref().clone())
}

/// The number that `text` gives to `name`.
pub(super) fn named(text: &str, name: &str) -> Option<u32> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.filter_map(|line| line.trim().split_once(char::is_whitespace)).find_map(|(number, known)| {
        let number = match number.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        };
        number.filter(|_| known.trim() == name)
    })
}

/// The network with the bits beyond its prefix cleared; none for all addresses.
fn network(written: written::Network) -> Option<Network> {
    let written::Network::Prefix(address, prefix) = written else { return None };
    let address = crate::config::value::network(address, prefix);
    let any = prefix == 0 && matches!(address, address if IpAddr::is_unspecified(&address));
    (!any).then_some(Network { address, prefix })
}

fn kind(kind: written::RouteKind) -> Option<RouteKind> {
    match kind {
        written::RouteKind::Unicast => Some(RouteKind::Unicast),
        written::RouteKind::Local => Some(RouteKind::Local),
        written::RouteKind::Broadcast => Some(RouteKind::Broadcast),
        written::RouteKind::Multicast => Some(RouteKind::Multicast),
        written::RouteKind::Throw => Some(RouteKind::Throw),
        written::RouteKind::Unreachable => Some(RouteKind::Unreachable),
        written::RouteKind::Prohibit => Some(RouteKind::Prohibit),
        written::RouteKind::Blackhole => Some(RouteKind::Blackhole),
        written::RouteKind::Anycast | written::RouteKind::Nat => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_are_found_among_comments() {
        let text = "# reserved\n254\tmain\n0x64 web # ours\n\n101 webmail\n";
        assert_eq!(named(text, "web"), Some(100));
        assert_eq!(named(text, "webmail"), Some(101));
        assert_eq!(named(text, "reserved"), None);
    }
}
