//! `[claim]`: who votes on who may hold, and by what key they know each other; or which etcd grants it (`store`).

use super::problem::{Finding, Sink};
use super::router::Keys;
use super::section::{Section, Value, Wrong};
use super::value::{choice, some_time, text};
use super::{Secrets, file, secret, store, vote_path};
use crate::agent::RouterName;
use crate::agent::config::{Claims, Router, Vote};
use crate::claim::quorum::Quorum;
use crate::claim::{Ttl, VoterId};
use crate::net::etcd::Settings;
use crate::net::vote_socket::SecondPath;
use crate::vrrp::auth::Secret;
use serde_spanned::Spanned;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// Where voters vote, if nothing else is said.
pub const PORT: u16 = 5112;

pub(super) const QUORUMS: &[(&str, Quorum)] =
    &[("off", Quorum::Off), ("prefer", Quorum::Prefer), ("require", Quorum::Require)];

/// What is for voters alone.
const OF_VOTERS: [&str; 6] = ["listen", "key", "voters", "witness", "longest_interval", "second_path"];
/// The longest interval that voters grant for, if nothing else is said; that of `locum witness` as well.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Voters,
    Etcd,
}

const STORES: &[(&str, By)] = &[("voters", By::Voters), ("etcd", By::Etcd)];

/// Who grants claims, and how an etcd is reached where it is one; `Err` where a secret cannot be read and the
/// routers are to be barred for it.
pub(super) type Granting = Result<(Claims, Option<Settings>), String>;

/// As written.
pub(super) enum Claim {
    Vote(Written),
    Store(store::Written),
}

/// The vote, as written.
pub(super) struct Written {
    listen: Option<Spanned<VoterId>>,
    key: Option<Spanned<String>>,
    voters: Vec<(String, Spanned<VoterId>)>,
    witness: Option<Spanned<String>>,
    longest: Option<Spanned<Ttl>>,
    second_path: Option<vote_path::Written>,
    span: Range<usize>,
}

pub(super) fn read(top: &Section<'_>) -> Option<Claim> {
    let value = top.raw("claim")?;
    let section = top.inner("claim", value, "[claim]".to_owned())?;
    let by = section.optional("store", choice(STORES)).map(Spanned::into_inner);
    let claim = if by == Some(By::Etcd) {
        strange(
            &section,
            &OF_VOTERS,
            "is for voters, and with store = \"etcd\" nobody votes",
            "remove the line",
        );
        Claim::Store(store::read(&section, value.span()))
    } else {
        strange(&section, &store::KEYS, "is for an etcd, and here voters vote", "add: store = \"etcd\"");
        Claim::Vote(vote(&section, value.span()))
    };
    section.finish();
    Some(claim)
}

/// Reports keys that mean nothing here.
fn strange(section: &Section<'_>, keys: &[&'static str], why: &str, help: &str) {
    for key in keys {
        if let Some(value) = section.raw(key) {
            section.wrong(key, value, Wrong::new(format!("this {why}")).help(help));
        }
    }
}

fn vote(section: &Section<'_>, span: Range<usize>) -> Written {
    let vote = Written {
        listen: section.required("listen", "listen = \"10.0.0.1\", this host's own address", voter),
        key: section.required("key", "key = \"file:claim.key\"", text),
        voters: section.section("voters").map(|voters| voters.all(voter)).unwrap_or_default(),
        witness: section.optional("witness", text),
        longest: section.optional("longest_interval", longest),
        second_path: vote_path::read(section),
        span,
    };
    if section.raw("voters").is_none() {
        section.missing("voters", "voters = { b = \"10.0.0.2\", w = \"10.0.0.3\" }");
    }
    vote
}

/// The longest interval there is: 255s of version 2.
fn longest(value: &Value<'_>) -> Result<Ttl, Wrong> {
    match some_time(value)? {
        interval if interval <= Duration::from_secs(255) => Ok(Ttl::of_interval(interval)),
        _ => Err(Wrong::new("no router has so long an interval").help("write 10ms to 255s")),
    }
}

/// ADDRESS, or ADDRESS:PORT.
pub(super) fn voter(value: &Value<'_>) -> Result<VoterId, Wrong> {
    let text = text(value)?;
    parse(&text).ok_or_else(|| {
        Wrong::new(format!("\"{text}\" is no address of a voter"))
            .help("write \"10.0.0.2\", \"10.0.0.2:5112\", or \"[2001:db8::2]:5112\"")
    })
}

/// A voter's address and port, as people write it; `None` where it is none, or not one host's.
#[must_use]
pub fn parse(text: &str) -> Option<VoterId> {
    let alone = || text.parse().map(|address: IpAddr| SocketAddr::new(address, PORT));
    let whole: SocketAddr = text.parse().or_else(|_| alone()).ok()?;
    let (address, port) = (whole.ip(), whole.port());
    let one_host = !address.is_unspecified() && !address.is_multicast() && port != 0;
    one_host.then_some(VoterId { address, port })
}

impl Claim {
    /// What routers need where they do not say: a claim, once there is a witness or an etcd.
    pub(super) fn usual(&self) -> Quorum {
        match self {
            Claim::Vote(Written { witness: None, .. }) => Quorum::Off,
            Claim::Vote(_) | Claim::Store(_) => Quorum::Require,
        }
    }

    /// Another way to the other voters.
    pub(super) fn second_path(&self, sink: &Sink) -> Option<SecondPath> {
        let Claim::Vote(vote) = self else { return None };
        vote.second_path.as_ref()?.judged(*vote.listen.as_ref()?.get_ref(), &vote.voters, sink)
    }

    /// The settings.
    pub(super) fn settings(&self, keys: &Keys<'_>, sink: &Sink) -> Option<Granting> {
        match self {
            Claim::Vote(vote) => vote.settings(keys, sink),
            Claim::Store(store) => Some(store.settings(keys, sink)),
        }
    }
}

impl Written {
    fn settings(&self, keys: &Keys<'_>, sink: &Sink) -> Option<Granting> {
        let (listen, reference) = (self.listen.as_ref()?, self.key.as_ref()?);
        let own = *listen.get_ref();
        let mut others: Vec<VoterId> = Vec::new();
        for (name, voter) in &self.voters {
            let twice = *voter.get_ref() == own || others.contains(voter.get_ref());
            if twice {
                let finding =
                    Finding::error(&voter.span(), format!("voter {name} has the address of another"));
                sink.add(finding.help("list each other voter once, and not this host"));
            }
            others.push(*voter.get_ref());
        }
        let named = self.witness.as_ref().and_then(|witness| {
            let found = self.voters.iter().find(|(name, _)| name == witness.get_ref());
            found.map(|(_, voter)| *voter.get_ref())
        });
        if let Some(witness) = self.witness.as_ref().filter(|_| named.is_none()) {
            let message = format!("the witness \"{}\" is not among the voters", witness.get_ref());
            sink.add(Finding::error(&witness.span(), message).help("give its address in voters as well"));
        }
        if others.is_empty() {
            let finding = Finding::error(&self.span, "a vote of one protects from nothing");
            sink.add(finding.help("name the other server, and a witness: voters = { b = \"10.0.0.2\" }"));
        } else if others.len() == 1 {
            let message = "with two voters a majority is both: either one dying takes the address down";
            sink.add(
                Finding::warning(&self.span, message).help("add a witness: locum witness on a third host"),
            );
        }
        let longest =
            self.longest.as_ref().map_or_else(|| Ttl::of_interval(LONGEST_INTERVAL), |ttl| *ttl.get_ref());
        match secret::key(reference.get_ref(), keys.directory, keys.credentials) {
            Ok(key) => Some(Ok((Claims::Vote(Vote { own, others, witness: named, key, longest }), None))),
            Err(wrong) => Some(Err(unreadable(reference, wrong, keys, sink))),
        }
    }
}

/// Reports a secret that cannot be read. The line to bar routers with.
pub(super) fn unreadable(reference: &Spanned<String>, wrong: Wrong, keys: &Keys<'_>, sink: &Sink) -> String {
    let line = wrong.message.clone();
    let bars = keys.policy == Secrets::BarRouter && secret::is_reference(reference.get_ref());
    let finding = if bars { Finding::warning } else { Finding::error };
    let finding = finding(&reference.span(), wrong.message);
    sink.add(match wrong.help {
        Some(help) => finding.help(help),
        None => finding,
    });
    line
}

/// Gives a router the quorum that it asks for, or the usual one.
pub(super) fn quorum(
    part: &file::Router,
    usual: Quorum,
    voting: Option<&Granting>,
    router: &mut Router,
    sink: &Sink,
) {
    let written = part.quorum.as_ref();
    router.quorum = written.map_or(usual, |quorum| *quorum.get_ref());
    if router.quorum == Quorum::Off {
        return;
    }
    let span = written.map_or_else(|| part.name.span(), Spanned::span);
    match voting {
        None => {
            let finding = Finding::error(&span, "a quorum needs voters, and there is no section [claim]");
            sink.add(finding.help("add [claim] with listen, key and voters: examples/quorum.toml; or with an etcd: examples/etcd.toml"));
        }
        Some(Err(line)) => router.barred = router.barred.clone().or_else(|| Some(line.clone())),
        Some(Ok((claims, _))) => {
            router.manner.lone_backup = claims.has_one_rival();
            if let Claims::Vote(vote) = claims
                && claims.ttl(router.interval.duration()) > vote.longest
            {
                let span = part.interval.as_ref().map_or_else(|| part.name.span(), Spanned::span);
                let message = format!("the voters grant nothing for an interval of {}", router.interval);
                let help = format!(
                    "write longest_interval = \"{}\" in [claim] of every server; a witness: --interval {}",
                    router.interval,
                    router.interval.duration().as_millis()
                );
                sink.add(Finding::error(&span, message).help(help));
            }
        }
    }
    if router.priority.is_owner() {
        let message = "priority 255 takes the addresses without asking anybody, and a quorum means to ask";
        sink.add(Finding::error(&span, message).help("write priority = 254, or quorum = \"off\""));
    }
}

/// The routers of a group share one claim: all of them need it, or none.
pub(super) fn one_claim(members: &[RouterName], routers: &[Router], parts: &[file::Router], sink: &Sink) {
    let mut routers = routers.iter().filter(|router| members.contains(&router.name));
    let Some(first) = routers.next() else { return };
    let Some(other) = routers.find(|router| router.quorum != first.quorum) else { return };
    let span = |router: &Router| {
        let part = parts.iter().find(|part| *part.name.get_ref() == router.name)?;
        Some(part.quorum.as_ref().map_or_else(|| part.name.span(), Spanned::span))
    };
    let (Some(place), Some(lead)) = (span(other), span(first)) else { return };
    let message = format!("{} and {} share one role, and so one quorum", other.name, first.name);
    let finding = Finding::error(&place, message).also(&lead, "the other");
    sink.add(finding.help("write the same quorum in all of the group"));
}

/// The key that a reference on a command line leads to; relative paths begin in the working directory.
///
/// # Errors
/// It cannot be read, is of a wrong length, or others can read it: one line with its mend.
pub fn key(reference: &str) -> Result<Secret, String> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    secret::key(reference, Path::new(""), credentials.as_deref()).map_err(|wrong| match wrong.help {
        Some(help) => format!("{}: {help}", wrong.message),
        None => wrong.message,
    })
}
