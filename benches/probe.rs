//! `probe`: the yardstick of `scripts/demo`, `scripts/bench` and the tests. A development tool, not
//! part of the product.
//!
//! * `probe serve NAME --port P` answers every datagram with itself and NAME, *from the address that
//!   was asked*, so that an answer from a virtual address proves that this host held it.
//! * `probe run ADDRESS:PORT` asks that address at a fixed pace and reports what was lost, when, and
//!   who answered.
//! * `probe watch` times the kernel's events about addresses and links: see `watch`.
//! * `probe flood KIND` sends packets of VRRP that nobody asked for: see `flood`.
//! * `probe floor WHAT` takes the time of the kernel alone for what daemons have it do: see `floor`.
//! * `probe service NAME --port P` is a small real service: HTTP `/` and `/health`, and a WebSocket
//!   echo on the same port.
//!
//! # How `run` measures
//! One thread sends a numbered datagram every `--every`, and never sends late ones in a burst; one
//! thread receives. Both read `CLOCK_MONOTONIC`. An answer counts if it comes from the very address
//! and port that were asked and carries this run's number. Then, all after the fact, in `judge`:
//!
//! * A probe is **lost** if no answer to it came within `--patience`; those that came later still
//!   are counted besides as `late`.
//! * An **outage** is a row of lost probes without an answered one between. It lasts from the sending
//!   of the first lost one to the arrival of the next answer; where none came, to the sending of the
//!   last probe, and it is marked `open`. It is therefore never shown shorter than a client at this
//!   pace saw it, and at most one `--every` and one round trip longer than the truth.
//! * `longest_pause_ms` is the longest time between two sendings. It tells how much of a result the
//!   measuring side itself may be to blame for: on an idle machine it is close to `--every`.
//!
//! Time and count are bounded; `SIGINT` and `SIGTERM` end a run early with its report.

#[path = "probe/changes.rs"]
mod changes;
#[path = "probe/client.rs"]
mod client;
#[path = "probe/flood.rs"]
mod flood;
#[path = "probe/floor.rs"]
mod floor;
#[path = "probe/judge.rs"]
mod judge;
#[path = "probe/server.rs"]
mod server;
#[path = "probe/service.rs"]
mod service;
#[path = "probe/watch.rs"]
mod watch;

use clap::{Parser, Subcommand};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(about = "Measures what a client sees of a failover")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer datagrams with a name, from the address that was asked
    Serve {
        /// What to answer
        name: String,
        #[arg(long)]
        port: u16,
    },
    /// A small real service: HTTP and WebSocket
    Service {
        /// What to answer
        name: String,
        #[arg(long)]
        port: u16,
    },
    /// Time what the kernel does with addresses and links; says "ready", then reports in JSON
    Watch {
        /// Only addresses that begin so, such as 10.1.
        #[arg(long, default_value = "")]
        prefix: String,
        /// End once so many addresses are there
        #[arg(long)]
        added: Option<usize>,
        /// End once so many addresses are gone
        #[arg(long)]
        gone: Option<usize>,
        #[arg(long = "for", default_value = "60s", value_parser = duration)]
        length: Duration,
    },
    /// Send packets of VRRP as fast as one core can; report in JSON
    Flood {
        kind: flood::Kind,
        /// The own address to send from
        #[arg(long)]
        from: Ipv4Addr,
        /// The router attacked
        #[arg(long)]
        vrid: u8,
        #[arg(long = "for", default_value = "5s", value_parser = duration)]
        length: Duration,
    },
    /// Take the time of the kernel alone; report in JSON
    Floor {
        #[command(subcommand)]
        what: floor::Floor,
    },
    /// Ask an address at a fixed pace; report losses, outages and who answered
    Run {
        /// ADDRESS:PORT
        target: SocketAddr,
        /// The time between two probes: 100us to 1min
        #[arg(long, default_value = "1ms", value_parser = duration)]
        every: Duration,
        /// How long to go on: up to 1h
        #[arg(long = "for", default_value = "10s", value_parser = duration)]
        length: Duration,
        /// An answer that takes longer is a loss
        #[arg(long, default_value = "100ms", value_parser = duration)]
        patience: Duration,
        /// Report in JSON
        #[arg(long)]
        json: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| format!("\"{text}\" is not a time; write 1ms, 500us or 10s");
    let time: jiff::SignedDuration = text.parse().map_err(wrong)?;
    Duration::try_from(time).map_err(|_| format!("\"{text}\" is negative"))
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve { name, port } => server::serve(&name, port).map_err(|error| error.to_string()),
        Command::Service { name, port } => service::serve(&name, port).map_err(|error| error.to_string()),
        Command::Run { target, every, length, patience, json } => {
            let plan = client::Plan { target, every, length, patience };
            client::run(&plan).map(|report| if json { print(&report) } else { println!("{report}") })
        }
        Command::Watch { prefix, added, gone, length } => {
            let plan = watch::Plan { prefix, added, gone, length };
            watch::watch(&plan).map(|report| print(&report)).map_err(|error| error.to_string())
        }
        Command::Floor { what } => {
            floor::floor(what).map(|report| print(&report)).map_err(|error| error.to_string())
        }
        Command::Flood { kind, from, vrid, length } => flood::flood(kind, from, vrid, length)
            .map(|report| print(&report))
            .map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("probe: {why}");
            ExitCode::FAILURE
        }
    }
}

fn print(report: &impl Serialize) {
    match serde_json::to_string(report) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("probe: {error}"),
    }
}
