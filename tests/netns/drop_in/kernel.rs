//! What the kernel has of the addresses of one file: the same under keepalived and under Locum in its place.

use super::node::{Daemon, Node};
use crate::lab::{Host, Lab, SOON, reached};
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
    "virtual_ipaddress_excluded {\n 10.77.0.101 use_vmac\n 10.77.0.102\n}",
    "virtual_ipaddress_excluded {\n 10.77.0.101/24 brd + \n 10.77.0.102/24 brd -\n 10.77.0.103 brd 10.77.0.255\n \
     10.77.0.104 peer 10.9.0.1\n 10.77.0.105/24 preferred_lft 5 home mngtmpaddr noprefixroute no_track\n \
     10.79.0.106/24 dev eth1 brd + scope link label eth1:web\n 2001:db8::1/64 home\n 2001:db8::2/64 mngtmpaddr noprefixroute\n \
     2001:db8::3\n 2001:db8::4 preferred_lft forever\n 2001:db8::5 preferred_lft 0\n \
     2001:db8::6/64 preferred_lft 0\n 2001:db8::7 peer 2001:db8:1::8\n fe80::5/64 -nodad\n}",
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
            let automatic = local.starts_with("fe80:") && local.len() > "fe80::ffff".len();
            if link["ifname"] != "lo" && !automatic && !BEFORE.contains(&&*local) {
                info.retain(|key, _| !ADDED.contains(&key.as_str()));
                // Without a network there is no route to it.
                if matches!(info["prefixlen"].as_u64(), Some(32 | 128)) {
                    info.remove("noprefixroute");
                }
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

/// What there is under one of them on a host of its own: keepalived leaves behind what has another end.
fn under(daemon: Daemon, lines: &str, whole: impl Fn(&BTreeSet<String>) -> bool) -> BTreeSet<String> {
    let lab = Lab::new(&["first"]);
    lab.second_network();
    let (host, dir) = (&lab["first"], TempDir::new().unwrap());
    fs::write(dir.path().join("conf"), text(lines)).unwrap();
    let mut node = Node::start(daemon, host, dir.path());
    node.wait_state(&["web"], "MASTER");
    lab.wait_owner("10.77.0.100", &["first"]);
    settle(5);
    reached(SOON, || whole(&addresses(host)));
    let found = addresses(host);
    node.stop();
    if daemon == Daemon::Locum {
        assert_eq!(addresses(host), BTreeSet::new(), "{lines}");
    }
    found
}

fn same(lines: &str) -> Result<(), String> {
    let theirs = under(Daemon::Keepalived, lines, |_| true);
    let ours = under(Daemon::Locum, lines, |ours| *ours == theirs);
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        these.difference(those).cloned().collect::<Vec<_>>().join("\n ")
    };
    let (left, right) = (only(&theirs, &ours), only(&ours, &theirs));
    if theirs == ours { Ok(()) } else { Err(format!("{lines}\n keepalived:\n {left}\n Locum:\n {right}")) }
}

#[test]
fn an_address_is_where_and_as_keepalived_puts_it() {
    let wrong: Vec<String> = LINES.iter().filter_map(|lines| same(lines).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
