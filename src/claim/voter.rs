//! A voter: grants an office to one claimant for a time, and to nobody else before it has passed.
//!
//! Counts on its own monotonic clock only, and needs no disk. Nothing here knows who may ask: whoever
//! reaches it has the key.

use super::{Answer, Ask, Office, Release, Request, Term, Ttl, Verdict, VoterId};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many offices a voter keeps in mind. The one whose grant ended first makes place; where all are
/// held, there is none for another.
pub const OFFICES: usize = 4096;

/// One node's vote on every office.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Voter {
    longest: Ttl,
    awake_at: Time,
    /// What no term of a forgotten office can exceed.
    floor: Term,
    offices: BTreeMap<Office, Grant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Grant {
    /// `None` once it was given back.
    holder: Option<VoterId>,
    term: Term,
    until: Time,
}

impl Voter {
    /// A voter that starts now and grants for `longest` at most, so that it has to be silent for so long
    /// and no longer. No term was greater than `floor` before.
    #[must_use]
    pub fn new(now: Time, longest: Ttl, floor: Term) -> Self {
        Voter { longest, awake_at: now + longest.grant(), floor, offices: BTreeMap::new() }
    }

    /// Grants for so long from now on, where that is longer than before: when it starts again, it is silent for
    /// as long.
    pub fn grant_up_to(&mut self, longest: Ttl) {
        self.longest = self.longest.max(longest);
    }

    /// For how long it grants at most.
    #[must_use]
    pub fn longest(&self) -> Ttl {
        self.longest
    }

    /// When it begins to grant.
    #[must_use]
    pub fn awake_at(&self) -> Time {
        self.awake_at
    }

    /// Who holds an office by this voter's grant, and in which term.
    #[must_use]
    pub fn holder(&self, now: Time, office: &Office) -> Option<(VoterId, Term)> {
        let grant = self.offices.get(office).filter(|grant| grant.until > now)?;
        grant.holder.map(|holder| (holder, grant.term))
    }

    /// Answers a request.
    #[must_use]
    pub fn answer(&mut self, now: Time, from: VoterId, request: &Request) -> Answer {
        let verdict = self.judge(now, from, request);
        match (verdict, request.ask) {
            (Verdict::Granted, Ask::Vote) => self.grant(now, from, request),
            // Silent, it learns which terms there are.
            (Verdict::Silent, Ask::Vote) => self.floor = self.floor.max(request.term),
            _ => {}
        }
        Answer {
            ask: request.ask,
            office: request.office.clone(),
            term: request.term,
            stamp: request.stamp,
            verdict,
            known: self.known(&request.office),
        }
    }

    /// Takes back what it granted, so that another need not wait.
    pub fn release(&mut self, from: VoterId, release: &Release) {
        let grant = self.offices.get_mut(&release.office);
        if let Some(grant) = grant.filter(|grant| grant.holder == Some(from) && grant.term == release.term) {
            grant.holder = None;
        }
    }

    fn judge(&self, now: Time, from: VoterId, request: &Request) -> Verdict {
        if now < self.awake_at {
            return Verdict::Silent;
        }
        if request.ttl > self.longest {
            return Verdict::TooLong;
        }
        if self.holder(now, &request.office).is_some_and(|(holder, _)| holder != from) {
            return Verdict::Held;
        }
        let last = self.offices.get(&request.office);
        let full = self.offices.len() >= OFFICES && self.offices.values().all(|grant| grant.until > now);
        if last.is_none() && full {
            return Verdict::Full;
        }
        // The present term again: a renewal.
        let renews = last.is_some_and(|last| last.holder == Some(from) && last.term == request.term);
        if request.ask == Ask::Probe || renews || request.term > self.known(&request.office) {
            Verdict::Granted
        } else {
            Verdict::OldTerm
        }
    }

    fn known(&self, office: &Office) -> Term {
        self.offices.get(office).map_or(self.floor, |grant| grant.term.max(self.floor))
    }

    fn grant(&mut self, now: Time, from: VoterId, request: &Request) {
        let until = now + request.ttl.grant();
        // An older request that comes late takes nothing away.
        let until = self.offices.get(&request.office).map_or(until, |old| old.until.max(until));
        let grant = Grant { holder: Some(from), term: request.term, until };
        if self.offices.insert(request.office.clone(), grant).is_none() && self.offices.len() > OFFICES {
            self.forget(now);
        }
    }

    /// Makes place, without forgetting any term. Nothing that still counts is ever forgotten.
    fn forget(&mut self, now: Time) {
        let over = self.offices.iter().filter(|(_, grant)| grant.until <= now);
        let oldest = over.min_by_key(|(_, grant)| grant.until).map(|(office, _)| office.clone());
        if let Some(grant) = oldest.and_then(|office| self.offices.remove(&office)) {
            self.floor = self.floor.max(grant.term);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stamp;
    use super::*;
    use std::time::Duration;

    const TTL: Ttl = Ttl(3000);

    fn id(host: u8) -> VoterId {
        VoterId { address: [10, 0, 0, host].into(), port: 5112 }
    }

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + Duration::from_millis(milliseconds)
    }

    fn ask(ask: Ask, term: u64, ttl: Ttl) -> Request {
        let stamp = Stamp { session: 7, number: 1 };
        Request { ask, office: Office::new("web").unwrap(), term: Term(term), ttl, stamp }
    }

    fn vote(voter: &mut Voter, ms: u64, from: u8, term: u64) -> Verdict {
        voter.answer(at(ms), id(from), &ask(Ask::Vote, term, TTL)).verdict
    }

    fn awake() -> Voter {
        Voter::new(Time::ZERO, TTL, Term::NONE)
    }

    #[test]
    fn it_grants_nothing_for_as_long_after_its_start_as_a_grant_can_last() {
        let mut voter = awake();
        assert_eq!(vote(&mut voter, 2999, 1, 1), Verdict::Silent);
        assert_eq!(voter.holder(at(2999), &Office::new("web").unwrap()), None);
        // It has learned that there is a term 1.
        assert_eq!(vote(&mut voter, 3000, 2, 1), Verdict::OldTerm);
        assert_eq!(vote(&mut voter, 3000, 2, 2), Verdict::Granted);
    }

    #[test]
    fn nobody_else_is_granted_it_before_the_time_has_passed() {
        let mut voter = awake();
        assert_eq!(vote(&mut voter, 3000, 1, 1), Verdict::Granted);
        assert_eq!(vote(&mut voter, 5999, 2, 2), Verdict::Held);
        assert_eq!(vote(&mut voter, 6000, 2, 2), Verdict::Granted);
        assert_eq!(vote(&mut voter, 6000, 1, 1), Verdict::Held);
    }

    #[test]
    fn a_renewal_counts_from_when_it_comes_and_one_that_comes_late_takes_nothing_away() {
        let mut voter = awake();
        assert_eq!(vote(&mut voter, 3000, 1, 1), Verdict::Granted);
        assert_eq!(vote(&mut voter, 5000, 1, 1), Verdict::Granted);
        let short = ask(Ask::Vote, 1, Ttl(10));
        assert_eq!(voter.answer(at(5001), id(1), &short).verdict, Verdict::Granted);
        assert_eq!(vote(&mut voter, 7999, 2, 2), Verdict::Held);
        assert_eq!(vote(&mut voter, 8000, 2, 2), Verdict::Granted);
    }

    #[test]
    fn what_was_given_back_is_free_at_once_and_its_term_is_used_up() {
        let mut voter = awake();
        let release = Release { office: Office::new("web").unwrap(), term: Term(1) };
        assert_eq!(vote(&mut voter, 3000, 1, 1), Verdict::Granted);
        voter.release(id(2), &release);
        assert_eq!(vote(&mut voter, 3001, 2, 2), Verdict::Held, "only its holder gives it back");
        voter.release(id(1), &Release { term: Term(2), ..release.clone() });
        assert_eq!(vote(&mut voter, 3001, 2, 2), Verdict::Held, "only in its own term");
        voter.release(id(1), &release);
        assert_eq!(vote(&mut voter, 3001, 1, 1), Verdict::OldTerm);
        assert_eq!(vote(&mut voter, 3001, 2, 2), Verdict::Granted);
    }

    #[test]
    fn a_probe_tells_what_a_vote_would_get_and_changes_nothing() {
        let mut voter = awake();
        let probe = ask(Ask::Probe, 0, TTL);
        let before = voter.clone();
        assert_eq!(voter.answer(at(10), id(1), &probe).verdict, Verdict::Silent);
        assert_eq!(voter.answer(at(3000), id(1), &probe).verdict, Verdict::Granted);
        assert_eq!(voter, before);
        assert_eq!(vote(&mut voter, 3000, 1, 4), Verdict::Granted);
        let answer = voter.answer(at(3001), id(2), &probe);
        assert_eq!((answer.verdict, answer.known), (Verdict::Held, Term(4)));
    }

    #[test]
    fn longer_than_it_can_be_silent_it_grants_nothing() {
        let mut voter = awake();
        let long = ask(Ask::Vote, 1, Ttl(3001));
        assert_eq!(voter.answer(at(9000), id(1), &long).verdict, Verdict::TooLong);
    }

    #[test]
    fn forgotten_offices_leave_their_terms_behind() {
        let mut voter = awake();
        for office in 0..=OFFICES {
            let request = Request {
                office: Office::new(&format!("r{office}")).unwrap(),
                ..ask(Ask::Vote, 10_000 - u64::try_from(office).unwrap(), Ttl(1))
            };
            let now = at(3000 + 2 * u64::try_from(office).unwrap());
            assert_eq!(voter.answer(now, id(1), &request).verdict, Verdict::Granted, "{office}");
        }
        assert_eq!(voter.offices.len(), OFFICES);
        let again = Request { office: Office::new("r0").unwrap(), ..ask(Ask::Vote, 10_000, TTL) };
        assert_eq!(voter.answer(at(60_000), id(2), &again).verdict, Verdict::OldTerm);
    }
}
