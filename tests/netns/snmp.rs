//! SNMP: a real snmpd asks Locum, and keepalived for comparison, with one and the same keepalived.conf.

use crate::lab::{Host, LONG, Lab, SOON, VIP, need, reached, wait_until};
use crate::locum::{BINARY, Router};
use crate::process::Process;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const KEEPALIVED: &str = ".1.3.6.1.4.1.9586.100.5";
const RFC2787: &str = ".1.3.6.1.2.1.68";
const RFC6527: &str = ".1.3.6.1.2.1.207";

/// snmpd on a host, as master agent and with a listener for its traps.
struct Snmpd<'a> {
    host: &'a Host,
    dir: TempDir,
    process: Option<Process>,
    traps: Process,
}

impl<'a> Snmpd<'a> {
    fn new(host: &'a Host) -> Snmpd<'a> {
        need("snmpd", "snmpd");
        need("snmpwalk", "snmp");
        need("snmptrapd", "snmptrapd");
        let dir = TempDir::new().unwrap();
        let at = dir.path().display();
        let conf = format!(
            "rwcommunity public\nmaster agentx\nagentXSocket unix:{at}/agentx,tcp:127.0.0.1:705\nagentaddress udp:127.0.0.1:161\n\
             trap2sink 127.0.0.1:162 public\ndontLogTCPWrappersConnects yes\n"
        );
        fs::write(dir.path().join("snmpd.conf"), conf).unwrap();
        fs::write(dir.path().join("trapd.conf"), "disableAuthorization yes\n").unwrap();
        let mut command = Self::command(host, dir.path(), "snmptrapd");
        command.args(["-f", "-n", "-C", "-On", "-Lo", "-c"]).arg(dir.path().join("trapd.conf"));
        command.arg("udp:127.0.0.1:162");
        let traps = Process::start(&format!("{host}/snmptrapd"), command);
        traps.wait_for("NET-SNMP version", SOON);
        let mut snmpd = Snmpd { host, dir, process: None, traps };
        snmpd.start();
        snmpd
    }

    fn command(host: &Host, dir: &Path, program: &str) -> Command {
        let mut command = host.command(program);
        // No names of MIBs, no files outside.
        command.env("MIBS", "").env("SNMP_PERSISTENT_DIR", dir.join("kept")).env("HOME", dir);
        command
    }

    fn start(&mut self) {
        let mut command = Self::command(self.host, self.dir.path(), "snmpd");
        command.args(["-f", "-Lo", "-C", "-c"]).arg(self.dir.path().join("snmpd.conf"));
        let process = Process::start(&format!("{}/snmpd", self.host), command);
        process.wait_for("NET-SNMP version", SOON);
        self.process = Some(process);
    }

    fn stop(&mut self) {
        let mut process = self.process.take().expect("snmpd runs");
        process.signal(Signal::SIGTERM);
        process.wait(LONG);
    }

    fn socket(&self) -> String {
        format!("unix:{}", self.dir.path().join("agentx").display())
    }

    /// What a program of Net-SNMP says of this subtree.
    fn ask(&self, program: &str, rest: &[&str]) -> String {
        let mut command = Self::command(self.host, self.dir.path(), program);
        command.args(["-v2c", "-c", "public", "-On", "-t", "2", "127.0.0.1"]).args(rest);
        let output = command.output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Every row below `subtree`: its name, and its type and value.
    fn walk(&self, subtree: &str) -> BTreeMap<String, String> {
        let text = self.ask("snmpwalk", &[subtree]);
        let rows = text.lines().filter_map(|line| line.split_once(" = "));
        rows.filter(|(_, value)| !value.starts_with("No ") && !value.starts_with("End"))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    fn all(&self) -> BTreeMap<String, String> {
        [KEEPALIVED, RFC2787, RFC6527].into_iter().flat_map(|subtree| self.walk(subtree)).collect()
    }

    fn get(&self, name: &str) -> String {
        let text = self.ask("snmpget", &[name]);
        text.split_once(" = ").map(|(_, value)| value.trim().to_owned()).unwrap_or(text)
    }

    fn wait_get(&self, name: &str, value: &str) {
        let reached = reached(LONG, || self.get(name) == value);
        assert!(reached, "{name} is {}, not {value}", self.get(name));
    }

    /// Whether a trap has come with all of these in it.
    fn trapped(&self, parts: &[&str]) -> bool {
        self.traps.log().lines().any(|line| parts.iter().all(|part| line.contains(part)))
    }
}

/// Three instances: one of version 2 and one for IPv6 that are Master, one that is Backup.
fn conf(socket: &str, dir: &Path) -> String {
    let at = dir.display();
    format!(
        "global_defs {{\n router_id lab\n enable_snmp_vrrp\n enable_snmp_rfc\n enable_traps\n snmp_socket {socket}\n \
         enable_script_security\n script_user root\n notification_email {{\n  ann@example.org\n  bob@example.org\n }}\n \
         notification_email_from lab@example.org\n smtp_server 127.0.0.1 25\n}}\n\
         vrrp_script ok {{\n script \"/usr/bin/true x\"\n interval 1\n weight 5\n}}\n\
         vrrp_script turned {{\n script \"/usr/bin/false\"\n weight 4 reverse\n}}\n\
         bfd_instance far {{\n neighbor_ip 10.77.0.3\n weight 6\n}}\n\
         track_file load {{\n file {at}/load\n weight 1\n}}\n\
         static_ipaddress {{\n 10.77.0.9/32 dev eth0\n}}\nstatic_routes {{\n 10.84.0.0/16 via 10.77.0.254 dev eth0\n}}\n\
         vrrp_track_process shell {{\n process nosuchprocess\n weight 2\n}}\n\
         vrrp_track_process some {{\n process /usr/bin/nosuch -a \"b c.d\" (e)\n param_match partial\n weight 3\n \
         fork_delay 0.5\n terminate_delay 1.5\n}}\n\
         vrrp_track_process bare {{\n process nosuch\n param_match\n weight 3 reverse\n}}\n\
         vrrp_track_process whole {{\n process /usr/bin/nosuch one two\n param_match initial\n full_command\n \
         weight 3\n quorum 2\n quorum_max 5\n delay 2\n}}\n\
         vrrp_track_process exact {{\n process nosuch one\n weight 3\n quorum_max 0\n}}\n\
         vrrp_sync_group both {{\n group {{\n  web\n  six\n }}\n track_script {{\n  ok\n }}\n track_interface {{\n  lo weight 2\n }}\n \
         track_file {{\n  load weight 3\n }}\n track_process {{\n  shell\n }}\n track_bfd {{\n  far\n }}\n}}\n\
         vrrp_instance web {{\n state MASTER\n version 2\n interface eth0\n virtual_router_id 51\n priority 150\n \
         advert_int 1\n authentication {{\n  auth_type PASS\n  auth_pass tops3cre\n }}\n \
         virtual_ipaddress {{\n  10.77.0.100/24\n  10.77.0.101/32\n }}\n \
         virtual_ipaddress_excluded {{\n  10.77.0.102/32\n }}\n notify_master \"/usr/bin/true a b\"\n \
         virtual_routes {{\n  10.80.0.0/16 via 10.77.0.254 dev eth0 metric 5\n  blackhole 10.81.0.0/16 table 100\n  \
         default via 10.77.0.254 dev eth0 table 100\n  \
         10.85.0.0/16 via 10.77.0.254 dev eth0 mtu 1400 advmss 1300 hoplimit 9 initcwnd 10 initrwnd 11 quickack 1 rto_min 300ms reordering 4\n  10.82.0.0/16 nexthop via 10.77.0.253 dev eth0 weight 2 nexthop via 10.77.0.254 dev eth0\n }}\n \
         virtual_rules {{\n  from 10.77.0.100/32 lookup 100 priority 1000\n  not to 10.83.0.0/16 iif eth0 lookup 100 priority 1001\n }}\n}}\n\
         vrrp_instance six {{\n version 3\n interface eth0\n virtual_router_id 52\n priority 140\n advert_int 0.5\n \
         nopreempt\n virtual_ipaddress {{\n  fe80::52/64\n  fd77::100/64\n }}\n}}\n\
         vrrp_instance spare {{\n version 3\n interface eth0\n virtual_router_id 53\n priority 100\n advert_int 1\n \
         preempt_delay 3\n virtual_ipaddress {{\n  10.77.0.103/24 label eth0:s\n }}\n track_script {{\n  ok\n  turned\n }}\n track_bfd {{\n  far\n }}\n \
         track_process {{\n  some\n  bare\n  whole\n  exact\n }}\n \
         track_interface {{\n  eth1 weight 3\n }}\n track_file {{\n  load weight 2\n }}\n}}\n"
    )
}

/// The Master of `spare`.
const OTHER: &str = "vrrp_instance spare {\n version 3\n interface eth0\n virtual_router_id 53\n priority 200\n \
     advert_int 1\n virtual_ipaddress {\n  10.77.0.103/24\n }\n}\n";

/// A daemon of either kind with keepalived's command line.
fn daemon(host: &Host, program: &str, dir: &Path, conf: &str, more: &[&str]) -> Process {
    let own = dir.join(format!("{host}-{program}"));
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("conf"), conf).unwrap();
    let mut command = match program {
        "locum" => {
            let mut command = host.command(BINARY);
            command.arg("keepalived").arg("--socket").arg(own.join("socket"));
            command
        }
        other => host.command(other),
    };
    command.args(["-n", "-l", "-P", "-f"]).arg(own.join("conf"));
    command.arg("-p").arg(own.join("pid")).arg("-r").arg(own.join("child")).args(more);
    Process::start(&format!("{host}/{program}"), command)
}

/// What stands in both and differs, and why.
const DIFFERS: &[(&str, &str)] = &[
    (".1.3.6.1.4.1.9586.100.5.2.21.1.5.2", "keepalived says initial where it is partial, by the MIB"),
    (".1.3.6.1.4.1.9586.100.5.2.21.1.5.4", "and partial where it is initial"),
    (".1.3.6.1.4.1.9586.100.5.1.1.0", "each has its own name and version"),
    (".1.3.6.1.4.1.9586.100.5.1.10.0", "with Locum interfaces may always come and go"),
    (
        ".1.3.6.1.4.1.9586.100.5.2.3.1.11.",
        "keepalived calls the interface tracked only where it tracks another",
    ),
    (".1.3.6.1.4.1.9586.100.5.2.3.1.27.1", "keepalived says 0 in version 2, which is not in the MIB"),
    (
        ".1.3.6.1.4.1.9586.100.5.2.6.1.11.",
        "keepalived calls those of all but the first instance not advertised",
    ),
    (".1.3.6.1.4.1.9586.100.5.2.6.1.6.2.1", "keepalived calls a link-local address global"),
    (
        ".1.3.6.1.4.1.9586.100.5.2.12.1.3.",
        "keepalived says the weight of the file here, and not the instance's own",
    ),
    (".1.3.6.1.4.1.9586.100.5.2.16.1.3.", "the same, of a group"),
    (".1.3.6.1.4.1.9586.100.5.2.7.1.18.", "who has made the route: Locum's number is that of VRRP"),
    (
        ".1.3.6.1.4.1.9586.100.5.2.13.1.5.",
        "with Locum each instance has its own weight: that of the first stands here",
    ),
    (".1.3.6.1.2.1.68.1.3.1.2.", "the virtual MAC address, as the RFC says; keepalived's is the interface's"),
    (".1.3.6.1.2.1.68.1.3.1.7.", "keepalived names nobody while it is Master itself"),
    (".1.3.6.1.2.1.68.1.3.1.13.", "a time"),
    (".1.3.6.1.2.1.68.2.", "counters"),
    (
        ".1.3.6.1.2.1.207.1.1.1.1.5.",
        "the virtual MAC address, as the RFC says; keepalived's is the interface's",
    ),
    (".1.3.6.1.2.1.207.1.1.1.1.12.", "a time"),
    (".1.3.6.1.2.1.207.1.2.5.1.1.", "a counter"),
    (".1.3.6.1.2.1.207.1.2.5.1.3.", "a counter"),
];

/// What only keepalived has, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    (".1.3.6.1.4.1.9586.100.5.1.6.0", "of the load balancer"),
    (".1.3.6.1.4.1.9586.100.5.1.7.0", "of the load balancer"),
    (".1.3.6.1.4.1.9586.100.5.1.11.0", "of the load balancer"),
    (".1.3.6.1.4.1.9586.100.5.2.8.1.2.", "obsolete"),
    (".1.3.6.1.4.1.9586.100.5.2.8.1.3.", "obsolete"),
    (".1.3.6.1.4.1.9586.100.5.2.8.1.4.", "obsolete"),
    (".1.3.6.1.4.1.9586.100.5.2.8.1.5.", "obsolete"),
];

fn excepted(name: &str, list: &[(&str, &str)]) -> bool {
    list.iter().any(|(prefix, _)| name.starts_with(prefix))
}

#[test]
fn snmpd_shows_the_same_of_locum_as_of_keepalived_with_the_same_file() {
    need("keepalived", "keepalived");
    let lab = Lab::new(&["a", "b"]);
    lab.second_network();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("load"), "1\n").unwrap();
    let snmpd = Snmpd::new(&lab["a"]);
    let _other = daemon(&lab["b"], "keepalived", dir.path(), OTHER, &[]);
    lab.wait_owner("10.77.0.103", &["b"]);
    let text = conf(&snmpd.socket(), dir.path());
    let mut walks = Vec::new();
    for program in ["keepalived", "locum"] {
        let mut process = daemon(&lab["a"], program, dir.path(), &text, &[]);
        for vip in [VIP, "fd77::100"] {
            lab.wait_owner(vip, &["a"]);
        }
        let state = |instance: u32| format!("{KEEPALIVED}.2.3.1.4.{instance}");
        for (instance, expected) in [(1, "INTEGER: 2"), (2, "INTEGER: 2"), (3, "INTEGER: 1")] {
            snmpd.wait_get(&state(instance), expected);
        }
        for all_set in ["2.3.1.9.1", "2.3.1.9.2"] {
            snmpd.wait_get(&format!("{KEEPALIVED}.{all_set}"), "INTEGER: 1");
        }
        snmpd.wait_get(&format!("{KEEPALIVED}.2.9.1.6.1"), "INTEGER: 3");
        snmpd.wait_get(&format!("{KEEPALIVED}.2.3.1.8.3"), "INTEGER: 113");
        walks.push(snmpd.all());
        process.signal(Signal::SIGTERM);
        process.wait(LONG);
        wait_until("nobody is asked any more", LONG, || snmpd.all().is_empty());
    }
    let [theirs, ours] = walks.try_into().unwrap();
    let mut wrong = Vec::new();
    for (name, value) in &theirs {
        match ours.get(name) {
            None if !excepted(name, LEFT_OUT) => wrong.push(format!("{name} = {value}: missing")),
            Some(other) if other != value && !excepted(name, DIFFERS) => {
                wrong.push(format!("{name} = {value}: here {other}"));
            }
            _ => {}
        }
    }
    for (name, value) in ours.iter().filter(|(name, _)| !theirs.contains_key(*name)) {
        wrong.push(format!("{name} = {value}: only here"));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(ours.len() > 200, "{} rows", ours.len());
    println!("{} rows, {} of them of keepalived too", ours.len(), theirs.len());
    // Their values, not only that they are the same.
    for (name, value) in [
        ("9586.100.5.1.2.0", "STRING: \"lab\""),
        ("9586.100.5.2.3.1.2.1", "STRING: \"web\""),
        ("9586.100.5.2.1.1.3.1", "INTEGER: 2"),
        ("9586.100.5.2.6.1.3.1.2", "Hex-STRING: 0A 4D 00 65"),
        ("9586.100.5.2.6.1.10.3.1", "INTEGER: 2"),
    ] {
        assert_eq!(ours.get(&format!(".1.3.6.1.4.1.{name}")).map(String::as_str), Some(value), "{name}");
    }
    let index =
        ours.keys().find_map(|name| name.strip_prefix(".1.3.6.1.2.1.68.1.3.1.3.")).unwrap().to_owned();
    assert_eq!(ours[&format!("{RFC2787}.1.3.1.2.{index}")], "Hex-STRING: 00 00 5E 00 01 33");
    assert_eq!(ours[&format!("{RFC2787}.1.3.1.3.{index}")], "INTEGER: 3");
    assert_eq!(ours[&format!("{RFC2787}.1.3.1.7.{index}")], "IpAddress: 10.77.0.1");
}

/// By Locum's own file.
fn toml(snmpd: &Snmpd<'_>, priority: u8, keys: &str) -> Router {
    let version = Router::new(priority).with("version", "2").with("interval", r#""1s""#);
    version.and(&format!("[snmp]\nsocket = \"{}\"\n{keys}", snmpd.socket()))
}

const EVERYTHING: &str = "rfc2787 = true\nrfc6527 = true\ntraps = true\n";

#[test]
fn a_takeover_is_told_by_traps_of_all_three_mibs() {
    let lab = Lab::new(&["a", "b"]);
    let snmpd = Snmpd::new(&lab["a"]);
    let mut b = lab["b"].locum(&Router::new(200).with("version", "2").with("interval", r#""1s""#));
    lab.wait_owner(VIP, &["b"]);
    let a = lab["a"].locum(&toml(&snmpd, 100, EVERYTHING));
    let changed = ".1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.4.1.9586.100.5.2.10.0.2";
    let name = ".1.3.6.1.4.1.9586.100.5.2.3.1.2 = STRING: \"web\"";
    let state = |number: u8| format!(".1.3.6.1.4.1.9586.100.5.2.3.1.4 = INTEGER: {number}");
    wait_until("a trap tells that a is Backup", LONG, || snmpd.trapped(&[changed, name, &state(1)]));
    a.wait_state("BACKUP");
    assert!(!snmpd.trapped(&[&state(2)]));
    b.stop();
    lab.wait_owner(VIP, &["a"]);
    wait_until("a trap tells that a is Master", LONG, || snmpd.trapped(&[changed, name, &state(2)]));
    wait_until("a trap of RFC 2787 does", LONG, || {
        snmpd.trapped(&["OID: .1.3.6.1.2.1.68.0.1", ".51 = IpAddress: 10.77.0.1"])
    });
    wait_until("a trap of RFC 6527 does", LONG, || {
        snmpd.trapped(&["OID: .1.3.6.1.2.1.207.0.1", "Hex-STRING: 0A 4D 00 01", ".51.1 = INTEGER: 3"])
    });
    let mut a = a;
    a.stop();
    wait_until("a trap tells that a has stopped", LONG, || snmpd.trapped(&[changed, name, &state(5)]));
}

#[test]
fn locum_is_there_again_when_snmpd_is_and_says_so_once() {
    let lab = Lab::new(&["a"]);
    let mut snmpd = Snmpd::new(&lab["a"]);
    snmpd.stop();
    let state = format!("{KEEPALIVED}.2.3.1.4.1");
    let locum = lab["a"].locum(&toml(&snmpd, 100, ""));
    lab.wait_owner(VIP, &["a"]);
    let mend = "start snmpd, with `master agentx`";
    locum.process.wait_for(mend, SOON);
    snmpd.start();
    snmpd.wait_get(&state, "INTEGER: 2");
    snmpd.stop();
    locum.process.wait_for("SNMP: lost the master agent", SOON);
    snmpd.start();
    snmpd.wait_get(&state, "INTEGER: 2");
    let log = locum.process.log();
    let count = |text: &str| log.matches(text).count();
    assert_eq!((count(mend), count("SNMP: lost"), count("asks here again")), (1, 1, 2), "{log}");
    assert_eq!(locum.state(), "MASTER");
}

/// As the package's unit has it: a user of its own, and snmpd has to let it in.
#[test]
fn a_daemon_that_may_not_reach_snmpd_says_what_to_write_and_goes_on_when_it_may() {
    const AS_NOBODY: &str = "--reuid nobody --regid nogroup --clear-groups --no-new-privs \
         --inh-caps -all,+net_admin,+net_raw --ambient-caps -all,+net_admin,+net_raw \
         --bounding-set -all,+net_admin,+net_raw";
    let lab = Lab::new(&["a"]);
    let mut snmpd = Snmpd::new(&lab["a"]);
    fs::set_permissions(snmpd.dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let locum = lab["a"].locum_under(AS_NOBODY, &toml(&snmpd, 100, ""));
    lab.wait_owner(VIP, &["a"]);
    locum.process.wait_for("in snmpd.conf agentXPerms 0660 0755 root GROUP", SOON);
    let conf = snmpd.dir.path().join("snmpd.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text + "agentXPerms 0660 0755 root nogroup\n").unwrap();
    snmpd.stop();
    snmpd.start();
    snmpd.wait_get(&format!("{KEEPALIVED}.2.3.1.4.1"), "INTEGER: 2");
}

/// What a manager asks for: a column of the first instance, type, value.
const SETS: &[(&str, &str, &str)] = &[
    ("7.1", "i", "0"),
    ("7.1", "i", "256"),
    ("7.1", "u", "160"),
    ("7.1", "s", "x"),
    ("7.9", "i", "100"),
    ("13.1", "i", "3"),
    ("27.1", "i", "1"),
    ("28.1", "i", "2"),
    ("14.1", "u", "5"),
    ("2.1", "s", "foo"),
    ("99.1", "i", "1"),
    ("13.1", "i", "2"),
    ("13.1", "i", "1"),
    ("7.1", "i", "210"),
];

#[test]
fn a_manager_may_set_what_it_may_with_keepalived_until_the_file_is_read_again() {
    let text = |priority: u8, socket: &str| {
        format!(
            "global_defs {{\n enable_snmp_vrrp\n snmp_socket {socket}\n}}\nvrrp_instance web {{\n interface eth0\n \
             version 3\n virtual_router_id 51\n priority {priority}\n advert_int 0.2\n virtual_ipaddress {{\n  10.77.0.100\n }}\n}}\n"
        )
    };
    let mut said = Vec::new();
    for program in ["keepalived", "locum"] {
        need("keepalived", "keepalived");
        let lab = Lab::new(&["a", "b"]);
        let snmpd = Snmpd::new(&lab["a"]);
        let dir = TempDir::new().unwrap();
        let _other =
            daemon(&lab["b"], "keepalived", dir.path(), &text(200, "unix:/nowhere"), &["-b", "/nowhere/bfd"]);
        lab.wait_owner(VIP, &["b"]);
        let process = daemon(&lab["a"], program, dir.path(), &text(100, &snmpd.socket()), &[]);
        let at = |column: &str| format!("{KEEPALIVED}.2.3.1.{column}");
        snmpd.wait_get(&at("7.1"), "INTEGER: 100");
        said.push(
            SETS.iter()
                .map(|(column, kind, value)| snmpd.ask("snmpset", &[&at(column), kind, value]))
                .collect::<Vec<_>>(),
        );
        // The better one takes over.
        lab.wait_owner(VIP, &["a"]);
        assert_eq!([snmpd.get(&at("7.1")), snmpd.get(&at("13.1"))], ["INTEGER: 210", "INTEGER: 1"]);
        process.signal(Signal::SIGHUP);
        snmpd.wait_get(&at("7.1"), "INTEGER: 100");
        lab.wait_owner(VIP, &["b"]);
    }
    let rows = SETS.iter().zip(&said[0]).zip(&said[1]);
    let differ: Vec<_> = rows.filter(|((_, theirs), ours)| theirs != ours).collect();
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn a_reload_turns_it_off_and_on() {
    let lab = Lab::new(&["a"]);
    let snmpd = Snmpd::new(&lab["a"]);
    let locum = lab["a"].locum(&toml(&snmpd, 100, ""));
    lab.wait_owner(VIP, &["a"]);
    let priority = format!("{KEEPALIVED}.2.3.1.7.1");
    snmpd.wait_get(&priority, "INTEGER: 100");
    assert!(snmpd.walk(RFC2787).is_empty() && snmpd.walk(RFC6527).is_empty());
    let many = snmpd.ask("snmpbulkwalk", &["-Cr50", KEEPALIVED]);
    assert_eq!(many.lines().count(), snmpd.walk(KEEPALIVED).len(), "{many}");

    locum.write(&Router::new(100).with("version", "2").with("interval", r#""1s""#).toml());
    assert_eq!(locum.cli(&["reload"]).0, Some(0));
    wait_until("it is off", LONG, || snmpd.walk(KEEPALIVED).is_empty());
    locum.write(&toml(&snmpd, 120, "keepalived = false\nrfc2787 = true\n").toml());
    assert_eq!(locum.cli(&["reload"]).0, Some(0));
    wait_until("another part is on", LONG, || !snmpd.walk(RFC2787).is_empty());
    assert!(snmpd.walk(KEEPALIVED).is_empty());
    assert_eq!(locum.state(), "MASTER");
}

#[test]
fn the_option_of_keepalived_serves_everything_at_the_socket_that_is_named() {
    let lab = Lab::new(&["a"]);
    let snmpd = Snmpd::new(&lab["a"]);
    let dir = TempDir::new().unwrap();
    let plain = "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n version 2\n priority 100\n \
         virtual_ipaddress {\n  10.77.0.100\n }\n}\n";
    let _locum = daemon(&lab["a"], "locum", dir.path(), plain, &["-x", "-A", "tcp:127.0.0.1:705"]);
    lab.wait_owner(VIP, &["a"]);
    snmpd.wait_get(&format!("{KEEPALIVED}.2.3.1.4.1"), "INTEGER: 2");
    assert!(!snmpd.walk(RFC2787).is_empty() && !snmpd.walk(RFC6527).is_empty());
}
