//! VRRP: the protocol that elects, per virtual router, the one machine that holds its addresses.
//!
//! Version 3 is RFC 9568 with its verified errata (7947, 7949, 8298, 8299, 8300, 8301), over IPv4
//! and IPv6; version 2 is RFC 3768 over IPv4, with the password or the authentication header of RFC 2338
//! where configured. Either version signs its adverts where it has keys (`hmac`).
//!
//! ```text
//!                    Startup, priority 255
//!        +-------------------------------------------------+
//!        |                                                 v
//!  +------------+  Startup   +----------+  down timer  +----------+
//!  | Initialize |----------->|  Backup  |------------->|  Master  |
//!  +------------+            +----------+<-------------+----------+
//!        ^  ^                  |      ^   better advert  |      |
//!        |  |    Shutdown      |      |                  |      | Shutdown, Handover
//!        |  +------------------+      | nobody wanted it |      v
//!        |                            |  (or handed over)|  +---------+
//!        |                            +------------------+--| Leaving |
//!        +--------------------------------------------------+---------+
//!
//!  Fault: like Initialize, but with a reason that can heal; from anywhere, back by Backup.
//! ```
//!
//! Everything in this folder is a function of (state, time, input). No sockets, clocks or logs.
//!
//! Where we differ from the letter of the RFCs, and why:
//! - A priority-0 advert shortens the timer only when it comes from the Master we follow
//!   (RFC 9568 6.4.2 believes anyone): a late duplicate must not cause a second takeover.
//! - Unless `virtual_mac` is set, adverts leave from the interface's own MAC, and answers to ARP and to
//!   neighbour solicitations, and the Master's own solicitations, carry it (6.4.3, 7.2, 8.1.2 and 8.2.2 want
//!   the virtual MAC): like keepalived without `use_vmac`; gratuitous ARP and unsolicited advertisements move
//!   the clients. The kernel answers, and sets the Router flag (6.4.3) only where it forwards.
//! - Who preempts a living Master has and announces its addresses before its first advert (6.4.2 and RFC 3768
//!   6.4.2 advertise first), which comes an interval later at most: `make` says why.
//! - The only Backup there can be (one unicast peer, one rival among the voters or on the second path) waits
//!   0.5 ms after a farewell and not its skew (6.4.2, RFC 3768 6.4.2): there is no better one to let go first. So
//!   does, among several Locums, the one that the Master names before its farewell: `succession` says how.
//! - A Master whose link was gone for less than three adverts goes on as Master where it has heard nobody else
//!   (6.4.1 and RFC 3768 6.4.1 go by Backup): no Backup can have missed it. See `link_back`.
//! - By unicast any TTL and hop limit is accepted unless `min_ttl` is set, and IPv6 from an address of any
//!   scope (5.1.1.3, 5.1.2.1, 5.1.2.3, 7.1 and RFC 3768 5.2.3 want 255, and link-local): peers may be
//!   routers away, as with keepalived. Only the configured peers are heard. By multicast `min_ttl` lowers 255
//!   where the operator writes so, and is warned of.
//! - Losing adverts are answered once in a sixteenth of an interval at most (6.4.3 answers each), and not
//!   before the first advert of who preempts: a flood of forged ones is not sent back as another.
//! - Version 2 compares the lists of addresses and tells of others, but drops nothing (RFC 3768 7.1 drops what
//!   it has compared): while addresses are rolled out host by host, dropping would make two Masters.
//! - `Accept_Mode` is on unless `accept = false` (6.1 has it off): a server that holds an address
//!   answers on it, by version 2 as well (RFC 3768 6.4.3).
//! - Redirects, proxy ARP and router advertisements (8.1.1, 8.1.3, 8.2.1, 8.2.3) belong to the
//!   kernel's router role; Locum serves hosts and leaves these to the kernel and radvd.
//! - A router that flaps because its own host is slow (2.5) is not told apart from any other that does: every
//!   change of state is logged with its reason, and how late adverts leave is in the status. `damping`, where
//!   it is set, counts only failures of checks, links and the like.
//! - A Master keeps its addresses for a moment after its farewell (6.4.3 ends at once), until the
//!   successor is heard: the `Leaving` state.
//! - The combined version 2 and 3 mode (8.4, a MAY) is not built.
//! - The first IPv6 address need not be link-local when the operator gives none (5.2.9): the
//!   receiving side accepts it then, as keepalived and FRR do, unless `strict` is set.

mod again;
pub mod ah;
pub mod announcing;
pub mod auth;
mod checksum;
pub mod config;
mod draft;
mod envelope;
pub mod event;
mod expect;
pub mod group;
pub mod hmac;
pub mod instance;
pub mod interval;
pub mod ledger;
mod link_back;
mod make;
pub mod packet;
mod refusal;
pub mod sequence;
pub mod succession;
mod tuning;
mod vip;
mod voted;
mod waking;
pub mod why;

pub use interval::{Interval, Priority};
pub use vip::{AddressFlag, Particulars, Preferred, Vip};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::sync::Arc;

/// The IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// The multicast group of VRRP over IPv4 (RFC 9568 section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The multicast group of VRRP over IPv6 (RFC 9568 section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The protocol version of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768, IPv4 only, whole seconds.
    #[serde(rename = "2")]
    V2,
    /// RFC 9568, both families, centiseconds.
    #[serde(rename = "3")]
    V3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V2 => "2",
            Version::V3 => "3",
        })
    }
}

/// The address family of an instance. The same VRID in both families is two instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The family of `address`.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// The multicast group that VRRP uses in this family, where no other is agreed on.
    #[must_use]
    pub const fn group(self) -> IpAddr {
        match self {
            Family::Ipv4 => IpAddr::V4(GROUP_V4),
            Family::Ipv6 => IpAddr::V6(GROUP_V6),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        })
    }
}

/// A virtual router identifier, 1..=255 (RFC 9568 section 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// `value` in 1..=255, else `None`.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        match NonZeroU8::new(value) {
            Some(id) => Some(Vrid(id)),
            None => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The virtual router's MAC address (RFC 9568 section 7.3).
    #[must_use]
    pub const fn mac(self, family: Family) -> [u8; 6] {
        let kind = match family {
            Family::Ipv4 => 1,
            Family::Ipv6 => 2,
        };
        [0x00, 0x00, 0x5e, 0x00, kind, self.get()]
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one VRRP message says, whichever version carried it. Only valid things fit in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advert {
    /// The protocol version that carried it.
    pub version: Version,
    /// The virtual router it is about.
    pub vrid: Vrid,
    /// The sender's priority; `None` is the farewell (priority 0 on the wire).
    pub priority: Option<Priority>,
    /// The sender's advertisement interval.
    pub interval: Interval,
    /// The addresses of the virtual router, for people to compare; never part of the election.
    pub addresses: Arc<[IpAddr]>,
}

/// The two readings of the version 3 checksum over IPv4. RFC 9568 5.2.8 sums the message alone;
/// RFC 5798, and with it most of the field, puts a pseudo-header in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// With the IPv4 pseudo-header: keepalived, FRR, most vendors.
    Pseudo,
    /// The message alone: RFC 9568 to the letter.
    Rfc9568,
}

/// Which checksum an instance sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumPolicy {
    /// What the peers were last heard to speak; the pseudo-header until one was heard.
    #[default]
    Auto,
    /// Always with the pseudo-header.
    Pseudo,
    /// Always the message alone.
    Rfc9568,
}

impl fmt::Display for ChecksumPolicy {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChecksumPolicy::Auto => "auto",
            ChecksumPolicy::Pseudo => "pseudo",
            ChecksumPolicy::Rfc9568 => "rfc9568",
        })
    }
}

/// Whether `a` is the greater address: unsigned, in network order.
fn is_greater(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a > b,
        (IpAddr::V6(a), IpAddr::V6(b)) => a > b,
        _ => false,
    }
}
