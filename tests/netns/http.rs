//! HTTP of the real daemon, asked by real clients: a Prometheus that scrapes two hosts, and curl.

use crate::lab::{Host, LONG, Lab, SOON, wait_until};
use crate::locum::Router;
use crate::prometheus::Prometheus;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;
use tempfile::TempDir;

/// Where a host serves.
fn place(host: &Host) -> String {
    format!("{}:5113", host.ipv4())
}

fn served(host: &Host, priority: u8) -> Router {
    Router::new(priority).and(&format!("[http]\nlisten = \"{}\"\n", place(host)))
}

/// The code that `curl` on a host is answered with; 000 without an answer.
fn code(host: &Host, url: &str) -> String {
    let mut command = host.command("curl");
    command.args(["-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}"]).args(url.split(' '));
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_real_prometheus_sees_who_is_master_and_that_it_moves() {
    let lab = Lab::new(&["left", "right", "monitor"]);
    let (left, right, monitor) = (&lab["left"], &lab["right"], &lab["monitor"]);
    let mut first = left.locum(&served(left, 150));
    let second = right.locum(&served(right, 100));
    first.wait_state("MASTER");
    second.wait_state("BACKUP");
    let rules = fs::canonicalize("packaging/prometheus/locum.rules.yml").unwrap();
    let rules = format!("rule_files: [{}]\n", rules.display());
    let prometheus = Prometheus::start(monitor, &[place(left), place(right)], &rules);
    // Prometheus looks for its targets every five seconds.
    wait_until("both are scraped", LONG, || prometheus.instances("up == 1") == [place(left), place(right)]);
    let masters = || prometheus.instances(r#"locum_router_state{state="MASTER"} == 1"#);
    assert_eq!(masters(), [place(left)]);
    first.kill9();
    wait_until("the Master has moved", LONG, || masters() == [place(right)]);
    assert_eq!(prometheus.instances("up == 0"), [place(left)]);
    let told = r#"ALERTS{alertname="LocumFailover",alertstate="firing"}"#;
    wait_until("the alert fires", SOON, || prometheus.instances(told) == [place(right)]);
    let took = "locum_takeover_detection_seconds > 0.2 and locum_takeover_recovery_seconds < 3";
    wait_until("the takeover is timed", SOON, || prometheus.instances(took) == [place(right)]);
    let cause = r#"locum_router_transitions_total{to="MASTER",reason="silence"} == 1"#;
    assert_eq!(prometheus.instances(cause), [place(right)]);
}

#[test]
fn what_is_served_follows_the_configuration_and_goes_with_the_daemon() {
    let lab = Lab::new(&["left"]);
    let left = &lab["left"];
    let dir = TempDir::new().unwrap();
    let (socket, token) = (dir.path().join("http"), dir.path().join("token"));
    fs::write(&token, "0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let mut locum = left.locum(&Router::new(150));
    locum.wait_state("MASTER");
    let unix = format!("--unix-socket {} http://locum/master", socket.display());
    assert_eq!(code(left, "http://127.0.0.1:5113/master"), "000");
    let with = |lines: &str| Router::new(150).and(&format!("[http]\n{lines}\n")).toml();
    let both = format!("listen = [\"127.0.0.1:5113\", \"unix:{}\"]", socket.display());
    locum.reload(&with(&format!("{both}\ntoken = \"file:{}\"", token.display())));
    wait_until("it is served", SOON, || code(left, &unix) == "200");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(code(left, "http://127.0.0.1:5113/master"), "401");
    assert_eq!(locum.reload(&with(&both)), (Some(0), "http: changed\n".to_owned()));
    assert_eq!(locum.reload(&with(&both)), (Some(0), "nothing changes\n".to_owned()));
    wait_until("it is served without the token", SOON, || {
        code(left, "http://127.0.0.1:5113/master/web") == "200"
    });
    // A port that somebody else has is tried again, and the status says so.
    let other = left.spawn("python3 -m http.server -b 127.0.0.1 5999");
    wait_until("the port is taken", SOON, || left.attempt("curl -sS http://127.0.0.1:5999").0);
    locum.reload(&with("listen = \"127.0.0.1:5999\""));
    let complains =
        || locum.status()["complaints"].to_string().contains("HTTP on 127.0.0.1:5999 is not served");
    wait_until("it complains", SOON, complains);
    assert!(!socket.exists(), "the socket of before is still there");
    drop(other);
    wait_until("it is served there", SOON, || code(left, "http://127.0.0.1:5999/livez") == "200");
    assert_eq!(locum.status()["health"], "healthy");
    locum.reload(&Router::new(150).toml());
    wait_until("nothing is served", SOON, || code(left, "http://127.0.0.1:5999/livez") == "000");
    locum.reload(&with(&both));
    wait_until("it is served again", SOON, || code(left, &unix) == "200");
    assert!(locum.stop().success());
    assert!(!socket.exists(), "the socket outlives the daemon");
}

#[test]
fn events_come_as_they_happen() {
    let lab = Lab::new(&["left"]);
    let left = &lab["left"];
    let locum = left.locum(&served(left, 150));
    locum.wait_state("MASTER");
    let events = left.spawn(&format!("curl -sSN http://{}/events", place(left)));
    events.wait_for(r#""routers":{"web":"MASTER"}"#, SOON);
    locum.cli(&["handover", "web"]);
    locum.cli(&["resume", "web"]);
    events.wait_for("event: order", SOON);
    events.wait_for(r#""order":"resume""#, SOON);
}

/// What a dashboard asks Prometheus for: the text under `key`, wherever it stands.
fn under<'a>(key: &str, value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(key).and_then(Value::as_str));
            object.values().for_each(|inner| under(key, inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| under(key, inner, found)),
        _ => {}
    }
}

#[test]
fn every_query_of_the_dashboard_finds_something() {
    let lab = Lab::new(&["left", "right", "monitor"]);
    let (left, right, monitor) = (&lab["left"], &lab["right"], &lab["monitor"]);
    let check = "[check.app]\ntype = \"tcp\"\ninterval = \"1s\"\n";
    let node = |host: &Host, priority| {
        let router = served(host, priority).with("checks", "[{ check = \"app\", weight = 5 }]");
        router.with("preempt", "false").and(&format!("{check}target = \"{}\"\n", place(host)))
    };
    let first = left.locum(&node(left, 100));
    first.wait_state("MASTER");
    // It hears what it might preempt, and leaves it; both hear what is of another version.
    let second = right.locum(&node(right, 150));
    let stranger = Router::new(1).with("version", "2").with("interval", "\"1s\"");
    let _stranger = monitor.locum(&stranger);
    let prometheus = Prometheus::start(monitor, &[place(left), place(right)], "");
    wait_until("both are scraped", LONG, || prometheus.query("up == 1").len() == 2);
    first.cli(&["handover"]);
    second.wait_state("MASTER");
    let dashboard = fs::read_to_string("packaging/grafana/locum.json").unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let (mut queries, mut variables) = (Vec::new(), Vec::new());
    under("expr", &dashboard, &mut queries);
    under("definition", &dashboard, &mut variables);
    assert!(queries.len() > 20 && variables.len() == 2, "{queries:?} {variables:?}");
    let plain = |query: &str| {
        let query = query.replace("$__rate_interval", "1m").replace("$cluster", ".*");
        query.replace("$router", ".*")
    };
    for query in queries.into_iter().map(plain) {
        wait_until(&query, LONG, || !prometheus.query(&query).is_empty());
    }
    for variable in variables.into_iter().map(plain) {
        let inner = variable.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (metric, label) = inner.rsplit_once(", ").unwrap();
        let samples = prometheus.query(metric);
        assert!(!samples.is_empty(), "{variable}");
        assert!(samples.iter().all(|sample| sample["metric"][label].is_string()), "{variable}: {samples:?}");
    }
}

/// For so many seconds: two hundred readers of events who do not read, clients that send half a request, some that ask
/// for peers and the record and do not read either, and one that asks for everything, again and again.
const FLOOD: &str = r#"
import socket, sys, time
host, end, half, answers = sys.argv[1], time.time() + float(sys.argv[2]), [], 0
def say(text):
    client = socket.create_connection((host, 5113))
    client.sendall(text)
    return client
readers = [say(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in range(200)]
while time.time() < end:
    half = half[-100:] + [say(b"GET /metrics HTTP/1.1\r\n")]
    client = say(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while client.recv(65536):
        answers += 1
    half += [say(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path) for path in (b"/peers", b"/history")]
print("answers:", answers)
"#;

#[test]
fn a_flood_of_clients_costs_no_advert() {
    let lab = Lab::new(&["left", "right", "crowd"]);
    let (left, right, crowd) = (&lab["left"], &lab["right"], &lab["crowd"]);
    // A peer that never answers, and one that nobody is.
    let peers = "peers = [\"http://10.77.0.2:5113\", \"http://10.77.0.99:5113\"]\n";
    let first = left.locum(&served(left, 150).and(peers));
    first.wait_state("MASTER");
    let second = right.locum(&Router::new(100));
    second.wait_state("BACKUP");
    let _mute = right.within(|| std::net::TcpListener::bind("10.77.0.2:5113").unwrap());
    let sent = || first.router()["instances"][0]["sent"].as_u64().unwrap();
    let (before, began) = (sent(), Instant::now());
    let mut command = crowd.command("python3");
    let flood = command.args(["-c", FLOOD, &left.ipv4(), "5"]).output().unwrap();
    let said = String::from_utf8_lossy(&[flood.stdout, flood.stderr].concat()).into_owned();
    let due = u64::try_from(began.elapsed().as_millis()).unwrap() / 100;
    let went = sent() - before;
    assert!(said.starts_with("answers: ") && said.trim() != "answers: 0", "{said}");
    assert!(went + 2 >= due, "{went} of {due} adverts");
    assert_eq!((second.became_master(), second.state().as_str()), (0, "BACKUP"));
}
