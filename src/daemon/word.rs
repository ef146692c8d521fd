//! What the daemon tells its guardian, in bytes that are kept as they come and read where they lie: the guardian
//! allocates nothing for them. The daemon writes them; both are of one version mostly, and a word that makes no
//! sense to its reader is left out.
//!
//! A word is its kind (1 byte), its instance (4), and what belongs to the kind; numbers are big-endian.

use crate::agent::Will;
use crate::claim::VoterId;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// The longest word in bytes: what a socket takes at once by default, and a little less.
pub const LONGEST: usize = 192 << 10;

const ANEW: u8 = 1;
const HOLDS: u8 = 2;
const FAREWELL: u8 = 3;
const RELEASES: u8 = 4;
const ENDS: u8 = 5;
/// Never said: what the guardian makes of what an instance had, once nobody waits for it any more.
const GONE: u8 = 6;

/// Kind and instance.
pub(super) const HEAD: usize = 5;
/// An address: 4 or 6, and its bytes, with zeros behind those of IPv4. In this order they are sorted.
const ADDRESS: usize = 17;
/// Behind the VRID.
const PATIENCE_AT: usize = HEAD + 1;

/// The list begins anew, of a daemon in this network namespace, where it is not the guardian's own, that answers at
/// this socket, and who is to start it again.
#[must_use]
pub fn anew(namespace: Option<&str>, control: &Path, restarts: bool) -> Vec<u8> {
    let mut word = begin(ANEW, 0);
    word.push(u8::from(restarts));
    text(&mut word, namespace.unwrap_or_default());
    word.extend(control.as_os_str().as_bytes());
    word
}

/// This instance has these addresses and these interfaces of our own making; and whether the connections of the
/// addresses end with them.
#[must_use]
pub fn holds<'a>(
    instance: u32,
    addresses: &BTreeSet<IpAddr>,
    interfaces: impl Iterator<Item = &'a str>,
    closes: bool,
) -> Vec<u8> {
    let mut word = begin(HOLDS, instance);
    word.push(u8::from(closes));
    word.extend(u32::try_from(addresses.len()).unwrap_or(u32::MAX).to_be_bytes());
    word.extend(addresses.iter().flat_map(|address| written(*address)));
    interfaces.for_each(|interface| text(&mut word, interface));
    word
}

/// This is its farewell now. `paths`: where voters are besides. `posts`: what gives its claim back to a store, for each
/// claim to all of its endpoints.
#[must_use]
pub fn farewell(
    instance: u32,
    will: &Will,
    paths: &BTreeMap<VoterId, SocketAddr>,
    posts: &[Vec<(SocketAddr, Vec<u8>)>],
) -> Vec<u8> {
    let mut word = begin(FAREWELL, instance);
    word.push(will.vrid.get());
    for span in [will.patience, will.linger] {
        word.extend(millis(span).to_be_bytes());
    }
    let ways = |to: &VoterId| [Some(SocketAddr::new(to.address, to.port)), paths.get(to).copied()];
    let said = will
        .pleas
        .iter()
        .flat_map(|(to, bytes)| ways(to).into_iter().flatten().map(move |to| (Means::Datagram, to, bytes)));
    let posted = posts.iter().flat_map(|posts| {
        let means = iter::once(Means::Post).chain(iter::repeat(Means::PostElse));
        means.zip(posts).map(|(means, (to, bytes))| (means, *to, bytes))
    });
    let pleas: Vec<_> = said.chain(posted).take(usize::from(u16::MAX)).collect();
    word.extend(u16::try_from(pleas.len()).unwrap_or(u16::MAX).to_be_bytes());
    for (means, to, bytes) in pleas {
        word.push(means as u8);
        word.extend(written(to.ip()));
        word.extend(to.port().to_be_bytes());
        payload(&mut word, bytes);
    }
    for packet in &will.farewell {
        text(&mut word, &packet.interface);
        word.extend([packet.source, packet.destination].into_iter().flat_map(written));
        word.push(u8::from(packet.mac.is_some()));
        word.extend(packet.mac.unwrap_or_default());
        word.extend([packet.ttl, packet.protocol]);
        word.extend(packet.identification.to_be_bytes());
        payload(&mut word, &packet.payload);
    }
    word
}

/// It has nothing any more.
#[must_use]
pub fn releases(instance: u32) -> Vec<u8> {
    begin(RELEASES, instance)
}

/// The daemon ends by itself, with this exit code.
#[must_use]
pub fn ends(code: u8) -> Vec<u8> {
    let mut word = begin(ENDS, 0);
    word.push(code);
    word
}

/// In whole milliseconds, rounded up.
pub(super) fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn begin(kind: u8, instance: u32) -> Vec<u8> {
    let mut word = vec![kind];
    word.extend(instance.to_be_bytes());
    word
}

/// Names of interfaces and namespaces are not longer than 255 bytes.
fn text(word: &mut Vec<u8>, text: &str) {
    let text = text.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(text.as_bytes());
    word.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    word.extend(text);
}

/// The longest IP packet is no longer than its length can say.
fn payload(word: &mut Vec<u8>, payload: &[u8]) {
    let payload = payload.get(..usize::from(u16::MAX)).unwrap_or(payload);
    word.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
    word.extend(payload);
}

fn written(address: IpAddr) -> [u8; ADDRESS] {
    let mut bytes = [0; ADDRESS];
    let (family, rest) = match &mut bytes {
        [family, rest @ ..] => (family, rest),
    };
    match address {
        IpAddr::V4(address) => {
            *family = 4;
            rest.iter_mut().zip(address.octets()).for_each(|(to, from)| *to = from);
        }
        IpAddr::V6(address) => {
            *family = 6;
            *rest = address.octets();
        }
    }
    bytes
}

/// A word where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word<'a> {
    /// [`anew`].
    Anew { namespace: Option<&'a str>, control: &'a Path, restarts: bool },
    /// [`holds`].
    Holds(Holds<'a>),
    /// [`farewell`].
    Farewell(Farewell<'a>),
    /// [`releases`].
    Releases,
    /// [`ends`].
    Ends(u8),
}

/// How a claim is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// In a datagram.
    Datagram,
    /// By a connection, which answers.
    Post,
    /// The same, if what was posted before has had no answer.
    PostElse,
}

/// What an instance has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holds<'a> {
    /// Nobody waits for it any more.
    pub gone: bool,
    /// The connections of the addresses end with them.
    pub closes: bool,
    addresses: &'a [[u8; ADDRESS]],
    interfaces: Cursor<'a>,
}

/// What is to be said, and how long its addresses stay where no other Master is heard, and once one of them is announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farewell<'a> {
    pub vrid: u8,
    /// In milliseconds.
    pub patience: u32,
    /// In milliseconds.
    pub linger: u32,
    pleas: Cursor<'a>,
    packets: Cursor<'a>,
}

/// A packet that is ready to leave, but for its IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub interface: &'a str,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub mac: Option<[u8; 6]>,
    pub ttl: u8,
    pub protocol: u8,
    pub identification: u16,
    pub payload: &'a [u8],
}

/// The instance that it is of, and the word; `None` where any of it makes no sense.
pub(super) fn read(bytes: &[u8]) -> Option<(u32, Word<'_>)> {
    let mut rest = Cursor(bytes);
    let (kind, instance) = (rest.byte()?, rest.number()?);
    let word = match kind {
        ANEW => {
            let (restarts, namespace) = (rest.byte()? != 0, rest.text()?);
            let namespace = Some(namespace).filter(|name| !name.is_empty());
            Word::Anew { namespace, control: Path::new(OsStr::from_bytes(rest.0)), restarts }
        }
        HOLDS | GONE => {
            let closes = rest.byte()? != 0;
            let count = usize::try_from(rest.number()?).ok()?;
            let (addresses, []) = rest.take(count.checked_mul(ADDRESS)?)?.as_chunks() else { return None };
            let holds = Holds { gone: kind == GONE, closes, addresses, interfaces: rest };
            all(rest, Cursor::text).then_some(Word::Holds(holds))?
        }
        FAREWELL => {
            let (vrid, patience, linger) = (rest.byte()?, rest.number()?, rest.number()?);
            let (count, behind) = (rest.short()?, rest.0);
            for _ in 0..count {
                rest.plea()?;
            }
            let pleas = Cursor(behind.get(..behind.len() - rest.0.len())?);
            let farewell = Farewell { vrid, patience, linger, pleas, packets: rest };
            all(rest, Cursor::packet).then_some(Word::Farewell(farewell))?
        }
        RELEASES => Word::Releases,
        ENDS => Word::Ends(rest.byte()?),
        _ => return None,
    };
    Some((instance, word))
}

/// Whether these bytes are this instance's farewell.
pub(super) fn is_farewell_of(bytes: &[u8], instance: u32) -> bool {
    bytes
        .split_first()
        .is_some_and(|(kind, rest)| *kind == FAREWELL && rest.starts_with(&instance.to_be_bytes()))
}

/// What these bytes say that an instance has is to be removed.
pub(super) fn let_go(bytes: &mut [u8]) {
    if let Some(kind) = bytes.first_mut() {
        *kind = GONE;
    }
}

/// Lets the farewell in these bytes have less patience.
pub(super) fn shorten(bytes: &mut [u8], patience: u32) {
    if let Some(place) = bytes.get_mut(PATIENCE_AT..).and_then(<[u8]>::first_chunk_mut) {
        *place = patience.to_be_bytes();
    }
}

impl<'a> Holds<'a> {
    /// Whether the address is among them.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.addresses.binary_search(&written(address)).is_ok()
    }

    pub(super) fn interfaces(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.interfaces;
        std::iter::from_fn(move || rest.text())
    }

    /// Whether there is anything.
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.interfaces.0.is_empty()
    }
}

impl<'a> Farewell<'a> {
    /// What gives its claim back, how, and where to.
    pub(super) fn pleas(self) -> impl Iterator<Item = (Means, SocketAddr, &'a [u8])> {
        let mut rest = self.pleas;
        std::iter::from_fn(move || rest.plea())
    }

    pub(super) fn packets(self) -> impl Iterator<Item = Packet<'a>> {
        let mut rest = self.packets;
        std::iter::from_fn(move || rest.packet())
    }
}

/// Whether the rest is made up of those, to the end.
fn all<'a, T>(mut rest: Cursor<'a>, next: impl Fn(&mut Cursor<'a>) -> Option<T>) -> bool {
    while !rest.0.is_empty() {
        if next(&mut rest).is_none() {
            return false;
        }
    }
    true
}

/// What is not read yet.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        self.take(LENGTH)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn address(&mut self) -> Option<IpAddr> {
        let (family, bytes) = (self.byte()?, self.array::<16>()?);
        match (family, bytes) {
            (4, [a, b, c, d, ..]) => Some(Ipv4Addr::new(a, b, c, d).into()),
            (6, bytes) => Some(Ipv6Addr::from(bytes).into()),
            _ => None,
        }
    }

    fn plea(&mut self) -> Option<(Means, SocketAddr, &'a [u8])> {
        let means = [Means::Datagram, Means::Post, Means::PostElse];
        let means = *means.get(usize::from(self.byte()?))?;
        let to = SocketAddr::new(self.address()?, self.short()?);
        let length = self.short()?;
        Some((means, to, self.take(length.into())?))
    }

    fn packet(&mut self) -> Option<Packet<'a>> {
        let interface = self.text()?;
        let (source, destination) = (self.address()?, self.address()?);
        let (has_mac, mac) = (self.byte()? != 0, self.array()?);
        let (ttl, protocol, identification) = (self.byte()?, self.byte()?, self.short()?);
        let length = self.short()?;
        let payload = self.take(length.into())?;
        let mac = has_mac.then_some(mac);
        Some(Packet { interface, source, destination, mac, ttl, protocol, identification, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{InstanceId, Outgoing};
    use crate::vrrp::Vrid;
    use proptest::prelude::*;

    fn voter() -> VoterId {
        VoterId { address: [10, 0, 0, 3].into(), port: 5112 }
    }

    fn will() -> Will {
        let packet = |source: &str, destination: &str, mac| Outgoing {
            instance: InstanceId(7),
            due: None,
            interface: "eth0".into(),
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
            mac,
            ttl: 255,
            protocol: 112,
            identification: 9,
            payload: vec![0x31, 51, 0, 1],
        };
        Will {
            vrid: Vrid::new(51).expect("a VRID"),
            pleas: vec![(voter(), b"back".to_vec()), (VoterId { port: 7, ..voter() }, b"it is".to_vec())],
            releases: Vec::new(),
            farewell: vec![
                packet("10.0.0.1", "224.0.0.18", Some([0, 0, 0x5e, 0, 1, 51])),
                packet("fe80::1", "ff02::12", None),
            ],
            patience: Duration::from_micros(1500),
            linger: Duration::from_millis(3),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let path = Path::new("/run/locum/locum.sock");
        let word = anew(Some("blue"), path, true);
        let Some((0, Word::Anew { namespace: Some("blue"), control, restarts: true })) = read(&word) else {
            panic!("{word:?}")
        };
        assert_eq!(control, path);
        assert!(matches!(read(&anew(None, path, false)), Some((0, Word::Anew { namespace: None, .. }))));
        let addresses = ["10.0.0.9", "10.0.0.10", "::a00:9"].map(|text| text.parse::<IpAddr>().unwrap());
        let word = holds(7, &addresses.into(), ["vrrp.51", "vrrp6.51"].into_iter(), true);
        let Some((7, Word::Holds(held))) = read(&word) else { panic!("{word:?}") };
        assert!(addresses.iter().all(|address| held.has(*address)));
        assert!(!held.has("10.0.0.11".parse().unwrap()) && !held.is_empty() && held.closes);
        assert_eq!(held.interfaces().collect::<Vec<_>>(), ["vrrp.51", "vrrp6.51"]);
        assert!(matches!(read(&releases(8)), Some((8, Word::Releases))));
        assert!(matches!(read(&ends(70)), Some((_, Word::Ends(70)))));
    }

    #[test]
    fn a_farewell_is_read_back_and_may_lose_its_patience() {
        let there: SocketAddr = "[fd00::3]:5112".parse().unwrap();
        let posts: [Vec<_>; 2] = ["term 4", "term 5"].map(|what| {
            (0..2)
                .map(|host| (SocketAddr::from(([10, 0, 1, host], 2379)), what.as_bytes().to_vec()))
                .collect()
        });
        let (mut word, will) = (farewell(7, &will(), &[(voter(), there)].into(), &posts), will());
        shorten(&mut word, 1);
        let Some((7, Word::Farewell(read))) = read(&word) else { panic!("{word:?}") };
        assert_eq!((read.vrid, read.patience, read.linger), (51, 1, 3));
        let packets: Vec<_> = read.packets().collect();
        for (packet, sent) in packets.iter().zip(&will.farewell) {
            assert_eq!(
                (packet.source, packet.destination, packet.mac),
                (sent.source, sent.destination, sent.mac)
            );
            assert_eq!((packet.interface, packet.payload), (&*sent.interface, &*sent.payload));
            assert_eq!((packet.ttl, packet.protocol, packet.identification), (255, 112, 9));
        }
        assert_eq!(packets.len(), 2);
        let pleas: Vec<_> = read
            .pleas()
            .map(|(means, to, bytes)| (means, to.to_string(), str::from_utf8(bytes).unwrap()))
            .collect();
        let expected = [
            (Means::Datagram, "10.0.0.3:5112", "back"),
            (Means::Datagram, "[fd00::3]:5112", "back"),
            (Means::Datagram, "10.0.0.3:7", "it is"),
            (Means::Post, "10.0.1.0:2379", "term 4"),
            (Means::PostElse, "10.0.1.1:2379", "term 4"),
            (Means::Post, "10.0.1.0:2379", "term 5"),
            (Means::PostElse, "10.0.1.1:2379", "term 5"),
        ];
        assert_eq!(pleas, expected.map(|(means, to, bytes)| (means, to.to_owned(), bytes)));
        assert_eq!(millis(Duration::from_micros(1500)), 2);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_none_of_a_word_can_be_left_out(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            kind in 1_u8..6,
        ) {
            let mut word = begin(kind, 1);
            word.extend(bytes);
            match read(&word) {
                Some((_, Word::Holds(held))) => drop(held.interfaces().count()),
                Some((_, Word::Farewell(said))) => drop(said.packets().count() + said.pleas().count()),
                _ => {}
            }
            let whole = farewell(7, &will(), &BTreeMap::new(), &[]);
            // Between two packets a farewell may end.
            let ends = (0..whole.len()).filter(|end| read(&whole[..*end]).is_some()).count();
            prop_assert_eq!(ends, 2);
        }
    }
}
