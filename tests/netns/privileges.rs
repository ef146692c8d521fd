//! Two capabilities are enough, and one line says which is missing.

use crate::lab::{LONG, Lab, VIP};
use crate::locum::{Router, settle};

pub const AS_NOBODY: &str = "--reuid nobody --regid nogroup --clear-groups --no-new-privs \
                         --inh-caps -all,+net_admin,+net_raw --ambient-caps -all,+net_admin,+net_raw \
                         --bounding-set -all,+net_admin,+net_raw";

#[test]
fn nobody_with_two_capabilities_elects_holds_and_gives_up() {
    let lab = Lab::new(&["a", "b", "client"]);
    let both = Router::new(150).with("addresses", r#"["10.77.0.100", "fd77::100"]"#);
    let mut a = lab["a"].locum_under(AS_NOBODY, &both);
    lab.wait_owner(VIP, &["a"]);
    let id = lab["a"].run(&format!("cat /proc/{}/status", a.process.pid()));
    assert!(id.contains("Uid:\t65534\t65534"), "{id}");
    let b = lab["b"].locum(&Router::new(100).with("addresses", r#"["10.77.0.100", "fd77::100"]"#));
    assert!(lab["client"].pings(VIP));
    settle(5);
    assert_eq!(b.state(), "BACKUP");
    assert!(a.stop().success());
    lab.wait_owner(VIP, &["b"]);
    assert!(!a.process.log().contains("WARN"), "{}", a.process.log());
}

#[test]
fn a_missing_capability_is_named_in_one_line() {
    let lab = Lab::new(&["a"]);
    for (without, named) in [
        ("--bounding-set -net_raw", "missing CAP_NET_RAW:"),
        ("--bounding-set -net_admin,-net_raw", "missing CAP_NET_ADMIN and CAP_NET_RAW:"),
    ] {
        let (code, text) = lab["a"].locum_ends(without, &Router::new(100).toml(), LONG);
        assert_eq!((code, text.lines().count()), (Some(77), 1), "{text}");
        assert!(text.contains(named), "{text}");
    }
}

const SCHEDULING: &str = "[agent]\nrealtime = 50\nlock_memory = true\n";

#[test]
fn only_the_thread_that_sends_adverts_is_real_time_and_memory_is_locked_when_asked_for() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum(&Router::new(100).and(SCHEDULING));
    lab.wait_owner(VIP, &["a"]);
    let status = a.status();
    assert_eq!(
        (&status["daemon"]["realtime"], &status["daemon"]["memory"]),
        (&"50".into(), &"locked".into())
    );
    assert_eq!(status["health"], "healthy");
    let pid = a.process.pid();
    let priorities = lab["a"].run(&format!("ps -L -o rtprio= -p {pid}"));
    let realtime = priorities.split_whitespace().filter(|priority| *priority != "-").collect::<Vec<_>>();
    assert_eq!(realtime, ["50"], "{priorities}");
    let memory = lab["a"].run(&format!("grep VmLck /proc/{pid}/status"));
    assert!(!memory.contains(" 0 kB"), "{memory}");
}

#[test]
fn priority_that_is_not_permitted_is_told_of_and_stops_nothing() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum_under(AS_NOBODY, &Router::new(100).and(SCHEDULING));
    lab.wait_owner(VIP, &["a"]);
    let told = "real-time priority 50 is not permitted: Operation not permitted";
    let status = a.status();
    assert_eq!(status["health"], "degraded");
    assert!(status["complaints"].to_string().contains(told), "{status}");
    assert_eq!(a.process.log().matches(told).count(), 1);
}
