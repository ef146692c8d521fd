//! Raw sockets for IP protocol 112, or 51 in front of it: bytes in, bytes out, one pair per interface,
//! family and protocol.
//!
//! No codec and no judgement here. RFC 9568 sections 5.1.1 and 5.1.2: TTL and hop limit 255, to a group. What is not
//! for one of our VRIDs is dropped by a filter in the kernel.

use super::announce::Announcer;
use super::frame::Frame;
use crate::vrrp::{Family, PROTOCOL, Vrid, ah};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{c_int, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use pnet::packet::ip::IpNextHeaderProtocol;
use pnet::packet::ipv4::MutableIpv4Packet;
use rustix::net::{RecvFlags, recv};
use smallvec::SmallVec;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use std::borrow::{Borrow, Cow};
use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Room for the adverts of a loaded host while the reader is held up.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Network control, DSCP CS6: adverts must survive the congestion they are to decide about.
pub(super) const TRAFFIC_CLASS: u8 = 0xc0;
/// `TC_PRIO_CONTROL`: the first queue of the sending host itself.
pub(super) const QUEUE_PRIORITY: c_int = 7;
const IPV4_HEADER: usize = 20;
/// `IPPROTO_RAW`: sends whole IPv4 packets and receives nothing.
const IPPROTO_RAW: i32 = 255;

/// A receiving and a sending socket for VRRP on one interface in one family.
#[derive(Debug)]
pub struct RawSocket {
    /// Opening one allocates nothing: the kernel's names have at most 15 bytes.
    interface: SmallVec<[u8; 16]>,
    index: u32,
    family: Family,
    protocol: u8,
    multicast: bool,
    receiving: Socket,
    sending: Socket,
    /// Sends whole frames; opened when the first one is to go.
    frames: Option<Announcer>,
    /// The last frame.
    frame: Frame,
}

/// One datagram as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The sender.
    pub source: IpAddr,
    /// The address it was sent to: the group, or one of ours.
    pub destination: IpAddr,
    /// TTL from the IPv4 header, or the hop limit that the kernel reports beside the packet; `None` without.
    pub ttl: Option<u8>,
    /// IPv4: the packet with its IP header. IPv6: the payload alone.
    pub packet: &'a [u8],
}

/// One datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// The source address, used as it is; IPv6 wants one that this host has.
    pub source: IpAddr,
    /// The group, or a unicast peer, of the same family.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The protocol in an IPv4 header.
    pub protocol: u8,
    /// The identification in an IPv4 header; 0 where the kernel may choose.
    pub identification: u16,
    /// What follows the IP header.
    pub payload: Cow<'a, [u8]>,
}

impl RawSocket {
    /// Opens the pair on `interface` (whose number is `index`), joins `groups`, which are of
    /// `family`, and lets only `vrids` through. An interface made anew has another number: the
    /// old pair stays deaf, open another.
    ///
    /// # Errors
    /// Those of the kernel, naming the interface: no such device, or `CAP_NET_RAW` is missing.
    pub fn open(
        interface: &str,
        index: u32,
        family: Family,
        protocol: u8,
        groups: impl IntoIterator<Item: Borrow<IpAddr>>,
        vrids: impl IntoIterator<Item: Borrow<Vrid>>,
    ) -> io::Result<RawSocket> {
        let mut groups = groups.into_iter().peekable();
        let multicast = groups.peek().is_some();
        let opened = move || -> io::Result<RawSocket> {
            let receiving = receiving(interface, family, protocol, multicast, vrids)?;
            for group in groups {
                join(&receiving, *group.borrow(), index)?;
            }
            let sending = sending(interface, index, family)?;
            let interface = interface.as_bytes().into();
            let (frames, frame) = Default::default();
            Ok(RawSocket { interface, index, family, protocol, multicast, receiving, sending, frames, frame })
        };
        opened().map_err(|error| about(interface, family, "cannot open a VRRP socket", &error))
    }

    /// Lets only `vrids` through from now on; none at all where it is empty.
    ///
    /// # Errors
    /// Those of the kernel, naming the interface.
    pub fn set_vrids(&self, vrids: &BTreeSet<Vrid>) -> io::Result<()> {
        self.receiving
            .attach_filter(&filter(self.family, self.protocol, self.multicast, vrids))
            .map_err(|error| self.about("cannot set the VRID filter", &error))
    }

    /// The interface it is bound to.
    #[must_use]
    pub fn interface(&self) -> &str {
        std::str::from_utf8(&self.interface).unwrap_or_default()
    }

    /// The interface number it was opened with.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The family it serves.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The receiving socket, to poll for input.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.receiving.as_fd()
    }

    /// The next datagram, cut to the size of `buffer`; `None` when there is none. Never waits.
    ///
    /// # Errors
    /// Those of the kernel, naming the interface.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<Received<'a>>> {
        match self.take(buffer) {
            Ok(received) => Ok(Some(received)),
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(self.about("cannot receive", &errno.into())),
        }
    }

    fn take<'a>(&self, buffer: &'a mut [u8]) -> Result<Received<'a>, Errno> {
        match self.family {
            // The header comes along, and is the kernel's own.
            Family::Ipv4 => {
                let length =
                    recv(&self.receiving, &mut *buffer, RecvFlags::empty()).map(|(length, _)| length);
                let length = length.map_err(|error| Errno::from_raw(error.raw_os_error()))?;
                let packet = buffer.get(..length).unwrap_or_default();
                let (source, destination) = (address_at(packet, 12), address_at(packet, 16));
                Ok(Received { source, destination, ttl: packet.get(8).copied(), packet })
            }
            Family::Ipv6 => self.take_v6(buffer),
        }
    }

    fn take_v6<'a>(&self, buffer: &'a mut [u8]) -> Result<Received<'a>, Errno> {
        let mut control = cmsg_space!(c_int, in6_pktinfo);
        let (mut ttl, mut to) = (None, None);
        let (length, from) = {
            let mut slices = [IoSliceMut::new(buffer)];
            let fd = self.receiving.as_raw_fd();
            let got = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), MsgFlags::empty())?;
            for message in got.cmsgs()? {
                match message {
                    ControlMessageOwned::Ipv6HopLimit(hops) => ttl = u8::try_from(hops).ok(),
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                    }
                    _ => {}
                }
            }
            (got.bytes, got.address)
        };
        let packet = buffer.get(..length).unwrap_or_default();
        let from = from.map(|from| from.ip());
        let [source, destination] = [from, to].map(|address| address.unwrap_or(Ipv6Addr::UNSPECIFIED).into());
        Ok(Received { source, destination, ttl, packet })
    }

    /// Sends one datagram out of the interface. Never waits.
    ///
    /// # Errors
    /// Those of the kernel, naming interface and addresses; a source or destination of another family.
    pub fn send(&self, datagram: &Outgoing<'_>) -> io::Result<()> {
        let sent = match (datagram.source, datagram.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) if self.family == Family::Ipv4 => {
                self.send_v4(source, destination, datagram)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) if self.family == Family::Ipv6 => {
                self.send_v6(source, destination, datagram)
            }
            _ => Err(Errno::EAFNOSUPPORT.into()),
        };
        sent.map_err(|error| {
            let what = format!("cannot send from {} to {}", datagram.source, datagram.destination);
            self.about(&what, &error)
        })
    }

    /// The same with this Ethernet source address where it goes to a group: the virtual router's, or the
    /// interface's own, which costs less than [`RawSocket::send`]. To one host it goes with the
    /// interface's own: there is no need for another. The first call opens a packet socket in the network
    /// namespace of its thread.
    ///
    /// # Errors
    /// As [`RawSocket::send`].
    pub fn send_from(&mut self, mac: [u8; 6], datagram: &Outgoing<'_>) -> io::Result<()> {
        if !datagram.destination.is_multicast() {
            return self.send(datagram);
        }
        match self.send_frame(mac, datagram) {
            Ok(()) => Ok(()),
            // Longer than the interface takes: over IPv6 the kernel makes fragments of it.
            Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => self.send(datagram),
            Err(error) => {
                let what = format!("cannot send from {} to {}", datagram.source, datagram.destination);
                Err(self.about(&what, &error))
            }
        }
    }

    /// Has ready what the first call of [`RawSocket::send_from`] needs, which would else make it itself.
    pub fn prepare(&mut self) {
        if self.multicast && self.frames.is_none() {
            // What fails now fails again then, and is told of.
            self.frames = Announcer::open(self.index).ok();
        }
    }

    fn send_frame(&mut self, mac: [u8; 6], datagram: &Outgoing<'_>) -> io::Result<()> {
        let frame = self.frame.around(mac, datagram)?;
        let frames = match &mut self.frames {
            Some(frames) => frames,
            none => none.insert(Announcer::open(self.index)?),
        };
        frames.send_now(frame)
    }

    fn send_v4(&self, source: Ipv4Addr, destination: Ipv4Addr, datagram: &Outgoing<'_>) -> io::Result<()> {
        let header = ipv4_header(source, destination, datagram)?;
        let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
        let packet = [IoSlice::new(&header), IoSlice::new(&datagram.payload)];
        let sent = sendmsg(self.sending.as_raw_fd(), &packet, &[], MsgFlags::empty(), Some(&to));
        sent.map(drop).map_err(io::Error::from)
    }

    fn send_v6(&self, source: Ipv6Addr, destination: Ipv6Addr, datagram: &Outgoing<'_>) -> io::Result<()> {
        let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: source.octets() }, ipi6_ifindex: self.index };
        let hops = c_int::from(datagram.ttl);
        let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, self.index));
        sendmsg(
            self.sending.as_raw_fd(),
            &[IoSlice::new(&datagram.payload)],
            &[ControlMessage::Ipv6PacketInfo(&info), ControlMessage::Ipv6HopLimit(&hops)],
            MsgFlags::empty(),
            Some(&to),
        )
        .map(drop)
        .map_err(io::Error::from)
    }

    fn about(&self, what: &str, error: &io::Error) -> io::Error {
        about(self.interface(), self.family, what, error)
    }
}

fn about(interface: &str, family: Family, what: &str, error: &io::Error) -> io::Error {
    let reason =
        error.raw_os_error().map_or_else(|| error.to_string(), |n| Errno::from_raw(n).desc().to_owned());
    io::Error::new(error.kind(), format!("{interface}, {family}: {what}: {reason}"))
}

fn receiving(
    interface: &str,
    family: Family,
    protocol: u8,
    multicast: bool,
    vrids: impl IntoIterator<Item: Borrow<Vrid>>,
) -> io::Result<Socket> {
    let socket = raw(family, i32::from(protocol))?;
    // Filter first, device second: nothing foreign can slip in between.
    socket.attach_filter(&filter(family, protocol, multicast, vrids))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    match family {
        Family::Ipv4 => {
            // Groups that others on this host have joined are none of our business.
            socket.set_multicast_all_v4(false)?;
        }
        Family::Ipv6 => {
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
    }
    Ok(socket)
}

/// Joins `group` on the interface of this number, unless it has.
pub(super) fn join(socket: &Socket, group: IpAddr, index: u32) -> io::Result<()> {
    let joined = match group {
        IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
    };
    match joined {
        Err(error) if error.raw_os_error() == Some(Errno::EADDRINUSE as i32) => Ok(()),
        joined => joined,
    }
}

fn sending(interface: &str, index: u32, family: Family) -> io::Result<Socket> {
    let socket = match family {
        Family::Ipv4 => raw(family, IPPROTO_RAW)?,
        // With IPPROTO_RAW an IPv6 socket would want the IP header from us as well.
        Family::Ipv6 => raw(family, i32::from(PROTOCOL))?,
    };
    socket.attach_filter(&[drop_all()])?;
    socket.bind_device(Some(interface.as_bytes()))?;
    setsockopt(&socket, sockopt::Priority, &QUEUE_PRIORITY)?;
    // Our own adverts must not come back to us.
    match family {
        Family::Ipv4 => {
            socket.set_header_included_v4(true)?;
            socket.set_multicast_loop_v4(false)?;
        }
        Family::Ipv6 => {
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_if_v6(index)?;
            socket.set_tclass_v6(u32::from(TRAFFIC_CLASS))?;
        }
    }
    Ok(socket)
}

fn raw(family: Family, protocol: i32) -> io::Result<Socket> {
    let domain = match family {
        Family::Ipv4 => Domain::IPV4,
        Family::Ipv6 => Domain::IPV6,
    };
    Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(protocol)))
}

/// The header checksum is left at zero, as the identification may be: the kernel fills them in.
pub(super) fn ipv4_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    datagram: &Outgoing<'_>,
) -> io::Result<[u8; IPV4_HEADER]> {
    let length = IPV4_HEADER + datagram.payload.len();
    let too_long = || io::Error::from(Errno::EMSGSIZE);
    let mut bytes = [0; IPV4_HEADER];
    let mut packet = MutableIpv4Packet::new(&mut bytes).ok_or_else(too_long)?;
    packet.set_version(4);
    packet.set_header_length(5);
    packet.set_dscp(TRAFFIC_CLASS >> 2);
    packet.set_total_length(u16::try_from(length).map_err(|_| too_long())?);
    packet.set_identification(datagram.identification);
    packet.set_ttl(datagram.ttl);
    packet.set_next_level_protocol(IpNextHeaderProtocol(datagram.protocol));
    packet.set_source(source);
    packet.set_destination(destination);
    Ok(bytes)
}

fn address_at(packet: &[u8], offset: usize) -> IpAddr {
    let octets = packet.get(offset..).and_then(|rest| rest.first_chunk::<4>());
    octets.map_or(Ipv4Addr::UNSPECIFIED, |octets| Ipv4Addr::from(*octets)).into()
}

// Classic BPF, as much as is needed: linux/bpf_common.h.
const LOAD_BYTE_AT: u16 = 0x30;
const LOAD_BYTE_AT_X: u16 = 0x50;
const LOAD_X_IPV4_HEADER_LENGTH: u16 = 0xb1;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// The first byte of the destination, counted from the IPv6 header (`SKF_NET_OFF`) and not the payload.
const IPV6_DESTINATION: u32 = 0xfff0_0000 + 24;

/// The second byte behind an Authentication Header.
const AH_VRID_AT: u32 = 25;

/// Room for every VRID there is.
pub type Program = SmallVec<[SockFilter; 1024]>;

fn drop_all() -> SockFilter {
    SockFilter::new(RETURN, 0, 0, 0)
}

/// What the kernel runs for each packet, before anything of it costs us: only those VRIDs pass.
///
/// A VRRP message has its VRID in the second byte, behind an Authentication Header where there is one. An
/// IPv4 raw socket shows the filter the whole packet, an IPv6 one the payload. Two instructions for each
/// VRID stay far below the limit of 4096. Where it is 0, in the word of another Locum, the VRID stands two bytes
/// further on: see `vrrp::succession`.
#[must_use]
pub fn filter(
    family: Family,
    protocol: u8,
    multicast: bool,
    vrids: impl IntoIterator<Item: Borrow<Vrid>>,
) -> Program {
    let mut program = Program::new();
    let vrid_at = if protocol == ah::PROTOCOL { AH_VRID_AT } else { 1 };
    let word_vrid_at = vrid_at + 2;
    match family {
        Family::Ipv4 => {
            program.push(SockFilter::new(LOAD_X_IPV4_HEADER_LENGTH, 0, 0, 0));
            program.push(SockFilter::new(LOAD_BYTE_AT_X, 0, 0, vrid_at));
            program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0));
            program.push(SockFilter::new(LOAD_BYTE_AT_X, 0, 0, word_vrid_at));
        }
        Family::Ipv6 => {
            if !multicast {
                // Raw IPv6 sockets hear every group of the host, IPV6_MULTICAST_ALL or not.
                program.push(SockFilter::new(LOAD_BYTE_AT, 0, 0, IPV6_DESTINATION));
                program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0xff));
                program.push(drop_all());
            }
            program.push(SockFilter::new(LOAD_BYTE_AT, 0, 0, vrid_at));
            program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0));
            program.push(SockFilter::new(LOAD_BYTE_AT, 0, 0, word_vrid_at));
        }
    }
    for vrid in vrids {
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(vrid.borrow().get())));
        program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    }
    program.push(drop_all());
    program
}
