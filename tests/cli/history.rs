//! `locum history`: what a record says, for people and for programs.

use crate::program::{Ran, command};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Two runs: a check fails, another host takes over and gives back; then the power goes.
const RECORD: &str = r#"{"v":1,"time":"2026-03-01T10:00:00Z","clock_ms":1000,"event":"started","version":"0.1.0","node":"a","pid":7,"config":"/etc/locum/locum.toml","boot":"x","last":{"end":"none"}}
{"v":1,"time":"2026-03-01T10:00:00.1Z","clock_ms":1100,"event":"transition","router":"web","from":"STOP","to":"BACKUP","cause":"started","why":"just started","priority":150,"addresses":["10.0.0.100"],"peer":null}
{"v":1,"time":"2026-03-01T10:00:03.6Z","clock_ms":4600,"event":"transition","router":"web","from":"BACKUP","to":"MASTER","cause":"silence","why":"no Master heard for the down interval","priority":150,"addresses":["10.0.0.100"],"peer":null}
{"v":1,"time":"2026-03-01T10:00:03.7Z","clock_ms":4700,"event":"hook","router":"web","script":"/etc/locum/tell","ended":"exit code 0","failed":false,"took_ms":12,"skipped":0}
{"v":1,"time":"2026-03-01T10:10:00Z","clock_ms":601000,"event":"check","check":"app","from":"up","to":"down","error":"connection refused","after_ms":2004}
{"v":1,"time":"2026-03-01T10:10:00Z","clock_ms":601000,"event":"transition","router":"web","from":"MASTER","to":"FAULT","cause":"fault","why":"check app: connection refused","priority":150,"addresses":["10.0.0.100"],"peer":null}
{"v":1,"time":"2026-03-01T10:10:00.7Z","clock_ms":601700,"event":"master_heard","router":"web","source":"10.0.0.2","priority":100}
{"v":1,"time":"2026-03-01T10:20:00Z","clock_ms":1201000,"event":"check","check":"app","from":"down","to":"up","error":null,"after_ms":0}
{"v":1,"time":"2026-03-01T10:20:00Z","clock_ms":1201000,"event":"transition","router":"web","from":"FAULT","to":"BACKUP","cause":"healed","why":"fault healed","priority":150,"addresses":["10.0.0.100"],"peer":null}
{"v":1,"time":"2026-03-01T10:20:03.6Z","clock_ms":1204600,"event":"transition","router":"web","from":"BACKUP","to":"MASTER","cause":"preempted","why":"preempted 10.0.0.2, which has a lower priority","priority":150,"addresses":["10.0.0.100"],"peer":"10.0.0.2","silent_ms":600}
{"v":1,"time":"2026-03-01T10:20:09Z","clock_ms":1210000,"event":"dual_master_seen","router":"web","source":"10.0.0.2","priority":100,"ours":150,"times":3}
{"v":1,"time":"2026-03-01T10:20:10Z","clock_ms":1211000,"event":"dual_master_seen","router":"web","source":null,"priority":null,"address":"10.0.0.100","mac":"02:00:00:00:00:09","ours":150,"times":1}
{"v":1,"time":"2026-03-01T10:21:00Z","clock_ms":1261000,"event":"lease","router":"web","family":"ipv4","lease_ms":2000}
{"v":1,"time":"2026-03-01T10:22:00Z","clock_ms":1321000,"event":"lease_late","lease_ms":2000,"after_ms":1700,"times":1}
{"v":1,"time":"2026-03-01T10:23:00Z","clock_ms":1381000,"event":"lease_late","lease_ms":2000,"after_ms":3100,"times":4}
{"v":1,"time":"2026-03-01T10:24:00Z","clock_ms":1441000,"event":"lease","router":"web","family":"ipv4","lease_ms":null}
{"v":1,"time":"2026-03-01T10:30:00Z","clock_ms":1801000,"event":"order","order":"resume","router":"db","by":{"uid":1000,"user":"ann","pid":33}}
{"v":1,"time":"2026-03-01T10:30:01Z","clock_ms":1802000,"event":"eclipse","term":9}
{"v":1,"time":"2026-03-01T11:00:00Z","clock_ms":900,"event":"started","version":"0.1.0","node":"a","pid":9,"config":"/etc/locum/locum.toml","boot":"y","last":{"end":"broken","seen":"2026-03-01T10:30:01Z","rebooted":true}}
"#;

const PAGE: &str = "\
2026-03-01 10:00:00.000  -    locum 0.1.0 started as a, for the first time, as far as is recorded
2026-03-01 10:00:00.100  web  STOP -> BACKUP: just started
2026-03-01 10:00:03.600  web  BACKUP -> MASTER after 3.5s: no Master heard for the down interval
2026-03-01 10:00:03.700  web  hook /etc/locum/tell: exit code 0, in 12ms
2026-03-01 10:10:00.000  -    check app up -> down, failing for 2s: connection refused
2026-03-01 10:10:00.000  web  MASTER -> FAULT after 9m56s: check app: connection refused
2026-03-01 10:10:00.700  web  10.0.0.2 is Master, priority 100
2026-03-01 10:20:00.000  -    check app down -> up
2026-03-01 10:20:00.000  web  FAULT -> BACKUP after 10m00s: fault healed
2026-03-01 10:20:03.600  web  BACKUP -> MASTER after 3.6s: preempted 10.0.0.2, which has a lower priority
2026-03-01 10:20:09.000  web  a second Master was seen, 3 times: 10.0.0.2, priority 100 against our 150
2026-03-01 10:20:10.000  web  a second holder was seen: 02:00:00:00:00:09 says that it has 10.0.0.100
2026-03-01 10:21:00.000  web  its IPv4 addresses are leased for 2s
2026-03-01 10:22:00.000  -    leases of 2s were renewed late, after 1.7s
2026-03-01 10:23:00.000  -    leases of 2s were not renewed for 3.1s: the kernel may have taken the addresses away; 4 times late, this was the worst
2026-03-01 10:24:00.000  web  its IPv4 addresses are leased no more
2026-03-01 10:30:00.000  db   resume, ordered by ann (uid 1000, pid 33)
2026-03-01 10:30:01.000  -    something that this version does not know; see --json
2026-03-01 11:00:00.000  -    locum 0.1.0 started as a, and the whole host ended without a word after 2026-03-01 10:30:01.000

outages, as seen from here
2026-03-01 10:09:57.996  web  2.7s until 10.0.0.2 was Master, found after 2s: check app: connection refused
2026-03-01 10:30:01.000  web  its end was not seen: this host ended without a farewell, some time after this
";

fn recorded(text: &str) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    fs::write(&path, text).unwrap();
    (place, path)
}

fn history(file: &Path, more: &[&str]) -> Ran {
    let mut command = command(&["history", "--file"]);
    command.arg(file).args(more).env("TZ", "UTC").output().unwrap().into()
}

#[test]
fn the_page_tells_what_happened_when_and_which_outages_there_were() {
    let (_place, path) = recorded(RECORD);
    let ran = history(&path, &[]);
    assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (0, "", PAGE));
}

#[test]
fn times_are_local_ones() {
    let (_place, path) = recorded(RECORD);
    let mut command = command(&["history", "--last", "1", "--file"]);
    let ran: Ran = command.arg(path).env("TZ", "Asia/Tokyo").output().unwrap().into();
    assert!(ran.out.starts_with("2026-03-01 20:00:00.000  -"), "{ran:?}");
}

#[test]
fn what_is_shown_can_be_chosen() {
    let (_place, path) = recorded(RECORD);
    let lines = |more: &[&str]| {
        let out = history(&path, more).out;
        out.lines().map(str::to_owned).take_while(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&["--since", "2026-03-01T10:30:00Z"]).len(), 3);
    assert_eq!(lines(&["--last", "2"]).len(), 2);
    let web = lines(&["--router", "web"]);
    assert!(web.iter().all(|line| !line.contains("  db ")), "{web:?}");
    // What concerns all of the host concerns each router.
    assert!(web.iter().any(|line| line.contains("check app up -> down")), "{web:?}");
    assert_eq!(lines(&["--since", "2100-01-01"]), ["nothing is recorded of that"]);
}

#[test]
fn json_is_the_record_itself_and_an_object_for_each_outage() {
    let (_place, path) = recorded(RECORD);
    let ran = history(&path, &["--json"]);
    let (record, outages) = ran.out.split_at(RECORD.len());
    assert_eq!(record, RECORD);
    let outages: Vec<Value> = outages.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(outages.len(), 2);
    let expected = r#"{"v":1,"event":"outage","router":"web","began":"2026-03-01T10:09:57.996Z","why":"check app: connection refused","detect_ms":2004,"recover_ms":2704,"by":"10.0.0.2"}"#;
    assert_eq!(outages[0], serde_json::from_str::<Value>(expected).unwrap());
}

#[test]
fn full_files_come_first_and_what_is_torn_is_told() {
    let (_place, path) = recorded("");
    let (old, new) = RECORD.split_at(RECORD.len() / 2);
    let (old, half) = old.split_at(old.rfind('\n').unwrap() + 1);
    fs::write(format!("{}.1", path.display()), old).unwrap();
    fs::write(&path, format!("{half}{new}{{\"v\":1,")).unwrap();
    let ran = history(&path, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, PAGE));
    assert!(ran.complaint().contains("history.jsonl:12 ends in the middle"), "{ran:?}");
}

#[test]
fn what_a_hook_said_cannot_steer_the_terminal() {
    let (_place, path) = recorded(&RECORD.replace("exit code 0", "\\u001b[2J"));
    let ran = history(&path, &[]);
    assert!(ran.out.contains("hook /etc/locum/tell: ?[2J, in 12ms"), "{ran:?}");
}

#[test]
fn no_record_and_one_that_cannot_be_read_are_named_with_their_mend() {
    let (place, path) = recorded(RECORD);
    let missing = history(&place.path().join("none"), &[]);
    assert_eq!(missing.code, 1);
    assert!(missing.complaint().contains("there is no record at"), "{missing:?}");
    let folder = history(place.path(), &[]);
    assert!(folder.complaint().contains("no regular file"), "{folder:?}");
    // Root reads everything: somebody else asks.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let program = place.path().join("locum");
    // Not by this process: what it has open for writing while another test starts a program cannot be run.
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg(env!("CARGO_BIN_EXE_locum")).arg(&program).status().unwrap().success());
    let mut other = std::process::Command::new("setpriv");
    other.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(&program);
    let denied: Ran = other.args(["history", "--file"]).arg(&path).output().unwrap().into();
    assert_eq!(denied.code, 1);
    assert!(denied.complaint().contains("Permission denied (os error 13); root and the daemon's user may"));
}

#[test]
fn the_configuration_says_where_the_record_is() {
    let (place, path) = recorded(RECORD);
    let config = place.path().join("locum.toml");
    let told = |text: &str| {
        fs::write(&config, text).unwrap();
        let mut command = command(&["history", "--last", "1", "--config"]);
        Ran::from(command.arg(&config).env("TZ", "UTC").output().unwrap())
    };
    let there = told(&format!("[journal]\npath = \"{}\"\n", path.display()));
    assert_eq!((there.code, there.out.lines().count() > 0), (0, true), "{there:?}");
    let beside = told(&format!("[agent.control]\npath = \"{}\"\n", path.with_file_name("x.sock").display()));
    assert!(beside.complaint().contains("x.history.jsonl"), "{beside:?}");
    let off = told("[journal]\npath = \"off\"\n");
    assert!(off.complaint().contains("nothing is recorded"), "{off:?}");
    // By its socket alone.
    fs::rename(&path, place.path().join("x.history.jsonl")).unwrap();
    let mut command = command(&["history", "--last", "1", "--socket"]);
    let ran: Ran = command.arg(place.path().join("x.sock")).output().unwrap().into();
    assert_eq!(ran.code, 0, "{ran:?}");
}
