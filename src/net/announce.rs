//! Announcing an address: gratuitous ARP and unsolicited neighbour advertisement, many at once.
//!
//! RFC 9568 sections 6.4.1 and 6.4.2 with errata 7947 and 7949; RFC 4861 section 4.4. How often and
//! when to announce is decided elsewhere. Frames are built here, never parsed.

use super::aside::Aside;
use super::frame::group_mac_v6;
use super::raw_socket::QUEUE_PRIORITY;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use pnet::packet::Packet;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet::packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet::packet::icmpv6::ndp::{
    MutableNdpOptionPacket, MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NdpOptionTypes,
};
use pnet::packet::icmpv6::{Icmpv6Types, MutableIcmpv6Packet, checksum};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::util::MacAddr;
use rustix::net::SendFlags;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

const ETHERNET_HEADER: usize = 14;
const ARP: usize = 28;
const IPV6_HEADER: usize = 40;
/// The fixed part of a neighbour advertisement and one link-layer address option.
const ADVERTISEMENT: usize = 24 + 8;
/// The fixed part of a neighbour solicitation: one without a sender has no option.
const SOLICITATION: usize = 24;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 4291 section 2.7.1: the last 24 bits of an address go behind it.
const SOLICITED_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0);
/// Neighbours drop what has passed a router (RFC 4861 section 7.1.2).
const HOP_LIMIT: u8 = 255;
/// Router and Override set, Solicited clear: RFC 9568 asks for exactly these.
const ROUTER_AND_OVERRIDE: u8 = 0b1010_0000;
/// Frames in one system call: what the kernel takes at most (`UIO_MAXIOV`).
const BATCH: usize = 1024;
/// The longest wait for room in the interface's queue.
const PATIENCE: TimeVal = TimeVal::new(1, 0);

/// The frame that tells the hosts of the link that `address` is at `mac` from now on.
#[must_use]
pub fn frame(mac: [u8; 6], address: IpAddr) -> Vec<u8> {
    let mac = MacAddr::from(mac);
    match address {
        IpAddr::V4(address) => gratuitous_arp(mac, address),
        IpAddr::V6(address) => neighbour_advertisement(mac, address),
    }
}

/// A broadcast request that names `address` as sender and target, `mac` as both hardware addresses.
fn gratuitous_arp(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    arp_request(mac, address, mac, address)
}

/// The frame that asks who has `address`, and tells nobody anything (RFC 5227 section 1.1).
pub(super) fn arp_probe(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    arp_request(mac.into(), Ipv4Addr::UNSPECIFIED, MacAddr::zero(), address)
}

fn arp_request(mac: MacAddr, sender: Ipv4Addr, target_mac: MacAddr, target: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0; ARP];
    if let Some(mut arp) = MutableArpPacket::new(&mut bytes) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(mac);
        arp.set_sender_proto_addr(sender);
        arp.set_target_hw_addr(target_mac);
        arp.set_target_proto_addr(target);
    }
    ethernet(mac, MacAddr::broadcast(), EtherTypes::Arp, &bytes)
}

/// From the address itself to all nodes, with the target link-layer address option.
fn neighbour_advertisement(mac: MacAddr, address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![0; ADVERTISEMENT];
    if let Some(mut advertisement) = MutableNeighborAdvertPacket::new(&mut message) {
        advertisement.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
        advertisement.set_flags(ROUTER_AND_OVERRIDE);
        advertisement.set_target_addr(address);
        if let Some(mut option) = MutableNdpOptionPacket::new(advertisement.get_options_raw_mut()) {
            option.set_option_type(NdpOptionTypes::TargetLLAddr);
            option.set_length(1);
            option.set_data(&mac.octets());
        }
    }
    icmpv6(mac, address, ALL_NODES, &mut message)
}

/// The frame that asks all who listen for `address` whether they have it, and tells nobody anything (RFC 4862
/// section 5.4.2).
pub(super) fn solicitation(mac: [u8; 6], address: Ipv6Addr) -> Vec<u8> {
    let mut message = [0; SOLICITATION];
    if let Some(mut solicitation) = MutableNeighborSolicitPacket::new(&mut message) {
        solicitation.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
        solicitation.set_target_addr(address);
    }
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::from_bits(SOLICITED_NODES.to_bits() | u128::from(u32::from_be_bytes([0, a, b, c])));
    icmpv6(mac.into(), Ipv6Addr::UNSPECIFIED, group, &mut message)
}

/// The frame around `message` to a group of nodes of the link, with its checksum set.
fn icmpv6(mac: MacAddr, source: Ipv6Addr, group: Ipv6Addr, message: &mut [u8]) -> Vec<u8> {
    if let Some(mut icmpv6) = MutableIcmpv6Packet::new(message) {
        icmpv6.set_checksum(checksum(&icmpv6.to_immutable(), &source, &group));
    }
    let mut packet = vec![0; IPV6_HEADER + message.len()];
    if let Some(mut ip) = MutableIpv6Packet::new(&mut packet) {
        ip.set_version(6);
        ip.set_payload_length(u16::try_from(message.len()).unwrap_or_default());
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(HOP_LIMIT);
        ip.set_source(source);
        ip.set_destination(group);
        ip.set_payload(message);
    }
    ethernet(mac, group_mac_v6(group).into(), EtherTypes::Ipv6, &packet)
}

fn ethernet(from: MacAddr, to: MacAddr, kind: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_HEADER + payload.len()];
    if let Some(mut frame) = MutableEthernetPacket::new(&mut bytes) {
        frame.set_destination(to);
        frame.set_source(from);
        frame.set_ethertype(kind);
        frame.set_payload(payload);
        debug_assert_eq!(frame.payload(), payload);
    }
    bytes
}

/// Where the interfaces are that were asked for, for the whole process. They are found in a list of all addresses,
/// which takes long where there are thousands, and over and over again while some are coming.
static PLACES: Mutex<Vec<LinkAddr>> = Mutex::new(Vec::new());

/// What a socket is bound to for the interface with this number.
fn place(index: u32) -> io::Result<LinkAddr> {
    let is_it = |place: &LinkAddr| u32::try_from(place.ifindex()) == Ok(index);
    let known = PLACES.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().find(is_it);
    let found = || all_places().map(|mut all| all.find(is_it));
    known.map_or_else(found, |known| Ok(Some(known)))?.ok_or_else(|| Errno::ENODEV.into())
}

fn all_places() -> io::Result<impl Iterator<Item = LinkAddr>> {
    Ok(getifaddrs()?.filter_map(|entry| entry.address?.as_link_addr().copied()))
}

/// Looks up what [`Announcer::open`] will need, as long as nobody waits for it. Where there is no such interface,
/// nothing is learned.
pub fn learn(index: u32) {
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    if places.iter().all(|place| u32::try_from(place.ifindex()) != Ok(index))
        && let Ok(all) = all_places()
    {
        *places = all.collect();
    }
}

/// A socket that sends frames out of one interface and receives none.
#[derive(Debug)]
pub struct Announcer {
    socket: Aside,
    index: u32,
}

impl Announcer {
    /// Opens it on the interface with this number.
    ///
    /// # Errors
    /// Those of the kernel: `ENODEV` where there is no such interface, `EPERM` without `CAP_NET_RAW`.
    pub fn open(index: u32) -> io::Result<Announcer> {
        // Protocol 0: a packet socket that no frame is ever queued on.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &place(index)?)?;
        setsockopt(&socket, sockopt::SendTimeout, &PATIENCE)?;
        setsockopt(&socket, sockopt::Priority, &QUEUE_PRIORITY)?;
        Ok(Announcer { socket: socket.into(), index })
    }

    /// The number of the interface it was opened on.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Sends the frames in their order and returns how many left. Waits at most a second for room.
    #[must_use]
    pub fn send(&self, frames: &[Vec<u8>]) -> usize {
        let mut sent = 0;
        for batch in frames.chunks(BATCH) {
            let mut rest = batch;
            while !rest.is_empty() {
                match self.send_some(rest) {
                    Ok(count) if count > 0 => {
                        sent += count;
                        rest = rest.get(count..).unwrap_or_default();
                    }
                    // The queue had no room for this one; the next may find some.
                    Err(Errno::ENOBUFS) => rest = rest.get(1..).unwrap_or_default(),
                    Err(Errno::EINTR) => {}
                    _ => return sent,
                }
            }
        }
        sent
    }

    /// Sends one frame, and does not wait for room.
    pub(super) fn send_now(&self, frame: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.socket, frame, SendFlags::DONTWAIT)?;
        Ok(())
    }

    fn send_some(&self, frames: &[Vec<u8>]) -> Result<usize, Errno> {
        let slices: Vec<[IoSlice<'_>; 1]> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let nowhere: Vec<Option<LinkAddr>> = vec![None; frames.len()];
        let mut headers = MultiHeaders::preallocate(frames.len(), None);
        let sent = sendmmsg(self.socket.as_raw_fd(), &mut headers, &slices, nowhere, [], MsgFlags::empty())?;
        Ok(sent.count())
    }
}
