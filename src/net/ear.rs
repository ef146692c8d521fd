//! Hears who announces addresses, as `lookout` does, for one who has no runtime and allocates nothing: the guardian.
//!
//! Whose the addresses are and what follows is not decided here.

use super::lookout::{ACCEPT, HOLDERS, LONGEST, REFUSE, advertisement, arp, jump, load};
use crate::vrrp::Family;
use nix::libc::{ETH_P_ARP, ETH_P_IPV6};
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Frames that are read at a time.
const MOST: usize = 64;

/// On every interface of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Ear {
    socket: Socket,
    family: Family,
}

impl Ear {
    /// Hears from now on.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn open(family: Family) -> io::Result<Ear> {
        let protocol = if family == Family::Ipv4 { ETH_P_ARP } else { ETH_P_IPV6 };
        let protocol = Protocol::from(i32::from(u16::try_from(protocol).unwrap_or_default().to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), Some(protocol))?;
        if family == Family::Ipv6 {
            let [(header_at, header), (kind_at, kind)] = HOLDERS;
            // Of all that comes advertisements alone.
            socket.attach_filter(&[
                load(0x30, header_at),
                jump(0x15, u32::from(header), 1, 0),
                REFUSE,
                load(0x30, kind_at),
                jump(0x15, u32::from(kind), 1, 0),
                REFUSE,
                ACCEPT,
            ])?;
        }
        Ok(Ear { socket, family })
    }

    /// Readable when something was heard.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Tells which addresses somebody else says that he has. Never waits.
    pub fn hear(&self, mut announced: impl FnMut(IpAddr)) {
        let mut bytes = [0; LONGEST];
        for _ in 0..MOST {
            let Ok((length, from)) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut bytes) else {
                return;
            };
            let read = if self.family == Family::Ipv4 { arp } else { advertisement };
            let said = from.and_then(|from| read(from.pkttype(), from.addr()?, bytes.get(..length)?));
            if let Some((address, _)) = said {
                announced(address);
            }
        }
    }
}
