//! What doers report and operators order: holding, handing over, resuming, stopping.

use super::Agent;
use super::effect::{CheckChange, Effect, HookEnd, InstanceId, Note};
use super::request::{Moved, Request, Response, Ticket};
use super::router::{Handover, Member, RESTORE_LIMIT, RESTORE_WINDOW, Router};
use super::settle::News;
use super::transition::{RouterName, Standing, Subject};
use crate::health::{Health, Outcome};
use crate::time::Time;
use crate::vrrp::instance::{Event, Instance, State};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

impl Agent {
    /// Whose an instance is that holds its addresses; what is reported of another one comes too late.
    fn find_holder(&self, instance: InstanceId) -> Option<(usize, usize)> {
        self.find(instance).filter(|(index, member)| self.instance(*index, *member).holds())
    }

    /// Addresses that cannot be held are nobody's here: farewell, and a healthy node takes them.
    pub(super) fn held(
        &mut self,
        now: Time,
        instance: InstanceId,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some((index, member)) = self.find_holder(instance) else { return };
        match result {
            Ok(()) => {
                self.routers[index].holds(now, member);
                self.note_lease(index, member, effects);
            }
            Err(line) => {
                self.routers[index].hold_errors += 1;
                self.routers[index].step_back(now, line);
                self.settle(now, News::Router(index), effects);
            }
        }
    }

    /// Notes how long the kernel keeps what is held, where that has changed. Not each renewal.
    pub(super) fn note_lease(&mut self, index: usize, place: usize, effects: &mut Vec<Effect>) {
        let holds = self.instance(index, place).holds();
        let Router { config, members, .. } = &mut self.routers[index];
        let Member { family, leased, .. } = &mut members[place];
        let lease = holds.then(|| config.lease(*family)).flatten();
        if std::mem::replace(leased, lease) != lease {
            let router = config.name.clone();
            effects.push(Effect::Note(Note::Lease { router, family: *family, lease }));
        }
    }

    /// A held address was removed by somebody, and put back. Too often is a fight that we leave.
    pub(super) fn restored(
        &mut self,
        now: Time,
        instance: InstanceId,
        address: IpAddr,
        effects: &mut Vec<Effect>,
    ) {
        // Given up while the report was under way: announcing it now would steal the traffic.
        let Some((index, member)) = self.find_holder(instance) else { return };
        let router = &mut self.routers[index];
        *router.members[member].restored.entry(address).or_default() += 1;
        router.restored.push_back(now);
        router.restored.retain(|at| now.since(*at) < RESTORE_WINDOW);
        let line = if router.restored.len() > RESTORE_LIMIT {
            let line = format!(
                "{address} was removed {} times within {}s by something else on this host: \
                 find it (another manager of the interface?) and stop it",
                router.restored.len(),
                RESTORE_WINDOW.as_secs()
            );
            router.step_back(now, line.clone());
            line
        } else {
            format!("{address} was removed by something else on this host, and put back")
        };
        effects.push(Effect::Note(Note::Warning(router.config.name.clone(), line)));
        effects.push(Effect::Announce { instance, count: router.config.announce.count });
        self.settle(now, News::Router(index), effects);
    }

    /// This host answers for a held address, rightly or not.
    pub(super) fn answered(
        &mut self,
        instance: InstanceId,
        result: Result<(), String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some((index, member)) = self.find_holder(instance) else { return };
        let router = &mut self.routers[index];
        if let Err(line) = &result {
            effects.push(Effect::Note(Note::Warning(router.config.name.clone(), line.clone())));
        }
        router.members[member].answers = Some(result);
    }

    pub(super) fn hook_ended(&mut self, end: &HookEnd) {
        let Subject::Router(name) = &end.subject else { return };
        if let Some(router) = self.routers.iter_mut().find(|router| router.config.name == *name) {
            router.hooks.ran += 1;
            router.hooks.failed += u64::from(end.failed);
            router.hooks.skipped += u64::from(end.skipped);
            router.hooks.last_failed = end.failed;
            router.hooks.last = Some(format!("{}: {}", end.script, end.ended));
        }
    }

    pub(super) fn request(&mut self, now: Time, ticket: Ticket, request: Request, effects: &mut Vec<Effect>) {
        match request {
            Request::Status => {
                let status = Response::Status(Box::new(self.status(now)));
                effects.push(Effect::Reply(ticket, Box::new(status)));
            }
            Request::Handover { router } => match self.chosen(router.as_ref()) {
                Ok(chosen) => self.hand_over(now, ticket, &chosen, effects),
                Err(lines) => refuse(ticket, lines, effects),
            },
            Request::Resume { router } => match self.chosen(router.as_ref()) {
                Ok(chosen) => self.resume(now, ticket, &chosen, effects),
                Err(lines) => refuse(ticket, lines, effects),
            },
            Request::Ack { router } => match self.chosen(router.as_ref()) {
                Ok(chosen) => {
                    let lines = self.acknowledge(now, &chosen, effects);
                    effects.push(Effect::Reply(ticket, Box::new(Response::Done { lines })));
                }
                Err(lines) => refuse(ticket, lines, effects),
            },
        }
    }

    fn chosen(&self, name: Option<&RouterName>) -> Result<Vec<usize>, Vec<String>> {
        let chosen: Vec<usize> = (0..self.routers.len())
            .filter(|index| name.is_none_or(|name| self.routers[*index].config.name == *name))
            .collect();
        match name {
            Some(name) if chosen.is_empty() => {
                let known: Vec<&str> = self.routers.iter().map(|r| &*r.config.name.0).collect();
                Err(vec![format!("no router is called {name}: there is {}", known.join(", "))])
            }
            _ if self.stopping => Err(vec!["the daemon is stopping".to_owned()]),
            // Who shares a role shares the order.
            _ => Ok(self
                .sets_of(&chosen)
                .into_iter()
                .flat_map(|set| self.sets[set].routers.iter().copied())
                .collect()),
        }
    }

    fn sets_of(&self, routers: &[usize]) -> BTreeSet<usize> {
        routers.iter().map(|index| self.routers[*index].set).collect()
    }

    fn hand_over(&mut self, now: Time, ticket: Ticket, chosen: &[usize], effects: &mut Vec<Effect>) {
        if let Some(busy) = chosen.iter().find(|index| self.routers[**index].handover.is_some()) {
            let name = &self.routers[*busy].config.name;
            return refuse(ticket, vec![format!("{name} is being handed over already")], effects);
        }
        let masters = chosen.iter().filter(|index| self.standing(**index) == Standing::Master);
        let masters: Vec<usize> = masters.copied().collect();
        for index in chosen {
            self.routers[*index].drained = true;
            if masters.contains(index) {
                self.routers[*index].handover = Some(Handover { ticket, started: now, heard: None });
            }
        }
        for set in self.sets_of(chosen) {
            // All of a set wait for the slowest: its successors take over together, or not at all.
            let members = self.sets[set].group.members();
            let wait = members.iter().map(|member| member.config().handover_wait()).max().unwrap_or_default();
            self.pass(now, set, &Event::Handover { wait }, effects);
        }
        if masters.is_empty() {
            let stays = |index: &usize| {
                format!("{} is not MASTER here; it stays out until resumed", self.routers[*index].config.name)
            };
            let lines = chosen.iter().map(stays).collect();
            effects.push(Effect::Reply(ticket, Box::new(Response::Done { lines })));
        }
    }

    /// Notes what became of a handover, and answers once all of the same ticket are through.
    pub(super) fn follow_handover(
        &mut self,
        now: Time,
        index: usize,
        before: Standing,
        after: Standing,
        effects: &mut Vec<Effect>,
    ) {
        let back =
            self.routers[index].instances(&self.sets).all(|m| matches!(m.state(), State::Master { .. }));
        let router = &mut self.routers[index];
        if router.handover.is_none() || !(back || (before, after) != (Standing::Master, Standing::Master)) {
            return;
        }
        let Some(handover) = router.handover.take() else { return };
        let moved = after == Standing::Backup && handover.heard.is_some();
        if !moved && back {
            router.drained = false;
        }
        let heard = handover.heard.filter(|_| moved);
        let here = router.config.vips.iter().filter(|vip| vip.dev.is_none());
        self.moved.entry(handover.ticket).or_default().push(Moved {
            router: router.config.name.clone(),
            successor: heard.map(|(_, address)| address),
            took_ms: heard.map_or(now, |(at, _)| at).since(handover.started).as_secs_f64() * 1000.0,
            back,
            interface: router.link.as_deref().map(str::to_owned),
            addresses: here.map(|vip| vip.address).collect(),
        });
        if !self.routers.iter().any(|r| r.handover.as_ref().is_some_and(|h| h.ticket == handover.ticket)) {
            let routers = self.moved.remove(&handover.ticket).unwrap_or_default();
            effects.push(Effect::Reply(handover.ticket, Box::new(Response::Moved { routers })));
        }
    }

    fn resume(&mut self, now: Time, ticket: Ticket, chosen: &[usize], effects: &mut Vec<Effect>) {
        let mut lines = Vec::new();
        for index in chosen {
            let router = &mut self.routers[*index];
            let name = router.config.name.clone();
            lines.push(if router.drained {
                format!("{name} takes part again")
            } else {
                format!("{name} took part already")
            });
            router.drained = false;
        }
        for set in self.sets_of(chosen) {
            self.pass(now, set, &Event::Resume, effects);
        }
        effects.push(Effect::Reply(ticket, Box::new(Response::Done { lines })));
    }

    pub(super) fn stop(&mut self, now: Time, at_once: bool, effects: &mut Vec<Effect>) {
        self.stopping = true;
        for set in 0..self.sets.len() {
            let longest = |index: &usize| self.routers[*index].config.patience();
            let patience = self.sets[set].routers.iter().map(longest).max();
            let wait = patience.filter(|_| !at_once).unwrap_or(Duration::ZERO);
            self.pass(now, set, &Event::Shutdown { wait }, effects);
        }
    }

    /// Says once that everything is given up.
    pub(super) fn finish_stop(&mut self, now: Time, effects: &mut Vec<Effect>) {
        // This follows every input: only who stops looks at all routers.
        if !self.stopping || self.stopped {
            return;
        }
        if !self.sets.iter().flat_map(|set| set.group.members()).any(Instance::holds) {
            self.stopped = true;
            self.remember(now, true, effects);
            effects.push(Effect::Stopped);
        }
    }
}

fn refuse(ticket: Ticket, lines: Vec<String>, effects: &mut Vec<Effect>) {
    effects.push(Effect::Reply(ticket, Box::new(Response::Refused { lines })));
}

/// Counts an outcome, and notes what became of it. Whether anything changed.
pub(super) fn count(check: &mut Health, now: Time, outcome: Outcome, effects: &mut Vec<Effect>) -> bool {
    let (from, error) = (check.standing(), outcome.verdict.clone().err());
    let changed = check.count(now, outcome);
    let (check, to, after) = (&check.config().name, check.standing(), check.took());
    if from != to {
        let change = CheckChange { check: check.clone(), from, to, error, after };
        effects.push(Effect::Note(Note::Check(change)));
    }
    changed
}
