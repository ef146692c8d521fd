//! `virtual_routes` and `virtual_rules` become what the agent holds; what has no meaning here is told
//! of, and a route that would lead elsewhere without it is left out.

use super::report::Report;
use super::route::{self as written, Table};
use crate::agent::route::{
    Congestion, Hop, MAIN_TABLE, Network, Realms, Route, RouteKind, RouteOption, Rule, RuleAction,
};
use crate::config::problem::Span;
use crate::config::routes::{LONGEST_ALGORITHM, PREFERENCES};
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::fs;
use std::net::IpAddr;

/// Where names of tables, realms and groups of interfaces are, the first to have one counts.
const NAMES: [&str; 2] = ["/etc/iproute2", "/usr/share/iproute2"];
const TABLE_NAMES: &str = "rt_tables";
const REALM_NAMES: &str = "rt_realms";
const GROUP_NAMES: &str = "group";
/// What keepalived tells routes and rules of its own by, in numbers and words.
const KEEPALIVEDS: [&str; 2] = ["18", "keepalived"];
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

/// Words of a rule with numbers.
const NUMBERED: [&str; 7] =
    ["tunnel-id", "uidrange", "sport", "dport", "ipproto", "suppress_prefixlength", "suppress_ifgroup"];
/// Those of them that are times.
const TIMES: [&str; 3] = ["rtt", "rttvar", "rto_min"];

/// Makes routes and rules of one instance. `family` is for those that do not say theirs.
pub(super) struct Router<'a> {
    pub(super) family: Family,
    pub(super) report: &'a Report,
}

impl Router<'_> {
    fn not_done(&self, span: &Span, effect: &str) {
        self.not_done_but(span, effect, "remove it if it is the same to you");
    }

    fn not_done_but(&self, span: &Span, effect: &str, help: &str) {
        let message = format!("known to keepalived, not done by Locum, effect: {effect}");
        self.report.warning(span, message, help);
    }

    /// By its number a start finds what a Locum that died has left behind, and nothing else.
    fn protocol(&self, span: &Span, what: &str, protocol: &str) {
        let effect =
            format!("the kernel has this {what} as one of protocol 112, Locum's own, not {protocol}");
        self.not_done_but(
            span,
            &effect,
            "remove it; what looks for these by their protocol has to look for 112",
        );
    }

    fn table(&self, table: &Table, span: &Span) -> Option<u32> {
        let found = match table {
            Table::Number(number) => Some(*number),
            Table::Name(name) => TABLES
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, number)| *number)
                .or_else(|| looked_up(TABLE_NAMES, name)),
        };
        self.found(found, span, "routing table of this name", TABLE_NAMES)
    }

    fn no_realms(&self, span: &Span) {
        self.report.refuse(span, "only IPv4 has realms: this is set without", "remove `realms`");
    }

    /// `A/B`, or `B`.
    fn realms(&self, text: &str, span: &Span) -> Option<Realms> {
        let number = |text: &str| {
            let number = text.parse().ok().or_else(|| u16::try_from(looked_up(REALM_NAMES, text)?).ok());
            self.found(number, span, &format!("realm {text}"), REALM_NAMES)
        };
        let (from, to) = text.split_once('/').unwrap_or(("0", text));
        Some(Realms { from: number(from)?, to: number(to)? })
    }

    fn found<T>(&self, found: Option<T>, span: &Span, what: &str, file: &str) -> Option<T> {
        if found.is_none() {
            let paths = NAMES.map(|folder| format!("{folder}/{file}")).join(" or ");
            let message = format!("there is no {what} in {paths}");
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
        if from.vrf.is_some() {
            let effect = "this route is not set, for its vrf";
            self.not_done_but(&from.span, effect, "write the table of the VRF instead: table N");
            return None;
        }
        if from.options.iter().any(|(name, _)| name == "encap") {
            let effect = "this route is not set, for its encap";
            self.not_done_but(
                &from.span,
                effect,
                "set it in the system's network configuration, or have a hook do it",
            );
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
            hops: self.hops(from),
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
        let mut without = self.options(from, &mut route);
        if family == Family::Ipv6 {
            let realms = route.hops.iter_mut().filter_map(|hop| hop.realms.take()).count();
            if realms > 0 {
                self.no_realms(&from.span);
            }
        }
        let drops = [RouteKind::Blackhole, RouteKind::Unreachable, RouteKind::Prohibit, RouteKind::Throw];
        if drops.contains(&kind) && !route.hops.is_empty() {
            // The kernel refuses such a route.
            route.hops.clear();
            without.push("via and dev".to_owned());
        }
        without.extend(from.or.as_ref().map(|_| "or".to_owned()));
        let protocol = from.protocol.as_ref().map(|it| it.get_ref().as_str());
        if let Some(protocol) = protocol.filter(|protocol| !KEEPALIVEDS.contains(protocol)) {
            self.protocol(&from.span, "route", protocol);
            if !from.no_track {
                self.report.count_flaw();
            }
        }
        if !without.is_empty() {
            self.not_done(&from.span, &format!("this route is set without {}", without.join(", ")));
        }
        Some(route)
    }

    /// The ways of a route. Those that name no realms are counted as the whole route is.
    fn hops(&self, from: &written::Route) -> Vec<Hop> {
        let all = from.options.iter().find(|(name, _)| name == "realms");
        let all = all.and_then(|(_, values)| self.realms(values.last()?, &from.span));
        let first = Hop {
            via: value(from.via.as_ref()),
            dev: inner(from.dev.as_ref()),
            extra_weight: 0,
            onlink: from.onlink,
            realms: all,
        };
        let others = from.nexthops.iter().map(|hop| Hop {
            via: value(hop.via.as_ref()),
            dev: inner(hop.dev.as_ref()),
            extra_weight: value(hop.weight.as_ref()).map_or(0, |weight: u8| weight.saturating_sub(1)),
            onlink: hop.onlink,
            realms: hop.realms.as_ref().and_then(|it| self.realms(it.get_ref(), &it.span())).or(all),
        });
        let leads = |hop: &Hop| hop.via.is_some() || hop.dev.is_some();
        std::iter::once(first).chain(others).filter(leads).collect()
    }

    /// Sets what can be; returns the names of the rest.
    fn options(&self, from: &written::Route, route: &mut Route) -> Vec<String> {
        let mut rest = Vec::new();
        for (name, values) in &from.options {
            let known = OPTIONS.iter().find(|(known, _)| known == name).map(|(_, option)| *option);
            let locked = values.len() > 1;
            let last = values.last().map_or("", String::as_str);
            let wrong = |help: &str| {
                let message = format!("{name} {last} means nothing here: this route is set without");
                self.report.refuse(&from.span, message, help);
            };
            let number = if TIMES.contains(&name.as_str()) { milliseconds(last) } else { last.parse().ok() };
            match (name.as_str(), known, number) {
                // Of the ways of the route.
                ("realms", ..) => {}
                ("congctl", ..) if (1..=LONGEST_ALGORITHM).contains(&last.len()) => {
                    route.congestion = Some(Congestion { algorithm: last.to_owned(), locked });
                }
                ("features", ..) if last == "ecn" => {
                    route.options.insert(RouteOption::Ecn, 1);
                }
                ("pref", ..) if route.family == Family::Ipv6 => {
                    route.preference =
                        PREFERENCES.iter().find(|(known, _)| *known == last).map(|(_, found)| *found);
                    if route.preference.is_none() {
                        wrong("write low, medium or high");
                    }
                }
                ("pref", ..) => wrong("remove it: only IPv6 routes have one; for IPv4 write a metric"),
                ("features", ..) => wrong("write ecn: there is no other"),
                ("mtu", _, Some(number)) if locked => {
                    route.options.insert(RouteOption::LockedMtu, number);
                }
                (_, Some(option), Some(number)) => {
                    route.options.insert(option, number);
                    rest.extend(locked.then(|| format!("the lock of {name}")));
                }
                (_, Some(_), None) => wrong("write a number"),
                _ => rest.push(name.clone()),
            }
        }
        rest
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
        let verdict = from.verdict.as_ref().filter(|it| *it.get_ref() != Some(written::RouteKind::Unicast));
        let ends = [from.table.is_some(), from.goto.is_some(), verdict.is_some(), from.l3mdev];
        if ends.into_iter().filter(|end| *end).count() > 1 {
            let message = "this rule does several things: it is not set";
            self.report.refuse(&from.span, message, "write one of table, goto, l3mdev and a type");
            return None;
        }
        let action = match (&from.table, &from.goto, &from.verdict) {
            _ if from.l3mdev => Some(RuleAction::Vrf),
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
        let Some(action) = action else {
            self.not_done(&from.span, "this rule is not set, for its type");
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
            if name == "protocol" {
                if !KEEPALIVEDS.contains(&text.as_str()) {
                    self.protocol(&from.span, "rule", text);
                }
                if KEEPALIVEDS[0] != text && !from.no_track {
                    self.report.count_flaw();
                }
                continue;
            }
            if name == "realms" {
                if family == Family::Ipv6 {
                    self.no_realms(&from.span);
                } else {
                    rule.realms = self.realms(text, &from.span);
                }
                continue;
            }
            if NUMBERED.contains(&name.as_str()) && !selector(&mut rule, name, text) {
                let message = format!("{text} is no value of {name}: this rule is not set");
                self.report.refuse(&from.span, message, "write a number, or a range of them with -");
                return None;
            }
            if !selector(&mut rule, name, text) {
                self.not_done(&from.span, &format!("this rule is not set, for its {name} {text}"));
                return None;
            }
        }
        Some(rule)
    }
}

/// A time, in milliseconds where no unit stands behind it.
fn milliseconds(text: &str) -> Option<u32> {
    let seconds = || text.strip_suffix('s')?.parse::<u32>().ok()?.checked_mul(1000);
    text.strip_suffix("ms").unwrap_or(text).parse().ok().or_else(seconds)
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
        "suppress_ifgroup" => {
            rule.suppress_group = text.parse().ok().or_else(|| looked_up(GROUP_NAMES, text));
        }
        "tunnel-id" => rule.tunnel = text.parse().ok(),
        _ => return false,
    }
    match name {
        "uidrange" => rule.users.is_some(),
        "sport" => rule.source_ports.is_some(),
        "dport" => rule.destination_ports.is_some(),
        "ipproto" => rule.protocol.is_some(),
        "suppress_ifgroup" => rule.suppress_group.is_some(),
        "tunnel-id" => rule.tunnel.is_some(),
        _ => rule.suppress_prefix.is_some(),
    }
}

fn value<T: Clone>(written: Option<&Spanned<T>>) -> Option<T> {
    written.map(|written| written.get_ref().clone())
}

fn inner(written: Option<&Spanned<String>>) -> Option<String> {
    written.map(|written| written.get_ref().clone())
}

/// The number of a name in one of the files of iproute2.
fn looked_up(file: &str, name: &str) -> Option<u32> {
    NAMES.iter().find_map(|folder| named(&fs::read_to_string(format!("{folder}/{file}")).ok()?, name))
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
