//! The exit codes of both daemons: for a test of a configuration, for a start that fails, for a second
//! start.

use super::node::{Daemon, Node};
use crate::lab::{Host, LONG, Lab, wait_until};
use crate::locum::BINARY;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// A configuration, and what comes of it.
struct Row {
    name: &'static str,
    text: String,
    tested: i32,
    started: Option<i32>,
}

fn instance(interface: &str, more: &str) -> String {
    format!(
        "vrrp_instance web {{\n interface {interface}\n virtual_router_id 51\n priority 100\n \
         virtual_ipaddress {{ 10.77.0.100 }}\n{more}\n}}\n"
    )
}

fn checked(more: &str) -> String {
    format!("global_defs {{\n reload_check_config\n}}\n{}", instance("eth0", more))
}

const GROUP: &str = "vrrp_sync_group g {\n group {\n web\n }\n}\n";

fn script(secure: bool, path: &str) -> String {
    let safe = if secure { "global_defs {\n enable_script_security\n script_user root\n}\n" } else { "" };
    format!("{safe}vrrp_script c {{\n script \"{path}\"\n}}\n{}", instance("eth0", "track_script { c }"))
}

fn rows() -> Vec<Row> {
    let row = |name, text, tested, started| Row { name, text, tested, started };
    let good = || instance("eth0", "");
    vec![
        row("good", good(), 0, None),
        row("empty", String::new(), 0, None),
        row("unknown keyword", instance("eth0", "prioritty 5"), 5, None),
        row("bad value", instance("eth0", "priority 999"), 5, None),
        row("a brace is missing", good().replace("\n}\n", "\n"), 5, None),
        row("unknown script", instance("eth0", "track_script { nope }"), 5, None),
        row("broken script", script(true, "/nowhere/script"), 5, None),
        row("good script", script(true, "/bin/true"), 0, None),
        row("no script security", script(false, "/bin/true"), 6, None),
        row("no such interface", instance("eth9", ""), 5, None),
        row(
            "one that may come",
            format!("global_defs {{\n dynamic_interfaces\n}}\n{}", instance("eth9", "")),
            0,
            None,
        ),
        row("wants to be checked", checked("prioritty 5"), 5, Some(2)),
        row("wants to be checked, no such interface", checked("track_interface { eth9 }"), 5, Some(2)),
        row("wants to be checked, a script that nobody vets", checked("notify /bin/true"), 6, Some(2)),
        row("wants to be checked, a group of one", checked("") + GROUP, 5, Some(2)),
        row("an open quote", script(true, "/bin/sh -c 'exit 1"), 5, None),
        row("a blank behind a backslash", script(true, "/bin/false\\ x"), 0, None),
        row("a TTL of 0", instance("eth0", "unicast_ttl 0\nunicast_peer { 10.77.0.2 }"), 0, None),
        row(
            "definitions made by a sequence",
            "~SEQ (n,0x5,6) $I${n}=10.77.0.10$n\n".to_owned() + &good().replace("10.77.0.100", "$I5"),
            0,
            None,
        ),
        row("a file that has to be there", "includea /nowhere/conf\n".to_owned() + &good(), 6, Some(6)),
        row("was checked", checked(""), 0, None),
        row("no number", good().replace("virtual_router_id 51", ""), 5, Some(2)),
        row("one number twice", good() + &good().replace("web", "db"), 5, Some(2)),
    ]
}

/// The exit code of `keepalived ARGUMENTS` on a host, by either program.
fn run(daemon: Daemon, host: &Host, dir: &Path, arguments: &[&str]) -> i32 {
    let mut command = match daemon {
        Daemon::Keepalived => host.command("keepalived"),
        Daemon::Locum => {
            let mut command = host.command(BINARY);
            command.arg("keepalived");
            command
        }
    };
    command.arg("-P").args(arguments).arg("-p").arg(dir.join("pid")).arg("-r").arg(dir.join("child"));
    command.output().unwrap().status.code().unwrap()
}

const DAEMONS: [Daemon; 2] = [Daemon::Keepalived, Daemon::Locum];

#[test]
fn a_configuration_is_tested_and_refused_with_the_same_exit_codes() {
    let lab = Lab::new(&["first"]);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keepalived.conf");
    let file = file.to_str().unwrap();
    for row in rows() {
        fs::write(file, &row.text).unwrap();
        let codes =
            |arguments: &[&str]| DAEMONS.map(|daemon| run(daemon, &lab["first"], dir.path(), arguments));
        assert_eq!(codes(&["-t", "-f", file]), [row.tested; 2], "-t: {}", row.name);
        if let Some(code) = row.started {
            assert_eq!(codes(&["-n", "-l", "-f", file]), [code, code], "{}", row.name);
        }
    }
}

#[test]
fn without_a_file_both_end_with_6_and_a_test_of_none_fails() {
    let lab = Lab::new(&["first"]);
    let dir = TempDir::new().unwrap();
    let folder = dir.path().to_str().unwrap().to_owned();
    for file in [format!("{folder}/missing"), folder] {
        let codes =
            |arguments: &[&str]| DAEMONS.map(|daemon| run(daemon, &lab["first"], dir.path(), arguments));
        assert_eq!(codes(&["-n", "-l", "-f", &file]), [6, 6], "{file}");
        // On purpose: 2.2.7 says that all is well, later ones 4, and so do we.
        assert_eq!(codes(&["-t", "-f", &file]), [0, 4], "{file}");
    }
}

#[test]
fn the_command_line_is_read_with_the_same_exit_codes() {
    let lab = Lab::new(&["first"]);
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (file, lacking, log) = (path("conf"), path("lacking"), path("log"));
    fs::write(&file, instance("eth0", "")).unwrap();
    fs::write(&lacking, "include /nowhere/conf\n".to_owned() + &instance("eth0", "")).unwrap();
    let glued = format!("-t{log}");
    let short = format!("--use-fi={file}");
    let tested = |more: &[&'static str]| [&["-t", "-f", file.as_str()], more].concat();
    let rows: Vec<(Vec<&str>, i32)> = vec![
        (vec!["-t", "-f", &lacking], 0),
        (vec!["-e", "-t", "-f", &lacking], 6),
        (vec!["-e", "-n", "-l", "-f", &lacking], 6),
        (vec![&glued, "-f", &file], 0),
        (vec!["--config-te", &short], 0),
        (tested(&["--log-fac=3"]), 0),
        (tested(&["-u", "0x12"]), 0),
        (tested(&["-u", "18"]), 0),
        (tested(&["-u", "IRWXG|IRWXO"]), 0),
        (tested(&["-S", "mail"]), 5),
        (tested(&["stray"]), 0),
        (tested(&["--genhash"]), 1),
        (tested(&["--bogus"]), 1),
        (tested(&["-Z"]), 1),
        (tested(&["--no"]), 1),
        (vec!["--signum=DATA"], 0),
        (vec!["--signum=TDATA"], 1),
    ];
    for (arguments, code) in rows {
        let codes = DAEMONS.map(|daemon| run(daemon, &lab["first"], dir.path(), &arguments));
        assert_eq!(codes, [code; 2], "{arguments:?}");
    }
    assert!(Path::new(&log).exists());
}

#[test]
fn a_second_daemon_of_either_kind_says_so_and_ends_well() {
    for daemon in DAEMONS {
        let lab = Lab::new(&["first"]);
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("conf"), instance("eth0", "")).unwrap();
        let node = Node::start(daemon, &lab["first"], dir.path());
        node.wait_state(&["web"], "MASTER");
        let file = dir.path().join("conf");
        for second in DAEMONS {
            // keepalived does not look whose number it is.
            let code = run(second, &lab["first"], &node.dir, &["-n", "-l", "-f", file.to_str().unwrap()]);
            assert_eq!(code, 0, "{second:?} after {daemon:?}");
        }
        assert_eq!(node.state("web"), "MASTER");
    }
}

#[test]
fn a_reload_that_is_to_be_without_findings_writes_them_into_a_file_and_changes_nothing() {
    for daemon in DAEMONS {
        let lab = Lab::new(&["first"]);
        let dir = TempDir::new().unwrap();
        let log = dir.path().join("found");
        let named = |more: &str| {
            checked(more).replace("reload_check_config", &format!("reload_check_config {}", log.display()))
        };
        let file = dir.path().join("conf");
        fs::write(&file, named("")).unwrap();
        let node = Node::start(daemon, &lab["first"], dir.path());
        node.wait_state(&["web"], "MASTER");
        assert!(!log.exists(), "{daemon:?}: nothing is written at the start");
        let reload = |text: String| {
            fs::write(&file, text).unwrap();
            node.signal(nix::libc::SIGHUP);
        };
        let found = || fs::read_to_string(&log).unwrap_or_default();
        reload(named("track_interface { eth9 }").replace("10.77.0.100", "10.77.0.101"));
        wait_until(&format!("{daemon:?} writes"), LONG, || found().contains("eth9"));
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(lab.owners("10.77.0.100"), ["first"], "{daemon:?} goes on as it was");
        reload(named("prioritty 5"));
        wait_until(&format!("{daemon:?} writes"), LONG, || found().contains("prioritty"));
        reload(named("").replace("10.77.0.100", "10.77.0.101"));
        lab.wait_owner("10.77.0.101", &["first"]);
        assert_eq!(found(), "", "{daemon:?}: all is well");
    }
}
