//! Whether this host's packet filter lets adverts and votes through, both ways.

use super::Report;
use super::filter::{Chain, Fate, Filter, Packet, Way};
use crate::agent::config::Claims;
use crate::claim::VoterId;
use crate::config::Config;
use crate::explain::Wire;
use crate::vrrp::Family;
use std::net::{IpAddr, SocketAddr};

const UDP: u8 = 17;

/// Judges every kind of packet that the routers and the vote need.
pub fn judge(filter: &Filter, wires: &[Wire], config: &Config, report: &mut Report) {
    let adverts = wires.iter().flat_map(|wire| [Way::In, Way::Out].map(|way| adverts(wire, way)));
    for (what, packets) in adverts.chain(votes(config)) {
        // One that is lost is enough.
        let fates = packets.iter().map(|packet| (packet, filter.fate(packet)));
        let worst = fates.max_by_key(|(_, fate)| match fate {
            Fate::Passes => 0,
            Fate::Unsure(_) => 1,
            Fate::Lost(_) => 2,
        });
        let Some((packet, fate)) = worst else { continue };
        let (Fate::Lost(loss) | Fate::Unsure(loss)) = &fate else {
            report.fine("firewall", format!("the packet filter lets {what}"));
            continue;
        };
        let Some(chain) = filter.chains.get(loss.chain) else { continue };
        let (place, mend) = (place(chain), mend(chain, packet));
        let by = &loss.by;
        if matches!(fate, Fate::Lost(_)) {
            let what = format!("the packet filter does not let {what}: {place} drops them, by {by}");
            report.trouble("firewall", what, why(packet), mend);
        } else {
            let what = format!(
                "the packet filter may not let {what}: {place} drops them, by {by}, unless a rule lets \
                 them through that is not understood here"
            );
            report.doubt("firewall", what, why(packet), mend);
        }
    }
}

fn why(packet: &Packet) -> &'static str {
    match (packet.port, packet.way) {
        (None, Way::In) => "this host hears no Master and takes the addresses as well: both have them",
        (None, Way::Out) => "the others hear no Master while this host is it, and take the addresses as well",
        (Some(_), _) => "without votes nobody gets a majority, and nobody holds the addresses",
    }
}

fn place(chain: &Chain) -> String {
    match chain.tool {
        "nft" => format!("nftables chain {} of table {} {}", chain.name, chain.family, chain.table),
        tool => format!("{tool} chain {} of table {}", chain.name, chain.table),
    }
}

/// A command that lets the packet through, in front of all else.
fn mend(chain: &Chain, packet: &Packet) -> String {
    let Chain { tool, family, table, name, .. } = chain;
    let (flag, side) = if packet.way == Way::In { ("i", "iifname") } else { ("o", "oifname") };
    if *tool == "nft" {
        let interface = packet.interface.as_ref().map(|interface| format!("{side} \"{interface}\" "));
        let what = packet
            .port
            .map_or_else(|| format!("meta l4proto {}", packet.protocol), |port| format!("udp dport {port}"));
        let interface = interface.unwrap_or_default();
        return format!("nft 'insert rule {family} {table} {name} {interface}{what} accept'");
    }
    let interface = packet.interface.as_ref().map(|interface| format!("-{flag} {interface} "));
    let port = packet.port.map(|port| format!("--dport {port} ")).unwrap_or_default();
    let (interface, protocol) = (interface.unwrap_or_default(), packet.protocol);
    format!("{tool} -t {table} -I {name} {interface}-p {protocol} {port}-j ACCEPT")
}

type Case = (String, Vec<Packet>);

fn adverts(wire: &Wire, way: Way) -> Case {
    let interface = wire.interface.as_deref();
    let base = Packet {
        way,
        interface: interface.map(str::to_owned),
        family: wire.family,
        protocol: wire.protocol,
        source: None,
        destination: None,
        port: None,
    };
    let each = wire.destinations.iter().map(|there| match way {
        Way::In if !there.is_multicast() => {
            Packet { source: Some(*there), destination: wire.source, ..base.clone() }
        }
        Way::In => Packet { destination: Some(*there), ..base.clone() },
        Way::Out => Packet { source: wire.source, destination: Some(*there), ..base.clone() },
    });
    // Those to a group leave as whole frames, which go by no filter.
    let filtered = way == Way::In || !wire.destinations.iter().any(IpAddr::is_multicast);
    let packets = if filtered { each.collect() } else { Vec::new() };
    let verb = if way == Way::In { "in" } else { "out" };
    let place = interface.map(|name| format!(" by {name}")).unwrap_or_default();
    (
        format!("{} adverts of {} {verb}{place} (IP protocol {})", wire.family, wire.router, wire.protocol),
        packets,
    )
}

/// Votes from each other voter and to it, by the second path as well.
fn votes(config: &Config) -> Vec<Case> {
    let vote = config.agent.claims.iter().filter_map(|claims| match claims {
        Claims::Vote(vote) => Some(vote),
        Claims::Store(_) => None,
    });
    let address = |voter: VoterId| SocketAddr::new(voter.address, voter.port);
    let first =
        vote.flat_map(|vote| vote.others.iter().map(move |other| (address(vote.own), address(*other))));
    let path = config.details.vote_path.iter();
    let second = path.flat_map(|path| path.others.values().map(|other| (path.own, *other)));
    let ways = first.chain(second).flat_map(|(own, other)| {
        [(Way::In, other, own), (Way::Out, own, other)].map(|(way, source, to)| {
            let packet = Packet {
                way,
                interface: None,
                family: Family::of(source.ip()),
                protocol: UDP,
                source: Some(source.ip()),
                destination: Some(to.ip()),
                port: Some(to.port()),
            };
            let verb = if way == Way::In { "from" } else { "to" };
            (format!("votes {verb} {} through (UDP port {})", other.ip(), to.port()), vec![packet])
        })
    });
    ways.collect()
}
