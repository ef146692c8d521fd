//! The claimants of this node, and who grants to them: a majority of voters, or a store.

use super::config::Claims as Settings;
use super::effect::{Effect, Note};
use super::store::Store;
use crate::claim::channel::{Channel, Heard};
use crate::claim::claimant::{self, Claimant, Pleas};
use crate::claim::datagram::Key;
use crate::claim::voter::Voter;
use crate::claim::{Answer, Ask, Office, Plea, Release, Request, Term, Verdict, VoterId, etcd};
use crate::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What gives a claim back where the process no longer can: datagrams to voters, ready to be sent, or what a store is told.
pub(super) type LastPleas = (Vec<(VoterId, Vec<u8>)>, Vec<Release>);

/// How long before a claimant asks again; two of them differ by the last byte of their addresses.
const RETRY: Duration = Duration::from_millis(100);
/// How long a majority may be silent before it counts as gone, in times of the claim's own.
const GRACE: u32 = 3;

/// The claims of one node, and who grants them.
#[derive(Debug)]
pub(super) struct Claims {
    settings: Settings,
    pub by: By,
    session: u64,
    floor: Term,
    pub claimants: BTreeMap<Office, Claimant>,
    /// Datagrams that were not believed.
    pub refused: u64,
}

#[derive(Debug)]
pub(super) enum By {
    Voters(Box<Voters>),
    Store(Store),
}

/// One node's part in the vote.
#[derive(Debug)]
pub(super) struct Voters {
    own: VoterId,
    others: Vec<VoterId>,
    channel: Channel,
    pub voter: Voter,
}

impl Claims {
    /// Those of a node. `None` where the key is none.
    pub(super) fn begin(
        now: Time,
        settings: &Settings,
        session: u64,
        floor: Term,
        effects: &mut Vec<Effect>,
    ) -> Option<Self> {
        let by = match settings {
            Settings::Vote(vote) => {
                let key = Key::new(vote.key.expose())?;
                let (own, others) = (vote.own, vote.others.clone());
                effects.push(Effect::Vote(own));
                let channel = Channel::new(own, key, session);
                let voter = Voter::new(now, vote.longest, floor);
                By::Voters(Box::new(Voters { own, others, channel, voter }))
            }
            Settings::Store(store) => {
                effects.push(Effect::Consult(session));
                By::Store(Store::new(&store.endpoints))
            }
        };
        let (settings, claimants) = (settings.clone(), BTreeMap::new());
        Some(Claims { settings, by, session, floor, claimants, refused: 0 })
    }

    /// What they were made for.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// By what the store knows this process.
    pub(super) fn session(&self) -> u64 {
        self.session
    }

    /// Asks the store in the session of the process before this one, which has asked for nothing since. To be
    /// called before anything is claimed.
    pub(super) fn go_on_as(&mut self, session: u64, effects: &mut Vec<Effect>) {
        self.session = session;
        effects.push(Effect::Consult(session));
    }

    /// Takes up other settings, which [may follow](Settings::can_become) these.
    pub(super) fn become_of(&mut self, new: &Settings, effects: &mut Vec<Effect>) {
        let (By::Voters(voters), Settings::Vote(vote)) = (&mut self.by, new) else { return };
        // The section on a second path may be another one as well.
        effects.push(Effect::Vote(vote.own));
        if let Some(key) = Key::new(vote.key.expose()) {
            voters.channel.change_key(key);
        }
        voters.others.clone_from(&vote.others);
        // Of a longer time it is true at once, of a shorter one from the next start on.
        voters.voter.grant_up_to(vote.longest);
        self.settings = new.clone();
    }

    /// Has the claimant of an office, where there is one, ask whom it is to ask now, and for how long.
    pub(super) fn retune(
        &mut self,
        now: Time,
        office: &Office,
        interval: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let config = self.config(office, interval);
        // What a store has granted it renews for the same time as ever.
        let Some(claimant) = self.claimants.get_mut(office).filter(|_| matches!(self.by, By::Voters(_)))
        else {
            return;
        };
        if *claimant.config() != config {
            let pleas = claimant.retune(now, config);
            self.plead(now, office, pleas, effects);
        }
    }

    /// A claimant's own: made when first asked for.
    pub(super) fn claimant(&mut self, now: Time, office: &Office, interval: Duration) -> &mut Claimant {
        let (session, floor, config) = (self.session, self.floor, self.config(office, interval));
        self.claimants.entry(office.clone()).or_insert_with(|| Claimant::new(config, session, floor, now))
    }

    fn config(&self, office: &Office, interval: Duration) -> claimant::Config {
        let ttl = self.settings.ttl(interval);
        let (voters, retry, pace) = match &self.by {
            By::Voters(voters) => {
                let retry = RETRY + Duration::from_millis(u64::from(last_byte(voters.own)) * 7 % 100);
                let voters = std::iter::once(voters.own).chain(voters.others.iter().copied()).collect();
                (voters, retry, Duration::ZERO)
            }
            By::Store(_) => (vec![etcd::STORE], etcd::patience(ttl), etcd::pace(ttl)),
        };
        claimant::Config { office: office.clone(), voters, ttl, retry, pace }
    }

    /// Says this to every voter, the own one included, and what follows from its answer; or to the store.
    pub(super) fn plead(&mut self, now: Time, office: &Office, pleas: Pleas, effects: &mut Vec<Effect>) {
        let voters = match &mut self.by {
            By::Voters(voters) => voters,
            By::Store(_) => return effects.extend(pleas.into_iter().map(Effect::Plead)),
        };
        let mut waiting: VecDeque<Plea> = pleas.into_iter().collect();
        while let Some(plea) = waiting.pop_front() {
            for to in &voters.others {
                effects.push(Effect::Ballot { to: *to, bytes: voters.channel.plead(*to, plea.clone()) });
            }
            match &plea {
                Plea::Release(release) => voters.voter.release(voters.own, release),
                Plea::Request(request) => {
                    let answer = voters.answer(now, voters.own, request, effects);
                    if let Some(claimant) = self.claimants.get_mut(office) {
                        waiting.extend(claimant.hear(now, voters.own, &answer));
                    }
                }
            }
        }
    }

    /// What gives the claim of an office back where this process no longer can, ready to be sent. Nothing where it has
    /// none.
    pub(super) fn last_pleas(&self, office: &Office) -> LastPleas {
        let held = self.claimants.get(office).filter(|claimant| claimant.term().is_some());
        let pleas = held.map(Claimant::give_back).unwrap_or_default();
        let releases = pleas.into_iter().filter_map(|plea| match plea {
            Plea::Release(release) => Some(release),
            Plea::Request(_) => None,
        });
        match &self.by {
            By::Store(_) => (Vec::new(), releases.collect()),
            By::Voters(voters) => {
                let to_all = releases.flat_map(|release| {
                    let channel = &voters.channel;
                    voters.others.iter().map(move |to| (*to, channel.give_back_ahead(*to, release.clone())))
                });
                (to_all.filter_map(|(to, bytes)| Some((to, bytes?))).collect(), Vec::new())
            }
        }
    }

    /// How long an office may be without answers before nobody is there any more.
    pub(super) fn grace(&self, office: &Office) -> Duration {
        self.claimants.get(office).map_or(Duration::ZERO, |claimant| claimant.config().ttl.grant() * GRACE)
    }

    /// Asks once more what was asked last.
    fn repeat(&mut self, now: Time, office: &Office, effects: &mut Vec<Effect>) {
        let pleas = self.claimants.get_mut(office).map(|claimant| claimant.repeat(now)).unwrap_or_default();
        self.plead(now, office, pleas, effects);
    }

    fn repeat_all(&mut self, now: Time, which: impl Fn(&Claimant) -> bool, effects: &mut Vec<Effect>) {
        let chosen = self.claimants.iter().filter(|(_, claimant)| which(claimant));
        for office in chosen.map(|(office, _)| office.clone()).collect::<Vec<_>>() {
            self.repeat(now, &office, effects);
        }
    }

    /// Whose claim the datagram may have changed.
    pub(super) fn hear(
        &mut self,
        now: Time,
        bytes: &[u8],
        chance: u64,
        effects: &mut Vec<Effect>,
    ) -> Option<Office> {
        let By::Voters(voters) = &mut self.by else { return None };
        let Ok(heard) = voters.channel.hear(bytes, chance) else {
            self.refused += 1;
            return None;
        };
        match heard {
            Heard::Stranger(to, bytes) => {
                effects.push(Effect::Ballot { to, bytes });
                // Behind the greeting, so that its answer is believed this time.
                self.repeat_all(now, Claimant::asks, effects);
            }
            Heard::Unproven(to, bytes) => effects.push(Effect::Ballot { to, bytes }),
            Heard::Greeted(_) => self.repeat_all(now, |_| true, effects),
            Heard::GreetedAgain(_) => {}
            Heard::Plea(from, Plea::Request(request)) => {
                let answer = voters.answer(now, from, &request, effects);
                effects.push(Effect::Ballot { to: from, bytes: voters.channel.answer(from, answer) });
            }
            Heard::Plea(from, Plea::Release(release)) => {
                voters.voter.release(from, &release);
                // Who waits for it need not wait for its own rhythm.
                if self.claimants.get(&release.office).is_some_and(Claimant::asks) {
                    self.repeat(now, &release.office, effects);
                    return Some(release.office);
                }
            }
            Heard::Answer(from, answer) => return self.answer(now, from, &answer, effects),
        }
        None
    }

    /// Whose claim the answer may have changed.
    pub(super) fn answer(
        &mut self,
        now: Time,
        from: VoterId,
        answer: &Answer,
        effects: &mut Vec<Effect>,
    ) -> Option<Office> {
        let claimant = self.claimants.get_mut(&answer.office)?;
        let pleas = claimant.hear(now, from, answer);
        self.plead(now, &answer.office, pleas, effects);
        Some(answer.office.clone())
    }
}

impl Voters {
    /// The own vote. Each new one is told of, and not that it is renewed.
    fn answer(&mut self, now: Time, from: VoterId, request: &Request, effects: &mut Vec<Effect>) -> Answer {
        let before = self.voter.holder(now, &request.office);
        let answer = self.voter.answer(now, from, request);
        let granted = request.ask == Ask::Vote && answer.verdict == Verdict::Granted;
        if granted && before != Some((from, request.term)) {
            let (office, term) = (request.office.name().to_owned(), request.term.number());
            effects.push(Effect::Note(Note::Vote { office, holder: from, term }));
        }
        answer
    }
}

fn last_byte(id: VoterId) -> u8 {
    match id.address {
        std::net::IpAddr::V4(address) => address.octets()[3],
        std::net::IpAddr::V6(address) => address.octets()[15],
    }
}
