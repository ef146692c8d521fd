//! The claims, joined to the routers: which of them need one, what the voters or the store are asked, and what
//! follows from their answers.
//!
//! A set under a quorum takes over only with the claim, and steps down when it has it no more; where it has to
//! have one, the kernel's lease ends with the claim, in case nobody is there to step down. The claim goes
//! back when the kernel has said that nothing is held; while the old Master still answers on purpose, in a
//! planned move, it goes back with the farewell. The claims themselves are `claim`.

use super::Agent;
use super::claimants::{By, Claims, LastPleas};
use super::effect::{Consulted, Effect, InstanceId, Note};
use super::holding::ends_with_claim;
use super::peers::millis;
use super::set::{Seat, Set};
use super::status::VoteStatus;
use crate::claim::claimant::{Claimant, Pleas};
use crate::claim::quorum::Quorum;
use crate::claim::{Office, Term, Ttl, Verdict, VoterId, etcd};
use crate::time::Time;
use crate::vrrp::instance::{Event, Instance, State, Wait};
use crate::vrrp::interval::last_renewal;

impl Agent {
    /// Begins to vote, once there are settings, chance and a clock.
    pub(super) fn begin_claims(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let (Some(settings), Some(session), Some(clock)) = (&self.voting, self.chance, self.wall_clock(now))
        else {
            return;
        };
        if self.claims.is_some() {
            return;
        }
        self.claims = Claims::begin(now, settings, session, Term::floor(clock), effects);
    }

    /// A datagram of the vote.
    pub(super) fn ballot(&mut self, now: Time, bytes: &[u8], chance: u64, effects: &mut Vec<Effect>) {
        let Some(claims) = &mut self.claims else { return };
        if let Some(office) = claims.hear(now, bytes, chance, effects) {
            self.follow_answer(now, &office, effects);
        }
    }

    /// An endpoint of the store was asked.
    pub(super) fn consulted(&mut self, now: Time, consulted: Consulted, effects: &mut Vec<Effect>) {
        let Some(claims) = &mut self.claims else { return };
        let By::Store(store) = &mut claims.by else { return };
        let Some(answer) = store.hear(now, consulted) else { return };
        if let Some(office) = claims.answer(now, etcd::STORE, &answer, effects) {
            self.follow_answer(now, &office, effects);
        }
    }

    /// What follows for a set from an answer to its claimant.
    fn follow_answer(&mut self, now: Time, office: &Office, effects: &mut Vec<Effect>) {
        let mine = |set: &Set| set.office.as_ref().is_some_and(|(own, _)| own == office);
        let Some(set) = self.sets.iter().position(mine) else { return };
        self.extend(set, effects);
        self.tell_term(set, effects);
        if self.sets[set].withheld {
            self.turn(now, set, effects);
        }
        self.file(set);
    }

    /// The claim was granted, or went.
    fn tell_term(&mut self, set: usize, effects: &mut Vec<Effect>) {
        let term = self.term(set);
        let told = std::mem::replace(&mut self.sets[set].term, term);
        if let Some((office, _)) = self.sets[set].office.as_ref().filter(|_| term != told) {
            effects.push(Effect::Note(Note::Claim { office: office.name().to_owned(), term }));
        }
    }

    /// The kernel keeps for longer what may be held for longer.
    pub(super) fn extend(&mut self, set: usize, effects: &mut Vec<Effect>) {
        let until = self.claim_end(set);
        let told = std::mem::replace(&mut self.sets[set].claimed, until);
        if let Some(until) = until.filter(|_| until != told) {
            self.lengthen(set, until, effects);
        }
    }

    /// No majority has answered for so long that the kernel's lease would end well before the claim does.
    fn stretch(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        if let Some(until) = self.stretches(set).filter(|until| last_renewal(*until) <= now) {
            self.sets[set].stretched = Some(until);
            self.lengthen(set, until, effects);
        }
    }

    /// The end of a claim, until which the kernel's lease is yet to be stretched.
    fn stretches(&self, set: usize) -> Option<Time> {
        let Set { group, stretched, .. } = &self.sets[set];
        let until = self.claim_end(set).filter(|until| *stretched != Some(*until))?;
        group.members().iter().any(Instance::holds).then_some(until)
    }

    fn lengthen(&self, set: usize, until: Time, effects: &mut Vec<Effect>) {
        let Set { seats, group, .. } = &self.sets[set];
        let holders = seats.iter().zip(group.members()).filter(|(_, member)| member.holds());
        let instances: Vec<_> =
            holders.map(|(seat, _)| self.routers[seat.router].members[seat.member].id).collect();
        if !instances.is_empty() {
            effects.push(Effect::Claimed { instances, until });
        }
    }

    /// The deadline of a set has come: its own, or that of its claim.
    pub(super) fn turn(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        let Some((office, quorum)) = self.sets[set].office.clone() else {
            self.ask_ahead(now, set, effects);
            return self.pass(now, set, &Event::Tick, effects);
        };
        self.say(now, set, Claimant::tick, effects);
        let due = self.sets[set].group.deadline().filter(|(at, _)| *at <= now).map(|(_, wait)| wait);
        let takes = due == Some(Wait::TakeOver);
        if takes && self.is_giving(set) {
            // The claim that it had goes back first, once nothing is held: see `released`.
            self.sets[set].withheld = true;
            self.sets[set].group.stay_awake(now);
            return self.file(set);
        }
        if takes {
            self.say(now, set, Claimant::pursue, effects);
        }
        let allowed = self.allows(now, &office, quorum);
        let master = self.sets[set].group.members().iter().any(Instance::is_master);
        self.sets[set].withheld = takes && !allowed;
        if self.sets[set].withheld {
            self.sets[set].group.stay_awake(now);
        }
        if master && !allowed {
            self.pass(now, set, &Event::Outvoted, effects);
        } else if self.sets[set].withheld {
            self.challenge(now, set, &office, effects);
        } else if due.is_some() {
            if due == Some(Wait::Successor) && self.gave_its_claim(set) {
                self.pass(now, set, &Event::Outvoted, effects);
            } else {
                self.pass(now, set, &Event::Tick, effects);
            }
        }
        // At the end: what was asked for in this turn may have been granted in it.
        self.stretch(now, set, effects);
        self.file(set);
    }

    /// Whether it is on its way out and nobody has taken it: the claim went with the farewell, so that it cannot
    /// come back.
    pub(super) fn gave_its_claim(&self, set: usize) -> bool {
        let Set { office, group, .. } = &self.sets[set];
        let drains = |member: &Instance| matches!(member.state(), State::Leaving { successor: None, .. });
        office.is_some() && !self.stopping && group.members().iter().any(drains)
    }

    /// Tells a Master of lower priority that there is a better one, once a majority would vote for it: the
    /// pre-vote. It gives up then, and its claim back.
    fn challenge(&mut self, now: Time, set: usize, office: &Office, effects: &mut Vec<Effect>) {
        let claimant = self.claims.as_ref().and_then(|claims| claims.claimants.get(office));
        if !claimant.is_some_and(Claimant::may_challenge) {
            return;
        }
        // Once an interval will do.
        let interval = self.routers[self.sets[set].routers[0]].config.interval.duration();
        if self.sets[set].challenged.is_some_and(|last| now.since(last) < interval) {
            return;
        }
        self.sets[set].challenged = Some(now);
        for place in 0..self.sets[set].seats.len() {
            if let Some(advert) = self.sets[set].group.members()[place].challenge(now) {
                let Seat { router, member } = self.sets[set].seats[place];
                self.advertise(now, router, member, &advert, effects);
            }
        }
    }

    /// What follows for the claim from what the set has become.
    pub(super) fn follow_claim(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        if self.sets[set].office.is_none() {
            return;
        }
        let group = &self.sets[set].group;
        let leaving = group.members().iter().any(|member| matches!(member.state(), State::Leaving { .. }));
        let holds = self.is_giving(set) || group.members().iter().any(Instance::holds);
        let waits = group.deadline().is_some_and(|(at, wait)| wait == Wait::TakeOver && at <= now);
        if leaving || !holds && !waits {
            self.sets[set].withheld = false;
            self.say(now, set, |claimant, _| claimant.give_up(), effects);
        }
    }

    /// A Master has advertised: it asks for longer, or at all.
    pub(super) fn renew(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        let renew = |claimant: &mut Claimant, now| {
            let pleas = claimant.renew(now);
            if pleas.is_empty() { claimant.pursue(now) } else { pleas }
        };
        self.say(now, set, renew, effects);
    }

    /// The kernel has taken away what an instance held.
    pub(super) fn released(&mut self, now: Time, instance: InstanceId, effects: &mut Vec<Effect>) {
        let Some((index, member)) = self.find(instance) else { return };
        let router = &mut self.routers[index];
        router.members[member].giving = router.members[member].giving.saturating_sub(1);
        let set = router.set;
        self.note_lease(index, member, effects);
        let holds = self.sets[set].group.members().iter().any(Instance::holds);
        if !self.is_giving(set) && !holds {
            self.say(now, set, |claimant, _| claimant.give_up(), effects);
            self.sets[set].withheld = false;
            self.file(set);
        }
        // What was put there beside ours stood for it until now.
        self.evict(now, effects);
    }

    /// What gives back the claim of a set once its process has died.
    pub(super) fn last_pleas(&self, set: usize) -> LastPleas {
        let claims = self.claims.as_ref().zip(self.sets[set].office.as_ref());
        claims.map(|(claims, (office, _))| claims.last_pleas(office)).unwrap_or_default()
    }

    /// Whether the kernel still takes away what an instance of the set held.
    fn is_giving(&self, set: usize) -> bool {
        let mut seats = self.sets[set].seats.iter();
        seats.any(|seat| self.routers[seat.router].members[seat.member].giving > 0)
    }

    /// After a reload: what nobody has a seat for any more is not waited for, so that nobody would give its claim
    /// back.
    pub(super) fn lapse_claims(&mut self) {
        let Some(claims) = &mut self.claims else { return };
        for (office, claimant) in &mut claims.claimants {
            let mut sets =
                self.sets.iter().filter(|set| set.office.as_ref().is_some_and(|(own, _)| own == office));
            if !sets.any(|set| set.group.members().iter().any(Instance::holds)) {
                claimant.let_lapse();
            }
        }
    }

    /// When the claim of a set wants a turn.
    pub(super) fn claim_deadline(&self, set: usize) -> Option<Time> {
        let (office, _) = self.sets[set].office.as_ref()?;
        let claimant = self.claims.as_ref()?.claimants.get(office)?;
        // What is lost already goes back when the kernel has said that nothing is held.
        let waits = claimant.term().is_some() && self.is_giving(set);
        let stretches = self.stretches(set).map(last_renewal);
        claimant.deadline().filter(|_| !waits).into_iter().chain(stretches).min()
    }

    /// Until when a set may hold by its claim; `None` where it has none, may hold without, or the kernel cannot
    /// count so short a time.
    pub(super) fn claim_end(&self, set: usize) -> Option<Time> {
        let (office, _) = self.sets[set].office.as_ref().filter(|(_, quorum)| *quorum == Quorum::Require)?;
        let first = &self.routers[*self.sets[set].routers.first()?].config;
        let claimant = self.claims.as_ref()?.claimants.get(office)?;
        if !ends_with_claim(claimant.config().ttl, first.interval) {
            return None;
        }
        claimant.ends()
    }

    /// The term in which a set has its claim.
    pub(super) fn term(&self, set: usize) -> Option<u64> {
        let (office, _) = self.sets[set].office.as_ref()?;
        self.claims.as_ref()?.claimants.get(office)?.term().map(Term::number)
    }

    /// What the voters say, in words.
    pub(super) fn claim_status(&self, now: Time, set: usize) -> String {
        let Some((office, quorum)) = &self.sets[set].office else { return "none".to_owned() };
        let quorum = match quorum {
            Quorum::Off => "not needed",
            Quorum::Prefer => "preferred",
            Quorum::Require => "required",
        };
        let Some(claims) = &self.claims else { return format!("{quorum}, and there is no vote yet") };
        let Some(claimant) = claims.claimants.get(office) else { return format!("{quorum}, not asked for") };
        let state = match claimant.term() {
            Some(term) if claimant.holds(now) => format!("held in term {term}"),
            _ if claimant.asks() => "asked for".to_owned(),
            _ => "not asked for".to_owned(),
        };
        let voter = |(voter, heard): (VoterId, Option<(Time, Verdict)>)| match heard {
            Some((at, verdict)) => format!("{voter} {} {} ms ago", verdict.word(), now.since(at).as_millis()),
            None => format!("{voter} never heard"),
        };
        let said: Vec<_> = match &claims.by {
            By::Voters(_) => claimant.voters().map(voter).collect(),
            By::Store(store) => store.said(now, office).collect(),
        };
        format!("{quorum}, {state}; {}", said.join(", "))
    }

    /// The same in numbers.
    pub(super) fn vote(&self, now: Time, set: usize) -> Option<VoteStatus> {
        let (office, _) = self.sets[set].office.as_ref()?;
        let claims = self.claims.as_ref()?;
        let claimant = claims.claimants.get(office)?;
        let (held, grace) = (claimant.holds(now), claims.grace(office));
        let says_yes = |(at, verdict): (Time, Verdict)| verdict == Verdict::Granted && now.since(at) <= grace;
        Some(VoteStatus {
            held,
            term: claimant.term().filter(|_| held).map(Term::number),
            ends_ms: claimant.ends().filter(|_| held).map(|at| millis(at.since(now))),
            voters: claimant.voters().count(),
            granted: claimant.voters().filter(|(_, heard)| heard.is_some_and(says_yes)).count(),
        })
    }

    /// What is wrong with the vote on a set, a line each.
    pub(super) fn claim_trouble(&self, now: Time, set: usize) -> Vec<String> {
        let (Some((office, _)), Some(claims)) = (&self.sets[set].office, &self.claims) else {
            return Vec::new();
        };
        let voter = match &claims.by {
            By::Voters(voters) => &voters.voter,
            By::Store(store) => return store.trouble(now, office, claims.grace(office)),
        };
        let members = self.sets[set].group.members();
        if let Some(claimant) = claims.claimants.get(office).filter(|claimant| claimant.holds(now)) {
            let grace = claims.grace(office);
            let line = |voter| format!("voter {voter} does not answer");
            return claimant.silent(now, grace).map(line).collect();
        }
        // A Master that votes asks this voter as well, at each of its adverts.
        let Some(first) = self.sets[set].routers.first() else { return Vec::new() };
        let grant = Ttl::of_interval(self.routers[*first].config.interval.duration()).grant();
        let unasked = voter.holder(now, office).is_none() && now.since(voter.awake_at()) > grant;
        let follows = |member: &Instance| match member.state() {
            State::Backup { master, .. } if now.since(member.since()) > grant => *master,
            _ => None,
        };
        let master = members.iter().find_map(follows).filter(|_| unasked && !self.sets[set].withheld);
        master
            .map(|master| format!("unprotected: {master} is Master and does not vote"))
            .into_iter()
            .collect()
    }

    fn allows(&self, now: Time, office: &Office, quorum: Quorum) -> bool {
        let Some(claims) = &self.claims else { return false };
        let Some(claimant) = claims.claimants.get(office) else { return false };
        quorum.allows(claimant.ruling(now, claims.grace(office)))
    }

    fn say(
        &mut self,
        now: Time,
        set: usize,
        what: impl FnOnce(&mut Claimant, Time) -> Pleas,
        effects: &mut Vec<Effect>,
    ) {
        let Some((office, _)) = self.sets[set].office.clone() else { return };
        let Some(first) = self.sets[set].routers.first() else { return };
        let interval = self.routers[*first].config.interval.duration();
        let Some(claims) = &mut self.claims else { return };
        let pleas = what(claims.claimant(now, &office, interval), now);
        claims.plead(now, &office, pleas, effects);
        self.tell_term(set, effects);
    }
}
