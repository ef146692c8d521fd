//! What the kernel has of the addresses of one file: the same under keepalived and under Locum in its place.

use super::node::{Daemon, Node};
use crate::lab::{Host, LONG, Lab, reached};
use crate::locum::settle;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use tempfile::TempDir;

/// Lines of an instance, which holds 10.77.0.100 besides.
const LINES: &[&str] = &[
    "use_vmac web51",
    "use_vmac web51 02:00:00:00:51:01",
    "use_vmac 02:00:00:00:51",
    "use_vmac web51 db51",
    "use_vmac web51 01:00:5e:00:00:01",
];

/// What the host was given before, and what the kernel or iproute2 adds.
const BEFORE: [&str; 3] = ["10.77.0.1", "10.78.0.1", "fd77::1"];
const ADDED: [&str; 6] =
    ["valid_life_time", "preferred_life_time", "dynamic", "protocol", "secondary", "tentative"];

/// Every virtual address with its interface, one a line.
fn addresses(host: &Host) -> BTreeSet<String> {
    let links: Value = serde_json::from_str(&host.run("ip -j -d address show")).unwrap();
    let mut found = BTreeSet::new();
    for link in links.as_array().unwrap() {
        let mut name = link["ifname"].as_str().unwrap_or_default().to_owned();
        if link["linkinfo"]["info_kind"] == "macvlan" {
            name = format!("{name} on {} with {}", link["link"], link["address"]);
        }
        for info in link["addr_info"].as_array().into_iter().flatten() {
            let mut info = info.as_object().unwrap().clone();
            let local = info["local"].as_str().unwrap().to_owned();
            let own = link["ifname"] == "lo" || BEFORE.contains(&&*local);
            if !own && !(local.starts_with("fe80:") && local.len() > "fe80::ffff".len()) {
                info.retain(|key, _| !ADDED.contains(&key.as_str()));
                found.insert(format!("{name}: {}", Value::from(info)));
            }
        }
    }
    found
}

fn text(lines: &str) -> String {
    format!(
        "vrrp_instance web {{\n interface eth0\n virtual_router_id 51\n priority 150\n \
         virtual_ipaddress {{\n 10.77.0.100/24\n }}\n {lines}\n}}\n"
    )
}

fn same(lines: &str) -> Result<(), String> {
    let lab = Lab::new(&["first"]);
    lab.second_network();
    let (host, dir) = (&lab["first"], TempDir::new().unwrap());
    fs::write(dir.path().join("conf"), text(lines)).unwrap();
    let run = |daemon| {
        let node = Node::start(daemon, host, dir.path());
        node.wait_state(&["web"], "MASTER");
        lab.wait_owner("10.77.0.100", &["first"]);
        node
    };
    let mut keepalived = run(Daemon::Keepalived);
    settle(5);
    let theirs = addresses(host);
    keepalived.stop();
    assert_eq!(addresses(host), BTreeSet::new(), "{lines}");
    let mut locum = run(Daemon::Locum);
    if !reached(LONG, || addresses(host) == theirs) {
        let ours = addresses(host);
        let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
            these.difference(those).cloned().collect::<Vec<_>>().join("\n ")
        };
        return Err(format!(
            "{lines}\n keepalived:\n {}\n Locum:\n {}",
            only(&theirs, &ours),
            only(&ours, &theirs)
        ));
    }
    locum.stop();
    assert_eq!(addresses(host), BTreeSet::new(), "{lines}");
    Ok(())
}

#[test]
fn an_address_is_where_and_as_keepalived_puts_it() {
    let wrong: Vec<String> = LINES.iter().filter_map(|lines| same(lines).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
