//! `virtual_routes`, `static_routes` and the rules: the grammar of `ip route` and `ip rule`, without
//! abbreviations.

use super::address::{Words, scope};
use super::document::Written;
use super::report::Report;
use super::statement::Statement;
use super::statics::only_static;
use super::tree::{Node, Word};
use super::value;
use crate::config::problem::Span;
use crate::config::section::Wrong;
use crate::config::suggest::nearest;
use crate::vrrp::Family;
use std::net::IpAddr;

/// A network, or all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `default`, `all` or `any`
    All,
    /// An address and its prefix length.
    Prefix(IpAddr, u8),
}

/// A routing table, by number or by a name of `rt_tables`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as what they hold")]
pub enum Table {
    Number(u32),
    Name(String),
}

/// Where a route goes among those of the same destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as the words they stand for")]
pub enum Insertion {
    Add,
    #[default]
    Prepend,
    Append,
}

/// What a route does with packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as the words they stand for")]
pub enum RouteKind {
    #[default]
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Throw,
    Unreachable,
    Prohibit,
    Blackhole,
    Nat,
}

const KINDS: &[(&str, RouteKind)] = &[
    ("unicast", RouteKind::Unicast),
    ("local", RouteKind::Local),
    ("broadcast", RouteKind::Broadcast),
    ("anycast", RouteKind::Anycast),
    ("multicast", RouteKind::Multicast),
    ("throw", RouteKind::Throw),
    ("unreachable", RouteKind::Unreachable),
    ("prohibit", RouteKind::Prohibit),
    ("blackhole", RouteKind::Blackhole),
    ("nat", RouteKind::Nat),
];
const FAMILIES: &[(&str, Family)] = &[("inet", Family::Ipv4), ("inet6", Family::Ipv6)];

/// One route.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the words they hold")]
pub struct Route {
    pub span: Span,
    pub kind: RouteKind,
    pub family: Option<Family>,
    pub to: Network,
    pub src: Written<IpAddr>,
    pub via: Written<IpAddr>,
    /// `or`: the gateway used when `via` cannot be.
    pub or: Written<IpAddr>,
    pub dev: Written<String>,
    pub tos: Written<u8>,
    pub table: Written<Table>,
    pub protocol: Written<String>,
    pub scope: Written<u8>,
    pub metric: Written<u32>,
    pub vrf: Written<String>,
    pub onlink: bool,
    pub nexthops: Vec<Nexthop>,
    pub insertion: Insertion,
    /// Everything else, a name and its values, such as `mtu` and `lock`, `1400`.
    pub options: Vec<(String, Vec<String>)>,
    pub no_track: bool,
    pub track_group: Written<String>,
}

/// `nexthop via IP dev IF weight N onlink realms A/B`
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the words they hold")]
pub struct Nexthop {
    pub via: Written<IpAddr>,
    pub dev: Written<String>,
    pub weight: Written<u8>,
    pub onlink: bool,
    pub realms: Written<String>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the words they hold")]
pub struct Rule {
    pub span: Span,
    pub family: Option<Family>,
    /// `not`: for packets that do not fit.
    pub inverted: bool,
    pub from: Written<Network>,
    pub to: Written<Network>,
    pub table: Written<Table>,
    pub goto: Written<u32>,
    /// Another end than a table: `blackhole`, `prohibit`, `unreachable`, or `None` for `nop`.
    pub verdict: Written<Option<RouteKind>>,
    pub preference: Written<u32>,
    pub tos: Written<u8>,
    /// Mark and mask.
    pub fwmark: Written<(u32, u32)>,
    pub iif: Written<String>,
    pub oif: Written<String>,
    pub l3mdev: bool,
    /// Everything else, a name and its value, such as `uidrange` and `0-99`.
    pub options: Vec<(String, String)>,
    pub no_track: bool,
    pub track_group: Written<String>,
}

/// Words of a route with one value that is kept as written.
const OPTIONS: [&str; 20] = [
    "fastopen_no_cookie",
    "expires",
    "hoplimit",
    "advmss",
    "rtt",
    "rttvar",
    "reordering",
    "window",
    "cwnd",
    "ssthresh",
    "realms",
    "rto_min",
    "initcwnd",
    "initrwnd",
    "features",
    "quickack",
    "congctl",
    "pref",
    "ttl-propagate",
    "mtu",
];
const ROUTE_WORDS: [&str; 24] = [
    "to",
    "default",
    "src",
    "via",
    "gw",
    "or",
    "dev",
    "oif",
    "tos",
    "table",
    "protocol",
    "scope",
    "metric",
    "priority",
    "preference",
    "vrf",
    "onlink",
    "encap",
    "add",
    "prepend",
    "append",
    "nexthop",
    "no_track",
    "track_group",
];
const RULE_OPTIONS: [&str; 10] = [
    "realms",
    "suppress_prefixlength",
    "suppress_ifgroup",
    "tunnel-id",
    "uidrange",
    "protocol",
    "ipproto",
    "sport",
    "dport",
    "suppress_prefixlen",
];
const RULE_WORDS: [&str; 18] = [
    "from",
    "to",
    "table",
    "lookup",
    "preference",
    "order",
    "priority",
    "tos",
    "dsfield",
    "fwmark",
    "dev",
    "iif",
    "oif",
    "l3mdev",
    "type",
    "goto",
    "no_track",
    "track_group",
];

/// Reads every line of the block of `statement` as a route.
pub(super) fn routes(statement: &Statement<'_>, list: &mut Vec<Route>) {
    list.extend(statement.members().iter().filter_map(|node| {
        let mut found = route(node, statement.report())?;
        only_static(statement, &mut found.track_group);
        Some(found)
    }));
}

/// Reads every line of the block of `statement` as a rule.
pub(super) fn rules(statement: &Statement<'_>, list: &mut Vec<Rule>) {
    list.extend(statement.members().iter().filter_map(|node| {
        let mut found = rule(node, statement.report())?;
        only_static(statement, &mut found.track_group);
        Some(found)
    }));
}

/// `default`, an address, or a network.
fn network(word: &Word) -> Result<Network, Wrong> {
    if matches!(word.text.as_str(), "default" | "all" | "any") {
        return Ok(Network::All);
    }
    value::prefixed(word)
        .map(|(address, prefix)| Network::Prefix(address, prefix.unwrap_or(value::longest(address))))
}

fn table(word: &Word) -> Result<Table, Wrong> {
    match word.text.parse() {
        Ok(0) => Err(Wrong::new("there is no table 0").help("write 1 or more, or the name of a table")),
        Ok(number) => Ok(Table::Number(number)),
        Err(_) => value::text(word).map(Table::Name),
    }
}

/// A number that may be hexadecimal.
fn mark(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn tos(word: &Word) -> Result<u8, Wrong> {
    mark(&word.text)
        .and_then(|found| u8::try_from(found).ok())
        .map_or_else(|| value::number(0, 255)(word), Ok)
}

fn marks(word: &Word) -> Result<(u32, u32), Wrong> {
    let (found, mask) = word.text.split_once('/').unwrap_or((&word.text, "0xffffffff"));
    let both = mark(found).zip(mark(mask));
    both.ok_or_else(|| {
        Wrong::new(format!("\"{}\" is no mark", word.text)).help("write it like 7 or 0x7/0xff")
    })
}

fn big(word: &Word) -> Result<u32, Wrong> {
    value::number(0, i64::from(u32::MAX))(word)
}

fn family_and_kind(words: &mut Words<'_>) -> (Option<Family>, Option<RouteKind>) {
    let (mut family, mut kind) = (None, None);
    while let Some(word) = words.left.first() {
        if let Some((_, found)) = FAMILIES.iter().find(|(name, _)| *name == word.text) {
            family = Some(*found);
        } else if let Some((_, found)) = KINDS.iter().find(|(name, _)| *name == word.text) {
            kind = Some(*found);
        } else {
            break;
        }
        words.next();
    }
    (family, kind)
}

/// A gateway, with its family before it or not.
fn gateway(name: &Word, words: &mut Words<'_>) -> Written<IpAddr> {
    let _ = words.skip("inet") || words.skip("inet6");
    words.value(name, value::ip)
}

fn unknown(word: &Word, known: &[&str], what: &str, report: &Report) {
    let help = match nearest(&word.text, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("a {what} is written as for: ip {what} add"),
    };
    report.refuse(&word.span, format!("unknown word {} in a {what}", word.text), help);
}

fn route(node: &Node, report: &Report) -> Option<Route> {
    let mut words = Words { left: &node.words, report };
    let (family, kind) = family_and_kind(&mut words);
    let mut route = Route {
        span: node.extent(),
        kind: kind.unwrap_or_default(),
        family,
        to: Network::All,
        src: None,
        via: None,
        or: None,
        dev: None,
        tos: None,
        table: None,
        protocol: None,
        scope: None,
        metric: None,
        vrf: None,
        onlink: false,
        nexthops: Vec::new(),
        insertion: Insertion::default(),
        options: Vec::new(),
        no_track: false,
        track_group: None,
    };
    // `src` may stand before the destination.
    if let Some(first) = words.left.first()
        && words.skip("src")
    {
        route.src = words.value(first, value::ip);
    }
    words.skip("to");
    let Some(to) = words.next() else {
        report.refuse(
            &node.span(),
            "this route has no destination",
            "write default, or a network like 10.0.0.0/24",
        );
        return None;
    };
    route.to = if to.text == "default6" {
        report.warning(&to.span, "default6 is old", "write inet6 default");
        route.family = Some(Family::Ipv6);
        Network::All
    } else {
        words.read(to, network)?.into_inner()
    };
    while let Some(word) = words.next() {
        route_word(&mut route, word, &mut words);
    }
    Some(route)
}

fn route_word(route: &mut Route, word: &Word, words: &mut Words<'_>) {
    match word.text.as_str() {
        "src" => route.src = words.value(word, value::ip),
        "via" | "gw" => route.via = gateway(word, words),
        "or" => route.or = words.value(word, value::ip),
        "dev" | "oif" => route.dev = words.value(word, value::interface),
        "tos" | "dsfield" => route.tos = words.value(word, tos),
        "table" => route.table = words.value(word, table),
        "protocol" => route.protocol = words.value(word, value::text),
        "scope" => route.scope = words.value(word, scope),
        "metric" | "priority" | "preference" => route.metric = words.value(word, big),
        "vrf" => route.vrf = words.value(word, value::interface),
        "track_group" => route.track_group = words.value(word, value::text),
        "onlink" => route.onlink = true,
        "no_track" => route.no_track = true,
        "add" => route.insertion = Insertion::Add,
        "prepend" => route.insertion = Insertion::Prepend,
        "append" => route.insertion = Insertion::Append,
        "nexthop" => route.nexthops.push(nexthop(words)),
        "encap" => {
            let known = |word: &Word| ROUTE_WORDS.contains(&word.text.as_str());
            let length = words.left.iter().skip(1).position(known).map_or(words.left.len(), |at| at + 1);
            let values = words.left.iter().take(length).map(|word| word.text.clone()).collect();
            words.left = words.left.get(length..).unwrap_or_default();
            route.options.push((word.text.clone(), values));
        }
        name if OPTIONS.contains(&name) => {
            let lock = words.skip("lock").then(|| "lock".to_owned());
            if let Some(value) = words.value(word, value::text) {
                route.options.push((name.to_owned(), lock.into_iter().chain([value.into_inner()]).collect()));
            }
        }
        _ => unknown(word, &[ROUTE_WORDS.as_slice(), &OPTIONS].concat(), "route", words.report),
    }
}

fn nexthop(words: &mut Words<'_>) -> Nexthop {
    let mut hop = Nexthop::default();
    while let Some(word) = words.left.first()
        && matches!(word.text.as_str(), "via" | "dev" | "weight" | "onlink" | "realms")
    {
        words.next();
        match word.text.as_str() {
            "via" => hop.via = gateway(word, words),
            "dev" => hop.dev = words.value(word, value::interface),
            "weight" => hop.weight = words.value(word, value::number(1, 255)),
            "realms" => hop.realms = words.value(word, value::text),
            _ => hop.onlink = true,
        }
    }
    hop
}

fn rule(node: &Node, report: &Report) -> Option<Rule> {
    let mut words = Words { left: &node.words, report };
    let (family, kind) = family_and_kind(&mut words);
    let mut rule = Rule {
        span: node.extent(),
        family,
        inverted: words.skip("not"),
        from: None,
        to: None,
        table: None,
        goto: None,
        verdict: kind.map(|kind| serde_spanned::Spanned::new(node.span(), Some(kind))),
        preference: None,
        tos: None,
        fwmark: None,
        iif: None,
        oif: None,
        l3mdev: false,
        options: Vec::new(),
        no_track: false,
        track_group: None,
    };
    while let Some(word) = words.next() {
        rule_word(&mut rule, word, &mut words);
    }
    let leads = rule.table.is_some() || rule.goto.is_some() || rule.verdict.is_some() || rule.l3mdev;
    if !leads {
        report.refuse(&node.span(), "this rule leads nowhere", "add a table: table 100");
        return None;
    }
    if rule.preference.is_none() {
        let message = "this rule has no preference: keepalived gives it one that differs from host to host";
        report.flaw(&node.span(), message, "add one: preference 100");
    }
    Some(rule)
}

fn rule_word(rule: &mut Rule, word: &Word, words: &mut Words<'_>) {
    match word.text.as_str() {
        "from" => rule.from = words.value(word, network),
        "to" => rule.to = words.value(word, network),
        "table" | "lookup" => rule.table = words.value(word, table),
        "preference" | "order" | "priority" | "pref" => rule.preference = words.value(word, big),
        "tos" | "dsfield" => rule.tos = words.value(word, tos),
        "fwmark" => rule.fwmark = words.value(word, marks),
        "dev" | "iif" => rule.iif = words.value(word, value::interface),
        "oif" => rule.oif = words.value(word, value::interface),
        "track_group" => rule.track_group = words.value(word, value::text),
        "goto" => rule.goto = words.value(word, big),
        "type" => {
            let kind = words.value(word, value::choice(KINDS));
            rule.verdict = kind.map(|kind| serde_spanned::Spanned::new(kind.span(), Some(kind.into_inner())));
        }
        "nop" => rule.verdict = Some(serde_spanned::Spanned::new(word.span.clone(), None)),
        "l3mdev" => rule.l3mdev = true,
        "no_track" => rule.no_track = true,
        name if RULE_OPTIONS.contains(&name) => {
            if let Some(value) = words.value(word, value::text) {
                rule.options.push((name.to_owned(), value.into_inner()));
            }
        }
        name if KINDS.iter().any(|(kind, _)| *kind == name) => {
            rule.verdict = words
                .read(word, value::choice(KINDS))
                .map(|kind| serde_spanned::Spanned::new(kind.span(), Some(kind.into_inner())));
        }
        _ => unknown(word, &[RULE_WORDS.as_slice(), &RULE_OPTIONS].concat(), "rule", words.report),
    }
}
