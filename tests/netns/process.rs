//! A program that a test has started: its output is kept, and shown when the test fails.

use crate::lab::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// It is killed when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    _dir: TempDir,
}

impl Process {
    pub fn start(name: &str, mut command: Command) -> Process {
        let dir = TempDir::new().unwrap();
        let log = dir.path().join("log");
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stderr(file.try_clone().unwrap()).stdout(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Process { name: name.to_owned(), child, log, _dir: dir }
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        log_of(&self.log)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait_until(&format!("{} ends", self.name), limit, || self.ended().is_some());
        self.child.wait().unwrap()
    }

    /// Waits until it has written `text`.
    pub fn wait_for(&self, text: &str, limit: Duration) {
        let what = format!("{} says {text:?}", self.name);
        wait_until(&what, limit, || self.log().contains(text));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("---- {} wrote:\n{}", self.name, self.log());
        }
    }
}

fn log_of(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
