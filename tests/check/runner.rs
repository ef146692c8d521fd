//! The runner: intervals, retries, and that checks do not get into each other's way.

use super::script::{directory, run as script_probe, script};
use super::{AMPLE, closed, head, serving, silent};
use locum::check::{Endpoint, Probe, Schedule, Spec, Target, http, probe_once, run, tcp};
use locum::health::Outcome;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// A running check, which ends with the test, and its outcomes.
pub(super) struct Check(AbortHandle, mpsc::UnboundedReceiver<Outcome>);

impl Drop for Check {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Check {
    pub(super) fn start(probe: Probe, schedule: Schedule) -> Check {
        let (sender, receiver) = mpsc::unbounded_channel();
        let report = move |outcome| {
            let _ = sender.send(outcome);
        };
        Check(tokio::spawn(run(Spec { probe, schedule }, report)).abort_handle(), receiver)
    }

    pub(super) async fn next(&mut self) -> Result<(), String> {
        timeout(AMPLE, self.1.recv()).await.expect("an outcome in time").expect("the check runs").verdict
    }
}

fn tcp(target: Target) -> Probe {
    Probe::Tcp(tcp::Config { target })
}

fn get(target: Target) -> Probe {
    Probe::Http(http::Config::get(Endpoint::new(target, "/")))
}

/// When connections came.
type Arrivals = Arc<Mutex<Vec<Instant>>>;

/// Hangs up on the first `failures` connections, then answers well.
async fn failing_first(failures: usize) -> (Target, Arrivals) {
    let arrivals = Arrivals::default();
    let seen = Arc::clone(&arrivals);
    let target = serving(move |mut stream| {
        let count = {
            let mut seen = seen.lock().unwrap();
            seen.push(Instant::now());
            seen.len()
        };
        async move {
            if count > failures {
                head(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        }
    });
    (target.await, arrivals)
}

fn retrying(retries: u32, backoff: Duration) -> Schedule {
    Schedule { retries, backoff, timeout: AMPLE, ..Schedule::default() }
}

#[tokio::test]
async fn a_probe_is_retried_with_growing_pauses_until_it_passes() {
    let (target, arrivals) = failing_first(2).await;
    let backoff = Duration::from_millis(100);
    let outcome = probe_once(&Spec { probe: get(target), schedule: retrying(5, backoff) }).await;
    assert_eq!(outcome.verdict, Ok(()));
    let arrivals = arrivals.lock().unwrap();
    assert_eq!(arrivals.len(), 3);
    assert!(arrivals[1] - arrivals[0] >= backoff);
    assert!(arrivals[2] - arrivals[1] >= backoff * 2);
}

#[tokio::test]
async fn a_probe_fails_when_its_retries_are_used_up() {
    let (target, arrivals) = failing_first(3).await;
    let schedule = retrying(2, Duration::from_millis(1));
    let outcome = probe_once(&Spec { probe: get(target), schedule }).await;
    assert!(outcome.verdict.is_err());
    assert_eq!(arrivals.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn without_retries_a_probe_is_one_attempt() {
    let (target, arrivals) = failing_first(1).await;
    let outcome = probe_once(&Spec { probe: get(target), schedule: retrying(0, AMPLE) }).await;
    assert!(outcome.verdict.is_err());
    assert_eq!(arrivals.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_first_probe_starts_at_once_and_the_next_ones_an_interval_later_but_the_second() {
    let (target, arrivals) = failing_first(0).await;
    let begun = Instant::now();
    let interval = Duration::from_millis(200);
    let mut check = Check::start(get(target), Schedule { interval, timeout: AMPLE, ..Schedule::default() });
    for _ in 0..4 {
        assert_eq!(check.next().await, Ok(()));
    }
    assert!(begun.elapsed() >= interval * 5 / 2);
    assert_eq!(arrivals.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn the_outcome_follows_the_target_down_and_up() {
    let gone = closed().await;
    let interval = Duration::from_millis(20);
    let mut check = Check::start(tcp(gone.clone()), Schedule { interval, ..Schedule::default() });
    assert!(check.next().await.is_err());
    let listener = tokio::net::TcpListener::bind((gone.host.as_str(), gone.port)).await.unwrap();
    while check.next().await.is_err() {}
    drop(listener);
    while check.next().await.is_ok() {}
}

#[tokio::test]
async fn a_hanging_target_does_not_delay_another_check() {
    let slow = Schedule { interval: Duration::from_millis(10), timeout: AMPLE * 10, ..Schedule::default() };
    let mut hanging: Vec<_> = Vec::new();
    for _ in 0..20 {
        hanging.push(Check::start(get(silent().await), slow.clone()));
    }
    let quick = Schedule { interval: Duration::from_millis(10), ..Schedule::default() };
    let mut check = Check::start(tcp(silent().await), quick);
    for _ in 0..20 {
        assert_eq!(check.next().await, Ok(()));
    }
    for mut check in hanging {
        assert!(check.1.try_recv().is_err(), "the hanging ones still hang");
    }
}

#[tokio::test]
async fn a_probe_longer_than_its_interval_never_overlaps_itself() {
    let directory = directory();
    let lock = directory.path().join("lock");
    let path = script(directory.path(), "mkdir $1 || exit 1\nsleep 0.1\nrmdir $1");
    let interval = Duration::from_millis(10);
    let schedule = Schedule { interval, timeout: AMPLE, ..Schedule::default() };
    let mut check = Check::start(script_probe(&path, &[lock.to_str().unwrap()]), schedule);
    for _ in 0..8 {
        assert_eq!(check.next().await, Ok(()));
    }
}

#[tokio::test]
async fn a_script_that_ends_slowly_after_its_timeout_does_not_meet_the_next_one() {
    let directory = directory();
    let (lock, overlaps) = (directory.path().join("lock"), directory.path().join("overlaps"));
    let body = "mkdir $1 || echo overlap >> $2\ntrap 'sleep 0.3; rmdir $1; exit' TERM\nsleep 60 &\nwait";
    let path = script(directory.path(), body);
    let schedule = Schedule {
        interval: Duration::from_millis(10),
        timeout: Duration::from_millis(500),
        retries: 1,
        backoff: Duration::from_millis(1),
        ..Schedule::default()
    };
    let probe = script_probe(&path, &[lock.to_str().unwrap(), overlaps.to_str().unwrap()]);
    let mut check = Check::start(probe, schedule);
    for _ in 0..2 {
        assert!(check.next().await.unwrap_err().ends_with("timed out and was killed"));
    }
    drop(check);
    assert!(!overlaps.exists(), "{:?}", fs::read_to_string(overlaps));
}

#[tokio::test]
async fn many_checks_at_once_all_report() {
    let target = silent().await;
    let reported = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (reported, probe) = (Arc::clone(&reported), tcp(target.clone()));
            tokio::spawn(async move {
                let schedule = Schedule { timeout: AMPLE, ..Schedule::default() };
                assert_eq!(probe_once(&Spec { probe, schedule }).await.verdict, Ok(()));
                reported.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(reported.load(Ordering::Relaxed), 100);
}

#[tokio::test]
async fn probes_that_overlap_start_though_the_first_hangs_and_what_it_says_later_does_not_count() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let target = serving(move |stream| {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                tokio::time::sleep(AMPLE).await;
            }
            drop(stream);
        }
    })
    .await;
    // Which hangs up on whoever comes later: a failure that only a probe beside the hanging one can find.
    let interval = Duration::from_millis(20);
    let schedule = Schedule { interval, timeout: AMPLE * 2, overlap: true, ..Schedule::default() };
    let mut check = Check::start(get(target), schedule);
    assert!(check.next().await.is_err());
    assert!(seen.load(Ordering::Relaxed) >= 2, "the first hangs still");
}

#[tokio::test]
async fn a_failure_of_a_probe_that_began_before_one_that_passed_is_not_told() {
    let seen = Arc::new(AtomicUsize::new(0));
    let target = serving(move |mut stream| {
        let first = seen.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            head(&mut stream).await;
            if !first {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
            tokio::time::sleep(AMPLE).await;
        }
    })
    .await;
    let (interval, hangs) = (Duration::from_millis(50), Duration::from_millis(500));
    let schedule = Schedule { interval, timeout: hangs, overlap: true, ..Schedule::default() };
    let mut check = Check::start(get(target), schedule);
    let end = Instant::now() + hangs * 2;
    while Instant::now() < end {
        assert_eq!(check.next().await, Ok(()));
    }
}

#[tokio::test]
async fn a_probe_with_its_retries_ends_within_its_time() {
    let schedule = Schedule {
        retries: 100,
        backoff: Duration::from_millis(50),
        within: Some(Duration::from_millis(300)),
        timeout: AMPLE,
        ..Schedule::default()
    };
    for target in [closed().await, silent().await] {
        // Far more pauses, or a far longer timeout, than the test has time for.
        let spec = Spec { probe: get(target), schedule: schedule.clone() };
        assert!(timeout(AMPLE, probe_once(&spec)).await.expect("it ends").verdict.is_err());
    }
}
