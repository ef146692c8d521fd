//! The front door from outside: files in; a configuration, or every problem with its place, out.

mod dns;
mod examples;
mod groups;
mod lints;
mod mends;
mod messages;
mod mistakes;
mod mutations;
mod problems;
mod reading;
mod secrets;
mod store;
mod tell;

use locum::config::{Config, Loaded, Problems, Secrets, parse, render_all};
use std::path::Path;

/// `text` as if it stood in `locum.toml`.
fn read(text: &str) -> Result<Loaded, Problems> {
    parse(text, Path::new("locum.toml"), Secrets::MustRead)
}

/// The configuration in `text`, which must be good.
fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|problems| panic!("{}", problems.render(false))).config
}

/// Everything that is said about `text`, good or bad, for people.
fn said(text: &str) -> String {
    match read(text) {
        Ok(loaded) => render_all(&loaded.warnings, false),
        Err(problems) => problems.render(false),
    }
}

/// A good router with `more` lines in it.
fn router(more: &str) -> String {
    format!("[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n{more}\n")
}

/// Fails unless `found` is `wanted`, both shown.
#[track_caller]
fn same(found: &str, wanted: &str) {
    let (found, wanted) = (found.trim_end(), wanted.trim_matches('\n').trim_end());
    assert!(found == wanted, "found:\n{found}\n\nwanted:\n{wanted}");
}

/// A section [claim] with a witness, and the file of its key.
fn claim() -> (tempfile::NamedTempFile, String) {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "0123456789abcdef0123456789abcdef\n").unwrap();
    let section = format!(
        "[claim]\nlisten = '10.0.0.9'\nkey = 'file:{}'\nvoters = {{ b = '10.0.0.8', w = '10.0.0.7' }}\nwitness = 'w'\n",
        key.path().display()
    );
    (key, section)
}
