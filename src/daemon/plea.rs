//! What a guardian says to those who grant claims: a datagram to a voter, a post to a store. Without a runtime, and
//! nothing is allocated unless it fails.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How the answer begins of a store that has done it.
const DONE: [u8; 12] = *b"HTTP/1.1 200";

pub(super) fn plead(to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0))?.send_to(bytes, to).map(drop)
}

/// Waits for the answer's beginning: what nobody waits for may be left undone.
pub(super) fn post(to: SocketAddr, bytes: &[u8], within: Duration) -> io::Result<()> {
    if within.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut stream = TcpStream::connect_timeout(&to, within)?;
    stream.set_write_timeout(Some(within))?;
    stream.set_read_timeout(Some(within))?;
    stream.write_all(bytes)?;
    let mut answer = [0; DONE.len()];
    stream.read_exact(&mut answer)?;
    if answer == DONE { Ok(()) } else { Err(io::Error::other("it refuses")) }
}
