//! What a configuration makes of a packet: would one of its routers follow it, and if not, why not.

use crate::agent::RouterName;
use crate::agent::config::{Config, Interface, Router};
use crate::vrrp::Family;
use crate::vrrp::packet::{Envelope, Refusal, Remark, parse, peek_vrid};
use std::time::Duration;

/// What a configuration makes of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This router believes it, and finds it odd.
    Accepted(RouterName, Vec<Remark>),
    /// This router refuses it.
    Refused(RouterName, Refusal),
    /// This router takes no part; the line says why.
    Barred(RouterName, String),
    /// No router of this configuration is meant.
    Nobody,
}

/// Judges a packet that came in on `interface` when the wall clock read `at`; where the interface is not
/// known, as the router does that likes it best. Whether it was seen before is not asked.
#[must_use]
pub fn judge(config: &Config, interface: Option<&str>, at: Duration, envelope: &Envelope<'_>) -> Verdict {
    let family = Family::of(envelope.source);
    let meant = |router: &&Router| {
        Some(router.vrid) == peek_vrid(envelope.payload)
            && router.families().contains(&family)
            && match (&router.interface, interface) {
                (Interface::Named(ours), Some(theirs)) => ours == theirs,
                // Which interface has an address in the subnet is the daemon's to know.
                (Interface::Subnet(..), _) | (_, None) => true,
            }
    };
    let verdicts = config.routers.iter().filter(meant).map(|router| by(router, family, at, envelope));
    let best = |verdict: &Verdict| match verdict {
        Verdict::Accepted(..) => 0,
        Verdict::Barred(..) => 1,
        Verdict::Refused(..) | Verdict::Nobody => 2,
    };
    verdicts.min_by_key(best).unwrap_or(Verdict::Nobody)
}

fn by(router: &Router, family: Family, at: Duration, envelope: &Envelope<'_>) -> Verdict {
    let name = router.name.clone();
    if let Some(why) = &router.barred {
        return Verdict::Barred(name, why.clone());
    }
    match parse(envelope, &router.instance(family).expect(Some(at))) {
        Ok(heard) => Verdict::Accepted(name, heard.remarks),
        Err(refusal) => Verdict::Refused(name, refusal),
    }
}
