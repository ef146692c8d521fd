//! One of the two daemons on a host, by keepalived's command line.

use crate::guardian::guardian_of;
use crate::lab::{Host, LONG, SOON, need, wait_until};
use crate::locum::BINARY;
use crate::process::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    Locum,
    Keepalived,
}

impl Daemon {
    pub fn other(self) -> Daemon {
        match self {
            Daemon::Locum => Daemon::Keepalived,
            Daemon::Keepalived => Daemon::Locum,
        }
    }
}

/// A daemon on a host, known to the file by the host's name: `@first …`.
pub struct Node<'a> {
    pub daemon: Daemon,
    pub host: &'a Host,
    /// Its own files; the configuration lies beside it.
    pub dir: PathBuf,
    process: Process,
}

impl<'a> Node<'a> {
    /// Starts it with `dir`/conf, and waits until it serves.
    pub fn start(daemon: Daemon, host: &'a Host, dir: &Path) -> Node<'a> {
        let own = dir.join(&host.name);
        fs::create_dir_all(&own).unwrap();
        let process = Process::start(&format!("{host}/{daemon:?}"), command(daemon, host, dir));
        let node = Node { daemon, host, dir: own, process };
        node.wait_serves();
        node
    }

    /// Once more, with what the last run has left.
    pub fn restart(&mut self) {
        let dir = self.dir.parent().unwrap();
        let command = command(self.daemon, self.host, dir);
        self.process = Process::start(&format!("{}/{:?}", self.host, self.daemon), command);
        self.wait_serves();
    }

    fn wait_serves(&self) {
        match self.daemon {
            Daemon::Keepalived => self.process.wait_for("Startup complete", LONG),
            Daemon::Locum => {
                wait_until(&format!("{} answers", self.host), LONG, || self.status().is_some());
            }
        }
    }

    /// Locum's status.
    pub fn status(&self) -> Option<Value> {
        let mut command = Command::new(BINARY);
        command.args(["status", "--json", "--socket"]).arg(self.dir.join("socket"));
        let output = command.output().unwrap();
        (output.status.code() != Some(3)).then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The state of an instance, by what the daemon itself says of it; empty where it says nothing.
    pub fn state(&self, instance: &str) -> String {
        match self.daemon {
            Daemon::Keepalived => {
                let log = self.process.log();
                let mark = format!("({instance}) Entering ");
                let last = log.lines().rev().find_map(|line| line.split_once(&mark));
                last.and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default().to_owned()
            }
            Daemon::Locum => {
                let status = self.status().unwrap_or_default();
                let routers = status["routers"].as_array().into_iter().flatten();
                let mut found = routers.filter(|router| router["name"] == instance);
                found.find_map(|router| router["state"].as_str()).unwrap_or_default().to_owned()
            }
        }
    }

    /// Waits for a state of every one of these instances.
    pub fn wait_state(&self, instances: &[&str], state: &str) {
        for instance in instances {
            wait_until(&format!("{} ({:?}): {instance} is {state}", self.host, self.daemon), LONG, || {
                self.state(instance) == state
            });
        }
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        self.process.signal(Signal::SIGTERM);
        let ended = self.process.wait(LONG);
        assert_eq!(ended.code(), Some(0), "{} ({:?}) ends well", self.host, self.daemon);
    }

    /// SIGKILL of all of its processes: nobody says or removes anything.
    pub fn kill9(&mut self) {
        let mut child = None;
        if self.daemon == Daemon::Keepalived {
            let pid = fs::read_to_string(self.dir.join("child")).unwrap();
            // The parent would start another child.
            self.process.signal(Signal::SIGSTOP);
            let pid = Pid::from_raw(pid.trim().parse().unwrap());
            kill(pid, Signal::SIGKILL).unwrap();
            child = Some(pid);
        }
        if let Some(guardian) = guardian_of(self.process.pid()) {
            guardian.kill();
        }
        self.process.signal(Signal::SIGKILL);
        self.process.wait(SOON);
        // While there is a trace of it, the next one says nothing and ends.
        if let Some(pid) = child {
            wait_until("nothing is left of keepalived's child", LONG, || kill(pid, None).is_err());
        }
    }

    /// A signal by its number, for those that have no name.
    pub fn signal(&self, number: i32) {
        let pid = self.process.pid().to_string();
        let status = Command::new("kill").arg(format!("-{number}")).arg(pid).status();
        assert!(status.unwrap().success());
    }
}

/// The same words for both.
fn command(daemon: Daemon, host: &Host, dir: &Path) -> Command {
    let own = dir.join(&host.name);
    let mut command = match daemon {
        Daemon::Keepalived => {
            need("keepalived", "keepalived");
            host.command("keepalived")
        }
        Daemon::Locum => {
            let mut command = host.command(BINARY);
            // Both hosts share one /run.
            command.arg("keepalived").arg("--socket").arg(own.join("socket"));
            command
        }
    };
    command.args(["-n", "-l", "-D", "-f"]).arg(dir.join("conf"));
    command.arg("-i").arg(&host.name).arg("-p").arg(own.join("pid")).arg("-r").arg(own.join("child"));
    // One that stands at its usual place keeps every other keepalived on this machine from starting.
    command.arg("-b").arg(own.join("bfd"));
    command.env("TMPDIR", own);
    command
}
