//! keepalived's command line: what does not start a daemon.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

const LOCUM: &str = env!("CARGO_BIN_EXE_locum");
const GOOD: &str = "[router.web]\ninterface = 'eth0'\nvrid = 7\naddresses = ['10.0.0.100']\n";

fn run(program: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(program).args(arguments).output().expect("locum");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("an end"), text(stdout), text(stderr))
}

fn keepalived(arguments: &[&str]) -> (i32, String, String) {
    run(Path::new(LOCUM), &[&["keepalived"], arguments].concat())
}

#[test]
fn the_number_of_a_signal_is_printed_alone() {
    assert_eq!(keepalived(&["--signum=JSON"]), (0, "36\n".to_owned(), String::new()));
    assert_eq!(keepalived(&["--signum", "STATS_CLEAR"]).1, "63\n");
    let (code, out, error) = keepalived(&["--signum=NONE"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("there is no signal NONE"), "{error}");
}

#[test]
fn under_keepalived_s_name_no_word_is_needed_and_the_version_reads_as_exporters_want() {
    let place = tempfile::tempdir().expect("a directory");
    let program = place.path().join("keepalived");
    symlink(LOCUM, &program).expect("a link");
    assert_eq!(run(&program, &["--signum=DATA"]), (0, "10\n".to_owned(), String::new()));
    let (code, _, error) = run(&program, &["-v"]);
    let version = error.lines().next().and_then(|line| line.split(' ').nth(1)).expect("two words");
    assert_eq!((code, error.lines().count()), (0, 2));
    let numbers: Vec<u32> = version[1..].split('.').map(|part| part.parse().expect("a number")).collect();
    assert!(numbers >= vec![1, 3, 8], "{version}");
}

#[test]
fn a_configuration_is_tested_with_keepalived_s_exit_codes() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("conf");
    let name = file.to_str().expect("UTF-8");
    fs::write(&file, GOOD).expect("written");
    assert_eq!(keepalived(&["-t", "-f", name]), (0, String::new(), String::new()));
    fs::write(&file, GOOD.replace("vrid", "vird")).expect("written");
    let (code, _, error) = keepalived(&["-f", name, "--config-test"]);
    assert_eq!(code, 4);
    assert!(error.contains("did you mean `vrid`?"), "{error}");
    let log = place.path().join("log");
    let asked = format!("--config-test={}", log.display());
    let (code, _, error) = keepalived(&["-f", name, &asked]);
    assert_eq!((code, error.as_str()), (4, ""));
    assert!(fs::read_to_string(log).expect("written").contains("did you mean `vrid`?"));
    assert_eq!(keepalived(&["-t", "-f", "/nowhere/at/all"]).0, 4);
}

#[test]
fn what_cannot_be_done_is_said_and_a_missing_file_has_its_code() {
    let (code, _, error) = keepalived(&["-n", "-C"]);
    assert_eq!(code, 1);
    assert!(error.contains("only LVS"), "{error}");
    let (code, _, error) = keepalived(&["-n", "-f", "/nowhere/at/all"]);
    assert_eq!(code, 6);
    assert!(error.contains("there is no /nowhere/at/all"), "{error}");
    assert_eq!(keepalived(&["--no-such-option"]).0, 1);
}

#[test]
fn every_option_of_keepalived_is_accepted() {
    let options = [
        "-P",
        "-B",
        "--all",
        "-l",
        "-D",
        "-S",
        "local3",
        "-g",
        "/tmp/x",
        "--flush-log-file",
        "-G",
        "-X",
        "-V",
        "-I",
        "-R",
        "-n",
        "-d",
        "-p",
        "/tmp/x",
        "-r",
        "/tmp/x",
        "-c",
        "/tmp/x",
        "-a",
        "-b",
        "/tmp/x",
        "-s",
        "none",
        "-e",
        "-i",
        "lb1",
        "-x",
        "-A",
        "unix:x",
        "-u",
        "022",
        "-m",
        "-M=core",
        "--perf=all",
        "--debug",
        "--no-mem-check",
        "--ignore-sigint",
        "-lDn",
        "-f",
        "/nowhere",
    ];
    // 2 would be wrong usage; there is only no file.
    assert_eq!(keepalived(&options).0, 6);
    let long = [
        "--vrrp",
        "--no_bfd",
        "--log-console",
        "--log-detail",
        "--log-facility=0",
        "--log-file=/tmp/x",
        "--no-syslog",
        "--release-vips",
        "--dont-release-vrrp",
        "--dont-release-ipvs",
        "--dont-respawn",
        "--dont-fork",
        "--dump-conf",
        "--pid=/tmp/x",
        "--vrrp_pid=/tmp/x",
        "--checkers_pid=/tmp/x",
        "--address-monitoring",
        "--bfd_pid=/tmp/x",
        "--namespace=none",
        "--all-config",
        "--config-id=lb1",
        "--snmp",
        "--snmp-agent-socket=x",
        "--umask=022",
        "--core-dump",
        "--core-dump-pattern=x",
        "--use-file=/nowhere",
    ];
    assert_eq!(keepalived(&long).0, 6);
}
