//! The daemon: start-up, the loop (`core`), shutdown. The only place that knows deciders and doers both.
//!
//! Two threads matter. This one, the core, sleeps in epoll(7) over the VRRP sockets and one wake-up
//! descriptor, hands everything that came to the agent, and sends adverts itself, at once. The other
//! runs everything that may wait for the world (`tasks`). Addresses have a thread of their own in
//! `net::address`. So neither a hanging script nor five thousand addresses delay an advert.

mod alone;
mod apart;
mod audits;
mod bell;
mod clock;
mod core;
mod counters;
pub mod dump;
mod dumper;
mod exchange;
mod facts;
mod foster;
mod guardian;
mod inbox;
pub mod last_will;
mod later;
mod leases;
pub mod levels;
mod limit;
mod limits;
mod lines;
mod log;
mod logger;
pub mod mib;
mod overrides;
mod perform;
mod plea;
mod poise;
mod privileges;
mod recorder;
mod records;
mod replace;
mod results;
mod scheduling;
mod sockets;
mod state;
mod stderr;
mod store;
mod tasks;
mod tell;
mod trim;
mod tuning;
mod ward;
mod watchdog;
mod web;
mod witness;
pub mod word;

use crate::agent::{Agent, Input};
use crate::check::Probe;
use crate::config::keepalived::Skipped;
use crate::config::{self, Details, Loaded, Problems};
use crate::net::namespace;
use crate::process;
pub use crate::process::STARTS;
use clock::{chance, now};
use core::Core;
pub use guardian::{GUARDED, GUARDS, guard, managed};
use inbox::Inbox;
pub use log::{Form, Log};
pub use overrides::{Guarding, Instead, Overrides};
use perform::Performer;
use std::path::Path;
use tracing::{error, info, warn};
pub use witness::witness;

/// Exit code: everything was given up in order.
pub const EXIT_OK: u8 = 0;
/// Exit code: could not start; the line on stderr says why.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code: the configuration is wrong.
pub const EXIT_CONFIG: u8 = 2;
/// Exit code: a bug. Everything was given up as well as possible.
pub const EXIT_BUG: u8 = 70;
/// Exit code: missing privileges.
pub const EXIT_PRIVILEGES: u8 = 77;

/// Starts scripts for a daemon, in little memory: see [`STARTS`]. Returns the exit code.
#[must_use]
pub fn serve_as_starter() -> u8 {
    trim::Program::find().give_back();
    trim::heap();
    process::serve_as_starter()
}

/// Runs until told to stop. Returns the exit code.
#[must_use]
pub fn run(path: &Path, overrides: &Overrides) -> u8 {
    if let Err(error) = log::start(overrides) {
        return failed("cannot log", &error, &overrides.log);
    }
    if let Err(line) = privileges::check() {
        eprintln!("locum: {line}");
        return EXIT_PRIVILEGES;
    }
    let refused = |problems: Problems| {
        eprint!("{}", problems.render(false));
        if overrides.log != Log::Stderr {
            error!("the configuration is wrong:\n{problems}");
        }
        EXIT_CONFIG
    };
    let loaded = match overrides.load(path, config::Secrets::BarRouter) {
        Ok(loaded) => loaded,
        Err(problems) => return refused(problems),
    };
    if let Some(name) = &loaded.config.details.identity.namespace
        && let Err(line) = namespace::enter(name)
    {
        return failed("cannot start", &line, &overrides.log);
    }
    let loaded = match loaded.as_demanded() {
        Ok(loaded) => loaded,
        Err(problems) => return refused(problems),
    };
    let skipped = warned(&loaded);
    let config = loaded.config;
    if let Some(suffix) = config.details.identity.suffix() {
        log::name(&suffix);
    }
    limits::raise();
    // By what runs, whatever has come to its path meanwhile.
    process::start_by(Path::new("/proc/self/exe"));
    make_files(&config.details);
    tasks::keep_signals();
    let control = config.details.control.path.clone();
    let relay = replace::receive(&control);
    let (inbox, arrivals) = match Inbox::new() {
        Ok(both) => both,
        Err(error) => return failed("no event descriptor", &error, &overrides.log),
    };
    // Else buffers would lie on what reading the configuration has touched.
    trim::heap();
    let mut performer = match Performer::start(path, overrides, &config, skipped, &inbox, relay.is_some()) {
        Ok(performer) => performer,
        Err(error) => return failed("cannot start", &error, &overrides.log),
    };
    if let Err(error) = privileges::leave_groups() {
        return failed("cannot drop supplementary groups", &error, &overrides.log);
    }
    // Threads that are there already stay what they are.
    performer.scheduled.adopt(&config.details.scheduling);
    let (mut agent, effects) = Agent::new(&config.agent, now());
    agent.will(performer.ward.is_some());
    agent.succession(true);
    let mut core = Core::new(agent, performer, inbox, arrivals);
    core.tell_wall_clock();
    match chance() {
        Ok(chance) => core.decide(Input::Chance(chance)),
        Err(error) => error!("no vote without random numbers: {error}"),
    }
    core.decide(match relay {
        Some(relay) => Input::Relay(relay),
        None => Input::Remembered(state::read(&state::path(&control))),
    });
    core.carry_out(now(), effects);
    info!(node = %config.details.node, routers = config.agent.routers.len(), "locum {} runs", crate::VERSION);
    watchdog::ready();
    drop(config);
    trim::heap();
    core.guarded_loop()
}

/// Makes the files that checks look at and that are to be there from the start. Before anybody looks.
fn make_files(details: &Details) {
    for spec in details.checks.values() {
        if let Probe::File(file) = &spec.probe
            && let Err(line) = file.make()
        {
            warn!("{line}");
        }
    }
}

/// Logs what is odd about a configuration that is used. Returns what was left out of it, a line each.
fn warned(loaded: &Loaded) -> Vec<String> {
    for problem in &loaded.warnings {
        warn!("{problem}");
    }
    let skipped: Vec<_> = loaded.skipped.iter().map(Skipped::to_string).collect();
    for line in &skipped {
        warn!("left out: {line}");
    }
    skipped
}

fn failed(what: &str, error: &dyn std::error::Error, log: &Log) -> u8 {
    eprintln!("locum: {what}: {error}");
    // Whoever logs elsewhere may have no stderr. One who logs there is not told twice.
    if *log != Log::Stderr {
        error!("{what}: {error}");
    }
    EXIT_FAILURE
}
