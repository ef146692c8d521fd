//! Two capabilities are enough, and one line says which is missing.

use crate::lab::{LONG, Lab, VIP};
use crate::locum::{Router, settle};

const AS_NOBODY: &str = "--reuid nobody --regid nogroup --clear-groups --no-new-privs \
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
