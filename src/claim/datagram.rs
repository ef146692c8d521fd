//! The vote on the wire: what a datagram says, byte for byte, and who signed it.
//!
//! UDP, version 1, HMAC-SHA-256 over everything before the tag, all numbers in network order:
//!
//! ```text
//!  0  "LQ"       2   who it is: not VRRP, not anybody else's
//!  2  version    1   1
//!  3  kind       1   1 greeting, 2 probe, 3 vote, 4 answer to a probe, 5 to a vote, 6 release
//!  4  from      18   the sender: address (IPv4 as ::ffff:a.b.c.d) and port
//! 22  to        18   the receiver, likewise: no datagram is good for anybody else
//! 40  session    8   the sender's, drawn by chance at its start
//! 48  token      8   what the receiver gave this session in its greeting; 0 before
//! 56  counter    8   the sender's, one more for each datagram
//! 64  body           by kind
//!     tag       32
//! ```
//!
//! Here bytes become a [`Datagram`] and back. Whether it is fresh is told by `channel`.

use super::{Answer, Ask, Office, Plea, Release, Request, Stamp, Term, Ttl, Verdict, VoterId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The longest datagram there is.
pub const LONGEST: usize = HEAD + 8 * 4 + 4 + 1 + 1 + Office::LONGEST + TAG;
const HEAD: usize = 64;
const TAG: usize = 32;
const VERSION: u8 = 1;

/// The key that all voters share. It does not print.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// How short a key may be, in bytes.
    pub const SHORTEST: usize = 32;

    /// A key of at least [`Key::SHORTEST`] bytes, else `None`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mac = Hmac::new_from_slice(bytes).ok()?;
        (bytes.len() >= Self::SHORTEST).then_some(Key(mac))
    }

    /// These bytes with their tag behind them.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let tag = self.0.clone().chain_update(bytes).finalize().into_bytes();
        [bytes, &tag[..]].concat()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// What is said once to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The sender.
    pub from: VoterId,
    /// The receiver.
    pub to: VoterId,
    /// The sender's session.
    pub session: u64,
    /// The receiver's token for it.
    pub token: u64,
    /// The sender's counter.
    pub counter: u64,
    /// What it says.
    pub body: Body,
}

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// What a receiver says to a session that it does not know yet.
    Greeting {
        /// To which session.
        session: u64,
        /// To the datagram with this counter.
        counter: u64,
        /// What that session shall put into its datagrams from now on.
        token: u64,
    },
    /// What a claimant says.
    Plea(Plea),
    /// What a voter says.
    Answer(Answer),
}

/// Why bytes are no datagram for us, in the order it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// Too short, or not the vote at all.
    #[error("not a vote")]
    NotAVote,
    /// Of another version.
    #[error("version {0}, this is version 1")]
    Version(u8),
    /// Signed with another key, or changed on the way.
    #[error("signed with another key")]
    BadTag,
    /// The key is right and the content is not: a version that is not what it says.
    #[error("malformed")]
    Malformed,
    /// Meant for somebody else.
    #[error("meant for another voter")]
    NotForUs,
    /// Already seen, or of a session that is over.
    #[error("seen before")]
    Replay,
}

impl Datagram {
    /// The bytes to send.
    #[must_use]
    pub fn encode(&self, key: &Key) -> Vec<u8> {
        let kind = match &self.body {
            Body::Greeting { .. } => 1,
            Body::Plea(Plea::Request(request)) => 2 + asked(request.ask),
            Body::Answer(answer) => 4 + asked(answer.ask),
            Body::Plea(Plea::Release(_)) => 6,
        };
        let mut bytes = vec![b'L', b'Q', VERSION, kind];
        for id in [self.from, self.to] {
            let address = match id.address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            bytes.extend(address.octets());
            bytes.extend(id.port.to_be_bytes());
        }
        let mut numbers = |all: &[u64]| all.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        numbers(&[self.session, self.token, self.counter]);
        match &self.body {
            Body::Greeting { session, counter, token } => numbers(&[*session, *counter, *token]),
            Body::Plea(Plea::Request(Request { office, term, ttl, stamp, .. })) => {
                numbers(&[term.0, stamp.session, stamp.number]);
                bytes.extend(ttl.0.to_be_bytes());
                put(&mut bytes, office);
            }
            Body::Plea(Plea::Release(Release { office, term })) => {
                numbers(&[term.0]);
                put(&mut bytes, office);
            }
            Body::Answer(Answer { office, term, stamp, verdict, known, .. }) => {
                numbers(&[term.0, stamp.session, stamp.number, known.0]);
                bytes.push(match verdict {
                    Verdict::Granted => 0,
                    Verdict::Held => 1,
                    Verdict::Silent => 2,
                    Verdict::OldTerm => 3,
                    Verdict::TooLong => 4,
                    Verdict::Full => 5,
                });
                put(&mut bytes, office);
            }
        }
        key.sign(&bytes)
    }

    /// Reads bytes that came in.
    pub fn decode(bytes: &[u8], key: &Key) -> Result<Self, Refusal> {
        if !bytes.starts_with(b"LQ") || bytes.len() > LONGEST {
            return Err(Refusal::NotAVote);
        }
        match bytes.get(2) {
            Some(&VERSION) => {}
            Some(&version) => return Err(Refusal::Version(version)),
            None => return Err(Refusal::NotAVote),
        }
        let (signed, tag) = bytes.split_last_chunk::<TAG>().ok_or(Refusal::NotAVote)?;
        key.0.clone().chain_update(signed).verify_slice(tag).map_err(|_| Refusal::BadTag)?;
        let mut rest = Reader(signed.get(3..).unwrap_or_default());
        rest.datagram().filter(|_| rest.0.is_empty()).ok_or(Refusal::Malformed)
    }
}

fn asked(ask: Ask) -> u8 {
    match ask {
        Ask::Probe => 0,
        Ask::Vote => 1,
    }
}

fn put(bytes: &mut Vec<u8>, office: &Office) {
    // An office has 255 bytes at most.
    bytes.push(u8::try_from(office.name().len()).unwrap_or(u8::MAX));
    bytes.extend(office.name().as_bytes());
}

/// What has not been read yet. `None` is the end, or nonsense.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn datagram(&mut self) -> Option<Datagram> {
        let [kind] = self.bytes()?;
        let (from, to) = (self.id()?, self.id()?);
        let (session, token, counter) = (self.number()?, self.number()?, self.number()?);
        let ask = if matches!(kind, 2 | 4) { Ask::Probe } else { Ask::Vote };
        let body = match kind {
            1 => Body::Greeting { session: self.number()?, counter: self.number()?, token: self.number()? },
            2 | 3 => {
                let (term, stamp) = (Term(self.number()?), self.stamp()?);
                let ttl = Ttl::from_millis(u32::from_be_bytes(self.bytes()?))?;
                Body::Plea(Plea::Request(Request { ask, office: self.office()?, term, ttl, stamp }))
            }
            4 | 5 => {
                let (term, stamp, known) = (Term(self.number()?), self.stamp()?, Term(self.number()?));
                let verdict = match self.bytes()? {
                    [0] => Verdict::Granted,
                    [1] => Verdict::Held,
                    [2] => Verdict::Silent,
                    [3] => Verdict::OldTerm,
                    [4] => Verdict::TooLong,
                    [5] => Verdict::Full,
                    _ => return None,
                };
                Body::Answer(Answer { ask, office: self.office()?, term, stamp, verdict, known })
            }
            6 => {
                let term = Term(self.number()?);
                Body::Plea(Plea::Release(Release { office: self.office()?, term }))
            }
            _ => return None,
        };
        Some(Datagram { from, to, session, token, counter, body })
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp { session: self.number()?, number: self.number()? })
    }

    fn id(&mut self) -> Option<VoterId> {
        let address = Ipv6Addr::from(self.bytes::<16>()?).to_canonical();
        Some(VoterId { address, port: u16::from_be_bytes(self.bytes()?) })
    }

    fn office(&mut self) -> Option<Office> {
        let [length] = self.bytes()?;
        let (name, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Office::new(std::str::from_utf8(name).ok()?)
    }
}
