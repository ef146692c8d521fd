//! What servers answer: to checks by HTTP, WebSocket and DNS, and to mails. Each hangs up after its answer.

use crate::harness::Fuzz;
use locum::agent::{RouterName, Standing, Subject, Transition};
use locum::check::{Endpoint, Pattern, Probe, Schedule, Spec, Target, dns, http, probe_once, websocket};
use locum::notify::mail::{Mail, Mailbox, Mailer, Message};
use locum::notify::smtp::Transport;
use locum::vrrp::why::Why;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Far longer than an answer over loopback takes.
const AMPLE: Duration = Duration::from_secs(30);
/// For what rightly waits for more.
const BRIEF: Duration = Duration::from_millis(20);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A new one for each input: nothing is left of the one before. On other addresses in turn: a port is taken for
/// a minute by whoever hung up on it, and in that time more than one address has ports are needed.
async fn listener() -> (TcpListener, SocketAddr) {
    static TURN: AtomicU8 = AtomicU8::new(1);
    let turn = TURN.fetch_add(1, Ordering::Relaxed).max(1);
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 1, turn), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn probe(probe: Probe, server: impl Future<Output = ()>) {
    // What is not its answer a DNS check does not believe, and goes on waiting.
    let within = if matches!(probe, Probe::Dns(_)) { BRIEF / 10 } else { BRIEF };
    let schedule = Schedule { timeout: within, ..Schedule::default() };
    let spec = Spec { probe, schedule };
    let both = async { tokio::join!(probe_once(&spec), server) };
    assert!(timeout(AMPLE, both).await.is_ok(), "the check has not ended");
}

/// Takes a connection, answers, says that this is all, and hears out the other.
async fn answer(listener: TcpListener, bytes: &[u8]) {
    let Ok(Ok((mut stream, _))) = timeout(BRIEF, listener.accept()).await else { return };
    drop(listener);
    let _ = stream.write_all(bytes).await;
    hear_out(&mut stream).await;
}

async fn hear_out(stream: &mut TcpStream) {
    let _ = stream.shutdown().await;
    let _ = timeout(BRIEF, stream.read_to_end(&mut Vec::new())).await;
}

#[test]
fn any_answer_by_http_passes_or_fails() {
    let seeds = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 301 x\r\nLocation: /\r\n\r\n",
    ];
    let words = &[
        "HTTP/1.1 ",
        "Content-Length: ",
        "Transfer-Encoding: chunked",
        "\r\n",
        "\r\n\r\n",
        "ffffffffffffffff",
        "-1",
    ];
    let runtime = runtime();
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    Fuzz::new(seeds, words).run("HTTP", move |input| {
        let (listener, at) = runtime.block_on(listener());
        let endpoint = Endpoint::new(Target::new(&at.ip().to_string(), at.port()), "/");
        let config =
            http::Config { body: Some(Pattern::new("ready").unwrap()), ..http::Config::get(endpoint) };
        runtime.block_on(probe(Probe::Http(config), answer(listener, input)));
    });
}

/// The same after a good handshake.
async fn frames(listener: TcpListener, bytes: &[u8]) {
    let Ok(Ok((stream, _))) = timeout(BRIEF, listener.accept()).await else { return };
    let Ok(Ok(mut socket)) = timeout(BRIEF, tokio_tungstenite::accept_async(stream)).await else { return };
    let stream: &mut TcpStream = socket.get_mut();
    let _ = stream.write_all(bytes).await;
    hear_out(stream).await;
}

#[test]
fn any_frames_by_websocket_pass_or_fail() {
    let seeds = vec![
        b"\x81\x05ready".to_vec(),
        b"\x89\x02hi\x8a\x00\x01\x02re\x80\x03ady".to_vec(),
        b"\x82\x7e\x00\x05ready\x88\x02\x03\xe8".to_vec(),
        b"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x05ready".to_vec(),
    ];
    let runtime = runtime();
    Fuzz::new(seeds, &[]).run("WebSocket", move |input| {
        let (listener, at) = runtime.block_on(listener());
        let endpoint = Endpoint::new(Target::new(&at.ip().to_string(), at.port()), "/");
        let config = websocket::Config { endpoint, send: None, expect: Some(Pattern::new("ready").unwrap()) };
        runtime.block_on(probe(Probe::Websocket(config), frames(listener, input)));
    });
}

/// Answers a question with `bytes` behind its own first two, its number, or all as it is.
async fn resolve(socket: &UdpSocket, bytes: &[u8]) {
    let mut question = [0; 512];
    let Ok(Ok((_, from))) = timeout(BRIEF, socket.recv_from(&mut question)).await else { return };
    let _ = socket.send_to(&[&question[..2], bytes].concat(), from).await;
}

#[test]
fn any_answer_by_dns_passes_or_fails() {
    let question = b"\x03www\x07example\x00\x00\x01\x00\x01";
    let head = |answers: u8| [0x84, 0, 0, 1, 0, answers, 0, 0, 0, 0];
    let record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x50";
    let alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c";
    let seeds = vec![
        [&head(1)[..], question, record].concat(),
        [&head(2)[..], question, alias, record].concat(),
        [&head(0)[..], question].concat(),
    ];
    let runtime = runtime();
    let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
    let port = socket.local_addr().unwrap().port();
    Fuzz::new(seeds, &[]).run("DNS", move |input| {
        let config = dns::Config {
            server: Target::new("127.0.0.1", port),
            name: "www.example".parse().unwrap(),
            record: "A".parse().unwrap(),
            expect: Some(Pattern::new("192").unwrap()),
        };
        runtime.block_on(probe(Probe::Dns(config), resolve(&socket, input)));
    });
}

fn mail(server: SocketAddr) -> Mail {
    let mailbox = |text: &str| Mailbox::parse(text).unwrap();
    Mail {
        relay: (server.ip().to_string(), server.port()),
        transport: Transport::default(),
        helo: "lb1".to_owned(),
        from: mailbox("locum@example.org"),
        to: vec![mailbox("ann@example.org"), mailbox("bob@example.org")],
        timeout: BRIEF,
        faults: true,
    }
}

fn message() -> Message {
    let transition = Transition {
        subject: Subject::Router(RouterName("web".into())),
        from: Standing::Backup,
        to: Standing::Master,
        why: Why::Silence,
        priority: 150,
        addresses: Vec::new(),
        peer: None,
        term: None,
    };
    Message::about(&transition, "lb1", jiff::Timestamp::UNIX_EPOCH)
}

#[test]
fn any_answer_of_a_mail_server_is_taken_or_told_of() {
    let seeds = [
        "220 hi\r\n250-lb\r\n250 yes\r\n250 yes\r\n250 yes\r\n250 yes\r\n354 go\r\n250 kept\r\n221 bye\r\n",
        "220 hi\r\n502 what\r\n250 yes\r\n451 busy\r\n",
        "554-no\r\n554 no\r\n",
    ];
    let runtime = runtime();
    let seeds = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    Fuzz::new(seeds, &["\r\n", "250 ", "250-", "354 ", "999", "220"]).run("SMTP", move |input| {
        runtime.block_on(async {
            let (listener, at) = listener().await;
            let mailer = Mailer::start(mail(at), |report| drop(report.to_string()));
            mailer.send(message());
            answer(listener, input).await;
            timeout(AMPLE, mailer.finish(BRIEF)).await.expect("it ends in its time");
        });
    });
}
