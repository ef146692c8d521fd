//! `peers` of a router: their addresses, and from how far the adverts of each may come.

use super::problem::Finding;
use super::section::Section;
use super::value::{ip, number};
use serde_spanned::Spanned;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// As written.
pub(super) type Peers = Spanned<Vec<Spanned<IpAddr>>>;

/// What TTLs or hop limits the adverts of one peer may have.
pub(super) struct Distance {
    pub(super) peer: IpAddr,
    pub(super) min_ttl: Option<Spanned<u8>>,
    pub(super) max_ttl: Option<Spanned<u8>>,
}

impl Distance {
    /// `usual` is the smallest where this peer has none of its own.
    pub(super) fn bounds(&self, usual: Option<u8>) -> (IpAddr, RangeInclusive<u8>) {
        let value = |written: &Option<Spanned<u8>>| written.as_ref().map(|ttl| *ttl.get_ref());
        let least = value(&self.min_ttl).or(usual).unwrap_or(0);
        (self.peer, least..=value(&self.max_ttl).unwrap_or(u8::MAX))
    }
}

pub(super) fn read(section: &Section<'_>) -> (Option<Peers>, Vec<Distance>) {
    const KEY: &str = "peers";
    let span = section.raw(KEY).map(Spanned::span);
    let (mut peers, mut distances) = (Vec::new(), Vec::new());
    let Some((span, members)) = span.zip(section.members(KEY, "a list: [ … ]")) else {
        return (None, distances);
    };
    for value in members {
        if !value.get_ref().is_table() {
            match ip(value) {
                Ok(address) => peers.push(Spanned::new(value.span(), address)),
                Err(wrong) => section.wrong(KEY, value, wrong),
            }
            continue;
        }
        let Some(table) = section.inner(KEY, value, format!("a peer of {}", section.title)) else { continue };
        let address = table.required("address", "address = \"10.0.0.2\"", ip);
        let min_ttl = table.optional("min_ttl", number(0, 255));
        let max_ttl = table.optional("max_ttl", number(0, 255));
        table.finish();
        if let (Some(least), Some(most)) = (&min_ttl, &max_ttl)
            && least.get_ref() > most.get_ref()
        {
            let finding = Finding::error(&least.span(), "min_ttl is above max_ttl: nothing would be heard");
            section.sink().add(finding.also(&most.span(), "the other").help("remove one"));
        }
        if let Some(address) = address {
            distances.push(Distance { peer: *address.get_ref(), min_ttl, max_ttl });
            peers.push(address);
        }
    }
    (Some(Spanned::new(span, peers)), distances)
}
