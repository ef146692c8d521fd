//! Asks a person whether something is meant.

use super::{Failure, NOT_DONE, USAGE, complain, say};
use std::io::{IsTerminal, stdin};

/// Asks on the terminal. `Ok(Some(code))`: it is not meant, or nobody can be asked, which has been told.
pub(super) fn confirm(question: &str) -> Result<Option<u8>, Failure> {
    if !stdin().is_terminal() {
        complain("nobody can be asked whether that is meant: add --yes");
        return Ok(Some(USAGE));
    }
    say(&format!("{question} [y/N] "))?;
    let mut line = String::new();
    let read = stdin().read_line(&mut line);
    if read.is_err() || !["y", "yes"].contains(&line.trim().to_lowercase().as_str()) {
        complain("nothing is changed");
        return Ok(Some(NOT_DONE));
    }
    Ok(None)
}
