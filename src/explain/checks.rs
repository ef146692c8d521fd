//! What each failing check changes: it fails in a rehearsal in which this host is Master, or would be.

use super::cast::{Cast, OWN, PEER};
use super::scenes::Scene;
use super::turn::{Turn, millis, stage, turn};
use crate::agent;
use crate::config::{self, Config, show};
use crate::health::{CheckName, OnFail, Standing, Track};
use crate::sim::{Finding, Rehearsal};
use crate::vrrp::Priority;

/// A scene for each check that the role tracks.
pub(super) fn checks(cast: &Cast<'_>, config: &Config) -> Vec<Scene> {
    let mut tracked: Vec<&Track> = Vec::new();
    for track in cast.written.iter().flat_map(|router| &router.tracks) {
        if !tracked.iter().any(|known| known.check == track.check) {
            tracked.push(track);
        }
    }
    tracked.into_iter().map(|track| scene(cast, config, track)).collect()
}

fn scene(cast: &Cast<'_>, config: &Config, track: &Track) -> Scene {
    let (check, on_fail, finding) = (&track.check, track.on_fail, finding(track));
    let mut rehearsal = stage(cast, cast.assumed);
    if rehearsal.masters(cast.seat) == [OWN] {
        rehearsal.await_advert(OWN, cast.seat);
    }
    let failed = turn(cast, &mut rehearsal, |rehearsal| rehearsal.find(OWN, check, finding));
    let moves_to = weighted(on_fail).then(|| band(cast, check, finding, &failed)).flatten();
    let mut outcome = vec![changed(cast, &failed)];
    if failed.moved() {
        outcome.push(back(cast, &mut rehearsal, check));
    }
    if let [master] = *failed.masters[1]
        && master != OWN
        && failed.masters[0] == [master]
    {
        outcome.push(next(cast, &mut rehearsal, master));
    }
    if weighted(on_fail) && cast.is_assumed() {
        outcome.push(moving(moves_to, &failed));
    }
    let noticed = config::noticed(check, config).filter(|time| !time.is_zero());
    outcome.extend(noticed.map(|noticed| format!("noticed within {}", show(noticed))));
    let when = match finding {
        Finding::Reads(number) => format!("check {check} reads {number}"),
        Finding::Fails | Finding::Passes => format!("check {check} fails"),
    };
    Scene {
        check: Some(check.clone()),
        noticed_ms: noticed.map(millis),
        moves_to,
        ..failed.scene(cast, when, outcome.join("; "))
    }
}

/// What stands for its failure. Of numbers: the least that is a fault, by the rule that counts.
fn finding(track: &Track) -> Finding {
    /// No number that matters is larger.
    const MOST: i32 = 254;
    if !matches!(track.on_fail, OnFail::Times(_)) {
        return Finding::Fails;
    }
    let mut numbers = (1..=MOST).flat_map(|number| [-number, number]);
    numbers.find(|number| track.bars(Standing::Up, *number, true)).map_or(Finding::Fails, Finding::Reads)
}

const fn weighted(on_fail: OnFail) -> bool {
    matches!(on_fail, OnFail::Weight(_))
}

/// What it does to this host, and who is Master then.
fn changed(cast: &Cast<'_>, failed: &Turn) -> String {
    let [before, after] = failed.priority;
    let told = failed.told(cast);
    match failed.state {
        Some(agent::Standing::Fault) => told,
        _ if before == after => format!("priority {before} as before: {told}"),
        _ => format!("priority {before} -> {after}: {told}"),
    }
}

/// Whether it comes back with the check.
fn back(cast: &Cast<'_>, rehearsal: &mut Rehearsal, check: &CheckName) -> String {
    let passed = turn(cast, rehearsal, |rehearsal| rehearsal.find(OWN, check, Finding::Passes));
    match passed.taken {
        Some((OWN, after)) => format!("this host has it again {} after the check passes", show(after)),
        _ => "it stays there when the check passes again".to_owned(),
    }
}

/// Who follows a Master that dies while the check fails here.
fn next(cast: &Cast<'_>, rehearsal: &mut Rehearsal, master: usize) -> String {
    rehearsal.await_advert(master, cast.seat);
    let dead = turn(cast, rehearsal, |rehearsal| rehearsal.kill(master));
    format!("should {} die then: {}", cast.host(master), dead.told(cast))
}

/// The priorities of an assumed peer that the role would go to: tried at the edges of the change.
fn band(cast: &Cast<'_>, check: &CheckName, finding: Finding, failed: &Turn) -> Option<[u8; 2]> {
    if !cast.is_assumed() {
        return None;
    }
    let own = cast.priority()?.get();
    let [_, after] = failed.priority;
    let goes = |priority: &u8| {
        let Some(priority) = Priority::new(*priority).filter(|it| !it.is_owner()) else { return false };
        let mut rehearsal = stage(cast, priority);
        if rehearsal.masters(cast.seat) != [OWN] {
            return false;
        }
        rehearsal.find(OWN, check, finding);
        rehearsal.settle();
        rehearsal.masters(cast.seat) == [PEER]
    };
    let first = [after, after.saturating_add(1)].into_iter().find(goes)?;
    let last = [own, own.saturating_sub(1)].into_iter().find(goes)?;
    (first <= last).then_some([first, last])
}

fn moving(band: Option<[u8; 2]>, failed: &Turn) -> String {
    match (band, failed.moved()) {
        (Some([first, last]), _) if first == last => {
            format!("it goes to a peer of {first}, and to no other")
        }
        (Some([first, last]), true) => format!("so it goes to any peer of {first} to {last}"),
        (Some([first, last]), false) => format!("it goes to a peer of {first} to {last} only"),
        (None, _) => "it never moves the addresses, whatever a peer's priority".to_owned(),
    }
}
