//! A claimant's rules one by one: when its lease begins, what extends it, what ends it.

use locum::claim::claimant::{Claimant, Config};
use locum::claim::quorum::Ruling;
use locum::claim::{Answer, Ask, Office, Plea, Request, Term, Ttl, Verdict, VoterId};
use locum::time::Time;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(9);

fn id(host: u8) -> VoterId {
    VoterId { address: [10, 0, 0, host].into(), port: 5112 }
}

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(100) + Duration::from_millis(milliseconds)
}

fn claimant() -> Claimant {
    let config = Config {
        office: Office::new("web").unwrap(),
        voters: [1, 2, 3].map(id).to_vec(),
        ttl: Ttl::of_interval(Duration::from_secs(1)),
        retry: Duration::from_millis(200),
        pace: Duration::ZERO,
    };
    Claimant::new(config, 7, Term::new(40), at(0))
}

fn only(pleas: impl IntoIterator<Item = Plea>) -> Request {
    let mut pleas = pleas.into_iter();
    match (pleas.next(), pleas.next()) {
        (Some(Plea::Request(request)), None) => request,
        other => panic!("{other:?}"),
    }
}

fn says(verdict: Verdict, request: &Request) -> Answer {
    let Request { ask, office, term, stamp, .. } = request.clone();
    Answer { ask, office, term, stamp, verdict, known: Term::NONE }
}

/// Probed and free; the vote is out at 100.
fn asking(claimant: &mut Claimant) -> Request {
    let probe = only(claimant.pursue(at(0)));
    assert_eq!(probe.ask, Ask::Probe);
    assert!(claimant.hear(at(50), id(1), &says(Verdict::Granted, &probe)).is_empty());
    only(claimant.hear(at(100), id(2), &says(Verdict::Granted, &probe)))
}

fn holding() -> (Claimant, Request) {
    let mut claimant = claimant();
    let vote = asking(&mut claimant);
    for host in [1, 2] {
        assert!(claimant.hear(at(900), id(host), &says(Verdict::Granted, &vote)).is_empty());
    }
    (claimant, vote)
}

#[test]
fn a_lease_begins_when_it_was_asked_for_and_ends_a_margin_early() {
    let (claimant, vote) = holding();
    assert_eq!((vote.ask, vote.term), (Ask::Vote, Term::new(41)));
    assert_eq!(claimant.deadline(), Some(at(100 + 2850)));
    assert!(claimant.holds(at(2949)) && !claimant.holds(at(2950)));
    assert_eq!(claimant.term(), Some(Term::new(41)));
}

#[test]
fn what_a_majority_has_granted_last_counts_not_what_one_has() {
    let (mut claimant, _) = holding();
    let renewal = only(claimant.renew(at(1100)));
    assert_eq!(renewal.term, Term::new(41));
    drop(claimant.hear(at(1101), id(1), &says(Verdict::Granted, &renewal)));
    assert_eq!(claimant.deadline(), Some(at(2950)));
    drop(claimant.hear(at(1102), id(1), &says(Verdict::Granted, &renewal)));
    assert_eq!(claimant.deadline(), Some(at(2950)), "one voter twice is one voter");
    drop(claimant.hear(at(1103), id(3), &says(Verdict::Granted, &renewal)));
    assert_eq!(claimant.deadline(), Some(at(1100 + 2850)));
}

#[test]
fn an_answer_out_of_order_takes_nothing_away() {
    let (mut claimant, _) = holding();
    let [first, second] = [1100, 2100].map(|ms| only(claimant.renew(at(ms))));
    for request in [second, first] {
        for host in [1, 2] {
            drop(claimant.hear(at(2200), id(host), &says(Verdict::Granted, &request)));
        }
    }
    assert_eq!(claimant.deadline(), Some(at(2100 + 2850)));
}

#[test]
fn answers_to_other_lives_terms_offices_and_strangers_count_for_nothing() {
    let mut claimant = claimant();
    let vote = asking(&mut claimant);
    let good = says(Verdict::Granted, &vote);
    let mut session = good.clone();
    session.stamp.session = 8;
    let mut number = good.clone();
    number.stamp.number += 1;
    let office = Answer { office: Office::new("other").unwrap(), ..good.clone() };
    let term = Answer { term: Term::new(40), ..good.clone() };
    let probe = Answer { ask: Ask::Probe, ..good.clone() };
    for bad in [session, number, office, term, probe] {
        for host in [1, 2, 3] {
            drop(claimant.hear(at(150), id(host), &bad));
        }
        assert!(!claimant.holds(at(150)), "{bad:?}");
    }
    for stranger in [4, 5, 6] {
        drop(claimant.hear(at(150), id(stranger), &good));
    }
    assert!(!claimant.holds(at(150)));
    for host in [1, 2] {
        drop(claimant.hear(at(150), id(host), &good));
    }
    assert!(claimant.holds(at(150)));
}

#[test]
fn no_majority_in_time_gives_back_what_was_granted_and_asks_again() {
    let mut claimant = claimant();
    let vote = asking(&mut claimant);
    drop(claimant.hear(at(150), id(1), &says(Verdict::Granted, &vote)));
    assert_eq!(claimant.deadline(), Some(at(300)));
    let pleas = claimant.tick(at(300));
    assert!(matches!(&pleas[..], [Plea::Release(release)] if release.term == vote.term), "{pleas:?}");
    // The votes are another's for the taking, for once to twice the retry.
    let again = claimant.deadline().expect("it asks again");
    assert!((at(500)..at(700)).contains(&again), "{again:?}");
    assert_eq!(only(claimant.tick(again)).ask, Ask::Probe);
}

#[test]
fn a_vote_refused_for_its_term_is_asked_for_again_at_once_in_a_greater_one() {
    let mut claimant = claimant();
    let vote = asking(&mut claimant);
    let old = Answer { known: Term::new(90), ..says(Verdict::OldTerm, &vote) };
    let again = only(claimant.hear(at(150), id(2), &old));
    assert_eq!((again.ask, again.term), (Ask::Vote, Term::new(91)));
}

#[test]
fn a_greater_term_that_a_voter_knows_is_outdone_the_next_time() {
    let mut claimant = claimant();
    let probe = only(claimant.pursue(at(0)));
    let ahead = Answer { known: Term::new(90), ..says(Verdict::Granted, &probe) };
    drop(claimant.hear(at(1), id(3), &ahead));
    let vote = only(claimant.hear(at(1), id(1), &says(Verdict::Granted, &probe)));
    assert_eq!(vote.term, Term::new(91));
}

#[test]
fn only_who_would_get_a_majority_may_disturb_a_holder() {
    let mut claimant = claimant();
    assert!(!claimant.may_challenge(), "without having asked");
    let probe = only(claimant.pursue(at(0)));
    drop(claimant.hear(at(1), id(2), &says(Verdict::Held, &probe)));
    assert!(!claimant.may_challenge(), "one of three");
    drop(claimant.hear(at(1), id(3), &says(Verdict::Silent, &probe)));
    assert!(!claimant.may_challenge(), "one that would not grant it");
    drop(claimant.hear(at(1), id(1), &says(Verdict::Granted, &probe)));
    assert!(claimant.may_challenge());
    drop(claimant.tick(at(200)));
    assert!(!claimant.may_challenge(), "what was said before the last request is too old");
}

#[test]
fn given_up_it_holds_nothing_and_a_late_answer_changes_nothing() {
    let (mut claimant, vote) = holding();
    let pleas = claimant.give_up();
    assert!(matches!(&pleas[..], [Plea::Release(release)] if release.term == vote.term));
    drop(claimant.hear(at(950), id(3), &says(Verdict::Granted, &vote)));
    assert!(!claimant.holds(at(950)) && claimant.deadline().is_none());
    assert!(claimant.renew(at(950)).is_empty() && claimant.give_up().is_empty());
}

#[test]
fn a_lease_that_is_over_is_not_renewed() {
    let (mut claimant, _) = holding();
    assert!(claimant.renew(at(2950)).is_empty());
}

#[test]
fn voters_that_refuse_are_there_and_voters_that_are_silent_are_not() {
    let mut claimant = claimant();
    let probe = only(claimant.pursue(at(0)));
    assert_eq!(claimant.ruling(at(9000), GRACE), Ruling::NotOurs);
    assert_eq!(claimant.ruling(at(9001), GRACE), Ruling::Nobody);
    drop(claimant.hear(at(9500), id(1), &says(Verdict::Held, &probe)));
    assert_eq!(claimant.ruling(at(9500), GRACE), Ruling::Nobody, "one of three is no majority");
    drop(claimant.hear(at(9500), id(2), &says(Verdict::Held, &probe)));
    assert_eq!(claimant.ruling(at(9500), GRACE), Ruling::NotOurs);
    let (claimant, _) = holding();
    assert_eq!(claimant.ruling(at(1000), GRACE), Ruling::Ours);
}

#[test]
fn a_holder_rises_to_the_next_term_where_a_voter_has_forgotten_this_one_and_holds_meanwhile() {
    let (mut claimant, _) = holding();
    let renewal = only(claimant.renew(at(1100)));
    drop(claimant.hear(at(1101), id(1), &says(Verdict::Granted, &renewal)));
    let old = Answer { known: Term::new(70), ..says(Verdict::OldTerm, &renewal) };
    let rise = only(claimant.hear(at(1102), id(3), &old));
    assert_eq!((rise.ask, rise.term), (Ask::Vote, Term::new(71)));
    assert!(claimant.hear(at(1103), id(3), &old).is_empty(), "once");
    drop(claimant.hear(at(1104), id(3), &says(Verdict::Granted, &rise)));
    assert_eq!((claimant.term(), claimant.deadline()), (Some(Term::new(41)), Some(at(1100 + 2850))));
    // No majority has granted the new term yet, so it may become another's.
    drop(claimant.hear(at(1105), id(2), &says(Verdict::Granted, &renewal)));
    assert_eq!(claimant.term(), Some(Term::new(41)));
    drop(claimant.hear(at(1106), id(1), &says(Verdict::Granted, &rise)));
    assert_eq!((claimant.term(), claimant.deadline()), (Some(Term::new(71)), Some(at(1102 + 2850))));
    assert_eq!(only(claimant.renew(at(2100))).term, Term::new(71));
}

#[test]
fn a_holder_that_rises_gives_both_terms_back() {
    let (mut claimant, _) = holding();
    let renewal = only(claimant.renew(at(1100)));
    let rise = only(claimant.hear(at(1102), id(3), &says(Verdict::OldTerm, &renewal)));
    let released: Vec<Term> = claimant
        .give_up()
        .into_iter()
        .map(|plea| match plea {
            Plea::Release(release) => release.term,
            Plea::Request(request) => panic!("{request:?}"),
        })
        .collect();
    assert_eq!(released, [renewal.term, rise.term]);
}

#[test]
fn who_has_never_answered_is_silent_once_it_was_asked_for_long_enough() {
    let (mut claimant, _) = holding();
    let silent = |claimant: &Claimant, at| claimant.silent(at, GRACE).collect::<Vec<_>>();
    assert_eq!(silent(&claimant, at(9000)), []);
    assert_eq!(silent(&claimant, at(9001)), [id(3)]);
    let request = only(claimant.renew(at(1000)));
    assert!(claimant.hear(at(1100), id(3), &says(Verdict::Granted, &request)).is_empty());
    assert_eq!(silent(&claimant, at(9901)), [id(1), id(2)]);
    // Who was not asked was not silent.
    assert_eq!(claimant.give_up().len(), 1);
    assert_eq!(claimant.pursue(at(60_000)).len(), 1);
    assert_eq!(silent(&claimant, at(69_000)), []);
}

#[test]
fn a_voter_that_gave_it_to_another_has_taken_its_grant_back_and_a_late_refusal_takes_nothing() {
    let (mut claimant, vote) = holding();
    let [first, second] = [1100, 1200].map(|ms| only(claimant.renew(at(ms))));
    drop(claimant.hear(at(1250), id(1), &says(Verdict::Granted, &second)));
    drop(claimant.hear(at(1260), id(1), &says(Verdict::Held, &first)));
    assert_eq!(claimant.deadline(), Some(at(100 + 2850)), "an older refusal than the grant");
    drop(claimant.hear(at(1300), id(2), &says(Verdict::Held, &second)));
    assert!(!claimant.holds(at(1300)), "one of three is left");
    assert_eq!(claimant.deadline(), Some(at(1300)), "its owner has to know at once");
    assert!(claimant.renew(at(1300)).is_empty());
    let pleas = claimant.give_up();
    assert!(matches!(&pleas[..], [Plea::Release(release)] if release.term == vote.term), "{pleas:?}");
}

#[test]
fn one_with_a_pace_renews_no_sooner_and_asks_sooner_once_it_was_refused() {
    let paced =
        Config { voters: vec![id(1)], pace: Duration::from_millis(50), ..claimant().config().clone() };
    let mut claimant = Claimant::new(paced, 7, Term::new(40), at(0));
    let probe = only(claimant.pursue(at(0)));
    assert_eq!(claimant.deadline(), Some(at(200)), "so long it waits for an answer");
    drop(claimant.hear(at(10), id(1), &says(Verdict::Held, &probe)));
    assert_eq!(claimant.deadline(), Some(at(60)));
    let again = only(claimant.tick(at(60)));
    let vote = only(claimant.hear(at(70), id(1), &says(Verdict::Granted, &again)));
    drop(claimant.hear(at(80), id(1), &says(Verdict::Granted, &vote)));
    assert!(claimant.renew(at(119)).is_empty());
    assert_eq!(only(claimant.renew(at(120))).ask, Ask::Vote);
}
