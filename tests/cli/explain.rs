//! `locum check --explain`: what a file will do, in words and as JSON. The words are in `explain/`; after a
//! wanted change `UPDATE_GOLDEN=1 cargo test --test cli explain` rewrites them.

use crate::program::{Ran, command};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "tests/cli/explain";

fn explain(file: &str, more: &[&str]) -> Ran {
    let mut program = command(&["check", "--explain"]);
    program.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)).arg(file).args(more);
    program.output().unwrap().into()
}

fn json(file: &str, more: &[&str]) -> Value {
    let ran = explain(file, &[&["--json"], more].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str::<Value>(&ran.out).unwrap()["explain"].take()
}

/// The scene of the first role whose `when` contains `when`.
fn scene(explained: &Value, when: &str) -> Value {
    let role = &explained["roles"][0];
    let scenes = ["election", "checks"].iter().flat_map(|part| role[part].as_array().unwrap());
    let found = scenes.clone().find(|scene| scene["when"].as_str().unwrap().contains(when));
    found.unwrap_or_else(|| panic!("no scene \"{when}\" in {role:#}")).clone()
}

#[track_caller]
fn golden(name: &str, ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &ran.out).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap();
    assert!(ran.out == wanted, "found:\n{}\nwanted:\n{wanted}", ran.out);
}

#[test]
fn the_words_are_those_of_the_golden_files() {
    golden("first.txt", &explain("first.toml", &[]));
    golden("second-beside-first.txt", &explain("second.toml", &["--peer", "first.toml"]));
    golden("nopreempt.txt", &explain("nopreempt.conf", &[]));
    golden("group.txt", &explain("group.conf", &[]));
    golden("example-weights.txt", &explain("../../../examples/weights.toml", &[]));
}

#[test]
fn a_weight_too_small_for_the_assumed_peer_tells_whom_it_would_move_to() {
    let explained = json("first.toml", &[]);
    let fails = scene(&explained, "check web fails");
    assert_eq!((&fails["priority"], &fails["moves_to"]), (&json!([150, 130]), &json!([131, 150])), "{fails}");
    assert_eq!(fails["masters"], json!([["this host"], ["this host"]]), "{fails}");
    assert_eq!(fails["after_ms"], Value::Null, "{fails}");
}

#[test]
fn a_peer_in_between_takes_over_after_its_own_down_interval() {
    let explained = json("first.toml", &["--peer", "second.toml"]);
    let fails = scene(&explained, "check web fails");
    assert_eq!(fails["masters"], json!([["this host"], ["second.toml"]]), "{fails}");
    // RFC 9568 section 6.1: three intervals and the skew of priority 140, (256 - 140) / 256 s.
    assert_eq!(fails["after_ms"], json!(3453.1), "{fails}");
    assert_eq!(fails["noticed_ms"], json!(5000.0), "{fails}");
}

#[test]
fn without_preemption_no_weight_moves_anything_and_a_fault_does() {
    let explained = json("nopreempt.conf", &[]);
    let weighted = scene(&explained, "check process.web fails");
    assert_eq!(
        (&weighted["moves_to"], &weighted["priority"]),
        (&Value::Null, &json!([150, 130])),
        "{weighted}"
    );
    let fault = scene(&explained, "check interface.eth1 fails");
    assert_eq!((&fault["state"], &fault["masters"][1]), (&"FAULT".into(), &json!(["the peer"])), "{fault}");
}

#[test]
fn hosts_that_refuse_each_others_adverts_are_told_of() {
    let explained = json("first.toml", &["--peer", "version-2.toml"]);
    let start = scene(&explained, "all hosts start at once");
    assert_eq!(start["masters"][1], json!(["this host", "version-2.toml"]), "{start}");
    let outcome = start["outcome"].as_str().unwrap();
    assert!(outcome.contains("those of version-2.toml are refused: the VRRP version"), "{outcome}");
}

#[test]
fn a_peer_without_such_a_router_is_named() {
    let explained = json("first.toml", &["--peer", "group.conf"]);
    let against = explained["roles"][0]["against"].as_str().unwrap();
    assert!(against.contains("group.conf has no router with this VRID and family"), "{against}");
}

#[test]
fn in_a_group_the_priority_that_changes_is_told() {
    let explained = json("group.conf", &[]);
    let weighted = scene(&explained, "check interface.eth2 fails");
    assert_eq!(weighted["priority"], json!([120, 90]), "{weighted}");
    let number = scene(&explained, "check file.load reads -254");
    assert_eq!(
        (&number["state"], &number["masters"][1]),
        (&"FAULT".into(), &json!(["the peer"])),
        "{number}"
    );
}

#[test]
fn a_router_that_takes_no_part_says_why_and_sends_nothing() {
    let explained = json("nobody.conf", &[]);
    let start = scene(&explained, "no other host runs");
    assert_eq!((&start["state"], &start["masters"][1]), (&"FAULT".into(), &json!([])), "{start}");
    assert!(start["outcome"].as_str().unwrap().contains("unicast without peers"), "{start}");
    assert_eq!((&explained["wire"], &explained["roles"][0]["checks"]), (&json!([]), &json!([])));
    assert!(explain("nobody.conf", &[]).out.ends_with("nothing is sent: no router takes part\n"));
}

#[test]
fn the_wire_is_as_the_adverts_are() {
    let wire = &json("nopreempt.conf", &[])["wire"][0];
    // IP header 20, authentication header 24, eight bytes, one address, eight bytes of no password.
    assert_eq!((&wire["protocol"], &wire["bytes"]), (&json!(51), &json!(64)), "{wire}");
    assert_eq!(wire["destinations"], json!(["10.0.0.2", "10.0.0.3"]), "{wire}");
    let explained = json("election-only.conf", &[]);
    assert_eq!((&explained["wire"][0]["ttl"], &explained["wire"][0]["bytes"]), (&json!(64), &json!(36)));
    assert_eq!(explained["roles"][0]["about"], json!(["the Master holds no address on eth0"]));
    let wire = &json("group.conf", &[])["wire"][1];
    assert_eq!((&wire["vrid"], &wire["source_mac"]), (&json!(9), &Value::Null), "{wire}");
}

/// The example, where its key is nobody else's.
fn quorum() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    fs::copy(examples.join("quorum.toml"), folder.path().join("quorum.toml")).unwrap();
    let key = folder.path().join("claim.key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

#[test]
fn under_a_quorum_the_votes_are_cast_and_the_firewall_lets_them_through() {
    let folder = quorum();
    let explained = json(folder.path().join("quorum.toml").to_str().unwrap(), &[]);
    let starts = scene(&explained, "no other host runs");
    assert_eq!(starts["masters"][1], json!(["this host"]), "{starts}");
    let dies = scene(&explained, "it is Master and dies");
    assert_eq!(dies["masters"][1], json!(["the peer"]), "{dies}");
    let about = explained["roles"][0]["about"].to_string();
    assert!(about.contains("holding needs the votes of 2 of 3; without it nobody holds anything"), "{about}");
    let rules = explained["firewall"]["nftables"].to_string();
    assert!(rules.contains("input ip saddr 10.0.0.3 udp dport 5112 accept"), "{rules}");
}

#[test]
fn under_an_etcd_it_is_asked_and_the_firewall_lets_it_answer() {
    let etcd = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/etcd.toml");
    let explained = json(etcd.to_str().unwrap(), &[]);
    let starts = scene(&explained, "no other host runs");
    assert_eq!(starts["masters"][1], json!(["this host"]), "{starts}");
    let dies = scene(&explained, "it is Master and dies");
    assert_eq!(dies["masters"][1], json!(["the peer"]), "{dies}");
    assert!(dies["after_ms"].as_f64().is_some_and(|after| after > 4000.0), "by its lease: {dies}");
    let about = explained["roles"][0]["about"].to_string();
    assert!(
        about.contains("holding needs a lease of etcd at http://10.0.0.5:2379 or http://10.0.0.6"),
        "{about}"
    );
    let rules = explained["firewall"]["nftables"].to_string();
    assert!(rules.contains("output ip daddr 10.0.0.7 tcp dport 2379 accept"), "{rules}");
}

/// The rules are for pasting: the kernel's own tool has to read them.
#[test]
fn nft_accepts_the_rules() {
    let folder = quorum();
    let quorum = folder.path().join("quorum.toml");
    let quorum = quorum.to_str().unwrap();
    let shipped = ["../../../examples/dual-stack.toml", "../../../examples/etcd.toml"];
    for file in ["first.toml", "nopreempt.conf", "group.conf", quorum].into_iter().chain(shipped) {
        let explained = json(file, &[]);
        let rules = explained["firewall"]["nftables"].as_array().unwrap().iter();
        let mut text =
            "add table inet filter\nadd chain inet filter input\nadd chain inet filter output\n".to_owned();
        for rule in rules.clone() {
            text += rule.as_str().unwrap();
            text += "\n";
        }
        assert!(rules.len() >= 2, "{explained}");
        let mut nft =
            Command::new("nft").args(["--check", "--file", "-"]).stdin(Stdio::piped()).spawn().expect("nft");
        nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "{text}");
    }
}

#[test]
fn a_peer_that_cannot_be_read_is_named_and_a_peer_needs_explain() {
    let ran = explain("first.toml", &["--peer", "nowhere.toml"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("nowhere.toml cannot be used"), "{ran:?}");
    let ran: Ran = command(&["check", "a.toml", "--peer", "b.toml"]).output().unwrap().into();
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn what_locum_drops_itself_and_where_the_virtual_mac_address_is_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let more = "virtual_mac = true\naccept = false\ndrain_ports = [80, 443]\n";
    let base = "[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n";
    fs::write(&file, format!("{base}{more}")).unwrap();
    let ran = explain(file.to_str().unwrap(), &[]);
    for line in [
        "  the Master holds 10.0.0.100 on vrrp.51, with the virtual MAC address, on eth0\n",
        "\nmade by Locum itself, in nftables\n  web: while Master, table inet locum_PID drops all packets",
        "  web: while its addresses go, table inet locum_drain_PID refuses new connections to TCP ports 80, 443\n",
    ] {
        assert!(ran.out.contains(line), "{line}{ran:?}");
    }
    fs::write(&file, base).unwrap();
    assert!(!explain(file.to_str().unwrap(), &[]).out.contains("made by Locum itself"));
}
