//! The least that this machine takes for what a daemon has to have done: its kernel's time alone. Each is
//! one loop around system calls, beside which `scripts/bench` shows what the daemons take for the same.

use crate::changes::{self, Kind, Leases};
use crate::flood::{GROUP, advert, socket};
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::socket::{LinkAddr, MsgFlags, MultiHeaders, SockaddrIn, bind, sendmmsg};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::pause;
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So many leave with one call.
const BATCH: usize = 64;
/// And so many at most (`UIO_MAXIOV`).
const MOST: usize = 1024;
/// The protocol (`ETH_P_ARP`), Ethernet and IPv4 with the lengths of their addresses, and "request".
const ARP_REQUEST: [u8; 10] = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
const BUFFER: usize = 64 << 20;
/// Longer than all take that are sent to who receives.
const ALL_THERE: Duration = Duration::from_millis(500);
/// That of an address, in seconds.
const LEASE: u32 = 2;
/// `ETH_P_ALL`.
const ANY: u16 = 3;

/// What to do.
#[derive(clap::Subcommand)]
pub enum Floor {
    /// Add addresses to an interface
    Add {
        kind: Kind,
        #[arg(long)]
        interface: String,
        #[arg(long)]
        count: u32,
        /// Set the interface up afterwards
        #[arg(long)]
        raise: bool,
    },
    /// Announce as many addresses of IPv4, all with one frame each
    Announce {
        #[arg(long)]
        interface: String,
        #[arg(long)]
        count: u32,
    },
    /// Delete an interface
    Delete {
        #[arg(long)]
        interface: String,
    },
    /// Send adverts
    Send {
        #[arg(long)]
        from: Ipv4Addr,
        #[arg(long)]
        count: u32,
    },
    /// Receive adverts; says "ready"
    Receive {
        #[arg(long)]
        at: Ipv4Addr,
        #[arg(long)]
        count: u32,
    },
    /// Start a program that does nothing
    Spawn {
        program: String,
        #[arg(long)]
        count: u32,
    },
    /// Connect, and close
    Connect {
        to: SocketAddr,
        #[arg(long)]
        count: u32,
        /// So many milliseconds from one to the next
        #[arg(long, default_value_t = 0)]
        every: u64,
    },
    /// Send adverts and begin the leases of as many addresses anew, as a Master does, again and again
    Live {
        #[arg(long)]
        interface: String,
        #[arg(long)]
        from: Ipv4Addr,
        #[arg(long)]
        count: u32,
        #[arg(long, default_value_t = 1)]
        routers: u32,
        /// So many milliseconds from one time to the next
        #[arg(long, default_value_t = 1000)]
        every: u64,
    },
    /// Sleep, and then send an advert and add an address, as a new Master does
    Take {
        #[arg(long)]
        interface: String,
        #[arg(long)]
        from: Ipv4Addr,
    },
    /// Have two packet sockets until a signal ends the process; says "ready"
    Hold,
}

/// What each of many costs.
#[derive(Debug, Serialize)]
struct Cost {
    /// CPU in microseconds, that of ended children included.
    each_us: f64,
}

/// When a sleep had to end, in seconds since 1970.
#[derive(Debug, Serialize)]
struct Due {
    at: f64,
}

/// Does it, and reports in JSON.
pub fn floor(what: Floor) -> io::Result<serde_json::Value> {
    let done = match what {
        Floor::Add { kind, interface, count, raise } => {
            serde_json::to_value(changes::add(kind, &interface, count, raise)?)
        }
        Floor::Announce { interface, count } => serde_json::to_value(announce(&interface, count)?),
        Floor::Delete { interface } => serde_json::to_value(changes::delete(&interface)?),
        Floor::Send { from, count } => serde_json::to_value(send(from, count)?),
        Floor::Receive { at, count } => serde_json::to_value(receive(at, count)?),
        Floor::Spawn { program, count } => {
            serde_json::to_value(cost(count, || Command::new(&program).status().map(drop))?)
        }
        Floor::Connect { to, count, every } => {
            let every = Duration::from_millis(every);
            serde_json::to_value(paced(count, every, || TcpStream::connect(to).map(drop))?)
        }
        Floor::Live { interface, from, count, routers, every } => {
            let (leases, every) =
                (Leases::prepare(&interface, routers, LEASE)?, Duration::from_millis(every));
            serde_json::to_value(live(&leases, from, routers, count, every)?)
        }
        Floor::Take { interface, from } => serde_json::to_value(take(&interface, from)?),
        Floor::Hold => return hold(),
    };
    Ok(done?)
}

fn cost(count: u32, mut each: impl FnMut() -> io::Result<()>) -> io::Result<Cost> {
    let before = used()?;
    for _ in 0..count {
        each()?;
    }
    per_one(before, count)
}

/// The same after a sleep each, which leaves caches cold and wakes a processor.
fn paced(count: u32, every: Duration, mut each: impl FnMut() -> io::Result<()>) -> io::Result<Cost> {
    let mut due = Instant::now();
    cost(count, || {
        due += every;
        sleep(due.saturating_duration_since(Instant::now()));
        each()
    })
}

fn per_one(before: Duration, count: u32) -> io::Result<Cost> {
    let spent = used()?.saturating_sub(before);
    Ok(Cost { each_us: spent.as_secs_f64() * 1e6 / f64::from(count.max(1)) })
}

/// CPU so far.
fn used() -> io::Result<Duration> {
    let of = |time: TimeVal| Duration::from_micros(time.num_microseconds().unsigned_abs());
    let sum = |usage: Usage| of(usage.user_time()) + of(usage.system_time());
    Ok(sum(getrusage(UsageWho::RUSAGE_SELF)?) + sum(getrusage(UsageWho::RUSAGE_CHILDREN)?))
}

/// Gratuitous ARP (RFC 5227 section 3), from the interface's own Ethernet address. The other end of the cable
/// handles each before the next leaves.
fn announce(interface: &str, count: u32) -> io::Result<changes::Report> {
    let link = |entry: InterfaceAddress| entry.address?.as_link_addr().copied();
    let at = getifaddrs()?.filter(|entry| entry.interface_name == interface).find_map(link);
    let at = at.ok_or(io::ErrorKind::NotFound)?;
    let mac = at.addr().unwrap_or_default();
    let frames = (0..count).map(|number| {
        let address = changes::ipv4(number).octets();
        [&[0xff; 6], &mac, &ARP_REQUEST[..], &mac, &address, &mac, &address].concat()
    });
    let frames: Vec<Vec<u8>> = frames.collect();
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    bind(socket.as_raw_fd(), &at)?;
    let began = Instant::now();
    for some in frames.chunks(MOST) {
        let slices: Vec<_> = some.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let mut headers = MultiHeaders::preallocate(some.len(), None);
        let nowhere: Vec<Option<LinkAddr>> = vec![None; some.len()];
        let sent = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, nowhere, [], MsgFlags::empty())?;
        if sent.count() < some.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(changes::Report { took_ms: began.elapsed().as_secs_f64() * 1e3 })
}

fn send(from: Ipv4Addr, count: u32) -> io::Result<Cost> {
    let mut adverts = Adverts::prepare(from)?;
    let before = used()?;
    adverts.send(count)?;
    per_one(before, count)
}

/// The same advert, again and again.
struct Adverts {
    socket: Socket,
    packet: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
}

impl Adverts {
    fn prepare(from: Ipv4Addr) -> io::Result<Self> {
        let (socket, packet) = (socket(from)?, advert(1, from));
        Ok(Adverts { socket, packet, headers: MultiHeaders::preallocate(BATCH, None) })
    }

    fn send(&mut self, count: u32) -> io::Result<()> {
        let to = Some(SockaddrIn::from(SocketAddrV4::new(GROUP, 0)));
        let mut left = usize::try_from(count).unwrap_or_default();
        while left > 0 {
            let slices = vec![[IoSlice::new(&self.packet)]; left.min(BATCH)];
            let to = vec![to; slices.len()];
            let fd = self.socket.as_raw_fd();
            left -= sendmmsg(fd, &mut self.headers, &slices, &to, [], MsgFlags::empty())?.count();
        }
        Ok(())
    }
}

/// With all of them waiting: whoever is woken for each takes more.
fn receive(at: Ipv4Addr, count: u32) -> io::Result<Cost> {
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(crate::flood::VRRP)))?;
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &BUFFER)?;
    socket.join_multicast_v4(&GROUP, &at)?;
    ready()?;
    let mut packet = [0; 128];
    socket.read_exact(&mut packet[..1])?;
    sleep(ALL_THERE);
    socket.set_nonblocking(true)?;
    cost(count.saturating_sub(1), || socket.read(&mut packet).map(drop))
}

/// What a Master does for that many routers.
fn live(leases: &Leases, from: Ipv4Addr, routers: u32, count: u32, every: Duration) -> io::Result<Cost> {
    let mut adverts = Adverts::prepare(from)?;
    leases.begin()?;
    paced(count, every, || {
        adverts.send(routers)?;
        leases.begin()
    })
}

fn take(interface: &str, from: Ipv4Addr) -> io::Result<Due> {
    let (mut adverts, lease) = (Adverts::prepare(from)?, Leases::prepare(interface, 1, LEASE)?);
    let (now, due) = (SystemTime::now(), Instant::now() + ALL_THERE);
    sleep(due.saturating_duration_since(Instant::now()));
    adverts.send(1)?;
    lease.begin()?;
    let since = now.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    Ok(Due { at: (since + ALL_THERE).as_secs_f64() })
}

fn hold() -> io::Result<serde_json::Value> {
    let packets = || Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ANY.to_be()))));
    let _held = (packets()?, packets()?);
    ready()?;
    loop {
        pause();
    }
}

fn ready() -> io::Result<()> {
    println!("ready");
    io::stdout().flush()
}
