//! Whole agents in one thread: a queue of what will happen, and the doers' part played by the model.

use super::lan::Lan;
use super::laws::{Law, Laws, Step};
use super::node::{Node, Seat};
use super::rng::Rng;
use super::sabotage::Sabotage;
use super::store::{Message, Store};
use super::trace::Trace;
use super::votes::Witness;
use crate::agent::{Agent, Config, Datagram, Input, Relay, Request, Standing, Ticket};
use crate::health::{CheckName, Outcome};
use crate::time::Time;
use crate::vrrp::Family;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a check reports.
const PROBING: Duration = Duration::from_secs(1);
/// What the slowest wall clock reads at the beginning.
pub(super) const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// Something that reaches an agent.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub input: Input,
    /// For packets: who sent it, when, and whether it is as it was sent.
    pub packet: Option<Packet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub from: Option<usize>,
    pub sent: Time,
    /// False for packets that every receiver must refuse.
    pub valid: bool,
}

#[derive(Debug)]
pub(super) enum Happening {
    Arrive {
        node: usize,
        life: u32,
        arrival: Arrival,
    },
    Probe {
        node: usize,
        life: u32,
        check: CheckName,
        generation: u32,
    },
    /// A datagram of the vote reaches a witness.
    Vote {
        witness: usize,
        life: u32,
        bytes: Vec<u8>,
        chance: u64,
    },
    /// A message of an errand reaches the store, or comes back.
    Errand {
        number: u64,
        message: Message,
    },
    /// An errand has taken too long.
    Late {
        number: u64,
    },
    /// The process that takes the place of a node's is there.
    Successor {
        node: usize,
        life: u32,
        relay: Box<Relay>,
    },
}

/// A change of a router's state, as its host's hooks saw it; or its end with its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Time,
    /// Where.
    pub node: usize,
    /// Of which virtual router.
    pub seat: Seat,
    /// What it was.
    pub from: Standing,
    /// What it is.
    pub to: Standing,
    /// Why, for people.
    pub why: String,
}

/// An advert as it left a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Time,
    /// Who.
    pub node: usize,
    /// For which virtual router and in which family.
    pub seat: Seat,
    /// The family it went out in.
    pub family: Family,
    /// Its priority; 0 is the farewell.
    pub priority: u8,
}

/// The simulated world.
#[derive(Debug)]
pub struct World {
    /// Now.
    pub now: Time,
    /// The hosts.
    pub nodes: Vec<Node>,
    /// What is between them.
    pub lan: Lan,
    /// What is between them besides, where routers have a second path.
    pub(super) second: Option<Lan>,
    /// Every change of state so far.
    pub changes: Vec<Change>,
    /// Every advert so far.
    pub sent: Vec<Sent>,
    /// What happened.
    pub trace: Trace,
    /// What must never happen.
    pub laws: Laws,
    pub(super) witnesses: Vec<Witness>,
    pub(super) store: Option<Store>,
    pub(super) rng: Rng,
    pub(super) sabotage: Option<Sabotage>,
    /// How often all have got another key.
    pub(super) keys_rolled: u8,
    /// How long addresses take to be there, and to be announced.
    pub(super) holding: Duration,
    queue: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
}

/// How long the kernel takes to put addresses on an interface.
const HOLDING: Duration = Duration::from_micros(300);

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(lan: Lan, rng: Rng, trace: Trace) -> Self {
        World {
            now: Time::ZERO,
            nodes: Vec::new(),
            lan,
            second: None,
            changes: Vec::new(),
            sent: Vec::new(),
            trace,
            laws: Laws::default(),
            witnesses: Vec::new(),
            store: None,
            rng,
            sabotage: None,
            keys_rolled: 0,
            holding: HOLDING,
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Lets everything happen that happens until `end`, inclusive.
    pub fn run_until(&mut self, end: Time) {
        while let Some((at, node)) = self.next().filter(|(at, _)| *at <= end) {
            if !self.laws.are_kept() {
                return;
            }
            self.now = self.now.max(at);
            match node {
                Some(node) => self.feed(node, Arrival { input: Input::Tick, packet: None }),
                None => self.happen(),
            }
        }
        self.now = self.now.max(end);
    }

    /// The same for a span.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// What comes next: a node's deadline, or the head of the queue. Packets go before timers.
    fn next(&self) -> Option<(Time, Option<usize>)> {
        let awake = self.nodes.iter().enumerate().filter(|(_, node)| node.is_awake());
        let ticks = awake
            .filter_map(|(index, node)| Some((self.due(index, node.agent.as_ref()?.due_at()?), Some(index))));
        let queued = self.queue.keys().next().map(|(at, _)| (*at, None));
        ticks.chain(queued).min_by_key(|(at, node)| (*at, node.is_some()))
    }

    /// When what an agent is to do at `at` is due.
    fn due(&self, node: usize, at: Time) -> Time {
        let at = self.nodes[node].clock.when(at);
        self.sabotage.map_or(at, |sabotage| sabotage.tick_at(node, at))
    }

    /// What an agent is told that it is.
    pub(super) fn agent_time(&self, node: usize) -> Time {
        let now = self.nodes[node].clock.reads(self.now);
        self.sabotage.map_or(now, |sabotage| sabotage.clock(node, now))
    }

    /// What an agent is configured to be.
    fn configured(&self, node: usize, mut config: Config) -> Config {
        if let Some(sabotage) = self.sabotage {
            sabotage.configured(node, &mut config);
        }
        config
    }

    fn happen(&mut self) {
        let Some((_, happening)) = self.queue.pop_first() else { return };
        match happening {
            Happening::Arrive { node, life, arrival } => {
                if self.nodes[node].life == life && self.nodes[node].agent.is_some() {
                    self.feed(node, arrival);
                }
            }
            Happening::Probe { node, life, check, generation } => {
                let alive = self.nodes[node].life == life;
                if alive && self.nodes[node].probes.get(&check) == Some(&generation) {
                    let failing = self.nodes[node].failing.contains(&check);
                    let verdict = if failing { Err("connection refused".to_owned()) } else { Ok(()) };
                    let value = self.nodes[node].numbers.get(&check).copied().flatten();
                    let outcome = Outcome { verdict, latency: Duration::from_millis(1), value };
                    self.later(PROBING, Happening::Probe { node, life, check: check.clone(), generation });
                    self.give(node, Input::Outcome(check, outcome));
                }
            }
            Happening::Vote { witness, life, bytes, chance } => self.vote(witness, life, &bytes, chance),
            Happening::Errand { number, message } => self.errand(number, message),
            Happening::Late { number } => self.late(number),
            Happening::Successor { node, life, relay } => {
                if self.nodes[node].life == life && self.nodes[node].agent.is_none() {
                    self.boot(node, Some(relay));
                }
            }
        }
    }

    pub(super) fn later(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), happening);
    }

    pub(super) fn report(&mut self, after: Duration, node: usize, input: Input) {
        let life = self.nodes[node].life;
        self.later(after, Happening::Arrive { node, life, arrival: Arrival { input, packet: None } });
    }

    /// Gives a node something that is no packet.
    pub(super) fn give(&mut self, node: usize, input: Input) {
        self.feed(node, Arrival { input, packet: None });
    }

    fn feed(&mut self, node: usize, arrival: Arrival) {
        if self.nodes[node].frozen {
            return self.nodes[node].inbox.push(arrival);
        }
        let (now, tick) = (self.now, arrival.input == Input::Tick);
        self.laws.arriving(&self.nodes, node, now, &arrival);
        let Some(mut agent) = self.nodes[node].agent.take() else { return };
        let arrival = match self.sabotage {
            Some(sabotage) => sabotage.incoming(&mut self.nodes[node], arrival),
            None => Some(arrival),
        };
        let Some(Arrival { input, packet }) = arrival else {
            self.nodes[node].agent = Some(agent);
            return;
        };
        let before = agent.due_at().map(|at| self.due(node, at));
        let step = Step { node, now, packet, tick, before };
        let mut effects = agent.handle(self.agent_time(node), input);
        if let Some(sabotage) = self.sabotage {
            sabotage.outgoing(&mut self.nodes[node], &mut effects);
        }
        let after = agent.deadline();
        self.nodes[node].agent = Some(agent);
        let after = after.map(|(at, _)| self.due(node, at));
        self.laws.answered(&self.nodes, &step, after, &effects);
        for effect in effects {
            self.perform(node, effect);
        }
        self.had_a_turn(node);
        self.laws.settled(&self.nodes, &step);
    }

    /// Puts a packet that no node sent onto a node's wire.
    pub fn inject(&mut self, after: Duration, node: usize, datagram: Datagram, valid: bool) {
        let packet = Some(Packet { from: None, sent: self.now, valid });
        let life = self.nodes[node].life;
        let arrival = Arrival { input: Input::Datagram(datagram), packet };
        self.later(after, Happening::Arrive { node, life, arrival });
    }

    /// The process is no more: nothing of it remains but what the kernel has.
    pub(super) fn end(&mut self, node: usize) {
        let host = &mut self.nodes[node];
        host.agent = None;
        host.life += 1;
        host.frozen = false;
        host.stopping = None;
        for (name, seat) in &host.seats {
            let from = host.standing.get(name).copied().unwrap_or(Standing::Stop);
            if let Some(seat) = Some(*seat).filter(|_| from != Standing::Stop) {
                let (at, to, why) = (self.now, Standing::Stop, "the process ended".to_owned());
                self.changes.push(Change { at, node, seat, from, to, why });
            }
        }
        let held = std::mem::take(&mut host.held);
        for (instance, leased) in &mut host.leased {
            leased.left = held.get(instance).is_some_and(|held| held.leaving.is_some());
        }
        host.leftovers.extend(held.into_values().flat_map(|held| held.addresses));
        host.orphans.extend(std::mem::take(&mut host.leased).into_values());
        host.ordered.clear();
        host.inbox.clear();
        host.listening.clear();
        host.probes.clear();
        host.standing.clear();
        host.told.clear();
        host.tickets.clear();
        host.rhythm.clear();
        host.said.clear();
        self.laws.forget(node);
    }

    /// Starts a node's process; one that runs is ended first.
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].agent.is_some() {
            self.end(node);
        }
        self.trace.note(self.now, &self.nodes[node].name, b'B', &[], || "starts");
        // Start-up sweeps what an earlier process left behind.
        self.nodes[node].leftovers.clear();
        self.nodes[node].orphans.clear();
        self.boot(node, None);
    }

    /// Another process takes the place of a node's, which hands over what it is and is gone; for a while
    /// nobody is there.
    pub fn replace(&mut self, node: usize, gap: Duration) {
        self.trace.note(self.now, &self.nodes[node].name, b'B', &[1], || "is replaced");
        self.give(node, Input::Replace);
        // Whoever stops is not replaced.
        if let Some(relay) = self.nodes[node].relay.take() {
            self.end(node);
            let life = self.nodes[node].life;
            self.later(gap, Happening::Successor { node, life, relay });
        }
    }

    fn boot(&mut self, node: usize, relay: Option<Box<Relay>>) {
        let config = self.configured(node, self.nodes[node].config.clone());
        let (mut agent, effects) = Agent::new(&config, self.agent_time(node));
        agent.succession(!self.lan.one_farewell);
        agent.will(self.nodes[node].config.claims.is_some());
        self.nodes[node].agent = Some(agent);
        for effect in effects {
            self.perform(node, effect);
        }
        self.give(node, Input::Clock(self.wall_clock(node)));
        if self.nodes[node].config.claims.is_some() {
            let chance = self.rng.draw().max(1);
            self.give(node, Input::Chance(chance));
        }
        if let Some(relay) = relay {
            self.give(node, Input::Relay(relay));
        } else if let Some(memory) = self.nodes[node].memory.clone() {
            self.give(node, Input::Remembered(memory));
        }
        for link in self.nodes[node].links.clone() {
            self.give(node, Input::Link(link));
        }
        self.give(node, Input::LinksReady);
    }

    /// What a node's wall clock reads.
    fn wall_clock(&self, node: usize) -> Duration {
        self.wall() + self.nodes[node].clock_ahead
    }

    /// Somebody sets a node's wall clock, to so much more than the slowest there can be.
    pub fn set_clock(&mut self, node: usize, ahead: Duration) {
        self.trace.note(self.now, &self.nodes[node].name, b'G', &[], || format!("sets its clock {ahead:?}"));
        self.nodes[node].clock_ahead = ahead;
        self.give(node, Input::Clock(self.wall_clock(node)));
    }

    /// A node's process vanishes. `swept`: a guardian takes its addresses off the interface, and gives its claims back.
    pub fn crash(&mut self, node: usize, swept: bool) {
        self.trace.note(self.now, &self.nodes[node].name, b'C', &[u8::from(swept)], || "crashes");
        let wills = std::mem::take(&mut self.nodes[node].wills);
        self.end(node);
        if swept {
            self.nodes[node].leftovers.clear();
            if self.sabotage != Some(Sabotage::HastyGuardian) {
                self.nodes[node].orphans.clear();
            }
            self.carry_out(node, wills);
        }
    }

    /// A node's process is told to stop.
    pub fn stop(&mut self, node: usize, at_once: bool) {
        self.trace.note(self.now, &self.nodes[node].name, b'Q', &[], || "is told to stop");
        self.nodes[node].stopping.get_or_insert(self.now);
        self.give(node, Input::Stop { at_once });
    }

    /// A node's process sleeps: time passes, packets queue up.
    pub fn freeze(&mut self, node: usize) {
        self.trace.note(self.now, &self.nodes[node].name, b'Z', &[], || "is frozen");
        self.nodes[node].frozen = true;
        self.laws.forget(node);
    }

    /// It wakes: first comes what queued up, then the timers.
    pub fn thaw(&mut self, node: usize) {
        self.trace.note(self.now, &self.nodes[node].name, b'W', &[], || "wakes");
        let (now, host) = (self.now, &mut self.nodes[node]);
        host.frozen = false;
        host.rhythm.clear();
        host.stopping = host.stopping.map(|_| now);
        host.held.values_mut().for_each(|held| held.leaving = held.leaving.map(|_| now));
        let time = self.agent_time(node);
        if self.nodes[node].agent.as_ref().is_some_and(|agent| agent.has_overslept(time)) {
            self.give(node, Input::Woke);
        }
        for mut arrival in std::mem::take(&mut self.nodes[node].inbox) {
            // That its clock was set is what queued up. What it reads, it sees now.
            if let Input::Clock(reading) = &mut arrival.input {
                *reading = self.wall_clock(node);
            }
            self.feed(node, arrival);
        }
    }

    /// Somebody asks a node's agent.
    pub fn ask(&mut self, node: usize, request: Request) {
        if self.nodes[node].agent.is_none() {
            return;
        }
        self.sequence += 1;
        let ticket = Ticket(self.sequence);
        self.trace.note(self.now, &self.nodes[node].name, b'?', &[], || format!("is asked {request:?}"));
        self.nodes[node].tickets.insert(ticket, self.now);
        self.give(node, Input::Request(ticket, request));
    }

    /// A node's configuration changes; its process, if any, is told at once.
    pub fn reload(&mut self, node: usize, config: Config) {
        self.trace.note(self.now, &self.nodes[node].name, b'I', &[], || "reloads another configuration");
        let running = self.nodes[node].config.routers.iter().map(|router| router.interval.duration()).max();
        let host = &mut self.nodes[node];
        host.retuned_until = host.retuned_until.max(self.now + running.unwrap_or_default());
        host.configure(config.clone());
        host.rhythm.clear();
        self.laws.forget(node);
        let config = Box::new(self.configured(node, config));
        self.give(node, Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config });
    }

    /// A node's process is told to load the configuration that it has: nothing may come of it.
    pub fn reload_equal(&mut self, node: usize) {
        if !self.nodes[node].is_awake() {
            return;
        }
        let config = Box::new(self.configured(node, self.nodes[node].config.clone()));
        let time = self.agent_time(node);
        let Some(agent) = self.nodes[node].agent.as_mut() else { return };
        let before = agent.deadline();
        if let Some(Sabotage::AmnesiaOnReload) = self.sabotage {
            *agent = Agent::new(&config, time).0;
            agent.succession(!self.lan.one_farewell);
        }
        let effects =
            agent.handle(time, Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config });
        if !effects.is_empty() || agent.deadline() != before {
            let text = format!("loading an equal configuration did {effects:?} or moved a deadline");
            self.laws.broken(Law::EqualReload, self.now, &self.nodes[node], text);
        }
    }

    /// Whether a node's router stepped back for a while, since its addresses were not to be held.
    pub(super) fn has_stepped_back(&self) -> bool {
        self.changes.iter().any(|change| change.to == Standing::Fault && change.why.contains("address"))
    }
}
