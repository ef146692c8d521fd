//! Sends the probes and collects the answers; `judge` says what they come to.

use crate::judge::{Answer, Report, Seen, judge};
use nix::time::{ClockId, clock_gettime};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const PACE: (Duration, Duration) = (Duration::from_micros(100), Duration::from_mins(1));
const LONGEST: Duration = Duration::from_hours(1);
const MOST_PROBES: u128 = 10_000_000;
/// How soon the threads notice that the run is over.
const NOTICE: Duration = Duration::from_millis(5);
/// Holds answers while the receiving thread waits for a processor.
const BUFFER: usize = 4 << 20;

/// A signal said so.
static STOP: AtomicBool = AtomicBool::new(false);

/// What to do.
pub struct Plan {
    pub target: SocketAddr,
    pub every: Duration,
    pub length: Duration,
    pub patience: Duration,
}

/// Runs the plan to its end, or to a signal.
pub fn run(plan: &Plan) -> Result<Report, String> {
    check(plan)?;
    let socket = socket(plan.target).map_err(|error| format!("cannot open a socket: {error}"))?;
    stop_on_signals()?;
    let run = u64::from(std::process::id()) << 32 | u64::from(monotonic().subsec_nanos());
    let wall = Duration::try_from(jiff::Timestamp::now().as_duration()).unwrap_or_default();
    let to_wall = wall.saturating_sub(monotonic());
    let over = AtomicBool::new(false);
    let (sent, send_errors, heard) = thread::scope(|threads| {
        let receiver = threads.spawn(|| receive(&socket, plan.target, run, &over));
        let (sent, errors) = send(&socket, plan, run);
        thread::sleep(plan.patience);
        over.store(true, Ordering::Relaxed);
        (sent, errors, receiver.join())
    });
    let (answers, strangers) = heard.map_err(|_| "the receiving thread died".to_owned())?;
    Ok(judge(&Seen { sent, answers, patience: plan.patience, to_wall, send_errors, strangers }))
}

fn check(plan: &Plan) -> Result<(), String> {
    if plan.every < PACE.0 || plan.every > PACE.1 {
        return Err(format!("--every {:?} is out of bounds: 100us to 1min", plan.every));
    }
    if plan.length > LONGEST || plan.length.as_nanos() / plan.every.as_nanos() > MOST_PROBES {
        return Err(format!("--for {:?} is too long: at most 1h and {MOST_PROBES} probes", plan.length));
    }
    if plan.patience > PACE.1 {
        return Err(format!("--patience {:?} is too long: at most 1min", plan.patience));
    }
    Ok(())
}

/// Not connected, so that an ICMP error for one probe does not fail the sending of another.
fn socket(target: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
    socket.set_read_timeout(Some(NOTICE))?;
    Ok(socket)
}

fn send(socket: &UdpSocket, plan: &Plan, run: u64) -> (Vec<Duration>, u64) {
    let (mut sent, mut errors) = (Vec::new(), 0);
    let start = monotonic();
    let (mut due, end) = (start, start + plan.length);
    while due < end && !STOP.load(Ordering::Relaxed) {
        let wait = due.saturating_sub(monotonic());
        if !wait.is_zero() {
            // In parts, so that a signal ends a slow run too.
            thread::sleep(wait.min(NOTICE));
            continue;
        }
        let now = monotonic();
        let message = [run.to_be_bytes(), (sent.len() as u64).to_be_bytes()].concat();
        errors += u64::from(socket.send_to(&message, plan.target).is_err());
        sent.push(now);
        // The next one that is still to come: what was missed is not made up for in a burst.
        while due <= now {
            due += plan.every;
        }
    }
    (sent, errors)
}

fn receive(socket: &UdpSocket, target: SocketAddr, run: u64, over: &AtomicBool) -> (Vec<Answer>, u64) {
    let (mut answers, mut strangers) = (Vec::new(), 0);
    let mut buffer = [0; 512];
    while !over.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                let at = monotonic();
                match buffer.get(..length).and_then(|bytes| read(bytes, run)) {
                    Some((probe, name)) if from == target => answers.push(Answer { probe, at, name }),
                    _ => strangers += 1,
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // The kernel's news about other datagrams: nothing was received.
            Err(_) => thread::yield_now(),
        }
    }
    (answers, strangers)
}

fn read(bytes: &[u8], run: u64) -> Option<(usize, String)> {
    let (ours, rest) = bytes.split_first_chunk()?;
    let (probe, name) = rest.split_first_chunk()?;
    let probe = usize::try_from(u64::from_be_bytes(*probe)).ok()?;
    (u64::from_be_bytes(*ours) == run).then(|| (probe, String::from_utf8_lossy(name).into_owned()))
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

/// A thread of its own waits for the signals: a handler would need unsafe code.
fn stop_on_signals() -> Result<(), String> {
    use nix::sys::signal::{SigSet, Signal};
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_block().map_err(|error| format!("cannot block signals: {error}"))?;
    thread::spawn(move || {
        if signals.wait().is_ok() {
            STOP.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}
