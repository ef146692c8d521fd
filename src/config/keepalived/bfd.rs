//! `bfd_instance`: a BFD session with a neighbour, which instances track.

use super::document::Bfd;
use super::keywords::Block;
use super::report::Report;
use super::statement::{Statement, statements};
use super::track::MOST;
use super::tree::Word;
use super::value;
use crate::check::{Probe, Schedule, Spec, bfd, bfd_session::Timing};
use crate::config::section::Wrong;
use serde_spanned::Spanned;
use std::time::Duration;

/// The longest name.
const LONGEST: usize = 31;
/// The longest time, in milliseconds.
const LONGEST_TIME: f64 = 1_000_000.0;

/// Reads a `bfd_instance`.
pub(super) fn session(statement: &Statement<'_>) -> Option<Bfd> {
    let mut bfd = Bfd {
        name: statement.title()?,
        neighbor_ip: None,
        interface: None,
        source_ip: None,
        min_rx: None,
        min_tx: None,
        idle_tx: None,
        multiplier: None,
        passive: None,
        ttl: None,
        max_hops: None,
        multihop: None,
        weight: None,
    };
    let mut vrrp = None;
    for inner in statements(statement.members(), Block::Bfd, statement.context) {
        let time = |slot: &mut Option<Spanned<Duration>>| inner.one(slot, value::millis(0.001, LONGEST_TIME));
        match inner.name {
            "neighbor_ip" | "neighbour_ip" => neighbor(&inner, &mut bfd),
            "source_ip" => inner.one(&mut bfd.source_ip, value::ip),
            "min_rx" => time(&mut bfd.min_rx),
            "min_tx" => time(&mut bfd.min_tx),
            "idle_tx" => time(&mut bfd.idle_tx),
            "multiplier" => inner.one(&mut bfd.multiplier, value::number(1, 255)),
            "passive" => inner.bare(&mut bfd.passive),
            "ttl" | "hoplimit" => inner.one(&mut bfd.ttl, value::number(1, 255)),
            "max_hops" => inner.one(&mut bfd.max_hops, hops),
            "multihop" => inner.flag(&mut bfd.multihop),
            "weight" => inner.weight(&mut bfd.weight, MOST),
            // Where the events go: there is but one place.
            "vrrp" => inner.bare(&mut vrrp),
            _ => inner.not_read(),
        }
    }
    complete(&bfd, statement.report()).then_some(bfd)
}

/// How many hops away a neighbour may be; -1 is any number.
fn hops(word: &Word) -> Result<u8, Wrong> {
    if word.text == "-1" { Ok(u8::MAX) } else { value::number(0, 255)(word) }
}

/// `ADDRESS[%INTERFACE]`
fn neighbor(inner: &Statement<'_>, bfd: &mut Bfd) {
    let part = |word: &Word, text: &str| Word { text: text.to_owned(), ..word.clone() };
    inner.one(&mut bfd.neighbor_ip, |word| {
        value::ip(&part(word, word.text.split_once('%').map_or(&*word.text, |(address, _)| address)))
    });
    bfd.interface = inner.node.arguments().first().and_then(|word| {
        let (_, interface) = word.text.split_once('%')?;
        Some(Spanned::new(word.span.clone(), interface.to_owned()))
    });
}

fn complete(bfd: &Bfd, report: &Report) -> bool {
    let name = bfd.name.get_ref();
    if name.len() > LONGEST {
        report.refuse(&bfd.name.span(), format!("{name} is longer than {LONGEST} bytes"), "shorten it");
        return false;
    }
    let Some(neighbor) = &bfd.neighbor_ip else {
        let message = format!("BFD session {name} has no neighbour");
        report.refuse(&bfd.name.span(), message, "add: neighbor_ip ADDRESS");
        return false;
    };
    if bfd::needs_device(*neighbor.get_ref()) && bfd.interface.is_none() {
        let message = format!("{} is on every link", neighbor.get_ref());
        report.refuse(&neighbor.span(), message, "name the link behind it: ADDRESS%INTERFACE");
        return false;
    }
    if let Some(source) = &bfd.source_ip
        && source.get_ref().is_ipv4() != neighbor.get_ref().is_ipv4()
    {
        let message = "neighbor_ip and source_ip are of different families";
        report.refuse(&source.span(), message, "name addresses of one family");
        return false;
    }
    true
}

/// Whether an earlier session has the same neighbour, which is told of.
pub(super) fn is_taken(bfd: &Bfd, earlier: &[Bfd], report: &Report) -> bool {
    let neighbor = |bfd: &Bfd| bfd.neighbor_ip.as_ref().map(|it| *it.get_ref());
    let first = earlier.iter().find(|other| neighbor(other) == neighbor(bfd));
    if let (Some(first), Some(written)) = (first, &bfd.neighbor_ip) {
        let message = format!("{} is the neighbour of {} already", written.get_ref(), first.name.get_ref());
        report.refuse(&written.span(), message, "track that session, and remove this one");
    }
    first.is_some()
}

/// What it is to Locum.
pub(super) fn spec(bfd: &Bfd) -> Option<Spec> {
    let time =
        |written: &Option<Spanned<Duration>>, usual| written.as_ref().map_or(usual, |it| *it.get_ref());
    let usual = Timing::default();
    let timing = Timing {
        min_tx: time(&bfd.min_tx, usual.min_tx),
        min_rx: time(&bfd.min_rx, usual.min_rx),
        idle_tx: time(&bfd.idle_tx, usual.idle_tx),
        multiplier: bfd.multiplier.as_ref().map_or(usual.multiplier, |it| *it.get_ref()),
        passive: bfd.passive.is_some(),
    };
    let number = |written: &Option<Spanned<u8>>, usual| written.as_ref().map_or(usual, |it| *it.get_ref());
    let config = bfd::Config {
        neighbor: *bfd.neighbor_ip.as_ref()?.get_ref(),
        timing,
        ttl: number(&bfd.ttl, u8::MAX),
        max_hops: number(&bfd.max_hops, 0),
        multihop: bfd.multihop.as_ref().is_some_and(|it| *it.get_ref()),
    };
    let source = bfd.source_ip.as_ref().map(|it| *it.get_ref());
    let device = bfd.interface.as_ref().map(|it| it.get_ref().clone());
    Some(Spec { probe: Probe::Bfd(config), schedule: Schedule { source, device, ..Schedule::default() } })
}
