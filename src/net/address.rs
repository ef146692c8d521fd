//! Makes the held addresses true and keeps them true, and announces them.
//!
//! No policy: a [`Holder`] is told which addresses shall be there and reports what happened. Each
//! order compares what the kernel has with what is wanted and changes the difference, so doing the
//! same twice does nothing, and a repair is the same work as the first time.
//!
//! An address that Locum puts there carries a mark (`IFA_PROTO` 112). One without the mark was there
//! before: it counts as held and is never touched. Kernels before 5.18 forget the mark; there a
//! journal in `/run` remembers what is Locum's.
//!
//! One thread serves all interfaces: the kernel changes addresses under one lock (RTNL) for the whole
//! host, so more threads would only queue there, and one queue keeps every order in its place.

use super::Placed;
use super::announce::{Announcer, frame};
use super::settle::{Outcome, Outcomes, Place, Settler, Wanted};
use crate::vrrp::Vip;
use nix::net::if_::if_nametoindex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// What shall be done. Orders are carried out one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// From now on these addresses, and of this owner no others, are there.
    Hold {
        /// The instance.
        owner: u32,
        /// Where the addresses go that name no interface of their own.
        interface: String,
        /// The addresses, in the order in which they are put there.
        vips: Vec<Vip>,
    },
    /// This owner wants no addresses any more.
    Release {
        /// The instance.
        owner: u32,
    },
    /// Tells the neighbours of every address of the owner that is there.
    Announce {
        /// The instance.
        owner: u32,
        /// How often, one after the other.
        count: u8,
    },
    /// This address has gone from this interface: put it back if it is wanted.
    Gone {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// Compare all that is wanted with the kernel, and repair.
    Check,
    /// Remove what an earlier Locum left behind: what carries the mark and is not wanted.
    Sweep,
    /// Release everything.
    Stop,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The answer to [`Order::Hold`]; or a repair that failed, by [`Order::Gone`] or [`Order::Check`].
    Held {
        /// The instance.
        owner: u32,
        /// One line naming address, interface and the kernel's reason.
        result: Result<(), String>,
    },
    /// The answer to [`Order::Release`], and for every owner to [`Order::Stop`].
    Released {
        /// The instance.
        owner: u32,
        /// What could not be removed; it is tried again with every [`Order::Check`].
        result: Result<(), String>,
    },
    /// Somebody had removed a wanted address; it is back.
    Restored {
        /// The instance.
        owner: u32,
        /// The address.
        address: IpAddr,
    },
    /// The answer to [`Order::Announce`].
    Announced {
        /// The instance.
        owner: u32,
        /// Frames that left.
        sent: usize,
        /// Frames that did not.
        failed: usize,
    },
    /// An address of an earlier Locum was found and removed.
    Swept {
        /// The address.
        address: IpAddr,
        /// The interface it was on.
        interface: String,
    },
}

/// What a [`Holder`] works with.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Takes every address that Locum puts somewhere, before the kernel has it.
    pub placed: Placed,
    /// The file that remembers Locum's addresses over a crash where the kernel does not: in a
    /// directory that a reboot empties. Used on kernels before 5.18 only.
    pub journal: Option<PathBuf>,
    /// Leaves the mark out, to see here what such kernels do.
    pub unmarked: bool,
}

enum Task {
    Order(Order),
    Finish(Sender<()>),
}

/// Where orders go.
#[derive(Clone, Debug)]
pub struct Holder {
    tasks: Sender<Task>,
}

impl Holder {
    /// Starts the worker, in the network namespace of the calling thread. It ends with the last handle.
    ///
    /// # Errors
    /// No netlink socket, or no thread, could be had.
    pub fn start(means: Means, report: impl Fn(Report) + Send + 'static) -> io::Result<Holder> {
        let (tasks, queue) = channel();
        let settler = Settler::new(means)?;
        let mut worker = Worker { settler, wanted: BTreeMap::new(), announcers: BTreeMap::new(), report };
        thread::Builder::new().name("addresses".to_owned()).spawn(move || worker.run(&queue))?;
        Ok(Holder { tasks })
    }

    /// Queues an order; never waits.
    pub fn order(&self, order: Order) {
        // Fails only after the worker has panicked; then no report will come, and the caller sees that.
        let _ = self.tasks.send(Task::Order(order));
    }

    /// Waits until everything queued is done, at most `within`. Whether it is done.
    #[must_use]
    pub fn finish(self, within: Duration) -> bool {
        let (done, wait) = channel();
        self.tasks.send(Task::Finish(done)).is_ok() && wait.recv_timeout(within).is_ok()
    }
}

struct Worker<F> {
    settler: Settler,
    wanted: BTreeMap<u32, Vec<Wanted>>,
    announcers: BTreeMap<String, Announcer>,
    report: F,
}

impl<F: Fn(Report)> Worker<F> {
    fn run(&mut self, queue: &Receiver<Task>) {
        let mut next = None;
        while let Some(task) = next.take().or_else(|| queue.recv().ok()) {
            match task {
                Task::Finish(done) => {
                    // The other side may have given up waiting.
                    let _ = done.send(());
                }
                Task::Order(Order::Gone { interface, address }) => {
                    // Deleting one address may take a thousand along: one comparison serves them all.
                    let mut gone = BTreeSet::from([(interface, address)]);
                    next = loop {
                        match queue.try_recv() {
                            Ok(Task::Order(Order::Gone { interface, address })) => {
                                gone.insert((interface, address));
                            }
                            other => break other.ok(),
                        }
                    };
                    self.restore(|place| gone.contains(&(place.interface.clone(), place.address)));
                }
                Task::Order(order) => self.perform(order),
            }
        }
    }

    fn perform(&mut self, order: Order) {
        match order {
            Order::Hold { owner, interface, vips } => {
                let new: Vec<Wanted> = vips.into_iter().map(|vip| Wanted::new(vip, &interface)).collect();
                let old = self.wanted.insert(owner, new.clone()).unwrap_or_default();
                let unwanted = self.no_longer_wanted(old);
                let outcomes = self.settler.settle(&new, &unwanted);
                (self.report)(Report::Held { owner, result: first_error(&new, &outcomes) });
            }
            Order::Release { owner } => self.release(owner),
            Order::Announce { owner, count } => self.announce(owner, count),
            Order::Gone { interface, address } => {
                self.restore(|place| place.interface == interface && place.address == address);
            }
            Order::Check => {
                let overdue = self.settler.overdue();
                self.settler.settle(&[], &overdue);
                self.restore(|_| true);
            }
            Order::Sweep => self.sweep(),
            Order::Stop => {
                let owners: Vec<u32> = self.wanted.keys().copied().collect();
                for owner in owners {
                    self.release(owner);
                }
            }
        }
    }

    fn release(&mut self, owner: u32) {
        let old = self.wanted.remove(&owner).unwrap_or_default();
        let unwanted = self.no_longer_wanted(old);
        let outcomes = self.settler.settle(&[], &unwanted);
        let result = outcomes.into_values().find_map(Result::err).map_or(Ok(()), Err);
        (self.report)(Report::Released { owner, result });
    }

    /// Those of `old` that no owner wants now.
    fn no_longer_wanted(&self, old: Vec<Wanted>) -> Vec<Place> {
        let wanted: BTreeSet<&Place> = self.wanted.values().flatten().map(|wanted| &wanted.place).collect();
        old.into_iter().map(|old| old.place).filter(|place| !wanted.contains(place)).collect()
    }

    /// Puts back what is wanted, chosen and not there.
    fn restore(&mut self, chosen: impl Fn(&Place) -> bool) {
        let choose = |wanted: &[Wanted]| -> Vec<Wanted> {
            wanted.iter().filter(|wanted| chosen(&wanted.place)).cloned().collect()
        };
        let owners: Vec<(u32, Vec<Wanted>)> =
            self.wanted.iter().map(|(owner, wanted)| (*owner, choose(wanted))).collect();
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
    }

    fn sweep(&mut self) {
        // What cannot be read now is found by the next start; holding does not depend on it.
        let Ok(mut left) = self.settler.ours_everywhere() else { return };
        for wanted in self.wanted.values().flatten() {
            left.remove(&wanted.place);
        }
        let left: Vec<Place> = left.into_iter().collect();
        for (Place { address, interface, .. }, outcome) in self.settler.settle(&[], &left) {
            if outcome == Ok(Outcome::Removed) {
                (self.report)(Report::Swept { address, interface });
            }
        }
    }

    fn announce(&mut self, owner: u32, count: u8) {
        let mut interfaces: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        let wanted = self.wanted.get(&owner).into_iter().flatten();
        for wanted in wanted.filter(|wanted| self.settler.holds(&wanted.place)) {
            interfaces.entry(wanted.place.interface.clone()).or_default().push(wanted.place.address);
        }
        let (mut sent, mut failed) = (0, 0);
        for (interface, addresses) in interfaces {
            let all = addresses.len() * usize::from(count);
            match self.announce_on(&interface, &addresses, count) {
                Ok(Some(left)) => {
                    sent += left;
                    failed += all.saturating_sub(left);
                }
                // No Ethernet, no neighbours to tell.
                Ok(None) => {}
                Err(_) => failed += all,
            }
        }
        (self.report)(Report::Announced { owner, sent, failed });
    }

    fn announce_on(
        &mut self,
        interface: &str,
        addresses: &[IpAddr],
        count: u8,
    ) -> Result<Option<usize>, String> {
        let index = if_nametoindex(interface).map_err(|errno| errno.desc().to_owned())?;
        let Some(mac) = self.settler.ask(|netlink| netlink.mac(index))? else {
            return Ok(None);
        };
        if self.announcers.get(interface).is_none_or(|announcer| announcer.index() != index) {
            let announcer = Announcer::open(index).map_err(|error| error.to_string())?;
            self.announcers.insert(interface.to_owned(), announcer);
        }
        let frames: Vec<Vec<u8>> = addresses.iter().map(|address| frame(mac, *address)).collect();
        let sent = self
            .announcers
            .get(interface)
            .map_or(0, |announcer| (0..count).map(|_| announcer.send(&frames)).sum());
        Ok(Some(sent))
    }
}

fn first_error(wanted: &[Wanted], outcomes: &Outcomes) -> Result<(), String> {
    let error = |wanted: &Wanted| outcomes.get(&wanted.place).and_then(|outcome| outcome.clone().err());
    wanted.iter().find_map(error).map_or(Ok(()), Err)
}
