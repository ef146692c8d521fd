//! How long a failover takes at worst, by cause: from the failure until another host is Master.

use super::Config;
use super::value::show;
use crate::agent::config::{Claims, Router};
use crate::claim::quorum::Quorum;
use crate::claim::{Ttl, etcd};
use crate::health::{CheckName, OnFail};
use crate::vrrp::Priority;
use std::fmt;
use std::time::Duration;

/// What fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The Master's host, or its network: nothing is heard of it any more.
    Host,
    /// What this check looks at, on the Master.
    Check(CheckName),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Host => f.write_str("the host dies"),
            Cause::Check(name) => write!(f, "check {name} fails"),
        }
    }
}

/// The worst case of one cause. The peers are taken to have the same interval, and one of them to
/// be fit, of the lowest priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What fails.
    pub cause: Cause,
    /// Until it is noticed: three silent intervals, or its claim in a store; or the check's rounds.
    pub detection: Duration,
    /// From then until another host is Master.
    pub election: Duration,
    /// Both.
    pub total: Duration,
}

impl fmt::Display for Timeline {
    /// `the host dies: 3.997s (3s until noticed, 997ms election)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [total, detection, election] = [self.total, self.detection, self.election].map(show);
        write!(f, "{}: {total} ({detection} until noticed, {election} election)", self.cause)
    }
}

/// Every cause of a failover of `router`, the host first. A check whose weight moves nothing, for
/// want of preemption, is none.
#[must_use]
pub fn timelines(router: &Router, config: &Config) -> Vec<Timeline> {
    let lowest = Priority::new(1).unwrap_or(Priority::DEFAULT);
    let skew = router.interval.skew(router.version, lowest);
    let silence = router.interval.duration() * 3;
    let line = |cause, detection: Duration, election: Duration| Timeline {
        cause,
        detection,
        election,
        total: detection.saturating_add(election),
    };
    let checks = router.tracks.iter().filter_map(|track| {
        let spec = config.details.checks.get(&track.check)?;
        let counted = config.agent.checks.iter().find(|check| check.name == track.check)?;
        let election = match track.on_fail {
            // A farewell: the Backup waits for its skew only (RFC 9568 section 6.4.2).
            OnFail::Fault => skew,
            // A lower priority: the Backup's timer runs out, counted from the last better advert.
            OnFail::Weight(_) | OnFail::Times(_) if router.preempt && !router.priority.is_owner() => {
                silence + skew
            }
            OnFail::Weight(_) | OnFail::Times(_) => return None,
        };
        Some(line(Cause::Check(track.check.clone()), spec.worst_detection(counted.fall), election))
    });
    let mut all = vec![match claimed(router, config) {
        None => line(Cause::Host, silence, skew),
        Some(ttl) => line(Cause::Host, silence.max(ttl.grant()), skew + etcd::pace(ttl) + etcd::LATE),
    }];
    all.extend(checks);
    all
}

/// For how long a store lets nobody else hold, where one is asked. Voters do for no longer than the silence.
#[must_use]
pub fn claimed(router: &Router, config: &Config) -> Option<Ttl> {
    match &config.agent.claims {
        Some(claims @ Claims::Store(_)) if router.quorum != Quorum::Off => {
            Some(claims.ttl(router.interval.duration()))
        }
        _ => None,
    }
}

/// The longest of [`timelines`].
#[must_use]
pub fn worst_case(router: &Router, config: &Config) -> Timeline {
    let mut all = timelines(router, config);
    let worst = (0..all.len()).max_by_key(|place| all[*place].total).unwrap_or_default();
    all.swap_remove(worst)
}
