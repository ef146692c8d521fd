//! The package on a machine with a real systemd: all files of this system with memory above, booted by
//! systemd-nspawn in namespaces of its own, and another host at the end of its cable.

use super::{AGAIN, PACKAGE, Running, WITHIN, wait_for};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::{panicking, sleep};
use std::time::Instant;
use tempfile::TempDir;

/// Of `$2`, with the package `$3`, in the folder `$1`. All of it ends with its processes.
const BOOT: &str = r#"
set -e
package=$(realpath "$3")
mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
# Nothing that this system starts by itself, and nothing of a Locum that it may have.
rm -rf root/etc/systemd/system/*.wants root/etc/locum root/var/lib/locum root/usr/sbin/policy-rc.d root/var/log/journal
: > root/etc/machine-id
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n' > root/etc/systemd/system/test.target
cp "$package" root/srv/locum.deb
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && ip netns add machine
ip link set lo up
ip link add wire type veth peer name eth0 netns machine
ip link set wire up
ip address add 10.0.0.2/24 dev wire
for group in $4; do echo $$ > "$group/cgroup.procs"; done
exec systemd-nspawn --quiet --directory=root --machine="$2" --register=no --keep-unit \
    --network-namespace-path=/run/netns/machine --capability=CAP_NET_ADMIN --console=pipe --boot -- --unit=test.target
"#;

/// Of both hosts, but for priority and interface.
const FILE: &str =
    "[router.web]\ninterface = 'eth0'\nvrid = 51\npriority = 150\naddresses = ['10.0.0.100']\n";

struct Machine {
    nspawn: Running,
    /// Of the machine's first process.
    init: u32,
    /// Control groups of its own.
    groups: Vec<PathBuf>,
    place: TempDir,
}

impl Machine {
    /// Boots one, with the package on it; `None` where nobody may: in a container, mostly.
    fn boot() -> Option<Self> {
        let place = tempfile::tempdir().expect("a folder");
        let name =
            format!("locum-{}", place.path().file_name().unwrap().display().to_string().replace('.', ""));
        let groups = groups(&name).or_else(|| {
            println!("NOT TESTED with a real systemd: no control group can be made here");
            None
        })?;
        let listed: Vec<_> = groups.iter().map(|group| group.display().to_string()).collect();
        let mut nspawn = Command::new("setpriv");
        nspawn.args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--net",
            "--kill-child",
            "sh",
            "-c",
            BOOT,
            "sh",
        ]);
        nspawn.arg(place.path()).args([&name, &*PACKAGE, &listed.join(" ")]);
        let output = fs::File::create(place.path().with_extension("log")).expect("a file");
        nspawn.stdin(Stdio::null()).stdout(output.try_clone().expect("a file")).stderr(output);
        let nspawn = Running(nspawn.spawn().expect("setpriv"));
        let mut machine = Machine { nspawn, init: 0, groups, place };
        wait_for("a machine that runs", || {
            let child = |process| children(process).first().copied();
            machine.init = child(machine.nspawn.0.id()).and_then(child).unwrap_or_default();
            machine.init != 0
                && machine.tries("systemctl is-system-running --wait | grep -E 'running|degraded'").is_some()
        });
        machine.does(
            "ip address add 10.0.0.1/24 dev eth0 && ip link set eth0 up && dpkg --install --no-triggers /srv/locum.deb",
        );
        Some(machine)
    }

    /// What was written where it succeeded.
    fn tries(&self, words: &str) -> Option<String> {
        let done = shell(self.init, "--mount --uts --ipc --net --pid", words).output().expect("nsenter");
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    fn does(&self, words: &str) -> String {
        let journal = || self.tries("journalctl --no-pager -n 30");
        self.tries(words).unwrap_or_else(|| panic!("{words}: failed\n{}", journal().unwrap_or_default()))
    }

    /// The router as a daemon tells it.
    fn router(at: u32, namespaces: &str, words: &str) -> Value {
        let told = shell(at, namespaces, words).output().expect("nsenter");
        let status: Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
        status["routers"][0].clone()
    }

    fn here(&self) -> Value {
        Machine::router(self.init, "--mount --net --pid", "locum status --json")
    }

    /// At the other end of the cable.
    fn there(&self) -> Value {
        let words = format!("{} status --json --socket {}", program(), self.socket());
        Machine::router(self.other(), "--net", &words)
    }

    fn socket(&self) -> String {
        self.place.path().with_extension("sock").display().to_string()
    }

    /// A process in the network at the other end.
    fn other(&self) -> u32 {
        children(self.nspawn.0.id())[0]
    }

    fn backup(&self) -> Running {
        let file = self.place.path().with_extension("toml");
        fs::write(&file, FILE.replace("eth0", "wire").replace("150", "100")).expect("a file");
        let words = format!(
            "exec {} run --no-guardian --socket {} --config {}",
            program(),
            self.socket(),
            file.display()
        );
        let mut backup = shell(self.other(), "--net", &words);
        Running(backup.stderr(Stdio::null()).spawn().expect("nsenter"))
    }

    fn writes(&self) {
        // As the README does: the package has made the folder.
        self.does(&format!("cat > /etc/locum/locum.toml <<'END'\n{FILE}END"));
    }

    fn main_process(&self) -> String {
        self.does("systemctl show --property=MainPID --value locum")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.init != 0 {
            let _ = Command::new("kill").args(["-RTMIN+4", &self.init.to_string()]).status();
            let until = Instant::now() + WITHIN;
            while Instant::now() < until && self.nspawn.0.try_wait().is_ok_and(|ended| ended.is_none()) {
                sleep(AGAIN);
            }
        }
        let _ = self.nspawn.0.kill().and_then(|()| self.nspawn.0.wait());
        for group in &self.groups {
            let _ = Command::new("find")
                .arg(group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .status();
        }
        if panicking() {
            println!("{}", fs::read_to_string(self.place.path().with_extension("log")).unwrap_or_default());
        }
        for kind in ["log", "toml", "sock"] {
            let _ = fs::remove_file(self.place.path().with_extension(kind));
        }
    }
}

/// A control group in each hierarchy that systemd uses; `None` where none can be made.
fn groups(name: &str) -> Option<Vec<PathBuf>> {
    let roots = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let used = roots.into_iter().filter(|root| root.join("cgroup.procs").exists());
    let groups: Vec<_> = used.map(|root| root.join(name)).collect();
    let made = groups.iter().all(|group| fs::create_dir(group).is_ok());
    (made && !groups.is_empty()).then_some(groups)
}

/// In the namespaces of a process.
fn shell(process: u32, namespaces: &str, words: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--target={process}")).args(namespaces.split(' ')).args(["sh", "-c", words]);
    command
}

fn children(process: u32) -> Vec<u32> {
    let told = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    told.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_locum")
}

#[test]
fn under_systemd_a_restart_and_an_upgrade_leave_the_address_where_it_is_and_a_stop_hands_it_over() {
    let Some(machine) = Machine::boot() else { return };
    machine.writes();
    machine.does("systemctl enable --now locum");
    wait_for("the address", || machine.here()["state"] == "MASTER");
    let _backup = machine.backup();
    wait_for("a Backup", || machine.there()["state"] == "BACKUP");
    let watch = "timeout 60 ip monitor address > /srv/addresses 2>&1 & echo $!";
    let watcher = machine.does(watch);

    let (before, since) = (machine.main_process(), machine.here()["since_ms"].as_u64());
    machine.does("systemctl restart locum");
    assert_ne!(machine.main_process(), before, "it is another process");
    wait_for("it answers", || machine.here()["state"] == "MASTER");
    assert!(machine.here()["since_ms"].as_u64() > since, "it has been Master all the time");
    let left = machine
        .does("journalctl --no-pager --unit locum | grep -cE 'left-over|remains running|Failed' || true");
    assert_eq!(left, "0", "{}", machine.does("journalctl --no-pager --unit locum"));

    let before = machine.main_process();
    machine.does("dpkg --install --no-triggers /srv/locum.deb");
    assert_eq!(machine.main_process(), before, "an upgrade takes the place of the process");
    assert_eq!((&machine.here()["state"], &machine.there()["state"]), (&"MASTER".into(), &"BACKUP".into()));
    assert_eq!(
        machine.there()["transitions"].as_array().map(Vec::len),
        Some(1),
        "the Backup has noticed nothing"
    );
    let moved =
        machine.does(&format!("kill {watcher}; grep -c 'Deleted.*10.0.0.100' /srv/addresses || true"));
    assert_eq!(moved, "0", "{}", machine.does("cat /srv/addresses"));

    machine.does("systemctl stop locum");
    wait_for("the other has it", || machine.there()["state"] == "MASTER");
    assert_eq!(machine.does("ip -oneline address show | grep -c 10.0.0.100 || true"), "0");
    let fields = machine.does("journalctl --no-pager --output cat LOCUM_ROUTER=web LOCUM_TO=MASTER");
    assert!(fields.starts_with("router web: BACKUP -> MASTER"), "{fields}");
}

#[test]
fn under_systemd_a_witness_votes_with_its_credential_and_a_killed_daemon_is_started_again() {
    let Some(machine) = Machine::boot() else { return };
    machine.does(
        "head --bytes=32 /dev/urandom | base64 > /etc/locum/claim.key && chmod 600 /etc/locum/claim.key",
    );
    machine.does("echo LISTEN=10.0.0.1:5110 > /etc/default/locum-witness && systemctl start locum-witness");
    let says = || machine.does("journalctl --no-pager --output cat --unit locum-witness");
    wait_for("a vote", || says().contains("votes at 10.0.0.1:5110"));

    machine.writes();
    machine.does("systemctl start locum");
    let before = machine.main_process();
    machine.does("systemctl kill --signal KILL --kill-who main locum");
    wait_for("another", || machine.here()["state"].is_string() && machine.main_process() != before);
    assert_eq!(machine.does("systemctl is-active locum locum-witness"), "active\nactive");
}
