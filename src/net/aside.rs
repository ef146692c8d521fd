//! A socket for frames that is closed by a thread of its own.
//!
//! The kernel waits for every CPU, up to 20 ms, before it lets a packet socket go: nobody should wait that has
//! adverts to send or addresses to give up. Those that are closed within a moment of each other wait together,
//! while one after the other each would wait anew.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::thread;

/// Of whoever locks its memory each thread has all of its stack: it needs next to nothing.
const STACK: usize = 64 << 10;

/// There until it is dropped.
#[derive(Debug)]
pub(super) struct Aside(Option<OwnedFd>);

impl From<OwnedFd> for Aside {
    fn from(socket: OwnedFd) -> Self {
        Aside(Some(socket))
    }
}

impl AsFd for Aside {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect("taken by drop alone").as_fd()
    }
}

impl AsRawFd for Aside {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let socket = self.0.take();
        let thread = thread::Builder::new().name("close".to_owned()).stack_size(STACK);
        // Without a thread it is closed here, and that takes its time.
        let _ = thread.spawn(move || drop(socket));
    }
}
