//! The one way into the core: a queue, and a descriptor that wakes it.

use super::dump::Dump;
use crate::agent::Input;
use crate::config::{Loaded, Problems};
use crate::control::Asked;
use crate::net::{address, link};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Something that came from a doer, a person or the kernel.
pub(super) enum Arrival {
    /// Ready for the agent.
    Input(Input),
    Address(address::Report),
    Link(link::Report),
    Asked(Asked),
    /// SIGHUP.
    Reload,
    /// A signal that asks for a dump.
    Dump(Dump),
    /// SIGTERM or SIGINT; the second one does not wait.
    Stop,
    /// A configuration was read, on behalf of somebody or of a signal.
    Loaded {
        asked: Option<Asked>,
        dry_run: bool,
        result: Result<Box<Loaded>, Problems>,
    },
}

/// The sending end; cheap to clone.
#[derive(Clone)]
pub(super) struct Inbox {
    queue: Sender<Arrival>,
    wake: Arc<EventFd>,
}

impl Inbox {
    pub(super) fn new() -> io::Result<(Self, Receiver<Arrival>)> {
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let (queue, arrivals) = channel();
        Ok((Inbox { queue, wake: Arc::new(wake) }, arrivals))
    }

    /// Puts something in and wakes the core.
    pub(super) fn put(&self, arrival: Arrival) {
        // Without a core there is nobody left to tell.
        if self.queue.send(arrival).is_ok() {
            let _ = self.wake.write(1);
        }
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
