//! `locum keepalived`: keepalived's own command line (keepalived(8)), so that a unit file, a pid file
//! and a script that sends signals need no change. Also what runs under the name `keepalived`.
//!
//! Otherwise than keepalived, on purpose: one process, so `-R` and `-C`'s and `-B`'s pid files have
//! nothing to do; `-n` logs to stderr, where the journal is; addresses always go at the end (`-V`);
//! unsafe scripts are never run, with script security or without.

use super::pid_file::{PidFile, Refused};
use super::{Failure, WELL, complain, say};
use crate::config::keepalived::{Options, Verdict, is_incomplete};
use crate::config::{Identity, Loaded, Problem, Secrets, Severity, is_keepalived, render_all};
use crate::daemon::{self, Guarding, Instead, Log, Overrides};
use crate::net::namespace;
use crate::snmp::Master;
use clap::{ArgAction, Args};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The version whose manners these are; what asks for it expects this form.
const VERSION: &str = "2.4.3";
/// keepalived's exit codes: missing permission, and with `-t` a configuration that cannot be used.
const CANNOT: u8 = 4;
/// With `-t`: a configuration of which some lines are left out.
const FLAWED: u8 = 5;
/// No configuration file, or one that it has to include is missing.
const NO_FILE: u8 = 6;
/// With `-t`: scripts, and not the word that has unsafe ones refused.
const INSECURE: u8 = 6;
/// Where `-t` writes unless told otherwise.
const STDERR: &str = "-";
/// The default syslog facility: daemon.
const DAEMON: u8 = 3;
const USER: u8 = 1;
const LOCAL0: u8 = 16;

/// Run in keepalived's place, with its command line
#[derive(Debug, Args)]
#[command(
    disable_version_flag = true,
    args_override_self = true,
    after_help = "Options of keepalived that have nothing to do \
    here are accepted: -P -B -R -X -I -d -a -c -b --all --perf --debug --flush-log-file."
)]
#[expect(clippy::struct_excessive_bools, reason = "keepalived's command line has that many flags")]
pub(super) struct Keepalived {
    /// The configuration file
    #[arg(
        short = 'f',
        long = "use-file",
        value_name = "FILE",
        default_value = "/etc/keepalived/keepalived.conf"
    )]
    file: PathBuf,
    /// Stay in the foreground, and log to stderr
    #[arg(short = 'n', long)]
    dont_fork: bool,
    /// Check the configuration and exit; what is wrong goes to stderr, or to FILE
    #[arg(short = 't', long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = STDERR)]
    config_test: Option<PathBuf>,
    /// Log to stderr
    #[arg(short = 'l', long)]
    log_console: bool,
    /// Log under this syslog facility: 0 to 7 or local0 to local7, user, daemon
    #[arg(short = 'S', long, value_name = "FACILITY", default_value = "daemon")]
    log_facility: String,
    /// Log to this file
    #[arg(short = 'g', long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Do not log to syslog
    #[arg(short = 'G', long)]
    no_syslog: bool,
    /// The file with the process id
    #[arg(short = 'p', long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// Another file with it
    #[arg(short = 'r', long = "vrrp_pid", value_name = "FILE")]
    vrrp_pid: Option<PathBuf>,
    /// Run in this network namespace
    #[arg(short = 's', long, value_name = "NAME")]
    namespace: Option<String>,
    /// What `@ID` in the configuration is compared with
    #[arg(short = 'i', long, value_name = "ID")]
    config_id: Option<String>,
    /// Every file that the configuration includes has to be there
    #[arg(short = 'e', long)]
    all_config: bool,
    /// The file mode creation mask: octal with a 0 before it, as 022, hexadecimal with 0x, or decimal
    #[arg(short = 'u', long, value_name = "MASK")]
    umask: Option<String>,
    /// Let the process leave a core dump
    #[arg(short = 'm', long)]
    core_dump: bool,
    /// The same; the kernel's pattern stays as it is
    #[arg(short = 'M', long, value_name = "PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    core_dump_pattern: Option<String>,
    /// Print the number of a signal: STOP, RELOAD, DATA, STATS, `STATS_CLEAR`, JSON
    #[arg(long, value_name = "SIGNAL")]
    signum: Option<String>,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
    /// Only check real servers: nothing is left for Locum to do
    #[arg(short = 'C', long)]
    check: bool,
    /// Serve everything by SNMP, whatever the configuration says
    #[arg(short = 'x', long)]
    snmp: bool,
    /// Where snmpd listens for sub-agents, whatever the configuration says
    #[arg(short = 'A', long, value_name = "ADDRESS")]
    snmp_agent_socket: Option<String>,
    /// Keep addresses at the end: Locum does not
    #[arg(short = 'V', long)]
    dont_release_vrrp: bool,
    /// The control socket, whatever the configuration says
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(flatten)]
    idle: Idle,
}

/// What keepalived knows and has nothing to do here.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "keepalived's command line has that many flags")]
struct Idle {
    /// Log more: Locum always does
    #[arg(short = 'D', long)]
    log_detail: bool,
    #[arg(short = 'P', long, hide = true)]
    vrrp: bool,
    #[arg(short = 'B', long = "no_bfd", hide = true)]
    no_bfd: bool,
    #[arg(long, hide = true)]
    all: bool,
    #[arg(short = 'R', long, hide = true)]
    dont_respawn: bool,
    #[arg(short = 'X', long, hide = true)]
    release_vips: bool,
    #[arg(short = 'I', long, hide = true)]
    dont_release_ipvs: bool,
    #[arg(short = 'd', long, hide = true)]
    dump_conf: bool,
    #[arg(short = 'a', long, hide = true)]
    address_monitoring: bool,
    #[arg(short = 'c', long = "checkers_pid", hide = true)]
    checkers_pid: Option<PathBuf>,
    #[arg(short = 'b', long = "bfd_pid", hide = true)]
    bfd_pid: Option<PathBuf>,
    #[arg(long, hide = true)]
    flush_log_file: bool,
    #[arg(long, hide = true)]
    no_mem_check: bool,
    #[arg(long, hide = true)]
    ignore_sigint: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, action = ArgAction::Append)]
    perf: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, action = ArgAction::Append)]
    debug: Vec<String>,
}

impl Keepalived {
    /// Returns when the daemon has ended, or at once in the process that only started it.
    pub(super) fn run(self) -> Result<u8, Failure> {
        if self.version {
            // keepalived's goes to stderr, and is read from there.
            let _ = write!(
                std::io::stderr(),
                "Keepalived v{VERSION} (in its place: Locum {})\n\n",
                crate::VERSION
            );
            return Ok(WELL);
        }
        if let Some(name) = &self.signum {
            say(&format!("{}\n", number(name)?))?;
            return Ok(WELL);
        }
        if let Err(why) = facility(&self.log_facility) {
            complain(&format!("-S {} is left out: {why}", self.log_facility));
        }
        if let Some(log) = &self.config_test {
            return self.test(log);
        }
        if self.check {
            return Err(Failure::Other(
                "-C leaves only LVS, which Locum has not: run keepalived for it".to_owned(),
            ));
        }
        if self.dont_release_vrrp {
            complain("-V: Locum always gives up its addresses at the end");
        }
        // A daemon that was to start starts.
        if let Some(Err(why)) = self.master() {
            complain(&format!("-A is left out: {why}"));
        }
        self.serve()
    }

    /// Where snmpd is to listen.
    fn master(&self) -> Option<Result<Master, String>> {
        self.snmp_agent_socket.as_deref().map(Master::parse)
    }

    fn overrides(&self) -> Overrides {
        let dumps = std::env::var_os("TMPDIR").filter(|path| !path.is_empty());
        let instead = Instead {
            dumps: dumps.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
            snmp: self.snmp,
            master: self.master().and_then(Result::ok),
        };
        // keepalived goes on without what it does not understand, and so must who takes its place; a file
        // of TOML that is put there is read as ever.
        let lenient = is_keepalived(&self.file);
        let config_id = self.config_id.clone().filter(|_| lenient);
        let reading =
            Options { lenient, vrrp_only: lenient, config_id, all_files: self.all_config && lenient };
        let control = self.socket.clone();
        let namespace = self.namespace.clone();
        let (log, instead) = (self.log(), Some(instead));
        // Whoever keeps it in the foreground sees its end, and starts it again.
        let watched = self.dont_fork || daemon::managed();
        let guardian = if watched { Guarding::CleansUp } else { Guarding::Restarts };
        let directory = std::env::current_dir().ok();
        Overrides { control, namespace, log, reading, instead, guardian, directory, ..Overrides::default() }
    }

    fn log(&self) -> Log {
        match &self.log_file {
            Some(file) => Log::File(file.clone()),
            None if self.dont_fork || self.log_console => Log::Stderr,
            None if self.no_syslog => Log::Nowhere,
            None => Log::Syslog(facility(&self.log_facility).unwrap_or(DAEMON)),
        }
    }

    fn test(&self, log: &Path) -> Result<u8, Failure> {
        let overrides = self.overrides();
        let (code, problems) = match overrides.load(&self.file, Secrets::MustRead) {
            Ok(loaded) => found_in(&loaded, &self.file),
            Err(problems) if self.is_incomplete(&overrides) => (NO_FILE, problems.0),
            Err(problems) if is_keepalived(&self.file) => (FLAWED, problems.0),
            Err(problems) => (CANNOT, problems.0),
        };
        // keepalived counts this as a flaw of the file.
        let code = if facility(&self.log_facility).is_err() { code.max(FLAWED) } else { code };
        let text = render_all(&problems, false);
        if log == STDERR {
            if !text.is_empty() {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        } else {
            let failed = |error| Failure::Other(format!("cannot write {}: {error}", log.display()));
            fs::write(log, text + "\n").map_err(failed)?;
        }
        Ok(code)
    }

    /// Whether the configuration lacks a file that it has to include.
    fn is_incomplete(&self, overrides: &Overrides) -> bool {
        is_keepalived(&self.file) && is_incomplete(&self.file, &overrides.reading)
    }

    fn serve(mut self) -> Result<u8, Failure> {
        self.anchor()?;
        let overrides = self.overrides();
        if !self.file.exists() || self.file.is_dir() {
            complain(&format!("there is no {}: name the configuration with -f", self.file.display()));
            return Ok(NO_FILE);
        }
        // What is wrong is said while there is somebody to read it.
        let identity = match overrides.load(&self.file, Secrets::BarRouter) {
            Ok(loaded) => loaded.config.details.identity,
            Err(problems) => {
                let incomplete = self.is_incomplete(&overrides);
                if self.dont_fork && !incomplete {
                    // The daemon says it.
                    Identity::default()
                } else {
                    complain(&format!("{} cannot be used\n{}", self.file.display(), problems.render(false)));
                    return Ok(if incomplete { NO_FILE } else { daemon::EXIT_CONFIG });
                }
            }
        };
        self.surroundings()?;
        if let Some(name) = &identity.namespace {
            namespace::enter(name).map_err(|line| Failure::Other(line.to_string()))?;
        }
        // A second daemon is seen here, and its lock outlives the fork.
        let own = self.pid.clone().unwrap_or_else(|| usual(&identity, "keepalived"));
        let vrrp = self.vrrp_pid.clone().unwrap_or_else(|| usual(&identity, "vrrp"));
        let mut files = Vec::new();
        for path in [own, vrrp] {
            match PidFile::lock(&path) {
                Ok(file) => files.push(file),
                // What is wanted is the case: no unit is to start it again and again.
                Err(runs @ Refused::Runs(_)) => {
                    complain(&runs.to_string());
                    return Ok(WELL);
                }
                Err(Refused::Cannot(line)) => return Err(Failure::Other(line)),
            }
        }
        if !self.dont_fork {
            // Before any thread: a fork takes only its own along.
            let keeps_stderr = overrides.log == Log::Stderr;
            nix::unistd::daemon(false, keeps_stderr)
                .map_err(|error| Failure::Other(format!("cannot go to the background: {error}")))?;
        }
        // What looks for the daemon by its name finds it.
        let _ = prctl::set_name(c"keepalived");
        for file in &mut files {
            file.write().map_err(Failure::Other)?;
        }
        Ok(match daemon::run(&self.file, &overrides) {
            daemon::EXIT_PRIVILEGES => CANNOT,
            code => code,
        })
    }

    /// Makes every path absolute: the background has another directory.
    fn anchor(&mut self) -> Result<(), Failure> {
        let others = [&mut self.pid, &mut self.vrrp_pid, &mut self.log_file, &mut self.socket];
        for path in others.into_iter().flatten().chain([&mut self.file]) {
            let failed = |error| Failure::Other(format!("{}: {error}", path.display()));
            *path = std::path::absolute(&*path).map_err(failed)?;
        }
        Ok(())
    }

    /// Mask and limits, as asked for.
    fn surroundings(&self) -> Result<(), Failure> {
        match self.umask.as_deref().map(|text| (text, mask(text))) {
            Some((_, Ok(mask))) => drop(umask(Mode::from_bits_truncate(mask))),
            Some((text, Err(why))) => complain(&format!("-u {text} is left out: {why}")),
            None => {}
        }
        if self.core_dump || self.core_dump_pattern.is_some() {
            setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY)
                .map_err(|error| Failure::Other(format!("core dumps cannot be allowed: {error}")))?;
        }
        Ok(())
    }
}

/// What keepalived would find in a file that can be used, by its exit codes.
fn found_in(loaded: &Loaded, path: &Path) -> (u8, Vec<Problem>) {
    let mut problems = loaded.problems();
    // Interfaces are looked for where the daemon will be.
    if let Some(name) = &loaded.config.details.identity.namespace
        && let Err(why) = namespace::enter(name)
    {
        // keepalived calls this well, and would run outside; this daemon would not start.
        problems.push(Problem::of_file(Severity::Warning, path, why.to_string(), None));
        return (CANNOT, problems);
    }
    let (verdict, found) = loaded.inspection.verdict();
    problems.extend(found);
    let code = match verdict {
        Verdict::Well => WELL,
        Verdict::Odd => CANNOT,
        Verdict::Flawed => FLAWED,
        Verdict::Insecure => INSECURE,
    };
    (code, problems)
}

/// Where keepalived puts its pid files.
fn usual(identity: &Identity, name: &str) -> PathBuf {
    let several = identity.suffix().is_some().then_some("keepalived");
    let folder: PathBuf = ["/run"].into_iter().chain(several).chain(identity.namespace.as_deref()).collect();
    let suffix = identity.instance.as_ref().map(|instance| format!("_{}", instance.replace('/', "_")));
    folder.join(format!("{name}{}.pid", suffix.unwrap_or_default()))
}

/// The number of the signal that keepalived calls `name`.
fn number(name: &str) -> Result<i32, Failure> {
    use nix::libc::{SIGHUP, SIGRTMAX, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2};
    Ok(match name {
        "STOP" => SIGTERM,
        "RELOAD" => SIGHUP,
        "DATA" => SIGUSR1,
        "STATS" => SIGUSR2,
        "STATS_CLEAR" => SIGRTMAX() - 1,
        "JSON" => SIGRTMIN() + 2,
        _ => {
            let known = "STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON";
            return Err(Failure::Other(format!("there is no signal {name}: there is {known}")));
        }
    })
}

fn facility(text: &str) -> Result<u8, String> {
    let local = text.strip_prefix("local").unwrap_or(text);
    match (text, local.parse::<u8>()) {
        ("user", _) => Ok(USER),
        ("daemon", _) => Ok(DAEMON),
        (_, Ok(local)) if local <= 7 => Ok(LOCAL0 + local),
        _ => Err("write 0 to 7, local0 to local7, user or daemon".to_owned()),
    }
}

fn mask(text: &str) -> Result<u32, String> {
    let (radix, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if text.starts_with('0') => (8, text),
        None => (10, text),
    };
    let mask = u32::from_str_radix(digits, radix).ok().filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| "write four octal digits, such as 0022".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files_lie_where_keepalived_puts_them() {
        let file = |namespace: Option<&str>, instance: Option<&str>| {
            let [namespace, instance] = [namespace, instance].map(|name| name.map(str::to_owned));
            usual(&Identity { namespace, instance }, "vrrp").to_string_lossy().into_owned()
        };
        assert_eq!(file(None, None), "/run/vrrp.pid");
        assert_eq!(file(None, Some("foo")), "/run/keepalived/vrrp_foo.pid");
        assert_eq!(file(Some("blue"), None), "/run/keepalived/blue/vrrp.pid");
        assert_eq!(file(Some("blue"), Some("foo")), "/run/keepalived/blue/vrrp_foo.pid");
    }

    #[test]
    fn signals_have_the_numbers_that_scripts_expect() {
        let numbers = ["STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON"].map(|n| number(n).unwrap());
        assert_eq!(numbers, [15, 1, 10, 12, 63, 36]);
        assert!(number("KILL").is_err());
    }

    #[test]
    fn a_facility_is_written_as_for_keepalived() {
        assert_eq!(["daemon", "user", "0", "local7"].map(|text| facility(text).unwrap()), [3, 1, 16, 23]);
        assert!(facility("8").is_err() && facility("mail").is_err());
        assert_eq!(["022", "18", "0x12", "8", "0"].map(|text| mask(text).unwrap()), [18, 18, 18, 8, 0]);
        assert!(["08", "01000", "512", "IRWXG", "0x"].iter().all(|text| mask(text).is_err()));
    }
}
