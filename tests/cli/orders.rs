//! `reload`, `restart`, `handover`, `resume` and `ack`: what is asked, and how the answer is told.

use crate::program::{Ran, command};
use crate::stub::Stub;
use locum::agent::request::Moved;
use locum::agent::{Request, RouterName};
use locum::control::{Answer, LogOrder, Question};
use std::sync::{Arc, Mutex};

/// Gives an order to a daemon that answers so; returns what was asked, too.
fn order(arguments: &[&str], answer: Answer) -> (Ran, Vec<Question>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let stub = Stub::new(move |question| {
        heard.lock().unwrap().push(question);
        Some(answer.clone())
    });
    let ran = command(arguments).env("LOCUM_SOCKET", stub.path()).output().unwrap().into();
    let asked = asked.lock().unwrap().clone();
    (ran, asked)
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn web() -> RouterName {
    RouterName("web".into())
}

#[test]
fn a_reload_says_what_changed() {
    let done = Answer::Done { lines: lines(&["web: priority 100 -> 150", "check app: added"]) };
    let (ran, asked) = order(&["reload"], done.clone());
    assert_eq!((ran.code, ran.out.as_str()), (0, "web: priority 100 -> 150\ncheck app: added\n"));
    assert_eq!(asked, [Question::Reload { dry_run: false }]);
    assert_eq!(order(&["reload", "--dry-run"], done).1, [Question::Reload { dry_run: true }]);
}

#[test]
fn a_refusal_is_told_line_by_line_on_stderr() {
    let refused = Answer::Refused { lines: lines(&["a.toml:3:8: error: one", "a.toml:9:1: error: two"]) };
    let (ran, _) = order(&["reload"], refused);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(ran.err, "locum: a.toml:3:8: error: one\nlocum: a.toml:9:1: error: two\n");
}

#[test]
fn a_handover_is_told_with_its_gap_and_fails_where_nobody_took_over() {
    let moved = |successor: Option<&str>| Moved {
        router: web(),
        successor: successor.map(crate::canned::address),
        back: successor.is_none(),
        took_ms: 612.4,
        interface: None,
        addresses: Vec::new(),
    };
    let (ran, asked) = order(&["handover", "web"], Answer::Moved { routers: vec![moved(Some("10.0.0.2"))] });
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "web: moved to 10.0.0.2 after 612 ms; gap not measured: there is no address to ask for\n")
    );
    assert_eq!(asked, [Question::Agent(Request::Handover { router: Some(web()) })]);

    let both = vec![moved(Some("10.0.0.2")), moved(None)];
    let (ran, asked) = order(&["handover"], Answer::Moved { routers: both });
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("web: nobody took the addresses; they are back here"), "{ran:?}");
    assert_eq!(asked, [Question::Agent(Request::Handover { router: None })]);
}

#[test]
fn a_resume_names_its_router_or_all() {
    let done = Answer::Done { lines: lines(&["web takes part again"]) };
    let (ran, asked) = order(&["resume", "web"], done.clone());
    assert_eq!((ran.code, ran.out.as_str()), (0, "web takes part again\n"));
    assert_eq!(asked, [Question::Agent(Request::Resume { router: Some(web()) })]);
    assert_eq!(order(&["resume"], done).1, [Question::Agent(Request::Resume { router: None })]);
}

#[test]
fn an_acknowledgement_names_its_router_or_all() {
    let done = Answer::Done { lines: lines(&["web takes its addresses back again"]) };
    let (ran, asked) = order(&["ack", "web"], done.clone());
    assert_eq!((ran.code, ran.out.as_str()), (0, "web takes its addresses back again\n"));
    assert_eq!(asked, [Question::Agent(Request::Ack { router: Some(web()) })]);
    assert_eq!(order(&["ack"], done).1, [Question::Agent(Request::Ack { router: None })]);
}

#[test]
fn log_levels_are_asked_for_by_module_and_time_in_any_company() {
    let done = Answer::Done { lines: lines(&["info,vrrp=debug, in 600s info again"]) };
    for (words, level, module, for_ms) in [
        (&["log"][..], None, None, None),
        (&["log", "warn"], Some("warn"), None, None),
        (&["log", "debug", "vrrp"], Some("debug"), Some("vrrp"), None),
        (&["log", "debug", "10m"], Some("debug"), None, Some(600_000)),
        (&["log", "debug", "vrrp", "10m"], Some("debug"), Some("vrrp"), Some(600_000)),
    ] {
        let (ran, asked) = order(words, done.clone());
        assert_eq!((ran.code, ran.out.as_str()), (0, "info,vrrp=debug, in 600s info again\n"));
        let [level, module] = [level, module].map(|word: Option<&str>| word.map(str::to_owned));
        assert_eq!(asked, [Question::Log(LogOrder { level, module, for_ms })], "{words:?}");
    }
    for (words, named) in [(["log", "debug", "disk"], "disk"), (["log", "debug", "10x"], "10x")] {
        let ran: Ran = command(&words).output().unwrap().into();
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.complaint().contains(named), "{ran:?}");
    }
}

#[test]
fn an_order_without_a_daemon_exits_with_3() {
    for order in ["log", "reload", "restart", "handover", "resume", "ack"] {
        let ran: Ran = command(&[order, "--socket", "/nonexistent/locum.sock"]).output().unwrap().into();
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{ran:?}");
        assert!(ran.complaint().contains("/nonexistent/locum.sock"), "{ran:?}");
    }
}
