//! What a running daemon logs: each change of state once, in the words of the status, in the form that was asked for,
//! and other levels by order and for a time.

use crate::lab::{LONG, Lab, SOON, VIP, wait_until};
use crate::locum::{BINARY, Locum, Router};
use serde_json::Value;
use std::fs;
use std::io::Read;
use tempfile::TempDir;

/// What the log has as JSON.
fn logged(locum: &Locum<'_>) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    locum.process.log().lines().map(parse).collect()
}

#[test]
fn each_change_of_state_is_one_line_with_the_words_of_the_status() {
    let lab = Lab::new(&["a"]);
    let folder = TempDir::new().unwrap();
    let transitions = folder.path().join("transitions.jsonl");
    let journal = format!("\n[journal]\ntransitions = {transitions:?}\n");
    let a = lab["a"].locum_told(&["--no-guardian", "--log-form", "json"], &Router::new(100).and(&journal));
    lab.wait_owner(VIP, &["a"]);
    let changes: Vec<_> = logged(&a).into_iter().filter(|line| line["to"] == "MASTER").collect();
    let [change] = changes.as_slice() else { panic!("one line: {changes:?}") };
    assert_eq!((&change["router"], &change["from"]), (&"web".into(), &"BACKUP".into()));
    assert_eq!(change["reason"], a.why());
    assert_eq!((&change["level"], &change["module"]), (&"info".into(), &"vrrp".into()));
    let apart = || fs::read_to_string(&transitions).unwrap_or_default();
    wait_until("the change stands in its own file", SOON, || apart().contains("\"MASTER\""));
    for line in apart().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["event"], "transition", "{line}");
    }
}

#[test]
fn one_module_logs_more_by_order_and_as_before_when_the_time_is_over() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum_told(&["--no-guardian", "--log-form", "json", "--log", "warn"], &Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    assert_eq!(a.cli(&["log"]), (Some(0), "warn\n".to_owned()));
    assert!(logged(&a).is_empty(), "{}", a.process.log());
    let (code, said) = a.cli(&["log", "debug", "vrrp", "2s"]);
    assert_eq!((code, said.as_str()), (Some(0), "warn,vrrp=debug, in 2s warn again\n"));
    a.process.wait_for("sent an advert", SOON);
    let others = logged(&a).into_iter().filter(|line| line["module"] != "vrrp").count();
    assert_eq!(others, 0, "{}", a.process.log());
    wait_until("it is as before", SOON, || a.cli(&["log"]).1 == "warn\n");
    let (code, said) = a.cli(&["log", "off"]);
    assert_eq!((code, said.as_str()), (Some(0), "off\n"));
}

/// What is logged stands in a pipe with room for a page that nobody reads; the core goes on all the same.
#[test]
fn who_does_not_read_the_log_costs_no_advert_and_is_told_what_was_lost() {
    let lab = Lab::new(&["a"]);
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("locum.toml"), Router::new(100).with("interval", "'20ms'").toml()).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = lab["a"].command(BINARY);
    command.args([
        "run",
        "--no-guardian",
        "--log",
        "debug",
        "-c",
        &path("locum.toml"),
        "--socket",
        &path("s"),
    ]);
    let mut daemon = command.stderr(writer).spawn().unwrap();
    drop(command);
    let router = || {
        let (_, text) = lab["a"].attempt(&format!("{BINARY} status --json --socket {}", path("s")));
        serde_json::from_str::<Value>(&text).map_or(Value::Null, |status| status["routers"][0].clone())
    };
    let sent = || router()["instances"][0]["sent"].as_u64().unwrap_or(0);
    wait_until("there are more lines than fit", LONG, || sent() > 200);
    assert_eq!(router()["state"], "MASTER");
    let mut text = String::new();
    wait_until("it is told", LONG, || {
        let mut buffer = [0; 4096];
        let length = reader.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        text.contains(" lines were lost: nobody read them from standard error\n")
    });
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// A journal of its own, and a daemon that is told, as systemd does, that it is behind standard error; prints the
/// journal's entry of a takeover.
const JOURNAL: &str = r#"set -e
mkdir -p /run/systemd /run/log
mount -t tmpfs locum /run/systemd
mkdir /run/systemd/journal
mount -t tmpfs locum /run/log
/lib/systemd/systemd-journald >/dev/null 2>&1 &
until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
export JOURNAL_STREAM=$(stat -c %d:%i "$1/stderr")
"$0" run --no-guardian -c "$1/locum.toml" --socket "$1/locum.sock" 2>"$1/stderr" >/dev/null &
until journalctl -D /run/log/journal -o json LOCUM_TO=MASTER 2>/dev/null | grep MESSAGE; do sleep 0.05; done
"#;

#[test]
fn the_journal_keeps_a_change_of_state_by_its_fields() {
    let lab = Lab::new(&["a"]);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("locum.toml"), Router::new(100).toml()).unwrap();
    let stderr = folder.path().join("stderr");
    fs::write(&stderr, "").unwrap();
    let mut command = lab["a"].command("timeout");
    command.arg(LONG.as_secs().to_string());
    command.args([
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        JOURNAL,
    ]);
    let output = command.args([BINARY, folder.path().to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let entry: Value =
        serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    for (field, value) in [
        ("LOCUM_ROUTER", "web"),
        ("LOCUM_FROM", "BACKUP"),
        ("LOCUM_TO", "MASTER"),
        ("LOCUM_MODULE", "vrrp"),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "locum"),
    ] {
        assert_eq!(entry[field], value, "{field}: {entry:#}");
    }
    assert_eq!(fs::read_to_string(stderr).unwrap(), "", "the journal has it all");
    let [message, reason] = ["MESSAGE", "LOCUM_REASON"].map(|field| entry[field].as_str().unwrap());
    assert!(message.starts_with("router web: BACKUP -> MASTER: ") && message.contains(reason), "{entry:#}");
}
