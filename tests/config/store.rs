//! `[claim]` with `store = "etcd"`: what is read, and what is said of what cannot be meant.

use super::{config, router, said, same};
use locum::agent::config::Claims;
use locum::claim::Ttl;
use locum::claim::quorum::Quorum;
use locum::config::{Problem, Problems, Secrets, load};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

fn claim(lines: &str) -> String {
    format!("[claim]\nstore = 'etcd'\n{lines}\n{}", router(""))
}

#[test]
fn endpoints_alone_are_enough_and_routers_need_a_claim_then() {
    let config = config(&claim("endpoints = ['http://10.0.0.5', 'http://[2001:db8::5]:2380/']"));
    let Some(Claims::Store(store)) = &config.agent.claims else { panic!("{:?}", config.agent.claims) };
    assert_eq!(store.endpoints, ["http://10.0.0.5:2379".into(), "http://[2001:db8::5]:2380".into()]);
    assert_eq!(Some(store.ttl), Ttl::from_millis(5000));
    let settings = config.details.store.unwrap();
    assert_eq!((settings.prefix.as_str(), settings.login), ("/locum/", None));
    assert_eq!(settings.endpoints[1].address.to_string(), "[2001:db8::5]:2380");
    assert_eq!(config.agent.routers[0].quorum, Quorum::Require);
}

#[test]
fn a_claim_lasts_for_three_intervals_at_least_and_the_prefix_ends_with_a_slash() {
    let lines = "endpoints = ['http://10.0.0.5']\nttl = '2s'\nprefix = '/ha'";
    let text = claim(lines).replace("vrid = 51", "vrid = 51\ninterval = '1.5s'");
    let config = config(&text);
    let interval = config.agent.routers[0].interval.duration();
    assert_eq!(config.agent.claims.map(|claims| claims.ttl(interval)), Ttl::from_millis(5000));
    assert_eq!(config.details.store.unwrap().prefix, "/ha/");
}

#[test]
fn a_dead_servers_claim_counts_where_a_failover_is_promised_in_time() {
    let lines = "endpoints = ['http://10.0.0.5']";
    let promised = |limit: &str| {
        let text = claim(lines).replace("vrid = 51", &format!("vrid = 51\nmax_failover = '{limit}'"));
        super::read(&text).err().map(|problems| problems.to_string())
    };
    let refused = promised("5s").unwrap_or_default();
    assert!(refused.contains("the host dies: 7.497s (5s until noticed, 2.497s election)"), "{refused}");
    assert_eq!(promised("8s"), None);
}

#[test]
fn a_password_is_read_and_one_that_cannot_be_bars_the_routers() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("locum.toml");
    let lines = "endpoints = ['http://10.0.0.5']\nuser = 'locum'\npassword = 'file:etcd.pass'";
    fs::write(&path, claim(lines)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let Problems(problems) = load(&path, Secrets::MustRead).unwrap_err();
    assert!(problems[0].message.starts_with("cannot read the password: "), "{}", problems[0]);
    let barred = load(&path, Secrets::BarRouter).unwrap().config;
    assert!(barred.agent.routers[0].barred.is_some() && barred.agent.claims.is_none());
    let secret = place.path().join("etcd.pass");
    fs::write(&secret, "a hush that is longer than eight bytes\n").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let config = load(&path, Secrets::MustRead).unwrap().config;
    assert!(!format!("{config:?}").contains("hush"));
    let login = config.details.store.unwrap().login.unwrap();
    assert_eq!(login.user, "locum");
    assert_eq!(login.password.expose(), b"a hush that is longer than eight bytes");
}

#[test]
fn each_mistake_is_told_in_its_place_with_its_mend() {
    for (lines, place, message, mend) in [
        ("", 1, "[claim] has no `endpoints`", "add: endpoints = ["),
        ("endpoints = []", 1, "[claim] has no `endpoints`", "add: endpoints = ["),
        ("endpoints = ['https://10.0.0.5']", 3, "Locum speaks no TLS to an etcd", "write http:// and"),
        (
            "endpoints = ['10.0.0.5:2379']",
            3,
            "\"10.0.0.5:2379\" is no endpoint of an etcd",
            "write \"http://",
        ),
        ("endpoints = ['http://etcd.example:2379']", 3, "is no endpoint of an etcd", "an address, no name"),
        ("endpoints = ['http://0.0.0.0:2379']", 3, "is no endpoint of an etcd", "write \"http://"),
        (
            "endpoints = ['http://10.0.0.5', 'http://10.0.0.5:2379']",
            3,
            "http://10.0.0.5:2379 is there twice",
            "name each endpoint once",
        ),
        ("endpoints = ['http://10.0.0.5']\nttl = '1s'", 4, "wanted whole seconds from 2s to 60s", ""),
        ("endpoints = ['http://10.0.0.5']\nttl = '2500ms'", 4, "`ttl` is 2.5s, wanted whole seconds", ""),
        ("endpoints = ['http://10.0.0.5']\nuser = 'x'", 4, "a user needs a password", "write both"),
        (
            "endpoints = ['http://10.0.0.5']\nuser = 'x'\npassword = 'hush'",
            5,
            "a password does not stand in the configuration",
            "write it into a file",
        ),
        (
            "endpoints = ['http://10.0.0.5']\nwitness = 'w'",
            4,
            "`witness` is for voters, and with store = \"etcd\" nobody votes",
            "remove the line",
        ),
        ("endpionts = ['http://10.0.0.5']", 3, "unknown key `endpionts`", "did you mean `endpoints`?"),
    ] {
        let Err(Problems(problems)) = super::read(&claim(lines)) else { panic!("{lines} is good") };
        let told = |problem: &Problem| {
            let help = problem.help.as_deref().unwrap_or_default();
            problem.line == place && problem.message.contains(message) && help.contains(mend)
        };
        assert!(problems.iter().any(told), "{lines}: {}", Problems(problems));
    }
}

#[test]
fn what_is_for_an_etcd_is_told_where_voters_vote_and_another_store_is_none() {
    let (_key, section) = super::claim();
    same(
        &said(&format!("{section}endpoints = ['http://10.0.0.5']\n{}", router(""))),
        "
error: `endpoints` is for an etcd, and here voters vote
 --> locum.toml:6:13
  |
6 | endpoints = ['http://10.0.0.5']
  |             ^^^^^^^^^^^^^^^^^^^
  |
  = help: add: store = \"etcd\"",
    );
    let other = said(&format!("[claim]\nstore = 'etdc'\n{}", router("")));
    assert!(other.contains("did you mean \"etcd\"?"), "{other}");
}
