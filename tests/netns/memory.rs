//! How much of the program stays in memory.

use crate::lab::{Lab, VIP, wait_until};
use crate::locum::{BINARY, Router};
use std::fs;
use std::time::Duration;

/// How much of the program's code is mapped, in KiB.
fn mapped(pid: i32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let code = maps.lines().skip_while(|line| !(line.contains(" r-xp ") && line.ends_with(BINARY)));
    let rss = code.skip(1).find_map(|line| line.strip_prefix("Rss:")).unwrap();
    rss.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn what_only_the_start_has_needed_is_given_back_and_it_goes_on() {
    let lab = Lab::new(&["a"]);
    let locum = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let pid = locum.process.pid().as_raw();
    let before = mapped(pid);
    wait_until("half of the code is unmapped", Duration::from_secs(30), || mapped(pid) < before / 2);
    assert_eq!(locum.reload(&Router::new(120).toml()).0, Some(0));
    assert_eq!(locum.state(), "MASTER");
}
