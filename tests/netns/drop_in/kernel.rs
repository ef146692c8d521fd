//! What the kernel has of the addresses, routes and rules of one file: the same under keepalived and under Locum in
//! its place.

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

/// Routes and rules that stand anywhere.
const ROUTES: &str = "10.50.0.0/24 via 10.77.0.2 dev eth0 realms 1/2
    10.50.1.0/24 via 10.77.0.2 dev eth0 realms cosmos/5 metric 3
    10.50.2.0/24 via 10.77.0.2 dev eth0 congctl reno
    10.50.3.0/24 via 10.77.0.2 dev eth0 congctl lock reno features ecn
    10.50.4.0/24 via 10.77.0.2 dev eth0 protocol 18 mtu lock 1400
    10.50.5.0/24 via 10.77.0.2 dev eth0 protocol keepalived rto_min 5s initcwnd 20 table 70
    10.50.6.0/24 nexthop via 10.77.0.2 dev eth0 weight 2 realms 3 nexthop via 10.77.0.3 dev eth0 realms 4/7 no_track
    2001:db8:50::/48 via fd77::2 dev eth0 pref high
    2001:db8:51::/48 via fd77::2 dev eth0 pref low metric 7
    2001:db8:52::/48 via fd77::2 dev eth0 pref medium hoplimit 9
";
const RULES: &str = "from 10.50.0.0/24 table 100 preference 100 realms 3/4
    from 10.51.0.0/24 table 100 preference 101 realms 7 protocol 18
    from 10.52.0.0/24 table 100 preference 102 tunnel-id 5
    from 10.53.0.0/24 table 100 preference 103 suppress_ifgroup default
    l3mdev preference 104
";

/// Every route and rule with the mark of its daemon, one a line, without that mark.
fn routing(host: &Host) -> BTreeSet<String> {
    let questions = ["-4 route show table all", "-6 route show table all", "-4 rule show", "-6 rule show"];
    let mut found = BTreeSet::new();
    for question in questions {
        let lines = host.run(&format!("ip -d -o {question}"));
        for line in lines.lines() {
            let plain = ["proto keepalived", "proto 112"].iter().find(|mark| line.contains(*mark));
            found.extend(plain.map(|mark| {
                let line = line.replace(mark, "");
                line.split_whitespace().collect::<Vec<_>>().join(" ")
            }));
        }
    }
    found
}

fn steered(daemon: Daemon, text: &str, whole: impl Fn(&BTreeSet<String>) -> bool) -> BTreeSet<String> {
    let lab = Lab::new(&["first"]);
    let (host, dir) = (&lab["first"], TempDir::new().unwrap());
    fs::write(dir.path().join("conf"), text).unwrap();
    let mut node = Node::start(daemon, host, dir.path());
    node.wait_state(&["web"], "MASTER");
    reached(SOON, || whole(&routing(host)));
    let found = routing(host);
    node.stop();
    assert_eq!(routing(host), BTreeSet::new(), "{daemon:?} leaves something behind");
    found
}

#[test]
fn routes_and_rules_are_as_keepalived_sets_them_whether_they_move_or_stay() {
    let lines = (ROUTES.lines().count(), RULES.lines().count());
    let moving = text(&format!("virtual_routes {{\n {ROUTES} }}\n virtual_rules {{\n {RULES} }}"));
    let fixed = text("") + &format!("static_routes {{\n {ROUTES} }}\n static_rules {{\n {RULES} }}\n");
    for text in [moving, fixed] {
        let theirs = steered(Daemon::Keepalived, &text, |found| found.len() >= lines.0 + lines.1);
        let ours = steered(Daemon::Locum, &text, |ours| *ours == theirs);
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn a_track_group_is_in_fault_without_the_interface_of_a_static_entry() {
    let text = format!(
        "track_group uplink {{\n group {{\n web\n }}\n}}\n\
         static_ipaddress {{\n 10.78.0.50/24 dev eth1 track_group uplink\n}}\n{}{}",
        text(""),
        text("").replace("web", "other").replace("51", "52").replace("0.100", "0.101"),
    );
    for daemon in [Daemon::Keepalived, Daemon::Locum] {
        let lab = Lab::new(&["first"]);
        lab.second_network();
        let (host, dir) = (&lab["first"], TempDir::new().unwrap());
        fs::write(dir.path().join("conf"), &text).unwrap();
        let mut node = Node::start(daemon, host, dir.path());
        node.wait_state(&["web", "other"], "MASTER");
        host.run("ip link set eth1 down");
        node.wait_state(&["web"], "FAULT");
        node.wait_state(&["other"], "MASTER");
        host.run("ip link set eth1 up");
        node.wait_state(&["web"], "MASTER");
        node.stop();
    }
}
