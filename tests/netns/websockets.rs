//! Idle WebSocket clients through moves, planned ones and others: they are told, and come back to the next holder.
//!
//! A host whose cable is cut reaches none of them: these notice when they say something themselves.

use crate::guardian::{daemon, daemon_when_there};
use crate::lab::{Host, LONG, Lab, SOON, VIP, need, wait_until};
use crate::locum::Router;
use crate::second_path::pair;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

const CLIENTS: usize = 200;
const PORT: u16 = 8765;
/// Where whoever connects is greeted without more ado.
const PLAIN: u16 = 8766;

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

/// Two hundred idle clients of a, and what happens to a, which returns when that was. All of them are served by b
/// then.
fn moved(lab: &Lab, happen: impl FnOnce(&[TcpStream]) -> Instant) {
    serve(&lab["a"]);
    serve(&lab["b"]);
    let clients: Vec<_> =
        lab["client"].within(|| (0..CLIENTS).map(|_| connect().expect("a connection")).collect());
    assert!(clients.iter().all(|(_, greeting)| greeting == "a"));
    let streams: Vec<_> = clients.iter().map(|(client, _)| client.get_ref().try_clone().unwrap()).collect();
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
    let moved = happen(&streams);
    let returned: Vec<_> = waiting.into_iter().map(|client| client.join().expect("it came back")).collect();
    assert!(returned.iter().all(|(_, greeting)| greeting == "b"), "all are served by b now");
    let late = returned.iter().map(|(noticed, _)| noticed.saturating_duration_since(moved)).max();
    println!("{CLIENTS} clients noticed at latest {:?} after the move", late.unwrap_or(Duration::ZERO));
}

#[test]
fn two_hundred_idle_websockets_notice_a_handover_and_come_back_to_the_new_holder() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    moved(&lab, |_| {
        let (code, said) = a.cli(&["handover"]);
        assert_eq!(code, Some(0), "{said}");
        Instant::now()
    });
}

#[test]
fn two_hundred_idle_websockets_notice_that_the_daemon_was_killed_and_come_back_to_the_new_holder() {
    let lab = Lab::new(&["a", "b", "client"]);
    // A daemon that is started again leaves the address where it is.
    let a = lab["a"].locum_guarded(&Router::new(150).with("preempt", "false"));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    moved(&lab, |_| {
        daemon(&a).kill();
        lab.wait_owner(VIP, &["b"]);
        Instant::now()
    });
    let _last = daemon_when_there(&a);
}

#[test]
fn two_hundred_websockets_notice_by_their_next_ping_that_the_cable_of_their_server_was_cut() {
    // Masked by zeros, and of nothing.
    const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
    let lab = Lab::new(&["a", "b", "client"]);
    let (_a, _b) = pair(&lab, |router| router);
    moved(&lab, |clients| {
        lab["a"].cable(false);
        lab.wait_owner(VIP, &["b"]);
        let asked = Instant::now();
        for mut client in clients {
            client.write_all(&PING).unwrap();
        }
        asked
    });
}

/// A server that says its host's name to whoever connects, and then nothing. It ends with the test.
fn greet(host: &Host) {
    let name = host.name.clone();
    let listener = host.within(|| TcpListener::bind(("0.0.0.0", PLAIN)).unwrap());
    thread::spawn(move || {
        let mut idle = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(name.as_bytes());
            idle.push(stream);
        }
    });
}

/// What became of clients that connect one after the other, as fast as they can.
#[derive(Default)]
struct Seen {
    connected: Vec<TcpStream>,
    /// When each was refused, and how long that took.
    refused: Vec<(Instant, Duration)>,
}

/// Connects from the thread's network until it is told to stop.
fn hammer(stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        match TcpStream::connect_timeout(&SocketAddr::new(VIP.parse().unwrap(), PLAIN), LONG) {
            Ok(stream) => seen.connected.push(stream),
            // It was ended in the moment that it began, and its client was told.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
                seen.refused.push((began, began.elapsed()));
            }
        }
        thread::sleep(Duration::from_micros(200));
    }
    seen
}

/// Who greeted, and whether the connection has ended.
fn state(mut stream: &TcpStream) -> io::Result<(String, bool)> {
    let mut bytes = [0; 16];
    stream.set_read_timeout(Some(SOON))?;
    let greeted = stream.read(&mut bytes)?;
    stream.set_nonblocking(true)?;
    let ended = !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    Ok((String::from_utf8_lossy(&bytes[..greeted]).into_owned(), ended))
}

impl Seen {
    /// From the first that was refused to the last.
    fn span(&self) -> Duration {
        self.refused.first().zip(self.refused.last()).map_or(Duration::ZERO, |(first, last)| last.0 - first.0)
    }

    /// The longest that one waited to be refused.
    fn slowest(&self) -> Duration {
        self.refused.iter().map(|(_, took)| *took).max().unwrap_or_default()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (connected, refused) = (self.connected.len(), self.refused.len());
        let (span, slowest) = (self.span(), self.slowest());
        write!(f, "{connected} connected; {refused} refused within {span:?}, each in {slowest:?} at most")
    }
}

/// A router whose address goes in company, so that one can see what happens meanwhile.
fn draining(priority: u8, company: usize) -> Router {
    let address = |n| format!("{{ address = \"10.79.{}.{}\", advertise = false }}", n / 250, n % 250 + 1);
    let company: Vec<String> = (0..company).map(address).collect();
    let addresses = format!("[\"{VIP}\", {}]", company.join(", "));
    Router::new(priority).with("addresses", &addresses).with("drain_ports", &format!("[{PORT}, {PLAIN}]"))
}

/// Hands the address over under fire. Returns what the clients saw. `late`: they are told of the move when it is
/// over, as behind a network that loses what announces it.
fn hand_over(company: usize, late: bool) -> Seen {
    need("nft", "nftables");
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&draining(150, company));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&draining(100, company));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    for host in ["a", "b"] {
        serve(&lab[host]);
        greet(&lab[host]);
    }
    let (idle, greeting) = lab["client"].within(|| connect().expect("a connection"));
    assert_eq!(greeting, "a");
    if late {
        let mac = lab["a"].mac();
        lab["client"].run(&format!("ip neighbor replace {VIP} lladdr {mac} dev eth0 nud permanent"));
    }
    let (door, stop) = (lab["client"].door(), AtomicBool::new(false));
    let seen = thread::scope(|scope| {
        let clients = scope.spawn(|| {
            nix::sched::setns(door, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            hammer(&stop)
        });
        let (code, said) = a.cli(&["handover"]);
        assert_eq!(code, Some(0), "{said}");
        lab.wait_owner(VIP, &["b"]);
        if late {
            lab["client"].run(&format!("ip neighbor delete {VIP} dev eth0"));
        }
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        clients.join().unwrap()
    });
    assert_eq!(lab["client"].within(|| wait_and_return(idle)).1, "b", "the idle WebSocket was told");
    for host in ["a", "b"] {
        let tables = lab[host].run("nft list tables");
        assert!(!tables.contains("locum"), "{host}: nothing is refused afterwards: {tables}");
    }
    for stream in &seen.connected {
        // One that was ended before it was greeted has ended.
        let Ok((greeting, ended)) = state(stream) else { continue };
        assert!(greeting != "a" || ended, "a client waits for a server that has lost the address");
    }
    seen
}

#[test]
fn nobody_comes_back_to_the_host_that_is_losing_the_address() {
    let seen = hand_over(0, false);
    println!("{seen}");
    assert!(seen.span() <= Duration::from_millis(200), "{seen}");
}

#[test]
fn who_connects_while_the_addresses_go_is_refused_at_once() {
    let seen = hand_over(2000, true);
    println!("{seen}");
    assert!(!seen.refused.is_empty(), "{seen}");
    assert!(seen.slowest() < Duration::from_millis(500), "not when TCP repeats itself: {seen}");
}
