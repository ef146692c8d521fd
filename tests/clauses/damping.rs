//! Ours: who failed too often as Master does not take its addresses back at once, nor does anybody from a Master that
//! has only just come; and nobody leaves them alone.

use crate::desk::{ABOVE, BELOW, Desk, SECOND, advert, answer, eth0, words};
use locum::agent::{Effect, Input, Note, Request, Response, Standing};
use std::time::Duration;

const DAMPED: &str = "damping = { failures = 2, within = '5m', pause = '20s' }";

/// A Master of the desk's router that has lost its link so many times, with a lower one that stepped in each time;
/// after the last it is back and has heard that one.
fn failed(times: u32) -> Desk {
    let mut desk = Desk::master(DAMPED);
    for _ in 0..times {
        take_back(&mut desk);
        desk.give(Input::Link(eth0(false)));
        desk.wait(SECOND * 4);
        desk.hear(&advert(BELOW, 50));
        desk.give(Input::Link(eth0(true)));
    }
    desk
}

/// Hears a lower Master for so long. Returns when it was no longer left alone.
fn beside_a_lower(desk: &mut Desk, most: Duration) -> Option<Duration> {
    let began = desk.now;
    while desk.now.since(began) < most {
        desk.hear(&advert(BELOW, 50));
        desk.wait(SECOND);
        if desk.state() == Standing::Master {
            return Some(desk.now.since(began));
        }
    }
    None
}

fn take_back(desk: &mut Desk) {
    assert!(beside_a_lower(desk, SECOND * 10).is_some(), "{:?}", desk.state());
}

#[test]
fn who_failed_once_takes_back_at_once() {
    let mut desk = failed(1);
    assert_eq!(desk.status().damped_ms, None);
    let took = beside_a_lower(&mut desk, SECOND * 60).unwrap();
    assert!(took <= SECOND * 4, "{took:?}");
}

#[test]
fn who_failed_too_often_waits_and_says_so_and_twice_as_long_the_next_time() {
    let mut desk = failed(2);
    let status = desk.status();
    assert_eq!((status.failures, status.state), (2, Standing::Backup));
    let left = status.damped_ms.unwrap();
    assert!((15_000..=20_000).contains(&left), "{left}");
    let complaints = desk.agent.status(desk.now).complaints;
    assert!(
        complaints[0].contains("failed 2 times") && complaints[0].contains("locum ack web"),
        "{complaints:?}"
    );
    let took = beside_a_lower(&mut desk, SECOND * 60).unwrap();
    assert!((SECOND * 15..=SECOND * 24).contains(&took), "{took:?}");
    desk.give(Input::Link(eth0(false)));
    desk.wait(SECOND * 4);
    desk.hear(&advert(BELOW, 50));
    desk.give(Input::Link(eth0(true)));
    let left = desk.status().damped_ms.unwrap();
    assert!((35_000..=40_000).contains(&left), "{left}");
}

#[test]
fn who_waits_takes_over_all_the_same_from_a_master_that_is_silent_or_leaves() {
    let mut silent = failed(2);
    silent.hear(&advert(BELOW, 50));
    silent.wait(SECOND * 4);
    assert_eq!(silent.state(), Standing::Master);
    let mut leaving = failed(2);
    leaving.hear(&advert(BELOW, 50));
    leaving.hear(&advert(BELOW, 0));
    leaving.wait(SECOND);
    assert_eq!(leaving.state(), Standing::Master);
}

#[test]
fn failures_long_ago_do_not_count() {
    let mut desk = failed(1);
    take_back(&mut desk);
    desk.wait(SECOND * 301);
    desk.give(Input::Link(eth0(false)));
    desk.give(Input::Link(eth0(true)));
    assert_eq!((desk.status().damped_ms, desk.status().failures), (None, 1));
    desk.wait(SECOND * 301);
    assert_eq!(desk.status().failures, 0);
}

#[test]
fn who_slept_over_the_end_of_it_as_master_gives_its_addresses_up_all_the_same() {
    let mut desk = failed(2);
    desk.hear(&advert(BELOW, 50));
    desk.wait(SECOND * 4);
    assert_eq!(desk.state(), Standing::Master);
    // The first thing that this process sees after a minute asleep is that the pause is over.
    desk.now = desk.now + SECOND * 60;
    let effects = words(&desk.give(Input::Link(eth0(true))));
    assert!(effects.contains(&"release"), "{effects:?}");
    assert_eq!(desk.state(), Standing::Backup);
}

#[test]
fn an_operator_ends_it() {
    let mut desk = failed(2);
    let effects = desk.ask(Request::Ack { router: None });
    assert_eq!(words(&effects), ["reply"]);
    let Some(Response::Done { lines }) = answer(&effects) else { panic!("{effects:?}") };
    assert_eq!(lines, &["web takes its addresses back again"]);
    assert_eq!((desk.status().damped_ms, desk.status().failures), (None, 0));
    take_back(&mut desk);
}

#[test]
fn what_was_ordered_and_a_better_master_are_no_failures() {
    let mut desk = Desk::master(DAMPED);
    for _ in 0..3 {
        desk.hear(&advert(BELOW, 200));
        assert_eq!(desk.state(), Standing::Backup);
        desk.wait(SECOND * 4);
        assert_eq!(desk.state(), Standing::Master);
    }
    assert_eq!(desk.status().failures, 0);
}

const HELD: &str = "damping = { hold = '20s' }";

#[test]
fn a_minimum_hold_leaves_a_master_that_has_only_just_come_what_it_has_and_says_so() {
    let mut desk = Desk::backup(HELD);
    let noted = |effects: &[Effect]| {
        effects.iter().any(|it| matches!(it, Effect::Note(Note::Damped { failures: 0, .. })))
    };
    assert!(noted(&desk.hear(&advert(BELOW, 50))));
    assert!(!noted(&desk.hear(&advert(BELOW, 50))), "said once");
    let status = desk.status();
    assert_eq!((status.hold_ms, status.damped_ms), (Some(20_000), None));
    assert_eq!(desk.agent.status(desk.now).complaints, [""; 0], "nothing is wrong");
    let took = beside_a_lower(&mut desk, SECOND * 60).unwrap();
    assert!((SECOND * 20..=SECOND * 24).contains(&took), "{took:?}");
    assert_eq!(desk.status().hold_ms, None);
}

#[test]
fn a_minimum_hold_begins_anew_with_another_master_and_not_with_each_advert() {
    let mut desk = Desk::backup(HELD);
    assert_eq!(beside_a_lower(&mut desk, SECOND * 15), None);
    // One that speaks beside it, for a moment, has taken nothing over.
    desk.hear(&advert(ABOVE, 60));
    assert!(desk.status().hold_ms.is_some_and(|ms| ms <= 5000), "{:?}", desk.status().hold_ms);
    desk.hear(&advert(ABOVE, 0));
    desk.hear(&advert(BELOW, 0));
    desk.hear(&advert(ABOVE, 60));
    assert_eq!(desk.status().hold_ms, Some(20_000));
}

#[test]
fn a_minimum_hold_is_no_reason_to_leave_the_addresses_to_nobody() {
    let mut desk = Desk::backup(HELD);
    desk.hear(&advert(BELOW, 50));
    desk.wait(SECOND * 4);
    assert_eq!((desk.state(), desk.status().hold_ms), (Standing::Master, None));
    let mut desk = Desk::backup(HELD);
    desk.hear(&advert(BELOW, 50));
    desk.hear(&advert(BELOW, 50));
    desk.hear(&advert(BELOW, 0));
    desk.wait(SECOND);
    assert_eq!(desk.state(), Standing::Master);
}

#[test]
fn a_minimum_hold_does_not_keep_a_master_from_giving_way_to_a_better_one() {
    let mut desk = Desk::master(HELD);
    desk.hear(&advert(ABOVE, 200));
    assert_eq!(desk.state(), Standing::Backup);
}

#[test]
fn a_minimum_hold_is_ended_by_an_operator() {
    let mut desk = Desk::backup(HELD);
    desk.hear(&advert(BELOW, 50));
    let effects = desk.ask(Request::Ack { router: None });
    let Some(Response::Done { lines }) = answer(&effects) else { panic!("{effects:?}") };
    assert_eq!(lines, &["web takes its addresses back again"]);
    assert_eq!(desk.status().hold_ms, None);
    let took = beside_a_lower(&mut desk, SECOND * 60).unwrap();
    assert!(took <= SECOND * 4, "{took:?}");
}
