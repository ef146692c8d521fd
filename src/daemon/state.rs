//! The file that outlives the process: what the agent wants remembered, beside the control socket.
//!
//! Written by a thread of its own, since a disk may hang and an advert must not; whole or not at all, and for
//! its owner alone. Whatever cannot be read is as good as nothing.

use super::scheduling;
use crate::agent::Memory;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::warn;

/// How often to look whether the last word is written.
const LOOK: Duration = Duration::from_millis(1);

/// The writing end.
pub(super) struct Keeper {
    to: Option<Sender<Memory>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

/// Where it is, for the daemon with this control socket.
pub(super) fn path(control: &Path) -> PathBuf {
    control.with_extension("state")
}

/// What an earlier process left behind.
pub(super) fn read(path: &Path) -> Memory {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            warn!("{} is of no use and is written anew: {error}", path.display());
            Memory::default()
        }),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                warn!("cannot read {}: {error}", path.display());
            }
            Memory::default()
        }
    }
}

impl Keeper {
    pub(super) fn new(path: PathBuf) -> Self {
        Keeper { to: None, thread: None, path }
    }

    /// Has `memory` written, after what is being written now.
    pub(super) fn keep(&mut self, memory: Memory) {
        let path = &self.path;
        let to = self.to.get_or_insert_with(|| {
            let (to, from) = channel();
            let path = path.clone();
            let body = move || write_all(&path, &from);
            // Without the thread nobody listens, and nothing is remembered.
            self.thread = scheduling::spawn("state", body).ok();
            to
        });
        let _ = to.send(memory);
    }

    /// Waits until all is written, at most `within`.
    pub(super) fn finish(&mut self, within: Duration) {
        self.to = None;
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + within;
        while !thread.is_finished() {
            if Instant::now() >= end {
                return warn!("{} could not be written within {}s", self.path.display(), within.as_secs());
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn write_all(path: &Path, from: &Receiver<Memory>) {
    let mut complained = false;
    while let Ok(memory) = from.recv() {
        // Only the latest counts.
        let memory = from.try_iter().last().unwrap_or(memory);
        let written = write(path, &memory);
        if let Err(error) = &written
            && !complained
        {
            warn!("cannot write {}: {error}: after a restart, adverts may be replayed once", path.display());
        }
        complained = written.is_err();
    }
}

fn write(path: &Path, memory: &Memory) -> io::Result<()> {
    let new = path.with_extension("state.new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(&serde_json::to_vec(memory)?).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_last_word_is_found_by_the_next_process_and_by_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = path(&place.path().join("locum.sock"));
        assert_eq!(read(&path), Memory::default());
        let memory = |vrid: u8| {
            let text = format!(
                r#"[{{"interface":"eth0","vrid":{vrid},"family":"ipv4","ledger":{{"sent":7493989781700083712,
                "marks":[["10.0.0.2",7493989781700083713]],"ah":{{"last":9,"said_by":[1]}}}}}}]"#
            );
            serde_json::from_str::<Memory>(&text).unwrap()
        };
        let mut keeper = Keeper::new(path.clone());
        for vrid in 1..=50 {
            keeper.keep(memory(vrid));
        }
        keeper.finish(Duration::from_secs(10));
        assert_eq!(read(&path), memory(50));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_as_good_as_none() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("locum.state");
        for text in
            ["", "{", "[1]", "[{\"interface\":\"eth0\",\"vrid\":0,\"family\":\"ipv4\",\"ledger\":{}}]"]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&path), Memory::default(), "{text}");
        }
    }
}
