//! The process group of what was started: signalled by its number, and never that of a stranger.

use super::running::Child;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgid};
use std::fs;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How often a group that was told to end is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Who may have a process of this daemon's: whoever has started it in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lender {
    /// The starter.
    pub(super) process: u32,
    /// Its user.
    pub(super) uid: u32,
}

/// A process group that dies when this is dropped, unless released.
#[derive(Debug)]
pub(super) struct Group {
    leader: Option<Pid>,
    /// Who waits for its leader and may give away its number, where that is not this process.
    lender: Option<Lender>,
}

impl Group {
    pub(super) fn new(process: Option<i32>, lender: Option<Lender>) -> Self {
        Group { leader: process.map(Pid::from_raw), lender }
    }

    /// Whether there was anyone to signal; with `None`, only asks.
    fn signal(&self, signal: Option<Signal>) -> bool {
        self.leader.is_some_and(|leader| killpg(leader, signal).is_ok())
    }

    pub(super) fn release(&mut self) {
        self.leader = None;
    }

    /// Releases one whose number may be another's by now. What a starter says is not believed: it could name any.
    fn make_sure(&mut self) {
        if let (Some(process), Some(lender)) = (self.leader, self.lender.take())
            && !lender.has(process)
        {
            self.release();
        }
    }

    /// Asks all of the group to end, then makes them. The number of a group is not given out again
    /// while it has a member, so no stranger is hit: we stop asking when the last one is gone.
    pub(super) async fn end(&mut self, child: &mut Child) {
        self.make_sure();
        self.signal(Some(Signal::SIGTERM));
        let gone = timeout(GRACE, async {
            let _ = child.wait().await;
            while self.signal(None) {
                sleep(GLANCE).await;
            }
        });
        if gone.await.is_err() {
            self.signal(Some(Signal::SIGKILL));
            // Bounded, because a process stuck in the kernel dies only when it comes back.
            let _ = timeout(GRACE, child.wait()).await;
        }
        self.release();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.make_sure();
        self.signal(Some(Signal::SIGKILL));
    }
}

impl Lender {
    /// Whether the process leads its group and is a child of the starter, or its user's own after the starter has
    /// died: so its group is what the user has started, who may end it himself.
    pub(super) fn has(self, process: Pid) -> bool {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u32>().ok()
        };
        let its = number("PPid:") == Some(self.process) || number("Uid:") == Some(self.uid);
        its && getpgid(Some(process)) == Ok(process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{self, Command};

    #[test]
    fn a_starter_that_names_a_stranger_has_it_not_killed_but_what_it_has_started_is() {
        let sleeper = || Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let (mut stranger, mut started) = (sleeper(), sleeper());
        let group = |of: &process::Child, process| {
            Group::new(i32::try_from(of.id()).ok(), Some(Lender { process, uid: 4242 }))
        };
        drop(group(&stranger, started.id()));
        assert!(stranger.try_wait().unwrap().is_none(), "it is somebody else's");
        drop(group(&started, process::id()));
        assert_eq!(started.wait().unwrap().signal(), Some(9));
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
