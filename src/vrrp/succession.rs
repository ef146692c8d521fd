//! Words between Locums beside the adverts: a Backup tells the Master whom it follows that it is there, and a Master
//! that leaves tells the best of them, before its farewell, that it is next and need not wait its skew. And a Master
//! that finds a better one tells it so: cut off until then, that one would never know that it has to announce again.
//!
//! The word alone moves nobody: it may have waited in the kernel for the neighbour's answer, until long after its Master
//! has come back. The farewell has to be heard as well. One Master names one successor, so no two take over at once;
//! where two do, or a word is lost, forged or late, the election decides as it does without any. A better host that
//! speaks no such words takes over after it.
//!
//! A word is an advert without addresses, of a type that the RFCs do not have, from one host to one host. The byte of
//! the VRID is 0 and the VRID stands where the count does: whoever does not know words looks for a virtual router 0,
//! has none, and drops it without a line (RFC 9568 7.1, RFC 3768 7.1); the checksum is the same either way. It is
//! signed as adverts are, and comes from as near. Behind an Authentication Header there are none.

use super::Priority;
use super::config::LONE_WAIT;
use super::envelope::Envelope;
use super::event::State;
use super::instance::{Actions, Instance};
use super::why::Why;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// Where an advert has its VRID, and a word a 0.
const VRID_AT: usize = 1;
/// Where an advert has the count of its addresses, and a word its VRID.
pub const WORD_VRID_AT: usize = 3;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A Backup, to its Master: I follow you.
    Follows,
    /// A Master, to one Backup: I leave, and you are next.
    Next,
    /// A Master, to a better one: I was Master beside you, and step back. Our neighbours may have learned mine.
    Yields,
}

impl Word {
    /// The type in the first byte.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Word::Yields => 13,
            Word::Follows => 14,
            Word::Next => 15,
        }
    }

    /// Which word a payload is, if any, and its message with the VRID where adverts have it.
    #[must_use]
    pub fn peek(envelope: &Envelope<'_>) -> Option<(Word, Vec<u8>)> {
        let &[first, 0, _, _, ..] = envelope.payload else { return None };
        let word =
            [Word::Yields, Word::Follows, Word::Next].into_iter().find(|word| word.kind() == first & 0x0F)?;
        let mut message = envelope.payload.to_vec();
        transpose(&mut message);
        Some((word, message))
    }
}

/// Makes a word of an advert's form, and back.
pub(super) fn transpose(message: &mut [u8]) {
    if message.len() > WORD_VRID_AT {
        message.swap(VRID_AT, WORD_VRID_AT);
    }
}

/// So many times a Backup tells a new Master, against losses.
const FIRST: u8 = 3;
/// The least pause between those.
const SOON: Duration = Duration::from_secs(1);
/// The pause between all others.
const LATER: Duration = Duration::from_secs(30);
/// Two of which may be lost before a Master forgets.
const FORGOTTEN: Duration = Duration::from_secs(75);
/// How long after the word its farewell may come.
const NAMED: Duration = Duration::from_millis(100);
/// The most followers that a Master remembers.
const MOST: usize = 8;

/// Who has named us its successor, and until when the farewell that belongs to it may come.
#[derive(Clone, Debug, Default)]
pub(super) struct Named(Option<(IpAddr, Time)>);

impl Named {
    /// Whether it was this one, of late; it counts once.
    pub(super) fn take(&mut self, now: Time, source: IpAddr) -> bool {
        self.0.take().is_some_and(|(who, until)| who == source && now <= until)
    }
}

impl Instance {
    /// The Master that we follow has named us: what was heard of its farewell, or is heard at once, waits no skew.
    pub(super) fn is_named(&mut self, now: Time, source: IpAddr) -> Actions {
        if let State::Backup { master: Some(master), down_at, cause, .. } = &mut self.state
            && *master == source
        {
            match cause {
                Why::Farewell(_) => *down_at = (*down_at).min(now + LONE_WAIT),
                Why::Silence => self.named = Named(Some((source, now + NAMED))),
                _ => {}
            }
        }
        Actions::new()
    }
}

/// What a Backup has told.
#[derive(Debug, Default)]
pub struct Told {
    last: Option<(IpAddr, Priority)>,
    times: u8,
    again_at: Time,
}

impl Told {
    /// Whether to tell this Master, now that it was heard, that one of this priority follows it. If so, it counts
    /// as told.
    pub fn is_due(&mut self, now: Time, master: IpAddr, own: Priority) -> bool {
        if self.last != Some((master, own)) {
            *self = Told { last: Some((master, own)), ..Told::default() };
        }
        if now < self.again_at {
            return false;
        }
        self.times = self.times.saturating_add(1).min(FIRST);
        self.again_at = now + if self.times < FIRST { SOON } else { LATER };
        true
    }

    /// Whether the next advert of that Master, if there is one, is an occasion.
    #[must_use]
    pub fn wants_more(&self, now: Time) -> bool {
        self.last.is_some() && self.again_at <= now
    }
}

/// Who follows a Master: by address, with its priority, and when it said so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Followers(Vec<(IpAddr, Priority, Time)>);

impl Followers {
    /// Somebody said so.
    pub fn note(&mut self, now: Time, who: IpAddr, priority: Priority) {
        self.0.retain(|(known, _, at)| *known != who && now.since(*at) < FORGOTTEN);
        if self.0.len() < MOST {
            self.0.reserve_exact(1);
            self.0.push((who, priority, now));
        }
    }

    /// The best of them, who wins the election among them (RFC 9568 6.4.3).
    #[must_use]
    pub fn best(&self, now: Time) -> Option<IpAddr> {
        let fresh = self.0.iter().filter(|(_, _, at)| now.since(*at) < FORGOTTEN);
        fresh.max_by_key(|(who, priority, _)| (*priority, *who)).map(|(who, ..)| *who)
    }

    /// The same, and all are forgotten: they follow somebody else from now on.
    pub fn take_best(&mut self, now: Time) -> Option<IpAddr> {
        let best = self.best(now);
        self.0 = Vec::new();
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::auth::{Auth, Secret};
    use crate::vrrp::hmac::{Key, Keyring, Mode};
    use crate::vrrp::ledger::Ledger;
    use crate::vrrp::packet::{Draft, Expect, Reach, Refusal, authenticate};
    use crate::vrrp::sequence::AntiReplay;
    use crate::vrrp::{Advert, Checksum, Interval, Version, Vrid};
    use std::num::NonZeroU8;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn priority(value: u8) -> Priority {
        Priority::new(value).unwrap()
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_new_master_is_told_three_times_and_then_every_half_minute() {
        let mut told = Told::default();
        assert!(!told.wants_more(at(5)), "nobody to tell");
        let due: Vec<u64> =
            (5..200).filter(|second| told.is_due(at(*second), host(1), priority(100))).collect();
        assert_eq!(due, [5, 6, 7, 37, 67, 97, 127, 157, 187]);
        assert!(!told.wants_more(at(199)) && told.wants_more(at(217)));
        assert!(told.is_due(at(200), host(2), priority(100)), "another Master");
        assert!(told.is_due(at(200), host(2), priority(90)), "another priority");
        assert!(!told.is_due(at(200), host(2), priority(90)));
    }

    #[test]
    fn the_best_of_those_who_said_so_of_late_is_next_and_only_once() {
        let mut followers = Followers::default();
        followers.note(at(0), host(9), priority(200));
        followers.note(at(100), host(2), priority(100));
        followers.note(at(100), host(3), priority(150));
        followers.note(at(110), host(3), priority(100));
        assert_eq!(
            followers.take_best(at(160)),
            Some(host(3)),
            "the greater address, the other is long gone"
        );
        assert_eq!(followers.take_best(at(160)), None);
    }

    fn envelope(payload: &[u8]) -> Envelope<'_> {
        Envelope { source: host(1), destination: host(2), ttl: Some(255), ah: None, payload }
    }

    #[test]
    fn a_word_is_signed_as_an_advert_is_and_neither_can_be_made_of_the_other() {
        let ring = |byte| {
            let id = NonZeroU8::MIN;
            let key = Key::new(id, Secret::new([byte; 32])).unwrap();
            Auth::Hmac(Keyring::new(vec![key], id, AntiReplay::Time(5), Mode::Enforce).unwrap())
        };
        let (auth, other) = (ring(1), ring(2));
        let clock = Some(Duration::from_secs(1_700_000_000));
        let seal = Ledger::default().next(&auth, host(1), clock).unwrap();
        let (vrid, interval) = (Vrid::new(51).unwrap(), Interval::SECOND);
        let addresses = [].into();
        let advert = Advert { version: Version::V3, vrid, priority: Some(priority(9)), interval, addresses };
        let parcel = Draft::word(Word::Next, &advert, host(1), &auth, &seal).to(host(2), Checksum::Pseudo);
        assert_eq!(parcel.payload.get(..4), Some(&[0x3F, 0, 9, 51][..]));
        let (word, message) = Word::peek(&envelope(&parcel.payload)).unwrap();
        let heard = |auth: &Auth, word, message: &[u8]| {
            let peers = [host(1)];
            let expect = Expect {
                version: Version::V3,
                vrid,
                interval,
                owner: false,
                owner_ignores: false,
                bare: true,
                reach: Reach::Unicast(&peers),
                min_ttl: None,
                ttls: &[],
                auth,
                clock,
                addresses: &[],
                strict: false,
            };
            let heard = authenticate(&envelope(message), &expect, word)?.judge(&expect)?;
            Ok(heard.advert.priority)
        };
        assert_eq!(heard(&auth, Some(word), &message), Ok(Some(priority(9))));
        assert_eq!(heard(&other, Some(word), &message), Err(Refusal::BadSignature));
        // Type and checksum made right, the signature is not.
        let made = |kind: u8| {
            let mut made = message.clone();
            made[0] = 0x30 | kind;
            made[6] = made[6].wrapping_add(0x0F - kind);
            made
        };
        assert_eq!(heard(&auth, Some(Word::Follows), &made(14)), Err(Refusal::BadSignature));
        assert_eq!(heard(&auth, None, &made(1)), Err(Refusal::BadSignature));
    }

    #[test]
    fn a_flood_of_followers_pushes_out_none_and_fills_no_memory() {
        let mut followers = Followers::default();
        (1..=255).for_each(|last| followers.note(at(0), host(last), priority(1)));
        followers.note(at(1), host(1), priority(7));
        assert_eq!(followers.0.len(), MOST);
        assert_eq!(followers.take_best(at(1)), Some(host(1)));
    }
}
