//! Checks of kind `websocket`, against a real server in Python.

use super::tls::{Authority, Good};
use super::{
    AMPLE, BRIEF, Server, answering, closed, failure, needs, serving, silent, started, verdict,
    verdict_within,
};
use futures_util::SinkExt;
use locum::check::{Endpoint, Pattern, Probe, Target, tls, websocket};
use std::process::Command;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

/// `/echo` returns what it gets, `/greet` greets, `/mute` says nothing, `/bye` closes with a code,
/// `/big` sends too much, `/flood` repeats itself. Notes every clean close in `closed`.
const SERVER: &str = r"
import asyncio, ssl, sys, websockets

async def serve(socket, path):
    if path == '/greet':
        await socket.send('busy')
        await socket.send('ready')
    elif path == '/bye':
        return await socket.close(1013)
    elif path == '/big':
        await socket.send('x' * 100000)
    elif path == '/flood':
        while True:
            await socket.send('again')
    try:
        async for message in socket:
            if path == '/echo':
                await socket.send(message)
    finally:
        open('closed', 'a').write(f'{path} {socket.close_code}\n')

async def main():
    context = None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await websockets.serve(serve, '127.0.0.1', 0, ssl=context)
    print('port', server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()

asyncio.run(main())
";

fn python(arguments: &[&std::path::Path]) -> (Server, Target, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("server.py"), SERVER).unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command.arg("server.py").args(arguments).current_dir(&directory);
    let (server, target) = started(&mut command, "port ");
    (server, target, directory)
}

fn open(target: &Target, path: &str) -> websocket::Config {
    websocket::Config { endpoint: Endpoint::new(target.clone(), path), send: None, expect: None }
}

fn said(target: &Target, path: &str, send: Option<&str>, expect: &str) -> Probe {
    let (send, expect) = (send.map(str::to_owned), Some(Pattern::new(expect).unwrap()));
    Probe::Websocket(websocket::Config { send, expect, ..open(target, path) })
}

#[tokio::test]
async fn a_real_server_answers_the_ping_and_sees_a_clean_close() {
    needs!("/usr/bin/python3", "-c", "import websockets");
    let (_server, target, directory) = python(&[]);
    assert_eq!(verdict(Probe::Websocket(open(&target, "/mute"))).await, Ok(()));
    // The server writes its note after the close that we have seen.
    let note = directory.path().join("closed");
    for _ in 0..500 {
        if std::fs::read_to_string(&note).is_ok_and(|text| text == "/mute 1005\n") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the server noted {:?}", std::fs::read_to_string(&note));
}

#[tokio::test]
async fn an_expected_message_passes_whether_asked_for_or_not() {
    needs!("/usr/bin/python3", "-c", "import websockets");
    let (_server, target, _directory) = python(&[]);
    assert_eq!(verdict(said(&target, "/echo", Some("status?"), r"^status\?$")).await, Ok(()));
    assert_eq!(verdict(said(&target, "/greet", None, "^ready$")).await, Ok(()));
}

#[tokio::test]
async fn an_expected_message_that_does_not_come_fails() {
    needs!("/usr/bin/python3", "-c", "import websockets");
    let (_server, target, _directory) = python(&[]);
    let wait = "no answer within 300ms: waited for a message that matches";
    for path in ["/mute", "/echo"] {
        let probe = said(&target, path, Some("status?"), "^ready$");
        assert_eq!(verdict_within(BRIEF, probe).await.unwrap_err(), wait, "{path}");
    }
    let flood = failure(said(&target, "/flood", None, "^ready$")).await;
    assert_eq!(flood, "none of 256 messages matches /^ready$/");
    let bye = failure(said(&target, "/bye", None, "^ready$")).await;
    assert_eq!(bye, "closed by the server with code 1013");
    let big = failure(said(&target, "/big", None, "x")).await;
    assert_eq!(big, "a message of more than 65536 bytes");
}

#[tokio::test]
async fn over_tls_the_certificate_counts() {
    needs!("/usr/bin/python3", "-c", "import websockets");
    let authority = Authority::new("ours");
    let (certificate, key) = authority.certificate("www.example", Good::Now);
    let (_server, target, _directory) = python(&[&certificate, &key]);
    let named = |name: &str| {
        let tls = Some(tls::Config { verify: true, ca_file: Some(authority.ca_file()) });
        let config = open(&target, "/echo");
        let endpoint = Endpoint { tls, server_name: Some(name.to_owned()), ..config.endpoint };
        Probe::Websocket(websocket::Config { endpoint, ..config })
    };
    assert_eq!(verdict(named("www.example")).await, Ok(()));
    assert_eq!(failure(named("mail.example")).await, "certificate is not for mail.example");
}

#[tokio::test]
async fn a_server_that_does_not_upgrade_fails_by_its_status() {
    let target = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(failure(Probe::Websocket(open(&target, "/"))).await, "status 404, wanted 101");
}

#[tokio::test]
async fn an_upgrade_without_the_right_key_fails() {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    let text = failure(Probe::Websocket(open(&answering(upgrade).await, "/"))).await;
    assert!(text.starts_with("the answer is not a WebSocket: "), "{text}");
}

/// A server that talks but never reads, and so never returns a ping.
#[tokio::test]
async fn another_message_is_no_pong() {
    let target = serving(|stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        for message in [Message::text("hello"), Message::Pong("not asked for".into())] {
            socket.send(message).await.unwrap();
        }
        tokio::time::sleep(AMPLE).await;
    });
    let probe = Probe::Websocket(open(&target.await, "/"));
    let text = verdict_within(BRIEF, probe).await.unwrap_err();
    assert_eq!(text, "no answer within 300ms: waited for the pong");
}

#[tokio::test]
async fn garbage_and_a_hang_up_fail() {
    let text = failure(Probe::Websocket(open(&answering("SSH-2.0-OpenSSH_9.2\r\n\r\n").await, "/"))).await;
    assert!(text.starts_with("the answer is not a WebSocket: "), "{text}");
    let text = failure(Probe::Websocket(open(&answering("").await, "/"))).await;
    assert!(text.starts_with("the answer is not a WebSocket: "), "{text}");
}

#[tokio::test]
async fn a_closed_port_is_refused_and_a_silent_one_times_out() {
    let target = closed().await;
    let text = failure(Probe::Websocket(open(&target, "/"))).await;
    assert_eq!(text, format!("connection refused by {target}"));
    let probe = Probe::Websocket(open(&silent().await, "/"));
    assert_eq!(
        verdict_within(BRIEF, probe).await.unwrap_err(),
        "no answer within 300ms: waited for the upgrade"
    );
}
