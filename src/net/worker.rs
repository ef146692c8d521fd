//! The thread behind a [`Holder`](super::address::Holder): what every owner wants, and the orders one
//! after the other.

use super::address::{Means, Order, Report};
use super::announce::Announcer;
use super::answers::{Answers, Verdict};
use super::connections;
use super::duty::Duty;
use super::firewall::{Firewall, Shut};
use super::macvlan::Macvlans;
use super::pace::Pacer;
use super::queue::{Nothing, Queue};
use super::renewer::Permit;
use super::routing::{self, Entry, Routing};
use super::settle::{Outcome, Outcomes, Settler};
use super::telling::Early;
use super::wanted::{Place, Wanted};
use crate::agent::Vmac;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

#[expect(clippy::large_enum_variant, reason = "nearly all are orders")]
#[derive(Debug)]
pub(super) enum Task {
    Order(Order),
    Finish(Sender<()>),
}

/// Owners that give up together, at most: the first is told of before the last has begun.
const TOGETHER: usize = 64;

/// What goes with one owner.
struct Leaving {
    places: Vec<Place>,
    closes: bool,
    drain_ports: Box<[u16]>,
    entries: Vec<Entry>,
    vmacs: Vec<Vmac>,
}

impl Leaving {
    /// What of it nobody else wants.
    fn of(old: Duty, wanted: &BTreeSet<&Place>) -> Self {
        Leaving {
            places: no_longer(old.addresses, wanted),
            closes: old.close_connections,
            drain_ports: old.drain_ports,
            entries: old.entries,
            vmacs: old.vmacs,
        }
    }

    fn addresses(&self) -> BTreeSet<IpAddr> {
        self.places.iter().map(|place| place.address).collect()
    }

    fn shut(&self) -> Result<Option<Shut>, String> {
        let shut = !self.drain_ports.is_empty() && !self.places.is_empty();
        shut.then(|| Shut::new(&self.addresses(), &self.drain_ports)).transpose()
    }
}

pub(super) struct Worker<F> {
    pub(super) macvlans: Macvlans,
    pub(super) firewall: Firewall,
    pub(super) settler: Settler,
    pub(super) routing: Routing,
    pub(super) duties: BTreeMap<u32, Duty>,
    /// Routes and rules that should have been removed and could not.
    overdue: Vec<Entry>,
    pub(super) announcers: BTreeMap<String, Announcer>,
    pub(super) pacer: Pacer,
    pub(super) early: Option<Early>,
    pub(super) answers: Answers,
    pub(super) permit: Permit,
    pub(super) report: F,
}

impl<F: Fn(Report)> Worker<F> {
    pub(super) fn new(means: Means, permit: Permit, report: F) -> io::Result<Self> {
        Ok(Worker {
            macvlans: Macvlans::new(means.journal.as_ref().map(|path| path.with_extension("settings")))?,
            firewall: Firewall::default(),
            settler: Settler::new(means)?,
            routing: Routing::new()?,
            duties: BTreeMap::new(),
            overdue: Vec::new(),
            announcers: BTreeMap::new(),
            pacer: Pacer::default(),
            early: None,
            answers: Answers::default(),
            permit,
            report,
        })
    }

    pub(super) fn run(&mut self, queue: &Queue<Task>) {
        let mut next = None;
        while let Some(task) = next.take().or_else(|| self.wait(queue)) {
            match task {
                Task::Finish(done) => {
                    // The other side may have given up waiting.
                    let _ = done.send(());
                }
                Task::Order(Order::Gone { interface, address }) => {
                    // Deleting one address may take a thousand along: one comparison serves them all.
                    let mut gone = BTreeSet::from([(interface, address)]);
                    next = loop {
                        match queue.ready() {
                            Some(Task::Order(Order::Gone { interface, address })) => {
                                gone.insert((interface, address));
                            }
                            other => break other,
                        }
                    };
                    let _ = self.take_renewal();
                    self.restore(|place| gone.contains(&(place.interface.to_string(), place.address)));
                }
                Task::Order(Order::Release { owner }) => {
                    let mut owners = vec![owner];
                    while owners.len() < TOGETHER
                        && queue.is_next(|task| matches!(task, Task::Order(Order::Release { .. })))
                        && let Some(Task::Order(Order::Release { owner })) = queue.ready()
                    {
                        owners.push(owner);
                    }
                    let _ = self.take_renewal();
                    self.release(&owners);
                }
                // It changes nothing: who renews meanwhile goes on.
                Task::Order(Order::Rehearse) => self.settler.rehearse(),
                Task::Order(order) => self.perform(order, queue),
            }
            if let Some(why) = self.settler.forgets() {
                (self.report)(Report::Forgets { why });
            }
        }
    }

    /// The next task. Frames that have waited long enough leave meanwhile.
    fn wait(&mut self, queue: &Queue<Task>) -> Option<Task> {
        loop {
            let now = Instant::now();
            if self.answers.due().is_some_and(|at| at <= now) {
                self.judge_answers(now);
            }
            let next = self.pacer.due(now).into_iter().chain(self.answers.due()).min();
            match queue.next(next) {
                Ok(task) => return Some(task),
                Err(Nothing::Ended) => return None,
                Err(Nothing::Late) => {
                    if let Some(frame) = self.pacer.take(Instant::now()) {
                        self.announce_one(&frame);
                    }
                }
            }
        }
    }

    fn perform(&mut self, order: Order, queue: &Queue<Task>) {
        let renewal = self.take_renewal();
        match order {
            Order::Hold { owner, holding, until } => self.take((owner, Duty::of(holding, until)), queue),
            Order::Release { owner } => self.release(&[owner]),
            Order::Announce { owner, count } => self.announce(owner, count, |_, _| true),
            Order::AnnounceElsewhere { owner } => {
                self.announce(owner, 1, |duty, place| *place.interface != *duty.interface);
            }
            Order::Ask { owner } => self.ask(owner),
            Order::Pace(paces) => self.pacer.set(paces),
            Order::Rehearse => self.settler.rehearse(),
            Order::Gone { interface, address } => {
                self.restore(|place| *place.interface == *interface && place.address == address);
            }
            Order::Evict { interface, address, prefix } => {
                let is_it = |place: &Place| *place.interface == *interface && place.address == address;
                let wanted = self.addresses().any(|wanted| is_it(&wanted.place));
                if !wanted && let Some(result) = self.settler.evict(&interface, address, prefix).transpose() {
                    (self.report)(Report::Evicted { interface, address, prefix, result });
                }
            }
            Order::Renew { at } => {
                // What goes with a claim by itself: each time for as long as that lasts.
                let _ = self.renew(at, |_, lease| lease.until.is_some());
                let renewal = self.renew_all(at, renewal);
                self.permit.give(renewal);
            }
            Order::Claimed { owners, until } => {
                for owner in &owners {
                    if let Some(lease) = self.duties.get_mut(owner).and_then(|duty| duty.lease.as_mut()) {
                        lease.until = Some(until);
                    }
                }
                let _ = self.renew(Instant::now(), |owner, _| owners.contains(&owner));
            }
            Order::Check => {
                let overdue = self.settler.overdue();
                self.settler.settle(&[], &overdue);
                let overdue = std::mem::take(&mut self.overdue);
                // What fails again is overdue again, and was told of the first time.
                let _ = self.remove(overdue);
                self.restore(|_| true);
            }
            Order::Sweep => self.sweep(),
            Order::Stop => {
                let owners: Vec<u32> = self.duties.keys().copied().collect();
                for some in owners.chunks(TOGETHER) {
                    self.release(some);
                }
            }
        }
    }

    /// Removes these interfaces, but for those that some owner wants.
    pub(super) fn delete_vmacs(&mut self, vmacs: Vec<Vmac>) -> Result<(), String> {
        let wanted = |vmac: &Vmac| self.duties.values().any(|duty| duty.vmacs.contains(vmac));
        let unwanted: Vec<Vmac> = vmacs.into_iter().filter(|vmac| !wanted(vmac)).collect();
        unwanted.iter().map(|vmac| self.macvlans.delete(vmac)).fold(Ok(()), Result::and)
    }

    /// One look at all connections and addresses of this host serves all of them.
    fn release(&mut self, owners: &[u32]) {
        let gone = owners.iter().map(|owner| self.duties.remove(owner).unwrap_or_default());
        let gone: Vec<Duty> = gone.collect();
        for owner in owners {
            self.pacer.forget(*owner);
            self.answers.forget(*owner);
        }
        if self.duties.is_empty() {
            // This may be the end: what takes long is begun first, and together with what others close.
            self.announcers.clear();
        }
        let wanted = self.places();
        let parts: Vec<Leaving> = gone.into_iter().map(|old| Leaving::of(old, &wanted)).collect();
        // Whoever came in between the end of the others and that of the address would never be told.
        let shuts: Vec<_> = parts.iter().map(Leaving::shut).collect();
        let closed: BTreeSet<IpAddr> =
            parts.iter().filter(|part| part.closes).flat_map(Leaving::addresses).collect();
        if !closed.is_empty() {
            // Whom a kernel cannot help to notice notices later.
            let _ = connections::close(&closed);
        }
        let mut results = Vec::new();
        let mut unwanted = Vec::new();
        for part in parts {
            let removed = self.remove(part.entries);
            // Its addresses go with it.
            let deleted = self.delete_vmacs(part.vmacs);
            results.push((part.places.clone(), removed.and(deleted)));
            unwanted.extend(part.places);
        }
        let outcomes = self.settler.settle(&[], &unwanted);
        let accepted = self.firewall.refuse(self.refused().collect());
        for ((owner, (places, result)), shut) in owners.iter().zip(results).zip(shuts) {
            let opened = shut.and_then(|shut| shut.map_or(Ok(()), Shut::open));
            let failed = places.iter().find_map(|place| outcomes.get(place)?.clone().err());
            let result = failed.map_or(Ok(()), Err).and(result).and(accepted.clone()).and(opened);
            (self.report)(Report::Released { owner: *owner, result });
        }
    }

    /// The addresses that packets are refused to.
    pub(super) fn refused(&self) -> impl Iterator<Item = IpAddr> {
        self.duties.values().flat_map(Duty::refused)
    }

    /// Removes those of `old` that no owner wants now.
    pub(super) fn remove(&mut self, mut old: Vec<Entry>) -> Result<(), String> {
        if old.is_empty() {
            return Ok(());
        }
        let wanted = self.entries();
        old.retain(|entry| !wanted.contains(entry));
        let result = self.routing.remove(&old, &wanted);
        if result.is_err() {
            self.overdue.extend(old);
        }
        result
    }

    fn entries(&self) -> Vec<Entry> {
        self.duties.values().flat_map(|duty| &duty.entries).cloned().collect()
    }

    pub(super) fn places(&self) -> BTreeSet<&Place> {
        self.addresses().map(|wanted| &wanted.place).collect()
    }

    fn addresses(&self) -> impl Iterator<Item = &Wanted> {
        self.duties.values().flat_map(|duty| &duty.addresses)
    }

    /// Puts back what is wanted, chosen and not there; and all routes and rules, since the kernel
    /// takes them away along with addresses, and does not always tell.
    pub(super) fn restore(&mut self, chosen: impl Fn(&Place) -> bool) {
        if let Err(reason) = self.firewall.refuse(self.refused().collect()) {
            for (owner, _) in self.duties.iter().filter(|(_, duty)| duty.refuse) {
                (self.report)(Report::Held { owner: *owner, result: Err(reason.clone()) });
            }
        }
        let now = Instant::now();
        let mut over = BTreeSet::new();
        for (owner, duty) in &mut self.duties {
            if !duty.fit(now) {
                over.insert(*owner);
            }
        }
        let choose = |owner: &u32, duty: &Duty| -> Vec<Wanted> {
            let may = |wanted: &&Wanted| !over.contains(owner) && chosen(&wanted.place);
            duty.addresses.iter().filter(may).cloned().collect()
        };
        // Of owners that have lost no address the interface is still there, and nobody asks for it: among
        // a thousand of them whoever gives up one would cost a question for each.
        let concerned = |(owner, duty): (&u32, &Duty)| {
            let chosen = choose(owner, duty);
            (duty.addresses.is_empty() || !chosen.is_empty()).then_some((*owner, chosen))
        };
        let owners: Vec<(u32, Vec<Wanted>)> = self.duties.iter().filter_map(concerned).collect();
        let made: Vec<(u32, Result<bool, String>)> = owners
            .iter()
            .filter_map(|(owner, _)| Some((*owner, self.duties.get(owner)?.make_vmacs(&mut self.macvlans))))
            .collect();
        // All at once: the kernel's list of an interface is read once, however many owners it serves.
        let all: Vec<Wanted> = owners.iter().flat_map(|(_, wanted)| wanted).cloned().collect();
        let outcomes = self.settler.settle(&all, &[]);
        for (owner, wanted) in owners {
            for place in wanted.iter().map(|wanted| &wanted.place) {
                if outcomes.get(place) == Some(&Ok(Outcome::Added)) {
                    (self.report)(Report::Restored { owner, address: place.address });
                }
            }
            if let result @ Err(_) = first_error(&wanted, &outcomes) {
                (self.report)(Report::Held { owner, result });
            }
        }
        for (owner, made) in made {
            self.report_vmac(owner, made);
        }
        self.restore_entries();
    }

    fn report_vmac(&self, owner: u32, made: Result<bool, String>) {
        let Some(duty) = self.duties.get(&owner) else { return };
        match made.and_then(|new| duty.raise_vmacs(&self.macvlans).map(|raised| new || raised)) {
            Ok(false) => {}
            Ok(true) => {
                let names: Vec<&str> = duty.vmacs.iter().map(|vmac| vmac.name.as_str()).collect();
                let name = names.join(", ");
                (self.report)(Report::Repaired { owner, what: format!("interface {name}") });
            }
            Err(reason) => (self.report)(Report::Held { owner, result: Err(reason) }),
        }
    }

    fn restore_entries(&self) {
        let owned = |(owner, duty): (&u32, &Duty)| -> Vec<(u32, Entry)> {
            duty.entries.iter().map(|entry| (*owner, entry.clone())).collect()
        };
        let (owners, entries): (Vec<u32>, Vec<Entry>) = self.duties.iter().flat_map(owned).unzip();
        let outcomes = self.routing.add(&entries);
        for ((owner, entry), outcome) in owners.into_iter().zip(entries).zip(outcomes) {
            match outcome {
                routing::Outcome::WasThere => {}
                routing::Outcome::Added => {
                    (self.report)(Report::Repaired { owner, what: entry.to_string() });
                }
                routing::Outcome::Failed(reason) => {
                    (self.report)(Report::Held { owner, result: Err(reason) });
                }
            }
        }
    }

    fn sweep(&mut self) {
        for what in self.routing.sweep(&self.entries()) {
            (self.report)(Report::Cleared { what });
        }
        self.firewall.sweep();
        for name in self.macvlans.sweep() {
            (self.report)(Report::Cleared { what: format!("interface {name}") });
        }
        // What cannot be read now is found by the next start; holding does not depend on it.
        let Ok(mut left) = self.settler.ours_everywhere() else { return };
        for wanted in self.addresses() {
            left.remove(&wanted.place);
        }
        let left: Vec<Place> = left.into_iter().collect();
        for (Place { address, interface, .. }, outcome) in self.settler.settle(&[], &left) {
            if outcome == Ok(Outcome::Removed) {
                let interface = interface.to_string();
                (self.report)(Report::Swept { address, interface });
            }
        }
    }

    /// Tells what this host answers for addresses with a virtual MAC address, and mends what it can.
    fn judge_answers(&mut self, now: Instant) {
        let Worker { duties, answers, macvlans, report, .. } = self;
        let all = || duties.iter().flat_map(|(owner, duty)| duty.virtual_macs().map(move |of| (*owner, of)));
        let find = |wanted| all().find(|(_, (address, _))| *address == wanted);
        for (owner, verdict) in
            answers.look(now, |address| find(address).map(|(owner, (_, mac))| (owner, mac)))
        {
            let result = match verdict {
                Verdict::Right => Ok(()),
                Verdict::Wrong(answer) => {
                    let interface = answer.interface();
                    let mended = macvlans.mend(&interface);
                    Err(answer.tell(&interface, mended))
                }
            };
            report(Report::Answered { owner, result });
        }
    }
}

/// Those of `old` that no owner wants now.
pub(super) fn no_longer(old: Vec<Wanted>, wanted: &BTreeSet<&Place>) -> Vec<Place> {
    old.into_iter().map(|old| old.place).filter(|place| !wanted.contains(place)).collect()
}

pub(super) fn first_error(wanted: &[Wanted], outcomes: &Outcomes) -> Result<(), String> {
    let error = |wanted: &Wanted| outcomes.get(&wanted.place).and_then(|outcome| outcome.clone().err());
    wanted.iter().find_map(error).map_or(Ok(()), Err)
}
