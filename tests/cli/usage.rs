//! Help, versions, and arguments that make no sense.

use crate::program::locum;

const COMMANDS: [&str; 15] = [
    "drill", "init", "run", "log", "check", "doctor", "status", "top", "reload", "restart", "handover",
    "resume", "ack", "sniff", "simulate",
];

#[test]
fn help_names_every_command_for_people_and_hides_the_packagers() {
    let ran = locum(&["--help"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for command in COMMANDS {
        assert!(ran.out.contains(&format!("\n  {command}  ")), "{command} is missing: {}", ran.out);
        let own = locum(&[command, "--help"]);
        assert_eq!(own.code, 0, "{own:?}");
        assert!(own.out.contains(&format!("Usage: locum {command}")), "{own:?}");
    }
    assert!(!ran.out.contains("generate"), "{}", ran.out);
}

#[test]
fn the_version_is_the_packages() {
    let ran = locum(&["--version"]);
    assert_eq!((ran.code, ran.out), (0, format!("locum {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_exits_with_2_and_says_so_on_stderr() {
    let wrong: &[&[&str]] = &[
        &[],
        &["reboot"],
        &["status", "--jsno"],
        &["status", "extra"],
        &["status", "--count", "3"],
        &["status", "--watch", "--count", "0"],
        &["sniff", "--read", "a.pcap", "--interface", "eth0"],
        &["sniff", "--count", "many"],
        &["simulate"],
        &["simulate", "--seeds", "1", "--scenario", "a.json"],
        &["simulate", "--seeds", "0"],
        &["simulate", "--seed", "1"],
        &["simulate", "--seed", "1", "--scenario", "a.json"],
        &["handover", "web", "mail"],
        &["drill", "everything"],
        &["drill", "--window"],
        &["doctor", "--listen", "4"],
        &["doctor", "--listen", "1h"],
        &["run", "--log", "loud"],
        &["run", "--log-form", "xml"],
        &["log", "loud"],
        &["log", "debug", "vrrp", "10m", "more"],
        &["init", "--vip", "10.0.0.256"],
        &["init", "--hosts", "a,b"],
        &["init", "--check", "ftp://:21"],
    ];
    for arguments in wrong {
        let ran = locum(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {ran:?}");
        let helps = ["Usage:", "try '--help'"].iter().any(|words| ran.err.contains(words));
        assert!(helps, "{arguments:?}: {ran:?}");
    }
}
