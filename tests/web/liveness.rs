//! Nothing stale can say MASTER.

use crate::client::{rest, tcp};
use crate::core::Http;
use std::sync::Arc;
use std::thread;

const PATHS: [&str; 8] =
    ["/master", "/master/web", "/backup", "/health", "/livez", "/readyz", "/metrics", "/status"];

#[test]
fn a_core_that_hangs_is_no_master_whatever_it_said_before() {
    let http = Http::start();
    assert_eq!((http.get("/master").code, http.get("/livez").code), (200, 200));
    assert_eq!(rest(&mut tcp(http.agent)), "ready up 60%\n");
    http.core.hang();
    for path in PATHS {
        let answer = http.get(path);
        assert_eq!((answer.code, answer.body.as_str()), (503, "the core does not answer\n"), "{path}");
    }
    assert_eq!(http.get("/events").code, 503);
    assert_eq!(rest(&mut tcp(http.agent)), "down#the core does not answer\n");
}

#[test]
fn what_the_core_says_too_late_is_not_told_and_then_it_is_asked_anew() {
    let http = Http::start();
    http.core.hang();
    assert_eq!(http.get("/master").code, 503);
    http.core.go_on();
    let answer = http.get("/master");
    assert_eq!(answer.code, 200, "{answer:?}");
    assert!(answer.json()["age_ms"].as_u64().unwrap() <= 1000);
}

#[test]
fn a_core_that_hangs_is_asked_once_however_many_want_to_know() {
    let http = Arc::new(Http::start());
    http.core.hang();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let http = http.clone();
            thread::spawn(move || http.get("/master").code)
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 503);
    }
    assert_eq!(http.core.waiting(), 1);
}

#[test]
fn a_stream_of_events_ends_with_the_core() {
    let http = Http::start();
    let mut stream = tcp(http.tcp);
    std::io::Write::write_all(&mut stream, crate::client::request("/events", "").as_bytes()).unwrap();
    let mut first = [0; 15];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    http.core.hang();
    let said = rest(&mut stream);
    assert!(said.contains(r#""routers":{"web":"MASTER"}"#), "{said}");
}
