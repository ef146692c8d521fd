//! VRRP-MIB (RFC 2787): the routers of version 2. Pure; the names and numbers are the RFC's.
//!
//! `vrrpOperPriority` is what is configured, as RFC and keepalived have it. Passwords are not shown.

use super::oid::{Value, octets};
use super::rows::Rows;
use super::view::{View, kind, master, nobody, rfc_state};
use crate::agent::config::Router;
use crate::agent::status::{InstanceStatus, RouterStatus, refusals};
use crate::vrrp::auth::Auth;
use crate::vrrp::{Family, Version};
use std::net::IpAddr;

/// What to register for.
pub(super) const SUBTREES: &[&[u32]] = &[&[1, 3, 6, 1, 2, 1, 68]];
/// `vrrpNotifications`
pub(super) const TRAPS: &[u32] = &[1, 3, 6, 1, 2, 1, 68, 0];
/// `vrrpOperations`
pub(super) const OPERATIONS: &[u32] = &[1, 3, 6, 1, 2, 1, 68, 1];
/// `vrrpOperEntry`
pub(super) const ROUTER: &[u32] = &[1, 3, 6, 1, 2, 1, 68, 1, 3, 1];
/// `vrrpOperMasterIpAddr`
pub(super) const MASTER: u32 = 7;
/// `vrrpAssoIpAddrEntry`
const ADDRESS: &[u32] = &[1, 3, 6, 1, 2, 1, 68, 1, 4, 1];
/// `vrrpStatistics`
const STATISTICS: &[u32] = &[1, 3, 6, 1, 2, 1, 68, 2];
/// `vrrpRouterStatsEntry`
const COUNTERS: &[u32] = &[1, 3, 6, 1, 2, 1, 68, 2, 4, 1];
/// `RowStatus`: it is there.
const ACTIVE: Value = Value::Integer(1);

pub(super) fn put(view: &View<'_>, traps: bool, rows: &mut Rows) {
    rows.scalar(OPERATIONS, 1, Value::Integer(2));
    rows.scalar(OPERATIONS, 2, Value::either(traps, 1, 2));
    let mut sums = [0; 3];
    for (_, now, router) in view.routers().filter(|(_, now, _)| now.version == Version::V2) {
        for instance in now.instances.iter().filter(|instance| instance.family == Family::Ipv4) {
            for (sum, names) in sums.iter_mut().zip([refusals::CHECKSUM, refusals::VERSION, refusals::VRID]) {
                *sum += instance.refusals(names);
            }
            if let Some(link) = view.link_of(now) {
                row(view, now, router, instance, &[link, u32::from(now.vrid)], rows);
            }
        }
    }
    for (object, sum) in (1..).zip(sums) {
        rows.scalar(STATISTICS, object, Value::wrapping(sum));
    }
}

fn row(
    view: &View<'_>,
    now: &RouterStatus,
    router: &Router,
    instance: &InstanceStatus,
    index: &[u32],
    rows: &mut Rows,
) {
    let addresses: Vec<_> = router.vips_of(Family::Ipv4).map(|vip| vip.address).collect();
    let auth = match router.auth {
        Auth::None | Auth::Hmac(_) => 1,
        Auth::Pass(_) => 2,
        Auth::Ah(_) => 3,
    };
    let source = instance.source.unwrap_or_else(|| nobody(Family::Ipv4));
    let seconds = i32::try_from(now.interval_ms / 1000).unwrap_or(i32::MAX);
    let columns = [
        (2, Some(Value::Octets(router.vrid.mac(Family::Ipv4).to_vec()))),
        (3, Some(Value::Integer(rfc_state(now.state)))),
        (4, Some(Value::either(router.barred.is_none() && !now.drained, 1, 2))),
        (5, Some(Value::Integer(i32::from(now.priority.base)))),
        (6, Some(Value::Integer(i32::try_from(addresses.len()).unwrap_or(i32::MAX)))),
        (MASTER, Some(ipv4(master(now, instance)))),
        (8, Some(ipv4(source))),
        (9, Some(Value::Integer(auth))),
        (11, Some(Value::Integer(seconds))),
        (12, Some(Value::truth(router.preempt))),
        (13, Some(Value::Ticks(view.part_since(now)))),
        (14, Some(Value::Integer(i32::from(kind(Family::Ipv4))))),
        (15, Some(ACTIVE)),
    ];
    rows.row(ROUTER, index, columns);
    for address in addresses {
        let address: Vec<u32> = octets(address).into_iter().map(u32::from).collect();
        rows.put(ADDRESS, 2, &[index, &address].concat(), ACTIVE);
    }
    let refused = |names| instance.refusals(names);
    let counters = [
        now.became_master,
        instance.heard,
        refused(refusals::INTERVAL),
        refused(refusals::AUTH_FAILURE),
        refused(refusals::TTL),
        instance.farewells_heard,
        instance.farewells_sent,
        refused(refusals::TYPE),
        refused(refusals::ADDRESSES),
        0,
        refused(refusals::AUTH_TYPE),
        refused(refusals::LENGTH),
    ];
    for (column, count) in (1..).zip(counters) {
        rows.put(COUNTERS, column, index, Value::wrapping(count));
    }
}

/// An address as `IpAddress`; version 2 has no others.
pub(super) fn ipv4(address: IpAddr) -> Value {
    match address {
        IpAddr::V4(address) => Value::Ipv4(address.octets()),
        IpAddr::V6(_) => Value::Ipv4([0; 4]),
    }
}
