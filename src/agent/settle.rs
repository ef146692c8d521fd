//! Every router made what the host lets it be: links, checks, sockets and contested addresses judged anew.
//!
//! Only the routers that news may concern are looked at: with a thousand of them, whose interfaces come and
//! go by the thousand, all others would cost the core its time.

use super::config::Interface;
use super::effect::Effect;
use super::link::Link;
use super::orders::count;
use super::router::{Router, World};
use super::transition::Standing;
use super::{Agent, incident};
use crate::health::{CheckName, Outcome};
use crate::time::Time;
use crate::vrrp::Priority;
use crate::vrrp::instance::{Event, Instance, State};
use crate::vrrp::why::{Fault, Why};
use std::time::Duration;

/// What has happened, and so whom it may concern.
#[derive(Clone, Copy, Debug)]
pub(super) enum News<'a> {
    /// Something that may be about any router.
    All,
    /// The interface of this name has come, gone or changed.
    Link(&'a str),
    /// This check has another result.
    Check(&'a CheckName),
    /// Something about the router with this place alone.
    Router(usize),
}

impl Agent {
    /// An interface is so from now on.
    pub(super) fn link_is(&mut self, now: Time, link: Link, effects: &mut Vec<Effect>) {
        // Another index is another interface: what was held went with the old one.
        if self.links.known().get(&link.name).is_some_and(|old| old.index != link.index) {
            self.links.forget(&link.name);
            self.settle(now, News::Link(&link.name), effects);
        }
        // What was there before this process came is no intruder.
        if self.links.ready {
            self.intruders.see(self.links.known().get(&link.name), &link, &self.vips);
        }
        let name = link.name.clone();
        self.links.see(now, link);
        effects.extend(self.fixed.again());
        self.relink(now, News::Link(&name), effects);
        self.evict(now, effects);
    }

    /// An interface is no more.
    pub(super) fn link_gone(&mut self, now: Time, name: &str, effects: &mut Vec<Effect>) {
        self.links.forget(name);
        self.intruders.forget(name);
        self.relink(now, News::Link(name), effects);
    }

    /// The links are other than before: so are the checks that are links.
    pub(super) fn relink(&mut self, now: Time, news: News<'_>, effects: &mut Vec<Effect>) {
        if !self.links.ready {
            return;
        }
        for check in self.checks.values_mut() {
            let Some(name) = check.config().link.clone() else { continue };
            if matches!(news, News::Link(other) if other != &*name) {
                continue;
            }
            let verdict = match self.links.known().get(&name) {
                Some(link) if link.up => Ok(()),
                Some(_) => Err(format!("interface {name} is down")),
                None => Err(format!("interface {name} does not exist")),
            };
            count(check, now, Outcome { verdict, latency: Duration::ZERO, value: None }, effects);
        }
        self.settle(now, news, effects);
    }

    /// Makes every router that the news may concern what the host lets it be, and keeps the right sockets
    /// open.
    pub(super) fn settle(&mut self, now: Time, news: News<'_>, effects: &mut Vec<Effect>) {
        if !self.links.ready || self.stopping || self.start_at.is_some() {
            return;
        }
        let before = effects.len();
        for set in 0..self.sets.len() {
            if self.concerns(set, news) {
                self.settle_set(now, set, effects);
            }
        }
        let contested = self.routers.iter().filter_map(|router| router.contested.as_ref());
        let contested = contested.map(|(_, at)| *at).min();
        let paused = self.routers.iter().filter_map(|router| router.evictions.paused_until).min();
        let damped = (0..self.sets.len()).filter_map(|set| self.damped(now, set)).min();
        self.retry_at = contested.into_iter().chain(damped).chain(paused).min();
        // What a check says and what is held binds no router to another interface.
        if matches!(news, News::All | News::Link(_)) {
            self.listen(before, effects);
        }
        if self.relay.is_some() {
            self.take_up(now, effects);
        }
    }

    fn concerns(&self, set: usize, news: News<'_>) -> bool {
        let routers = || self.sets[set].routers.iter().map(|index| &self.routers[*index]);
        let tracks = |router: &Router, wanted: &dyn Fn(&CheckName) -> bool| {
            router.config.tracks.iter().any(|track| wanted(&track.check))
        };
        let link_of = |check: &CheckName| self.checks.get(check).and_then(|it| it.config().link.as_deref());
        match news {
            News::All => true,
            News::Router(index) => self.routers[index].set == set,
            News::Check(name) => routers().any(|router| tracks(router, &|check| check == name)),
            News::Link(name) => routers().any(|router| {
                let own = match &router.config.interface {
                    Interface::Named(own) => own == name,
                    Interface::Subnet(..) => true,
                };
                own || router.devices().any(|device| device == name)
                    || tracks(router, &|check| link_of(check) == Some(name))
            }),
        }
    }

    pub(super) fn settle_set(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        self.damp(now, set, effects);
        let routers = self.sets[set].routers.clone();
        let mut faults = Vec::new();
        let mut awaits = false;
        for index in &routers {
            let fault = self.settle_router(now, *index, effects);
            let standing = self.routers[*index].standing(&self.sets);
            // No result yet is no fault to be told of: nothing has started.
            let only_awaits = matches!(fault, Some(Fault::Check(_)))
                && self.routers[*index].awaits(standing, &self.checks).is_some();
            awaits |= only_awaits;
            faults.push(fault.filter(|_| !only_awaits));
        }
        let first = routers.iter().zip(&faults).find(|(_, fault)| fault.is_some());
        if let Some(faulty) = first.map(|(index, _)| self.routers[*index].config.name.to_string()) {
            let before = self.standings(set);
            for (index, fault) in routers.into_iter().zip(faults) {
                let fault = fault.unwrap_or_else(|| Fault::Group(faulty.clone()));
                self.fault(now, index, &fault, effects);
            }
            self.follow_group(set, &before, effects);
        } else if !awaits && !self.was_master(set) {
            self.start(now, set, effects);
        }
    }

    /// Gives a router its source addresses and its priority. Returns what keeps it out.
    fn settle_router(&mut self, now: Time, index: usize, effects: &mut Vec<Effect>) -> Option<Fault> {
        self.judged += 1;
        let world = World {
            sets: &self.sets,
            checks: &self.checks,
            sockets: &self.sockets,
            clock: self.clock.is_some(),
            vips: &self.vips,
        };
        let found = self.routers[index].assess(self.links.known(), &world);
        let priority = self.routers[index].priority(&self.checks);
        let before = self.routers[index].instances(&self.sets).next().map(Instance::priority);
        for member in 0..self.routers[index].members.len() {
            let source = found.sources.get(member).copied().flatten();
            if let Some(source) = source.filter(|s| self.instance(index, member).source() != Some(*s)) {
                self.pass_member(now, index, member, Event::Source(source), effects);
            }
            if self.instance(index, member).priority() != priority {
                self.pass_member(now, index, member, Event::Priority(priority), effects);
            }
        }
        let takes_part = matches!(self.standing(index), Standing::Master | Standing::Backup);
        if let Some(from) = before.map(Priority::get).filter(|from| takes_part && *from != priority.get()) {
            self.tell(index, incident::Kind::PriorityChanged { from }, effects);
        }
        found.fault.or_else(|| self.twin(index))
    }

    /// Another router on the interface that this one was found to be on, which hears the very same adverts.
    fn twin(&self, index: usize) -> Option<Fault> {
        let router = &self.routers[index];
        let link = router.link.as_ref()?;
        let seats = |family| self.by_vrid.get(&(router.config.vrid, family)).into_iter().flatten();
        let earlier = router.members.iter().flat_map(|member| seats(member.family)).map(|seat| seat.router);
        let mut earlier = earlier.filter(|other| *other < index).map(|other| &self.routers[other]);
        let twin = earlier
            .find(|other| other.link.as_ref() == Some(link) && other.config.hears_same_as(&router.config))?;
        let (name, vrid) = (&twin.config.name, router.config.vrid);
        Some(Fault::Socket(format!(
            "router {name} has VRID {vrid} on {link} already: give one another number"
        )))
    }

    /// What it means for the group is told once all its routers have it.
    fn fault(&mut self, now: Time, index: usize, fault: &Fault, effects: &mut Vec<Effect>) {
        for member in 0..self.routers[index].members.len() {
            let state = self.instance(index, member).state();
            if !matches!(state, State::Fault(known) if known == fault) {
                drop(self.pass_alone(now, index, member, Event::Fault(fault.clone()), effects));
            }
        }
    }

    fn start(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        let members = self.sets[set].group.members();
        let healed = members.iter().any(|m| matches!(m.state(), State::Fault(_)));
        let idle = members.iter().any(|m| *m.state() == State::Initialize);
        if healed || idle {
            let drained = self.sets[set].routers.iter().any(|index| self.routers[*index].drained);
            let why = match (drained, healed) {
                (true, _) => Why::HandedOver,
                (false, true) => Why::Healed,
                (false, false) => Why::Started,
            };
            self.pass(now, set, &Event::Startup(why), effects);
        }
    }
}
