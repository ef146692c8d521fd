//! Standard error, whose reader may hang: a stopped journal, a terminal that holds, a pipe that nobody empties.
//!
//! Who logs is the core, whose adverts must not wait for a reader. Which lines, and in which form, is no matter here.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write, stderr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long one line may wait for a reader that is slow, in milliseconds. One that hangs is not waited for again.
const PATIENCE: u16 = 10;

/// Lines that were lost since the last one that was written.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Writes `line`, and in front of it how many were lost, in the words of `lost`. Loses it where nobody takes it.
pub(super) fn write(line: &str, lost: impl Fn(String) -> String) -> io::Result<()> {
    let waiting = LOST.load(Ordering::Relaxed) > 0;
    if !is_read(if waiting { 0 } else { PATIENCE }) {
        LOST.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    let count = LOST.swap(0, Ordering::Relaxed);
    if count > 0 {
        let text = format!("{count} lines were lost: nobody read them from standard error");
        stderr().write_all((lost(text) + line).as_bytes())
    } else {
        stderr().write_all(line.as_bytes())
    }
}

/// Whether there is room for a line within so many milliseconds. A pipe has room for a page then.
fn is_read(within: u16) -> bool {
    let stderr = stderr();
    let mut watched = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // What cannot be polled is written to: no pipe, then, but a file.
    poll(&mut watched, PollTimeout::from(within)).map_or(true, |ready| ready > 0)
}
