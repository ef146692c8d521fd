//! `locum doctor` about the host itself: settings of a real kernel, a real systemd-networkd, `NetworkManager`
//! and chrony, and a peer whose clock is another.

use crate::doctor::{BRIEFLY, finding, key, said, signed};
use crate::lab::{LONG, Lab, VIP, need, wait_until};
use crate::locum::{BINARY, Locum, Router};
use serde_json::Value;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// The doctor finds this; then its mend is carried out by `cure`, and it does not any more.
fn cured(locum: &Locum<'_>, id: &str, severity: &str, mend: &str, cure: impl FnOnce()) {
    let (code, report) = locum.doctor(&BRIEFLY);
    let found = finding(&report, id);
    assert_eq!((code, found["severity"].as_str()), (Some(1), Some(severity)), "{report:#}");
    assert!(found["mend"].as_str().unwrap().contains(mend), "{found:#}");
    assert!(!found["why"].as_str().unwrap().is_empty(), "{found:#}");
    cure();
    let (_, report) = locum.doctor(&BRIEFLY);
    let findings = report["findings"].as_array().unwrap();
    let still = findings.iter().find(|found| found["id"] == id && found["severity"] != "fine");
    assert_eq!(still, None, "{report:#}");
}

#[test]
fn a_strict_reverse_path_is_found_where_a_peer_is_of_another_network_and_its_mend_cures_it() {
    let lab = Lab::new(&["a"]);
    lab["a"].sysctl("net/ipv4/conf/eth0/rp_filter", "1");
    lab["a"].ip("route add 10.99.0.0/24 via 10.77.0.9 dev eth0");
    let a = lab["a"].locum(&Router::new(150).with("peers", "[\"10.99.0.2\"]"));
    cured(&a, "kernel.rp-filter", "doubt", "net/ipv4/conf/eth0/rp_filter=2", || {
        lab["a"].sysctl("net/ipv4/conf/eth0/rp_filter", "2");
    });
}

#[test]
fn arp_that_nobody_answers_and_two_interfaces_that_answer_for_each_other_are_found_and_cured() {
    let lab = Lab::new(&["a"]);
    lab["a"].sysctl("net/ipv4/conf/eth0/arp_ignore", "8");
    let a = lab["a"].locum(&Router::new(150));
    a.wait_state("MASTER");
    cured(&a, "kernel.arp-ignore", "trouble", "net/ipv4/conf/eth0/arp_ignore=1", || {
        lab["a"].sysctl("net/ipv4/conf/eth0/arp_ignore", "0");
    });
    lab.second_network();
    lab["a"].ip("address add 10.77.0.50/24 dev eth1");
    cured(&a, "kernel.arp-flux", "doubt", "net/ipv4/conf/all/arp_ignore=1", || {
        lab["a"].sysctl("net/ipv4/conf/all/arp_ignore", "1");
        lab["a"].sysctl("net/ipv4/conf/all/arp_announce", "2");
    });
}

#[test]
fn more_addresses_than_fit_into_an_advert_are_found_and_an_mtu_that_cures_it_is_named() {
    let lab = Lab::new(&["a", "b"]);
    let many: Vec<_> = (1..=200).map(|last| format!("\"10.77.1.{last}\"")).collect();
    let router = |priority| Router::new(priority).with("addresses", &format!("[{}]", many.join(", ")));
    for host in ["a", "b"] {
        lab[host].ip("link set eth0 mtu 600");
    }
    let a = lab["a"].locum(&router(150));
    a.wait_state("MASTER");
    let b = lab["b"].locum(&router(100));
    // What the doctor says of it is so.
    b.wait_state("MASTER");
    cured(&b, "mtu", "trouble", "ip link set eth0 mtu 828", || {
        for host in ["a", "b"] {
            lab[host].ip("link set eth0 mtu 828");
        }
        b.wait_state("BACKUP");
    });
}

/// The library of Debian's faketime, and by how much it shifts the clock: not the one that intervals go by.
const AHEAD: [(&str, &str); 3] = [
    ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1"),
    ("FAKETIME", "+4s"),
    ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
];

#[test]
fn a_peer_whose_clock_is_off_is_found_while_its_adverts_are_still_believed() {
    need("faketime", "faketime");
    let lab = Lab::new(&["a", "b"]);
    let key = key(7);
    let _a = lab["a"].locum_with(&AHEAD, &signed(Router::new(150), &key));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&signed(Router::new(100), &key));
    let ahead = || b.router()["instances"][0]["peers"][0]["clock_ms"].as_i64();
    wait_until("b knows the clock of a", LONG, || ahead().is_some_and(|ahead| (3000..5000).contains(&ahead)));
    let (code, report) = b.doctor(&BRIEFLY);
    let found = finding(&report, "daemon.clock");
    let text = format!("{} {} {}", found["what"], found["why"], found["mend"]);
    assert_eq!((code, found["severity"].as_str()), (Some(1), Some("doubt")), "{report:#}");
    for word in ["10.77.0.1 is +", "beyond 5000 ms", "set-ntp true"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(b.state(), "BACKUP");
}

/// Starts Debian's systemd-networkd, with a file for eth0, and waits until it has it.
const NETWORKD: &str = "mkdir -p /run/systemd/network /sys/fs/cgroup/system.slice/systemd-networkd.service
printf '[Match]\\nName=eth0\\n[Network]\\nAddress=10.77.0.1/24\\n' >/run/systemd/network/10-eth0.network
/lib/systemd/systemd-networkd 2>$at/networkd &
wait_for grep -rqs ^NETWORK_FILE /run/systemd/netif/links
! grep 'Unknown key' $at/networkd >&2
";
/// The same of its `NetworkManager`. An address that is not its own goes when it sets the interface up anew.
const NETWORK_MANAGER: &str = "mkdir -p /run/dbus /sys/fs/cgroup/system.slice/NetworkManager.service
mkdir -p /etc/NetworkManager/conf.d /etc/NetworkManager/system-connections
printf '[main]\\nplugins=keyfile\\n' >/etc/NetworkManager/NetworkManager.conf
profile=/etc/NetworkManager/system-connections/eth0.nmconnection
printf '[connection]\\nid=eth0\\ntype=ethernet\\ninterface-name=eth0\\n' >$profile
printf '[ipv4]\\nmethod=manual\\naddress1=10.77.0.1/24\\n[ipv6]\\nmethod=disabled\\n' >>$profile
chmod 600 $profile
dbus-daemon --system --nofork --nopidfile >&2 &
wait_for test -S /run/dbus/system_bus_socket
NetworkManager -n >&2 &
wait_for grep -qs connection-uuid /run/NetworkManager/devices/$(ip -o link show eth0 | cut -d: -f1)
ip address add 10.77.0.100/32 dev eth0
nmcli connection up eth0 >&2
ip address show eth0 >$at/addresses
";

/// What the doctor says on a machine, and the addresses of eth0 before, where that was looked at.
struct Machine {
    report: Value,
    addresses: String,
}

/// A machine of its own: its first process, folders of its services, and a network. This is done there, and then the
/// doctor asked.
fn machine(steps: &str) -> Machine {
    let dir = TempDir::new().unwrap();
    let key = key(7);
    fs::write(dir.path().join("locum.toml"), signed(Router::new(150), &key).toml()).unwrap();
    let script = format!(
        "set -e\nat={}\nmount --make-rprivate /\n\
         for place in /run /etc/systemd/network /sys/fs/cgroup; do mount -t tmpfs locum $place; done\n\
         if [ -d /etc/NetworkManager ]; then mount -t tmpfs locum /etc/NetworkManager; fi\n\
         ip link set lo up\nip link add eth0 type veth peer name p0\nip link set p0 up\n\
         wait_for() {{ tries=0; until \"$@\"; do tries=$((tries + 1)); [ $tries -lt 150 ]; sleep 0.1; done; }}\n\
         # To nobody there has to be a udev that has seen an interface first.\n\
         mount -o remount,ro,bind /sys\n{steps}\n\
         {BINARY} doctor --json --listen 0s -c $at/locum.toml --socket $at/none >$at/report || true\n",
        dir.path().display()
    );
    let mut command = Command::new("unshare");
    command.args([
        "--kill-child",
        "--pid",
        "--fork",
        "--mount-proc",
        "--net",
        "--mount",
        "sh",
        "-c",
        &script,
    ]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap_or_default();
    let report = serde_json::from_str(&read("report")).unwrap_or_else(|error| panic!("{error}: {told}"));
    Machine { report, addresses: read("addresses") }
}

/// The files of a mend, and what has the service read them.
fn mend<'a>(report: &'a Value, id: &str) -> (&'a str, &'a str) {
    finding(report, id)["mend"].as_str().unwrap().rsplit_once(" && ").unwrap()
}

#[test]
fn a_networkd_that_removes_addresses_is_found_and_its_drop_in_cures_it() {
    let found = machine(NETWORKD).report;
    let what = finding(&found, "network-manager.networkd")["what"].as_str().unwrap();
    assert!(what.contains("/run/systemd/network/10-eth0.network"), "{what}");
    let (files, reload) = mend(&found, "network-manager.networkd");
    assert_eq!(reload, "networkctl reload");
    let cured = machine(&format!("{files}\n{NETWORKD}")).report;
    let kept = "systemd-networkd keeps addresses on eth0";
    assert!(cured["findings"].as_array().unwrap().iter().any(|one| one["what"] == kept), "{cured:#}");
    assert!(!said(&cured, "doubt").contains(&"network-manager.networkd".to_owned()), "{cured:#}");
}

#[test]
fn a_network_manager_that_removes_addresses_is_found_and_its_drop_in_cures_it() {
    need("NetworkManager", "network-manager");
    need("dbus-daemon", "dbus-daemon");
    let Machine { report: found, addresses } = machine(NETWORK_MANAGER);
    assert!(addresses.contains("10.77.0.1/24") && !addresses.contains("10.77.0.100"), "{addresses}");
    let (files, reload) = mend(&found, "network-manager.nm");
    assert_eq!(reload, "nmcli general reload");
    let (_, files) = files.split_once(": ").expect("first what sets the interface up instead");
    let gone =
        "left() { ! grep -q managed=true /run/NetworkManager/devices/$(ip -o link show eth0 | cut -d: -f1); }
wait_for left";
    let cured = machine(&format!("{NETWORK_MANAGER}{files}\n{reload}\n{gone}")).report;
    assert!(!said(&cured, "doubt").contains(&"network-manager.nm".to_owned()), "{cured:#}");
    let free = "no network manager is known to remove addresses from eth0";
    assert!(cured["findings"].as_array().unwrap().iter().any(|one| one["what"] == free), "{cured:#}");
}

/// The doctor on a machine whose clock chrony keeps, by this line of its configuration.
fn kept_by_chrony(line: &str) -> Value {
    need("chronyd", "chrony");
    let steps = format!(
        "mkdir -p /run/chrony\nchmod 750 /run/chrony\nprintf 'pidfile /run/chronyd.pid\\n{line}\\n' >$at/chrony\n\
         chronyd -x -d -u root -f $at/chrony >&2 &\nwait_for chronyc -c tracking >&2"
    );
    machine(&steps).report
}

#[test]
fn a_clock_that_nothing_keeps_right_is_found_where_signatures_are_believed_by_it() {
    let alone = kept_by_chrony("");
    assert_eq!(finding(&alone, "clock")["severity"], "doubt", "{alone:#}");
    let kept = kept_by_chrony("local stratum 10");
    assert!(said(&kept, "fine").contains(&"clock".to_owned()), "{kept:#}");
}
