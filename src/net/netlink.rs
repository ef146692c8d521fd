//! What Locum wants to know of links and addresses, out of `netlink-packet-route`'s messages, and its
//! changes of addresses as such messages. No sockets here.

use super::local_route::LocalRoute;
use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK_TLVS, NLM_F_CREATE, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
    parse_string,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use std::net::IpAddr;

/// Our mark on addresses, routes and rules, which says who put them there: the protocol number of VRRP.
pub(super) const MARK: u8 = crate::vrrp::PROTOCOL;
/// Our mark on addresses that are this host's own as long as we run: the next number, which is as free.
const MARK_OF_OWN: u8 = MARK + 1;
const NLMSGERR_MESSAGE: u16 = 1;
/// The kernel's answers come in pieces of at most 32 KiB.
pub(super) const DATAGRAM: usize = 64 << 10;
/// In a refusal the header of what was refused stands before the kernel's words (`NETLINK_CAP_ACK`).
const REFUSED_HEADER: usize = 16;

/// What one message says of a link. A part that it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkFact {
    pub(super) index: u32,
    pub(super) name: Option<String>,
    pub(super) up: bool,
    pub(super) mac: Option<[u8; 6]>,
    pub(super) mtu: Option<u32>,
}

impl LinkFact {
    pub(super) fn of(message: LinkMessage) -> Self {
        let header = message.header;
        let up = header.flags.contains(LinkFlags::Up | LinkFlags::Running);
        let mut fact = LinkFact { index: header.index, name: None, up, mac: None, mtu: None };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => fact.name = Some(name),
                LinkAttribute::Mtu(mtu) => fact.mtu = Some(mtu),
                LinkAttribute::Address(mac) if header.link_layer_type == LinkLayerType::Ether => {
                    fact.mac = mac.try_into().ok();
                }
                _ => {}
            }
        }
        fact
    }
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
    pub(super) flags: AddressFlags,
    pub(super) label: Option<String>,
    pub(super) broadcast: Option<IpAddr>,
    pub(super) proto: Option<u8>,
    /// Preferred and valid lifetime in seconds, `u32::MAX` for ever.
    pub(super) lifetimes: Option<(u32, u32)>,
}

impl AddressFact {
    pub(super) fn marked(&self) -> bool {
        self.moves() || self.own()
    }

    /// Whether its mark says that it moves between hosts.
    pub(super) fn moves(&self) -> bool {
        self.proto == Some(MARK)
    }

    /// Whether its mark says that it is this host's own.
    pub(super) fn own(&self) -> bool {
        self.proto == Some(MARK_OF_OWN)
    }

    pub(super) fn mark(&mut self, own: bool) {
        self.proto = Some(if own { MARK_OF_OWN } else { MARK });
    }

    /// Whether the kernel will remove it unless it is renewed.
    pub(super) fn ends(&self) -> bool {
        self.lifetimes.is_some_and(|(_, valid)| valid != u32::MAX)
    }

    pub(super) fn tentative(&self) -> bool {
        self.flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
    }

    /// Of IPv6 the same bit says "temporary": not one to build on either.
    pub(super) fn secondary(&self) -> bool {
        self.flags.contains(AddressFlags::Secondary)
    }

    /// `None` where the message names no address.
    pub(super) fn of(message: AddressMessage) -> Option<Self> {
        let header = message.header;
        // The header has room for eight of the flags only.
        let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
        let (mut local, mut peer) = (None, None);
        let (mut label, mut broadcast, mut proto, mut lifetimes) = (None, None, None, None);
        for attribute in message.attributes {
            match attribute {
                AddressAttribute::Local(address) => local = Some(address),
                AddressAttribute::Address(address) => peer = Some(address),
                AddressAttribute::Flags(all) => flags = all,
                AddressAttribute::Label(name) => label = Some(name),
                AddressAttribute::Broadcast(address) => broadcast = Some(address.into()),
                AddressAttribute::Protocol(by) => proto = Some(by.into()),
                AddressAttribute::CacheInfo(info) => lifetimes = Some((info.ifa_preferred, info.ifa_valid)),
                _ => {}
            }
        }
        Some(AddressFact {
            index: header.index,
            // IPv6 says only IFA_ADDRESS, unless there is a peer.
            address: local.or(peer)?,
            peer,
            prefix: header.prefix_len,
            scope: header.scope.into(),
            flags,
            label,
            broadcast,
            proto,
            lifetimes,
        })
    }

    /// What names the address to the kernel; all that it needs to delete it.
    fn name(&self) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family =
            if self.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.index = self.index;
        message.header.prefix_len = self.prefix;
        message.header.scope = self.scope.into();
        let peer = self.peer.unwrap_or(self.address);
        message.attributes = vec![AddressAttribute::Local(self.address), AddressAttribute::Address(peer)];
        message.attributes.extend(self.label.clone().map(AddressAttribute::Label));
        message
    }

    /// The whole of it.
    fn message(&self) -> AddressMessage {
        let mut message = self.name();
        if let Some(IpAddr::V4(broadcast)) = self.broadcast {
            message.attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        message.attributes.push(AddressAttribute::Flags(self.flags));
        if let Some((preferred, valid)) = self.lifetimes {
            let mut info = CacheInfo::default();
            (info.ifa_preferred, info.ifa_valid) = (preferred, valid);
            message.attributes.push(AddressAttribute::CacheInfo(info));
        }
        message
            .attributes
            .extend(self.proto.map(|proto| AddressAttribute::Protocol(AddressProtocol::from(proto))));
        message
    }
}

/// One message from the kernel.
#[derive(Debug)]
pub(super) enum Message {
    Link(LinkFact),
    LinkGone(u32),
    Address(AddressFact),
    AddressGone(AddressFact),
    /// A route that stands for an address.
    LocalRoute(LocalRoute),
    LocalRouteGone(LocalRoute),
    /// The end of a dump; an error number where it failed.
    Done(i32),
    /// The answer to a change; `Ok` is the acknowledgement.
    Answer(Result<(), Refusal>),
    /// The socket had no room: messages were lost.
    Lost,
}

/// Why the kernel would not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    /// The kernel's own words, where it has some.
    pub(super) words: Option<String>,
}

impl Refusal {
    /// What an answer says: `Ok` is the acknowledgement.
    pub(super) fn or_ok(flags: u16, error: &ErrorMessage) -> Result<(), Refusal> {
        let Some(code) = error.code else { return Ok(()) };
        let details = error.header.get(REFUSED_HEADER..).filter(|_| flags & NLM_F_ACK_TLVS != 0);
        let words = NlasIterator::new(details.unwrap_or_default())
            .map_while(Result::ok)
            .find(|nla| nla.kind() == NLMSGERR_MESSAGE)
            .and_then(|nla| parse_string(nla.value()).ok());
        Err(Refusal { errno: Errno::from_raw(code.get().saturating_neg()), words })
    }
}

impl From<&std::io::Error> for Refusal {
    fn from(error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Refusal { errno: Errno::from_raw(number), words: None },
            None => Refusal { errno: Errno::EIO, words: Some(error.to_string()) },
        }
    }
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
    while let Ok(next) = NetlinkBuffer::new_checked(datagram) {
        // One that the library cannot read is left out; the others are still good.
        found.extend(NetlinkMessage::deserialize(datagram).ok().and_then(framed));
        let Ok(length) = usize::try_from(next.length()) else { break };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

pub(super) fn framed(whole: NetlinkMessage<RouteNetlinkMessage>) -> Option<Framed> {
    let flags = whole.header.flags;
    Some(Framed {
        sequence: whole.header.sequence_number,
        interrupted: flags & NLM_F_DUMP_INTR != 0,
        message: message(flags, whole.payload)?,
    })
}

fn message(flags: u16, payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Message> {
    Some(match payload {
        NetlinkPayload::Done(done) => Message::Done(done.code),
        NetlinkPayload::Error(error) => Message::Answer(Refusal::or_ok(flags, &error)),
        NetlinkPayload::Overrun(_) => Message::Lost,
        NetlinkPayload::InnerMessage(message) => match message {
            // Bridges tell of their ports in the same message types under their own family.
            RouteNetlinkMessage::NewLink(link) if whole_link(&link) => Message::Link(LinkFact::of(link)),
            RouteNetlinkMessage::DelLink(link) if whole_link(&link) => Message::LinkGone(link.header.index),
            RouteNetlinkMessage::NewAddress(address) => Message::Address(AddressFact::of(address)?),
            RouteNetlinkMessage::DelAddress(address) => Message::AddressGone(AddressFact::of(address)?),
            RouteNetlinkMessage::NewRoute(route) => Message::LocalRoute(LocalRoute::of(&route)?),
            RouteNetlinkMessage::DelRoute(route) => Message::LocalRouteGone(LocalRoute::of(&route)?),
            _ => return None,
        },
        _ => return None,
    })
}

fn whole_link(link: &LinkMessage) -> bool {
    link.header.interface_family == AddressFamily::Unspec
}

/// Something to ask of the kernel.
pub(super) trait Encode {
    /// Appends it to what is to be sent.
    fn encode(&self, flags: u16, sequence: u32, out: &mut Vec<u8>);
}

/// A change to the kernel's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add(AddressFact),
    /// Adds one that went without being meant.
    PutBack(AddressFact),
    /// Begins its lifetime anew, or gives it another. One that is not there comes back.
    Renew(AddressFact),
    Delete(AddressFact),
}

impl Change {
    pub(super) fn fact(&self) -> &AddressFact {
        match self {
            Change::Add(fact) | Change::PutBack(fact) | Change::Renew(fact) | Change::Delete(fact) => fact,
        }
    }

    /// Whether it puts one of Locum's there.
    pub(super) fn adds(&self) -> bool {
        matches!(self, Change::Add(_))
    }
}

impl Encode for Change {
    fn encode(&self, flags: u16, sequence: u32, out: &mut Vec<u8>) {
        let (message, flags) = match self {
            Change::Add(fact) | Change::PutBack(fact) => {
                (RouteNetlinkMessage::NewAddress(fact.message()), flags | NLM_F_CREATE | NLM_F_EXCL)
            }
            Change::Renew(fact) => (RouteNetlinkMessage::NewAddress(fact.message()), flags | NLM_F_REPLACE),
            Change::Delete(fact) => (RouteNetlinkMessage::DelAddress(fact.name()), flags),
        };
        append(message, flags, sequence, out);
    }
}

/// Appends a request to what is to be sent.
pub(super) fn append(message: impl NetlinkSerializable, flags: u16, sequence: u32, out: &mut Vec<u8>) {
    let mut header = NetlinkHeader::default();
    header.flags = flags | NLM_F_REQUEST;
    header.sequence_number = sequence;
    let mut whole = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    whole.finalize();
    let start = out.len();
    out.resize(start + whole.buffer_len(), 0);
    if let Some(room) = out.get_mut(start..) {
        whole.serialize(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroI32;

    fn fact(address: &str) -> AddressFact {
        AddressFact {
            index: 7,
            address: address.parse().expect("an address"),
            peer: None,
            prefix: 24,
            scope: 253,
            flags: AddressFlags::Permanent | AddressFlags::Noprefixroute,
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
        let gone = |family| {
            let mut link = LinkMessage::default();
            (link.header.interface_family, link.header.index) = (family, 7);
            let mut bytes = Vec::new();
            append(RouteNetlinkMessage::DelLink(link), 0, 1, &mut bytes);
            messages(&bytes).iter().any(|framed| matches!(framed.message, Message::LinkGone(7)))
        };
        assert!(gone(AddressFamily::Unspec));
        assert!(!gone(AddressFamily::Bridge));
    }

    #[test]
    fn a_refusal_carries_the_kernels_number_and_words() {
        let mut error = ErrorMessage::default();
        error.code = NonZeroI32::new(-13);
        error.header = vec![0; REFUSED_HEADER];
        error.header.extend(b"\x0b\0\x01\0no way\0\0");
        let refusal = Refusal::or_ok(NLM_F_ACK_TLVS, &error).expect_err("a refusal");
        assert_eq!(refusal.to_string(), "Permission denied (no way)");
        assert_eq!(Refusal::or_ok(0, &ErrorMessage::default()), Ok(()));
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
