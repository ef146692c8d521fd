//! Every file in `examples/` is good, as it is shipped.

use locum::agent::Agent;
use locum::config::{Config, Loaded, Secrets, load, worst_case};
use locum::time::Time;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Every example by its name, those of a pair of hosts with their folder before it, loaded beside its secrets,
/// which are given the mode they need.
fn examples() -> BTreeMap<String, Loaded> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let place = tempfile::tempdir().unwrap();
    let (mut names, mut folders) = (Vec::new(), vec![shipped.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let from = entry.unwrap().path();
            let name = from.strip_prefix(&shipped).unwrap().to_str().unwrap().to_owned();
            let to = place.path().join(&name);
            if from.is_dir() {
                fs::create_dir(to).unwrap();
                folders.push(from);
                continue;
            }
            fs::copy(&from, &to).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
            names.extend(name.strip_suffix(".toml").map(str::to_owned));
        }
    }
    let loaded = |name: &String| {
        let path = place.path().join(format!("{name}.toml"));
        load(&path, Secrets::MustRead).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    };
    names.iter().map(|name| (name.clone(), loaded(name))).collect()
}

fn example(name: &str) -> Config {
    examples().remove(name).unwrap_or_else(|| panic!("no example {name}")).config
}

#[test]
fn every_example_loads_and_begins_with_a_comment() {
    let all = examples();
    assert!(all.len() >= 15, "{:?}", all.keys());
    for name in all.keys() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.toml"));
        assert!(fs::read_to_string(path).unwrap().starts_with("# "), "{name}");
    }
}

#[test]
fn the_rules_that_an_agent_can_tell_are_those_that_it_was_given() {
    for (name, loaded) in examples() {
        let rules = loaded.config.agent;
        assert_eq!(Agent::new(&rules, Time::ZERO).0.config(), rules, "{name}");
    }
}

#[test]
fn no_example_is_warned_about_but_the_one_with_a_password_in_the_clear() {
    for (name, loaded) in examples() {
        let warnings: Vec<_> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
        match name.as_str() {
            "v2-password" => assert_eq!(warnings, ["every host on the network can read this password"]),
            _ => assert_eq!(warnings, [""; 0], "{name}"),
        }
    }
}

#[test]
fn every_kind_of_check_has_an_example() {
    for kind in ["tcp", "http", "websocket", "script", "process", "file", "ping", "dns", "bfd"] {
        let config = example(&format!("check-{kind}"));
        let probe = format!("{:?}", config.details.checks.values().next().unwrap().probe).to_lowercase();
        assert!(probe.starts_with(kind), "{kind}: {probe}");
    }
}

#[test]
fn the_file_with_every_key_says_the_defaults() {
    let written = example("all-keys");
    let short = super::config(
        "[agent]\nnode = 'a'\n[router.web]\ninterface = 'eth0'\nvrid = 51\naddresses = ['10.0.0.100']\n\
         checks = ['app']\n[check.app]\ntype = 'tcp'\ntarget = '127.0.0.1:8080'\n",
    );
    let mut router = written.agent.routers[0].clone();
    // What that file must say without its being the default.
    router.peers.clear();
    router.sources.clear();
    router.min_ttl = None;
    router.fingerprint = short.agent.routers[0].fingerprint;
    assert_eq!(router, short.agent.routers[0]);
    let counted = |config: &Config| {
        let check = config.agent.checks[0].clone();
        (check.rise, check.fall, check.initial, check.inverse)
    };
    assert_eq!(counted(&written), counted(&short));
    assert_eq!(written.details.checks, short.details.checks);
    assert_eq!(written.details.control.path, short.details.control.path);
    let recorded = |config: &Config| config.details.journal.settings(&config.details.control.path);
    assert_eq!(recorded(&written), recorded(&short));
    let hooks = written.details.hooks.values().next().unwrap();
    assert_eq!(hooks.any.as_ref().unwrap().timeout, Duration::from_secs(30));
}

#[test]
fn the_promises_in_the_comments_hold() {
    let within = |name: &str, limit| {
        let config = example(name);
        let worst = worst_case(&config.agent.routers[0], &config);
        assert!(worst.total <= limit, "{name}: {worst}");
    };
    within("minimal", Duration::from_secs(4));
    within("fast-failover", Duration::from_millis(500));
    for host in ["primary", "backup"] {
        within(&format!("game-server/{host}"), Duration::from_secs(30));
    }
}
