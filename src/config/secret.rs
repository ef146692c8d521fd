//! Secrets: never in the configuration itself, always in a file of their own or a systemd credential.

use super::section::Wrong;
use crate::vrrp::auth::{PASSWORD_LEN, Secret};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a password refers to.
enum Source {
    File(PathBuf),
    Credential(PathBuf),
}

/// Permission bits for anyone but the owner.
const OTHERS: u32 = 0o077;

/// Whether `reference` names a place at all: a mistake in the configuration, not of the place.
///
/// `directory` is where relative paths begin, `credentials` is `$CREDENTIALS_DIRECTORY`.
fn source(reference: &str, directory: &Path, credentials: Option<&OsStr>) -> Result<Source, Wrong> {
    match reference.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Source::File(directory.join(path))),
        Some(("credential", name)) if !name.is_empty() && !name.contains('/') => match credentials {
            Some(credentials) => Ok(Source::Credential(Path::new(credentials).join(name))),
            None => Err(no_credentials(name)),
        },
        _ => Err(Wrong::new("a password does not stand in the configuration, which many can read").help(
            "write it into a file of mode 600 and refer to it: \"file:/etc/locum/NAME.pass\"; \
             or to a systemd credential: \"credential:NAME\"",
        )),
    }
}

fn no_credentials(name: &str) -> Wrong {
    Wrong::new(format!("there is no credential \"{name}\": $CREDENTIALS_DIRECTORY is not set"))
        .help(format!("add LoadCredential={name}:/path to the unit, and let systemd start Locum"))
}

/// Whether a reference is well-formed, wherever it leads.
pub(super) fn is_reference(reference: &str) -> bool {
    source(reference, Path::new("/"), Some(OsStr::new("/"))).is_ok()
}

/// The password that `reference` leads to, without its line end.
pub(super) fn password(
    reference: &str,
    directory: &Path,
    credentials: Option<&OsStr>,
) -> Result<Secret, Wrong> {
    let (path, private) = match source(reference, directory, credentials)? {
        Source::File(path) => (path, true),
        // systemd guards these itself, with an access list that shows as group permissions.
        Source::Credential(path) => (path, false),
    };
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Wrong::new(format!("cannot read the password: {shown}: {error}"))
            .help(format!("create it: install -m 600 /dev/null {shown}, then write the password into it"))
    };
    if private {
        let mode = fs::metadata(&path).map_err(unreadable)?.permissions().mode();
        if mode & OTHERS != 0 {
            let mode = mode & 0o777;
            return Err(Wrong::new(format!(
                "{shown} has mode {mode:03o}: others than its owner can get at it"
            ))
            .help(format!("chmod 600 {shown}")));
        }
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.len() {
        0 => Err(Wrong::new(format!("{shown} is empty")).help("write the password into it")),
        1..=PASSWORD_LEN => Ok(Secret::new(line)),
        length => Err(Wrong::new(format!(
            "the password in {shown} has {length} bytes; VRRP version 2 carries {PASSWORD_LEN} on the wire"
        ))
        .help(format!("use at most {PASSWORD_LEN} bytes, the same on every peer"))),
    }
}
