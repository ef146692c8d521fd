//! Two servers and a witness: who holds in which partition, on real kernels.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{BINARY, Locum, Router, settle};
use crate::process::Process;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// The hosts by their numbers in the lab.
const HOSTS: [&str; 4] = ["a", "b", "w", "client"];

struct Cluster<'a> {
    a: Option<Locum<'a>>,
    b: Locum<'a>,
    witness: Option<Process>,
    lab: &'a Lab,
    _key: TempDir,
}

/// A Master and B Backup, of adverts every 200 ms, with the vote of both and of W.
fn cluster<'a>(lab: &'a Lab, quorum: &str) -> Cluster<'a> {
    let key = TempDir::new().unwrap();
    fs::set_permissions(key.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = key.path().join("claim.key");
    fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let reference = format!("file:{}", path.display());
    let address = |name: &str| lab[name].ipv4();
    let mut command = lab["w"].command(BINARY);
    command.args(["witness", "--listen", &address("w"), "--key", &reference, "--interval", "200"]);
    let witness = Process::start("w/witness", command);
    // A voter is silent at first, and what it did not grant then it does not renew.
    settle(8);
    let start = |name: &str, other: &str, priority: u8| {
        let claim = format!(
            "\n[claim]\nlisten = \"{}\"\nkey = \"{reference}\"\nwitness = \"w\"\nvoters = {{ {other} = \"{}\", w = \"{}\" }}\n",
            address(name),
            address(other),
            address("w"),
        );
        let router =
            Router::new(priority).with("interval", "\"200ms\"").with("quorum", &format!("\"{quorum}\""));
        lab[name].locum(&router.and(&claim))
    };
    let a = start("a", "b", 150);
    let b = start("b", "a", 100);
    lab.wait_owner(VIP, &["a"]);
    wait_until("b follows a", LONG, || b.router()["instances"][0]["master"] == address("a"));
    Cluster { a: Some(a), b, witness: Some(witness), lab, _key: key }
}

impl Cluster<'_> {
    /// Neither hears the other any more: no advert, no vote.
    fn cut(&self, one: &str, other: &str) {
        for (host, from) in [(one, other), (other, one)] {
            let rules = format!(
                "table inet cut_{from} {{\n chain in {{\n  type filter hook input priority -300\n  \
                 ip saddr {} drop\n }}\n}}\n",
                self.lab[from].ipv4()
            );
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), rules).unwrap();
            self.lab[host].run(&format!("nft -f {}", file.path().display()));
        }
    }
}

#[test]
fn with_the_link_between_the_servers_cut_the_master_keeps_the_address() {
    let lab = Lab::new(&HOSTS);
    let cluster = cluster(&lab, "require");
    let watch = lab.watch(VIP);
    cluster.cut("a", "b");
    settle(15);
    let timeline = watch.end();
    println!("A|B: {timeline}");
    assert_eq!(lab.owners(VIP), ["a"]);
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
}

#[test]
fn a_master_that_is_cut_off_drops_the_address_before_the_other_takes_it_and_gets_it_back_when_healed() {
    let lab = Lab::new(&HOSTS);
    let cluster = cluster(&lab, "require");
    let watch = lab.watch(VIP);
    lab["a"].forward(false);
    lab.wait_owner(VIP, &["b"]);
    settle(10);
    assert_eq!(lab.owners(VIP), ["b"]);
    let alone = cluster.a.as_ref().expect("it runs").router();
    assert_eq!(alone["state"], "BACKUP", "{alone}");
    lab["a"].forward(true);
    lab.wait_owner(VIP, &["a"]);
    settle(5);
    let timeline = watch.end();
    println!("A|BW, healed: {timeline}");
    assert_eq!(lab.owners(VIP), ["a"]);
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

#[test]
fn with_the_backup_cut_off_the_master_keeps_the_address() {
    let lab = Lab::new(&HOSTS);
    let cluster = cluster(&lab, "require");
    let watch = lab.watch(VIP);
    lab["b"].forward(false);
    settle(15);
    let timeline = watch.end();
    println!("AW|B: {timeline}");
    assert_eq!(lab.owners(VIP), ["a"]);
    assert_eq!(cluster.b.state(), "BACKUP");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

#[test]
fn with_the_witness_dead_the_master_keeps_the_address_and_with_the_master_dead_too_nobody_has_it() {
    let lab = Lab::new(&HOSTS);
    let mut cluster = cluster(&lab, "require");
    let watch = lab.watch(VIP);
    drop(cluster.witness.take());
    settle(15);
    assert_eq!(lab.owners(VIP), ["a"]);
    lab["a"].forward(false);
    wait_until("a drops it", LONG, || lab.owners(VIP).is_empty());
    settle(15);
    let timeline = watch.end();
    println!("W dead, then A apart: {timeline}");
    assert!(lab.owners(VIP).is_empty());
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

#[test]
fn with_the_witness_and_the_master_dead_the_other_takes_it_after_the_grace_where_a_quorum_is_preferred() {
    let lab = Lab::new(&HOSTS);
    let mut cluster = cluster(&lab, "prefer");
    drop(cluster.witness.take());
    lab["a"].forward(false);
    lab.wait_owner(VIP, &["b"]);
}

#[test]
fn with_all_apart_nobody_has_it() {
    let lab = Lab::new(&HOSTS);
    let _cluster = cluster(&lab, "require");
    let watch = lab.watch(VIP);
    for host in ["a", "b", "w"] {
        lab[host].forward(false);
    }
    wait_until("a drops it", LONG, || lab.owners(VIP).is_empty());
    settle(15);
    let timeline = watch.end();
    println!("all apart: {timeline}");
    assert!(lab.owners(VIP).is_empty());
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

#[test]
fn a_handover_under_a_quorum_loses_no_time_and_the_claim_goes_along() {
    let lab = Lab::new(&HOSTS);
    let cluster = cluster(&lab, "require");
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    let (code, said) = cluster.a.as_ref().expect("it runs").cli(&["handover"]);
    assert_eq!(code, Some(0), "{said}");
    lab.wait_owner(VIP, &["b"]);
    settle(10);
    let timeline = watch.end();
    println!("handover: {}; {timeline}; {said}", probe.end());
    assert_eq!(lab.owners(VIP), ["b"]);
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
}
