//! Clients that hang, flood, shout or do not read: each costs itself something, and nobody else.

use crate::client::{get, request, rest, say, tcp, unix};
use crate::core::Http;
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn half_a_request_is_not_waited_for() {
    let http = Http::start();
    let mut half = tcp(http.tcp);
    half.write_all(b"GET /livez HTTP/1.1\r\nHost:").unwrap();
    let mut silent = tcp(http.tcp);
    assert_eq!((rest(&mut half), rest(&mut silent)), (String::new(), String::new()));
    assert_eq!(http.core.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn hundreds_of_silent_clients_keep_nobody_out() {
    let http = Http::start();
    let silent: Vec<TcpStream> = (0..300).map(|_| tcp(http.tcp)).collect();
    assert_eq!(get(tcp(http.tcp), "/livez", "").code, 200);
    assert_eq!(http.get("/livez").code, 200);
    drop(silent);
}

#[test]
fn bodies_long_heads_and_other_methods_are_refused() {
    let http = Http::start();
    let code = |request: &str| say(unix(&http.unix), request).code;
    assert_eq!(code("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"), 413);
    assert_eq!(code("GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), 413);
    assert_eq!(code("POST /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 405);
    let long = request("/livez", &format!("X: {}\r\n", "x".repeat(64 << 10)));
    assert_eq!(code(&long), 431);
    let many = request("/livez", &"X: y\r\n".repeat(200));
    assert_eq!(code(&many), 431);
    assert_eq!(code("\0\r\n\r\n"), 400);
    let head = say(unix(&http.unix), "HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((head.code, head.body.as_str()), (200, ""));
}

#[test]
fn a_second_request_on_the_same_connection_has_no_answer() {
    let http = Http::start();
    let two = request("/livez", "").repeat(2);
    let answer = say(unix(&http.unix), &two);
    assert_eq!(answer.body, "alive\n");
}

/// Subscribes, and reads until this has come.
fn subscribe(http: &Http) -> TcpStream {
    let mut stream = tcp(http.tcp);
    stream.write_all(request("/events", "").as_bytes()).unwrap();
    read_until(&mut stream, b"}\n\n\r\n");
    stream
}

fn read_until(stream: &mut TcpStream, end: &[u8]) {
    let (mut heard, mut chunk) = (Vec::new(), [0; 8 << 10]);
    while !heard.windows(end.len()).any(|part| part == end) {
        let got = stream.read(&mut chunk).unwrap();
        assert!(got > 0, "cut off after {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&chunk[..got]);
    }
}

#[test]
fn a_stream_says_how_old_its_first_word_can_be() {
    let http = Http::start();
    let mut stream = tcp(http.tcp);
    stream.write_all(request("/events", "").as_bytes()).unwrap();
    read_until(&mut stream, b"\r\nlocum-age-ms: ");
}

#[test]
fn a_reader_of_events_that_does_not_read_is_cut_off_and_the_others_hear_everything() {
    const BATCHES: usize = 400;
    let http = Http::start();
    let (mut deaf, mut good) = (subscribe(&http), subscribe(&http));
    let text = "x".repeat(300);
    for batch in 0..BATCHES {
        for _ in 0..100 {
            http.hub.tell("trouble", &text);
        }
        http.hub.tell("trouble", &format!("end of {batch}."));
        read_until(&mut good, format!("end of {batch}.\n").as_bytes());
    }
    let unread = rest(&mut deaf);
    assert!(unread.contains("end of 0."), "it was cut off before it was behind");
    assert!(!unread.contains(&format!("end of {}.", BATCHES - 1)), "nobody cut it off");
}

#[test]
fn two_hundred_readers_hear_the_same_event() {
    let http = Http::start();
    let mut readers: Vec<_> = (0..200).map(|_| subscribe(&http)).collect();
    http.hub.tell("trouble", "all of you.");
    for reader in &mut readers {
        read_until(reader, b"all of you.\n");
    }
    assert_eq!(http.get("/livez").code, 200);
}
