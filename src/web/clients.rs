//! Who is served at once, and who makes room: whoever has been silent longest, but for the first moment.
//! Streams of events are counted apart.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// The most clients served at once, streams not among them.
const MOST_CLIENTS: usize = 64;
/// The most streams.
const MOST_STREAMS: usize = 256;
/// How long a client may be silent before it makes room for another.
const MOMENT: Duration = Duration::from_millis(50);

/// What is known of one client.
#[derive(Debug, Default)]
pub(super) struct Client {
    asked: AtomicBool,
    streams: AtomicBool,
}

impl Client {
    /// Its request has come.
    pub(super) fn has_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn streams(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }
}

/// All of them, on every port.
#[derive(Debug, Default)]
pub(super) struct Clients {
    places: Mutex<VecDeque<Place>>,
    streams: AtomicUsize,
}

#[derive(Debug)]
struct Place {
    client: Arc<Client>,
    task: AbortHandle,
    since: Instant,
}

/// A place among the streams, until it is dropped.
#[derive(Debug)]
pub(super) struct Stream(Arc<Clients>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Clients {
    /// Waits until there is room for one more. False where everybody has asked and waits for an answer.
    pub(super) async fn make_room(&self) -> bool {
        loop {
            let due = {
                let mut places = self.places();
                places.retain(|place| !place.task.is_finished() && !place.client.streams());
                if places.len() < MOST_CLIENTS {
                    return true;
                }
                let silent = places.iter().position(|place| !place.client.asked());
                let Some(at) = silent else { return false };
                let due = places.get(at).map_or_else(Instant::now, |place| place.since + MOMENT);
                if due <= Instant::now() {
                    places.remove(at).into_iter().for_each(|place| place.task.abort());
                    continue;
                }
                due
            };
            sleep_until(due).await;
        }
    }

    pub(super) fn seat(&self, client: Arc<Client>, task: AbortHandle) {
        self.places().push_back(Place { client, task, since: Instant::now() });
    }

    /// Makes a client a stream, where there is room for one more.
    pub(super) fn stream(self: &Arc<Self>, client: &Client) -> Option<Stream> {
        let room = |count| (count < MOST_STREAMS).then_some(count + 1);
        self.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        client.streams.store(true, Ordering::Relaxed);
        Some(Stream(self.clone()))
    }

    fn places(&self) -> MutexGuard<'_, VecDeque<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
