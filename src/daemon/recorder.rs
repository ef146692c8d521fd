//! Puts what happens into the record (`history`), by a thread of its own: a disk may hang, be full or be
//! gone, and the core must not notice. What cannot be written is counted, told once, and told again when it
//! can.

use super::apart::{Apart, Wanted};
use super::scheduling;
use super::web::Web;
use crate::agent::effect::CheckChange;
use crate::agent::incident::Kind;
use crate::agent::status::CountsStatus;
use crate::agent::{HookEnd, Incident, Note, Request, RouterName, Subject, Transition};
use crate::config::Journal;
use crate::control::{Asked, Question, Who};
use crate::history::{
    self, By, DualMaster, Entry, Event, FORMAT, File, Hook, LastRun, MasterHeard, Moved, Order, Ordered,
    Settings, Started, millis,
};
use crate::time::Time;
use jiff::{Timestamp, Unit};
use nix::unistd::{Uid, User};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How many entries may wait for the disk: two each of a thousand routers that take over at once.
const WAITING: usize = 2048;
/// How many entries are written in one go.
const TOGETHER: usize = 64;
/// How often it is tried again while nothing can be written.
const AGAIN: Duration = Duration::from_secs(5);
/// How often to look whether the last word is written.
const LOOK: Duration = Duration::from_millis(1);
/// The most lines of one entry.
const LINES: usize = 50;

/// The core's end.
pub(super) struct Recorder {
    /// Who hears of it at once.
    pub(super) web: Web,
    /// All of its room is there from the start: little, since an entry is elsewhere.
    to: Option<SyncSender<Box<Entry>>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// How long routers have been alone that become Master now.
    silent: BTreeMap<RouterName, Duration>,
}

#[derive(Default)]
struct Shared {
    /// Where it is; `None` for nowhere.
    settings: Mutex<Option<Settings>>,
    /// What has a file of its own besides.
    apart: Mutex<Wanted>,
    /// Entries for which there was no room.
    dropped: AtomicU64,
    /// Those, and entries that could not be written.
    lost: AtomicU64,
    repaired: AtomicU64,
    swept: AtomicU64,
    /// Why nothing can be written.
    trouble: Mutex<Option<String>>,
}

impl Recorder {
    /// `control`: where the control socket is, for the record is beside it where nobody says otherwise.
    pub(super) fn start(journal: &Journal, control: &Path, web: Web) -> Self {
        let settings = journal.settings(control);
        web.record_at(settings.as_ref().map(|settings| settings.path.clone()));
        let shared = Arc::new(Shared {
            settings: Mutex::new(settings),
            apart: Mutex::new(Wanted::of(journal)),
            ..Shared::default()
        });
        let (to, from) = sync_channel(WAITING);
        let theirs = shared.clone();
        let body = move || {
            Writer { shared: theirs, file: None, apart: Apart::default(), failed: None, lost: 0 }
                .write_all(&from);
        };
        let thread = scheduling::spawn("record", body);
        if let Err(error) = &thread {
            *lock(&shared.trouble) = Some(format!("nothing is recorded: {error}"));
        }
        Recorder {
            web,
            to: thread.is_ok().then_some(to),
            thread: thread.ok(),
            shared,
            silent: BTreeMap::new(),
        }
    }

    /// Writes there from the next entry on.
    pub(super) fn adopt(&self, journal: &Journal, control: &Path) {
        let settings = journal.settings(control);
        self.web.record_at(settings.as_ref().map(|settings| settings.path.clone()));
        *lock(&self.shared.settings) = settings;
        *lock(&self.shared.apart) = Wanted::of(journal);
    }

    /// What is wrong with the record, in one line.
    pub(super) fn complaint(&self) -> Option<String> {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        let trouble = lock(&self.shared.trouble).clone();
        let late = || format!("the disk does not take the record in time: {dropped} entries are lost");
        trouble.or_else(|| (dropped > 0).then(late))
    }

    /// What it has counted of what it was told.
    pub(super) fn counts(&self) -> CountsStatus {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { lost, repaired, swept, .. } = &*self.shared;
        CountsStatus {
            record_lost: of(lost),
            repaired: of(repaired),
            swept: of(swept),
            ..CountsStatus::default()
        }
    }

    /// Puts in what happened now.
    pub(super) fn put(&self, event: Event) {
        match event {
            Event::Repaired { .. } => count(&self.shared.repaired),
            Event::Swept { .. } => count(&self.shared.swept),
            _ => {}
        }
        let time = Timestamp::now();
        let entry = Entry {
            v: FORMAT,
            time: time.round(Unit::Millisecond).unwrap_or(time),
            clock_ms: millis(super::now().since(Time::ZERO)),
            event,
        };
        self.web.tell(&entry);
        if self.to.as_ref().is_some_and(|to| to.try_send(Box::new(entry)).is_err()) {
            count(&self.shared.dropped);
            count(&self.shared.lost);
        }
    }

    pub(super) fn started(&self, node: &str, config: String) {
        self.put(Event::Started(Started {
            version: crate::VERSION.to_owned(),
            node: node.to_owned(),
            pid: std::process::id(),
            config,
            // The thread finds out, which may wait for the disk.
            boot: String::new(),
            last: LastRun::None,
        }));
    }

    pub(super) fn transition(&mut self, transition: &Transition) {
        let silent = match &transition.subject {
            Subject::Router(name) => self.silent.remove(name),
            Subject::Group(_) => None,
        };
        self.put(Event::Transition(Moved::new(transition, silent)));
    }

    pub(super) fn incident(&self, incident: &Incident) {
        let router = incident.router.clone();
        match incident.kind {
            Kind::PriorityChanged { from } => {
                self.put(Event::Priority { router, from, to: incident.priority });
            }
            Kind::DualMaster { rival, times } => {
                self.put(Event::DualMasterSeen(DualMaster::new(router, rival, incident.priority, times)));
            }
            // Told of as the above, and not every time.
            Kind::HeardLower { .. } => {}
        }
    }

    pub(super) fn note(&mut self, note: &Note) {
        match note {
            Note::Check(CheckChange { check, from, to, error, after }) => {
                self.put(Event::Check(history::CheckChange {
                    check: check.clone(),
                    from: *from,
                    to: *to,
                    error: error.clone(),
                    after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
                }));
            }
            Note::MasterHeard { router, source, priority } => {
                let (router, source, priority) = (router.clone(), *source, *priority);
                self.put(Event::MasterHeard(MasterHeard { router, source, priority }));
            }
            Note::Claim { office, term } => {
                self.put(Event::Claim { office: office.clone(), term: *term });
            }
            Note::Vote { office, holder, term } => {
                self.put(Event::Vote { office: office.clone(), holder: holder.to_string(), term: *term });
            }
            Note::Lease { router, family, lease } => {
                let (router, family, lease_ms) = (router.clone(), *family, lease.map(millis));
                self.put(Event::Lease { router, family, lease_ms });
            }
            Note::Damped { router, span, failures } => {
                let (router, for_ms, failures) = (router.clone(), millis(*span), *failures);
                self.put(Event::Damped { router, for_ms, failures });
            }
            Note::LastHeard { router, ago } => drop(self.silent.insert(router.clone(), *ago)),
            Note::Reloaded(lines) => self.put(Event::Reloaded { lines: some(lines) }),
            Note::Trouble(text) => self.put(Event::Trouble { text: text.clone() }),
            // Whoever floods the network must not push out what happened.
            Note::Warning(..) | Note::Refused { .. } => {}
        }
    }

    pub(super) fn hook(&self, end: &HookEnd) {
        self.put(Event::Hook(Hook::new(end)));
    }

    /// An order that came by the control socket; questions are none.
    pub(super) fn asked(&self, asked: &Asked) {
        let Who { uid, pid } = asked.who;
        let by = Some(By { uid, user: None, pid });
        if let Question::DnsSet { record, address } = &asked.question {
            return self.put(Event::DnsOrdered { record: record.clone(), address: *address, by });
        }
        if let Some((order, router)) = order(&asked.question) {
            self.put(Event::Order(Ordered { order, router, by }));
        }
    }

    /// An order that came by a signal.
    pub(super) fn signalled(&self, order: Order) {
        self.put(Event::Order(Ordered { order, router: None, by: None }));
    }

    pub(super) fn refused(&self, question: &Question, lines: &[String]) {
        if let Some((order, _)) = order(question) {
            self.put(Event::Refused { order, lines: some(lines) });
        }
    }

    /// Writes what is left, at most for so long.
    pub(super) fn finish(&mut self, given_up: bool, within: Duration) {
        self.put(Event::Stopped { given_up });
        self.to = None;
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + within;
        while !thread.is_finished() {
            if Instant::now() >= end {
                return warn!(target: "locum::history", "the record could not be written within {}s", within.as_secs());
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn order(question: &Question) -> Option<(Order, Option<RouterName>)> {
    match question {
        Question::Reload { dry_run: false } => Some((Order::Reload, None)),
        Question::Restart { .. } => Some((Order::Restart, None)),
        Question::DnsSet { .. } => Some((Order::DnsSet, None)),
        Question::Agent(Request::Handover { router }) => Some((Order::Handover, router.clone())),
        Question::Agent(Request::Resume { router }) => Some((Order::Resume, router.clone())),
        Question::Agent(Request::Ack { router }) => Some((Order::Ack, router.clone())),
        Question::Agent(Request::Status)
        | Question::Reload { dry_run: true }
        | Question::DnsTest { .. }
        | Question::Cluster
        | Question::Log(_) => None,
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// As many lines as one entry may have.
fn some(lines: &[String]) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES);
    let rest = (more > 0).then(|| format!("and {more} more"));
    lines.iter().take(LINES).cloned().chain(rest).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread's end.
struct Writer {
    shared: Arc<Shared>,
    file: Option<File>,
    apart: Apart,
    /// Why nothing can be written.
    failed: Option<String>,
    /// Entries that are lost and not told of yet.
    lost: u64,
}

impl Writer {
    fn write_all(mut self, from: &Receiver<Box<Entry>>) {
        loop {
            match from.recv_timeout(if self.failed.is_some() { AGAIN } else { Duration::MAX }) {
                Ok(entry) => {
                    let more = from.try_iter().take(TOGETHER - 1);
                    self.take([entry].into_iter().chain(more).map(|entry| *entry).collect());
                }
                Err(RecvTimeoutError::Timeout) => drop(self.catch_up()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, mut entries: Vec<Entry>) {
        let wanted = lock(&self.shared.apart).clone();
        for entry in &entries {
            self.apart.take(&wanted, entry);
        }
        // What it says of the last run is read before anything is written.
        let ready = self.choose();
        for entry in &mut entries {
            self.complete(entry);
        }
        let mut rest = &entries[..];
        while ready && !rest.is_empty() {
            let written = if self.catch_up() { self.append(rest) } else { 0 };
            if written == 0 {
                self.lost += rest.len() as u64;
                self.shared.lost.fetch_add(rest.len() as u64, Ordering::Relaxed);
                return self.tell();
            }
            rest = rest.get(written..).unwrap_or_default();
        }
    }

    /// Adds what only this thread may wait for.
    fn complete(&self, entry: &mut Entry) {
        if let (Some(file), Event::Started(started)) = (&self.file, &mut entry.event) {
            started.boot = boot();
            started.last = file.last_run(&started.boot);
        }
        if let Event::Order(Ordered { by: Some(by), .. }) | Event::DnsOrdered { by: Some(by), .. } =
            &mut entry.event
        {
            by.user = User::from_uid(Uid::from_raw(by.uid)).ok().flatten().map(|user| user.name);
        }
    }

    /// Writes where it is wanted now. Whether anywhere.
    fn choose(&mut self) -> bool {
        let wanted = lock(&self.shared.settings).clone();
        if self.file.as_ref().map(File::settings) != wanted.as_ref() {
            self.file = wanted.map(File::new);
            self.failed = None;
            if self.file.is_none() {
                self.lost = 0;
            }
            self.tell();
        }
        self.file.is_some()
    }

    /// Puts in how many entries are lost, if any are. Whether the way is free.
    fn catch_up(&mut self) -> bool {
        self.choose();
        self.lost += self.shared.dropped.swap(0, Ordering::Relaxed);
        if self.lost == 0 {
            return true;
        }
        let why = self.failed.clone().unwrap_or_else(|| "the disk took too long".to_owned());
        let time = Timestamp::now();
        let event = Event::Lost { entries: self.lost, why };
        let clock_ms = millis(super::now().since(Time::ZERO));
        let written = self.append(&[Entry { v: FORMAT, time, clock_ms, event }]) > 0;
        if written {
            info!(target: "locum::history", "the record is written again; {} entries are lost", self.lost);
            self.lost = 0;
        }
        self.tell();
        written
    }

    /// Returns how many of them are written: at least one, if the disk takes any.
    fn append(&mut self, entries: &[Entry]) -> usize {
        let Some(file) = &mut self.file else { return 0 };
        let (written, result) = match file.append_some(entries) {
            Ok(written) => (written, Ok(())),
            Err(error) => (0, Err(error)),
        };
        let path = file.settings().path.display().to_string();
        self.outcome(&path, result);
        written
    }

    fn outcome(&mut self, path: &str, result: io::Result<()>) {
        let failed = result.err().map(|error| error.to_string());
        if let Some(error) = failed.as_ref().filter(|_| self.failed.is_none()) {
            warn!(target: "locum::history", "cannot write {path}: {error}; what happens is not recorded until that is mended");
        }
        self.failed = failed;
    }

    /// Says for the status how it stands.
    fn tell(&self) {
        let path = self.file.as_ref().map(|file| file.settings().path.display().to_string());
        let line = self.failed.as_ref().zip(path).map(|(error, path)| {
            format!("nothing is recorded: cannot write {path}: {error}; {} entries are lost", self.lost)
        });
        *lock(&self.shared.trouble) = line;
    }
}

/// The kernel's name for the time since the host was started.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
