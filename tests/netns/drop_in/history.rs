//! What both daemons tell of the same history: start, Backup, Master, a cable out and in, a check that
//! fails and recovers, stop. Each is alone on its host.

use super::node::{Daemon, Node};
use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::settle;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::thread;
use tempfile::TempDir;

/// What was told.
#[derive(Debug)]
struct Told {
    /// The arguments of every script, in the order in which they came to run.
    calls: String,
    /// The lines of the FIFO.
    events: String,
}

impl Told {
    /// The calls for one subject, of its scripts for one state each, or of the generic one.
    fn calls(&self, subject: &str, generic: bool) -> Vec<&str> {
        let about = |call: &&str| {
            let mut words = call.split(' ');
            (words.next() == Some("any")) == generic && words.any(|word| word == subject)
        };
        self.calls.lines().filter(about).collect()
    }

    /// The lines of the FIFO up to each of the group, those of its members in one order.
    fn moves(&self) -> Vec<Vec<&str>> {
        let lines: Vec<&str> = self.events.lines().collect();
        let moves = lines.split_inclusive(|line| line.starts_with("GROUP"));
        moves
            .map(|lines| {
                let mut lines = lines.to_vec();
                let members = lines.len().saturating_sub(1);
                lines[..members].sort_unstable();
                lines
            })
            .collect()
    }
}

/// Every script of an instance or group, which are told apart by their arguments.
fn scripts(dir: &Path, subject: &str) -> String {
    let record = dir.join("record");
    let record = record.display();
    let one = |state: &str| format!(" notify_{state} \"{record} {state} {subject}\"\n");
    ["master", "backup", "fault", "stop"].map(one).concat() + &format!(" notify \"{record} any\"\n")
}

fn instance(dir: &Path, name: &str, interface: &str, vrid: u8, vip: &str, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n \
         priority 150\n advert_int 0.3\n virtual_ipaddress {{\n {vip}\n }}\n{more}{}}}\n",
        scripts(dir, name)
    )
}

fn config(dir: &Path, grouped: bool) -> String {
    let at = dir.display();
    let head = format!(
        "global_defs {{\n vrrp_version 3\n script_user root\n notify_fifo {at}/events\n}}\n\
         vrrp_script well {{\n script \"/usr/bin/test -e {at}/well\"\n interval 1\n}}\n\
         vrrp_script quick {{\n script \"/usr/bin/test -e {at}/quick\"\n interval 1\n weight -60\n}}\n"
    );
    if !grouped {
        // Weights of members count for nothing in a group.
        let more = " notify_priority_changes\n track_script {\n well\n quick\n }\n";
        return head + &instance(dir, "web", "eth0", 51, VIP, more);
    }
    let group = format!("vrrp_sync_group all {{\n group {{\n web\n db\n }}\n{}}}\n", scripts(dir, "all"));
    let web = instance(dir, "web", "eth0", 51, VIP, " track_script {\n well\n }\n");
    head + &group + &web + &instance(dir, "db", "eth1", 52, "10.78.0.100", "")
}

/// Runs the history, and returns what was told.
fn history(daemon: Daemon, grouped: bool) -> Told {
    let lab = Lab::new(&["first"]);
    lab.second_network();
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("conf"), config(dir.path(), grouped)).unwrap();
    fs::write(at("record"), format!("#!/bin/sh\necho \"$@\" >> {}\n", at("calls").display())).unwrap();
    fs::set_permissions(at("record"), fs::Permissions::from_mode(0o755)).unwrap();
    let set = |check: &str, good: bool| {
        if good { fs::write(at(check), "") } else { fs::remove_file(at(check)) }.unwrap();
    };
    set("well", true);
    set("quick", true);
    // Open from before until after, so that nothing is lost.
    mkfifo(&at("events"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let fifo =
        OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(at("events"));
    let (mut fifo, mut events) = (fifo.unwrap(), String::new());

    let instances: &[&str] = if grouped { &["web", "db"] } else { &["web"] };
    let calls = || fs::read_to_string(at("calls")).unwrap_or_default();
    let mut expected = 0;
    // Each step has told all before the next begins: keepalived's scripts overtake each other.
    let mut told = |changes: usize| {
        expected += changes * 2 * if grouped { 3 } else { 1 };
        wait_until("all is told", LONG, || calls().lines().count() >= expected);
    };
    let mut reach = |node: &Node, state: &str, changes: usize| {
        node.wait_state(instances, state);
        told(changes);
    };
    let mut node = Node::start(daemon, &lab["first"], dir.path());
    reach(&node, "MASTER", 2);
    lab["first"].cable(false);
    reach(&node, "FAULT", 1);
    // Longer than a takeover takes: Locum goes on as Master where the link is back sooner.
    settle(15);
    lab["first"].cable(true);
    reach(&node, "MASTER", 2);
    set("well", false);
    reach(&node, "FAULT", 1);
    set("well", true);
    reach(&node, "MASTER", 2);
    if !grouped {
        for (good, priority) in [(false, 90), (true, 150)] {
            set("quick", good);
            wait_until("the priority changes", LONG, || {
                events += &waiting(&mut fifo);
                events.contains(&format!("\"web\" MASTER_PRIORITY {priority}\n"))
            });
        }
    }
    node.stop();
    told(1);
    events += &waiting(&mut fifo);
    Told { calls: calls(), events }
}

/// What waits in a FIFO.
fn waiting(fifo: &mut File) -> String {
    let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = fifo.read(&mut chunk) {
        text.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8(text).unwrap()
}

/// Ours and keepalived's, once what is the same has been found the same.
fn compare(grouped: bool, subjects: &[&str]) -> [Told; 2] {
    let [ours, theirs] = thread::scope(|scope| {
        let run = |daemon| scope.spawn(move || history(daemon, grouped));
        [run(Daemon::Locum), run(Daemon::Keepalived)].map(|run| run.join().unwrap())
    });
    for subject in subjects {
        for generic in [true, false] {
            assert_eq!(ours.calls(subject, generic), theirs.calls(subject, generic), "{subject}");
        }
        // On purpose: keepalived starts all scripts of a change at once, and they run in any order. Ours
        // run one after the other: that for the state, then the generic one.
        let one_by_one: Vec<_> =
            ours.calls.lines().filter(|call| call.split(' ').any(|word| word == *subject)).collect();
        let pairs = ours.calls(subject, false).into_iter().zip(ours.calls(subject, true));
        assert_eq!(one_by_one, pairs.flat_map(|(one, any)| [one, any]).collect::<Vec<_>>());
    }
    [ours, theirs]
}

#[test]
fn an_instance_tells_the_same_in_the_same_order() {
    let [ours, theirs] = compare(false, &["web"]);
    assert_eq!(ours.events, theirs.events);
    let states = ["backup", "master", "fault", "backup", "master", "fault", "backup", "master", "stop"];
    assert_eq!(ours.calls("web", false), states.map(|state| format!("{state} web")));
}

#[test]
fn a_group_and_its_members_tell_the_same_in_the_same_order() {
    let [ours, theirs] = compare(true, &["web", "db", "all"]);
    // On purpose: among themselves our members tell in the order of the file, keepalived's in that in
    // which their timers end. The group comes after all of them.
    assert_eq!(ours.moves(), theirs.moves());
    assert_eq!(ours.moves().len(), 9);
}
