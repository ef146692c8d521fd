//! Two servers and an etcd, Debian's: who holds when one cannot reach it, when it is gone, and in which term.

use crate::guardian::daemon;
use crate::lab::{LONG, Lab, VIP, need, wait_until};
use crate::locum::{Locum, Router, settle};
use crate::process::Process;
use crate::quorum::{complaints, terms};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// The hosts by their numbers in the lab.
const HOSTS: [&str; 4] = ["a", "b", "e", "client"];
/// What a Master that dies leaves behind in etcd for so long.
const TTL: u32 = 3;

/// `/locum/web/holder`, as etcd's JSON has keys.
const WEB: &str = "L2xvY3VtL3dlYi9ob2xkZXI=";

/// One member of an etcd on the host E, and what it keeps.
struct Member<'a> {
    process: Option<Process>,
    data: TempDir,
    lab: &'a Lab,
    place: usize,
    members: usize,
}

impl<'a> Member<'a> {
    fn new(lab: &'a Lab, place: usize, members: usize) -> Self {
        need("etcd", "etcd-server");
        let mut member = Member { process: None, data: TempDir::new().unwrap(), lab, place, members };
        member.start();
        member
    }

    fn start(&mut self) {
        let (client, peer) = (self.url(), Self::peer(self.place));
        let all: Vec<_> = (0..self.members).map(|place| format!("m{place}={}", Self::peer(place))).collect();
        let mut command = self.lab["e"].command("etcd");
        command.args(["--name", &format!("m{}", self.place), "--logger", "zap", "--log-level", "error"]);
        command.arg("--data-dir").arg(self.data.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &all.join(",")]);
        self.process = Some(Process::start("e/etcd", command));
    }

    fn url(&self) -> String {
        format!("http://{}:{}", self.lab["e"].ipv4(), 2379 + 100 * self.place)
    }

    fn peer(place: usize) -> String {
        format!("http://127.0.0.1:{}", 2380 + 100 * place)
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn stop(&mut self) {
        self.process = None;
    }

    fn await_answer(&self) {
        wait_until("the etcd answers", LONG, || self.attempt("/v3/kv/range", r#"{"key":"eA=="}"#).0);
    }

    fn attempt(&self, path: &str, body: &str) -> (bool, String) {
        self.lab["e"].attempt(&format!("curl -sSf -m 2 {}{path} -d {body}", self.url()))
    }

    fn post(&self, path: &str, body: &str) -> String {
        let (done, said) = self.attempt(path, body);
        assert!(done, "{path} {body}: {said}");
        said
    }
}

/// One that runs alone.
fn etcd(lab: &Lab) -> Member<'_> {
    let member = Member::new(lab, 0, 1);
    member.await_answer();
    member
}

/// A router of this priority, with adverts every 200 ms, that asks these endpoints. `more`: of its section [claim].
fn router(endpoints: &[String], quorum: &str, priority: u8, more: &str) -> Router {
    let router = Router::new(priority).with("interval", "\"200ms\"").with("quorum", &format!("\"{quorum}\""));
    router.and(&format!("\n[claim]\nstore = \"etcd\"\nendpoints = {endpoints:?}\n{more}"))
}

/// A Master and B Backup.
fn servers<'a>(lab: &'a Lab, endpoints: &[String], quorum: &str) -> [Locum<'a>; 2] {
    servers_with(lab, endpoints, quorum, &format!("ttl = \"{TTL}s\"\n"))
}

fn servers_with<'a>(lab: &'a Lab, endpoints: &[String], quorum: &str, more: &str) -> [Locum<'a>; 2] {
    let a = lab["a"].locum(&router(endpoints, quorum, 150, more));
    let b = lab["b"].locum(&router(endpoints, quorum, 100, more));
    lab.wait_owner(VIP, &["a"]);
    wait_until("b follows a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    [a, b]
}

/// Waits out a lease, and the etcd's own slowness.
fn settle_leases() {
    settle((TTL + 2) * 10);
}

#[test]
fn a_master_that_is_cut_off_drops_the_address_before_the_other_takes_it_in_a_greater_term() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [a, b] = servers(&lab, &[etcd.url()], "require");
    let watch = lab.watch(VIP);
    lab["a"].forward(false);
    lab.wait_owner(VIP, &["b"]);
    settle_leases();
    assert_eq!((lab.owners(VIP), a.state()), (vec!["b"], "BACKUP".to_owned()));
    lab["a"].forward(true);
    lab.wait_owner(VIP, &["a"]);
    settle(10);
    let timeline = watch.end();
    println!("A|B, etcd, healed: {timeline}");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
    let (of_a, of_b) = (terms(&a), terms(&b));
    println!("terms: {of_a:?}, {of_b:?}");
    let ([Some(first), None, Some(third)], [Some(second), None]) = (&of_a[..], &of_b[..]) else {
        panic!("{of_a:?}, {of_b:?}")
    };
    assert!(first < second && second < third);
}

#[test]
fn a_killed_masters_guardian_gives_the_claim_back_and_nobody_waits_for_its_end() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    // Nobody is at the first one; and nobody would wait a minute for the claim here.
    let endpoints = [format!("http://{}:2399", lab["e"].ipv4()), etcd.url()];
    let start = |host: &str, priority| {
        let router = router(&endpoints, "require", priority, "ttl = \"60s\"\n").with("preempt", "false");
        lab[host].locum_guarded(&router)
    };
    let a = start("a", 150);
    lab.wait_owner(VIP, &["a"]);
    let b = start("b", 100);
    wait_until("b follows a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    let watch = lab.watch(VIP);
    daemon(&a).kill();
    lab.wait_owner(VIP, &["b"]);
    let timeline = watch.end();
    println!("daemon killed, etcd: {timeline}");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
    let (of_a, of_b) = (terms(&a), terms(&b));
    assert!(of_a.first() < of_b.first(), "{of_a:?}, {of_b:?}");
}

#[test]
fn servers_that_do_not_hear_each_other_leave_the_address_where_it_is() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [_a, b] = servers(&lab, &[etcd.url()], "require");
    let watch = lab.watch(VIP);
    lab.cut("a", "b");
    settle_leases();
    let timeline = watch.end();
    println!("A|B, both with etcd: {timeline}");
    assert_eq!((lab.owners(VIP), b.state()), (vec!["a"], "BACKUP".to_owned()));
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
}

#[test]
fn without_the_etcd_nobody_has_it_and_with_it_again_the_better_one_in_a_greater_term() {
    let lab = Lab::new(&HOSTS);
    let mut etcd = etcd(&lab);
    let [a, _b] = servers(&lab, &[etcd.url()], "require");
    let watch = lab.watch(VIP);
    etcd.stop();
    wait_until("a drops it", LONG, || lab.owners(VIP).is_empty());
    settle_leases();
    assert!(lab.owners(VIP).is_empty());
    let told = format!("{}: connection refused", etcd.url());
    wait_until("a tells of it", LONG, || complaints(&a).contains(&told));
    etcd.start();
    lab.wait_owner(VIP, &["a"]);
    settle(10);
    let timeline = watch.end();
    println!("etcd gone, and back: {timeline}");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
    let terms = terms(&a);
    let [Some(first), None, Some(second)] = &terms[..] else { panic!("{terms:?}") };
    assert!(second > first);
}

#[test]
fn without_the_etcd_the_master_has_it_again_after_the_grace_where_a_quorum_is_preferred() {
    let lab = Lab::new(&HOSTS);
    let mut etcd = etcd(&lab);
    let [a, _b] = servers(&lab, &[etcd.url()], "prefer");
    etcd.stop();
    wait_until("a drops it", LONG, || lab.owners(VIP).is_empty());
    lab.wait_owner(VIP, &["a"]);
    settle_leases();
    assert_eq!(lab.owners(VIP), ["a"]);
    let claim = a.router()["claim"].to_string();
    assert!(claim.contains("preferred, asked for; ") && claim.contains("connection refused"), "{claim}");
}

#[test]
fn a_handover_loses_no_time_and_the_claim_goes_along() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [a, b] = servers(&lab, &[etcd.url()], "require");
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    let (code, said) = a.cli(&["handover"]);
    assert_eq!(code, Some(0), "{said}");
    lab.wait_owner(VIP, &["b"]);
    settle(10);
    let timeline = watch.end();
    println!("handover: {}; {timeline}; {said}", probe.end());
    assert_eq!(lab.owners(VIP), ["b"]);
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
    let (of_a, of_b) = (terms(&a), terms(&b));
    let ([.., Some(first), None], [.., Some(second)]) = (&of_a[..], &of_b[..]) else {
        panic!("{of_a:?}, {of_b:?}")
    };
    assert!(second > first);
}

#[test]
fn a_master_that_ends_gives_it_back_and_one_that_is_frozen_loses_it_with_its_lease() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [a, mut b] = servers(&lab, &[etcd.url()], "require");
    let watch = lab.watch(VIP);
    a.process.signal(Signal::SIGSTOP);
    lab.wait_owner(VIP, &["b"]);
    settle(10);
    let frozen = watch.end();
    println!("A frozen: {frozen}");
    assert_eq!(frozen.time_with(2).as_nanos(), 0, "{frozen}");
    a.process.signal(Signal::SIGCONT);
    lab.wait_owner(VIP, &["a"]);
    let (code, said) = a.cli(&["handover"]);
    assert_eq!(code, Some(0), "{said}");
    lab.wait_owner(VIP, &["b"]);
    let (code, said) = a.cli(&["resume"]);
    assert_eq!(code, Some(0), "{said}");
    lab.wait_owner(VIP, &["a"]);
    b.stop();
    drop(a);
    let [a, _b] = servers(&lab, &[etcd.url()], "require");
    assert_eq!(a.state(), "MASTER");
}

#[test]
fn a_master_that_is_cut_off_and_then_frozen_loses_the_address_with_its_claim() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [a, _b] = servers(&lab, &[etcd.url()], "require");
    let watch = lab.watch(VIP);
    lab["a"].forward(false);
    // It has renewed the kernel's lease by itself, and its claim is not over yet.
    settle(18);
    assert_eq!(lab.owners(VIP), ["a"]);
    a.process.signal(Signal::SIGSTOP);
    lab.wait_owner(VIP, &["b"]);
    settle(20);
    let timeline = watch.end();
    println!("A cut off, then frozen: {timeline}");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

#[test]
fn a_member_that_dies_takes_nothing_along_where_the_others_are_endpoints_too() {
    let lab = Lab::new(&HOSTS);
    let mut members: Vec<_> = (0..3).map(|place| Member::new(&lab, place, 3)).collect();
    members.iter().for_each(Member::await_answer);
    let endpoints: Vec<_> = members.iter().map(Member::url).collect();
    // Longer than the others choose another leader for.
    let [a, _b] = servers_with(&lab, &endpoints, "require", "ttl = \"8s\"\n");
    // Where the frozen one was the leader, the next may have no answer either until there is another.
    let asked = || {
        let claim = a.router()["claim"].to_string();
        (1..3).find(|place| claim.contains(&format!("{} said yes", endpoints[*place])))
    };
    let watch = lab.watch(VIP);
    members[0].process().signal(Signal::SIGSTOP);
    wait_until("another endpoint is asked", LONG, || asked().is_some());
    settle(90);
    println!("one of three members frozen: {}", a.router()["claim"]);
    members[0].process().signal(Signal::SIGCONT);
    settle(20);
    let place = asked().expect("an endpoint that answers");
    members[place].stop();
    wait_until("yet another endpoint is asked", LONG, || {
        let claim = a.router()["claim"].to_string();
        claim.contains(&format!("{}: connection refused", endpoints[place]))
    });
    settle(90);
    let timeline = watch.end();
    println!("and back, and another dead: {timeline}; {}", a.router()["claim"]);
    assert_eq!(lab.owners(VIP), ["a"]);
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
}

#[test]
fn an_etcd_that_stalls_costs_the_address_and_its_late_answers_are_worth_nothing() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [a, _b] = servers(&lab, &[etcd.url()], "require");
    let watch = lab.watch(VIP);
    etcd.process().signal(Signal::SIGSTOP);
    wait_until("a drops it", LONG, || lab.owners(VIP).is_empty());
    assert!(complaints(&a).contains("no answer within 750 ms"), "{}", complaints(&a));
    settle_leases();
    assert!(lab.owners(VIP).is_empty());
    etcd.process().signal(Signal::SIGCONT);
    lab.wait_owner(VIP, &["a"]);
    settle(10);
    let timeline = watch.end();
    println!("etcd stalled: {timeline}");
    assert_eq!(timeline.time_with(2).as_nanos(), 0, "{timeline}");
}

#[test]
fn a_stall_shorter_than_the_claim_costs_nothing() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [a, _b] = servers_with(&lab, &[etcd.url()], "require", "ttl = \"8s\"\n");
    let watch = lab.watch(VIP);
    etcd.process().signal(Signal::SIGSTOP);
    settle(40);
    etcd.process().signal(Signal::SIGCONT);
    settle(40);
    let timeline = watch.end();
    println!("etcd stalled for 4 s of 8: {timeline}");
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
    assert!(!a.process.log().contains("was removed"), "{}", a.process.log());
    assert_eq!(terms(&a).len(), 1);
}

#[test]
fn a_program_in_the_place_of_another_goes_on_with_its_claim_and_term() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    let [mut a, b] = servers(&lab, &[etcd.url()], "require");
    let (watch, term) = (lab.watch(VIP), terms(&a));
    for _ in 0..2 {
        let (code, said) = a.cli(&["restart"]);
        assert_eq!((code, said.as_str()), (Some(0), "locum 0.1.0 runs\n"));
        // The next one has to renew it: what it was handed is over long before that.
        settle_leases();
    }
    let timeline = watch.end();
    println!("restarted in place: {timeline}");
    assert_eq!(timeline.time_with(1), timeline.whole(), "the address stays: {timeline}");
    // Each process says once in what term it is.
    assert!(terms(&a).into_iter().all(|each| Some(&each) == term.first()), "{:?}", terms(&a));
    assert_eq!(b.became_master(), 0);
    assert!(complaints(&a) == "[]", "{}", complaints(&a));
    // It can give back what it did not take itself.
    let said = std::time::Instant::now();
    assert!(a.stop().success());
    lab.wait_owner(VIP, &["b"]);
    println!("given back and taken after {:?}", said.elapsed());
    assert!(etcd.post("/v3/kv/range", &format!(r#"{{"key":"{WEB}"}}"#)).contains("kvs"));
}

#[test]
fn a_key_that_somebody_put_by_hand_is_told_of_and_one_that_was_deleted_is_taken_anew() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    etcd.post("/v3/kv/put", &format!(r#"{{"key":"{WEB}","value":"eA=="}}"#));
    let a = lab["a"].locum(&router(&[etcd.url()], "require", 150, ""));
    wait_until("a tells of it", LONG, || {
        complaints(&a).contains("/locum/web/holder is there without a lease, put by somebody else")
    });
    assert!(lab.owners(VIP).is_empty());
    let delete = format!(r#"{{"key":"{WEB}"}}"#);
    etcd.post("/v3/kv/deleterange", &delete);
    lab.wait_owner(VIP, &["a"]);
    etcd.post("/v3/kv/deleterange", &delete);
    wait_until("a has it in another term", LONG, || terms(&a).len() == 3);
    let terms = terms(&a);
    let [Some(first), None, Some(second)] = &terms[..] else { panic!("{terms:?}") };
    assert!(second > first);
    lab.wait_owner(VIP, &["a"]);
}

#[test]
fn a_user_with_a_password_is_let_in_and_one_with_another_is_told() {
    let lab = Lab::new(&HOSTS);
    let etcd = etcd(&lab);
    for (path, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"first"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", "{}"),
    ] {
        etcd.post(path, body);
    }
    let secrets = TempDir::new().unwrap();
    let asking = |password: &str| {
        let path = secrets.path().join(password);
        fs::write(&path, password).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let login = format!("user = \"root\"\npassword = \"file:{}\"\n", path.display());
        router(&[etcd.url()], "require", 150, &login)
    };
    let wrong = lab["a"].locum(&asking("second"));
    wait_until("it is told", LONG, || complaints(&wrong).contains("invalid user ID or password"));
    assert!(lab.owners(VIP).is_empty());
    drop(wrong);
    let _right = lab["a"].locum(&asking("first"));
    lab.wait_owner(VIP, &["a"]);
}
