//! What the guardian does in place of a daemon that is dead: farewells, then the addresses go as soon as
//! another Master is heard, or after a short bound.
//!
//! All of it comes from the daemon's list; nothing is decided here, and nobody is elected.

use super::ward::{Packet, Word};
use crate::net::leftover;
use crate::net::namespace;
use crate::net::raw_socket::{self, RawSocket};
use crate::vrrp::{Family, PROTOCOL, Vrid};
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest packet that is looked at; what matters stands at its beginning.
const BUFFER: usize = 2048;
/// The type of an advert.
const ADVERT: u8 = 1;

/// Of one instance.
#[derive(Debug, Default)]
struct Part {
    vrid: u8,
    packets: Vec<Packet>,
    addresses: BTreeSet<IpAddr>,
    interfaces: Vec<String>,
    closes: bool,
    patience: Duration,
    linger: Duration,
}

/// Interface and family.
type Place = (String, Family);

#[derive(Debug, Default)]
pub(super) struct LastWill {
    parts: BTreeMap<u32, Part>,
    /// Where the daemon answers.
    control: PathBuf,
    /// Whether the guardian is to start it again.
    pub(super) restarts: bool,
    /// It ends by itself, with this code.
    pub(super) ends: Option<u8>,
}

impl LastWill {
    pub(super) fn note(&mut self, word: Word) {
        match word {
            Word::Anew { namespace, control, restarts } => {
                self.parts.clear();
                (self.control, self.restarts) = (control, restarts);
                // Where the daemon is, there is what it leaves behind.
                if let Some(Err(line)) = namespace.as_deref().map(namespace::enter) {
                    eprintln!("locum: guardian: no farewell can be said: {line}");
                }
            }
            Word::Holds { instance, addresses, interfaces, closes } => {
                let part = self.parts.entry(instance).or_default();
                (part.addresses, part.interfaces, part.closes) = (addresses, interfaces, closes);
            }
            Word::Farewell { instance, vrid, packets, patience, linger } => {
                let part = self.parts.entry(instance).or_default();
                (part.vrid, part.packets, part.patience, part.linger) = (vrid, packets, patience, linger);
            }
            Word::Releases { instance } => drop(self.parts.remove(&instance)),
            Word::Ends { code } => self.ends = Some(code),
        }
    }

    /// Says every farewell at once, and then takes as long as the list has patience.
    pub(super) fn carry_out(mut self) {
        let sockets = self.sockets();
        for packet in self.parts.values().flat_map(|part| &part.packets) {
            if let Err(error) = say(&sockets, packet) {
                eprintln!("locum: guardian: no farewell to {}: {error}", packet.destination);
            }
        }
        let began = Instant::now();
        let left = |part: &Part| part.patience.saturating_sub(began.elapsed());
        while !self.parts.is_empty() {
            let over = |part: &Part| left(part).is_zero() || part.packets.is_empty();
            let (gone, kept) = self.parts.into_iter().partition(|(_, part)| over(part));
            self.parts = kept;
            // A service manager may have been quicker: then all of this is the new daemon's.
            if UnixStream::connect(&self.control).is_ok() {
                return;
            }
            remove(&gone);
            if let Some(next) = self.parts.values().map(left).min() {
                let heard = listen(&sockets, next);
                let succeeded = |part: &Part| {
                    part.packets.first().is_some_and(|packet| heard.contains(&(place(packet), part.vrid)))
                };
                for part in self.parts.values_mut().filter(|part| succeeded(part)) {
                    // The successor's addresses come behind its advert.
                    part.patience = part.patience.min(began.elapsed() + part.linger);
                }
            }
        }
    }

    /// One for each place, which hears the virtual routers there.
    fn sockets(&self) -> BTreeMap<Place, RawSocket> {
        let mut wanted: BTreeMap<Place, BTreeSet<Vrid>> = BTreeMap::new();
        for part in self.parts.values() {
            for packet in &part.packets {
                wanted.entry(place(packet)).or_default().extend(Vrid::new(part.vrid));
            }
        }
        let open = |((interface, family), vrids): (Place, BTreeSet<Vrid>)| {
            let index = if_nametoindex(interface.as_str()).map_err(io::Error::from);
            let opened =
                index.and_then(|index| RawSocket::open(&interface, index, family, PROTOCOL, true, &vrids));
            let told = opened.inspect_err(|error| eprintln!("locum: guardian: {interface}: {error}"));
            Some(((interface, family), told.ok()?))
        };
        wanted.into_iter().filter_map(open).collect()
    }
}

fn place(packet: &Packet) -> Place {
    (packet.interface.clone(), Family::of(packet.destination))
}

fn say(sockets: &BTreeMap<Place, RawSocket>, packet: &Packet) -> io::Result<()> {
    let socket = sockets.get(&place(packet)).ok_or_else(|| io::Error::other("there is no socket"))?;
    let datagram = raw_socket::Outgoing {
        source: packet.source,
        destination: packet.destination,
        ttl: packet.ttl,
        protocol: packet.protocol,
        identification: packet.identification,
        payload: packet.payload.as_slice().into(),
    };
    match packet.mac {
        Some(mac) => socket.send_from(mac, &datagram),
        None => socket.send(&datagram),
    }
}

/// Waits for packets, at most so long. The places and virtual routers of which a Master was heard.
fn listen(sockets: &BTreeMap<Place, RawSocket>, longest: Duration) -> BTreeSet<(Place, u8)> {
    let mut watched: Vec<_> =
        sockets.values().map(|socket| PollFd::new(socket.fd(), PollFlags::POLLIN)).collect();
    let timeout = PollTimeout::try_from(longest + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
    let _ = poll(&mut watched, timeout);
    let mut heard = BTreeSet::new();
    let mut buffer = [0; BUFFER];
    for (place, socket) in sockets {
        while let Ok(Some(received)) = socket.receive(&mut buffer) {
            let master = master_of(place.1, received.packet);
            heard.extend(master.map(|vrid| (place.clone(), vrid)));
        }
    }
    heard
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

fn remove(parts: &BTreeMap<u32, Part>) {
    let of = |part: &Part| part.addresses.clone();
    let addresses: BTreeSet<IpAddr> = parts.values().flat_map(of).collect();
    let closing = parts.values().filter(|part| part.closes).flat_map(of).collect();
    let interfaces: Vec<&str> =
        parts.values().flat_map(|part| &part.interfaces).map(String::as_str).collect();
    if addresses.is_empty() && interfaces.is_empty() {
        return;
    }
    if let Err(error) = leftover::remove(&addresses, &interfaces, &closing) {
        eprintln!("locum: guardian: what the daemon had cannot be removed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_was_released_is_on_the_list_no_more() {
        let mut will = LastWill::default();
        let holds = |instance| {
            let (addresses, interfaces) = Default::default();
            Word::Holds { instance, addresses, interfaces, closes: true }
        };
        will.note(holds(1));
        will.note(holds(2));
        will.note(Word::Releases { instance: 1 });
        assert_eq!(will.parts.keys().copied().collect::<Vec<_>>(), [2]);
        will.note(Word::Anew { namespace: None, control: PathBuf::new(), restarts: true });
        assert!(will.parts.is_empty());
    }
}
