//! The Debian package and the systemd unit: built, looked into, installed into a root of its own, and
//! the installed program run with no more than the unit gives it.

mod systemd;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const UNIT: &str = "packaging/locum.service";
/// What `systemd-analyze security` makes of what the daemon has to have: the network, its
/// capabilities, the processes of others. Lower is better; 10 is a service without any limits.
const MOST_EXPOSURE: f64 = 2.5;
const WITHIN: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(50);

/// Built once for all tests, around the debug build: what is tested is the package.
static PACKAGE: LazyLock<String> = LazyLock::new(|| {
    let said = run("scripts/package", &["--debug"]);
    said.lines().last().expect("scripts/package names what it built").to_owned()
});

/// Runs a command that has to succeed, and returns what it wrote to standard output.
fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().expect(program);
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{program} {arguments:?}: {}: {out}{err}", done.status);
    out.into_owned()
}

/// A folder that dpkg takes for the root of a system without any package.
fn empty_root() -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for folder in ["updates", "info", "triggers"] {
        fs::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).expect("a folder");
    }
    fs::write(root.path().join("var/lib/dpkg/status"), "").expect("a file");
    fs::create_dir(root.path().join("etc")).expect("a folder");
    root
}

/// Its scripts run outside, told by `DPKG_ROOT` where the root is.
fn dpkg(root: &Path, what: &[&str]) {
    let root = format!("--root={}", root.display());
    run("dpkg", &[&[root.as_str(), "--force-script-chrootless", "--force-depends"], what].concat());
}

fn installed() -> TempDir {
    let root = empty_root();
    dpkg(root.path(), &["--install", &PACKAGE]);
    root
}

#[test]
fn the_package_holds_program_unit_manual_completions_and_examples() {
    let listing = run("dpkg-deb", &["--contents", &PACKAGE]);
    let paths: Vec<_> = listing.lines().filter_map(|line| line.split_whitespace().last()).collect();
    for wanted in [
        "./usr/bin/locum",
        "./usr/lib/systemd/system/locum.service",
        "./usr/lib/systemd/system/locum-witness.service",
        "./usr/lib/systemd/system/locum-drill.service",
        "./usr/lib/systemd/system/locum-drill.timer",
        "./usr/lib/sysusers.d/locum.conf",
        "./usr/share/man/man8/locum.8.gz",
        "./usr/share/man/man8/locum-run.8.gz",
        "./usr/share/man/man8/locum-status.8.gz",
        "./usr/share/bash-completion/completions/locum",
        "./usr/share/zsh/vendor-completions/_locum",
        "./usr/share/fish/vendor_completions.d/locum.fish",
        "./usr/share/doc/locum/README.md",
        "./usr/share/doc/locum/CHANGELOG.md",
        "./usr/share/doc/locum/copyright",
        "./usr/share/doc/locum/examples/minimal.toml",
        "./usr/share/doc/locum/examples/game-server/primary.toml",
    ] {
        assert!(paths.contains(&wanted), "{wanted} is missing in\n{listing}");
    }
    let strangers = listing.lines().filter(|line| !line.contains(" 0/0 "));
    assert_eq!(strangers.count(), 0, "everything is root's:\n{listing}");
    let needs = run("dpkg-deb", &["--field", &PACKAGE, "Depends"]);
    assert!(needs.starts_with("libc6 (>="), "{needs}");
    assert!(!needs.contains("ssl"), "no library but the system's own: {needs}");
}

#[test]
fn installing_enables_nothing_and_purging_leaves_nothing() {
    let root = installed();
    let wants = root.path().join("etc/systemd/system/multi-user.target.wants/locum.service");
    assert!(!wants.exists(), "first it needs a configuration");
    let users = fs::read_to_string(root.path().join("etc/passwd")).expect("users");
    assert!(users.contains("locum:"), "the unit's user is made: {users}");
    // As systemd and the daemon would.
    let record = root.path().join("var/lib/locum");
    fs::create_dir(&record).expect("a folder");
    fs::write(record.join("history.jsonl"), "{}\n").expect("a file");
    dpkg(root.path(), &["--purge", "locum"]);
    let left = run("find", &[&root.path().display().to_string(), "-name", "*locum*"]);
    assert_eq!(left, "");
}

/// The names in the unit's `CapabilityBoundingSet`, as setpriv writes them.
fn capabilities() -> String {
    let unit = fs::read_to_string(UNIT).expect(UNIT);
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = line.expect("the unit bounds the capabilities").split_whitespace();
    let names: Vec<_> = names.map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect();
    format!(",+{}", names.join(",+"))
}

/// A network namespace with one interface that has a carrier; gone with this.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        let name = format!("locum-package-{}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Namespace(name);
        namespace.ip("link add eth0 type veth peer name peer");
        for command in ["link set lo up", "link set eth0 up", "link set peer up"] {
            namespace.ip(command);
        }
        namespace.ip("address add 10.0.0.1/24 dev eth0");
        namespace
    }

    fn ip(&self, command: &str) -> String {
        let arguments: Vec<_> = ["-n", &self.0].into_iter().chain(command.split(' ')).collect();
        run("ip", &arguments)
    }

    fn holds(&self, address: &str) -> bool {
        self.ip("address show").contains(address)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + WITHIN;
    while !condition() {
        assert!(Instant::now() < until, "not within {WITHIN:?}: {what}");
        sleep(AGAIN);
    }
}

/// Runs the installed program as a user of its own, with the unit's capabilities, as systemd would.
fn start(namespace: &Namespace, program: &Path, config: &Path) -> Running {
    let capabilities = capabilities();
    let mut daemon = Command::new("ip");
    daemon.args(["netns", "exec", &namespace.0, "setpriv", "--no-new-privs", "--reuid=nobody"]);
    daemon.args(["--regid=nogroup", "--groups=adm"]);
    daemon.arg(format!("--inh-caps=-all{capabilities}"));
    daemon.arg(format!("--ambient-caps=-all{capabilities}"));
    daemon.arg(format!("--bounding-set=-all{capabilities}"));
    daemon.arg(program).arg("run").arg("--config").arg(config);
    Running(daemon.spawn().expect("ip"))
}

#[test]
fn the_installed_program_holds_an_address_with_the_capabilities_of_the_unit() {
    let (root, namespace) = (installed(), Namespace::new());
    let (run_directory, program) = (root.path().join("run"), root.path().join("usr/bin/locum"));
    let (config, hook) = (root.path().join("locum.toml"), root.path().join("hook"));
    let (socket, told) = (run_directory.join("locum.sock"), run_directory.join("told"));
    fs::create_dir(&run_directory).expect("a folder");
    for (path, mode) in [(root.path(), 0o755), (&run_directory, 0o777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let body = "#!/bin/sh\necho $(id -u) $(id -G) $(grep CapEff /proc/self/status)";
    fs::write(&hook, format!("{body} > {}\n", told.display())).expect("a file");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
    let text = format!(
        "[agent.control]\npath = \"{}\"\n\n[router.web]\ninterface = \"eth0\"\nvrid = 51\n\
         interval = \"100ms\"\naddresses = [\"10.0.0.100\"]\n\
         notify = {{ master = \"{}\", user = \"daemon\" }}\n",
        socket.display(),
        hook.display()
    );
    fs::write(&config, text).expect("a file");
    let mut daemon = start(&namespace, &program, &config);
    let ask = || Command::new(&program).arg("status").arg("--socket").arg(&socket).output();
    wait_for("it holds the address", || namespace.holds("10.0.0.100/32"));
    wait_for("it says so", || {
        let told = ask().expect("locum status");
        told.status.success() && String::from_utf8_lossy(&told.stdout).contains("MASTER")
    });
    // Its hook is another user, in none of its groups, and without any of its capabilities.
    wait_for("the hook was run", || fs::read_to_string(&told).is_ok_and(|told| told.ends_with('\n')));
    assert_eq!(fs::read_to_string(&told).expect("a file"), "1 1 CapEff: 0000000000000000\n");
    run("kill", &["-TERM", &daemon.0.id().to_string()]);
    let mut ended = None;
    wait_for("it ends", || {
        ended = daemon.0.try_wait().expect("a child of ours");
        ended.is_some()
    });
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    assert!(!namespace.holds("10.0.0.100/32"));
}

#[test]
fn the_units_are_valid_and_close_what_daemon_and_witness_do_not_need() {
    let root = installed();
    for name in ["locum.service", "locum-witness.service"] {
        judge_unit(root.path(), name);
    }
}

fn judge_unit(root: &Path, name: &str) {
    let unit = root.join(name);
    let text = fs::read_to_string(root.join("usr/lib/systemd/system").join(name)).expect("the unit");
    let program = root.join("usr/bin/locum").display().to_string();
    fs::write(&unit, text.replace("/usr/bin/locum", &program)).expect("a file");
    let unit = unit.display().to_string();
    run("systemd-analyze", &["verify", "--man=no", &unit]);
    let verdict = run("systemd-analyze", &["security", "--offline=true", "--no-pager", &unit]);
    let said = format!("{name}: ");
    let number = verdict.lines().rev().find_map(|line| line.split_once(&said)).map(|(_, rest)| rest);
    let exposure: f64 =
        number.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{verdict}"));
    assert!(exposure <= MOST_EXPOSURE, "{verdict}");
}
