//! Everything that a Master has and a Backup has not: plain facts.

use super::route::{Route, Rule};
use crate::claim::Ttl;
use crate::vrrp::interval::{lease_ends, lease_within};
use crate::vrrp::{Interval, Vip};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// How IPv4 addresses are put there; IPv6 ones are always addresses of the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Install {
    /// As addresses of the interface.
    #[default]
    Address,
    /// As routes of type local on the interface: the kernel answers for them like for its addresses, and
    /// takes thousands of them in milliseconds.
    LocalRoute,
}

/// The most IPv6 addresses of one router that are leased. Of each that is renewed, the kernel joins the groups of all
/// that are on the interface anew, twice: 1,000 take half a second in each, and 5,000 end before their turn comes.
pub const MOST_LEASED: usize = 250;

/// Whether the kernel can remove the address by itself. Routes have no such lifetime; with an IPv6 address
/// in a network the route to that network would end, whoever else has an address there; and of IPv6 addresses there
/// must not be too many: [`is_crowd`].
#[must_use]
pub fn can_be_leased(address: IpAddr, prefix: u8, install: Install, is_crowd: impl FnOnce() -> bool) -> bool {
    match address {
        IpAddr::V4(_) => install == Install::Address,
        IpAddr::V6(_) => prefix == 128 && !is_crowd(),
    }
}

/// Whether these have more than [`MOST_LEASED`] IPv6 addresses among them.
pub fn is_crowd<'a>(vips: impl IntoIterator<Item = &'a Vip>) -> bool {
    vips.into_iter().filter(|vip| vip.address.is_ipv6()).nth(MOST_LEASED).is_some()
}

/// Whether a claim of this length, of a router of this interval, is long enough for the kernel's lease to end with
/// it: in whole seconds, and with half an interval left for the answers.
#[must_use]
pub fn ends_with_claim(claim: Ttl, interval: Interval) -> bool {
    claim.lease() >= lease_ends(lease_within(Duration::ZERO)) + interval.duration() / 2
}

/// Which addresses are on an interface with the virtual MAC address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VirtualMac {
    /// None.
    #[default]
    Off,
    /// Those on the router's own interface.
    Own,
    /// Those on other interfaces.
    Elsewhere,
    /// All.
    Everywhere,
}

impl VirtualMac {
    /// Whether those on the router's own interface are, and its adverts leave so.
    #[must_use]
    pub const fn own(self) -> bool {
        matches!(self, VirtualMac::Own | VirtualMac::Everywhere)
    }

    /// Whether those on other interfaces are.
    #[must_use]
    pub const fn elsewhere(self) -> bool {
        matches!(self, VirtualMac::Elsewhere | VirtualMac::Everywhere)
    }

    /// Of the two.
    #[must_use]
    pub const fn of(own: bool, elsewhere: bool) -> Self {
        match (own, elsewhere) {
            (false, false) => VirtualMac::Off,
            (true, false) => VirtualMac::Own,
            (false, true) => VirtualMac::Elsewhere,
            (true, true) => VirtualMac::Everywhere,
        }
    }
}

/// How the interface with the virtual MAC address is made, where not as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualInterface {
    /// Its name, at most 15 bytes; otherwise `vrrp.51`, or `vrrp6.51`.
    pub name: Option<String>,
    /// Its MAC address, and that of the router's others; otherwise that of the VRID and family.
    pub mac: Option<[u8; 6]>,
    /// The kernel's group of interfaces that they are in; usually 0.
    pub group: u32,
}

/// What one instance holds. It is put there from top to bottom and taken away the other way round.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the file")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Where the addresses go that name no interface of their own, without a virtual interface.
    pub interface: String,
    /// The interface with the virtual MAC address. It is made here, and then has those addresses.
    pub vmac: Option<Vmac>,
    /// More of them, on other interfaces, for addresses that name them.
    #[serde(default)]
    pub more_vmacs: Vec<Vmac>,
    /// How the IPv4 addresses are put there.
    #[serde(default)]
    pub install: Install,
    /// The addresses are this host's own, which adverts may leave from, and move nowhere.
    #[serde(default)]
    pub own: bool,
    /// The addresses go by themselves, unless they are renewed within this time: whole seconds. Those alone of
    /// which [`can_be_leased`] says so.
    #[serde(default)]
    pub lease: Option<Duration>,
    /// Adverts leave from `interface` though there is a virtual one.
    #[serde(default)]
    pub adverts_from_base: bool,
    /// Packets to the addresses are dropped, all but neighbour discovery (RFC 9568, `Accept_Mode`).
    pub refuse: bool,
    /// TCP connections of the addresses are ended before these go, so that the other ends notice.
    #[serde(default)]
    pub close_connections: bool,
    /// New TCP connections to these ports of the addresses are refused while these go.
    #[serde(default)]
    pub drain_ports: Box<[u16]>,
    /// The addresses.
    pub vips: Vec<Vip>,
    /// The routes.
    pub routes: Vec<Route>,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Holding {
    /// Every interface with the virtual MAC address.
    pub fn vmacs(&self) -> impl Iterator<Item = &Vmac> {
        self.vmac.iter().chain(&self.more_vmacs)
    }

    /// Whether it is addresses alone, of which the kernel tells when somebody removes one.
    #[must_use]
    pub fn is_told_of(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty() && !self.refuse
    }
}

/// An interface with the virtual router's MAC address: RFC 9568 section 7.3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Vmac {
    /// Its name, at most 15 bytes: `vrrp.51`.
    pub name: String,
    /// The interface it sends and receives through.
    pub base: String,
    /// Its hardware address, usually 00-00-5e-00-01-{VRID} for IPv4, 00-00-5e-00-02-{VRID} for IPv6.
    pub mac: [u8; 6],
    /// The kernel's group of interfaces that it is in.
    #[serde(default)]
    pub group: u32,
}
