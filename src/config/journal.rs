//! `[journal]`: the record of what happened, where it is and how long it may become.

use super::problem::Sink;
use super::section::{Section, Value, Wrong};
use super::value::{number, path};
use crate::history::{Settings, place};
use serde_spanned::Spanned;
use std::io;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The shortest file: far longer than any line.
const LEAST: u64 = 64 << 10;
/// The longest: what is read to show it is read whole.
const MOST: u64 = 256 << 20;
/// The most full files that are kept.
const MOST_KEPT: i64 = 100;

/// The record of what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Whether there is one.
    pub on: bool,
    /// Where it is, where that is said.
    pub path: Option<PathBuf>,
    /// How long one file may become, in bytes.
    pub size: u64,
    /// How many full files stay.
    pub keep: u32,
    /// Another file, bounded likewise, for changes of state alone.
    pub transitions: Option<PathBuf>,
    /// Another for changes of checks.
    pub health: Option<PathBuf>,
    /// Another for records of DNS: what was written, and what was ordered.
    pub dns: Option<PathBuf>,
}

impl Default for Journal {
    fn default() -> Self {
        Journal { on: true, path: None, size: 1 << 20, keep: 9, transitions: None, health: None, dns: None }
    }
}

impl Journal {
    /// What it means for the daemon with this control socket; `None` where there is no record.
    #[must_use]
    pub fn settings(&self, control: &Path) -> Option<Settings> {
        let usual = || place(control, Path::new(super::SOCKET));
        let path = || self.path.clone().unwrap_or_else(usual);
        self.on.then(|| Settings { path: path(), size: self.size, keep: self.keep })
    }
}

pub(super) fn read(top: &Section<'_>) -> Journal {
    let usual = Journal::default();
    let table = top.raw("journal").and_then(|value| top.inner("journal", value, "[journal]".to_owned()));
    let Some(section) = table else { return usual };
    let path = section.optional("path", path_or_off).map(Spanned::into_inner);
    let journal = Journal {
        on: path != Some(None),
        path: path.flatten(),
        size: section.optional("size", size).map_or(usual.size, Spanned::into_inner),
        keep: section.optional("keep", number(0, MOST_KEPT)).map_or(usual.keep, Spanned::into_inner),
        transitions: section.optional("transitions", self::path).map(Spanned::into_inner),
        health: section.optional("health", self::path).map(Spanned::into_inner),
        dns: section.optional("dns", self::path).map(Spanned::into_inner),
    };
    section.finish();
    journal
}

/// What the file at `path` says of its record and of the control socket, whatever else is in it: its
/// secrets need not be readable, and it need not be right.
///
/// # Errors
/// It cannot be read, or its syntax is wrong.
pub fn journal_of(path: &Path) -> io::Result<(Journal, Option<PathBuf>)> {
    if super::is_keepalived(path) {
        return Ok((Journal::default(), None));
    }
    let text = std::fs::read_to_string(path)?;
    let sink = Sink::new(path, &text);
    let (table, broken) = DeTable::parse_recoverable(&text);
    if let Some(error) = broken.first() {
        return Err(io::Error::other(error.message().trim().replace('\n', ", ")));
    }
    let top = Section::new(String::new(), table.span(), table.get_ref(), &sink);
    let Some(agent) = top.section("agent") else { return Ok((read(&top), None)) };
    let control = agent.section("control");
    let socket = control.and_then(|control| control.optional("path", super::value::path));
    let socket = socket.map_or_else(|| super::file::identity(&agent).socket(), Spanned::into_inner);
    Ok((read(&top), Some(socket)))
}

fn path_or_off(value: &Value<'_>) -> Result<Option<PathBuf>, Wrong> {
    match value.get_ref().as_str() {
        Some("off") => Ok(None),
        _ => path(value).map(Some),
    }
}

/// A number of bytes with its unit: `"512KiB"`, `"1MiB"`.
fn size(value: &Value<'_>) -> Result<u64, Wrong> {
    let DeValue::String(text) = value.get_ref() else {
        return Err(Wrong::kind(value, "a size: \"512KiB\", \"1MiB\""));
    };
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20)];
    let bytes = units.into_iter().find_map(|(unit, bytes): (_, u64)| {
        text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(bytes)
    });
    let bytes = bytes.ok_or_else(|| {
        Wrong::new(format!("\"{text}\" is not a size")).help("write a whole number and KiB or MiB: \"1MiB\"")
    })?;
    if (LEAST..=MOST).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Wrong::new(format!("this is \"{text}\", wanted a size from 64KiB to 256MiB")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_and_the_socket_are_found_in_a_file_that_is_wrong_otherwise() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("locum.toml");
        std::fs::write(
            &file,
            "[router.web]\nvrid = \"x\"\n[journal]\npath = \"/a/b\"\n[agent.control]\npath = \"/c\"\n",
        )
        .unwrap();
        let (journal, control) = journal_of(&file).unwrap();
        assert_eq!((journal.path, control), (Some("/a/b".into()), Some("/c".into())));
        std::fs::write(&file, "[journal]\npath = \"off\"\n").unwrap();
        assert_eq!(journal_of(&file).unwrap().0.settings(Path::new(super::super::SOCKET)), None);
        std::fs::write(&file, "[journal\n").unwrap();
        assert!(journal_of(&file).is_err());
    }

    #[test]
    fn a_size_has_its_unit_and_its_bounds() {
        let of = |text: &str| {
            let text = format!(
                "[journal]\nsize = {text}\n[router.web]\ninterface = \"eth0\"\nvrid = 1\naddresses = [\"10.0.0.1\"]\n"
            );
            let loaded = super::super::parse(&text, Path::new("x.toml"), super::super::Secrets::MustRead);
            loaded
                .map(|loaded| loaded.config.details.journal.size)
                .map_err(|problems| problems.0[0].to_string())
        };
        assert_eq!((of("\"64KiB\""), of("\"2 MiB\"")), (Ok(65_536), Ok(2 << 20)));
        for (wrong, why) in [
            ("1000", "wanted a size"),
            ("\"1MB\"", "write a whole number and KiB or MiB"),
            ("\"1KiB\"", "from 64KiB to 256MiB"),
            ("\"18446744073709551615MiB\"", "is not a size"),
        ] {
            assert!(of(wrong).is_err_and(|said| said.contains(why)), "{wrong}: {:?}", of(wrong));
        }
    }

    #[test]
    fn a_daemon_with_a_socket_of_its_own_has_a_record_of_its_own() {
        let of = |control: &str| Journal::default().settings(Path::new(control)).unwrap().path;
        assert_eq!(of("/run/locum/locum.sock"), Path::new("/var/lib/locum/history.jsonl"));
        assert_eq!(of("/tmp/x/second.sock"), Path::new("/tmp/x/second.history.jsonl"));
    }
}
