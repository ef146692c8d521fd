//! A client that asks an address for an echo every millisecond, and how long it got no answer.

use crate::lab::Host;
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(1);
/// How long an answer may be on its way.
const IN_FLIGHT: Duration = Duration::from_millis(200);

pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outage>,
}

/// What a client noticed.
#[derive(Debug)]
pub struct Outage {
    pub sent: usize,
    pub lost: usize,
    /// The longest time between two probes that were answered.
    pub longest: Duration,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} probes lost, longest silence {} ms",
            self.lost,
            self.sent,
            self.longest.as_millis()
        )
    }
}

impl Host {
    /// Begins to ask `address` for echoes from here.
    pub fn probe(&self, address: &str) -> Probe {
        let address: IpAddr = address.parse().unwrap();
        let door = self.door();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            setns(door, CloneFlags::CLONE_NEWNET).unwrap();
            ask(address, &told)
        });
        Probe { stop, thread }
    }
}

impl Probe {
    pub fn end(self) -> Outage {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn ask(address: IpAddr, stop: &AtomicBool) -> Outage {
    // Types of request and answer; a raw IPv4 socket hands the IP header over as well.
    let (domain, protocol, request, answer, skip) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8, 0, 20),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128, 129, 0),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let to = SockAddr::from(SocketAddr::new(address, 0));
    let mut sent: Vec<(Instant, bool)> = Vec::new();
    let mut over = None;
    loop {
        if over.is_none() && stop.load(Ordering::Relaxed) {
            over = Some(Instant::now());
        }
        match over {
            None => {
                let number = u16::try_from(sent.len()).expect("a probe of at most a minute");
                // Without a neighbour this fails, and the probe is lost.
                let _ = socket.send_to(&echo(request, number), &to);
                sent.push((Instant::now(), false));
            }
            Some(at) if at.elapsed() > IN_FLIGHT => break,
            Some(_) => {}
        }
        while let Some(number) = heard(&socket, answer, skip) {
            if let Some(probe) = sent.get_mut(number) {
                probe.1 = true;
            }
        }
        thread::sleep(EVERY);
    }
    outage(&sent)
}

fn outage(sent: &[(Instant, bool)]) -> Outage {
    let answered: Vec<Instant> = sent.iter().filter(|probe| probe.1).map(|probe| probe.0).collect();
    let silences = answered.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    Outage {
        sent: sent.len(),
        lost: sent.len() - answered.len(),
        longest: silences.max().unwrap_or_default(),
    }
}

/// An echo request. The kernel adds the checksum of version 6.
fn echo(kind: u8, number: u16) -> [u8; 8] {
    let [high, low] = number.to_be_bytes();
    let sum: u32 = [u32::from(kind) << 8, u32::from(ID), u32::from(number)].iter().sum();
    let folded = !u16::try_from((sum & 0xFFFF) + (sum >> 16)).unwrap();
    let [sum_high, sum_low] = folded.to_be_bytes();
    let [id_high, id_low] = ID.to_be_bytes();
    [kind, 0, sum_high, sum_low, id_high, id_low, high, low]
}

const ID: u16 = 0x1AB;

fn heard(mut socket: &Socket, answer: u8, skip: usize) -> Option<usize> {
    let mut buffer = [0; 128];
    loop {
        let length = socket.read(&mut buffer).ok()?;
        let message = buffer.get(..length)?.get(skip..skip + 8);
        let Some(&[kind, _, _, _, id_high, id_low, high, low]) = message else { continue };
        if kind == answer && [id_high, id_low] == ID.to_be_bytes() {
            return Some(u16::from_be_bytes([high, low]).into());
        }
    }
}
