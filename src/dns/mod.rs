//! Records of DNS that move with a router, or with health checks: by dynamic updates (RFC 2136), or by the
//! interfaces of Cloudflare, Amazon Route 53 and `DigitalOcean`.
//!
//! Every write is read, compare, swap: it is made only where the record does not hold what is wished, and only
//! while it still holds what was read. The name server sees to that by prerequisites, Route 53 by deleting
//! exactly what was read; the other two have no such means. What should be written when is computed in `plan` and
//! `desk`; `clerk` is the task that does it.

mod api;
pub mod clerk;
pub mod cloudflare;
mod desk;
pub mod digitalocean;
pub mod plan;
pub mod rfc2136;
pub mod route53;
pub mod signature;

pub use api::Api;
pub use clerk::Clerk;
pub use plan::{Choice, Fact, Facts, Plan};

use crate::stream::dial::Lane;
use crate::stream::retry::Refusal;
use crate::vrrp::Family;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// One record: a name, and the addresses of one family at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the configuration calls it.
    pub name: String,
    /// The name in DNS, in small letters, without a dot at its end.
    pub host: String,
    /// Whether it holds IPv4 (A) or IPv6 addresses (AAAA).
    pub family: Family,
    /// How long resolvers may remember it, in seconds.
    pub ttl: u32,
    /// Who writes it, and what.
    pub plan: Plan,
    /// Where it is kept.
    pub provider: Provider,
    /// How long one attempt may take.
    pub timeout: Duration,
}

/// Where a record is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A name server that takes updates.
    Rfc2136(rfc2136::Server),
    /// Cloudflare.
    Cloudflare(cloudflare::Account),
    /// Amazon Route 53.
    Route53(route53::Account),
    /// `DigitalOcean`.
    DigitalOcean(digitalocean::Account),
}

impl Provider {
    /// As the configuration writes it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Provider::Rfc2136(_) => "rfc2136",
            Provider::Cloudflare(_) => "cloudflare",
            Provider::Route53(_) => "route53",
            Provider::DigitalOcean(_) => "digitalocean",
        }
    }
}

/// Asks whoever keeps a record. All of them have the same three calls; the largest is too large not to be boxed.
macro_rules! ask {
    ($record:ident.$call:ident($($with:expr),*)) => {
        match &$record.provider {
            Provider::Rfc2136(it) => Box::pin(it.$call($record, $($with),*)).await,
            Provider::Cloudflare(it) => Box::pin(it.$call($record, $($with),*)).await,
            Provider::Route53(it) => Box::pin(it.$call($record, $($with),*)).await,
            Provider::DigitalOcean(it) => Box::pin(it.$call($record, $($with),*)).await,
        }
    };
}

impl Record {
    /// `A` or `AAAA`
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.family {
            Family::Ipv4 => "A",
            Family::Ipv6 => "AAAA",
        }
    }

    /// The checks that say what it holds.
    pub fn checks(&self) -> impl Iterator<Item = &str> {
        self.plan.choices.iter().flat_map(|choice| &choice.checks).map(|check| &*check.0)
    }

    /// Whether it can hold `address`.
    #[must_use]
    pub fn takes(&self, address: IpAddr) -> bool {
        address.is_ipv4() == (self.family == Family::Ipv4)
    }

    async fn read(&self, lane: &Lane) -> Result<Found, Refusal> {
        ask!(self.read(lane))
    }

    /// Has the record hold `address` alone.
    async fn write(&self, found: &Found, address: IpAddr, lane: &Lane) -> Result<Wrote, Refusal> {
        ask!(self.write(found, address, lane))
    }

    /// Writes what is there already. Whether that was possible, which proves that we may.
    async fn rehearse(&self, found: &Found, lane: &Lane) -> Result<bool, Refusal> {
        match ask!(self.rehearse(found, lane))? {
            Some(Wrote::Conflict) => {
                Err(Refusal::later(format!("somebody else changes {self} at the same time")))
            }
            wrote => Ok(wrote.is_some()),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.kind())
    }
}

/// What a record holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    addresses: BTreeSet<IpAddr>,
    /// In seconds; `None` where there is nothing, or where it is not ours to say.
    ttl: Option<u32>,
    /// What the provider calls each address, where it has names for them.
    ids: Vec<(String, IpAddr)>,
}

impl Found {
    /// Whether nothing is to be done for it to hold `address` alone.
    fn is(&self, address: IpAddr, ttl: u32) -> bool {
        self.addresses.iter().eq([&address]) && self.ttl.is_none_or(|found| found == ttl)
    }
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    Done,
    /// The record holds something else than what was read.
    Conflict,
}
