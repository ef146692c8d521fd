//! Who is Master when: the hosts start, die and stop in a rehearsal, and what came of it is told.

use super::cast::{Cast, OWN, PEER};
use super::turn::{Turn, stage, turn};
use crate::agent::Standing;
use crate::agent::config::Interface;
use crate::config::show;
use crate::health::CheckName;
use crate::sim::Rehearsal;
use crate::vrrp::Priority;
use serde::Serialize;
use std::fmt::Write as _;

/// One thing that may happen, and what comes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scene {
    /// What happens.
    pub when: String,
    /// What comes of it, in one line.
    pub outcome: String,
    /// The check that fails, where it is about one.
    pub check: Option<CheckName>,
    /// This host's state afterwards; `None` where it does not run.
    pub state: Option<Standing>,
    /// This host's priority, before and after.
    pub priority: [u8; 2],
    /// Who is Master before, and after: several where they do not hear each other.
    pub masters: [Vec<String>; 2],
    /// From what happened until another host was Master, or this one; `None` where nobody became it.
    pub after_ms: Option<f64>,
    /// Until it is noticed at worst, before that: for checks.
    pub noticed_ms: Option<f64>,
    /// Peers of these priorities, the first and the last, would become Master: for weights.
    pub moves_to: Option<[u8; 2]>,
}

/// Who is Master when.
pub(super) fn election(cast: &Cast<'_>) -> Vec<Scene> {
    let mut alone = cast.rehearsal(cast.assumed);
    let start = turn(cast, &mut alone, |rehearsal| rehearsal.start(OWN));
    let mut scenes = vec![start.scene(cast, "no other host runs", start.told(cast) + &waits(cast, &start))];
    if start.state == Some(Standing::Fault) {
        return scenes;
    }
    if cast.is_assumed() {
        scenes.extend(by_priority(cast));
    } else {
        scenes.extend(among_peers(cast));
    }
    scenes.extend(losses(cast));
    scenes
}

/// What a start waits for besides.
fn waits(cast: &Cast<'_>, start: &Turn) -> String {
    let mut waits = String::new();
    let faults = cast.faults();
    if !faults.is_empty() && start.state != Some(Standing::Fault) {
        let _ = write!(waits, ", once {} passed", listed(&faults));
    }
    if !cast.start_delay().is_zero() {
        let _ = write!(waits, ", and not in the first {} after the daemon's start", show(cast.start_delay()));
    }
    waits
}

fn listed(names: &[String]) -> String {
    match names {
        [one] => format!("check {one} has"),
        all => format!("checks {} have", all.join(", ")),
    }
}

/// An assumed peer of a lower, the same, and a higher priority.
fn by_priority(cast: &Cast<'_>) -> Vec<Scene> {
    let Some(own) = cast.priority() else { return Vec::new() };
    let mut scenes = Vec::new();
    let below = own.get().checked_sub(1).and_then(Priority::new);
    let lower = if cast.assumed < own { Some(cast.assumed) } else { below };
    if let Some(lower) = lower {
        let mut rehearsal = cast.rehearsal(lower);
        rehearsal.start(PEER);
        rehearsal.settle();
        let turn = turn(cast, &mut rehearsal, |rehearsal| rehearsal.start(OWN));
        scenes.push(turn.scene(cast, format!("it starts beside a Master of {lower}"), turn.told(cast)));
    }
    if own.is_owner() {
        return scenes;
    }
    scenes.extend(evenly(cast, own));
    if let Some(higher) = own.get().checked_add(1).and_then(Priority::new).filter(|it| !it.is_owner()) {
        let mut rehearsal = cast.rehearsal(higher);
        rehearsal.start(OWN);
        rehearsal.settle();
        let turn = turn(cast, &mut rehearsal, |rehearsal| rehearsal.start(PEER));
        let when = format!("it is Master, and a peer of {higher} starts");
        scenes.push(turn.scene(cast, when, turn.told(cast)));
    }
    scenes
}

/// A peer of the same priority: both are Master on two sides of a network that comes together again.
fn evenly(cast: &Cast<'_>, own: Priority) -> Option<Scene> {
    let mut rehearsal = cast.rehearsal(own);
    rehearsal.part();
    rehearsal.start(OWN);
    rehearsal.start(PEER);
    rehearsal.settle();
    let turn = turn(cast, &mut rehearsal, Rehearsal::join);
    let source = |node: usize| {
        let router = rehearsal.status(node)?.routers.into_iter().next()?;
        router.instances.first()?.source
    };
    let winner = match turn.masters[1].as_slice() {
        [one] if source(*one) == source(OWN).max(source(PEER)) => {
            "the greater source address stays Master".to_owned()
        }
        _ => turn.told(cast),
    };
    let kept =
        if stage(cast, own).masters(cast.seat) == [OWN] { "; else whoever is Master stays it" } else { "" };
    let when = format!("a split network had made it and a peer of {own} both Master");
    (turn.masters[0].len() > 1).then(|| turn.scene(cast, when, winner + kept))
}

/// Everybody starts, and then the Masters die one after the other.
fn among_peers(cast: &Cast<'_>) -> Vec<Scene> {
    let mut rehearsal = cast.rehearsal(cast.assumed);
    let all = 0..cast.hosts();
    let mut next = turn(cast, &mut rehearsal, |rehearsal| all.for_each(|node| rehearsal.start(node)));
    let told = next.told(cast) + &refusals(cast, &rehearsal).concat();
    let mut scenes = vec![next.scene(cast, "all hosts start at once", told)];
    if next.masters[1].len() > 1 {
        return scenes;
    }
    while let [master] = next.masters[1].as_slice() {
        let (master, name) = (*master, cast.host(*master));
        rehearsal.await_advert(master, cast.seat);
        next = turn(cast, &mut rehearsal, |rehearsal| rehearsal.kill(master));
        if next.masters[1].is_empty() {
            break;
        }
        scenes.push(next.scene(cast, format!("then {name} dies"), next.told(cast)));
    }
    let mut rehearsal = cast.rehearsal(cast.assumed);
    (1..cast.hosts()).for_each(|node| rehearsal.start(node));
    rehearsal.settle();
    let turn = turn(cast, &mut rehearsal, |rehearsal| rehearsal.start(OWN));
    scenes.push(turn.scene(cast, "it starts last", turn.told(cast)));
    scenes
}

/// Why this host refuses what the others send.
fn refusals(cast: &Cast<'_>, rehearsal: &Rehearsal) -> Vec<String> {
    let instances = |node| {
        let routers = rehearsal.status(node).into_iter().flat_map(|status| status.routers);
        routers.flat_map(|router| router.instances)
    };
    let from = |node| instances(node).filter_map(|instance| instance.source).collect::<Vec<_>>();
    let peers: Vec<_> = instances(OWN).flat_map(|instance| instance.peers).collect();
    let why = |node| {
        let sources = from(node);
        let refused =
            peers.iter().find(|peer| sources.contains(&peer.address) && peer.last_refused.is_some())?;
        Some(format!("; those of {} are refused: {}", cast.host(node), refused.last_refused.as_ref()?))
    };
    (1..cast.hosts()).filter_map(why).collect()
}

/// This host is Master, and is lost.
fn losses(cast: &Cast<'_>) -> Vec<Scene> {
    let begin = || {
        let mut rehearsal = stage(cast, cast.assumed);
        rehearsal.await_advert(OWN, cast.seat);
        (rehearsal.masters(cast.seat) == [OWN]).then_some(rehearsal)
    };
    let mut scenes = Vec::new();
    let mut play = |when: String, event: &dyn Fn(&mut Rehearsal)| {
        let Some(mut rehearsal) = begin() else { return };
        let turn = turn(cast, &mut rehearsal, event);
        scenes.push(turn.scene(cast, when, turn.told(cast)));
    };
    if cast.is_assumed() {
        play("it is Master and dies".to_owned(), &|rehearsal| rehearsal.kill(OWN));
    }
    play("it is Master and its daemon is stopped".to_owned(), &|rehearsal| rehearsal.stop(OWN));
    let mut names: Vec<&String> = Vec::new();
    for router in &cast.written {
        match &router.interface {
            Interface::Named(name) if !names.contains(&name) => names.push(name),
            _ => {}
        }
    }
    for name in names {
        play(format!("it is Master and {name} loses its link"), &|rehearsal| {
            rehearsal.set_link(OWN, name, false);
        });
    }
    scenes
}
