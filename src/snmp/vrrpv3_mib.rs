//! VRRPV3-MIB (RFC 6527): every router, a row for each of its families. Pure; the names and numbers are the
//! RFC's.
//!
//! Routers of version 2 stand here too, as keepalived's do.

use super::oid::{Value, octets};
use super::rows::Rows;
use super::view::{View, kind, master, nobody, rfc_state};
use crate::agent::config::Router;
use crate::agent::status::{InstanceStatus, RouterStatus, refusals};

/// What to register for.
pub(super) const SUBTREES: &[&[u32]] = &[&[1, 3, 6, 1, 2, 1, 207]];
/// `vrrpv3Notifications`
pub(super) const TRAPS: &[u32] = &[1, 3, 6, 1, 2, 1, 207, 0];
/// `vrrpv3OperationsEntry`
pub(super) const ROUTER: &[u32] = &[1, 3, 6, 1, 2, 1, 207, 1, 1, 1, 1];
/// `vrrpv3OperationsMasterIpAddr`
pub(super) const MASTER: u32 = 3;
/// `vrrpv3AssociatedIpAddrEntry`
const ADDRESS: &[u32] = &[1, 3, 6, 1, 2, 1, 207, 1, 1, 2, 1];
/// `vrrpv3Statistics`
const STATISTICS: &[u32] = &[1, 3, 6, 1, 2, 1, 207, 1, 2];
/// `vrrpv3StatisticsEntry`
pub(super) const COUNTERS: &[u32] = &[1, 3, 6, 1, 2, 1, 207, 1, 2, 5, 1];
/// `vrrpv3StatisticsNewMasterReason`
pub(super) const REASON: u32 = 2;
/// `vrrpv3StatisticsProtoErrReason`
pub(super) const ERROR: u32 = 6;
/// `RowStatus`: it is there.
const ACTIVE: Value = Value::Integer(1);

pub(super) fn put(view: &View<'_>, rows: &mut Rows) {
    let mut sums = [0; 3];
    for (_, now, router) in view.routers() {
        for instance in &now.instances {
            for (sum, names) in sums.iter_mut().zip([refusals::CHECKSUM, refusals::VERSION, refusals::VRID]) {
                *sum += instance.refusals(names);
            }
            if let Some(index) = index(view, now, instance) {
                row(view, now, router, instance, &index, rows);
                counters(view, now, instance, &index, rows);
            }
        }
    }
    for (object, sum) in (1..).zip(sums) {
        rows.scalar(STATISTICS, object, Value::Counter64(sum));
    }
    rows.scalar(STATISTICS, 4, Value::Ticks(0));
}

/// Under which numbers a router of one family stands; `None` while it has no interface.
pub(super) fn index(view: &View<'_>, now: &RouterStatus, instance: &InstanceStatus) -> Option<[u32; 3]> {
    Some([view.link_of(now)?, u32::from(now.vrid), u32::from(kind(instance.family))])
}

fn row(
    view: &View<'_>,
    now: &RouterStatus,
    router: &Router,
    instance: &InstanceStatus,
    index: &[u32],
    rows: &mut Rows,
) {
    let family = instance.family;
    let addresses: Vec<_> = router.vips_of(family).map(|vip| vip.address).collect();
    let source = instance.source.unwrap_or_else(|| nobody(family));
    let columns = [
        (MASTER, Some(Value::address(master(now, instance)))),
        (4, Some(Value::address(source))),
        (5, Some(Value::Octets(router.vrid.mac(family).to_vec()))),
        (6, Some(Value::Integer(rfc_state(now.state)))),
        (7, Some(Value::number(now.priority.base))),
        (8, Some(Value::Integer(i32::try_from(addresses.len()).unwrap_or(i32::MAX)))),
        (9, Some(Value::Integer(i32::try_from(now.interval_ms / 10).unwrap_or(i32::MAX)))),
        (10, Some(Value::truth(router.preempt))),
        (11, Some(Value::truth(router.accept))),
        (12, Some(Value::Ticks(view.part_for(now)))),
        (13, Some(ACTIVE)),
    ];
    rows.row(ROUTER, index, columns);
    for address in addresses {
        // The length should stand before it; keepalived leaves it out, and readers know the rows so.
        let address: Vec<u32> = octets(address).into_iter().map(u32::from).collect();
        rows.put(ADDRESS, 2, &[index, &address].concat(), ACTIVE);
    }
}

fn counters(view: &View<'_>, now: &RouterStatus, instance: &InstanceStatus, index: &[u32], rows: &mut Rows) {
    let refused = |names| Some(Value::Counter64(instance.refusals(names)));
    let columns = [
        (1, Some(Value::wrapping(now.became_master))),
        (REASON, Some(Value::Integer(view.memory.reason(now)))),
        (3, Some(Value::Counter64(instance.heard))),
        (4, refused(refusals::INTERVAL)),
        (5, refused(refusals::TTL)),
        (ERROR, Some(Value::Integer(view.memory.last_error(&now.name)))),
        (7, Some(Value::Counter64(instance.farewells_heard))),
        (8, Some(Value::Counter64(instance.farewells_sent))),
        (9, refused(refusals::TYPE)),
        (10, refused(refusals::ADDRESSES)),
        (11, refused(refusals::LENGTH)),
        (12, Some(Value::Ticks(0))),
        (13, Some(Value::number(now.interval_ms))),
    ];
    rows.row(COUNTERS, index, columns);
}
