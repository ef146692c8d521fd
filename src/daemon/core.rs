//! The loop: the core sleeps, hears, decides and sends, and hands all else on.
//!
//! Its start is the daemon's; what it decides is the agent's, and how that is done `perform`'s.

use super::clock::{chance, now, wall_clock};
use super::inbox::{self, Arrival, Inbox};
use super::later::Later;
use super::perform::Performer;
use super::poise::{self, Poise, Rest};
use super::sockets::Rung;
use super::{EXIT_BUG, EXIT_FAILURE, EXIT_OK, logger, trim, watchdog};
use crate::agent::{Agent, Effect, Input};
use crate::history::Event;
use crate::time::{Time, first};
use crate::vrrp::event::Wait;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use tracing::{error, info};

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

/// The core: what it knows, and whoever does what it decides.
pub(super) struct Core {
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
    pub(super) fn new(agent: Agent, performer: Performer, inbox: Inbox, arrivals: Receiver<Arrival>) -> Self {
        Core {
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
        }
    }

    /// A bug must not leave two holders behind: give up everything, then say so.
    pub(super) fn guarded_loop(mut self) -> u8 {
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
    pub(super) fn tell_wall_clock(&mut self) {
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
            Rest::GetReady => {
                self.performer.get_ready();
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
    pub(super) fn decide(&mut self, input: Input) {
        let at = now();
        let effects = self.agent.handle(at, input);
        self.carry_out(at, effects);
    }

    pub(super) fn carry_out(&mut self, at: Time, effects: Vec<Effect>) {
        self.take_on(at, effects);
        self.catch_up();
    }

    /// Does what leaves at once of these, and puts off the rest.
    fn take_on(&mut self, at: Time, effects: Vec<Effect>) {
        for effect in self.later.put(at, effects) {
            self.perform(at, effect);
        }
        if !self.performer.held.is_empty() && self.poise.is_for(at) {
            // The holder may be waiting for this processor.
            thread::sleep(poise::GIVES_WAY);
        }
        self.performer.tell_held();
    }

    /// Does what was put off, until somebody is due.
    fn catch_up(&mut self) {
        while let Some((at, effect)) = self.later.take(|| self.agent.due_at().is_some_and(|due| due <= now()))
        {
            self.perform(at, effect);
            self.performer.tell_held();
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
