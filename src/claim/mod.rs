//! The right to hold an address, given by a majority of voters for a time: never two holders.
//!
//! Pure: no I/O, no clock, no chance. Its parts:
//! - a [`voter::Voter`] grants an office to one claimant for a time, and to nobody else before that
//!   time has passed on its own clock. It needs no disk: after its own start it grants nothing for as
//!   long as a grant of its earlier life could last.
//! - a [`claimant::Claimant`] asks, and counts its lease from when it *sent* what a majority has granted.
//! - a [`quorum::Quorum`] says what a router may do with a lease, and without one.
//! - an [`etcd::Errand`] puts a claimant's question to an etcd, which takes the place of all voters.
//! - a [`datagram::Datagram`] is what one says to another, in bytes; a [`channel::Channel`] believes each once.
//!
//! ```text
//!            pursue                majority free            majority granted
//!   idle ------------> probing ------------------> asking ------------------> holding
//!                         ^                           |                          | renew
//!                         +---------------------------+ retry                    +------> holding
//!   any -- give up, or lease over --> idle
//! ```
//!
//! Why no two hold: a lease begins when the request was sent, and a voter's grant later, when it came;
//! both last the same time, less a margin on the holder's side for clocks that differ by 1 % each way.
//! Two majorities share a voter, and that one would have had two grants at once. `tests/claim/model.rs`
//! walks through every order of events.

pub mod channel;
pub mod claimant;
pub mod datagram;
pub mod etcd;
pub mod quorum;
pub mod voter;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What is voted about: a router, or a group of routers with one role. The same name on every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Office(Arc<str>);

impl Office {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 255;

    /// An office of this name, of 1 to [`Office::LONGEST`] bytes, else `None`.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        (1..=Self::LONGEST).contains(&name.len()).then(|| Office(name.into()))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A node that votes or claims, by the address that its votes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VoterId {
    /// The address.
    pub address: IpAddr,
    /// The UDP port.
    pub port: u16,
}

impl fmt::Display for VoterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// The number of a time in office. It only grows, so whoever guards something by it can refuse a holder
/// of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(u64);

impl Term {
    /// Before any.
    pub const NONE: Term = Term(0);

    /// The term of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Term(number)
    }

    /// What no term before can have reached, for a node that has forgotten: terms begin at the
    /// milliseconds since the Unix epoch, and nobody begins one every millisecond.
    #[must_use]
    pub fn floor(since_epoch: Duration) -> Self {
        Term(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Term(self.0.saturating_add(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long a grant lasts: 1 ms to 1 h, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ttl(u32);

impl Ttl {
    const LONGEST_MS: u32 = 3_600_000;

    /// `milliseconds` in 1..=3600000, else `None`.
    #[must_use]
    pub const fn from_millis(milliseconds: u32) -> Option<Self> {
        match milliseconds {
            1..=Self::LONGEST_MS => Some(Ttl(milliseconds)),
            _ => None,
        }
    }

    /// Three of the intervals at which it is renewed, as long as one may be.
    #[must_use]
    pub fn of_interval(interval: Duration) -> Self {
        let milliseconds = u32::try_from(interval.as_millis().saturating_mul(3)).unwrap_or(u32::MAX);
        Ttl(milliseconds.clamp(1, Self::LONGEST_MS))
    }

    /// In milliseconds, as on the wire.
    #[must_use]
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// This much in whole seconds, rounded up.
    #[must_use]
    pub fn in_seconds(self) -> Self {
        Ttl(self.0.div_ceil(1000) * 1000)
    }

    /// What a voter counts.
    #[must_use]
    pub const fn grant(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }

    /// What a holder counts: a twentieth less. Clocks that are off by 1 % each way need 2 % of it; the
    /// rest is for taking the address off the interface.
    #[must_use]
    pub fn lease(self) -> Duration {
        self.grant() * 19 / 20
    }
}

/// Which of its requests a claimant is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Drawn by chance when the claimant started: answers to an earlier life are not for it.
    pub session: u64,
    /// Counts its requests.
    pub number: u64,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Would it be granted? Changes nothing at the voter.
    Probe,
    /// Grant it, or grant it for longer.
    Vote,
}

/// What a claimant sends to every voter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// What for.
    pub ask: Ask,
    /// Of what.
    pub office: Office,
    /// In which term; the greatest known one in a probe.
    pub term: Term,
    /// For how long.
    pub ttl: Ttl,
    /// To be repeated in the answer.
    pub stamp: Stamp,
}

/// What a voter answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer {
    /// To what.
    pub ask: Ask,
    /// Of what.
    pub office: Office,
    /// The request's term.
    pub term: Term,
    /// The request's stamp.
    pub stamp: Stamp,
    /// The answer itself.
    pub verdict: Verdict,
    /// The greatest term the voter knows of, for this office.
    pub known: Term,
}

/// Yes, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Granted,
    /// Another holds it at present.
    Held,
    /// The voter started a short time ago and may have granted it before.
    Silent,
    /// The term is not greater than one that the voter knows.
    OldTerm,
    /// The voter grants nothing for so long.
    TooLong,
    /// The voter has as many other offices as it can keep in mind.
    Full,
}

impl Verdict {
    /// For people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Granted => "said yes",
            Verdict::Held => "said that another has it",
            Verdict::Silent => "had just started",
            Verdict::OldTerm => "knew a later term",
            Verdict::TooLong => "grants for a shorter time only",
            Verdict::Full => "has too many others to vote on",
        }
    }
}

/// What a claimant sends to every voter when it needs a grant no more, with nothing held any longer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// Of what.
    pub office: Office,
    /// In which term.
    pub term: Term,
}

/// Anything a claimant sends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plea {
    /// Asks.
    Request(Request),
    /// Gives back.
    Release(Release),
}
