//! The task that keeps one record as wished. A provider that hangs holds up nobody else: [`Clerk::wish`] puts the
//! wish down and returns.

use super::desk::{Desk, LOOK, Step};
use super::{Found, Record, Wrote};
use crate::agent::status::DnsStatus;
use crate::stream::dial::Lane;
use crate::stream::retry::Refusal;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout, timeout_at};

/// How often a record is read anew that somebody else changes at the same time.
const ROUNDS: u32 = 3;
/// How long to wait before that.
const SETTLE: Duration = Duration::from_secs(1);
/// How long an order of a person may take: less than whoever asks waits for the answer, so that no write is made
/// behind the back of somebody who was told that nothing came of it.
pub const BY_HAND: Duration = Duration::from_secs(45);
/// The same for the look at what was written.
pub const READ_BACK: Duration = Duration::from_secs(10);
/// The longest text of an error, in characters.
const LONGEST_TEXT: usize = 300;

/// How a record stands, and what is worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For the status.
    pub status: DnsStatus,
    /// For the log, said once until it changes; `Err` for trouble.
    pub line: Option<Result<String, String>>,
    /// What was written.
    pub written: Option<Written>,
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// `www.example.org A`
    pub record: String,
    /// What it held before.
    pub was: Vec<IpAddr>,
    /// What it holds.
    pub now: IpAddr,
}

/// Keeps one record.
#[derive(Debug)]
pub struct Clerk {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    record: Record,
    state: Mutex<State>,
    /// The wish may be another one.
    wake: Notify,
    /// One attempt at a time.
    turn: tokio::sync::Mutex<()>,
    lane: Lane,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

struct State {
    desk: Desk,
    status: DnsStatus,
    /// The trouble that was said last.
    said: Option<String>,
}

impl Clerk {
    /// Starts the task. Must be called on the runtime; `report` must not block.
    #[must_use]
    pub fn start(record: Record, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        // Of hosts that go by checks alone none is the one that is right: two that differ would write for ever.
        let every = record.plan.role.is_some().then_some(LOOK);
        Clerk::looking(record, every, report)
    }

    /// The same, with another time from one look at the record to the next; `None`: no looks.
    #[must_use]
    pub fn looking(
        record: Record,
        every: Option<Duration>,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> Self {
        let status = DnsStatus {
            name: record.name.clone(),
            record: record.to_string(),
            provider: record.provider.word().to_owned(),
            ..DnsStatus::default()
        };
        let state = Mutex::new(State { desk: Desk::looking(every), status, said: None });
        let (wake, turn, lane) = <_>::default();
        let shared = Arc::new(Shared { record, state, wake, turn, lane, report: Box::new(report) });
        shared.say(None, None);
        Clerk { task: tokio::spawn(Arc::clone(&shared).work()), shared }
    }

    /// Of what.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.shared.record
    }

    /// From now on the record should hold this; `None`: whatever it holds. Returns at once.
    pub fn wish(&self, wish: Option<IpAddr>) {
        if self.shared.state().desk.wish(wish) {
            self.shared.say(None, None);
            self.shared.wake.notify_one();
        }
    }

    /// The other one who wrote the record was heard, and gives way.
    pub fn heard(&self) {
        if self.shared.state().desk.heard() {
            self.shared.say(None, None);
            self.shared.wake.notify_one();
        }
    }

    /// Asks whether the provider would let us write, which changes no answer.
    pub fn test(&self) -> impl Future<Output = Result<String, String>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.test().await }
    }

    /// Has the record hold `address`, whatever is wished; until there is another wish.
    pub fn set(&self, address: IpAddr) -> impl Future<Output = Result<String, String>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.set(address).await }
    }
}

impl Drop for Clerk {
    /// What has not been written will not be: whoever ends has no role any more.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("record", &self.record).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self: Arc<Self>) {
        loop {
            let step = self.state().desk.step(Instant::now());
            match step {
                Step::Wait(until) => {
                    let woken = self.wake.notified();
                    match until {
                        Some(until) => drop(timeout_at(until.into(), woken).await),
                        None => woken.await,
                    }
                }
                Step::Look(address) => {
                    let look = async {
                        let _turn = self.turn.lock().await;
                        self.within(self.record.read(&self.lane)).await
                    };
                    tokio::select! {
                        found = look => {
                            // Who does not answer now is asked again; a write that fails is another matter.
                            let right = found.as_ref().ok().map(|found| found.is(address, self.record.ttl));
                            let turned = self.state().desk.seen(Instant::now(), right);
                            if turned {
                                self.contested(&found.unwrap_or_default());
                            }
                        }
                        () = self.wake.notified() => {}
                    }
                }
                Step::Write(address) => {
                    let attempt = async {
                        let _turn = self.turn.lock().await;
                        self.attempt(address).await
                    };
                    let ended = tokio::select! {
                        ended = attempt => Some(ended),
                        // What is on its way is of no use any more, and its prerequisite sees to it.
                        () = self.superseded(address) => None,
                    };
                    match ended {
                        Some(Ok(written)) => self.done(address, written),
                        Some(Err(refusal)) => self.failed(&refusal),
                        None => {}
                    }
                }
            }
        }
    }

    /// Returns once something else is wished than to write this.
    async fn superseded(&self, address: IpAddr) {
        loop {
            self.wake.notified().await;
            let state = self.state();
            if !state.desk.is_pending() || state.desk.wanted() != Some(address) {
                return;
            }
        }
    }

    /// Has the record hold `address` alone. What was written, if anything had to be.
    async fn attempt(&self, address: IpAddr) -> Result<Option<Written>, Refusal> {
        let mut before: Option<BTreeSet<IpAddr>> = None;
        for _ in 0..ROUNDS {
            let found = self.within(self.record.read(&self.lane)).await?;
            if found.is(address, self.record.ttl) {
                // With a write whose answer was lost there is something to tell.
                let was = before.filter(|was| !was.iter().eq([&address]));
                return Ok(was.map(|was| self.written(was, address)));
            }
            before = Some(found.addresses.clone());
            match self.within(self.record.write(&found, address, &self.lane)).await? {
                Wrote::Done => return Ok(Some(self.written(found.addresses, address))),
                // Time to hear that another host has the role, if it has.
                Wrote::Conflict => sleep(SETTLE).await,
            }
        }
        Err(Refusal::later("somebody else changes it at the same time"))
    }

    fn written(&self, was: BTreeSet<IpAddr>, now: IpAddr) -> Written {
        Written { record: self.record.to_string(), was: was.into_iter().collect(), now }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        limited(self.record.timeout, call).await
    }

    async fn test(&self) -> Result<String, String> {
        let record = &self.record;
        let rehearsal = async {
            let _turn = self.turn.lock().await;
            let found = self.within(record.read(&self.lane)).await?;
            let proven = self.within(record.rehearse(&found, &self.lane)).await?;
            Ok((found, proven))
        };
        let ended = limited(BY_HAND, rehearsal).await;
        let (found, proven) = ended.map_err(|refusal| self.named(refusal.why()))?;
        self.state().desk.close();
        self.wake.notify_one();
        let holds = held(&found.addresses);
        Ok(if proven {
            self.named(&format!("{record} holds {holds}; it could be written"))
        } else {
            self.named(&format!(
                "{record} holds {holds}; it could be read, and nothing is there to prove that \
                                 it could be written"
            ))
        })
    }

    async fn set(&self, address: IpAddr) -> Result<String, String> {
        if !self.record.takes(address) {
            return Err(self.named(&format!("{} cannot hold {address}", self.record)));
        }
        self.state().desk.drop_wish();
        // An attempt that is under way ends.
        self.wake.notify_one();
        let attempt = async {
            let turn = self.turn.lock().await;
            Ok((turn, self.attempt(address).await?))
        };
        let (_turn, written) = match limited(BY_HAND, attempt).await {
            Ok(both) => both,
            Err(refusal) => {
                self.state().desk.take_up();
                self.wake.notify_one();
                return Err(self.named(refusal.why()));
            }
        };
        self.done(address, written.clone());
        self.state().desk.keep();
        let named = |refusal: Refusal| self.named(&format!("written, but not confirmed: {}", refusal.why()));
        let within = self.record.timeout.min(READ_BACK);
        let found = limited(within, self.record.read(&self.lane)).await.map_err(named)?;
        if !found.addresses.iter().eq([&address]) {
            let holds = held(&found.addresses);
            return Err(self.named(&format!("written, and {} holds {holds} nevertheless", self.record)));
        }
        let before = written.map_or_else(
            || "as it did before".to_owned(),
            |written| format!("it held {}", held(&written.was.into_iter().collect())),
        );
        Ok(self.named(&format!("{} holds {address}, {before}", self.record)))
    }

    fn named(&self, text: &str) -> String {
        format!("dns {}: {}", self.record.name, line(text))
    }

    /// The record holds this.
    fn done(&self, address: IpAddr, written: Option<Written>) {
        let line = {
            let mut state = self.state();
            state.desk.written(Instant::now(), address);
            state.status.holds = Some(address);
            state.status.failing = false;
            state.status.written += u64::from(written.is_some());
            let healed = state.said.take().is_some();
            match &written {
                Some(Written { record, was, now }) => {
                    Some(format!("{record} holds {now}, it held {}", held(&was.iter().copied().collect())))
                }
                None => healed.then(|| format!("{} holds {address}", self.record)),
            }
        };
        self.say(line.map(Ok), written);
    }

    /// An attempt failed.
    fn failed(&self, refusal: &Refusal) {
        let chance = RandomState::new().build_hasher().finish();
        let why = &line(refusal.why());
        let line = {
            let mut state = self.state();
            state.desk.failed(Instant::now(), refusal, chance);
            state.status.failed += 1;
            state.status.failing = true;
            state.status.last_error = Some(why.clone());
            let news = state.said.as_ref() != Some(why);
            state.said = Some(why.clone());
            news.then(|| format!("{why}; trying again"))
        };
        self.say(line.map(Err), None);
    }

    /// Somebody else writes it again and again, or does not any more.
    fn contested(&self, found: &Found) {
        let holds = format!("{} holds {}", self.record, held(&found.addresses));
        let line = if self.state().desk.is_contested() {
            let why = format!(
                "{holds} again: another host is Master as well, or somebody else writes it. It is left so, until a \
                 role changes or `locum dns set` decides"
            );
            let mut state = self.state();
            state.status.last_error = Some(why.clone());
            state.said = Some(why.clone());
            Err(why)
        } else {
            self.state().said = None;
            Ok(holds)
        };
        self.say(Some(line), None);
    }

    /// Reports how it stands, and perhaps a line.
    fn say(&self, line: Option<Result<String, String>>, written: Option<Written>) {
        let status = {
            let mut state = self.state();
            state.status.wanted = state.desk.wanted();
            state.status.waiting = state.desk.is_pending();
            state.status.paused = state.desk.is_open();
            // What failed for a wish that is gone is nobody's trouble.
            state.status.failing &= state.desk.is_pending();
            state.status.contested = state.desk.is_contested();
            state.status.failing |= state.status.contested;
            state.status.clone()
        };
        let named = |text: String| self.named(&text);
        let line = line.map(|line| line.map(named).map_err(named));
        (self.report)(Report { status, line, written });
    }
}

fn held(addresses: &BTreeSet<IpAddr>) -> String {
    if addresses.is_empty() {
        return "nothing".to_owned();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// What a provider says, of whatever length, as a part of a line.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_TEXT).collect()
}

async fn limited<T>(within: Duration, call: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = |_| Refusal::later(format!("no answer within {within:?}"));
    timeout(within, call).await.map_err(late)?
}
