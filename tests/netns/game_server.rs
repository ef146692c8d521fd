//! `examples/game-server` as it is shipped, with real servers: what `locum check` promises of it, and what players
//! see of a server that dies or hangs.

use crate::lab::{Host, LONG, Lab, need, reached, wait_until};
use crate::locum::{BINARY, Locum};
use crate::process::Process;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite;

const VIP: &str = "192.168.1.25";
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/game-server/server.py");
const PRIMARY: &str = include_str!("../../examples/game-server/primary.toml");
const BACKUP: &str = include_str!("../../examples/game-server/backup.toml");
/// What the example promises.
const PROMISE: Duration = Duration::from_secs(30);
/// What it says of the way back.
const PREEMPT_DELAY: Duration = Duration::from_secs(10);

fn network() -> Lab {
    let lab = Lab::new(&["primary", "backup", "player"]);
    for (host, number) in [("primary", 26), ("backup", 27), ("player", 50)] {
        lab[host].ip(&format!("address add 192.168.1.{number}/24 dev eth0"));
    }
    lab
}

fn serve(host: &Host) -> Process {
    need("python3", "python3-websockets");
    let server = host.spawn(&format!("/usr/bin/python3 {SERVER} {host}"));
    wait_until("the game server listens", LONG, || !host.run("ss -Hltn sport = :8765").is_empty());
    server
}

/// Both daemons and servers, and who plays with the first.
struct Game<'a> {
    player: &'a Host,
    primary: Locum<'a>,
    _backup: Locum<'a>,
    servers: [Process; 2],
}

fn start(lab: &Lab) -> Game<'_> {
    let servers = [serve(&lab["primary"]), serve(&lab["backup"])];
    let primary = lab["primary"].locum_toml(PRIMARY);
    lab.wait_owner(VIP, &["primary"]);
    let backup = lab["backup"].locum_toml(BACKUP);
    wait_until("the backup hears the primary", LONG, || {
        backup.router()["instances"][0]["master"] == "192.168.1.26"
    });
    let game = Game { player: &lab["player"], primary, _backup: backup, servers };
    assert_eq!(game.greeting().as_deref(), Some("primary"));
    game
}

impl Game<'_> {
    /// Who greets a player that comes to the virtual address.
    fn greeting(&self) -> Option<String> {
        let connect = || {
            let place = SocketAddr::new(VIP.parse().unwrap(), 8765);
            let stream = TcpStream::connect_timeout(&place, Duration::from_secs(1)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
            let (mut client, _) = tungstenite::client(format!("ws://{VIP}:8765/"), stream).ok()?;
            Some(client.read().ok()?.into_text().ok()?.to_string())
        };
        self.player.within(connect)
    }

    /// Until a player is served by `host`.
    fn recovery(&self, host: &str) -> Duration {
        let failed = Instant::now();
        let served = reached(PROMISE * 2, || self.greeting().is_some_and(|greeting| greeting == host));
        let took = failed.elapsed();
        assert!(served, "{host} does not serve players within {took:?}");
        // Where the whole machine stands still nobody can promise anything.
        let stood_still = self.primary.process.log().contains("this process was stopped for");
        assert!(took <= PROMISE || stood_still, "{host} serves players after {took:?}");
        took
    }
}

/// The longest failover, as `locum check` says.
fn worst(locum: &Locum<'_>) -> Duration {
    let output = Command::new(BINARY).args(["check", "--json", locum.config()]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["good"], true, "{report}");
    Duration::from_secs_f64(report["routers"][0]["worst_ms"].as_f64().unwrap() / 1000.0)
}

#[test]
fn players_are_served_again_in_time_when_the_server_dies_and_the_primary_takes_them_back_after_its_delay() {
    let lab = network();
    let mut game = start(&lab);
    let worst = worst(&game.primary);
    assert!(worst < PROMISE, "{worst:?}");

    game.servers[0].signal(Signal::SIGKILL);
    let recovery = game.recovery("backup");
    assert!(game.primary.why().contains("check game"), "{}", game.primary.why());

    game.servers[0] = serve(&lab["primary"]);
    let back = game.recovery("primary");
    assert!(back >= PREEMPT_DELAY, "{back:?}");
    println!("a server that dies: recovery {recovery:?}, {worst:?} at worst; back after {back:?}");
}

#[test]
fn players_are_served_again_in_time_when_the_server_hangs() {
    let lab = network();
    let game = start(&lab);
    game.servers[0].signal(Signal::SIGSTOP);
    println!(
        "a server that hangs: recovery {:?}, {:?} at worst",
        game.recovery("backup"),
        worst(&game.primary)
    );
}
