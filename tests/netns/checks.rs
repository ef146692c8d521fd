//! Checks decide with real servers: a dead one moves the address, a weight moves it by priority.

use crate::lab::{Host, LONG, Lab, VIP, wait_until};
use crate::locum::{Router, settle};
use crate::process::Process;

const APP: &str = r#"
[check.app]
type = "http"
url = "http://127.0.0.1:8080/"
interval = "100ms"
timeout = "90ms"
"#;

/// Files over HTTP, as long as it lives.
fn web_server(host: &Host) -> Process {
    crate::lab::need("python3", "python3");
    let server = host.spawn("python3 -m http.server 8080 --bind 127.0.0.1 --directory /run/lock");
    wait_until("the web server listens", LONG, || !host.run("ss -Hltn sport = :8080").is_empty());
    server
}

#[test]
fn the_address_leaves_a_host_whose_web_server_died_and_returns_when_it_is_back() {
    let lab = Lab::new(&["a", "b", "client"]);
    let server = web_server(&lab["a"]);
    let a = lab["a"].locum(&Router::new(150).with("checks", r#"["app"]"#).and(APP));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    settle(2);
    drop(server);
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(a.state(), "FAULT");
    assert!(a.why().contains("check app"), "{}", a.why());
    assert!(b.why().contains("said farewell"), "{}", b.why());

    let _server = web_server(&lab["a"]);
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    settle(1);
    println!("check: {}; {}", probe.end(), watch.end());
}

#[test]
fn a_weight_moves_the_address_to_whom_it_leaves_stronger() {
    let lab = Lab::new(&["a", "b"]);
    let dir = tempfile::TempDir::new().unwrap();
    let heart = dir.path().join("heart");
    std::fs::write(&heart, "beats").unwrap();
    let check = format!("[check.heart]\ntype = \"file\"\npath = {heart:?}\ninterval = \"100ms\"\n");
    let weighed = Router::new(150).with("checks", r#"[{ check = "heart", weight = -60 }]"#).and(&check);
    let a = lab["a"].locum(&weighed);
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    settle(5);
    let watch = lab.watch(VIP);
    std::fs::remove_file(&heart).unwrap();
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(a.router()["priority"]["effective"], 90);
    assert_eq!(a.state(), "BACKUP");
    std::fs::write(&heart, "beats").unwrap();
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    println!("weight: {}", watch.end());
    assert_eq!(a.router()["priority"]["effective"], 150);
}
