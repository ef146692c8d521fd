//! The kernel's own time for many addresses: changes by raw `rtnetlink`, 64 in one call, of which the last
//! is acknowledged. Nothing decides here, checks or waits for anybody else.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteScope, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::libc::RT_TABLE_LOCAL;
use nix::net::if_::if_nametoindex;
use serde::Serialize;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// As many as one call takes: more gain nothing, and fewer cost system calls.
const CHUNK: usize = 64;
/// A kernel's answer is far smaller.
const ANSWER: usize = 8 << 10;

/// What to add.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Kind {
    /// Addresses of IPv4
    Ipv4,
    /// Addresses of IPv6
    Ipv6,
    /// Routes that make addresses of IPv4 local
    Route,
}

/// How long it took.
#[derive(Debug, Serialize)]
pub struct Report {
    pub took_ms: f64,
}

/// Adds so many to an interface, and then sets it up, if it shall.
pub fn add(kind: Kind, interface: &str, count: u32, raise: bool) -> io::Result<Report> {
    let index = if_nametoindex(interface)?;
    let mut messages: Vec<RouteNetlinkMessage> = (0..count).map(|number| one(kind, index, number)).collect();
    if raise {
        let mut link = LinkMessage::default();
        link.header.index = index;
        (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        messages.push(RouteNetlinkMessage::SetLink(link));
    }
    change(messages)
}

/// Deletes an interface with all that it has.
pub fn delete(interface: &str) -> io::Result<Report> {
    let mut link = LinkMessage::default();
    link.header.index = if_nametoindex(interface)?;
    change(vec![RouteNetlinkMessage::DelLink(link)])
}

/// Addresses that go by themselves, unless their lease begins anew.
pub struct Leases {
    socket: Socket,
    calls: Vec<Vec<u8>>,
}

impl Leases {
    /// So many, of so many seconds; they are not there yet.
    pub fn prepare(interface: &str, count: u32, seconds: u32) -> io::Result<Self> {
        let index = if_nametoindex(interface)?;
        let one = |number| {
            let mut message = address(index, ipv4(number).into(), 32);
            let mut info = CacheInfo::default();
            (info.ifa_preferred, info.ifa_valid) = (seconds, seconds);
            message.attributes.push(AddressAttribute::CacheInfo(info));
            RouteNetlinkMessage::NewAddress(message)
        };
        Ok(Leases { socket: connected()?, calls: calls((0..count).map(one).collect(), NLM_F_REPLACE) })
    }

    /// Puts them there, or begins their leases anew.
    pub fn begin(&self) -> io::Result<()> {
        perform(&self.socket, &self.calls)
    }
}

/// The one of this number.
pub fn ipv4(number: u32) -> Ipv4Addr {
    let first = Ipv4Addr::new(10, 1, 0, 1).to_bits();
    Ipv4Addr::from_bits(first + number / 250 * 256 + number % 250)
}

fn one(kind: Kind, index: u32, number: u32) -> RouteNetlinkMessage {
    match kind {
        Kind::Ipv4 => RouteNetlinkMessage::NewAddress(address(index, ipv4(number).into(), 32)),
        Kind::Ipv6 => {
            let first = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);
            let it = Ipv6Addr::from_bits(first.to_bits() + u128::from(number));
            RouteNetlinkMessage::NewAddress(address(index, it.into(), 128))
        }
        Kind::Route => {
            let mut message = RouteMessage::default();
            message.header.address_family = AddressFamily::Inet;
            message.header.table = RT_TABLE_LOCAL;
            message.header.destination_prefix_length = 32;
            message.header.scope = RouteScope::Host;
            message.header.kind = RouteType::Local;
            let to = RouteAttribute::Destination(RouteAddress::Inet(ipv4(number)));
            message.attributes.extend([RouteAttribute::Oif(index), to]);
            RouteNetlinkMessage::NewRoute(message)
        }
    }
}

fn address(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix;
    message.header.index = index;
    let flags = AddressFlags::Noprefixroute | AddressFlags::Nodad;
    message.attributes.extend([
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
        AddressAttribute::Flags(flags),
    ]);
    message
}

fn connected() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Makes all changes, in their order; the time is that between the first call and the last answer.
fn change(messages: Vec<RouteNetlinkMessage>) -> io::Result<Report> {
    let (socket, calls) = (connected()?, calls(messages, NLM_F_EXCL));
    let began = Instant::now();
    perform(&socket, &calls)?;
    Ok(Report { took_ms: began.elapsed().as_secs_f64() * 1e3 })
}

fn perform(socket: &Socket, calls: &[Vec<u8>]) -> io::Result<()> {
    for call in calls {
        socket.send(call, 0)?;
        acknowledged(socket)?;
    }
    Ok(())
}

/// `there` says what becomes of one that is there already.
fn calls(messages: Vec<RouteNetlinkMessage>, there: u16) -> Vec<Vec<u8>> {
    encode(messages, there).chunks(CHUNK).map(<[_]>::concat).collect()
}

/// The last of each chunk asks for an answer.
fn encode(messages: Vec<RouteNetlinkMessage>, there: u16) -> Vec<Vec<u8>> {
    let last = messages.len().saturating_sub(1);
    let encoded = messages.into_iter().enumerate().map(|(number, message)| {
        let adds = !matches!(message, RouteNetlinkMessage::SetLink(_) | RouteNetlinkMessage::DelLink(_));
        let asks = number == last || number % CHUNK == CHUNK - 1;
        let flags = NLM_F_REQUEST | if adds { NLM_F_CREATE | there } else { 0 };
        bytes(message, flags | if asks { NLM_F_ACK } else { 0 })
    });
    encoded.collect()
}

fn bytes(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut whole = NetlinkMessage::from(message);
    whole.header.flags = flags;
    whole.finalize();
    let mut bytes = vec![0; whole.buffer_len().next_multiple_of(4)];
    whole.serialize(&mut bytes);
    bytes
}

/// Waits for the one answer of a call: who fails answers without being asked, and before.
fn acknowledged(socket: &Socket) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(ANSWER);
    socket.recv(&mut buffer, 0)?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&buffer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_the_bench_gives_its_routers() {
        let of = |kind, number| match one(kind, 1, number) {
            RouteNetlinkMessage::NewAddress(message) => message.attributes[0].clone(),
            other => panic!("{other:?}"),
        };
        let ipv4 = |text: &str| AddressAttribute::Local(text.parse().unwrap());
        assert_eq!(of(Kind::Ipv4, 0), ipv4("10.1.0.1"));
        assert_eq!(of(Kind::Ipv4, 4999), ipv4("10.1.19.250"));
        assert_eq!(of(Kind::Ipv6, 4998), ipv4("fd00:1::1387"));
    }

    #[test]
    fn the_last_of_each_chunk_asks_for_an_answer_and_no_other_does() {
        let messages = (0..130).map(|number| one(Kind::Route, 1, number)).collect();
        let asks = |bytes: &Vec<u8>| u16::from_ne_bytes([bytes[6], bytes[7]]) & NLM_F_ACK != 0;
        let encoded = encode(messages, NLM_F_EXCL);
        let asked: Vec<usize> = (0..130).filter(|number| asks(&encoded[*number])).collect();
        assert_eq!(asked, [63, 127, 129]);
    }
}
