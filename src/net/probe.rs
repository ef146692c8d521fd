//! Asks who has an address, and changes nothing: by ARP (RFC 5227 section 1.1), and for IPv6 by a neighbour
//! solicitation (RFC 4862 section 5.4.2).
//!
//! A probe names no sender address, so nobody learns anything from it. What the answers mean is not decided
//! here.

use super::announce::{Announcer, arp_probe, solicitation};
use super::lookout;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};
use pnet::packet::arp::{ArpOperations, ArpPacket};
use pnet::packet::ethernet::{EtherType, EtherTypes};
use pnet::packet::icmpv6::Icmpv6Types;
use pnet::packet::ip::IpNextHeaderProtocols;
use socket2::{SockFilter, SockRef};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// `PACKET_OUTGOING` of packet(7): this host sent it.
const OUTGOING: u8 = 4;
/// The pause between two questions for one address.
const AGAIN: Duration = Duration::from_millis(5);
/// An IPv6 header, an advertisement and options enough; of ARP no more than its packet counts.
const LONGEST: usize = 256;

/// Who answers for each of `addresses`, by MAC address, on the interface with this index and MAC address.
/// Waits for answers for as long as `patience`. Addresses that nobody answers for are missing.
///
/// # Errors
/// Those of the kernel: `ENODEV` where there is no such interface, `EPERM` without `CAP_NET_RAW`.
pub fn ask(
    index: u32,
    mac: [u8; 6],
    addresses: &BTreeSet<IpAddr>,
    patience: Duration,
) -> io::Result<BTreeMap<IpAddr, BTreeSet<[u8; 6]>>> {
    let mut found: BTreeMap<IpAddr, BTreeSet<[u8; 6]>> = BTreeMap::new();
    each(index, mac, addresses, patience, |address, mac| {
        found.entry(address).or_default().insert(mac);
    })?;
    Ok(found)
}

/// The same, where each answer is told as it comes: what hears them takes its time to close.
///
/// # Errors
/// As of [`ask`].
pub fn each(
    index: u32,
    mac: [u8; 6],
    addresses: &BTreeSet<IpAddr>,
    patience: Duration,
    mut tell: impl FnMut(IpAddr, [u8; 6]),
) -> io::Result<()> {
    for family in [IpAddr::is_ipv4 as fn(&IpAddr) -> bool, IpAddr::is_ipv6] {
        let asked: Vec<_> = addresses.iter().copied().filter(family).collect();
        let Some((kind, read)) = asked.first().map(answered) else { continue };
        let answers = open(kind)?;
        let frames: Vec<_> = asked.iter().map(|address| question(mac, *address)).collect();
        if Announcer::open(index)?.send(&frames) < frames.len() {
            return Err(Errno::ENOBUFS.into());
        }
        let end = Instant::now() + patience;
        while wait(&answers, end)? {
            if let Some((address, mac)) =
                take(&answers, index, kind, read)?.filter(|(it, _)| asked.contains(it))
            {
                tell(address, mac);
            }
        }
    }
    Ok(())
}

/// What asks who has it. Whoever asks without an address of his own is answered before all.
pub(super) fn question(mac: [u8; 6], address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp_probe(mac, address),
        IpAddr::V6(address) => solicitation(mac, address),
    }
}

/// In what kind of packet the answer comes, and how it is read.
fn answered(address: &IpAddr) -> (EtherType, Read<(IpAddr, [u8; 6])>) {
    match address {
        IpAddr::V4(_) => (EtherTypes::Arp, |_, _, packet| {
            let (address, mac) = reply(packet)?;
            Some((address.into(), mac))
        }),
        IpAddr::V6(_) => (EtherTypes::Ipv6, |kind, from, packet| {
            let (address, mac) = lookout::advertisement(kind, from, packet)?;
            Some((address, mac.0))
        }),
    }
}

/// How long it takes until somebody answers for `address`, by MAC address `mac` of our own on the interface with
/// this index; asked for every 5 ms. `None` where nobody does for as long as `patience`.
///
/// # Errors
/// As of [`ask`].
pub fn first(index: u32, mac: [u8; 6], address: IpAddr, patience: Duration) -> io::Result<Option<Duration>> {
    let (kind, read) = answered(&address);
    let (answers, announcer) = (open(kind)?, Announcer::open(index)?);
    let question = [question(mac, address)];
    let began = Instant::now();
    while began.elapsed() < patience {
        // What cannot be sent now is sent the next time.
        let _ = announcer.send(&question);
        let next = Instant::now() + AGAIN;
        while wait(&answers, next)? {
            if take(&answers, index, kind, read)?.is_some_and(|(it, _)| it == address) {
                return Ok(Some(began.elapsed()));
            }
        }
    }
    Ok(None)
}

/// A socket that gets ARP packets or neighbour advertisements, of whatever interface.
fn open(kind: EtherType) -> io::Result<OwnedFd> {
    /// Where the kind of a packet stands for a filter: ancillary data of `linux/filter.h`.
    const PROTOCOL: u32 = 0xFFFF_F000;
    const WORD: u16 = 0x20;
    const BYTE: u16 = 0x30;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
    let mut tests = vec![(WORD, PROTOCOL, u32::from(kind.0))];
    if kind == EtherTypes::Ipv6 {
        tests.push((BYTE, 6, u32::from(IpNextHeaderProtocols::Icmpv6.0)));
        tests.push((BYTE, 40, u32::from(Icmpv6Types::NeighborAdvert.0)));
    }
    let mut filter: Vec<_> = tests
        .into_iter()
        .flat_map(|(size, at, value)| {
            let (load, equal) = (SockFilter::new(size, 0, 0, at), SockFilter::new(0x15, 1, 0, value));
            [load, equal, SockFilter::new(0x06, 0, 0, 0)]
        })
        .collect();
    filter.push(SockFilter::new(0x06, 0, 0, u32::MAX));
    SockRef::from(&socket).attach_filter(&filter)?;
    Ok(socket)
}

/// Whether something is there before `end`.
fn wait(socket: &OwnedFd, end: Instant) -> io::Result<bool> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(false);
    }
    let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// What is in a packet, given its kind (`linux/if_packet.h`) and the Ethernet address that it came from.
type Read<T> = fn(u8, [u8; 6], &[u8]) -> Option<T>;

/// The next answer of this `kind` that came in by the interface; `None` for what is none.
fn take<T>(socket: &OwnedFd, index: u32, kind: EtherType, read: Read<T>) -> io::Result<Option<T>> {
    let mut bytes = [0; LONGEST];
    let (length, from) = match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut bytes) {
        Ok(got) => got,
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    // What came before the filter was there may be anything.
    let answer = || {
        let from = from?;
        let ours = from.pkttype() != OUTGOING
            && u16::from_be(from.protocol()) == kind.0
            && u32::try_from(from.ifindex()) == Ok(index);
        read(from.pkttype(), from.addr()?, bytes.get(..length).filter(|_| ours)?)
    };
    Ok(answer())
}

/// Who answers to ARP, and for which address.
fn reply(packet: &[u8]) -> Option<(Ipv4Addr, [u8; 6])> {
    let arp = ArpPacket::new(packet).filter(|arp| arp.get_operation() == ArpOperations::Reply)?;
    Some((arp.get_sender_proto_addr(), arp.get_sender_hw_addr().octets()))
}
