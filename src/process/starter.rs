//! The starter: a small process of this program that runs as a user, and starts what the daemon orders as that user.
//!
//! A daemon that starts a program as another user is copied for it (fork); who is that user already starts it without
//! (vfork). It decides nothing: it takes an order with the pipe for what the program says, tells its process id, and
//! later how it ended. It ends with the connection, and leaves what it has started to whoever ordered it.

use super::order::{LONGEST, Order, Word};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send,
};
use rustix::process::{WaitOptions, wait};
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut, PipeWriter, Stdin};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

/// The argument, alone, that makes a process a starter; the connection to the daemon is at its standard input.
pub const STARTS: &str = "--starts-scripts";

/// Starts what is ordered, until the daemon hangs up. Returns the exit code.
#[must_use]
pub fn serve() -> u8 {
    u8::from(Starter::new().and_then(Starter::attend).is_err())
}

struct Starter {
    daemon: Stdin,
    signals: SignalFd,
    /// The number of the order, by process id.
    running: BTreeMap<i32, u64>,
    buffer: Vec<u8>,
}

impl Starter {
    fn new() -> io::Result<Self> {
        // Its user may end it, but has no business in it.
        prctl::set_dumpable(false)?;
        // And not that of the link by which it was started.
        prctl::set_name(c"locum")?;
        let mask: SigSet = [Signal::SIGCHLD].into_iter().collect();
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Starter { daemon: io::stdin(), signals, running: BTreeMap::new(), buffer: vec![0; LONGEST] })
    }

    fn attend(mut self) -> io::Result<()> {
        loop {
            let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut watched = [readable(self.signals.as_fd()), readable(self.daemon.as_fd())];
            match poll(&mut watched, PollTimeout::NONE) {
                Err(Errno::EINTR) | Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let [ended, ordered] = watched.map(|fd| fd.any().unwrap_or_default());
            if ended {
                self.reap()?;
            }
            if ordered && !self.obey()? {
                return Ok(());
            }
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        while self.signals.read_signal()?.is_some() {}
        // An error: there is none left.
        while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
            let code = status.exit_status().map(|code| code << 8);
            let status = code.or(status.terminating_signal()).unwrap_or_default();
            if let Some(id) = self.running.remove(&process.as_raw_nonzero().get()) {
                self.say(id, Word::Ended(status))?;
            }
        }
        Ok(())
    }

    /// Whether more may be ordered.
    fn obey(&mut self) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let got = recvmsg(&self.daemon, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut passed = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
            _ => None,
        });
        let whole = !got.flags.contains(ReturnFlags::TRUNC);
        let order = self.buffer.get(..got.bytes).filter(|_| whole).and_then(Order::read);
        let (Some((id, order)), Some(output)) = (order, passed.next()) else { return Ok(false) };
        let word = match order.start(&PipeWriter::from(output), |mut command| command.spawn()) {
            Ok(child) => {
                // It has not been waited for, so there is no other with its number.
                let process = i32::try_from(child.id()).map_err(io::Error::other)?;
                self.running.insert(process, id);
                Word::Started(process)
            }
            Err(error) => Word::Failed(error.raw_os_error().unwrap_or(Errno::EINVAL as i32)),
        };
        self.say(id, word)?;
        Ok(true)
    }

    fn say(&self, id: u64, word: Word) -> io::Result<()> {
        send(&self.daemon, &word.to_bytes(id), SendFlags::NOSIGNAL)?;
        Ok(())
    }
}
