//! What the status says of a takeover: how long it took to be seen and to be over, and what it is counted as.

use crate::desk::{ABOVE, Desk, advert, config, eth0};
use locum::agent::{Effect, Input, InstanceId, Note, Standing};
use std::time::Duration;

const KERNEL: Duration = Duration::from_millis(7);

/// Each change of state: what it became, why, how often.
fn transitions(desk: &Desk) -> Vec<(Standing, String, u64)> {
    let counted = desk.status().transitions.into_iter();
    counted.map(|transition| (transition.to, transition.cause, transition.count)).collect()
}

fn held(desk: &mut Desk, result: Result<(), String>) {
    desk.give(Input::Held { instance: InstanceId(1), result });
}

#[test]
fn a_takeover_is_timed_from_the_last_word_of_the_old_master() {
    let mut desk = Desk::backup("");
    desk.hear(&advert(ABOVE, 200));
    let down = desk.due();
    desk.wait(down);
    desk.now = desk.now + KERNEL;
    held(&mut desk, Ok(()));
    let millis = |span: Duration| Some(span.as_secs_f64() * 1000.0);
    let status = desk.status();
    assert_eq!((status.detected_ms, status.recovered_ms), (millis(down), millis(down + KERNEL)));
    // Held once more, after a repair, it has not taken longer.
    desk.wait(down);
    held(&mut desk, Ok(()));
    assert_eq!(desk.status().recovered_ms, millis(down + KERNEL));
}

#[test]
fn an_address_is_held_from_the_kernels_word_that_it_is_there_to_its_word_that_it_is_gone() {
    let is_held = |desk: &Desk| desk.status().addresses[0].held;
    let mut desk = Desk::master("");
    assert!(!is_held(&desk), "it was only asked for");
    held(&mut desk, Ok(()));
    desk.hear(&advert(ABOVE, 200));
    assert_eq!((desk.state(), is_held(&desk)), (Standing::Backup, true), "it still answers");
    desk.give(Input::Released { instance: InstanceId(1) });
    assert!(!is_held(&desk));
}

#[test]
fn where_it_followed_nobody_there_is_nothing_to_time() {
    let timed = |desk: &Desk| (desk.status().detected_ms, desk.status().recovered_ms);
    let mut desk = Desk::master("");
    held(&mut desk, Ok(()));
    assert_eq!(timed(&desk), (None, None));
    // Whom it heard before a fault of its own is another matter.
    desk.hear(&advert(ABOVE, 200));
    desk.give(Input::Link(eth0(false)));
    desk.wait(Duration::from_secs(60));
    desk.give(Input::Link(eth0(true)));
    desk.wait(desk.due());
    held(&mut desk, Ok(()));
    assert_eq!((desk.state(), timed(&desk)), (Standing::Master, (None, None)));
}

#[test]
fn changes_of_state_are_counted_by_what_and_why_and_so_is_every_failure_to_hold() {
    let mut desk = Desk::master("");
    desk.hear(&advert(ABOVE, 200));
    desk.wait(desk.due());
    held(&mut desk, Err("no room".to_owned()));
    let counted = [
        (Standing::Fault, "fault".to_owned(), 1),
        (Standing::Backup, "better".to_owned(), 1),
        (Standing::Backup, "started".to_owned(), 1),
        (Standing::Master, "silence".to_owned(), 2),
    ];
    assert_eq!((transitions(&desk), desk.status().hold_errors), (counted.into(), 1));
}

#[test]
fn a_lease_is_noted_once_when_it_begins_when_it_changes_and_when_it_is_given_up() {
    let instance = InstanceId(1);
    let told = |effects: Vec<Effect>| -> Vec<Option<u64>> {
        let lease = |effect: Effect| match effect {
            Effect::Note(Note::Lease { lease, .. }) => Some(lease.map(|lease| lease.as_secs())),
            _ => None,
        };
        effects.into_iter().filter_map(lease).collect()
    };
    let give = |desk: &mut Desk, input| told(desk.give(input));
    let held = || Input::Held { instance, result: Ok(()) };
    let mut desk = Desk::master("");
    assert_eq!(give(&mut desk, held()), [Some(2)]);
    assert_eq!(give(&mut desk, held()), [], "after a repair");
    assert_eq!(told(desk.wait(Duration::from_secs(9)).into_iter().map(|(_, effect)| effect).collect()), []);
    for (lease, noted) in [("off", None), ("2s", Some(2))] {
        let config = Box::new(config(&format!("lease = '{lease}'")));
        desk.give(Input::Reload { ticket: None, dry_run: false, config, besides: Vec::new() });
        assert_eq!(give(&mut desk, held()), [noted]);
    }
    desk.hear(&advert(ABOVE, 200));
    assert_eq!(give(&mut desk, Input::Released { instance }), [None]);
    assert_eq!(give(&mut desk, Input::Released { instance }), []);
    let mut desk = Desk::master("lease = 'off'");
    assert_eq!((give(&mut desk, held()), desk.hear(&advert(ABOVE, 200)).is_empty()), (vec![], false));
    assert_eq!(give(&mut desk, Input::Released { instance }), []);
}
