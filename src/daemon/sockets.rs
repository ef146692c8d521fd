//! Keeps the sockets open that the agent wants: opens, closes, tries again.
//!
//! Nothing is opened for a virtual router that another daemon on this host is for.

use super::alone::Claims;
use super::bell::Bell;
use crate::agent::{Came, Datagram, Input, Lateness, Listen, Outgoing};
use crate::claim::VoterId;
use crate::net::announce;
use crate::net::raw_socket::{self, RawSocket};
use crate::net::vote_socket::{SecondPath, VoteSocket};
use crate::time::Time;
use crate::vrrp::{Family, PROTOCOL};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error};

/// The pause before a socket that could not be opened is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The largest IP packet.
const BUFFER: usize = 65_536;

/// The number of whoever wakes the core besides the sockets.
const CALLER: u64 = 0;
/// That of the vote.
const VOTE: u64 = 1;
/// Ballots taken before packets and timers get their turn.
const BALLOTS: usize = 64;

/// Who had something when the last sleep ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rung {
    pub caller: bool,
    pub ballots: bool,
    pub packets: bool,
}

pub(super) struct Sockets {
    bell: Bell,
    vote: Option<VoteSocket>,
    /// The last number given to a socket.
    last: u64,
    /// A few: one finds its own faster by looking at each.
    open: Vec<Open>,
    claims: Claims,
    wanted: BTreeSet<Listen>,
    /// What is told to the agent, which does not tell protocols apart.
    failed: BTreeMap<(String, Family), String>,
    retry_at: Option<Time>,
    buffer: Vec<u8>,
    /// How late adverts left.
    pub(super) lateness: Lateness,
}

struct Open {
    /// Never used twice.
    number: u64,
    socket: RawSocket,
    listen: Listen,
    /// Its name, as every datagram carries it.
    interface: Arc<str>,
}

impl Open {
    fn is(&self, interface: &str, family: Family, protocol: u8) -> bool {
        let listen = &self.listen;
        listen.family == family && listen.protocol == protocol && listen.interface == interface
    }

    fn serves(&self, listen: &Listen) -> bool {
        self.is(&listen.interface, listen.family, listen.protocol)
    }
}

impl Sockets {
    /// None, and `caller` who wakes the core while it can be read.
    pub(super) fn new(caller: impl AsFd) -> io::Result<Self> {
        let bell = Bell::new()?;
        bell.watch(caller, CALLER)?;
        Ok(Sockets {
            bell,
            vote: None,
            last: VOTE,
            open: Vec::new(),
            claims: Claims::default(),
            wanted: BTreeSet::new(),
            failed: BTreeMap::new(),
            retry_at: None,
            buffer: vec![0; BUFFER],
            lateness: Lateness::default(),
        })
    }

    /// These and no others. Returns what the agent must know.
    pub(super) fn want(&mut self, now: Time, wanted: BTreeSet<Listen>) -> Vec<Input> {
        self.wanted = wanted;
        self.open.retain(|open| self.wanted.iter().any(|l| open.serves(l) && same_socket(l, &open.listen)));
        let wanted = |index, family| self.wanted.iter().any(|l| l.index == index && l.family == family);
        self.claims.retain(wanted);
        self.failed.retain(|key, _| self.wanted.iter().any(|l| place_of(l) == *key));
        self.attempt(now)
    }

    /// Opens what is wanted and not open yet. Tells the agent only what is news.
    pub(super) fn attempt(&mut self, now: Time) -> Vec<Input> {
        let mut results: BTreeMap<(String, Family), Result<(), String>> = BTreeMap::new();
        for listen in self.wanted.clone() {
            let opened = self.ensure(&listen).map_err(|error| error.to_string());
            let result = results.entry(place_of(&listen)).or_insert(Ok(()));
            *result = std::mem::replace(result, Ok(())).and(opened);
        }
        let mut news = Vec::new();
        for (place, result) in results {
            let before = match &result {
                Ok(()) => self.failed.remove(&place),
                Err(line) => self.failed.insert(place.clone(), line.clone()),
            };
            if before != result.clone().err() {
                news.push(Input::Socket { interface: place.0, family: place.1, result });
            }
        }
        self.retry_at = (!self.failed.is_empty()).then(|| now + RETRY);
        news
    }

    pub(super) fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    fn ensure(&mut self, listen: &Listen) -> io::Result<()> {
        let place = (listen.index, listen.family);
        let there = self.wanted.iter().filter(|l| (l.index, l.family) == place);
        let vrids = there.flat_map(|l| &l.vrids).copied().collect();
        self.claims.claim(&listen.interface, place, &vrids)?;
        if let Some(open) = self.open.iter_mut().find(|open| open.serves(listen)) {
            if open.listen.vrids != listen.vrids {
                open.socket.set_vrids(&listen.vrids)?;
                open.listen = listen.clone();
            }
            return Ok(());
        }
        let Listen { interface, index, family, protocol, groups, vrids } = listen;
        let socket = RawSocket::open(interface, *index, *family, *protocol, groups, vrids)?;
        // Before there are addresses by the thousand, and not when the first advert is due.
        announce::learn(*index);
        self.last += 1;
        self.bell.watch(socket.fd(), self.last)?;
        let interface = interface.as_str().into();
        self.open.push(Open { number: self.last, socket, listen: listen.clone(), interface });
        Ok(())
    }

    /// Sleeps until a socket or the caller has something, or `longest` is over.
    pub(super) fn sleep(&mut self, longest: Option<Duration>) -> Rung {
        self.bell.sleep(longest);
        let mut rung = Rung::default();
        for number in self.bell.rung() {
            match number {
                CALLER => rung.caller = true,
                VOTE => rung.ballots = true,
                _ => rung.packets = true,
            }
        }
        rung
    }

    /// Hears votes at this address from now on, and by the second path, where there is one.
    pub(super) fn vote_at(&mut self, own: VoterId, second: Option<&SecondPath>) {
        // Its own port may be in its own way.
        self.vote = None;
        let opened = || {
            let socket = VoteSocket::open(own, second)?;
            socket.fds().try_for_each(|fd| self.bell.watch(fd, VOTE))?;
            io::Result::Ok(socket)
        };
        match opened() {
            Ok(socket) => self.vote = Some(socket),
            Err(error) => {
                error!(target: "locum::claim", "{error}: routers under a quorum cannot take their addresses");
            }
        }
    }

    /// The ballots that have arrived.
    pub(super) fn ballots(&mut self) -> Vec<Vec<u8>> {
        let Some(socket) = &mut self.vote else { return Vec::new() };
        std::iter::from_fn(|| socket.receive().ok().flatten()).take(BALLOTS).collect()
    }

    pub(super) fn cast(&self, to: VoterId, bytes: &[u8]) {
        if let Some(socket) = &self.vote {
            socket.send(to, bytes);
        }
    }

    /// What had arrived when the last sleep ended, at most `most` from each socket; without those at the
    /// beginning of which `done` says that they were dealt with.
    pub(super) fn drain(&mut self, most: usize, mut done: impl FnMut(&Came<'_>) -> bool) -> Vec<Datagram> {
        let mut datagrams = Vec::new();
        for open in self.bell.rung().filter_map(|number| self.open.iter().find(|open| open.number == number))
        {
            for _ in 0..most {
                // An error here is the interface going away, which the links report as well.
                let Ok(Some(received)) = open.socket.receive(&mut self.buffer) else { break };
                let came = came(&open.interface, received);
                debug!(target: "locum::vrrp", interface = %came.interface, source = %came.source,
                    destination = %came.destination, bytes = came.packet.len(), "heard an advert");
                if !(datagrams.is_empty() && done(&came)) {
                    datagrams.push(came.kept());
                }
            }
        }
        datagrams
    }

    /// Closes all, at the end. What takes long goes on aside, and meanwhile the rest is done.
    pub(super) fn close(&mut self) {
        self.open.clear();
    }

    /// Has ready what a first advert needs.
    pub(super) fn prepare(&mut self) {
        self.open.iter_mut().for_each(|open| open.socket.prepare());
    }

    /// Sends one advert. What the agent must know of it.
    pub(super) fn send(&mut self, outgoing: &Outgoing) -> Option<Input> {
        let sent = self.emit(outgoing);
        debug!(target: "locum::vrrp", interface = %outgoing.interface, destination = %outgoing.destination,
            bytes = outgoing.payload.as_slice().len(), "sent an advert");
        let (instance, error) = (outgoing.instance, sent.err()?.to_string());
        Some(Input::SendFailed { instance, error })
    }

    fn emit(&mut self, outgoing: &Outgoing) -> io::Result<()> {
        // One sends for all protocols, and VRRP's own is always there.
        let (interface, family) = (&*outgoing.interface, Family::of(outgoing.destination));
        let open = self
            .open
            .iter_mut()
            .find(|open| open.is(interface, family, PROTOCOL))
            .ok_or_else(|| io::Error::other(format!("no {family} socket is open on {interface}")))?;
        let datagram = raw_socket::Outgoing {
            source: outgoing.source,
            destination: outgoing.destination,
            ttl: outgoing.ttl,
            protocol: outgoing.protocol,
            identification: outgoing.identification,
            payload: outgoing.payload.as_slice().into(),
        };
        match outgoing.mac {
            Some(mac) => open.socket.send_from(mac, &datagram),
            None => open.socket.send(&datagram),
        }
    }
}

fn place_of(listen: &Listen) -> (String, Family) {
    (listen.interface.clone(), listen.family)
}

/// Whether one socket serves both, but for the virtual routers, which a filter changes.
fn same_socket(a: &Listen, b: &Listen) -> bool {
    a.index == b.index && a.groups == b.groups
}

fn came<'a>(interface: &'a Arc<str>, received: raw_socket::Received<'a>) -> Came<'a> {
    Came {
        interface,
        source: received.source,
        destination: received.destination,
        ttl: received.ttl,
        packet: received.packet,
    }
}
