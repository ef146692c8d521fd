//! Another program takes the place of this one: by `execve(2)` of what is installed now, with the same process id, or
//! since this one ends and its service manager starts the next. What that one must know goes through a file that only
//! it believes, and only once.

use super::clock::now;
use super::{privileges, scheduling};
use crate::agent::Relay;
use crate::config::keepalived::Options;
use nix::unistd::execv;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::time::Duration;
use std::{env, fmt};
use tracing::warn;

/// How long it may take a service manager to start the next one: what was left longer ago was for somebody who never
/// came.
const STARTED_WITHIN: Duration = Duration::from_secs(10);

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Passed {
    /// Whose it is: the id outlives the program. `None`: whoever is started next.
    process: Option<u32>,
    relay: Box<Relay>,
}

/// The program as it was started: later on its path may be that of a newer one.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.as_deref().unwrap_or(Path::new("locum")).display().fmt(f)
    }
}

fn beside(control: &Path) -> PathBuf {
    control.with_extension("relay")
}

/// What the program before this one has passed on, where there was one.
pub(super) fn receive(control: &Path) -> Option<Box<Relay>> {
    let path = beside(control);
    let text = fs::read(&path).ok()?;
    // A crash later on is no restart in place.
    if let Err(error) = fs::remove_file(&path) {
        warn!("cannot remove {}: {error}; what it says does not count", path.display());
        return None;
    }
    let passed: Passed = serde_json::from_slice(&text).ok()?;
    let is_for_this = match passed.process {
        Some(process) => process == id(),
        None => passed.relay.is_of_the_last(now(), STARTED_WITHIN),
    };
    is_for_this.then_some(passed.relay)
}

impl Program {
    pub(super) fn this() -> Self {
        Program { path: env::current_exe().ok(), arguments: env::args_os().collect() }
    }

    fn path(&self) -> Result<&Path, String> {
        self.path.as_deref().ok_or_else(|| "the path of this program is not known".to_owned())
    }

    /// Has the program check the configuration: it must run, and take the file as it is now.
    pub(super) fn attempt(&self, config: &Path, reading: &Options) -> Result<(), Vec<String>> {
        let path = self.path().map_err(|line| vec![line])?;
        let mut check = Command::new(path);
        check.arg("check").args(reading.lenient.then_some("--lenient"));
        check.args(reading.vrrp_only.then_some("--vrrp-only"));
        check.args(reading.config_id.as_ref().map(|id| format!("--config-id={id}")));
        check.arg(config).stdin(Stdio::null());
        let told = check.output().map_err(|error| vec![format!("cannot run {self}: {error}")])?;
        if told.status.success() {
            return Ok(());
        }
        let mut lines = vec![format!("{self} does not take the configuration; this process goes on")];
        lines.extend(String::from_utf8_lossy(&told.stderr).lines().map(str::to_owned));
        Err(lines)
    }

    /// Starts the program in place of this one. Returns only why it could not.
    pub(super) fn replace(&self, control: &Path, relay: &Relay) -> Result<Infallible, String> {
        let text = |text: &std::ffi::OsStr| {
            CString::new(text.as_bytes()).map_err(|_| "an argument has a zero in it".to_owned())
        };
        let path = text(self.path()?.as_os_str())?;
        let arguments = self.arguments.iter().map(|word| text(word)).collect::<Result<Vec<_>, _>>()?;
        pass(control, Some(id()), relay)?;
        privileges::pass_on()?;
        scheduling::pass_on();
        execv(&path, &arguments).map_err(|errno| {
            let _ = fs::remove_file(beside(control));
            format!("{self}: {errno}")
        })
    }
}

/// Leaves what the next one must know for whoever is started next: this process ends now.
pub(super) fn leave(control: &Path, relay: &Relay) -> Result<(), String> {
    pass(control, None, relay)
}

fn pass(control: &Path, process: Option<u32>, relay: &Relay) -> Result<(), String> {
    let path = beside(control);
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let relay = Box::new(relay.clone());
        file.write_all(&serde_json::to_vec(&Passed { process, relay })?)
    };
    write().map_err(|error| format!("cannot write {}: {error}", path.display()))
}
