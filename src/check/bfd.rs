//! Probe: a BFD session with a neighbour is up (RFC 5880, RFC 5881 for one hop, RFC 5883 for several). It is
//! no probe on an interval: the session says by itself when it goes up or down, at once.
//!
//! Here is the clock, the chance and the socket that it sends from; `bfd_session` decides, `bfd_port` hears.

use super::bfd_packet::{Packet, State};
use super::bfd_port::{Listener, MULTIHOP, SINGLE};
use super::bfd_session::{Session, Timing};
use super::target::plain;
use super::{Attempt, Schedule, random};
use crate::health::Outcome;
use crate::time::Time;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Where packets may come from (RFC 5881 4).
const PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// Ports that are tried.
const TRIES: u32 = 32;
/// The pause before another try where no socket can be had.
const RETRY: Duration = Duration::from_secs(1);
/// The DSCP of what keeps a network running (CS6), as a TOS.
const TOS: u32 = 0xc0;
/// How many of its first packets a session has to come up with, before it is said to be down.
const FIRST: u32 = 3;

/// With whom, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The other end.
    pub neighbor: IpAddr,
    /// Our own end's times.
    pub timing: Timing,
    /// The TTL or hop limit of what is sent.
    pub ttl: u8,
    /// How many routers may be on the way; 0: the neighbour is on the same link.
    pub max_hops: u8,
    /// By the rules and on the port for several hops.
    pub multihop: bool,
}

impl Config {
    /// The longest time that passes from the neighbour's last packet until the session is down, if the
    /// neighbour sends as often as it may.
    #[must_use]
    pub fn detection(&self) -> Duration {
        self.timing.min_rx.max(self.timing.min_tx) * u32::from(self.timing.multiplier)
    }

    /// The UDP port that packets go to.
    #[must_use]
    pub fn port(&self) -> u16 {
        if self.multihop { MULTIHOP } else { SINGLE }
    }
}

/// Whether an address says nothing without the interface that it is on (RFC 4291 2.5.6).
#[must_use]
pub fn needs_device(neighbor: IpAddr) -> bool {
    matches!(neighbor, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// A session with its sockets.
struct Held {
    session: Session,
    listener: Listener,
    socket: UdpSocket,
    began: Instant,
    /// One line on a packet that could not be sent.
    unsent: Option<String>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.socket.send(&self.session.farewell().to_wire());
    }
}

/// Sessions that are held now. A neighbour has one session with this host, however many checks look at it.
static SHARED: Mutex<Vec<(Config, Schedule, Weak<Shared>)>> = Mutex::new(Vec::new());

/// A session for all checks that are equal.
struct Shared {
    said: watch::Sender<Option<Outcome>>,
    task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn shared(config: &Config, schedule: &Schedule) -> Arc<Shared> {
    let mut all = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(.., shared)| shared.strong_count() > 0);
    let same = all.iter().find(|(with, by, _)| (with, by) == (config, schedule));
    if let Some(shared) = same.and_then(|(.., shared)| shared.upgrade()) {
        return shared;
    }
    let (said, of_all) = (watch::Sender::new(None), (config.clone(), schedule.clone()));
    let (config, schedule, to) = (config.clone(), schedule.clone(), said.clone());
    let hold = async move { hold(&config, &schedule, |outcome| drop(to.send_replace(Some(outcome)))).await };
    let shared = Arc::new(Shared { said, task: tokio::spawn(hold).abort_handle() });
    all.push((of_all.0, of_all.1, Arc::downgrade(&shared)));
    shared
}

/// Reports whenever the session goes up or down, for ever. Drop the future to end it.
pub(super) async fn run(config: &Config, schedule: &Schedule, mut report: impl FnMut(Outcome)) {
    let shared = shared(config, schedule);
    let mut said = shared.said.subscribe();
    loop {
        let outcome = said.borrow_and_update().clone();
        outcome.into_iter().for_each(&mut report);
        if said.changed().await.is_err() {
            return;
        }
    }
}

/// Holds a session for ever.
async fn hold(config: &Config, schedule: &Schedule, mut report: impl FnMut(Outcome)) {
    loop {
        let line = match Held::open(config, schedule) {
            Ok(mut held) => held.watch(config, &mut report).await,
            Err(line) => line,
        };
        report(outcome(Err(line), Duration::ZERO));
        sleep(RETRY).await;
    }
}

/// One session, until it is up.
pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    attempt.awaits("the session to come up");
    let mut held = Held::open(config, attempt.schedule)?;
    while held.session.state() != State::Up {
        held.turn().await?;
    }
    Ok(())
}

fn outcome(verdict: Result<(), String>, latency: Duration) -> Outcome {
    Outcome { verdict, latency, value: None }
}

impl Held {
    fn open(config: &Config, schedule: &Schedule) -> Result<Self, String> {
        let number = u32::try_from(random() >> 32).unwrap_or_default().max(1);
        let ttl = u8::MAX - config.max_hops;
        let listener = Listener::open(config.neighbor, config.port(), number, ttl)?;
        let socket = sender(config, schedule)
            .map_err(|error| format!("cannot send to {}: {}", config.neighbor, plain(&error)))?;
        let session = Session::new(Time::ZERO, number, config.timing);
        Ok(Held { session, listener, socket, began: Instant::now(), unsent: None })
    }

    fn now(&self) -> Time {
        Time::ZERO + self.began.elapsed()
    }

    /// Ends with the reason where it cannot go on.
    async fn watch(&mut self, config: &Config, report: &mut impl FnMut(Outcome)) -> String {
        let patience = sleep(config.timing.idle_tx * FIRST);
        tokio::pin!(patience);
        let mut told = None;
        loop {
            let is_up =
                self.session.state() == State::Up || told == Some(true) && self.session.is_dismissed();
            let news = told.map_or(is_up || patience.is_elapsed(), |told| told != is_up);
            if news {
                told = Some(is_up);
                let line = || self.unsent.clone().unwrap_or_else(|| self.session.complaint());
                let latency = if is_up { Duration::ZERO } else { self.session.detection() };
                report(outcome(if is_up { Ok(()) } else { Err(line()) }, latency));
            }
            let turn = async {
                tokio::select! {
                    () = &mut patience, if told.is_none() => Ok(()),
                    ended = self.turn() => ended,
                }
            };
            if let Err(line) = turn.await {
                return line;
            }
        }
    }

    /// Waits for a packet or for the time, and does what is to be done then.
    async fn turn(&mut self) -> Result<(), String> {
        let due = self.session.deadline().map(|at| self.began + at.since(Time::ZERO));
        let packet = tokio::select! {
            biased;
            packet = self.listener.hear() => Some(packet.ok_or("the port for BFD was closed")?),
            () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => None,
        };
        let now = self.now();
        let answer = packet.and_then(|packet| self.session.hear(now, &packet));
        let due = self.session.tick(now, share());
        for packet in answer.into_iter().chain(due) {
            self.say(&packet);
        }
        Ok(())
    }

    fn say(&mut self, packet: &Packet) {
        let sent = self.socket.send(&packet.to_wire());
        // The neighbour's "port unreachable" is told with the next packet: it says no more than silence.
        let failed = sent.err().filter(|error| error.kind() != io::ErrorKind::ConnectionRefused);
        self.unsent = failed.map(|error| format!("down: cannot be sent: {}", plain(&error)));
    }
}

/// A number from 0 to 1.
fn share() -> f64 {
    f64::from(u32::try_from(random() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

fn sender(config: &Config, schedule: &Schedule) -> io::Result<UdpSocket> {
    let neighbor = SocketAddr::new(config.neighbor, config.port());
    let socket = Socket::new(Domain::for_address(neighbor), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let any: IpAddr = if neighbor.is_ipv4() {
        socket.set_ttl_v4(config.ttl.into())?;
        socket.set_tos_v4(TOS)?;
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        socket.set_unicast_hops_v6(config.ttl.into())?;
        socket.set_tclass_v6(TOS)?;
        Ipv6Addr::UNSPECIFIED.into()
    };
    if let Some(device) = &schedule.device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    let source = schedule.source.unwrap_or(any);
    let mut left = TRIES;
    loop {
        let port = PORTS.start()
            + u16::try_from(random() % u64::from(PORTS.end() - PORTS.start())).unwrap_or_default();
        match socket.bind(&SocketAddr::new(source, port).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && left > 0 => left -= 1,
            bound => break bound?,
        }
    }
    socket.connect(&neighbor.into())?;
    Ok(socket.into())
}
