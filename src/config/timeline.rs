//! How long a failover takes at worst, by cause: from the failure until another host is Master.

use super::Config;
use super::value::show;
use crate::agent::config::{Claims, Router};
use crate::claim::quorum::Quorum;
use crate::claim::{Ttl, etcd};
use crate::health::{self, CheckName, OnFail};
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

/// The worst case of one cause. The peers are taken to have the same configuration but for the
/// priority, and one of them to be fit, of the lowest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// What fails.
    pub cause: Cause,
    /// Until it is noticed: `down_adverts` silent intervals, or its claim in a store; or the check's rounds.
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
/// want of preemption or since the peer stays below, is none.
#[must_use]
pub fn timelines(router: &Router, config: &Config) -> Vec<Timeline> {
    let lowest = Priority::new(1).unwrap_or(Priority::DEFAULT);
    let skew = router.interval.skew(router.version, lowest);
    let silence = router.interval.duration() * u32::from(router.manner.down_adverts);
    let line = |cause, detection: Duration, election: Duration| Timeline {
        cause,
        detection,
        election,
        total: detection.saturating_add(election),
    };
    let checks = router.tracks.iter().filter_map(|track| {
        let election = match track.on_fail {
            // A farewell: the Backup waits for its skew only (RFC 9568 section 6.4.2).
            OnFail::Fault => skew,
            OnFail::Weight(_) | OnFail::Times(_) if !weights_count(router, config) => return None,
            // A lower priority, told at once: the Backup's timer runs out, counted from the last better advert.
            _ if router.manner.preempt_delay.is_zero() => silence + skew,
            // Or it follows a lower one for as long as it is told to.
            _ => router.manner.preempt_delay,
        };
        Some(line(Cause::Check(track.check.clone()), noticed(&track.check, config)?, election))
    });
    let mut all = vec![match claimed(router, config) {
        None => line(Cause::Host, silence, skew),
        Some(ttl) => line(Cause::Host, silence.max(ttl.grant()), skew + etcd::pace(ttl) + etcd::LATE),
    }];
    all.extend(checks);
    all
}

/// How long it takes at worst until a check counts as down: its rounds, or the delay of the link it is about.
#[must_use]
pub fn noticed(check: &CheckName, config: &Config) -> Option<Duration> {
    let counted = config.agent.checks.iter().find(|known| known.name == *check)?;
    let Some(link) = &counted.link else {
        return Some(config.details.checks.get(check)?.worst_detection(counted.fall));
    };
    let delay = config.agent.link_delays.get(link);
    Some(delay.map_or(Duration::ZERO, |delay| if counted.inverse { delay.up } else { delay.down }))
}

/// Whether weights can bring this router below a peer that then preempts it.
fn weights_count(router: &Router, config: &Config) -> bool {
    let stays_above = config.details.peer_priority.get(&router.name).is_some_and(|peer| {
        let numbers = router.tracks.iter().any(|track| matches!(track.on_fail, OnFail::Times(_)));
        !numbers && !can_fall_below(*peer, reach(router.priority, &router.tracks))
    });
    router.preempt && !router.priority.is_owner() && !stays_above
}

/// The best and the worst that weights make of a priority, not cut to what a priority can be.
pub(super) fn reach(base: Priority, tracks: &[health::Track]) -> (i32, i32) {
    let weights = tracks.iter().filter_map(|track| match track.on_fail {
        OnFail::Weight(weight) => Some(weight),
        OnFail::Fault | OnFail::Times(_) => None,
    });
    let base = i32::from(base.get());
    weights.fold((base, base), |(best, worst), weight| (best + weight.max(0), worst + weight.min(0)))
}

/// Whether a router that is above `peer` at its best is below it at its worst; of one that never is above it
/// that cannot be said.
pub(super) fn can_fall_below(peer: Priority, (best, worst): (i32, i32)) -> bool {
    let peer = i32::from(peer.get());
    best <= peer || worst < peer
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
