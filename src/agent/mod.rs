//! The agent: owns every router, routes what comes in, and answers with what shall be done.
//!
//! The contract: call [`Agent::handle`] with the time and whatever happened, carry out the returned
//! effects in their order, and call it with [`Input::Tick`] when [`Agent::deadline`] has come.
//! The same inputs at the same times give the same effects, always.

pub mod config;
pub mod effect;
pub mod link;
mod orders;
mod peers;
mod receive;
pub mod reload;
pub mod request;
mod router;
mod snapshot;
pub mod status;
pub mod transition;

pub use config::Config;
pub use effect::{Datagram, Effect, HookEnd, Input, InstanceId, Listen, Note, Outgoing};
pub use link::{Link, LinkAddress};
pub use request::{Request, Response, Ticket};
pub use transition::{RouterName, Standing, Transition};

use crate::health::{CheckName, Health};
use crate::time::{Time, earliest};
use crate::vrrp::instance::{Action, Event, State, Wait};
use crate::vrrp::packet::encode;
use crate::vrrp::why::{Fault, Why};
use crate::vrrp::{Advert, Family, Version, Vip, Vrid};
use router::{Router, World};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Decides for one host. See the module for the contract.
#[derive(Debug)]
pub struct Agent {
    routers: Vec<Router>,
    checks: BTreeMap<CheckName, Health>,
    /// The checks in the order of the configuration.
    check_order: Vec<CheckName>,
    links: BTreeMap<String, Link>,
    links_ready: bool,
    /// Sockets that could not be opened, and why.
    sockets: BTreeMap<(String, Family), String>,
    listening: BTreeSet<Listen>,
    vips: Vec<IpAddr>,
    /// Handovers that ended, until all of their ticket have.
    moved: BTreeMap<Ticket, Vec<request::Moved>>,
    next_id: u32,
    stopping: bool,
    stopped: bool,
}

impl Agent {
    /// An agent for `config`, and the first things it wants done.
    #[must_use]
    pub fn new(config: &Config, now: Time) -> (Self, Vec<Effect>) {
        let mut agent = Agent {
            routers: Vec::new(),
            checks: BTreeMap::new(),
            check_order: Vec::new(),
            links: BTreeMap::new(),
            links_ready: false,
            sockets: BTreeMap::new(),
            listening: BTreeSet::new(),
            vips: Vec::new(),
            moved: BTreeMap::new(),
            next_id: 0,
            stopping: false,
            stopped: false,
        };
        let effects = agent.adopt(now, config);
        (agent, effects)
    }

    /// Moves the agent. Returns what shall be done, in order.
    #[must_use]
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Tick => self.tick(now, &mut effects),
            Input::Datagram(datagram) => self.receive(now, &datagram, &mut effects),
            Input::Link(link) => {
                self.links.insert(link.name.clone(), link);
                self.settle(now, &mut effects);
            }
            Input::LinkGone(name) => {
                self.links.remove(&name);
                self.settle(now, &mut effects);
            }
            Input::LinksReady => {
                self.links_ready = true;
                self.settle(now, &mut effects);
            }
            Input::Socket { interface, family, result } => {
                match result {
                    Ok(()) => self.sockets.remove(&(interface, family)),
                    Err(line) => self.sockets.insert((interface, family), line),
                };
                self.settle(now, &mut effects);
            }
            Input::SendFailed { instance, error } => {
                if let Some((router, member)) = self.find(instance) {
                    let member = &mut self.routers[router].members[member];
                    member.send_errors += 1;
                    member.last_send_error = Some((now, error));
                }
            }
            Input::Held { instance, result } => self.held(now, instance, result, &mut effects),
            Input::Restored { instance, address } => self.restored(now, instance, address, &mut effects),
            Input::Announced { instance, sent, failed } => {
                if let Some((router, member)) = self.find(instance) {
                    let member = &mut self.routers[router].members[member];
                    member.announced += u64::from(sent);
                    member.announce_errors += u64::from(failed);
                }
            }
            Input::Outcome(name, outcome) => {
                if self.checks.get_mut(&name).is_some_and(|check| check.count(now, outcome)) {
                    self.settle(now, &mut effects);
                }
            }
            Input::HookEnded(end) => self.hook_ended(&end),
            Input::Request(ticket, request) => self.request(now, ticket, request, &mut effects),
            Input::Reload { ticket, dry_run, config } => {
                self.reload(now, ticket, dry_run, &config, &mut effects);
            }
            Input::Stop { at_once } => self.stop(now, at_once, &mut effects),
        }
        self.finish_stop(&mut effects);
        effects
    }

    /// When to tick at the latest, and what for.
    #[must_use]
    pub fn deadline(&self) -> Option<(Time, Wait)> {
        self.routers.iter().fold(None, |first, router| {
            let retry = router.contested.as_ref().filter(|_| !self.stopping);
            let retry = retry.map(|(_, at)| (*at, Wait::TakeOver));
            earliest(first, earliest(router.group.deadline(), retry))
        })
    }

    fn tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for index in 0..self.routers.len() {
            if self.routers[index].group.deadline().is_some_and(|(at, _)| at <= now) {
                self.pass(now, index, &Event::Tick, effects);
            }
        }
        let healed = |router: &mut Router| router.contested.take_if(|(_, at)| *at <= now).is_some();
        let healed = self.routers.iter_mut().map(healed).filter(|healed| *healed).count();
        if healed > 0 {
            self.settle(now, effects);
        }
    }

    /// Makes every router what the host lets it be, and keeps the right sockets open.
    fn settle(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if !self.links_ready || self.stopping {
            return;
        }
        for index in 0..self.routers.len() {
            self.settle_router(now, index, effects);
        }
        self.listen(effects);
    }

    fn settle_router(&mut self, now: Time, index: usize, effects: &mut Vec<Effect>) {
        let world = World { checks: &self.checks, sockets: &self.sockets, vips: &self.vips };
        let router = &mut self.routers[index];
        let found = router.assess(&self.links, &world);
        let priority = router.priority(&self.checks);
        for (member, source) in found.sources.into_iter().enumerate() {
            if let Some(source) =
                source.filter(|s| self.routers[index].group.members()[member].source() != Some(*s))
            {
                self.pass_member(now, index, member, Event::Source(source), effects);
            }
        }
        if self.routers[index].group.members().iter().any(|m| m.priority() != priority) {
            self.pass(now, index, &Event::Priority(priority), effects);
        }
        match found.fault {
            // No result yet is no fault to be told of: nothing has started.
            Some(Fault::Check(_)) if self.routers[index].awaits(&self.checks).is_some() => {}
            Some(fault) => self.fault(now, index, fault, effects),
            None => self.start(now, index, effects),
        }
    }

    fn fault(&mut self, now: Time, index: usize, fault: Fault, effects: &mut Vec<Effect>) {
        let same = |state: &State| matches!(state, State::Fault(known) if *known == fault);
        if !self.routers[index].group.members().iter().all(|member| same(member.state())) {
            self.pass(now, index, &Event::Fault(fault), effects);
        }
    }

    fn start(&mut self, now: Time, index: usize, effects: &mut Vec<Effect>) {
        let router = &self.routers[index];
        let healed = router.group.members().iter().any(|m| matches!(m.state(), State::Fault(_)));
        let idle = router.group.members().iter().any(|m| *m.state() == State::Initialize);
        if healed || idle {
            let why = if healed { Why::Healed } else { Why::Started };
            let drained = router.drained;
            self.pass(now, index, &Event::Startup(why), effects);
            if drained {
                self.pass(now, index, &Event::Handover, effects);
            }
        }
    }

    /// Sends an event to a router, and everything that follows from it to the world.
    fn pass(&mut self, now: Time, index: usize, event: &Event, effects: &mut Vec<Effect>) {
        let before = self.routers[index].standing();
        let actions = self.routers[index].group.handle(now, event);
        self.follow(now, index, before, actions, effects);
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
        let before = self.routers[index].standing();
        let actions = self.routers[index].group.handle_member(now, member, event);
        self.follow(now, index, before, actions, effects);
    }

    fn follow(
        &mut self,
        now: Time,
        index: usize,
        before: Standing,
        actions: Vec<(usize, Action)>,
        effects: &mut Vec<Effect>,
    ) {
        let router = &mut self.routers[index];
        for (member, action) in actions {
            let instance = router.members[member].id;
            match action {
                Action::Advertise(advert) => advertise(router, member, &advert, effects),
                Action::Hold => {
                    let interface = router.link.clone().unwrap_or_default();
                    let vips: Vec<Vip> =
                        router.config.vips_of(router.members[member].family).cloned().collect();
                    effects.push(Effect::Hold { instance, interface, vips });
                }
                Action::Release => {
                    router.members[member].held = false;
                    effects.push(Effect::Release { instance });
                }
                Action::Announce => {
                    effects.push(Effect::Announce { instance, count: router.config.announce_count });
                }
                Action::Discard(reason) => {
                    *router.members[member].peers.discarded.entry(reason).or_default() += 1;
                }
            }
        }
        let after = router.standing();
        if after != before {
            effects.push(Effect::Notify(transition(router, before, after)));
        }
        self.follow_handover(now, index, before, after, effects);
    }

    /// The sockets that the routers need now.
    fn listen(&mut self, effects: &mut Vec<Effect>) {
        let mut wanted: BTreeMap<(String, u32, Family), (bool, BTreeSet<Vrid>)> = BTreeMap::new();
        for router in &self.routers {
            let Some(link) = router.link.as_ref().and_then(|name| self.links.get(name)) else { continue };
            for member in &router.members {
                let entry = wanted.entry((link.name.clone(), link.index, member.family)).or_default();
                entry.0 |= router.config.peers.is_empty();
                entry.1.insert(router.config.vrid);
            }
        }
        let wanted: BTreeSet<Listen> = wanted
            .into_iter()
            .map(|((interface, index, family), (multicast, vrids))| Listen {
                interface,
                index,
                family,
                multicast,
                vrids,
            })
            .collect();
        if wanted != self.listening {
            self.listening.clone_from(&wanted);
            self.sockets.retain(|(interface, family), _| {
                wanted.iter().any(|l| l.interface == *interface && l.family == *family)
            });
            effects.push(Effect::Listen(wanted));
        }
    }

    fn find(&self, instance: InstanceId) -> Option<(usize, usize)> {
        self.routers.iter().enumerate().find_map(|(index, router)| {
            router.members.iter().position(|member| member.id == instance).map(|member| (index, member))
        })
    }

    fn next_id(next: &mut u32) -> InstanceId {
        *next += 1;
        InstanceId(*next)
    }
}

/// One advert becomes one datagram to the group, or one to each peer.
fn advertise(router: &mut Router, index: usize, advert: &Advert, effects: &mut Vec<Effect>) {
    let instance = &router.group.members()[index];
    let (Some(source), Some(interface)) = (instance.source(), router.link.clone()) else { return };
    let form = router.checksum(index);
    let config = instance.config();
    let group = [config.family.group()];
    let destinations = if config.peers.is_empty() { &group[..] } else { &config.peers[..] };
    for destination in destinations {
        effects.push(Effect::Send(Outgoing {
            instance: router.members[index].id,
            interface: interface.clone(),
            source,
            destination: *destination,
            payload: encode(advert, source, *destination, form, &config.auth),
        }));
    }
    router.members[index].sent += 1;
}

fn transition(router: &mut Router, from: Standing, to: Standing) -> Transition {
    router.became_master += u64::from(to == Standing::Master);
    router.left_master += u64::from(from == Standing::Master);
    let why = router.why().clone();
    let peer = match &why {
        Why::Farewell(peer) | Why::Preempted(peer) | Why::Better(peer, _) => Some(*peer),
        _ => router.handover.as_ref().and_then(|handover| handover.heard.map(|(_, peer)| peer)),
    };
    Transition {
        router: router.config.name.clone(),
        from,
        to,
        why,
        priority: router.group.members().first().map_or(0, |member| member.priority().get()),
        addresses: router.config.vips.iter().map(|vip| vip.address).collect(),
        peer,
    }
}

/// The longest a stopping or handing-over Master keeps answering: until every Backup's skew is over.
fn patience(config: &config::Router) -> std::time::Duration {
    let slack = std::time::Duration::from_millis(500);
    match config.version {
        Version::V2 => std::time::Duration::from_secs(1) + slack,
        Version::V3 => (config.interval.duration() + slack).min(std::time::Duration::from_secs(5)),
    }
}
