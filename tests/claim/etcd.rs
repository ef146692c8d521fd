//! Claimants that ask an etcd: each step in JSON, on a model of the least of it; and thousands of random runs with
//! whatever can be lost, late or slow, in which never two may hold and terms only grow. With each planted fault
//! they do.

use data_encoding::BASE64;
use locum::claim::claimant::{Claimant, Config, Pleas};
use locum::claim::etcd::{Errand, Place, Post, Reply, STORE, pace, patience};
use locum::claim::{Answer, Ask, Office, Plea, Release, Request, Stamp, Term, Ttl, Verdict};
use locum::sim::{Etcd, Rng};
use locum::time::Time;
use serde_json::{Value, json};
use std::time::Duration;

const TTL: Ttl = Ttl::from_millis(2000).unwrap();

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(100) + Duration::from_millis(milliseconds)
}

fn place(session: u64) -> Place {
    Place { prefix: "/locum/".to_owned(), node: "a".to_owned(), session }
}

fn request(ask: Ask, term: u64) -> Plea {
    let (office, stamp) = (Office::new("web").unwrap(), Stamp { session: 7, number: 3 });
    Plea::Request(Request { ask, office, term: Term::new(term), ttl: TTL, stamp })
}

/// A vote that is the claimant's request of this number.
fn numbered(number: u64, term: u64) -> Plea {
    let (office, stamp) = (Office::new("web").unwrap(), Stamp { session: 7, number });
    Plea::Request(Request { ask: Ask::Vote, office, term: Term::new(term), ttl: TTL, stamp })
}

fn release(term: u64) -> Plea {
    Plea::Release(Release { office: Office::new("web").unwrap(), term: Term::new(term) })
}

/// Runs an errand to its end.
fn run(etcd: &mut Etcd, now: Time, session: u64, plea: Plea) -> Result<Reply, String> {
    let mut errand = Errand::new(&place(session), plea);
    loop {
        let (status, body) = etcd.answer(now, &errand.post());
        if let Some(reply) = errand.hear(status, body.as_bytes())? {
            return Ok(reply);
        }
    }
}

fn verdict(etcd: &mut Etcd, now: Time, session: u64, plea: Plea) -> (Verdict, u64) {
    let Answer { verdict, known, .. } = run(etcd, now, session, plea).unwrap().answer.unwrap();
    (verdict, known.number())
}

fn body(post: &Post) -> Value {
    serde_json::from_str(&post.body).unwrap()
}

#[test]
fn what_is_asked_is_what_etcd_understands() {
    let mut errand = Errand::new(&place(0xab), request(Ask::Vote, 5));
    let post = errand.post();
    assert_eq!((post.path, body(&post)), ("/v3/lease/grant", json!({ "TTL": "2", "ID": "0" })));
    assert_eq!(errand.hear(200, br#"{"ID":"77","TTL":"2"}"#), Ok(None));
    let coded = |text: &str| BASE64.encode(text.as_bytes());
    let (term, holder) = (coded("/locum/web/term"), coded("/locum/web/holder"));
    let ours = coded(r#"{"node":"a","session":"00000000000000ab","term":5}"#);
    let third =
        coded(r#"{"node":"a","request":"00000000000000000003","session":"00000000000000ab","term":5}"#);
    let both = json!([{ "request_range": { "key": holder } }, { "request_range": { "key": term } }]);
    let post = errand.post();
    assert_eq!(
        (post.path, body(&post)),
        (
            "/v3/kv/txn",
            json!({
                "compare": [
                    { "result": "EQUAL", "target": "VALUE", "key": term, "value": ours },
                    { "result": "LESS", "target": "VALUE", "key": holder, "value": third },
                ],
                "success": [{ "request_put": { "key": holder, "value": third, "lease": "77" } }],
                "failure": both,
            })
        )
    );
    // Left by somebody who gave it back.
    let free = json!({ "responses": [
        { "response_range": {} },
        { "response_range": { "kvs": [{ "value": coded(r#"{"term":4}"#), "mod_revision": "9" }] } },
    ] });
    assert_eq!(errand.hear(200, free.to_string().as_bytes()), Ok(None));
    assert_eq!(
        body(&errand.post()),
        json!({
            "compare": [
                { "result": "EQUAL", "target": "CREATE", "key": holder, "create_revision": "0" },
                { "result": "EQUAL", "target": "MOD", "key": term, "mod_revision": "9" },
            ],
            "success": [
                { "request_put": { "key": term, "value": ours, "lease": "0" } },
                { "request_put": { "key": holder, "value": third, "lease": "77" } },
            ],
            "failure": both,
        })
    );
    let reply = errand.hear(200, br#"{"succeeded":true}"#).unwrap().unwrap();
    assert_eq!(reply.answer.unwrap().verdict, Verdict::Granted);
}

#[test]
fn one_has_it_until_its_lease_is_over_and_the_next_in_a_greater_term() {
    let mut etcd = Etcd::default();
    assert_eq!(verdict(&mut etcd, at(0), 1, request(Ask::Probe, 0)), (Verdict::Granted, 0));
    assert_eq!(verdict(&mut etcd, at(0), 1, request(Ask::Vote, 5)), (Verdict::Granted, 5));
    assert_eq!(verdict(&mut etcd, at(1999), 2, request(Ask::Probe, 0)), (Verdict::Held, 5));
    assert_eq!(verdict(&mut etcd, at(1999), 2, request(Ask::Vote, 6)), (Verdict::Held, 5));
    assert_eq!(verdict(&mut etcd, at(2000), 2, request(Ask::Vote, 5)), (Verdict::Held, 5), "a term used up");
    assert_eq!(verdict(&mut etcd, at(2000), 2, request(Ask::Vote, 6)), (Verdict::Granted, 6));
    assert_eq!(verdict(&mut etcd, at(2001), 1, request(Ask::Vote, 5)), (Verdict::Held, 6), "a late renewal");
}

#[test]
fn a_renewal_is_a_lease_of_its_own_and_one_that_comes_late_does_not_bring_the_older_one_back() {
    let mut etcd = Etcd::default();
    assert_eq!(verdict(&mut etcd, at(0), 1, numbered(1, 5)), (Verdict::Granted, 5));
    let mut late = Errand::new(&place(1), numbered(2, 5));
    let (status, body) = etcd.answer(at(1000), &late.post());
    assert_eq!(late.hear(status, body.as_bytes()), Ok(None));
    assert_eq!(verdict(&mut etcd, at(1500), 1, numbered(3, 5)), (Verdict::Granted, 5));
    let (status, body) = etcd.answer(at(1600), &late.post());
    let reply = late.hear(status, body.as_bytes()).unwrap().unwrap();
    assert_eq!(reply.answer.unwrap().verdict, Verdict::Granted, "it is ours, by the other");
    assert_eq!(verdict(&mut etcd, at(3499), 2, request(Ask::Probe, 0)), (Verdict::Held, 5));
    assert_eq!(verdict(&mut etcd, at(3500), 2, request(Ask::Probe, 0)), (Verdict::Granted, 5));
    assert_eq!(verdict(&mut etcd, at(3500), 1, numbered(4, 5)), (Verdict::Held, 5), "it was lost");
}

#[test]
fn only_who_has_it_gives_it_back_and_its_renewals_are_worth_nothing_then() {
    let mut etcd = Etcd::default();
    assert_eq!(verdict(&mut etcd, at(0), 1, request(Ask::Vote, 5)), (Verdict::Granted, 5));
    for (session, term) in [(2, 5), (1, 4)] {
        assert_eq!(run(&mut etcd, at(1), session, release(term)).unwrap().answer, None);
        assert_eq!(verdict(&mut etcd, at(1), 2, request(Ask::Probe, 0)), (Verdict::Held, 5));
    }
    assert_eq!(run(&mut etcd, at(2), 1, release(5)).unwrap().answer, None);
    assert_eq!(verdict(&mut etcd, at(2), 1, request(Ask::Vote, 5)), (Verdict::Held, 5));
    assert_eq!(verdict(&mut etcd, at(2), 2, request(Ask::Probe, 0)), (Verdict::Granted, 5));
}

#[test]
fn of_two_that_ask_at_once_one_gets_it() {
    let mut etcd = Etcd::default();
    let mut errands = [1, 2].map(|session| Errand::new(&place(session), request(Ask::Vote, 5)));
    let mut replies = [None, None];
    while replies.contains(&None) {
        for (errand, reply) in errands.iter_mut().zip(&mut replies).filter(|(_, reply)| reply.is_none()) {
            let (status, body) = etcd.answer(at(0), &errand.post());
            *reply = errand.hear(status, body.as_bytes()).unwrap();
        }
    }
    let verdicts = replies.map(|reply| reply.unwrap().answer.unwrap().verdict);
    assert_eq!(verdicts, [Verdict::Granted, Verdict::Held]);
}

#[test]
fn what_is_no_answer_is_said_in_one_line() {
    let said = |plea: Plea, status, body: &str| {
        Errand::new(&place(1), plea).hear(status, body.as_bytes()).unwrap_err()
    };
    let probe = || request(Ask::Probe, 0);
    assert_eq!(
        said(probe(), 503, r#"{"error":"x","message":"etcdserver: no leader","code":14}"#),
        "etcdserver: no leader"
    );
    assert_eq!(said(probe(), 502, "<html>"), "status 502, and no word of an etcd");
    assert!(said(probe(), 200, "<html>").starts_with("the answer is none of an etcd: "));
    assert_eq!(said(probe(), 200, "{}"), "the answer leaves out the keys that were asked for");
    let short = said(request(Ask::Vote, 5), 200, r#"{"ID":"1","TTL":"1"}"#);
    assert_eq!(short, "granted a lease of 1 s where 2 were asked for");
    let by_hand = r#"{"responses":[{"response_range":{}},{"response_range":{"kvs":[{"value":"eA=="}]}}]}"#;
    let expected = "/locum/web/term has no term in it: somebody else wrote there";
    assert_eq!(said(probe(), 200, by_hand), expected);
}

#[test]
fn a_key_without_a_lease_is_told_of_with_its_mend() {
    let by_hand = r#"{"succeeded":true,"responses":[{"response_range":{"kvs":[{"value":"eA=="}]}},{"response_range":{}}]}"#;
    let mut errand = Errand::new(&place(1), request(Ask::Probe, 0));
    let Reply { answer, remark } = errand.hear(200, by_hand.as_bytes()).unwrap().unwrap();
    assert_eq!(answer.unwrap().verdict, Verdict::Held);
    let key = "/locum/web/holder";
    let expected = format!("{key} is there without a lease, put by somebody else: etcdctl del {key}");
    assert_eq!(remark.unwrap(), expected);
}

/// How the program, or the etcd, could be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    LeaseFromAnswer,
    /// What stands in the key of terms is neither read nor guarded.
    TermReused,
    NeverLetsGo,
    ReleasesBeforeItDrops,
    /// Leases end sooner than they may.
    EarlyExpiry,
    /// A renewal that comes late counts like any other.
    LateRenewal,
}

/// On its way to the etcd, or back with an answer.
struct Message {
    due: u64,
    who: usize,
    errand: Errand,
    answer: Option<(u16, String)>,
}

/// Two claimants by their own clocks, 1 % fast and slow or right, and an etcd; messages take up to a second and
/// may be lost, on either way, or all of them for seconds.
struct Run {
    rng: Rng,
    fault: Option<Fault>,
    etcd: Etcd,
    now: u64,
    speeds: [u64; 3],
    claimants: [Claimant; 2],
    sessions: [u64; 2],
    /// Whether it holds, whatever its claimant says.
    holds: [bool; 2],
    /// Until when each would hold by its fault.
    until: [Time; 2],
    /// Until when nothing gets through.
    cut: [u64; 2],
    on_the_way: Vec<Message>,
    /// The greatest term so far.
    last: Term,
    taken: usize,
}

impl Run {
    fn new(seed: u64, fault: Option<Fault>) -> Run {
        let mut rng = Rng::new(seed);
        let speeds = rng.pick(&[[990, 1010, 1010], [1010, 990, 990], [990, 990, 1010], [1000; 3]]);
        let claimants = [0, 1].map(|who| Self::claimant(1 + who, at(0)));
        Run {
            rng,
            fault,
            etcd: Etcd::default(),
            now: 0,
            speeds,
            claimants,
            sessions: [1, 2],
            holds: [false; 2],
            until: [Time::ZERO; 2],
            cut: [0; 2],
            on_the_way: Vec::new(),
            last: Term::NONE,
            taken: 0,
        }
    }

    fn claimant(session: u64, now: Time) -> Claimant {
        let (office, voters) = (Office::new("web").unwrap(), vec![STORE]);
        let config = Config { office, voters, ttl: TTL, retry: patience(TTL), pace: pace(TTL) };
        Claimant::new(config, session, Term::NONE, now)
    }

    /// What the clock of a claimant, or of the etcd, reads.
    fn clock(&self, who: usize) -> Time {
        at(0) + Duration::from_micros(self.now * self.speeds[who])
    }

    fn send(&mut self, who: usize, pleas: Pleas) {
        for plea in pleas {
            let errand = Errand::new(&place(self.sessions[who]), plea);
            self.carry(who, errand, None);
        }
    }

    fn carry(&mut self, who: usize, errand: Errand, answer: Option<(u16, String)>) {
        if !self.rng.chance(100) && self.now >= self.cut[who] {
            let slow = if self.rng.chance(150) { 1000 } else { 60 };
            let due = self.now + self.rng.between(1, slow);
            self.on_the_way.push(Message { due, who, errand, answer });
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.now += 10;
        let all = std::mem::take(&mut self.on_the_way);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|message| message.due <= self.now);
        self.on_the_way = later;
        for Message { who, errand, answer, .. } in due {
            self.arrive(who, errand, answer);
        }
        for who in [0, 1] {
            self.turn(who)?;
        }
        if self.holds == [true, true] {
            return Err(format!("two holders at {}", self.now));
        }
        Ok(())
    }

    fn arrive(&mut self, who: usize, mut errand: Errand, answer: Option<(u16, String)>) {
        let Some((status, body)) = answer else {
            let answer = self.answer(errand.post());
            return self.carry(who, errand, Some(answer));
        };
        match errand.hear(status, body.as_bytes()) {
            Ok(None) => self.carry(who, errand, None),
            Ok(Some(Reply { answer: Some(answer), .. })) => {
                let now = self.clock(who);
                let pleas = self.claimants[who].hear(now, STORE, &answer);
                self.send(who, pleas);
                if answer.verdict == Verdict::Granted && self.claimants[who].term() == Some(answer.term) {
                    self.until[who] = now + TTL.lease();
                }
            }
            Ok(Some(_)) | Err(_) => {}
        }
    }

    fn answer(&mut self, mut post: Post) -> (u16, String) {
        let mut now = self.clock(2);
        if self.fault == Some(Fault::EarlyExpiry) && post.path != "/v3/lease/grant" {
            now = now + Duration::from_millis(400);
        }
        let forgets = self.fault == Some(Fault::TermReused);
        let unguarded = match self.fault {
            Some(Fault::TermReused) => Some(("target", "MOD")),
            Some(Fault::LateRenewal) => Some(("result", "LESS")),
            _ => None,
        };
        if let Some((field, value)) = unguarded {
            let mut asked = body(&post);
            if let Some(guards) = asked.get_mut("compare").and_then(Value::as_array_mut) {
                guards.retain(|guard| guard[field] != value);
            }
            post.body = asked.to_string();
        }
        let (status, mut answer) = self.etcd.answer(now, &post);
        if forgets && let Ok(mut told) = serde_json::from_str::<Value>(&answer) {
            if let Some(range) = told.pointer_mut("/responses/1/response_range") {
                *range = json!({});
            }
            answer = told.to_string();
        }
        (status, answer)
    }

    fn may_hold(&self, who: usize, now: Time) -> bool {
        match self.fault {
            Some(Fault::LeaseFromAnswer) => self.claimants[who].term().is_some() && now < self.until[who],
            _ => self.claimants[who].holds(now),
        }
    }

    fn turn(&mut self, who: usize) -> Result<(), String> {
        let now = self.clock(who);
        let pleas = self.claimants[who].tick(now);
        self.send(who, pleas);
        let holds = self.may_hold(who, now);
        if holds && !self.holds[who] {
            self.taken += 1;
            let term = self.claimants[who].term().unwrap();
            if term <= self.last {
                return Err(format!("term {term} after {}", self.last));
            }
            self.last = term;
        }
        let keeps = match self.fault {
            Some(Fault::NeverLetsGo) => true,
            Some(Fault::ReleasesBeforeItDrops) => now < self.until[who],
            _ => false,
        };
        self.holds[who] = holds || self.holds[who] && keeps;
        match self.rng.below(1000) {
            0..=3 => {
                if self.fault == Some(Fault::ReleasesBeforeItDrops) {
                    self.until[who] = now + Duration::from_millis(300);
                } else {
                    self.holds[who] = false;
                }
                let pleas = self.claimants[who].give_up();
                self.send(who, pleas);
            }
            // It dies, and starts again with whatever it was sending still on its way.
            4 => {
                self.sessions[who] += 2;
                self.claimants[who] = Self::claimant(self.sessions[who], now);
                self.holds[who] = false;
            }
            5..=6 => self.cut[who] = self.now + self.rng.between(500, 4000),
            7..=300 => {
                let renewed = self.claimants[who].renew(now);
                let pleas = if renewed.is_empty() { self.claimants[who].pursue(now) } else { renewed };
                self.send(who, pleas);
            }
            _ => {}
        }
        if self.claimants[who].term().is_some() && !self.may_hold(who, now) {
            let pleas = self.claimants[who].give_up();
            self.send(who, pleas);
        }
        Ok(())
    }
}

/// A minute of each of `seeds`: how often the office was taken, or the first that goes wrong.
fn play(seeds: u64, fault: Option<Fault>) -> Result<usize, String> {
    let mut taken = 0;
    for seed in 0..seeds {
        let mut run = Run::new(seed, fault);
        for _ in 0..6000 {
            run.step().map_err(|wrong| format!("seed {seed}: {wrong}"))?;
        }
        taken += run.taken;
    }
    Ok(taken)
}

#[test]
fn never_two_hold_and_terms_grow_whatever_is_lost_or_late() {
    let taken = play(150, None).unwrap();
    println!("taken {taken} times");
    assert!(taken > 1000, "{taken}");
}

#[test]
fn each_planted_fault_is_found() {
    for fault in [
        Fault::LeaseFromAnswer,
        Fault::NeverLetsGo,
        Fault::ReleasesBeforeItDrops,
        Fault::EarlyExpiry,
        Fault::LateRenewal,
    ] {
        let found = play(400, Some(fault)).expect_err("a fault");
        assert!(found.contains("two holders"), "{fault:?}: {found}");
    }
    let found = play(50, Some(Fault::TermReused)).expect_err("a fault");
    assert!(found.contains(": term "), "{found}");
}
