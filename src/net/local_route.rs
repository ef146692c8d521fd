//! IPv4 addresses held as routes of type local: for thousands on one interface.
//!
//! The kernel answers ARP, pings and connections for such a route as it does for an address, but does
//! not walk the list of the interface for each (5,000 take it 9 ms instead of 340). Not so for IPv6:
//! nobody would answer neighbour discovery. The routes are in table local, where `ip address` does not
//! show them and `ip route show table local proto 113` does.

use super::netlink::{Encode, MARK};
use super::sysctl;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use nix::libc;
use std::net::Ipv4Addr;

/// Who put such a route there: not the number of `virtual_routes`, so that each finds only its own.
pub(super) const HELD: u8 = MARK + 1;
/// `AF_INET`.
const INET: u8 = 2;
/// A host's.
const PREFIX: u8 = 32;
/// An attribute of four bytes with its header.
const ATTRIBUTE: u16 = 8;
/// A whole change: `struct nlmsghdr`, `struct rtmsg` and two attributes.
const LENGTH: u32 = 16 + 12 + 2 * ATTRIBUTE as u32;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LocalRoute {
    pub(super) index: u32,
    pub(super) address: Ipv4Addr,
}

impl LocalRoute {
    /// `None` where it is another kind of route, or not Locum's.
    pub(super) fn of(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let ours = header.protocol == RouteProtocol::Other(HELD)
            && header.kind == RouteType::Local
            && header.destination_prefix_length == PREFIX;
        let (mut index, mut address) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(to)) => address = Some(*to),
                RouteAttribute::Oif(out) => index = Some(*out),
                _ => {}
            }
        }
        Some(LocalRoute { index: index.filter(|_| ours)?, address: address? })
    }
}

/// Asks for those on one interface, or on all.
pub(super) fn question(index: Option<u32>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = libc::RT_TABLE_LOCAL;
    message.header.protocol = RouteProtocol::Other(HELD);
    message.attributes.extend(index.map(RouteAttribute::Oif));
    message
}

/// A change to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add(LocalRoute),
    Delete(LocalRoute),
}

/// Written as `linux/netlink.h` and `linux/rtnetlink.h` lay it out, and not by the library: that takes half a
/// microsecond for each, an eighth of what the kernel takes to add one.
impl Encode for Change {
    fn encode(&self, flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let (kind, flags, LocalRoute { index, address }) = match self {
            Change::Add(route) => (libc::RTM_NEWROUTE, flags | NLM_F_CREATE | NLM_F_EXCL, route),
            Change::Delete(route) => (libc::RTM_DELROUTE, flags, route),
        };
        out.extend(LENGTH.to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        out.extend(sequence.to_ne_bytes());
        // To the kernel.
        out.extend([0; 4]);
        // struct rtmsg, whose source, type of service and flags are none.
        out.extend([INET, PREFIX, 0, 0, libc::RT_TABLE_LOCAL, HELD, libc::RT_SCOPE_HOST, libc::RTN_LOCAL]);
        out.extend([0; 4]);
        for (attribute, value) in [(libc::RTA_OIF, index.to_ne_bytes()), (libc::RTA_DST, address.octets())] {
            out.extend(ATTRIBUTE.to_ne_bytes());
            out.extend(attribute.to_ne_bytes());
            out.extend(value);
        }
    }
}

/// What keeps the kernel from answering for such a route on this interface, in one line.
pub(super) fn obstacle(interface: &str) -> Option<String> {
    let ignores = sysctl::greater("ipv4", interface, "arp_ignore").filter(|value| *value > 0)?;
    Some(format!(
        "with arp_ignore = {ignores} the kernel answers no ARP for a local route: set \
         net.ipv4.conf.{interface}.arp_ignore and that of all to 0, or write install = \"address\""
    ))
}

#[cfg(test)]
mod tests {
    use super::super::netlink::append;
    use super::*;
    use netlink_packet_core::NLM_F_ACK;
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::route::RouteScope;

    const ROUTE: LocalRoute = LocalRoute { index: 7, address: Ipv4Addr::new(10, 0, 0, 1) };

    fn message() -> RouteMessage {
        let mut message = question(Some(ROUTE.index));
        message.header.destination_prefix_length = PREFIX;
        message.header.scope = RouteScope::Host;
        message.header.kind = RouteType::Local;
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(ROUTE.address)));
        message
    }

    #[test]
    fn a_change_is_what_the_library_writes() {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        Change::Add(ROUTE).encode(NLM_F_ACK, 5, &mut ours);
        Change::Delete(ROUTE).encode(0, 6, &mut ours);
        let create = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        append(RouteNetlinkMessage::NewRoute(message()), create, 5, &mut theirs);
        append(RouteNetlinkMessage::DelRoute(message()), 0, 6, &mut theirs);
        assert_eq!(ours, theirs);
    }

    #[test]
    fn a_route_is_known_again_and_no_other_is_taken_for_one() {
        assert_eq!(LocalRoute::of(&message()), Some(ROUTE));
        let mut another = message();
        another.header.protocol = RouteProtocol::Other(MARK);
        assert_eq!(LocalRoute::of(&another), None);
        let mut network = message();
        network.header.destination_prefix_length = 24;
        assert_eq!(LocalRoute::of(&network), None);
    }
}
