//! Object identifiers, and the values that stand under them (RFC 2741 section 5). No bytes here.

use std::fmt;
use std::net::IpAddr;

/// A name in the tree: numbers, ordered one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Vec<u32>);

impl Oid {
    /// The most numbers that one may have (RFC 2578 section 3.5).
    pub const MOST: usize = 128;

    /// The numbers.
    #[must_use]
    pub fn parts(&self) -> &[u32] {
        &self.0
    }

    /// Whether it names nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.is_empty()
    }

    /// The name that has `more` behind this one.
    #[must_use]
    pub fn with(&self, more: &[u32]) -> Oid {
        Oid([self.parts(), more].concat())
    }

    /// Whether it is `subtree` or stands below it.
    #[must_use]
    pub fn is_within(&self, subtree: &Oid) -> bool {
        self.0.starts_with(&subtree.0)
    }
}

impl From<&[u32]> for Oid {
    fn from(parts: &[u32]) -> Self {
        Oid(parts.to_vec())
    }
}

impl From<Vec<u32>> for Oid {
    fn from(parts: Vec<u32>) -> Self {
        Oid(parts)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(place, part)| {
            let dot = if place == 0 { "" } else { "." };
            write!(f, "{dot}{part}")
        })
    }
}

/// What stands under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Integer(i32),
    /// Bytes, a text for instance.
    Octets(Vec<u8>),
    /// Nothing.
    Null,
    /// Another name.
    Oid(Oid),
    /// An IPv4 address.
    Ipv4([u8; 4]),
    /// A number that only grows, and begins again.
    Counter32(u32),
    /// A number that comes and goes; whole numbers without a sign too.
    Gauge(u32),
    /// Hundredths of a second.
    Ticks(u32),
    /// Bytes that only some understand.
    Opaque(Vec<u8>),
    /// A number that only grows.
    Counter64(u64),
    /// There is no object of this name.
    NoSuchObject,
    /// There is the object, and it has no such row.
    NoSuchInstance,
    /// Nothing comes behind this name.
    EndOfView,
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Value::Octets(text.as_bytes().to_vec())
    }

    /// A whole number without a sign; the greatest there is where it is greater.
    #[must_use]
    pub fn number(number: impl TryInto<u32>) -> Self {
        Value::Gauge(number.try_into().unwrap_or(u32::MAX))
    }

    /// One of two numbers.
    #[must_use]
    pub const fn either(first: bool, yes: i32, no: i32) -> Self {
        Value::Integer(if first { yes } else { no })
    }

    /// `TruthValue` of SNMPv2-TC.
    #[must_use]
    pub const fn truth(truth: bool) -> Self {
        Value::either(truth, 1, 2)
    }

    /// A counter of 32 bits: it begins again at 0.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "that is how such a counter begins again")]
    pub const fn wrapping(count: u64) -> Self {
        Value::Counter32(count as u32)
    }

    /// `InetAddress` of INET-ADDRESS-MIB.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Value::Octets(octets(address))
    }
}

/// The bytes of an address.
#[must_use]
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A name and what stands under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The name.
    pub name: Oid,
    /// What stands there.
    pub value: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_number_by_number_and_not_as_texts() {
        let of = |parts: &[u32]| Oid::from(parts);
        let mut names = [of(&[1, 10]), of(&[1, 9, 4_000_000_000]), of(&[1]), of(&[1, 9])];
        names.sort();
        let shown: Vec<_> = names.iter().map(Oid::to_string).collect();
        assert_eq!(shown, ["1", "1.9", "1.9.4000000000", "1.10"]);
        assert!(of(&[1, 9]).is_within(&of(&[1])) && !of(&[1]).is_within(&of(&[1, 9])));
    }

    #[test]
    fn a_counter_begins_again_and_a_number_does_not() {
        assert_eq!(Value::wrapping((1 << 32) + 7), Value::Counter32(7));
        assert_eq!(Value::number(1_u64 << 40), Value::Gauge(u32::MAX));
    }
}
