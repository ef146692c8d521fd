//! HTTP's place in the daemon: a thread of its own, so that neither a check nor an advert waits for who asks.
//! It asks the core as the control socket does, and hears what goes into the record.

use super::inbox::{Arrival, Inbox};
use super::scheduling;
use crate::agent::cluster::Cluster;
use crate::agent::{Request, Response};
use crate::control::{self, Asked, Question, Who};
use crate::history::{Entry, FORMAT, incidents, recent};
use crate::web::{Hub, Live, Peers, Read, Report, Settings, Sources, serve};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

/// How many events may wait for the thread. It does nothing that can be slow.
const WAITING: usize = 1024;
/// How many may wait for how the cluster stands.
const ASKING: usize = 16;
/// How often to look whether it has ended.
const LOOK: Duration = Duration::from_millis(1);
/// How much of the record's end is read to show what happened, in bytes.
const RECENT: u64 = 256 << 10;
/// The most incidents that are shown.
const INCIDENTS: usize = 50;

/// What cannot be served, and why.
type Troubles = BTreeMap<String, String>;

/// The core's end.
pub(super) struct Web {
    inbox: Inbox,
    /// The group that may use unix sockets, besides root.
    group: Option<u32>,
    running: Option<Running>,
    troubles: Arc<Mutex<Troubles>>,
    /// Where the record is; `None` for nowhere.
    record: Arc<Mutex<Option<PathBuf>>>,
}

struct Running {
    settings: watch::Sender<Settings>,
    entries: mpsc::Sender<Entry>,
    asked: mpsc::Sender<Asked>,
    thread: JoinHandle<()>,
}

impl Web {
    pub(super) fn new(inbox: &Inbox, group: Option<u32>) -> Self {
        let (troubles, record) = <_>::default();
        Web { inbox: inbox.clone(), group, running: None, troubles, record }
    }

    /// Where the record is from now on; `None` for nowhere.
    pub(super) fn record_at(&self, path: Option<PathBuf>) {
        *lock(&self.record) = path;
    }

    /// Serves this from now on. What stays as it is does not notice.
    pub(super) fn adopt(&mut self, settings: Option<&Settings>) {
        match (settings, &self.running) {
            // The thread ends with it.
            (None, _) => self.running = None,
            (Some(settings), Some(running)) => {
                running.settings.send_if_modified(|old| {
                    let other = old != settings;
                    old.clone_from(settings);
                    other
                });
            }
            (Some(settings), None) => self.start(settings.clone()),
        }
    }

    /// Tells whoever reads the stream of events.
    pub(super) fn tell(&self, entry: &Entry) {
        if let Some(running) = &self.running {
            // A thread that has not kept up has readers that have not either.
            let _ = running.entries.try_send(entry.clone());
        }
    }

    /// Answers how the nodes of the cluster stand. Without HTTP nobody is asked, and there is none.
    pub(super) fn ask(&self, asked: Asked) {
        let Some(running) = &self.running else {
            return drop(asked.answer.send(Response::Cluster(Cluster::default())));
        };
        if let Err(error) = running.asked.try_send(asked) {
            let lines = vec!["too many ask how the cluster stands; ask again".to_owned()];
            let _ = error.into_inner().answer.send(Response::Refused { lines });
        }
    }

    /// What is wrong with it, a line each.
    pub(super) fn complaints(&self) -> Vec<String> {
        let Some(running) = &self.running else { return Vec::new() };
        if running.settings.is_closed() {
            return vec!["HTTP is not served: a bug has ended it; `locum restart` begins it anew".to_owned()];
        }
        let line = |(what, why): (&String, &String)| format!("{what} is not served: {why}");
        lock(&self.troubles).iter().map(line).collect()
    }

    /// Ends it, and waits for its files to go, but not for long.
    pub(super) fn finish(&mut self, within: Duration) {
        let Some(Running { thread, .. }) = self.running.take() else { return };
        let end = Instant::now() + within;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
    }

    fn start(&mut self, settings: Settings) {
        let (settings, wanted) = watch::channel(settings);
        let (entries, told) = mpsc::channel(WAITING);
        let (asked, questions) = mpsc::channel(ASKING);
        let (inbox, group, troubles) = (self.inbox.clone(), self.group, self.troubles.clone());
        let record = self.record.clone();
        let past: Read = Arc::new(move |last| past(lock(&record).clone().as_deref(), &last));
        let body = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(run(wanted, (told, questions), inbox, group, troubles, past)),
            Err(error) => warn!(target: "locum::web", "HTTP is not served: {error}"),
        };
        match scheduling::spawn("web", body) {
            Ok(thread) => self.running = Some(Running { settings, entries, asked, thread }),
            Err(error) => warn!(target: "locum::web", "HTTP is not served: {error}"),
        }
    }
}

/// Until nobody wants it any more.
async fn run(
    mut wanted: watch::Receiver<Settings>,
    (told, mut questions): (mpsc::Receiver<Entry>, mpsc::Receiver<Asked>),
    inbox: Inbox,
    group: Option<u32>,
    troubles: Arc<Mutex<Troubles>>,
    past: Read,
) {
    let live = Live::start(move |answer: oneshot::Sender<Response>| {
        let who = Who { uid: nix::unistd::getuid().as_raw(), pid: None };
        inbox.put(Arrival::Asked(Asked { question: Question::Agent(Request::Status), who, answer }));
    });
    let hub = Hub::start(live.clone());
    tokio::spawn(pass_on(told, hub.clone()));
    loop {
        let settings = wanted.borrow_and_update().clone();
        lock(&troubles).clear();
        let about = troubles.clone();
        let report = move |report| match report {
            Report::Serving { place } => {
                info!(target: "locum::web", "{place} is served");
                lock(&about).remove(&place);
            }
            Report::Trouble { place, why } => {
                warn!(target: "locum::web", "{place} cannot be served: {why}; trying again");
                lock(&about).insert(place, why);
            }
        };
        let bind = move |path: &std::path::Path| control::server::bind(path, group);
        let peers = Arc::new(Peers::new(&settings.peers));
        let mut goes_on = true;
        let until = async {
            loop {
                tokio::select! {
                    changed = wanted.changed() => return goes_on = changed.is_ok(),
                    Some(asked) = questions.recv() => {
                        drop(tokio::spawn(compare(asked, peers.clone(), live.clone())));
                    }
                }
            }
        };
        let sources =
            Sources { live: live.clone(), hub: hub.clone(), past: past.clone(), peers: peers.clone() };
        serve(settings, sources, bind, report, until).await;
        if !goes_on {
            return;
        }
    }
}

async fn compare(asked: Asked, peers: Arc<Peers>, live: Live) {
    // A core that hangs has nobody wait for what it does not say.
    if let Some((cluster, _)) = peers.cluster(&live).await {
        let _ = asked.answer.send(Response::Cluster(cluster));
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `/history` says: the record and, where that is behind or there is none, what was told `last`.
fn past(record: Option<&Path>, last: &[String]) -> Vec<u8> {
    let mut entries = record.map(|path| recent(path, RECENT)).unwrap_or_default();
    let written = entries.len();
    for entry in last.iter().filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
        // Not compared as a whole: what waits for the disk is added to some only when they are written.
        let is_it = |other: &Entry| {
            (other.time, other.clock_ms) == (entry.time, entry.clock_ms)
                && discriminant(&other.event) == discriminant(&entry.event)
                && other.event.subject() == entry.event.subject()
        };
        if !entries.iter().take(written).rev().any(is_it) {
            entries.push(entry);
        }
    }
    let said = json!({ "v": FORMAT, "incidents": incidents(&entries, INCIDENTS) });
    said.to_string().into_bytes()
}

/// What kind of entry a line is.
#[derive(Deserialize)]
struct Kind {
    event: String,
}

async fn pass_on(mut told: mpsc::Receiver<Entry>, hub: Hub) {
    while let Some(entry) = told.recv().await {
        let Ok(line) = serde_json::to_string(&entry) else { continue };
        if let Ok(Kind { event }) = serde_json::from_str(&line) {
            hub.tell(&event, &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Event, File, Settings};

    fn trouble(clock_ms: u64, text: &str) -> Entry {
        let event = Event::Trouble { text: text.to_owned() };
        Entry { v: FORMAT, time: jiff::Timestamp::UNIX_EPOCH, clock_ms, event }
    }

    /// The texts of all steps, the latest incident first.
    fn told(record: Option<&Path>, last: &[Entry]) -> Vec<String> {
        let lines: Vec<_> = last.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        let said: serde_json::Value = serde_json::from_slice(&past(record, &lines)).unwrap();
        let incidents = said["incidents"].as_array().unwrap().iter();
        let steps = incidents.flat_map(|incident| incident["steps"].as_array().unwrap());
        steps.map(|step| step["text"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_past_is_the_record_and_what_it_does_not_have_yet() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("history.jsonl");
        let last = [trouble(20_000, "b"), trouble(20_001, "c")];
        assert_eq!(told(None, &last), ["b", "c"], "nothing is recorded");
        assert_eq!(told(Some(&path), &last), ["b", "c"], "nothing yet");
        let mut file = File::new(Settings { path: path.clone(), size: 1 << 20, keep: 1 });
        for entry in [trouble(1, "a"), trouble(20_000, "b")] {
            file.append(&entry).unwrap();
        }
        assert_eq!(told(Some(&path), &last), ["b", "c", "a"]);
        assert_eq!(told(Some(&path), &[]), ["b", "a"]);
    }
}
