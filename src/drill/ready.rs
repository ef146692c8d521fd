//! Whether live hosts are in a state in which a drill costs nothing but what it measures. Pure.

use super::Kind;
use crate::agent::Standing;
use crate::agent::status::{RouterStatus, Status};
use crate::health::{self, CheckName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Whom another host is known by: who was heard, and who is configured.
#[must_use]
pub fn peers(router: &RouterStatus) -> BTreeSet<IpAddr> {
    let own: BTreeSet<_> = router.instances.iter().filter_map(|instance| instance.source).collect();
    let all = router.instances.iter().flat_map(|instance| &instance.peers);
    let known = all.filter(|peer| peer.configured || peer.heard_ms.is_some()).map(|peer| peer.address);
    known.filter(|address| !own.contains(address)).collect()
}

/// The routers that a drill is about: the one that is named, or all.
///
/// # Errors
/// One line, where there is none of that name.
pub fn meant<'a>(status: &'a Status, named: Option<&str>) -> Result<Vec<&'a RouterStatus>, String> {
    let all: Vec<_> =
        status.routers.iter().filter(|router| named.is_none_or(|name| name == &*router.name.0)).collect();
    match named {
        Some(name) if all.is_empty() => {
            Err(format!("there is no router \"{name}\" here: `locum status` lists them"))
        }
        _ if all.is_empty() => Err("there is no router here: write a [router.NAME]".to_owned()),
        _ => Ok(all),
    }
}

/// What says whether another host is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// Of every other host that is known, whether it answers.
    pub answers: BTreeMap<IpAddr, bool>,
    /// Whether there are checks that tell.
    pub checked: bool,
    /// Why one of them does not pass, in one line.
    pub unready: Option<String>,
}

/// Why a drill of this kind may not be done now with these routers, in one line with its mend; `None` where it may.
/// `asked`: this kind was asked for by name.
#[must_use]
pub fn refusal(kind: Kind, routers: &[&RouterStatus], others: &Others, asked: bool) -> Option<String> {
    if !kind.moves() {
        return None;
    }
    routers.iter().find_map(|router| alone(kind, router, asked).or_else(|| unfollowed(router, others)))
}

/// Which of the checks that say whether another host is ready do not: the first, in one line.
#[must_use]
pub fn unready(status: &Status, ready: &[CheckName]) -> Option<String> {
    ready.iter().find_map(|name| {
        let Some(check) = status.checks.iter().find(|check| check.name == *name) else {
            return Some(format!("the daemon does not know check {name} yet: locum reload"));
        };
        let why = check.error.as_deref().unwrap_or("it has no result yet");
        (check.state != health::Standing::Up).then(|| format!("check {name} is {}: {why}", check.state))
    })
}

/// What of the router itself is in the way.
fn alone(kind: Kind, router: &RouterStatus, asked: bool) -> Option<String> {
    let name = &router.name;
    if router.drained {
        return Some(format!("{name} was handed over: take it back first (locum resume {name})"));
    }
    if router.damped_ms.is_some() {
        return Some(format!("{name} failed too often and waits: end that first (locum ack {name})"));
    }
    if router.hold_ms.is_some() {
        return Some(format!(
            "{name} leaves a Master alone that has only just come: wait, or end that first (locum ack {name})"
        ));
    }
    match router.state {
        Standing::Master => None,
        // Killing the daemon of a Backup is a drill as well, though a dull one.
        Standing::Backup if kind == Kind::Daemon && asked => None,
        Standing::Backup => {
            let master = router.instances.iter().find_map(|instance| instance.master);
            let there = master.map(|master| format!(", which is {master}")).unwrap_or_default();
            Some(format!(
                "this host is BACKUP for {name}: run the drill on the Master{there}, or name another router"
            ))
        }
        other => Some(format!("{name} is in {other} ({}): mend that first", router.why)),
    }
}

/// Whether nobody would take the addresses.
fn unfollowed(router: &RouterStatus, others: &Others) -> Option<String> {
    let (name, Others { answers, checked, unready }) = (&router.name, others);
    if router.state != Standing::Master {
        return None;
    }
    if let Some(why) = unready {
        return Some(format!("the peer is not ready: {why}; look there: locum status"));
    }
    // A host behind a router does not answer, and a check knows better anyway.
    if *checked || answers.values().any(|answers| *answers) {
        return None;
    }
    if answers.is_empty() {
        return Some(format!(
            "the peer is not ready: no other host was heard for {name} since this daemon began; start locum there, \
             and write ready = [\"CHECK\"] into [drill], a check that asks it"
        ));
    }
    let silent: Vec<_> = answers.keys().map(ToString::to_string).collect();
    let silent = silent.join(" and ");
    Some(format!(
        "the peer is not ready: no answer from {silent} ({name}); look there: locum status, locum doctor"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn router(state: &str, drained: bool) -> RouterStatus {
        let peer = |address: &str, configured: bool, heard: Option<u64>| {
            json!({"address": address, "configured": configured, "heard_ms": heard, "priority": null,
                   "interval_ms": null, "adverts": 0, "refused": {}, "last_refused": null,
                   "last_refused_ms": null, "remarks": []})
        };
        let instance = json!({"family": "ipv4", "source": "10.0.0.1", "master": "10.0.0.2", "unicast": false,
            "peers": [peer("10.0.0.2", false, Some(5)), peer("10.0.0.3", false, None), peer("10.0.0.4", true, None)],
            "sent": 0, "heard": 0, "send_errors": 0, "last_send_error": null, "last_send_error_ms": null,
            "refused": {}, "discarded": {}, "announced": 0, "announce_errors": 0});
        let text = json!({"name": "web", "group": null, "state": state, "since_ms": 0, "why": "check app: refused",
            "drained": drained, "waits_for": "", "waits_ms": null, "interface": "eth0", "vrid": 1, "version": "3",
            "interval_ms": 1000, "priority": {"effective": 100, "base": 100, "tracks": []}, "addresses": [],
            "instances": [instance], "hooks": {"ran": 0, "failed": 0, "skipped": 0, "last_failed": false,
            "last": null}, "became_master": 0, "left_master": 0});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn who_was_heard_or_is_configured_is_a_peer() {
        let found: Vec<_> = peers(&router("MASTER", false)).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.2", "10.0.0.4"]);
    }

    #[test]
    fn each_refusal_says_why_and_how_to_mend() {
        let two = |first, second| Others {
            answers: [("10.0.0.2".parse().unwrap(), first), ("10.0.0.4".parse().unwrap(), second)].into(),
            ..Others::default()
        };
        let said =
            |kind, router: &RouterStatus, others: Others, asked| refusal(kind, &[router], &others, asked);
        let (master, backup) = (router("MASTER", false), router("BACKUP", false));
        assert_eq!(said(Kind::Failover, &master, two(false, true), true), None);
        let silent = said(Kind::Failover, &master, two(false, false), true).unwrap();
        assert!(silent.contains("peer is not ready: no answer from 10.0.0.2 and 10.0.0.4 (web)"), "{silent}");
        let none = said(Kind::Service, &master, Others::default(), true).unwrap();
        assert!(none.contains("not ready: no other host") && none.contains("ready = [\"CHECK\"]"), "{none}");
        let checked = Others { checked: true, ..two(false, false) };
        assert_eq!(said(Kind::Service, &master, checked, true), None, "a check is enough");
        let down = Others { unready: Some("check b is down: refused".to_owned()), ..two(true, true) };
        let down = said(Kind::Service, &master, down, true).unwrap();
        assert_eq!(down, "the peer is not ready: check b is down: refused; look there: locum status");
        let other = said(Kind::Failover, &backup, two(true, true), true).unwrap();
        assert!(
            other.ends_with("run the drill on the Master, which is 10.0.0.2, or name another router"),
            "{other}"
        );
        assert_eq!(said(Kind::Daemon, &backup, two(true, true), true), None);
        assert!(said(Kind::Daemon, &backup, two(true, true), false).is_some(), "not among all others");
        let drained = said(Kind::Failover, &router("BACKUP", true), two(true, true), true).unwrap();
        assert!(drained.ends_with("(locum resume web)"), "{drained}");
        let fault = said(Kind::Failover, &router("FAULT", false), two(true, true), true).unwrap();
        assert_eq!(fault, "web is in FAULT (check app: refused): mend that first");
        assert_eq!(said(Kind::Health, &router("FAULT", false), Others::default(), true), None);
    }
}
