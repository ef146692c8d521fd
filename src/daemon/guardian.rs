//! The guardian: a small parent process that outlives a daemon which is killed or crashes, says the farewell
//! in its place, takes its addresses away and starts it again.
//!
//! It decides nothing about VRRP and reads no configuration: it does what the daemon has put on its list
//! ([`super::ward`]). No runtime, no threads; while all is well it sleeps in poll(2) without a timer.

use super::last_will::LastWill;
use super::trim;
use super::ward::{LONGEST, Word};
use super::{EXIT_BUG, EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, EXIT_PRIVILEGES};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio, id};
use std::time::{Duration, Instant};
use std::{env, io};

/// How long to wait before the first start after a crash; twice as long after each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A daemon that has lived for so long is in no crash loop.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// Exit codes with which a daemon ends by itself.
const MEANT: [u8; 4] = [EXIT_OK, EXIT_FAILURE, EXIT_CONFIG, EXIT_PRIVILEGES];

/// Runs the daemon as a child, with the arguments of this process and `--guarded` and the process id.
/// Returns the exit code: the daemon's own where it ended by itself.
#[must_use]
pub fn guard() -> u8 {
    match Guardian::new().and_then(Guardian::watch) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("locum: the guardian cannot go on: {error}");
            EXIT_FAILURE
        }
    }
}

struct Guardian {
    program: PathBuf,
    arguments: Vec<OsString>,
    signals: SignalFd,
    will: LastWill,
    /// Somebody wants the daemon to end.
    stopping: bool,
}

impl Guardian {
    fn new() -> io::Result<Self> {
        let passed_on = [
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            // The service manager's word for a daemon that hangs.
            Signal::SIGABRT,
            Signal::SIGCHLD,
        ];
        let mask: SigSet = passed_on.into_iter().collect();
        mask.thread_block()?;
        let mut arguments: Vec<_> = env::args_os().skip(1).collect();
        arguments.extend(["--guarded".into(), id().to_string().into()]);
        Ok(Guardian {
            // Read now: the file may be another by the time of a restart, which is what an upgrade wants.
            program: env::current_exe()?,
            arguments,
            signals: SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            will: LastWill::default(),
            stopping: false,
        })
    }

    fn watch(mut self) -> io::Result<u8> {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let (mut daemon, list) = self.start()?;
            trim::text();
            let ended = self.attend(&mut daemon, &list)?;
            if let Some(code) = meant(ended) {
                return Ok(code);
            }
            // What it said last may still be on its way.
            self.read(&list)?;
            eprintln!("locum: guardian: the daemon has ended unasked ({ended}): farewell in its place");
            std::mem::take(&mut self.will).carry_out();
            if self.stopping {
                return Ok(EXIT_BUG);
            }
            if started.elapsed() >= WELL_AFTER {
                pause = FIRST_PAUSE;
            }
            eprintln!("locum: guardian: the daemon is started again in {} ms", pause.as_millis());
            if self.told_to_stop_within(pause)? {
                return Ok(EXIT_OK);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The daemon, and the end of the connection that its list comes through.
    fn start(&self) -> io::Result<(Child, OwnedFd)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        // Its standard input: this lasts when another program takes its place, and nothing else reads there.
        let mut command = Command::new(&self.program);
        // The service manager's watch is over whoever is patted by, which is the daemon.
        command.args(&self.arguments).stdin(Stdio::from(its)).env_remove("WATCHDOG_PID");
        Ok((command.spawn()?, ours))
    }

    /// Sleeps until the daemon has ended, and serves it until then.
    fn attend(&mut self, daemon: &mut Child, list: &OwnedFd) -> io::Result<ExitStatus> {
        let mut listening = true;
        loop {
            let mut both = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(list.as_fd(), PollFlags::POLLIN),
            ];
            // A connection that has ended would ring for ever.
            let watched = if listening { &mut both[..] } else { &mut both[..1] };
            match poll(watched, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) | Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            if listening {
                listening = self.read(list)?;
            }
            self.pass_signals_on(daemon)?;
            if let Some(ended) = daemon.try_wait()? {
                return Ok(ended);
            }
        }
    }

    /// Takes what is on the connection. Whether more may come.
    fn read(&mut self, list: &OwnedFd) -> io::Result<bool> {
        let mut buffer = vec![0; LONGEST];
        loop {
            match recv(list.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(nix::errno::Errno::ECONNRESET) => return Ok(false),
                Ok(length) => {
                    // A word that makes no sense is a daemon of another version: it is left out.
                    let word = buffer.get(..length).map(serde_json::from_slice::<Word>);
                    if let Some(Ok(word)) = word {
                        self.will.note(word);
                    }
                }
                Err(nix::errno::Errno::EAGAIN) => return Ok(true),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn pass_signals_on(&mut self, daemon: &Child) -> io::Result<()> {
        // It has not been waited for, so the number is still its own.
        let process = Pid::from_raw(i32::try_from(daemon.id()).unwrap_or(i32::MAX));
        while let Some(signal) = self.next_signal()? {
            let signal = match signal {
                Signal::SIGCHLD => continue,
                Signal::SIGABRT => {
                    self.stopping = true;
                    Signal::SIGKILL
                }
                other => other,
            };
            self.stopping |= matches!(signal, Signal::SIGTERM | Signal::SIGINT);
            // One that has just ended is noticed next.
            let _ = kill(process, signal);
        }
        Ok(())
    }

    fn next_signal(&mut self) -> io::Result<Option<Signal>> {
        let Some(info) = self.signals.read_signal()? else { return Ok(None) };
        Ok(i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()))
    }

    fn told_to_stop_within(&mut self, pause: Duration) -> io::Result<bool> {
        let end = Instant::now() + pause;
        loop {
            while let Some(signal) = self.next_signal()? {
                if matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGABRT) {
                    return Ok(true);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let mut signals = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut signals, timeout);
        }
    }
}

/// The exit code of a daemon that ended by itself; `None` after a crash.
fn meant(ended: ExitStatus) -> Option<u8> {
    let code = ended.code().and_then(|code| u8::try_from(code).ok())?;
    (ended.signal().is_none() && MEANT.contains(&code)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_daemon_that_ended_by_itself_stays_ended() {
        let exited = |code: i32| meant(ExitStatus::from_raw(code << 8));
        assert_eq!([0, 1, 2, 77].map(exited), [Some(0), Some(1), Some(2), Some(77)]);
        assert_eq!([70, 101].map(exited), [None, None]);
        assert_eq!(meant(ExitStatus::from_raw(9)), None);
    }
}
