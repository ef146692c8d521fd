//! `locum status` against a real control socket.

use crate::canned;
use crate::program::{command, locum};
use crate::stub::Stub;
use locum::agent::Request;
use locum::agent::status::Status;
use locum::control::{Answer, Question};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

fn answering(status: Status) -> Stub {
    Stub::new(move |question| {
        assert_eq!(question, Question::Agent(Request::Status));
        Some(Answer::Status(Box::new(status.clone())))
    })
}

fn status(socket: &Path, more: &[&str]) -> crate::program::Ran {
    command(&["status", "--socket"]).arg(socket).args(more).output().unwrap().into()
}

#[test]
fn the_exit_code_is_the_health() {
    for (given, code) in [(canned::healthy(), 0), (canned::degraded(), 1), (canned::fault(), 2)] {
        let stub = answering(given);
        for form in [&[][..], &["--json"]] {
            let ran = status(&stub.path(), form);
            assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{ran:?}");
        }
    }
}

#[test]
fn the_page_says_what_is_why_and_what_comes_next() {
    let page = status(&answering(canned::degraded()).path(), &[]).out;
    let expected = "\
DEGRADED     node left, version 0.1.0
             - check app: connection refused

web  MASTER  for 3m12s, because no Master heard for the down interval
  next       its next advert in 612ms
  interface  eth0, VRID 51, version 3, every 1s, multicast
  auth       signatures by key 2 of 1 and 2, within 5s
  claim      required, held in term 7; 10.0.0.3:5112 said yes 12 ms ago
  priority   base 150, app -60, db must be up = 90
  master     10.0.0.1 (this host)
  adverts    1234 sent, 17 heard, 1 could not be sent: Network is down, refused:
             3 wrong-password, not followed: 2 losing
  peer       10.0.0.2 heard 5.4s ago, priority 80, every 1s, clock -40 ms,
             refused: 3 wrong-password; the sender's interval differs from ours
  address    10.0.0.100/24 held, leased for 2s at a time, put back 2 times after
             something else removed it
  rival      02:00:00:00:00:09 said that it has 10.0.0.100, seen 3 times, 1m30s
             ago
  hooks      4 ran, 1 failed; last /etc/locum/tell: exit code 1

checks
  app  down  for 41s, last result 800ms ago in 0.4ms: connection refused
  db   up    for 41s, last result 800ms ago in 0.4ms, read 3

messages
  ops  fail  3 sent, 2 attempts failed, 1 not told, 2 waiting; last error:
             https://hooks.example: status 503

dns
  www  fail  www.example.org A (cloudflare): 192.0.2.1 waits to be written; 2
             written, 3 attempts failed, paused; last error: api.cloudflare.com:
             status 401
";
    assert_eq!(page, expected);
}

#[test]
fn a_record_that_a_person_has_set_is_said_to_hold_what_it_holds() {
    let mut given = canned::degraded();
    let record = &mut given.dns[0];
    (record.waiting, record.holds) = (false, Some("192.0.2.9".parse().unwrap()));
    let page = status(&answering(given).path(), &[]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("holds 192.0.2.9 by hand, 192.0.2.1 once a role or a check changes;"), "{page}");
}

#[test]
fn no_line_is_longer_than_80_columns_and_none_ends_in_a_space() {
    for given in [canned::healthy(), canned::degraded(), canned::fault()] {
        for line in status(&answering(given).path(), &[]).out.lines() {
            assert!(line.chars().count() <= 80 && line.trim_end() == line, "{line:?}");
        }
    }
}

#[test]
fn a_fault_says_what_must_heal() {
    let page = status(&answering(canned::fault()).path(), &[]).out;
    assert!(page.contains("web  FAULT   for 3m12s, because interface eth7 does not exist\n"), "{page}");
    assert!(page.contains("next       the fault to heal\n"), "{page}");
}

#[test]
fn what_others_sent_cannot_steer_the_terminal() {
    let mut given = canned::degraded();
    given.checks[0].error = Some("\x1b]0;owned\x07\x1b[2J".to_owned());
    given.complaints[0] = "\u{9b}2J".to_owned();
    let page = status(&answering(given).path(), &[]).out;
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'), "{page:?}");
    assert!(page.contains("?]0;owned?"), "{page:?}");
}

#[test]
fn json_is_the_status_itself() {
    let given = canned::degraded();
    let ran = status(&answering(given.clone()).path(), &["--json"]);
    assert_eq!(serde_json::from_str::<Status>(&ran.out).unwrap(), given);
}

#[test]
fn colours_are_for_terminals_only() {
    let stub = answering(canned::degraded());
    let on_terminal = |no_colour: Option<&str>| {
        let line = format!("{} status --socket {}", env!("CARGO_BIN_EXE_locum"), stub.path().display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR").stdin(Stdio::null());
        if let Some(value) = no_colour {
            script.env("NO_COLOR", value);
        }
        let output = script.output().expect("script(1) of util-linux");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(on_terminal(None).contains("\x1b[1;33mDEGRADED\x1b[0m"));
    assert!(on_terminal(Some("")).contains("\x1b[1;33m"));
    assert!(!on_terminal(Some("1")).contains('\x1b'));
    assert!(!status(&stub.path(), &[]).out.contains('\x1b'));
}

#[test]
fn without_a_daemon_one_line_names_the_socket_and_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.sock");
    let dead = folder.path().join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    for socket in [&missing, &dead] {
        for form in [&[][..], &["--json"]] {
            let ran = status(socket, form);
            assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{ran:?}");
            let line = ran.complaint();
            assert!(line.contains("not running") && line.contains(&*socket.to_string_lossy()), "{line}");
            assert!(line.contains("systemctl start locum"), "{line}");
        }
    }
}

#[test]
fn the_environment_names_the_socket_unless_the_arguments_do() {
    let (stub, other) = (answering(canned::healthy()), answering(canned::fault()));
    let named = |arguments: &[&str]| {
        command(arguments).env("LOCUM_SOCKET", stub.path()).output().unwrap().status.code()
    };
    assert_eq!(named(&["status"]), Some(0));
    assert_eq!(named(&["status", "--socket", &other.path().to_string_lossy()]), Some(2));
    let default = locum(&["reload", "--dry-run"]);
    let unset = command(&["reload", "--dry-run"]).env("LOCUM_SOCKET", "").output().unwrap();
    assert_eq!(default.code, unset.status.code().unwrap());
}

#[test]
fn watching_looks_again_and_survives_a_daemon_that_is_away() {
    let ran = status(&answering(canned::healthy()).path(), &["--watch", "--count", "2", "--json"]);
    let looks: Vec<Status> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ran.code, looks), (0, vec![canned::healthy(), canned::healthy()]));

    // The daemon comes only after the first look.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("locum.sock");
    let watching = command(&["status", "--watch", "--count", "20", "--json", "--socket"])
        .arg(&socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut watching = Kept(Some(watching));
    let mut complaint = String::new();
    let child = watching.0.as_mut().unwrap();
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut err, &mut complaint).unwrap();
    assert!(complaint.contains("not running"), "{complaint}");
    let stub = answering(canned::healthy());
    fs::rename(stub.path(), &socket).unwrap();
    let mut seen = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut seen).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&seen).unwrap(), canned::healthy());
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let stub = answering(canned::degraded());
    let line = format!("{} status --socket {} | true", env!("CARGO_BIN_EXE_locum"), stub.path().display());
    let output =
        Command::new("bash").args(["-c", &format!("{line}; exit ${{PIPESTATUS[0]}}")]).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b""[..]));
}

/// A child that is ended with the test.
struct Kept(Option<std::process::Child>);

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
