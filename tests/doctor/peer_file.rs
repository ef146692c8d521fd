//! This host's file against another host's.

use crate::{assert_fine, assert_found, config, eth0, judged, secret};
use locum::config::Config;
use locum::doctor::Severity::{Doubt, Trouble};
use locum::doctor::{Report, peer_file};
use locum::explain::Peer;
use std::time::Duration;
use tempfile::NamedTempFile;

const CLOCK: Duration = Duration::from_secs(1_700_000_000);

fn both(own: &Config, peer: &Config) -> Report {
    let peer = Peer { name: "b.toml".to_owned(), rules: peer.agent.clone() };
    judged(|report| peer_file::judge(&own.agent, &[eth0()], &peer, CLOCK, report))
}

/// This host with these lines, and the other one, of a lower priority, with those.
fn differ(ours: &str, theirs: &str) -> Report {
    both(&config(&format!("priority = 150\n{ours}"), ""), &config(theirs, ""))
}

#[test]
fn two_files_that_differ_in_priority_alone_agree() {
    assert_fine(&differ("", ""), "peer-file");
    assert_fine(
        &differ("addresses = [\"fe80::5\", \"fd00::5\"]", "addresses = [\"fe80::5\", \"fd00::5\"]"),
        "peer-file",
    );
    let report = differ("peers = [\"10.0.0.2\"]", "peers = [\"10.0.0.1\"]\nsource = \"10.0.0.2\"");
    assert_fine(&report, "peer-file");
}

#[test]
fn what_makes_the_hosts_refuse_each_other_is_trouble() {
    for (ours, theirs, id) in [
        ("version = 2", "", "peer-file.version"),
        ("version = 2", "version = 2\ninterval = \"2s\"", "peer-file.interval-mismatch"),
    ] {
        assert_found(&differ(ours, theirs), Trouble, id, &["refuse each other's IPv4 adverts"]);
    }
    let report = differ("peers = [\"10.0.0.2\"]", "");
    let ids: Vec<_> = report.of(Trouble).map(|one| &*one.id).collect();
    assert_eq!(ids, ["peer-file.multicast-destination", "peer-file.unicast-destination"]);
    assert!(report.findings[1].mend.starts_with("on the host of b.toml: "), "{report:#?}");
}

#[test]
fn other_secrets_of_every_kind_are_trouble() {
    let (one, two) = (secret(&"a".repeat(32)), secret(&"b".repeat(32)));
    let (short, other) = (secret("c3cr3t42"), secret("c3cr3t43"));
    let at = |file: &NamedTempFile| format!("\"file:{}\"", file.path().display());
    let pass = |file| format!("version = 2\nauth = {{ pass = {} }}", at(file));
    let ah = |file| format!("version = 2\nauth = {{ ah = {} }}", at(file));
    let hmac = |file| format!("auth = {{ hmac = {{ keys = {{ 1 = {} }} }} }}", at(file));
    for (ours, same, theirs, id) in [
        (pass(&short), pass(&short), pass(&other), "peer-file.wrong-password"),
        (ah(&short), ah(&short), ah(&other), "peer-file.bad-digest"),
        (ah(&short), ah(&short), pass(&short), "peer-file.auth-type"),
        (hmac(&one), hmac(&one), hmac(&two), "peer-file.bad-signature"),
    ] {
        assert_fine(&differ(&ours, &same), "peer-file");
        assert_found(&differ(&ours, &theirs), Trouble, id, &[]);
    }
    let report = differ(&hmac(&one), "");
    assert!(report.of(Trouble).any(|one| one.id == "peer-file.unsigned"), "{report:#?}");
}

#[test]
fn peers_have_to_point_at_each_other() {
    let ours = "peers = [\"10.0.0.9\"]";
    let report = differ(ours, "peers = [\"10.0.0.1\"]\nsource = \"10.0.0.2\"");
    let ids: Vec<_> = report.of(Trouble).map(|one| &*one.id).collect();
    assert_eq!(ids, ["peer-file.peers", "peer-file.not-a-peer"], "{report:#?}");
    // The other file does not say from where it sends: taken for right, and said.
    let report = differ(ours, "peers = [\"10.0.0.1\"]");
    assert_fine(&report, "peer-file");
    assert!(report.unseen[0].why.contains("write source there"), "{report:#?}");
    // This host's own address is known.
    let report = differ("peers = [\"10.0.0.2\"]", "peers = [\"10.0.0.7\"]\nsource = \"10.0.0.2\"");
    let ids: Vec<_> = report.of(Trouble).map(|one| &*one.id).collect();
    assert_eq!(ids, ["peer-file.peers", "peer-file.not-a-peer"], "{report:#?}");
}

#[test]
fn the_same_priority_is_a_doubt_and_two_owners_are_trouble() {
    let same = both(&config("", ""), &config("", ""));
    assert_found(&same, Doubt, "peer-file.priority", &["priority 100 here and in b.toml"]);
    let owners = both(&config("priority = 255", ""), &config("priority = 255", ""));
    assert_found(&owners, Trouble, "peer-file.priority", &["neither gives way"]);
}

#[test]
fn other_addresses_and_prefixes_and_intervals_are_doubts() {
    let more = "addresses = [\"10.0.0.100/24\", \"10.0.0.101/24\"]";
    assert_found(&differ(more, ""), Doubt, "peer-file.addresses", &["10.0.0.101/24 is not there"]);
    let host = "addresses = [\"10.0.0.100\"]";
    assert_found(&differ(host, ""), Doubt, "peer-file.addresses", &["10.0.0.100/32"]);
    assert_found(&differ("interval = \"2s\"", ""), Doubt, "peer-file.other-interval", &["2s"]);
}

#[test]
fn another_vrid_for_the_same_address_is_trouble_and_a_missing_router_a_doubt() {
    let report = differ("vrid = 52", "");
    assert_found(&report, Trouble, "peer-file.vrid", &["VRID 52", "VRID 51", "10.0.0.100"]);
    let more = "[router.db]\ninterface = \"eth0\"\nvrid = 7\naddresses = [\"10.0.0.7\"]";
    let (own, peer) = (config("priority = 150", ""), config("", more));
    assert_found(&both(&own, &peer), Doubt, "peer-file.router", &["router db, VRID 7"]);
    let (own, peer) = (config("priority = 150", more), config("", ""));
    assert_found(&both(&own, &peer), Doubt, "peer-file.router", &["db, VRID 7, is not in b.toml"]);
}

#[test]
fn voters_have_to_know_each_other_and_share_a_key() {
    let (one, two) = (secret(&"a".repeat(32)), secret(&"b".repeat(32)));
    let file = |priority: u8, own: &str, other: &str, key: &NamedTempFile| {
        let claim = format!(
            "[claim]\nlisten = \"{own}\"\nkey = \"file:{}\"\nvoters = {{ b = \"{other}\", w = \"10.0.0.3\" }}\nwitness = \"w\"",
            key.path().display()
        );
        config(&format!("priority = {priority}"), &claim)
    };
    let own = file(150, "10.0.0.1", "10.0.0.2", &one);
    assert_fine(&both(&own, &file(100, "10.0.0.2", "10.0.0.1", &one)), "peer-file.claim");
    let stranger = both(&own, &file(100, "10.0.0.2", "10.0.0.9", &one));
    assert_found(&stranger, Trouble, "peer-file.claim", &["does not know the other"]);
    let key = both(&own, &file(100, "10.0.0.2", "10.0.0.1", &two));
    assert_found(&key, Trouble, "peer-file.claim", &["the key"]);
    let off = both(&own, &config("", ""));
    assert_found(&off, Trouble, "peer-file.quorum", &["another quorum"]);
}

#[test]
fn hosts_have_to_ask_the_same_etcd() {
    let file = |priority: u8, endpoint: &str| {
        let claim = format!("[claim]\nstore = \"etcd\"\nendpoints = [\"http://{endpoint}:2379\"]");
        config(&format!("priority = {priority}"), &claim)
    };
    let own = file(150, "10.0.0.5");
    assert_fine(&both(&own, &file(100, "10.0.0.5")), "peer-file.claim");
    assert_found(&both(&own, &file(100, "10.0.0.6")), Doubt, "peer-file.claim", &["etcd"]);
}
