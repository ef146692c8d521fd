//! `locum check` of files good and bad.

use crate::program::{Ran, command};
use serde_json::Value;
use std::fs;

const GOOD: &str = "[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n";

fn check(text: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("locum.toml");
    fs::write(&file, text).unwrap();
    command(&["check"]).arg(file).args(more).output().unwrap().into()
}

#[test]
fn a_good_file_is_called_good_with_the_longest_failover_of_each_router() {
    let ran = check(GOOD, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("locum.toml is good: 1 router, 0 checks\n"), "{ran:?}");
    assert!(ran.out.contains("web: a failover takes at most 3.997s\n"), "{ran:?}");
    assert!(ran.out.contains("the host dies: 3.997s (3s until noticed, 997ms election)"), "{ran:?}");
}

#[test]
fn every_problem_is_shown_with_its_place() {
    let ran = check(&format!("{GOOD}priority = 300\nintervall = \"1s\"\n"), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("locum.toml:5:12") && ran.err.contains("locum.toml:6:1"), "{ran:?}");
    assert!(ran.err.ends_with("locum.toml cannot be used: 2 errors\n"), "{ran:?}");
    assert!(!ran.err.contains('\x1b'), "colours belong on terminals: {ran:?}");
}

#[test]
fn a_promise_that_cannot_be_kept_is_an_error() {
    let kept = check(&format!("{GOOD}max_failover = \"4s\"\n"), &[]);
    assert_eq!(kept.code, 0, "{kept:?}");
    assert!(kept.out.contains("at most 3.997s, 4s are promised"), "{kept:?}");
    let broken = check(&format!("{GOOD}max_failover = \"3s\"\n"), &[]);
    assert_eq!(broken.code, 1, "{broken:?}");
    assert!(broken.err.contains("a failover can take longer"), "{broken:?}");
}

#[test]
fn local_routes_are_said_to_be_no_addresses_of_the_interface() {
    let ran = check(&format!("{GOOD}install = \"local-route\"\n"), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("held as 1 local route: ip route show table local proto 113"), "{ran:?}");
    let dead = "only its guardian takes the addresses from a daemon that is dead, and only a restart from one that hangs";
    assert!(ran.out.contains(&format!("a route has no lifetime in the kernel, so {dead}\n")), "{ran:?}");
    let unleased = check(&format!("{GOOD}lease = \"off\"\n"), &[]);
    assert!(unleased.out.contains(&format!("  {dead}\n")), "{unleased:?}");
}

#[test]
fn json_says_the_same() {
    let good = check(&format!("{GOOD}max_failover = \"4s\"\n"), &["--json"]);
    let json: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!((good.code, &json["good"]), (0, &Value::Bool(true)));
    let router = &json["routers"][0];
    assert_eq!((&router["name"], router["max_failover_ms"].as_f64()), (&"web".into(), Some(4000.0)));
    assert!(router["worst_ms"].as_f64().is_some_and(|ms| (3996.0..3997.0).contains(&ms)), "{router}");

    let bad = check("[router.web]\n", &["--json"]);
    let json: Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!((bad.code, bad.err.as_str(), &json["good"]), (1, "", &Value::Bool(false)));
    let severities: Vec<_> = json["problems"].as_array().unwrap().iter().map(|p| &p["severity"]).collect();
    assert!(!severities.is_empty() && severities.iter().all(|severity| *severity == "error"), "{json}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ran: Ran = command(&["check", "/nonexistent.toml"]).output().unwrap().into();
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot read /nonexistent.toml"), "{ran:?}");
}

const SPOKEN: &str =
    "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n 10.0.0.100\n }\n}\n";

fn check_conf(text: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keepalived.conf");
    fs::write(&file, text).unwrap();
    command(&["check"]).arg(file).args(more).output().unwrap().into()
}

#[test]
fn a_load_balancer_is_wrong_unless_only_vrrp_is_asked_for() {
    let text = SPOKEN.to_owned() + "virtual_server 10.0.0.100 80 {\n lb_algo rr\n}\n";
    let wrong = check_conf(&text, &[]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.err.contains("no load is balanced") && wrong.err.contains("--vrrp-only"), "{wrong:?}");
    let right = check_conf(&text, &["--vrrp-only"]);
    assert_eq!(right.code, 0, "{right:?}");
    assert!(right.err.contains("warning: ") && right.out.contains("is good: 1 router"), "{right:?}");
}

#[test]
fn lenient_shows_what_it_leaves_out_and_strict_names_the_flag() {
    let text = SPOKEN.replace("interface eth0", "interface eth0\n no_such_thing");
    let strict = check_conf(&text, &[]);
    assert_eq!(strict.code, 1, "{strict:?}");
    assert!(
        strict.err.contains("--lenient") && strict.err.ends_with("cannot be used: 1 error\n"),
        "{strict:?}"
    );
    let lenient = check_conf(&text, &["--lenient"]);
    assert_eq!(lenient.code, 0, "{lenient:?}");
    assert!(lenient.err.contains("warning: unknown keyword no_such_thing"), "{lenient:?}");
}

#[test]
fn a_keepalived_conf_is_checked_as_another_host_reads_it() {
    let text = "@lb2 no_such_thing\n".to_owned() + SPOKEN;
    assert_eq!(check_conf(&text, &["-i", "lb1"]).code, 0);
    assert!(check_conf(&text, &["--config-id", "lb2"]).err.contains("unknown keyword no_such_thing"));
}

#[test]
fn a_file_of_toml_is_never_read_leniently() {
    for (flag, argument) in
        [("--lenient", "--lenient"), ("--vrrp-only", "--vrrp-only"), ("--config-id", "--config-id=lb2")]
    {
        let ran = check(GOOD, &[argument]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(&format!("{flag} is for keepalived.conf, and ")), "{ran:?}");
    }
}

const WEIGHED: &str = "global_defs {\n enable_script_security\n script_user root\n}\n\
    vrrp_script c {\n script \"/bin/false\"\n weight -10\n}\nvrrp_script d {\n script \"/bin/false\"\n weight -10\n}\n\
    vrrp_instance web {\n interface eth0\n virtual_router_id 51\n priority PRIORITY\n virtual_ipaddress {\n \
    10.0.0.100\n }\n track_script {\n c\n d\n }\n}\n";

#[test]
fn a_weight_that_moves_nothing_beside_the_peers_file_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let beside = |own: &str, peer: &str| -> Ran {
        for (name, priority) in [("own.conf", own), ("peer.conf", peer)] {
            fs::write(folder.path().join(name), WEIGHED.replace("PRIORITY", priority)).unwrap();
        }
        let mut program = command(&["check", "--explain", "own.conf", "--peer", "peer.conf"]);
        program.current_dir(folder.path()).output().unwrap().into()
    };
    let never = beside("150", "100");
    let warning =
        "web: all weighted checks down leave priority 130, not below the 100 of peer.conf: no failover";
    assert!(never.code == 0 && never.err.contains(warning), "{never:?}");
    assert!(!never.out.contains("check c fails: 1"), "it is no cause of a failover: {never:?}");
    let together = beside("110", "100");
    for check in ["c", "d"] {
        let warning = format!("web: check {check} alone leaves priority 100, not below the 100 of peer.conf");
        assert!(together.err.contains(&warning), "{together:?}");
    }
    assert!(together.out.contains("check c fails: 1"), "{together:?}");
    for (own, peer) in [("105", "100"), ("100", "150")] {
        let moves = beside(own, peer);
        assert!(!moves.err.contains("peer.conf"), "{moves:?}");
    }
}

#[test]
fn as_long_as_no_peer_is_known_a_weight_tells_whom_it_moves_to() {
    let ran = check_conf(&WEIGHED.replace("PRIORITY", "150"), &[]);
    assert!(ran.out.contains("3.997s election), where a peer has priority 141 or more\n"), "{ran:?}");
}
