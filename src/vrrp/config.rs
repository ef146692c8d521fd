//! What one instance is configured to be. Types only; built by the agent from a router's configuration.

use super::announcing::Announcing;
use super::auth::Auth;
use super::packet::{Expect, Reach};
use super::{ChecksumPolicy, Family, Interval, Priority, Version, Vrid};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// What an instance is configured to be. The runtime type: it cannot be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The virtual router's number.
    pub vrid: Vrid,
    /// The address family; version 2 is IPv4 only.
    pub family: Family,
    /// The protocol version.
    pub version: Version,
    /// The priority without any tracking.
    pub priority: Priority,
    /// How often the Master advertises.
    pub interval: Interval,
    /// Whether a Backup takes over from a Master of lower priority. An owner always does.
    pub preempt: bool,
    /// The addresses named in adverts, in order.
    pub addresses: Arc<[IpAddr]>,
    /// Unicast peers; empty for multicast.
    pub peers: Vec<IpAddr>,
    /// The multicast group, of its family; see [`Family::group`] for the usual one.
    pub group: IpAddr,
    /// The smallest TTL or hop limit accepted; `None` for 255 by multicast and any by unicast.
    pub min_ttl: Option<u8>,
    /// The TTLs accepted of one peer, where it has its own.
    pub ttls: Vec<(IpAddr, RangeInclusive<u8>)>,
    /// The checksum sent, version 3 over IPv4 only.
    pub checksum: ChecksumPolicy,
    /// How the routers know each other.
    pub auth: Auth,
    /// Refuse what only errata forbid (8300: the first IPv6 address is link-local).
    pub strict: bool,
    /// When to announce the addresses.
    pub announce: Announcing,
    /// How many farewells to send: two, since an advert in flight may arrive after the first.
    pub farewells: u8,
    /// What the RFCs leave open, or others do otherwise.
    pub manner: Manner,
}

impl Config {
    /// How long the old Master keeps the addresses after it has heard its successor: that one installs
    /// and announces them in this time, and no client finds the address nowhere.
    #[must_use]
    pub fn linger(&self) -> Duration {
        SUCCESSION + self.installing()
    }

    /// The part of it from the first address that is there to the last.
    #[must_use]
    pub fn installing(&self) -> Duration {
        EACH.saturating_mul(u32::try_from(self.addresses.len()).unwrap_or(u32::MAX))
    }

    /// How long a handover waits for a successor: if nobody comes within a whole down interval,
    /// nobody will. Never less than that of the default interval: who preempts has not learned ours,
    /// and the addresses stay up meanwhile.
    #[must_use]
    pub fn handover_wait(&self) -> Duration {
        self.interval.max(Interval::SECOND).down(self.version, Priority::DEFAULT) + self.linger()
    }

    /// How long a Backup of this priority waits once its Master has said farewell: the skew (RFC 9568 6.4.2), in
    /// which better Backups go first. Where there can be no other, only until what came behind it is heard too.
    #[must_use]
    pub fn farewell_wait(&self, interval: Interval, priority: Priority) -> Duration {
        let lone = self.manner.lone_backup || self.peers.len() == 1;
        if lone { LONE_WAIT } else { interval.skew(self.version, priority) }
    }

    /// What it expects of a packet that comes in while the wall clock reads `clock`, if it is known.
    #[must_use]
    pub fn expect(&self, clock: Option<Duration>) -> Expect<'_> {
        let reach =
            if self.peers.is_empty() { Reach::Multicast(self.group) } else { Reach::Unicast(&self.peers) };
        Expect {
            version: self.version,
            vrid: self.vrid,
            interval: self.interval,
            owner: self.priority.is_owner(),
            owner_ignores: self.manner.owner_ignores,
            bare: self.addresses.is_empty(),
            reach,
            min_ttl: self.min_ttl,
            ttls: &self.ttls,
            auth: &self.auth,
            clock,
            addresses: &self.addresses,
            strict: self.strict,
        }
    }
}

/// How long the only Backup waits after a farewell.
pub const LONE_WAIT: Duration = Duration::from_micros(500);
/// How long a successor takes, from its first advert, to have one address where clients find it.
const SUCCESSION: Duration = Duration::from_millis(15);
/// The same for each further one: of thousands the kernel needs its time.
const EACH: Duration = Duration::from_micros(100);

/// What the RFCs leave open, or others do otherwise.
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How long to follow a Master of lower priority before preempting it; zero: not at all.
    pub preempt_delay: Duration,
    /// Missed adverts after which a Master is gone, 1..=100. The RFCs say 3.
    pub down_adverts: u8,
    /// Answer a losing advert at once (RFC 9568 section 6.4.3; not RFC 3768).
    pub answer_losing: bool,
    /// Believe nobody else while priority 255 is configured; version 2 never does.
    pub owner_ignores: bool,
    /// Advertise once more before yielding, so that the winner announces its addresses again.
    pub parting_advert: bool,
    /// Wait for one advert only, instead of three, when just started.
    pub eager: bool,
    /// How long the kernel keeps the addresses of a process that does nothing: whole seconds, from 1 s on;
    /// `None` for ever. See [`Interval::lease`].
    pub lease: Option<Duration>,
    /// Nobody but the Master and this router can hold.
    pub lone_backup: bool,
    /// A Master goes on where its link was gone for less than a takeover takes.
    pub goes_on: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            preempt_delay: Duration::ZERO,
            down_adverts: 3,
            answer_losing: true,
            owner_ignores: false,
            parting_advert: false,
            eager: false,
            lease: None,
            lone_backup: false,
            goes_on: true,
        }
    }
}
