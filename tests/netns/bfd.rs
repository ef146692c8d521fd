//! A BFD session decides, with real neighbours: FRR's bfdd, and keepalived's own in both directions.

use crate::drop_in::node::{Daemon, Node};
use crate::lab::{Host, Lab, VIP, need};
use crate::locum::{Router, settle};
use crate::process::Process;
use nix::unistd::{User, chown};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// FRR's zebra and bfdd with these neighbours, as long as it lives.
fn bfdd(host: &Host, neighbors: &[String]) -> (Process, TempDir) {
    const DAEMONS: &str = "/usr/lib/frr";
    assert!(Path::new(DAEMONS).join("bfdd").exists(), "this test needs bfdd: install the package frr");
    let dir = TempDir::new().unwrap();
    let user = User::from_name("frr").unwrap().expect("a user frr: install the package frr");
    chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
    let peer = |neighbor: &String| {
        format!(
            " peer {neighbor}\n  detect-multiplier 3\n  receive-interval 50\n  transmit-interval 50\n  no shutdown\n exit\n"
        )
    };
    let peers: String = neighbors.iter().map(peer).collect();
    fs::write(dir.path().join("bfdd.conf"), format!("bfd\n{peers}exit\n")).unwrap();
    fs::write(dir.path().join("zebra.conf"), "").unwrap();
    let at = dir.path().display();
    let with = |name, more: String| {
        format!(
            "{DAEMONS}/{name} -f {at}/{name}.conf -i {at}/{name}.pid -z {at}/zserv.api --vty_socket {at} {more} --log stdout"
        )
    };
    // As in neighbour.rs: they forget with whom to die.
    let script = format!(
        "mount -t tmpfs -o mode=1777 none /var/tmp; {} & for n in $(seq 50); do [ -S {at}/zserv.api ] && break; sleep 0.1; done; {} & wait",
        with("zebra", String::new()),
        with("bfdd", format!("--bfdctl {at}/bfdd.sock"))
    );
    let mut command = host.command("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", &script]);
    (Process::start(&format!("{host}/bfdd"), command), dir)
}

fn check(neighbor: &str) -> String {
    format!(
        "\n[check.gate]\ntype = \"bfd\"\nneighbor = \"{neighbor}\"\nmin_tx = \"50ms\"\nmin_rx = \"50ms\"\nmultiplier = 3\n"
    )
}

fn moves_with(neighbor: impl Fn(&Lab) -> String, own: impl Fn(&Host) -> String) {
    let lab = Lab::new(&["a", "b", "gate"]);
    need("nft", "nftables");
    let gate = neighbor(&lab);
    let _bfdd = bfdd(&lab["gate"], &[own(&lab["a"]), own(&lab["b"])]);
    let tracking = |priority| Router::new(priority).with("checks", r#"["gate"]"#).and(&check(&gate));
    let a = lab["a"].locum(&tracking(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&tracking(100));
    b.wait_state("BACKUP");
    lab["a"].run("nft add table inet cut");
    lab["a"].run("nft add chain inet cut out { type filter hook output priority 0 ; }");
    let watch = lab.watch(VIP);
    lab["a"].run("nft add rule inet cut out udp dport 3784 drop");
    lab.wait_owner(VIP, &["b"]);
    println!("BFD cut off: {}", watch.end());
    assert_eq!(a.state(), "FAULT");
    // The neighbour hears nothing and says so: it is that, or our own silence, whichever comes first.
    assert!(a.why().contains("check gate") && a.why().contains("down: "), "{}", a.why());
    lab["a"].run("nft delete table inet cut");
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
}

#[test]
fn the_address_leaves_a_host_that_its_neighbour_does_not_hear_and_returns() {
    moves_with(|lab| lab["gate"].ipv4(), Host::ipv4);
}

#[test]
fn a_session_over_ipv6_does_the_same() {
    moves_with(|lab| format!("fd77::{}", lab["gate"].number), |host| format!("fd77::{}", host.number));
}

/// Each is Master of its own router for as long as it has a session with the other.
const BOTH: &str = "
bfd_instance other {
@a neighbor_ip 10.77.0.2
@a source_ip 10.77.0.1
@b neighbor_ip 10.77.0.1
@b source_ip 10.77.0.2
 min_rx 50
 min_tx 50
 multiplier 3
}
vrrp_instance web {
 interface eth0
@a virtual_router_id 51
@b virtual_router_id 52
 priority 100
 advert_int 1
 virtual_ipaddress {
@a 10.77.0.100/24
@b 10.77.0.101/24
 }
 track_bfd { other }
}
vrrp_instance reverse {
 interface eth0
@a virtual_router_id 53
@b virtual_router_id 54
 priority 100
 advert_int 1
 virtual_ipaddress {
@a 10.77.0.102/24
@b 10.77.0.103/24
 }
 track_bfd { other weight 20 reverse }
}
";

#[test]
fn keepalived_and_locum_hold_a_session_by_one_file_and_each_is_in_fault_without_it() {
    let lab = Lab::new(&["a", "b"]);
    let dir = TempDir::new_in("/run").unwrap();
    fs::write(dir.path().join("conf"), BOTH).unwrap();
    let mut nodes = [(Daemon::Locum, "a"), (Daemon::Keepalived, "b")]
        .map(|(daemon, host)| Node::start(daemon, &lab[host], dir.path()));
    let addresses = [(VIP, "a"), ("10.77.0.101", "b")];
    let both = || addresses.iter().for_each(|(address, host)| lab.wait_owner(address, &[host]));
    both();
    // One session, at which two checks look: as it is, and the other way round.
    let status = nodes[0].status().unwrap();
    let checks: Vec<_> =
        status["checks"].as_array().unwrap().iter().map(|c| (&c["name"], &c["state"])).collect();
    let names: [serde_json::Value; 4] = ["bfd.other", "up", "bfd.other.reverse", "down"].map(Into::into);
    assert_eq!(checks, [(&names[0], &names[1]), (&names[2], &names[3])], "{status}");
    lab["a"].run("nft add table inet cut");
    lab["a"].run("nft add chain inet cut in { type filter hook input priority 0 ; }");
    lab["a"].run("nft add rule inet cut in udp dport 3784 drop");
    // One hears nothing, and tells the other.
    for (node, (address, _)) in nodes.iter().zip(addresses) {
        lab.wait_owner(address, &[]);
        node.wait_state(&["web"], "FAULT");
    }
    lab["a"].run("nft delete table inet cut");
    both();
    // Locum takes its end down before it ends, which is no failure of the way; keepalived falls silent.
    nodes[0].stop();
    settle(20);
    assert_eq!(lab.owners("10.77.0.101"), ["b"]);
    nodes[0].restart();
    both();
    nodes[1].stop();
    nodes[0].wait_state(&["web"], "FAULT");
    nodes[1].restart();
    both();
}

#[test]
fn two_hosts_hold_a_session_over_link_local_addresses() {
    let lab = Lab::new(&["a", "b"]);
    let with = |neighbor: &Host, priority| {
        let check = check(&neighbor.link_local()) + "dev = \"eth0\"\n";
        Router::new(priority).with("checks", r#"["gate"]"#).and(&check)
    };
    let a = lab["a"].locum(&with(&lab["b"], 150));
    let b = lab["b"].locum(&with(&lab["a"], 100));
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    for host in [&a, &b] {
        assert_eq!(host.status()["checks"][0]["state"], "up");
    }
}
