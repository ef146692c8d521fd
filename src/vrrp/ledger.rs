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
