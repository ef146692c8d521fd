//! Good files: what becomes of them.

use super::{config, read, router, said};
use locum::agent::config::{Interface, Router};
use locum::check::{Probe, Target};
use locum::config::{Cause, timelines, worst_case};
use locum::health::OnFail;
use locum::vrrp::{ChecksumPolicy, Family, Interval, Version};
use std::fmt::Write as _;
use std::time::Duration;

fn only(text: &str) -> Router {
    config(text).agent.routers.remove(0)
}

#[test]
fn a_short_router_has_the_defaults() {
    let web = only(&router(""));
    assert_eq!(web.name.to_string(), "web");
    assert_eq!(web.interface, Interface::Named("eth0".to_owned()));
    assert_eq!((web.vrid.get(), web.priority.get()), (51, 100));
    assert_eq!((web.version, web.interval, web.preempt), (Version::V3, Interval::SECOND, true));
    assert_eq!(web.vips[0].to_string(), "10.0.0.100/32");
    assert_eq!((web.peers.len(), web.sources.len(), web.min_ttl), (0, 0, None));
    assert_eq!((web.checksum, web.announce.count, web.barred), (ChecksumPolicy::Auto, 1, None));
}

#[test]
fn an_address_may_be_held_or_named_or_both_and_not_neither() {
    let text = |more: &str| {
        let plain = router("");
        plain.replace("\"10.0.0.100\"", &format!("\"10.0.0.100\", {{ address = \"10.0.0.101\", {more} }}"))
    };
    let adverts = |web: &Router| web.named_of(Family::Ipv4).map(|it| it.to_string()).collect::<Vec<_>>();
    let held = |web: &Router| web.holding(Family::Ipv4, "eth0".to_owned()).vips.len();
    let web = only(&text("hold = false"));
    assert_eq!((adverts(&web), held(&web)), (vec!["10.0.0.100".to_owned(), "10.0.0.101".to_owned()], 1));
    let web = only(&text("advertise = false"));
    assert_eq!((adverts(&web), held(&web)), (vec!["10.0.0.100".to_owned()], 2));
    let said = said(&text("hold = false, advertise = false"));
    assert!(said.contains("neither held nor advertised"), "{said}");
}

#[test]
fn every_key_of_a_router_arrives() {
    let web = only(
        r#"
        [router.web]
        interface = { subnet = "2001:db8::/64" }
        vrid = 255
        version = 3
        priority = 255
        interval = "40s 950ms"
        addresses = ["10.0.0.100/24", { address = "fe80::1", dev = "eth1" },
            { address = "10.1.0.5", dev = "eth1", label = "eth1:web", scope = "host" }]
        peers = ["10.0.0.2", "2001:db8::2"]
        source = ["10.0.0.1", "2001:db8::1"]
        min_ttl = 64
        checksum = "rfc9568"
        announce = { count = 3, again = ["1s"], refresh = "off" }
        drain_ports = [8765, 443]
        "#,
    );
    assert_eq!(web.interface, Interface::Subnet("2001:db8::".parse().unwrap(), 64));
    assert_eq!((web.vrid.get(), web.priority.get()), (255, 255));
    assert_eq!(web.interval.centiseconds(), 4095);
    let vips: Vec<_> = web.vips.iter().map(|vip| (vip.to_string(), vip.scope)).collect();
    let wanted = [("10.0.0.100/24", 0), ("fe80::1/128 on eth1", 253), ("10.1.0.5/32 on eth1", 254)];
    assert_eq!(vips, wanted.map(|(text, scope)| (text.to_owned(), scope)));
    assert_eq!(web.vips[2].label.as_deref(), Some("eth1:web"));
    assert_eq!((web.peers.len(), web.sources.len(), web.min_ttl), (2, 2, Some(64)));
    assert_eq!(web.checksum, ChecksumPolicy::Rfc9568);
    assert_eq!((&web.announce.again[..], web.announce.refresh), ([Duration::from_secs(1)].as_slice(), None));
    assert_eq!(web.announce.count, 3);
    assert_eq!(web.drain_ports, [443, 8765].into());
}

#[test]
fn routers_and_checks_keep_the_order_of_the_file() {
    let mut text = String::new();
    for (vrid, name) in ["zulu", "alpha", "mike"].iter().enumerate() {
        let (vrid, check) = (vrid + 1, format!("c-{name}"));
        let _ = writeln!(
            text,
            "[check.{check}]\ntype = 'ping'\nhost = '10.0.0.1'\n[router.{name}]\ninterface = 'eth0'\n\
             vrid = {vrid}\naddresses = ['10.0.0.{vrid}']\nchecks = ['{check}']"
        );
    }
    let config = config(&text);
    let routers: Vec<_> = config.agent.routers.iter().map(|router| router.name.to_string()).collect();
    let checks: Vec<_> = config.agent.checks.iter().map(|check| check.name.to_string()).collect();
    assert_eq!(routers, ["zulu", "alpha", "mike"]);
    assert_eq!(checks, ["c-zulu", "c-alpha", "c-mike"]);
}

#[test]
fn the_same_meaning_gives_an_equal_configuration() {
    let one = format!("{}[check.app]\ntype = 'tcp'\ntarget = '[::1]:80'\n", router("checks = ['app']"));
    let other = format!(
        "# a comment\n[check]\napp = {{ target='[::1]:80', type = \"tcp\" }}\n{}",
        router("checks = [\"app\"]")
    );
    assert_eq!(config(&one), config(&other));
    assert_eq!(read(&one), read(&one));
    assert_ne!(config(&one), config(&one.replace(":80", ":81")));
}

fn fingerprint(check: &str) -> u64 {
    let text = format!("{}[check.app]\n{check}\n", router("checks = ['app']"));
    config(&text).agent.checks[0].fingerprint
}

#[test]
fn a_changed_secret_of_a_check_changes_its_fingerprint_and_new_counting_does_not() {
    let http = "type = 'http'\nurl = 'http://h/?token=a'\nheaders = { Authorization = 'one' }";
    assert_eq!(fingerprint(http), fingerprint(&format!("{http}\nfall = 5\nrise = 3")));
    assert_ne!(fingerprint(http), fingerprint(&http.replace("one", "two")));
    assert_ne!(fingerprint(http), fingerprint(&http.replace("token=a", "token=b")));
    let script = "type = 'script'\ncommand = '/bin/true one'";
    assert_ne!(fingerprint(script), fingerprint(&script.replace("one", "two")));
}

#[test]
fn changed_hooks_change_the_routers_fingerprint() {
    let of = |hook: &str| only(&router(&format!("notify = {{ any = '{hook}' }}"))).fingerprint;
    assert_eq!(of("/bin/true a"), of("/bin/true a"));
    assert_ne!(of("/bin/true a"), of("/bin/true b"));
}

fn target(written: &str) -> Target {
    let text = format!("{}[check.app]\ntype = 'tcp'\ntarget = '{written}'\n", router("checks = ['app']"));
    match config(&text).details.checks.into_values().next().unwrap().probe {
        Probe::Tcp(tcp) => tcp.target,
        other => panic!("{other:?}"),
    }
}

#[test]
fn targets_are_addresses_or_names_with_a_port() {
    assert_eq!(target("10.0.0.1:80"), Target::new("10.0.0.1", 80));
    assert_eq!(target("[2001:db8::1]:443"), Target::new("2001:db8::1", 443));
    assert_eq!(target("db-1.example.com:65535"), Target::new("db-1.example.com", 65535));
}

fn http(url: &str) -> (Target, bool, String) {
    let text = format!("{}[check.app]\ntype = 'http'\nurl = '{url}'\n", router("checks = ['app']"));
    match config(&text).details.checks.into_values().next().unwrap().probe {
        Probe::Http(http) => (http.endpoint.target, http.endpoint.tls.is_some(), http.endpoint.path),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_url_gives_host_port_encryption_and_path() {
    assert_eq!(http("http://h"), (Target::new("h", 80), false, "/".to_owned()));
    assert_eq!(http("https://[::1]/a?b=c"), (Target::new("::1", 443), true, "/a?b=c".to_owned()));
    assert_eq!(http("https://h:8443/x#y"), (Target::new("h", 8443), true, "/x".to_owned()));
}

const TWO_CHECKS: &str = "
    [check.app]
    type = 'tcp'
    target = '10.0.0.1:80'
    interval = '1s'
    timeout = '500ms'
    fall = 2
    [check.db]
    type = 'tcp'
    target = '10.0.0.1:81'
    interval = '1s'
    timeout = '500ms'
    fall = 2
";

#[test]
fn the_worst_case_counts_what_notices_and_then_the_election() {
    let text = format!("{}{TWO_CHECKS}", router("checks = ['app', { check = 'db', weight = -60 }]"));
    let config = config(&text);
    let router = &config.agent.routers[0];
    assert_eq!(router.tracks[1].on_fail, OnFail::Weight(-60));
    let lines: Vec<_> = timelines(router, &config).iter().map(ToString::to_string).collect();
    // Skew of the lowest priority: 255/256 of 1 s. Detection: two rounds of 1 s and one attempt.
    let wanted = [
        "the host dies: 3.997s (3s until noticed, 997ms election)",
        "check app fails: 3.497s (2.5s until noticed, 997ms election)",
        "check db fails: 6.497s (2.5s until noticed, 3.997s election)",
    ];
    assert_eq!(lines, wanted);
    assert!(matches!(worst_case(router, &config).cause, Cause::Check(name) if name.to_string() == "db"));
}

#[test]
fn a_weight_that_can_move_nothing_is_no_cause_of_a_failover() {
    let lines = "preempt = false\nchecks = [{ check = 'db', weight = -60 }, 'app']";
    let config = config(&format!("{}{TWO_CHECKS}", router(lines)));
    let causes: Vec<_> =
        timelines(&config.agent.routers[0], &config).into_iter().map(|line| line.cause).collect();
    assert_eq!(causes.len(), 2, "{causes:?}");
}

/// Causes and totals of a router with `lines`, beside a link eth1 that is believed down after 20 s.
fn totals(lines: &str) -> Vec<String> {
    let link = "[check.up]\ntype = 'link'\ninterface = 'eth1'\n[link.eth1]\ndown_delay = '20s'\n";
    let config = config(&format!("{}{TWO_CHECKS}{link}", router(lines)));
    let lines = timelines(&config.agent.routers[0], &config).into_iter();
    lines.map(|line| format!("{} {}", line.cause, locum::config::show(line.total))).collect()
}

#[test]
fn the_worst_case_counts_what_the_router_waits_for() {
    assert_eq!(totals("down_adverts = 10"), ["the host dies 10.997s"]);
    let delayed = totals("preempt_delay = '5m'\nchecks = [{ check = 'db', weight = -60 }, 'app']");
    assert_eq!(delayed, ["the host dies 3.997s", "check db fails 302.5s", "check app fails 3.497s"]);
    assert_eq!(totals("checks = ['up']"), ["the host dies 3.997s", "check up fails 20.997s"]);
}

#[test]
fn a_weight_that_leaves_the_router_above_its_peer_is_no_cause_of_a_failover() {
    let weighing = |peer: u8| {
        totals(&format!(
            "priority = 150\npeer_priority = {peer}\nchecks = [{{ check = 'db', weight = -20 }}]"
        ))
    };
    assert_eq!(weighing(100), ["the host dies 3.997s"]);
    assert_eq!(weighing(140).len(), 2);
    // One that is a Backup while all is well is Master where the peer is down already.
    assert_eq!(weighing(160).len(), 2);
}

#[test]
fn what_is_static_needs_an_interface_and_moves_with_no_router() {
    let fixed = |text: &str| format!("{}\n[static]\n{text}", router(""));
    let held = config(&fixed(
        "interface = 'eth1'\naddresses = ['10.0.0.5/24', { address = '10.0.0.6', dev = 'eth0' }]",
    ));
    let shown: Vec<_> = held.agent.fixed.vips.iter().map(ToString::to_string).collect();
    assert_eq!((held.agent.fixed.interface.as_str(), shown.len()), ("eth1", 2));
    assert_eq!(shown, ["10.0.0.5/24", "10.0.0.6/32 on eth0"]);
    assert!(
        said(&fixed("addresses = ['10.0.0.5']")).contains("10.0.0.5 is static, and goes on no interface")
    );
    let twice = said(&fixed("interface = 'eth0'\naddresses = ['10.0.0.100']"));
    assert!(twice.contains("10.0.0.100 is static, and stands here twice"), "{twice}");
}

#[test]
fn an_interface_has_one_distance_between_announcements() {
    let pace = |text: &str| format!("{}\n{text}", router(""));
    let one = "[pace.one]\ninterfaces = ['eth0']\narp = '10ms'\n";
    let paces = config(&pace(&format!("{one}[pace.all]\nna = '5ms'"))).agent.paces;
    let shown: Vec<_> = paces.iter().map(|pace| (pace.interfaces.len(), pace.arp, pace.na)).collect();
    assert_eq!(
        shown,
        [(1, Duration::from_millis(10), Duration::ZERO), (0, Duration::ZERO, Duration::from_millis(5))]
    );
    let twice = said(&pace(&format!("{one}[pace.two]\ninterfaces = ['eth0']\nna = '1s'")));
    assert!(twice.contains("interface eth0 has its pauses already"), "{twice}");
    let alls = said(&pace("[pace.a]\narp = '1s'\n[pace.b]\narp = '2s'"));
    assert!(alls.contains("every other interface has its pauses already"), "{alls}");
}
