//! Virtual addresses that something else puts on this host while it does not hold them: by hand, by a network
//! manager, by another daemon. For as long as one is there, two hosts answer for it.
//!
//! Where a claim is required there must never be two, so it is taken away at once, unless somebody puts it there
//! again and again: that is told, and left alone for a while. Elsewhere it is told of and left, as keepalived does.
//! What was there before this process came, before the configuration named it, or is on another interface than
//! the router would use (a real server behind a balancer has it on `lo`), is never touched. Once it has gone it is no
//! longer there from before: a daemon of another kind that was stopped and is started again makes a second holder.

use super::Agent;
use super::effect::{Effect, Note};
use super::link::Link;
use super::router::{RESTORE_LIMIT, RESTORE_WINDOW, RETRY_LONGEST, Router};
use super::transition::Standing;
use crate::claim::quorum::Quorum;
use crate::time::Time;
use crate::vrrp::Family;
use crate::vrrp::instance::Instance;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

/// An address on an interface of this host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Intruder {
    /// The interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
}

/// What has been done about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Nothing,
    Told,
    Evicted,
}

/// Those that are there.
#[derive(Debug, Default)]
pub(super) struct Intruders(BTreeMap<Intruder, Done>);

impl Intruders {
    /// An interface is so from now on; what is new on it came now. Nothing did where `before` is not known yet.
    pub fn see(&mut self, before: Option<&Link>, now: &Link, vips: &BTreeSet<IpAddr>) {
        let all = |link: &Link| -> BTreeSet<(IpAddr, u8)> {
            link.addresses.iter().map(|it| (it.address, it.prefix)).collect()
        };
        let (before, here) = (before.map(all).unwrap_or_default(), all(now));
        self.0.retain(|it, _| it.interface != now.name || here.contains(&(it.address, it.prefix)));
        for (address, prefix) in here.difference(&before).filter(|(address, _)| vips.contains(address)) {
            let intruder = Intruder { interface: now.name.clone(), address: *address, prefix: *prefix };
            self.0.entry(intruder).or_insert(Done::Nothing);
        }
    }

    /// An interface is no more.
    pub fn forget(&mut self, interface: &str) {
        self.0.retain(|it, _| it.interface != interface);
    }
}

/// How often those of a router were taken away.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    pub counts: BTreeMap<IpAddr, u64>,
    latest: VecDeque<Time>,
    /// None is taken away before that.
    pub paused_until: Option<Time>,
}

impl Agent {
    /// Takes away, or tells of, what something else has put here and no router of this host holds.
    pub(super) fn evict(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for (intruder, mut done) in std::mem::take(&mut self.intruders.0) {
            if let Some(index) = self.whose(&intruder) {
                done = self.deal_with(now, index, &intruder, done, effects);
            }
            self.intruders.0.insert(intruder, done);
        }
    }

    /// What has been done about it then.
    fn deal_with(
        &self,
        now: Time,
        index: usize,
        intruder: &Intruder,
        done: Done,
        effects: &mut Vec<Effect>,
    ) -> Done {
        let router = &self.routers[index];
        if self.may_have(router, intruder.address) {
            return Done::Nothing;
        }
        let paused = router.evictions.paused_until.is_some_and(|until| now < until);
        if self.requires_claim(router) && !paused {
            if done != Done::Evicted {
                effects.push(Effect::Evict(intruder.clone()));
            }
            return Done::Evicted;
        }
        // Of a pause it is told as it begins.
        if done == Done::Nothing && !paused {
            let Intruder { interface, address, prefix } = intruder;
            let line = format!(
                "{}: {address} was put on {interface} by something else on this host, which is not Master: two \
                 hosts may answer for it; find what did it, and `ip address delete {address}/{prefix} dev {interface}`",
                router.config.name
            );
            effects.push(Effect::Note(Note::Trouble(line)));
        }
        Done::Told
    }

    /// One was taken away, or could not be.
    pub(super) fn evicted(
        &mut self,
        now: Time,
        intruder: &Intruder,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(index) = self.whose(intruder) else { return };
        let Intruder { interface, address, .. } = intruder;
        let router = &mut self.routers[index];
        let latest = &mut router.evictions.latest;
        latest.push_back(now);
        latest.retain(|at| now.since(*at) < RESTORE_WINDOW);
        let times = latest.len();
        let mut line = match result {
            Ok(()) => {
                *router.evictions.counts.entry(*address).or_default() += 1;
                format!(
                    "{address} was put on {interface} by something else on this host, which has no claim to it, \
                     and taken away"
                )
            }
            Err(line) => {
                // The next thing that happens there is the next attempt.
                if let Some(done) = self.intruders.0.get_mut(intruder) {
                    *done = Done::Told;
                }
                line
            }
        };
        if times > RESTORE_LIMIT {
            line = format!(
                "{address} was put on {interface} {times} times within {}s by something else on this host, which has \
                 no claim to it, and stays for {}s when it comes again: two hosts may answer for it; find what does \
                 it (another manager of the interface?) and stop it",
                RESTORE_WINDOW.as_secs(),
                RETRY_LONGEST.as_secs()
            );
            let until = now + RETRY_LONGEST;
            router.evictions.latest.clear();
            router.evictions.paused_until = Some(until);
            self.retry_at = self.retry_at.into_iter().chain([until]).min();
        }
        effects.push(Effect::Note(Note::Trouble(format!("{}: {line}", router.config.name))));
    }

    /// Whether something else has an address of this router on this host, which does not hold it.
    pub(super) fn is_intruded(&self, router: &Router, address: IpAddr) -> bool {
        let interfaces = interfaces(router, address).filter_map(|name| self.links.known().get(name));
        let mut addresses = interfaces.flat_map(|link| &link.addresses);
        !self.may_have(router, address) && addresses.any(|it| it.address == address)
    }

    /// The router that has the address, and would use that interface for it.
    fn whose(&self, Intruder { interface, address, .. }: &Intruder) -> Option<usize> {
        self.routers
            .iter()
            .position(|router| interfaces(router, *address).any(|name| name == interface.as_str()))
    }

    /// Whether the host holds it, is still giving it up, or is its owner (RFC 9568 1.6): an owner has it as its own.
    fn may_have(&self, router: &Router, address: IpAddr) -> bool {
        let family = Family::of(address);
        let mut members = router.members.iter().zip(router.instances(&self.sets));
        router.config.priority.is_owner()
            || router.standing(&self.sets) == Standing::Master
            || members.any(|(member, instance): (_, &Instance)| {
                (member.family == family || router.members.len() == 1)
                    && (instance.holds() || member.giving > 0)
            })
    }

    fn requires_claim(&self, router: &Router) -> bool {
        self.sets[router.set].office.as_ref().is_some_and(|(_, quorum)| *quorum == Quorum::Require)
    }
}

/// Where a router would put an address of its own: on that interface, or on its own one. None where it has no such
/// address.
fn interfaces(router: &Router, address: IpAddr) -> impl Iterator<Item = &str> {
    let vips = router.config.vips.iter().chain(&router.config.excluded);
    let mut vips = vips.filter(move |vip| vip.address == address);
    let first = vips.next();
    let own = first.and(router.link.as_deref());
    own.into_iter().chain(first.and_then(|vip| vip.dev.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::LinkAddress;

    fn link(addresses: &[&str]) -> Link {
        let addresses = addresses.iter().map(|text| LinkAddress {
            address: text.parse().unwrap(),
            prefix: 24,
            tentative: false,
            secondary: false,
        });
        let (name, addresses) = ("eth0".to_owned(), addresses.collect());
        Link { name, index: 2, up: true, mac: None, mtu: 1500, addresses }
    }

    #[test]
    fn only_a_virtual_address_that_comes_later_is_an_intruder_and_for_as_long_as_it_is_there() {
        let vips = ["10.0.0.100", "10.0.0.101"].map(|text| text.parse().unwrap()).into();
        let mut intruders = Intruders::default();
        let first = link(&["10.0.0.1", "10.0.0.100"]);
        let later = link(&["10.0.0.1", "10.0.0.2", "10.0.0.100", "10.0.0.101"]);
        intruders.see(Some(&first), &later, &vips);
        let found: Vec<_> = intruders.0.keys().map(|it| it.address.to_string()).collect();
        assert_eq!(found, ["10.0.0.101"]);
        intruders.see(Some(&later), &first, &vips);
        assert!(intruders.0.is_empty());
        let bare = link(&["10.0.0.1"]);
        intruders.see(Some(&first), &bare, &vips);
        intruders.see(Some(&bare), &first, &vips);
        assert_eq!(intruders.0.len(), 1, "one that was there before and comes again");
        intruders.see(Some(&first), &bare, &vips);
        intruders.see(None, &later, &vips);
        assert_eq!(intruders.0.len(), 2, "an interface that comes later");
        intruders.forget("eth0");
        assert!(intruders.0.is_empty());
    }
}
