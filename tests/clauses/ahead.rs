//! Before a takeover from silence the neighbours are asked who has the address: when, of what, and what an answer does.

use crate::desk::{ABOVE, BELOW, Desk, SECOND, advert, ip};
use locum::agent::incident::Kind;
use locum::agent::{Effect, Input, Inquiry, InstanceId, Mac, Rival, Sighting, Standing};
use locum::time::Time;
use std::time::Duration;

const VIP: &str = "10.0.0.100";
const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 9]);
/// That of `eth0` on the desk.
const OURS: Mac = Mac([2, 0, 0, 0, 0, 5]);

/// The questions among these, and when.
fn questions(effects: &[(Time, Effect)]) -> Vec<(Time, InstanceId, Duration)> {
    let question = |(at, effect): &(Time, Effect)| match effect {
        Effect::AskAhead(Inquiry { instance, index: 2, mac, address, within })
            if *mac == OURS.0 && *address == ip(VIP) =>
        {
            Some((*at, *instance, *within))
        }
        Effect::AskAhead(_) => panic!("{effect:?}"),
        _ => None,
    };
    effects.iter().filter_map(question).collect()
}

fn told(effects: &[(Time, Effect)]) -> Vec<Kind> {
    let tell = |(_, effect): &(Time, Effect)| match effect {
        Effect::Tell(incident) => Some(incident.kind),
        _ => None,
    };
    effects.iter().filter_map(tell).collect()
}

/// A Backup that has asked, just now, and the time until it takes over.
fn asked() -> (Desk, InstanceId, Duration) {
    let mut desk = Desk::backup("");
    desk.hear(&advert(ABOVE, 200));
    let takes = desk.due();
    let effects = desk.wait(takes.saturating_sub(SECOND / 10));
    let [(_, instance, within)] = questions(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!((desk.state(), within), (Standing::Backup, SECOND / 10));
    (desk, instance, within)
}

#[test]
fn a_backup_asks_a_tenth_of_an_interval_before_it_takes_over_from_silence_and_takes_over_in_time() {
    let (mut desk, _, left) = asked();
    let effects = desk.wait(left);
    assert_eq!(desk.state(), Standing::Master);
    assert_eq!((questions(&effects), told(&effects)), (vec![], vec![]), "it was asked, and nobody answered");
}

#[test]
fn it_asks_as_well_where_every_advert_was_like_the_one_before() {
    let mut desk = Desk::backup("");
    for _ in 0..3 {
        desk.hear(&advert(ABOVE, 200));
        assert_eq!(desk.wait(SECOND), []);
    }
    let effects = desk.wait(SECOND * 3);
    assert_eq!((questions(&effects).len(), desk.state()), (1, Standing::Master));
}

#[test]
fn an_answer_is_told_of_with_the_takeover_and_does_not_put_it_off() {
    let (mut desk, instance, left) = asked();
    desk.wait(left / 2);
    assert_eq!(desk.give(Input::Sighted(Sighting { instance, address: ip(VIP), mac: THEIRS })), []);
    let effects = desk.wait(left / 2);
    assert_eq!(desk.state(), Standing::Master);
    let rival = Rival::Holder { address: ip(VIP), mac: THEIRS };
    assert_eq!(told(&effects), [Kind::DualMaster { rival, times: 1 }]);
    assert_eq!(desk.status().dual_master_seen, 1);
}

#[test]
fn an_answer_of_its_own_host_or_of_long_ago_is_none() {
    let (mut desk, instance, left) = asked();
    desk.give(Input::Sighted(Sighting { instance, address: ip(VIP), mac: OURS }));
    assert_eq!(told(&desk.wait(left)), []);
    let (mut desk, instance, _) = asked();
    desk.give(Input::Sighted(Sighting { instance, address: ip(VIP), mac: THEIRS }));
    // The Master was late, and is gone three seconds later.
    desk.hear(&advert(ABOVE, 200));
    let effects = desk.wait(desk.due());
    assert_eq!((desk.state(), questions(&effects).len(), told(&effects)), (Standing::Master, 1, vec![]));
}

#[test]
fn nobody_is_asked_about_a_master_that_is_heard_that_said_farewell_or_that_is_preempted() {
    let quiet = |desk: &mut Desk, span| assert_eq!(questions(&desk.wait(span)), []);
    let mut desk = Desk::backup("");
    for _ in 0..10 {
        desk.hear(&advert(ABOVE, 200));
        quiet(&mut desk, SECOND);
    }
    desk.hear(&advert(ABOVE, 0));
    quiet(&mut desk, SECOND);
    assert_eq!(desk.state(), Standing::Master);
    for more in ["", "preempt_delay = '2s'"] {
        let mut desk = Desk::backup(more);
        for _ in 0..5 {
            desk.hear(&advert(BELOW, 50));
            quiet(&mut desk, SECOND);
        }
        assert_eq!(desk.state(), Standing::Master, "{more}");
    }
}
