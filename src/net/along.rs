//! What the kernel takes along with a deleted address. No sockets here.

use super::netlink::{AddressFact, Change};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// With a primary IPv4 address the kernel deletes its secondaries, unless `promote_secondaries` is set.
pub(super) fn takes_others_along(change: &Change) -> bool {
    matches!(change, Change::Delete(fact) if fact.address.is_ipv4() && fact.prefix < 32 && !fact.secondary())
}

/// What went with a deleted primary address without being meant, as changes that put it back.
pub(super) fn lost(before: &[AddressFact], after: &[AddressFact], changes: &[Change]) -> Vec<Change> {
    let key = |fact: &AddressFact| (fact.address, fact.prefix);
    let after: BTreeSet<_> = after.iter().map(key).collect();
    let deleted: Vec<&AddressFact> =
        changes.iter().filter(|c| takes_others_along(c)).map(Change::fact).collect();
    let meant: BTreeSet<_> = changes.iter().map(|change| key(change.fact())).collect();
    let went_along = |fact: &&AddressFact| {
        let with_primary = fact.secondary() && deleted.iter().any(|primary| same_subnet(primary, fact));
        with_primary && !after.contains(&key(fact)) && !meant.contains(&key(fact))
    };
    before.iter().filter(went_along).cloned().map(Change::PutBack).collect()
}

fn same_subnet(one: &AddressFact, other: &AddressFact) -> bool {
    let (IpAddr::V4(a), IpAddr::V4(b)) = (one.address, other.address) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - u32::from(one.prefix.min(32))).unwrap_or(0);
    one.prefix == other.prefix && (a.to_bits() ^ b.to_bits()) & mask == 0
}
