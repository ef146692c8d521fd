//! Rules as the kernel's messages: there, and back again as far as telling them apart needs it.

use super::route::{OURS, family, realm};
use crate::agent::{Network, Rule, RuleAction};
use netlink_packet_route::route::RouteHeader;
use netlink_packet_route::rule::{self, RuleAttribute, RuleFlags, RuleMessage};
use std::net::IpAddr;

/// As it goes to the kernel.
pub(super) fn message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    let header = &mut message.header;
    header.family = family(rule.family);
    header.tos = rule.tos;
    header.action = action(rule.action);
    header.flags.set(RuleFlags::Invert, rule.inverted);
    header.table = RouteHeader::RT_TABLE_UNSPEC;
    let network = |network: Option<Network>| network.filter(|network| network.prefix > 0);
    let length = |network: Option<Network>| network.map_or(0, |network| network.prefix);
    let (from, to) = (network(rule.from), network(rule.to));
    (header.src_len, header.dst_len) = (length(from), length(to));
    let address = |network: Network| -> IpAddr { network.address };
    let attributes = [
        to.map(address).map(RuleAttribute::Destination),
        from.map(address).map(RuleAttribute::Source),
        rule.iif.clone().map(RuleAttribute::Iifname),
        rule.oif.clone().map(RuleAttribute::Oifname),
        rule.mark.map(|(mark, _)| RuleAttribute::FwMark(mark)),
        rule.mark.map(|(_, mask)| RuleAttribute::FwMask(mask)),
        rule.protocol.map(|protocol| RuleAttribute::IpProtocol(protocol.into())),
        rule.source_ports.map(|(start, end)| RuleAttribute::SourcePortRange(ports(start, end))),
        rule.destination_ports.map(|(start, end)| RuleAttribute::DestinationPortRange(ports(start, end))),
        rule.users.map(|(start, end)| RuleAttribute::UidRange(rule::RuleUidRange { start, end })),
        rule.priority.map(RuleAttribute::Priority),
        rule.suppress_prefix.map(RuleAttribute::SuppressPrefixLen),
        rule.suppress_group.map(RuleAttribute::SuppressIfGroup),
        rule.tunnel.map(RuleAttribute::TunId),
        rule.realms.map(|realms| RuleAttribute::Realm(realm(realms))),
        (rule.action == RuleAction::Vrf).then_some(RuleAttribute::L3MDev(true)),
        Some(RuleAttribute::Protocol(OURS)),
        match rule.action {
            RuleAction::Lookup(table) => Some(RuleAttribute::Table(table)),
            RuleAction::Goto(priority) => Some(RuleAttribute::Goto(priority)),
            _ => None,
        },
    ];
    message.attributes = attributes.into_iter().flatten().collect();
    message
}

fn ports(start: u16, end: u16) -> rule::RulePortRange {
    rule::RulePortRange { start, end }
}

fn action(action: RuleAction) -> rule::RuleAction {
    match action {
        RuleAction::Lookup(_) | RuleAction::Vrf => rule::RuleAction::ToTable,
        RuleAction::Goto(_) => rule::RuleAction::Goto,
        RuleAction::Nop => rule::RuleAction::Nop,
        RuleAction::Blackhole => rule::RuleAction::Blackhole,
        RuleAction::Unreachable => rule::RuleAction::Unreachable,
        RuleAction::Prohibit => rule::RuleAction::Prohibit,
    }
}

/// Whether the kernel's `present` is what `wanted` has asked it for.
pub(super) fn same(wanted: &RuleMessage, present: &RuleMessage) -> bool {
    let (a, b) = (&wanted.header, &present.header);
    let header = a.family == b.family
        && a.src_len == b.src_len
        && a.dst_len == b.dst_len
        && a.tos == b.tos
        && a.action == b.action
        && a.flags.contains(RuleFlags::Invert) == b.flags.contains(RuleFlags::Invert);
    let numbered = wanted.attributes.iter().any(|attribute| matches!(attribute, RuleAttribute::Priority(_)));
    let added = |attribute: &RuleAttribute| match attribute {
        RuleAttribute::Priority(_) => !numbered,
        RuleAttribute::Table(table) => *table == 0,
        RuleAttribute::SuppressPrefixLen(none) | RuleAttribute::SuppressIfGroup(none) => *none == u32::MAX,
        RuleAttribute::Other(_) => true,
        _ => false,
    };
    header
        && wanted.attributes.iter().all(|attribute| present.attributes.contains(attribute))
        && present
            .attributes
            .iter()
            .all(|attribute| added(attribute) || wanted.attributes.contains(attribute))
}

pub(super) fn is_ours(present: &RuleMessage) -> bool {
    present.attributes.contains(&RuleAttribute::Protocol(OURS))
}
