//! What the kernels of the model have where never two may hold: addresses, and when each goes by itself.
//!
//! As `net` does it: a lease ends with the claim, whoever is there to see it.

use super::laws::Law;
use super::node::{Node, seat_of};
use super::sabotage::Sabotage;
use super::world::World;
use crate::agent::{Holding, InstanceId};
use crate::claim::quorum::Quorum;
use crate::time::Time;
use crate::vrrp::interval::lease_under;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// The least and the most that a kernel is late with what is over, in milliseconds.
const LATE: (u64, u64) = (10, 350);

/// Addresses that one instance has put there.
#[derive(Clone, Debug)]
pub(super) struct Leased {
    addresses: BTreeSet<IpAddr>,
    length: Option<Duration>,
    /// When they go; `None`: never.
    ends: Option<Time>,
    /// The process was about to leave when it ended, and had given its claim to another on purpose.
    pub(super) left: bool,
}

impl Leased {
    fn is_there(&self, now: Time) -> bool {
        self.ends.is_none_or(|ends| ends > now)
    }
}

impl World {
    /// An instance holds this from now on. Of interest where the quorum is required.
    pub(super) fn put(&mut self, node: usize, instance: InstanceId, holding: &Holding, until: Option<Time>) {
        let addresses: BTreeSet<IpAddr> = holding.vips.iter().map(|vip| vip.address).collect();
        if !requires(&self.nodes[node], &addresses) {
            return;
        }
        let leased = Leased { addresses, length: holding.lease, ends: None, left: false };
        if let Some(ends) = self.ends(node, leased.length, until) {
            self.disown(node, &leased.addresses);
            self.nodes[node].leased.insert(instance, Leased { ends, ..leased });
            self.never_two(node, instance);
        }
    }

    /// What instances hold is renewed.
    pub(super) fn renew(&mut self, node: usize, instances: &[InstanceId], until: Time) {
        for instance in instances {
            let Some(leased) = self.nodes[node].leased.get(instance).cloned() else { continue };
            if let Some(ends) = self.ends(node, leased.length, Some(until)) {
                self.nodes[node].leased.insert(*instance, Leased { ends, ..leased });
                self.never_two(node, *instance);
            }
        }
    }

    /// Whether the kernel of a node has this address, of a router of which never two may hold.
    #[must_use]
    pub fn keeps(&self, node: usize, address: IpAddr) -> bool {
        let there = |leased: &Leased| leased.is_there(self.now) && leased.addresses.contains(&address);
        self.nodes[node].leased.values().any(there)
    }

    /// A core has had its turn, which is no reason to renew anything.
    pub(super) fn had_a_turn(&mut self, node: usize) {
        if self.sabotage == Some(Sabotage::LongLease) {
            for (instance, leased) in self.nodes[node].leased.clone() {
                if let Some(ends) = self.ends(node, leased.length, None) {
                    self.nodes[node].leased.insert(instance, Leased { ends, ..leased });
                }
            }
        }
    }

    /// An instance's addresses are taken away.
    pub(super) fn take_away(&mut self, node: usize, instance: InstanceId) {
        let taken = self.nodes[node].leased.remove(&instance);
        // Whether it could hold them or not: whatever carries the mark goes.
        if let Some(ordered) = self.nodes[node].ordered.remove(&instance) {
            self.disown(node, &ordered);
        }
        if self.sabotage == Some(Sabotage::EarlyRelease) {
            let ends = Some(self.now + Duration::from_secs(2));
            self.nodes[node].orphans.extend(taken.map(|leased| Leased { ends, ..leased }));
        }
    }

    /// A kernel has an address once: that of the process before is no longer what it left.
    fn disown(&mut self, node: usize, addresses: &BTreeSet<IpAddr>) {
        for orphan in &mut self.nodes[node].orphans {
            orphan.addresses.retain(|address| !addresses.contains(address));
        }
    }

    /// When what is put there or renewed now goes: `Some(None)` is never, and `None` that it may not be there.
    #[expect(clippy::option_option, reason = "three different answers")]
    fn ends(&mut self, node: usize, length: Option<Duration>, until: Option<Time>) -> Option<Option<Time>> {
        let Some(length) = length else { return Some(None) };
        let clock = self.nodes[node].clock;
        let now = clock.reads(self.now);
        // The claim of a store outlasts leases, which are renewed in the core's turns meanwhile.
        let length = if self.store.is_some() { Duration::MAX } else { length };
        let lease = until.map_or(Some(length), |until| lease_under(until.since(now), length))?;
        let late = Duration::from_millis(self.rng.between(LATE.0, LATE.1));
        Some(Some(clock.when(now + lease + late)))
    }

    /// Law: nobody has what another one has. Who is about to leave answers on purpose until the new one is heard.
    fn never_two(&mut self, node: usize, instance: InstanceId) {
        let Some(ours) = self.nodes[node].leased.get(&instance) else { return };
        let now = self.now;
        let shared = |leased: &Leased| leased.is_there(now) && !leased.addresses.is_disjoint(&ours.addresses);
        let leaves = |other: &Node, instance: &InstanceId| {
            other.held.get(instance).is_some_and(|held| held.leaving.is_some())
        };
        // What the process before has left, and this one could not put there itself so far.
        let taken_over = |other: &Node, leased: &Leased| {
            let mut ordered = other.ordered.iter().filter(|(_, all)| !all.is_disjoint(&leased.addresses));
            ordered.any(|(instance, _)| leaves(other, instance))
        };
        let other = self.nodes.iter().enumerate().filter(|(at, _)| *at != node).find(|(_, other)| {
            other.orphans.iter().any(|leased| shared(leased) && !leased.left && !taken_over(other, leased))
                || other.leased.iter().any(|(instance, leased)| shared(leased) && !leaves(other, instance))
        });
        if leaves(&self.nodes[node], &instance) {
            return;
        }
        if let Some((_, other)) = other {
            let text = format!("has {:?}, and so has {}", ours.addresses, other.name);
            self.laws.broken(Law::TwoHolders, now, &self.nodes[node], text);
        }
    }
}

/// Whether these addresses are of a router that must not be held by two.
fn requires(node: &Node, addresses: &BTreeSet<IpAddr>) -> bool {
    let held = |vips: &[crate::vrrp::Vip]| vips.iter().any(|vip| addresses.contains(&vip.address));
    let mut routers = node.config.routers.iter().filter(|router| seat_of(router).is_some());
    routers.any(|router| router.quorum == Quorum::Require && held(&router.vips))
}
