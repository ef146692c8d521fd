//! What this host's firewall has to let through, as rules to paste: for nftables, and for iptables. And what
//! Locum itself drops.

use super::wire::Wire;
use crate::agent::config::{Router, Vote};
use crate::check::Probe;
use crate::vrrp::{Family, PROTOCOL};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// Rules that accept the adverts and votes, both ways; each once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Firewall {
    /// For `nft -f`, in a table `inet filter` with chains `input` and `output`; before the rules that are there,
    /// whose last one may refuse everything else.
    pub nftables: Vec<String>,
    /// The same as commands.
    pub iptables: Vec<String>,
    /// What tables that Locum makes drop, a line each.
    pub own: Vec<String>,
}

/// The rules for all of `wire`.
pub(super) fn firewall(wire: &[Wire]) -> Firewall {
    let mut firewall = Firewall::default();
    for wire in wire {
        for rule in [Rule::In, Rule::Out] {
            add(&mut firewall.nftables, nftables(wire, rule));
            for line in iptables(wire, rule) {
                add(&mut firewall.iptables, line);
            }
            if wire.protocol == PROTOCOL && wire.destinations.iter().any(IpAddr::is_multicast) {
                let [nftables, iptables] = words(wire, rule);
                add(&mut firewall.nftables, nftables);
                add(&mut firewall.iptables, iptables);
            }
        }
    }
    firewall
}

/// What Locum drops for the addresses of `router`.
pub(super) fn own(firewall: &mut Firewall, router: &Router) {
    let name = &router.name;
    let first = router.families().first().map(|family| router.holding(*family, String::new()));
    let Some(holding) = first.filter(|_| router.barred.is_none()) else { return };
    if holding.refuse {
        add(
            &mut firewall.own,
            format!(
                "{name}: while Master, table inet locum_PID drops all packets to and from its addresses but \
                 neighbour discovery: it does not accept for others"
            ),
        );
    }
    if !holding.drain_ports.is_empty() {
        let ports: Vec<_> = holding.drain_ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        let line = format!(
            "{name}: while its addresses go, table inet locum_drain_PID refuses new connections to TCP ports {ports}"
        );
        add(&mut firewall.own, line);
    }
}

/// Those for the vote, with each other voter.
pub(super) fn votes(firewall: &mut Firewall, vote: &Vote) {
    for other in &vote.others {
        let address = other.address;
        port(firewall, ("input", "saddr"), address, "udp", ("dport", vote.own.port));
        port(firewall, ("output", "daddr"), address, "udp", ("dport", other.port));
    }
}

/// Those for the vote's second path.
pub(super) fn vote_path(firewall: &mut Firewall, own: SocketAddr, others: impl Iterator<Item = SocketAddr>) {
    for there in others {
        port(firewall, ("input", "saddr"), there.ip(), "udp", ("dport", own.port()));
        port(firewall, ("output", "daddr"), there.ip(), "udp", ("dport", there.port()));
    }
}

/// Those for the store, with each endpoint.
pub(super) fn store(firewall: &mut Firewall, endpoints: impl Iterator<Item = SocketAddr>) {
    for endpoint in endpoints {
        let (address, number) = (endpoint.ip(), endpoint.port());
        port(firewall, ("input", "saddr"), address, "tcp", ("sport", number));
        port(firewall, ("output", "daddr"), address, "tcp", ("dport", number));
    }
}

/// Those for BFD, with each neighbour.
pub(super) fn sessions<'a>(firewall: &mut Firewall, probes: impl Iterator<Item = &'a Probe>) {
    for probe in probes {
        let Probe::Bfd(session) = probe else { continue };
        let (neighbor, port) = (session.neighbor, session.port());
        for way in [("input", "saddr"), ("output", "daddr")] {
            self::port(firewall, way, neighbor, "udp", ("dport", port));
        }
    }
}

/// One way, `chain` and `end`, with the other host at this address, by this protocol and port.
fn port(
    firewall: &mut Firewall,
    (chain, end): (&str, &str),
    other: IpAddr,
    protocol: &str,
    (which, number): (&str, u16),
) {
    let (family, program) = match Family::of(other) {
        Family::Ipv4 => ("ip", "iptables"),
        Family::Ipv6 => ("ip6", "ip6tables"),
    };
    let rule =
        format!("insert rule inet filter {chain} {family} {end} {other} {protocol} {which} {number} accept");
    add(&mut firewall.nftables, rule);
    let side = if end == "saddr" { "-s" } else { "-d" };
    let chain = chain.to_uppercase();
    add(
        &mut firewall.iptables,
        format!("{program} -I {chain} {side} {other} -p {protocol} --{which} {number} -j ACCEPT"),
    );
}

fn add(lines: &mut Vec<String>, line: String) {
    if !lines.contains(&line) {
        lines.push(line);
    }
}

/// Which way.
#[derive(Clone, Copy)]
enum Rule {
    In,
    Out,
}

/// For what hosts of a group say to one another, from as near as adverts come: who is next.
fn words(wire: &Wire, rule: Rule) -> [String; 2] {
    let (hops, program, module) = match wire.family {
        Family::Ipv4 => ("ip ttl", "iptables", "ttl --ttl-eq"),
        Family::Ipv6 => ("ip6 hoplimit", "ip6tables", "hl --hl-eq"),
    };
    let (chain, way, option) = match rule {
        Rule::In => ("input", "iifname", "-i"),
        Rule::Out => ("output", "oifname", "-o"),
    };
    let place = |key: &str, quote| {
        let named = |name: &String| format!("{key} {quote}{name}{quote} ");
        wire.interface.as_ref().map(named).unwrap_or_default()
    };
    let (protocol, place, own) = (wire.protocol, place(way, "\""), place(option, ""));
    let upper = chain.to_uppercase();
    [
        format!("insert rule inet filter {chain} {place}{hops} 255 meta l4proto {protocol} accept"),
        format!("{program} -I {upper} {own}-m {module} 255 -p {protocol} -j ACCEPT"),
    ]
}

/// What is said of an address: the group is always the destination, a peer is at the other end.
fn end(wire: &Wire, rule: Rule) -> &'static str {
    let multicast = wire.destinations.iter().any(IpAddr::is_multicast);
    if multicast || matches!(rule, Rule::Out) { "daddr" } else { "saddr" }
}

fn nftables(wire: &Wire, rule: Rule) -> String {
    let (chain, way) = match rule {
        Rule::In => ("input", "iifname"),
        Rule::Out => ("output", "oifname"),
    };
    let interface = wire.interface.as_ref().map(|name| format!("{way} \"{name}\" ")).unwrap_or_default();
    let family = match wire.family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    };
    let addresses: Vec<_> = wire.destinations.iter().map(IpAddr::to_string).collect();
    let addresses = match addresses.as_slice() {
        [one] => one.clone(),
        all => format!("{{ {} }}", all.join(", ")),
    };
    let end = end(wire, rule);
    let protocol = wire.protocol;
    format!(
        "insert rule inet filter {chain} {interface}{family} {end} {addresses} meta l4proto {protocol} accept"
    )
}

fn iptables(wire: &Wire, rule: Rule) -> Vec<String> {
    let program = match wire.family {
        Family::Ipv4 => "iptables",
        Family::Ipv6 => "ip6tables",
    };
    let (chain, way) = match rule {
        Rule::In => ("INPUT", "-i"),
        Rule::Out => ("OUTPUT", "-o"),
    };
    let interface = wire.interface.as_ref().map(|name| format!(" {way} {name}")).unwrap_or_default();
    let end = if end(wire, rule) == "daddr" { "-d" } else { "-s" };
    let protocol = wire.protocol;
    let line = |address| format!("{program} -I {chain}{interface} {end} {address} -p {protocol} -j ACCEPT");
    wire.destinations.iter().map(line).collect()
}
