//! The checks against real servers on loopback, and against servers that misbehave.

mod bfd;
mod dns;
mod file;
mod http;
mod ping;
mod process;
mod runner;
mod script;
mod tcp;
mod tls;
mod websocket;

use locum::check::{Probe, Schedule, Spec, Target, probe_once};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Fails a test that needs a program which is not here: `scripts/test` installs it.
macro_rules! needs {
    ($program:literal $(, $argument:literal)*) => {
        assert!(
            $crate::runs($program, &[$($argument),*]),
            "{} does not run here: scripts/test installs what the tests need",
            [$program $(, $argument)*].join(" ")
        );
    };
}
use needs;

/// Whether a program is there and says yes.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Long enough for anything that shall end by itself.
const AMPLE: Duration = Duration::from_secs(30);
/// Short, for what shall time out.
const BRIEF: Duration = Duration::from_millis(300);

/// The verdict on `probe`, with all the time it needs.
async fn verdict(probe: Probe) -> Result<(), String> {
    verdict_within(AMPLE, probe).await
}

async fn verdict_within(timeout: Duration, probe: Probe) -> Result<(), String> {
    probe_once(&Spec { probe, schedule: Schedule { timeout, ..Schedule::default() } }).await.verdict
}

/// The text of the failure of `probe`.
async fn failure(probe: Probe) -> String {
    verdict(probe).await.expect_err("the probe shall fail")
}

/// A server of our own on loopback: every connection is handed to `serve`.
async fn serving<F, S>(serve: S) -> Target
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Target::new("127.0.0.1", port)
}

/// Accepts and says nothing.
async fn silent() -> Target {
    serving(|stream| async move {
        tokio::time::sleep(AMPLE).await;
        drop(stream);
    })
    .await
}

/// Reads the head of a request, answers `answer` and closes.
async fn answering(answer: impl Into<Vec<u8>>) -> Target {
    let answer = answer.into();
    serving(move |mut stream| {
        let answer = answer.clone();
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(&answer).await;
        }
    })
    .await
}

/// Reads up to the end of the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A port nobody listens on (any more).
async fn closed() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    Target::new("127.0.0.1", listener.local_addr().expect("an address").port())
}

/// A program that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a real server, which prints its port after `mark`.
fn started(command: &mut Command, mark: &str) -> (Server, Target) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let output = child.stdout.take().expect("its output");
    let server = Server(child);
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let port = lines
        .find_map(|line| {
            let after = line.split_once(mark)?.1;
            after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        })
        .unwrap_or_else(|| panic!("{command:?} did not print its port"));
    // Read on, lest it blocks or dies on a full or broken pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (server, Target::new("127.0.0.1", port))
}

/// Waits until a server that does not say so listens.
async fn until_listening(target: &Target) {
    for _ in 0..600 {
        if TcpStream::connect((target.host.as_str(), target.port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nobody listens on {target}");
}
