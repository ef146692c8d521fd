//! KEEPALIVED-MIB, what is checked: scripts, files, processes, BFD, and which router tracks what. Pure.
//!
//! Kinds of checks that keepalived has not stand among the scripts. The weight of a check is that of the
//! first router that tracks it: here each has its own.

use super::facts::Probe;
use super::oid::Value;
use super::rows::Rows;
use super::view::View;
use crate::health::{CheckName, Config, OnFail, Standing, Track};
use std::collections::BTreeMap;

const VRRP: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2];
/// `vrrpTrackedInterfaceTable`
const TRACKED_LINK: u32 = 4;
/// `vrrpTrackedScriptTable`, `vrrpTrackedFileTable`, `vrrpTrackedProcessTable`, `vrrpTrackedBfdTable`
const TRACKED: [u32; 4] = [5, 12, 20, 17];
/// `vrrpSyncTrackedInterfaceTable`
const GROUP_TRACKED_LINK: u32 = 14;
/// `vrrpSyncTrackedScriptTable`, `vrrpSyncTrackedFileTable`, `vrrpSyncTrackedProcessTable`,
/// `vrrpSyncTrackedBfdTable`
const GROUP_TRACKED: [u32; 4] = [15, 16, 22, 19];
/// `vrrpScriptTable`, `vrrpFileTable`, `vrrpProcessTable`, `vrrpBfdTable`
const CHECKS: [u32; 4] = [9, 13, 21, 18];

/// The entry of a table.
fn entry(table: u32) -> Vec<u32> {
    [VRRP, &[table, 1]].concat()
}

pub(super) fn put(view: &View<'_>, rows: &mut Rows) {
    let config = &view.facts.config;
    let known: BTreeMap<&CheckName, &Config> =
        config.checks.iter().map(|check| (&check.name, check)).collect();
    let mut weights: BTreeMap<&CheckName, i32> = BTreeMap::new();
    for (number, _, router) in view.routers() {
        tracked(view, number, config.own_tracks(router), &known, (TRACKED_LINK, TRACKED), rows);
        for track in &router.tracks {
            if let Some(check) = known.get(&track.check) {
                weights.entry(&check.name).or_insert(weight(track, check.inverse));
            }
        }
    }
    for (number, group) in (1..).zip(&config.groups) {
        tracked(view, number, group.tracks.iter(), &known, (GROUP_TRACKED_LINK, GROUP_TRACKED), rows);
    }
    let found: BTreeMap<_, _> = view.status.checks.iter().map(|check| (&check.name, check)).collect();
    let mut last = [0; 4];
    for check in config.checks.iter().filter(|check| check.link.is_none()) {
        let probe = view.facts.probes.get(&check.name);
        let kind = kind(probe);
        last[kind] += 1;
        let found = found.get(&check.name);
        let standing = result(found.map_or(Standing::Pending, |found| found.state), check.inverse);
        let number = found.and_then(|found| found.number);
        let weight = weights.get(&check.name).copied().unwrap_or_default();
        one(check, probe, (standing, number, weight), (kind, last[kind]), rows);
    }
}

/// What router or group `number` tracks, in a table for interfaces and one for each kind of check.
fn tracked<'a>(
    view: &View<'_>,
    number: u32,
    tracks: impl Iterator<Item = &'a Track>,
    known: &BTreeMap<&CheckName, &Config>,
    (links, others): (u32, [u32; 4]),
    rows: &mut Rows,
) {
    let (mut last_link, mut last) = (0, [0; 4]);
    for track in tracks {
        let Some(check) = known.get(&track.check) else { continue };
        let weight = Value::Integer(weight(track, check.inverse));
        let values = |name: &str| [Value::text(name), weight.clone(), Value::truth(check.inverse)];
        if let Some(link) = &check.link {
            // By their place, as keepalived has it, and not by their number.
            last_link += 1;
            for (column, value) in (1..).zip(values(link)) {
                rows.put(&entry(links), column, &[number, last_link], value);
            }
        } else {
            let probe = view.facts.probes.get(&check.name);
            let kind = kind(probe);
            last[kind] += 1;
            for (column, value) in (2..).zip(values(shown(&check.name, probe))) {
                rows.put(&entry(others[kind]), column, &[number, last[kind]], value);
            }
        }
    }
}

/// The name without what a converted keepalived.conf adds to it.
fn shown<'a>(name: &'a CheckName, probe: Option<&Probe>) -> &'a str {
    let kind = match probe {
        Some(Probe::File { .. }) => "file.",
        Some(Probe::Process { .. }) => "process.",
        Some(Probe::Bfd) => "bfd.",
        Some(Probe::Command { .. }) | None => "",
    };
    let name = name.0.strip_prefix(kind).unwrap_or(&name.0);
    name.strip_suffix(".reverse").unwrap_or(name)
}

/// The place of its table among the four.
const fn kind(probe: Option<&Probe>) -> usize {
    match probe {
        Some(Probe::Command { .. }) | None => 0,
        Some(Probe::File { .. }) => 1,
        Some(Probe::Process { .. }) => 2,
        Some(Probe::Bfd) => 3,
    }
}

/// As it was written: of a check that counts the other way round, so does the weight.
const fn weight(track: &Track, inverse: bool) -> i32 {
    let weight = match track.on_fail {
        OnFail::Fault => 0,
        OnFail::Weight(weight) | OnFail::Times(weight) => weight,
    };
    if inverse { -weight } else { weight }
}

/// What was found, whichever way round it counts.
const fn result(standing: Standing, inverse: bool) -> Standing {
    match (standing, inverse) {
        (Standing::Up, true) => Standing::Down,
        (Standing::Down, true) => Standing::Up,
        (other, _) => other,
    }
}

fn one(
    check: &Config,
    probe: Option<&Probe>,
    (standing, read, weight): (Standing, Option<i32>, i32),
    (kind, number): (usize, u32),
    rows: &mut Rows,
) {
    let entry = entry(CHECKS[kind]);
    let name = Some(Value::text(shown(&check.name, probe)));
    let (weight, reverse) = (Some(Value::Integer(weight)), Some(Value::truth(check.inverse)));
    match probe {
        Some(Probe::Command { command, interval }) => {
            let result = match standing {
                Standing::Pending => 1,
                Standing::Down => 2,
                Standing::Up => 3,
            };
            let seconds = i32::try_from(interval.as_secs()).unwrap_or(i32::MAX);
            let columns = [
                (2, name),
                (3, Some(Value::text(command))),
                (4, Some(Value::Integer(seconds))),
                (5, weight),
                (6, Some(Value::Integer(result))),
                (7, Some(Value::number(check.rise))),
                (8, Some(Value::number(check.fall))),
                (9, reverse),
            ];
            rows.row(&entry, &[number], columns);
        }
        Some(Probe::File { path }) => {
            let read = Some(Value::Integer(read.unwrap_or_default()));
            let columns = [(2, name), (3, Some(Value::text(path))), (4, read), (5, weight), (6, reverse)];
            rows.row(&entry, &[number], columns);
        }
        Some(Probe::Process { name: process, parameters, matching, interval, min, max, full }) => {
            // -1: any number.
            let most = max.map_or(-1, |max| i32::try_from(max).unwrap_or(i32::MAX));
            // In microseconds, between the first look that decides and the last.
            let delay = |looks: u32| {
                Some(Value::number(interval.saturating_mul(looks.saturating_sub(1)).as_micros()))
            };
            let columns = [
                (2, name),
                (3, Some(Value::text(process))),
                (4, Some(Value::text(parameters))),
                (5, Some(Value::Integer(*matching))),
                (6, weight),
                (7, reverse),
                (8, Some(Value::number(*min))),
                (9, Some(Value::Integer(most))),
                (10, delay(check.rise)),
                (11, delay(check.fall)),
                (12, Some(Value::truth(*full))),
                (13, Some(Value::Integer(read.unwrap_or_default()))),
                (14, Some(Value::truth(standing == Standing::Up))),
            ];
            rows.row(&entry, &[number], columns);
        }
        Some(Probe::Bfd) => {
            let up = Some(Value::Integer(i32::from(standing == Standing::Up)));
            rows.row(&entry, &[number], [(2, name), (3, up), (4, weight), (5, reverse)]);
        }
        None => {}
    }
}
