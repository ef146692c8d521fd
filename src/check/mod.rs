//! Probes: one file per kind of check, and the loop that runs one on its interval.
//!
//! A probe says what happened, once. What follows from it (rise, fall, weights, inversion) is
//! [`crate::health`]'s to decide and must not be here.

pub mod bfd;
pub mod bfd_packet;
mod bfd_port;
pub mod bfd_session;
pub mod command_line;
pub mod dns;
mod endpoint;
pub mod file;
pub mod http;
mod lane;
pub mod overlap;
mod pattern;
pub mod ping;
pub mod process;
pub mod script;
mod sentry;
pub mod target;
pub mod tcp;
pub mod tls;
mod turns;
pub mod websocket;

pub use endpoint::Endpoint;
pub use pattern::Pattern;
pub use target::Target;

use crate::health::Outcome;
use lane::Lane;
use sentry::Sentry;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The longest pause between two attempts, unless [`Schedule::backoff`] itself is longer.
pub const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// The shortest time between the starts of two probes, whatever the configuration says.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// The longest failure text, in characters; what comes from outside is cut here.
const LONGEST_TEXT: usize = 300;
/// Longer times are as good as for ever, and could overflow the clock.
const LONGEST_SPAN: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// One check in full: what to probe and when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// What to probe.
    pub probe: Probe,
    /// When, how often and how long.
    pub schedule: Schedule,
}

/// What to probe: one variant per kind, each with its own file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A TCP connection is accepted.
    Tcp(tcp::Config),
    /// An HTTP or HTTPS answer has the wanted status and body.
    Http(http::Config),
    /// A WebSocket opens and answers.
    Websocket(websocket::Config),
    /// A program exits with 0.
    Script(script::Config),
    /// A process exists.
    Process(process::Config),
    /// A file is as it should be.
    File(file::Config),
    /// A host answers an ICMP echo request.
    Ping(ping::Config),
    /// A name server answers a query.
    Dns(dns::Config),
    /// A BFD session is up.
    Bfd(bfd::Config),
}

/// When a check probes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// From the start of one probe to the start of the next; not less than [`SHORTEST_INTERVAL`].
    pub interval: Duration,
    /// The longest time one attempt may take.
    pub timeout: Duration,
    /// Attempts inside one probe beyond the first.
    pub retries: u32,
    /// The pause before the first retry; doubles for each further one, up to [`BACKOFF_CAP`].
    pub backoff: Duration,
    /// The longest time of one probe with its retries and pauses; `None`: what they take.
    pub within: Option<Duration>,
    /// Start a probe each interval, though the last has not ended.
    pub overlap: bool,
    /// A random time from zero to this is added to every interval and to the start.
    pub jitter: Duration,
    /// The local address probes leave from.
    pub source: Option<IpAddr>,
    /// The interface probes leave by.
    pub device: Option<String>,
}

impl Default for Schedule {
    /// Every 2 s, 1 s each, no retries, no jitter.
    fn default() -> Self {
        Schedule {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            retries: 0,
            backoff: Duration::from_millis(100),
            within: None,
            overlap: false,
            jitter: Duration::ZERO,
            source: None,
            device: None,
        }
    }
}

impl Schedule {
    /// The pause before retry number `retry`, counted from zero.
    fn pause(&self, retry: u32) -> Duration {
        self.backoff.saturating_mul(2u32.saturating_pow(retry)).min(BACKOFF_CAP.max(self.backoff))
    }
}

impl Spec {
    /// The longest time from the target's failure to the report of the `fall`th failed probe in a
    /// row, when every attempt ends by its timeout.
    #[must_use]
    pub fn worst_detection(&self, fall: u32) -> Duration {
        if let Probe::Bfd(config) = &self.probe {
            return config.detection();
        }
        self.period().saturating_mul(fall.max(1)).saturating_add(self.round())
    }

    /// The longest time of one probe with its retries.
    fn round(&self) -> Duration {
        let schedule = &self.schedule;
        // Beyond 32 retries every pause is the cap, so the sum need not walk them all.
        let walked = schedule.retries.min(32);
        let pauses = (0..walked)
            .map(|retry| schedule.pause(retry))
            .fold(Duration::ZERO, Duration::saturating_add)
            .saturating_add(schedule.pause(walked).saturating_mul(schedule.retries - walked));
        let attempts = self.bound().saturating_mul(schedule.retries.saturating_add(1));
        let end = self.bound().saturating_sub(schedule.timeout);
        let within = schedule.within.map_or(Duration::MAX, |within| within.saturating_add(end));
        attempts.saturating_add(pauses).min(within)
    }

    /// A number that differs where anything about two checks differs, secrets included, and is the
    /// same for equal ones as long as the program runs.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// What would make every probe fail, whatever the target does: "the command is empty". The
    /// configuration asks this before it accepts a check.
    pub fn validate(&self) -> Result<(), String> {
        match &self.probe {
            Probe::Http(config) => config.request().map(drop),
            Probe::Websocket(config) => config.request().map(drop),
            Probe::Script(config) => config.validate(),
            Probe::Process(config) => config.validate(),
            Probe::Tcp(_) | Probe::File(_) | Probe::Ping(_) | Probe::Dns(_) | Probe::Bfd(_) => Ok(()),
        }
    }

    /// The longest time of one attempt. A script that outlives its timeout is ended within it.
    fn bound(&self) -> Duration {
        match self.probe {
            Probe::Script(_) => self.schedule.timeout.saturating_add(script::END),
            _ => self.schedule.timeout,
        }
    }
}

/// What an attempt needs besides its configuration.
struct Attempt<'a> {
    schedule: &'a Schedule,
    /// Where this check may block; one at a time.
    lane: &'a Lane,
    /// Who looks after what was found until the next probe.
    sentry: &'a Sentry,
    /// When the attempt's time is up.
    deadline: Instant,
    /// What the probe waits for, should its time run out.
    awaited: Mutex<&'static str>,
    /// The number that the probe has read, if it reads one.
    value: Mutex<Option<i32>>,
}

impl Attempt<'_> {
    /// The probe has read this number.
    fn reads(&self, value: i32) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn value(&self) -> Option<i32> {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the probe waits for `what`.
    fn awaits(&self, what: &'static str) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn timed_out(&self) -> String {
        let within = self.schedule.timeout;
        match *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) {
            "" => format!("no answer within {within:?}"),
            what => format!("no answer within {within:?}: waited for {what}"),
        }
    }
}

/// Probes for ever and hands every outcome to `report`. The first probe starts at once, the second
/// half an interval to a whole one later, so that a thousand checks do not all probe in one moment for
/// ever; each next one an interval after the last was due, or at once when the last took longer;
/// two overlap only where [`Schedule::overlap`] says so. What a sentry sees end is looked at at once, instead
/// of after the interval. Drop the future to stop; a running script is then killed.
pub async fn run(spec: Spec, mut report: impl FnMut(Outcome) + Send + 'static) {
    if let Probe::Bfd(config) = &spec.probe {
        return bfd::run(config, &spec.schedule, report).await;
    }
    if spec.schedule.overlap {
        return overlap::run(&spec, report).await;
    }
    let (lane, sentry) = (Lane::default(), Sentry::default());
    let mut next = after(Instant::now(), jitter(spec.schedule.jitter));
    let mut soonest = next;
    let interval = spec.schedule.interval.max(SHORTEST_INTERVAL);
    let mut span = spread(interval);
    loop {
        let alarmed = tokio::select! {
            () = sleep_until(next) => false,
            () = sentry.alarm() => true,
        };
        if alarmed {
            // What ends all the time is not looked at all the time.
            sleep_until(soonest.min(next)).await;
        }
        let start = Instant::now();
        let outcome = round(&spec, &lane, &sentry).await;
        if alarmed && outcome.verdict.is_ok() {
            sentry.dismiss();
        }
        report(outcome);
        soonest = after(start, SHORTEST_INTERVAL);
        let due = following(next, start, span.saturating_add(jitter(spec.schedule.jitter)));
        next = due.max(soonest).max(Instant::now());
        span = interval;
    }
}

/// One probe with its retries.
pub async fn probe_once(spec: &Spec) -> Outcome {
    round(spec, &Lane::default(), &Sentry::default()).await
}

async fn round(spec: &Spec, lane: &Lane, sentry: &Sentry) -> Outcome {
    // Its time runs from then on: that others are many is nothing that the target has done.
    let _turn = turns::turn().await;
    let mut retry = 0;
    let up = after(Instant::now(), spec.schedule.within.unwrap_or(LONGEST_SPAN));
    loop {
        let start = Instant::now();
        let deadline = after(start, spec.schedule.timeout).min(up);
        let until = after(deadline, spec.bound().saturating_sub(spec.schedule.timeout));
        let (awaited, value) = (Mutex::new(""), Mutex::new(None));
        let attempt = Attempt { schedule: &spec.schedule, lane, sentry, deadline, awaited, value };
        let verdict = bounded(spec, &attempt, until).await;
        let verdict = verdict.map_err(|text| one_line(&text));
        let outcome = Outcome { verdict, latency: start.elapsed(), value: attempt.value() };
        let again = after(Instant::now(), spec.schedule.pause(retry));
        if outcome.verdict.is_ok() || retry >= spec.schedule.retries || again >= up {
            return outcome;
        }
        sleep_until(again).await;
        retry += 1;
    }
}

/// One attempt, ended at `until`.
async fn bounded(spec: &Spec, attempt: &Attempt<'_>, until: Instant) -> Result<(), String> {
    match timeout_at(until, unbroken(dispatch(&spec.probe, attempt))).await {
        Ok(verdict) => verdict,
        Err(_) => Err(attempt.timed_out()),
    }
}

/// A panic is a failure like another.
async fn unbroken(probe: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let mut probe = pin!(probe);
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| probe.as_mut().poll(cx))).unwrap_or_else(|_| {
            Poll::Ready(Err("the probe broke (a bug in Locum, please report it)".to_owned()))
        })
    })
    .await
}

/// `start` plus `span`, which may be longer than the clock can count.
fn after(start: Instant, span: Duration) -> Instant {
    start + span.min(LONGEST_SPAN)
}

/// When the probe after one is due that was due at `due` and began at `start`. One that begins late, as timers do, does
/// not put off all that follow; after a pause as long as `span` there is nothing to be made up for.
fn following(due: Instant, start: Instant, span: Duration) -> Instant {
    let next = after(due, span);
    if start < due || next <= start { after(start, span) } else { next }
}

async fn dispatch(probe: &Probe, attempt: &Attempt<'_>) -> Result<(), String> {
    match probe {
        Probe::Tcp(config) => tcp::probe(config, attempt).await,
        Probe::Http(config) => http::probe(config, attempt).await,
        Probe::Websocket(config) => websocket::probe(config, attempt).await,
        Probe::Script(config) => script::probe(config, attempt).await,
        Probe::Process(config) => process::probe(config, attempt).await,
        Probe::File(config) => file::probe(config, attempt).await,
        Probe::Ping(config) => ping::probe(config, attempt).await,
        Probe::Dns(config) => dns::probe(config, attempt).await,
        Probe::Bfd(config) => bfd::probe(config, attempt).await,
    }
}

/// The text on one line, without control characters, of bearable length.
fn one_line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST_TEXT).collect()
}

/// A number no one outside can foresee.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// How long the second probe comes after the first: checks that start together do not stay together.
fn spread(interval: Duration) -> Duration {
    interval.saturating_sub(jitter(interval / 2))
}

fn jitter(most: Duration) -> Duration {
    let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(random() % most.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(schedule: Schedule) -> Spec {
        Spec { probe: Probe::Tcp(tcp::Config { target: Target::new("127.0.0.1", 1) }), schedule }
    }

    #[test]
    fn a_fingerprint_changes_with_a_secret_and_stays_with_an_equal_check() {
        let script = |argument: &str| {
            let argv = vec!["/x".to_owned(), argument.to_owned()];
            let probe = Probe::Script(script::Config {
                argv,
                user: crate::process::User::own(),
                inherit: crate::process::Inherit::Nothing,
            });
            Spec { probe, schedule: Schedule::default() }.fingerprint()
        };
        assert_eq!(script("hush"), script("hush"));
        assert_ne!(script("hush"), script("hash"));
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let schedule = Schedule { backoff: Duration::from_secs(1), ..Schedule::default() };
        let seconds: Vec<_> = [0, 1, 2, 4, 5, 40].map(|retry| schedule.pause(retry).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 16, 30, 30]);
    }

    #[test]
    fn a_backoff_above_the_cap_stays_as_it_is() {
        let schedule = Schedule { backoff: Duration::from_secs(60), ..Schedule::default() };
        assert_eq!(schedule.pause(3), Duration::from_secs(60));
    }

    #[test]
    fn the_worst_detection_counts_interval_jitter_attempts_and_pauses() {
        let schedule = Schedule {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            retries: 2,
            backoff: Duration::from_millis(500),
            jitter: Duration::from_secs(1),
            ..Schedule::default()
        };
        // A round: 3 attempts of 1 s, pauses of 0.5 s and 1 s.
        assert_eq!(spec(schedule.clone()).worst_detection(1), Duration::from_millis(11_000 + 4_500));
        assert_eq!(spec(schedule).worst_detection(3), Duration::from_millis(33_000 + 4_500));
    }

    #[test]
    fn the_worst_detection_of_rounds_longer_than_the_interval_counts_rounds() {
        let schedule = Schedule {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            ..Schedule::default()
        };
        assert_eq!(spec(schedule).worst_detection(2), Duration::from_secs(15));
    }

    #[test]
    fn the_worst_detection_of_overlapping_probes_counts_intervals_and_one_round() {
        let schedule = Schedule {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            retries: 3,
            within: Some(Duration::from_secs(10)),
            overlap: true,
            ..Schedule::default()
        };
        assert_eq!(spec(schedule.clone()).worst_detection(3), Duration::from_secs(25));
        let apart = Schedule { overlap: false, ..schedule };
        assert_eq!(spec(apart).worst_detection(3), Duration::from_secs(40));
    }

    #[test]
    fn the_worst_detection_saturates() {
        let schedule = Schedule { timeout: Duration::MAX, retries: u32::MAX, ..Schedule::default() };
        assert_eq!(spec(schedule).worst_detection(u32::MAX), Duration::MAX);
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_varies() {
        let most = Duration::from_millis(7);
        let drawn: Vec<_> = (0..100).map(|_| jitter(most)).collect();
        assert!(drawn.iter().all(|d| *d <= most));
        assert!(drawn.iter().any(|d| *d != drawn[0]));
        assert_eq!(jitter(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn checks_that_start_together_part_and_none_probes_later_than_after_its_interval() {
        let interval = Duration::from_secs(1);
        let mut drawn: Vec<_> = (0..1000).map(|_| spread(interval)).collect();
        drawn.sort();
        assert!(interval / 2 <= drawn[0] && drawn[999] <= interval);
        let in_one_moment = drawn.windows(100).any(|some| some[99].saturating_sub(some[0]) < interval / 100);
        assert!(!in_one_moment, "a tenth of all in a hundredth of the time");
    }

    #[test]
    fn a_probe_that_begins_late_puts_none_off_and_one_that_an_alarm_brings_does() {
        let (due, millis) = (Instant::now() + Duration::from_secs(9), Duration::from_millis);
        let next = |start| following(due, start, millis(1000));
        assert_eq!(next(due), due + millis(1000));
        assert_eq!(next(due + millis(7)), due + millis(1000));
        assert_eq!(next(due - millis(400)), due + millis(600), "an interval after the early one");
        assert_eq!(next(due + millis(5000)), due + millis(6000), "once after a pause, and not twice");
    }

    #[tokio::test]
    async fn a_panic_in_a_probe_is_a_failure() {
        let verdict = unbroken(async { panic!("planted by the test") }).await;
        assert_eq!(verdict.unwrap_err(), "the probe broke (a bug in Locum, please report it)");
    }

    #[test]
    fn texts_become_one_line() {
        assert_eq!(one_line("a\nb\x1b[1m"), "a b [1m");
        assert_eq!(one_line(&"x".repeat(1000)).len(), LONGEST_TEXT);
    }
}
