//! The metrics are good ones by Prometheus's own judgement, and nobody outside can make them many.

use crate::canned::{self, address};
use locum::agent::status::Status;
use locum::web::{Snapshot, metrics};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// The page, without the age, which is another one each time.
fn page(status: Status) -> String {
    metrics::page(&Snapshot::now(status))
}

fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{page}")).parse().unwrap()
}

#[test]
fn promtool_has_no_complaint() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(page(canned::degraded()).as_bytes()).unwrap();
    let done = promtool.wait_with_output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert_eq!((done.status.code(), String::from_utf8_lossy(&said).as_ref()), (Some(0), ""));
}

#[test]
fn every_sample_has_a_family_with_help_and_none_is_there_twice() {
    let page = page(canned::degraded());
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let mut family = "";
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(name.starts_with("locum_") && text.ends_with('.'), "{line}");
            assert!(families.insert(name), "{name} comes twice");
            family = name;
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} stands below {family}");
            assert!(samples.insert(line.rsplit_once(' ').unwrap().0), "{line} comes twice");
        }
    }
    assert!(samples.len() > families.len() && families.len() > 50, "{}", families.len());
}

#[test]
fn the_samples_say_what_the_status_says() {
    let page = page(canned::degraded());
    for (sample, wanted) in [
        (r#"locum_router_state{router="web",state="MASTER"}"#, 1.0),
        (r#"locum_router_state{router="web",state="BACKUP"}"#, 0.0),
        (r#"locum_router_transitions_total{router="web",to="MASTER",reason="silence"}"#, 2.0),
        (r#"locum_router_priority{router="web"}"#, 90.0),
        (r#"locum_router_track_priority{router="web",check="app"}"#, -60.0),
        (r#"locum_adverts_sent_total{router="web",family="ipv4"}"#, 1234.0),
        (r#"locum_adverts_refused_total{router="web",family="ipv4",reason="wrong-password"}"#, 3.0),
        (r#"locum_peer_clock_offset_seconds{router="web",family="ipv4",peer="10.0.0.2"}"#, -0.04),
        (r#"locum_check_latency_seconds_bucket{check="app",le="10"}"#, 41.0),
        (r#"locum_check_latency_seconds_bucket{check="app",le="+Inf"}"#, 42.0),
        (r#"locum_takeover_recovery_seconds{router="web"}"#, 3.4199),
        (r#"locum_claim_votes{router="web"}"#, 2.0),
        (r#"locum_config_reloads_total{result="refused"}"#, 1.0),
        ("locum_config_last_reload_successful", 0.0),
        ("locum_advert_lateness_worst_seconds", 0.0008),
        (r#"locum_dns_wanted{record="www"}"#, 1.0),
        (r#"locum_dns_failing{record="www"}"#, 1.0),
        (r#"locum_dns_writes_total{record="www"}"#, 2.0),
    ] {
        assert!((value(&page, sample) - wanted).abs() < 1e-9, "{sample}: {}", value(&page, sample));
    }
}

#[test]
fn a_stranger_gets_no_label() {
    let mut status = canned::degraded();
    let instance = &mut status.routers[0].instances[0];
    let mut stranger = instance.peers[0].clone();
    (stranger.address, stranger.adverts, stranger.heard_ms) = (address("203.0.113.9"), 0, None);
    let mut configured = stranger.clone();
    (configured.address, configured.configured) = (address("10.0.0.3"), true);
    instance.peers.extend([stranger, configured]);
    let page = page(status);
    assert!(!page.contains("203.0.113.9"), "{page}");
    let never = r#"locum_peer_last_heard_timestamp_seconds{router="web",family="ipv4",peer="10.0.0.3"}"#;
    assert!(value(&page, never).abs() < 1e-9);
}
