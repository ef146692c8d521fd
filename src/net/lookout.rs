//! Hears other hosts say that they have an address that is held here: ARP (RFC 826, RFC 5227) and neighbour
//! advertisements (RFC 4861). While nothing is held there is no socket, and nothing costs anything.
//!
//! The kernel lets through what is about a held address and no more, at the cost of a few steps for each ARP
//! packet, and of one for each IPv6 packet where IPv6 addresses are held. What it lets through is read a little
//! at a time, with pauses, so that whoever floods the network does not keep this host busy. Who says such a
//! thing, whether it is this host itself, and what follows, is not decided here.

use super::aside::Aside;
use crate::agent::{Holding, InstanceId, Mac, Sighting};
use nix::errno::Errno;
use nix::libc::{ETH_P_ARP, ETH_P_IPV6};
use nix::net::if_::if_indextoname;
use nix::sys::socket::{LinkAddr, recvfrom};
use pnet::packet::Packet;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket};
use pnet::packet::ethernet::EtherTypes;
use pnet::packet::icmpv6::Icmpv6Types;
use pnet::packet::icmpv6::ndp::{NdpOptionTypes, NeighborAdvertPacket};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::Ipv6Packet;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Frames that are read
const MOST: usize = 64;
/// within so long, and no more.
const WINDOW: Duration = Duration::from_millis(200);
/// With more addresses than this the kernel looks at the first and the last alone: a filter has an end.
const EXACT: usize = 256;
/// What waits to be read, in bytes: more is as good as nothing.
const RECEIVE_BUFFER: usize = 32 << 10;
/// `linux/if_packet.h`: to this host,
const HOST: u8 = 0;
/// to all,
pub(super) const BROADCAST: u8 = 1;
/// to a group.
const MULTICAST: u8 = 2;
/// Neighbours drop what has passed a router (RFC 4861 section 7.1.2).
const HOP_LIMIT: u8 = 255;
/// Where the options of an advertisement begin.
const OPTIONS_AT: usize = 24;
/// An IPv6 header, an advertisement and options enough.
pub(super) const LONGEST: usize = 256;

/// Which addresses to hear of, on which interface, and who holds each.
pub type Places = BTreeMap<(IpAddr, String), InstanceId>;

/// Where others on the network may speak of what `instance` holds: on the interface that an address is on, and
/// on that beneath it.
pub fn places(
    instance: InstanceId,
    holding: &Holding,
) -> impl Iterator<Item = ((IpAddr, String), InstanceId)> {
    holding.vips.iter().flat_map(move |vip| {
        let usual = holding.vmac.as_ref().map_or(&holding.interface, |vmac| &vmac.name);
        let on = vip.dev.as_ref().unwrap_or(usual);
        let beneath = holding.vmacs().find(|vmac| vmac.name == *on).map(|vmac| &vmac.base);
        [Some(on), beneath].into_iter().flatten().map(move |name| ((vip.address, name.clone()), instance))
    })
}

/// Hears, in the network namespace of the calling thread, until it fails.
///
/// # Errors
/// Returns only when there can be no such socket, or it cannot be read any longer.
pub async fn watch(places: &Places, report: impl Fn(Sighting)) -> io::Error {
    let words = |ipv6: bool| -> BTreeSet<u32> {
        places
            .keys()
            .filter(|(address, _)| address.is_ipv6() == ipv6)
            .map(|(address, _)| word(*address))
            .collect()
    };
    let (four, six) = (words(false), words(true));
    tokio::select! {
        error = hear(ETH_P_ARP, arp_filter(&four), arp, places, &report), if !four.is_empty() => error,
        error = hear(ETH_P_IPV6, na_filter(&six), advertisement, places, &report), if !six.is_empty() => error,
        else => std::future::pending().await,
    }
}

/// What is in a frame, given its kind (`linux/if_packet.h`) and the Ethernet address that it came from.
type Read = fn(u8, [u8; 6], &[u8]) -> Option<(IpAddr, Mac)>;

async fn hear(
    protocol: i32,
    filter: Vec<SockFilter>,
    read: Read,
    places: &Places,
    report: &impl Fn(Sighting),
) -> io::Error {
    let open = || -> io::Result<AsyncFd<Aside>> {
        let protocol = Protocol::from(i32::from(u16::try_from(protocol).unwrap_or_default().to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), Some(protocol))?;
        socket.attach_filter(&filter)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        #[expect(deprecated, reason = "sound here: an Aside stays the same descriptor; its heir is unsafe")]
        AsyncFd::with_interest(OwnedFd::from(socket).into(), Interest::READABLE)
    };
    let socket = match open() {
        Ok(socket) => socket,
        Err(error) => return error,
    };
    loop {
        // Who says it again is told of at the end: of each address at once, and of the last word.
        let (mut told, mut again) = (BTreeSet::new(), BTreeMap::new());
        let (mut read_so_far, mut ends) = (0, None);
        while read_so_far < MOST {
            let mut ready = match readable(&socket, ends).await {
                Some(Ok(ready)) => ready,
                Some(Err(error)) => return error,
                None => break,
            };
            ends.get_or_insert_with(|| Instant::now() + WINDOW);
            match take(&socket, read) {
                Ok(Some((interface, address, mac))) => {
                    if let Some(instance) = places.get(&(address, interface)).copied() {
                        if told.insert((instance, address)) {
                            report(Sighting { instance, address, mac });
                        } else {
                            again.insert((instance, address), mac);
                        }
                    }
                }
                Ok(None) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    ready.clear_ready();
                    continue;
                }
                Err(errno) => return errno.into(),
            }
            read_so_far += 1;
        }
        if let Some(ends) = ends {
            sleep_until(ends).await;
        }
        for ((instance, address), mac) in again {
            report(Sighting { instance, address, mac });
        }
    }
}

/// Waits until there is something to read, or until then: `None`.
async fn readable(
    socket: &AsyncFd<Aside>,
    until: Option<Instant>,
) -> Option<io::Result<AsyncFdReadyGuard<'_, Aside>>> {
    match until {
        Some(until) => timeout_at(until, socket.readable()).await.ok(),
        None => Some(socket.readable().await),
    }
}

/// The next frame; `None` for what says nothing. Never waits.
fn take(socket: &AsyncFd<Aside>, read: Read) -> Result<Option<(String, IpAddr, Mac)>, Errno> {
    let mut bytes = [0; LONGEST];
    let (length, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut bytes)?;
    let said = || {
        let (from, packet) = (from?, bytes.get(..length)?);
        let (address, mac) = read(from.pkttype(), from.addr()?, packet)?;
        let index = u32::try_from(from.ifindex()).ok()?;
        // One that has gone meanwhile is of no interest.
        let interface = if_indextoname(index).ok()?.into_string().ok()?;
        Some((interface, address, mac))
    };
    Ok(said())
}

/// Who asks says where he is. An answer counts where it goes to all: to one alone also goes that of a proxy
/// (RFC 1027), which has the address of nobody; unless it answers one who has no address himself (RFC 5227 2.1.1).
pub(super) fn arp(kind: u8, _: [u8; 6], packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let arp = ArpPacket::new(packet)?;
    let ethernet = arp.get_hardware_type() == ArpHardwareTypes::Ethernet && arp.get_hw_addr_len() == 6;
    let ipv4 = arp.get_protocol_type() == EtherTypes::Ipv4 && arp.get_proto_addr_len() == 4;
    let counts = match arp.get_operation() {
        ArpOperations::Request => [HOST, BROADCAST, MULTICAST].contains(&kind),
        ArpOperations::Reply if kind == HOST => arp.get_target_proto_addr().is_unspecified(),
        ArpOperations::Reply => [BROADCAST, MULTICAST].contains(&kind),
        _ => false,
    };
    let mac = Mac(arp.get_sender_hw_addr().octets());
    (ethernet && ipv4 && counts).then(|| (arp.get_sender_proto_addr().into(), mac))
}

/// The same of IPv6: an advertisement to all. Those to one alone answer a question, also for a proxy.
pub(super) fn advertisement(kind: u8, from: [u8; 6], packet: &[u8]) -> Option<(IpAddr, Mac)> {
    let ip = Ipv6Packet::new(packet)?;
    let message = NeighborAdvertPacket::new(ip.payload())?;
    let advertises = ip.get_version() == 6
        && ip.get_next_header() == IpNextHeaderProtocols::Icmpv6
        && ip.get_hop_limit() == HOP_LIMIT
        && message.get_icmpv6_type() == Icmpv6Types::NeighborAdvert;
    if !advertises || ![BROADCAST, MULTICAST].contains(&kind) {
        return None;
    }
    let told = ip.payload().get(OPTIONS_AT..).and_then(link_layer_address);
    Some((message.get_target_addr().into(), Mac(told.unwrap_or(from))))
}

/// The option that says where the target is. Not pnet's reader of options: it takes their lengths on trust.
fn link_layer_address(mut options: &[u8]) -> Option<[u8; 6]> {
    while let [kind, units @ (1..), address @ ..] = options {
        if *kind == NdpOptionTypes::TargetLLAddr.0 {
            return address.first_chunk().copied();
        }
        options = options.get(usize::from(*units) * 8..)?;
    }
    None
}

/// The last four bytes of an address: all of an IPv4 one.
fn word(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => u32::try_from(address.to_bits() & u128::from(u32::MAX)).unwrap_or_default(),
    }
}

/// Those that name one of these as their sender.
fn arp_filter(words: &BTreeSet<u32>) -> Vec<SockFilter> {
    const SENDER_AT: u32 = 14;
    let mut filter = Vec::new();
    one_of(&mut filter, SENDER_AT, words);
    filter
}

/// Advertisements whose target ends like one of these.
fn na_filter(words: &BTreeSet<u32>) -> Vec<SockFilter> {
    const TARGET_ENDS_AT: u32 = 60;
    let mut filter = Vec::new();
    for (at, byte) in HOLDERS {
        filter.extend([load(0x30, at), jump(0x15, u32::from(byte), 1, 0), REFUSE]);
    }
    one_of(&mut filter, TARGET_ENDS_AT, words);
    filter
}

/// An advertisement by its next header and type: where they are, and which.
pub(super) const HOLDERS: [(u32, u8); 2] =
    [(6, IpNextHeaderProtocols::Icmpv6.0), (40, Icmpv6Types::NeighborAdvert.0)];
pub(super) const REFUSE: SockFilter = SockFilter::new(0x06, 0, 0, 0);
pub(super) const ACCEPT: SockFilter = SockFilter::new(0x06, 0, 0, u32::MAX);

pub(super) const fn load(size: u16, at: u32) -> SockFilter {
    SockFilter::new(size, 0, 0, at)
}

pub(super) const fn jump(code: u16, value: u32, then: u8, otherwise: u8) -> SockFilter {
    SockFilter::new(code, then, otherwise, value)
}

fn one_of(filter: &mut Vec<SockFilter>, at: u32, words: &BTreeSet<u32>) {
    filter.push(load(0x20, at));
    match (words.first(), words.last()) {
        (Some(first), Some(last)) if words.len() > EXACT => {
            filter.extend([jump(0x35, *first, 0, 2), jump(0x25, *last, 1, 0), ACCEPT]);
        }
        _ => filter.extend(words.iter().flat_map(|word| [jump(0x15, *word, 0, 1), ACCEPT])),
    }
    filter.push(REFUSE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Vmac;
    use crate::net::announce::frame;
    use crate::vrrp::Vip;

    const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const FROM: [u8; 6] = [2, 0, 0, 0, 0, 8];
    /// `linux/if_packet.h`: to another host.
    const OTHER_HOST: u8 = 3;

    /// What an announcement carries behind its Ethernet header.
    fn announced(address: &str) -> Vec<u8> {
        frame(THEIRS, address.parse().unwrap())[14..].to_vec()
    }

    #[test]
    fn an_announcement_says_where_an_address_is() {
        let said = |address: &str| Some((address.parse().unwrap(), Mac(THEIRS)));
        assert_eq!(arp(BROADCAST, FROM, &announced("10.0.0.100")), said("10.0.0.100"));
        assert_eq!(advertisement(MULTICAST, FROM, &announced("fd00::100")), said("fd00::100"));
        assert_eq!(arp(HOST, FROM, &announced("10.0.0.100")), said("10.0.0.100"), "who asks one host alone");
    }

    #[test]
    fn an_answer_to_one_host_alone_may_be_a_proxys() {
        let mut reply = announced("10.0.0.100");
        reply[7] = 2;
        assert!(arp(BROADCAST, FROM, &reply).is_some());
        assert_eq!(arp(HOST, FROM, &reply), None);
        assert_eq!(arp(OTHER_HOST, FROM, &announced("10.0.0.100")), None);
        // Behind the sender and the target's Ethernet address.
        reply[24..28].fill(0);
        assert!(arp(HOST, FROM, &reply).is_some(), "it was asked by one without an address");
        assert_eq!(advertisement(HOST, FROM, &announced("fd00::100")), None);
    }

    #[test]
    fn an_advertisement_without_an_address_is_the_senders() {
        let said = Some(("fd00::100".parse().unwrap(), Mac(FROM)));
        assert_eq!(advertisement(MULTICAST, FROM, &announced("fd00::100")[..64]), said);
    }

    #[test]
    fn an_advertisement_that_has_passed_a_router_says_nothing() {
        let mut far = announced("fd00::100");
        far[7] = 254;
        assert_eq!(advertisement(MULTICAST, FROM, &far), None);
    }

    #[test]
    fn a_filter_is_never_longer_than_the_kernel_takes() {
        let words: BTreeSet<u32> = (0..100_000).collect();
        assert_eq!(arp_filter(&words).len(), 5);
        assert_eq!(na_filter(&words).len(), 11);
        let few: BTreeSet<u32> = (0..256).collect();
        assert_eq!(arp_filter(&few).len(), 2 + 2 * few.len());
    }

    #[test]
    fn an_address_is_looked_for_on_its_interface_and_beneath() {
        let vip = |address: &str, dev: Option<&str>| Vip {
            dev: dev.map(str::to_owned),
            ..Vip::new(address.parse().unwrap(), 32)
        };
        let vmac = Vmac { name: "vrrp.51".to_owned(), base: "eth0".to_owned(), mac: THEIRS, group: 0 };
        let holding = Holding {
            interface: "eth0".to_owned(),
            vmac: Some(vmac),
            vips: vec![vip("10.0.0.100", None), vip("10.0.0.101", Some("eth1"))],
            ..Holding::default()
        };
        let found: Vec<_> =
            places(InstanceId(7), &holding).map(|((ip, name), _)| format!("{ip} {name}")).collect();
        assert_eq!(found, ["10.0.0.100 vrrp.51", "10.0.0.100 eth0", "10.0.0.101 eth1"]);
    }
}
