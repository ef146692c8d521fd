//! Watches the processes that a probe has found, so that their end is known at once and not by the next
//! probe: `pidfd_open(2)`. Where that cannot be had, the next probe is all there is.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::future::{pending, poll_fn};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Who has more processes to watch than this relies on the next probe.
const MOST: usize = 64;

/// What is known of one process.
pub(super) enum Found {
    /// It was gone before it could be watched.
    Gone,
    /// It lives; its end can be waited for, or not.
    Lives(Option<OwnedFd>),
}

/// Takes hold of a process; never blocks.
pub(super) fn find(pid: u32) -> Found {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    match pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
        Some(Err(Errno::SRCH)) => Found::Gone,
        found => Found::Lives(found.and_then(Result::ok)),
    }
}

/// Watches for one check.
#[derive(Default)]
pub(super) struct Sentry(Mutex<Option<Post>>);

/// Whom to watch, and how many of them may end before anybody has to look.
struct Post {
    watched: Vec<AsyncFd<OwnedFd>>,
    spare: usize,
}

impl Sentry {
    /// Watches these from now on, and no others. All or none: who is not watched could be the last.
    pub(super) fn post(&self, processes: Vec<Option<OwnedFd>>, spare: usize) {
        #[expect(deprecated, reason = "sound here: an OwnedFd stays the same descriptor; its heir is unsafe")]
        let watch = |process: Option<OwnedFd>| AsyncFd::with_interest(process?, Interest::READABLE).ok();
        let few = processes.len() <= MOST;
        let watched = processes.into_iter().filter(|_| few).map(watch).collect::<Option<Vec<_>>>();
        let post = watched.filter(|watched| spare < watched.len()).map(|watched| Post { watched, spare });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = post;
    }

    /// Watches nobody any more.
    pub(super) fn dismiss(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits until more have ended than may; for ever where nobody is watched.
    pub(super) async fn alarm(&self) {
        let Some(Post { watched, spare }) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return pending().await;
        };
        poll_fn(|cx| {
            // Readable for good, from its end on.
            let ended = watched.iter().filter(|process| process.poll_read_ready(cx).is_ready()).count();
            if ended > spare { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
