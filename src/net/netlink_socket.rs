//! A netlink socket that asks the kernel and is answered within bounded time.
//!
//! No policy and no memory: dumps, and changes in batches of which only the last is acknowledged.

use super::netlink::{
    AddressFact, Change, DATAGRAM, Framed, LinkFact, Message, Refusal, framed, messages, push,
};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::libc::{IFLA_EXT_MASK, NLM_F_ACK, NLM_F_DUMP, RTEXT_FILTER_SKIP_STATS, RTM_GETADDR, RTM_GETLINK};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::io;

/// Messages in one send: beyond it nothing is gained, and the kernel does not return for longer.
const BATCH: usize = 64;
/// The longest wait for one answer. The kernel answers before `send` returns, unless memory is short.
const PATIENCE: TimeVal = TimeVal::new(5, 0);
const SOCKET_BUFFER: usize = 8 << 20;
/// A dump that a change has cut across is asked for again, this often.
const DUMP_ATTEMPTS: usize = 8;

/// A socket that asks. It blocks, but never for longer than a bounded time.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens it in the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        // More than the usual limit needs CAP_NET_ADMIN, which changing addresses needs as well.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER);
        let _ = setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER);
        setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
        setsockopt(&socket, sockopt::SendTimeout, &PATIENCE)?;
        socket.set_cap_ack(true)?;
        // Words for errors and dumps filtered by the kernel are welcome, not needed.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_netlink_get_strict_chk(true);
        Ok(Netlink { socket, sequence: 0, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// Every link of the host.
    pub(super) fn links(&mut self) -> io::Result<Vec<LinkFact>> {
        let body = link_request(0);
        let found = self.dump(RTM_GETLINK, &body)?;
        let link = |message| {
            if let Message::Link(fact) = message { Some(fact) } else { None }
        };
        Ok(found.into_iter().filter_map(link).collect())
    }

    /// One link by its number; `None` where there is none.
    pub(super) fn link(&mut self, index: u32) -> io::Result<Option<LinkFact>> {
        let sequence = self.next();
        let mut request = Vec::new();
        framed(RTM_GETLINK, 0, sequence, &mut request, |out| {
            out.extend(link_request(index));
        });
        self.socket.send(&request, 0)?;
        loop {
            for framed in self.receive()?.into_iter().filter(|framed| framed.sequence == sequence) {
                match framed.message {
                    Message::Link(fact) => return Ok(Some(fact)),
                    Message::Answer(_) | Message::Done(_) => return Ok(None),
                    _ => {}
                }
            }
        }
    }

    /// The addresses of one link, or of all, in the kernel's order.
    pub(super) fn addresses(&mut self, index: Option<u32>) -> io::Result<Vec<AddressFact>> {
        let mut body = vec![0; 4];
        body.extend(index.unwrap_or(0).to_ne_bytes());
        let found = self.dump(RTM_GETADDR, &body)?;
        let address = |message| {
            if let Message::Address(fact) = message { Some(fact) } else { None }
        };
        // Kernels before 4.20 do not filter.
        let wanted = |fact: &AddressFact| index.is_none_or(|index| fact.index == index);
        Ok(found.into_iter().filter_map(address).filter(wanted).collect())
    }

    fn dump(&mut self, kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(found) = self.dump_once(kind, body)? {
                return Ok(found);
            }
        }
        Err(Errno::EAGAIN.into())
    }

    /// `None` where a change came in between.
    fn dump_once(&mut self, kind: u16, body: &[u8]) -> io::Result<Option<Vec<Message>>> {
        let sequence = self.next();
        let mut request = Vec::new();
        framed(kind, NLM_F_DUMP, sequence, &mut request, |out| out.extend(body));
        self.socket.send(&request, 0)?;
        let (mut found, mut whole) = (Vec::new(), true);
        loop {
            for framed in self.receive()?.into_iter().filter(|framed| framed.sequence == sequence) {
                whole &= !framed.interrupted;
                let failure = match framed.message {
                    Message::Done(0) => return Ok(whole.then_some(found)),
                    Message::Done(number) => Errno::from_raw(number.saturating_neg()),
                    Message::Answer(Err(refusal)) => refusal.errno,
                    message => {
                        found.push(message);
                        continue;
                    }
                };
                // A link that has just gone has no addresses.
                return if failure == Errno::ENODEV { Ok(Some(Vec::new())) } else { Err(failure.into()) };
            }
        }
    }

    /// Makes the changes in their order, in batches of which only the last message is acknowledged.
    /// Returns one result for each. An error of the socket itself leaves open what was done.
    pub(super) fn change(&mut self, changes: &[Change]) -> io::Result<Vec<Result<(), Refusal>>> {
        let mut results = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH) {
            results.extend(self.batch(batch)?);
        }
        Ok(results)
    }

    fn batch(&mut self, changes: &[Change]) -> io::Result<Vec<Result<(), Refusal>>> {
        let mut results = vec![Ok(()); changes.len()];
        let mut request = Vec::new();
        let first = self.sequence.wrapping_add(1);
        for (place, change) in changes.iter().enumerate() {
            let flags = if place + 1 == changes.len() { NLM_F_ACK } else { 0 };
            change.encode(flags, self.next(), &mut request);
        }
        self.socket.send(&request, 0)?;
        loop {
            for framed in self.receive()? {
                let place = usize::try_from(framed.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let (Some(result), Message::Answer(answer)) = (results.get_mut(place), framed.message) else {
                    continue;
                };
                *result = answer;
                if place + 1 == changes.len() {
                    return Ok(results);
                }
            }
        }
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn receive(&mut self) -> io::Result<Vec<Framed>> {
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => return Ok(messages(&self.buffer)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let what = "the kernel did not answer a netlink request in time";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn link_request(index: u32) -> Vec<u8> {
    let mut body = vec![0; 16];
    if let Some(place) = body.get_mut(4..8) {
        place.copy_from_slice(&index.to_ne_bytes());
    }
    push(&mut body, IFLA_EXT_MASK, &u32::try_from(RTEXT_FILTER_SKIP_STATS).unwrap_or_default().to_ne_bytes());
    body
}
