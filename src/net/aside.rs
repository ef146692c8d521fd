//! A socket for frames that is closed by a thread of its own.
//!
//! The kernel waits for every CPU, up to 20 ms, before it lets a packet socket go: nobody should wait that has
//! adverts to send or addresses to give up. Those that are closed within a moment of each other wait together,
//! while one after the other each would wait anew.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

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
        if let Ok(thread) = thread.spawn(move || drop(socket)) {
            let mut closing = closing();
            closing.retain(|thread| !thread.is_finished());
            closing.push(thread);
        }
    }
}

/// Waits for all that are being closed. What a process leaves open at its end is closed one after the other.
pub fn finish() {
    let threads = std::mem::take(&mut *closing());
    for thread in threads {
        // Closing cannot panic.
        let _ = thread.join();
    }
}

fn closing() -> MutexGuard<'static, Vec<JoinHandle<()>>> {
    static CLOSING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());
    CLOSING.lock().unwrap_or_else(PoisonError::into_inner)
}
