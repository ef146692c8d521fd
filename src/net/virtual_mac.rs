//! Datagrams as whole Ethernet frames that come from the virtual router's MAC address.
//!
//! RFC 9568 section 7.2 wants it so: from the Master's adverts the switches learn, and keep knowing,
//! behind which port that address is. Through the interface that has the address an advert could not go
//! before the interface is there, nor from a source address that is on the base.

use super::announce::ethernet;
use super::raw_socket::{Outgoing, TRAFFIC_CLASS, ipv4_header};
use nix::errno::Errno;
use pnet::packet::ethernet::EtherTypes;
use pnet::packet::ip::IpNextHeaderProtocol;
use pnet::packet::ipv4::{MutableIpv4Packet, checksum};
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::util::MacAddr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IPV6_HEADER: usize = 40;

/// The frame for a datagram to a group; for any other `EADDRNOTAVAIL`.
pub(super) fn frame(mac: [u8; 6], datagram: &Outgoing) -> io::Result<Vec<u8>> {
    let mac = MacAddr::from(mac);
    match (datagram.source, datagram.destination) {
        (IpAddr::V4(source), IpAddr::V4(group)) if group.is_multicast() => {
            let mut header = ipv4_header(source, group, datagram)?;
            if let Some(mut ip) = MutableIpv4Packet::new(&mut header) {
                ip.set_checksum(checksum(&ip.to_immutable()));
            }
            let packet = [&header[..], &datagram.payload].concat();
            Ok(ethernet(mac, group_mac_v4(group), EtherTypes::Ipv4, &packet))
        }
        (IpAddr::V6(source), IpAddr::V6(group)) if group.is_multicast() => {
            let packet = ipv6_packet(source, group, datagram)?;
            Ok(ethernet(mac, group_mac_v6(group), EtherTypes::Ipv6, &packet))
        }
        _ => Err(Errno::EADDRNOTAVAIL.into()),
    }
}

/// RFC 1112 section 6.4: the last 23 bits.
fn group_mac_v4(group: Ipv4Addr) -> MacAddr {
    let [_, b, c, d] = group.octets();
    MacAddr(0x01, 0x00, 0x5e, b & 0x7f, c, d)
}

/// RFC 2464 section 7: the last 32 bits.
fn group_mac_v6(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr(0x33, 0x33, a, b, c, d)
}

fn ipv6_packet(source: Ipv6Addr, group: Ipv6Addr, datagram: &Outgoing) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; IPV6_HEADER + datagram.payload.len()];
    let too_long = || io::Error::from(Errno::EMSGSIZE);
    let mut ip = MutableIpv6Packet::new(&mut packet).ok_or_else(too_long)?;
    ip.set_version(6);
    ip.set_traffic_class(TRAFFIC_CLASS);
    ip.set_payload_length(u16::try_from(datagram.payload.len()).map_err(|_| too_long())?);
    ip.set_next_header(IpNextHeaderProtocol(datagram.protocol));
    ip.set_hop_limit(datagram.ttl);
    ip.set_source(source);
    ip.set_destination(group);
    ip.set_payload(&datagram.payload);
    Ok(packet)
}
