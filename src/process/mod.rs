//! One child process, in its own process group, as a user, within a time limit.
//!
//! Hooks and script checks both run through here. No policy: what to run, how often and what its
//! end means is for the callers. Nothing here blocks the runtime, not even a disk that hangs.
//!
//! Starting costs CPU. As the daemon's own user a program is started by vfork: 0.9 ms with the end of `/bin/true`,
//! 1.0 ms in a daemon of 1,020 routers. As another user the standard library forks, which copies the daemon's page
//! tables: 1.3 ms, and 2.1 ms with 1,020 routers; so there are few threads to be copied as well (`turn`). What
//! would avoid that was weighed. A thread that becomes the user and starts by vfork could be killed by all that the
//! user runs, and the daemon with it. A program in between that changes the user (setpriv, chroot) costs more than
//! the fork: 2.2 ms. vfork by hand needs unsafe code.

mod tail;
mod turn;
mod user;
mod vet;

pub(crate) use turn::in_turn;
pub use user::{User, group_name, resolve_user, user_name as owner_name};
pub use vet::vet;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tail::{Output, Tail};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How often a group that was told to end is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// Where a script finds its programs, whatever the daemon was started with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The language a script speaks: messages that can be searched for, any character in names.
const LANG: &str = "C.UTF-8";

/// What of its own environment the daemon hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inherit {
    /// Nothing: PATH and LANG are the usual ones.
    Nothing,
    /// All but IFS, `LD_PRELOAD` and `LD_LIBRARY_PATH`, as keepalived does.
    Environment,
}

/// What to run. The script is [vetted](vet) right before it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program, as an absolute path, then its arguments. No shell in between: a file without `#!` is read by
    /// `/bin/sh`, as by execvp(3).
    pub argv: Vec<String>,
    /// What is handed on to it,
    pub inherit: Inherit,
    /// and what is in its environment besides.
    pub environment: Vec<(String, String)>,
    /// Who runs it.
    pub user: User,
    /// How long it may take. Then the whole process group gets SIGTERM, and 2 s later SIGKILL.
    pub timeout: Duration,
}

/// How a process ended. `Display` is a few words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code, 0..=255; 0 is success.
    Exit(i32),
    /// It died of this signal.
    Signal(i32),
    /// It was still running at its time limit and was killed, with all of its process group.
    TimedOut,
    /// It never ran; one line with the reason and the mend.
    NotStarted(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exit(code) => write!(f, "exit code {code}"),
            Ended::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Ended::TimedOut => f.write_str("timed out and was killed"),
            Ended::NotStarted(why) => write!(f, "not started: {why}"),
        }
    }
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub ended: Ended,
    /// The last lines of its standard output and error together, at most 4 KiB.
    pub output: String,
    /// From the request to the end.
    pub took: Duration,
}

/// Vets and runs `command` to its end.
///
/// Processes that the script left in the background live on after a normal end, as they do after a
/// shell's; after a timeout nothing of the process group does. Dropping the future kills the group.
pub async fn run(command: &Command) -> Finished {
    run_keeping((), command).await
}

/// The same. `kept` is dropped once the program is started or cannot be, however long its file system takes to say so.
pub async fn run_keeping(kept: impl Send + 'static, command: &Command) -> Finished {
    let begun = Instant::now();
    let (ended, output) = match start(kept, command).await {
        Ok(mut running) => running.finish(command.timeout.saturating_sub(begun.elapsed())).await,
        Err(why) => (Ended::NotStarted(why), String::new()),
    };
    Finished { ended, output, took: begun.elapsed() }
}

/// Vets and runs `command`, which may take as long as it likes once it is started; its group is
/// ended, as after a timeout, when `stop` is done. Dropping the future kills the group.
pub async fn run_until(command: &Command, stop: impl Future<Output = ()>) -> Finished {
    let begun = Instant::now();
    let (ended, output) = match start((), command).await {
        Ok(mut running) => {
            let ended = tokio::select! {
                finished = running.finish(Duration::MAX) => Some(finished),
                () = stop => None,
            };
            match ended {
                Some(finished) => finished,
                None => running.end().await,
            }
        }
        Err(why) => (Ended::NotStarted(why), String::new()),
    };
    Finished { ended, output, took: begun.elapsed() }
}

struct Running {
    child: Child,
    group: Group,
    output: Output,
}

/// Looks and forks on a blocking thread: a hung file system must not delay an advert. Should it
/// answer after all when nobody waits any more, what it started is killed by the dropped `Group`.
async fn start(kept: impl Send + 'static, command: &Command) -> Result<Running, String> {
    let job = command.clone();
    let begin = move || {
        let _kept = kept;
        spawn(&job)
    };
    match timeout(command.timeout, in_turn(begin)).await {
        Ok(Ok(started)) => started,
        Ok(Err(panic)) => Err(panic.to_string()),
        Err(_) => Err(format!(
            "could not be read within its time limit of {:?}: see whether its file system answers",
            command.timeout
        )),
    }
}

fn spawn(command: &Command) -> Result<Running, String> {
    let (program, arguments) = command.argv.split_first().ok_or("the command is empty: name a script")?;
    vet(Path::new(program), &command.user)?;
    let failed = |error: io::Error| explain(program, &error);
    let (reader, writer) = io::pipe().map_err(failed)?;
    let mut builder = tokio::process::Command::new(program);
    builder.args(arguments).current_dir("/");
    match command.inherit {
        Inherit::Nothing => builder.env_clear().env("PATH", PATH).env("LANG", LANG),
        Inherit::Environment => {
            builder.env_remove("IFS").env_remove("LD_PRELOAD").env_remove("LD_LIBRARY_PATH")
        }
    };
    builder
        .envs(command.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer)
        .process_group(0);
    if !command.user.is_own() && !user::may_become_another() {
        return Err(format!(
            "{program} is to run as {}, but Locum runs as {}, who cannot become another user: \
             run Locum as root or with CAP_SETUID and CAP_SETGID, or set the script's user to {1}",
            command.user.name,
            User::own().name
        ));
    }
    let output = Output::new(reader).map_err(failed)?;
    let child = if command.user.is_own() {
        builder.spawn()
    } else if command.user.groups.is_empty() {
        // The daemon's groups are dropped with it.
        builder.uid(command.user.uid).gid(command.user.gid).spawn()
    } else {
        spawn_in_groups(builder, &command.user)
    };
    let child = child.map_err(failed)?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    Ok(Running { child, group, output })
}

/// The standard library sets further groups only on nightly (and `pre_exec` is unsafe): a thread that has joined them
/// starts it, and ends.
fn spawn_in_groups(mut builder: tokio::process::Command, user: &User) -> io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    let start = || {
        let _entered = runtime.enter();
        user.join_groups_here()?;
        builder.uid(user.uid).spawn()
    };
    let died = |_| Err(io::Error::other("the thread that was to start it has died"));
    std::thread::scope(|scope| scope.spawn(start).join().unwrap_or_else(died))
}

/// Why the kernel refused, with the mend where there is a usual one.
fn explain(program: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        // The file itself was there a moment ago.
        format!(
            "{program} names an interpreter in its first line (#!) that does not exist: install or mend it"
        )
    } else {
        format!("cannot run {program}: {error}")
    }
}

impl Running {
    async fn finish(&mut self, limit: Duration) -> (Ended, String) {
        let mut tail = Tail::default();
        let status = timeout(limit, async {
            loop {
                tokio::select! {
                    status = self.child.wait() => break status,
                    () = self.output.read(&mut tail) => {}
                }
            }
        })
        .await;
        let ended = if let Ok(status) = status {
            self.group.release();
            status.map_or_else(|error| Ended::NotStarted(error.to_string()), ended)
        } else {
            self.group.end(&mut self.child).await;
            Ended::TimedOut
        };
        self.output.drain(&mut tail);
        (ended, tail.into_text())
    }

    async fn end(&mut self) -> (Ended, String) {
        self.group.end(&mut self.child).await;
        let mut tail = Tail::default();
        self.output.drain(&mut tail);
        (Ended::TimedOut, tail.into_text())
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}

/// A process group that dies when this is dropped, unless released.
struct Group(Option<Pid>);

impl Group {
    /// Whether there was anyone to signal; with `None`, only asks.
    fn signal(&self, signal: Option<Signal>) -> bool {
        self.0.is_some_and(|id| killpg(id, signal).is_ok())
    }

    fn release(&mut self) {
        self.0 = None;
    }

    /// Asks all of the group to end, then makes them. The number of a group is not given out again
    /// while it has a member, so no stranger is hit: we stop asking when the last one is gone.
    async fn end(&mut self, child: &mut Child) {
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
        self.signal(Some(Signal::SIGKILL));
    }
}
