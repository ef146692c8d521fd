//! Owners that take what is theirs, and those that do so at once: one look at an interface serves all of them.
//!
//! Part of `worker`, whose thread it is done by. Which owners, and of what, is decided elsewhere.

use super::address::{Order, Report};
use super::duty::Duty;
use super::queue::Queue;
use super::routing::Outcome;
use super::telling::FEW;
use super::wanted::{Place, Wanted};
use super::worker::{Task, Worker, first_error, no_longer};
use std::net::IpAddr;
use std::time::Instant;

/// One owner, while what it wants is put there.
struct Taking {
    owner: u32,
    new: Duty,
    /// Its addresses may be put there now.
    may: bool,
    /// What it had before,
    old: Vec<Wanted>,
    /// of which this was refused,
    leaving: Vec<IpAddr>,
    /// and whether the rest of it could be removed.
    removed: Result<(), String>,
    /// Its interfaces are there.
    made: Result<(), String>,
}

impl<F: Fn(Report)> Worker<F> {
    /// Does this order, and those like it that wait behind it, and then the announcements that wait among them: each
    /// order by itself would read the list of an interface, which grows with every one. No more than nobody has to wait
    /// for.
    pub(super) fn take(&mut self, first: (u32, Duty), queue: &Queue<Task>) {
        let mut room = FEW.saturating_sub(first.1.addresses.len());
        let (mut holds, mut announcements) = (vec![first], Vec::new());
        loop {
            let is_one = |of: u32| holds.iter().any(|(owner, _)| *owner == of);
            let fits = |task: &Task| match task {
                Task::Order(Order::Hold { owner, holding, .. }) => {
                    holding.vips.len() < room && !is_one(*owner)
                }
                Task::Order(Order::Announce { owner, .. }) => room > 0 && is_one(*owner),
                _ => false,
            };
            match if queue.is_next(fits) { queue.ready() } else { None } {
                Some(Task::Order(Order::Hold { owner, holding, until })) => {
                    room -= holding.vips.len();
                    holds.push((owner, Duty::of(holding, until)));
                }
                Some(Task::Order(Order::Announce { owner, count })) => announcements.push((owner, count)),
                _ => break,
            }
        }
        self.hold(holds, queue);
        for (owner, count) in announcements {
            self.announce(owner, count, |_, _| true);
        }
    }

    fn hold(&mut self, new: Vec<(u32, Duty)>, queue: &Queue<Task>) {
        let takings: Vec<Taking> = new.into_iter().map(|(owner, duty)| self.begin(owner, duty)).collect();
        // Before an address is there, and until it has gone.
        let leaving = takings.iter().flat_map(|taking| taking.leaving.iter().copied());
        let refused = self.firewall.refuse(self.refused().chain(leaving).collect());
        let outcomes = match &*takings {
            [Taking { owner, new, may, old, .. }] => {
                let wanted: &[Wanted] = if *may { &new.addresses } else { &[] };
                self.settle((*owner, new), wanted, &self.unwanted(old), queue)
            }
            several => {
                let may = several.iter().filter(|taking| taking.may);
                let wanted: Vec<Wanted> = may.flat_map(|taking| &taking.new.addresses).cloned().collect();
                let old: Vec<Wanted> = several.iter().flat_map(|taking| &taking.old).cloned().collect();
                let unwanted = self.unwanted(&old);
                self.settler.settle(&wanted, &unwanted)
            }
        };
        let refused = refused.and_then(|()| self.firewall.refuse(self.refused().collect()));
        for Taking { owner, new, may, removed, made, .. } in takings {
            let claimed = if may { Ok(()) } else { Err("the claim on it ends too soon".to_owned()) };
            let raised = made.and_then(|()| new.raise_vmacs(&self.macvlans).map(drop));
            let added = self.routing.add(&new.entries).into_iter().map(|outcome| match outcome {
                Outcome::Failed(reason) => Err(reason),
                _ => Ok(()),
            });
            let added = added.fold(Ok(()), Result::and);
            let there = first_error(&new.addresses, &outcomes);
            let result = claimed.and(refused.clone()).and(raised).and(there).and(added).and(removed);
            (self.report)(Report::Held { owner, result });
        }
    }

    /// What goes, goes before what comes: an entry may take the place of another.
    fn begin(&mut self, owner: u32, mut new: Duty) -> Taking {
        let may = new.fit(Instant::now());
        let old = self.duties.insert(owner, new.clone()).unwrap_or_default();
        let leaving = old.refused().collect();
        let removed = self.remove(old.entries);
        let removed = removed.and(self.delete_vmacs(old.vmacs));
        let made = new.make_vmacs(&mut self.macvlans).map(drop);
        Taking { owner, new, may, old: old.addresses, leaving, removed, made }
    }

    /// Those of `old` that no owner wants now. Whoever has just begun had none: among a thousand the list of all is not
    /// made for each.
    fn unwanted(&self, old: &[Wanted]) -> Vec<Place> {
        if old.is_empty() { Vec::new() } else { no_longer(old.to_vec(), &self.places()) }
    }
}
