//! The daemon: start-up, the loop, shutdown. The only place that knows deciders and doers both.
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

use crate::agent::{Agent, Effect, Input};
use crate::check::Probe;
use crate::config::keepalived::Skipped;
use crate::config::{self, Details, Loaded, Problems};
use crate::history::Event;
use crate::net::namespace;
use crate::process;
pub use crate::process::STARTS;
use crate::time::{Time, first};
use crate::vrrp::event::Wait;
use clock::{chance, now, wall_clock};
pub use guardian::{GUARDED, GUARDS, guard, managed};
use inbox::{Arrival, Inbox};
use later::Later;
pub use log::{Form, Log};
pub use overrides::{Guarding, Instead, Overrides};
use perform::Performer;
use poise::{Poise, Rest};
use sockets::Rung;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
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

/// Datagrams taken from one socket before timers get their turn: a flood delays no advert.
const DRAIN: usize = 128;
/// Packets that come closer upon each other than this are read together.
const BURST: Duration = Duration::from_millis(1);
/// How long packets gather that come even closer: to be woken for each costs more than to read it.
const GATHER: Duration = Duration::from_micros(250);
/// By how much the wall clock has to jump to be told. Kernel and network correct it by less at a time.
const CLOCK_WAS_SET: Duration = Duration::from_millis(1);
/// How long address work may take at the end.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(10);

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
    let mut core = Core {
        agent,
        performer,
        inbox,
        arrivals,
        later: Later::default(),
        wall_clock: None,
        due_at: None,
        read: Time::ZERO,
        crowded: false,
        poise: Poise::default(),
        spare: trim::Spare::new(now()),
        stopped: false,
    };
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

struct Core {
    agent: Agent,
    performer: Performer,
    inbox: Inbox,
    arrivals: Receiver<Arrival>,
    later: Later,
    /// What the wall clock read when the agent was last told, and when that was.
    wall_clock: Option<(Time, Duration)>,
    /// When something is to be done though nothing comes, as of the last sleep.
    due_at: Option<Time>,
    /// When packets were last read.
    read: Time,
    /// Packets come so close upon each other that they had better gather.
    crowded: bool,
    /// Whether a takeover is prepared.
    poise: Poise,
    /// What is given back that is seldom needed.
    spare: trim::Spare,
    stopped: bool,
}

impl Core {
    /// A bug must not leave two holders behind: give up everything, then say so.
    fn guarded_loop(mut self) -> u8 {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            while !self.stopped {
                self.turn();
            }
        }));
        watchdog::stopping();
        if ended.is_ok() {
            info!("everything is given up");
            let ward = self.performer.ward.take();
            let code = if self.performer.finish(GIVE_UP_WITHIN) { EXIT_OK } else { EXIT_FAILURE };
            logger::settle(true);
            if let Some(mut ward) = ward {
                ward.ends(code);
            }
            return code;
        }
        error!("a bug: giving up every address");
        self.performer.record.put(Event::Trouble { text: "a bug: every address is given up".to_owned() });
        let farewell = catch_unwind(AssertUnwindSafe(|| {
            self.decide(Input::Stop { at_once: true });
            while !self.later.is_empty() {
                self.catch_up();
            }
        }));
        if farewell.is_err() {
            error!("no farewell could be sent: the backups take over after the down interval");
        }
        self.performer.finish(GIVE_UP_WITHIN);
        EXIT_BUG
    }

    /// Waits for something, then lets the agent decide. Packets first: the advert that keeps us
    /// Backup is often in the queue already when our timer has run out.
    fn turn(&mut self) {
        let rung = self.sleep();
        let woken = now();
        let due = self.due_at.is_some_and(|at| at <= woken);
        if due && self.agent.has_overslept(woken) {
            self.decide(Input::Woke);
        }
        if self.agent.needs_clock() {
            self.tell_wall_clock();
        }
        if rung.packets {
            self.hear(woken, due);
        } else {
            self.crowded = false;
        }
        if rung.ballots {
            self.count_ballots();
        }
        if rung.caller {
            self.inbox.clear();
            self.take_arrivals();
        }
        if due {
            self.look_after(woken);
        }
        if !rung.caller && self.inbox.was_left() {
            // What can wait for this turn: no advert waits for it.
            self.take_arrivals();
        }
        if !self.later.is_empty() {
            self.catch_up();
        }
        if self.spare.is_due(woken, || self.next()) {
            self.spare.look(woken);
        }
    }

    fn hear(&mut self, woken: Time, due: bool) {
        // One advert is all there is, most of the time: to ask again costs as much as to read it.
        // Where more have come, or somebody is about to take over, all of it is read.
        let most = if due || woken.since(self.read) < BURST { DRAIN } else { 1 };
        let close = woken.since(self.read) < GATHER;
        self.read = woken;
        let (agent, mut again) = (&mut self.agent, 0);
        let datagrams = self.performer.sockets.drain(most, |came| {
            let done = agent.again(woken, came);
            again += usize::from(done);
            done
        });
        self.crowded = close || self.crowded && datagrams.len() + again > 1;
        for datagram in datagrams {
            self.decide(Input::Datagram(datagram));
        }
    }

    #[inline(never)]
    fn count_ballots(&mut self) {
        for bytes in self.performer.sockets.ballots() {
            if let Ok(chance) = chance() {
                self.decide(Input::Ballot { bytes, chance });
            }
        }
    }

    #[inline(never)]
    fn take_arrivals(&mut self) {
        for arrival in self.inbox.take(&self.arrivals) {
            self.accept(arrival);
        }
    }

    /// Does whatever was due when this turn began. What became due since then is the next one's.
    fn look_after(&mut self, woken: Time) {
        self.say_again(woken);
        let mut next = self.agent.due_at();
        if next.is_some_and(|at| at <= woken) {
            self.decide(Input::Tick);
            next = self.agent.due_at();
        }
        self.performer.look_after(woken, next);
        if self.performer.sockets.retry_at().is_some_and(|at| at <= woken) {
            self.retry_sockets(woken);
        }
        watchdog::pat(woken);
    }

    #[inline(never)]
    fn retry_sockets(&mut self, woken: Time) {
        for input in self.performer.sockets.attempt(woken) {
            self.decide(input);
        }
    }

    /// Sends what is due where that is what was sent before: nearly all that a Master does.
    fn say_again(&mut self, woken: Time) {
        let (mut first, mut failed) = (None, Vec::new());
        while let Some((due, said)) = self.agent.say_again(woken) {
            first.get_or_insert(due);
            failed.extend(said.iter().filter_map(|said| self.performer.sockets.send(said)));
        }
        if let Some(due) = first {
            // Of those that leave together the one that was due first is the latest.
            self.performer.sockets.lateness.note(now(), due);
        }
        if !failed.is_empty() {
            self.tell_failed(failed);
        }
    }

    #[inline(never)]
    fn tell_failed(&mut self, failed: Vec<Input>) {
        for input in failed {
            self.decide(input);
        }
    }

    /// Tells the agent what the wall clock reads, if somebody has set it.
    #[inline(never)]
    fn tell_wall_clock(&mut self) {
        let (at, reads) = (now(), wall_clock());
        let expected = self.wall_clock.map(|(told, read)| read.saturating_add(at.since(told)));
        if expected.is_none_or(|expected| expected.abs_diff(reads) > CLOCK_WAS_SET) {
            self.wall_clock = Some((at, reads));
            let effects = self.agent.handle(at, Input::Clock(reads));
            self.carry_out(at, effects);
        }
    }

    fn sleep(&mut self) -> Rung {
        self.due_at = self.next();
        let rest = |at: Time| at.since(now());
        if !self.later.is_empty() {
            return self.performer.sockets.sleep(Some(Duration::ZERO));
        }
        if self.crowded {
            thread::sleep(self.due_at.map_or(GATHER, |at| rest(at).min(GATHER)));
        }
        let longest = self.due_at.map(|at| self.rest(at));
        self.performer.sockets.sleep(longest)
    }

    /// How long to sleep before what is due then.
    fn rest(&mut self, at: Time) -> Duration {
        let (now, due) = (now(), self.agent.deadline());
        let rest = match due {
            Some((due, Wait::TakeOver)) if due == at => self.poise.before(now, at),
            _ => Rest::Sleep(poise::nap(at.since(now))),
        };
        match rest {
            Rest::Sleep(rest) => rest,
            Rest::Rouse => {
                self.performer.rouse(at + poise::REACH);
                Duration::ZERO
            }
            Rest::Stay => Duration::ZERO,
        }
    }

    /// Until when there is nothing to do, unless something comes.
    fn next(&self) -> Option<Time> {
        first([self.agent.due_at(), self.performer.look_at(), watchdog::deadline()])
    }

    fn accept(&mut self, arrival: Arrival) {
        match self.performer.translate(arrival) {
            Some(inbox::Meant::Left { at, input }) if self.agent.is_as_before(at, &input) => {}
            Some(inbox::Meant::Input(input) | inbox::Meant::Left { input, .. }) => self.decide(input),
            Some(inbox::Meant::Adopt { input, loaded }) => {
                // The details first: the effects of the reload look hosts and commands up there.
                self.performer.adopt(*loaded);
                self.spare.much(now());
                // Routers with keys may be new, and nobody has looked at the clock without.
                self.tell_wall_clock();
                self.decide(input);
            }
            Some(inbox::Meant::Dump(dump)) => {
                self.performer.dump(dump, &self.agent.status(now()), self.agent.config());
            }
            None => {}
        }
    }

    // What is seldom done has a frame of its own: that of an idle turn fits in a page.
    #[inline(never)]
    fn decide(&mut self, input: Input) {
        let at = now();
        let effects = self.agent.handle(at, input);
        self.carry_out(at, effects);
    }

    fn carry_out(&mut self, at: Time, effects: Vec<Effect>) {
        self.take_on(at, effects);
        self.catch_up();
    }

    /// Sends the adverts among these, and puts off the rest.
    fn take_on(&mut self, at: Time, effects: Vec<Effect>) {
        for advert in self.later.put(at, effects) {
            self.perform(at, advert);
        }
    }

    /// Does what was put off, until somebody is due.
    fn catch_up(&mut self) {
        while let Some((at, effect)) = self.later.take(|| self.agent.due_at().is_some_and(|due| due <= now()))
        {
            self.perform(at, effect);
        }
    }

    #[inline(never)]
    fn perform(&mut self, at: Time, effect: Effect) {
        self.stopped |= matches!(effect, Effect::Stopped);
        for input in self.performer.perform(effect, at) {
            let at = now();
            let effects = self.agent.handle(at, input);
            self.take_on(at, effects);
        }
    }
}
