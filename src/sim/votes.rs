//! The vote in the model: datagrams between the voters, and the witnesses, which are voters without an agent.
//!
//! Whoever is named as a voter and is no node is a witness. On the LAN witnesses come behind the nodes.

use super::networks::Network;
use super::node::{Clock, Node};
use super::sabotage::Sabotage;
use super::store::Store;
use super::world::{Arrival, Happening, World};
use crate::agent::Input;
use crate::agent::config::{Claims, Vote};
use crate::claim::channel::{Channel, Heard};
use crate::claim::datagram::Key;
use crate::claim::voter::Voter;
use crate::claim::{Plea, Term, Ttl, VoterId};
use std::time::Duration;

/// A voter that holds nothing.
#[derive(Debug)]
pub(super) struct Witness {
    id: VoterId,
    key: Key,
    longest: Ttl,
    clock: Clock,
    /// `None` while it is down.
    process: Option<(Channel, Voter)>,
    /// Counts processes, so that nothing meant for one reaches the next.
    life: u32,
}

impl World {
    /// Seats a witness for every voter that is no node, and starts it.
    pub(super) fn appoint(&mut self) {
        let own: Vec<VoterId> = self.nodes.iter().filter_map(voter).collect();
        let votes: Vec<_> = self.nodes.iter().filter_map(|node| vote(node).cloned()).collect();
        for vote in &votes {
            let Some(key) = Key::new(vote.key.expose()) else { continue };
            for id in vote.others.iter().filter(|id| !own.contains(id)) {
                if !self.witnesses.iter().any(|witness| witness.id == *id) {
                    let (longest, clock, key) = (vote.longest, Clock::default(), key.clone());
                    self.witnesses.push(Witness { id: *id, key, longest, clock, process: None, life: 0 });
                }
            }
        }
        let asks = |node: &Node| matches!(node.config.claims, Some(Claims::Store(_)));
        self.store = self.nodes.iter().any(asks).then(Store::default);
        self.start_granting();
    }

    /// How many the LAN joins: nodes, witnesses, and the store where there is one.
    pub(super) fn members(&self) -> usize {
        self.nodes.len() + self.witnesses.len() + usize::from(self.store.is_some())
    }

    /// Starts a witness; one that runs is ended first.
    pub(super) fn start_witness(&mut self, witness: usize) {
        self.trace.note(self.now, "witness", b'V', &[1], || "starts");
        let chance = self.rng.draw().max(1);
        let floor = Term::floor(self.wall());
        let seat = &mut self.witnesses[witness];
        seat.life += 1;
        let mut begins = seat.clock.reads(self.now);
        if self.sabotage == Some(Sabotage::ForgetfulVoter) {
            begins = begins - seat.longest.grant();
        }
        let channel = Channel::new(seat.id, seat.key.clone(), chance);
        seat.process = Some((channel, Voter::new(begins, seat.longest, floor)));
    }

    /// Another key for all of them. Those that run start again.
    pub(super) fn give_witnesses(&mut self, key: &Key) {
        for witness in 0..self.witnesses.len() {
            self.witnesses[witness].key = key.clone();
            if self.witnesses[witness].process.is_some() {
                self.start_witness(witness);
            }
        }
    }

    /// Whether there is somebody who grants and holds nothing: a witness, or a store.
    pub(super) fn grants_elsewhere(&self) -> bool {
        !self.witnesses.is_empty() || self.store.is_some()
    }

    /// Whether that one runs, where there is one.
    pub(super) fn grants(&self) -> bool {
        self.witnesses.iter().all(|witness| witness.process.is_some())
            && self.store.as_ref().is_none_or(|store| store.runs)
    }

    /// The witness, or the store, vanishes.
    pub(super) fn stop_granting(&mut self) {
        self.trace.note(self.now, "witness", b'V', &[0], || "ends");
        self.witnesses.iter_mut().for_each(|witness| witness.process = None);
        self.store.iter_mut().for_each(|store| store.runs = false);
    }

    /// It starts; one that runs is ended first.
    pub(super) fn start_granting(&mut self) {
        for witness in 0..self.witnesses.len() {
            self.start_witness(witness);
        }
        let forgets = self.sabotage == Some(Sabotage::ForgetfulVoter);
        if let Some(store) = &mut self.store {
            store.start(forgets);
        }
    }

    /// From now on everybody's clock runs so many thousandths too fast: nodes', then witnesses', then the store's.
    pub(super) fn set_speeds(&mut self, speeds: &[i64]) {
        let witnesses = self.witnesses.iter_mut().map(|witness| &mut witness.clock);
        let store = self.store.iter_mut().map(|store| &mut store.clock);
        let clocks = self.nodes.iter_mut().map(|node| &mut node.clock).chain(witnesses).chain(store);
        for (clock, speed) in clocks.zip(speeds) {
            clock.speed = *speed;
        }
    }

    /// A node sends a datagram of the vote.
    pub(super) fn cast(&mut self, node: usize, to: VoterId, bytes: &[u8]) {
        self.trace
            .note(self.now, &self.nodes[node].name, b'P', bytes, || format!("says something to voter {to}"));
        self.carry_vote(node, to, bytes);
    }

    fn carry_vote(&mut self, from: usize, to: VoterId, bytes: &[u8]) {
        let node = self.nodes.iter().position(|node| voter(node) == Some(to));
        let witness = || self.witnesses.iter().position(|witness| witness.id == to);
        let Some(target) = node.or_else(|| Some(self.nodes.len() + witness()?)) else { return };
        for network in self.networks() {
            self.carry_vote_by(*network, (from, target), bytes);
        }
    }

    fn carry_vote_by(&mut self, network: Network, (from, target): (usize, usize), bytes: &[u8]) {
        let connected = |member: usize| self.nodes.get(member).is_none_or(|node| node.is_on(network));
        if !connected(from) || !connected(target) {
            return;
        }
        for copy in self.carry(network, from, target) {
            let mut bytes = bytes.to_vec();
            if copy.flipped {
                let bit = self.rng.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let chance = self.rng.draw();
            if let Some(node) = self.nodes.get(target) {
                let (input, life) = (Input::Ballot { bytes, chance }, node.life);
                let arrival = Arrival { input, packet: None };
                self.later(copy.after, Happening::Arrive { node: target, life, arrival });
            } else {
                let witness = target - self.nodes.len();
                let life = self.witnesses[witness].life;
                self.later(copy.after, Happening::Vote { witness, life, bytes, chance });
            }
        }
    }

    /// A witness hears a datagram, and answers.
    pub(super) fn vote(&mut self, witness: usize, life: u32, bytes: &[u8], chance: u64) {
        let generous = self.sabotage == Some(Sabotage::GenerousVoter);
        let seat = &mut self.witnesses[witness];
        let now = seat.clock.reads(self.now);
        let Some((channel, voter)) = seat.process.as_mut().filter(|_| seat.life == life) else { return };
        let answer = match channel.hear(bytes, chance) {
            Ok(Heard::Plea(from, Plea::Request(request))) => {
                if generous {
                    *voter = Voter::new(now - seat.longest.grant(), seat.longest, Term::NONE);
                }
                let answer = voter.answer(now, from, &request);
                Some((from, channel.answer(from, answer)))
            }
            Ok(Heard::Plea(from, Plea::Release(release))) => {
                voter.release(from, &release);
                None
            }
            Ok(Heard::Stranger(to, bytes) | Heard::Unproven(to, bytes)) => Some((to, bytes)),
            Ok(Heard::Answer(..) | Heard::Greeted(_) | Heard::GreetedAgain(_)) | Err(_) => None,
        };
        if let Some((to, bytes)) = answer {
            self.carry_vote(self.nodes.len() + witness, to, &bytes);
        }
    }

    /// What the slowest wall clock reads.
    pub(super) fn wall(&self) -> Duration {
        super::world::EPOCH + self.now.since(crate::time::Time::ZERO)
    }
}

fn vote(node: &Node) -> Option<&Vote> {
    match &node.config.claims {
        Some(Claims::Vote(vote)) => Some(vote),
        Some(Claims::Store(_)) | None => None,
    }
}

fn voter(node: &Node) -> Option<VoterId> {
    vote(node).map(|vote| vote.own)
}
