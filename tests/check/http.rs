//! Checks of kind `http` without TLS.

use super::{
    AMPLE, BRIEF, answering, closed, failure, head, needs, serving, silent, started, verdict, verdict_within,
};
use locum::check::{Endpoint, Pattern, Probe, Target, http};
use std::process::Command;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

fn get(target: Target, path: &str) -> http::Config {
    http::Config::get(Endpoint::new(target, path))
}

fn body(target: Target, pattern: &str) -> Probe {
    let body = Some(Pattern::new(pattern).unwrap());
    Probe::Http(http::Config { body, ..get(target, "/") })
}

#[tokio::test]
async fn a_real_server_passes_by_status_and_body() {
    needs!("/usr/bin/python3", "--version");
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("health"), "state: ready\n").unwrap();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]).current_dir(&directory);
    let (_server, target) = started(&mut python, " port ");

    let good = get(target, "/health");
    assert_eq!(verdict(Probe::Http(good.clone())).await, Ok(()));
    let ready = http::Config { body: Some(Pattern::new("(?m)^state: ready$").unwrap()), ..good.clone() };
    assert_eq!(verdict(Probe::Http(ready)).await, Ok(()));
    let head = http::Config { method: "HEAD".to_owned(), ..good.clone() };
    assert_eq!(verdict(Probe::Http(head)).await, Ok(()));
    let other = http::Config { body: Some(Pattern::new("drained").unwrap()), ..good.clone() };
    assert_eq!(failure(Probe::Http(other)).await, "the body does not match /drained/");
    let missing = Endpoint { path: "/missing".to_owned(), ..good.endpoint.clone() };
    assert_eq!(failure(Probe::Http(http::Config::get(missing))).await, "status 404, wanted 200-299");
    let wanted = http::Config { status: vec![200..=200, 404..=404], ..get(good.endpoint.target, "/missing") };
    assert_eq!(verdict(Probe::Http(wanted)).await, Ok(()));
}

#[tokio::test]
async fn a_redirect_is_a_status_and_is_not_followed() {
    let moved = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    let target = answering(moved).await;
    let config = get(target, "/");
    assert_eq!(failure(Probe::Http(config.clone())).await, "status 302, wanted 200-299");
    assert_eq!(verdict(Probe::Http(http::Config { status: vec![302..=302], ..config })).await, Ok(()));
}

/// Answers with the head of the request as the body.
async fn mirror() -> Target {
    serving(|mut stream| async move {
        let asked = head(&mut stream).await;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{asked}", asked.len());
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

#[tokio::test]
async fn method_path_name_and_headers_are_sent_as_configured() {
    let target = mirror().await;
    let port = target.port;
    let endpoint = Endpoint {
        server_name: Some("www.example".to_owned()),
        headers: vec![("X-Token".to_owned(), "a b".to_owned())],
        ..Endpoint::new(target, "/health?deep=1")
    };
    for line in [
        r"^OPTIONS /health\?deep=1 HTTP/1\.1\r\n".to_owned(),
        format!(r"(?i)\nhost: www\.example:{port}\r\n"),
        r"(?i)\nx-token: a b\r\n".to_owned(),
        r"(?i)\nuser-agent: locum/\d".to_owned(),
        r"(?i)\nconnection: close\r\n".to_owned(),
    ] {
        let body = Some(Pattern::new(&line).unwrap());
        let method = "OPTIONS".to_owned();
        let config = http::Config { endpoint: endpoint.clone(), method, status: vec![], body };
        assert_eq!(verdict(Probe::Http(config)).await, Ok(()), "{line}");
    }
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let target = closed().await;
    let text = failure(Probe::Http(get(target.clone(), "/"))).await;
    assert_eq!(text, format!("connection refused by {target}"));
}

#[tokio::test]
async fn a_silent_server_fails_by_the_timeout() {
    let text = verdict_within(BRIEF, Probe::Http(get(silent().await, "/"))).await.unwrap_err();
    assert_eq!(text, "no answer within 300ms: waited for the response");
}

/// Sends one byte every now and then, and never ends.
async fn dripping(first: &str) -> Target {
    let first = first.to_owned();
    serving(move |mut stream| {
        let first = first.clone();
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(first.as_bytes()).await;
            for _ in 0..AMPLE.as_millis() / 20 {
                if stream.write_all(b"x").await.is_err() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_head_that_drips_fails_by_the_timeout() {
    let target = dripping("HTTP/1.1 200 OK\r\nX: ").await;
    let text = verdict_within(BRIEF, Probe::Http(get(target, "/"))).await.unwrap_err();
    assert_eq!(text, "no answer within 300ms: waited for the response");
}

#[tokio::test]
async fn a_body_that_drips_fails_only_where_a_body_is_wanted() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    let text = verdict_within(BRIEF, body(dripping(head).await, "y")).await.unwrap_err();
    assert_eq!(text, "no answer within 300ms: waited for the body");
    assert_eq!(verdict(Probe::Http(get(dripping(head).await, "/"))).await, Ok(()));
}

#[tokio::test]
async fn garbage_is_not_http() {
    let text = failure(Probe::Http(get(answering("SSH-2.0-OpenSSH_9.2\r\n\r\n").await, "/"))).await;
    assert!(text.starts_with("the answer is not good HTTP: "), "{text}");
}

#[tokio::test]
async fn an_endless_head_is_refused() {
    let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
    let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(90));
    let text = failure(Probe::Http(get(answering(answer).await, "/"))).await;
    assert_eq!(text, "the answer is not good HTTP: message head is too large");
}

#[tokio::test]
async fn a_server_that_hangs_up_fails() {
    let lost = "connection closed before the answer was complete";
    assert_eq!(failure(Probe::Http(get(answering("").await, "/"))).await, lost);
    let half = answering("HTTP/1.1 200 OK\r\nContent-Le").await;
    assert_eq!(failure(Probe::Http(get(half, "/"))).await, lost);
}

#[tokio::test]
async fn a_body_cut_short_fails_where_a_body_is_wanted() {
    let target = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nready").await;
    let text = failure(body(target, "ready")).await;
    assert!(text.contains("closed") || text.contains("end of file"), "{text}");
}

#[tokio::test]
async fn only_the_first_part_of_a_long_body_is_looked_at() {
    let answer = |before: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}ready{}",
            "x".repeat(before),
            "y".repeat(200_000)
        )
    };
    let within = answering(answer(http::BODY - 5)).await;
    assert_eq!(verdict(body(within, "ready")).await, Ok(()));
    let beyond = answering(answer(http::BODY - 4)).await;
    assert_eq!(failure(body(beyond, "ready")).await, "the body does not match /ready/");
}

#[tokio::test]
async fn a_long_body_is_judged_without_waiting_for_its_end() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned();
    let target = dripping(&(head + "ready" + &"y".repeat(http::BODY))).await;
    assert_eq!(verdict(body(target, "ready")).await, Ok(()));
}

#[tokio::test]
async fn a_real_proxy_without_servers_fails_by_its_status() {
    needs!("/usr/sbin/haproxy", "-v");
    let directory = tempfile::tempdir().unwrap();
    let port = closed().await.port;
    let config = directory.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n\
         frontend f\n bind 127.0.0.1:{port}\n http-request redirect location /x if {{ path /moved }}\n\
         default_backend b\nbackend b\n"
    );
    std::fs::write(&config, text).unwrap();
    let child = Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(&config).spawn().unwrap();
    let _server = super::Server(child);
    let target = Target::new("127.0.0.1", port);
    super::until_listening(&target).await;
    assert_eq!(failure(Probe::Http(get(target.clone(), "/"))).await, "status 503, wanted 200-299");
    assert_eq!(failure(Probe::Http(get(target, "/moved"))).await, "status 302, wanted 200-299");
}
