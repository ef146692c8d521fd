//! One address as it shall be in the kernel. No sockets here.

use super::netlink::{AddressFact, Change};
use crate::agent::holding::can_be_leased;
use crate::agent::{Holding, Install};
use crate::vrrp::{AddressFlag, Particulars, Preferred, Vip};
use netlink_packet_route::address::AddressFlags;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One address on one interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Shared: there may be thousands on one.
    pub(super) interface: Arc<str>,
    pub(super) install: Install,
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.address, self.prefix, self.interface)
    }
}

/// A place and how the address shall be there.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) place: Place,
    label: Option<String>,
    scope: u8,
    /// It is an own address of this host, which never moves.
    pub(super) own: bool,
    more: Particulars,
    /// Where somebody removes it, it is put back.
    pub(super) tracked: bool,
    /// For how many seconds it stays without being renewed; `None` for ever.
    lease: Option<u32>,
    /// Where nothing else is said, and it has its whole length, it is the source of no connection.
    shunned: bool,
}

impl Wanted {
    /// One of what is held, and whether it is one of a crowd.
    pub(super) fn new(vip: Vip, interface: &Arc<str>, holding: &Holding, is_crowd: bool) -> Self {
        let (install, own, tracked) = (holding.install, holding.own, !vip.has(AddressFlag::NoTrack));
        let interface = vip.dev.map_or_else(|| interface.clone(), Arc::from);
        let install = if vip.address.is_ipv4() { install } else { Install::Address };
        let place = Place { interface, install, address: vip.address, prefix: vip.prefix };
        let can_be_leased = can_be_leased(place.address, place.prefix, install, || is_crowd);
        let lease = holding.lease.filter(|_| can_be_leased).map(seconds);
        // For each that is added the kernel looks closely at all that are shunned: 5,000 take it 650 ms instead of
        // 250. On an interface of their own a crowd can do without: the interface that a packet leaves by has others.
        let apart = holding.vmacs().any(|vmac| *vmac.name == *place.interface);
        let shunned = !(own || is_crowd && apart);
        Wanted { place, label: vip.label, scope: vip.scope, own, more: vip.more, tracked, lease, shunned }
    }

    /// As it goes to the kernel.
    pub(super) fn fact(&self, index: u32) -> AddressFact {
        let v6 = self.place.address.is_ipv6();
        let host = self.place.prefix == if v6 { 128 } else { 32 };
        let has = |flag| self.more.flags.contains(&flag);
        let said = [
            (
                host && self.more.peer.is_none() || has(AddressFlag::NoPrefixRoute),
                AddressFlags::Noprefixroute,
            ),
            // The election has seen to it that nobody else has it, and detection would take a second.
            (v6 && !has(AddressFlag::Dad), AddressFlags::Nodad),
            (has(AddressFlag::Home), AddressFlags::Homeaddress),
            (has(AddressFlag::ManageTemporary), AddressFlags::Managetempaddr),
        ];
        let said = said.into_iter().filter(|(said, _)| *said).map(|(_, flag)| flag);
        AddressFact {
            index,
            address: self.place.address,
            peer: self.more.peer,
            prefix: self.place.prefix,
            scope: self.scope,
            flags: said.collect(),
            label: self.label.clone().filter(|_| !v6),
            broadcast: self.more.broadcast.map(IpAddr::V4),
            proto: None,
            lifetimes: Some((self.preferred(v6 && host), self.lease.unwrap_or(u32::MAX)))
                .filter(|lifetimes| *lifetimes != (u32::MAX, u32::MAX)),
        }
    }

    /// For how many seconds it is the source of new connections.
    fn preferred(&self, six_alone: bool) -> u32 {
        let valid = self.lease.unwrap_or(u32::MAX);
        match self.more.preferred {
            Some(Preferred::For(time)) => seconds(time).min(valid),
            // "Deprecated": reachable, but never the source of this host's own connections, which
            // would break when the address moves. A /32 is never chosen anyway.
            None if six_alone && self.shunned => 0,
            Some(Preferred::Forever) | None => valid,
        }
    }

    /// It stays for so long from now on, where it can be leased.
    pub(super) fn lasts(&mut self, lease: Duration) {
        self.lease = self.lease.map(|_| seconds(lease));
    }

    /// Whether it goes by itself unless it is renewed.
    pub(super) fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// The change that begins its lifetime anew.
    pub(super) fn renewal(&self, index: u32, marked: bool) -> Change {
        let mut fact = self.fact(index);
        if marked {
            fact.mark(self.own);
        }
        Change::Renew(fact)
    }

    /// Whether an address of Locum's is already there as it shall be.
    pub(super) fn matches(&self, fact: &AddressFact) -> bool {
        let label = self.label.as_deref().unwrap_or(&self.place.interface);
        // IPv6 has no labels, and its scope follows from the address.
        let same =
            fact.address.is_ipv6() || (fact.label.as_deref() == Some(label) && fact.scope == self.scope);
        let wanted = self.fact(fact.index);
        let said = AddressFlags::Noprefixroute | AddressFlags::Homeaddress | AddressFlags::Managetempaddr;
        let end = |of: &AddressFact| of.peer.unwrap_or(of.address);
        let same = same
            && (fact.flags & said, fact.broadcast, end(fact))
                == (wanted.flags & said, wanted.broadcast, end(&wanted));
        let mark = fact.proto.is_none() || fact.own() == self.own;
        fact.address == self.place.address && fact.prefix == self.place.prefix && same && mark
    }
}

fn seconds(lease: Duration) -> u32 {
    u32::try_from(lease.as_secs()).unwrap_or(u32::MAX)
}

pub(super) fn place(interface: &Arc<str>, fact: &AddressFact) -> Place {
    let install = Install::Address;
    Place { interface: interface.clone(), install, address: fact.address, prefix: fact.prefix }
}
