//! How the other nodes stand, as each says itself: asked for whoever asks, and never believed for long.

use crate::canned;
use crate::client::{get, unix};
use crate::core::Http;
use locum::agent::Standing;
use locum::agent::cluster::{Node, rivals};
use locum::agent::status::Status;
use locum::stream::tls;
use locum::vrrp::auth::Secret;
use locum::web::{Peer, Settings, Tls};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn at(address: SocketAddr) -> Peer {
    Peer { target: (address.ip().to_string(), address.port()), tls: None, token: None }
}

fn asking(peers: Vec<Peer>) -> Http {
    Http::with(Settings { peers, ..Settings::default() })
}

/// What is said of the one peer.
fn of_peer(http: &Http) -> Value {
    let said = http.get("/peers").json();
    assert_eq!(said["nodes"].as_array().map(Vec::len), Some(2), "{said}");
    said["nodes"][1].clone()
}

/// A server that gives this to whoever comes.
fn saying(answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_peer_is_told_of_as_it_says_itself_with_the_age_of_what_it_says() {
    let other = Http::start();
    let http = asking(vec![at(other.tcp)]);
    let said = of_peer(&http);
    assert_eq!(
        (&said["peer"], &said["health"]),
        (&format!("http://{}", other.tcp).into(), &"healthy".into())
    );
    assert_eq!(
        (&said["routers"][0]["name"], &said["routers"][0]["state"]),
        (&"web".into(), &"MASTER".into())
    );
    assert!(said["age_ms"].is_u64() && said["error"].is_null(), "{said}");
    assert_eq!(
        http.get("/peers").json()["nodes"][0]["peer"],
        Value::Null,
        "the first is the one that answers"
    );
}

#[test]
fn of_a_peer_that_says_nothing_no_state_is_told_whatever_it_said_before() {
    let other = Http::start();
    let http = asking(vec![at(other.tcp)]);
    assert_eq!(of_peer(&http)["routers"][0]["state"], "MASTER");
    other.core.hang();
    // What it said serves for a moment yet.
    let silent =
        (0..100).map(|_| of_peer(&http)).find(|said| !said["error"].is_null()).expect("it is noticed");
    assert_eq!(
        (&silent["routers"], &silent["age_ms"], &silent["health"]),
        (&Value::Array(Vec::new()), &Value::Null, &Value::Null)
    );
    assert!(silent["heard_ms"].as_u64() >= Some(500), "{silent}");
    other.core.go_on();
    assert!((0..100).any(|_| of_peer(&http)["routers"][0]["state"] == "MASTER"), "it is believed again");
}

#[test]
fn what_this_node_says_is_no_older_than_the_slowest_answer() {
    let other = Http::start();
    other.core.hang();
    let http = asking(vec![at(other.tcp)]);
    let said = thread::scope(|scope| {
        let asked = scope.spawn(|| http.get("/peers").json());
        while other.core.waiting() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let mut status = canned::healthy();
        status.routers[0].state = Standing::Backup;
        http.core.be(status);
        asked.join().unwrap()
    });
    assert_eq!(said["nodes"][0]["routers"][0]["state"], "BACKUP", "{said}");
    assert!(!said["nodes"][1]["error"].is_null(), "{said}");
}

#[test]
fn what_is_no_fresh_status_is_not_believed() {
    let status = serde_json::to_string(&canned::healthy()).unwrap();
    let aged = |age: &str| format!("Locum-Age-Ms: {age}\r\n");
    for (wrong, said) in [
        (answer("", &status), "it does not say how old its answer is"),
        (answer(&aged("1001"), &status), "its answer is too old"),
        (answer(&aged("1"), "{}"), "its answer is no status: missing field"),
        (answer(&aged("1"), &" ".repeat(3 << 20)), "no good answer"),
        ("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_owned(), "status 503"),
        ("HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(), "status 302"),
    ] {
        let error = of_peer(&asking(vec![at(saying(wrong))]))["error"].clone();
        assert!(error.as_str().unwrap().contains(said), "{error}, wanted {said}");
    }
    let good = of_peer(&asking(vec![at(saying(answer(&aged("7"), &status)))]));
    assert!(good["age_ms"].as_u64() >= Some(7), "{good}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(of_peer(&asking(vec![at(nobody)]))["error"], "connection refused by 127.0.0.1");
    // One that takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(of_peer(&asking(vec![at(mute.local_addr().unwrap())]))["error"], "no answer within 1s");
}

#[test]
fn a_peer_is_shown_its_token_and_shows_its_certificate() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let ca_file = place.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = Secret::new(made.signing_key.serialize_pem().into_bytes());
    let own = Tls::new(made.cert.pem().into_bytes(), key).unwrap();
    let token = || Some(Secret::new(TOKEN.as_bytes()));
    let other = Http::with(Settings { tls: Some(own), token: token(), ..Settings::default() });
    let of = |host: &str, ca_file, token| {
        let tls = Some(tls::Config { verify: true, ca_file });
        let said = of_peer(&asking(vec![Peer { target: (host.to_owned(), other.tcp.port()), tls, token }]));
        assert!(!said.to_string().contains(TOKEN), "{said}");
        (said["routers"][0]["state"].clone(), said["error"].clone())
    };
    assert_eq!(of("localhost", Some(ca_file.clone()), token()), ("MASTER".into(), Value::Null));
    assert_eq!(of("localhost", Some(ca_file.clone()), None), (Value::Null, "status 401".into()));
    assert_eq!(of("127.0.0.1", Some(ca_file), token()).1, "certificate is not for 127.0.0.1");
    assert!(of("localhost", None, token()).1.as_str().unwrap().contains("certificate"));
}

#[test]
fn however_many_ask_a_peer_has_one_question_at_a_time() {
    let other = Http::start();
    let http = asking(vec![at(other.tcp)]);
    let asked = || other.core.asked.load(Ordering::SeqCst);
    other.core.hang();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let path = http.unix.clone();
            thread::spawn(move || get(unix(&path), "/peers", "").code)
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap() == 200));
    assert_eq!(asked(), 1, "the core behind it was asked once");
}

#[test]
fn who_is_its_own_peer_leaves_itself_out() {
    let mut status = canned::healthy();
    status.daemon.insert("pid".to_owned(), "7".to_owned());
    let body = serde_json::to_string(&status).unwrap();
    let own = saying(answer("Locum-Age-Ms: 1\r\n", &body));
    let http = asking(vec![at(own)]);
    http.core.be(status.clone());
    assert_eq!(http.get("/peers").json()["nodes"].as_array().map(Vec::len), Some(1));
    status.daemon.insert("pid".to_owned(), "8".to_owned());
    http.core.be(status);
    // The same router on another node.
    assert_eq!(http.get("/peers").json()["nodes"].as_array().map(Vec::len), Some(2));
}

fn node(name: &str, change: impl FnOnce(&mut Status), age: u64) -> Node {
    let mut status = canned::healthy();
    status.daemon.insert("node".to_owned(), name.to_owned());
    status.routers[0].since_ms = 5000;
    change(&mut status);
    Node::said(Some(format!("http://{name}")), &status, Duration::from_millis(age))
}

#[test]
fn two_that_are_master_of_one_address_at_once_are_rivals_and_who_hands_over_is_none() {
    let master = |name| node(name, |_| {}, 10);
    let address = canned::healthy().routers[0].addresses[0].address;
    let wanted = [format!("{address}: a and b are both MASTER")];
    assert_eq!(rivals(&[master("a"), master("b")]), wanted);
    // Whatever the router is called there.
    let renamed = |status: &mut Status| status.routers[0].name = locum::agent::RouterName("other".into());
    assert_eq!(rivals(&[master("a"), node("b", renamed, 10)]), wanted);
    let backup = |status: &mut Status| status.routers[0].state = Standing::Backup;
    assert_eq!(rivals(&[master("a"), node("b", backup, 10)]), Vec::<String>::new());
    // It became Master after the moment in which the other one still was.
    let young = |status: &mut Status| status.routers[0].since_ms = 700;
    assert_eq!(rivals(&[node("a", |_| {}, 701), node("b", young, 0)]), Vec::<String>::new());
    assert_eq!(rivals(&[node("a", |_| {}, 700), node("b", young, 0)]), wanted);
    let elsewhere = |status: &mut Status| {
        for it in &mut status.routers[0].addresses {
            it.address = "192.0.2.99".parse().unwrap();
        }
    };
    assert_eq!(rivals(&[master("a"), node("b", elsewhere, 10)]), Vec::<String>::new());
    let silent = Node::silent("http://b".to_owned(), "no answer".to_owned(), None);
    assert_eq!(rivals(&[master("a"), silent]), Vec::<String>::new());
    // An election without addresses goes by its name.
    let bare = |status: &mut Status| status.routers[0].addresses.clear();
    assert_eq!(rivals(&[node("a", bare, 1), node("b", bare, 1)]), ["router web: a and b are both MASTER"]);
}
