//! The internet checksum, as VRRP uses it: RFC 1071 sums, with or without a pseudo-header.
//!
//! RFC 9568 section 5.2.8, RFC 3768 section 5.3.8. Which reading an instance sends is policy and
//! lives elsewhere; here are only the sums.

use super::PROTOCOL;
use std::net::IpAddr;

/// The sum of a correct message, its checksum included. Verifying compares with this and never
/// with a recomputed checksum: so 0x0000 and 0xFFFF, the two spellings of zero, are both accepted.
pub(super) const CORRECT: u16 = 0xFFFF;

/// The one's complement sum of `message` and of `start`, a sum made before.
pub(super) fn sum(start: u64, message: &[u8]) -> u16 {
    fold(start + words(message))
}

/// The unfolded sum of the pseudo-header in front of `length` bytes of VRRP. IPv4 (RFC 5798) and
/// IPv6 (RFC 8200 section 8.1) pad differently, which a sum does not see.
pub(super) fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> u64 {
    let address = |ip| match ip {
        IpAddr::V4(v4) => words(&v4.octets()),
        IpAddr::V6(v6) => words(&v6.octets()),
    };
    address(source) + address(destination) + u64::from(PROTOCOL) + length as u64
}

/// Big-endian 16-bit words, an odd last byte padded with zero.
fn words(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [high] => u64::from(u16::from_be_bytes([high, 0])),
            _ => 0,
        })
        .sum()
}

/// Adds the carries back in until none is left.
fn fold(mut sum: u64) -> u16 {
    loop {
        match u16::try_from(sum) {
            Ok(folded) => return folded,
            Err(_) => sum = (sum >> 16) + (sum & 0xFFFF),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_to_ddf2() {
        let example = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(0, &example), 0xddf2);
    }

    #[test]
    fn an_odd_last_byte_is_the_high_half_of_a_word() {
        assert_eq!(sum(0, &[0x12, 0x34, 0x56]), 0x1234 + 0x5600);
    }

    #[test]
    fn carries_of_carries_are_added_too() {
        assert_eq!(sum(0, &vec![0xFF; 65_535]), 0xFF00);
        assert_eq!(sum(0xFFFF_FFFF, &[]), 0xFFFF);
    }
}
