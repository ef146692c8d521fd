//! Captures: the classic pcap file format, and the link headers in front of IP packets.
//!
//! Reads bytes that are already in memory; opens nothing and judges nothing. What a packet says is
//! `vrrp::packet`'s.

use std::fmt;
use std::time::Duration;

/// The kind of link a frame was captured on, as pcap numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(pub u32);

impl LinkType {
    /// Ethernet, with or without VLAN tags.
    pub const ETHERNET: LinkType = LinkType(1);
    /// IP packets without any link header.
    pub const RAW: LinkType = LinkType(101);
    /// Linux "cooked", as `tcpdump -i any` wrote it for long.
    pub const LINUX_SLL: LinkType = LinkType(113);
    /// Linux "cooked", second version.
    pub const LINUX_SLL2: LinkType = LinkType(276);

    /// Whether packets are found behind its header.
    const fn is_known(self) -> bool {
        matches!(self, Self::ETHERNET | Self::RAW | Self::LINUX_SLL | Self::LINUX_SLL2)
    }
}

impl fmt::Display for LinkType {
    /// `127 (802.11 with radiotap)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "BSD loopback",
            9 => "PPP",
            105 => "802.11",
            127 => "802.11 with radiotap",
            195 => "802.15.4",
            252 => "Wireshark's own export",
            253 => "netlink",
            _ => return self.0.fmt(f),
        };
        write!(f, "{} ({name})", self.0)
    }
}

/// One captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// When, since the Unix epoch.
    pub at: Duration,
    /// The link it was captured on.
    pub link: LinkType,
    /// The frame, as much of it as was kept.
    pub frame: &'a [u8],
}

/// An IP packet taken out of its frame, possibly with padding behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network<'a> {
    /// An IPv4 packet with its header.
    Ipv4(&'a [u8]),
    /// An IPv6 packet with its header.
    Ipv6(&'a [u8]),
}

/// Why a capture cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The newer format.
    Pcapng,
    /// No capture at all.
    NotACapture,
    /// Of a link whose header is not understood.
    Link(LinkType),
    /// The file ends in the middle of a record.
    CutShort,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::Link(link) => {
                let known = "wanted Ethernet, Linux cooked (tcpdump -i any) or raw IP";
                return write!(f, "it was captured on a link of type {link}; {known}");
            }
            Unreadable::Pcapng => "it is a pcapng file; convert it with `editcap -F pcap`",
            Unreadable::NotACapture => "it is not a pcap file",
            Unreadable::CutShort => "it ends in the middle of a packet",
        })
    }
}

impl std::error::Error for Unreadable {}

/// The frames of a capture file, in its order. Ends after the first that cannot be read.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    link: LinkType,
    number: fn([u8; 4]) -> u32,
    nanos_per_unit: u32,
}

/// Begins to read a capture file.
pub fn frames(file: &[u8]) -> Result<Frames<'_>, Unreadable> {
    let (magic, rest) = file.split_first_chunk::<4>().ok_or(Unreadable::NotACapture)?;
    let (number, nanos_per_unit): (fn([u8; 4]) -> u32, u32) = match magic {
        [0xa1, 0xb2, 0xc3, 0xd4] => (u32::from_be_bytes, 1000),
        [0xd4, 0xc3, 0xb2, 0xa1] => (u32::from_le_bytes, 1000),
        [0xa1, 0xb2, 0x3c, 0x4d] => (u32::from_be_bytes, 1),
        [0x4d, 0x3c, 0xb2, 0xa1] => (u32::from_le_bytes, 1),
        [0x0a, 0x0d, 0x0d, 0x0a] => return Err(Unreadable::Pcapng),
        _ => return Err(Unreadable::NotACapture),
    };
    // Version, time zone, accuracy and the longest frame kept say nothing we need.
    let (_, rest) = rest.split_first_chunk::<16>().ok_or(Unreadable::CutShort)?;
    let (link, rest) = rest.split_first_chunk::<4>().ok_or(Unreadable::CutShort)?;
    // The upper bits tell of frame check sequences.
    let link = LinkType(number(*link) & 0x0FFF_FFFF);
    if !link.is_known() {
        return Err(Unreadable::Link(link));
    }
    Ok(Frames { rest, link, number, nanos_per_unit })
}

impl<'a> Frames<'a> {
    fn record(&mut self) -> Option<Captured<'a>> {
        let mut field = || {
            let (field, rest) = self.rest.split_first_chunk::<4>()?;
            self.rest = rest;
            Some((self.number)(*field))
        };
        let (seconds, fraction, kept, _sent) = (field()?, field()?, field()?, field()?);
        let (frame, rest) = self.rest.split_at_checked(usize::try_from(kept).ok()?)?;
        self.rest = rest;
        let fraction = u64::from(fraction) * u64::from(self.nanos_per_unit);
        let at = Duration::from_secs(seconds.into()) + Duration::from_nanos(fraction);
        Some(Captured { at, link: self.link, frame })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Captured<'a>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_none() {
            self.rest = &[];
        }
        Some(record.ok_or(Unreadable::CutShort))
    }
}

/// Takes the IP packet out of a frame; `None` where the frame carries something else, or is of a
/// link that is not understood.
#[must_use]
pub fn network(link: LinkType, frame: &[u8]) -> Option<Network<'_>> {
    match link {
        LinkType::ETHERNET => by_ether_type(frame.get(12..)?),
        LinkType::LINUX_SLL => by_ether_type(frame.get(14..)?),
        LinkType::LINUX_SLL2 => {
            let (ether_type, rest) = frame.split_first_chunk::<2>()?;
            named(*ether_type, rest.get(18..)?)
        }
        LinkType::RAW => match frame.first()? >> 4 {
            4 => Some(Network::Ipv4(frame)),
            6 => Some(Network::Ipv6(frame)),
            _ => None,
        },
        _ => None,
    }
}

/// Reads an `EtherType` and what follows it, behind any number of VLAN tags.
fn by_ether_type(mut bytes: &[u8]) -> Option<Network<'_>> {
    loop {
        let (ether_type, rest) = bytes.split_first_chunk::<2>()?;
        match ether_type {
            [0x81, 0x00] | [0x88, 0xa8] => bytes = rest.get(2..)?,
            _ => return named(*ether_type, rest),
        }
    }
}

const fn named(ether_type: [u8; 2], packet: &[u8]) -> Option<Network<'_>> {
    match ether_type {
        [0x08, 0x00] => Some(Network::Ipv4(packet)),
        [0x86, 0xdd] => Some(Network::Ipv6(packet)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A big-endian file with nanoseconds and one record of `kept` bytes, which holds `frame`.
    fn file(kept: u32, frame: &[u8]) -> Vec<u8> {
        let mut file =
            vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1];
        for field in [7, 9, kept, kept] {
            file.extend(field.to_be_bytes());
        }
        file.extend(frame);
        file
    }

    #[test]
    fn a_record_has_its_time_and_its_bytes() {
        let file = file(3, b"abc");
        let all: Vec<_> = frames(&file).unwrap().collect();
        let at = Duration::new(7, 9);
        assert_eq!(all, [Ok(Captured { at, link: LinkType::ETHERNET, frame: b"abc" })]);
    }

    #[test]
    fn a_file_that_ends_too_early_ends_with_an_error_wherever_it_ends() {
        let whole = file(3, b"abc");
        for end in 1..whole.len() {
            let outcome = frames(&whole[..end]).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            // Cut right behind the file header it is an empty capture, and a good one.
            assert_eq!(outcome.is_ok(), end == 24, "cut at {end}");
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(frames(b"\x0a\x0d\x0d\x0a....").err(), Some(Unreadable::Pcapng));
        assert_eq!(frames(b"PK\x03\x04....").err(), Some(Unreadable::NotACapture));
        assert_eq!(frames(b"").err(), Some(Unreadable::NotACapture));
    }

    #[test]
    fn packets_are_found_behind_every_link_header() {
        let with = |header: &[u8]| [header, b"\x45ip"].concat();
        let found = |link, header: &[u8]| match network(link, &with(header)) {
            Some(Network::Ipv4(packet)) => packet == b"\x45ip",
            _ => false,
        };
        assert!(found(LinkType::ETHERNET, b"ddddddssssss\x08\x00"));
        assert!(found(LinkType::ETHERNET, b"ddddddssssss\x88\xa8\x00\x05\x81\x00\x00\x07\x08\x00"));
        assert!(found(LinkType::LINUX_SLL, b"..............\x08\x00"));
        assert!(found(LinkType::LINUX_SLL2, b"\x08\x00.................."));
        assert!(found(LinkType::RAW, b""));
        assert_eq!(network(LinkType::ETHERNET, &with(b"ddddddssssss\x08\x06")), None);
        assert_eq!(network(LinkType::ETHERNET, b"ddddddssssss\x81\x00\x00"), None);
        assert_eq!(network(LinkType(9), &with(b"")), None);
    }
}
