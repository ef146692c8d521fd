//! Answers datagrams from the very address that was asked, be it one of many on this host.

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use socket2::{Domain, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::thread;

/// Longer questions are cut: an answer has to fit into one frame.
const LONGEST: usize = 256;

/// The address that was asked, as the kernel hands it over and wants it back.
enum Asked {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

/// Serves both families until the process is ended.
pub fn serve(name: &str, port: u16) -> io::Result<()> {
    let v4 = socket(Domain::IPV4, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))?;
    setsockopt(&v4, Ipv4PacketInfo, &true)?;
    thread::scope(|threads| {
        threads.spawn(|| answer_all(&v4, name));
        // A host without IPv6 is served by IPv4 alone.
        if let Ok(v6) = socket(Domain::IPV6, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
            && setsockopt(&v6, Ipv6RecvPacketInfo, &true).is_ok()
        {
            answer_all(&v6, name);
        }
    });
    Ok(())
}

fn socket(domain: Domain, bind: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    let within = |error: io::Error| io::Error::new(error.kind(), format!("cannot bind {bind}: {error}"));
    socket.bind(&bind.into()).map_err(within)?;
    Ok(socket)
}

fn answer_all(socket: &Socket, name: &str) {
    loop {
        // What fails here concerns one datagram: an address that has just left, a route that is gone.
        let _ = answer_one(socket, name);
    }
}

fn answer_one(socket: &Socket, name: &str) -> Result<(), Errno> {
    let mut bytes = [0; LONGEST];
    let (length, from, asked) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let mut space = cmsg_space!(in6_pktinfo);
        let flags = MsgFlags::empty();
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let asked = message.cmsgs()?.find_map(|info| match info {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(Asked::V4(in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: info.ipi_addr,
                ipi_addr: info.ipi_addr,
            })),
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(Asked::V6(info)),
            _ => None,
        });
        (message.bytes, message.address, asked)
    };
    let parts = [IoSlice::new(bytes.get(..length).unwrap_or_default()), IoSlice::new(name.as_bytes())];
    let asked = match &asked {
        Some(Asked::V4(info)) => &[ControlMessage::Ipv4PacketInfo(info)],
        Some(Asked::V6(info)) => &[ControlMessage::Ipv6PacketInfo(info)],
        None => return Err(Errno::EADDRNOTAVAIL),
    };
    sendmsg(socket.as_raw_fd(), &parts, asked, MsgFlags::empty(), from.as_ref())?;
    Ok(())
}
