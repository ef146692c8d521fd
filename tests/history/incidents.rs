//! Incidents: what belongs together, from when on, and what is read of a long record.

use super::{entry, file};
use jiff::Timestamp;
use locum::agent::{RouterName, Standing, Subject};
use locum::history::{Entry, Event, FORMAT, Incident, Moved, incidents, recent};

/// `web` goes from one state to another at so many milliseconds.
fn moved(at: u64, from: Standing, to: Standing, cause: &str, silent_ms: Option<u64>) -> Entry {
    let event = Event::Transition(Moved {
        subject: Subject::Router(RouterName("web".into())),
        from,
        to,
        cause: cause.to_owned(),
        why: format!("by {cause}"),
        priority: 100,
        addresses: Vec::new(),
        peer: None,
        term: None,
        silent_ms,
    });
    let time = Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap();
    Entry { v: FORMAT, time, clock_ms: at, event }
}

/// Something small, by both clocks.
fn small(at: u64) -> Entry {
    Entry { time: Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap(), ..entry(at) }
}

fn steps(incident: &Incident) -> Vec<u64> {
    incident.steps.iter().map(|step| step.at_ms).collect()
}

#[test]
fn what_comes_shortly_after_something_else_is_of_one_incident_and_begins_before_it_is_noticed() {
    let took = moved(50_000, Standing::Backup, Standing::Master, "silence", Some(3000));
    let entries = [small(1000), small(10_999), took, small(50_400), small(60_401)];
    let found = incidents(&entries, 50);
    let all: Vec<_> = found.iter().map(|it| (it.took_ms, steps(it))).collect();
    assert_eq!(all, [(0, vec![0]), (3400, vec![3000, 3400]), (9999, vec![0, 9999])], "the latest first");
    assert_eq!(found[1].began, Timestamp::from_millisecond(47_000).unwrap());
    assert_eq!(found[1].outages.len(), 1);
    let outage = &found[1].outages[0];
    assert_eq!((outage.detect_ms, outage.recover_ms), (Some(3000), Some(3000)));
    assert!(found[0].outages.is_empty() && found[2].outages.is_empty());
    assert_eq!(incidents(&entries, 1), found[..1]);
    assert_eq!(incidents(&[], 50), []);
}

#[test]
fn another_start_of_the_host_begins_another_incident_and_what_is_unknown_is_no_step() {
    let unknown = Entry { event: Event::Unknown, ..entry(60_500) };
    let found = incidents(&[entry(60_000), unknown, entry(61_000), entry(500)], 50);
    assert_eq!(found.iter().map(steps).collect::<Vec<_>>(), [vec![0], vec![0, 1000]]);
}

#[test]
fn of_a_long_record_the_last_whole_lines_are_read_over_the_end_of_a_file() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    assert_eq!(recent(&path, 1000), []);
    let mut written = file(&path, 1000, 3);
    for number in 100..140 {
        written.append(&entry(number)).unwrap();
    }
    let line = serde_json::to_string(&entry(100)).unwrap().len() as u64 + 1;
    let all: Vec<u64> = super::numbers(&path);
    let last = |most: u64| recent(&path, most).iter().map(|it| it.clock_ms).collect::<Vec<_>>();
    for count in [0, 1, 2, 5, 9] {
        let wanted = &all[all.len() - count..];
        let exact = line * count as u64;
        assert_eq!((last(exact), last(exact + 5)), (wanted.to_vec(), wanted.to_vec()), "{count} of {all:?}");
    }
    // No more than two files.
    let two = last(u64::MAX / 2);
    assert!(two.len() < all.len() && two == all[all.len() - two.len()..], "{two:?} of {all:?}");
}
