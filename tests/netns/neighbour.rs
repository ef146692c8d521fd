//! Others that speak VRRP: keepalived, and FRR's vrrpd.

use crate::lab::{Host, LONG, SOON, VIP, VIP6, need, wait_until};
use crate::process::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};
use tempfile::TempDir;

/// A keepalived that runs.
pub struct Keepalived {
    pub process: Process,
    dir: TempDir,
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
        Keepalived { process, dir }
    }
}

impl Keepalived {
    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(LONG);
    }

    /// A crash: neither parent nor child says or removes anything.
    pub fn kill9(&mut self) {
        let pid = std::fs::read_to_string(self.dir.path().join("child")).unwrap();
        // The parent would start another child.
        self.process.signal(Signal::SIGSTOP);
        kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
        self.process.signal(Signal::SIGKILL);
        self.process.wait(SOON);
    }

    /// Whether the last state it told is this one: `MASTER`, `BACKUP`, `FAULT`.
    pub fn is(&self, state: &str) -> bool {
        let log = self.process.log();
        let last = log.lines().rev().find(|line| line.contains("Entering "));
        last.is_some_and(|line| line.contains(&format!("Entering {state} STATE")))
    }
}

/// FRR's zebra and vrrpd that run, for both addresses.
pub struct Frr {
    process: Process,
    dir: TempDir,
}

impl Host {
    /// Starts FRR's vrrpd with this priority, ten adverts a second.
    pub fn frr(&self, priority: u8) -> Frr {
        const DAEMONS: &str = "/usr/lib/frr";
        assert!(
            std::path::Path::new(DAEMONS).join("vrrpd").exists(),
            "this test needs vrrpd: install the package frr"
        );
        // Without this eth0 would answer for an address that stands on a device turned off.
        self.sysctl("net/ipv4/conf/all/arp_ignore", "1");
        // FRR finds the devices of a virtual router by its MAC address.
        self.ip(&format!(
            "link add vrrp4 link eth0 type macvlan mode bridge\nlink set vrrp4 address 00:00:5e:00:01:33\n\
             address add {VIP}/24 dev vrrp4\nlink set vrrp4 up\n\
             link add vrrp6 link eth0 type macvlan mode bridge\nlink set vrrp6 address 00:00:5e:00:02:33\n\
             address add {VIP6}/64 dev vrrp6 nodad\nlink set vrrp6 up"
        ));
        let dir = TempDir::new().unwrap();
        let user = User::from_name("frr").unwrap().expect("a user frr: install the package frr");
        chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
        let conf = format!(
            "interface eth0\n vrrp 51 version 3\n vrrp 51 priority {priority}\n \
             vrrp 51 advertisement-interval 100\n vrrp 51 ip {VIP}\n vrrp 51 ipv6 {VIP6}\n"
        );
        std::fs::write(dir.path().join("vrrpd.conf"), conf).unwrap();
        std::fs::write(dir.path().join("zebra.conf"), "").unwrap();
        let at = dir.path().display();
        let with = |name| {
            format!(
                "{DAEMONS}/{name} -f {at}/{name}.conf -i {at}/{name}.pid -z {at}/zserv.api --vty_socket {at} --log stdout --log-level debug"
            )
        };
        // They change their user, and with it forget with whom to die: a shell of a process
        // namespace of its own takes them along, and a mount of its own their crash logs.
        let script = format!(
            "mount -t tmpfs -o mode=1777 none /var/tmp; {} & for n in $(seq 50); do [ -S {at}/zserv.api ] && break; sleep 0.1; done; {} & wait",
            with("zebra"),
            with("vrrpd")
        );
        let mut command = self.command("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", &script]);
        Frr { process: Process::start(&format!("{self}/frr"), command), dir }
    }
}

impl Frr {
    /// Waits until its last word on this family is `state`.
    pub fn wait(&self, family: &str, state: &str) {
        wait_until(&format!("FRR is {state} of {family}"), LONG, || {
            let log = self.process.log();
            let last =
                log.lines().rev().find(|line| line.contains(&format!("[{family}]")) && line.contains(" -> "));
            last.is_some_and(|line| line.ends_with(&format!("-> {state}")))
        });
    }

    /// Ends vrrpd in order.
    pub fn stop(&mut self) {
        // Its own idea of its number is that of its process namespace.
        let vrrpd = format!("{}/vrrpd.conf", self.dir.path().display());
        for entry in std::fs::read_dir("/proc").unwrap() {
            let entry = entry.unwrap();
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            if words.contains(&vrrpd.as_bytes()) {
                kill(Pid::from_raw(entry.file_name().to_str().unwrap().parse().unwrap()), Signal::SIGTERM)
                    .unwrap();
            }
        }
        wait_until("vrrpd ends", LONG, || self.process.log().contains("Terminating on signal"));
    }
}
