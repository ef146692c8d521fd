//! A rehearsal: what hosts with given configurations do, by the real agents, without chance and with
//! no faults but those that are asked for. Nothing is judged here: it shows what would happen.

use super::judge;
use super::lan::Lan;
use super::node::{Node, Seat};
use super::rng::Rng;
use super::setup;
use super::trace::Trace;
use super::world::{Change, World};
use crate::agent::status::Status;
use crate::agent::{Config, Input, Outgoing, Standing};
use crate::health::{CheckName, Outcome};
use crate::time::Time;
use crate::vrrp::Family;
use std::time::Duration;

/// How long the first results of checks may take, for each pass that brings one up.
const RESULT: Duration = Duration::from_secs(1);

/// Short, and not nothing: else a host hears what another one does at the same moment.
const DELAY: Duration = Duration::from_micros(1);

/// What a check says from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is well.
    Passes,
    /// It is not.
    Fails,
    /// It reads this number.
    Reads(i32),
}

/// Hosts on a LAN that delivers everything, almost at once.
#[derive(Debug)]
pub struct Rehearsal {
    world: World,
}

impl Rehearsal {
    /// A host for each of `configs`; none runs yet. Every check passes. Where a configuration does not say
    /// otherwise, later hosts have greater addresses.
    #[must_use]
    pub fn new(configs: &[Config]) -> Self {
        let mut world = World::new(Lan::clean(DELAY), Rng::new(0), Trace::new(false));
        world.laws.suspended = true;
        world.nodes = setup::given(configs);
        world.appoint();
        for node in &mut world.nodes {
            // A check that is inverse is well while its probe fails.
            let inverse = node.config.checks.iter().filter(|check| check.inverse);
            node.failing = inverse.map(|check| check.name.clone()).collect();
        }
        Rehearsal { world }
    }

    /// The time since the beginning.
    #[must_use]
    pub fn now(&self) -> Time {
        self.world.now
    }

    /// Starts a host's daemon.
    pub fn start(&mut self, node: usize) {
        self.world.start(node);
    }

    /// Waits until everything that follows from what was done has happened.
    pub fn settle(&mut self) {
        let configs = || self.world.nodes.iter().map(|node| &node.config);
        let rises = configs().flat_map(|config| &config.checks).map(|check| check.rise).max();
        let links = configs().flat_map(|config| config.link_delays.values());
        let longest = links.map(|delay| delay.up.max(delay.down)).max().unwrap_or_default();
        let checks = RESULT * rises.unwrap_or(0).saturating_add(1);
        let (down, hold) = (judge::longest_down(&self.world), judge::longest_hold(&self.world));
        self.world.run_for(down * 3 + hold + checks + longest);
    }

    /// Waits for the next advert of a Master, the worst moment for anything to happen to it.
    pub fn await_advert(&mut self, node: usize, seat: Seat) {
        let last = self.world.sent.iter().rev().find(|sent| sent.node == node && sent.seat == seat);
        let router = judge::router(&self.world.nodes[node], seat);
        if let (Some(last), Some(router)) = (last, router) {
            let next = last.at + router.interval.duration();
            self.world.run_until(next);
        }
    }

    /// A check has another result, as often as it takes to count.
    pub fn find(&mut self, node: usize, check: &CheckName, finding: Finding) {
        let host = &mut self.world.nodes[node];
        let Some(config) = host.config.checks.iter().find(|known| known.name == *check).cloned() else {
            return;
        };
        if let Some(link) = &config.link {
            return self.set_link(node, link, (finding == Finding::Passes) != config.inverse);
        }
        let value = match finding {
            Finding::Reads(number) => Some(number),
            Finding::Passes | Finding::Fails => None,
        };
        if (finding == Finding::Fails) == config.inverse {
            host.failing.remove(check);
        } else {
            host.failing.insert(check.clone());
        }
        host.numbers.insert(check.clone(), value);
        for _ in 0..config.rise.max(config.fall) {
            let failing = self.world.nodes[node].failing.contains(check);
            let verdict = if failing { Err("it fails".to_owned()) } else { Ok(()) };
            let outcome = Outcome { verdict, latency: Duration::ZERO, value };
            self.world.give(node, Input::Outcome(check.clone(), outcome));
        }
    }

    /// An interface of a host loses or regains its carrier.
    pub fn set_link(&mut self, node: usize, name: &str, up: bool) {
        let found = self.world.nodes[node].links.iter_mut().find(|link| link.name == name);
        if let Some(link) = found {
            link.up = up;
            let link = link.clone();
            self.world.give(node, Input::Link(link));
        }
    }

    /// Nobody hears anybody, until [`Rehearsal::join`].
    pub fn part(&mut self) {
        self.world.lan.sides = (0..self.world.members()).collect();
    }

    /// Everybody hears everybody again.
    pub fn join(&mut self) {
        self.world.lan.sides.clear();
    }

    /// A host dies.
    pub fn kill(&mut self, node: usize) {
        self.world.crash(node, true);
    }

    /// A host's daemon is told to stop.
    pub fn stop(&mut self, node: usize) {
        self.world.stop(node, false);
    }

    /// Who is Master now: one, unless they do not hear each other.
    #[must_use]
    pub fn masters(&self, seat: Seat) -> Vec<usize> {
        let leads = |node: &Node| node.is_master(seat);
        self.world.nodes.iter().enumerate().filter(|(_, node)| leads(node)).map(|(at, _)| at).collect()
    }

    /// What a host's own status says; `None` where it does not run.
    #[must_use]
    pub fn status(&self, node: usize) -> Option<Status> {
        Some(self.world.nodes.get(node)?.agent.as_ref()?.status(self.world.now))
    }

    /// The last change of a host to this state, no earlier than `since`.
    #[must_use]
    pub fn became(&self, node: usize, seat: Seat, state: Standing, since: Time) -> Option<&Change> {
        let found = |change: &&Change| {
            change.node == node && change.seat == seat && change.to == state && change.at >= since
        };
        self.world.changes.iter().rev().find(found)
    }

    /// The copies of the last advert of a host, one for each receiver.
    #[must_use]
    pub fn adverts(&self, node: usize, seat: Seat, family: Family) -> Vec<&Outgoing> {
        let last = self.world.nodes.get(node).into_iter().flat_map(|node| node.adverts.values());
        last.filter(|(of, out)| *of == seat && Family::of(out.source) == family).map(|(_, out)| out).collect()
    }
}
