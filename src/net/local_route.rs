//! IPv4 addresses held as routes of type local: for thousands on one interface.
//!
//! The kernel answers ARP, pings and connections for such a route as it does for an address, but does
//! not walk the list of the interface for each (5,000 take it 9 ms instead of 340). Not so for IPv6:
//! nobody would answer neighbour discovery. The routes are in table local, where `ip address` does not
//! show them and `ip route show table local proto 113` does.

use super::netlink::{Encode, MARK, append};
use super::sysctl;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use std::net::Ipv4Addr;

/// Who put such a route there: not the number of `virtual_routes`, so that each finds only its own.
pub(super) const HELD: u8 = MARK + 1;
/// A host's.
const PREFIX: u8 = 32;

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

    fn message(self) -> RouteMessage {
        let mut message = question(Some(self.index));
        message.header.destination_prefix_length = PREFIX;
        message.header.scope = RouteScope::Host;
        message.header.kind = RouteType::Local;
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(self.address)));
        message
    }
}

/// Asks for those on one interface, or on all.
pub(super) fn question(index: Option<u32>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = nix::libc::RT_TABLE_LOCAL;
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

impl Encode for Change {
    fn encode(&self, flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let (message, flags) = match self {
            Change::Add(route) => {
                (RouteNetlinkMessage::NewRoute(route.message()), flags | NLM_F_CREATE | NLM_F_EXCL)
            }
            Change::Delete(route) => (RouteNetlinkMessage::DelRoute(route.message()), flags),
        };
        append(message, flags, sequence, out);
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
    use super::*;

    #[test]
    fn a_route_is_known_again_and_no_other_is_taken_for_one() {
        let route = LocalRoute { index: 7, address: Ipv4Addr::new(10, 0, 0, 1) };
        let message = route.message();
        assert_eq!(LocalRoute::of(&message), Some(route));
        let mut another = message.clone();
        another.header.protocol = RouteProtocol::Other(MARK);
        assert_eq!(LocalRoute::of(&another), None);
        let mut network = message;
        network.header.destination_prefix_length = 24;
        assert_eq!(LocalRoute::of(&network), None);
    }
}
