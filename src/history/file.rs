//! Appends lines to the record, and keeps it bounded: a full file becomes `PATH.1`, that one `PATH.2`, and
//! the oldest goes.
//!
//! Whatever fails costs the lines in hand and nothing else: the next attempt begins with opening anew. A
//! line is there wholly or not at all; only a host that loses power may leave half of one.

use super::entry::{Entry, Event, LastRun};
use super::read;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::iter;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::slice;
use std::thread;
use std::time::Duration;

/// How often to ask for the lock, and the pause in between: a tenth of a second in all.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Where the record is, and how much of it there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file that is written.
    pub path: PathBuf,
    /// How long it may become, in bytes.
    pub size: u64,
    /// How many full ones stay beside it.
    pub keep: u32,
}

/// The record as its writer has it.
#[derive(Debug)]
pub struct File {
    settings: Settings,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: fs::File,
    length: u64,
    /// Device and inode: whether the path still leads here.
    identity: (u64, u64),
}

/// The full file that is `age` files older than the one that is written.
#[must_use]
pub fn rotated(path: &Path, age: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

impl File {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        File { settings, open: None }
    }

    /// Where it is, and its bounds.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How the run before this one ended. To be asked before the first [`File::append`]. `boot` is the
    /// kernel's name for the time since the host was started.
    #[must_use]
    pub fn last_run(&self, boot: &str) -> LastRun {
        let paths = [self.settings.path.clone(), rotated(&self.settings.path, 1)];
        // The file that is written may just have been begun.
        for bytes in paths.iter().filter_map(|path| read::bytes(path).ok()) {
            let mut entries = read::backwards(&bytes);
            let Some(last) = entries.next() else { continue };
            if let Event::Stopped { .. } = last.event {
                return LastRun::Stopped;
            }
            let seen = last.time;
            let started = iter::once(last).chain(entries).find_map(|entry| match entry.event {
                Event::Started(started) => Some(started.boot),
                _ => None,
            });
            return LastRun::Broken { seen, rebooted: started.is_some_and(|last| last != boot) };
        }
        LastRun::None
    }

    /// Writes one line and sees to it that it outlives a crash. Blocks on the disk.
    ///
    /// # Errors
    /// Whatever the system says. The file is as it was before.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.append_some(slice::from_ref(entry)).map(drop)
    }

    /// The same with those of several that one file takes, in one go: the disk's time is by the go and not by the line.
    /// Returns how many, of one or more at least one.
    ///
    /// # Errors
    /// As [`File::append`].
    pub fn append_some(&mut self, entries: &[Entry]) -> io::Result<usize> {
        let mut lines = Vec::new();
        let mut ends = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
            ends.push(lines.len());
        }
        let Some(first) = ends.first().copied() else { return Ok(0) };
        let mut open = match self.open.take().filter(|open| open.is_at(&self.settings.path)) {
            Some(open) => open,
            None => self.open_anew()?,
        };
        let fits = |open: &Open, length: usize| open.length + length as u64 <= self.settings.size;
        if open.length > 0 && !fits(&open, first) {
            self.rotate()?;
            open = self.open_anew()?;
        }
        let count = ends.partition_point(|end| fits(&open, *end)).max(1);
        open.write(lines.get(..ends[count - 1]).unwrap_or_default())?;
        self.open = Some(open);
        Ok(count)
    }

    fn open_anew(&self) -> io::Result<Open> {
        let path = &self.settings.path;
        fs::create_dir_all(folder(path))?;
        self.forget_old()?;
        Open::new(path)
    }

    fn rotate(&self) -> io::Result<()> {
        let Settings { path, keep, .. } = &self.settings;
        for age in (1..*keep).rev() {
            match fs::rename(rotated(path, age), rotated(path, age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if *keep == 0 { fs::remove_file(path) } else { fs::rename(path, rotated(path, 1)) }
    }

    /// Removes what is older than what is kept: it may have been more before.
    fn forget_old(&self) -> io::Result<()> {
        let Settings { path, keep, .. } = &self.settings;
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        for entry in fs::read_dir(folder(path))? {
            let entry = entry?.file_name();
            let age = entry.to_str().and_then(|entry| entry.strip_prefix(name)?.strip_prefix('.'));
            if let Some(age) = age.and_then(|age| age.parse::<u32>().ok()).filter(|age| age > keep) {
                fs::remove_file(rotated(path, age))?;
            }
        }
        Ok(())
    }
}

/// Where a file is: a name alone is one of the working directory.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        // Neither a link to elsewhere nor a pipe that nobody reads.
        let flags = O_NOFOLLOW | O_NONBLOCK;
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        lock(&file)?;
        let identity = (metadata.dev(), metadata.ino());
        let mut open = Open { file, length: metadata.len(), identity };
        open.close_torn()?;
        Ok(open)
    }

    /// A crash may have left half a line: what comes next is one of its own.
    fn close_torn(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if let Some(at) = self.length.checked_sub(1) {
            self.file.read_exact_at(&mut last, at)?;
        }
        if last == [b'\n'] { Ok(()) } else { self.write(b"\n") }
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // Half a line would spoil the next one; to be shorter needs no space.
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }
}

/// Makes this the only writer. A program just being started shares the lock of a file that was closed
/// meanwhile, for a moment: that long one waits.
fn lock(file: &fs::File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(io::Error::other("another locum writes it; name another in [journal]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_a_file_of_the_working_directory() {
        for (path, wanted) in [("history.jsonl", "."), ("x/history.jsonl", "x"), ("/history.jsonl", "/")] {
            assert_eq!(folder(Path::new(path)), Path::new(wanted));
        }
    }
}
