//! Two servers and a witness: who holds in which partition, on real kernels.

use crate::guardian::daemon;
use crate::lab::{Host, LONG, Lab, SOON, VIP, wait_until};
use crate::locum::{BINARY, Locum, Router, settle};
use crate::neighbour::Instance;
use crate::process::Process;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;

/// The hosts by their numbers in the lab.
const HOSTS: [&str; 4] = ["a", "b", "w", "client"];

/// What status complains of.
pub fn complaints(locum: &Locum<'_>) -> String {
    locum.status()["complaints"].to_string()
}

/// The terms of its claims, one after the other, by its record; `None` where it had none any more.
pub fn terms(locum: &Locum<'_>) -> Vec<Option<u64>> {
    let (_, text) = locum.cli(&["history", "--json"]);
    let entries = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    entries.filter(|entry| entry["event"] == "claim").map(|entry| entry["term"].as_u64()).collect()
}

struct Cluster<'a> {
    a: Option<Locum<'a>>,
    b: Option<Locum<'a>>,
    witness: Option<Process>,
    lab: &'a Lab,
    interval: u32,
    key: TempDir,
}

/// A Master and B Backup, of adverts every 200 ms, with the vote of both and of W.
fn cluster<'a>(lab: &'a Lab, quorum: &str) -> Cluster<'a> {
    cluster_at(lab, quorum, 200)
}

fn cluster_at<'a>(lab: &'a Lab, quorum: &str, interval: u32) -> Cluster<'a> {
    cluster_of(lab, quorum, interval, Host::locum)
}

/// The servers are started like this.
fn cluster_of<'a>(
    lab: &'a Lab,
    quorum: &str,
    interval: u32,
    run: fn(&'a Host, &Router) -> Locum<'a>,
) -> Cluster<'a> {
    let key = TempDir::new().unwrap();
    fs::set_permissions(key.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = key.path().join("claim.key");
    fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let reference = format!("file:{}", path.display());
    let address = |name: &str| lab[name].ipv4();
    let witness = witness(lab, &reference, interval);
    // A voter is silent at first.
    settle(interval * 4 / 100);
    let start = |name: &str, other: &str, priority: u8| {
        let router = Router::new(priority)
            .with("interval", &format!("\"{interval}ms\""))
            .with("quorum", &format!("\"{quorum}\""));
        let longest = format!("longest_interval = \"{}ms\"\n", interval.max(1000));
        run(&lab[name], &router.and(&(claim(lab, name, other, &reference, &address("w")) + &longest)))
    };
    let a = start("a", "b", 150);
    let b = start("b", "a", 100);
    lab.wait_owner(VIP, &["a"]);
    wait_until("b follows a", LONG, || b.router()["instances"][0]["master"] == address("a"));
    Cluster { a: Some(a), b: Some(b), witness: Some(witness), lab, interval, key }
}

fn claim(lab: &Lab, name: &str, other: &str, key: &str, witness: &str) -> String {
    format!(
        "\n[claim]\nlisten = \"{}\"\nkey = \"{key}\"\nwitness = \"w\"\nvoters = {{ {other} = \"{}\", w = \"{witness}\" }}\n",
        lab[name].ipv4(),
        lab[other].ipv4(),
    )
}

fn witness(lab: &Lab, reference: &str, interval: u32) -> Process {
    let mut command = lab["w"].command(BINARY);
    command.args(["witness", "--listen", &lab["w"].ipv4(), "--key", reference]);
    command.args(["--interval", &interval.to_string()]);
    Process::start("w/witness", command)
}

impl Cluster<'_> {
    fn restart_witness(&mut self) {
        drop(self.witness.take());
        let reference = format!("file:{}", self.key.path().join("claim.key").display());
        self.witness = Some(witness(self.lab, &reference, self.interval));
    }
}

#[test]
fn with_the_link_between_the_servers_cut_the_master_keeps_the_address() {
    let lab = Lab::new(&HOSTS);
    let _cluster = cluster(&lab, "require");
    let watch = lab.watch(VIP);
    lab.cut("a", "b");
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
    assert_eq!(cluster.b.as_ref().expect("it runs").state(), "BACKUP");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

/// How often something was taken away there, by its status.
fn evicted(locum: &Locum<'_>) -> u64 {
    locum.router()["addresses"][0]["evicted"].as_u64().unwrap()
}

#[test]
fn an_address_put_on_the_backup_is_taken_away_and_told_of_until_that_is_a_fight() {
    let lab = Lab::new(&HOSTS);
    let cluster = cluster(&lab, "require");
    let b = cluster.b.as_ref().expect("it runs");
    let watch = lab.watch(VIP);
    lab["b"].ip(&format!("address add {VIP}/24 dev eth0"));
    wait_until("b takes it away", SOON, || evicted(b) == 1);
    println!("put on the Backup: {}", watch.end());
    assert_eq!((lab.owners(VIP), b.state().as_str()), (vec!["a"], "BACKUP"));
    let (_, history) = b.cli(&["history"]);
    assert!(history.contains("was put on eth0 by something else"), "{history}");
    for fight in 2..=6 {
        lab["b"].ip(&format!("address add {VIP}/24 dev eth0"));
        wait_until("b takes it away", SOON, || evicted(b) == fight);
    }
    lab["b"].ip(&format!("address add {VIP}/24 dev eth0"));
    wait_until("b complains", SOON, || complaints(b).contains("something else has put"));
    let (_, history) = b.cli(&["history"]);
    assert!(history.contains("6 times within 60s"), "{history}");
    settle(5);
    assert_eq!((evicted(b), lab.owners(VIP)), (6, vec!["a", "b"]), "a fight is not gone on with");
}

#[test]
fn what_was_put_beside_the_masters_own_goes_when_it_is_master_no_more() {
    let lab = Lab::new(&HOSTS);
    let cluster = cluster(&lab, "require");
    let a = cluster.a.as_ref().expect("it runs");
    lab["a"].ip(&format!("address add {VIP}/24 dev eth0"));
    settle(5);
    assert_eq!((lab.owners(VIP), evicted(a)), (vec!["a"], 0));
    lab["a"].forward(false);
    lab.wait_owner(VIP, &["b"]);
    assert_eq!(evicted(a), 1);
}

#[test]
fn what_was_there_before_or_is_elsewhere_is_left_alone_and_only_the_former_is_complained_of() {
    let lab = Lab::new(&HOSTS);
    lab["b"].ip(&format!("address add {VIP}/24 dev eth0"));
    let key = TempDir::new().unwrap();
    let path = key.path().join("claim.key");
    fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let claim = claim(&lab, "b", "a", &format!("file:{}", path.display()), &lab["w"].ipv4());
    // Without a witness it never takes over.
    let b = lab["b"].locum(&Router::new(100).with("quorum", r#""require""#).and(&claim));
    b.wait_state("BACKUP");
    wait_until("b complains", SOON, || complaints(&b).contains("something else has put"));
    settle(5);
    assert_eq!((lab.owners(VIP), evicted(&b)), (vec!["b"], 0));
    lab["b"].ip(&format!("address del {VIP}/24 dev eth0"));
    wait_until("b complains no more", SOON, || !complaints(&b).contains("something else has put"));
    lab["b"].ip(&format!("address add {VIP}/32 dev lo"));
    settle(5);
    assert_eq!(evicted(&b), 0);
    assert!(!complaints(&b).contains("something else has put"));
    // What has gone and comes again is as new as anything else.
    lab["b"].ip(&format!("address add {VIP}/24 dev eth0"));
    wait_until("it is taken away", SOON, || evicted(&b) == 1);
}

#[test]
fn without_a_required_claim_what_is_put_on_the_backup_stays_and_is_told_of() {
    let lab = Lab::new(&["a", "b"]);
    let _a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    b.wait_state("BACKUP");
    lab["b"].ip(&format!("address add {VIP}/24 dev eth0"));
    wait_until("b complains", SOON, || complaints(&b).contains("something else has put"));
    let (_, history) = b.cli(&["history"]);
    assert!(history.contains("two hosts may answer for it"), "{history}");
    assert_eq!((lab.owners(VIP), evicted(&b)), (vec!["a", "b"], 0));
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
    let terms = [cluster.a.as_ref(), cluster.b.as_ref()].map(|locum| terms(locum.expect("it runs")));
    println!("terms: {terms:?}");
    // What a had it gave back, and b has it in a greater term.
    let ([.., Some(first), None], [.., Some(second)]) = (&terms[0][..], &terms[1][..]) else {
        panic!("{terms:?}")
    };
    assert!(second > first);
    let (_, told) = cluster.b.as_ref().expect("it runs").cli(&["history"]);
    let vote = format!("voted for {}:5112 to have web in term ", lab["b"].ipv4());
    assert!(told.contains(&vote), "{told}");
}

#[test]
fn a_killed_masters_guardian_gives_the_claim_back_and_nobody_waits_for_its_end() {
    let lab = Lab::new(&HOSTS);
    // A grant lasts for six seconds, and for as long a voter is silent at first.
    let cluster = cluster_of(&lab, "require", 2000, Host::locum_guarded);
    let a = cluster.a.as_ref().expect("it runs");
    settle(70);
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    daemon(a).kill();
    lab.wait_owner(VIP, &["b"]);
    let timeline = watch.end();
    println!("daemon killed: {}; {timeline}", probe.end());
    assert!(timeline.time_with(0) < Duration::from_secs(1), "{timeline}");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

#[test]
fn a_master_that_is_cut_off_and_then_frozen_loses_the_address_with_its_claim() {
    let lab = Lab::new(&HOSTS);
    let cluster = cluster_at(&lab, "require", 1000);
    let watch = lab.watch(VIP);
    lab["a"].forward(false);
    // It renews its lease twice more; the claim is over less than a second later.
    settle(21);
    cluster.a.as_ref().expect("it runs").process.signal(Signal::SIGSTOP);
    lab.wait_owner(VIP, &["b"]);
    settle(20);
    let timeline = watch.end();
    println!("A cut off, then frozen: {timeline}");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
    cluster.a.as_ref().expect("it runs").process.signal(Signal::SIGCONT);
    settle(5);
    assert_eq!(lab.owners(VIP), ["b"]);
}

#[test]
fn a_master_keeps_the_address_while_voters_are_restarted_one_after_the_other() {
    let lab = Lab::new(&HOSTS);
    let mut cluster = cluster(&lab, "require");
    let watch = lab.watch(VIP);
    cluster.restart_witness();
    settle(15);
    drop(cluster.b.take());
    settle(15);
    let timeline = watch.end();
    println!("W restarted, then B dead: {timeline}");
    assert_eq!(lab.owners(VIP), ["a"]);
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
}

#[test]
fn a_witness_that_is_dead_and_a_master_that_does_not_vote_are_told_of() {
    let lab = Lab::new(&HOSTS);
    let mut cluster = cluster(&lab, "require");
    assert_eq!(complaints(cluster.a.as_ref().expect("it runs")), "[]");
    let b = cluster.b.take().expect("it runs");
    assert_eq!(complaints(&b), "[]");
    drop(cluster.witness.take());
    let told = format!("voter {}:5112 does not answer", lab["w"].ipv4());
    wait_until("a misses the witness", LONG, || {
        complaints(cluster.a.as_ref().expect("it runs")).contains(&told)
    });
    cluster.restart_witness();
    wait_until("a has it again", LONG, || complaints(cluster.a.as_ref().expect("it runs")) == "[]");
    // Then another kind of Master takes its place.
    drop(cluster.a.take());
    lab.wait_owner(VIP, &["b"]);
    let keepalived = lab["a"].keepalived(&Instance { interval: "0.2", ..Instance::new(200) });
    let told = format!("unprotected: {} is Master and does not vote", lab["a"].ipv4());
    wait_until("b tells of it", LONG, || complaints(&b).contains(&told));
    drop(keepalived);
}

#[test]
fn programs_in_the_place_of_others_go_on_with_their_claim_and_their_vote() {
    let lab = Lab::new(&HOSTS);
    let mut cluster = cluster_at(&lab, "require", 500);
    let watch = lab.watch(VIP);
    let before = terms(cluster.a.as_ref().expect("it runs"));
    for locum in [&cluster.b, &cluster.a, &cluster.a].map(|locum| locum.as_ref().expect("it runs")) {
        let (code, said) = locum.cli(&["restart"]);
        assert_eq!(code, Some(0), "{said}");
        settle(20);
    }
    // Its own vote and that of b are a majority, so neither may have been silent.
    drop(cluster.witness.take());
    let (code, said) = cluster.b.as_ref().expect("it runs").cli(&["restart"]);
    assert_eq!(code, Some(0), "{said}");
    settle(30);
    let timeline = watch.end();
    println!("restarts under a quorum: {timeline}");
    assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
    let (a, b) = (cluster.a.as_ref().expect("it runs"), cluster.b.as_ref().expect("it runs"));
    assert_eq!((a.state(), b.state()), ("MASTER".to_owned(), "BACKUP".to_owned()));
    let after = terms(a);
    let all: Vec<u64> = after.iter().flatten().copied().collect();
    assert!(
        all.is_sorted() && all.len() >= before.len() && !after.contains(&None),
        "{before:?}, then {after:?}"
    );
}

#[test]
fn a_reload_takes_up_another_key_and_refuses_to_exchange_a_voter() {
    let lab = Lab::new(&HOSTS);
    let mut cluster = cluster_at(&lab, "require", 1000);
    let watch = lab.watch(VIP);
    let path = cluster.key.path().join("claim.key");
    fs::write(&path, "fedcba9876543210fedcba9876543210\n").unwrap();
    for locum in [&cluster.b, &cluster.a].map(|locum| locum.as_ref().expect("it runs")) {
        let (code, said) = locum.cli(&["reload"]);
        assert_eq!((code, said.contains("who grants claims: changed")), (Some(0), true), "{said}");
    }
    cluster.restart_witness();
    let a = cluster.a.as_ref().expect("it runs");
    wait_until("all voters answer", LONG, || a.router()["vote"]["granted"] == 3);
    let key = format!("file:{}", path.display());
    let router = Router::new(150).with("quorum", r#""require""#);
    a.write(&router.and(&claim(&lab, "a", "b", &key, &lab["client"].ipv4())).toml());
    for order in ["reload", "restart"] {
        let (code, said) = a.cli(&[order]);
        assert_eq!((code, said.contains("[claim] changes 2 voters at once")), (Some(1), true), "{said}");
    }
    settle(40);
    let timeline = watch.end();
    println!("another key, then another witness: {timeline}");
    assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
    assert_eq!((a.state(), a.router()["vote"]["granted"].as_u64()), ("MASTER".to_owned(), Some(3)));
}
