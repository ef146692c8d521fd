//! Takes every log line, leaves out what is not wanted or too much, and writes the rest: to stderr for people, as
//! JSON, to the journal, to syslog, to a file.
//!
//! Never waits for whoever keeps the lines, but a moment for whoever reads stderr; who has no room for a line loses
//! it, and is told so with the next.

use super::levels::{Levels, is_own, module_of};
use super::limit::Limit;
use super::lines::Line;
use super::log::{Syslog, program};
use super::stderr;
use jiff::Timestamp;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::Instant;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Where the journal listens to those who speak its own language.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The one of this process.
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// What is wanted, what was too much, and where the rest goes.
pub(super) struct Logger {
    levels: RwLock<Levels>,
    limit: Mutex<Limit>,
    /// [`Limit::owes`], at hand for every turn of the core.
    owes: AtomicBool,
    out: Out,
}

/// Where lines go, and in which form.
pub(super) enum Out {
    /// For people, with the time where nobody else keeps it, and in colours.
    Human {
        timed: bool,
        colours: bool,
    },
    /// JSON, to stderr as well.
    Json,
    /// To the journal, in its own language; what it cannot take goes to stderr.
    Journal(Journal),
    Syslog(Syslog),
    File(File),
}

/// The journal, by datagrams.
pub(super) struct Journal {
    socket: UnixDatagram,
    lost: AtomicU64,
}

impl Journal {
    /// `None` where there is no journal.
    pub(super) fn open() -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        // Somebody listens there.
        let there = UnixDatagram::unbound().and_then(|probe| probe.connect(JOURNAL));
        there.ok().map(|()| Journal { socket, lost: AtomicU64::new(0) })
    }

    fn write(&self, line: &Line<'_>) -> io::Result<()> {
        match self.socket.send_to(&line.journal(&program()), JOURNAL) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} lines were lost: the journal had no room for them");
            return self.write(&Line::new(Level::WARN, "daemon", text));
        }
        Ok(())
    }
}

/// Begins. A second beginning changes nothing.
pub(super) fn start(levels: Levels, out: Out) {
    let logger =
        Logger { levels: RwLock::new(levels), limit: Mutex::default(), owes: AtomicBool::default(), out };
    if LOGGER.set(logger).is_ok() {
        let _ = tracing::subscriber::set_global_default(Front);
    }
}

/// What is wanted now; `None` before the start.
pub(super) fn levels() -> Option<Levels> {
    let levels = &LOGGER.get()?.levels;
    Some(levels.read().unwrap_or_else(PoisonError::into_inner).clone())
}

/// Wants something else from now on.
pub(super) fn want(levels: Levels) {
    let Some(logger) = LOGGER.get() else { return };
    *logger.levels.write().unwrap_or_else(PoisonError::into_inner) = levels;
    tracing::callsite::rebuild_interest_cache();
}

/// Says what was left out, if anything was: what comes in bursts is told of though no other line comes.
pub(super) fn settle(at_last: bool) {
    if let Some(logger) = LOGGER.get() {
        logger.settle(at_last);
    }
}

impl Logger {
    fn limited<T>(&self, what: impl FnOnce(&mut Limit) -> T) -> T {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let result = what(&mut limit);
        self.owes.store(limit.owes(), Ordering::Relaxed);
        result
    }

    fn want(&self, about: &Metadata<'_>) -> bool {
        // What libraries say at finer levels may hold what they were given: whole messages, headers, keys.
        if !is_own(about.target()) && *about.level() > Level::WARN {
            return false;
        }
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        levels.want(module_of(about.target()), *about.level())
    }

    fn settle(&self, at_last: bool) {
        if !self.owes.load(Ordering::Relaxed) {
            return;
        }
        let told = self.limited(|limit| limit.settle(Instant::now(), at_last));
        for left_out in told {
            self.out.write(&Line::new(Level::WARN, &left_out.module, left_out.to_string()));
        }
    }

    fn take(&self, event: &Event<'_>) {
        let about = event.metadata();
        let module = module_of(about.target());
        self.settle(false);
        // Who asks for the finer levels wants all of it; and no change of state may be missing.
        let bounded = *about.level() <= Level::INFO && about.fields().field("from").is_none();
        let kind = (about.file().unwrap_or_default(), about.line().unwrap_or_default());
        let line = Line::of(event, module);
        let admits = |limit: &mut Limit| limit.admits(kind, module, || line.text(), Instant::now());
        if !bounded || self.limited(admits) {
            self.out.write(&line);
        }
    }
}

impl Out {
    fn write(&self, line: &Line<'_>) {
        // Nobody is left to tell of what fails here.
        let _ = match self {
            Out::Human { timed, colours } => {
                to_stderr(line, |line| line.human(timed.then(Timestamp::now), *colours))
            }
            Out::Json => to_stderr(line, |line| line.json(Timestamp::now())),
            Out::Journal(journal) => {
                journal.write(line).or_else(|_| to_stderr(line, |line| line.human(None, false)))
            }
            Out::Syslog(syslog) => {
                syslog.write(line.severity(), &line.text());
                Ok(())
            }
            Out::File(file) => {
                let mut file = file;
                file.write_all(line.human(Some(Timestamp::now()), false).as_bytes())
            }
        };
    }
}

fn to_stderr(line: &Line<'_>, form: impl Fn(&Line<'_>) -> String) -> io::Result<()> {
    stderr::write(&form(line), |text| form(&Line::new(Level::WARN, "daemon", text)))
}

/// What the program's log lines come to.
struct Front;

impl Subscriber for Front {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        LOGGER.get().is_some_and(|logger| logger.want(about))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        levels().map(|levels| levels.most())
    }

    fn event(&self, event: &Event<'_>) {
        if let Some(logger) = LOGGER.get() {
            logger.take(event);
        }
    }

    // There are no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
