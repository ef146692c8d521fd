//! Where the conformance files are, and how they are read.

use serde::de::DeserializeOwned;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folders to judge by: the named one, else the project's own and the shared one. One that is
/// named and missing is a failure, not an empty test.
pub(crate) fn asked_for() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("CONFORMANCE_DIR") {
        let named = PathBuf::from(named);
        assert!(named.is_dir(), "CONFORMANCE_DIR names {}, which is no folder", named.display());
        return vec![named];
    }
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    [Some(own()), shared.is_dir().then_some(shared)].into_iter().flatten().collect()
}

/// The project's own folder, which has at least one file of every kind but captures.
pub(crate) fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// All there are: for the kinds of files that a named folder need not have.
pub(crate) fn all() -> Vec<PathBuf> {
    let mut folders = asked_for();
    if !folders.contains(&own()) {
        folders.push(own());
    }
    folders
}

/// The files of `folder` whose names begin and end so, sorted.
pub(crate) fn files(folder: &Path, begin: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(begin) && name.ends_with(end)
        })
        .collect();
    found.sort();
    found
}

/// Reads a JSON file.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes out of hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).expect("hexadecimal digits"))
        .collect()
}

/// A line for whoever runs the tests, also when they pass.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error");
}
