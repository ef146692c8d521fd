//! The task that tells one receiver, in order, and tries again. A receiver that hangs holds up nobody else.
//!
//! Nothing of it is in the way of whoever tells it something: [`Messenger::tell`] puts it down and returns.

use super::message::{Batch, News, Receiver, Way};
use super::waiting::Waiting;
use super::{post, smtp};
use crate::agent::Transition;
use crate::agent::status::MessageStatus;
use crate::stream::dial::Lane;
use crate::stream::retry::{Refusal, pause};
use jiff::Timestamp;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the first of several transitions waits for the others: what comes together is told together.
const GATHER: Duration = Duration::from_millis(250);
/// The longest text of an error, in characters.
const LONGEST_TEXT: usize = 300;

/// How a receiver stands, and what is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For the status; `None` once there is another in its place.
    pub status: Option<MessageStatus>,
    /// Said once until it changes; `Err` for trouble.
    pub line: Option<Result<String, String>>,
}

/// Tells one receiver.
#[derive(Debug)]
pub struct Messenger {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    receiver: Receiver,
    state: Mutex<State>,
    wake: Notify,
    lane: Lane,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

struct State {
    waiting: Waiting,
    status: MessageStatus,
    /// Transitions in the message that is on its way.
    on_its_way: u64,
    /// The trouble that was said last.
    said: Option<String>,
    closed: bool,
}

/// What to do next.
enum Step {
    Send(Batch),
    /// Until then, or until woken.
    Sleep(Option<Instant>),
    End,
}

impl Messenger {
    /// Starts the task. Must be called on the runtime; `report` must not block.
    #[must_use]
    pub fn start(receiver: Receiver, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        let state = State {
            waiting: Waiting::new(receiver.window, receiver.storm),
            status: MessageStatus { name: receiver.name.clone(), ..MessageStatus::default() },
            on_its_way: 0,
            said: None,
            closed: false,
        };
        let (wake, lane) = <_>::default();
        let (state, report) = (Mutex::new(state), Box::new(report));
        let shared = Arc::new(Shared { receiver, state, wake, lane, report });
        shared.say(None);
        Messenger { task: tokio::spawn(Arc::clone(&shared).work()), shared }
    }

    /// Who is told.
    #[must_use]
    pub fn receiver(&self) -> &Receiver {
        &self.shared.receiver
    }

    /// Tells of `transition`, where the receiver wants to know, and returns at once.
    pub fn tell(&self, transition: &Transition, at: Timestamp) {
        if self.shared.receiver.wants(transition) {
            self.shared.state().waiting.push(Instant::now(), News::of(transition, at));
            self.shared.wake.notify_one();
        }
    }

    /// Sends what waits, each once more at most, but not longer than `within`.
    pub async fn finish(mut self, within: Duration) {
        self.shared.state().closed = true;
        self.shared.wake.notify_one();
        if timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            let left = {
                let mut state = self.shared.state();
                let left = state.on_its_way + state.waiting.len();
                state.status.dropped += left;
                left
            };
            self.shared.say(Some(Err(format!("no time was left to tell of {left} transitions"))));
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self: Arc<Self>) {
        let mut retry = 0;
        loop {
            match self.step() {
                Step::Send(batch) => {
                    let count = batch.count();
                    match self.attempt(&batch).await {
                        Ok(()) => {
                            self.delivered();
                            retry = 0;
                        }
                        Err(Refusal::Later(why, asked)) if self.may_retry(retry) => {
                            let chance = RandomState::new().build_hasher().finish();
                            let pause = pause(self.receiver.backoff, retry, asked, chance);
                            retry += 1;
                            self.state().waiting.put_back(batch);
                            self.failed(&why, 0);
                            self.rest(pause).await;
                        }
                        Err(Refusal::Later(why, _) | Refusal::Never(why)) => {
                            self.failed(&why, count);
                            retry = 0;
                        }
                    }
                }
                Step::Sleep(until) => {
                    let woken = self.wake.notified();
                    match until {
                        Some(until) => drop(tokio::time::timeout_at(until.into(), woken).await),
                        None => woken.await,
                    }
                    self.rest(GATHER).await;
                }
                Step::End => return,
            }
        }
    }

    fn step(&self) -> Step {
        let mut state = self.state();
        let closed = state.closed;
        match state.waiting.take(Instant::now(), closed) {
            Some(batch) => {
                state.on_its_way = batch.count();
                Step::Send(batch)
            }
            None if closed => Step::End,
            None => Step::Sleep(state.waiting.due()),
        }
    }

    fn may_retry(&self, retry: u32) -> bool {
        retry < self.receiver.retries && !self.state().closed
    }

    /// One attempt. Meanwhile it is said how many more wait.
    async fn attempt(&self, batch: &Batch) -> Result<(), Refusal> {
        let mut attempt = pin!(self.deliver(batch));
        loop {
            self.say(None);
            tokio::select! {
                result = &mut attempt => return result,
                () = self.wake.notified() => {}
            }
        }
    }

    async fn deliver(&self, batch: &Batch) -> Result<(), Refusal> {
        match &self.receiver.way {
            Way::Mail(mail) => {
                let text = self.receiver.mail(batch).text(mail);
                let refused = |why| self.say(Some(Err(why)));
                smtp::deliver(mail, &text, &self.lane, &refused).await
            }
            Way::Post(post) => post::deliver(post, &self.receiver, batch, &self.lane).await,
        }
    }

    fn delivered(&self) {
        let healed = {
            let mut state = self.state();
            state.on_its_way = 0;
            state.status.sent += 1;
            state.status.failing = false;
            state.said.take()
        };
        self.say(healed.map(|_| Ok("messages arrive again".to_owned())));
    }

    /// An attempt failed, and with it so many transitions will not be told.
    fn failed(&self, why: &str, dropped: u64) {
        let why: String = super::one_line(why).chars().take(LONGEST_TEXT).collect();
        let line = {
            let mut state = self.state();
            state.on_its_way = 0;
            state.status.failed += 1;
            state.status.dropped += dropped;
            state.status.failing = true;
            state.status.last_error = Some(why.clone());
            let line = if dropped > 0 { format!("not told: {why}") } else { format!("{why}; trying again") };
            (state.said.as_ref() != Some(&line)).then(|| {
                state.said = Some(line.clone());
                Err(line)
            })
        };
        self.say(line);
    }

    /// Reports how it stands, and perhaps a line.
    fn say(&self, line: Option<Result<String, String>>) {
        let status = {
            let mut state = self.state();
            state.status.waiting = state.on_its_way + state.waiting.len();
            state.status.repeated = state.waiting.repeated;
            (!state.closed).then(|| state.status.clone())
        };
        let named = |text| format!("message {}: {text}", self.receiver.name);
        let line = line.map(|line| line.map(named).map_err(named));
        (self.report)(Report { status, line });
    }

    /// Pauses, but not once closed.
    async fn rest(&self, pause: Duration) {
        let _ = timeout(pause, async {
            while !self.state().closed {
                self.wake.notified().await;
                self.say(None);
            }
        })
        .await;
    }
}
