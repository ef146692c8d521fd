//! What one instance has sealed and what it has heard: so that no seal is used twice, by us or by anyone
//! who listened.
//!
//! Outlives reloads, and restarts where somebody keeps it. The wall clock is an argument, as the time
//! since the Unix epoch.

use super::ah::Counter;
use super::auth::{Auth, Seal};
use super::hmac::Untrusted;
use super::refusal::Refusal;
use super::sequence::{MULTICAST_SENDERS, Marks, Sequence};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::net::IpAddr;
use std::time::Duration;

/// The memory of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The last sequence signed.
    #[serde(default)]
    sent: Option<Sequence>,
    /// The latest sequence of each sender.
    #[serde(default)]
    marks: Marks,
    #[serde(default)]
    ah: Counter,
}

impl Ledger {
    /// The seal of the next advert. `None` where one is needed and cannot be made: never send without.
    #[must_use]
    pub fn next(&mut self, auth: &Auth, source: IpAddr, clock: Option<Duration>) -> Option<Seal> {
        match (auth, source) {
            (Auth::Hmac(ring), _) if ring.signs() => {
                let sequence = Sequence::following(self.sent, clock?, ring.anti_replay());
                self.sent = Some(sequence);
                Some(Seal::Signed { key: ring.active().id().get(), sequence })
            }
            (Auth::Ah(_), IpAddr::V4(source)) => {
                Some(Seal::Ah { spi: source.to_bits(), sequence: self.ah.next() })
            }
            (Auth::Ah(_), IpAddr::V6(_)) => None,
            (Auth::None | Auth::Pass(_) | Auth::Hmac(_), _) => Some(Seal::None),
        }
    }

    /// The seals of one advert that leaves from all of these addresses; `None` as of [`Ledger::next`].
    ///
    /// With headers it has one number whatever way it takes: two Masters that advertise at once would else be behind
    /// each other on all ways but the last, for as long as their timers agree.
    #[must_use]
    pub fn seals(
        &mut self,
        auth: &Auth,
        sources: impl Iterator<Item = IpAddr>,
        clock: Option<Duration>,
    ) -> Option<SmallVec<[Seal; 2]>> {
        let mut seals = SmallVec::<[Seal; 2]>::new();
        for source in sources {
            let seal = match (seals.first(), source) {
                (Some(Seal::Ah { sequence, .. }), IpAddr::V4(source)) => {
                    Seal::Ah { spi: source.to_bits(), sequence: *sequence }
                }
                _ => self.next(auth, source, clock)?,
            };
            seals.push(seal);
        }
        Some(seals)
    }

    /// What was sent in so long a time is not remembered: goes on behind all of it, also where the clock was set back
    /// meanwhile.
    pub fn skip(&mut self, unknown: Duration) {
        self.sent = self.sent.map(|sent| sent.later(unknown));
    }

    /// Whether a verified seal was never seen before; if so, remembers it. `peers` is how many senders
    /// there are, 0 where nobody says.
    pub fn admit(
        &mut self,
        source: IpAddr,
        seal: &Seal,
        auth: &Auth,
        clock: Option<Duration>,
        peers: usize,
    ) -> Result<(), Refusal> {
        match (auth, seal) {
            (Auth::Hmac(ring), Seal::Signed { sequence, .. }) => {
                let clock = clock.ok_or(Untrusted::Stale)?;
                let room = if peers == 0 { MULTICAST_SENDERS } else { peers };
                Ok(self.marks.admit(source, *sequence, ring.anti_replay(), clock, room)?)
            }
            (Auth::Ah(_), Seal::Ah { spi, sequence }) => self.ah.admit(*spi, *sequence),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::auth::Secret;

    #[test]
    fn of_two_who_advertise_at_once_by_two_ways_each_is_believed_by_whichever_is_heard() {
        let auth = Auth::Ah(Secret::new(*b"secret"));
        let addresses = |host| [0, 1].map(|network| IpAddr::from([10, network, 0, host]));
        let (mut one, mut other) = (Ledger::default(), Ledger::default());
        for heard in [0, 1] {
            let seals = one.seals(&auth, addresses(1).into_iter(), None).unwrap();
            let _ = other.seals(&auth, addresses(2).into_iter(), None).unwrap();
            let source = addresses(1)[heard];
            assert_eq!(other.admit(source, &seals[heard], &auth, None, 0), Ok(()));
            assert_eq!(other.admit(source, &seals[heard], &auth, None, 0), Err(Refusal::Replay));
        }
    }
}
