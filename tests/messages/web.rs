//! Receivers over HTTP: what they are sent, and what follows from what they answer.

use super::request::{Request, listen};
use super::{AMPLE, HUSH, Told, receiver, until};
use locum::agent::Standing::{Backup, Fault, Master};
use locum::notify::message::{Receiver, Severity, Way};
use locum::notify::post::Post;
use locum::notify::template::{Escape, Template};
use locum::stream::tls;
use locum::vrrp::auth::Secret;
use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What it says instead of an answer: nothing, until whoever asked hangs up.
const SILENCE: &str = "";
const OK: &str = "200 OK\r\n";
const FAILS: &str = "500 Internal Server Error\r\n";

fn json(heard: &Request) -> Value {
    serde_json::from_str(&heard.body).unwrap_or_else(|error| panic!("{error}: {}", heard.body))
}

/// A web server that gives the answers in their order, and the last one for ever.
struct Web {
    port: u16,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Web {
    async fn answering(answers: &'static [&'static str]) -> Web {
        let heard = Arc::<Mutex<Vec<Request>>>::default();
        let sink = Arc::clone(&heard);
        let mut left = answers;
        let port = listen(move |stream, _| {
            let answer = left[0];
            left = if left.len() > 1 { &left[1..] } else { left };
            answer_one(stream, answer, Arc::clone(&sink))
        });
        let port = port.await;
        Web { port, heard }
    }

    /// One that speaks TLS, and takes everything.
    async fn encrypted(made: &CertifiedKey<KeyPair>) -> Web {
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let heard = Arc::<Mutex<Vec<Request>>>::default();
        let (acceptor, sink) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&heard));
        let port = listen(move |stream, _| {
            let (accepted, sink) = (acceptor.accept(stream), Arc::clone(&sink));
            async move {
                if let Ok(stream) = accepted.await {
                    answer_one(stream, OK, sink).await;
                }
            }
        });
        Web { port: port.await, heard }
    }

    fn heard(&self) -> Vec<Request> {
        self.heard.lock().unwrap().clone()
    }

    /// A receiver of what `body` says, at a path that is a secret.
    fn post(&self, body: &str) -> Post {
        Post {
            target: ("127.0.0.1".to_owned(), self.port),
            tls: None,
            path: Template::parse(&format!("/{HUSH}")).unwrap(),
            method: "POST".to_owned(),
            headers: vec![("Authorization".to_owned(), format!("Bearer {HUSH}"))],
            body: Some((Template::parse(body).unwrap(), "application/json".to_owned())),
            markup: Escape::Plain,
            key: None,
        }
    }

    /// The same, told of everything with its sentence.
    fn receiver(&self) -> Receiver {
        receiver(Way::Post(Box::new(self.post(r#"{"text": "{text}", "count": {count}}"#))))
    }
}

async fn answer_one(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &str,
    heard: Arc<Mutex<Vec<Request>>>,
) {
    let Some(request) = Request::read(&mut stream).await else { return };
    heard.lock().unwrap().push(request);
    if answer == SILENCE {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    } else {
        let answer = format!("HTTP/1.1 {answer}Content-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_webhook_gets_what_its_template_says_and_a_signature_that_it_can_verify() {
    let web = Web::answering(&[OK]).await;
    let key = Secret::new(HUSH.as_bytes());
    let body = r#"{"who": "{router}", "is": "{to}", "was": "{from}", "why": "{reason}", "at": "{time}",
                   "on": "{node}", "priority": {priority}, "holds": "{addresses}", "how": "{severity}"}"#;
    let post = Post { key: Some(key), ..web.post(body) };
    let told = Told::start(receiver(Way::Post(Box::new(post))));
    told.tell("web", Master);
    told.until("sent", |status| status.sent == 1).await;
    let heard = web.heard().remove(0);
    assert_eq!(heard.line(), format!("POST /{HUSH}"));
    assert_eq!(heard.header("content-type"), "application/json");
    assert_eq!(heard.header("authorization"), format!("Bearer {HUSH}"));
    let said = json(&heard);
    assert_eq!(
        (&said["who"], &said["is"], &said["was"]),
        (&"web".into(), &"MASTER".into(), &"BACKUP".into())
    );
    assert_eq!((&said["on"], &said["priority"]), (&"lb1".into(), &150.into()));
    assert_eq!((&said["holds"], &said["how"]), (&"192.0.2.1".into(), &"warning".into()));
    assert_eq!(said["why"], "no Master heard for the down interval");
    let at: jiff::Timestamp = said["at"].as_str().unwrap().parse().unwrap();
    let signature = heard.header("locum-signature");
    assert!(jiff::Timestamp::now().duration_since(at) < jiff::SignedDuration::from_mins(1), "{at}");

    assert_eq!(verified(signature, &heard.body), Ok(()));
    let other = heard.body.replace("MASTER", "BACKUP");
    assert!(verified(signature, &other).unwrap_err().contains("AssertionError"));
    let old = Post { key: Some(Secret::new(HUSH.as_bytes())), ..web.post("old") };
    let old = old.request(|_| String::new(), jiff::Timestamp::now().as_second() - 301).unwrap();
    let signature = old.headers()["locum-signature"].to_str().unwrap();
    assert!(verified(signature, "old").unwrap_err().contains("AssertionError"));
}

/// Whether a signature is good by the lines of Python that README.md gives for that.
fn verified(signature: &str, body: &str) -> Result<(), String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, lines) = readme.split_once("```python\n").expect("a block of Python");
    let (lines, _) = lines.split_once("```").expect("its end");
    let given = format!(
        "import hashlib, hmac, time\nkey, body = {HUSH:?}.encode(), {body:?}.encode()\n\
         headers = {{'Locum-Signature': {signature:?}}}\n{lines}"
    );
    let output = std::process::Command::new("/usr/bin/python3").args(["-c", &given]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[tokio::test]
async fn a_slack_gets_a_text_that_calls_nobody_and_a_gateway_a_query() {
    let web = Web::answering(&[OK]).await;
    let slack = Post { markup: Escape::Slack, headers: Vec::new(), ..web.post(r#"{"text": "{text}"}"#) };
    let text = Template::parse("<{router}> {to}").unwrap();
    let told = Told::start(Receiver {
        node: "<!channel>".to_owned(),
        text: Template::parse("{node} {to}").unwrap(),
        ..receiver(Way::Post(Box::new(slack)))
    });
    told.tell("web", Master);
    told.until("sent", |status| status.sent == 1).await;
    assert_eq!(json(&web.heard()[0]), serde_json::json!({ "text": "&lt;!channel&gt; MASTER" }));

    let sms = Post {
        path: Template::parse(&format!("/send?key={HUSH}&to=4915112345&text={{text}}")).unwrap(),
        method: "GET".to_owned(),
        body: None,
        headers: Vec::new(),
        ..web.post("")
    };
    let told = Told::start(Receiver { text, ..receiver(Way::Post(Box::new(sms))) });
    told.tell("web", Fault);
    told.until("sent", |status| status.sent == 1).await;
    let line = web.heard()[1].line();
    assert_eq!(line, format!("GET /send?key={HUSH}&to=4915112345&text=%3Cweb%3E%20FAULT"));
}

#[tokio::test]
async fn a_receiver_over_tls_is_told_where_its_certificate_is_good() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let ca_file = place.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let web = Web::encrypted(&made).await;
    for (host, good) in [("localhost", true), ("127.0.0.1", false)] {
        let tls = Some(tls::Config { verify: true, ca_file: Some(ca_file.clone()) });
        let post = Post { target: (host.to_owned(), web.port), tls, ..web.post("{}") };
        let told = Told::start(Receiver { retries: 0, ..receiver(Way::Post(Box::new(post))) });
        told.tell("web", Master);
        told.until("done", |status| status.sent + status.failed == 1).await;
        let wanted = format!("https://127.0.0.1:{}: certificate is not for 127.0.0.1", web.port);
        assert_eq!(told.status().last_error, (!good).then_some(wanted));
    }
    assert_eq!(web.heard().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_is_said_once_and_keeps_nothing_from_coming_later() {
    for (answers, status) in [
        (&["401 Unauthorized\r\n", "401 Unauthorized\r\n", OK][..], "401"),
        (&["403 Forbidden\r\n", "403 Forbidden\r\n", OK], "403"),
        (&["400 Bad Request\r\n", "400 Bad Request\r\n", OK], "400"),
        (&["302 Found\r\nLocation: http://127.0.0.1/\r\n", "302 Found\r\n", OK], "302"),
    ] {
        let web = Web::answering(answers).await;
        let told = Told::start(web.receiver());
        let why = format!("http://127.0.0.1:{}: status {status}", web.port);
        for (count, router) in [(1, "r1"), (2, "r2")] {
            told.tell(router, Fault);
            told.until("refused", |status| status.dropped == count).await;
            let now = told.status();
            assert_eq!((now.sent, now.failed, now.failing), (0, count, true));
            assert_eq!(now.last_error.as_deref(), Some(why.as_str()));
        }
        assert_eq!(web.heard().len(), 2, "one attempt each");
        told.tell("r3", Fault);
        told.until("taken", |status| status.sent == 1 && !status.failing).await;
        let wanted =
            [format!("message ops: not told: {why}"), "message ops: messages arrive again".to_owned()];
        assert_eq!(told.lines(), wanted);
    }
}

#[tokio::test]
async fn what_may_heal_is_tried_again_until_it_does() {
    let web = Web::answering(&[FAILS, "503 Service Unavailable\r\n", FAILS, OK]).await;
    let told = Told::start(web.receiver());
    told.tell("web", Master);
    told.until("taken", |status| status.sent == 1).await;
    let now = told.status();
    assert_eq!((now.failed, now.dropped, now.failing), (3, 0, false));
    let heard = web.heard();
    assert!(heard.iter().all(|request| request.body == heard[0].body), "{heard:?}");
}

#[tokio::test]
async fn attempts_end_and_what_was_not_told_is_counted() {
    let web = Web::answering(&[FAILS]).await;
    let told = Told::start(web.receiver());
    told.tell("web", Master);
    told.until("given up", |status| status.dropped == 1).await;
    assert_eq!(web.heard().len(), 4, "the first, and three more");
    let why = format!("http://127.0.0.1:{}: status 500", web.port);
    let wanted = [format!("message ops: {why}; trying again"), format!("message ops: not told: {why}")];
    assert_eq!(told.lines(), wanted);
}

#[tokio::test]
async fn too_many_requests_wait_as_long_as_they_are_asked_to() {
    let web = Web::answering(&["429 Too Many Requests\r\nRetry-After: 1\r\n", OK]).await;
    let told = Told::start(web.receiver());
    told.tell("web", Master);
    told.until("taken", |status| status.sent == 1).await;
    let heard = web.heard();
    let pause = heard[1].at - heard[0].at;
    assert!(pause >= Duration::from_secs(1), "{pause:?}");
}

#[tokio::test]
async fn silence_and_what_is_no_answer_are_tried_again() {
    for (answers, wanted) in [
        (&[SILENCE, OK][..], "no answer within 100ms"),
        (&["what?\r\n", OK], "no good answer: invalid HTTP status-code parsed"),
    ] {
        let web = Web::answering(answers).await;
        let told = Told::start(Receiver { timeout: Duration::from_millis(100), ..web.receiver() });
        told.tell("web", Master);
        told.until("taken", |status| status.sent == 1).await;
        let error = told.status().last_error.unwrap();
        assert_eq!(error, format!("http://127.0.0.1:{}: {wanted}", web.port));
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let web = Web { port: free, heard: Arc::default() };
    let told = Told::start(web.receiver());
    told.tell("web", Master);
    told.until("given up", |status| status.dropped == 1).await;
    let error = told.status().last_error.unwrap();
    assert_eq!(error, format!("http://127.0.0.1:{free}: connection refused by 127.0.0.1"));
}

#[tokio::test]
async fn a_storm_of_fifty_transitions_is_one_summary() {
    let web = Web::answering(&[OK]).await;
    let told = Told::start(web.receiver());
    for number in 0..50 {
        told.tell(&format!("r{number}"), if number % 2 == 0 { Fault } else { Master });
    }
    told.until("taken", |status| status.sent == 1 && status.waiting == 0).await;
    let said = json(&web.heard()[0]);
    assert_eq!(said["count"], 50);
    let text = said["text"].as_str().unwrap();
    assert!(text.starts_with("lb1: 50 transitions.\nrouter r0: FAULT now, after 1 transition\n"), "{text}");
    assert!(text.ends_with(" and 30 more"), "{text}");
    told.tell("web", Master);
    told.until("taken", |status| status.sent == 2).await;
    assert_eq!(json(&web.heard()[1])["text"], "lb1: web is MASTER");
    assert_eq!(web.heard().len(), 2);
}

#[tokio::test]
async fn the_same_transition_is_told_once_and_only_what_is_wanted_is() {
    let web = Web::answering(&[OK]).await;
    let only = Receiver { severity: Severity::Warning, on: [Backup, Fault].into(), ..web.receiver() };
    let told = Told::start(only);
    told.tell("web", Master);
    told.tell("web", Backup);
    told.tell("stranger", Fault);
    told.tell("web", Fault);
    told.tell("web", Fault);
    told.until("taken", |status| status.sent == 1).await;
    told.messenger.finish(AMPLE).await;
    let texts: Vec<_> = web.heard().iter().map(|request| json(request)["text"].clone()).collect();
    assert_eq!(texts, ["lb1: web is FAULT"]);
}

#[tokio::test]
async fn who_hangs_holds_up_nobody_else_and_the_end_waits_no_longer_than_it_may() {
    let (silent, web) = (Web::answering(&[SILENCE]).await, Web::answering(&[OK]).await);
    let (hangs, told) = (Told::start(silent.receiver()), Told::start(web.receiver()));
    hangs.tell("web", Master);
    until("asked", || silent.heard().len() == 1).await;
    hangs.tell("r1", Fault);
    told.tell("web", Master);
    told.until("taken", |status| status.sent == 1).await;
    let lines = Arc::clone(&hangs.reports);
    hangs.messenger.finish(Duration::from_millis(100)).await;
    let last = lines.lock().unwrap().last().and_then(|report| report.line.clone());
    let wanted = "message ops: no time was left to tell of 2 transitions";
    assert_eq!(last, Some(Err(wanted.to_owned())));
}
