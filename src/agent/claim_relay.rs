//! What of the vote one process hands to the next in its place: what its voter has granted, so that the next need
//! not be silent first, and the claims of its Masters, each with its term and its end.
//!
//! Between the two nobody grants or renews anything, so nothing of it can be out of date but by having ended.

use super::Agent;
use super::claimants::By;
use super::config::{Claims as Settings, Vote};
use crate::claim::voter::Voter;
use crate::claim::{Office, Term, VoterId};
use crate::time::Time;
use crate::vrrp::instance::Instance;
use serde::{Deserialize, Serialize};

/// One node's part in the vote, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    own: VoterId,
    others: Vec<VoterId>,
    voter: Voter,
    held: Vec<Held>,
}

/// A claim that a Master had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    office: Office,
    term: Term,
    ends: Time,
}

impl Agent {
    /// The part of this node, where it votes. A set that is not Master has nothing to go on with.
    pub(super) fn part(&self, now: Time) -> Option<Part> {
        let claims = self.claims.as_ref()?;
        let (By::Voters(voters), Settings::Vote(vote)) = (&claims.by, claims.settings()) else { return None };
        let held = |set: usize| {
            let (office, _) = self.sets[set].office.as_ref()?;
            let claimant = claims.claimants.get(office).filter(|claimant| claimant.holds(now))?;
            Some(Held { office: office.clone(), term: claimant.term()?, ends: claimant.ends()? })
        };
        let masters = (0..self.sets.len())
            .filter(|set| self.sets[*set].group.members().iter().all(Instance::is_master));
        Some(Part {
            own: vote.own,
            others: vote.others.clone(),
            voter: voters.voter.clone(),
            held: masters.filter_map(held).collect(),
        })
    }

    /// Takes up the voter of the process before this one, whose last word was at `then`.
    pub(super) fn play(&mut self, now: Time, then: Time, part: &Part) {
        let Some(claims) = &mut self.claims else { return };
        let Settings::Vote(vote) = claims.settings().clone() else { return };
        let By::Voters(voters) = &mut claims.by else { return };
        // Later, all that was granted is over, and silence costs nothing that matters.
        let in_time = then <= now && now.since(then) < part.voter.longest().grant();
        if in_time && part.becomes(&vote) {
            voters.voter = part.voter.clone();
            voters.voter.grant_up_to(vote.longest);
        }
    }

    /// Goes on with the claim of a set that was Master in the process before this one. Whether it may go on: it
    /// needs none, or has it. Not before: who holds nothing yet would give it back.
    pub(super) fn resume_claim(&mut self, now: Time, set: usize, part: Option<&Part>) -> bool {
        let Some((office, _)) = &self.sets[set].office else { return true };
        let (Some(claims), Some(part)) = (&mut self.claims, part) else { return false };
        let Settings::Vote(vote) = claims.settings() else { return false };
        let held = part.held.iter().find(|held| held.office == *office && held.ends > now);
        let (Some(held), Some(first)) = (held.filter(|_| part.becomes(vote)), self.sets[set].routers.first())
        else {
            return false;
        };
        let interval = self.routers[*first].config.interval.duration();
        claims.claimant(now, office, interval).resume(held.term, held.ends);
        true
    }
}

impl Part {
    /// Whether the vote goes on with these settings.
    fn becomes(&self, vote: &Vote) -> bool {
        Vote { own: self.own, others: self.others.clone(), ..vote.clone() }.can_become(vote).is_ok()
    }
}
