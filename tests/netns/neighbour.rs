//! Others that speak VRRP: keepalived, and FRR's vrrpd.

use crate::lab::{Host, SOON, VIP, need};
use crate::process::Process;
use tempfile::TempDir;

/// A keepalived that runs.
pub struct Keepalived {
    pub process: Process,
    _dir: TempDir,
}

/// What keepalived is told, beside what Locum's [`crate::locum::Router`] says as well.
#[derive(Clone)]
pub struct Instance {
    pub version: u8,
    pub priority: u8,
    pub interval: &'static str,
    pub vip: &'static str,
    /// More lines of the instance.
    pub more: String,
}

impl Instance {
    /// Version 3 over IPv4, ten adverts a second.
    pub fn new(priority: u8) -> Instance {
        Instance { version: 3, priority, interval: "0.1", vip: VIP, more: String::new() }
    }

    /// With one more line.
    pub fn with(mut self, line: &str) -> Instance {
        self.more.push_str(line);
        self.more.push('\n');
        self
    }

    fn conf(&self) -> String {
        let Instance { version, priority, interval, vip, more } = self;
        format!(
            "global_defs {{\n vrrp_version {version}\n}}\nvrrp_instance web {{\n interface eth0\n \
             virtual_router_id 51\n priority {priority}\n advert_int {interval}\n {more}\n \
             virtual_ipaddress {{\n  {vip}\n }}\n}}\n"
        )
    }
}

impl Host {
    /// Starts keepalived with one instance.
    pub fn keepalived(&self, instance: &Instance) -> Keepalived {
        need("keepalived", "keepalived");
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("conf"), instance.conf()).unwrap();
        let mut command = self.command("keepalived");
        command.args(["-n", "-l", "-D", "-P", "-f"]).arg(at("conf"));
        command.arg("-p").arg(at("pid")).arg("-r").arg(at("child"));
        let process = Process::start(&format!("{self}/keepalived"), command);
        process.wait_for("Startup complete", SOON);
        Keepalived { process, _dir: dir }
    }
}

impl Keepalived {
    /// Whether the last state it told is this one: `MASTER`, `BACKUP`, `FAULT`.
    pub fn is(&self, state: &str) -> bool {
        let log = self.process.log();
        let last = log.lines().rev().find(|line| line.contains("Entering "));
        last.is_some_and(|line| line.contains(&format!("Entering {state} STATE")))
    }
}
