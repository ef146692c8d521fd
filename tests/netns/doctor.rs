//! `locum doctor` where something is wrong with a real network, and where nothing is.

use crate::lab::{Host, LONG, Lab, VIP, VIP6, need, wait_until};
use crate::locum::{Locum, Router};
use crate::neighbour::Instance;
use crate::page::member;
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;
use tempfile::NamedTempFile;

/// Ten intervals.
pub const BRIEFLY: [&str; 2] = ["--listen", "1s"];

/// What is said at this severity, by its id.
pub fn said(report: &Value, severity: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let these = findings.filter(|finding| finding["severity"] == severity);
    these.map(|finding| finding["id"].as_str().unwrap().to_owned()).collect()
}

/// Those about the machine, and all others: whether its clock is kept right, and whether it is so busy that adverts are
/// late, is not ours to say.
fn doubts(report: &Value) -> (Vec<String>, Vec<String>) {
    said(report, "doubt").into_iter().partition(|id| ["clock", "daemon.late"].contains(&id.as_str()))
}

/// The one finding with this id; fails with everything that was found.
pub fn finding<'a>(report: &'a Value, id: &str) -> &'a Value {
    let mut all = report["findings"].as_array().unwrap().iter();
    all.find(|finding| finding["id"] == id && finding["severity"] != "fine")
        .unwrap_or_else(|| panic!("no {id}: {report:#}"))
}

fn assert_trouble(locum: &Locum<'_>, id: &str, words: &[&str]) -> Value {
    let (code, report) = locum.doctor(&BRIEFLY);
    assert_eq!(code, Some(1), "{report:#}");
    let found = finding(&report, id);
    assert_eq!(found["severity"], "trouble", "{report:#}");
    for word in words {
        let text = format!("{} {} {}", found["what"], found["why"], found["mend"]);
        assert!(text.contains(word), "no {word} in {found:#}");
    }
    report
}

pub fn key(byte: u8) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("hex:{}", format!("{byte:02x}").repeat(32))).unwrap();
    file
}

pub fn signed(router: Router, key: &NamedTempFile) -> Router {
    let auth = format!(r#"{{ hmac = {{ keys = {{ 1 = "file:{}" }} }} }}"#, key.path().display());
    router.with("auth", &auth)
}

/// Loads rules of nftables.
fn nft(host: &Host, rules: &str) {
    need("nft", "nftables");
    let mut child = host.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft: {rules}");
}

/// Nothing but what is fine, with all of these ids.
fn assert_fine(locum: &Locum<'_>, peer: &Locum<'_>, ids: &[&str]) {
    let (code, report) = locum.doctor(&["--listen", "1s", "--peer", peer.config()]);
    let (machine, doubts) = doubts(&report);
    assert_eq!((said(&report, "trouble"), doubts), (vec![], vec![]), "{report:#}");
    assert_eq!(code, Some(i32::from(!machine.is_empty())), "{report:#}");
    let fine = said(&report, "fine");
    for id in ids {
        assert!(fine.iter().any(|found| found == id), "{id}: {report:#}");
    }
}

#[test]
fn of_a_healthy_pair_it_finds_nothing_but_what_is_fine() {
    let lab = Lab::new(&["a", "b"]);
    nft(
        &lab["a"],
        "table inet fw { chain input { type filter hook input priority 0; policy drop; \
         ip protocol vrrp accept; meta l4proto icmp accept; }; }",
    );
    let a = lab["a"].locum(&Router::new(150));
    let b = lab["b"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    wait_until("b hears a", LONG, || b.router()["instances"][0]["heard"] != 0);
    let ids = [
        "configuration",
        "peer-file",
        "privileges",
        "interface",
        "kernel",
        "mtu",
        "firewall",
        "wire",
        "address",
        "daemon",
    ];
    assert_fine(&a, &b, &ids);
    assert_fine(&b, &a, &ids);
    // A Backup does not say whether it hears us.
    assert!(a.doctor(&BRIEFLY).1["not_looked_at"].to_string().contains("a Backup is silent"));
    assert_eq!((a.state().as_str(), b.state().as_str()), ("MASTER", "BACKUP"), "it changes nothing");
}

#[test]
fn pairs_of_other_kinds_are_fine_as_well() {
    let key = key(7);
    let both = format!(r#"["{VIP}", "{VIP6}"]"#);
    let peer = |number: usize| format!(r#"["10.77.0.{}", "fd77::{0}"]"#, 3 - number);
    let kinds: [&dyn Fn(usize, Router) -> Router; 4] = [
        &|number, router| router.with("addresses", &both).with("peers", &peer(number)),
        &|_, router| router.with("addresses", &both).with("virtual_mac", "true"),
        &|_, router| signed(router, &key),
        &|_, router| router.with("version", "2").with("interval", r#""1s""#),
    ];
    for kind in kinds {
        let lab = Lab::new(&["a", "b"]);
        let a = lab["a"].locum(&kind(1, Router::new(150)));
        lab.wait_owner(VIP, &["a"]);
        let b = lab["b"].locum(&kind(2, Router::new(100)));
        b.wait_state("BACKUP");
        let hears = |instance: &Value| instance["heard"] != 0;
        wait_until("b hears a", LONG, || b.router()["instances"].as_array().unwrap().iter().all(hears));
        assert_fine(&a, &b, &["peer-file", "address", "daemon"]);
        assert_fine(&b, &a, &["peer-file", "address", "daemon"]);
    }
}

#[test]
fn beside_keepalived_it_finds_nothing_but_what_is_fine() {
    let lab = Lab::new(&["a", "b"]);
    let _a = lab["a"].keepalived(&Instance::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    b.wait_state("BACKUP");
    wait_until("b hears a", LONG, || b.router()["instances"][0]["heard"] != 0);
    let (code, report) = b.doctor(&BRIEFLY);
    let (machine, doubts) = doubts(&report);
    assert_eq!((code, doubts), (Some(i32::from(!machine.is_empty())), vec![]), "{report:#}");
}

#[test]
fn a_rule_that_drops_adverts_is_named_with_the_rule_that_lets_them_in() {
    let lab = Lab::new(&["a", "b"]);
    let _a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    nft(
        &lab["b"],
        "table inet fw { chain input { type filter hook input priority 0; policy accept; \
                    meta l4proto 112 drop comment \"no idea\"; }; }",
    );
    let b = lab["b"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a", "b"]);
    let words =
        ["handle", "no idea", "nft 'insert rule inet fw input iifname \\\"eth0\\\" meta l4proto 112 accept'"];
    let report = assert_trouble(&b, "firewall", &words);
    for id in ["daemon.deaf", "wire.two-masters", "address.duplicate"] {
        finding(&report, id);
    }
    // The mend does what it promises.
    nft(&lab["b"], "insert rule inet fw input iifname \"eth0\" meta l4proto 112 accept");
    b.wait_state("BACKUP");
    let (_, report) = b.doctor(&BRIEFLY);
    assert_eq!(said(&report, "trouble"), Vec::<String>::new(), "{report:#}");
}

#[test]
fn a_master_is_told_by_the_other_host_that_it_is_not_heard() {
    let lab = Lab::new(&["a", "b"]);
    let a = lab["a"].locum(&member(&lab["a"], 150));
    let b = lab["b"].locum(&member(&lab["b"], 100));
    a.wait_state("MASTER");
    b.wait_state("BACKUP");
    let (_, report) = a.doctor(&BRIEFLY);
    assert!(said(&report, "fine").contains(&"cluster".to_owned()), "{report:#}");
    nft(
        &lab["b"],
        "table inet fw { chain input { type filter hook input priority 0; policy accept; meta l4proto 112 drop; }; }",
    );
    lab.wait_owner(VIP, &["a", "b"]);
    let report = assert_trouble(&a, "cluster.unheard", &["b does not hear", "protocol 112"]);
    finding(&report, "cluster.two-masters");
}

#[test]
fn a_policy_that_keeps_adverts_from_leaving_is_named() {
    let lab = Lab::new(&["a"]);
    nft(
        &lab["a"],
        "table ip fw { chain out { type filter hook output priority 0; policy drop; \
                    tcp dport 22 accept; }; }",
    );
    let a = lab["a"].locum(&Router::new(150).with("peers", r#"["10.77.0.2"]"#));
    a.wait_state("MASTER");
    let report = assert_trouble(&a, "firewall", &["its policy", "out by eth0"]);
    for id in ["daemon.send-errors", "wire.not-sent"] {
        finding(&report, id);
    }
}

#[test]
fn a_wrong_peer_address_is_found_in_the_files_and_on_the_wire() {
    let lab = Lab::new(&["a", "b"]);
    let with = |priority, peer: &str, source: &str| {
        let router = Router::new(priority).with("peers", &format!(r#"["{peer}"]"#));
        router.with("source", &format!(r#""{source}""#))
    };
    let a = lab["a"].locum(&with(150, "10.77.0.9", "10.77.0.1"));
    let b = lab["b"].locum(&with(100, "10.77.0.1", "10.77.0.2"));
    lab.wait_owner(VIP, &["a", "b"]);
    let report =
        assert_trouble(&a, "wire.not-a-peer", &["10.77.0.2", r#"peers = [\"10.77.0.9\", \"10.77.0.2\"]"#]);
    assert!(finding(&report, "address.peer")["what"].as_str().unwrap().contains("10.77.0.9"), "{report:#}");
    let (_, report) = a.doctor(&["--listen", "0s", "--peer", b.config()]);
    assert!(
        finding(&report, "peer-file.not-a-peer")["what"].as_str().unwrap().contains("refuses"),
        "{report:#}"
    );
    assert!(
        finding(&report, "peer-file.peers")["what"].as_str().unwrap().contains("10.77.0.2"),
        "{report:#}"
    );
}

#[test]
fn another_cluster_with_the_same_vrid_is_found_and_a_free_one_offered() {
    let lab = Lab::new(&["a", "other"]);
    let mut stranger = Instance::new(100);
    stranger.vip = "10.77.0.200";
    let _other = lab["other"].keepalived(&stranger);
    lab.wait_owner("10.77.0.200", &["other"]);
    let a = lab["a"].locum(&Router::new(50));
    a.wait_state("BACKUP");
    assert_trouble(&a, "wire.foreign-vrid", &["10.77.0.2", "10.77.0.200", "vrid = 52"]);
}

#[test]
fn an_address_that_another_host_has_as_well_is_found_with_its_mac_address() {
    let lab = Lab::new(&["a", "b", "stray"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    b.wait_state("BACKUP");
    lab["stray"].ip(&format!("address add {VIP}/24 dev eth0"));
    let mac = lab["stray"].mac();
    assert_trouble(&a, "address.duplicate", &["this host has", &mac]);
    assert_trouble(&b, "address.duplicate", &["several hosts", &mac]);
}

#[test]
fn an_ipv6_address_that_another_host_has_as_well_is_found_too() {
    let lab = Lab::new(&["a", "stray"]);
    let a = lab["a"].locum(&Router::new(150).with("addresses", &format!(r#"["{VIP6}"]"#)));
    a.wait_state("MASTER");
    let (_, report) = a.doctor(&BRIEFLY);
    assert!(said(&report, "fine").contains(&"address".to_owned()), "{report:#}");
    lab["stray"].ip(&format!("address add {VIP6}/64 dev eth0 nodad"));
    assert_trouble(&a, "address.duplicate", &["this host has", VIP6, &lab["stray"].mac()]);
}

#[test]
fn an_address_that_nobody_advertises_and_somebody_has_is_found_before_the_start() {
    let lab = Lab::new(&["a", "stray"]);
    lab["stray"].ip(&format!("address add {VIP}/24 dev eth0"));
    let (code, report) = lab["a"].doctor_alone("--no-new-privs", &Router::new(150), &BRIEFLY);
    assert_eq!(code, Some(1));
    let found = finding(&report, "address.unadvertised");
    assert!(found["what"].as_str().unwrap().contains(&lab["stray"].mac()), "{found:#}");
    // Nothing runs yet, and nobody is Master.
    assert_eq!(said(&report, "doubt"), ["wire.silence", "daemon"], "{report:#}");
}

#[test]
fn other_keys_are_found_on_the_wire_and_in_the_files() {
    let lab = Lab::new(&["a", "b"]);
    let (ours, theirs) = (key(7), key(8));
    let a = lab["a"].locum(&signed(Router::new(150), &ours));
    let b = lab["b"].locum(&signed(Router::new(100), &theirs));
    lab.wait_owner(VIP, &["a", "b"]);
    assert_trouble(&b, "wire.bad-signature", &["10.77.0.1", "sha256sum"]);
    let (_, report) = b.doctor(&["--listen", "0s", "--peer", a.config()]);
    finding(&report, "peer-file.bad-signature");
}

#[test]
fn settings_by_which_nobody_finds_the_address_are_found() {
    let lab = Lab::new(&["a"]);
    lab["a"].sysctl("net/ipv4/conf/eth0/arp_ignore", "2");
    lab["a"].ip("link set eth0 mtu 1280");
    let a = lab["a"].locum(&Router::new(150));
    a.wait_state("MASTER");
    assert_trouble(&a, "kernel.arp-ignore", &[VIP, "net/ipv4/conf/eth0/arp_ignore=1"]);
}

#[test]
fn without_privileges_it_says_what_it_could_not_look_at() {
    let lab = Lab::new(&["a"]);
    let nobody = "--reuid 65534 --regid 65534 --clear-groups --inh-caps=-all";
    let (code, report) = lab["a"].doctor_alone(nobody, &Router::new(150), &BRIEFLY);
    assert_eq!((code, said(&report, "trouble")), (Some(1), vec![]), "{report:#}");
    let unseen = report["not_looked_at"].to_string();
    for what in ["what is on the wire", "packet filter", "privileges of the daemon", "has the addresses"] {
        assert!(unseen.contains(what), "{what}: {report:#}");
    }
    assert!(said(&report, "fine").iter().any(|id| id == "interface"), "{report:#}");
}
