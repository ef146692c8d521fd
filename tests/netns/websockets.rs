//! Idle WebSocket clients through a planned move: they are told, and come back to the next holder.

use crate::lab::{Host, LONG, Lab, VIP, wait_until};
use crate::locum::Router;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

const CLIENTS: usize = 200;
const PORT: u16 = 8765;

/// A server that greets with its host's name and then says nothing. It ends with the test.
fn serve(host: &Host) {
    let name = host.name.clone();
    let listener = host.within(|| TcpListener::bind(("0.0.0.0", PORT)).unwrap());
    thread::spawn(move || {
        let mut idle = Vec::new();
        for stream in listener.incoming().flatten() {
            if let Ok(mut client) = tungstenite::accept(stream) {
                let _ = client.send(Message::text(name.clone()));
                idle.push(client);
            }
        }
    });
}

/// Connects from the thread's network. Returns the connection and who greeted.
fn connect() -> tungstenite::Result<(WebSocket<TcpStream>, String)> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(VIP.parse().unwrap(), PORT), LONG)?;
    stream.set_read_timeout(Some(LONG))?;
    let connected = tungstenite::client(format!("ws://{VIP}:{PORT}/"), stream);
    let (mut client, _) =
        connected.map_err(|error| tungstenite::Error::Io(std::io::Error::other(error.to_string())))?;
    let greeting = client.read()?.into_text()?.to_string();
    Ok((client, greeting))
}

/// Waits until the connection has ended, and comes back. When that was, and who greeted then.
fn wait_and_return(mut client: WebSocket<TcpStream>) -> (Instant, String) {
    let ended = client.read();
    let noticed = Instant::now();
    assert!(ended.is_err(), "an idle client hears nothing but the end: {ended:?}");
    let timed_out = matches!(&ended, Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out, "nobody told the client that its server has lost the address");
    (noticed, connect().expect("a new connection").1)
}

#[test]
fn two_hundred_idle_websockets_notice_a_handover_and_come_back_to_the_new_holder() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    serve(&lab["a"]);
    serve(&lab["b"]);

    let clients: Vec<_> =
        lab["client"].within(|| (0..CLIENTS).map(|_| connect().expect("a connection")).collect());
    assert!(clients.iter().all(|(_, greeting)| greeting == "a"));
    let waiting: Vec<_> = clients
        .into_iter()
        .map(|(client, _)| {
            let door = lab["client"].door();
            thread::spawn(move || {
                nix::sched::setns(door, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                wait_and_return(client)
            })
        })
        .collect();
    let (code, said) = a.cli(&["handover"]);
    assert_eq!(code, Some(0), "{said}");
    let moved = Instant::now();
    let returned: Vec<_> = waiting.into_iter().map(|client| client.join().expect("it came back")).collect();
    assert!(returned.iter().all(|(_, greeting)| greeting == "b"), "all are served by b now");
    let late = returned.iter().map(|(noticed, _)| noticed.saturating_duration_since(moved)).max();
    println!("{CLIENTS} clients noticed at latest {:?} after the move", late.unwrap_or(Duration::ZERO));
}
