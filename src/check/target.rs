//! Where a network probe goes: resolving a host, trying its addresses, binding the source.

use super::{Attempt, Schedule};
pub(super) use crate::stream::{plain, said};
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fmt;
use std::io;
use std::net::{self, IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long one address may be silent before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// An IP address (IPv6 without brackets) or a name; a name is resolved for every attempt.
    pub host: String,
    /// The port; without meaning for a ping.
    pub port: u16,
}

impl Target {
    /// The target `host`:`port`.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Target { host: host.to_owned(), port }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The addresses of `target` that can be reached from the configured source.
pub(super) async fn resolve(target: &Target, attempt: &Attempt<'_>) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = (target.host.clone(), target.port);
    let mut addresses = if let Ok(ip) = host.parse::<IpAddr>() {
        vec![SocketAddr::new(ip, port)]
    } else {
        let name = host.clone();
        attempt.awaits("the name server");
        // The blocking resolver in the check's own lane, not `lookup_host`: a stuck resolver must
        // not gather one thread per attempt.
        let found = attempt.lane.run(move || {
            let addresses = (host.as_str(), port).to_socket_addrs();
            addresses.map(Iterator::collect::<Vec<_>>).map_err(|error| error.to_string())
        });
        found.await.map_err(|error| format!("cannot resolve {name}: {error}"))?
    };
    if let Some(source) = attempt.schedule.source {
        addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
    }
    if addresses.is_empty() {
        return Err(match attempt.schedule.source {
            Some(source) => format!("{} has no address of the family of the source {source}", target.host),
            None => format!("{} has no address", target.host),
        });
    }
    Ok(addresses)
}

/// Tries `addresses` in their order and takes the first success. The next is started when the one
/// before has failed, or beside it when it stays silent; all end when one succeeds.
pub(super) async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    start: impl Fn(SocketAddr) -> F,
) -> Result<T, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    // Without a task and a timer, which cost more than most answers.
    if let [only] = addresses[..] {
        return start(only).await;
    }
    let mut waiting = addresses.into_iter();
    let mut running = JoinSet::new();
    let mut failure = String::from("no address");
    loop {
        if let Some(address) = waiting.next() {
            running.spawn(start(address));
        }
        let next = Instant::now() + STAGGER;
        tokio::select! {
            biased;
            Some(ended) = running.join_next() => match ended {
                Ok(Ok(won)) => return Ok(won),
                Ok(Err(text)) => failure = text,
                Err(broken) => failure = broken.to_string(),
            },
            () = sleep_until(next), if waiting.len() > 0 => {}
            else => return Err(failure),
        }
    }
}

/// A TCP connection to `target`, from the configured source.
pub(super) async fn connect(target: &Target, attempt: &Attempt<'_>) -> Result<TcpStream, String> {
    attend(reach(target, attempt).await?)
}

/// The same, for whom it is enough that there is one.
pub(super) async fn reach(target: &Target, attempt: &Attempt<'_>) -> Result<net::TcpStream, String> {
    let addresses = resolve(target, attempt).await?;
    attempt.awaits("the connection");
    let schedule = attempt.schedule.clone();
    race(addresses, move |address| reach_one(address, schedule.clone())).await
}

/// A TCP connection to one address.
pub(super) async fn connect_one(address: SocketAddr, schedule: Schedule) -> Result<TcpStream, String> {
    attend(reach_one(address, schedule).await?)
}

/// The runtime watches it only where the answer is not there at once, as that of this host is.
async fn reach_one(address: SocketAddr, schedule: Schedule) -> Result<net::TcpStream, String> {
    let socket = socket(address, Type::STREAM, Protocol::TCP, &schedule)?;
    let failed = |error: io::Error| said(&error, &address.to_string());
    let ask = || socket.connect(&address.into());
    // Asked again, the kernel says what has become of it.
    let result = ask().or_else(|error| if is(&error, Errno::EINPROGRESS) { ask() } else { Err(error) });
    let mut stream = net::TcpStream::from(socket);
    match result {
        Err(error) if is(&error, Errno::EALREADY) => stream = answered(stream).await.map_err(failed)?,
        result => result.map_err(failed)?,
    }
    // A closed port of this host can be given to our own end, which then meets itself.
    if stream.local_addr().map_err(failed)? == address {
        return Err(failed(io::ErrorKind::ConnectionRefused.into()));
    }
    Ok(stream)
}

/// Waits for the answer to a connection that is under way.
async fn answered(stream: net::TcpStream) -> io::Result<net::TcpStream> {
    let stream = TcpStream::from_std(stream)?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => stream.into_std(),
    }
}

fn attend(stream: net::TcpStream) -> Result<TcpStream, String> {
    TcpStream::from_std(stream).map_err(|error| plain(&error))
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

/// A non-blocking socket to reach `address`, bound as configured.
pub(super) fn socket(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    schedule: &Schedule,
) -> Result<Socket, String> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))
        .map_err(|error| format!("cannot open a socket: {}", plain(&error)))?;
    if let Some(device) = &schedule.device {
        socket
            .bind_device(Some(device.as_bytes()))
            .map_err(|error| format!("cannot use interface {device}: {}", plain(&error)))?;
    }
    if let Some(source) = schedule.source {
        socket
            .bind(&SockAddr::from(SocketAddr::new(source, 0)))
            .map_err(|error| format!("cannot use source address {source}: {}", plain(&error)))?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn raced(addresses: Vec<SocketAddr>) -> Result<SocketAddr, String> {
        let won = race(addresses, |address| connect_one(address, Schedule::default())).await?;
        won.peer_addr().map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let (closed, refusing) = listener().await;
        drop(closed);
        let (_open, listening) = listener().await;
        assert_eq!(raced(vec![refusing, listening]).await, Ok(listening));
        let text = raced(vec![refusing, refusing]).await.unwrap_err();
        assert_eq!(text, format!("connection refused by {refusing}"));
        assert_eq!(raced(vec![]).await.unwrap_err(), "no address");
    }

    #[tokio::test]
    async fn the_next_address_is_tried_beside_one_that_stays_silent() {
        // A listener whose queue is full does not answer.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let _taken = TcpStream::connect(silent).await.unwrap();
        let (_open, listening) = listener().await;
        // The kernel itself gives up on the silent one after minutes, which is no help.
        let race = tokio::time::timeout(Duration::from_secs(30), raced(vec![silent, listening]));
        assert_eq!(race.await, Ok(Ok(listening)));
    }

    #[test]
    fn an_ipv6_target_is_shown_in_brackets() {
        assert_eq!(Target::new("::1", 80).to_string(), "[::1]:80");
        assert_eq!(Target::new("a.example", 80).to_string(), "a.example:80");
    }
}
