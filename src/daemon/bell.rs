//! Where the core sleeps: one epoll(7) over the inbox and every VRRP socket, to the nanosecond.
//!
//! Who has nothing to say costs nothing here, however many there are. A descriptor that is closed is
//! not watched any more.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Descriptors told of at once; the others come next.
const AT_ONCE: usize = 16;

pub(super) struct Bell {
    epoll: OwnedFd,
    rung: Vec<Event>,
}

impl Bell {
    /// Fails where the kernel cannot do it, rather than never to sleep later on.
    pub(super) fn new() -> io::Result<Self> {
        let mut bell =
            Bell { epoll: epoll::create(CreateFlags::CLOEXEC)?, rung: Vec::with_capacity(AT_ONCE) };
        match bell.wait(Some(&Timespec::default())) {
            Err(Errno::NOSYS) => Err(io::Error::other(
                "this needs epoll_pwait2: Linux 5.11 or newer, and no filter that forbids it",
            )),
            _ => Ok(bell),
        }
    }

    /// Wakes whoever sleeps while `descriptor` can be read, and says `number` then.
    pub(super) fn watch(&self, descriptor: impl AsFd, number: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(number), EventFlags::IN)?)
    }

    /// Sleeps until something can be read, `longest` is over, or a signal comes.
    pub(super) fn sleep(&mut self, longest: Option<Duration>) {
        let longest = longest.and_then(|longest| Timespec::try_from(longest).ok());
        // Interrupted: whatever there is, is told of next time.
        let _ = self.wait(longest.as_ref());
    }

    fn wait(&mut self, longest: Option<&Timespec>) -> Result<usize, Errno> {
        self.rung.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.rung), longest)
    }

    /// The numbers of those that can be read, as of the last sleep.
    pub(super) fn rung(&self) -> impl Iterator<Item = u64> {
        self.rung.iter().map(|event| event.data.u64())
    }
}
