//! What of the vote one process hands to the next in its place: what its voter has granted, so that the next need
//! not be silent first, and the claims of its Masters, each with its term and its end. With a store in place of the
//! voters, the session that the store knows it by.
//!
//! Between the two nobody grants or renews anything, so nothing of it can be out of date but by having ended. What
//! the first has sent and the store gets late has a smaller number than what the next one sends, or an older term.

use super::Agent;
use super::claimants::By;
use super::config::{Claims as Settings, Vote};
use super::effect::Effect;
use crate::claim::voter::Voter;
use crate::claim::{Office, Term, VoterId};
use crate::time::Time;
use crate::vrrp::instance::Instance;
use serde::{Deserialize, Serialize};

/// One node's part in the vote, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    role: Role,
    held: Vec<Held>,
}

/// Who grants its claims, and what it is to those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Role {
    /// Voters, of whom it is one.
    Voter { own: VoterId, others: Vec<VoterId>, voter: Voter },
    /// An etcd, with these endpoints and keys.
    Client { endpoints: Vec<String>, prefix: String, session: u64 },
}

/// A claim that a Master had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    office: Office,
    term: Term,
    ends: Time,
    /// Of its latest request.
    number: u64,
}

impl Agent {
    /// The part of this node, where it asks for claims. A set that is not Master has nothing to go on with.
    pub(super) fn part(&self, now: Time) -> Option<Part> {
        let claims = self.claims.as_ref()?;
        let role = match (&claims.by, claims.settings()) {
            (By::Voters(voters), Settings::Vote(vote)) => {
                let (own, others, voter) = (vote.own, vote.others.clone(), voters.voter.clone());
                Role::Voter { own, others, voter }
            }
            (By::Store(_), Settings::Store(store)) => Role::Client {
                endpoints: store.endpoints.iter().map(ToString::to_string).collect(),
                prefix: store.prefix.to_string(),
                session: claims.session(),
            },
            _ => return None,
        };
        let held = |set: usize| {
            let (office, _) = self.sets[set].office.as_ref()?;
            let claimant = claims.claimants.get(office).filter(|claimant| claimant.holds(now))?;
            let (term, ends, number) = (claimant.term()?, claimant.ends()?, claimant.number());
            Some(Held { office: office.clone(), term, ends, number })
        };
        let masters = (0..self.sets.len())
            .filter(|set| self.sets[*set].group.members().iter().all(Instance::is_master));
        Some(Part { role, held: masters.filter_map(held).collect() })
    }

    /// Takes up the voter of the process before this one, whose last word was at `then`; or its session.
    pub(super) fn play(&mut self, now: Time, then: Time, part: &Part, effects: &mut Vec<Effect>) {
        let Some(claims) = &mut self.claims else { return };
        let settings = claims.settings().clone();
        if !part.becomes(&settings) {
            return;
        }
        match (&part.role, &mut claims.by, settings) {
            // Later, all that was granted is over, and silence costs nothing that matters.
            (Role::Voter { voter, .. }, By::Voters(voters), Settings::Vote(vote))
                if then <= now && now.since(then) < voter.longest().grant() =>
            {
                voters.voter = voter.clone();
                voters.voter.grant_up_to(vote.longest);
            }
            (Role::Client { session, .. }, By::Store(_), _) => claims.go_on_as(*session, effects),
            _ => {}
        }
    }

    /// Goes on with the claim of a set that was Master in the process before this one. Whether it may go on: it
    /// needs none, or has it. Not before: who holds nothing yet would give it back.
    pub(super) fn resume_claim(&mut self, now: Time, set: usize, part: Option<&Part>) -> bool {
        let Some((office, _)) = &self.sets[set].office else { return true };
        let (Some(claims), Some(part)) = (&mut self.claims, part) else { return false };
        let held = part.held.iter().find(|held| held.office == *office && held.ends > now);
        let held = held.filter(|_| part.becomes(claims.settings()));
        let (Some(held), Some(first)) = (held, self.sets[set].routers.first()) else { return false };
        let interval = self.routers[*first].config.interval.duration();
        claims.claimant(now, office, interval).resume(held.term, held.ends, held.number);
        true
    }
}

impl Part {
    /// Whether the vote goes on with these settings.
    fn becomes(&self, settings: &Settings) -> bool {
        match (&self.role, settings) {
            (Role::Voter { own, others, .. }, Settings::Vote(vote)) => {
                Vote { own: *own, others: others.clone(), ..vote.clone() }.can_become(vote).is_ok()
            }
            (Role::Client { endpoints, prefix, .. }, Settings::Store(store)) => {
                *prefix == *store.prefix
                    && endpoints.iter().map(|it| &**it).eq(store.endpoints.iter().map(|it| &**it))
            }
            _ => false,
        }
    }
}
