//! Files with something odd in them, read by both programs: what keepalived runs with, Locum runs with in
//! its place, and `-t` says the same of it. What keepalived takes without a word, a strict reader takes too.

use super::node::{Daemon, Node};
use crate::lab::{Host, Lab};
use crate::locum::BINARY;
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

/// A name, keepalived's exit code with `-t`, and the odd lines.
type Row = (&'static str, i32, &'static str);

/// In `virtual_ipaddress`.
const ADDRESSES: &[Row] = &[
    ("twice", 0, "10.77.0.100\n10.77.0.100"),
    ("twice, with two lengths", 0, "10.77.0.100/24\n10.77.0.100/32"),
    ("multicast", 0, "224.0.0.5"),
    ("loopback", 0, "127.0.0.5"),
    ("loopback, there", 0, "127.0.0.5 dev lo"),
    ("any", 0, "0.0.0.0"),
    ("broadcast", 0, "255.255.255.255"),
    ("multicast, version 6", 0, "ff02::5"),
    ("thirty", 0, "10.77.0.1\n10.77.0.2\n10.77.0.3\n10.77.0.4\n10.77.0.5\n10.77.0.6\n10.77.0.7\n10.77.0.8"),
    ("a long label", 5, "10.77.0.100 label eth0:averyverylonglabel"),
    ("another's label", 0, "10.77.0.100 label foo"),
    ("a label, version 6", 5, "2001:db8::5/64 label eth0:1"),
    ("both families", 5, "10.77.0.100\n2001:db8::1"),
    ("no such interface", 5, "10.77.0.100 dev eth9"),
    ("no such scope", 0, "10.77.0.100 scope nowhere"),
    ("a long prefix", 5, "10.77.0.100/33"),
    ("a name", 5, "web.example"),
    ("an unknown word", 5, "10.77.0.100 foo bar"),
    ("none", 5, ""),
];

/// In a `vrrp_instance`.
const LINES: &[Row] = &[
    ("excluded as well", 0, "virtual_ipaddress_excluded {\n 10.77.0.100\n}"),
    ("excluded, no such interface", 5, "virtual_ipaddress_excluded {\n 10.77.0.101 dev eth9\n}"),
    ("a peer twice", 0, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 10.77.0.2\n 10.77.0.2\n}"),
    ("itself a peer", 0, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 10.77.0.1\n}"),
    ("itself a peer of two", 0, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 10.77.0.1\n 10.77.0.2\n}"),
    ("the address a peer", 0, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 10.77.0.100\n}"),
    ("a group a peer", 0, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 224.0.0.18\n}"),
    ("a peer of version 6", 5, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 2001:db8::2\n}"),
    ("peers of both", 5, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 10.77.0.2\n 2001:db8::2\n}"),
    ("a peer's name", 5, "unicast_src_ip 10.77.0.1\nunicast_peer {\n peer.example\n}"),
    ("bounds that cross", 5, "unicast_src_ip 10.77.0.1\nunicast_peer {\n 10.77.0.2 min_ttl 9 max_ttl 3\n}"),
    ("no peers", 5, "unicast_src_ip 10.77.0.1\nunicast_peer {\n}"),
    ("no peers at all", 5, "unicast_src_ip 10.77.0.1"),
    ("an old word for links", 5, "linkbeat_use_polling"),
    ("only a TTL", 5, "unicast_ttl 5"),
    ("only a check", 5, "check_unicast_src"),
    ("a source of version 6", 5, "unicast_src_ip 2001:db8::1\nunicast_peer {\n 10.77.0.2\n}"),
    ("the address a source", 0, "unicast_src_ip 10.77.0.100\nunicast_peer {\n 10.77.0.2\n}"),
    ("a group of its own", 0, "mcast_dst_ip 224.0.0.81"),
    ("a group that is none", 5, "mcast_dst_ip 10.77.0.9"),
    ("a group of the other family", 5, "mcast_dst_ip ff02::81"),
    ("a group a source", 0, "mcast_src_ip 224.0.0.1"),
    ("unicast with a virtual MAC", 5, "use_vmac\nunicast_src_ip 10.77.0.1\nunicast_peer {\n 10.77.0.2\n}"),
    ("a base without a virtual MAC", 5, "vmac_xmit_base"),
    ("a long name of a virtual MAC", 5, "use_vmac averyverylonginterfacename"),
    ("ipvlan", 5, "use_ipvlan"),
    ("no script", 5, "track_script {\n nope\n}"),
    ("a sequence alone", 0, "virtual_ipaddress_excluded {\n ~SEQ(i,1,3)\n 10.77.0.2$i\n}"),
    ("after a sequence", 0, "virtual_ipaddress_excluded {\n ~LST(i,4,5) 10.77.0.2$i\n 10.77.0.3$i\n}"),
    ("a definition behind {", 0, "virtual_ipaddress_excluded {$Z=7 \n 10.77.0.2$Z\n}"),
    ("a definition behind }", 0, "virtual_ipaddress_excluded {\n 10.77.0.27\n}$Z=7\npriority $Z"),
    ("a condition behind a brace", 0, "virtual_ipaddress_excluded { @x nothing\n 10.77.0.27\n} @x nothing"),
    ("nothing to include", 0, "virtual_ipaddress_excluded {\n 10.77.0.27\n}include /nowhere/*"),
    ("no process", 5, "track_process {\n nope\n}"),
    ("no file", 5, "track_file {\n nope\n}"),
    ("its own interface", 5, "track_interface {\n eth0\n}"),
    ("an interface twice", 5, "track_interface {\n lo\n lo\n}"),
    ("an interface that is not there", 5, "track_interface {\n eth9\n}"),
    ("a large weight", 5, "track_interface {\n lo weight 300\n}"),
    ("a route of two families", 5, "virtual_routes {\n 10.9.0.0/24 via 2001:db8::1 dev eth0\n}"),
    ("a route to nowhere", 5, "virtual_routes {\n 10.9.0.0/24\n}"),
    ("a route without an interface", 5, "virtual_routes {\n default via 10.77.0.1\n}"),
    ("one that is not watched", 0, "virtual_routes {\n default via 10.77.0.1 no_track\n}"),
    ("a route with one", 0, "virtual_routes {\n default via 10.77.0.1 dev eth0\n}"),
    ("a route with another", 5, "virtual_routes {\n default via 10.77.0.1 dev eth9\n}"),
    ("a route into no table", 5, "virtual_routes {\n default via 10.77.0.1 dev eth0 table nosuch\n}"),
    ("a rule of two families", 5, "virtual_rules {\n from 10.9.0.0/24 to 2001:db8::/64 table 9 pref 5\n}"),
    ("a rule back", 5, "virtual_rules {\n from 10.9.0.0/24 goto 3 preference 5\n}"),
    ("a rule without a preference", 5, "virtual_rules {\n from 10.9.0.0/24 table 100\n}"),
    ("a rule without an end", 5, "virtual_rules {\n from 10.9.0.0/24 preference 5\n}"),
    ("a password alone", 0, "authentication {\n auth_pass abc\n}"),
    ("no password", 5, "authentication {\n auth_type PASS\n}"),
    ("a long password", 5, "authentication {\n auth_type PASS\n auth_pass abcdefghijk\n}"),
    ("a password in version 3", 5, "version 3\nauthentication {\n auth_type PASS\n auth_pass abc\n}"),
    ("MASTER that does not preempt", 5, "state MASTER\nnopreempt"),
    ("MASTER that waits", 5, "state MASTER\npreempt_delay 5"),
    ("waits for nothing", 5, "nopreempt\npreempt_delay 5"),
    ("both words", 0, "preempt\nnopreempt"),
    ("a long delay", 5, "preempt_delay 2000"),
    ("no such state", 5, "state FOO"),
    ("an interval of none", 5, "advert_int 0"),
    ("half an interval", 5, "advert_int 0.5"),
    ("an interval too long", 5, "version 3\nadvert_int 41"),
    ("version 4", 5, "version 4"),
    ("accept in version 2", 0, "accept"),
    ("a word too much", 0, "state BACKUP foo"),
    ("a word too much on a flag", 0, "dont_track_primary yes"),
    ("mails without a server", 0, "smtp_alert"),
    ("a hook that is not there", 0, "notify /nowhere/hook"),
    ("a hook of nobody's", 0, "notify \"/nowhere/hook\" nobodyx"),
    ("a quote that is open", 5, "notify \"/bin/true"),
    ("no such variable", 5, "advert_int $NOPE"),
    ("a tab and a comment", 0, "\tnopreempt ! never\n# end"),
];

/// Before the instance.
const BEFORE: &[Row] = &[
    ("a script without security", 6, "vrrp_script c {\n script /bin/false\n}"),
    (
        "security without a user",
        5,
        "global_defs {\n enable_script_security\n}\nvrrp_script c {\n script /bin/false\n}",
    ),
    (
        "a script twice",
        0,
        "SAFE\nvrrp_script c {\n script /bin/false\n}\nvrrp_script c {\n script /bin/true\n}",
    ),
    ("a script that is not there", 5, "SAFE\nvrrp_script c {\n script /nowhere/c\n}"),
    ("a script of nothing", 5, "SAFE\nvrrp_script c {\n interval 2\n}"),
    ("no interval", 5, "SAFE\nvrrp_script c {\n script /bin/false\n interval 0\n}"),
    ("no such user", 5, "global_defs {\n script_user nobodyx\n}\nvrrp_script c {\n script /bin/false\n}"),
    (
        "a process twice",
        0,
        "vrrp_track_process p {\n process nginx\n}\nvrrp_track_process p {\n process cron\n}",
    ),
    ("a process and what it is given", 0, "vrrp_track_process p {\n process /bin/nginx -g \"a b\" (c)\n}"),
    ("a process of nothing", 5, "vrrp_track_process p {\n quorum 1\n}"),
    ("a file of nothing", 5, "track_file f {\n weight 2\n}"),
    ("a static address twice", 0, "static_ipaddress {\n 10.8.0.1/24 dev eth0\n 10.8.0.1/24 dev eth0\n}"),
    ("the address static", 0, "static_ipaddress {\n 10.77.0.100/32 dev eth0\n}"),
    ("a static address elsewhere", 5, "static_ipaddress {\n 10.8.0.1/24 dev eth9\n}"),
    ("a static route elsewhere", 5, "static_routes {\n 10.8.1.0/24 dev eth9\n}"),
    ("delays elsewhere", 4, "interface_up_down_delays {\n eth9 3 3\n}"),
    ("pauses elsewhere", 5, "garp_group {\n interface eth9\n garp_interval 0.1\n}"),
    ("no pauses", 5, "garp_group {\n interface eth0\n}"),
    ("one FIFO twice", 0, "global_defs {\n notify_fifo /run/f\n vrrp_notify_fifo /run/f\n}"),
    ("a group of one", 5, "vrrp_sync_group g {\n group {\n web\n }\n}"),
    (
        "a group and an instance track one interface",
        5,
        "vrrp_sync_group g {\n group {\n web\n db\n }\n track_interface {\n lo\n }\n}\nvrrp_instance db {\n \
         interface eth0\n virtual_router_id 52\n virtual_ipaddress {\n 10.77.0.101\n }\n track_interface {\n lo\n }\n}",
    ),
    (
        "a group and an instance track one script",
        0,
        "SAFE\nvrrp_script c {\n script /bin/true\n}\nvrrp_sync_group g {\n group {\n web\n db\n }\n \
         track_script {\n c\n }\n}\nvrrp_instance db {\n interface eth0\n virtual_router_id 52\n \
         virtual_ipaddress {\n 10.77.0.101\n }\n track_script {\n c\n }\n}",
    ),
    (
        "a group and an instance track one file",
        5,
        "track_file f {\n file /dev/null\n}\nvrrp_sync_group g {\n group {\n web\n db\n }\n \
         track_file {\n f\n }\n}\nvrrp_instance db {\n interface eth0\n virtual_router_id 52\n \
         virtual_ipaddress {\n 10.77.0.101\n }\n track_file {\n f\n }\n}",
    ),
    ("a name of nothing", 0, "global_defs {\n router_id \"\"\n}"),
    (
        "one neighbour twice",
        5,
        "bfd_instance a {\n neighbor_ip 10.77.0.3\n}\nbfd_instance b {\n neighbor_ip 10.77.0.3\n}",
    ),
    ("an old firewall", 5, "global_defs {\n vrrp_iptables\n}"),
    (
        "strict, without a link-local address",
        5,
        "global_defs {\n vrrp_strict\n}\nvrrp_instance six {\n version 3\n interface eth0\n virtual_router_id 52\n \
         virtual_ipaddress {\n 2001:db8::1\n }\n}",
    ),
    ("a group of none", 5, "vrrp_sync_group g {\n group {\n }\n}"),
    ("a group with a stranger", 5, "vrrp_sync_group g {\n group {\n web\n nope\n }\n}"),
    ("a group without a name", 5, "vrrp_sync_group {\n group {\n web\n }\n}"),
    ("a group of all", 0, "global_defs {\n vrrp_mcast_group4 224.0.0.81\n}"),
    ("no group of all", 5, "global_defs {\n vrrp_mcast_group4 10.77.0.9\n}"),
    ("version 6 in a group of 4", 5, "global_defs {\n vrrp_mcast_group6 224.0.0.1\n}"),
    ("strict", 0, "global_defs {\n vrrp_strict\n}"),
    ("the id is nothing", 5, "global_defs {\n router_id\n}"),
    ("no include", 0, "include /nowhere/more.conf"),
    ("a brace too much", 5, "}"),
    ("letters of no kind", 5, "\u{1}\u{2}"),
    (
        "the same address elsewhere",
        0,
        "vrrp_instance db {\n interface eth0\n virtual_router_id 52\n virtual_ipaddress {\n 10.77.0.100\n }\n}",
    ),
    (
        "the same name",
        5,
        "vrrp_instance web {\n interface eth0\n virtual_router_id 52\n virtual_ipaddress {\n 10.77.0.101\n }\n}",
    ),
];

const SAFE: &str = "global_defs {\n enable_script_security\n script_user root\n}";

fn rows() -> impl Iterator<Item = (&'static str, i32, String)> {
    let plain = "10.77.0.100";
    let addresses = ADDRESSES.iter().map(move |(name, code, odd)| (*name, *code, file("", odd, "")));
    let lines = LINES.iter().map(move |(name, code, odd)| (*name, *code, file("", plain, odd)));
    let before = BEFORE
        .iter()
        .map(move |(name, code, odd)| (*name, *code, file(&odd.replace("SAFE", SAFE), plain, "")));
    addresses.chain(lines).chain(before)
}

fn file(before: &str, addresses: &str, lines: &str) -> String {
    format!(
        "{before}\nvrrp_instance web {{\n interface eth0\n virtual_router_id 51\n priority 100\n \
         virtual_ipaddress {{\n{addresses}\n }}\n{lines}\n}}\n"
    )
}

fn run(host: &Host, program: &str, arguments: &[&str], dir: &Path) -> Output {
    let mut command = host.command(program);
    command.args(arguments).current_dir(dir).env("LANG", "C.UTF-8");
    command.output().unwrap()
}

#[test]
fn what_keepalived_runs_with_locum_runs_with_and_a_test_says_the_same() {
    let lab = Lab::new(&["first"]);
    let host = &lab["first"];
    let dir = TempDir::new().unwrap();
    let mut wrong = Vec::new();
    for (name, code, text) in rows() {
        fs::write(dir.path().join("keepalived.conf"), &text).unwrap();
        let test = ["-P", "-t", "-b", "bfd", "-f", "keepalived.conf"];
        let theirs = run(host, "keepalived", &test, dir.path());
        let arguments = ["keepalived", "-P", "-t", "-f", "keepalived.conf"];
        let ours = run(host, BINARY, &arguments, dir.path());
        let said = String::from_utf8_lossy(&ours.stderr).into_owned();
        let codes = [&theirs, &ours].map(|output| output.status.code());
        if codes != [Some(code); 2] || said.contains("error: ") {
            wrong.push(format!("{name}: {codes:?}, not {code} of both\n{said}"));
        }
        let strict = run(host, BINARY, &["check", "keepalived.conf"], dir.path());
        if code == 0 && !strict.status.success() {
            wrong.push(format!("{name}: check says {:?}", String::from_utf8_lossy(&strict.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Peers refuse adverts that name another number of addresses than their own file does.
#[test]
fn adverts_name_an_address_as_often_as_the_file_does() {
    let odd = "10.77.0.100\n10.77.0.100\n127.0.0.5";
    for first in [Daemon::Locum, Daemon::Keepalived] {
        let lab = Lab::new(&["first", "second"]);
        let dir = TempDir::new().unwrap();
        let text = file("", odd, "").replace("priority 100", "@first priority 200\n@second priority 100");
        fs::write(dir.path().join("conf"), text).unwrap();
        let mut master = Node::start(first, &lab["first"], dir.path());
        master.wait_state(&["web"], "MASTER");
        let backup = Node::start(first.other(), &lab["second"], dir.path());
        backup.wait_state(&["web"], "BACKUP");
        crate::locum::settle(40);
        assert_eq!([master.state("web"), backup.state("web")], ["MASTER", "BACKUP"], "{first:?} leads");
        master.stop();
        backup.wait_state(&["web"], "MASTER");
        lab.wait_owner("10.77.0.100", &["second"]);
    }
}

/// keepalived complains of both, and elects.
#[test]
fn an_instance_that_names_no_address_holds_those_besides() {
    for first in [Daemon::Locum, Daemon::Keepalived] {
        let lab = Lab::new(&["first", "second"]);
        let dir = TempDir::new().unwrap();
        let lines = "virtual_ipaddress_excluded {\n 10.77.0.100/24\n}";
        let text = file("", "", lines).replace("priority 100", "@first priority 200\n@second priority 100");
        fs::write(dir.path().join("conf"), text).unwrap();
        let mut master = Node::start(first, &lab["first"], dir.path());
        lab.wait_owner("10.77.0.100", &["first"]);
        let backup = Node::start(first.other(), &lab["second"], dir.path());
        backup.wait_state(&["web"], "BACKUP");
        master.stop();
        backup.wait_state(&["web"], "MASTER");
        lab.wait_owner("10.77.0.100", &["second"]);
    }
}

/// The peer sends with a TTL of 100.
#[test]
fn a_peer_is_heard_within_the_ttls_that_its_line_says() {
    for (daemon, bounds, state) in [Daemon::Locum, Daemon::Keepalived].into_iter().flat_map(|daemon| {
        [("min_ttl 100 max_ttl 100", "BACKUP"), ("min_ttl 101", "MASTER"), ("max_ttl 99", "MASTER")]
            .map(|(bounds, state)| (daemon, bounds, state))
    }) {
        let lab = Lab::new(&["first", "second"]);
        let dir = TempDir::new().unwrap();
        let lines = format!(
            "unicast_ttl 100\n@first unicast_src_ip 10.77.0.1\n@second unicast_src_ip 10.77.0.2\nunicast_peer {{\n \
             @first 10.77.0.2\n @second 10.77.0.1 {bounds}\n @second 10.77.0.3 min_ttl 255\n}}"
        );
        let text = file("", "10.77.0.100", &lines);
        let text = text.replace("priority 100", "@first priority 200\n@second priority 100");
        fs::write(dir.path().join("conf"), text).unwrap();
        let master = Node::start(Daemon::Locum, &lab["first"], dir.path());
        master.wait_state(&["web"], "MASTER");
        let other = Node::start(daemon, &lab["second"], dir.path());
        other.wait_state(&["web"], state);
        // Longer than it waits before it takes over.
        crate::locum::settle(45);
        assert_eq!([master.state("web"), other.state("web")], ["MASTER", state], "{daemon:?}: {bounds}");
    }
}
