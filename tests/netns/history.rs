//! What `locum history` tells of a failover, on the host that takes over and on the one that came back; and
//! a record that cannot be written costs nothing else.

use crate::lab::{LONG, Lab, SOON, VIP, wait_until};
use crate::locum::{Locum, Router, settle};
use nix::sys::signal::Signal;
use serde_json::Value;

/// The record of this daemon, whether it runs or not.
fn history(locum: &Locum<'_>) -> Vec<Value> {
    let (code, text) = locum.cli(&["history", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn of<'a>(history: &'a [Value], event: &str) -> Vec<&'a Value> {
    history.iter().filter(|line| line["event"] == event).collect()
}

/// Waits for a line of this kind with these fields.
fn wait_for(locum: &Locum<'_>, event: &str, fields: &[(&str, &str)]) -> Value {
    let fits = |line: &Value| {
        line["event"] == event && fields.iter().all(|(key, value)| line[*key].as_str() == Some(value))
    };
    wait_until(&format!("{event} {fields:?} is recorded"), LONG, || history(locum).iter().any(fits));
    history(locum).into_iter().rfind(fits).unwrap()
}

#[test]
fn a_failover_is_told_on_both_hosts() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&Router::new(200));
    a.wait_state("MASTER");
    let b = lab["b"].locum(&Router::new(100));
    // The host loses its cable: silence for the one, a fault for the other.
    wait_for(&b, "master_heard", &[("source", "10.77.0.1")]);
    lab["a"].cable(false);
    lab.wait_owner(VIP, &["b"]);
    lab["a"].cable(true);
    lab.wait_owner(VIP, &["a"]);

    let lost = wait_for(&a, "transition", &[("from", "MASTER"), ("to", "FAULT")]);
    assert_eq!(
        (lost["cause"].as_str(), lost["why"].as_str()),
        (Some("fault"), Some("interface eth0 is down"))
    );
    let taken = wait_for(&b, "transition", &[("to", "MASTER"), ("cause", "silence")]);
    // Three intervals of 100 ms and the skew: not before, and this kernel says when it was.
    assert!(taken["silent_ms"].as_u64().is_some_and(|ms| (300..15_000).contains(&ms)), "{taken}");
    wait_for(&b, "transition", &[("from", "MASTER"), ("to", "BACKUP"), ("cause", "better")]);

    let told = history(&b);
    let outages = of(&told, "outage");
    assert_eq!(outages.len(), 1, "{outages:?}");
    assert_eq!(outages[0]["detect_ms"], taken["silent_ms"]);
    assert_eq!((&outages[0]["recover_ms"], &outages[0]["by"]), (&taken["silent_ms"], &Value::Null));
    // The host that was cut off sees its outage end when it is Master again.
    let told = history(&a);
    let outages = of(&told, "outage");
    assert_eq!(outages.len(), 1, "{outages:?}");
    assert!(outages[0]["recover_ms"].is_u64(), "{outages:?}");
    let (code, page) = b.cli(&["history"]);
    assert_eq!(code, Some(0));
    assert!(page.contains("BACKUP -> MASTER after") && page.contains("until this host was Master"), "{page}");
}

#[test]
fn orders_name_who_gave_them_and_a_start_says_how_the_last_run_ended() {
    let lab = Lab::new(&["a"]);
    let mut a = lab["a"].locum(&Router::new(200));
    a.wait_state("MASTER");
    a.cli(&["resume", "web"]);
    let order = wait_for(&a, "order", &[("order", "resume"), ("router", "web")]);
    assert_eq!((&order["by"]["uid"], &order["by"]["user"]), (&Value::from(0), &Value::from("root")));
    assert_eq!(a.reload(&Router::new(150).toml()).0, Some(0));
    let reloaded = wait_for(&a, "reloaded", &[]);
    assert!(reloaded["lines"][0].as_str().is_some_and(|line| line.contains("150")), "{reloaded}");
    a.write("nonsense");
    assert_eq!(a.cli(&["reload"]).0, Some(1));
    wait_for(&a, "refused", &[("order", "reload")]);
    a.write(&Router::new(150).toml());

    a.kill9();
    a.restart();
    let ends = |a: &Locum<'_>| -> Vec<String> {
        let told = history(a);
        of(&told, "started").iter().map(|line| line["last"]["end"].as_str().unwrap().to_owned()).collect()
    };
    wait_until("the start is recorded", LONG, || ends(&a) == ["none", "broken"]);
    assert_eq!(wait_for(&a, "started", &[])["last"]["rebooted"], false);
    assert!(a.stop().success());
    // Nobody runs: the record is there all the same.
    wait_for(&a, "stopped", &[]);
    a.restart();
    wait_until("the start is recorded", LONG, || ends(&a) == ["none", "broken", "stopped"]);
}

#[test]
fn a_record_that_cannot_be_written_costs_nothing_but_itself() {
    let lab = Lab::new(&["a"]);
    let journal = |path: &str| Router::new(200).and(&format!("\n[journal]\npath = \"{path}\"\n"));
    let a = lab["a"].locum(&journal("/proc/none/history.jsonl"));
    a.wait_state("MASTER");
    lab.wait_owner(VIP, &["a"]);
    let complaint = |a: &Locum<'_>| a.status()["complaints"][0].as_str().unwrap_or_default().to_owned();
    wait_until("the status says so", LONG, || {
        complaint(&a).starts_with("nothing is recorded: cannot write /proc/none/history.jsonl")
    });
    let told = |a: &Locum<'_>, text: &str| a.process.log().matches(text).count();
    assert_eq!(told(&a, "cannot write /proc/none/history.jsonl"), 1);
    // Elsewhere it can be written, and says what is lost.
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    a.reload(&journal(path.to_str().unwrap()).toml());
    wait_until("the status is well again", LONG, || complaint(&a).is_empty());
    a.process.wait_for("the record is written again", SOON);
    assert_eq!(told(&a, "the record is written again"), 1);
    let lines = locum::history::read(&path).unwrap().lines;
    assert!(matches!(lines[0].entry.event, locum::history::Event::Lost { entries: 1.., .. }), "{lines:?}");
    assert_eq!(lab.owners(VIP), ["a"]);
}

#[test]
fn a_lease_is_recorded_when_it_begins_when_it_was_not_renewed_and_when_it_is_given_up() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum(&Router::new(200).with("interval", r#""500ms""#));
    lab.wait_owner(VIP, &["a"]);
    let leases = |a: &Locum<'_>| -> Vec<Option<u64>> {
        of(&history(a), "lease").iter().map(|line| line["lease_ms"].as_u64()).collect()
    };
    wait_until("its beginning is recorded", LONG, || leases(&a) == [Some(1000)]);
    // Three advert intervals: its renewals are no news.
    settle(15);
    assert_eq!((leases(&a), of(&history(&a), "lease_late").len()), (vec![Some(1000)], 0));
    a.process.signal(Signal::SIGSTOP);
    wait_until("the kernel removes it", LONG, || lab.owners(VIP).is_empty());
    settle(5);
    a.process.signal(Signal::SIGCONT);
    let late = wait_for(&a, "lease_late", &[]);
    assert_eq!((&late["lease_ms"], &late["times"]), (&1000.into(), &1.into()), "{late}");
    assert!(late["after_ms"].as_u64().is_some_and(|ms| ms > 1000), "{late}");
    // It steps down, and takes over again.
    wait_until("end and beginning are recorded", LONG, || leases(&a) == [Some(1000), None, Some(1000)]);
    let (code, page) = a.cli(&["history", "--router", "web"]);
    assert_eq!(code, Some(0));
    assert!(page.contains("its IPv4 addresses are leased for 1s"), "{page}");
    assert!(page.contains("leases of 1s were not renewed for"), "{page}");
}

#[test]
fn a_second_master_is_recorded_and_counted() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&Router::new(200));
    a.wait_state("MASTER");
    let b = lab["b"].locum(&Router::new(100));
    b.wait_state("BACKUP");
    // It is heard, and does not hear.
    for line in ["table inet deaf", "chain inet deaf in { type filter hook input priority -300 ; }"] {
        lab["b"].run(&format!("nft add {line}"));
    }
    lab["b"].run(&format!("nft add rule inet deaf in ip saddr {} drop", lab["a"].ipv4()));
    wait_until("the one hears the other", LONG, || !of(&history(&a), "dual_master_seen").is_empty());
    let seen = wait_for(&a, "dual_master_seen", &[("source", "10.77.0.2")]);
    assert_eq!((&seen["priority"], &seen["ours"]), (&Value::from(100), &Value::from(200)));
    assert!(a.router()["dual_master_seen"].as_u64().is_some_and(|times| times >= 1));
}
