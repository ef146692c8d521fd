//! Asks the core how everything stands: one question at a time, however many ask here. Everybody's answer is
//! to a question that was put after theirs; who is not answered in time gets none, and nothing is kept.

use crate::agent::Response;
use crate::agent::status::Status;
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// An answer that is older than this is none.
pub const FRESH: Duration = Duration::from_secs(1);
/// How many may wait for the next answer.
const WAITING: usize = 512;
/// The core has at least so long for other things between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// The status, and how old it can be.
#[derive(Debug)]
pub struct Snapshot {
    /// As the core said.
    pub status: Status,
    /// What the wall clock read when it came, since the Unix epoch.
    pub wall: Duration,
    asked: Duration,
}

impl Snapshot {
    /// Of a status that was just asked for.
    #[must_use]
    pub fn now(status: Status) -> Self {
        Snapshot { status, wall: wall(), asked: clock() }
    }

    /// How old it is at the most.
    #[must_use]
    pub fn age(&self) -> Duration {
        clock().saturating_sub(self.asked)
    }

    /// Whether it may still be told.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.age() <= FRESH
    }
}

/// The way to the core.
#[derive(Clone, Debug)]
pub struct Live {
    to: mpsc::Sender<oneshot::Sender<Arc<Snapshot>>>,
}

impl Live {
    /// Asks by `ask` from now on. Needs a runtime.
    pub fn start(ask: impl Fn(oneshot::Sender<Response>) + Send + 'static) -> Self {
        let (to, waiting) = mpsc::channel(WAITING);
        tokio::spawn(answer(waiting, ask));
        Live { to }
    }

    /// How everything stands now; `None` where the core does not say so in time.
    pub async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let (to, answer) = oneshot::channel();
        self.to.try_send(to).ok()?;
        let snapshot = timeout(FRESH, answer).await.ok()?.ok()?;
        snapshot.is_fresh().then_some(snapshot)
    }
}

async fn answer(
    mut waiting: mpsc::Receiver<oneshot::Sender<Arc<Snapshot>>>,
    ask: impl Fn(oneshot::Sender<Response>),
) {
    let mut together = Vec::new();
    while waiting.recv_many(&mut together, WAITING).await > 0 {
        let asked = clock();
        let (to, answer) = oneshot::channel();
        ask(to);
        // However long it takes: a core that hangs is asked once.
        if let Ok(Response::Status(status)) = answer.await {
            let snapshot = Arc::new(Snapshot { status: *status, wall: wall(), asked });
            for to in together.drain(..) {
                // Who has gone needs no answer.
                let _ = to.send(snapshot.clone());
            }
        }
        together.clear();
        sleep(PAUSE).await;
    }
}

/// A clock that goes on while the host sleeps.
pub(super) fn clock() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
