//! A claimant: asks the voters for an office, renews it, and knows when it ends.
//!
//! The contract: send what is returned to every voter, the own one included; bring answers to
//! [`Claimant::hear`]; call [`Claimant::tick`] when [`Claimant::deadline`] has come. Whoever asks
//! [`Claimant::holds`] gets the truth of that moment, whether it has ticked or not.

use super::quorum::{Ruling, majority};
use super::{Answer, Ask, Office, Plea, Release, Request, Stamp, Term, Ttl, Verdict, VoterId};
use crate::time::Time;
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// What to send to every voter, in order.
pub type Pleas = SmallVec<[Plea; 2]>;

/// How many of its requests it knows the time of. Older ones count for nothing when they are answered.
const REMEMBERED: usize = 16;

/// What a claimant is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Config {
    /// What it asks for.
    pub office: Office,
    /// Those whose majority decides.
    pub voters: Vec<VoterId>,
    /// For how long it asks.
    pub ttl: Ttl,
    /// When to ask again where there is no majority yet. Other than that of other claimants, or two that ask
    /// at once may take the votes from each other again and again.
    pub retry: Duration,
    /// The least time from one request to the next, however often it is to renew; and so long after an answer that
    /// did not suffice it asks again, if that is sooner. Zero where none is needed.
    pub pace: Duration,
}

/// One office, asked for by one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claimant {
    config: Config,
    session: u64,
    number: u64,
    /// When the latest requests of this campaign were sent, the oldest first.
    sent: VecDeque<(u64, Time)>,
    voters: BTreeMap<VoterId, Heard>,
    /// The greatest term heard of.
    known: Term,
    stage: Stage,
    /// Until when it holds by what was granted to an earlier process, by other voters or for another time.
    inherited: Option<Time>,
    contact: Contact,
}

/// What a voter has said in this campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Heard {
    /// To a probe.
    probed: Option<Verdict>,
    /// When the freshest request that it has granted in this term, or in the next, was sent.
    granted: Option<Time>,
    /// It has granted the next term, to a holder that changes to it.
    risen: bool,
}

/// Who was heard when. It says nothing of what is held, so claimants are not told apart by it.
#[derive(Clone, Debug)]
struct Contact {
    voters: BTreeMap<VoterId, (Time, Verdict)>,
    /// Since when no majority has answered, should none answer now.
    reached: Time,
    /// Since when they are asked.
    asked: Time,
}

impl PartialEq for Contact {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Contact {}

impl Hash for Contact {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Idle,
    Probing {
        again: Time,
    },
    Asking {
        term: Term,
        again: Time,
    },
    /// In this term, until a majority has granted the next: a voter that has started again since grants no term
    /// that it may have granted before.
    Holding {
        term: Term,
        rising: Option<Term>,
    },
}

impl Claimant {
    /// A claimant that starts now and wants nothing yet. `session` is drawn by chance and never used
    /// twice; no term was greater than `floor` before.
    #[must_use]
    pub fn new(config: Config, session: u64, floor: Term, now: Time) -> Self {
        let voters = config.voters.iter().map(|voter| (*voter, Heard::default())).collect();
        let (sent, stage) = (VecDeque::new(), Stage::Idle);
        let contact = Contact { voters: BTreeMap::new(), reached: now, asked: now };
        Claimant { config, session, number: 0, sent, voters, known: floor, stage, inherited: None, contact }
    }

    /// The number of its latest request.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Goes on with the claim that another process of this node has had, in its term and to its end. `number`: of
    /// that one's latest request, for a store that knows both as one session.
    pub fn resume(&mut self, term: Term, ends: Time, number: u64) {
        self.begin();
        self.number = number;
        self.known = self.known.max(term);
        (self.stage, self.inherited) = (Stage::Holding { term, rising: None }, Some(ends));
    }

    /// Asks other voters from now on, or for another time. What it holds it holds to its end, whoever is asked; an
    /// answer to what was asked before counts for nothing.
    #[must_use]
    pub fn retune(&mut self, now: Time, config: Config) -> Pleas {
        let ends = self.ends();
        let given = if self.asks() { self.give_back() } else { Pleas::new() };
        self.voters = config.voters.iter().map(|voter| (*voter, Heard::default())).collect();
        self.contact.voters.retain(|voter, _| config.voters.contains(voter));
        self.config = config;
        self.begin();
        match self.stage {
            Stage::Idle => {}
            Stage::Probing { .. } | Stage::Asking { .. } => self.stage = Stage::Probing { again: now },
            Stage::Holding { .. } => {
                self.inherited = ends;
                return self.renew(now);
            }
        }
        given
    }

    /// What it is for.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Wants the office from now on. Nothing new where it does already.
    #[must_use]
    pub fn pursue(&mut self, now: Time) -> Pleas {
        match self.stage {
            Stage::Idle => {
                // Nobody was asked until now, so nobody was silent.
                self.contact.reached = now;
                self.contact.asked = now;
                self.probe(now)
            }
            _ => Pleas::new(),
        }
    }

    /// Extends the lease. To be called at every advert.
    #[must_use]
    pub fn renew(&mut self, now: Time) -> Pleas {
        match self.stage {
            Stage::Holding { term, rising } if self.holds(now) && !self.is_early(now) => {
                smallvec![self.request(now, Ask::Vote, rising.unwrap_or(term))]
            }
            _ => Pleas::new(),
        }
    }

    /// Asks once more what it asked last, for a voter that could not hear it before.
    #[must_use]
    pub fn repeat(&mut self, now: Time) -> Pleas {
        match self.stage {
            Stage::Idle => Pleas::new(),
            Stage::Probing { .. } => smallvec![self.request(now, Ask::Probe, self.known)],
            Stage::Asking { term, .. } => smallvec![self.request(now, Ask::Vote, term)],
            Stage::Holding { .. } => self.renew(now),
        }
    }

    /// Wants the office no more. To be called when nothing is held any longer, never before.
    #[must_use]
    pub fn give_up(&mut self) -> Pleas {
        let pleas = self.give_back();
        self.stage = Stage::Idle;
        pleas
    }

    /// Wants it no more, and leaves it to the voters to forget it in their time: something may be held yet.
    pub fn let_lapse(&mut self) {
        self.stage = Stage::Idle;
    }

    /// A voter has answered.
    #[must_use]
    pub fn hear(&mut self, now: Time, from: VoterId, answer: &Answer) -> Pleas {
        if answer.stamp.session != self.session || answer.office != self.config.office {
            return Pleas::new();
        }
        let majority = majority(self.voters.len());
        let Some(voter) = self.voters.get_mut(&from) else { return Pleas::new() };
        self.known = self.known.max(answer.known);
        self.contact.hear(now, from, answer.verdict, majority);
        let sent = self.sent.iter().find(|(number, _)| *number == answer.stamp.number).copied();
        let wanted = match self.stage {
            Stage::Idle => None,
            Stage::Probing { .. } => Some(Ask::Probe),
            Stage::Asking { term, .. } => Some(Ask::Vote).filter(|_| term == answer.term),
            Stage::Holding { term, rising } => {
                Some(Ask::Vote).filter(|_| term == answer.term || rising == Some(answer.term))
            }
        };
        if let Some((_, sent)) = sent.filter(|_| wanted == Some(answer.ask)) {
            match (answer.ask, answer.verdict) {
                (Ask::Probe, verdict) => voter.probed = Some(verdict),
                (Ask::Vote, Verdict::Granted) => {
                    voter.granted = voter.granted.max(Some(sent));
                    voter.risen |=
                        matches!(self.stage, Stage::Holding { rising, .. } if rising == Some(answer.term));
                }
                (Ask::Vote, Verdict::OldTerm) => return self.rise(now, answer.term),
                // It is another's there: what was granted before that is over, whatever time was left.
                (Ask::Vote, Verdict::Held) if voter.granted <= Some(sent) => {
                    voter.granted = voter.granted.min(Some(now - self.config.ttl.lease()));
                    self.inherited = None;
                }
                (Ask::Vote, _) => {}
            }
        }
        match self.stage {
            Stage::Probing { .. } if self.count(|verdict| verdict == Verdict::Granted) => self.ask(now),
            Stage::Probing { again } if !self.config.pace.is_zero() => {
                self.stage = Stage::Probing { again: again.min(now + self.config.pace) };
                Pleas::new()
            }
            Stage::Asking { term, .. } if self.holds_until().is_some_and(|until| until > now) => {
                self.stage = Stage::Holding { term, rising: None };
                Pleas::new()
            }
            Stage::Holding { rising: Some(term), .. } => {
                if self.voters.values().filter(|voter| voter.risen).count() >= majority {
                    self.stage = Stage::Holding { term, rising: None };
                }
                Pleas::new()
            }
            _ => Pleas::new(),
        }
    }

    /// The deadline has come.
    #[must_use]
    pub fn tick(&mut self, now: Time) -> Pleas {
        match self.stage {
            Stage::Probing { again } if again <= now => self.probe(now),
            Stage::Asking { again, .. } if again <= now => {
                // Votes may be split between two who ask: whoever gives back first leaves them to the other.
                let pleas = self.give_back();
                self.begin();
                self.stage = Stage::Probing { again: now + self.pause() };
                pleas
            }
            // Its owner sees that it is lost, drops what it holds, and then gives up.
            _ => Pleas::new(),
        }
    }

    /// When to tick at the latest: to ask again, or because the lease is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::Idle => None,
            Stage::Probing { again } | Stage::Asking { again, .. } => Some(again),
            Stage::Holding { .. } => self.holds_until(),
        }
    }

    /// Whether the office is ours at this moment.
    #[must_use]
    pub fn holds(&self, now: Time) -> bool {
        self.ends().is_some_and(|until| until > now)
    }

    /// The term in which it is ours, or was last until given up.
    #[must_use]
    pub fn term(&self) -> Option<Term> {
        match self.stage {
            Stage::Holding { term, .. } => Some(term),
            _ => None,
        }
    }

    /// When it is ours no more unless a majority grants it anew; `None` where it is not.
    #[must_use]
    pub fn ends(&self) -> Option<Time> {
        matches!(self.stage, Stage::Holding { .. }).then(|| self.holds_until()).flatten()
    }

    /// Whether a majority would grant it if its holder were gone: only then may a good Master be disturbed.
    #[must_use]
    pub fn may_challenge(&self) -> bool {
        matches!(self.stage, Stage::Probing { .. })
            && self.count(|verdict| matches!(verdict, Verdict::Granted | Verdict::Held))
    }

    /// Whether it asks, and has no majority yet.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(self.stage, Stage::Probing { .. } | Stage::Asking { .. })
    }

    /// What the voters say, where `grace` is how long a majority may be silent when asked.
    #[must_use]
    pub fn ruling(&self, now: Time, grace: Duration) -> Ruling {
        if self.holds(now) {
            Ruling::Ours
        } else if self.stage != Stage::Idle && now.since(self.contact.reached) > grace {
            Ruling::Nobody
        } else {
            Ruling::NotOurs
        }
    }

    /// The voters that have been silent for longer than this, though they were asked.
    pub fn silent(&self, now: Time, grace: Duration) -> impl Iterator<Item = VoterId> {
        let Contact { voters: heard, asked, .. } = &self.contact;
        let since = |id: &VoterId| heard.get(id).map_or(*asked, |(at, _)| *asked.max(at));
        self.voters.keys().copied().filter(move |id| now.since(since(id)) > grace)
    }

    /// Each voter, when it was last heard, and what it last said.
    pub fn voters(&self) -> impl Iterator<Item = (VoterId, Option<(Time, Verdict)>)> {
        self.voters.keys().map(|id| (*id, self.contact.voters.get(id).copied()))
    }

    /// Asks for the next term, where the one that it asks for now was refused as too old. A holder goes on
    /// holding meanwhile.
    fn rise(&mut self, now: Time, refused: Term) -> Pleas {
        match self.stage {
            Stage::Asking { term, .. } if term == refused => self.ask(now),
            Stage::Holding { term, rising } if rising.unwrap_or(term) == refused && self.holds(now) => {
                self.known = self.known.next();
                self.stage = Stage::Holding { term, rising: Some(self.known) };
                for voter in self.voters.values_mut() {
                    voter.risen = false;
                }
                smallvec![self.request(now, Ask::Vote, self.known)]
            }
            _ => Pleas::new(),
        }
    }

    /// Whether it has asked a moment ago.
    fn is_early(&self, now: Time) -> bool {
        self.sent.back().is_some_and(|(_, last)| now < *last + self.config.pace)
    }

    fn probe(&mut self, now: Time) -> Pleas {
        self.begin();
        self.stage = Stage::Probing { again: now + self.config.retry };
        smallvec![self.request(now, Ask::Probe, self.known)]
    }

    fn ask(&mut self, now: Time) -> Pleas {
        self.begin();
        self.known = self.known.next();
        self.stage = Stage::Asking { term: self.known, again: now + self.config.retry };
        smallvec![self.request(now, Ask::Vote, self.known)]
    }

    /// How long to ask for nothing after votes were split: once to twice the retry, by chance.
    fn pause(&self) -> Duration {
        let drawn = (self.session ^ self.number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
        self.config.retry + self.config.retry * u32::try_from(drawn).unwrap_or(0) / 256
    }

    /// Nothing said before counts.
    fn begin(&mut self) {
        self.sent.clear();
        self.inherited = None;
        for voter in self.voters.values_mut() {
            *voter = Heard::default();
        }
    }

    fn request(&mut self, now: Time, ask: Ask, term: Term) -> Plea {
        self.number += 1;
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((self.number, now));
        let (office, ttl) = (self.config.office.clone(), self.config.ttl);
        let stamp = Stamp { session: self.session, number: self.number };
        Plea::Request(Request { ask, office, term, ttl, stamp })
    }

    /// What gives back all that it may have been granted.
    #[must_use]
    pub fn give_back(&self) -> Pleas {
        let terms: SmallVec<[Term; 2]> = match self.stage {
            Stage::Asking { term, .. } => smallvec![term],
            Stage::Holding { term, rising } => std::iter::once(term).chain(rising).collect(),
            Stage::Idle | Stage::Probing { .. } => SmallVec::new(),
        };
        let release = |term| Plea::Release(Release { office: self.config.office.clone(), term });
        terms.into_iter().map(release).collect()
    }

    /// The lease: what a majority has granted, counted from when it was asked.
    fn holds_until(&self) -> Option<Time> {
        let granted = self.voters.values().filter_map(|voter| voter.granted);
        let granted = of_majority(granted, majority(self.voters.len()));
        granted.map(|sent| sent + self.config.ttl.lease()).max(self.inherited)
    }

    fn count(&self, says: impl Fn(Verdict) -> bool) -> bool {
        let yes = self.voters.values().filter_map(|voter| voter.probed).filter(|verdict| says(*verdict));
        yes.count() >= majority(self.voters.len())
    }
}

impl Contact {
    fn hear(&mut self, now: Time, from: VoterId, verdict: Verdict, majority: usize) {
        self.voters.insert(from, (now, verdict));
        let heard = self.voters.values().map(|(at, _)| *at);
        self.reached = self.reached.max(of_majority(heard, majority).unwrap_or_default());
    }
}

/// The latest time that a majority has reached.
fn of_majority(times: impl Iterator<Item = Time>, majority: usize) -> Option<Time> {
    let mut times: SmallVec<[Time; 8]> = times.collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.get(majority - 1).copied()
}
