//! One child process, in its own process group, as a user, within a time limit.
//!
//! Hooks and script checks both run through here. No policy: what to run, how often and what its
//! end means is for the callers. Nothing here blocks the runtime, not even a disk that hangs.
//!
//! Starting costs CPU. As the daemon's own user a program is started by vfork. As another user the standard library
//! forks, which copies the daemon's page tables: with the end of `/bin/true` that is 1.7 ms and not 0.7, more with more
//! routers; so there are few threads to be copied as well (`turn`). For checks, which do it all the time, a small
//! process that is that user already starts it by vfork again (`starters`). What else would avoid the copy was weighed.
//! A thread that becomes the user and starts by vfork could be killed by all that the user runs, and the daemon with it.
//! A program in between that changes the user (setpriv, this one) costs more than the fork: 2.1 ms and more. A small
//! process that forks for all users: 1.2 ms. vfork by hand needs unsafe code.

mod group;
mod order;
mod running;
mod starter;
mod starters;
mod tail;
mod turn;
mod user;
mod vet;

pub use starter::{STARTS, serve as serve_as_starter};
pub use starters::start_by;
pub(crate) use turn::in_turn;
pub use user::{User, group_name, resolve_user, user_name as owner_name};
pub use vet::vet;

use group::Group;
use nix::sys::signal::Signal;
use order::Order;
use running::{Child, Running};
use starters::Starter;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tail::Output;
use tokio::task::JoinError;
use tokio::time::timeout;

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
    run_within(start((), command, false), command.timeout).await
}

/// The same for one that runs again and again. `kept` is dropped once the program is started or cannot be, however long
/// its file system takes to say so.
pub async fn run_again(kept: impl Send + 'static, command: &Command) -> Finished {
    run_within(start(kept, command, true), command.timeout).await
}

async fn run_within(started: impl Future<Output = Result<Running, String>>, limit: Duration) -> Finished {
    let begun = Instant::now();
    let (ended, output) = match started.await {
        Ok(mut running) => running.finish(limit.saturating_sub(begun.elapsed())).await,
        Err(why) => (Ended::NotStarted(why), String::new()),
    };
    Finished { ended, output, took: begun.elapsed() }
}

/// Vets and runs `command`, which may take as long as it likes once it is started; its group is
/// ended, as after a timeout, when `stop` is done. Dropping the future kills the group.
pub async fn run_until(command: &Command, stop: impl Future<Output = ()>) -> Finished {
    let begun = Instant::now();
    let (ended, output) = match start((), command, false).await {
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

/// How far a program is that has been looked at.
enum Begun {
    Runs(Running),
    /// Somebody is to start it. What is kept until then goes along.
    Asks(Arc<Starter>, Box<dyn Send>),
}

/// Looks on a blocking thread, as a hung file system must not delay an advert. It is started there too, or by a
/// starter where it is one of those that run `often`. Should it start after all when nobody waits any more, it is killed
/// by the dropped `Group`.
async fn start(kept: impl Send + 'static, command: &Command, often: bool) -> Result<Running, String> {
    let job = Arc::new(command.clone());
    let looking = Arc::clone(&job);
    let begin = move || {
        let (user, kept) = (&looking.user, Box::new(kept));
        look(&looking)?;
        match Some(user).filter(|user| often && !user.is_own()).and_then(starters::of) {
            Some(by) => Ok(Begun::Asks(by, kept)),
            None => spawn(&looking).map(Begun::Runs),
        }
    };
    let started = async {
        let broken = |panic: JoinError| panic.to_string();
        match in_turn(begin).await.map_err(broken)?? {
            Begun::Runs(running) => Ok(running),
            Begun::Asks(by, kept) => match ask(by, kept, &job).await {
                Some(started) => started,
                None => in_turn(move || spawn(&job)).await.map_err(broken)?,
            },
        }
    };
    timeout(command.timeout, started).await.unwrap_or_else(|_| {
        Err(format!(
            "could not be read within its time limit of {:?}: see whether its file system answers",
            command.timeout
        ))
    })
}

/// Whether it may be run as its user, and by this process.
fn look(command: &Command) -> Result<(), String> {
    let program = command.argv.first().ok_or("the command is empty: name a script")?;
    vet(Path::new(program), &command.user)?;
    if !command.user.is_own() && !user::may_become_another() {
        return Err(format!(
            "{program} is to run as {}, but Locum runs as {}, who cannot become another user: \
             run Locum as root or with CAP_SETUID and CAP_SETGID, or set the script's user to {1}",
            command.user.name,
            User::own().name
        ));
    }
    Ok(())
}

/// Has a starter start it; `None`: it cannot.
async fn ask(
    starter: Arc<Starter>,
    kept: Box<dyn Send>,
    command: &Command,
) -> Option<Result<Running, String>> {
    let (reader, writer) = io::pipe().ok()?;
    let output = Output::new(reader).ok()?;
    let outcome = starter.start(&Order::of(command), writer, kept).await?;
    let running = |(lent, group)| Running { child: Child::Lent(lent), group, output };
    Some(outcome.map(running).map_err(|error| explain(command, &error)))
}

fn spawn(command: &Command) -> Result<Running, String> {
    let user = &command.user;
    let by_tokio = |command| tokio::process::Command::from(command).spawn();
    let started = || {
        let (reader, writer) = io::pipe()?;
        let output = Output::new(reader)?;
        let child = Order::of(command).start(&writer, |command| {
            if user.is_own() { by_tokio(command) } else { user.starts(command, by_tokio) }
        })?;
        let group = Group::new(child.id().and_then(|id| i32::try_from(id).ok()), None);
        Ok(Running { child: Child::Own(child), group, output })
    };
    started().map_err(|error| explain(command, &error))
}

/// Why the kernel refused, with the mend where there is a usual one.
fn explain(command: &Command, error: &io::Error) -> String {
    let program = command.argv.first().map_or("", String::as_str);
    if error.kind() == io::ErrorKind::NotFound {
        // The file itself was there a moment ago.
        format!(
            "{program} names an interpreter in its first line (#!) that does not exist: install or mend it"
        )
    } else {
        format!("cannot run {program}: {error}")
    }
}
