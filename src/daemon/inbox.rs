//! The one way into the core: a queue, and a descriptor that wakes it.

use super::dump::Dump;
use super::recorder::Recorder;
use crate::agent::status::{DnsStatus, MessageStatus};
use crate::agent::{Input, InstanceId, Intruder};
use crate::config::{Loaded, Problems};
use crate::control::Asked;
use crate::history::Event;
use crate::net::{address, link};
use crate::time::Time;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::OwnedFd;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use tracing::warn;

/// Messages of doers taken before packets and timers get their turn: a burst of those delays no advert.
const AT_ONCE: usize = 64;

/// Something that came from a doer, a person or the kernel.
pub(super) enum Arrival {
    /// Ready for the agent.
    Input(Input),
    /// The same, of that time, where it may well change nothing.
    Left {
        at: Time,
        input: Input,
    },
    Address(address::Report),
    Link(link::Report),
    Asked(Asked),
    /// SIGHUP.
    Reload,
    /// How one stands who receives messages.
    Receiver(MessageStatus),
    /// How a record of DNS stands.
    Dns(DnsStatus),
    /// Something for the record of what happened.
    Happened(Event),
    /// Find out how everything stands, for the records of DNS.
    Survey,
    /// A signal that asks for a dump.
    Dump(Dump),
    /// SIGTERM or SIGINT; the second one does not wait.
    Stop,
    /// Whether the program that is to take the place of this one can, or a line for each reason.
    Tried {
        asked: Asked,
        result: Result<(), Vec<String>>,
    },
    /// The guardian has gone.
    Unguarded,
    /// There is another.
    Guarded(OwnedFd),
    /// Nothing runs any more that the next program would not know of.
    Retired,
    /// A configuration was read, on behalf of somebody or of a signal.
    Loaded {
        asked: Option<Asked>,
        dry_run: bool,
        result: Result<Box<Loaded>, Problems>,
    },
}

/// What an arrival means to the core.
pub(super) enum Meant {
    Input(Input),
    Left { at: Time, input: Input },
    Adopt { input: Input, loaded: Box<Loaded> },
    Dump(Dump),
}

/// The sending end; cheap to clone.
#[derive(Clone)]
pub(super) struct Inbox {
    queue: Sender<Arrival>,
    wake: Arc<EventFd>,
    /// How often the core has taken what was there.
    taken: Arc<AtomicU64>,
    /// Something was put in without waking the core.
    left: Arc<AtomicBool>,
}

impl Inbox {
    pub(super) fn new() -> io::Result<(Self, Receiver<Arrival>)> {
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let (queue, arrivals) = channel();
        Ok((Inbox { queue, wake: Arc::new(wake), taken: Arc::default(), left: Arc::default() }, arrivals))
    }

    /// Puts something in and wakes the core.
    pub(super) fn put(&self, arrival: Arrival) {
        // Without a core there is nobody left to tell.
        if self.queue.send(arrival).is_ok() {
            self.wake();
        }
    }

    /// Puts something in that can wait until the core wakes for something else. Returns how often that has taken
    /// what was there.
    pub(super) fn leave(&self, input: Input) -> u64 {
        // As above.
        let _ = self.queue.send(Arrival::Left { at: super::now(), input });
        self.left.store(true, Ordering::Release);
        self.taken()
    }

    /// Whether something was put in since that was last asked, without waking the core.
    pub(super) fn was_left(&self) -> bool {
        self.left.load(Ordering::Relaxed) && self.left.swap(false, Ordering::Acquire)
    }

    /// How often the core has taken what was there.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// What is there; where that is much, the next turn begins at once, with the rest.
    pub(super) fn take(&self, arrivals: &Receiver<Arrival>) -> Vec<Arrival> {
        let taken: Vec<Arrival> = arrivals.try_iter().take(AT_ONCE).collect();
        if taken.len() == AT_ONCE {
            self.wake();
        } else {
            self.taken.fetch_add(1, Ordering::Release);
        }
        taken
    }

    /// Wakes the core.
    fn wake(&self) {
        // It can only fail while the core has been woken and has not slept since.
        let _ = self.wake.write(1);
    }

    /// Forgets the wake-ups so far; to be called before the queue is emptied.
    pub(super) fn clear(&self) {
        let _ = self.wake.read();
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// What the holder reports, in the agent's words.
pub(super) fn address_input(report: address::Report, record: &Recorder) -> Option<Input> {
    Some(match report {
        address::Report::Held { owner, result } => Input::Held { instance: InstanceId(owner), result },
        address::Report::Restored { owner, address } => {
            record.put(Event::Repaired { what: address.to_string() });
            Input::Restored { instance: InstanceId(owner), address }
        }
        address::Report::Repaired { what, .. } => {
            warn!("{what} had been removed by somebody else; it is back");
            record.put(Event::Repaired { what });
            return None;
        }
        address::Report::Answered { owner, result } => {
            Input::Answered { instance: InstanceId(owner), result }
        }
        address::Report::Evicted { interface, address, prefix, result } => {
            Input::Evicted(Intruder { interface, address, prefix }, result)
        }
        address::Report::Announced { owner, sent, failed } => Input::Announced {
            instance: InstanceId(owner),
            sent: u32::try_from(sent).unwrap_or(u32::MAX),
            failed: u32::try_from(failed).unwrap_or(u32::MAX),
        },
        address::Report::Released { owner, result } => {
            if let Err(line) = result {
                warn!("cannot release: {line}");
            }
            Input::Released { instance: InstanceId(owner) }
        }
        address::Report::Swept { address, interface } => {
            warn!("{address} was left on {interface} by an earlier run; removed");
            record.put(Event::Swept { what: format!("{address} on {interface}") });
            return None;
        }
        address::Report::Forgets { why } => {
            warn!(
                "the list of addresses in the folder of the socket cannot be written: {why}: a crash would leave them"
            );
            return None;
        }
        address::Report::Cleared { what } => {
            warn!("{what} was left by an earlier run; removed");
            record.put(Event::Swept { what });
            return None;
        }
    })
}
