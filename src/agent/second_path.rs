//! Another way to the peers beside the router's own interface: every advert goes both ways, so that one cut cable
//! splits nobody, and a Master whose link has died can still say so.
//!
//! What comes in there is the peer's as if it had come by its own interface: the election knows a host by its
//! address there alone. Seals are those of the address that a packet really comes from.

use super::config::Router;
use super::link::Link;
use crate::time::Time;
use crate::vrrp::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondPath {
    /// Its interface, not the router's own.
    pub interface: String,
    /// Where every other host is there, by its address on the router's own interface.
    pub peers: BTreeMap<IpAddr, IpAddr>,
}

impl fmt::Display for SecondPath {
    /// `eth1 to 10.0.0.2 = 10.1.0.2`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers: Vec<_> = self.peers.iter().map(|(known, there)| format!("{known} = {there}")).collect();
        write!(f, "{} to {}", self.interface, peers.join(", "))
    }
}

impl SecondPath {
    /// Where the others are there.
    pub fn peers_of(&self, family: Family) -> impl Iterator<Item = IpAddr> {
        self.peers.values().copied().filter(move |there| Family::of(*there) == family)
    }

    /// The address by which the election knows who is `there`.
    #[must_use]
    pub fn known_as(&self, there: IpAddr) -> Option<IpAddr> {
        self.peers.iter().find(|(_, address)| **address == there).map(|(known, _)| *known)
    }

    /// The address to send from, or why there is none.
    pub(super) fn source(
        &self,
        links: &BTreeMap<String, Link>,
        family: Family,
        vips: &BTreeSet<IpAddr>,
    ) -> Result<IpAddr, String> {
        let name = &self.interface;
        let link = links.get(name).ok_or_else(|| format!("interface {name} does not exist"))?;
        if !link.up {
            return Err(format!("interface {name} is down"));
        }
        // Whoever is link-local is reached from such an address only.
        let local = self.peers_of(family).any(is_link_local);
        let suits = |address: IpAddr| Family::of(address) == family && is_link_local(address) == local;
        let own = |address: &IpAddr| suits(*address) && !vips.contains(address);
        let settled = link.addresses.iter().filter(|known| !known.tentative);
        let first = settled.map(|known| known.address).find(own);
        first.ok_or_else(|| format!("interface {name} has no {family} address to advertise from"))
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

/// By which interface a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The router's own.
    First,
    /// That of its second path.
    Second,
}

impl Way {
    /// That of `interface`, of a router whose own is `link`; `None` where it is neither.
    pub(super) fn by(interface: &str, link: Option<&str>, config: &Router) -> Option<Way> {
        if link == Some(interface) {
            return Some(Way::First);
        }
        config.second_path.as_ref().filter(|second| second.interface == interface).map(|_| Way::Second)
    }
}

/// When another host was last heard, each way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastHeard {
    pub first: Option<Time>,
    pub second: Option<Time>,
}

impl LastHeard {
    pub(super) fn note(&mut self, way: Way, now: Time) {
        match way {
            Way::First => self.first = Some(now),
            Way::Second => self.second = Some(now),
        }
    }

    /// What is odd about it since `recent`: who is heard one way is to be heard both ways.
    pub(super) fn trouble(&self, recent: Time, own: Option<&str>, second: &str) -> Option<String> {
        let [first, other] = [self.first, self.second].map(|heard| heard.is_some_and(|at| at >= recent));
        match (first, other) {
            (true, false) => Some(format!("nothing comes by the second path, {second}")),
            (false, true) => {
                let own = own.unwrap_or("its interface");
                Some(format!("the other host is heard by the second path alone, not on {own}"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::LinkAddress;

    fn path() -> SecondPath {
        let peers = [("10.0.0.2", "10.1.0.2"), ("10.0.0.3", "10.1.0.3"), ("fe80::2", "fe80::12")];
        let peers = peers.map(|(known, there)| (known.parse().unwrap(), there.parse().unwrap()));
        SecondPath { interface: "eth1".to_owned(), peers: peers.into() }
    }

    fn links(up: bool, addresses: &[(&str, bool)]) -> BTreeMap<String, Link> {
        let address = |(address, tentative): &(&str, bool)| LinkAddress {
            address: address.parse().unwrap(),
            prefix: 24,
            tentative: *tentative,
            secondary: false,
        };
        let addresses = addresses.iter().map(address).collect();
        let link = Link { name: "eth1".to_owned(), index: 3, up, mac: None, mtu: 1500, addresses };
        [(link.name.clone(), link)].into()
    }

    #[test]
    fn a_host_is_known_by_its_address_on_the_routers_own_interface() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(path().known_as(ip("10.1.0.3")), Some(ip("10.0.0.3")));
        assert_eq!(path().known_as(ip("10.0.0.3")), None);
        assert_eq!(path().peers_of(Family::Ipv6).collect::<Vec<_>>(), [ip("fe80::12")]);
    }

    #[test]
    fn adverts_leave_from_an_own_address_there_or_the_reason_is_said() {
        let vips = ["10.1.0.100".parse().unwrap()].into();
        let source = |up, addresses: &[(&str, bool)], family| {
            path().source(&links(up, addresses), family, &vips).map(|source| source.to_string())
        };
        let all = [("10.1.0.9", true), ("10.1.0.100", false), ("10.1.0.1", false), ("2001:db8::1", false)];
        assert_eq!(source(true, &all, Family::Ipv4), Ok("10.1.0.1".to_owned()));
        assert!(source(true, &all, Family::Ipv6).unwrap_err().contains("has no IPv6 address"));
        assert_eq!(source(true, &[("fe80::1", false)], Family::Ipv6), Ok("fe80::1".to_owned()));
        assert_eq!(source(false, &all, Family::Ipv4).unwrap_err(), "interface eth1 is down");
        let none = path().source(&BTreeMap::new(), Family::Ipv4, &vips);
        assert_eq!(none.unwrap_err(), "interface eth1 does not exist");
    }

    #[test]
    fn one_who_is_heard_one_way_only_is_a_reason_to_complain() {
        let at = |seconds| Time::ZERO + std::time::Duration::from_secs(seconds);
        let said = |first, second| LastHeard { first, second }.trouble(at(5), Some("eth0"), "eth1");
        assert_eq!(said(Some(at(5)), Some(at(6))), None);
        assert_eq!(said(None, Some(at(4))), None);
        assert!(said(Some(at(6)), Some(at(4))).unwrap().contains("second path, eth1"));
        assert!(said(None, Some(at(6))).unwrap().contains("not on eth0"));
    }
}
