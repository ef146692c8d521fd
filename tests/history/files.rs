//! Rotation, torn lines, and a reader beside the writer.

use crate::{entry, file, numbers};
use locum::history::{Event, LastRun, Started, read, rotated};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn the_files_stay_bounded_and_the_latest_entries_stay_in_order() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    let mut record = file(&path, 1000, 3);
    for number in 0..200 {
        record.append(&entry(number)).unwrap();
        let entries: Vec<_> = fs::read_dir(place.path()).unwrap().map(Result::unwrap).collect();
        assert!(entries.len() <= 4, "{entries:?}");
        assert!(entries.iter().all(|entry| entry.metadata().unwrap().len() <= 1000));
    }
    let left = numbers(&path);
    assert_eq!(left, (200 - left.len() as u64..200).collect::<Vec<_>>());
    assert!(left.len() > 24, "{} are left of three files and more", left.len());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn of_several_entries_each_file_takes_what_it_has_room_for_and_none_is_lost() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    let mut record = file(&path, 1000, 30);
    let entries: Vec<_> = (0..100).map(entry).collect();
    assert_eq!(record.append_some(&[]).unwrap(), 0);
    let (mut rest, mut goes) = (&entries[..], 0);
    while !rest.is_empty() {
        let written = record.append_some(rest).unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= 1000);
        (rest, goes) = (&rest[written..], goes + 1);
    }
    assert_eq!(numbers(&path), (0..100).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), goes);
}

#[test]
fn fewer_files_are_kept_once_fewer_are_wanted() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    let mut record = file(&path, 300, 5);
    for number in 0..50 {
        record.append(&entry(number)).unwrap();
    }
    assert!(rotated(&path, 5).exists());
    drop(record);
    file(&path, 300, 0).append(&entry(50)).unwrap();
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    assert_eq!(numbers(&path).last(), Some(&50));
}

#[test]
fn half_a_line_of_a_crash_is_told_and_costs_only_itself() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    file(&path, 10_000, 1).append(&entry(1)).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"v\":1,\"time\":\"20").unwrap();
    let torn = read(&path).unwrap();
    assert_eq!((torn.lines.len(), torn.damage.len()), (1, 1));
    assert!(torn.damage[0].torn && torn.damage[0].to_string().contains("history.jsonl:2 ends in the middle"));
    // The next run closes it and goes on behind it.
    let mut next = file(&path, 10_000, 1);
    next.append(&entry(2)).unwrap();
    let closed = read(&path).unwrap();
    assert_eq!(numbers(&path), [1, 2]);
    assert_eq!((closed.damage.len(), closed.damage[0].torn), (1, false));
}

#[test]
fn two_daemons_do_not_write_one_record() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    let mut first = file(&path, 10_000, 1);
    first.append(&entry(1)).unwrap();
    let error = file(&path, 10_000, 1).append(&entry(2)).unwrap_err();
    assert!(error.to_string().contains("another locum writes it"), "{error}");
    drop(first);
    file(&path, 10_000, 1).append(&entry(3)).unwrap();
    assert_eq!(numbers(&path), [1, 3]);
}

#[test]
fn how_the_last_run_ended_is_read_from_its_last_line() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    let with = |event| locum::history::Entry { event, ..entry(0) };
    let started = with(Event::Started(Started {
        version: "1".to_owned(),
        node: "a".to_owned(),
        pid: 1,
        config: String::new(),
        boot: "here".to_owned(),
        last: LastRun::None,
    }));
    let last = |boot| file(&path, 10_000, 1).last_run(boot);
    let append = |entry| file(&path, 10_000, 1).append(&entry).unwrap();
    assert_eq!(last("here"), LastRun::None);
    append(started);
    append(entry(1));
    let broken = |rebooted| LastRun::Broken { seen: jiff::Timestamp::UNIX_EPOCH, rebooted };
    assert_eq!((last("here"), last("later")), (broken(false), broken(true)));
    append(with(Event::Stopped { given_up: true }));
    assert_eq!(last("later"), LastRun::Stopped);
    // Just rotated: the file that is written has nothing in it yet.
    fs::rename(&path, rotated(&path, 1)).unwrap();
    assert_eq!(last("here"), LastRun::Stopped);
}

#[test]
fn a_reader_beside_the_writer_sees_whole_lines_in_their_order() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("history.jsonl");
    let mut record = file(&path, 2000, 4);
    record.append(&entry(0)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..500 {
                record.append(&entry(number)).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut looks = 0;
        while !done.load(Ordering::Relaxed) || looks < 10 {
            let seen = read(&path).unwrap();
            looks += 1;
            assert!(seen.damage.iter().all(|damage| damage.torn), "{:?}", seen.damage);
            let numbers: Vec<_> = seen.lines.iter().map(|line| line.entry.clock_ms).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        }
    });
    assert_eq!(numbers(&path).last(), Some(&499));
}
