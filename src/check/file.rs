//! Probe: a file is as it should be.

use super::target::plain;
use super::{Attempt, Pattern};
use std::fs::{File, OpenOptions};
use std::io::Read;
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
}

pub(super) async fn probe(config: &Config, attempt: &Attempt<'_>) -> Result<(), String> {
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

/// Opens without waiting for the other end, should the path be a FIFO.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path)
}
