//! All that the MIBs are made of, together: the snapshot, the configuration, and what only this host knows.

use super::facts::Facts;
use super::memory::Memory;
use crate::agent::config::Router;
use crate::agent::status::{InstanceStatus, RouterStatus, Status};
use crate::agent::{RouterName, Standing};
use crate::vrrp::Family;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

/// One moment.
pub(super) struct View<'a> {
    pub(super) status: &'a Status,
    pub(super) facts: &'a Facts,
    pub(super) memory: &'a Memory,
    /// The numbers of the interfaces.
    links: &'a BTreeMap<String, u32>,
    now: Instant,
    /// How long the master agent runs, in hundredths of a second.
    uptime: u32,
    routers: BTreeMap<&'a RouterName, &'a Router>,
}

impl<'a> View<'a> {
    pub(super) fn new(
        status: &'a Status,
        facts: &'a Facts,
        memory: &'a Memory,
        links: &'a BTreeMap<String, u32>,
        (now, uptime): (Instant, u32),
    ) -> Self {
        let routers = facts.config.routers.iter().map(|router| (&router.name, router)).collect();
        View { status, facts, memory, links, now, uptime, routers }
    }

    /// Each router that stands and is configured, with its number.
    pub(super) fn routers(&self) -> impl Iterator<Item = (u32, &'a RouterStatus, &'a Router)> {
        let with = |(number, now): (u32, &'a RouterStatus)| Some((number, now, self.router(&now.name)?));
        (1..).zip(&self.status.routers).filter_map(with)
    }

    pub(super) fn router(&self, name: &RouterName) -> Option<&'a Router> {
        self.routers.get(name).copied()
    }

    /// The number of an interface; `None` where there is none of this name.
    pub(super) fn link(&self, name: &str) -> Option<u32> {
        self.links.get(name).copied()
    }

    /// The number of the interface of a router, by which the RFCs' tables are ordered.
    pub(super) fn link_of(&self, router: &RouterStatus) -> Option<u32> {
        self.link(router.interface.as_deref()?)
    }

    /// For how long a router takes part, in hundredths of a second.
    pub(super) fn part_for(&self, router: &RouterStatus) -> u32 {
        self.memory.part_for(router, self.now)
    }

    /// When it began to, by the master agent's clock.
    pub(super) fn part_since(&self, router: &RouterStatus) -> u32 {
        match self.part_for(router) {
            0 => 0,
            age => self.uptime.saturating_sub(age),
        }
    }
}

/// The state of a router as both RFCs number it.
pub(super) const fn rfc_state(state: Standing) -> i32 {
    match state {
        Standing::Stop | Standing::Fault => 1,
        Standing::Backup => 2,
        Standing::Master => 3,
    }
}

/// An address of the family that stands for none.
pub(super) const fn nobody(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        Family::Ipv6 => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

/// `InetAddressType` of a family.
pub(super) const fn kind(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 1,
        Family::Ipv6 => 2,
    }
}

/// The Master that is known: oneself, or the one heard last.
pub(super) fn master(router: &RouterStatus, instance: &InstanceStatus) -> IpAddr {
    let own = instance.source.filter(|_| router.state == Standing::Master);
    own.or(instance.master).unwrap_or_else(|| nobody(instance.family))
}
