//! A file with the daemon's process id. What keeps a second daemon out is a lock on it, which ends
//! with the process however that ends; what a dead daemon left in it does not matter.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// Another daemon runs. One line for people.
    #[error("{0}")]
    Runs(String),
    /// The file cannot be made. One line for people.
    #[error("{0}")]
    Cannot(String),
}

/// Held for the life of the daemon, and removed at its end.
#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: Flock<File>,
    written: bool,
}

impl PidFile {
    /// Makes it and locks it; what is in it stays.
    ///
    /// # Errors
    /// Another daemon runs, or the file cannot be made.
    pub(super) fn lock(path: &Path) -> Result<Self, Refused> {
        let shown = path.display();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| Refused::Cannot(format!("cannot make {}: {error}", folder.display())))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o644).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options
            .open(path)
            .map_err(|error| Refused::Cannot(format!("cannot open pid file {shown}: {error}")))?;
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Refused::Runs(format!("another daemon runs: it holds {shown}; stop it first")))?;
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        // keepalived itself holds no lock.
        if let Some(process) = text.trim().parse::<u32>().ok().filter(|process| is_keepalived(*process)) {
            let line = format!("keepalived runs already, as process {process} ({shown}): stop it first");
            return Err(Refused::Runs(line));
        }
        Ok(PidFile { path: path.to_owned(), file, written: false })
    }

    /// Writes this process's id.
    ///
    /// # Errors
    /// One line for people.
    pub(super) fn write(&mut self) -> Result<(), String> {
        let text = format!("{}\n", std::process::id());
        self.written = true;
        let written = self.file.set_len(0).and_then(|()| {
            std::io::Seek::rewind(&mut *self.file)?;
            self.file.write_all(text.as_bytes())
        });
        written.map_err(|error| format!("cannot write pid file {}: {error}", self.path.display()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // The process that only started the daemon leaves it alone.
        if self.written {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_keepalived(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let Some((name, rest)) = stat.split_once(" (").and_then(|(_, rest)| rest.rsplit_once(") ")) else {
        return false;
    };
    // One that is dead keeps its name until its parent has looked.
    process != std::process::id() && name == "keepalived" && !rest.starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_kept_out_until_the_first_has_gone_and_leftovers_do_not_matter() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run/daemon.pid");
        let mut first = PidFile::lock(&path).unwrap();
        first.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert!(matches!(PidFile::lock(&path), Err(Refused::Runs(_))));
        drop(first);
        assert!(!path.exists());
        fs::write(&path, "1\n").unwrap();
        PidFile::lock(&path).unwrap().write().unwrap();
    }

    #[test]
    fn a_keepalived_that_is_dead_and_not_waited_for_yet_does_not_run() {
        let place = tempfile::tempdir().unwrap();
        let (program, path) = (place.path().join("keepalived"), place.path().join("pid"));
        // Not by this process: what it has open for writing while another test starts a program cannot be run.
        let copied = std::process::Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap();
        assert!(copied.success());
        let mut other = std::process::Command::new(program).arg("60").spawn().unwrap();
        fs::write(&path, format!("{}\n", other.id())).unwrap();
        while !is_keepalived(other.id()) {
            std::thread::yield_now();
        }
        assert!(matches!(PidFile::lock(&path), Err(Refused::Runs(_))));
        other.kill().unwrap();
        while is_keepalived(other.id()) {
            std::thread::yield_now();
        }
        assert!(std::path::Path::new(&format!("/proc/{}", other.id())).exists(), "nobody has waited for it");
        PidFile::lock(&path).unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (link, precious) = (place.path().join("link"), place.path().join("precious"));
        fs::write(&precious, "kept").unwrap();
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        assert!(matches!(PidFile::lock(&link), Err(Refused::Cannot(_))));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
    }
}
