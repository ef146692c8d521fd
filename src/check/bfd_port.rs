//! The UDP port that all BFD sessions of this host listen on (RFC 5881 4, RFC 5883 5): opened for the first of
//! them, closed after the last. A packet goes to the session whose number it bears, or whose neighbour sent it.

use super::bfd_packet::Packet;
use super::target::plain;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::AbortHandle;

/// Single hop.
pub(super) const SINGLE: u16 = 3784;
/// Over several hops.
pub(super) const MULTIHOP: u16 = 4784;
/// Packets that wait for one session; more are as good as lost.
const WAITING: usize = 16;
/// Longer than any packet that is believed.
const BUFFER: usize = 256;

/// The ports that are open.
static PORTS: Mutex<BTreeMap<(bool, u16), Weak<Port>>> = Mutex::new(BTreeMap::new());

struct Port {
    seats: Arc<Mutex<BTreeMap<u32, Seat>>>,
    reader: AbortHandle,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Seat {
    neighbor: IpAddr,
    /// The least TTL that is believed.
    ttl: u8,
    to: Sender<Packet>,
}

/// A session's place at the port.
pub(super) struct Listener {
    port: Arc<Port>,
    number: u32,
    packets: Receiver<Packet>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        lock(&self.port.seats).remove(&self.number);
    }
}

impl Listener {
    /// Takes a place for packets of `neighbor` that came with at least this TTL.
    pub(super) fn open(neighbor: IpAddr, port: u16, number: u32, ttl: u8) -> Result<Self, String> {
        let port = shared(neighbor.is_ipv4(), port)
            .map_err(|error| format!("cannot listen for BFD on UDP port {port}: {}", plain(&error)))?;
        let (to, packets) = channel(WAITING);
        let mut seats = lock(&port.seats);
        if seats.values().any(|seat| seat.neighbor == neighbor) {
            return Err(format!("another check holds a BFD session with {neighbor} already: use that one"));
        }
        seats.insert(number, Seat { neighbor, ttl, to });
        drop(seats);
        Ok(Listener { port, number, packets })
    }

    /// The next packet for this session.
    pub(super) async fn hear(&mut self) -> Option<Packet> {
        self.packets.recv().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shared(v4: bool, number: u16) -> io::Result<Arc<Port>> {
    let mut ports = lock(&PORTS);
    if let Some(port) = ports.get(&(v4, number)).and_then(Weak::upgrade) {
        return Ok(port);
    }
    let socket = socket(v4, number)?;
    let seats = Arc::<Mutex<BTreeMap<u32, Seat>>>::default();
    let reader = tokio::spawn(read(socket, Arc::clone(&seats))).abort_handle();
    let port = Arc::new(Port { seats, reader });
    ports.insert((v4, number), Arc::downgrade(&port));
    Ok(port)
}

fn socket(v4: bool, number: u16) -> io::Result<UdpSocket> {
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    let any: IpAddr = if v4 {
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
        Ipv6Addr::UNSPECIFIED.into()
    };
    socket.bind(&SocketAddr::new(any, number).into())?;
    UdpSocket::from_std(socket.into())
}

async fn read(socket: UdpSocket, seats: Arc<Mutex<BTreeMap<u32, Seat>>>) {
    loop {
        if socket.readable().await.is_err() {
            return;
        }
        let received = socket.try_io(Interest::READABLE, || receive(&socket));
        let Ok((source, ttl, bytes)) = received else { continue };
        let Ok(packet) = Packet::from_wire(&bytes) else { continue };
        let seats = lock(&seats);
        let by_number = seats.get(&packet.yours).filter(|seat| seat.neighbor == source);
        let by_sender = || seats.values().find(|seat| packet.yours == 0 && seat.neighbor == source);
        if let Some(seat) = by_number.or_else(by_sender).filter(|seat| ttl >= seat.ttl) {
            // A session that does not read is one that is late, and hears the next.
            let _ = seat.to.try_send(packet);
        }
    }
}

fn receive(socket: &UdpSocket) -> io::Result<(IpAddr, u8, Vec<u8>)> {
    let mut buffer = [0; BUFFER];
    let mut control = nix::cmsg_space!(i32);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let got = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let address = got.address.and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    let ttl = got.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
            u8::try_from(hops).ok()
        }
        _ => None,
    });
    let length = got.bytes;
    let source = address.ok_or(io::ErrorKind::InvalidData)?;
    Ok((source, ttl.unwrap_or_default(), buffer.get(..length).unwrap_or_default().to_vec()))
}
