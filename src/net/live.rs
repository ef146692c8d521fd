//! Listens to VRRP on the wire by a packet socket of its own: sees what comes and goes, and takes
//! nothing away from the daemon.

use super::raw_socket::join;
use crate::vrrp::{Family, PROTOCOL, ah};
use nix::errno::Errno;
use nix::net::if_::{if_nameindex, if_nametoindex};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};
use socket2::{Domain, SockFilter, SockRef, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;
const BUFFER: usize = 1 << 16;
/// `PACKET_OUTGOING` of packet(7): this host sent it.
const OUTGOING: u8 = 4;

/// A socket that sees every VRRP packet of one interface, or of all.
#[derive(Debug)]
pub struct Live {
    socket: OwnedFd,
    interface: Option<u32>,
    buffer: Vec<u8>,
    /// Keep the groups joined, which a network card may filter otherwise.
    _members: Vec<Socket>,
}

/// A packet that was seen.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Where.
    pub interface: String,
    /// Whether this host sent it.
    pub ours: bool,
    /// The MAC address that it came from.
    pub mac: Option<[u8; 6]>,
    /// The IP packet with its header.
    pub packet: &'a [u8],
}

impl Live {
    /// Begins to listen, also to `groups` besides those of VRRP, where it is on one interface.
    ///
    /// # Errors
    /// One line for people: without `CAP_NET_RAW`, or where there is no such interface.
    pub fn open(interface: Option<&str>, groups: &BTreeSet<IpAddr>) -> Result<Self, String> {
        let interface = interface.map(index).transpose()?;
        let kind = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Datagram, kind, SockProtocol::EthAll).map_err(
            |errno| match errno {
                Errno::EPERM | Errno::EACCES => "live capture needs root (CAP_NET_RAW)".to_owned(),
                other => format!("cannot open a packet socket: {}", other.desc()),
            },
        )?;
        let socket2 = SockRef::from(&socket);
        socket2.attach_filter(&filter(interface)).map_err(|error| format!("cannot set a filter: {error}"))?;
        let usual = [Family::Ipv4, Family::Ipv6].map(Family::group);
        let groups = usual.into_iter().chain(groups.iter().copied());
        let members = interface.map(|index| groups.filter_map(|group| member(group, index).ok()).collect());
        let members = members.unwrap_or_default();
        Ok(Live { socket, interface, buffer: vec![0; BUFFER], _members: members })
    }

    /// Waits for the next packet, until `end` at the latest where that is given; then `None`.
    ///
    /// # Errors
    /// One line for people.
    pub fn next(&mut self, end: Option<Instant>) -> Result<Option<Seen<'_>>, String> {
        loop {
            let (length, from) = match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut self.buffer) {
                Ok((length, Some(from))) => (length, from),
                Ok((_, None)) | Err(Errno::EINTR | Errno::ENETDOWN) => continue,
                Err(Errno::EAGAIN) => {
                    if !self.wait(end)? {
                        return Ok(None);
                    }
                    continue;
                }
                Err(errno) => return Err(format!("cannot receive: {}", errno.desc())),
            };
            let seen = u32::try_from(from.ifindex()).unwrap_or(0);
            // What came before the filter was set may be no VRRP, and from elsewhere.
            if self.interface.is_none_or(|wanted| wanted == seen) {
                let packet = self.buffer.get(..length).unwrap_or_default();
                let ours = from.pkttype() == OUTGOING;
                return Ok(Some(Seen { interface: name(seen), ours, mac: from.addr(), packet }));
            }
        }
    }

    /// Whether something is there to be read before `end`.
    fn wait(&self, end: Option<Instant>) -> Result<bool, String> {
        let timeout = match end {
            None => PollTimeout::NONE,
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                // Rounded up: not to poll in a circle for the rest of a millisecond.
                PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(true),
            Err(errno) => Err(format!("cannot wait for packets: {}", errno.desc())),
        }
    }
}

fn index(name: &str) -> Result<u32, String> {
    if_nametoindex(name).map_err(|_| {
        let known = if_nameindex().ok();
        let known = known.iter().flatten().map(|known| known.name().to_string_lossy().into_owned());
        format!("there is no interface {name}: there is {}", known.collect::<Vec<_>>().join(", "))
    })
}

fn name(index: u32) -> String {
    let known = if_nameindex().ok();
    let found = known.iter().flatten().find(|known| known.index() == index);
    found.map_or_else(|| format!("#{index}"), |found| found.name().to_string_lossy().into_owned())
}

/// Lets IPv4 packets with protocol 112 or 51 and IPv6 packets with protocol 112 through, from one interface where it is given. The
/// offsets count from the IP header. See "Linux socket filtering" of the kernel's documentation.
fn filter(interface: Option<u32>) -> Vec<SockFilter> {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_WORD: u16 = 0x20;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    // Ancillary data lies at negative offsets.
    const INTERFACE_INDEX: u32 = 0xFFFF_F008;
    let protocol = u32::from(PROTOCOL);
    let step = SockFilter::new;
    let mut program = Vec::new();
    if let Some(index) = interface {
        program.extend([
            step(LOAD_WORD, 0, 0, INTERFACE_INDEX),
            step(IF_EQUAL, 1, 0, index),
            step(RETURN, 0, 0, 0),
        ]);
    }
    program.extend([
        step(LOAD_BYTE, 0, 0, 0),
        step(AND, 0, 0, 0xF0),
        step(IF_EQUAL, 0, 3, 0x40),
        step(LOAD_BYTE, 0, 0, 9),
        step(IF_EQUAL, 4, 0, ah::PROTOCOL.into()),
        step(IF_EQUAL, 3, 4, protocol),
        step(IF_EQUAL, 0, 3, 0x60),
        step(LOAD_BYTE, 0, 0, 6),
        step(IF_EQUAL, 0, 1, protocol),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]);
    program
}

fn member(group: IpAddr, index: u32) -> io::Result<Socket> {
    let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    join(&socket, group, index)?;
    Ok(socket)
}
