//! Removes what a dead process has left behind, by a list and without a runtime. Nothing is allocated for it once
//! there is a [`Remover`]: what the kernel lists is sent back to it as it came, but as an order to delete.
//!
//! Addresses and routes go only where they carry Locum's mark; one without it was there before.

use super::connections::Closer;
use super::local_route::{self, HELD};
use super::netlink::{DATAGRAM, MARK, append};
use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NlasIterator};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::libc::{self, NLMSG_DONE, NLMSG_ERROR, RTM_DELADDR, RTM_DELROUTE};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for what is to be deleted in one round: more than 1,000 addresses. It is not given back.
const ORDERS: usize = 128 << 10;
/// Orders in one send: the kernel does not return before all are done.
const BATCH: usize = 64;
/// Rounds until nothing is found any more: enough for 64,000 addresses.
const ROUNDS: usize = 64;
/// The longest wait for an answer.
const PATIENCE: TimeVal = TimeVal::new(5, 0);
const SOCKET_BUFFER: usize = 8 << 20;

/// Of a message's header.
const HEADER: usize = 16;
const TYPE_AT: usize = 4;
const SEQUENCE_AT: usize = 8;
/// Behind the header: the length of what stands before the attributes.
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
/// The flags of a route tell what became of it, and mean nothing in an order.
const ROUTE_FLAGS: std::ops::Range<usize> = HEADER + 8..HEADER + 12;
const LINK_INDEX_AT: usize = HEADER + 4;
/// `IFA_PROTO` of `linux/if_addr.h`, since Linux 5.18.
const IFA_PROTO: u16 = 11;

/// All the room that it takes. Pages that were never needed are none.
#[derive(Debug)]
pub struct Remover {
    /// Asks for all addresses.
    addresses: Vec<u8>,
    /// Asks for the routes that stand for one.
    routes: Vec<u8>,
    /// Deletes a link whose number is to be filled in.
    link: Vec<u8>,
    sequence: u32,
    answer: Vec<u8>,
    orders: Vec<u8>,
    closer: Closer,
    /// What the kernel refused last.
    refused: Option<Errno>,
}

impl Default for Remover {
    fn default() -> Self {
        let message = |message, flags| {
            let mut bytes = Vec::new();
            append(message, flags, 0, &mut bytes);
            bytes
        };
        let routes = local_route::question(None);
        Remover {
            addresses: message(RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP),
            routes: message(RouteNetlinkMessage::GetRoute(routes), NLM_F_DUMP),
            link: message(RouteNetlinkMessage::DelLink(LinkMessage::default()), 0),
            sequence: 0,
            answer: vec![0; DATAGRAM],
            orders: Vec::with_capacity(ORDERS),
            closer: Closer::default(),
            refused: None,
        }
    }
}

impl Remover {
    /// Removes these interfaces, which Locum has made, and the addresses that are `ours` wherever they carry its
    /// mark, in the network namespace of the calling thread. What has gone already is no error. The TCP connections
    /// of those that are `closing` as well are ended before. Returns whether none of those addresses is left, with a
    /// mark or without.
    ///
    /// # Errors
    /// No netlink socket could be had, the kernel gave no answer, or it would not.
    pub fn remove<'a>(
        &mut self,
        ours: impl Fn(IpAddr) -> bool,
        closing: impl Fn(IpAddr) -> bool,
        interfaces: impl Iterator<Item = &'a str>,
    ) -> io::Result<bool> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER);
        setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
        setsockopt(&socket, sockopt::SendTimeout, &PATIENCE)?;
        // Routes filtered by the kernel are welcome, not needed.
        let _ = socket.set_netlink_get_strict_chk(true);
        let addresses = self.rounds(&socket, RTM_DELADDR, marked, &ours, &closing);
        let routes = self.rounds(&socket, RTM_DELROUTE, standing, &ours, &closing);
        for index in interfaces.filter_map(|name| if_nametoindex(name).ok()) {
            put(&mut self.link, LINK_INDEX_AT, &index.to_ne_bytes());
            socket.send(&self.link, 0)?;
        }
        addresses.and(routes)?;
        let whole =
            self.collect(&socket, RTM_DELADDR, |message| listed(message).is_some_and(|(it, _)| ours(it)))?;
        Ok(whole && self.orders.is_empty())
    }

    fn rounds(
        &mut self,
        socket: &Socket,
        delete: u16,
        read: fn(&[u8]) -> Option<IpAddr>,
        ours: impl Fn(IpAddr) -> bool,
        closing: impl Fn(IpAddr) -> bool,
    ) -> io::Result<()> {
        for _ in 0..ROUNDS {
            let whole = self.collect(socket, delete, |message| read(message).is_some_and(&ours))?;
            if whole && self.orders.is_empty() {
                return Ok(());
            }
            let going = || payloads(&self.orders).filter_map(read);
            if going().any(&closing) {
                // Whom a kernel cannot help to notice notices later.
                let _ = self.closer.close(|address| closing(address) && going().any(|it| it == address));
            }
            self.send(socket)?;
        }
        Err(self.refused.unwrap_or(Errno::EAGAIN).into())
    }

    /// Makes orders of what is to go. Whether the list that the kernel gave was whole.
    fn collect(&mut self, socket: &Socket, delete: u16, picks: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let question = if delete == RTM_DELADDR { &mut self.addresses } else { &mut self.routes };
        put(question, SEQUENCE_AT, &self.sequence.to_ne_bytes());
        socket.send(question, 0)?;
        self.orders.clear();
        let mut whole = true;
        loop {
            let length = match socket.recv(&mut self.answer.as_mut_slice(), 0) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Refusals that nobody waits for had no room.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => continue,
                Err(error) => return Err(error),
            };
            let mut rest = self.answer.get(..length).unwrap_or_default();
            while rest.len() >= HEADER
                && let Ok(next) = NetlinkBuffer::new_checked(rest)
            {
                let message =
                    rest.get(..usize::try_from(next.length()).unwrap_or(usize::MAX)).unwrap_or_default();
                rest = rest.get(message.len().next_multiple_of(4)..).unwrap_or_default();
                let answers = next.sequence_number() == self.sequence;
                whole &= !answers || next.flags() & NLM_F_DUMP_INTR == 0;
                let error = || Errno::from_raw(number(next.payload()).saturating_neg());
                match i32::from(next.message_type()) {
                    NLMSG_ERROR if answers => return Err(error().into()),
                    NLMSG_ERROR => self.refused = Some(error()),
                    NLMSG_DONE if answers => return Ok(whole),
                    _ if !answers || !picks(next.payload()) => {}
                    _ if self.orders.len() + message.len() + 3 > ORDERS => whole = false,
                    _ => order(&mut self.orders, message, delete),
                }
            }
        }
    }

    fn send(&self, socket: &Socket) -> io::Result<()> {
        let mut rest = self.orders.as_slice();
        while !rest.is_empty() {
            let mut end = 0;
            for _ in 0..BATCH {
                let Some(length) = rest.get(end..).and_then(<[u8]>::first_chunk) else { break };
                end +=
                    usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(0).next_multiple_of(4).max(HEADER);
            }
            let (batch, later) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            socket.send(batch, 0)?;
            rest = later;
        }
        Ok(())
    }
}

/// What stands behind the header of each order.
fn payloads(orders: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = orders;
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*rest.first_chunk()?)).ok()?;
        let payload = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(payload)
    })
}

/// Appends what the kernel has listed as an order to delete it.
fn order(orders: &mut Vec<u8>, listed: &[u8], delete: u16) {
    let start = orders.len();
    orders.extend_from_slice(listed);
    orders.resize(orders.len().next_multiple_of(4), 0);
    let Some(order) = orders.get_mut(start..) else { return };
    put(order, TYPE_AT, &delete.to_ne_bytes());
    put(order, TYPE_AT + 2, &NLM_F_REQUEST.to_ne_bytes());
    // Of no question: refusals are told apart by it.
    put(order, SEQUENCE_AT, &[0; 8]);
    if delete == RTM_DELROUTE
        && let Some(flags) = order.get_mut(ROUTE_FLAGS)
    {
        flags.fill(0);
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + what.len()) {
        place.copy_from_slice(what);
    }
}

fn number(payload: &[u8]) -> i32 {
    payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

/// The address in a message of the kernel's, if its mark says that it moves between hosts.
fn marked(message: &[u8]) -> Option<IpAddr> {
    listed(message).filter(|(_, by)| *by == Some(MARK)).map(|(address, _)| address)
}

/// The address in a message of the kernel's, and its mark.
fn listed(message: &[u8]) -> Option<(IpAddr, Option<u8>)> {
    let (mut local, mut peer, mut by) = (None, None, None);
    for attribute in NlasIterator::new(message.get(ADDRESS_HEADER..)?).map_while(Result::ok) {
        match attribute.kind() {
            libc::IFA_LOCAL => local = address(attribute.value()),
            libc::IFA_ADDRESS => peer = address(attribute.value()),
            IFA_PROTO => by = attribute.value().first().copied(),
            _ => {}
        }
    }
    Some((local.or(peer)?, by))
}

/// The address that a route stands for, if it is one of Locum's.
fn standing(message: &[u8]) -> Option<IpAddr> {
    let [_, prefix, _, _, _, protocol, _, kind] = *message.first_chunk()?;
    let ours = prefix == 32 && protocol == HELD && kind == libc::RTN_LOCAL;
    let mut attributes = NlasIterator::new(message.get(ROUTE_HEADER..)?).map_while(Result::ok);
    let to = attributes.find(|attribute| attribute.kind() == libc::RTA_DST);
    address(to.filter(|_| ours)?.value())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into());
    v4().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()))
}
