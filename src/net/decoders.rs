//! What reads bytes of the kernel and of files here, for the fuzz targets alone; nothing else may use it.

use super::{journal, netlink};

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
