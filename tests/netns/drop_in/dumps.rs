//! The dumps of both daemons in the same state, side by side: read by what public exporters read, and
//! compared key by key.

use super::node::{Daemon, Node};
use super::readers;
use crate::lab::{LONG, Lab, wait_until};
use nix::libc::{SIGRTMIN, SIGUSR1, SIGUSR2};
use serde_json::{Map, Value};
use std::fs;
use std::thread;
use tempfile::TempDir;

const CONF: &str = "global_defs {\n enable_script_security\n script_user root\n vrrp_version 2\n}\n\
    vrrp_script c {\n script \"/usr/bin/true now\"\n interval 1\n weight -60\n}\n\
    vrrp_instance web {\n state BACKUP\n interface eth0\n use_vmac\n virtual_router_id 51\n priority 150\n \
    advert_int 1\n preempt_delay 7\n garp_master_refresh 60\n \
    authentication {\n auth_type PASS\n auth_pass geheim\n }\n \
    virtual_ipaddress {\n 10.77.0.100/24 dev eth0 label eth0:v\n }\n \
    virtual_ipaddress_excluded {\n 10.77.0.101\n }\n \
    virtual_routes {\n 10.99.0.0/24 dev eth0\n }\n virtual_rules {\n from 10.99.0.0/24 lookup 99\n }\n \
    track_interface {\n lo\n }\n track_script {\n c\n }\n \
    notify /usr/bin/true\n notify_master \"/usr/bin/true up\"\n}\n\
    vrrp_instance db {\n state BACKUP\n strict_mode\n skip_check_adv_addr\n nopreempt\n interface eth0\n virtual_router_id 52\n priority 100\n \
    version 3\n advert_int 0.5\n virtual_ipaddress {\n 10.77.0.102\n }\n track_interface {\n eth0 weight 5\n }\n}\n";

/// What the signals leave behind.
struct Dumps {
    json: String,
    data: String,
    stats: String,
}

fn dumps(daemon: Daemon) -> Dumps {
    let lab = Lab::new(&["first"]);
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("conf"), CONF).unwrap();
    let node = Node::start(daemon, &lab["first"], dir.path());
    node.wait_state(&["web", "db"], "MASTER");
    let ask = |signal: i32, name: &str| {
        node.signal(signal);
        let path = node.dir.join(format!("keepalived.{name}"));
        // keepalived 2.2.7 writes it in place: it is whole when its end is.
        let ends = |text: &str| text.ends_with('\n') || text.ends_with(']');
        let read = || fs::read_to_string(&path).unwrap_or_default();
        let mut last = String::new();
        wait_until(&format!("{daemon:?} has written {name}"), LONG, || {
            let text = read();
            let same = text == std::mem::replace(&mut last, text.clone());
            same && ends(&text)
        });
        last
    };
    Dumps { json: ask(SIGRTMIN() + 2, "json"), data: ask(SIGUSR1, "data"), stats: ask(SIGUSR2, "stats") }
}

fn both() -> [Dumps; 2] {
    thread::scope(|scope| {
        [Daemon::Locum, Daemon::Keepalived]
            .map(|daemon| scope.spawn(move || dumps(daemon)))
            .map(|run| run.join().unwrap())
    })
}

/// Fields of the JSON dump that differ on purpose, and why.
const OTHERWISE: [(&str, &str); 4] = [
    ("last_transition", "two daemons"),
    ("auth_data", "a password is not shown; 2.4 masks it as well"),
    ("vroutes", "as ip route has it"),
    ("vrules", "as ip rule has it"),
];

fn fields(entry: &Value, part: &str) -> Map<String, Value> {
    entry[part].as_object().unwrap().clone()
}

fn compare_json(ours: &str, theirs: &str) {
    for text in [ours, theirs] {
        let entries = readers::json(text);
        assert_eq!(entries.iter().map(|entry| entry.data.iname.as_str()).collect::<Vec<_>>(), ["web", "db"]);
        let web = &entries[0].data;
        assert_eq!((web.state, web.wantstate, web.vrid, web.garp_delay), (2, 2, 51, 5));
        assert_eq!(web.ifp_ifname, "vrrp.51");
        assert!(web.last_transition > 1e9, "{text}");
    }
    let [ours, theirs] = [ours, theirs].map(|text| serde_json::from_str::<Vec<Value>>(text).unwrap());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let (mut data, mut wanted) = (fields(ours, "data"), fields(theirs, "data"));
        assert!(data.keys().eq(wanted.keys()), "{data:?}\n{wanted:?}");
        for (key, _) in OTHERWISE {
            let kind = |value: Option<Value>| value.map(|value| std::mem::discriminant(&value));
            assert_eq!(kind(data.remove(key)), kind(wanted.remove(key)), "{key}");
        }
        assert_eq!(data, wanted);
        // Those of 2.4 are more.
        let counted = fields(ours, "stats");
        for (key, value) in fields(theirs, "stats") {
            assert!(key == "advert_sent" || counted[&key] == value, "{key}");
        }
    }
}

/// By the first reader's rules the whole, by the second's what stands before the first list.
fn compare_data(ours: &str, theirs: &str) {
    let (all, wanted) = (readers::data(ours), readers::data(theirs));
    assert!(all.keys().eq(wanted.keys()));
    for (name, (properties, vips)) in &all {
        let (theirs, wanted) = &wanted[name];
        assert_eq!(vips, wanted, "{name}");
        for (key, value) in properties {
            // The first is the time; the last is a Backup's with keepalived.
            let other = ["Last transition", "Master priority"];
            assert!(
                other.contains(&key.as_str()) || theirs.get(key) == Some(value),
                "{name}: {key}: {value}"
            );
        }
    }
    let [ours_strictly, theirs_strictly] = [ours, theirs].map(readers::data_strictly);
    for (ours, theirs) in ours_strictly.iter().zip(&theirs_strictly) {
        for key in ["name", "State", "Wantstate", "Interface", "Gratuitous ARP delay", "Virtual Router ID"] {
            // keepalived 2.2.7 has a line without a value before some of them.
            assert!(theirs.get(key).is_none_or(|wanted| ours[key] == *wanted), "{key}");
        }
    }
    let good = [("c".to_owned(), "GOOD".to_owned(), "idle".to_owned())];
    assert_eq!(readers::scripts(ours), good);
    assert_eq!(readers::scripts(theirs)[0].1, "GOOD");
}

fn compare_stats(ours: &str, theirs: &str) {
    let [mut ours, mut theirs] = [ours, theirs].map(readers::stats);
    for counters in ours.values_mut().chain(theirs.values_mut()) {
        assert!(counters.remove("Advertisements/Sent").unwrap() > 0);
    }
    assert_eq!(ours, theirs);
}

#[test]
fn both_daemons_dump_the_same_of_the_same_state_and_exporters_read_both() {
    let [ours, theirs] = both();
    compare_json(&ours.json, &theirs.json);
    compare_data(&ours.data, &theirs.data);
    compare_stats(&ours.stats, &theirs.stats);
}
