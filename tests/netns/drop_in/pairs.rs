//! Each takes over from the other, in every case and however the other ends, and gives the place
//! back. All pairs in turn, some at a time: they mostly wait.

use super::cases::{self, Back, Case, Link};
use super::node::{Daemon, Node};
use crate::lab::{Host, LONG, Lab, wait_until};
use crate::locum::settle;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use tempfile::TempDir;

/// How `first` loses its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Stop,
    Kill,
    Link,
    Check,
}

const ENDINGS: [Ending; 4] = [Ending::Stop, Ending::Kill, Ending::Link, Ending::Check];

struct Pair<'a> {
    case: &'a Case,
    lab: &'a Lab,
    first: Node<'a>,
    second: Node<'a>,
}

impl<'a> Pair<'a> {
    /// `first` has the place and `second` stands by.
    fn start(case: &'a Case, lab: &'a Lab, dir: &TempDir, first: Daemon) -> Pair<'a> {
        fs::write(dir.path().join("conf"), case.text(dir.path())).unwrap();
        for host in lab.hosts() {
            fs::create_dir(dir.path().join(&host.name)).unwrap();
            fs::write(dir.path().join(&host.name).join("well"), "").unwrap();
            if case.link == Link::Tracked {
                host.ip(
                    "link add tracked0 type veth peer name tracked1\nlink set tracked0 up\nlink set tracked1 up",
                );
            }
        }
        let first = Node::start(first, &lab["first"], dir.path());
        for vip in case.vips() {
            lab.wait_owner(vip, &["first"]);
        }
        let second = Node::start(first.daemon.other(), &lab["second"], dir.path());
        let pair = Pair { case, lab, first, second };
        pair.at_home();
        pair
    }

    fn wait_owner(&self, owners: &[&str]) {
        for vip in self.case.vips() {
            self.lab.wait_owner(vip, owners);
        }
    }

    /// As it was at the start.
    fn at_home(&self) {
        self.wait_owner(&["first"]);
        self.first.wait_state(self.case.instances(), "MASTER");
        self.second.wait_state(self.case.instances(), "BACKUP");
        for vip in self.case.virtual_mac {
            let other = self.second.host;
            wait_until(&format!("{vip} has the virtual MAC address"), LONG, || {
                other.pings(vip)
                    && other.run(&format!("ip neighbour show to {vip}")).contains("00:00:5e:00:01:33")
            });
        }
    }

    fn cut(&self, plugged: bool) {
        let host: &Host = self.first.host;
        match self.case.link {
            Link::Cable => host.cable(plugged),
            Link::SecondCable => host.second_cable(plugged),
            Link::Tracked => host.ip(if plugged { "link set tracked1 up" } else { "link set tracked1 down" }),
        }
    }

    fn end(&mut self, ending: Ending) {
        let well = self.first.dir.join("well");
        match ending {
            Ending::Stop => self.first.stop(),
            Ending::Kill => self.first.kill9(),
            Ending::Link => self.cut(false),
            Ending::Check => fs::remove_file(well).unwrap(),
        }
        // Killed, keepalived leaves its addresses behind until it starts again. Locum's are leases.
        let stay = ending == Ending::Kill && self.first.daemon == Daemon::Keepalived;
        self.wait_owner(if stay { &["first", "second"] } else { &["second"] });
        self.second.wait_state(self.case.instances(), "MASTER");
        match ending {
            Ending::Link => self.first.wait_state(self.case.instances(), self.case.link_state),
            Ending::Check => self.first.wait_state(self.case.instances(), self.case.check_state),
            Ending::Stop | Ending::Kill => {}
        }
    }

    fn heal(&mut self, ending: Ending) {
        match ending {
            Ending::Stop | Ending::Kill => self.first.restart(),
            Ending::Link => self.cut(true),
            Ending::Check => fs::write(self.first.dir.join("well"), "").unwrap(),
        }
        if self.case.back != Back::AtOnce {
            self.first.wait_state(self.case.instances(), "BACKUP");
            // Longer than it would wait to take over at once, and less than it has to.
            settle(25);
            self.wait_owner(&["second"]);
        }
        if self.case.back == Back::Never {
            assert_eq!(self.first.state("web"), "BACKUP");
            self.second.stop();
            self.wait_owner(&["first"]);
            self.second.restart();
        }
        self.at_home();
    }

    /// Adverts behind authentication headers that cross on the wire come too late; nothing else is
    /// refused.
    fn understood(&self) {
        for node in [&self.first, &self.second] {
            let Some(status) = (node.daemon == Daemon::Locum).then(|| node.status()).flatten() else {
                continue;
            };
            for router in status["routers"].as_array().unwrap() {
                let refused = router["instances"][0]["refused"].as_object().unwrap();
                let wrong: Vec<_> = refused
                    .iter()
                    .filter(|(reason, count)| {
                        *count != 0 && !(self.case.name == "v2 AH" && *reason == "replay")
                    })
                    .collect();
                assert!(wrong.is_empty(), "refused: {wrong:?}");
            }
        }
    }
}

fn run(case: &Case, first: Daemon) {
    let lab = Lab::new(&["first", "second"]);
    if case.has_second_network() {
        lab.second_network();
    }
    let dir = TempDir::new().unwrap();
    let mut pair = Pair::start(case, &lab, &dir, first);
    for ending in ENDINGS {
        println!("{}, {first:?} first: {ending:?}", case.name);
        pair.end(ending);
        pair.heal(ending);
    }
    pair.understood();
}

/// Enough that two cores have something to do, and not more than they can.
const AT_A_TIME: usize = 7;

#[test]
fn each_takes_over_from_the_other_in_every_case_however_it_ends() {
    let mut jobs = Vec::new();
    for case in cases::all() {
        for first in [Daemon::Locum, Daemon::Keepalived] {
            jobs.push((case.clone(), first));
        }
    }
    jobs.reverse();
    let (jobs, failed) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    let work = || {
        while let Some((case, first)) = { jobs.lock().unwrap().pop() } {
            let went_well = catch_unwind(AssertUnwindSafe(|| run(&case, first)));
            if went_well.is_err() {
                failed.lock().unwrap().push(format!("{}, {first:?} first", case.name));
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failed: {failed:#?}");
}
