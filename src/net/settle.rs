//! What is wanted against what the kernel has: finds the difference on an interface and changes it.
//!
//! Works for `address`; knows nothing of owners and orders. What is not Locum's is never touched, and
//! is put back where the kernel takes it along with one of Locum's.

use super::address::Means;
use super::along::{lost, takes_others_along};
use super::journal::Journal;
use super::local_route::{self, LocalRoute};
use super::netlink::{AddressFact, Change, Refusal};
use super::netlink_socket::Netlink;
use super::wanted::{Place, Wanted, place};
use crate::agent::Install;
use nix::errno::Errno;
use nix::net::if_::{if_indextoname, if_nametoindex};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

const LOOPBACK: &str = "lo";

/// What became of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    WasThere,
    Added,
    Removed,
}

/// Told of addresses that are there now, and on which interface.
pub(super) type Come<'a> = &'a mut dyn FnMut(&str, Vec<IpAddr>);

pub(super) type Outcomes = BTreeMap<Place, Result<Outcome, String>>;

/// The addresses of this host, as far as they are Locum's to change.
pub(super) struct Settler {
    netlink: Option<Netlink>,
    pub(super) means: Means,
    pub(super) journal: Journal,
    /// What Locum has put there and not removed.
    pub(super) put: BTreeSet<Place>,
    /// What should have been removed and could not.
    overdue: BTreeSet<Place>,
    /// What should be there and could not be put there.
    missing: BTreeSet<Place>,
    /// What somebody has removed that is not put back.
    gone: BTreeSet<Place>,
    /// The numbers that interfaces had when something was put there last.
    indices: BTreeMap<Arc<str>, u32>,
    /// The journal could not be written the last time,
    pub(super) forgetful: bool,
    /// and why, until that is told.
    pub(super) news: Option<String>,
    /// Whether the kernel keeps the mark; unknown until the first address is there.
    pub(super) marks: Option<bool>,
}

impl Settler {
    pub(super) fn new(means: Means) -> io::Result<Self> {
        let netlink = Some(Netlink::open()?);
        let journal = Journal::open(means.journal.clone());
        let put = journal.places().clone();
        // Only a kernel that forgets the mark leaves a journal behind.
        let marks = if put.is_empty() { None } else { Some(false) };
        let placed = put.iter().map(|place| place.address);
        means.placed.write().unwrap_or_else(PoisonError::into_inner).extend(placed);
        Ok(Settler {
            netlink,
            means,
            journal,
            put,
            forgetful: false,
            news: None,
            overdue: BTreeSet::new(),
            missing: BTreeSet::new(),
            gone: BTreeSet::new(),
            indices: BTreeMap::new(),
            marks,
        })
    }

    /// What should have been removed and could not.
    pub(super) fn overdue(&self) -> Vec<Place> {
        self.overdue.iter().cloned().collect()
    }

    /// Whether the address is there, as far as is known.
    pub(super) fn holds(&self, place: &Place) -> bool {
        !self.missing.contains(place) && !self.gone.contains(place)
    }

    /// Everything on this host that is Locum's.
    pub(super) fn ours_everywhere(&mut self) -> Result<BTreeSet<Place>, String> {
        let present = self.ask(|netlink| netlink.addresses(None))?;
        self.see_marks(&present);
        let marked = present.iter().filter(|fact| fact.marked()).filter_map(|fact| {
            let interface = if_indextoname(fact.index).ok()?.into_string().ok()?;
            Some(place(&interface.into(), fact))
        });
        let mut ours: BTreeSet<Place> = marked.chain(self.put.iter().cloned()).collect();
        let routes = self.ask(|netlink| netlink.local_routes(None))?;
        ours.extend(routes.into_iter().filter_map(|LocalRoute { index, address }| {
            let interface = if_indextoname(index).ok()?.into_string().ok()?.into();
            let address = address.into();
            Some(Place { interface, install: Install::LocalRoute, address, prefix: 32 })
        }));
        Ok(ours)
    }

    /// Makes it true that `wanted` is there and `unwanted` is not, as far as it is Locum's.
    pub(super) fn settle(&mut self, wanted: &[Wanted], unwanted: &[Place]) -> Outcomes {
        self.settle_and(wanted, unwanted, &mut |_, _| {})
    }

    /// The same, and tells of what comes meanwhile.
    pub(super) fn settle_and(&mut self, wanted: &[Wanted], unwanted: &[Place], come: Come<'_>) -> Outcomes {
        let mut work: BTreeMap<_, (Vec<&Wanted>, Vec<&Place>)> = BTreeMap::new();
        for wanted in wanted {
            work.entry((&wanted.place.interface, wanted.place.install)).or_default().0.push(wanted);
        }
        for place in unwanted {
            work.entry((&place.interface, place.install)).or_default().1.push(place);
        }
        let mut outcomes = Outcomes::new();
        for ((interface, install), (wanted, unwanted)) in work {
            let settled = match install {
                Install::Address => self.settle_on(interface, &wanted, &unwanted, &mut outcomes, come),
                Install::LocalRoute => self.settle_routes(interface, &wanted, &unwanted, &mut outcomes, come),
            };
            if let Err(reason) = settled {
                let touched = wanted.iter().map(|wanted| &wanted.place).chain(unwanted.iter().copied());
                outcomes.extend(touched.map(|place| (place.clone(), Err(format!("{place}: {reason}")))));
                self.overdue.extend(unwanted.into_iter().cloned());
            }
        }
        for wanted in wanted {
            if let Some(Err(_)) = outcomes.get(&wanted.place) {
                self.missing.insert(wanted.place.clone());
            } else {
                self.missing.remove(&wanted.place);
            }
        }
        outcomes
    }

    /// `Err`: nothing is known of any of the addresses.
    fn settle_on(
        &mut self,
        interface: &Arc<str>,
        wanted: &[&Wanted],
        unwanted: &[&Place],
        outcomes: &mut Outcomes,
        come: Come<'_>,
    ) -> Result<(), String> {
        let Some(index) = self.index(interface, wanted, unwanted, outcomes) else { return Ok(()) };
        let before = self.present(index)?;
        self.disown(interface, &before);
        self.let_go(interface, &before, wanted);
        let changes = self.plan(interface, index, &before, wanted, unwanted);
        outcomes.extend(wanted.iter().map(|wanted| (wanted.place.clone(), Ok(Outcome::WasThere))));
        self.change(interface, &changes, outcomes, come)?;
        if changes.iter().any(takes_others_along) {
            let after = self.present(index)?;
            let mut again = lost(&before, &after, &changes);
            again.retain(|change| wanted.iter().all(|wanted| wanted.place.address != change.fact().address));
            again.extend(self.plan(interface, index, &after, wanted, &[]));
            self.change(interface, &again, outcomes, come)?;
        }
        let done = |place: &&Place| !matches!(outcomes.get(place), Some(Err(_)));
        self.forget(unwanted.iter().copied().filter(done));
        Ok(())
    }

    /// Takes away an address that is not Locum's. `None`: it had gone already.
    pub(super) fn evict(
        &mut self,
        interface: &str,
        address: IpAddr,
        prefix: u8,
    ) -> Result<Option<()>, String> {
        let Ok(index) = if_nametoindex(interface) else { return Ok(None) };
        let interface = Arc::from(interface);
        let before = self.present(index)?;
        let same = |fact: &&AddressFact| fact.address == address && fact.prefix == prefix;
        let theirs = before.iter().filter(same).filter(|fact| !self.ours(&interface, fact));
        let changes: Vec<Change> = theirs.map(|fact| Change::Delete(fact.clone())).collect();
        let mut outcomes = Outcomes::new();
        self.change(&interface, &changes, &mut outcomes, &mut |_, _| {})?;
        if changes.iter().any(takes_others_along) {
            let again = lost(&before, &self.present(index)?, &changes);
            self.change(&interface, &again, &mut Outcomes::new(), &mut |_, _| {})?;
        }
        match outcomes.into_values().next() {
            Some(Ok(_)) => Ok(Some(())),
            // What is not Locum's is not tried again unasked.
            Some(Err(reason)) => {
                self.overdue.retain(|place| place.address != address || *place.interface != *interface);
                Err(reason)
            }
            None => Ok(None),
        }
    }

    /// Begins the lifetimes of these anew, of those that Locum has put there. What the kernel refuses ends in
    /// its time, and the kernel tells of that. Returns what was asked of it, for [`Settler::renew_again`].
    pub(super) fn renew(&mut self, wanted: &[&Wanted]) -> Result<Vec<Vec<u8>>, String> {
        let leased = wanted.iter().filter(|wanted| wanted.is_leased() && self.put.contains(&wanted.place));
        let changes: Vec<Change> = leased
            .filter_map(|wanted| {
                // By the number that it was put there with: under another there is none to renew.
                let index = self.indices.get(&wanted.place.interface)?;
                Some(wanted.renewal(*index, !self.means.unmarked))
            })
            .collect();
        self.ask(|netlink| netlink.order(&changes))
    }

    /// Renews what was renewed by this before.
    pub(super) fn renew_again(&mut self, requests: &[Vec<u8>]) -> Result<(), String> {
        self.ask(|netlink| netlink.repeat(requests))
    }

    /// The same for routes that stand for addresses. They carry Locum's mark in every kernel, and need
    /// no journal.
    fn settle_routes(
        &mut self,
        interface: &Arc<str>,
        wanted: &[&Wanted],
        unwanted: &[&Place],
        outcomes: &mut Outcomes,
        come: Come<'_>,
    ) -> Result<(), String> {
        let Some(index) = self.index(interface, wanted, unwanted, outcomes) else { return Ok(()) };
        let obstacle = if wanted.is_empty() { None } else { local_route::obstacle(interface) };
        let present: BTreeSet<LocalRoute> =
            self.ask(|netlink| netlink.local_routes(Some(index)))?.into_iter().collect();
        let route = |place: &Place| match place.address {
            IpAddr::V4(address) => Some(LocalRoute { index, address }),
            IpAddr::V6(_) => None,
        };
        let delete = unwanted.iter().filter_map(|place| {
            let route = route(place).filter(|route| present.contains(route))?;
            Some((*place, local_route::Change::Delete(route)))
        });
        let add = wanted.iter().filter_map(|wanted| {
            let route = route(&wanted.place).filter(|route| !present.contains(route))?;
            Some((&wanted.place, local_route::Change::Add(route)))
        });
        let (places, changes): (Vec<_>, Vec<_>) = delete.chain(add).unzip();
        outcomes.extend(wanted.iter().map(|wanted| (wanted.place.clone(), Ok(Outcome::WasThere))));
        let added = |changes: &[local_route::Change], results: &[Result<(), Refusal>]| {
            let added = changes.iter().zip(results).filter_map(|(change, result)| match (change, result) {
                (local_route::Change::Add(route), Ok(())) => Some(route.address.into()),
                _ => None,
            });
            come(interface, added.collect());
        };
        let results = self.ask(|netlink| netlink.change(&changes, added))?;
        for ((place, change), result) in places.into_iter().zip(changes).zip(results) {
            let outcome = match (change, result) {
                (local_route::Change::Add(_), Ok(())) => Ok(Outcome::Added),
                (local_route::Change::Delete(_), Ok(())) => Ok(Outcome::Removed),
                // Answered for already, by an address of this host or somebody else's route; or somebody
                // was faster.
                (_, Err(Refusal { errno: Errno::EEXIST | Errno::ESRCH | Errno::ENODEV, .. })) => continue,
                (local_route::Change::Add(_), Err(refusal)) => Err(format!("{place}: {refusal}")),
                (local_route::Change::Delete(_), Err(refusal)) => {
                    self.overdue.insert(place.clone());
                    Err(format!("cannot remove {place}: {refusal}"))
                }
            };
            outcomes.insert(place.clone(), outcome);
        }
        if let (Some(first), Some(reason)) = (wanted.first(), obstacle) {
            outcomes.insert(first.place.clone(), Err(format!("{}: {reason}", first.place)));
        }
        let done = |place: &&&Place| !matches!(outcomes.get(**place), Some(Err(_)));
        for place in unwanted.iter().filter(done) {
            self.overdue.remove(place);
            self.missing.remove(place);
        }
        Ok(())
    }

    /// The number of the interface. Where there is none, all is said.
    fn index(
        &mut self,
        interface: &Arc<str>,
        wanted: &[&Wanted],
        unwanted: &[&Place],
        outcomes: &mut Outcomes,
    ) -> Option<u32> {
        if let Ok(index) = if_nametoindex(&**interface) {
            self.indices.insert(interface.clone(), index);
            return Some(index);
        }
        self.indices.remove(interface);
        // With the interface its addresses are gone.
        self.forget(unwanted.iter().copied());
        let reason = "there is no such interface";
        let failed = |wanted: &&Wanted| (wanted.place.clone(), Err(format!("{}: {reason}", wanted.place)));
        outcomes.extend(wanted.iter().map(failed));
        None
    }

    /// What has to be done on one interface: first the deletions, the last put there first, so that
    /// an address goes before the one that it is secondary to.
    fn plan(
        &self,
        interface: &Arc<str>,
        index: u32,
        present: &[AddressFact],
        wanted: &[&Wanted],
        unwanted: &[&Place],
    ) -> Vec<Change> {
        let mut at: BTreeMap<IpAddr, Vec<&AddressFact>> = BTreeMap::new();
        for fact in present {
            at.entry(fact.address).or_default().push(fact);
        }
        let here = |address: &IpAddr| at.get(address).map(Vec::as_slice).unwrap_or_default();
        let (mut delete, mut add) = (Vec::new(), Vec::new());
        for wanted in wanted {
            let here = here(&wanted.place.address);
            let foreign = here.iter().any(|fact| !self.ours(interface, fact));
            let there = here.iter().find(|fact| wanted.matches(fact));
            if foreign || self.gone.contains(&wanted.place) {
                continue;
            }
            if let Some(there) = there {
                if wanted.is_leased() || there.ends() {
                    add.push(wanted.renewal(index, !self.means.unmarked));
                }
            } else {
                delete.extend(here.iter().map(|fact| Change::Delete((*fact).clone())));
                let mut fact = wanted.fact(index);
                if !self.means.unmarked {
                    fact.mark(wanted.own);
                }
                add.push(Change::Add(fact));
            }
        }
        for place in unwanted {
            let here = here(&place.address).iter();
            let ours = here.filter(|fact| fact.prefix == place.prefix && self.ours(interface, fact));
            delete.extend(ours.map(|fact| Change::Delete((*fact).clone())));
        }
        delete.reverse();
        delete.dedup();
        delete.extend(add);
        delete
    }

    /// What somebody has put in the place of one of Locum's is not to be renewed.
    fn disown(&mut self, interface: &Arc<str>, present: &[AddressFact]) {
        for fact in present {
            if !self.ours(interface, fact) {
                self.put.remove(&place(interface, fact));
            }
        }
    }

    /// What is not tracked and was removed by somebody stays away, until it is released and held anew.
    fn let_go(&mut self, interface: &Arc<str>, present: &[AddressFact], wanted: &[&Wanted]) {
        for Wanted { place: wanted, .. } in wanted.iter().filter(|wanted| !wanted.tracked) {
            let there = present.iter().any(|fact| place(interface, fact) == *wanted);
            if !there && self.put.remove(wanted) {
                self.gone.insert(wanted.clone());
            }
        }
    }

    /// Whether Locum has put this address there.
    fn ours(&self, interface: &Arc<str>, fact: &AddressFact) -> bool {
        if self.marks == Some(false) { self.put.contains(&place(interface, fact)) } else { fact.marked() }
    }

    fn change(
        &mut self,
        interface: &Arc<str>,
        changes: &[Change],
        outcomes: &mut Outcomes,
        come: Come<'_>,
    ) -> Result<(), String> {
        // The first that is added tells whether the kernel keeps the mark: while the list is short, and before the
        // journal would have to name all.
        let first = if self.marks.is_none() { changes.iter().position(Change::adds) } else { None };
        let (first, rest) = changes.split_at(first.map_or(0, |first| first + 1));
        self.change_some(interface, first, outcomes, come)?;
        self.change_some(interface, rest, outcomes, come)
    }

    fn change_some(
        &mut self,
        interface: &Arc<str>,
        changes: &[Change],
        outcomes: &mut Outcomes,
        come: Come<'_>,
    ) -> Result<(), String> {
        if changes.is_empty() {
            return Ok(());
        }
        self.before_adding(interface, changes);
        let added = |changes: &[Change], results: &[Result<(), Refusal>]| {
            let added =
                changes.iter().zip(results).filter(|(change, result)| change.adds() && result.is_ok());
            come(interface, added.map(|(change, _)| change.fact().address).collect());
        };
        let results = self.ask(|netlink| netlink.change(changes, added))?;
        for (change, result) in changes.iter().zip(results) {
            let place = place(interface, change.fact());
            match (change, result) {
                (Change::Add(_), Ok(())) => {
                    self.put.insert(place.clone());
                    outcomes.insert(place, Ok(Outcome::Added));
                }
                (Change::Delete(_), Ok(())) => {
                    self.put.remove(&place);
                    outcomes.insert(place, Ok(Outcome::Removed));
                }
                (Change::Renew(_), Ok(())) => drop(self.put.insert(place)),
                // One that cannot be renewed is there all the same, and the kernel tells when it goes.
                (Change::Renew(_) | Change::PutBack(_), _) => {}
                // Somebody was faster. An address put there this moment is not Locum's.
                (Change::Add(_), Err(refusal)) if refusal.errno == Errno::EEXIST => {}
                (Change::Delete(_), Err(refusal))
                    if matches!(refusal.errno, Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                (Change::Add(_), Err(refusal)) => {
                    outcomes.insert(place.clone(), Err(format!("{place}: {refusal}")));
                }
                (Change::Delete(_), Err(refusal)) => {
                    self.overdue.insert(place.clone());
                    outcomes.insert(place.clone(), Err(format!("cannot remove {place}: {refusal}")));
                }
            }
        }
        self.learn_of_marks(changes)?;
        self.write_journal();
        Ok(())
    }

    fn forget<'a>(&mut self, places: impl Iterator<Item = &'a Place>) {
        let mut addresses = BTreeSet::new();
        for place in places {
            self.put.remove(place);
            self.overdue.remove(place);
            self.missing.remove(place);
            self.gone.remove(place);
            addresses.insert(place.address);
        }
        for place in &self.put {
            addresses.remove(&place.address);
        }
        let mut list = self.means.placed.write().unwrap_or_else(PoisonError::into_inner);
        list.retain(|address| !addresses.contains(address));
        drop(list);
        self.write_journal();
    }

    pub(super) fn present(&mut self, index: u32) -> Result<Vec<AddressFact>, String> {
        self.ask(|netlink| netlink.addresses(Some(index)))
    }

    /// Asks what is asked before an address is put there, of an interface that every host has: what the processor and
    /// the kernel have at hand is done in half the time.
    pub(super) fn rehearse(&mut self) {
        if let Ok(index) = if_nametoindex(LOOPBACK) {
            let _ = self.present(index);
        }
    }

    /// A socket that failed is not used again: late answers would be taken for those to come.
    pub(super) fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Netlink) -> io::Result<T>,
    ) -> Result<T, String> {
        let ask = || -> io::Result<(T, Netlink)> {
            let mut netlink = self.netlink.take().map_or_else(Netlink::open, Ok)?;
            question(&mut netlink).map(|answer| (answer, netlink))
        };
        let (answer, netlink) = ask().map_err(|error| error.to_string())?;
        self.netlink = Some(netlink);
        Ok(answer)
    }
}
