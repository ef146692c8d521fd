//! The stream of events, as server-sent events (WHATWG HTML, section 9.2): what happens, as it happens, and a
//! beat that says how everything stands. A stream ends with the core: who reads it never believes in what is
//! no more. A reader that falls behind is cut off, and comes again from where it was.

use super::live::{Live, Snapshot};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, Receiver, error::RecvError};
use tokio::time::sleep;

/// How often every stream is told how everything stands.
const BEAT: Duration = Duration::from_secs(5);
/// How many events a reader may be behind.
const BEHIND: usize = 256;
/// How many events are kept for who comes again.
const KEPT: usize = 256;

/// Where events go, and where readers get them; cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    live: Live,
    /// Tells the ids of this start from those of others.
    start: u128,
    kept: Mutex<Kept>,
    /// A reader has come.
    came: Notify,
    out: broadcast::Sender<Word>,
}

#[derive(Debug, Default)]
struct Kept {
    /// How many there were.
    count: u64,
    /// The last of them.
    last: VecDeque<Arc<str>>,
}

#[derive(Clone, Debug)]
enum Word {
    Say(Arc<str>),
    End,
}

/// One reader's stream.
#[derive(Debug)]
pub(super) struct Reader {
    first: VecDeque<Arc<str>>,
    rest: Receiver<Word>,
}

impl Hub {
    /// A hub whose beats come from there. Needs a runtime.
    #[must_use]
    pub fn start(live: Live) -> Self {
        let start = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let (out, _) = broadcast::channel(BEHIND);
        let shared =
            Shared { live, start: start.as_millis(), kept: Mutex::default(), came: Notify::new(), out };
        let hub = Hub { shared: Arc::new(shared) };
        tokio::spawn(hub.clone().beat());
        hub
    }

    /// Tells every reader of an event: its kind, and one line of JSON.
    pub fn tell(&self, kind: &str, data: &str) {
        let mut kept = self.kept();
        kept.count += 1;
        let word: Arc<str> = format!("id: {}-{}\n{}", self.shared.start, kept.count, word(kind, data)).into();
        kept.last.push_back(word.clone());
        if kept.last.len() > KEPT {
            kept.last.pop_front();
        }
        // Still under the lock: a reader that comes now has it from one side alone. Without readers it fails.
        let _ = self.shared.out.send(Word::Say(word));
    }

    /// The data of the last events.
    pub(super) fn last(&self) -> Vec<String> {
        let data =
            |word: &Arc<str>| word.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        self.kept().last.iter().filter_map(data).collect()
    }

    /// A new reader: first how everything stands; then what it has missed, where it says what it has seen last.
    pub(super) fn reader(&self, now: &Snapshot, seen: Option<&str>) -> Reader {
        let kept = self.kept();
        let mut first = VecDeque::from([beat(now)]);
        if let Some(seen) = seen {
            let begun = self.shared.start.to_string();
            let ours = seen.split_once('-').filter(|(start, _)| *start == begun);
            let seen = ours.and_then(|(_, count)| count.parse::<u64>().ok()).unwrap_or(0);
            let missed = usize::try_from(kept.count.saturating_sub(seen)).unwrap_or(usize::MAX);
            if missed > kept.last.len() {
                first.push_back(word("gap", "{}").into());
            }
            first.extend(kept.last.iter().skip(kept.last.len().saturating_sub(missed)).cloned());
        }
        let rest = self.shared.out.subscribe();
        self.shared.came.notify_one();
        Reader { first, rest }
    }

    /// Beats for ever; ends all streams where the core does not.
    async fn beat(self) {
        loop {
            // Where nobody reads, nobody is woken.
            if self.shared.out.receiver_count() == 0 {
                self.shared.came.notified().await;
            }
            sleep(BEAT).await;
            if self.shared.out.receiver_count() > 0 {
                let now = self.shared.live.snapshot().await;
                let _ = self.shared.out.send(now.map_or(Word::End, |now| Word::Say(beat(&now))));
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// What to send next; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Arc<str>> {
        if let Some(word) = self.first.pop_front() {
            return Some(word);
        }
        match self.rest.recv().await {
            Ok(Word::Say(word)) => Some(word),
            Ok(Word::End) | Err(RecvError::Lagged(_) | RecvError::Closed) => None,
        }
    }
}

/// How everything stands, in short.
fn beat(now: &Snapshot) -> Arc<str> {
    let routers: serde_json::Map<_, _> =
        now.status.routers.iter().map(|router| (router.name.to_string(), json!(router.state))).collect();
    let age = u64::try_from(now.age().as_millis()).unwrap_or(u64::MAX);
    let data = json!({ "age_ms": age, "status": now.status.health, "routers": routers });
    word("beat", &data.to_string()).into()
}

fn word(kind: &str, data: &str) -> String {
    format!("event: {kind}\ndata: {data}\n\n")
}
