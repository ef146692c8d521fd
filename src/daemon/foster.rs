//! A guardian that the daemon finds itself: where it has none from the start, for a service manager wants the daemon
//! as the service's main process, and where the one it had was killed.

use super::guardian::{FIRST_PAUSE, GUARDED, GUARDS, LONGEST_PAUSE, WELL_AFTER, cut};
use super::inbox::{Arrival, Inbox};
use super::{privileges, scheduling, ward};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio, id};
use std::time::Instant;
use std::{env, io, thread};
use tracing::warn;

/// Sees to it, from a thread of its own, that there is always one. `guardian`: the connection to the first.
/// `directory`: where the arguments of this process were written, if not here.
pub(super) fn watch(guardian: Option<OwnedFd>, directory: Option<PathBuf>, inbox: Inbox) -> io::Result<()> {
    let seeker = Seeker::new(directory)?;
    scheduling::spawn("guardian", move || seeker.seek(guardian, &inbox)).map(drop)
}

/// This program, as it was started.
struct Seeker {
    program: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
    directory: PathBuf,
}

impl Seeker {
    fn new(directory: Option<PathBuf>) -> io::Result<Self> {
        let mut words = env::args_os();
        let name = words.next().unwrap_or_default();
        let mut arguments = words.collect();
        cut(&mut arguments, GUARDED);
        let directory = directory.map_or_else(env::current_dir, Ok)?;
        Ok(Seeker { program: env::current_exe()?, name, arguments, directory })
    }

    fn seek(&self, mut guardian: Option<OwnedFd>, inbox: &Inbox) {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(connection) = guardian.take() {
                let since = Instant::now();
                wait_for_end(&connection);
                inbox.put(Arrival::Unguarded);
                if since.elapsed() >= WELL_AFTER {
                    pause = FIRST_PAUSE;
                }
                thread::sleep(pause);
            }
            match self.start().and_then(|next| Ok((next.try_clone()?, next))) {
                Ok((ours, next)) => {
                    inbox.put(Arrival::Guarded(ours));
                    guardian = Some(next);
                }
                Err(error) => {
                    warn!("a guardian cannot be started: {error}");
                    thread::sleep(pause);
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Starts one for this process. It goes to the background, and what was started ends.
    fn start(&self) -> io::Result<OwnedFd> {
        privileges::pass_to_children().map_err(io::Error::other)?;
        let (ours, its) = ward::connection()?;
        let mut command = Command::new(&self.program);
        command.arg0(&self.name).args(&self.arguments).arg(GUARDS).arg(id().to_string());
        let ended = command.current_dir(&self.directory).stdin(Stdio::from(its)).status()?;
        if ended.success() { Ok(ours) } else { Err(io::Error::other(ended.to_string())) }
    }
}

fn wait_for_end(connection: &OwnedFd) {
    // The end is told unasked.
    let mut end = [PollFd::new(connection.as_fd(), PollFlags::empty())];
    while let Err(Errno::EINTR) = poll(&mut end, PollTimeout::NONE) {}
}
