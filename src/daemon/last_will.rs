//! What the guardian does in place of a daemon that is dead: farewells, then the addresses go as soon as
//! another Master has announced them, or after a short bound. What was held by a grant of a majority or a store goes first, and
//! the grant is given back with it: nobody else is heard before.
//!
//! All of it comes from the daemon's list; nothing is decided here, and nobody is elected. The room for all of it is
//! taken once, at the start: afterwards nothing is allocated, unless something fails and is told.

use super::plea::{plead, post};
use super::word::{self, Farewell, HEAD, Holds, Means, Packet, Word};
use crate::net::ear::Ear;
use crate::net::leftover::Remover;
use crate::net::namespace;
use crate::net::raw_socket::{self, RawSocket};
use crate::vrrp::{Family, PROTOCOL, Vrid};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Room for the list, in bytes: 5,000 addresses in one router or in a thousand, to several peers each, take less
/// than half. Pages that were never needed are none.
const LIST: usize = 4 << 20;
/// How many interfaces farewells leave by, each family for itself.
const PLACES: usize = 2048;
/// The longest packet that is looked at; what matters stands at its beginning.
const BUFFER: usize = 2048;
/// How the MAC addresses of virtual routers begin (RFC 9568 section 7.3).
const VIRTUAL: [u8; 4] = [0, 0, 0x5e, 0];
/// The type of an advert.
const ADVERT: u8 = 1;
/// In the order of the ears.
const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
/// How long addresses stay once another Master is heard that announces none, in milliseconds: its advert leaves first,
/// and its kernel may be busy with other interfaces then, while nobody else has them. Longer, two would.
const UNHEARD: u32 = 500;
/// How many sockets are read before others are asked for.
const EVENTS: usize = 16;
/// How long giving claims back to a store may take, and how long one endpoint of it may: the farewells wait for it.
const STORE: Duration = Duration::from_millis(300);
const ENDPOINT: Duration = Duration::from_millis(100);
/// Before each word of the list stands its length.
const LENGTH: usize = 4;

/// The daemon's list, and the room to carry it out.
#[derive(Debug)]
pub struct LastWill {
    /// The words that count, one behind the other as they came.
    list: Vec<u8>,
    sockets: Vec<RawSocket>,
    /// Which hear whether the successor has the addresses, of either family.
    ears: [Option<Ear>; 2],
    remover: Remover,
    /// Whether the guardian is to start the daemon again.
    pub(super) restarts: bool,
    /// It ends by itself, with this code.
    pub(super) ends: Option<u8>,
    /// Somebody was told that the list is full.
    complained: bool,
}

impl Default for LastWill {
    fn default() -> Self {
        LastWill {
            list: Vec::with_capacity(LIST),
            sockets: Vec::with_capacity(PLACES),
            ears: [None, None],
            remover: Remover::default(),
            restarts: false,
            ends: None,
            complained: false,
        }
    }
}

impl LastWill {
    /// Takes a word of the daemon's. One that makes no sense is a daemon of another version: it is left out.
    pub fn note(&mut self, bytes: &[u8]) {
        let Some((_, word)) = word::read(bytes) else { return };
        match word {
            Word::Anew { namespace, restarts, .. } => {
                self.list.clear();
                self.restarts = restarts;
                self.put(bytes);
                // Where the daemon is, there is what it leaves behind.
                if let Some(Err(line)) = namespace.map(namespace::enter) {
                    eprintln!("locum: guardian: no farewell can be said: {line}");
                }
            }
            Word::Holds(_) | Word::Farewell(_) => self.put(bytes),
            Word::Releases => drop_words(&mut self.list, |word| word.get(1..HEAD) == bytes.get(1..HEAD)),
            Word::Ends(code) => self.ends = Some(code),
        }
    }

    /// In the place of what was said last of the same.
    fn put(&mut self, word: &[u8]) {
        let old = spans(&self.list).find(|span| self.list[span.clone()].get(..HEAD) == word.get(..HEAD));
        if let Some(place) =
            old.filter(|span| span.len() == word.len()).and_then(|span| self.list.get_mut(span))
        {
            return place.copy_from_slice(word);
        }
        drop_words(&mut self.list, |old| old.get(..HEAD) == word.get(..HEAD));
        let Some(length) =
            u32::try_from(word.len()).ok().filter(|_| self.list.len() + LENGTH + word.len() <= LIST)
        else {
            if !std::mem::replace(&mut self.complained, true) {
                eprintln!("locum: guardian: the list is full: not everything will be cleaned up");
            }
            return;
        };
        self.list.extend_from_slice(&length.to_ne_bytes());
        self.list.extend_from_slice(word);
    }

    /// Says every farewell at once, and then takes as long as the list has patience. The list is empty then.
    pub fn carry_out(&mut self) {
        let epoll = self.open();
        self.give_back();
        for packet in farewells(&self.list).flat_map(|(_, farewell)| farewell.packets()) {
            if let Err(error) = say(&mut self.sockets, &packet) {
                eprintln!("locum: guardian: no farewell to {}: {error}", packet.destination);
            }
        }
        drop_words(
            &mut self.list,
            |bytes| matches!(word::read(bytes), Some((_, Word::Farewell(said))) if gives_back(&said)),
        );
        let began = Instant::now();
        let elapsed = || u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        while words(&self.list).any(|(_, word)| matches!(word, Word::Holds(_) | Word::Farewell(_))) {
            if self.is_anothers() {
                break;
            }
            self.give_up(elapsed());
            let patience = farewells(&self.list).map(|(_, farewell)| farewell.patience).min();
            let Some(patience) = patience else { break };
            self.listen(epoll.as_ref(), patience.saturating_sub(elapsed()), elapsed);
        }
        self.list.clear();
        self.sockets.clear();
        self.ears = [None, None];
        (self.restarts, self.ends) = (false, None);
    }

    /// A service manager may have been quicker: then all of this is the new daemon's.
    fn is_anothers(&self) -> bool {
        control(&self.list).is_some_and(|control| UnixStream::connect(control).is_ok())
    }

    /// Removes what was held by a majority's grant, and gives that back: in this order, or two would have it.
    fn give_back(&mut self) {
        if !farewells(&self.list).any(|(_, said)| gives_back(&said)) || self.is_anothers() {
            return;
        }
        if !self.remove(|list, instance| farewell_of(list, instance).is_some_and(|said| gives_back(&said))) {
            return eprintln!("locum: guardian: the claim stays until it ends by itself");
        }
        let (end, mut answered) = (Instant::now() + STORE, false);
        for (means, to, bytes) in farewells(&self.list).flat_map(|(_, said)| said.pleas()) {
            let told = match means {
                Means::Datagram => plead(to, bytes),
                Means::PostElse if answered => continue,
                Means::Post | Means::PostElse => {
                    let told = post(to, bytes, end.saturating_duration_since(Instant::now()).min(ENDPOINT));
                    answered = told.is_ok();
                    told
                }
            };
            if let Err(error) = told {
                eprintln!("locum: guardian: {to} is not told that the claim is free: {error}");
            }
        }
    }

    /// Removes what nobody has patience with any more.
    fn give_up(&mut self, elapsed: u32) {
        self.remove(|list, instance| is_over(list, instance, elapsed));
        drop_words(&mut self.list, |bytes| match word::read(bytes) {
            Some((_, Word::Farewell(farewell))) => has_run_out(&farewell, elapsed),
            _ => false,
        });
    }

    /// Removes what these instances have. Whether none of it is left.
    fn remove(&mut self, goes: impl Fn(&[u8], u32) -> bool) -> bool {
        let mut at = 0;
        while let Some(span) = span_at(&self.list, at) {
            at = span.end;
            if let Some((instance, Word::Holds(_))) = word::read(&self.list[span.clone()])
                && goes(&self.list, instance)
            {
                word::let_go(&mut self.list[span]);
            }
        }
        let list = &self.list;
        let held = |(_, word)| if let Word::Holds(held) = word { Some(held) } else { None };
        let gone = || words(list).filter_map(held).filter(|held| held.gone);
        let mut is_rid = true;
        if gone().any(|held| !held.is_empty()) {
            let ours = |address| gone().any(|held| held.has(address));
            let closing = |address| gone().any(|held| held.closes && held.has(address));
            is_rid = match self.remover.remove(ours, closing, gone().flat_map(Holds::interfaces)) {
                Ok(rid) => rid,
                Err(error) => {
                    eprintln!("locum: guardian: what the daemon had cannot be removed: {error}");
                    false
                }
            };
        }
        drop_words(
            &mut self.list,
            |bytes| matches!(word::read(bytes), Some((_, Word::Holds(held))) if held.gone),
        );
        is_rid
    }

    /// Opens a socket for each place, which hears the virtual routers there, and what tells which one has heard.
    fn open(&mut self) -> Option<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        let epoll =
            epoll.inspect_err(|error| eprintln!("locum: guardian: no Master will be heard: {error}")).ok();
        for packet in farewells(&self.list).flat_map(|(_, farewell)| farewell.packets()) {
            if self.sockets.iter().any(|socket| stands_at(socket, &packet)) || self.sockets.len() == PLACES {
                continue;
            }
            let mut here = [false; 256];
            for (_, farewell) in farewells(&self.list) {
                if farewell.packets().any(|other| place(&other) == place(&packet)) {
                    here[usize::from(farewell.vrid)] = true;
                }
            }
            let vrids = (0..=u8::MAX).filter(|vrid| here[usize::from(*vrid)]).filter_map(Vrid::new);
            let (interface, family) = place(&packet);
            let groups = farewells(&self.list)
                .flat_map(|(_, farewell)| farewell.packets())
                .filter(|other| place(other) == place(&packet) && other.destination.is_multicast())
                .map(|other| other.destination);
            let index = if_nametoindex(interface).map_err(io::Error::from);
            let opened =
                index.and_then(|index| RawSocket::open(interface, index, family, PROTOCOL, groups, vrids));
            match opened {
                Ok(socket) => {
                    let number = u64::try_from(self.sockets.len()).unwrap_or(u64::MAX);
                    let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
                    // Without, it says its farewell and does not hear.
                    let _ = epoll.as_ref().map(|epoll| epoll.add(socket.fd(), event));
                    self.sockets.push(socket);
                }
                Err(error) => eprintln!("locum: guardian: {interface}: {error}"),
            }
        }
        for (place, family) in FAMILIES.into_iter().enumerate() {
            if !self.sockets.iter().any(|socket| socket.family() == family) {
                continue;
            }
            match Ear::open(family) {
                Ok(ear) => {
                    let number = u64::try_from(PLACES + place).unwrap_or(u64::MAX);
                    let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
                    let _ = epoll.as_ref().map(|epoll| epoll.add(ear.fd(), event));
                    self.ears[place] = Some(ear);
                }
                Err(error) => eprintln!("locum: guardian: no announcement will be heard: {error}"),
            }
        }
        epoll
    }

    /// Waits for packets, at most so many milliseconds. Where a Master is heard, little patience is left; where it
    /// announces an address, next to none: it has it.
    fn listen(&mut self, epoll: Option<&Epoll>, longest: u32, elapsed: impl Fn() -> u32) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let timeout = EpollTimeout::try_from(longest).unwrap_or(EpollTimeout::MAX);
        let Some(heard) = epoll.and_then(|epoll| epoll.wait(&mut events, timeout).ok()) else {
            return sleep(Duration::from_millis(longest.into()));
        };
        let mut buffer = [0; BUFFER];
        for event in events.iter().take(heard) {
            let number = usize::try_from(event.data()).unwrap_or(usize::MAX);
            let ear = number.checked_sub(PLACES).and_then(|place| self.ears.get(place)?.as_ref());
            if let Some(ear) = ear {
                ear.hear(|address| is_there(&mut self.list, address, elapsed()));
                continue;
            }
            let Some(socket) = self.sockets.get(number) else { continue };
            while let Ok(length) = recv(socket.fd().as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                let master = master_of(socket.family(), buffer.get(..length).unwrap_or_default());
                if let Some(vrid) = master {
                    succeed(&mut self.list, (socket.interface(), socket.family()), vrid, elapsed());
                }
            }
        }
    }
}

/// The word that has its length at this place, without it.
fn span_at(list: &[u8], at: usize) -> Option<Range<usize>> {
    let length = u32::from_ne_bytes(*list.get(at..)?.first_chunk::<LENGTH>()?);
    let start = at + LENGTH;
    Some(start..start + usize::try_from(length).ok()?).filter(|span| span.end <= list.len())
}

fn spans(list: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || span_at(list, at).inspect(|span| at = span.end))
}

fn words(list: &[u8]) -> impl Iterator<Item = (u32, Word<'_>)> {
    spans(list).filter_map(|span| word::read(&list[span]))
}

fn farewells(list: &[u8]) -> impl Iterator<Item = (u32, Farewell<'_>)> {
    let farewell = |(instance, word)| {
        if let Word::Farewell(farewell) = word { Some((instance, farewell)) } else { None }
    };
    words(list).filter_map(farewell)
}

/// Where the daemon answers.
fn control(list: &[u8]) -> Option<&Path> {
    words(list).find_map(|(_, word)| if let Word::Anew { control, .. } = word { Some(control) } else { None })
}

fn drop_words(list: &mut Vec<u8>, goes: impl Fn(&[u8]) -> bool) {
    let mut at = 0;
    while let Some(span) = span_at(list, at) {
        if goes(&list[span.clone()]) {
            list.drain(at..span.end);
        } else {
            at = span.end;
        }
    }
}

/// Whether nobody waits for a successor of this instance any more.
fn is_over(list: &[u8], instance: u32, elapsed: u32) -> bool {
    farewell_of(list, instance).is_none_or(|farewell| has_run_out(&farewell, elapsed))
}

fn farewell_of(list: &[u8], instance: u32) -> Option<Farewell<'_>> {
    let said = spans(list).find(|span| word::is_farewell_of(&list[span.clone()], instance))?;
    if let (_, Word::Farewell(farewell)) = word::read(&list[said])? { Some(farewell) } else { None }
}

/// Whether its addresses were held by a grant.
fn gives_back(farewell: &Farewell<'_>) -> bool {
    farewell.pleas().next().is_some()
}

fn has_run_out(farewell: &Farewell<'_>, elapsed: u32) -> bool {
    farewell.patience <= elapsed || farewell.packets().next().is_none()
}

/// A Master was heard there.
fn succeed(list: &mut [u8], there: Place<'_>, vrid: u8, elapsed: u32) {
    let mut at = 0;
    while let Some(span) = span_at(list, at) {
        at = span.end;
        let Some((_, Word::Farewell(farewell))) = word::read(&list[span.clone()]) else { continue };
        let same = farewell.packets().next().is_some_and(|packet| place(&packet) == there);
        if same && farewell.vrid == vrid {
            let patience = farewell.patience.min(elapsed.saturating_add(UNHEARD + farewell.linger));
            word::shorten(&mut list[span], patience);
        }
    }
}

/// Somebody else has this address.
fn is_there(list: &mut [u8], address: IpAddr, elapsed: u32) {
    let held = words(list).find_map(|(instance, word)| {
        matches!(word, Word::Holds(held) if held.has(address)).then_some(instance)
    });
    let Some(instance) = held else { return };
    let said = spans(list).find(|span| word::is_farewell_of(&list[span.clone()], instance));
    if let (Some(span), Some(farewell)) = (said, farewell_of(list, instance)) {
        let patience = farewell.patience.min(elapsed.saturating_add(farewell.linger));
        word::shorten(&mut list[span], patience);
    }
}

/// Interface and family.
type Place<'a> = (&'a str, Family);

fn place<'a>(packet: &Packet<'a>) -> Place<'a> {
    (packet.interface, Family::of(packet.destination))
}

fn stands_at(socket: &RawSocket, packet: &Packet<'_>) -> bool {
    (socket.interface(), socket.family()) == place(packet)
}

fn say(sockets: &mut [RawSocket], packet: &Packet<'_>) -> io::Result<()> {
    let socket = sockets.iter_mut().find(|socket| stands_at(socket, packet)).ok_or(Errno::ENODEV)?;
    let datagram = raw_socket::Outgoing {
        source: packet.source,
        destination: packet.destination,
        ttl: packet.ttl,
        protocol: packet.protocol,
        identification: packet.identification,
        payload: packet.payload.into(),
    };
    match packet.mac {
        Some(mac) if mac.starts_with(&VIRTUAL) => socket.send_from(mac, &datagram),
        // The kernel writes the interface's own by itself. For another the C library lists all addresses.
        _ => socket.send(&datagram),
    }
}

/// The virtual router that the sender of this advert is Master of. Whether it may be is not asked: the
/// addresses go within the bound anyway.
fn master_of(family: Family, packet: &[u8]) -> Option<u8> {
    let header = match family {
        Family::Ipv4 => usize::from(packet.first()? & 0x0f) * 4,
        Family::Ipv6 => 0,
    };
    let advert = packet.get(header..)?;
    let (kind, vrid, priority) = (advert.first()? & 0x0f, *advert.get(1)?, *advert.get(2)?);
    (kind == ADVERT && priority > 0).then_some(vrid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::iter::empty;
    use std::net::Ipv4Addr;

    #[test]
    fn a_master_is_heard_by_its_advert_and_not_by_its_farewell() {
        let mut packet = vec![0x45; 20];
        packet.extend([0x31, 51, 100, 1]);
        assert_eq!(master_of(Family::Ipv4, &packet), Some(51));
        packet[22] = 0;
        assert_eq!(master_of(Family::Ipv4, &packet), None);
        assert_eq!(master_of(Family::Ipv6, &[0x31, 7, 255]), Some(7));
        assert_eq!(master_of(Family::Ipv4, &[0x4f, 0]), None);
    }

    fn holds(instance: u32, hosts: u8) -> Vec<u8> {
        let addresses: BTreeSet<IpAddr> = (0..hosts).map(|host| IpAddr::from([10, 0, 0, host])).collect();
        word::holds(instance, &addresses, empty(), true)
    }

    /// Each instance with the number of its addresses among the first ten.
    fn listed(will: &LastWill) -> Vec<(u32, usize)> {
        let count =
            |held: Holds<'_>| (0..10).filter(|host| held.has(IpAddr::from([10, 0, 0, *host]))).count();
        let held = words(&will.list).filter_map(|(instance, word)| match word {
            Word::Holds(held) => Some((instance, count(held))),
            _ => None,
        });
        held.collect()
    }

    #[test]
    fn what_was_released_is_on_the_list_no_more() {
        let mut will = LastWill::default();
        will.note(&holds(1, 1));
        will.note(&holds(2, 1));
        will.note(&word::releases(1));
        assert_eq!(listed(&will), [(2, 1)]);
        will.note(&word::anew(None, Path::new("/nowhere"), true));
        assert_eq!(listed(&will), []);
    }

    #[test]
    fn what_is_said_last_of_an_instance_counts_whether_it_is_longer_or_not() {
        let mut will = LastWill::default();
        for (hosts, expected) in [(3, [(1, 3), (2, 2)]), (3, [(1, 3), (2, 2)]), (5, [(2, 2), (1, 5)])] {
            will.note(&holds(1, hosts));
            will.note(&holds(2, 2));
            assert_eq!(listed(&will), expected);
        }
    }

    #[test]
    fn a_list_that_is_full_takes_no_more_and_does_not_grow() {
        let mut will = LastWill::default();
        let many: BTreeSet<IpAddr> = (0..10_000_u32).map(|host| Ipv4Addr::from(host).into()).collect();
        for instance in 0..40 {
            will.note(&word::holds(instance, &many, empty(), true));
        }
        assert!(will.list.len() <= LIST && will.complained);
        assert_eq!(will.list.capacity(), LIST);
        will.note(&word::releases(0));
        will.note(&holds(99, 1));
        assert_eq!(listed(&will).last(), Some(&(99, 1)));
    }
}
