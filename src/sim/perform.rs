//! The doers' part, played by the model: what agents want is done, and what came of it reported.

use super::laws::Law;
use super::networks::Network;
use super::node::{Held, Node, Seat, seat_of};
use super::wire;
use super::world::{Arrival, Change, Happening, Packet, Sent, World};
use crate::agent::{
    Effect, HookEnd, Input, InstanceId, Outgoing, Response, Standing, Subject, Ticket, Transition, Will,
};
use crate::vrrp::succession::WORD_VRID_AT;
use crate::vrrp::{Family, Vip};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// How long a hook runs.
const HOOK: Duration = Duration::from_millis(20);

impl World {
    pub(super) fn perform(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Listen(sockets) => self.nodes[node].listening = sockets,
            Effect::Send(out) => self.send(node, &out),
            Effect::Hold { instance, holding, until } => {
                let ordered = holding.vips.iter().map(|vip| vip.address).collect();
                self.nodes[node].ordered.insert(instance, ordered);
                if self.hold(node, instance, &holding.interface, &holding.vips) {
                    self.put(node, instance, &holding, until);
                }
            }
            Effect::Claimed { instances, until } => self.renew(node, &instances, until),
            Effect::Release { instance } => {
                self.trace.note(self.now, &self.nodes[node].name, b'R', &[], || "releases the addresses");
                self.nodes[node].held.remove(&instance);
                self.nodes[node].rhythm.remove(&instance);
                self.nodes[node].wills.remove(&instance);
                self.take_away(node, instance);
                if self.nodes[node].config.claims.is_some() {
                    self.report(self.holding, node, Input::Released { instance });
                }
            }
            Effect::Announce { instance, count } => {
                self.laws.announced(&self.nodes[node], self.now, instance);
                self.report(
                    self.holding,
                    node,
                    Input::Announced { instance, sent: u32::from(count), failed: 0 },
                );
            }
            Effect::AnnounceElsewhere { instance } => {
                self.laws.announced(&self.nodes[node], self.now, instance);
            }
            // Announcements arrive at once here, and nothing else puts an address on a host.
            Effect::Ask { .. }
            | Effect::AskAhead(_)
            | Effect::Evict(_)
            | Effect::Pace(_)
            | Effect::Vote(_) => {}
            Effect::Will(instance, will) => drop(self.nodes[node].wills.insert(instance, will)),
            Effect::Ballot { to, bytes } => self.cast(node, to, &bytes),
            Effect::Consult(session) => self.nodes[node].session = session,
            Effect::Plead(plea) => self.plead(node, plea),
            Effect::Watch { check, .. } => {
                let generation = self.nodes[node].probes.get(&check).map_or(0, |last| last + 1);
                self.nodes[node].probes.insert(check.clone(), generation);
                let life = self.nodes[node].life;
                let first = Duration::from_millis(self.rng.between(1, 50));
                self.later(first, Happening::Probe { node, life, check, generation });
            }
            Effect::Unwatch(check) => drop(self.nodes[node].probes.remove(&check)),
            Effect::Notify(transition) => self.notify(node, transition),
            Effect::Tell(incident) => {
                let text = || format!("tells of {:?}", incident.kind);
                self.trace.note(self.now, &self.nodes[node].name, b'K', &[], text);
            }
            Effect::Remember(memory) => self.nodes[node].memory = Some(memory),
            Effect::Note(remark) => {
                self.trace.note(self.now, &self.nodes[node].name, b'N', &[], || format!("notes {remark:?}"));
            }
            Effect::Reply(ticket, response) => self.replied(node, ticket, &response),
            Effect::Replace(relay) => self.nodes[node].relay = Some(relay),
            Effect::Sweep => {
                self.nodes[node].leftovers.clear();
                self.go_on(node);
            }
            Effect::Stopped => self.stopped(node),
        }
    }

    fn send(&mut self, node: usize, out: &Outgoing) {
        let sender = &self.nodes[node];
        let [_, vrid, priority, ..] = *wire::message(out) else { return };
        if vrid == 0 {
            return self.say(node, out);
        }
        let family = Family::of(out.source);
        let seats = sender.config.routers.iter().filter(|r| r.vrid.get() == vrid);
        let Some(seat) = seats
            .filter(|r| r.families().contains(&family))
            .find_map(seat_of)
            .or_else(|| sender.held.get(&out.instance).map(|held| held.seat))
        else {
            return;
        };
        self.trace.note(self.now, &sender.name, b'S', &out.payload, || {
            format!("{family} advert, VRID {vrid}, priority {priority}, to {}", out.destination)
        });
        let again = Sent { at: self.now, node, seat, family, priority };
        let doubled = priority == 0 && self.sent.last() == Some(&again) && out.destination.is_multicast();
        self.laws.sent(&mut self.nodes, node, self.now, out, seat);
        if doubled && self.lan.one_farewell {
            return;
        }
        if !self.nodes[node].links.iter().any(|link| link.up && *link.name == *out.interface) {
            let error = "Network is down".to_owned();
            return self.report(Duration::ZERO, node, Input::SendFailed { instance: out.instance, error });
        }
        self.sent.push(again);
        self.nodes[node].adverts.insert((out.instance, out.destination), (seat, out.clone()));
        self.emit(node, out);
    }

    /// A word between two Locums, which is no advert of a process that runs.
    fn say(&mut self, node: usize, out: &Outgoing) {
        self.trace.note(self.now, &self.nodes[node].name, b'W', &out.payload, || {
            format!("a word to {}", out.destination)
        });
        if self.nodes[node].links.iter().any(|link| link.up && *link.name == *out.interface) {
            self.emit(node, out);
        }
    }

    /// What a guardian says in the place of a process that has crashed and held by a grant, with nothing held any more.
    pub(super) fn carry_out(&mut self, node: usize, wills: BTreeMap<InstanceId, Will>) {
        for will in wills.into_values().filter(|will| !will.pleas.is_empty()) {
            for (to, bytes) in &will.pleas {
                self.cast(node, *to, bytes);
            }
            for out in &will.farewell {
                self.say(node, out);
            }
        }
    }

    fn emit(&mut self, node: usize, out: &Outgoing) {
        let network = self.nodes[node].network(&out.interface);
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            for copy in self.carry(network, node, to) {
                self.deliver(node, to, out, copy.after, copy.flipped);
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, out: &Outgoing, after: Duration, flipped: bool) {
        let network = self.nodes[from].network(&out.interface);
        let Some(interface) = hears(&self.nodes[to], network, out) else { return };
        let mut datagram = wire::sent(&interface, out);
        if flipped {
            let bit = self.rng.below(datagram.packet.len() * 8);
            datagram.packet[bit / 8] ^= 1 << (bit % 8);
        }
        let packet = Some(Packet { from: Some(from), sent: self.now, valid: !flipped });
        let life = self.nodes[to].life;
        let arrival = Arrival { input: Input::Datagram(datagram), packet };
        self.later(after, Happening::Arrive { node: to, life, arrival });
    }

    /// Whether it could be.
    fn hold(&mut self, node: usize, instance: InstanceId, interface: &str, vips: &[Vip]) -> bool {
        let addresses: Vec<IpAddr> = vips.iter().map(|vip| vip.address).collect();
        self.trace.note(self.now, &self.nodes[node].name, b'H', &[], || {
            format!("holds {addresses:?} on {interface}")
        });
        let host = &mut self.nodes[node];
        let router = host
            .config
            .routers
            .iter()
            .find(|r| vips.iter().all(|vip| r.vips.contains(vip) || r.excluded.contains(vip)));
        if let Some(seat) = router.and_then(seat_of) {
            let family = addresses.first().map_or(Family::Ipv4, |address| Family::of(*address));
            let addresses = addresses.into_iter().collect();
            let leaving = host.held.get(&instance).and_then(|held| held.leaving);
            host.held.insert(instance, Held { seat, family, addresses, leaving });
        }
        let fails = host.refusals > 0;
        host.refusals = host.refusals.saturating_sub(1);
        let result =
            if fails { Err("cannot add the address: Operation not permitted".to_owned()) } else { Ok(()) };
        self.report(self.holding, node, Input::Held { instance, result });
        !fails
    }

    /// Whoever holds something and has told no hook of it goes on as what the process before it was.
    fn go_on(&mut self, node: usize) {
        let host = &mut self.nodes[node];
        let held: BTreeSet<Seat> = host.held.values().map(|held| held.seat).collect();
        let masters = host
            .seats
            .iter()
            .filter(|(name, seat)| held.contains(seat) && !host.standing.contains_key(*name));
        for (name, seat) in masters.map(|(name, seat)| (name.clone(), *seat)).collect::<Vec<_>>() {
            host.standing.insert(name.clone(), Standing::Master);
            let groups = host.config.groups.iter().filter(|group| group.routers.contains(&name));
            host.told.extend(groups.map(|group| (Subject::Group(group.name.clone()), Standing::Master)));
            host.told.insert(Subject::Router(name), Standing::Master);
            let (from, to, why) = (Standing::Stop, Standing::Master, "goes on".to_owned());
            self.changes.push(Change { at: self.now, node, seat, from, to, why });
        }
    }

    fn notify(&mut self, node: usize, transition: Transition) {
        let Transition { subject, from, to, why, .. } = transition;
        let bytes = [from as u8, to as u8];
        self.trace.note(self.now, &self.nodes[node].name, b'T', &bytes, || {
            format!("{subject} {from} -> {to}: {why}")
        });
        self.laws.notified(&self.nodes[node], self.now, &subject, from, to);
        let host = &mut self.nodes[node];
        host.told.insert(subject.clone(), to);
        if let Subject::Router(router) = &subject {
            host.standing.insert(router.clone(), to);
            if let Some(seat) = host.seats.get(router).copied() {
                self.laws.moved(seat, node, self.now);
                self.changes.push(Change { at: self.now, node, seat, from, to, why: why.to_string() });
            }
        }
        let end = HookEnd {
            subject,
            script: "hook".to_owned(),
            ended: "exit code 0".to_owned(),
            failed: false,
            took: HOOK,
            skipped: 0,
        };
        self.report(HOOK, node, Input::HookEnded(end));
    }

    fn replied(&mut self, node: usize, ticket: Ticket, response: &Response) {
        self.trace.note(self.now, &self.nodes[node].name, b'A', &[], || match response {
            Response::Status(_) => "answers with its status".to_owned(),
            other => format!("answers {other:?}"),
        });
        if self.nodes[node].tickets.remove(&ticket).is_none() {
            let text = format!("{ticket:?} was answered, but nobody asked, or twice");
            self.laws.broken(Law::Answers, self.now, &self.nodes[node], text);
        }
    }

    fn stopped(&mut self, node: usize) {
        self.trace.note(self.now, &self.nodes[node].name, b'X', &[], || "has stopped");
        self.laws.stopped(&self.nodes[node], self.now);
        self.end(node);
    }
}

/// The interface on which a node would hear `out` on this network, as its open sockets let it.
fn hears(node: &Node, network: Network, out: &Outgoing) -> Option<String> {
    let family = Family::of(out.source);
    let message = wire::message(out);
    let vrid = message.get(1).filter(|vrid| **vrid != 0).or(message.get(WORD_VRID_AT))?;
    let up = |name: &str| node.links.iter().any(|link| link.up && link.name == name);
    let listens = |listen: &&crate::agent::Listen| {
        listen.family == family
            && listen.protocol == out.protocol
            && listen.vrids.iter().any(|known| known.get() == *vrid)
            && up(&listen.interface)
            && node.network(&listen.interface) == network
            && if out.destination.is_multicast() {
                listen.groups.contains(&out.destination)
            } else {
                node.has_address(out.destination)
            }
    };
    let same = node.listening.iter().filter(listens).find(|listen| *listen.interface == *out.interface);
    same.or_else(|| node.listening.iter().find(listens)).map(|listen| listen.interface.clone())
}
