//! Hooks and the processes they run in: real scripts in real directories, as `nobody` where the
//! tests run as root, as oneself otherwise.

mod hooks;
mod process;
mod vet;

use locum::process::{User, resolve_user};
use nix::unistd::geteuid;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for anything that shall end by itself.
const AMPLE: Duration = Duration::from_secs(30);

fn is_root() -> bool {
    geteuid().is_root()
}

/// The user of the scripts.
fn user() -> User {
    if is_root() { resolve_user("nobody").expect("every machine has nobody") } else { User::own() }
}

/// A directory with scripts, and one in it where they may write.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().expect("a directory"));
        mode(place.path(), 0o755);
        fs::create_dir(place.path().join("out")).expect("a directory");
        mode(&place.path().join("out"), 0o1777);
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn out(&self, name: &str) -> PathBuf {
        self.path().join("out").join(name)
    }

    /// What the scripts wrote there, empty where there is nothing yet.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.out(name)).unwrap_or_default()
    }

    /// A shell script; `$out` is where it may write.
    fn script(&self, name: &str, body: &str) -> String {
        let path = self.path().join(name);
        let out = self.path().join("out");
        write_elsewhere(&path, &format!("#!/bin/sh\nout={}\n{body}\n", out.display()));
        mode(&path, 0o755);
        path.to_str().expect("UTF-8").to_owned()
    }
}

/// Writes in a child: a file open for writing here could be inherited by a fork of another test
/// for a moment, and then not be run ("text file busy").
fn write_elsewhere(path: &Path, text: &str) {
    let mut tee = Command::new("tee");
    let mut tee = tee.arg(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("tee");
    tee.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    assert!(tee.wait().expect("tee").success());
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own file");
}

/// Waits until `what` holds; fails when it never does.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// Whether the process whose id is in `text` runs; one that only waits to be collected does not.
fn runs(text: &str) -> bool {
    let id: u32 = text.trim().parse().expect("a process id");
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}
