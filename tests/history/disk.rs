//! Disks that are full, read-only or taken away. In a mount namespace of the test's own: needs root.

use crate::{entry, file, numbers};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Does `work` with a small file system of its own, which goes with it.
fn on_a_small_disk(work: impl FnOnce(&Path) + Send) {
    assert!(nix::unistd::geteuid().is_root(), "mounts need root: run this test with sudo");
    let place = tempfile::tempdir().unwrap();
    let there = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        run("mount", &["--make-rprivate", "/"]);
        run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", place.path().to_str().unwrap()]);
        work(place.path());
    };
    std::thread::scope(|scope| scope.spawn(there).join()).unwrap();
}

#[test]
fn a_full_disk_costs_lines_and_leaves_no_half_one() {
    on_a_small_disk(|disk| {
        let path = disk.join("history.jsonl");
        let mut record = file(&path, 1 << 20, 2);
        record.append(&entry(0)).unwrap();
        fs::write(disk.join("filler"), vec![0; 56 << 10]).unwrap();
        let (mut written, mut refused) = (1, 0);
        for number in 1..200 {
            match record.append(&entry(number)) {
                Ok(()) => written += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 50, "the disk was to be full: {written} written, {refused} refused");
        let seen = locum::history::read(&path).unwrap();
        assert_eq!((seen.lines.len(), seen.damage), (written, Vec::new()));
        // Room again, and it goes on.
        fs::remove_file(disk.join("filler")).unwrap();
        record.append(&entry(1000)).unwrap();
        assert_eq!(numbers(&path).last(), Some(&1000));
    });
}

#[test]
fn a_read_only_disk_refuses_and_takes_lines_again_once_it_is_writable() {
    on_a_small_disk(|disk| {
        let (path, there) = (disk.join("deeper/history.jsonl"), disk.to_str().unwrap());
        run("mount", &["-o", "remount,ro", there]);
        let mut record = file(&path, 1 << 20, 2);
        assert_eq!(record.append(&entry(1)).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
        run("mount", &["-o", "remount,rw", there]);
        record.append(&entry(2)).unwrap();
        assert_eq!(numbers(&path), [2]);
    });
}

#[test]
fn a_folder_that_was_taken_away_is_made_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("locum");
    let path = folder.join("history.jsonl");
    let mut record = file(&path, 1 << 20, 2);
    record.append(&entry(1)).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    record.append(&entry(2)).unwrap();
    assert_eq!(numbers(&path), [2]);
}
