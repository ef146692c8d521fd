//! An address to hold, and how: plain facts.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// An address to hold: what the operator wrote, resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vip {
    /// The address itself.
    pub address: IpAddr,
    /// The prefix length it is installed with: /32 and /128 unless given.
    pub prefix: u8,
    /// The interface it goes on; the router's own interface where `None`.
    pub dev: Option<String>,
    /// The label of an IPv4 address (`eth0:web`), at most 15 bytes.
    pub label: Option<String>,
    /// The kernel scope: 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Particulars::are_none")]
    pub more: Particulars,
}

/// What is said of an address besides, as `ip address` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Particulars {
    /// The broadcast address of an IPv4 one.
    pub broadcast: Option<Ipv4Addr>,
    /// The other end, of the same family; the prefix length is that of this end.
    pub peer: Option<IpAddr>,
    /// How long new connections may leave from an IPv6 address; otherwise from none of /128.
    pub preferred: Option<Preferred>,
    /// Single words.
    pub flags: BTreeSet<AddressFlag>,
}

/// How long an address is the source of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Preferred {
    /// As long as it is there.
    Forever,
    /// From the moment on that it is put there, in whole seconds; zero for never.
    For(Duration),
}

/// A word about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AddressFlag {
    /// IPv6: the home address of a mobile node.
    Home,
    /// IPv6: look for duplicates first.
    Dad,
    /// IPv6, /64: the kernel makes temporary addresses beside it.
    ManageTemporary,
    /// There is no route to its network.
    NoPrefixRoute,
    /// Where somebody removes it, it stays away.
    NoTrack,
    /// It is on an interface with the virtual MAC address, wherever the others are.
    VirtualMac,
}

impl Vip {
    /// An address without anything said of it.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Vip { address, prefix, dev: None, label: None, scope: 0, more: Particulars::default() }
    }

    /// Whether this is said of it.
    #[must_use]
    pub fn has(&self, flag: AddressFlag) -> bool {
        self.more.flags.contains(&flag)
    }
}

impl Particulars {
    fn are_none(&self) -> bool {
        *self == Particulars::default()
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)?;
        self.dev.as_ref().map_or(Ok(()), |dev| write!(f, " on {dev}"))
    }
}
