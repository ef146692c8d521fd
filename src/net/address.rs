//! Makes what is held true and keeps it true: addresses, routes, rules. Announces the addresses.
//!
//! No policy: a [`Holder`] is told what shall be there and reports what happened. Each order compares
//! what the kernel has with what is wanted and changes the difference, so doing the same twice does
//! nothing, and a repair is the same work as the first time.
//!
//! An address that Locum puts there carries a mark (`IFA_PROTO` 112). One without the mark was there
//! before: it counts as held and is never touched. Kernels before 5.18 forget the mark; there a
//! journal in `/run` remembers what is Locum's. Routes and rules carry the same number as their protocol.
//!
//! A leased address has a lifetime in the kernel and goes when nobody renews it: the holder renews on orders
//! alone, so that whoever decides has to be alive, and not only this thread. He may also do it himself: [`Renewer`].
//!
//! One thread serves all interfaces: the kernel changes addresses under one lock (RTNL) for the whole
//! host, so more threads would only queue there, and one queue keeps every order in its place.

use super::renewer::Permit;
pub use super::renewer::Renewer;
use super::worker::{Task, Worker};
use super::{Placed, queue};
use crate::agent::Holding;
use crate::agent::config::Pace;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// What shall be done. Orders are carried out one after the other.
#[expect(clippy::large_enum_variant, reason = "few wait at a time, and what is large is what is to be done")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// From now on this, and of this owner nothing else, is there.
    Hold {
        /// The instance.
        owner: u32,
        /// Addresses, then routes, then rules are put there, each in its order.
        holding: Holding,
        /// No address that can be leased stays for longer than this, unless [`Order::Claimed`] says so; then
        /// [`Order::Renew`] is not about this owner.
        until: Option<Instant>,
    },
    /// What these owners hold may stay until then, and is renewed.
    Claimed {
        /// The instances.
        owners: Vec<u32>,
        /// When their claim ends.
        until: Instant,
    },
    /// This owner wants nothing any more.
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
    /// The same, with one frame, of addresses on other interfaces than that of the owner.
    AnnounceElsewhere {
        /// The instance.
        owner: u32,
    },
    /// Ask the neighbours who has one address of each interface and family.
    Ask {
        /// The instance.
        owner: u32,
    },
    /// An address may have to be put there in a moment: go through what is asked then.
    Rehearse,
    /// Announcements keep this distance from now on.
    Pace(Vec<Pace>),
    /// This address has gone from this interface: put it back if it is wanted.
    Gone {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// Take this address away, which something else has put there, unless some owner wants it.
    Evict {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
    /// Whoever decides is alive: addresses that would go by themselves stay, for another of their leases.
    Renew {
        /// When this was said. It holds for half a second.
        at: Instant,
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
    /// The answer to [`Order::Evict`], but where it had gone already.
    Evicted {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// One line naming address, interface and the kernel's reason.
        result: Result<(), String>,
    },
    /// Somebody had removed something else that is wanted; it is back.
    Repaired {
        /// The instance.
        owner: u32,
        /// A few words that name it: `route default via 10.0.0.1`.
        what: String,
    },
    /// The answer to [`Order::Announce`]; for frames that keep a distance, to each as it leaves.
    Announced {
        /// The instance.
        owner: u32,
        /// Frames that left.
        sent: usize,
        /// Frames that did not.
        failed: usize,
    },
    /// This host was seen answering to ARP for addresses with a virtual MAC address. Again only when that
    /// changes.
    Answered {
        /// The instance.
        owner: u32,
        /// One line that tells with what MAC address it answered instead, and by which interface.
        result: Result<(), String>,
    },
    /// An address of an earlier Locum was found and removed.
    Swept {
        /// The address.
        address: IpAddr,
        /// The interface it was on.
        interface: String,
    },
    /// The file that remembers Locum's addresses cannot be written: a crash would leave them behind.
    Forgets {
        /// The kernel's reason.
        why: String,
    },
    /// Something else of an earlier Locum was found and removed.
    Cleared {
        /// A few words that name it: `rule 100`.
        what: String,
    },
}

/// What a [`Holder`] works with.
#[derive(Clone, Debug, Default)]
pub struct Means {
    /// Takes every address that Locum puts somewhere, before the kernel has it, unless the kernel is known to keep
    /// the mark.
    pub placed: Placed,
    /// The file that remembers Locum's addresses over a crash where the kernel does not: in a
    /// directory that a reboot empties. Used on kernels before 5.18 only.
    pub journal: Option<PathBuf>,
    /// Leaves the mark out, to see here what such kernels do.
    pub unmarked: bool,
}

/// Where orders go.
#[derive(Clone, Debug)]
pub struct Holder {
    tasks: queue::Sender<Task>,
    permit: Permit,
}

impl Holder {
    /// Starts the worker, in the network namespace of the calling thread. It ends with the last handle.
    ///
    /// # Errors
    /// No netlink socket, or no thread, could be had.
    pub fn start(means: Means, report: impl Fn(Report) + Send + 'static) -> io::Result<Holder> {
        let permit = Permit::default();
        let mut worker = Worker::new(means, permit.clone(), report)?;
        Ok(Holder { tasks: queue::start("holder", move |queue| worker.run(queue))?, permit })
    }

    /// What can do [`Order::Renew`] without the worker, most of the time; in the namespace of the calling thread.
    ///
    /// # Errors
    /// No netlink socket could be had.
    pub fn renewer(&self) -> io::Result<Renewer> {
        Renewer::new(self.permit.clone())
    }

    /// Queues an order; never waits.
    pub fn order(&self, order: Order) {
        // Fails only after the worker has panicked; then no report will come, and the caller sees that.
        let _ = self.tasks.put(Task::Order(order));
    }

    /// Waits until everything queued is done, at most `within`. Whether it is done.
    #[must_use]
    pub fn finish(self, within: Duration) -> bool {
        let (done, wait) = channel();
        self.tasks.put(Task::Finish(done)) && wait.recv_timeout(within).is_ok()
    }
}
