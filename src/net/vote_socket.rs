//! The UDP sockets of the vote: bytes in, bytes out. What they say is `claim`.
//!
//! With a second path everything leaves by both, and what comes by both comes once.

use crate::claim::VoterId;
use crate::claim::datagram::LONGEST;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// So many datagrams ago is long enough for the same one to have come by the other path.
const REMEMBERED: usize = 64;

/// Another way to the other voters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondPath {
    /// This host's own address there.
    pub own: SocketAddr,
    /// Where the others are there, by who they are.
    pub others: BTreeMap<VoterId, SocketAddr>,
}

/// Where a node votes.
#[derive(Debug)]
pub struct VoteSocket {
    first: UdpSocket,
    second: Option<(UdpSocket, BTreeMap<VoterId, SocketAddr>)>,
    /// What came last, where it may come twice.
    seen: VecDeque<Vec<u8>>,
}

impl VoteSocket {
    /// Opens it at addresses that this host may get later only: votes arrive once it has them.
    ///
    /// # Errors
    /// Those of the kernel, naming the address: another program votes there, or the port is privileged.
    pub fn open(own: VoterId, second: Option<&SecondPath>) -> io::Result<VoteSocket> {
        let first = bound(SocketAddr::new(own.address, own.port))?;
        let second = second.map(|path| Ok::<_, io::Error>((bound(path.own)?, path.others.clone())));
        Ok(VoteSocket { first, second: second.transpose()?, seen: VecDeque::new() })
    }

    /// Waits until there is something to receive.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn wait(&self) -> io::Result<()> {
        let mut watched: Vec<_> = self.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next datagram, empty where it is longer than any of the vote; `None` where there is none.
    ///
    /// # Errors
    /// Those of the kernel. A voter that is not there makes none.
    pub fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((second, _)) = &self.second else { return read(&self.first) };
        loop {
            let came = read(&self.first)?;
            let Some(bytes) = came.map_or_else(|| read(second), |came| Ok(Some(came)))? else {
                return Ok(None);
            };
            if self.seen.contains(&bytes) {
                continue;
            }
            self.seen.truncate(REMEMBERED - 1);
            self.seen.push_front(bytes.clone());
            return Ok(Some(bytes));
        }
    }

    /// Sends one datagram. What does not arrive is asked for again.
    pub fn send(&self, to: VoterId, bytes: &[u8]) {
        let _ = self.first.send_to(bytes, SocketAddr::new(to.address, to.port));
        if let Some((second, others)) = &self.second
            && let Some(there) = others.get(&to)
        {
            let _ = second.send_to(bytes, *there);
        }
    }

    /// To poll for input: either.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.first].into_iter().chain(self.second.as_ref().map(|(socket, _)| socket)).map(AsFd::as_fd)
    }
}

fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let opened = || {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        match address {
            SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
            SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    opened().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("cannot vote at {address}: {error}"))
    })
}

fn read(socket: &UdpSocket) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = [0; LONGEST + 1];
    match socket.recv_from(&mut buffer) {
        Ok((length, _)) if length <= LONGEST => Ok(buffer.get(..length).map(<[u8]>::to_vec)),
        Ok(_) => Ok(Some(Vec::new())),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn at(last: u8) -> SocketAddr {
        // A port that nobody else has taken by now.
        let free = UdpSocket::bind((Ipv4Addr::new(127, 0, 7, last), 0)).unwrap();
        free.local_addr().unwrap()
    }

    fn id(address: SocketAddr) -> VoterId {
        VoterId { address: address.ip(), port: address.port() }
    }

    fn all(socket: &mut VoteSocket) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| socket.receive().unwrap()).collect()
    }

    #[test]
    fn what_comes_by_both_paths_comes_once_and_one_of_them_is_enough() {
        let [a, a2, b, b2] = [1, 2, 3, 4].map(at);
        let path = |own, other: SocketAddr, there| SecondPath { own, others: [(id(other), there)].into() };
        let one = VoteSocket::open(id(a), Some(&path(a2, b, b2))).unwrap();
        let mut other = VoteSocket::open(id(b), Some(&path(b2, a, a2))).unwrap();
        one.send(id(b), b"x");
        one.send(id(b), b"y");
        other.wait().unwrap();
        let mut came = all(&mut other);
        came.sort();
        assert_eq!(came, [b"x", b"y"]);
        drop(other);
        // Only the second path is left.
        let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
        let mut alone = VoteSocket::open(id(b2), None).unwrap();
        let lost = VoteSocket { second: Some((bound(at(5)).unwrap(), [(id(nobody), b2)].into())), ..one };
        lost.send(id(nobody), b"z");
        alone.wait().unwrap();
        assert_eq!(all(&mut alone), [b"z"]);
    }
}
