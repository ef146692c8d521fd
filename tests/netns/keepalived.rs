//! With the real keepalived on the other host: elections in both directions, in every dialect.

use crate::lab::{LONG, Lab, VIP, VIP6, wait_until};
use crate::locum::{Router, settle};
use crate::neighbour::Instance;
use crate::rivals::recorded;

/// Locum is stronger, then keepalived is: each takes over from the other by preempting, by hearing
/// its farewell, and by silence.
fn both_ways(name: &str, vip: &str, router: impl Fn(u8) -> Router, instance: impl Fn(u8) -> Instance) {
    let lab = Lab::new(&["a", "b", "client"]);
    let (probe, began) = (lab["client"].probe(vip), std::time::Instant::now());

    let weak = lab["b"].keepalived(&instance(100));
    lab.wait_owner(vip, &["b"]);
    let watch = lab.watch(vip);
    let mut strong = lab["a"].locum(&router(150));
    lab.wait_owner(vip, &["a"]);
    wait_until("keepalived is Backup", LONG, || weak.is("BACKUP"));
    settle(2);
    assert!(lab["client"].pings(vip));
    strong.stop();
    lab.wait_owner(vip, &["b"]);
    assert!(weak.is("MASTER"));
    strong.restart();
    lab.wait_owner(vip, &["a"]);
    strong.kill9();
    // Whether the other still has it then depends on its lease, which counts in whole seconds.
    wait_until("keepalived takes it", LONG, || lab.owners(vip).contains(&"b"));
    drop(weak);
    println!("{name}, locum stronger: {}", watch.end());

    let watch = lab.watch(vip);
    strong.write(&router(100).toml());
    strong.restart();
    lab.wait_owner(vip, &["a"]);
    let mut keepalived = lab["b"].keepalived(&instance(150));
    lab.wait_owner(vip, &["b"]);
    strong.wait_state("BACKUP");
    settle(2);
    keepalived.stop();
    lab.wait_owner(vip, &["a"]);
    assert!(strong.why().contains("said farewell"), "{}", strong.why());
    let mut keepalived = lab["b"].keepalived(&instance(150));
    lab.wait_owner(vip, &["b"]);
    strong.wait_state("BACKUP");
    assert_eq!(recorded(&strong), [0; 0], "whoever takes over in order is no second holder");
    keepalived.kill9();
    lab.wait_owner(vip, &["a", "b"]);
    assert_eq!(strong.why(), "no Master heard for the down interval");
    wait_until("what the dead keepalived left is told of", LONG, || recorded(&strong).len() == 1);
    println!("{name}, keepalived stronger: {}", watch.end());
    println!("{name}: {} in {:?}", probe.end(), began.elapsed());
    // Behind authentication headers all share one count: of two adverts that cross on the wire, the one
    // with the smaller number comes too late. Nothing else is refused, and nothing without headers.
    let late = if name.contains("AH") { strong.refused("replay").min(2) } else { 0 };
    assert_eq!(strong.refused_at_all(), late, "{}", strong.router()["instances"][0]["refused"]);
}

fn version_2(priority: u8) -> Router {
    Router::new(priority).with("version", "2").with("interval", r#""1s""#)
}

fn keepalived_2(priority: u8) -> Instance {
    Instance { version: 2, interval: "1", ..Instance::new(priority) }
}

/// Locum is on `a`, keepalived on `b`.
fn unicast() -> (&'static str, &'static str) {
    (r#"["10.77.0.2"]"#, "unicast_src_ip 10.77.0.2\nunicast_peer {\n 10.77.0.1\n}")
}

#[test]
fn version_3_over_ipv4() {
    both_ways("v3", VIP, Router::new, Instance::new);
}

#[test]
fn version_3_over_ipv6() {
    let router = |priority| Router::new(priority).with("addresses", &format!(r#"["{VIP6}"]"#));
    both_ways("v3 IPv6", VIP6, router, |priority| Instance { vip: VIP6, ..Instance::new(priority) });
}

#[test]
fn version_3_unicast() {
    let (peers, more) = unicast();
    let router = |priority| Router::new(priority).with("peers", peers);
    both_ways("v3 unicast", VIP, router, |priority| Instance::new(priority).with(more));
}

#[test]
fn version_3_unicast_over_ipv6() {
    let router = |priority| {
        let own = Router::new(priority).with("addresses", &format!(r#"["{VIP6}"]"#));
        own.with("peers", r#"["fd77::2"]"#)
    };
    let more = "unicast_src_ip fd77::2\nunicast_peer {\n fd77::1\n}";
    let instance = |priority| Instance { vip: VIP6, ..Instance::new(priority) }.with(more);
    both_ways("v3 IPv6 unicast", VIP6, router, instance);
}

#[test]
fn version_2_multicast() {
    both_ways("v2", VIP, version_2, keepalived_2);
}

#[test]
fn version_2_with_a_password() {
    let secret = Secret::new("tops3cre");
    let router = |priority| version_2(priority).with("auth", &secret.auth());
    let pass = "authentication {\n auth_type PASS\n auth_pass tops3cre\n}";
    both_ways("v2 PASS", VIP, router, |priority| keepalived_2(priority).with(pass));
}

fn headed(priority: u8, secret: &Secret) -> Router {
    version_2(priority).with("auth", &format!("{{ ah = \"file:{}\" }}", secret.file.path().display()))
}

const AH: &str = "authentication {\n auth_type AH\n auth_pass tops3cre\n}";

#[test]
fn version_2_with_an_authentication_header() {
    let secret = Secret::new("tops3cre");
    let router = |priority| headed(priority, &secret);
    both_ways("v2 AH", VIP, router, |priority| keepalived_2(priority).with(AH));
}

#[test]
fn version_2_unicast_with_an_authentication_header() {
    let secret = Secret::new("tops3cre");
    let (peers, more) = unicast();
    let router = |priority| headed(priority, &secret).with("peers", peers);
    both_ways("v2 AH unicast", VIP, router, |priority| keepalived_2(priority).with(more).with(AH));
}

#[test]
fn a_wrong_secret_behind_a_header_is_refused_and_counted() {
    let lab = Lab::new(&["a", "b"]);
    let secret = Secret::new("another1");
    let _b = lab["b"].keepalived(&keepalived_2(200).with(AH));
    lab.wait_owner(VIP, &["b"]);
    let a = lab["a"].locum(&headed(100, &secret));
    wait_until("a refuses b", LONG, || a.refused("bad-digest") >= 2);
    assert_eq!(a.router()["instances"][0]["heard"], 0);
    let text = a.cli(&["status"]).1;
    assert!(!text.contains("tops3cre") && !text.contains("another1"), "{text}");
}

#[test]
fn version_2_unicast() {
    let (peers, more) = unicast();
    let router = |priority| version_2(priority).with("peers", peers);
    both_ways("v2 unicast", VIP, router, |priority| keepalived_2(priority).with(more));
}

/// A file with a password.
struct Secret {
    file: tempfile::NamedTempFile,
}

impl Secret {
    fn new(password: &str) -> Secret {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), password).unwrap();
        Secret { file }
    }

    fn auth(&self) -> String {
        format!("{{ pass = \"file:{}\" }}", self.file.path().display())
    }
}

#[test]
fn a_wrong_password_is_refused_and_counted() {
    let lab = Lab::new(&["a", "b"]);
    let secret = Secret::new("another");
    let pass = "authentication {\n auth_type PASS\n auth_pass tops3cre\n}";
    let _b = lab["b"].keepalived(&keepalived_2(200).with(pass));
    lab.wait_owner(VIP, &["b"]);
    let a = lab["a"].locum(&version_2(100).with("auth", &secret.auth()));
    wait_until("a refuses b", LONG, || a.refused("wrong-password") >= 2);
    assert_eq!(a.router()["instances"][0]["heard"], 0);
    let text = a.cli(&["status"]).1;
    assert!(text.contains("wrong-password"), "{text}");
    assert!(text.contains("DEGRADED") && text.contains("are refused: the password differs"), "{text}");
    assert!(!text.contains("tops3cre") && !text.contains("another"), "{text}");
    assert!(!a.process.log().contains("tops3cre"), "a password must not be logged");
}

#[test]
fn who_may_not_preempt_waits_for_the_master_to_leave() {
    let lab = Lab::new(&["a", "b"]);
    let mut a = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let mut b = lab["b"].keepalived(&Instance::new(200).with("state BACKUP\nnopreempt"));
    settle(8);
    assert_eq!(lab.owners(VIP), ["a"]);
    a.stop();
    lab.wait_owner(VIP, &["b"]);

    a.write(&Router::new(250).with("preempt", "false").toml());
    a.restart();
    settle(8);
    assert_eq!(lab.owners(VIP), ["b"]);
    assert_eq!(a.state(), "BACKUP");
    b.stop();
    lab.wait_owner(VIP, &["a"]);
}

#[test]
fn of_equal_priorities_the_higher_address_wins_whoever_has_it() {
    let lab = Lab::new(&["a", "b"]);
    for locum_on in ["a", "b"] {
        let keepalived_on = if locum_on == "a" { "b" } else { "a" };
        let locum = lab[locum_on].locum(&Router::new(100));
        lab.wait_owner(VIP, &[locum_on]);
        lab["a"].forward(false);
        let keepalived = lab[keepalived_on].keepalived(&Instance::new(100));
        lab.wait_owner(VIP, &["a", "b"]);
        lab["a"].forward(true);
        lab.wait_owner(VIP, &["b"]);
        settle(5);
        assert_eq!(lab.owners(VIP), ["b"], "locum on {locum_on}");
        // A crash leaves its address behind; the next round starts with a clean host.
        drop((locum, keepalived));
        wait_until("keepalived has left", LONG, || {
            lab.owners(VIP) == [locum_on] || lab.owners(VIP).is_empty()
        });
        let _ = lab[locum_on].attempt(&format!("ip address del {VIP}/32 dev eth0"));
    }
}
