//! The real binary on a host of the lab, and configurations for it.

use crate::lab::{Host, LONG, SOON, VIP, wait_until};
use crate::process::Process;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_locum");

/// One `[router.web]`, with short intervals unless said otherwise. Values are TOML.
#[derive(Clone)]
pub struct Router {
    keys: BTreeMap<&'static str, String>,
    after: String,
}

impl Router {
    pub fn new(priority: u8) -> Router {
        let keys = [
            ("interface", r#""eth0""#.to_owned()),
            ("vrid", "51".to_owned()),
            ("priority", priority.to_string()),
            ("interval", r#""100ms""#.to_owned()),
            ("addresses", format!(r#"["{VIP}"]"#)),
        ];
        Router { keys: keys.into(), after: String::new() }
    }

    /// With `key = value` in place of what it was.
    pub fn with(mut self, key: &'static str, value: &str) -> Router {
        self.keys.insert(key, value.to_owned());
        self
    }

    /// Without a key.
    pub fn without(mut self, key: &str) -> Router {
        self.keys.remove(key);
        self
    }

    /// With more sections after it.
    pub fn and(mut self, sections: &str) -> Router {
        self.after.push_str(sections);
        self
    }

    pub fn toml(&self) -> String {
        let mut text = "[router.web]\n".to_owned();
        for (key, value) in &self.keys {
            writeln!(text, "{key} = {value}").unwrap();
        }
        text + &self.after
    }
}

/// `locum run` on a host, without a guardian where not said otherwise: so the process that is known is the daemon.
/// It is killed when this is dropped.
pub struct Locum<'a> {
    pub process: Process,
    host: &'a Host,
    files: Files,
    under: &'static str,
}

/// No options of setpriv: with every privilege of the test.
const AS_WE_ARE: &str = "";

struct Files {
    dir: TempDir,
    config: PathBuf,
    socket: PathBuf,
    /// More arguments.
    also: &'static [&'static str],
    managed: bool,
    /// Of the daemon's environment.
    variables: &'static [(&'static str, &'static str)],
}

impl Files {
    fn new() -> Files {
        let dir = TempDir::new().unwrap();
        // For daemons that run as somebody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        Files {
            config: dir.path().join("locum.toml"),
            socket: dir.path().join("locum.sock"),
            also: &["--no-guardian"],
            managed: false,
            variables: &[],
            dir,
        }
    }

    /// Somebody else may not come to where it was built.
    fn binary(&self, under: &str) -> PathBuf {
        let built = PathBuf::from(BINARY);
        if under == AS_WE_ARE {
            return built;
        }
        let reachable = self.dir.path().join("locum");
        if !reachable.exists() {
            fs::hard_link(&built, &reachable).or_else(|_| fs::copy(&built, &reachable).map(drop)).unwrap();
        }
        reachable
    }

    fn write(&self, toml: &str) {
        fs::write(&self.config, toml).unwrap();
    }

    /// `under`: options of setpriv.
    fn start(&self, host: &Host, under: &str) -> Process {
        let mut command = host.command("setpriv");
        command
            .args(under.split_whitespace())
            .args(["--pdeathsig", "KILL", "--"])
            .arg(self.binary(under))
            .arg("run")
            .args(self.also);
        command.arg("-c").arg(&self.config).arg("--socket").arg(&self.socket);
        command.envs(self.variables.iter().copied());
        if self.managed {
            command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        }
        Process::start(&format!("{host}/locum"), command)
    }
}

impl Host {
    /// Starts Locum and waits until it answers.
    pub fn locum(&self, router: &Router) -> Locum<'_> {
        self.locum_toml(&router.toml())
    }

    /// As [`Host::locum`], of a whole file.
    pub fn locum_toml(&self, toml: &str) -> Locum<'_> {
        self.start(AS_WE_ARE, toml)
    }

    /// As [`Host::locum`], under these options of setpriv.
    pub fn locum_under(&self, setpriv: &'static str, router: &Router) -> Locum<'_> {
        self.start(setpriv, &router.toml())
    }

    /// As [`Host::locum`], as it comes: under a guardian, which is the process that is known here.
    pub fn locum_guarded(&self, router: &Router) -> Locum<'_> {
        self.locum_guarded_under(AS_WE_ARE, router)
    }

    /// The same, under these options of setpriv.
    pub fn locum_guarded_under(&self, setpriv: &'static str, router: &Router) -> Locum<'_> {
        self.start_with(Files { also: &[], ..Files::new() }, setpriv, &router.toml())
    }

    /// As [`Host::locum_guarded`], as a service manager would start it, who listens to nothing.
    pub fn locum_managed(&self, router: &Router) -> Locum<'_> {
        self.start_with(Files { also: &[], managed: true, ..Files::new() }, AS_WE_ARE, &router.toml())
    }

    /// As [`Host::locum`], with these arguments more.
    pub fn locum_told(&self, also: &'static [&'static str], router: &Router) -> Locum<'_> {
        self.start_with(Files { also, ..Files::new() }, AS_WE_ARE, &router.toml())
    }

    /// As [`Host::locum`], with these variables in its environment.
    pub fn locum_with(
        &self,
        variables: &'static [(&'static str, &'static str)],
        router: &Router,
    ) -> Locum<'_> {
        self.start_with(Files { variables, ..Files::new() }, AS_WE_ARE, &router.toml())
    }

    /// `locum doctor --json` about a file where no daemon runs, under these options of setpriv.
    pub fn doctor_alone(&self, setpriv: &str, router: &Router, more: &[&str]) -> (Option<i32>, Value) {
        let files = Files::new();
        files.write(&router.toml());
        self.doctor(&files, setpriv, more)
    }

    fn doctor(&self, files: &Files, under: &str, more: &[&str]) -> (Option<i32>, Value) {
        let mut command = self.command("setpriv");
        command.args(under.split_whitespace()).arg("--").arg(files.binary(under)).args(["doctor", "--json"]);
        command.arg("-c").arg(&files.config).arg("--socket").arg(&files.socket).args(more);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
        (output.status.code(), report)
    }

    fn start(&self, under: &'static str, toml: &str) -> Locum<'_> {
        self.start_with(Files::new(), under, toml)
    }

    fn start_with(&self, files: Files, under: &'static str, toml: &str) -> Locum<'_> {
        files.write(toml);
        let locum = Locum { process: files.start(self, under), host: self, files, under };
        locum.wait_answer();
        locum
    }

    /// Runs Locum under these options of setpriv until it ends by itself. Returns its exit code and
    /// what it wrote.
    pub fn locum_ends(&self, setpriv: &str, toml: &str, limit: Duration) -> (Option<i32>, String) {
        let files = Files::new();
        files.write(toml);
        let mut process = files.start(self, setpriv);
        let ended = process.wait(limit);
        (ended.code(), process.log())
    }
}

impl Locum<'_> {
    fn wait_answer(&self) {
        wait_until(&format!("locum answers on {}", self.host), SOON, || self.try_status().is_some());
    }

    /// `locum ARGUMENTS --socket …`: exit code and output of both kinds.
    pub fn cli(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.host.command(BINARY);
        let output = command.args(arguments).arg("--socket").arg(&self.files.socket).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// `locum doctor --json` on the host of this daemon, about its file and with `more` arguments: exit code and
    /// report.
    pub fn doctor(&self, more: &[&str]) -> (Option<i32>, Value) {
        self.host.doctor(&self.files, AS_WE_ARE, more)
    }

    /// Where its configuration is.
    pub fn config(&self) -> &str {
        self.files.config.to_str().unwrap()
    }

    fn try_status(&self) -> Option<Value> {
        let (code, text) = self.cli(&["status", "--json"]);
        (code != Some(3))
            .then(|| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    pub fn status(&self) -> Value {
        self.try_status().expect("the daemon answers")
    }

    /// The first router of the status.
    pub fn router(&self) -> Value {
        self.status()["routers"][0].clone()
    }

    /// Its state.
    pub fn state(&self) -> String {
        text(&self.router()["state"])
    }

    /// Why it is so.
    pub fn why(&self) -> String {
        text(&self.router()["why"])
    }

    /// How often it became Master.
    pub fn became_master(&self) -> u64 {
        self.router()["became_master"].as_u64().unwrap()
    }

    /// How many packets it refused for this reason, in all families.
    pub fn refused(&self, reason: &str) -> u64 {
        let router = self.router();
        let instances = router["instances"].as_array().unwrap();
        instances.iter().filter_map(|instance| instance["refused"][reason].as_u64()).sum()
    }

    /// How many packets it refused, for whatever reason.
    pub fn refused_at_all(&self) -> u64 {
        let router = self.router();
        let instances = router["instances"].as_array().unwrap();
        let counts = instances.iter().flat_map(|instance| instance["refused"].as_object().unwrap().values());
        counts.filter_map(Value::as_u64).sum()
    }

    pub fn wait_state(&self, state: &str) {
        wait_until(&format!("{} is {state}", self.host), LONG, || self.state() == state);
    }

    /// Writes another configuration and has it read.
    pub fn reload(&self, toml: &str) -> (Option<i32>, String) {
        self.write(toml);
        self.cli(&["reload"])
    }

    /// Writes another configuration, and no more.
    pub fn write(&self, toml: &str) {
        self.files.write(toml);
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(LONG)
    }

    /// A crash.
    pub fn kill9(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.wait(SOON);
    }

    /// Starts it again with the same files.
    pub fn restart(&mut self) {
        self.process = self.files.start(self.host, self.under);
        self.wait_answer();
    }

    /// The same command once more, which has to end by itself. Returns its exit code and what it wrote.
    pub fn again(&self) -> (Option<i32>, String) {
        let mut process = self.files.start(self.host, self.under);
        let ended = process.wait(SOON);
        (ended.code(), process.log())
    }

    /// The files beside its configuration, by name.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.files.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|name| name != "locum.toml").collect();
        names.sort();
        names
    }
}

impl Drop for Locum<'_> {
    fn drop(&mut self) {
        // A guardian that is killed leaves a daemon, who finds another guardian.
        if self.files.also.is_empty() && self.process.ended().is_none() {
            self.process.signal(Signal::SIGTERM);
            let until = Instant::now() + LONG;
            while self.process.ended().is_none() && Instant::now() < until {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

/// Lets the network run for a while, to see that something does not happen.
pub fn settle(intervals: u32) {
    thread::sleep(Duration::from_millis(100) * intervals);
}
