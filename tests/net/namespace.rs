//! Network namespaces without a name: each lives as long as the test holds it.

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::Value;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// More than anything here takes, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Namespace(File);

impl Namespace {
    pub(crate) fn new() -> Namespace {
        assert!(nix::unistd::geteuid().is_root(), "the network tests make namespaces: run them as root");
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (CAP_SYS_ADMIN)");
            File::open("/proc/thread-self/ns/net").expect("its handle")
        });
        Namespace(made.join().expect("no panic"))
    }

    /// Two namespaces with an `eth0` each, joined by a cable, up, with fixed addresses.
    pub(crate) fn pair() -> (Namespace, Namespace) {
        let (left, right) = (Namespace::new(), Namespace::new());
        left.cable(&right, "eth0");
        for (namespace, host) in [(&left, 1), (&right, 2)] {
            namespace.ip("link set lo up");
            namespace.ip("link set eth0 addrgenmode none");
            namespace.ip("link set eth0 up");
            namespace.ip(&format!("addr add 10.9.0.{host}/24 dev eth0"));
            namespace.ip(&format!("addr add fe80::{host}/64 dev eth0 nodad"));
            namespace.ip(&format!("addr add 2001:db8:9::{host}/64 dev eth0 nodad"));
        }
        // Before the kernel has seen the carrier it drops what is sent.
        eventually("a cable that carries", || left.running("eth0") && right.running("eth0"));
        (left, right)
    }

    /// A cable to another namespace, with interfaces of this name at both ends.
    pub(crate) fn cable(&self, other: &Namespace, name: &str) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!("link add {name} type veth peer name {name} netns {there}"));
    }

    fn running(&self, interface: &str) -> bool {
        self.show(&["link", "show", "dev", interface]).iter().any(|link| link["operstate"] == "UP")
    }

    /// Runs `what` on a thread inside; threads and processes it starts are inside as well.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("entering the namespace");
                what()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub(crate) fn ip(&self, arguments: &str) {
        self.run(|| {
            let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2");
            let words = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "ip {arguments}: {words}");
        });
    }

    pub(crate) fn index(&self, interface: &str) -> u32 {
        self.run(|| nix::net::if_::if_nametoindex(interface).expect("an interface"))
    }

    /// The JSON of `ip`.
    pub(crate) fn show(&self, what: &[&str]) -> Vec<Value> {
        let output = self.run(|| {
            let arguments = ["-json", "-details"].iter().chain(what);
            Command::new("ip").args(arguments).output().expect("iproute2").stdout
        });
        let links: Value = serde_json::from_slice(&output).expect("JSON");
        links.as_array().expect("a list").clone()
    }

    /// What `ip -json addr show` says of one interface's addresses.
    pub(crate) fn addresses(&self, interface: &str) -> Vec<Value> {
        let links = self.show(&["addr", "show", "dev", interface]);
        let infos = links.iter().filter_map(|link| link["addr_info"].as_array());
        infos.flatten().cloned().collect()
    }

    /// Hears of every address that comes and goes from now on.
    pub(crate) fn monitor(&self) -> Monitor {
        const ADDRESSES: [u32; 2] = [5, 9];
        self.run(|| {
            let mut socket = Socket::new(NETLINK_ROUTE).expect("a socket");
            socket.bind_auto().expect("an address of it");
            for group in ADDRESSES {
                socket.add_membership(group).expect("a group of the kernel's");
            }
            socket.set_non_blocking(true).expect("a socket that does not wait");
            Monitor(socket)
        })
    }

    /// The addresses of one interface, `10.0.0.1/32`.
    pub(crate) fn has(&self, interface: &str) -> Vec<String> {
        let text = |info: &Value| format!("{}/{}", info["local"].as_str().unwrap_or("?"), info["prefixlen"]);
        self.addresses(interface).iter().map(text).collect()
    }
}

/// What the kernel told since it was made.
pub(crate) struct Monitor(Socket);

impl Monitor {
    /// How many addresses have gone, since the last time it was asked.
    pub(crate) fn removals(&self) -> usize {
        self.count(nix::libc::RTM_DELADDR)
    }

    /// How often an address has come or was changed, since then.
    pub(crate) fn additions(&self) -> usize {
        self.count(nix::libc::RTM_NEWADDR)
    }

    fn count(&self, kind: u16) -> usize {
        let is = |message: &Vec<u8>| message.get(4..6) == Some(&kind.to_ne_bytes()[..]);
        std::iter::from_fn(|| self.0.recv_from_full().ok().map(|(bytes, _)| bytes)).filter(is).count()
    }
}

/// Reports as a doer makes them, waited for one by one.
pub(crate) struct Reports<T>(Mutex<Receiver<T>>);

impl<T: Send + std::fmt::Debug> Reports<T> {
    pub(crate) fn channel() -> (Sender<T>, Reports<T>) {
        let (sender, receiver) = channel();
        (sender, Reports(Mutex::new(receiver)))
    }

    pub(crate) fn next(&self) -> T {
        self.0.lock().expect("no panic").recv_timeout(PATIENCE).expect("a report in time")
    }

    /// The first report that `wanted` accepts; those before it are dropped.
    pub(crate) fn until(&self, wanted: impl Fn(&T) -> bool) -> T {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < end {
            let report = self.next();
            if wanted(&report) {
                return report;
            }
            seen.push(report);
        }
        panic!("not reported; seen: {seen:?}");
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
