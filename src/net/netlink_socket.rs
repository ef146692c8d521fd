//! A netlink socket that asks the kernel and is answered within bounded time.
//!
//! No policy and no memory: dumps, and changes in batches of which only the last is acknowledged.
//! `rtnetlink` sends and awaits one change at a time, which takes twice as long for a thousand
//! addresses (25 ms against 12 ms); the messages are the library's here too.

use super::local_route::{self, LocalRoute};
use super::netlink::{AddressFact, DATAGRAM, Encode, Framed, Message, Refusal, append, messages};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use rustix::net::{SendFlags, send};
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

    /// The Ethernet address of a link by its number; `None` where it has none, or there is no such link.
    pub(super) fn mac(&mut self, index: u32) -> io::Result<Option<[u8; 6]>> {
        let mut question = LinkMessage::default();
        question.header.index = index;
        question.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
        let sequence = self.send(RouteNetlinkMessage::GetLink(question), 0)?;
        loop {
            for framed in self.receive()?.into_iter().filter(|framed| framed.sequence == sequence) {
                match framed.message {
                    Message::Link(fact) => return Ok(fact.mac),
                    Message::Answer(_) | Message::Done(_) => return Ok(None),
                    _ => {}
                }
            }
        }
    }

    /// The addresses of one link, or of all, in the kernel's order.
    pub(super) fn addresses(&mut self, index: Option<u32>) -> io::Result<Vec<AddressFact>> {
        let mut question = AddressMessage::default();
        question.header.index = index.unwrap_or(0);
        let mut found = self.dump(&RouteNetlinkMessage::GetAddress(question), |message| match message {
            Message::Address(fact) => Some(fact),
            _ => None,
        })?;
        // Kernels before 4.20 do not filter.
        found.retain(|fact| index.is_none_or(|index| fact.index == index));
        Ok(found)
    }

    /// The routes that stand for an address, on one link or on all.
    pub(super) fn local_routes(&mut self, index: Option<u32>) -> io::Result<Vec<LocalRoute>> {
        let question = local_route::question(index);
        let mut found = self.dump(&RouteNetlinkMessage::GetRoute(question), |message| match message {
            Message::LocalRoute(route) => Some(route),
            _ => None,
        })?;
        // As above.
        found.retain(|route| index.is_none_or(|index| route.index == index));
        Ok(found)
    }

    fn dump<T>(
        &mut self,
        question: &RouteNetlinkMessage,
        pick: impl Fn(Message) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(found) = self.dump_once(question.clone(), &pick)? {
                return Ok(found);
            }
        }
        Err(Errno::EAGAIN.into())
    }

    /// `None` where a change came in between.
    fn dump_once<T>(
        &mut self,
        question: RouteNetlinkMessage,
        pick: impl Fn(Message) -> Option<T>,
    ) -> io::Result<Option<Vec<T>>> {
        let sequence = self.send(question, NLM_F_DUMP)?;
        let (mut found, mut whole) = (Vec::new(), true);
        loop {
            for framed in self.receive()?.into_iter().filter(|framed| framed.sequence == sequence) {
                whole &= !framed.interrupted;
                let failure = match framed.message {
                    Message::Done(0) => return Ok(whole.then_some(found)),
                    Message::Done(number) => Errno::from_raw(number.saturating_neg()),
                    Message::Answer(Err(refusal)) => refusal.errno,
                    message => {
                        found.extend(pick(message));
                        continue;
                    }
                };
                // A link that has just gone has no addresses.
                return if failure == Errno::ENODEV { Ok(Some(Vec::new())) } else { Err(failure.into()) };
            }
        }
    }

    /// Returns its sequence number.
    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<u32> {
        let sequence = self.next();
        let mut request = Vec::new();
        append(message, flags, sequence, &mut request);
        self.socket.send(&request, 0)?;
        Ok(sequence)
    }

    /// Makes the changes in their order, in batches of which only the last message is acknowledged, and tells of
    /// each batch once it is done. Returns one result for each. An error of the socket itself leaves open what was
    /// done.
    pub(super) fn change<C: Encode>(
        &mut self,
        changes: &[C],
        mut done: impl FnMut(&[C], &[Result<(), Refusal>]),
    ) -> io::Result<Vec<Result<(), Refusal>>> {
        let mut results = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH) {
            let of_batch = self.batch(batch)?;
            done(batch, &of_batch);
            results.extend(of_batch);
        }
        Ok(results)
    }

    /// The same without any answer: a refusal is read with the answers to what is asked next, and passed over.
    /// Returns what was sent, for [`Netlink::repeat`].
    pub(super) fn order(&mut self, changes: &[impl Encode]) -> io::Result<Vec<Vec<u8>>> {
        let requests = changes.chunks(BATCH).map(|batch| {
            let mut request = Vec::new();
            for change in batch {
                change.encode(0, self.next(), &mut request);
            }
            request
        });
        let requests: Vec<_> = requests.collect();
        self.repeat(&requests)?;
        Ok(requests)
    }

    /// The same changes once more.
    pub(super) fn repeat(&mut self, requests: &[Vec<u8>]) -> io::Result<()> {
        for request in requests {
            send(&self.socket, request, SendFlags::empty())?;
        }
        Ok(())
    }

    fn batch(&mut self, changes: &[impl Encode]) -> io::Result<Vec<Result<(), Refusal>>> {
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
