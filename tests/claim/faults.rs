//! Faults planted into the vote, to see that the search of every order of events finds each.
//!
//! The code itself is untouched: what goes in and what comes out is tampered with, so that it looks as
//! if it were broken in that way.

use crate::model::{Bounds, Model, WORST, plain};

/// A way in which the vote could be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A voter that starts again grants at once.
    VoterForgets,
    /// The lease begins when the answer comes.
    LeaseFromAnswer,
    /// Who starts again begins with the terms anew.
    TermReused,
    /// A voter has no memory of its grants.
    GrantsAnybody,
    /// One vote of three suffices.
    OneVoteIsEnough,
    /// One voter's answer counts as everybody's.
    OneVoteCountsTwice,
    /// The lease lasts as long as the grant, though clocks differ.
    NoMargin,
    /// Answers to an earlier life, or an earlier term, are believed.
    AnswersOfThePast,
    /// A voter counts on a clock that can be set.
    VoterClockIsStepped,
    /// The end of the lease is not looked at.
    NeverLetsGo,
    /// The claim is given back while the address is still held.
    ReleasesBeforeItDrops,
    /// A claim given back takes any other with it.
    AnyRelease,
}

fn found(fault: Fault, bounds: Bounds) -> String {
    match Model::new(bounds, WORST, Some(fault)).search() {
        Ok(states) => panic!("{fault:?} was not found in {states} states"),
        Err(found) if found.starts_with("more than") => panic!("{fault:?} was not found in {found}"),
        Err(found) => found,
    }
}

fn with_restarts(steps: u8) -> Bounds {
    Bounds { restarts: [1; 3], ..plain(steps) }
}

#[test]
fn a_voter_that_forgets_after_its_restart_is_found() {
    assert_eq!(found(Fault::VoterForgets, with_restarts(0)), "two holders in step 0");
}

#[test]
fn a_lease_counted_from_the_answer_is_found() {
    assert_eq!(found(Fault::LeaseFromAnswer, plain(5)), "two holders in step 3");
}

#[test]
fn a_term_used_twice_is_found() {
    let error = found(Fault::TermReused, Bounds { restarts: [0, 0, 1], ..plain(4) });
    assert!(error.starts_with("term "), "{error}");
}

#[test]
fn a_voter_that_grants_anybody_is_found() {
    assert_eq!(found(Fault::GrantsAnybody, plain(0)), "two holders in step 0");
}

#[test]
fn one_vote_that_suffices_is_found() {
    assert_eq!(found(Fault::OneVoteIsEnough, plain(0)), "two holders in step 0");
}

#[test]
fn one_vote_that_counts_twice_is_found() {
    assert_eq!(found(Fault::OneVoteCountsTwice, plain(0)), "two holders in step 0");
}

#[test]
fn a_lease_without_a_margin_for_clocks_is_found() {
    assert_eq!(found(Fault::NoMargin, plain(3)), "two holders in step 3");
}

#[test]
fn answers_of_the_past_that_are_believed_are_found() {
    let bounds = Bounds { campaigns: 2, gives_up: true, ..plain(0) };
    assert_eq!(found(Fault::AnswersOfThePast, bounds), "two holders in step 0");
}

#[test]
fn a_voter_whose_clock_is_stepped_is_found() {
    assert_eq!(found(Fault::VoterClockIsStepped, plain(1)), "two holders in step 1");
}

#[test]
fn a_holder_that_does_not_let_go_is_found() {
    assert_eq!(found(Fault::NeverLetsGo, plain(3)), "two holders in step 3");
}

#[test]
fn a_claim_given_back_before_the_address_is_found() {
    let bounds = Bounds { gives_up: true, ..plain(0) };
    assert_eq!(found(Fault::ReleasesBeforeItDrops, bounds), "two holders in step 0");
}

#[test]
fn a_release_that_takes_any_claim_with_it_is_found() {
    let bounds = Bounds { campaigns: 2, gives_up: true, ..plain(0) };
    assert_eq!(found(Fault::AnyRelease, bounds), "two holders in step 0");
}
