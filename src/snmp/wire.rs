//! The smallest parts of an `AgentX` message as bytes, in either byte order (RFC 2741 section 5).
//!
//! Whatever is read is checked against what is left: no length of the other side is believed.

use super::oid::{Binding, Oid, Value};
use std::fmt;

/// Names below this one are written without it.
const INTERNET: [u32; 4] = [1, 3, 6, 1];

/// In which order the bytes of a number stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The most significant first.
    Network,
    /// The least significant first.
    Little,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They end too early.
    Short,
    /// Bytes are left over.
    Trailing,
    /// Not version 1.
    Version(u8),
    /// A kind of message that nobody sends to a sub-agent.
    Kind(u8),
    /// It claims to be longer than any message.
    Long(usize),
    /// A name of more numbers than allowed.
    Name,
    /// A value of an unknown type.
    Type(u16),
    /// An IPv4 address that has not four bytes.
    Address,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Short => f.write_str("the message ends too early"),
            Malformed::Trailing => f.write_str("bytes follow where the message should end"),
            Malformed::Version(version) => write!(f, "AgentX version {version} is not 1"),
            Malformed::Kind(kind) => write!(f, "a message of kind {kind}"),
            Malformed::Long(length) => write!(f, "a message of {length} bytes"),
            Malformed::Name => write!(f, "a name of more than {} numbers", Oid::MOST),
            Malformed::Type(number) => write!(f, "a value of type {number}"),
            Malformed::Address => f.write_str("an IPv4 address that has not four bytes"),
        }
    }
}

/// Reads one part after the other.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(rest: &'a [u8], order: Order) -> Self {
        Reader { rest, order }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.bytes()?;
        Ok(if self.order == Order::Network { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.bytes()?;
        Ok(if self.order == Order::Network { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.bytes()?;
        Ok(if self.order == Order::Network { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// Bytes with their length before them, filled up to a multiple of four (section 5.3).
    pub(super) fn octets(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = self.u32()?;
        let length = usize::try_from(length).map_err(|_| Malformed::Short)?;
        let octets = self.take(length)?.to_vec();
        self.take(fill(length))?;
        Ok(octets)
    }

    /// A name, and its flag that says whether a search may find it itself (section 5.1).
    pub(super) fn oid(&mut self) -> Result<(Oid, bool), Malformed> {
        let [count, prefix, include, _reserved] = self.bytes()?;
        let mut parts = if prefix == 0 { Vec::new() } else { [&INTERNET[..], &[u32::from(prefix)]].concat() };
        if parts.len() + usize::from(count) > Oid::MOST {
            return Err(Malformed::Name);
        }
        for _ in 0..count {
            parts.push(self.u32()?);
        }
        Ok((Oid::from(parts), include != 0))
    }

    /// A name and what stands under it (section 5.4).
    pub(super) fn binding(&mut self) -> Result<Binding, Malformed> {
        let kind = self.u16()?;
        self.u16()?;
        let (name, _) = self.oid()?;
        let value = match kind {
            2 => Value::Integer(self.u32()?.cast_signed()),
            4 => Value::Octets(self.octets()?),
            5 => Value::Null,
            6 => Value::Oid(self.oid()?.0),
            64 => Value::Ipv4(self.octets()?.try_into().map_err(|_| Malformed::Address)?),
            65 => Value::Counter32(self.u32()?),
            66 => Value::Gauge(self.u32()?),
            67 => Value::Ticks(self.u32()?),
            68 => Value::Opaque(self.octets()?),
            70 => Value::Counter64(self.u64()?),
            128 => Value::NoSuchObject,
            129 => Value::NoSuchInstance,
            130 => Value::EndOfView,
            other => return Err(Malformed::Type(other)),
        };
        Ok(Binding { name, value })
    }

    /// All bindings up to the end.
    pub(super) fn bindings(&mut self) -> Result<Vec<Binding>, Malformed> {
        let mut bindings = Vec::new();
        while !self.is_done() {
            bindings.push(self.binding()?);
        }
        Ok(bindings)
    }
}

/// How many bytes are missing to a multiple of four.
const fn fill(length: usize) -> usize {
    (4 - length % 4) % 4
}

/// Writes one part after the other.
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
    order: Order,
}

impl Writer {
    pub(super) const fn new(order: Order) -> Self {
        Writer { bytes: Vec::new(), order }
    }

    pub(super) fn u16(&mut self, number: u16) {
        let network = self.order == Order::Network;
        self.bytes.extend(if network { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    pub(super) fn u32(&mut self, number: u32) {
        let network = self.order == Order::Network;
        self.bytes.extend(if network { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn u64(&mut self, number: u64) {
        let network = self.order == Order::Network;
        self.bytes.extend(if network { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        self.bytes.extend(octets);
        self.bytes.resize(self.bytes.len() + fill(octets.len()), 0);
    }

    pub(super) fn oid(&mut self, name: &Oid, include: bool) {
        let short = name.parts().strip_prefix(&INTERNET).and_then(|rest| {
            let (first, rest) = rest.split_first()?;
            Some((u8::try_from(*first).ok().filter(|first| *first > 0)?, rest))
        });
        let (prefix, parts) = short.unwrap_or((0, name.parts()));
        let count = u8::try_from(parts.len()).unwrap_or(u8::MAX);
        self.bytes.extend([count, prefix, u8::from(include), 0]);
        for part in &parts[..usize::from(count)] {
            self.u32(*part);
        }
    }

    pub(super) fn binding(&mut self, binding: &Binding) {
        let kind = match binding.value {
            Value::Integer(_) => 2,
            Value::Octets(_) => 4,
            Value::Null => 5,
            Value::Oid(_) => 6,
            Value::Ipv4(_) => 64,
            Value::Counter32(_) => 65,
            Value::Gauge(_) => 66,
            Value::Ticks(_) => 67,
            Value::Opaque(_) => 68,
            Value::Counter64(_) => 70,
            Value::NoSuchObject => 128,
            Value::NoSuchInstance => 129,
            Value::EndOfView => 130,
        };
        self.u16(kind);
        self.u16(0);
        self.oid(&binding.name, false);
        match &binding.value {
            Value::Integer(number) => self.u32(number.cast_unsigned()),
            Value::Octets(octets) | Value::Opaque(octets) => self.octets(octets),
            Value::Oid(oid) => self.oid(oid, false),
            Value::Ipv4(address) => self.octets(address),
            Value::Counter32(number) | Value::Gauge(number) | Value::Ticks(number) => self.u32(*number),
            Value::Counter64(number) => self.u64(*number),
            Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfView => {}
        }
    }
}
