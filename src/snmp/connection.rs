//! One connection to a master agent, with an open session on it: what is sent, and what is still awaited.
//! When to send what is in `session`.

use super::Master;
use super::oid::Oid;
use super::pdu::{Body, Order, Pdu};
use super::reader::Messages;
use crate::stream::Stream;
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long the master agent may take to be connected to, to read what is written, and to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// After so much silence the master agent is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(15);

async fn connect(master: &Master) -> io::Result<Box<dyn Stream>> {
    Ok(match master {
        Master::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Master::Tcp(host, port) => Box::new(TcpStream::connect((host.as_str(), *port)).await?),
    })
}

/// What an answer is awaited for.
pub(super) enum Awaited {
    Registered(Oid),
    Alive(Instant),
}

/// A connection with an open session.
pub(super) struct Link {
    pub(super) messages: Messages<ReadHalf<Box<dyn Stream>>>,
    pub(super) to: WriteHalf<Box<dyn Stream>>,
    session: u32,
    packet: u32,
    pub(super) awaited: BTreeMap<u32, Awaited>,
    pub(super) heard: Instant,
    pub(super) registered: usize,
    pub(super) refused: Vec<String>,
}

impl Link {
    pub(super) async fn send(&mut self, pdu: &Pdu) -> io::Result<()> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it does not read");
        timeout(PATIENCE, self.to.write_all(&pdu.encode())).await.map_err(|_| late())?
    }

    /// Sends something of our own; `awaited` is what the answer is for, where it matters.
    pub(super) async fn ask(&mut self, body: Body, awaited: Option<Awaited>) -> io::Result<u32> {
        self.packet = self.packet.wrapping_add(1);
        let (session, packet) = (self.session, self.packet);
        self.awaited.extend(awaited.map(|awaited| (packet, awaited)));
        let (order, transaction, context) = (Order::Network, packet, None);
        self.send(&Pdu { order, session, transaction, packet, context, body }).await?;
        Ok(packet)
    }

    /// Connects and opens a session.
    pub(super) async fn open(master: &Master) -> io::Result<Link> {
        let (from, to) = split(connect(master).await?);
        let mut link = Link {
            messages: Messages::new(from),
            to,
            session: 0,
            packet: 0,
            awaited: BTreeMap::new(),
            heard: Instant::now(),
            registered: 0,
            refused: Vec::new(),
        };
        let body = Body::Open { timeout: 0, id: Oid::default(), description: b"locum".to_vec() };
        let asked = link.ask(body, None).await?;
        let answered = link.messages.next().await?;
        match answered.body {
            Body::Response { error: 0, .. } if answered.packet == asked => link.session = answered.session,
            Body::Response { error, .. } => return Err(refused(error)),
            _ => return Err(io::Error::other("it speaks out of turn")),
        }
        Ok(link)
    }

    /// When to look after the connection next.
    pub(super) fn due(&self) -> Instant {
        let asked = self.awaited.values().find_map(|awaited| match awaited {
            Awaited::Alive(since) => Some(*since + PATIENCE),
            Awaited::Registered(_) => None,
        });
        asked.unwrap_or(self.heard + SILENCE)
    }
}

fn refused(error: u16) -> io::Error {
    io::Error::other(format!("it refuses the session with error {error}"))
}
