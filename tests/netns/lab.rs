//! A network on this machine: hosts as unnamed network namespaces around a switch.
//!
//! A namespace lives as long as its keeper, a sleeping child that dies with the test: nothing is
//! left behind, even when the test is killed.

use crate::kernel::Kernel;
use crate::process::Process;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::ops::Index;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, thread};

/// The address of every router in these tests.
pub const VIP: &str = "10.77.0.100";
/// Its sister.
pub const VIP6: &str = "fd77::100";

/// A switch, and hosts plugged into it.
pub struct Lab {
    switch: Namespace,
    hosts: Vec<Host>,
}

/// One host: `eth0` with 10.77.0.N/24, `fd77::N/64` and a link-local address, N counted from 1.
pub struct Host {
    pub name: String,
    pub number: usize,
    pub kernel: Kernel,
    namespace: Namespace,
    /// The switch, and the port that this host is plugged into.
    port: (u32, String),
}

/// A network namespace of its own.
struct Namespace {
    keeper: Child,
}

impl Lab {
    /// A network of hosts with these names. Fails with one line where something is missing.
    pub fn new(names: &[&str]) -> Lab {
        assert!(nix::unistd::geteuid().is_root(), "network namespaces need root: run this test with sudo");
        need("ip", "iproute2");
        need("nsenter", "util-linux");
        need("setpriv", "util-linux");
        let switch = Namespace::new();
        switch.write("net/ipv6/conf/default/disable_ipv6", "1");
        switch.ip("link add br0 type bridge mcast_snooping 0 forward_delay 0\nlink set br0 up");
        let hosts: Vec<Host> =
            names.iter().zip(1..).map(|(name, number)| Host::new(name, number, &switch)).collect();
        for host in &hosts {
            wait_until("an IPv6 link-local address", SOON, || {
                host.kernel.addresses().iter().any(|held| is_link_local(held.address) && !held.tentative)
            });
        }
        Lab { switch, hosts }
    }

    /// The hosts that have `address`, as their kernels say.
    pub fn owners(&self, address: &str) -> Vec<&str> {
        let address: IpAddr = address.parse().unwrap();
        let has = |host: &&Host| host.kernel.has(address);
        self.hosts.iter().filter(has).map(|host| host.name.as_str()).collect()
    }

    /// Waits until exactly these hosts have `address`.
    pub fn wait_owner(&self, address: &str, owners: &[&str]) {
        let what = format!("{address} on {owners:?}");
        let reached = reached(LONG, || self.owners(address) == owners);
        assert!(reached, "{what} in {LONG:?}: it is on {:?}", self.owners(address));
    }

    /// Neither hears the other any more.
    pub fn cut(&self, one: &str, other: &str) {
        for (host, from) in [(one, other), (other, one)] {
            let rules = format!(
                "table inet cut_{from} {{\n chain in {{\n  type filter hook input priority -300\n  \
                 ip saddr {} drop\n }}\n}}\n",
                self[from].ipv4()
            );
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), rules).unwrap();
            self[host].run(&format!("nft -f {}", file.path().display()));
        }
    }

    /// All hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// A second switch, and `eth1` of every host plugged into it: 10.78.0.N/24.
    pub fn second_network(&self) {
        self.switch("link add br1 type bridge mcast_snooping 0 forward_delay 0\nlink set br1 up");
        for host in &self.hosts {
            let (n, pid) = (host.number, host.namespace.keeper.id());
            self.switch(&format!(
                "link add q{n} type veth peer name eth1 netns {pid}\nlink set q{n} master br1\nlink set q{n} up"
            ));
            host.ip(&format!("address add 10.78.0.{n}/24 dev eth1\nlink set eth1 up"));
        }
    }

    /// Runs commands of `ip -batch` on the switch.
    pub fn switch(&self, commands: &str) {
        self.switch.ip(commands);
    }
}

impl Index<&str> for Lab {
    type Output = Host;

    fn index(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == name).expect("a host of this lab")
    }
}

impl Host {
    fn new(name: &str, number: usize, switch: &Namespace) -> Host {
        let namespace = Namespace::new();
        for (key, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("router_solicitations", "0")] {
            namespace.write(&format!("net/ipv6/conf/default/{key}"), value);
        }
        namespace.write("net/ipv6/conf/all/accept_dad", "0");
        let kernel = namespace.within(Kernel::open);
        let port = (switch.keeper.id(), format!("p{number}"));
        let host = Host { name: name.to_owned(), number, kernel, namespace, port };
        switch.ip(&host.plug());
        host.ip("link set lo up");
        host.configure();
        host
    }

    /// The commands for the switch that give this host its cable.
    pub fn plug(&self) -> String {
        let (port, pid) = (&self.port.1, self.namespace.keeper.id());
        format!(
            "link add {port} type veth peer name eth0 netns {pid}\nlink set {port} master br0\n\
             link set {port} up"
        )
    }

    /// Gives `eth0` its MAC and own addresses.
    pub fn configure(&self) {
        let n = self.number;
        self.ip(&format!(
            "link set eth0 address 02:00:00:00:00:{n:02x}\naddress add 10.77.0.{n}/24 dev eth0\n\
             address add fd77::{n:x}/64 dev eth0\nlink set eth0 up"
        ));
    }

    /// The process that keeps its namespace.
    pub fn keeper(&self) -> u32 {
        self.namespace.keeper.id()
    }

    /// The host's own IPv4 address.
    pub fn ipv4(&self) -> String {
        format!("10.77.0.{}", self.number)
    }

    /// The host's own link-local address.
    pub fn link_local(&self) -> String {
        format!("fe80::ff:fe00:{:x}", self.number)
    }

    /// A command line that runs on this host, and dies with this test.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.namespace.command("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        command
    }

    /// Runs a command line, split at blanks, to its end. Returns what it wrote; fails with it.
    pub fn run(&self, line: &str) -> String {
        let (ended, output) = self.attempt(line);
        assert!(ended, "{self}: {line}: {output}");
        output
    }

    /// As [`Host::run`]; returns whether it ended well, and what it wrote.
    pub fn attempt(&self, line: &str) -> (bool, String) {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        let output = self.command(program).args(words).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Starts a command line, split at blanks; it runs until it is dropped.
    pub fn spawn(&self, line: &str) -> Process {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        let mut command = self.command(program);
        command.args(words);
        Process::start(&format!("{self}/{program}"), command)
    }

    /// Runs lines of `ip -batch`.
    pub fn ip(&self, commands: &str) {
        self.namespace.ip(commands);
    }

    /// Sets a kernel parameter, `net/ipv4/…`.
    pub fn sysctl(&self, key: &str, value: &str) {
        self.namespace.write(key, value);
    }

    /// Whether the cable is in; the host sees its carrier go and come.
    pub fn cable(&self, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        on_switch(&self.port, &format!("link set {} {state}", self.port.1));
    }

    /// As [`Host::cable`], that of `eth1`.
    pub fn second_cable(&self, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        on_switch(&self.port, &format!("link set q{} {state}", self.number));
    }

    /// Whether frames pass the switch; the host does not see that they do not.
    pub fn forward(&self, forwards: bool) {
        let state = if forwards { 3 } else { 0 };
        let mut command = in_namespace(self.port.0, "bridge");
        command.args(["link", "set", "dev", &self.port.1, "state", &state.to_string()]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "bridge: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Does something in this host's network: sockets made in there stay there.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.within(work)
    }

    /// The door to this host's network, for threads that live longer.
    pub fn door(&self) -> File {
        self.namespace.door()
    }

    /// Whether `address` answers a ping from here.
    pub fn pings(&self, address: &str) -> bool {
        need("ping", "iputils-ping");
        self.attempt(&format!("ping -n -q -c 1 -W 1 {address}")).0
    }

    /// The MAC that this host sends frames for `address` to, as far as it knows.
    pub fn neighbour(&self, address: &str) -> Option<String> {
        let line = self.run(&format!("ip neighbour show to {address} dev eth0"));
        let mut words = line.split_whitespace().skip_while(|word| *word != "lladdr");
        words.nth(1).map(str::to_owned)
    }

    /// The MAC of `eth0`.
    pub fn mac(&self) -> String {
        format!("02:00:00:00:00:{:02x}", self.number)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Namespace {
    fn new() -> Self {
        let mut keeper = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--"])
            .args(["sh", "-c", "echo ready; exec sleep infinity"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv and unshare start: they are in the package util-linux");
        let mut line = String::new();
        let said = keeper.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        assert!(said.is_some() && line == "ready\n", "no network namespace can be made here: run as root");
        Namespace { keeper }
    }

    fn command(&self, program: &str) -> Command {
        in_namespace(self.keeper.id(), program)
    }

    fn ip(&self, commands: &str) {
        ip_batch(self.keeper.id(), commands);
    }

    fn door(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.keeper.id())).unwrap()
    }

    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let door = self.door();
        let go = || {
            setns(door, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(go).join()).expect("the work inside a namespace ends well")
    }

    fn write(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/{key}");
        self.within(|| std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn in_namespace(pid: u32, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "-n", "--", program]).process_group(0);
    command
}

fn on_switch(port: &(u32, String), command: &str) {
    ip_batch(port.0, command);
}

fn ip_batch(pid: u32, commands: &str) {
    let mut command = in_namespace(pid, "ip");
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{commands}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "ip: {commands}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Something local that a busy machine may take its time for.
pub const SOON: Duration = Duration::from_secs(5);
/// An election, with the slowest of neighbours.
pub const LONG: Duration = Duration::from_secs(15);

/// Waits for `condition`; fails, saying what was waited for, after `limit`.
pub fn wait_until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    assert!(reached(limit, condition), "not in {limit:?}: {what}");
}

pub fn reached(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    const LOOK_AGAIN: Duration = Duration::from_millis(5);
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Fails with one line where a tool is missing.
pub fn need(tool: &str, package: &str) {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|dir| std::path::Path::new(dir).join(tool).exists());
    assert!(found, "this test needs {tool}: install the package {package}");
}
