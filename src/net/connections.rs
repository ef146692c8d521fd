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
const REQUEST_LENGTH: usize = HEADER + 56;
/// How many are ended before the kernel is asked again.
const AT_ONCE: usize = 1024;
/// How often it is asked at most.
const ROUNDS: usize = 1000;

/// Ends every connection whose own end is one of `addresses`, in the network namespace of the calling
/// thread. Returns how many.
///
/// # Errors
/// Those of the kernel: it knows no `sock_diag`, or `CAP_NET_ADMIN` is missing.
pub(super) fn close(addresses: &BTreeSet<IpAddr>) -> io::Result<usize> {
    Closer::default().close(|address| addresses.contains(&address))
}

/// All the room that it takes: nothing more is allocated.
#[derive(Debug)]
pub(super) struct Closer {
    buffer: Vec<u8>,
    found: Vec<(i32, [u8; 48])>,
}

impl Default for Closer {
    fn default() -> Self {
        Closer { buffer: vec![0; DATAGRAM], found: Vec::with_capacity(AT_ONCE) }
    }
}

impl Closer {
    /// The same for the addresses that `go`.
    pub(super) fn close(&mut self, go: impl Fn(IpAddr) -> bool) -> io::Result<usize> {
        let mut closed = 0;
        for _ in 0..ROUNDS {
            // A new one each time: nobody reads what the last one may have been refused.
            let socket = Socket::new(NETLINK_SOCK_DIAG)?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
            socket.connect(&SocketAddr::new(0, 0))?;
            self.found.clear();
            // A socket for both families has an IPv4 address in IPv6's clothes.
            for family in [AF_INET, AF_INET6] {
                self.list(&socket, family, &go)?;
            }
            for (family, id) in &self.found {
                // The answer comes at once, and only where it failed: then the socket has just gone by itself.
                let request = request(DESTROY, REQUEST, *family, u32::MAX, id);
                closed += usize::from(socket.send(&request, 0).is_ok());
            }
            if self.found.len() < AT_ONCE {
                break;
            }
        }
        Ok(closed)
    }

    /// Finds some connections of those, to as many as there is room for.
    fn list(&mut self, socket: &Socket, family: i32, go: impl Fn(IpAddr) -> bool) -> io::Result<()> {
        socket.send(&request(BY_FAMILY, REQUEST | DUMP, family, STATES, &[0; 48]), 0)?;
        loop {
            let length = socket.recv(&mut self.buffer.as_mut_slice(), 0)?;
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            while let Some((kind, body, next)) = message(rest) {
                match kind {
                    DONE => return Ok(()),
                    ERROR => return Err(refused(body)),
                    _ => {
                        let found = connection(body).filter(|(.., local)| go(*local));
                        let room = self.found.len() < AT_ONCE;
                        self.found.extend(found.filter(|_| room).map(|(family, id, _)| (family, id)));
                    }
                }
                rest = next;
            }
        }
    }
}

/// A request: `inet_diag_req_v2` behind a netlink header.
fn request(kind: u16, flags: u16, family: i32, states: u32, id: &[u8; 48]) -> [u8; REQUEST_LENGTH] {
    let mut bytes = [0; REQUEST_LENGTH];
    let head = 72_u32.to_ne_bytes().into_iter().chain(kind.to_ne_bytes()).chain(flags.to_ne_bytes());
    let family = [u8::try_from(family).unwrap_or(0), u8::try_from(IPPROTO_TCP).unwrap_or(0), 0, 0];
    let body = [0; 8].into_iter().chain(family).chain(states.to_ne_bytes()).chain(*id);
    bytes.iter_mut().zip(head.chain(body)).for_each(|(to, from)| *to = from);
    bytes
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
