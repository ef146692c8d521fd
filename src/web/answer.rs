//! Which answer belongs to which path: a function of the status alone. Without one from the live core nothing
//! is said but that.

use super::live::Snapshot;
use super::{health, metrics};
use crate::agent::Standing;
use jiff::Timestamp;
use serde::Serialize;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Prometheus's text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What there is to ask for.
const PATHS: &str = "/ /metrics /health /livez /readyz /master /backup /status /peers /history /events; /master/ROUTER and /backup/ROUTER";

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The content type.
    pub kind: &'static str,
    /// The content.
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(code: u16, line: &str) -> Self {
        Answer { code, kind: TEXT, body: format!("{line}\n").into_bytes() }
    }

    /// The core has not said how everything stands.
    pub(super) fn silent() -> Self {
        Answer::text(503, "the core does not answer")
    }

    pub(super) fn json(good: bool, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Answer { code: if good { 200 } else { 503 }, kind: JSON, body },
            Err(error) => Answer::text(500, &format!("this cannot be written as JSON: {error}")),
        }
    }
}

/// The answer for `path`; `now` is what the wall clock reads.
#[must_use]
pub fn answer(path: &str, snapshot: Option<&Snapshot>, now: Timestamp) -> Answer {
    let (name, router) = match path.strip_prefix('/').unwrap_or(path).split_once('/') {
        Some((name, router)) => (name, Some(router)),
        None => (path.trim_start_matches('/'), None),
    };
    let role = match name {
        "master" => Some(Standing::Master),
        "backup" => Some(Standing::Backup),
        "metrics" | "health" | "livez" | "readyz" | "status" | "events" if router.is_none() => None,
        _ => return Answer::text(404, &format!("not here; there is {PATHS}")),
    };
    let Some(snapshot) = snapshot.filter(|snapshot| snapshot.is_fresh()) else {
        return Answer::silent();
    };
    if let Some(role) = role {
        return match health::role(snapshot, role, router) {
            Some((good, said)) => Answer::json(good, &said),
            None => Answer::text(404, "there is no such router"),
        };
    }
    match name {
        "metrics" => Answer { code: 200, kind: METRICS, body: metrics::page(snapshot).into_bytes() },
        "health" => {
            let (good, said) = health::health(snapshot, now);
            Answer::json(good, &said)
        }
        "readyz" => {
            let (good, said) = health::ready(snapshot);
            Answer::json(good, &said)
        }
        "status" => Answer::json(true, &snapshot.status),
        _ => Answer::text(200, "alive"),
    }
}
