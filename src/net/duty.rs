//! What one owner wants of this host, and for how long without being renewed. No sockets here, but that the
//! interface of its own is made on demand.

use super::macvlan::Macvlans;
use super::routing::Entry;
use super::wanted::Wanted;
use crate::agent::holding::is_crowd;
use crate::agent::{Holding, Vmac};
use crate::vrrp::interval::lease_under;
use pnet::util::MacAddr;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was renewed within this part of its lease is not renewed again.
const FRESH: u32 = 8;

/// What one owner wants.
#[derive(Clone, Default)]
pub(super) struct Duty {
    /// Where adverts leave.
    pub(super) interface: String,
    pub(super) vmacs: Vec<Vmac>,
    pub(super) refuse: bool,
    pub(super) close_connections: bool,
    pub(super) drain_ports: Box<[u16]>,
    pub(super) addresses: Vec<Wanted>,
    pub(super) entries: Vec<Entry>,
    pub(super) lease: Option<Lease>,
}

/// For how long addresses stay without being renewed.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub(super) length: Duration,
    pub(super) renewed: Instant,
    /// When the claim that they go with ends: by then they are gone.
    pub(super) until: Option<Instant>,
}

impl Lease {
    /// Whether it is to be renewed, and was not just now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.renewed) >= self.length / FRESH
    }

    /// Whether it was renewed too long ago.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.renewed) >= self.length
    }
}

impl Duty {
    pub(super) fn of(mut holding: Holding, until: Option<Instant>) -> Self {
        let base = std::mem::take(&mut holding.interface);
        let interface = holding.vmac.as_ref().map_or_else(|| base.clone(), |vmac| vmac.name.clone());
        let place: Arc<str> = interface.as_str().into();
        let vips = std::mem::take(&mut holding.vips);
        let is_crowd = is_crowd(&vips);
        let addresses = vips.into_iter().map(|vip| Wanted::new(vip, &place, &holding, is_crowd)).collect();
        let routes = holding.routes.into_iter().map(Entry::Route);
        Duty {
            addresses,
            lease: holding.lease.map(|length| Lease { length, renewed: Instant::now(), until }),
            interface: if holding.adverts_from_base { base } else { interface },
            vmacs: holding.vmac.into_iter().chain(holding.more_vmacs).collect(),
            refuse: holding.refuse,
            close_connections: holding.close_connections,
            drain_ports: holding.drain_ports,
            entries: routes.chain(holding.rules.into_iter().map(Entry::Rule)).collect(),
        }
    }

    /// Lets no address outlast the claim. Whether any may be put there now.
    pub(super) fn fit(&mut self, now: Instant) -> bool {
        let Some(Lease { length, until: Some(until), .. }) = self.lease else { return true };
        let Some(lease) = lease_under(until.saturating_duration_since(now), length) else { return false };
        for wanted in &mut self.addresses {
            wanted.lasts(lease);
        }
        true
    }

    /// The interface that frames of this one leave by.
    pub(super) fn cable<'a>(&'a self, interface: &'a str) -> &'a str {
        self.vmacs.iter().find(|vmac| vmac.name == interface).map_or(interface, |vmac| &vmac.base)
    }

    /// The IPv4 addresses on interfaces with a virtual MAC address, with that.
    pub(super) fn virtual_macs(&self) -> impl Iterator<Item = (Ipv4Addr, MacAddr)> {
        self.addresses.iter().filter_map(|wanted| {
            let IpAddr::V4(address) = wanted.place.address else { return None };
            let vmac = self.vmacs.iter().find(|vmac| *vmac.name == *wanted.place.interface)?;
            Some((address, vmac.mac.into()))
        })
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter(|_| self.refuse).map(|wanted| wanted.place.address)
    }

    /// Makes the interfaces with the virtual MAC address. Returns whether any is new.
    pub(super) fn make_vmacs(&self, macvlans: &mut Macvlans) -> Result<bool, String> {
        self.vmacs.iter().try_fold(false, |new, vmac| {
            let on_it = |wanted: &&Wanted| *wanted.place.interface == *vmac.name;
            let ipv6 = self.addresses.iter().filter(on_it).any(|wanted| wanted.place.address.is_ipv6());
            Ok(macvlans.make(vmac, ipv6)? || new)
        })
    }

    /// Sets them up. Returns whether any was down.
    pub(super) fn raise_vmacs(&self, macvlans: &Macvlans) -> Result<bool, String> {
        self.vmacs.iter().try_fold(false, |was_down, vmac| Ok(macvlans.raise(vmac)? || was_down))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::holding::MOST_LEASED;
    use crate::vrrp::Vip;
    use std::net::Ipv6Addr;

    #[test]
    fn of_a_crowd_of_ipv6_addresses_none_is_leased() {
        let leased = |count: usize| {
            let six = (1_u128..).map(|host| Vip::new(Ipv6Addr::from(host).into(), 128)).take(count);
            let vips = six.chain([Vip::new([10, 0, 0, 1].into(), 32)]);
            let lease = Some(Duration::from_secs(2));
            let duty = Duty::of(Holding { vips: vips.collect(), lease, ..Holding::default() }, None);
            duty.addresses.iter().filter(|wanted| wanted.is_leased()).count()
        };
        assert_eq!(leased(MOST_LEASED), MOST_LEASED + 1);
        assert_eq!(leased(MOST_LEASED + 1), 1, "the IPv4 address, of which the kernel renews thousands");
    }

    #[test]
    fn a_crowd_of_ipv6_addresses_is_put_on_an_interface_of_its_own_for_ever() {
        let lifetimes = |count: usize, vmac: Option<Vmac>| {
            let vips = (1_u128..).map(|host| Vip::new(Ipv6Addr::from(host).into(), 128)).take(count);
            let interface = "eth0".to_owned();
            let holding = Holding { interface, vips: vips.collect(), vmac, ..Holding::default() };
            Duty::of(holding, None).addresses.iter().map(|wanted| wanted.fact(1).lifetimes).next().unwrap()
        };
        let (base, name) = ("eth0".to_owned(), "vrrp.51".to_owned());
        let vmac = Vmac { name, base, mac: [0, 0, 0x5e, 0, 2, 51], group: 0 };
        let shunned = Some((0, u32::MAX));
        assert_eq!(lifetimes(MOST_LEASED, Some(vmac.clone())), shunned, "the source of no connection");
        assert_eq!(lifetimes(MOST_LEASED + 1, None), shunned, "among the host's own");
        assert_eq!(lifetimes(MOST_LEASED + 1, Some(vmac)), None);
    }
}
