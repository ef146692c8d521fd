//! Addresses and networks, and where on this host a router is.

use crate::agent::Link;
use crate::agent::config::{Interface, Router};
use std::net::IpAddr;

/// Whether `address` is in `network`/`prefix`. Never where the families differ.
#[must_use]
pub fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let (bits, address, network) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (32, address.to_bits().into(), network.to_bits().into())
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (128, address.to_bits(), network.to_bits()),
        _ => return false,
    };
    let apart: u128 = address ^ network;
    apart.checked_shr(bits - u32::from(prefix).min(bits)).unwrap_or(0) == 0
}

/// The interface that a router is on.
#[must_use]
pub fn place<'a>(router: &Router, links: &'a [Link]) -> Option<&'a Link> {
    links.iter().find(|link| match &router.interface {
        Interface::Named(name) => link.name == *name,
        Interface::Subnet(network, prefix) => {
            link.addresses.iter().any(|own| within(own.address, *network, *prefix))
        }
    })
}

/// Whether an address of the link is in one subnet with `address`.
#[must_use]
pub fn reaches(link: &Link, address: IpAddr) -> bool {
    link.addresses.iter().any(|own| within(address, own.address, own.prefix))
}

/// Six bytes as they are written.
#[must_use]
pub(super) fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_by_the_bits_of_its_prefix() {
        let is = |address: &str, network: &str, prefix| {
            within(address.parse().unwrap(), network.parse().unwrap(), prefix)
        };
        assert!(is("10.0.0.1", "10.0.0.0", 24) && !is("10.0.1.1", "10.0.0.0", 24));
        assert!(is("10.0.0.1", "0.0.0.0", 0) && is("10.0.0.1", "10.0.0.1", 32));
        assert!(is("fe80::1", "fe80::", 10) && !is("fd00::1", "fe80::", 10) && !is("10.0.0.1", "::", 0));
    }
}
