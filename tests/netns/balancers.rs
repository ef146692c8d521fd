//! Real load balancers by the examples that are shipped: `HAProxy` follows the role, nginx the address.

use crate::lab::{Host, LONG, Lab, SOON, need, wait_until};
use crate::locum::{Locum, Router};
use crate::process::Process;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A shipped example, for the addresses of the lab and services at port 8000.
fn example(name: &str, dir: &TempDir, also: [&str; 2]) -> PathBuf {
    let text = fs::read_to_string(format!("examples/{name}")).unwrap();
    let text = text.replace("10.0.0.", "10.77.0.").replace(":80\n", ":8000\n").replace(":80;", ":8000;");
    let file = dir.path().join(name);
    fs::write(&file, text.replace(also[0], also[1])).unwrap();
    file
}

/// A web server on every address of a host that says its name.
fn service(host: &Host, dir: &TempDir) -> Process {
    let root = dir.path().join(&host.name);
    fs::create_dir(&root).unwrap();
    fs::write(root.join("index.html"), &host.name).unwrap();
    let service = host.spawn(&format!("python3 -m http.server -d {} 8000", root.display()));
    wait_until("the service answers", SOON, || said(host, "http://127.0.0.1:8000/") == host.name);
    service
}

/// What a client on a host is told; what goes wrong where nothing is.
fn said(client: &Host, url: &str) -> String {
    client.attempt(&format!("curl -sSf -m 2 {url}")).1
}

fn node(host: &Host, priority: u8) -> Locum<'_> {
    let ip = host.ipv4();
    let http = format!("[http]\nlisten = \"{ip}:5113\"\nagent_check = \"{ip}:5114\"\n");
    host.locum(&Router::new(priority).with("preempt", "false").and(&http))
}

#[test]
fn haproxy_follows_the_role_within_a_second_and_a_bit() {
    need("haproxy", "haproxy");
    let lab = Lab::new(&["left", "right", "front"]);
    let (left, right, front) = (&lab["left"], &lab["right"], &lab["front"]);
    let dir = TempDir::new().unwrap();
    let _services = [service(left, &dir), service(right, &dir)];
    let mut first = node(left, 150);
    first.wait_state("MASTER");
    let second = node(right, 100);
    second.wait_state("BACKUP");
    let config = example("haproxy.cfg", &dir, ["", ""]);
    let _haproxy = front.spawn(&format!("haproxy -db -f {}", config.display()));
    let goes_to = |host: &Host| said(front, "http://127.0.0.1:8080/") == host.name;
    wait_until("everybody goes to the Master", LONG, || goes_to(left));
    // To and fro: it is drained here, and ready again there.
    for (from, to, host) in [(&first, &second, right), (&second, &first, left), (&first, &second, right)] {
        assert_eq!(from.cli(&["handover"]).0, Some(0));
        wait_until("everybody goes to the new Master", LONG, || goes_to(host));
        let took = to.router()["since_ms"].as_u64().unwrap();
        assert!(took < 1200, "{took} ms after it became Master");
        to.wait_state("MASTER");
        assert_eq!(from.cli(&["resume"]).0, Some(0));
    }
    second.cli(&["handover"]);
    first.wait_state("MASTER");
    second.cli(&["resume"]);
    wait_until("everybody goes back", LONG, || goes_to(left));
    // A dead one says nothing at all, and nothing of before counts.
    first.kill9();
    second.wait_state("MASTER");
    wait_until("nobody goes to the dead one", LONG, || goes_to(right));
}

#[test]
fn nginx_follows_the_address_and_passes_locums_own_answers_on() {
    need("nginx", "nginx-light");
    let lab = Lab::new(&["left", "right"]);
    let (left, right) = (&lab["left"], &lab["right"]);
    let dir = TempDir::new().unwrap();
    let _services = [service(left, &dir), service(right, &dir)];
    let socket = dir.path().join("http");
    let http = format!("[http]\nlisten = \"unix:{}\"\n", socket.display());
    let first = left.locum(&Router::new(150).and(&http));
    first.wait_state("MASTER");
    let second = right.locum(&Router::new(100));
    second.wait_state("BACKUP");
    let config = example("nginx.conf", &dir, ["/run/locum/http", socket.to_str().unwrap()]);
    let mut command = left.command("nginx");
    command.arg("-p").arg(dir.path()).arg("-c").arg(&config).arg("-e").arg(dir.path().join("error.log"));
    command.arg("-g").arg(format!("daemon off; user root; pid {}/pid;", dir.path().display()));
    let _nginx = Process::start("left/nginx", command);
    wait_until("the Master answers", LONG, || said(left, "http://127.0.0.1:8080/") == "left");
    assert!(said(left, "http://127.0.0.1:8080/locum/master").contains(r#""web":"MASTER""#));
    let events = left.spawn("curl -sSN http://127.0.0.1:8080/locum/events");
    events.wait_for("event: beat", SOON);
    first.cli(&["handover"]);
    second.wait_state("MASTER");
    wait_until("the new Master answers", LONG, || said(left, "http://127.0.0.1:8080/") == "right");
    events.wait_for("event: transition", SOON);
}
