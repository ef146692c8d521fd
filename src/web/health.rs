//! What `/health`, `/readyz`, `/master` and `/backup` say, and whether that is good. Pure.

use super::live::Snapshot;
use crate::agent::Standing;
use crate::agent::status::{CheckStatus, Overall, RouterStatus};
use jiff::{Timestamp, Unit};
use serde_json::{Map, Value, json};

/// Good unless a router cannot take part.
pub(super) fn health(snapshot: &Snapshot, now: Timestamp) -> (bool, Value) {
    let status = &snapshot.status;
    let checks: Map<_, _> = status.checks.iter().map(|check| (check.name.to_string(), one(check))).collect();
    let said = json!({
        "status": status.health,
        "timestamp": now.round(Unit::Millisecond).unwrap_or(now).to_string(),
        "age_ms": age(snapshot),
        "checks": checks,
        "routers": states(&status.routers),
        "complaints": status.complaints,
    });
    (status.health != Overall::Fault, said)
}

/// Good where every router is Master, or could be.
pub(super) fn ready(snapshot: &Snapshot) -> (bool, Value) {
    let routers = &snapshot.status.routers;
    let reason = |router: &RouterStatus| match router.state {
        Standing::Stop | Standing::Fault => Some(router.why.clone()),
        Standing::Backup if router.drained => Some("handed over, and not resumed".to_owned()),
        Standing::Backup | Standing::Master => None,
    };
    let unready: Map<_, _> =
        routers.iter().filter_map(|router| Some((router.name.to_string(), json!(reason(router)?)))).collect();
    let said = json!({ "ready": unready.is_empty(), "age_ms": age(snapshot), "unready": unready });
    (unready.is_empty(), said)
}

/// Good where every router, or the one that is named, is in this state. `None` where there is none of that name.
pub(super) fn role(snapshot: &Snapshot, wanted: Standing, router: Option<&str>) -> Option<(bool, Value)> {
    let all = &snapshot.status.routers;
    let meant: Vec<_> = all.iter().filter(|it| router.is_none_or(|name| &*it.name.0 == name)).collect();
    if meant.is_empty() && router.is_some() {
        return None;
    }
    let good = !meant.is_empty() && meant.iter().all(|router| router.state == wanted);
    Some((good, json!({ "age_ms": age(snapshot), "routers": states(meant) })))
}

fn states<'a>(routers: impl IntoIterator<Item = &'a RouterStatus>) -> Map<String, Value> {
    routers.into_iter().map(|router| (router.name.to_string(), json!(router.state))).collect()
}

fn one(check: &CheckStatus) -> Value {
    json!({
        "status": check.state,
        "since_ms": check.since_ms,
        "checked_ms": check.checked_ms,
        "latency_ms": check.latency_ms,
        "error": check.error,
    })
}

fn age(snapshot: &Snapshot) -> u64 {
    u64::try_from(snapshot.age().as_millis()).unwrap_or(u64::MAX)
}
