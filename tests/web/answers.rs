//! What each path says of a status, and with which code.

use crate::canned;
use crate::core::Http;
use jiff::Timestamp;
use locum::agent::status::Status;
use locum::agent::{RouterName, Standing};
use locum::web::agent_check::line;
use locum::web::answer::{Answer, answer};
use locum::web::{Settings, Snapshot};
use serde_json::Value;

fn at(path: &str, status: Status) -> Answer {
    answer(path, Some(&Snapshot::now(status)), Timestamp::UNIX_EPOCH)
}

fn code(path: &str, status: Status) -> u16 {
    at(path, status).code
}

/// The same in another state.
fn in_state(state: Standing) -> Status {
    let mut status = canned::healthy();
    status.routers[0].state = state;
    status
}

/// Two routers, of which the second is Backup.
fn two() -> Status {
    let mut status = canned::healthy();
    let mut second = status.routers[0].clone();
    second.name = RouterName("db".into());
    second.state = Standing::Backup;
    status.routers.push(second);
    status
}

#[test]
fn a_role_is_good_where_every_router_that_is_meant_has_it() {
    assert_eq!(code("/master", in_state(Standing::Master)), 200);
    for state in [Standing::Backup, Standing::Fault, Standing::Stop] {
        assert_eq!(code("/master", in_state(state)), 503, "{state}");
    }
    assert_eq!((code("/backup", in_state(Standing::Backup)), code("/backup", canned::healthy())), (200, 503));
    assert_eq!((code("/master", two()), code("/backup", two())), (503, 503));
    assert_eq!(
        (code("/master/web", two()), code("/master/db", two()), code("/backup/db", two())),
        (200, 503, 200)
    );
    assert_eq!(code("/master/other", two()), 404);
    assert_eq!(code("/master", Status { routers: Vec::new(), ..two() }), 503);
}

#[test]
fn health_names_every_check_and_is_bad_only_where_a_router_cannot_take_part() {
    let degraded = at("/health", canned::degraded());
    assert_eq!((degraded.code, degraded.kind), (200, "application/json"));
    let said: Value = serde_json::from_slice(&degraded.body).unwrap();
    assert_eq!((&said["status"], &said["timestamp"]), (&"degraded".into(), &"1970-01-01T00:00:00Z".into()));
    assert_eq!(said["checks"]["app"]["error"], "connection refused");
    assert_eq!(said["checks"]["db"]["status"], "up");
    assert_eq!(said["routers"]["web"], "MASTER");
    assert_eq!(code("/health", canned::fault()), 503);
    assert_eq!((code("/readyz", canned::degraded()), code("/readyz", canned::fault())), (200, 503));
    let mut drained = in_state(Standing::Backup);
    drained.routers[0].drained = true;
    assert_eq!((code("/readyz", drained), code("/livez", canned::fault())), (503, 200));
}

#[test]
fn status_is_the_json_of_the_command_and_says_its_age_outside() {
    let http = Http::with(Settings::default());
    let answer = http.get("/status");
    let status: Status = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(status, canned::healthy());
    assert!(answer.head.contains("locum-age-ms: ") && answer.head.contains("cache-control: no-store"));
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    for path in ["/", "/metrics/", "/metrics/web", "//", "/Health", "*"] {
        let answer = at(path, canned::healthy());
        assert_eq!(answer.code, 404, "{path}");
        assert!(String::from_utf8(answer.body).unwrap().contains("/metrics /health"), "{path}");
    }
}

#[test]
fn the_agent_check_speaks_haproxys_words_by_role_and_health() {
    let of = |status: &Status| line(Some(status), None);
    let state = |state| of(&in_state(state));
    let mut whole = canned::healthy();
    whole.routers[0].priority.effective = 150;
    assert_eq!(of(&whole), "ready up 100%");
    assert_eq!(of(&canned::degraded()), "ready up 60%");
    assert_eq!(
        (state(Standing::Backup), state(Standing::Stop)),
        ("ready down#BACKUP".into(), "maint".into())
    );
    let mut drained = in_state(Standing::Backup);
    drained.routers[0].drained = true;
    assert_eq!(of(&drained), "drain");
    assert_eq!(of(&canned::fault()), "ready down#interface eth7 does not exist");
    let mut odd = canned::fault();
    odd.routers[0].why = "up\nmaint, drain".to_owned();
    assert_eq!(of(&odd), "ready down#up maint  drain");
    assert_eq!(line(Some(&two()), None), "ready down#BACKUP");
    assert_eq!(line(Some(&two()), Some("web")), "ready up 60%");
    assert_eq!(line(Some(&two()), Some("other")), "down#there is no router other");
    assert_eq!(line(None, None), "down#the core does not answer");
}
