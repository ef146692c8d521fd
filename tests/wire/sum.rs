//! The internet checksum once more, so that the tests do not believe the code they test.

/// The one's complement sum of `bytes`, 0xFFFF where a checksum in them is right.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    bytes.chunks(2).fold(0, |sum: u16, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}
