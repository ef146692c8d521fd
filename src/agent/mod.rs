//! The agent: owns every router, routes what comes in, and answers with what shall be done.
//!
//! The contract: call [`Agent::handle`] with the time and whatever happened, carry out the returned
//! effects in their order, and call it with [`Input::Tick`] when [`Agent::due_at`] has come.
//! The same inputs at the same times give the same effects, always.

mod again;
mod ahead;
mod claim_relay;
mod claim_reload;
mod claimants;
mod claims;
pub mod cluster;
pub mod config;
pub mod damping;
mod deadlines;
pub mod effect;
mod fixed;
pub mod holding;
pub mod incident;
pub mod intruders;
pub mod lateness;
pub mod link;
mod links;
pub mod memory;
mod orders;
mod peers;
mod receive;
mod record_status;
pub mod relay;
pub mod reload;
pub mod request;
pub mod rivals;
pub mod route;
mod router;
mod second_path;
mod send;
mod set;
mod settle;
mod snapshot;
pub mod status;
mod store;
mod succession;
pub mod transition;
mod words;

pub use again::Came;
pub use config::Config;
pub use effect::{
    CheckChange, Consulted, Datagram, Effect, HookEnd, Input, Inquiry, InstanceId, Listen, Note, Outgoing,
    Will,
};
pub use holding::{Holding, Install, VirtualInterface, VirtualMac, Vmac};
pub use incident::Incident;
pub use intruders::Intruder;
pub use lateness::Lateness;
pub use link::{Link, LinkAddress};
pub use memory::Memory;
pub use relay::Relay;
pub use request::{Request, Response, Ticket};
pub use rivals::{Mac, Rival, Sighting};
pub use route::{Hop, Network, Route, RouteKind, RouteOption, Rule, RuleAction};
pub use second_path::SecondPath;
pub use transition::{RouterName, Standing, Subject, Transition};

use crate::health::{CheckName, Health};
use crate::time::Time;
use crate::vrrp::group::Steps;
use crate::vrrp::instance::{Action, Event, First, Instance};
use crate::vrrp::why::Why;
use crate::vrrp::{Family, Vrid};
use deadlines::Deadlines;
use fixed::Fixed;
use intruders::Intruders;
use links::Links;
use orders::count;
use router::Router;
use set::{Seat, Set};
use settle::News;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The routers of a set, and what each of them was.
type Standings = SmallVec<[(usize, Standing); 4]>;

/// Decides for one host. See the module for the contract.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct Agent {
    routers: Vec<Router>,
    sets: Vec<Set>,
    groups: Vec<config::Group>,
    /// Whose a packet may be, by VRID and family.
    by_vrid: BTreeMap<(Vrid, Family), Vec<Seat>>,
    /// Whose each instance is.
    by_id: BTreeMap<InstanceId, Seat>,
    /// Which set is due next.
    deadlines: Deadlines,
    checks: BTreeMap<CheckName, Health>,
    /// The checks in the order of the configuration.
    check_order: Vec<CheckName>,
    links: Links,
    intruders: Intruders,
    fixed: Fixed,
    paces: Vec<config::Pace>,
    /// Some router signs its adverts by the wall clock.
    signs: bool,
    /// Somebody wants to have the farewells beforehand.
    willed: bool,
    /// Words about who is next are said and heard.
    succession: bool,
    /// When the first router that could not hold its addresses tries again.
    retry_at: Option<Time>,
    /// When it is decided whether the first suspect is a rival.
    judge_at: Option<Time>,
    /// Nobody takes part before this.
    start_at: Option<Time>,
    start_delay: std::time::Duration,
    /// Sockets that could not be opened, and why.
    sockets: BTreeMap<(String, Family), String>,
    listening: BTreeSet<Listen>,
    vips: BTreeSet<IpAddr>,
    /// Handovers that ended, until all of their ticket have.
    moved: BTreeMap<Ticket, Vec<request::Moved>>,
    /// What the wall clock read, and when.
    clock: Option<(Time, Duration)>,
    keeping: memory::Keeping,
    /// The last advert, where the next one will do the same.
    again: Option<again::Again>,
    /// How much has come in that may change what a Master says.
    inputs: u64,
    /// What the process before this one was, until it is taken up.
    relay: Option<Box<Relay>>,
    /// When what is being done now was due, where its time had come.
    due: Option<Time>,
    /// Who grants claims.
    voting: Option<config::Claims>,
    claims: Option<claimants::Claims>,
    /// Drawn for this start.
    chance: Option<u64>,
    judged: u64,
    next_id: u32,
    stopping: bool,
    stopped: bool,
}

impl Agent {
    /// An agent for `config`, and the first things it wants done.
    #[must_use]
    pub fn new(config: &Config, now: Time) -> (Self, Vec<Effect>) {
        let start_at = (!config.start_delay.is_zero()).then(|| now + config.start_delay);
        let mut agent = Agent { start_at, ..Agent::default() };
        let effects = agent.adopt(now, config);
        (agent, effects)
    }

    /// Moves the agent. Returns what shall be done, in order.
    #[must_use]
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.is_as_before(now, &input) {
            return effects;
        }
        self.again = None;
        self.inputs += u64::from(!matches!(input, Input::Tick));
        match input {
            Input::Clock(since_epoch) => {
                if self.clock.replace((now, since_epoch)).is_none() {
                    self.begin_claims(now, &mut effects);
                    self.settle(now, News::All, &mut effects);
                }
            }
            Input::Chance(chance) => {
                self.chance = Some(chance);
                self.begin_claims(now, &mut effects);
            }
            Input::Ballot { bytes, chance } => self.ballot(now, &bytes, chance, &mut effects),
            Input::Consulted(consulted) => self.consulted(now, consulted, &mut effects),
            Input::Released { instance } => self.released(now, instance, &mut effects),
            Input::Remembered(memory) => self.remembered(memory),
            Input::Relay(relay) => self.expect(now, relay, &mut effects),
            Input::Replace => self.replace(now, &mut effects),
            Input::Tick => self.tick(now, &mut effects),
            Input::Woke => self.wake(now, &mut effects),
            Input::Datagram(datagram) => self.receive(now, &datagram, &mut effects),
            Input::Link(link) => self.link_is(now, link, &mut effects),
            Input::LinkGone(name) => self.link_gone(now, &name, &mut effects),
            Input::LinksReady => {
                self.links.ready = true;
                self.relink(now, News::All, &mut effects);
            }
            Input::Socket { interface, family, result } => {
                match result {
                    Ok(()) => self.sockets.remove(&(interface, family)),
                    Err(line) => self.sockets.insert((interface, family), line),
                };
                self.settle(now, News::All, &mut effects);
            }
            Input::SendFailed { instance, error } => {
                if let Some((router, member)) = self.find(instance) {
                    let member = &mut self.routers[router].members[member];
                    member.send_errors += 1;
                    member.last_send_error = Some((now, error));
                }
            }
            Input::Held { instance: fixed::OWNER, result } => effects.extend(self.fixed.held(result)),
            Input::Restored { instance: fixed::OWNER, address } => {
                effects.extend(self.fixed.restored(now, address));
            }
            Input::Held { instance, result } => self.held(now, instance, result, &mut effects),
            Input::Restored { instance, address } => self.restored(now, instance, address, &mut effects),
            Input::Evicted(intruder, result) => self.evicted(now, &intruder, result, &mut effects),
            Input::Sighted(sighting) => self.sighted(now, sighting, &mut effects),
            Input::Answered { instance, result } => self.answered(instance, result, &mut effects),
            Input::Announced { instance, sent, failed } => {
                if let Some((router, place)) = self.find(instance) {
                    let member = &mut self.routers[router].members[place];
                    member.announced += u64::from(sent);
                    member.announce_errors += u64::from(failed);
                    // A report from before the addresses were here is about an earlier time.
                    if member.held && self.instance(router, place).first() == First::Waits {
                        self.pass_member(now, router, place, Event::Announced, &mut effects);
                    }
                }
            }
            Input::Outcome(name, outcome) => {
                if self.checks.get_mut(&name).is_some_and(|check| count(check, now, outcome, &mut effects)) {
                    self.settle(now, News::Check(&name), &mut effects);
                }
            }
            Input::HookEnded(end) => self.hook_ended(&end),
            Input::Request(ticket, request) => self.request(now, ticket, request, &mut effects),
            Input::Reload { ticket, dry_run, besides, config } => {
                self.reload(now, (ticket, dry_run), besides, &config, &mut effects);
            }
            Input::Stop { at_once } => self.stop(now, at_once, &mut effects),
        }
        self.finish_stop(now, &mut effects);
        effects
    }

    /// How often a router was judged anew: by this tests see how the work grows with the routers.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// Whether it has to be told when the wall clock is set.
    #[must_use]
    pub fn needs_clock(&self) -> bool {
        self.signs
    }

    /// What the wall clock reads, since the Unix epoch.
    fn wall_clock(&self, now: Time) -> Option<Duration> {
        self.clock.map(|(at, since_epoch)| since_epoch.saturating_add(now.since(at)))
    }

    /// Whether this process was stopped for so long that it has to be told [`Input::Woke`] before anything else.
    #[must_use]
    pub fn has_overslept(&self, now: Time) -> bool {
        // Less than that nobody minds, and then only one deadline is looked at.
        let late = self.deadlines.first().is_some_and(|(at, _)| now.since(at) >= Duration::from_secs(1));
        late && self.sets.iter().any(|set| set.group.overslept(now).is_some())
    }

    /// Gives up what it cannot rely on any more; takes nothing, since it has heard nothing yet.
    fn wake(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for set in 0..self.sets.len() {
            if self.sets[set].group.overslept(now).is_some() {
                let event = if self.gave_its_claim(set) { Event::Outvoted } else { Event::Tick };
                self.pass(now, set, &event, effects);
            }
        }
    }

    fn tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        // A tick puts off the deadline it was for. Each set has its turn here, and none has many.
        for _ in 0..self.sets.len() {
            let Some((at, set)) = self.deadlines.first().filter(|(at, _)| *at <= now) else { break };
            if let Some((due, said)) = self.say_again(now) {
                let again = |said: &Outgoing| Effect::Send(Outgoing { due: Some(due), ..said.clone() });
                effects.extend(said.iter().map(again));
                continue;
            }
            let before = effects.len();
            self.due = Some(at);
            self.turn(now, set, effects);
            self.keep_said(set, &effects[before..]);
        }
        self.due = None;
        self.judge_rivals(now, effects);
        let mut news = self.retry_at.take_if(|at| *at <= now).is_some();
        for router in self.routers.iter_mut().filter(|_| news) {
            router.contested.take_if(|(_, at)| *at <= now);
            router.evictions.paused_until.take_if(|at| *at <= now);
        }
        news |= self.start_at.take_if(|at| *at <= now).is_some();
        if self.links.tick(now) || news {
            self.inputs += 1;
            self.relink(now, News::All, effects);
            self.evict(now, effects);
        }
    }

    fn instance(&self, router: usize, member: usize) -> &Instance {
        let router = &self.routers[router];
        &self.sets[router.set].group.members()[router.members[member].seat]
    }

    fn standing(&self, router: usize) -> Standing {
        self.routers[router].standing(&self.sets)
    }

    /// Sends an event to a whole set, and everything that follows from it to the world.
    fn pass(&mut self, now: Time, set: usize, event: &Event, effects: &mut Vec<Effect>) {
        let before = self.standings(set);
        let steps = self.sets[set].group.handle(now, event);
        self.follow(now, set, &before, steps, effects);
        self.follow_group(set, &before, effects);
    }

    /// The same for one member of a router.
    fn pass_member(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        event: Event,
        effects: &mut Vec<Effect>,
    ) {
        let before = self.pass_alone(now, index, member, event, effects);
        self.follow_group(self.routers[index].set, &before, effects);
    }

    /// The same, without the group's own change of state. Returns what all of its routers were before.
    fn pass_alone(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        event: Event,
        effects: &mut Vec<Effect>,
    ) -> Standings {
        let (set, place) = (self.routers[index].set, self.routers[index].members[member].seat);
        let before = self.standings(set);
        let steps = self.sets[set].group.handle_member(now, place, event);
        self.follow(now, set, &before, steps, effects);
        before
    }

    fn standings(&self, set: usize) -> Standings {
        self.sets[set].routers.iter().map(|index| (*index, self.standing(*index))).collect()
    }

    fn follow(
        &mut self,
        now: Time,
        set: usize,
        before: &[(usize, Standing)],
        steps: Steps,
        effects: &mut Vec<Effect>,
    ) {
        let first = effects.len();
        for (place, action) in steps {
            self.act(now, set, place, action, effects);
        }
        if effects[first..].iter().any(|effect| matches!(effect, Effect::Hold { .. })) {
            // Whoever is to speak in our place wakes for it, and nobody waits for him: addresses go first.
            effects[first..].sort_by_key(|effect| matches!(effect, Effect::Will(..)));
        }
        self.follow_claim(now, set, effects);
        self.file(set);
        for (index, before) in before {
            let after = self.standing(*index);
            if after != *before {
                if after == Standing::Master {
                    self.look_back(now, *index, effects);
                }
                let transition = self.transition(*index, *before, after);
                self.routers[*index].count(now, &transition);
                effects.push(Effect::Notify(transition));
            }
            self.follow_handover(now, *index, *before, after, effects);
        }
        self.count_failure(now, set, before, effects);
    }

    fn act(&mut self, now: Time, set: usize, place: usize, action: Action, effects: &mut Vec<Effect>) {
        let Seat { router: index, member } = self.sets[set].seats[place];
        let until = self.claim_end(set);
        let router = &mut self.routers[index];
        let instance = router.members[member].id;
        match action {
            Action::Advertise(advert) => {
                self.advertise(now, index, member, &advert, effects);
                if place == 0 && advert.priority.is_some() {
                    self.renew(now, set, effects);
                }
            }
            Action::Hold => {
                let interface = router.link.as_deref().unwrap_or_default().to_owned();
                let holding = Box::new(router.config.holding(router.members[member].family, interface));
                effects.push(Effect::Hold { instance, holding, until });
            }
            Action::Release => {
                router.members[member].held = false;
                router.members[member].answers = None;
                router.members[member].taken.clear();
                router.members[member].giving += 1;
                effects.push(Effect::Release { instance });
            }
            Action::Announce(count) => self.announce(now, (index, member), count, effects),
            Action::AnnounceElsewhere => effects.push(Effect::AnnounceElsewhere { instance }),
            Action::Discard(reason) => {
                *router.members[member].peers.discarded.entry(reason).or_default() += 1;
            }
        }
    }

    /// Files a set under its deadline, so that the next one is always at hand.
    fn file(&mut self, set: usize) {
        let own = self.sets[set].group.deadline().map(|(at, _)| at);
        // A takeover that waits for its claim has nothing else to wait for.
        let own = own.filter(|_| !self.sets[set].withheld);
        let asks = self.ask_deadline(set);
        self.deadlines.file(set, own.into_iter().chain(self.claim_deadline(set)).chain(asks).min());
    }

    /// Tells of a sync group's own change of state, after those of its routers.
    fn follow_group(&mut self, set: usize, before: &[(usize, Standing)], effects: &mut Vec<Effect>) {
        let Some(name) = self.sets[set].name.clone() else { return };
        let from = before.iter().map(|(_, standing)| *standing).min();
        let least = before.iter().map(|(index, _)| (self.standing(*index), *index)).min();
        if let (Some(from), Some((to, index))) = (from, least)
            && from != to
        {
            let mut transition = self.transition(index, from, to);
            transition.subject = Subject::Group(name);
            transition.priority = 0;
            effects.push(Effect::Notify(transition));
        }
    }

    fn tell(&self, index: usize, kind: incident::Kind, effects: &mut Vec<Effect>) {
        let router = &self.routers[index];
        let priority = router.instances(&self.sets).next().map_or(0, |member| member.priority().get());
        effects.push(Effect::Tell(Incident {
            router: router.config.name.clone(),
            standing: self.standing(index),
            priority,
            addresses: router.config.vips.iter().map(|vip| vip.address).collect(),
            kind,
        }));
    }

    fn transition(&self, index: usize, from: Standing, to: Standing) -> Transition {
        let router = &self.routers[index];
        let why = router.why(&self.sets).clone();
        let peer = match &why {
            Why::Farewell(peer) | Why::Preempted(peer) | Why::Better(peer, _) => Some(*peer),
            // The one that is silent.
            Why::Silence => router
                .takeover
                .heard
                .and_then(|since| router.members.iter().find_map(|member| member.peers.latest(since))),
            _ => router.handover.as_ref().and_then(|handover| handover.heard.map(|(_, peer)| peer)),
        };
        let priority = router.instances(&self.sets).next().map_or(0, |member| member.priority().get());
        Transition {
            subject: Subject::Router(router.config.name.clone()),
            from,
            to,
            why,
            priority,
            addresses: router.config.vips.iter().map(|vip| vip.address).collect(),
            peer,
            term: self.term(router.set),
        }
    }

    fn find(&self, instance: InstanceId) -> Option<(usize, usize)> {
        self.by_id.get(&instance).map(|seat| (seat.router, seat.member))
    }

    fn next_id(next: &mut u32) -> InstanceId {
        *next += 1;
        InstanceId(*next)
    }
}
