//! `drill`: what it refuses, what it asks before, and what it only looks at.

use crate::canned::{degraded, healthy};
use crate::program::{Ran, command, locum};
use crate::stub::Stub;
use jiff::{ToSpan, Zoned};
use locum::agent::status::Status;
use locum::agent::{Request, Standing};
use locum::control::{Answer, Question};
use locum::drill::{Kind, Objectives, Probe, Report, Run, Step, judge};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const CHECKS: &str = "[check.app]\ntype = \"tcp\"\ntarget = \"127.0.0.1:1\"\n\
                      [check.db]\ntype = \"tcp\"\ntarget = \"127.0.0.1:2\"\n";

/// Of a daemon with this status, whose configuration has this besides: what came of it, and what was ordered.
fn drill(arguments: &[&str], status: &Status, more: &str) -> (Ran, Vec<Question>) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("locum.toml");
    let router =
        "[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\nchecks = [\"app\"]\n";
    fs::write(&file, format!("{router}{CHECKS}{more}")).unwrap();
    let ordered = Arc::new(Mutex::new(Vec::new()));
    let (heard, status) = (Arc::clone(&ordered), status.clone());
    let stub = Stub::new(move |question| {
        if question == Question::Agent(Request::Status) {
            return Some(Answer::Status(Box::new(status.clone())));
        }
        heard.lock().unwrap().push(question);
        Some(Answer::Refused { lines: vec!["www: status 401".to_owned()] })
    });
    let mut program = command(&["drill"]);
    program.args(arguments).arg("-c").arg(&file).env("LOCUM_SOCKET", stub.path()).stdin(Stdio::null());
    // It asks for addresses: where nobody is.
    let ran = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run the tests as root");
        program.output().unwrap()
    });
    let ran = Ran::from(ran.join().unwrap());
    let ordered = ordered.lock().unwrap().clone();
    (ran, ordered)
}

/// One line, and nothing was ordered.
fn refused(arguments: &[&str], status: &Status, more: &str) -> String {
    let (ran, ordered) = drill(arguments, status, more);
    assert_eq!(
        (ran.code, ran.out.as_str(), ordered.as_slice()),
        (2, "", [].as_slice()),
        "{arguments:?}: {ran:?}"
    );
    ran.complaint().to_owned()
}

fn ready() -> &'static str {
    "[drill]\nready = \"db\"\n"
}

#[test]
fn without_a_file_or_a_daemon_it_says_where_to_find_one() {
    let ran = locum(&["drill", "-c", "/none/locum.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.complaint().ends_with("`locum check /none/locum.toml` says why"), "{ran:?}");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("locum.toml");
    fs::write(&file, "[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n")
        .unwrap();
    let ran = command(&["drill", "--socket", "/none/socket", "-c"]).arg(&file).output().unwrap();
    let ran = Ran::from(ran);
    assert_eq!(ran.code, 3);
    assert!(ran.complaint().contains("the daemon is not running"), "{ran:?}");
}

#[test]
fn what_moves_addresses_is_asked_about_and_refused_where_nobody_can_be_asked() {
    for kind in ["failover", "all"] {
        let said = refused(&[kind], &healthy(), ready());
        assert_eq!(said, "nobody can be asked whether that is meant: add --yes", "{kind}");
    }
}

#[test]
fn each_refusal_is_one_line_with_its_mend() {
    let with = |change: fn(&mut Status)| {
        let mut status = healthy();
        change(&mut status);
        status
    };
    let backup = with(|status| status.routers[0].state = Standing::Backup);
    let drained = with(|status| status.routers[0].drained = true);
    for (arguments, status, more, mend) in [
        (&["failover"][..], &backup, ready(), "run the drill on the Master"),
        (&["service"], &drained, ready(), "(locum resume web)"),
        (&["failover", "mail"], &healthy(), ready(), "`locum status` lists them"),
        (&["failover"], &degraded(), "[drill]\nready = \"app\"\n", "check app is down: connection refused"),
        (&["failover"], &healthy(), "", "the peer is not ready: no answer from 10.0.0.2"),
        (&["service"], &healthy(), ready(), "or use --lab"),
        (&["daemon"], &healthy(), ready(), "the daemon does not say which process it is"),
        (&["failover", "none", "--lab"], &healthy(), "", "there is no [router.none] in the configuration"),
    ] {
        let said = refused(&[arguments, &["--yes"]].concat(), status, more);
        assert!(said.contains(mend), "{arguments:?}: {said}");
    }
}

#[test]
fn outside_of_its_window_nothing_is_moved() {
    let now = Zoned::now();
    let [from, to] = [2, 3].map(|hours| (&now + hours.hours()).strftime("%H:%M").to_string());
    let more = format!("{}window = \"{from}-{to}\"\n", ready());
    let said = refused(&["failover", "--yes"], &healthy(), &more);
    assert_eq!(
        said,
        format!("it is not the time: the window is from {from} to {to}; wait for it, or add --now")
    );
    // The same, but for the time: it is done, and the stub has nothing to do with it.
    let (ran, ordered) = drill(&["failover", "--yes", "--now", "--json"], &healthy(), &more);
    assert!(
        matches!(ordered.first(), Some(Question::Agent(Request::Handover { router: None }))),
        "{ordered:?}"
    );
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn looking_asks_nobody_and_says_what_is_wrong() {
    let (ran, ordered) = drill(&["health", "--json"], &degraded(), "");
    assert_eq!((ran.code, ordered.as_slice()), (1, [].as_slice()), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((report["outcome"].as_str(), report["place"].as_str()), (Some("missed"), Some("live")));
    assert_eq!(report["steps"][0]["problems"][0], "check app is down: connection refused");
    let (ran, ordered) = drill(&["dns"], &healthy(), "");
    assert_eq!((ran.code, ordered), (1, vec![Question::DnsTest { record: None }]), "{ran:?}");
    assert!(ran.out.contains("missed       dns: ") && ran.out.contains("www: status 401"), "{}", ran.out);
}

/// Every field that stands in this, at whatever depth.
fn fields(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            found.push(name.clone());
            fields(member, found);
        }),
        Value::Array(members) => members.iter().for_each(|member| fields(member, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_report_is_described() {
    let mut run = Run::default();
    run.measured.outage = Some(judge(&[Probe { asked: Duration::ZERO, answered: false }], Duration::ZERO));
    run.happened(0.0, "it began");
    let most = Some(Duration::from_secs(1));
    let promised = Objectives { detection: most, takeover: most, outage: most, notification: most };
    let report = Report::new(true, "a".to_owned(), jiff::Timestamp::now(), 0, &promised);
    let report = report.with(vec![Step::of(Kind::Service, run, &promised)]);
    let mut found = Vec::new();
    fields(&serde_json::to_value(&report).unwrap(), &mut found);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/drill-json.md");
    let page = fs::read_to_string(page).unwrap();
    for word in found.into_iter().chain(Kind::ALL.map(|kind| kind.name().to_owned())) {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
}
