//! Ends the TCP connections of addresses that are about to go (`sock_diag(7)`, `SOCK_DESTROY`).
//!
//! While its address is there, the other end is told by a reset and connects anew, to the next holder. Once
//! the address has gone nobody is told: an idle WebSocket waits for hours. No policy here.

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use nix::libc::{AF_INET, AF_INET6, IPPROTO_TCP};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

// linux/netlink.h and linux/sock_diag.h.
const REQUEST: u16 = 0x01;
const DUMP: u16 = 0x300;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const HEADER: usize = 16;
/// Of an `inet_diag_msg` the part that names the socket (`inet_diag_sockid`), and its local address there.
const ID: std::ops::Range<usize> = 4..52;
const SOURCE: std::ops::Range<usize> = 8..24;
/// Every state but TIME-WAIT, CLOSE and LISTEN: who waits for connections may wait on.
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;
/// The kernel answers at once, or something is wrong with it.
const PATIENCE: TimeVal = TimeVal::new(0, 100_000);
const DATAGRAM: usize = 64 << 10;

/// Ends every connection whose own end is one of `addresses`, in the network namespace of the calling
/// thread. Returns how many.
///
/// # Errors
/// Those of the kernel: it knows no `sock_diag`, or `CAP_NET_ADMIN` is missing.
pub(super) fn close(addresses: &BTreeSet<IpAddr>) -> io::Result<usize> {
    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut found = Vec::new();
    // A socket for both families has an IPv4 address in IPv6's clothes.
    for family in [AF_INET, AF_INET6] {
        socket.send(&request(BY_FAMILY, REQUEST | DUMP, family, STATES, &[0; 48]), 0)?;
        list(&socket, |family, id, local| {
            if addresses.contains(&local) {
                found.push((family, id));
            }
        })?;
    }
    let mut closed = 0;
    for (family, id) in found {
        // The answer comes at once, and only where it failed: then the socket has just gone by itself.
        closed += usize::from(socket.send(&request(DESTROY, REQUEST, family, u32::MAX, &id), 0).is_ok());
    }
    Ok(closed)
}

/// A request: `inet_diag_req_v2` behind a netlink header.
fn request(kind: u16, flags: u16, family: i32, states: u32, id: &[u8; 48]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(family).unwrap_or(0), u8::try_from(IPPROTO_TCP).unwrap_or(0), 0, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(id);
    bytes
}

/// Reads the answer to a dump to its end.
fn list(socket: &Socket, mut see: impl FnMut(i32, [u8; 48], IpAddr)) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = &buffer[..];
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(refused(body)),
                _ => {
                    if let Some((family, id, local)) = connection(body) {
                        see(family, id, local);
                    }
                }
            }
            rest = next;
        }
    }
}

/// The first message: its kind, what is in it, and what follows.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, bytes.get(HEADER..length)?, next))
}

fn refused(body: &[u8]) -> io::Error {
    let number = body.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number));
    io::Error::from_raw_os_error(number.saturating_neg())
}

/// Family, name and own address of a socket.
fn connection(body: &[u8]) -> Option<(i32, [u8; 48], IpAddr)> {
    let family = i32::from(*body.first()?);
    let source: [u8; 16] = body.get(SOURCE)?.try_into().ok()?;
    let local = match family {
        AF_INET => IpAddr::from(*source.first_chunk::<4>()?),
        _ => Ipv6Addr::from(source).to_canonical(),
    };
    Some((family, body.get(ID)?.try_into().ok()?, local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_names_no_socket() {
        let mut body = vec![0; 72];
        body[0] = 2;
        body[8..12].copy_from_slice(&[10, 0, 0, 1]);
        assert_eq!(connection(&body).map(|(.., local)| local), Some([10, 0, 0, 1].into()));
        for length in 0..52 {
            assert_eq!(connection(&body[..length]), None, "{length} bytes");
        }
        for length in 0..HEADER {
            assert_eq!(message(&vec![1; length]), None, "{length} bytes");
        }
        assert_eq!(message(&[0; 32]), None, "a length of nothing");
    }

    #[test]
    fn an_ipv4_address_of_a_socket_for_both_families_is_an_ipv4_address() {
        let mut body = vec![0; 72];
        body[0] = 10;
        body[18..20].copy_from_slice(&[0xff, 0xff]);
        body[20..24].copy_from_slice(&[10, 0, 0, 1]);
        assert_eq!(connection(&body).map(|(.., local)| local), Some([10, 0, 0, 1].into()));
    }
}
