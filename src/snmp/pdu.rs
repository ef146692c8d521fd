//! `AgentX` messages as bytes: the header and each kind that master and sub-agent send each other
//! (RFC 2741 section 6). What they mean is in `answer` and `session`.

use super::oid::{Binding, Oid};
pub use super::wire::{Malformed, Order};
use super::wire::{Reader, Writer};

/// The bytes of a header.
pub const HEADER: usize = 20;
/// The longest message that is believed to be one, header included.
pub const LONGEST: usize = 1 << 20;

/// A context follows the header.
const NON_DEFAULT_CONTEXT: u8 = 0x08;
/// Numbers stand with their most significant byte first.
const NETWORK_BYTE_ORDER: u8 = 0x10;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdu {
    /// The order of its bytes; an answer has that of its question.
    pub order: Order,
    /// The session, as the master agent calls it.
    pub session: u32,
    /// What belongs to one question of a manager.
    pub transaction: u32,
    /// The number of the message; an answer has that of its question.
    pub packet: u32,
    /// Another view of the tree than the usual one.
    pub context: Option<Vec<u8>>,
    /// What it says.
    pub body: Body,
}

/// Names to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Behind this one.
    pub from: Oid,
    /// Or at it.
    pub include: bool,
    /// Before this one; to the end where null.
    pub to: Oid,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Begin a session.
    Open {
        /// How long the master agent waits for an answer, in seconds; 0 for its own idea of that.
        timeout: u8,
        /// Who speaks, as a name in the tree.
        id: Oid,
        /// Who speaks, for people.
        description: Vec<u8>,
    },
    /// End the session.
    Close {
        /// Why, by number.
        reason: u8,
    },
    /// Ask here for everything below a name.
    Register {
        /// As in `Open`.
        timeout: u8,
        /// The smaller one wins where two have registered the same.
        priority: u8,
        /// The name.
        subtree: Oid,
    },
    /// What stands at these names?
    Get(Vec<Range>),
    /// What stands at the first name in each of these ranges?
    GetNext(Vec<Range>),
    /// The same for many rows.
    GetBulk {
        /// How many ranges are asked only once.
        once: u16,
        /// How often the others are.
        times: u16,
        /// The ranges.
        ranges: Vec<Range>,
    },
    /// Could this be set?
    TestSet(Vec<Binding>),
    /// Set it.
    CommitSet,
    /// Take it back.
    UndoSet,
    /// Forget about it.
    CleanupSet,
    /// Something happened.
    Notify(Vec<Binding>),
    /// Are you there?
    Ping,
    /// The answer.
    Response {
        /// How long the master agent runs, in hundredths of a second.
        uptime: u32,
        /// What went wrong; 0 for nothing.
        error: u16,
        /// With which binding, counted from 1.
        index: u16,
        /// What was asked for.
        bindings: Vec<Binding>,
    },
}

impl Body {
    const fn kind(&self) -> u8 {
        match self {
            Body::Open { .. } => 1,
            Body::Close { .. } => 2,
            Body::Register { .. } => 3,
            Body::Get(_) => 5,
            Body::GetNext(_) => 6,
            Body::GetBulk { .. } => 7,
            Body::TestSet(_) => 8,
            Body::CommitSet => 9,
            Body::UndoSet => 10,
            Body::CleanupSet => 11,
            Body::Notify(_) => 12,
            Body::Ping => 13,
            Body::Response { .. } => 18,
        }
    }
}

/// Whether a context may stand behind the header of this kind.
const fn takes_context(kind: u8) -> bool {
    !matches!(kind, 1 | 2 | 9 | 10 | 11 | 18)
}

impl Pdu {
    /// How long the message is that begins with this header.
    ///
    /// # Errors
    /// It is none, or longer than [`LONGEST`].
    pub fn length(header: &[u8; HEADER]) -> Result<usize, Malformed> {
        let (mut reader, [version, ..]) = begin(header)?;
        if version != 1 {
            return Err(Malformed::Version(version));
        }
        for _ in 0..3 {
            reader.u32()?;
        }
        let payload = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let length = payload.saturating_add(HEADER);
        if length > LONGEST { Err(Malformed::Long(length)) } else { Ok(length) }
    }

    /// Reads one whole message.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(bytes: &[u8]) -> Result<Pdu, Malformed> {
        let header = bytes.first_chunk().ok_or(Malformed::Short)?;
        let length = Pdu::length(header)?;
        match bytes.len() {
            have if have < length => return Err(Malformed::Short),
            have if have > length => return Err(Malformed::Trailing),
            _ => {}
        }
        let (mut reader, [_, kind, flags, _]) = begin(bytes)?;
        let (session, transaction, packet) = (reader.u32()?, reader.u32()?, reader.u32()?);
        reader.u32()?;
        let given = flags & NON_DEFAULT_CONTEXT != 0 && takes_context(kind);
        let context = if given { Some(reader.octets()?) } else { None };
        let body = body(kind, &mut reader)?;
        if !reader.is_done() {
            return Err(Malformed::Trailing);
        }
        Ok(Pdu { order: order(flags), session, transaction, packet, context, body })
    }

    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let kind = self.body.kind();
        let mut payload = Writer::new(self.order);
        let context = self.context.as_ref().filter(|_| takes_context(kind));
        if let Some(context) = context {
            payload.octets(context);
        }
        put(&self.body, &mut payload);
        let flags = if self.order == Order::Network { NETWORK_BYTE_ORDER } else { 0 }
            | if context.is_some() { NON_DEFAULT_CONTEXT } else { 0 };
        let mut writer = Writer::new(self.order);
        writer.bytes.extend([1, kind, flags, 0]);
        let length = u32::try_from(payload.bytes.len()).unwrap_or(u32::MAX);
        for number in [self.session, self.transaction, self.packet, length] {
            writer.u32(number);
        }
        writer.bytes.extend(payload.bytes);
        writer.bytes
    }
}

const fn order(flags: u8) -> Order {
    if flags & NETWORK_BYTE_ORDER == 0 { Order::Little } else { Order::Network }
}

/// The first four bytes, and what reads the others.
fn begin(bytes: &[u8]) -> Result<(Reader<'_>, [u8; 4]), Malformed> {
    let (first, rest) = bytes.split_first_chunk().ok_or(Malformed::Short)?;
    let [_, _, flags, _] = *first;
    Ok((Reader::new(rest, order(flags)), *first))
}

fn body(kind: u8, reader: &mut Reader<'_>) -> Result<Body, Malformed> {
    Ok(match kind {
        1 => {
            let [timeout, ..] = reader.bytes::<4>()?;
            Body::Open { timeout, id: reader.oid()?.0, description: reader.octets()? }
        }
        2 => {
            let [reason, ..] = reader.bytes::<4>()?;
            Body::Close { reason }
        }
        3 => {
            // A range of names, of which this knows only that of one.
            let [timeout, priority, 0, _reserved] = reader.bytes::<4>()? else {
                return Err(Malformed::Kind(kind));
            };
            Body::Register { timeout, priority, subtree: reader.oid()?.0 }
        }
        5 => Body::Get(ranges(reader)?),
        6 => Body::GetNext(ranges(reader)?),
        7 => Body::GetBulk { once: reader.u16()?, times: reader.u16()?, ranges: ranges(reader)? },
        8 => Body::TestSet(reader.bindings()?),
        9 => Body::CommitSet,
        10 => Body::UndoSet,
        11 => Body::CleanupSet,
        12 => Body::Notify(reader.bindings()?),
        13 => Body::Ping,
        18 => Body::Response {
            uptime: reader.u32()?,
            error: reader.u16()?,
            index: reader.u16()?,
            bindings: reader.bindings()?,
        },
        other => return Err(Malformed::Kind(other)),
    })
}

fn ranges(reader: &mut Reader<'_>) -> Result<Vec<Range>, Malformed> {
    let mut ranges = Vec::new();
    while !reader.is_done() {
        let (from, include) = reader.oid()?;
        ranges.push(Range { from, include, to: reader.oid()?.0 });
    }
    Ok(ranges)
}

fn put(body: &Body, writer: &mut Writer) {
    match body {
        Body::Open { timeout, id, description } => {
            writer.bytes.extend([*timeout, 0, 0, 0]);
            writer.oid(id, false);
            writer.octets(description);
        }
        Body::Close { reason } => writer.bytes.extend([*reason, 0, 0, 0]),
        Body::Register { timeout, priority, subtree } => {
            writer.bytes.extend([*timeout, *priority, 0, 0]);
            writer.oid(subtree, false);
        }
        Body::Get(ranges) | Body::GetNext(ranges) => put_ranges(ranges, writer),
        Body::GetBulk { once, times, ranges } => {
            writer.u16(*once);
            writer.u16(*times);
            put_ranges(ranges, writer);
        }
        Body::TestSet(bindings) | Body::Notify(bindings) => {
            for binding in bindings {
                writer.binding(binding);
            }
        }
        Body::CommitSet | Body::UndoSet | Body::CleanupSet | Body::Ping => {}
        Body::Response { uptime, error, index, bindings } => {
            writer.u32(*uptime);
            writer.u16(*error);
            writer.u16(*index);
            for binding in bindings {
                writer.binding(binding);
            }
        }
    }
}

fn put_ranges(ranges: &[Range], writer: &mut Writer) {
    for range in ranges {
        writer.oid(&range.from, range.include);
        writer.oid(&range.to, false);
    }
}

#[cfg(test)]
mod tests {
    use super::super::oid::Value;
    use super::*;

    fn pdu(order: Order, body: Body) -> Pdu {
        Pdu { order, session: 7, transaction: 8, packet: 9, context: None, body }
    }

    fn name(parts: &[u32]) -> Oid {
        Oid::from(parts)
    }

    /// Laid out by hand after section 6.2.5, with the short form of section 5.1.
    #[test]
    fn a_question_reads_as_the_rfc_lays_it_out_in_both_byte_orders() {
        let network: &[u8] = &[
            1, 5, 0x10, 0, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 20, // the header
            3, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 68, 0, 0, 1, 0, // 1.3.6.1.2.1.68.256
            0, 0, 0, 0, // no end
        ];
        let little: &[u8] = &[
            1, 5, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 20, 0, 0, 0, //
            3, 2, 0, 0, 1, 0, 0, 0, 68, 0, 0, 0, 0, 1, 0, 0, //
            0, 0, 0, 0,
        ];
        let range = Range { from: name(&[1, 3, 6, 1, 2, 1, 68, 256]), include: false, to: Oid::default() };
        for (bytes, order) in [(network, Order::Network), (little, Order::Little)] {
            let read = pdu(order, Body::Get(vec![range.clone()]));
            assert_eq!(Pdu::decode(bytes), Ok(read.clone()));
            assert_eq!(read.encode(), bytes);
        }
    }

    /// Section 6.2.16: an answer with a text, which is filled up, and a number below zero.
    #[test]
    fn an_answer_is_written_as_the_rfc_lays_it_out() {
        let bindings = vec![
            Binding { name: name(&[1, 3, 6, 1, 4, 1]), value: Value::text("lab") },
            Binding { name: name(&[1, 2]), value: Value::Integer(-2) },
        ];
        let body = Body::Response { uptime: 0, error: 17, index: 1, bindings };
        let expected: &[u8] = &[
            1, 18, 0x10, 0, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 48, //
            0, 0, 0, 0, 0, 17, 0, 1, // uptime, error, index
            0, 4, 0, 0, 1, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, b'l', b'a', b'b', 0, //
            0, 2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 254,
        ];
        assert_eq!(pdu(Order::Network, body).encode(), expected);
    }

    /// One of each kind, with every type of value.
    fn all() -> Vec<Body> {
        let at = name(&[1, 3, 6, 1, 4, 1, 9586, 100, 5]);
        let range = Range { from: at.clone(), include: true, to: name(&[1, 3, 7]) };
        let values = [
            Value::Integer(-5),
            Value::text("text"),
            Value::Null,
            Value::Oid(name(&[2, 5])),
            Value::Ipv4([10, 0, 0, 1]),
            Value::Counter32(1),
            Value::Gauge(u32::MAX),
            Value::Ticks(3),
            Value::Opaque(vec![1]),
            Value::Counter64(u64::MAX - 1),
            Value::NoSuchObject,
            Value::NoSuchInstance,
            Value::EndOfView,
        ];
        let bindings: Vec<_> = values.map(|value| Binding { name: at.clone(), value }).into();
        vec![
            Body::Open { timeout: 5, id: Oid::default(), description: b"locum".to_vec() },
            Body::Close { reason: 5 },
            Body::Register { timeout: 0, priority: 127, subtree: at.clone() },
            Body::Get(vec![range.clone()]),
            Body::GetNext(vec![range.clone(), range.clone()]),
            Body::GetBulk { once: 1, times: 9, ranges: vec![range] },
            Body::TestSet(bindings.clone()),
            Body::CommitSet,
            Body::UndoSet,
            Body::CleanupSet,
            Body::Notify(bindings.clone()),
            Body::Ping,
            Body::Response { uptime: 1, error: 2, index: 3, bindings },
        ]
    }

    #[test]
    fn every_kind_comes_back_the_same_in_both_byte_orders_with_a_context_and_without() {
        for body in all() {
            for order in [Order::Network, Order::Little] {
                let mut sent = pdu(order, body.clone());
                assert_eq!(Pdu::decode(&sent.encode()), Ok(sent.clone()));
                if takes_context(body.kind()) {
                    sent.context = Some(b"view".to_vec());
                    assert_eq!(Pdu::decode(&sent.encode()), Ok(sent));
                }
            }
        }
    }

    #[test]
    fn a_message_that_is_cut_off_anywhere_is_refused() {
        for body in all() {
            let whole = pdu(Order::Little, body).encode();
            for end in 0..whole.len() {
                assert_eq!(Pdu::decode(&whole[..end]), Err(Malformed::Short));
            }
            assert_eq!(Pdu::decode(&[&whole[..], &[0]].concat()), Err(Malformed::Trailing));
        }
    }

    #[test]
    fn lengths_that_lie_are_refused_and_cost_no_memory() {
        let mut open = pdu(Order::Network, all().swap_remove(0)).encode();
        let description = open.len() - 12;
        open[description..description + 4].fill(255);
        assert_eq!(Pdu::decode(&open), Err(Malformed::Short));
        let mut ping = pdu(Order::Network, Body::Ping).encode();
        ping[16..20].fill(255);
        assert!(matches!(Pdu::decode(&ping), Err(Malformed::Long(_))));
        ping[0] = 2;
        assert_eq!(Pdu::decode(&ping), Err(Malformed::Version(2)));
        let long = name(&[1; 129]);
        let get =
            pdu(Order::Network, Body::Get(vec![Range { from: long, include: false, to: Oid::default() }]));
        assert_eq!(Pdu::decode(&get.encode()), Err(Malformed::Name));
    }
}
