//! Who holds in which partition: A, B and a witness, each row of the table a test.
//!
//! The voters and claimants are the real ones; around them is the least of VRRP that shows the times.

use locum::claim::claimant::{Claimant, Config, Pleas};
use locum::claim::quorum::Quorum;
use locum::claim::voter::Voter;
use locum::claim::{Answer, Office, Plea, Term, Ttl, VoterId};
use locum::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;
const W: usize = 2;
const INTERVAL: u64 = 1000;
const GRACE: u64 = 9000;
/// Of priorities 200 and 100.
const DOWN: [u64; 2] = [3219, 3609];
/// When everything has settled and the network breaks.
const BREAK: u64 = 20_000;

enum Mail {
    Advert,
    Plea(Plea),
    Answer(Answer),
}

struct Node {
    claimant: Claimant,
    master: bool,
    down_at: u64,
    advert_at: u64,
    hears_lower: bool,
}

struct Lab {
    now: u64,
    quorum: Quorum,
    voters: [Option<Voter>; 3],
    nodes: [Option<Node>; 2],
    /// Whether adverts, and votes, come from one to the other.
    adverts: [[bool; 3]; 3],
    votes: [[bool; 3]; 3],
    on_the_way: VecDeque<(u64, usize, usize, Mail)>,
    disturbs_unasked: bool,
    /// Who held, and from when on.
    held: Vec<(u64, [bool; 2])>,
}

fn id(node: usize) -> VoterId {
    VoterId { address: [10, 0, 0, u8::try_from(node).unwrap() + 1].into(), port: 5112 }
}

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

fn voter(now: u64) -> Voter {
    Voter::new(at(now), Ttl::from_millis(3000).unwrap(), Term::new(now))
}

fn node(who: usize, now: u64) -> Node {
    let config = Config {
        office: Office::new("web").unwrap(),
        voters: [A, B, W].map(id).to_vec(),
        ttl: Ttl::of_interval(Duration::from_millis(INTERVAL)),
        retry: Duration::from_millis(150 + 50 * u64::try_from(who).unwrap()),
        pace: Duration::ZERO,
    };
    let claimant = Claimant::new(config, now + u64::try_from(who).unwrap(), Term::new(now), at(now));
    Node { claimant, master: false, down_at: now + DOWN[who], advert_at: 0, hears_lower: false }
}

impl Lab {
    /// A is Master, of the greater priority; B and W have been there for long.
    fn settled(quorum: Quorum) -> Lab {
        let mut lab = Lab {
            now: 0,
            quorum,
            voters: [A, B, W].map(|_| Some(voter(0))),
            nodes: [A, B].map(|who| Some(node(who, 0))),
            adverts: [[true; 3]; 3],
            votes: [[true; 3]; 3],
            on_the_way: VecDeque::new(),
            disturbs_unasked: false,
            held: vec![(0, [false; 2])],
        };
        lab.run(BREAK);
        assert_eq!(lab.holders(), [true, false], "A holds before anything breaks");
        lab.held = vec![(BREAK, [true, false])];
        lab
    }

    fn cut(&mut self, one: usize, other: usize) {
        for paths in [&mut self.adverts, &mut self.votes] {
            (paths[one][other], paths[other][one]) = (false, false);
        }
    }

    fn kill(&mut self, who: usize) {
        self.voters[who] = None;
        if who != W {
            self.nodes[who] = None;
        }
    }

    fn holders(&self) -> [bool; 2] {
        [A, B].map(|who| self.nodes[who].as_ref().is_some_and(|node| node.master))
    }

    fn run(&mut self, until: u64) {
        while self.now < until {
            self.now += 10;
            while self.on_the_way.front().is_some_and(|(due, ..)| *due <= self.now) {
                let Some((_, from, to, mail)) = self.on_the_way.pop_front() else { break };
                self.arrive(from, to, mail);
            }
            for who in [A, B] {
                if let Some(mut node) = self.nodes[who].take() {
                    self.turn(who, &mut node);
                    self.nodes[who] = Some(node);
                }
            }
            let holders = self.holders();
            if self.held.last().is_none_or(|(_, last)| *last != holders) {
                self.held.push((self.now, holders));
            }
        }
    }

    fn turn(&mut self, who: usize, node: &mut Node) {
        let now = at(self.now);
        let pleas = node.claimant.tick(now);
        self.send(who, pleas);
        let allowed = self.quorum.allows(node.claimant.ruling(now, Duration::from_millis(GRACE)));
        if node.master && !allowed {
            self.step_down(who, node);
        }
        if !node.master && node.down_at <= self.now {
            let pleas = node.claimant.pursue(now);
            self.send(who, pleas);
            if allowed {
                (node.master, node.advert_at) = (true, self.now);
            } else if node.hears_lower && (self.disturbs_unasked || node.claimant.may_challenge()) {
                self.advertise(who);
            }
        }
        if node.master && node.advert_at <= self.now {
            node.advert_at = self.now + INTERVAL;
            let pleas = node.claimant.renew(now);
            let pleas = if pleas.is_empty() { node.claimant.pursue(now) } else { pleas };
            self.send(who, pleas);
            self.advertise(who);
        }
    }

    fn step_down(&mut self, who: usize, node: &mut Node) {
        (node.master, node.hears_lower, node.down_at) = (false, false, self.now + DOWN[who]);
        let pleas = node.claimant.give_up();
        self.send(who, pleas);
    }

    fn advertise(&mut self, who: usize) {
        self.on_the_way.push_back((self.now + 10, who, 1 - who, Mail::Advert));
    }

    fn send(&mut self, who: usize, pleas: Pleas) {
        for plea in pleas {
            for to in [A, B, W] {
                let due = if to == who { self.now } else { self.now + 10 };
                let place = self.on_the_way.partition_point(|(at, ..)| *at <= due);
                self.on_the_way.insert(place, (due, who, to, Mail::Plea(plea.clone())));
            }
        }
    }

    fn arrive(&mut self, from: usize, to: usize, mail: Mail) {
        let paths = if matches!(mail, Mail::Advert) { &self.adverts } else { &self.votes };
        if !paths[from][to] {
            return;
        }
        match mail {
            Mail::Advert => self.hear(to),
            Mail::Plea(Plea::Request(request)) => {
                let Some(voter) = &mut self.voters[to] else { return };
                let answer = voter.answer(at(self.now), id(from), &request);
                let due = if to == from { self.now } else { self.now + 10 };
                let place = self.on_the_way.partition_point(|(at, ..)| *at <= due);
                self.on_the_way.insert(place, (due, to, from, Mail::Answer(answer)));
            }
            Mail::Plea(Plea::Release(release)) => {
                if let Some(voter) = &mut self.voters[to] {
                    voter.release(id(from), &release);
                }
            }
            Mail::Answer(answer) => {
                let Some(mut node) = self.nodes[to].take() else { return };
                let pleas = node.claimant.hear(at(self.now), id(from), &answer);
                self.send(to, pleas);
                self.nodes[to] = Some(node);
            }
        }
    }

    /// The other's advert. A preempts, and is the better one.
    fn hear(&mut self, to: usize) {
        let Some(mut node) = self.nodes[to].take() else { return };
        if to == A {
            node.hears_lower = true;
        } else if node.master {
            self.step_down(to, &mut node);
        } else {
            node.down_at = self.now + DOWN[to];
            let pleas = node.claimant.give_up();
            self.send(to, pleas);
        }
        self.nodes[to] = Some(node);
    }

    fn never_two(&self) {
        assert!(self.held.iter().all(|(_, holders)| *holders != [true; 2]), "{:?}", self.held);
    }

    /// Who held after the break, with the milliseconds after it.
    fn told(&self) -> Vec<(u64, [bool; 2])> {
        self.held.iter().map(|(at, holders)| (at - BREAK, *holders)).collect()
    }
}

const KEEPS: [(u64, [bool; 2]); 1] = [(0, [true, false])];

/// The time of the first change, which must be to `holders`.
fn change(lab: &Lab, place: usize, holders: [bool; 2]) -> u64 {
    let (at, held) = lab.told()[place];
    assert_eq!(held, holders, "{:?}", lab.told());
    at
}

#[test]
fn with_the_link_between_a_and_b_cut_a_keeps() {
    for quorum in [Quorum::Require, Quorum::Prefer] {
        let mut lab = Lab::settled(quorum);
        lab.cut(A, B);
        lab.run(BREAK + 60_000);
        assert_eq!(lab.told(), KEEPS, "{quorum:?}");
    }
}

#[test]
fn with_a_alone_a_drops_within_three_seconds_and_b_takes_within_three_and_seven_tenths() {
    let mut lab = Lab::settled(Quorum::Require);
    lab.cut(A, B);
    lab.cut(A, W);
    lab.run(BREAK + 60_000);
    assert!(change(&lab, 1, [false, false]) <= 3000);
    assert!(change(&lab, 2, [false, true]) <= 3700);
    assert_eq!(lab.told().len(), 3, "and so it stays: {:?}", lab.told());
}

#[test]
fn with_b_alone_a_keeps() {
    let mut lab = Lab::settled(Quorum::Require);
    lab.cut(B, A);
    lab.cut(B, W);
    lab.run(BREAK + 60_000);
    assert_eq!(lab.told(), KEEPS);
}

#[test]
fn with_the_witness_dead_a_keeps() {
    for quorum in [Quorum::Require, Quorum::Prefer] {
        let mut lab = Lab::settled(quorum);
        lab.kill(W);
        lab.run(BREAK + 60_000);
        assert_eq!(lab.told(), KEEPS, "{quorum:?}");
    }
}

#[test]
fn with_the_witness_and_a_dead_nobody_holds() {
    let mut lab = Lab::settled(Quorum::Require);
    lab.kill(W);
    lab.kill(A);
    lab.run(BREAK + 60_000);
    assert_eq!(lab.told(), [KEEPS[0], (10, [false, false])]);
}

#[test]
fn with_the_witness_and_a_dead_b_takes_after_the_grace_where_a_quorum_is_preferred() {
    let mut lab = Lab::settled(Quorum::Prefer);
    lab.kill(W);
    lab.kill(A);
    lab.run(BREAK + 60_000);
    let at = change(&lab, 2, [false, true]);
    assert!((GRACE..=DOWN[B] + GRACE + 100).contains(&at), "{at}");
    assert_eq!(lab.told().len(), 3);
}

#[test]
fn with_all_apart_nobody_holds() {
    let mut lab = Lab::settled(Quorum::Require);
    lab.cut(A, B);
    lab.cut(A, W);
    lab.cut(B, W);
    lab.run(BREAK + 60_000);
    assert!(change(&lab, 1, [false, false]) <= 3000);
    assert_eq!(lab.told().len(), 2);
}

#[test]
fn a_short_time_apart_is_safe_where_a_quorum_is_preferred() {
    let mut lab = Lab::settled(Quorum::Prefer);
    lab.cut(A, B);
    lab.cut(A, W);
    lab.run(BREAK + 9000);
    lab.never_two();
    assert_eq!(lab.holders(), [false, true]);
}

/// A dies and comes back, and everything works: it preempts.
fn back(lab: &mut Lab) {
    lab.kill(A);
    lab.run(BREAK + 10_000);
    assert_eq!(lab.holders(), [false, true]);
    (lab.voters[A], lab.nodes[A]) = (Some(voter(lab.now)), Some(node(A, lab.now)));
}

#[test]
fn a_better_node_that_comes_back_takes_over_with_the_votes_of_the_others() {
    let mut lab = Lab::settled(Quorum::Require);
    back(&mut lab);
    lab.run(BREAK + 30_000);
    assert_eq!(lab.holders(), [true, false]);
    lab.never_two();
    let [.., (gone, [false, false]), (taken, [true, false])] = lab.told()[..] else {
        panic!("{:?}", lab.told());
    };
    assert!(taken - gone <= 200, "{:?}", lab.told());
}

/// Its adverts arrive, its votes do not.
fn back_without_votes(lab: &mut Lab) {
    back(lab);
    lab.votes = [[true, false, false], [false, true, true], [false, true, true]];
    lab.run(BREAK + 60_000);
}

#[test]
fn a_better_node_that_would_get_no_votes_leaves_a_good_master_alone() {
    let mut lab = Lab::settled(Quorum::Require);
    back_without_votes(&mut lab);
    let changes = lab.told().len();
    assert_eq!((lab.holders(), changes), ([false, true], 3), "{:?}", lab.told());
}

/// The planted fault that the test before it is for.
#[test]
fn without_a_pre_vote_it_would_not() {
    let mut lab = Lab::settled(Quorum::Require);
    lab.disturbs_unasked = true;
    back_without_votes(&mut lab);
    assert!(lab.told().len() > 3, "{:?}", lab.told());
}

/// Whoever restarts while everything else works disturbs nobody for longer than it is silent.
#[test]
fn a_witness_that_restarts_changes_nothing() {
    let mut lab = Lab::settled(Quorum::Require);
    lab.voters[W] = Some(voter(lab.now));
    lab.run(BREAK + 60_000);
    assert_eq!(lab.told(), KEEPS);
}

#[test]
fn with_the_witness_restarted_and_b_dead_a_keeps() {
    let mut lab = Lab::settled(Quorum::Require);
    lab.voters[W] = Some(voter(lab.now));
    lab.run(BREAK + 10_000);
    lab.kill(B);
    lab.run(BREAK + 60_000);
    assert_eq!(lab.told(), KEEPS);
}
