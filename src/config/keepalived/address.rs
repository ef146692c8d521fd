//! `virtual_ipaddress` and its kin: one address a line, with what the kernel is told about it.

use super::document::Written;
use super::report::Report;
use super::statement::Statement;
use super::statics::only_static;
use super::tree::{Node, Word};
use super::value;
use crate::config::problem::{Finding, Span};
use crate::config::section::Wrong;
use crate::config::suggest::nearest;
use serde_spanned::Spanned;
use std::net::IpAddr;

/// `IP[/len] [brd IP|+|-] [dev IF] [scope S] [label L] …`
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are named as the words they hold")]
#[expect(clippy::struct_excessive_bools, reason = "each is a word that stands there or not")]
pub struct Address {
    /// All of it.
    pub span: Span,
    pub address: IpAddr,
    /// 32 or 128 unless written.
    pub prefix: u8,
    pub brd: Written<Broadcast>,
    pub dev: Written<String>,
    /// As the kernel counts: 0 global, 200 site, 253 link, 254 host.
    pub scope: Written<u8>,
    pub label: Written<String>,
    pub peer: Written<(IpAddr, Option<u8>)>,
    /// Seconds; `None` is forever.
    pub preferred_lft: Written<Option<u32>>,
    pub track_group: Written<String>,
    pub home: bool,
    /// `-nodad`: look for duplicates, which is off otherwise.
    pub dad: bool,
    pub mngtmpaddr: bool,
    pub noprefixroute: bool,
    pub autojoin: bool,
    pub no_track: bool,
    pub use_vmac: bool,
}

/// `brd`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// `+`: the last address of the network.
    Last,
    /// `-`: the first.
    First,
    /// This one.
    At(IpAddr),
}

/// Names of the kernel's scopes.
pub(super) const SCOPES: &[(&str, u8)] =
    &[("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)];

/// What follows an address: words with a value, and words alone.
const OPTIONS: [&str; 16] = [
    "dev",
    "label",
    "brd",
    "broadcast",
    "scope",
    "peer",
    "preferred_lft",
    "track_group",
    "home",
    "-nodad",
    "mngtmpaddr",
    "noprefixroute",
    "autojoin",
    "no_track",
    "use_vmac",
    "nodad",
];

/// Reads every line of the block of `statement` onto `list`.
pub(super) fn addresses(statement: &Statement<'_>, list: &mut Vec<Address>) {
    for node in statement.members() {
        let mut found = one(node, statement.report());
        if let Some(address) = &mut found {
            only_static(statement, &mut address.track_group);
        }
        list.extend(found);
    }
    statement.no_more_words();
}

fn one(node: &Node, report: &Report) -> Option<Address> {
    let mut words = Words { left: &node.words, report };
    // `ip addr` lets one write the word, and keepalived too.
    if let [first, _, ..] = words.left
        && matches!(first.text.as_str(), "ip" | "address")
    {
        words.next();
    }
    let word = words.next()?;
    let (address, prefix) = words.read(word, value::prefixed)?.into_inner();
    let mut found = Address {
        span: node.extent(),
        address,
        prefix: prefix.unwrap_or(value::longest(address)),
        brd: None,
        dev: None,
        scope: None,
        label: None,
        peer: None,
        preferred_lft: None,
        track_group: None,
        home: false,
        dad: false,
        mngtmpaddr: false,
        noprefixroute: false,
        autojoin: false,
        no_track: false,
        use_vmac: false,
    };
    while let Some(word) = words.next() {
        option(&mut found, word, &mut words);
    }
    if let Some(block) = &node.block {
        report.refuse(&block.open, "an address has no block", "remove the braces");
    }
    Some(found)
}

fn option(address: &mut Address, word: &Word, words: &mut Words<'_>) {
    match word.text.as_str() {
        "dev" => address.dev = words.value(word, value::interface),
        "label" => address.label = words.value(word, value::text),
        "brd" | "broadcast" => address.brd = words.value(word, broadcast),
        "scope" => address.scope = words.value(word, scope),
        "peer" => address.peer = words.value(word, value::prefixed),
        "preferred_lft" => address.preferred_lft = words.value(word, lifetime),
        "track_group" => address.track_group = words.value(word, value::text),
        "home" => address.home = true,
        "-nodad" => address.dad = true,
        // Written by those who know the word from ip; it is so anyway.
        "nodad" => {}
        "mngtmpaddr" => address.mngtmpaddr = true,
        "noprefixroute" => address.noprefixroute = true,
        "autojoin" => address.autojoin = true,
        "no_track" => address.no_track = true,
        "use_vmac" => address.use_vmac = true,
        other => {
            let help = match nearest(other, OPTIONS) {
                _ if other.parse::<IpAddr>().is_ok() => "write one address a line".to_owned(),
                Some(near) => format!("did you mean {near}?"),
                None => "an address is followed by dev, label, scope, brd and the like; or put # before it"
                    .to_owned(),
            };
            words.report.refuse(&word.span, format!("unknown word {other} after an address"), help);
        }
    }
}

fn broadcast(word: &Word) -> Result<Broadcast, Wrong> {
    match word.text.as_str() {
        "+" => Ok(Broadcast::Last),
        "-" => Ok(Broadcast::First),
        _ => value::ip(word).map(Broadcast::At),
    }
}

/// A scope by name or number.
pub(super) fn scope(word: &Word) -> Result<u8, Wrong> {
    word.text.parse().or_else(|_| value::choice(SCOPES)(word))
}

fn lifetime(word: &Word) -> Result<Option<u32>, Wrong> {
    if word.text == "forever" { Ok(None) } else { value::number(0, i64::from(u32::MAX))(word).map(Some) }
}

/// The words of one line, taken one by one.
pub(super) struct Words<'a> {
    pub(super) left: &'a [Word],
    pub(super) report: &'a Report,
}

impl<'a> Words<'a> {
    pub(super) fn next(&mut self) -> Option<&'a Word> {
        let (first, left) = self.left.split_first()?;
        self.left = left;
        Some(first)
    }

    /// The next word if it is `wanted`.
    pub(super) fn skip(&mut self, wanted: &str) -> bool {
        let found = self.left.first().is_some_and(|word| word.text == wanted);
        if found {
            self.next();
        }
        found
    }

    /// `word` read; reported where it is wrong.
    pub(super) fn read<T>(
        &self,
        word: &Word,
        read: impl Fn(&Word) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        match read(word) {
            Ok(value) => Some(Spanned::new(word.span.clone(), value)),
            Err(wrong) => {
                let message = match wrong.message.strip_prefix("this is ") {
                    Some(rest) => format!("here is {rest}"),
                    None => wrong.message,
                };
                let finding = Finding::error(&word.span, message);
                let finding = match wrong.help {
                    Some(help) => finding.help(help),
                    None => finding,
                };
                self.report.refuse_finding(finding, &word.span);
                None
            }
        }
    }

    /// The value after `name`, read.
    pub(super) fn value<T>(
        &mut self,
        name: &Word,
        read: impl Fn(&Word) -> Result<T, Wrong>,
    ) -> Option<Spanned<T>> {
        let Some(word) = self.next() else {
            let help = "write it on the same line, or remove the word";
            self.report.refuse(&name.span, format!("{} has no value", name.text), help);
            return None;
        };
        self.read(word, read)
    }
}
