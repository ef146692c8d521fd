//! Asks by ARP who has an address, and changes nothing: RFC 5227 section 1.1.
//!
//! A probe names no sender address, so nobody learns anything from it. What the answers mean is not decided
//! here.

use super::announce::{Announcer, arp_probe};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};
use pnet::packet::arp::{ArpOperations, ArpPacket};
use pnet::packet::ethernet::EtherTypes;
use socket2::{SockFilter, SockRef};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// `PACKET_OUTGOING` of packet(7): this host sent it.
const OUTGOING: u8 = 4;
/// The pause between two questions for one address.
const AGAIN: Duration = Duration::from_millis(5);

/// Who answers for each of `addresses`, by MAC address, on the interface with this index and MAC address.
/// Waits for answers for as long as `patience`. Addresses that nobody answers for are missing.
///
/// # Errors
/// Those of the kernel: `ENODEV` where there is no such interface, `EPERM` without `CAP_NET_RAW`.
pub fn ask(
    index: u32,
    mac: [u8; 6],
    addresses: &BTreeSet<Ipv4Addr>,
    patience: Duration,
) -> io::Result<BTreeMap<Ipv4Addr, BTreeSet<[u8; 6]>>> {
    let answers = open()?;
    let frames: Vec<_> = addresses.iter().map(|address| arp_probe(mac, *address)).collect();
    let sent = Announcer::open(index)?.send(&frames);
    if sent < frames.len() {
        return Err(Errno::ENOBUFS.into());
    }
    let mut found: BTreeMap<Ipv4Addr, BTreeSet<[u8; 6]>> = BTreeMap::new();
    let end = Instant::now() + patience;
    while wait(&answers, end)? {
        let Some((address, mac)) = take(&answers, index)? else { continue };
        if addresses.contains(&address) {
            found.entry(address).or_default().insert(mac);
        }
    }
    Ok(found)
}

/// How long it takes until somebody answers for `address`, by MAC address `mac` of our own on the interface with
/// this index; asked for every 5 ms. `None` where nobody does for as long as `patience`.
///
/// # Errors
/// As of [`ask`].
pub fn first(
    index: u32,
    mac: [u8; 6],
    address: Ipv4Addr,
    patience: Duration,
) -> io::Result<Option<Duration>> {
    let (answers, announcer) = (open()?, Announcer::open(index)?);
    let began = Instant::now();
    while began.elapsed() < patience {
        // What cannot be sent now is sent the next time.
        let _ = announcer.send(&[arp_probe(mac, address)]);
        let next = Instant::now() + AGAIN;
        while wait(&answers, next)? {
            if take(&answers, index)?.is_some_and(|(whose, _)| whose == address) {
                return Ok(Some(began.elapsed()));
            }
        }
    }
    Ok(None)
}

/// A socket that gets ARP packets, of whatever interface.
fn open() -> io::Result<OwnedFd> {
    /// Where the kind of a packet stands for a filter: ancillary data of `linux/filter.h`.
    const PROTOCOL: u32 = 0xFFFF_F000;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
    let filter = [
        SockFilter::new(0x20, 0, 0, PROTOCOL),
        SockFilter::new(0x15, 0, 1, u32::from(EtherTypes::Arp.0)),
        SockFilter::new(0x06, 0, 0, u32::MAX),
        SockFilter::new(0x06, 0, 0, 0),
    ];
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

/// The next answer that came in by the interface; `None` for what is none.
fn take(socket: &OwnedFd, index: u32) -> io::Result<Option<(Ipv4Addr, [u8; 6])>> {
    let mut bytes = [0; ArpPacket::minimum_packet_size()];
    let (length, from) = match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut bytes) {
        Ok(got) => got,
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let ours = |from: &LinkAddr| {
        from.pkttype() != OUTGOING
            && u16::from_be(from.protocol()) == EtherTypes::Arp.0
            && u32::try_from(from.ifindex()) == Ok(index)
    };
    // What came before the filter was there may be anything.
    let answer = from.filter(ours).and_then(|_| bytes.get(..length)).and_then(ArpPacket::new);
    let answer = answer.filter(|arp| arp.get_operation() == ArpOperations::Reply);
    Ok(answer.map(|arp| (arp.get_sender_proto_addr(), arp.get_sender_hw_addr().octets())))
}
