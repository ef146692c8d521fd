//! Removes what a dead process has left behind, by a list and without a runtime.
//!
//! Addresses and routes go only where they carry Locum's mark; one without it was there before.

use super::connections;
use super::local_route;
use super::netlink::{AddressFact, Change, Encode, append};
use super::netlink_socket::Netlink;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use nix::net::if_::if_nametoindex;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// An interface to delete, by its number.
struct DeleteLink(u32);

impl Encode for DeleteLink {
    fn encode(&self, flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let mut link = LinkMessage::default();
        link.header.index = self.0;
        append(RouteNetlinkMessage::DelLink(link), flags, sequence, out);
    }
}

/// Removes these interfaces, which Locum has made, and these addresses wherever they carry its mark, in the
/// network namespace of the calling thread. What has gone already is no error. The TCP connections of those among
/// `closing` that do are ended before.
///
/// # Errors
/// No netlink socket could be had, or the kernel gave no answer.
pub fn remove(
    addresses: &BTreeSet<IpAddr>,
    interfaces: &[&str],
    closing: &BTreeSet<IpAddr>,
) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    let ours = netlink.addresses(None)?.into_iter().filter(AddressFact::moves).map(|fact| fact.address);
    let routes = netlink.local_routes(None)?.into_iter().map(|route| route.address.into());
    let closing = ours.chain(routes).filter(|address| closing.contains(address)).collect::<BTreeSet<_>>();
    if !closing.is_empty() {
        // Whom a kernel cannot help to notice notices later.
        let _ = connections::close(&closing);
    }
    let links: Vec<_> =
        interfaces.iter().filter_map(|name| if_nametoindex(*name).ok()).map(DeleteLink).collect();
    netlink.change(&links)?;
    let mut found = netlink.addresses(None)?;
    found.retain(|fact| fact.moves() && addresses.contains(&fact.address));
    let changes: Vec<_> = found.into_iter().map(Change::Delete).collect();
    netlink.change(&changes)?;
    let mut routes = netlink.local_routes(None)?;
    routes.retain(|route| addresses.contains(&route.address.into()));
    let changes: Vec<_> = routes.into_iter().map(local_route::Change::Delete).collect();
    netlink.change(&changes).map(drop)
}
