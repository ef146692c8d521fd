//! What the daemon says of itself.

use crate::wire::{adverts, heard};
use crate::{assert_fine, assert_found, config, judged};
use locum::agent::cluster::{Cluster, Node};
use locum::agent::status::Status;
use locum::doctor::Severity::{Doubt, Trouble};
use locum::doctor::daemon::{Silent, judge, silent};
use locum::doctor::{Report, cluster};
use serde_json::{Value, json};
use std::time::Duration;

/// A Backup that hears 10.0.0.2, with `more` put over its router, its instance and its peer.
fn status(router: &Value, instance: &Value, peer: &Value) -> Status {
    let peer = over(
        json!({ "address": "10.0.0.2", "heard_ms": 50, "priority": 150, "interval_ms": 1000, "adverts": 9,
                "refused": {}, "last_refused": null, "last_refused_ms": null, "remarks": [] }),
        peer,
    );
    let instance = over(
        json!({ "family": "ipv4", "source": "10.0.0.1", "master": "10.0.0.2", "unicast": false, "peers": [peer],
                "sent": 0, "heard": 9, "send_errors": 0, "last_send_error": null, "last_send_error_ms": null,
                "refused": {}, "discarded": {}, "announced": 0, "announce_errors": 0 }),
        instance,
    );
    let router = over(
        json!({ "name": "web", "group": null, "state": "BACKUP", "since_ms": 9000, "why": "10.0.0.2 is Master",
                "drained": false, "waits_for": "", "waits_ms": null, "interface": "eth0", "vrid": 51, "version": "3",
                "interval_ms": 1000, "priority": { "effective": 100, "base": 100, "tracks": [] },
                "addresses": [{ "address": "10.0.0.100", "prefix": 24, "held": false, "restored": 0 }],
                "instances": [instance],
                "hooks": { "ran": 0, "failed": 0, "skipped": 0, "last_failed": false, "last": null },
                "became_master": 0, "left_master": 0 }),
        router,
    );
    let status =
        json!({ "schema": 1, "health": "healthy", "complaints": [], "routers": [router], "checks": [] });
    serde_json::from_value(status).unwrap()
}

fn over(mut base: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        base[key] = value.clone();
    }
    base
}

fn of(status: &Status) -> Report {
    let config = config("", "").agent;
    let heard = heard(&config, adverts(&config, [10, 0, 0, 2], 4, false));
    judged(|report| judge(&config, status, Some(&heard), report))
}

#[test]
fn a_backup_that_hears_its_master_is_fine() {
    assert_fine(&of(&status(&json!({}), &json!({}), &json!({}))), "daemon");
}

#[test]
fn adverts_that_come_in_and_are_not_heard_are_trouble() {
    let never = status(&json!({}), &json!({}), &json!({ "heard_ms": null }));
    assert_found(&of(&never), Trouble, "daemon.deaf", &["10.0.0.2", "eth0", "protocol 112"]);
    let strangers = status(&json!({}), &json!({ "peers": [] }), &json!({}));
    assert_found(&of(&strangers), Trouble, "daemon.deaf", &["10.0.0.2"]);
    let long_ago = status(&json!({}), &json!({}), &json!({ "heard_ms": 60_000 }));
    assert_found(&of(&long_ago), Trouble, "daemon.deaf", &["10.0.0.2"]);
}

#[test]
fn what_a_router_says_of_itself_is_told() {
    let held = json!([{ "address": "10.0.0.100", "prefix": 24, "held": false, "restored": 3 }]);
    let base = json!({ "address": "10.0.0.100", "prefix": 24, "held": false, "restored": 0 });
    let [mut here, mut gone] = [base.clone(), base];
    here["intruded"] = json!(true);
    gone["evicted"] = json!(2);
    let [here, gone] = [json!([here]), json!([gone])];
    for (router, severity, id, word) in [
        (json!({ "state": "FAULT", "why": "no link" }), Trouble, "daemon.fault", "no link"),
        (json!({ "drained": true }), Doubt, "daemon.drained", "locum resume web"),
        (json!({ "state": "MASTER" }), Trouble, "daemon.not-held", "not all"),
        (json!({ "damped_ms": 9, "failures": 3 }), Doubt, "daemon.damped", "locum ack web"),
        (json!({ "claim_trouble": ["w is silent"] }), Doubt, "daemon.claim", "w is silent"),
        (json!({ "addresses": held }), Doubt, "daemon.restored", "3 times"),
        (json!({ "addresses": here }), Trouble, "daemon.intruded", "10.0.0.100"),
        (json!({ "addresses": gone }), Doubt, "daemon.evicted", "2 times"),
        (json!({ "dual_master_seen": 2 }), Doubt, "daemon.dual-master", "2 times"),
        (json!({ "vrid": 7 }), Doubt, "daemon.configuration", "locum reload"),
        (json!({ "name": "db" }), Doubt, "daemon.configuration", "no router web"),
    ] {
        assert_found(&of(&status(&router, &json!({}), &json!({}))), severity, id, &[word]);
    }
}

#[test]
fn what_it_says_of_the_wire_is_told() {
    for (instance, severity, id, word) in [
        (
            json!({ "last_send_error": "no", "last_send_error_ms": 5 }),
            Trouble,
            "daemon.send-errors",
            "firewall",
        ),
        (json!({ "arp_test": "eth1 answered" }), Doubt, "daemon.arp-test", "eth1 answered"),
        (json!({ "second_path": "silent" }), Doubt, "daemon.second-path", "silent"),
    ] {
        assert_found(&of(&status(&json!({}), &instance, &json!({}))), severity, id, &[word]);
    }
    let old = json!({ "last_send_error": "no", "last_send_error_ms": 600_000, "arp_test": "passed", "second_path": "in use" });
    assert_fine(&of(&status(&json!({}), &old, &json!({}))), "daemon");
}

#[test]
fn refusals_and_clocks_are_told_while_they_last() {
    let why = "the signature is wrong: compare the keys";
    let refused =
        |ms: u64| json!({ "refused": { "bad-signature": 4 }, "last_refused": why, "last_refused_ms": ms });
    let recent = of(&status(&json!({}), &json!({}), &refused(500)));
    assert_found(&recent, Trouble, "daemon.bad-signature", &["4 packets of 10.0.0.2", "sha256sum"]);
    assert_fine(&of(&status(&json!({}), &json!({}), &refused(600_000))), "daemon");
    let clock = |ahead: i64| {
        of(&status(&json!({}), &json!({}), &json!({ "clock_ms": ahead, "clock_window_ms": 5000 })))
    };
    assert_found(&clock(-2600), Doubt, "daemon.clock", &["-2600 ms", "set-ntp"]);
    assert_fine(&clock(2400), "daemon");
}

#[test]
fn what_is_about_no_router_is_told() {
    let healthy = || status(&json!({}), &json!({}), &json!({}));
    let mut late = healthy();
    late.lateness.recent_ms = 501.0;
    assert_found(&of(&late), Doubt, "daemon.late", &["501 ms", "realtime"]);
    let mut complains = healthy();
    complains.complaints = vec!["web: told above".to_owned(), "2 things left out".to_owned()];
    assert_found(&of(&complains), Doubt, "daemon.complaint", &["2 things left out"]);
}

/// What this host, which is Master, finds of another that says this of the same router.
fn beside(other: &Value) -> Report {
    let held = json!([{ "address": "10.0.0.100", "prefix": 24, "held": true, "restored": 0 }]);
    let own = status(&json!({ "state": "MASTER", "addresses": held }), &json!({}), &json!({}));
    let mut nodes = vec![Node::said(None, &own, Duration::ZERO)];
    match other.as_object() {
        // There this host is the peer.
        Some(_) => {
            let theirs = status(&json!({}), &json!({}), &over(json!({ "address": "10.0.0.1" }), other));
            nodes.push(Node::said(Some("http://b:5113".to_owned()), &theirs, Duration::ZERO));
        }
        None => nodes.push(Node::silent("http://b:5113".to_owned(), "refused".to_owned(), None)),
    }
    judged(|report| cluster::judge(&own, Some(&Cluster::of(nodes)), report))
}

#[test]
fn the_others_say_whether_they_hear_a_master() {
    assert_fine(&beside(&json!({})), "cluster");
    let words = ["http://b:5113 does not hear web", "BACKUP", "protocol 112"];
    assert_found(&beside(&json!({ "heard_ms": 4001 })), Trouble, "cluster.unheard", &words);
    assert_found(&beside(&json!({ "heard_ms": null })), Trouble, "cluster.unheard", &words);
    assert_found(&beside(&Value::Null), Doubt, "cluster.silent", &["http://b:5113", "refused", "curl"]);
}

#[test]
fn two_masters_are_told_of_whoever_sees_them() {
    let master = json!({ "state": "MASTER", "addresses": [{ "address": "10.0.0.100", "prefix": 24, "held": true,
                         "restored": 0 }] });
    let own = status(&master, &json!({}), &json!({}));
    let theirs = status(&master, &json!({}), &json!({ "address": "10.0.0.1" }));
    let there = Node::said(Some("http://b:5113".to_owned()), &theirs, Duration::ZERO);
    let both = Cluster::of(vec![Node::said(None, &own, Duration::ZERO), there]);
    let report = judged(|report| cluster::judge(&own, Some(&both), report));
    assert_found(&report, Trouble, "cluster.two-masters", &["10.0.0.100", "both MASTER"]);
}

#[test]
fn where_the_others_are_not_asked_a_master_does_not_know_who_hears_it() {
    let own = status(&json!({ "state": "MASTER" }), &json!({}), &json!({}));
    let report = judged(|report| cluster::judge(&own, None, report));
    assert!(report.findings.is_empty() && report.unseen[0].why.contains("a Backup is silent"), "{report:#?}");
    let backup = status(&json!({}), &json!({}), &json!({}));
    let report = judged(|report| cluster::judge(&backup, None, report));
    assert!(report.findings.is_empty() && report.unseen.is_empty(), "{report:#?}");
}

#[test]
fn no_answer_is_a_doubt_or_trouble_or_not_known() {
    let of = |why: Silent| judged(|report| silent(&why, report));
    assert_found(&of(Silent::NotRunning("none runs".to_owned())), Doubt, "daemon", &["systemctl start"]);
    assert_found(&of(Silent::NoAnswer("it hangs".to_owned())), Trouble, "daemon", &["it hangs"]);
    let barred = of(Silent::NotAllowed("ask as root".to_owned()));
    assert_eq!((barred.findings.len(), barred.unseen.len()), (0, 1));
}
