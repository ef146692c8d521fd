//! Probe: a file is as it should be.

use super::target::plain;
use super::{Attempt, Pattern};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How much of a file is looked through for a pattern, in bytes.
pub const READ: u64 = 1024 * 1024;

/// What the file must be. It must exist in any case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The file, absolute; links are followed.
    pub path: PathBuf,
    /// It can be opened for reading.
    pub readable: bool,
    /// It is a regular file and its first [`READ`] bytes match.
    pub contains: Option<Pattern>,
    /// It was changed less than this long ago; a change in the future counts as now.
    pub younger_than: Option<Duration>,
    /// The number it begins with is read: whoever tracks the check adds it to its priority. A
    /// missing file, and one that begins with no number, reads 0 and passes.
    pub number: bool,
    /// The file is made when the daemon starts.
    pub make: Option<Make>,
}

/// How a file is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Make {
    /// The number in it.
    pub number: i32,
    /// Also where it is there already.
    pub overwrite: bool,
}

impl Config {
    /// Makes the file, if it is to be made and not there. Blocks on the file system.
    ///
    /// # Errors
    /// One line with path and reason.
    pub fn make(&self) -> Result<(), String> {
        let Some(make) = self.make else { return Ok(()) };
        let mut options = OpenOptions::new();
        // What is behind a link is not ours to overwrite; nor is a FIFO waited for.
        let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
        options.write(true).custom_flags(flags.bits());
        if make.overwrite {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        match options.open(&self.path).and_then(|mut file| writeln!(file, "{}", make.number)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !make.overwrite => Ok(()),
            written => {
                written.map_err(|error| format!("cannot make {}: {}", self.path.display(), plain(&error)))
            }
        }
    }
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
    if config.number {
        let path = config.path.clone();
        attempt.reads(attempt.lane.run(move || Ok(number(&path))).await?);
        return Ok(());
    }
    let config = config.clone();
    attempt.lane.run(move || look(&config)).await
}

fn look(config: &Config) -> Result<(), String> {
    let path = config.path.display();
    let failed = |error: std::io::Error| format!("{path}: {}", plain(&error));
    let metadata = std::fs::metadata(&config.path).map_err(failed)?;
    if let Some(limit) = config.younger_than {
        let changed = metadata.modified().map_err(failed)?;
        let age = SystemTime::now().duration_since(changed).unwrap_or(Duration::ZERO);
        if age >= limit {
            return Err(format!("{path} is {}s old, wanted less than {limit:?}", age.as_secs()));
        }
    }
    if !config.readable && config.contains.is_none() {
        return Ok(());
    }
    let file = open(&config.path).map_err(failed)?;
    let Some(pattern) = &config.contains else {
        return Ok(());
    };
    if !metadata.is_file() {
        return Err(format!("{path} is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(READ).read_to_end(&mut content).map_err(failed)?;
    if pattern.matches(&content) { Ok(()) } else { Err(format!("{path} does not contain {pattern}")) }
}

/// The leading whole number, as far as it fits.
fn number(path: &Path) -> i32 {
    const DIGITS: u64 = 64;
    let mut text = String::new();
    let read = open(path).and_then(|file| file.take(DIGITS).read_to_string(&mut text));
    let text = if read.is_ok() { text.trim_start() } else { "" };
    let digits = |c: char| !c.is_ascii_digit();
    let end = text.strip_prefix(['-', '+']).map_or_else(
        || text.find(digits).unwrap_or(text.len()),
        |rest| 1 + rest.find(digits).unwrap_or(rest.len()),
    );
    let number = text[..end].parse::<i64>().unwrap_or(0);
    i32::try_from(number.clamp(i32::MIN.into(), i32::MAX.into())).unwrap_or(0)
}

/// Opens without waiting for the other end, should the path be a FIFO.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path)
}
