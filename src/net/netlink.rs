//! The bytes of netlink messages, as far as links and addresses need them.
//!
//! No sockets here. Reads only the attributes named below and skips all others, so a
//! newer kernel cannot make a link unreadable.

use nix::errno::Errno;
use nix::libc::{
    IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_F_DADFAILED, IFA_F_SECONDARY, IFA_F_TENTATIVE, IFA_FLAGS,
    IFA_LABEL, IFA_LOCAL, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, NLM_F_ACK_TLVS, NLM_F_CREATE, NLM_F_DUMP_INTR,
    NLM_F_EXCL, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, RTM_DELADDR, RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `IFA_PROTO`, since Linux 5.18: who put an address there.
const IFA_PROTO: u16 = 11;
/// Our mark in it: the protocol number of VRRP.
const MARK: u8 = crate::vrrp::PROTOCOL;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const ETHERNET: u16 = 1;
const UP_AND_RUNNING: u32 = 0x1 | 0x40;
const NLMSGERR_MESSAGE: u16 = 1;
/// The kernel's answers come in pieces of at most 32 KiB.
pub(super) const DATAGRAM: usize = 64 << 10;

/// What one message says of a link. A part that it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkFact {
    pub(super) index: u32,
    pub(super) name: Option<String>,
    pub(super) up: bool,
    pub(super) mac: Option<[u8; 6]>,
    pub(super) mtu: Option<u32>,
}

/// One address on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressFact {
    pub(super) index: u32,
    pub(super) address: IpAddr,
    /// The other end of a point-to-point link; else the address again.
    pub(super) peer: Option<IpAddr>,
    pub(super) prefix: u8,
    pub(super) scope: u8,
    pub(super) flags: u32,
    pub(super) label: Option<String>,
    pub(super) broadcast: Option<IpAddr>,
    pub(super) proto: Option<u8>,
    /// Preferred and valid lifetime in seconds, `u32::MAX` for ever.
    pub(super) lifetimes: Option<(u32, u32)>,
}

impl AddressFact {
    pub(super) fn marked(&self) -> bool {
        self.proto == Some(MARK)
    }

    pub(super) fn mark(&mut self) {
        self.proto = Some(MARK);
    }

    pub(super) fn tentative(&self) -> bool {
        self.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0
    }

    /// Of IPv6 the same bit says "temporary": not one to build on either.
    pub(super) fn secondary(&self) -> bool {
        self.flags & IFA_F_SECONDARY != 0
    }
}

/// One message from the kernel.
#[derive(Debug)]
pub(super) enum Message {
    Link(LinkFact),
    LinkGone(u32),
    Address(AddressFact),
    AddressGone(AddressFact),
    /// The end of a dump; an error number where it failed.
    Done(i32),
    /// The answer to a change; `Ok` is the acknowledgement.
    Answer(Result<(), Refusal>),
}

/// Why the kernel would not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    /// The kernel's own words, where it has some.
    pub(super) words: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.errno.desc())?;
        self.words.as_ref().map_or(Ok(()), |words| write!(f, " ({words})"))
    }
}

/// A message and what its header says beside the type.
pub(super) struct Framed {
    pub(super) sequence: u32,
    /// The dump it belongs to was cut across by a change.
    pub(super) interrupted: bool,
    pub(super) message: Message,
}

/// The messages of one datagram; what is not about links or addresses is left out.
pub(super) fn messages(mut datagram: &[u8]) -> Vec<Framed> {
    let mut found = Vec::new();
    while let Some(length) = u32_at(datagram, 0).and_then(|length| usize::try_from(length).ok()) {
        let (Some(kind), Some(flags), Some(sequence), Some(body)) =
            (u16_at(datagram, 4), u16_at(datagram, 6), u32_at(datagram, 8), datagram.get(16..length))
        else {
            break;
        };
        if let Some(message) = message(kind, flags, body) {
            let interrupted = i32::from(flags) & NLM_F_DUMP_INTR != 0;
            found.push(Framed { sequence, interrupted, message });
        }
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    found
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Option<Message> {
    match kind {
        // Bridges tell of their ports in the same message types under their own family.
        RTM_NEWLINK if body.first() == Some(&0) => link(body).map(Message::Link),
        RTM_DELLINK if body.first() == Some(&0) => u32_at(body, 4).map(Message::LinkGone),
        RTM_NEWADDR => address(body).map(Message::Address),
        RTM_DELADDR => address(body).map(Message::AddressGone),
        _ if i32::from(kind) == NLMSG_DONE => Some(Message::Done(i32_at(body, 0).unwrap_or(0))),
        _ if i32::from(kind) == NLMSG_ERROR => Some(Message::Answer(answer(flags, body))),
        _ => None,
    }
}

fn answer(flags: u16, body: &[u8]) -> Result<(), Refusal> {
    let number = i32_at(body, 0).unwrap_or(0);
    if number == 0 {
        return Ok(());
    }
    // NETLINK_CAP_ACK: of our message only the header (16 bytes) follows the number.
    let details =
        if i32::from(flags) & NLM_F_ACK_TLVS == 0 { &[] } else { body.get(20..).unwrap_or_default() };
    let words = attributes(details).find(|(kind, _)| *kind == NLMSGERR_MESSAGE).map(|(_, value)| text(value));
    Err(Refusal { errno: Errno::from_raw(number.saturating_neg()), words })
}

fn link(body: &[u8]) -> Option<LinkFact> {
    let flags = u32_at(body, 8)?;
    let up = flags & UP_AND_RUNNING == UP_AND_RUNNING;
    let mut fact = LinkFact { index: u32_at(body, 4)?, name: None, up, mac: None, mtu: None };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => fact.name = Some(text(value)),
            IFLA_MTU => fact.mtu = u32_at(value, 0),
            IFLA_ADDRESS if u16_at(body, 2) == Some(ETHERNET) => fact.mac = value.try_into().ok(),
            _ => {}
        }
    }
    Some(fact)
}

fn address(body: &[u8]) -> Option<AddressFact> {
    let &[_, prefix, flags, scope] = body.first_chunk::<4>()?;
    let attributes = || body.get(8..).map(attributes).into_iter().flatten();
    let value = |wanted| attributes().find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    // IPv6 says only IFA_ADDRESS, unless there is a peer.
    let peer = value(IFA_ADDRESS).and_then(ip);
    Some(AddressFact {
        index: u32_at(body, 4)?,
        address: value(IFA_LOCAL).and_then(ip).or(peer)?,
        peer,
        prefix,
        scope,
        // The header has room for eight of the flags only.
        flags: value(IFA_FLAGS).and_then(|value| u32_at(value, 0)).unwrap_or(u32::from(flags)),
        label: value(IFA_LABEL).map(text),
        broadcast: value(IFA_BROADCAST).and_then(ip),
        proto: value(IFA_PROTO).and_then(|value| value.first().copied()),
        lifetimes: value(IFA_CACHEINFO).and_then(|value| u32_at(value, 0).zip(u32_at(value, 4))),
    })
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| i32::from_ne_bytes(*chunk))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|octets| Ipv4Addr::from(octets).into());
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|octets| Ipv6Addr::from(octets).into())).ok()
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// A change to the kernel's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add(AddressFact),
    /// Adds one that went without being meant.
    PutBack(AddressFact),
    Delete(AddressFact),
}

impl Change {
    pub(super) fn fact(&self) -> &AddressFact {
        match self {
            Change::Add(fact) | Change::PutBack(fact) | Change::Delete(fact) => fact,
        }
    }

    pub(super) fn encode(&self, flags: i32, sequence: u32, out: &mut Vec<u8>) {
        let (kind, flags) = match self {
            Change::Add(_) | Change::PutBack(_) => (RTM_NEWADDR, flags | NLM_F_CREATE | NLM_F_EXCL),
            Change::Delete(_) => (RTM_DELADDR, flags),
        };
        let fact = self.fact();
        let family = if fact.address.is_ipv4() { AF_INET } else { AF_INET6 };
        framed(kind, flags, sequence, out, |out| {
            out.extend([family, fact.prefix, 0, fact.scope]);
            out.extend(fact.index.to_ne_bytes());
            push_ip(out, IFA_LOCAL, Some(fact.address));
            push_ip(out, IFA_ADDRESS, Some(fact.peer.unwrap_or(fact.address)));
            if let Some(label) = &fact.label {
                push(out, IFA_LABEL, &[label.as_bytes(), &[0]].concat());
            }
            if matches!(self, Change::Delete(_)) {
                return;
            }
            push_ip(out, IFA_BROADCAST, fact.broadcast);
            push(out, IFA_FLAGS, &fact.flags.to_ne_bytes());
            if let Some((preferred, valid)) = fact.lifetimes {
                let info: Vec<u8> = [preferred, valid, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
                push(out, IFA_CACHEINFO, &info);
            }
            if let Some(proto) = fact.proto {
                push(out, IFA_PROTO, &[proto]);
            }
        });
    }
}

pub(super) fn framed(
    kind: u16,
    flags: i32,
    sequence: u32,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    let flags = u16::try_from(flags | NLM_F_REQUEST).unwrap_or_default();
    out.extend([0; 4]);
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]);
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or_default().to_ne_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length);
    }
}

pub(super) fn push(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(u16::try_from(4 + value.len()).unwrap_or_default().to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(aligned(out.len()), 0);
}

fn push_ip(out: &mut Vec<u8>, kind: u16, address: Option<IpAddr>) {
    match address {
        Some(IpAddr::V4(address)) => push(out, kind, &address.octets()),
        Some(IpAddr::V6(address)) => push(out, kind, &address.octets()),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fact(address: &str) -> AddressFact {
        AddressFact {
            index: 7,
            address: address.parse().expect("an address"),
            peer: None,
            prefix: 24,
            scope: 253,
            flags: 0x280,
            label: Some("eth0:web".to_owned()),
            broadcast: None,
            proto: Some(112),
            lifetimes: Some((0, u32::MAX)),
        }
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        for address in ["10.0.0.1", "2001:db8::1"] {
            let mut bytes = Vec::new();
            Change::Add(fact(address)).encode(0, 42, &mut bytes);
            let found = messages(&bytes);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].sequence, 42);
            let Message::Address(read) = &found[0].message else { panic!("{:?}", found[0].message) };
            let wanted = AddressFact { peer: Some(read.address), ..fact(address) };
            assert_eq!(*read, wanted);
        }
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_no_link_that_is_gone() {
        let gone = |family: u8| {
            let mut bytes = Vec::new();
            framed(RTM_DELLINK, 0, 1, &mut bytes, |out| {
                out.extend([family, 0, 0, 0]);
                out.extend(7_u32.to_ne_bytes());
                out.extend([0; 8]);
            });
            messages(&bytes).iter().any(|framed| matches!(framed.message, Message::LinkGone(7)))
        };
        assert!(gone(0));
        assert!(!gone(7), "AF_BRIDGE");
    }

    #[test]
    fn a_refusal_carries_the_kernels_number_and_words() {
        let mut body = (-13_i32).to_ne_bytes().to_vec();
        body.extend([0; 16]);
        push(&mut body, NLMSGERR_MESSAGE, b"no way\0");
        let flags = u16::try_from(NLM_F_ACK_TLVS).expect("small");
        let refusal = answer(flags, &body).expect_err("a refusal");
        assert_eq!(refusal.to_string(), "Permission denied (no way)");
        assert_eq!(answer(0, &0_i32.to_ne_bytes()), Ok(()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_hang(bytes in proptest::collection::vec(any::<u8>(), 0..256), at in 0_usize..200) {
            messages(&bytes);
            let mut whole = Vec::new();
            Change::Add(fact("10.0.0.1")).encode(0, 1, &mut whole);
            // A good message with a dirty part, and cut short.
            let end = whole.len().min(at + bytes.len());
            if let Some(part) = whole.get_mut(at..end) {
                let length = part.len();
                part.copy_from_slice(&bytes[..length]);
            }
            messages(&whole);
            messages(&whole[..at.min(whole.len())]);
        }
    }
}
