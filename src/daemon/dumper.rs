//! Writes the dumps that signals ask for: knows where they go, and which counters were cleared. What is in a dump is
//! decided in `dump`.

use super::dump::{self, Cleared, Dump};
use super::overrides::Overrides;
use super::scheduling;
use crate::agent::status::Status;
use crate::config::Config;
use jiff::Timestamp;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Where dumps go: where keepalived puts them if this stands in for it, otherwise beside the control socket.
pub(super) fn dumps<'a>(overrides: &'a Overrides, config: &'a Config) -> &'a Path {
    let beside = || config.details.control.path.parent().unwrap_or(Path::new("/"));
    overrides.instead.as_ref().map_or_else(beside, |instead| &instead.dumps)
}

pub(super) struct Dumper {
    directory: PathBuf,
    cleared: Cleared,
}

impl Dumper {
    pub(super) fn new(directory: &Path) -> Self {
        Dumper { directory: directory.to_owned(), cleared: Cleared::new() }
    }

    /// Writes this dump of how everything stands by the configuration in force.
    pub(super) fn dump(&mut self, dump: Dump, status: &Status, config: &Config) {
        let now = Timestamp::now();
        let text = match dump {
            Dump::Data => dump::data(status, config, now),
            Dump::Json => dump::json(status, config, &self.cleared, now),
            Dump::Stats | Dump::ClearStats => dump::stats(status, &self.cleared),
        };
        if dump == Dump::ClearStats {
            self.cleared = dump::counters(status);
        }
        let directory = self.directory.clone();
        // A disk that hangs must not delay an advert.
        let write = move || {
            let path = directory.join(dump.file_name());
            match write(&directory, dump.file_name(), &text) {
                Ok(()) => {
                    info!(target: "locum::history", "a signal asked for it: {} is written", path.display());
                }
                Err(error) => {
                    warn!(target: "locum::history", "{} cannot be written: {error}", path.display());
                }
            }
        };
        if let Err(error) = scheduling::spawn("dump", write) {
            warn!(target: "locum::history", "no dump can be written: {error}");
        }
    }
}

/// Puts `text` into `directory` as `name`, readable by its owner alone, whole or not at all. What
/// stands there is replaced, never followed.
fn write(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let nonce = Timestamp::now().as_nanosecond();
    let hidden = directory.join(format!(".{name}.{}.{nonce}", std::process::id()));
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&hidden);
    let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
    let written = written.and_then(|()| fs::rename(&hidden, directory.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    written
}
