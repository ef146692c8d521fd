//! The guardian: a small parent process that outlives a daemon which is killed or crashes, says the farewell
//! in its place, takes its addresses away and starts it again. One that comes in the place of another guardian
//! ([`super::foster`]) watches over the daemon that is there, and is its parent only from the next start on.
//!
//! It decides nothing about VRRP and reads no configuration: it does what the daemon has put on its list
//! ([`super::word`]). No runtime, no threads; while all is well it sleeps in poll(2), without a timer once all is
//! calm. Nothing is allocated after its start, but for what the C library needs to start a process and to find an
//! interface with a virtual MAC address, and for the words of an error.

use super::last_will::LastWill;
use super::scheduling;
use super::trim::{self, Program};
use super::word::LONGEST;
use super::{EXIT_BUG, EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, EXIT_PRIVILEGES};
use nix::errno::Errno;
use nix::libc::SI_KERNEL;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fmt, io};

/// The argument that makes a process the daemon of a guardian; behind it stands the guardian's real-time priority.
pub const GUARDED: &str = "--guarded";
/// The argument of a guardian that comes in the place of another; behind it stands the daemon's process id.
pub const GUARDS: &str = "--guards";

/// How long its start and the first words take at the most; what they needed is given back then.
const CALM: Duration = Duration::from_secs(1);
/// So long after a later word what that needed is given back, whatever comes meanwhile.
const REST: Duration = Duration::from_secs(20);
/// How long to wait before the first start after a crash; twice as long after each that follows.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who has lived for so long is in no crash loop.
pub(super) const WELL_AFTER: Duration = Duration::from_secs(60);
/// Exit codes with which a daemon ends by itself.
const MEANT: [u8; 4] = [EXIT_OK, EXIT_FAILURE, EXIT_CONFIG, EXIT_PRIVILEGES];

/// Runs the daemon as a child, with the arguments of this process and [`GUARDED`]. Returns the exit code: the
/// daemon's own where it ended by itself.
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

/// Whether a service manager has started this, who starts it again, and wants the daemon as the main process.
#[must_use]
pub fn managed() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

struct Guardian {
    /// Starts the daemon.
    command: Command,
    /// The daemon that there is already, and the connection to it.
    found: Option<(Charge, OwnedFd)>,
    signals: SignalFd,
    will: LastWill,
    program: Program,
    buffer: Vec<u8>,
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
            Signal::SIGCHLD,
        ];
        let mask: SigSet = passed_on.into_iter().collect();
        mask.thread_block()?;
        let mut words = env::args_os();
        let name = words.next().unwrap_or_default();
        let mut arguments: Vec<_> = words.collect();
        let found = cut(&mut arguments, GUARDS).map(|process| Charge::find(&process)).transpose()?;
        if arguments.first().is_some_and(|command| command == "run") {
            arguments.extend([GUARDED.into(), scheduling::priority().to_string().into()]);
        }
        // Read now: the file may be another by the time of a restart, which is what an upgrade wants.
        let mut command = Command::new(env::current_exe()?);
        command.arg0(name).args(arguments);
        Ok(Guardian {
            command,
            found,
            signals: SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            will: LastWill::default(),
            program: Program::find(),
            buffer: vec![0; LONGEST],
            stopping: false,
        })
    }

    fn watch(mut self) -> io::Result<u8> {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let (mut daemon, list) = self.found.take().map_or_else(|| self.start(), Ok)?;
            match self.attend(&mut daemon, &list)? {
                Ended::Meant(code) => return Ok(code),
                unasked => eprintln!("locum: guardian: {unasked}: farewell in its place"),
            }
            // A child of its own it has started before, and a crash may come before any word.
            let restarts = self.will.restarts || matches!(daemon, Charge::Child(_));
            self.will.carry_out();
            if self.stopping || !restarts {
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
    fn start(&mut self) -> io::Result<(Charge, OwnedFd)> {
        let (ours, its) = super::ward::connection()?;
        // Its standard input: this lasts when another program takes its place, and nothing else reads there.
        let started = self.command.stdin(Stdio::from(its)).spawn();
        // Or its end of the connection would stay open here.
        self.command.stdin(Stdio::inherit());
        Ok((Charge::Child(started?), ours))
    }

    /// Sleeps until the daemon has ended, and serves it until then.
    fn attend(&mut self, daemon: &mut Charge, list: &OwnedFd) -> io::Result<Ended> {
        let mut listening = true;
        let mut calm_at = Some(Instant::now() + CALM);
        loop {
            let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
            // What has no descriptor of its own rings twice at another.
            let signals = self.signals.as_fd();
            // A connection that has ended would ring for ever.
            let list_fd = if listening { list.as_fd() } else { signals };
            let mut watched =
                [readable(signals), readable(list_fd), readable(daemon.fd().unwrap_or(signals))];
            let rest = calm_at.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = rest.and_then(|rest| PollTimeout::try_from(rest).ok()).unwrap_or(PollTimeout::NONE);
            match poll(&mut watched, timeout) {
                Err(Errno::EINTR) | Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            if calm_at.take_if(|at| *at <= Instant::now()).is_some() {
                self.program.give_back();
                trim::heap();
            }
            if watched[1].any().unwrap_or_default() && listening {
                calm_at.get_or_insert_with(|| Instant::now() + REST);
            }
            // First, since among them is the one that tells of its end.
            self.pass_signals_on(daemon)?;
            let ended = daemon.ended()?;
            // What it said last may still be on its way.
            if listening || ended.is_some() {
                listening = self.read(list)?;
            }
            if let (Charge::Found(_), Some(code)) = (&daemon, self.will.ends) {
                return Ok(Ended::Meant(code));
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Takes what is on the connection. Whether more may come.
    fn read(&mut self, list: &OwnedFd) -> io::Result<bool> {
        loop {
            match recv(list.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(false),
                Ok(length) => {
                    self.will.note(self.buffer.get(..length).unwrap_or_default());
                }
                Err(Errno::EAGAIN) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn pass_signals_on(&mut self, daemon: &Charge) -> io::Result<()> {
        while let Some((signal, by_terminal)) = self.next_signal()? {
            self.stopping |= matches!(signal, Signal::SIGTERM | Signal::SIGINT);
            // A key that is pressed is for both already, and the daemon does not wait when told twice.
            if signal != Signal::SIGCHLD && !by_terminal {
                daemon.signal(signal);
            }
        }
        Ok(())
    }

    /// And whether a terminal sent it.
    fn next_signal(&mut self) -> io::Result<Option<(Signal, bool)>> {
        let Some(info) = self.signals.read_signal()? else { return Ok(None) };
        let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
        Ok(signal.map(|signal| (signal, info.ssi_code == SI_KERNEL)))
    }

    fn told_to_stop_within(&mut self, pause: Duration) -> io::Result<bool> {
        let end = Instant::now() + pause;
        loop {
            while let Some((signal, _)) = self.next_signal()? {
                if matches!(signal, Signal::SIGTERM | Signal::SIGINT) {
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

/// The daemon.
enum Charge {
    Child(Child),
    /// Another guardian's.
    Found(OwnedFd),
}

impl Charge {
    /// By its process id; the connection to it is at standard input. This process goes to the background: the
    /// daemon is nobody's parent who would have to be waited for.
    fn find(process: &OsString) -> io::Result<(Self, OwnedFd)> {
        let process = process.to_str().and_then(|id| rustix::process::Pid::from_raw(id.parse().ok()?));
        let process = process.ok_or_else(|| io::Error::other(format!("{GUARDS}: no process id")))?;
        let found = pidfd_open(process, PidfdFlags::empty())?;
        let list = io::stdin().as_fd().try_clone_to_owned()?;
        nix::unistd::daemon(true, true)?;
        Ok((Charge::Found(found), list))
    }

    /// What is readable once it has ended; the end of a child comes as a signal.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Charge::Child(_) => None,
            Charge::Found(process) => Some(process.as_fd()),
        }
    }

    fn ended(&mut self) -> io::Result<Option<Ended>> {
        match self {
            Charge::Child(child) => Ok(child.try_wait()?.map(meant)),
            Charge::Found(process) => {
                let mut watched = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
                Ok((poll(&mut watched, PollTimeout::ZERO)? > 0).then_some(Ended::Unseen))
            }
        }
    }

    /// One that has just ended is noticed next.
    fn signal(&self, signal: Signal) {
        match self {
            // It has not been waited for, so the number is still its own.
            Charge::Child(child) => {
                let _ = i32::try_from(child.id()).map(|id| kill(Pid::from_raw(id), signal));
            }
            Charge::Found(process) => {
                let signal = rustix::process::Signal::from_named_raw(signal as i32);
                let _ = signal.map(|signal| pidfd_send_signal(process, signal));
            }
        }
    }
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// By itself, with this code.
    Meant(u8),
    /// By a crash, or somebody's hand.
    Unasked(ExitStatus),
    /// Only a parent is told how.
    Unseen,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Meant(code) => write!(f, "the daemon has ended with {code}"),
            Ended::Unasked(how) => write!(f, "the daemon has ended unasked ({how})"),
            Ended::Unseen => f.write_str("the daemon has ended without a word"),
        }
    }
}

fn meant(status: ExitStatus) -> Ended {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code.filter(|code| MEANT.contains(code)) {
        Some(code) => Ended::Meant(code),
        None => Ended::Unasked(status),
    }
}

/// Takes an argument out, and the word behind it, which is returned.
pub(super) fn cut(arguments: &mut Vec<OsString>, flag: &str) -> Option<OsString> {
    let at = arguments.iter().position(|argument| argument == flag)?;
    arguments.drain(at..(at + 2).min(arguments.len())).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn only_a_daemon_that_ended_by_itself_stays_ended() {
        for code in [0, 1, 2, 77] {
            assert_eq!(meant(ExitStatus::from_raw(i32::from(code) << 8)), Ended::Meant(code));
        }
        for status in [70 << 8, 101 << 8, 9] {
            assert!(matches!(meant(ExitStatus::from_raw(status)), Ended::Unasked(_)), "{status}");
        }
    }

    #[test]
    fn an_argument_is_taken_out_with_the_word_behind_it() {
        let mut arguments: Vec<OsString> = ["run", "--guards", "7", "-c", "x"].map(OsString::from).into();
        assert_eq!(cut(&mut arguments, GUARDS), Some("7".into()));
        assert_eq!(arguments, ["run", "-c", "x"]);
        assert_eq!(cut(&mut arguments, GUARDS), None);
        arguments.push(GUARDS.into());
        assert_eq!((cut(&mut arguments, GUARDS), arguments.len()), (None, 3));
    }
}
