//! What the agent knows of an interface: plain facts, as the kernel reports them.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One interface of this host at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name, `eth0`.
    pub name: String,
    /// The kernel's index; another one after the interface was made anew.
    pub index: u32,
    /// Administratively up and with a carrier (`IFF_UP` and `IFF_RUNNING`).
    pub up: bool,
    /// The hardware address; `None` where the link has no Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// The largest IP packet, in bytes.
    pub mtu: u32,
    /// Its own addresses, in the kernel's order, without those that Locum put there.
    pub addresses: Vec<LinkAddress>,
}

/// An address that an interface has of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAddress {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// Not usable yet (IPv6 duplicate address detection), or found to be a duplicate.
    pub tentative: bool,
    /// A second address of the same subnet: never the primary one.
    pub secondary: bool,
}
