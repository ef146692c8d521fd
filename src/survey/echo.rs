//! A client that asks an address once a millisecond, and keeps which of its questions were answered.

use crate::drill::{Outage, Probe, judge};
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(1);
/// How long the last answers may be on their way.
const IN_FLIGHT: Duration = Duration::from_millis(200);
/// The most questions: an hour of them.
const MOST: usize = 3_600_000;
/// Type of an echo request and of its answer (RFC 792, RFC 4443).
pub const ECHO: (u8, u8) = (8, 0);
const ECHO6: (u8, u8) = (128, 129);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A host, for an ICMP echo. Needs `CAP_NET_RAW`.
    Host(IpAddr),
    /// A service that answers datagrams as hosts answer echo requests: with [`ECHO`] turned round.
    Service(SocketAddr),
}

/// A client that asks until it is told to end.
#[derive(Debug)]
pub struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<(Instant, Vec<Probe>)>>,
}

impl Client {
    /// Begins to ask, in the network namespace behind `door`; in that of the calling thread without one.
    #[must_use]
    pub fn begin(target: Target, door: Option<File>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            if let Some(door) = door {
                setns(door, CloneFlags::CLONE_NEWNET)?;
            }
            ask(target, &told)
        });
        Client { stop, thread }
    }

    /// Ends, and says what it noticed; times count from `origin`.
    ///
    /// # Errors
    /// One line: it could not ask, or nobody ever answered.
    pub fn end(self, origin: Instant) -> Result<Outage, String> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().map_err(|_| "the client broke off".to_owned())?;
        let (began, probes) = ended.map_err(|error| format!("{error}; run as root"))?;
        if !probes.iter().any(|probe| probe.answered) {
            return Err("nobody answers the client: let the address answer echo requests".to_owned());
        }
        Ok(judge(&probes, origin.saturating_duration_since(began)))
    }
}

fn ask(target: Target, stop: &AtomicBool) -> io::Result<(Instant, Vec<Probe>)> {
    // A raw IPv4 socket hands the IP header over as well.
    let (to, domain, kind, protocol, (request, answer), skip) = match target {
        Target::Host(host) => {
            let to = SocketAddr::new(host, 0);
            match host {
                IpAddr::V4(_) => (to, Domain::IPV4, Type::RAW, Protocol::ICMPV4, ECHO, 20),
                IpAddr::V6(_) => (to, Domain::IPV6, Type::RAW, Protocol::ICMPV6, ECHO6, 0),
            }
        }
        Target::Service(to) => (to, Domain::for_address(to), Type::DGRAM, Protocol::UDP, ECHO, 0),
    };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    let (to, name) = (SockAddr::from(to), process::id() & 0xFFFF);
    let began = Instant::now();
    let mut probes: Vec<Probe> = Vec::new();
    let mut over: Option<Instant> = None;
    while over.is_none_or(|over| over.elapsed() < IN_FLIGHT) {
        if over.is_none() && (stop.load(Ordering::Relaxed) || probes.len() >= MOST) {
            over = Some(Instant::now());
        }
        if over.is_none() {
            // Without a neighbour this fails, and the probe is lost.
            let _ = socket.send_to(&echo(request, name, probes.len()), &to);
            probes.push(Probe { asked: began.elapsed(), answered: false });
        }
        while let Some(number) = heard(&socket, answer, name, skip, probes.len()) {
            if let Some(probe) = probes.get_mut(number) {
                probe.answered = true;
            }
        }
        thread::sleep(EVERY);
    }
    Ok((began, probes))
}

/// An echo request. The kernel adds the checksum of version 6.
fn echo(kind: u8, name: u32, number: usize) -> [u8; 8] {
    let number = u32::try_from(number & 0xFFFF).unwrap_or_default();
    let sum = (u32::from(kind) << 8) + name + number;
    let sum = !((sum & 0xFFFF) + (sum >> 16));
    let mut message = [kind, 0, 0, 0, 0, 0, 0, 0];
    for (place, word) in message.chunks_exact_mut(2).skip(1).zip([sum, name, number]) {
        place.copy_from_slice(&word.to_be_bytes()[2..]);
    }
    message
}

/// The number of the next question that is answered, of `sent` that there were; `None`: there is nothing more.
fn heard(mut socket: &Socket, answer: u8, name: u32, skip: usize, sent: usize) -> Option<usize> {
    let mut buffer = [0; 128];
    loop {
        let length = match socket.read(&mut buffer) {
            Ok(length) => length,
            // Of an earlier question, whose host has said that nobody listens.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(_) => return None,
        };
        let message = buffer.get(..length).and_then(|bytes| bytes.get(skip..skip + 8));
        let Some(&[kind, _, _, _, c, d, e, f]) = message else { continue };
        if kind == answer && u32::from(u16::from_be_bytes([c, d])) == name {
            // The latest that has this number.
            return Some(latest(sent, u16::from_be_bytes([e, f])));
        }
    }
}

/// Which of the first `sent` questions had `low` as its number on the wire, the latest of them; none of them where
/// there is none.
fn latest(sent: usize, low: u16) -> usize {
    let back = sent.wrapping_sub(1).wrapping_sub(low.into()) & 0xFFFF;
    sent.wrapping_sub(1).wrapping_sub(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_the_latest_question_with_its_number() {
        assert_eq!((latest(1, 0), latest(10, 3), latest(10, 9)), (0, 3, 9));
        assert_eq!((latest(0x1_0005, 4), latest(0x1_0005, 5), latest(0x2_0001, 0)), (0x1_0004, 5, 0x2_0000));
        assert!(latest(3, 7) >= 3 && latest(0, 0) > 0, "one that was never asked");
    }

    #[test]
    fn a_request_checks_to_zero_whatever_its_number() {
        for number in [0, 1, 0xFFFF, 0x1_0000, 123_456] {
            let bytes = echo(8, 0xBEEF, number);
            let sum: u32 =
                bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF, "{number}");
        }
    }
}
