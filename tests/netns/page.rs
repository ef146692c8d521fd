//! The page of a real daemon in a real browser. With `LOCUM_PICTURES=DIRECTORY` its pictures are written there,
//! for the README.

use crate::browser::Browser;
use crate::lab::{Host, LONG, Lab, wait_until};
use crate::locum::Router;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn served(priority: u8) -> Router {
    let router = Router::new(priority).with("checks", "[\"app\"]");
    let check = "[check.app]\ntype = \"tcp\"\ninterval = \"200ms\"\ntarget = \"127.0.0.1:5113\"\n";
    router.and(&format!("[agent]\nnode = \"web-2\"\n[http]\n{check}"))
}

fn picture(browser: &Browser<'_>, name: &str) {
    if let Some(directory) = std::env::var_os("LOCUM_PICTURES") {
        fs::write(PathBuf::from(directory).join(name), browser.picture()).unwrap();
    }
}

/// How long after a change of state the page showed it: the record and the page read the same clock.
fn shown_after(browser: &Browser<'_>, state: &str, change: impl FnOnce()) -> Duration {
    browser.run(&format!(
        "window.shown = null; const badge = document.querySelector('#routers .badge');
         const look = () => {{ if (!window.shown && badge.textContent === '{state}') window.shown = Date.now(); }};
         new MutationObserver(look).observe(badge, {{ childList: true, characterData: true, subtree: true }});"
    ));
    change();
    wait_until(&format!("the page shows {state}"), LONG, || !browser.run("return window.shown").is_null());
    let script = format!(
        "return fetch('/history').then((it) => it.json()).then(({{ incidents }}) => {{
             const steps = incidents.toReversed().flatMap((it) => it.steps);
             const step = steps.findLast((it) => it.event === 'transition' && it.to === '{state}');
             return window.shown - Date.parse(step.time); }})"
    );
    Duration::from_millis(browser.run(&script).as_u64().expect("it was shown after it happened"))
}

fn two(lab: &Lab) -> (&Host, &Host) {
    (&lab["left"], &lab["right"])
}

#[test]
fn a_change_of_state_appears_within_a_second_without_a_reload_and_without_errors() {
    let lab = Lab::new(&["left", "right"]);
    let (left, right) = two(&lab);
    let first = left.locum(&served(150));
    first.wait_state("MASTER");
    let second = right.locum(&Router::new(100));
    second.wait_state("BACKUP");
    let browser = Browser::start(left);
    browser.size(1000, 700);
    browser.open("http://127.0.0.1:5113/");
    browser.wait_text("MASTER");
    browser.run("window.loaded = true");
    // A machine with other work may miss one.
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(shown_after(&browser, "BACKUP", || drop(first.cli(&["handover", "web"]))));
        times.push(shown_after(&browser, "MASTER", || drop(first.cli(&["resume", "web"]))));
    }
    println!("shown after {times:?}");
    times.sort();
    assert!(times[times.len() / 2] < Duration::from_secs(1), "{times:?}");
    assert_eq!(browser.run("return window.loaded"), true, "the page was loaded again");
    assert_eq!(
        browser.run("return document.getElementById('news').textContent.startsWith('web is MASTER')"),
        true
    );
    // The browser stands on the very host whose addresses move: it gives up what it asks for then, and asks again.
    let mut console = browser.console();
    console.retain(|line| !line.contains("ERR_NETWORK_CHANGED"));
    assert_eq!(console, Vec::<String>::new());
}

#[test]
fn it_has_what_status_says_the_incidents_and_room_on_a_telephone() {
    let lab = Lab::new(&["left", "right"]);
    let (left, right) = two(&lab);
    let mut first = left.locum(&Router::new(150));
    first.wait_state("MASTER");
    let second = right.locum(&served(100));
    second.wait_state("BACKUP");
    assert!(first.stop().success());
    second.wait_state("MASTER");
    let browser = Browser::start(right);
    browser.size(800, 800);
    browser.scheme("light");
    browser.open("http://127.0.0.1:5113/");
    browser.wait_text("BACKUP → MASTER: Master 10.77.0.1 said farewell");
    for text in ["HEALTHY", "next: ", "10.77.0.100/32 held", "Peer 10.77.0.1", "app", "up"] {
        browser.wait_text(text);
    }
    let points = "return document.querySelector('.spark polyline').getAttribute('points').split(' ').length";
    wait_until("the latency has a line", LONG, || browser.run(points).as_u64() >= Some(6));
    // What is live is reached by the keyboard, and steps open by it.
    browser.run("document.querySelector('#incidents summary').focus()");
    browser.types("\u{e007}");
    browser.wait_text("STOP → BACKUP: just started");
    picture(&browser, "page-light.png");
    browser.scheme("dark");
    let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(ground, "rgb(18, 22, 27)");
    picture(&browser, "page-dark.png");
    browser.size(360, 740);
    let room =
        "const page = document.documentElement; return [innerWidth, page.scrollWidth - page.clientWidth]";
    assert_eq!(browser.run(room), serde_json::json!([360, 0]), "it scrolls to the side");
    picture(&browser, "page-360.png");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn it_asks_for_the_token_and_claims_nothing_once_the_daemon_is_gone() {
    let lab = Lab::new(&["left"]);
    let left = &lab["left"];
    let dir = TempDir::new().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let lines = format!("[http]\ntoken = \"file:{}\"\n", token.display());
    let mut locum = left.locum(&Router::new(150).and(&lines));
    locum.wait_state("MASTER");
    let browser = Browser::start(left);
    browser.open("http://127.0.0.1:5113/");
    browser.wait_text("the daemon wants its token");
    browser.types("not this one\u{e007}");
    browser.wait_text("This token is not the one.");
    assert!(!browser.text().contains("MASTER"), "{}", browser.text());
    browser.types("0123456789abcdef\u{e007}");
    browser.wait_text("MASTER");
    let refused = browser.console();
    assert!(refused.iter().all(|line| line.contains("401 (Unauthorized)")), "{refused:?}");
    let began = Instant::now();
    locum.kill9();
    browser.wait_text("NO ANSWER");
    println!("after {:?} nothing is claimed", began.elapsed());
    assert!(!browser.text().contains("MASTER"), "{}", browser.text());
    locum.restart();
    browser.wait_text("MASTER");
}

/// A member of a cluster of two, whose file names both nodes on both hosts.
pub fn member(host: &Host, priority: u8) -> Router {
    let ip = host.ipv4();
    Router::new(priority).and(&format!(
        "[agent]\nnode = \"{host}\"\n[http]\nlisten = [\"127.0.0.1:5113\", \"{ip}:5113\"]\n\
         peers = [\"http://10.77.0.1:5113\", \"http://10.77.0.2:5113\"]\n"
    ))
}

#[test]
fn it_shows_the_whole_cluster_and_two_masters_are_loud() {
    let lab = Lab::new(&["left", "right"]);
    let (left, right) = two(&lab);
    let first = left.locum(&member(left, 150));
    first.wait_state("MASTER");
    let mut second = right.locum(&member(right, 100));
    second.wait_state("BACKUP");
    let browser = Browser::start(left);
    browser.size(1000, 900);
    browser.scheme("light");
    browser.open("http://127.0.0.1:5113/");
    let cluster = || {
        browser.run("return document.getElementById('cluster-part').innerText").as_str().unwrap().to_owned()
    };
    let shows = |what: &str| wait_until(what, LONG, || cluster().contains(what));
    let alarmed = || browser.run("return !document.getElementById('rivals-part').hidden") == true;
    for what in ["left", "this host", "MASTER", "right", "http://10.77.0.2:5113", "BACKUP", "just started"] {
        shows(what);
    }
    assert!(!alarmed() && !cluster().contains("10.77.0.1:5113"), "itself is no peer: {}", cluster());
    picture(&browser, "page-cluster.png");
    // They do not hear each other any more: another number for the same address.
    assert_eq!(second.reload(&member(right, 100).with("vrid", "52").toml()).0, Some(0));
    second.wait_state("MASTER");
    browser.wait_text("10.77.0.100: left and right are both MASTER");
    assert!(alarmed());
    assert_eq!(browser.run("return document.title.startsWith('TWO MASTERS')"), true);
    picture(&browser, "page-rivals.png");
    assert_eq!(second.reload(&member(right, 100).toml()).0, Some(0));
    second.wait_state("BACKUP");
    wait_until("the alarm ends", LONG, || !alarmed());
    // Nothing is claimed of one that says nothing.
    second.kill9();
    shows("NO ANSWER");
    shows("connection refused by 10.77.0.2; last heard");
    assert!(!cluster().contains("BACKUP"), "{}", cluster());
    second.restart();
    shows("BACKUP");
    let mut console = browser.console();
    console.retain(|line| !line.contains("ERR_NETWORK_CHANGED"));
    assert_eq!(console, Vec::<String>::new());
}

#[test]
fn its_incidents_are_those_of_the_record_and_outlive_the_daemon() {
    let lab = Lab::new(&["left", "right"]);
    let (left, right) = two(&lab);
    let mut first = left.locum(&Router::new(150));
    first.wait_state("MASTER");
    let mut second = right.locum(&served(100));
    second.wait_state("BACKUP");
    wait_until("the Master is heard", LONG, || second.router()["instances"][0]["master"] == "10.77.0.1");
    first.kill9();
    second.wait_state("MASTER");
    assert!(second.stop().success());
    second.restart();
    second.wait_state("MASTER");
    let browser = Browser::start(right);
    browser.open("http://127.0.0.1:5113/");
    browser.wait_text("no Master heard for the down interval");
    browser.run("document.querySelectorAll('#incidents details').forEach((it) => { it.open = true; })");
    browser.wait_text("until this host was Master, found after");
    browser.wait_text("the daemon stopped");
}
