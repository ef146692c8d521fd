//! A FIFO with a line for each event, in keepalived's format, and the script that reads it.
//!
//! `INSTANCE "web" MASTER 150`, `GROUP "all" BACKUP 0`. Writing never waits: lines queue, and are
//! written as soon as the reader makes room. Where more wait than [`ROOM`], the oldest are lost,
//! counted and reported. Nothing here knows what the events mean.

use super::{Script, one_line};
use crate::agent::incident::Kind;
use crate::agent::{Incident, Subject, Transition};
use crate::process::{self, Command, Finished};
use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown, geteuid, mkfifo};
use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::unix::pipe::Sender;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

/// Lines that wait at most, besides the 64 KiB that the kernel's own buffer holds.
pub const ROOM: usize = 4096;
/// How long to wait before another try where the kernel does not say that there is room, and
/// before a FIFO that cannot be made is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The first pause before a reader is started anew. Doubles.
const RESTART_FIRST: Duration = Duration::from_secs(1);
/// The longest such pause; and whoever ran longer begins at the first again.
const RESTART_LONGEST: Duration = Duration::from_mins(1);
/// How long a reader may take to read the rest once nothing more comes, before it is told to end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// One FIFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Where it is. Made where it is missing, and then removed at the end.
    pub path: PathBuf,
    /// The numeric ids of user and group it is given to, where not the daemon's own.
    pub owner: Option<(u32, u32)>,
    /// Its permissions; keepalived's are 0600.
    pub mode: u32,
    /// The script that reads it, given the path as last argument; runs as long as the daemon does.
    pub reader: Option<Script>,
}

/// What is worth a line in the log. `Display` is that line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The FIFO cannot be made or opened, and is tried again.
    Unusable(PathBuf, String),
    /// So many lines were lost so far, because nobody reads. The first, the tenth, and so on.
    Lost(PathBuf, u64),
    /// The reader ended, which it should not; it is started again after the pause.
    ReaderEnded(String, String, Duration),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Unusable(path, why) => write!(f, "FIFO {}: {why}", path.display()),
            Report::Lost(path, count) => {
                write!(f, "FIFO {}: {count} events lost so far, nobody reads it", path.display())
            }
            Report::ReaderEnded(script, how, pause) => {
                write!(f, "FIFO reader {script}: {how}; starting it again in {}s", pause.as_secs())
            }
        }
    }
}

/// The line that tells of `transition`.
#[must_use]
pub fn transition_line(transition: &Transition) -> String {
    line(&transition.subject, &transition.to.to_string(), transition.priority)
}

/// The line that tells of `incident`; `None` where keepalived has none.
#[must_use]
pub fn incident_line(incident: &Incident) -> Option<String> {
    use crate::agent::Standing::{Backup, Master};
    let word = match (incident.kind, incident.standing) {
        (Kind::HeardLower { .. }, _) => "MASTER_RX_LOWER_PRI",
        (Kind::PriorityChanged { .. }, Master) => "MASTER_PRIORITY",
        (Kind::PriorityChanged { .. }, Backup) => "BACKUP_PRIORITY",
        (Kind::PriorityChanged { .. } | Kind::DualMaster { .. }, _) => return None,
    };
    Some(line(&Subject::Router(incident.router.clone()), word, incident.priority))
}

fn line(subject: &Subject, word: &str, priority: u8) -> String {
    // A name may come from another file format: it must not end the quotes, or the line.
    let name = one_line(subject.name()).replace('"', "'");
    format!("{} \"{name}\" {word} {priority}\n", subject.kind())
}

/// A FIFO at work.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

struct Shared {
    fifo: Fifo,
    lines: Mutex<Lines>,
    wake: Notify,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: VecDeque<String>,
    lost: u64,
    closed: bool,
}

impl Writer {
    /// Starts to serve `fifo`. Must be called on the runtime; `report` must not block.
    #[must_use]
    pub fn start(fifo: Fifo, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        let shared = Shared { fifo, lines: Mutex::default(), wake: Notify::new(), report: Box::new(report) };
        let shared = Arc::new(shared);
        let (stop, stopped) = oneshot::channel();
        Writer { task: tokio::spawn(Arc::clone(&shared).work(stopped)), shared, stop: Some(stop) }
    }

    /// What it serves.
    #[must_use]
    pub fn fifo(&self) -> &Fifo {
        &self.shared.fifo
    }

    /// Queues a line, which ends with a newline, and returns at once.
    pub fn tell(&self, line: String) {
        let lost = {
            let mut lines = self.shared.lines();
            lines.waiting.push_back(line);
            if lines.waiting.len() > ROOM {
                lines.waiting.pop_front();
                lines.lost += 1;
                Some(lines.lost)
            } else {
                None
            }
        };
        self.shared.wake.notify_one();
        if let Some(lost) = lost.filter(|lost| worth_a_line(*lost)) {
            (self.shared.report)(Report::Lost(self.shared.fifo.path.clone(), lost));
        }
    }

    /// How many lines were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lines().lost
    }

    /// Writes what waits and lets the reader read it, but not longer than `within`; then ends it.
    pub async fn finish(mut self, within: Duration) {
        self.shared.lines().closed = true;
        self.shared.wake.notify_one();
        if timeout(within, &mut self.task).await.is_err() {
            self.stop.take();
            let _ = (&mut self.task).await;
        }
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until finished, or until `stop` is dropped.
    async fn work(self: Arc<Self>, mut stop: oneshot::Receiver<()>) {
        let opened = tokio::select! {
            opened = self.open() => opened,
            _ = &mut stop => return,
        };
        let Some((pipe, made)) = opened else { return };
        let (end, ended) = watch::channel(false);
        let reader = tokio::spawn(Arc::clone(&self).keep_reader(ended));
        tokio::select! {
            () = self.write(&pipe) => {}
            _ = &mut stop => {}
        }
        // Now its other end is closed, and whoever has read the rest is told so.
        drop(pipe);
        let _ = end.send(true);
        let _ = reader.await;
        if made {
            let _ = std::fs::remove_file(&self.fifo.path);
        }
    }

    /// Tries until it works; `None` once closed.
    async fn open(&self) -> Option<(Sender, bool)> {
        let mut last = String::new();
        while !self.lines().closed {
            let fifo = self.fifo.clone();
            let opened = spawn_blocking(move || open(&fifo)).await.map_err(|panic| panic.to_string());
            let usable = opened.flatten().and_then(|(file, made)| {
                let pipe = Sender::from_file(file).map_err(|error| format!("cannot be used: {error}"))?;
                Ok((pipe, made))
            });
            match usable {
                Ok(usable) => return Some(usable),
                Err(why) if why != last => {
                    (self.report)(Report::Unusable(self.fifo.path.clone(), why.clone()));
                    last = why;
                }
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
        None
    }

    /// Writes lines as they come, until closed and empty.
    async fn write(&self, pipe: &Sender) {
        loop {
            let (next, closed) = {
                let lines = self.lines();
                (lines.waiting.front().cloned(), lines.closed)
            };
            let Some(line) = next else {
                if closed {
                    return;
                }
                self.wake.notified().await;
                continue;
            };
            // Shorter than PIPE_BUF, so all of it or nothing.
            match pipe.try_write(line.as_bytes()) {
                Ok(_) => {
                    let mut lines = self.lines();
                    // Others may have been pushed out meanwhile, this one among them.
                    if lines.waiting.front() == Some(&line) {
                        lines.waiting.pop_front();
                    }
                }
                Err(_) => drop(timeout(RETRY, pipe.writable()).await),
            }
        }
    }

    /// Runs the reader, again and again, until told to stop.
    async fn keep_reader(self: Arc<Self>, mut ended: watch::Receiver<bool>) {
        let Some(script) = &self.fifo.reader else { return };
        let command = reader_command(script, &self.fifo.path);
        let mut pause = RESTART_FIRST;
        loop {
            let begun = Instant::now();
            let stop = async {
                let _ = ended.wait_for(|ended| *ended).await;
                sleep(LAST_LINES).await;
            };
            let finished = process::run_until(&command, stop).await;
            if *ended.borrow() {
                return;
            }
            if begun.elapsed() > RESTART_LONGEST {
                pause = RESTART_FIRST;
            }
            let program = script.command.first().cloned().unwrap_or_default();
            (self.report)(Report::ReaderEnded(program, how(&finished), pause));
            tokio::select! {
                () = sleep(pause) => {}
                _ = ended.wait_for(|ended| *ended) => return,
            }
            pause = (pause * 2).min(RESTART_LONGEST);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("fifo", &self.fifo).finish_non_exhaustive()
    }
}

fn how(finished: &Finished) -> String {
    match finished.output.lines().next_back() {
        Some(line) => format!("{}: {}", finished.ended, one_line(line)),
        None => finished.ended.to_string(),
    }
}

fn reader_command(script: &Script, path: &Path) -> Command {
    let mut argv = script.command.clone();
    argv.push(path.to_string_lossy().into_owned());
    Command {
        argv,
        inherit: script.inherit,
        environment: Vec::new(),
        user: script.user.clone(),
        timeout: script.timeout,
    }
}

/// The FIFO, open, and whether it was made here. Both ends are open, so that writing fails neither
/// without a reader nor at its death; a symbolic link is not followed.
fn open(fifo: &Fifo) -> Result<(File, bool), String> {
    let path = &fifo.path;
    let made = match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(error) => return Err(format!("cannot be made: {error}")),
    };
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
        Errno::ELOOP => "it is a symbolic link: name the FIFO itself".to_owned(),
        _ => format!("cannot be opened: {error}"),
    })?;
    own(fifo, &file, made)?;
    Ok((file, made))
}

/// Refuses what is no FIFO of ours; gives ours to the user it is for.
fn own(fifo: &Fifo, file: &File, made: bool) -> Result<(), String> {
    let found = file.metadata().map_err(|error| format!("cannot be looked at: {error}"))?;
    if !found.file_type().is_fifo() {
        return Err("it is there and no FIFO: remove it, or name another path".to_owned());
    }
    let own = geteuid().as_raw();
    let wanted = fifo.owner.unwrap_or((own, nix::unistd::getegid().as_raw()));
    if !made && found.uid() != own && found.uid() != wanted.0 {
        let owner = process::owner_name(found.uid());
        return Err(format!("it belongs to {owner}, who could read along: remove it"));
    }
    let change = || -> nix::Result<()> {
        if (found.uid(), found.gid()) != wanted {
            fchown(file, Some(Uid::from_raw(wanted.0)), Some(Gid::from_raw(wanted.1)))?;
        }
        fchmod(file, Mode::from_bits_truncate(fifo.mode))
    };
    change().map_err(|error| format!("its owner and mode cannot be set: {}", io::Error::from(error)))
}

/// The first, the tenth, the hundredth: the log must not fill up as well.
fn worth_a_line(count: u64) -> bool {
    count.checked_ilog10().is_some_and(|digits| 10_u64.pow(digits) == count)
}
