//! Weights beside the priorities of other hosts, whose files are at hand: what they can move, and what not.

use super::problem::{Problem, Severity};
use super::{Config, timeline};
use crate::agent;
use crate::agent::config::Router;
use crate::health::{CheckName, OnFail};
use crate::vrrp::Priority;
use std::path::Path;

/// Takes the best priority among `peers`, each with its name, into `config`, for the routers of which it says
/// none; and tells, about `file`, of weights that move nothing beside it.
pub fn beside(config: &mut Config, file: &Path, peers: &[(&str, &agent::Config)]) -> Vec<Problem> {
    let mut found = Vec::new();
    for router in &config.agent.routers {
        let others = peers.iter().flat_map(|(name, rules)| rules.routers.iter().map(move |it| (*name, it)));
        let same = others.filter(|(_, other)| router.shares_number_with(other));
        let Some((best, whose)) = same.map(|(name, other)| (at_best(other), name)).max() else { continue };
        if config.details.peer_priority.contains_key(&router.name) {
            continue;
        }
        config.details.peer_priority.insert(router.name.clone(), best);
        let idle = idle(router, best, whose).into_iter();
        found.extend(idle.map(|(message, help)| {
            let message = format!("{}: {message}", router.name);
            Problem::of_file(Severity::Warning, file, message, Some(help))
        }));
    }
    found
}

/// Weights that move nothing beside the best peer, and the mend.
fn idle(router: &Router, peer: Priority, whose: &str) -> Vec<(String, String)> {
    let own = at_best(router);
    let numbers = router.tracks.iter().any(|track| matches!(track.on_fail, OnFail::Times(_)));
    // What does not move for want of preemption, or of a role to lose, is told of without any peer.
    if numbers || !router.preempt || router.priority.is_owner() || own <= peer {
        return Vec::new();
    }
    let weighed: Vec<_> = weighed(router).collect();
    let worst = at(router, weighed.iter().map(|(_, weight)| weight.abs()).sum());
    if !weighed.is_empty() && worst >= peer {
        let message = format!(
            "all weighted checks down leave priority {worst}, not below the {peer} of {whose}: no failover"
        );
        return vec![(message, "make the weights larger".to_owned())];
    }
    let step = own.get() - peer.get();
    let alone = weighed.into_iter().map(|(check, weight)| (check, at(router, weight.abs())));
    let idle = alone.filter(|(_, alone)| *alone >= peer).map(|(check, alone)| {
        let message = format!(
            "check {check} alone leaves priority {alone}, not below the {peer} of {whose}: it moves nothing \
             unless another fails too"
        );
        (message, format!("make its weight larger than {step}, where it is to move the addresses alone"))
    });
    idle.collect()
}

/// The lowest priority of a peer that the failure of this check alone would move the addresses to, where it is
/// tracked by a weight.
#[must_use]
pub fn moves_from(router: &Router, check: &CheckName) -> Option<Priority> {
    let (_, weight) = weighed(router).find(|(name, _)| *name == check)?;
    Priority::new(at(router, weight.abs()).get().checked_add(1)?)
}

/// With every check well.
fn at_best(router: &Router) -> Priority {
    at(router, 0)
}

/// With so much less than at its best.
fn at(router: &Router, less: i32) -> Priority {
    let (best, _) = timeline::reach(router.priority, &router.tracks);
    router.priority.adjusted(best - i32::from(router.priority.get()) - less)
}

fn weighed(router: &Router) -> impl Iterator<Item = (&CheckName, i32)> {
    router.tracks.iter().filter_map(|track| match track.on_fail {
        OnFail::Weight(weight) if weight != 0 => Some((&track.check, weight)),
        OnFail::Weight(_) | OnFail::Fault | OnFail::Times(_) => None,
    })
}
