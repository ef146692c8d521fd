//! What reads bytes of the kernel, of neighbours and of files here, for the fuzz targets alone; nothing else may use it.

use super::{journal, lookout, netlink};

/// How many messages about links and addresses a netlink datagram has.
#[must_use]
pub fn netlink(datagram: &[u8]) -> usize {
    netlink::messages(datagram).len()
}

/// How many addresses a journal names.
#[must_use]
pub fn journal(text: &str) -> usize {
    journal::parse(text).len()
}

/// Whether a packet to all says that somebody has an address, read as ARP and as a neighbour advertisement.
#[must_use]
pub fn neighbour(packet: &[u8]) -> [bool; 2] {
    [lookout::arp, lookout::advertisement].map(|read| read(lookout::BROADCAST, [0; 6], packet).is_some())
}
