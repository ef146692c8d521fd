//! The messages of small nftables tables: one drops what goes to, or comes from, a set of addresses; one refuses
//! new connections to ports of them.
//!
//! Neighbour discovery passes (RFC 9568 section 6.4.3): without it nobody could reach the host at all.
//! ARP is not seen by these hooks.

use crate::vrrp::Family;
use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE};
use netlink_packet_netfilter::nftables::{
    Bitwise, ChainAttribute, ChainMessage, Cmp, DataAttribute, Expressions, Hook, Immediate, InetHookNumber,
    ListAttribute, Lookup, Meta, MetaKey, NfTablesMessage, Operator, Payload, Register, RuleAttribute,
    RuleMessage, SetAttribute, SetElementAttribute, SetElementList, SetElementMessage, SetMessage,
    TableAttribute, TableFlags, TableMessage, Verdict, VerdictAttribute,
};
use std::net::IpAddr;

const INPUT: &str = "input";
const OUTPUT: &str = "output";
/// Just before where others filter.
const PRIORITY: i32 = -1;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const ICMPV6: u8 = 58;
const TCP: u8 = 6;
const DESTINATION_PORT_AT: u32 = 2;
const TCP_FLAGS_AT: u32 = 13;
const FIN_SYN_RST_ACK: u8 = 0b1_0111;
const SYN: u8 = 0b10;
/// `linux/netfilter/nf_tables.h`.
const NFTA_REJECT_TYPE: u16 = 1;
const NFT_REJECT_TCP_RST: u32 = 1;
/// A set of ports, as [`set`] has those of addresses.
const PORTS: (&str, u32, u32) = ("ports", 13, 2);
/// Neighbour solicitation and advertisement.
const DISCOVERY: (u8, u8) = (135, 136);
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Elements in one message: an attribute holds at most 64 KiB.
const ELEMENTS: usize = 1000;

/// A message and the flags it goes with.
pub(super) type Step = (NfTablesMessage, u16);

/// What makes the table, empty. An `owned` one the kernel removes with its owner's socket.
pub(super) fn create(table: &str, owned: bool) -> Vec<Step> {
    let mut steps = begin(table, owned);
    for (name, hook) in [(INPUT, InetHookNumber::LocalIn), (OUTPUT, InetHookNumber::LocalOut)] {
        steps.push(chain(table, name, hook));
        steps.push(rule(table, name, discovery_passes()));
        for family in [Family::Ipv4, Family::Ipv6] {
            steps.push(rule(table, name, address_drops(family, name == OUTPUT)));
        }
    }
    steps
}

/// What makes a table that refuses new TCP connections to these ports of the addresses in its sets. By a reset:
/// who was just told that his connection has ended asks again at once, and is to ask again at once, the next
/// holder. To drop what he says would cost him a second, until TCP repeats it.
pub(super) fn drain(table: &str, owned: bool, ports: &[u16]) -> Vec<Step> {
    let mut steps = begin(table, owned);
    let (name, kind, length) = PORTS;
    steps.push(new_set(table, name, kind, length, 3));
    let keys = ports.iter().map(|port| port.to_be_bytes().to_vec()).collect();
    steps.push((NfTablesMessage::NewSetElement(members(table, name, keys)), NLM_F_CREATE));
    steps.push(chain(table, INPUT, InetHookNumber::LocalIn));
    steps.extend([Family::Ipv4, Family::Ipv6].map(|family| rule(table, INPUT, connection_refused(family))));
    steps
}

/// The table and its sets of addresses.
fn begin(table: &str, owned: bool) -> Vec<Step> {
    let mut attributes = vec![TableAttribute::Name(table.to_owned())];
    if owned {
        attributes.push(TableAttribute::Flags(TableFlags::Owner));
    }
    let mut steps = vec![(NfTablesMessage::NewTable(TableMessage { attributes }), NLM_F_CREATE)];
    for (id, family) in (1..).zip([Family::Ipv4, Family::Ipv6]) {
        let (name, kind, length) = set(family);
        steps.push(new_set(table, name, kind, length, id));
    }
    steps
}

fn new_set(table: &str, name: &str, kind: u32, length: u32, id: u32) -> Step {
    let attributes = vec![
        SetAttribute::Table(table.to_owned()),
        SetAttribute::Name(name.to_owned()),
        SetAttribute::KeyType(kind),
        SetAttribute::KeyLen(length),
        SetAttribute::Id(id),
    ];
    (NfTablesMessage::NewSet(SetMessage { attributes }), NLM_F_CREATE)
}

fn chain(table: &str, name: &str, hook: InetHookNumber) -> Step {
    let attributes = vec![
        ChainAttribute::Table(table.to_owned()),
        ChainAttribute::Name(name.to_owned()),
        ChainAttribute::Policy(NF_ACCEPT),
        ChainAttribute::Type("filter".to_owned()),
        ChainAttribute::Hook(vec![Hook::Number(hook.into()), Hook::Priority(PRIORITY.cast_unsigned())]),
    ];
    (NfTablesMessage::NewChain(ChainMessage { attributes }), NLM_F_CREATE)
}

/// What removes the table with all in it.
pub(super) fn delete(table: &str) -> Step {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    (NfTablesMessage::DeleteTable(TableMessage { attributes }), 0)
}

/// What puts addresses into the sets.
pub(super) fn add<'a>(table: &'a str, addresses: &'a [IpAddr]) -> impl Iterator<Item = Step> + 'a {
    elements(table, addresses).map(|message| (NfTablesMessage::NewSetElement(message), NLM_F_CREATE))
}

/// What takes addresses out of the sets.
pub(super) fn remove<'a>(table: &'a str, addresses: &'a [IpAddr]) -> impl Iterator<Item = Step> + 'a {
    elements(table, addresses).map(|message| (NfTablesMessage::DeleteSetElement(message), 0))
}

fn elements<'a>(table: &'a str, addresses: &'a [IpAddr]) -> impl Iterator<Item = SetElementMessage> + 'a {
    [Family::Ipv4, Family::Ipv6].into_iter().flat_map(move |family| {
        let of: Vec<IpAddr> =
            addresses.iter().copied().filter(|address| Family::of(*address) == family).collect();
        let message = |addresses: &[IpAddr]| {
            members(table, set(family).0, addresses.iter().map(|address| octets(*address)).collect())
        };
        of.chunks(ELEMENTS).map(message).collect::<Vec<_>>()
    })
}

fn members(table: &str, set: &str, keys: Vec<Vec<u8>>) -> SetElementMessage {
    let element = |key| ListAttribute::Element(vec![SetElementAttribute::Key(DataAttribute::Value(key))]);
    SetElementMessage {
        attributes: vec![
            SetElementList::Table(table.to_owned()),
            SetElementList::Set(set.to_owned()),
            SetElementList::Elements(keys.into_iter().map(element).collect()),
        ],
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Name, type of the keys as `nft` shows them, and their length in bytes.
fn set(family: Family) -> (&'static str, u32, u32) {
    if family == Family::Ipv4 { ("refused4", 7, 4) } else { ("refused6", 8, 16) }
}

fn rule(table: &str, chain: &str, expressions: Vec<Expressions>) -> Step {
    let attributes = vec![
        RuleAttribute::Table(table.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Expressions(expressions.into_iter().map(Into::into).collect()),
    ];
    (NfTablesMessage::NewRule(RuleMessage { attributes }), NLM_F_CREATE | NLM_F_APPEND)
}

fn discovery_passes() -> Vec<Expressions> {
    vec![
        load(MetaKey::Nfproto),
        compare(Operator::Equal, NFPROTO_IPV6),
        load(MetaKey::L4Proto),
        compare(Operator::Equal, ICMPV6),
        payload(TRANSPORT_HEADER, 0, 1),
        compare(Operator::GreatherThanEqual, DISCOVERY.0),
        compare(Operator::LessThanEqual, DISCOVERY.1),
        verdict(NF_ACCEPT),
    ]
}

/// What begins a connection, and only that: who is connected is told otherwise.
fn connection_refused(family: Family) -> Vec<Expressions> {
    let bits = |byte: u8| DataAttribute::Value(vec![byte]);
    let mut expressions = goes_to(family, false);
    expressions.extend([
        load(MetaKey::L4Proto),
        compare(Operator::Equal, TCP),
        payload(TRANSPORT_HEADER, DESTINATION_PORT_AT, PORTS.2),
        among(PORTS.0),
        payload(TRANSPORT_HEADER, TCP_FLAGS_AT, 1),
        Expressions::Bitwise(vec![
            Bitwise::SourceRegister(Register::Reg1),
            Bitwise::DestinationRegister(Register::Reg1),
            Bitwise::Length(1),
            Bitwise::Mask(bits(FIN_SYN_RST_ACK)),
            Bitwise::Xor(bits(0)),
        ]),
        compare(Operator::Equal, SYN),
        Expressions::Other {
            expression_type: "reject".to_owned(),
            attributes: vec![DefaultNla::new(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST.to_be_bytes().to_vec())],
        },
    ]);
    expressions
}

/// Out: what comes from one of the addresses; in: what goes to one.
fn address_drops(family: Family, out: bool) -> Vec<Expressions> {
    let mut expressions = goes_to(family, out);
    expressions.push(verdict(NF_DROP));
    expressions
}

/// In: what goes to one of the addresses; out: what comes from one.
fn goes_to(family: Family, out: bool) -> Vec<Expressions> {
    let (name, _, length) = set(family);
    let (protocol, source) = if family == Family::Ipv4 { (NFPROTO_IPV4, 12) } else { (NFPROTO_IPV6, 8) };
    let offset = if out { source } else { source + length };
    vec![
        load(MetaKey::Nfproto),
        compare(Operator::Equal, protocol),
        payload(NETWORK_HEADER, offset, length),
        among(name),
    ]
}

fn among(set: &str) -> Expressions {
    Expressions::Lookup(vec![Lookup::SourceRegister(Register::Reg1), Lookup::Set(set.to_owned())])
}

fn load(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(Register::Reg1)])
}

fn payload(base: u32, offset: u32, length: u32) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
}

fn compare(operator: Operator, byte: u8) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(vec![byte])),
    ])
}

fn verdict(code: u32) -> Expressions {
    let code = VerdictAttribute::Code(Verdict::Other(code));
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(vec![code])),
    ])
}
