//! The UDP socket of the vote: bytes in, bytes out. What they say is `claim`.

use crate::claim::VoterId;
use crate::claim::datagram::LONGEST;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// Where a node votes.
#[derive(Debug)]
pub struct VoteSocket(UdpSocket);

impl VoteSocket {
    /// Opens it at an address that this host may get later only: votes arrive once it has it.
    ///
    /// # Errors
    /// Those of the kernel, naming the address: another program votes there, or the port is privileged.
    pub fn open(own: VoterId) -> io::Result<VoteSocket> {
        let address = SocketAddr::new(own.address, own.port);
        let opened = || {
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            match address {
                SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
                SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
            }
            socket.bind(&address.into())?;
            Ok(VoteSocket(socket.into()))
        };
        opened().map_err(|error: io::Error| {
            io::Error::new(error.kind(), format!("cannot vote at {address}: {error}"))
        })
    }

    /// Whether receiving waits: at first it does.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn set_waiting(&self, waits: bool) -> io::Result<()> {
        self.0.set_nonblocking(!waits)
    }

    /// The next datagram; `None` where there is none, or it is longer than any of the vote.
    ///
    /// # Errors
    /// Those of the kernel. A voter that is not there makes none.
    pub fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = [0; LONGEST + 1];
        match self.0.recv_from(&mut buffer) {
            Ok((length, _)) if length <= LONGEST => Ok(buffer.get(..length).map(<[u8]>::to_vec)),
            Ok(_) => Ok(Some(Vec::new())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one datagram. What does not arrive is asked for again.
    pub fn send(&self, to: VoterId, bytes: &[u8]) {
        let _ = self.0.send_to(bytes, SocketAddr::new(to.address, to.port));
    }

    /// To poll for input.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
