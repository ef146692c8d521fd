//! A file that remembers which addresses are Locum's, for kernels that forget the mark.
//!
//! It belongs where a reboot empties it (`/run`), as the addresses go with a reboot too. One line per
//! address: `eth0 10.0.0.1/32`.

use super::wanted::Place;
use crate::agent::Install;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Journal {
    path: Option<PathBuf>,
    written: BTreeSet<Place>,
}

impl Journal {
    /// Reads what an earlier process has left; nothing where there is no file.
    pub(super) fn open(path: Option<PathBuf>) -> Self {
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        Journal { path, written: parse(&text) }
    }

    /// What it says.
    pub(super) fn places(&self) -> &BTreeSet<Place> {
        &self.written
    }

    /// Makes it say this, at once and wholly; an empty list removes the file.
    pub(super) fn write(&mut self, places: &BTreeSet<Place>) -> io::Result<()> {
        let Some(path) = self.path.as_ref().filter(|_| self.written != *places) else { return Ok(()) };
        if places.is_empty() {
            fs::remove_file(path)?;
        } else {
            let line = |place: &Place| format!("{} {}/{}\n", place.interface, place.address, place.prefix);
            replace(path, &places.iter().map(line).collect::<String>())?;
        }
        self.written.clone_from(places);
        Ok(())
    }
}

/// Makes the file say this, wholly or not at all, and leaves no half one behind.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

pub(super) fn parse(text: &str) -> BTreeSet<Place> {
    text.lines().filter_map(place).collect()
}

fn place(line: &str) -> Option<Place> {
    let (interface, rest) = line.split_once(' ')?;
    let (address, prefix) = rest.split_once('/')?;
    let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
    Some(Place { interface: interface.into(), install: Install::Address, address, prefix })
}
