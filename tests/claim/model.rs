//! Every order of events, on the real voters and claimants: three voters, two of them candidates, each
//! may restart once, and whatever is sent may be lost, late, out of order or come again. Clocks are off
//! by 1 %, each to its own side.
//!
//! Breadth first, so that what is found is the shortest way there. Time goes in steps; whatever is
//! sent stays on the way for ever, and may come at any time, any number of times. Probes always find
//! everything free: no holder is ever safe because others were polite.
//!
//! A node's own steps are made once each by the real code, and then looked up: what is walked through is
//! numbers.

use crate::faults::Fault;
use locum::claim::claimant::{Claimant, Config, Pleas};
use locum::claim::voter::Voter;
use locum::claim::{Answer, Ask, Office, Plea, Release, Request, Stamp, Term, Ttl, Verdict, VoterId};
use locum::time::Time;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Nodes; the first [`CANDIDATES`] of them want to hold.
const NODES: usize = 3;
const CANDIDATES: usize = 2;
const TTL: Ttl = Ttl::from_millis(1000).unwrap();
/// Three steps are longer than a grant on a fast clock and shorter than one on a slow clock.
const STEP: u64 = 331;

/// More states than there is memory for.
const MOST: usize = 20_000_000;

/// What the search may do.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Steps of time.
    pub steps: u8,
    /// Campaigns of each candidate in each of its lives.
    pub campaigns: u8,
    /// Renewals of each candidate.
    pub renewals: u8,
    /// Restarts of each node.
    pub restarts: [u8; NODES],
    /// Whether a holder may give up though its lease is not over.
    pub gives_up: bool,
}

/// Thousandths by which each node's clock is fast.
pub type Speeds = [i64; NODES];

/// All of the nodes by their numbers, and what is on the way.
#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    step: u8,
    nodes: [u32; NODES],
    /// Numbers of mail, in order.
    on_the_way: Vec<u16>,
    /// The greatest term held so far, and by whom.
    last: (Term, usize),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Node {
    voter: Voter,
    /// Of a candidate.
    claimant: Option<Claimant>,
    /// Holds until it gives up: what a holder that does not look at its lease would do.
    took: bool,
    campaigns: u8,
    renewals: u8,
    restarts: u8,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Mail {
    Plea { from: usize, to: usize, plea: Plea },
    Answer { from: usize, to: usize, answer: Answer },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Move {
    Time,
    Pursue,
    Renew,
    GiveUp,
    Restart,
    Deliver(u16),
}

/// What a node is after a move, and what it sends.
type Made = (u32, Vec<u16>);

fn id(node: usize) -> VoterId {
    VoterId { address: [10, 0, 0, u8::try_from(node).unwrap() + 1].into(), port: 5112 }
}

fn office() -> Office {
    Office::new("web").unwrap()
}

/// The search itself.
pub struct Model {
    bounds: Bounds,
    speeds: Speeds,
    fault: Option<Fault>,
    nodes: Vec<Node>,
    numbers: HashMap<Node, u32>,
    mail: Vec<Mail>,
    mail_numbers: BTreeMap<Mail, u16>,
    made: HashMap<(usize, u32, u8, Move), Made>,
}

impl Model {
    pub fn new(bounds: Bounds, speeds: Speeds, fault: Option<Fault>) -> Self {
        let (nodes, numbers, made) = (Vec::new(), HashMap::new(), HashMap::new());
        Model { bounds, speeds, fault, nodes, numbers, mail: Vec::new(), mail_numbers: BTreeMap::new(), made }
    }

    /// How many states there are, or what is wrong in the first bad one.
    pub fn search(mut self) -> Result<usize, String> {
        let mut seen = HashSet::new();
        let start = [0, 1, 2].map(|who| {
            let node = self.node(who, 0, self.clock(0, who) - TTL.grant());
            self.number(node)
        });
        let mut level = vec![World { step: 0, nodes: start, on_the_way: Vec::new(), last: (Term::NONE, 0) }];
        while !level.is_empty() {
            let mut next = Vec::new();
            for world in level {
                for after in self.after(&world)? {
                    if seen.insert(print_of(&after)) {
                        next.push(after);
                    }
                }
                if seen.len() > MOST {
                    return Err(format!("more than {MOST} states"));
                }
            }
            level = next;
        }
        Ok(seen.len())
    }

    fn number(&mut self, node: Node) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap();
        let nodes = &mut self.nodes;
        *self.numbers.entry(node).or_insert_with_key(|node| {
            nodes.push(node.clone());
            next
        })
    }

    fn mail_number(&mut self, mail: Mail) -> u16 {
        let next = u16::try_from(self.mail.len()).unwrap();
        let all = &mut self.mail;
        *self.mail_numbers.entry(mail.clone()).or_insert_with(|| {
            all.push(mail);
            next
        })
    }

    fn node(&self, who: usize, life: u8, voter_begins: Time) -> Node {
        let floor = self.floor(life);
        let now = voter_begins + TTL.grant();
        Node {
            voter: Voter::new(voter_begins, TTL, floor),
            claimant: (who < CANDIDATES).then(|| self.claimant(who, life, now)),
            took: false,
            campaigns: 0,
            renewals: 0,
            restarts: life,
        }
    }

    fn claimant(&self, who: usize, life: u8, now: Time) -> Claimant {
        let voters = match self.fault {
            Some(Fault::OneVoteIsEnough) => vec![id(who)],
            _ => (0..NODES).map(id).collect(),
        };
        // So that its lease is as long as a grant.
        let ttl = if self.fault == Some(Fault::NoMargin) { Ttl::from_millis(1053).unwrap() } else { TTL };
        let (retry, pace) = (Duration::from_secs(60), Duration::ZERO);
        let session = u64::from(life) * 10 + u64::try_from(who).unwrap();
        // B outbids A at once.
        let ahead = if self.fault == Some(Fault::TermReused) { 0 } else { 10 * u64::try_from(who).unwrap() };
        let floor = Term::new(self.floor(life).number() + ahead);
        Claimant::new(Config { office: office(), voters, ttl, retry, pace }, session, floor, now)
    }

    fn floor(&self, life: u8) -> Term {
        let forgets = self.fault == Some(Fault::TermReused) && life > 0;
        if forgets { Term::NONE } else { Term::new(100 * (u64::from(life) + 1)) }
    }

    /// What a node's clock reads after so many steps.
    fn clock(&self, step: u8, who: usize) -> Time {
        let speed = u64::try_from(1000 + self.speeds[who]).unwrap();
        let spent = Duration::from_micros(u64::from(step) * STEP * speed);
        Time::ZERO + Duration::from_secs(100) + spent
    }

    /// Every world that can follow.
    fn after(&mut self, world: &World) -> Result<Vec<World>, String> {
        let mut all = Vec::new();
        if world.step < self.bounds.steps {
            let mut after = World { step: world.step + 1, ..world.clone() };
            for who in 0..CANDIDATES {
                self.make(&mut after, who, Move::Time);
            }
            self.judge(&mut after)?;
            all.push(after);
        }
        for (who, step) in self.moves(world) {
            let mut after = world.clone();
            self.make(&mut after, who, step);
            self.judge(&mut after)?;
            all.push(after);
        }
        Ok(all)
    }

    fn moves(&self, world: &World) -> Vec<(usize, Move)> {
        let mut moves = Vec::new();
        for who in 0..NODES {
            let node = &self.nodes[world.nodes[who] as usize];
            if node.restarts < self.bounds.restarts[who] {
                moves.push((who, Move::Restart));
            }
            let Some(claimant) = &node.claimant else { continue };
            let (holds, asks) = (claimant.holds(self.clock(world.step, who)), claimant.asks());
            if !holds && !asks && node.campaigns < self.bounds.campaigns {
                moves.push((who, Move::Pursue));
            }
            if holds && node.renewals < self.bounds.renewals {
                moves.push((who, Move::Renew));
            }
            if (holds || asks) && self.bounds.gives_up {
                moves.push((who, Move::GiveUp));
            }
        }
        moves.extend(world.on_the_way.iter().map(|number| match &self.mail[usize::from(*number)] {
            Mail::Plea { to, .. } | Mail::Answer { to, .. } => (*to, Move::Deliver(*number)),
        }));
        moves
    }

    /// Whether mail is an answer that tells its claimant nothing new. Nor will it later: terms grow.
    fn is_spent(&mut self, world: &World, number: u16) -> bool {
        let Mail::Answer { to, .. } = self.mail[usize::from(number)] else { return false };
        if self.fault == Some(Fault::AnswersOfThePast) {
            return false;
        }
        let before = world.nodes[to];
        self.play_once((to, before, world.step, Move::Deliver(number))).0 == before
    }

    /// One node's move.
    fn make(&mut self, world: &mut World, who: usize, step: Move) {
        let (node, sent) = self.play_once((who, world.nodes[who], world.step, step));
        world.nodes[who] = node;
        world.on_the_way.extend(sent);
        world.on_the_way.sort_unstable();
        world.on_the_way.dedup();
        world.on_the_way = std::mem::take(&mut world.on_the_way)
            .into_iter()
            .filter(|number| !self.is_spent(world, *number))
            .collect();
    }

    /// What a move makes of a node: played by the real code the first time, and looked up from then on.
    fn play_once(&mut self, key: (usize, u32, u8, Move)) -> Made {
        if let Some(made) = self.made.get(&key) {
            return made.clone();
        }
        let (who, before, step, made) = key;
        let mut node = self.nodes[before as usize].clone();
        let mut sent = Vec::new();
        self.play(&mut node, who, step, made, &mut sent);
        node.took |= node.claimant.as_ref().is_some_and(|claimant| claimant.holds(self.clock(step, who)));
        let sent = sent.into_iter().map(|mail| self.mail_number(mail)).collect();
        let made = (self.number(node), sent);
        self.made.insert(key, made.clone());
        made
    }

    fn play(&self, node: &mut Node, who: usize, step: u8, made: Move, sent: &mut Vec<Mail>) {
        let now = self.clock(step, who);
        let claimant = node.claimant.as_mut();
        match made {
            Move::Time => {
                let over = claimant.is_some_and(|claimant| claimant.term().is_some() && !claimant.holds(now));
                if over && self.fault != Some(Fault::NeverLetsGo) {
                    self.give_up(node, who, step, sent);
                }
            }
            Move::Pursue => {
                node.campaigns += 1;
                let pleas = claimant.map(|claimant| pursue(claimant, now)).unwrap_or_default();
                self.send(node, who, step, pleas, sent);
            }
            Move::Renew => {
                node.renewals += 1;
                let pleas = claimant.map(|claimant| claimant.renew(now)).unwrap_or_default();
                self.send(node, who, step, pleas, sent);
            }
            Move::GiveUp => self.give_up(node, who, step, sent),
            Move::Restart => {
                let begins = if self.fault == Some(Fault::VoterForgets) { now - TTL.grant() } else { now };
                *node = Node {
                    voter: Voter::new(begins, TTL, self.floor(node.restarts + 1)),
                    ..self.node(who, node.restarts + 1, now - TTL.grant())
                };
            }
            Move::Deliver(number) => match self.mail[usize::from(number)].clone() {
                Mail::Plea { from, plea, .. } => self.deliver(node, from, who, step, &plea, sent),
                Mail::Answer { from, answer, .. } => self.hear(node, from, who, step, answer, sent),
            },
        }
    }

    fn give_up(&self, node: &mut Node, who: usize, step: u8, sent: &mut Vec<Mail>) {
        let Some(claimant) = &mut node.claimant else { return };
        let pleas = if self.fault == Some(Fault::ReleasesBeforeItDrops) {
            claimant.clone().give_up()
        } else {
            node.took = false;
            claimant.give_up()
        };
        self.send(node, who, step, pleas, sent);
    }

    /// To the own voter at once, to the others on the way.
    fn send(&self, node: &mut Node, from: usize, step: u8, pleas: Pleas, sent: &mut Vec<Mail>) {
        for mut plea in pleas {
            if let Plea::Request(request) = &mut plea {
                request.ttl = TTL;
            }
            let others = (0..NODES).filter(|to| *to != from);
            sent.extend(others.map(|to| Mail::Plea { from, to, plea: plea.clone() }));
            self.deliver(node, from, from, step, &plea, sent);
        }
    }

    fn deliver(&self, node: &mut Node, from: usize, to: usize, step: u8, plea: &Plea, sent: &mut Vec<Mail>) {
        let mut now = self.clock(step, to);
        if self.fault == Some(Fault::VoterClockIsStepped) && step > 0 {
            now = now + TTL.grant();
        }
        match plea {
            Plea::Request(request) => {
                if self.fault == Some(Fault::GrantsAnybody) {
                    node.voter = Voter::new(now - TTL.grant(), TTL, Term::NONE);
                }
                let answer = node.voter.answer(now, id(from), request);
                if from == to {
                    self.hear(node, to, from, step, answer, sent);
                } else {
                    sent.push(Mail::Answer { from: to, to: from, answer });
                }
            }
            Plea::Release(release) if self.fault == Some(Fault::AnyRelease) => {
                if let Some((holder, term)) = node.voter.holder(now, &release.office) {
                    node.voter.release(holder, &Release { term, ..release.clone() });
                }
            }
            Plea::Release(release) => node.voter.release(id(from), release),
        }
    }

    fn hear(
        &self,
        node: &mut Node,
        from: usize,
        to: usize,
        step: u8,
        mut answer: Answer,
        sent: &mut Vec<Mail>,
    ) {
        let now = self.clock(step, to);
        let Some(claimant) = &mut node.claimant else { return };
        let mut senders = vec![id(from)];
        match self.fault {
            Some(Fault::LeaseFromAnswer) => {
                if let Some(Plea::Request(fresh)) = claimant.repeat(now).pop() {
                    answer.stamp = fresh.stamp;
                }
            }
            Some(Fault::AnswersOfThePast) => {
                if let Some(Plea::Request(fresh)) = claimant.clone().repeat(now).pop() {
                    answer.stamp = Stamp { number: fresh.stamp.number - 1, ..fresh.stamp };
                    answer.term = fresh.term;
                }
            }
            Some(Fault::OneVoteCountsTwice) => senders = (0..NODES).map(id).collect(),
            _ => {}
        }
        let mut pleas = Pleas::new();
        for sender in senders {
            pleas.extend(claimant.hear(now, sender, &answer));
        }
        self.send(node, to, step, pleas, sent);
    }

    /// The laws: nobody holds beside another, and no term is less than one before, or another's.
    fn judge(&self, world: &mut World) -> Result<(), String> {
        let holder = |who: usize| {
            let node = &self.nodes[world.nodes[who] as usize];
            let claimant = node.claimant.as_ref()?;
            let lets_go = self.fault != Some(Fault::NeverLetsGo);
            let holds = claimant.holds(self.clock(world.step, who)) || (node.took && !lets_go);
            claimant.term().filter(|_| holds).map(|term| (term, who))
        };
        let holders: Vec<(Term, usize)> = (0..CANDIDATES).filter_map(holder).collect();
        let (last, before) = world.last;
        match holders[..] {
            [] => {}
            [(term, who)] if term > last || (term == last && who == before) => world.last = (term, who),
            [(term, _)] => return Err(format!("term {term} after term {last} in step {}", world.step)),
            _ => return Err(format!("two holders in step {}", world.step)),
        }
        Ok(())
    }
}

/// Asks, with every voter's leave.
fn pursue(claimant: &mut Claimant, now: Time) -> Pleas {
    let mut pleas = claimant.pursue(now);
    for voter in (0..NODES).map(id) {
        if let [Plea::Request(Request { ask: Ask::Probe, office, term, stamp, .. })] = &pleas[..] {
            let (ask, office, term, stamp) = (Ask::Probe, office.clone(), *term, *stamp);
            let (verdict, known) = (Verdict::Granted, Term::NONE);
            let asked = claimant.hear(now, voter, &Answer { ask, office, term, stamp, verdict, known });
            pleas = if asked.is_empty() { pleas } else { asked };
        }
    }
    pleas
}

fn print_of(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// The holder's clock is slow and the others' are fast: the worst there is.
pub const WORST: Speeds = [-10, 10, 10];

/// One campaign of each, nobody restarts, for so many steps.
pub const fn plain(steps: u8) -> Bounds {
    Bounds { steps, campaigns: 1, renewals: 0, restarts: [0; NODES], gives_up: false }
}

fn walk(name: &str, bounds: Bounds) {
    let began = std::time::Instant::now();
    let states = Model::new(bounds, WORST, None).search().unwrap_or_else(|found| panic!("{name}: {found}"));
    let took = began.elapsed().as_secs_f64();
    println!("{name}: {states} states, no two holders, no term used twice ({took:.1} s)");
    assert!(states > 1000, "{name}: only {states} states");
}

/// `LOCUM_MODEL_STEPS` says how far time goes with restarts; a voter is silent for the first four.
#[test]
fn no_order_of_events_gives_two_holders_when_each_restarts_once() {
    let steps = std::env::var("LOCUM_MODEL_STEPS").map_or(1, |steps| steps.parse().unwrap());
    walk("each restarts once", Bounds { restarts: [1; NODES], ..plain(steps) });
}

#[test]
fn no_order_of_events_gives_two_holders_while_leases_end() {
    walk("leases end", plain(4));
}

#[test]
fn no_order_of_events_gives_two_holders_while_leases_are_renewed() {
    walk("leases are renewed", Bounds { renewals: 1, ..plain(3) });
}

#[test]
fn no_order_of_events_gives_two_holders_while_the_witness_is_silent() {
    // It votes again in the fourth step: ten times as many states.
    let steps = if std::env::var_os("LOCUM_LONG").is_some() { 4 } else { 3 };
    walk("the witness restarts", Bounds { restarts: [0, 0, 1], ..plain(steps) });
}

#[test]
fn no_order_of_events_gives_two_holders_when_claims_are_given_back() {
    walk("claims are given back", Bounds { gives_up: true, ..plain(2) });
}
