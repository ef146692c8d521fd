//! `locum drill`: in a lab of its own, of which nothing stays, and between daemons that run.

use crate::lab::{LONG, Lab, SOON, VIP, wait_until};
use crate::locum::{BINARY, Locum, Router};
use crate::process::Process;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const SLO: &str =
    "[slo]\noutage = \"20s\"\ntakeover = \"20s\"\ndetection = \"20s\"\nnotification = \"20s\"\n";

/// The command that drills in a lab, with this configuration.
fn in_lab(dir: &TempDir, toml: &str) -> Command {
    let file = dir.path().join("locum.toml");
    fs::write(&file, toml).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["drill", "all", "--lab", "--yes", "--json", "-c"]).arg(file);
    command.arg("--report").arg(dir.path().join("reports"));
    command
}

/// Processes that come from this one, however far.
fn family(pid: i32) -> BTreeSet<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
            Some((pid, parent.trim().parse().ok()?))
        })
        .collect();
    let mut found = BTreeSet::from([pid]);
    loop {
        let more: Vec<_> = parents.iter().filter(|(_, parent)| found.contains(parent)).collect();
        let before = found.len();
        found.extend(more.iter().map(|(pid, _)| pid));
        if found.len() == before {
            return found;
        }
    }
}

/// What a lab could leave behind where it was begun: mounts, interfaces, files.
fn surroundings() -> (String, Vec<String>, Vec<String>) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut interfaces: Vec<_> = nix::ifaddrs::getifaddrs().unwrap().map(|one| one.interface_name).collect();
    interfaces.sort();
    let ours = ["a", "b"]
        .iter()
        .flat_map(|name| ["toml", "sock", "flag", "log"].map(|kind| format!("/run/{name}.{kind}")));
    (mounts, interfaces, ours.filter(|file| Path::new(file).exists()).collect())
}

/// The step of this kind: its outcome, and all of it.
fn step<'a>(report: &'a Value, kind: &str) -> (&'a str, &'a Value) {
    let steps = report["steps"].as_array().unwrap();
    let step =
        steps.iter().find(|step| step["kind"] == kind).unwrap_or_else(|| panic!("{kind} in {report:#}"));
    (step["outcome"].as_str().unwrap(), step)
}

#[test]
fn a_lab_rehearses_everything_writes_its_report_and_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let before = surroundings();
    let output = in_lab(&dir, &Router::new(150).and(SLO).toml()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr)));
    println!("{report:#}");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!((report["schema"].as_u64(), report["place"].as_str()), (Some(1), Some("lab")));
    for kind in ["connectivity", "health", "dns", "failover", "service", "daemon"] {
        assert_eq!(step(&report, kind).0, "met", "{kind}");
    }
    let dns = step(&report, "dns").1;
    for number in ["detection_ms", "takeover_ms"] {
        assert!(dns[number].as_f64().is_some_and(|number| number > 0.0), "{number}: {dns:#}");
    }
    let held: Vec<_> = dns["timeline"].as_array().unwrap().iter().map(|one| one["what"].clone()).collect();
    let held: Vec<_> = held.iter().filter(|what| what.as_str().unwrap().starts_with("www.lab")).collect();
    assert_eq!(held, ["www.lab holds 10.77.0.2", "www.lab holds 10.77.0.1"], "moved once, and back: {dns:#}");
    let service = step(&report, "service").1;
    for number in ["detection_ms", "notification_ms"] {
        assert!(service[number].as_f64().is_some_and(|number| number > 0.0), "{number}: {service:#}");
    }
    assert!(
        service["takeover_ms"].is_f64(),
        "less than can be told, where the successor is named: {service:#}"
    );
    let outage = &service["outage"];
    assert!(outage["longest_ms"].as_f64().unwrap() > 0.0, "a service that is gone is missed: {outage}");
    let lost: Vec<_> =
        service["timeline"].as_array().unwrap().iter().map(|one| one["what"].clone()).collect();
    assert!(lost.contains(&"b is MASTER".into()) && lost.contains(&"a is MASTER again".into()), "{lost:?}");
    let mut written: Vec<_> =
        fs::read_dir(dir.path().join("reports")).unwrap().map(|one| one.unwrap().path()).collect();
    written.sort();
    let kinds: Vec<_> = written.iter().map(|path| path.extension().unwrap().to_str().unwrap()).collect();
    assert_eq!(kinds, ["html", "json", "txt"]);
    assert!(fs::read_to_string(&written[0]).unwrap().contains("<svg"));
    assert_eq!(fs::read_to_string(&written[1]).unwrap(), said);
    assert_eq!(surroundings(), before);
}

#[test]
fn a_lab_plays_the_weight_and_the_preempt_delay_of_the_configuration() {
    let dir = TempDir::new().unwrap();
    let check = "[check.app]\ntype = \"tcp\"\ntarget = \"127.0.0.1:7\"\ninterval = \"100ms\"\n\
                 timeout = \"100ms\"\nfall = 2\nrise = 1\n";
    let weighed = Router::new(110)
        .with("checks", "[{ check = \"app\", weight = -20 }]")
        .with("preempt_delay", "\"1500ms\"")
        .and(check);
    let mut command = in_lab(&dir, &weighed.toml());
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{report:#}");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let service = step(&report, "service").1;
    let timeline = service["timeline"].as_array().unwrap();
    let at = |what: &str| {
        let found = timeline.iter().find(|one| one["what"] == what);
        found.unwrap_or_else(|| panic!("{what} in {service:#}"))["at_ms"].as_f64().unwrap()
    };
    // Who is weighed down stays Master until a better one may take it.
    let found = at("a finds it out and its priority falls");
    assert!(at("b is MASTER") - found > 1000.0, "{service:#}");
    assert!(at("a is MASTER again") - at("the service on a runs again") > 1000.0, "{service:#}");
}

#[test]
fn a_promise_that_is_too_short_is_missed() {
    let dir = TempDir::new().unwrap();
    let output = in_lab(&dir, &Router::new(150).and("[slo]\ndetection = \"1ms\"\n").toml()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(1), Some("missed")), "{report:#}");
    assert_eq!(step(&report, "failover").0, "met", "it has no detection");
    let why = step(&report, "service").1["problems"][0].as_str().unwrap();
    assert!(why.starts_with("detection ") && why.ends_with("at most 1 ms are promised"), "{why}");
}

/// Ends a drill while its lab runs.
fn ends_with(signal: Signal) {
    let dir = TempDir::new().unwrap();
    let before = surroundings();
    let mut drill = Process::start("drill", in_lab(&dir, &Router::new(150).toml()));
    let pid = drill.pid().as_raw();
    // It itself, the first of the lab, and two guardians with their daemons.
    wait_until("the lab runs", LONG, || family(pid).len() >= 6);
    let all = family(pid);
    drill.signal(signal);
    drill.wait(SOON);
    let alive = |pid: &i32| Path::new(&format!("/proc/{pid}")).exists();
    wait_until("all of the lab has ended", LONG, || !all.iter().any(alive));
    assert_eq!(surroundings(), before);
}

#[test]
fn a_lab_ends_with_ctrl_c_and_with_a_kill() {
    ends_with(Signal::SIGINT);
    ends_with(Signal::SIGKILL);
}

fn drill(a: &Locum<'_>, arguments: &[&str]) -> (Option<i32>, String) {
    a.cli(&[&["drill"], arguments, &["-c", a.config()]].concat())
}

fn report(a: &Locum<'_>, arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, said) = drill(a, &[arguments, &["--yes", "--json"]].concat());
    (code, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")))
}

#[test]
fn a_drill_between_live_hosts_moves_the_address_measures_it_and_brings_it_back() {
    let lab = Lab::new(&["a", "b"]);
    let hooked = |priority| Router::new(priority).with("notify", r#"{ any = ["/bin/true"], user = "root" }"#);
    let b = lab["b"].locum(&hooked(100));
    lab.wait_owner(VIP, &["b"]);
    let a = lab["a"].locum(&hooked(150).and(SLO));
    lab.wait_owner(VIP, &["a"]);
    let (code, report) = report(&a, &["failover"]);
    println!("{report:#}");
    assert_eq!((code, report["outcome"].as_str()), (Some(0), Some("met")), "{report:#}");
    let step = step(&report, "failover").1;
    for number in ["takeover_ms", "notification_ms"] {
        assert!(step[number].as_f64().is_some_and(|number| number > 0.0), "{number}: {step:#}");
    }
    assert!(step["outage"]["sent"].as_u64().unwrap() > 0);
    assert_eq!((a.state().as_str(), b.state().as_str()), ("MASTER", "BACKUP"));
    assert_eq!((a.router()["drained"].as_bool(), b.became_master()), (Some(false), 2));
    assert_eq!(lab.owners(VIP), ["a"]);

    // Not from where the address is not.
    let (code, said) = drill(&b, &["failover", "--yes"]);
    assert_eq!(code, Some(2), "{said}");
    let there = format!("web: run the drill on the Master, which is {}, or ", lab["a"].ipv4());
    assert!(said.contains(&there), "{said}");
}

#[test]
fn a_drill_of_all_on_a_live_host_stops_the_service_kills_the_daemon_and_leaves_all_as_it_was() {
    let lab = Lab::new(&["a", "b"]);
    let dir = TempDir::new().unwrap();
    let flag = dir.path().join("service");
    fs::write(&flag, "").unwrap();
    let flag = flag.display();
    let check = format!(
        "[check.app]\ntype = \"file\"\npath = \"{flag}\"\ninterval = \"100ms\"\nfall = 2\nrise = 1\n\
         [drill]\nservice_stop = [\"/bin/rm\", \"{flag}\"]\n\
         service_start = [\"/bin/sh\", \"-c\", \"touch {flag}; grep SigBlk /proc/self/status > {flag}.mask\"]\n"
    );
    let b = lab["b"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["b"]);
    // Of which it does not run one on its way out.
    let hooks = r#"{ master = ["/bin/true"], user = "root" }"#;
    let router = Router::new(150).with("checks", "[\"app\"]").with("notify", hooks);
    let a = lab["a"].locum_guarded(&router.and(&check).and(SLO));
    lab.wait_owner(VIP, &["a"]);
    let (code, report) = report(&a, &["all"]);
    println!("{report:#}");
    assert_eq!(code, Some(0), "{report:#}");
    for kind in ["connectivity", "health", "failover", "service", "daemon"] {
        assert_eq!(step(&report, kind).0, "met", "{kind}");
    }
    assert!(step(&report, "service").1["detection_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(b.became_master(), 4, "at its start, and once for each that moves");
    assert_eq!((a.state().as_str(), b.state().as_str()), ("MASTER", "BACKUP"));
    assert!(Path::new(&flag.to_string()).exists());
    let mask = fs::read_to_string(format!("{flag}.mask")).unwrap();
    assert!(mask.trim().ends_with("\t0000000000000000"), "what is started can be stopped by signals: {mask}");
}

#[test]
fn a_drill_between_live_hosts_is_undone_though_it_is_ended_by_ctrl_c() {
    let lab = Lab::new(&["a", "b"]);
    let b = lab["b"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["b"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let mut command = lab["a"].command(BINARY);
    command.args(["drill", "failover", "--yes", "-c", a.config(), "--socket"]);
    command.arg(Path::new(a.config()).with_extension("sock"));
    let mut drill = Process::start("drill", command);
    wait_until("it is handed over", LONG, || a.router()["drained"] == true);
    drill.signal(Signal::SIGINT);
    assert_eq!(drill.wait(LONG).code(), Some(1), "{}", drill.log());
    assert!(drill.log().contains("it was ended by a signal"), "{}", drill.log());
    assert_eq!((a.state().as_str(), b.state().as_str()), ("MASTER", "BACKUP"));
    assert_eq!(a.router()["drained"], false);
}

#[test]
fn a_drill_refuses_where_nobody_would_take_the_address() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let refused = |mend: &str| {
        let (code, said) = drill(&a, &["failover", "--yes"]);
        assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains("the peer is not ready: ") && said.contains(mend), "{said}");
    };
    refused("no other host was heard for web");
    // A check that asks the peer's daemon itself.
    let asks = "[drill]\nready = [\"b\"]\n[check.b]\ntype = \"http\"\nurl = \"http://10.77.0.2:5113/readyz\"\n\
                interval = \"100ms\"\nfall = 1\nrise = 1\n";
    let (code, said) = a.reload(&Router::new(150).and(asks).toml());
    assert_eq!(code, Some(0), "{said}");
    wait_until("the check has failed", LONG, || a.status()["checks"][0]["state"] == "down");
    refused("check b is down: ");
    let b = lab["b"].locum(&Router::new(100).and("[http]\nlisten = \"10.77.0.2:5113\"\n"));
    wait_until("the check passes", LONG, || a.status()["checks"][0]["state"] == "up");
    let (code, report) = report(&a, &["failover"]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!((a.state().as_str(), b.became_master()), ("MASTER", 1));
    // A daemon that nobody starts again is not killed.
    let (code, said) = drill(&a, &["daemon", "--yes"]);
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("nobody would start the daemon again"), "{said}");
}
