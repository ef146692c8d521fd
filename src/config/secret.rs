//! Secrets: never in the configuration itself, always in a file of their own or a systemd credential.

use super::section::Wrong;
use crate::process::User;
use crate::vrrp::auth::{PASSWORD_LEN, Secret};
use crate::vrrp::hmac::KEY_LEN;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Reads a secret from where a reference leads, such as [`password`] or [`key`]. Relative paths begin in a directory,
/// credentials in `$CREDENTIALS_DIRECTORY`.
pub(super) type Reading = fn(&str, &Path, Option<&OsStr>) -> Result<Secret, Wrong>;

/// What a secret is called, and how the file with it ends.
#[derive(Clone, Copy)]
struct Kind {
    word: &'static str,
    ending: &'static str,
}

const PASSWORD: Kind = Kind { word: "password", ending: "pass" };
const KEY: Kind = Kind { word: "key", ending: "key" };
const TOKEN: Kind = Kind { word: "token", ending: "token" };

/// What a reference names.
enum Source {
    File(PathBuf),
    Credential(PathBuf),
}

/// The user of the packaged unit, who can read nobody else's files.
const DAEMON: &str = "locum";
/// Permission bits for anyone but the owner.
const OTHERS: u32 = 0o077;
/// The shortest token, in bytes.
const SHORTEST_TOKEN: usize = 16;
/// How a key in hexadecimal digits begins, as keepalived has it.
const HEX: &[u8] = b"hex:";

/// Whether `reference` names a place at all: a mistake in the configuration, not of the place.
fn source(
    kind: Kind,
    reference: &str,
    directory: &Path,
    credentials: Option<&OsStr>,
) -> Result<Source, Wrong> {
    let Kind { word, ending } = kind;
    match reference.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Source::File(directory.join(path))),
        Some(("credential", name)) if !name.is_empty() && !name.contains('/') => match credentials {
            Some(credentials) => Ok(Source::Credential(Path::new(credentials).join(name))),
            None => Err(no_credentials(name)),
        },
        _ => Err(Wrong::new(format!("a {word} does not stand in the configuration, which many can read"))
            .help(format!(
                "write it into a file of mode 600 that is {DAEMON}'s and refer to it: \
                 \"file:/etc/locum/NAME.{ending}\"; or to a systemd credential: \"credential:NAME\""
            ))),
    }
}

fn no_credentials(name: &str) -> Wrong {
    Wrong::new(format!("there is no credential \"{name}\": $CREDENTIALS_DIRECTORY is not set"))
        .help(format!("add LoadCredential={name}:/path to the unit, and let systemd start Locum"))
}

/// Whether a reference is well-formed, wherever it leads.
pub(super) fn is_reference(reference: &str) -> bool {
    source(KEY, reference, Path::new("/"), Some(OsStr::new("/"))).is_ok()
}

/// The password that `reference` leads to.
pub(super) fn password(
    reference: &str,
    directory: &Path,
    credentials: Option<&OsStr>,
) -> Result<Secret, Wrong> {
    let (line, shown) = line(PASSWORD, reference, directory, credentials)?;
    match line.len() {
        1..=PASSWORD_LEN => Ok(Secret::new(line)),
        length => Err(Wrong::new(format!(
            "the password in {shown} has {length} bytes; VRRP version 2 carries {PASSWORD_LEN} on the wire"
        ))
        .help(format!("use at most {PASSWORD_LEN} bytes, the same on every peer"))),
    }
}

/// The token that `reference` leads to: what an `Authorization` header can carry (RFC 6750 section 2.1).
pub(super) fn token(reference: &str, directory: &Path, credentials: Option<&OsStr>) -> Result<Secret, Wrong> {
    let (line, shown) = line(TOKEN, reference, directory, credentials)?;
    let make = format!("make one: (umask 077; openssl rand -hex 32 > {shown})");
    if !line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte)) {
        let message = format!("the token in {shown} has something else than letters, digits and -._~+/=");
        return Err(Wrong::new(message).help(make));
    }
    if line.len() < SHORTEST_TOKEN {
        let message = format!("the token in {shown} has {} bytes: it is soon guessed", line.len());
        return Err(Wrong::new(message).help(make));
    }
    Ok(Secret::new(line))
}

/// The private key that `reference` leads to, as it stands there.
pub(super) fn private_key(
    reference: &str,
    directory: &Path,
    credentials: Option<&OsStr>,
) -> Result<Secret, Wrong> {
    line(KEY, reference, directory, credentials).map(|(pem, _)| Secret::new(pem))
}

/// The password of a user elsewhere that `reference` leads to: text of any length.
pub(super) fn login(reference: &str, directory: &Path, credentials: Option<&OsStr>) -> Result<Secret, Wrong> {
    let (line, shown) = line(PASSWORD, reference, directory, credentials)?;
    match str::from_utf8(&line) {
        Ok(_) => Ok(Secret::new(line)),
        Err(_) => Err(Wrong::new(format!("the password in {shown} is no text (UTF-8)"))),
    }
}

/// The key that `reference` leads to: bytes as they are, or hexadecimal digits behind `hex:`.
pub(super) fn key(reference: &str, directory: &Path, credentials: Option<&OsStr>) -> Result<Secret, Wrong> {
    let (line, shown) = line(KEY, reference, directory, credentials)?;
    let make =
        format!("make one: (umask 077; echo hex:$(openssl rand -hex 32) > {shown}), the same on every host");
    let bytes = match line.strip_prefix(HEX) {
        None => line,
        Some(digits) => hex(digits).ok_or_else(|| {
            let message = format!("the key in {shown} has something else than pairs of hexadecimal digits");
            Wrong::new(message).help(make.clone())
        })?,
    };
    if KEY_LEN.contains(&bytes.len()) {
        return Ok(Secret::new(bytes));
    }
    let (least, most) = (KEY_LEN.start(), KEY_LEN.end());
    let message = format!("the key in {shown} has {} bytes, wanted {least} to {most}", bytes.len());
    Err(Wrong::new(message).help(make))
}

/// The text that `reference` leads to: a password, a URL or a header of a receiver, which is called `word`.
pub(super) fn text(
    word: &'static str,
    reference: &str,
    directory: &Path,
    credentials: Option<&OsStr>,
) -> Result<String, Wrong> {
    let (line, shown) = line(Kind { word, ending: "secret" }, reference, directory, credentials)?;
    let text = String::from_utf8(line).ok().filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| Wrong::new(format!("the {word} in {shown} is not one line of text")))
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t')).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

/// What stands in the file, without its line end, and the file's name for people.
fn line(
    kind: Kind,
    reference: &str,
    directory: &Path,
    credentials: Option<&OsStr>,
) -> Result<(Vec<u8>, String), Wrong> {
    let (path, private) = match source(kind, reference, directory, credentials)? {
        Source::File(path) => (path, true),
        // systemd guards these itself, with an access list that shows as group permissions.
        Source::Credential(path) => (path, false),
    };
    let (word, shown) = (kind.word, path.display().to_string());
    let unreadable = |error: std::io::Error| {
        let help = if error.kind() == std::io::ErrorKind::PermissionDenied {
            let own = User::own().name;
            format!("this runs as {own}: chown {own} {shown}, or hand it over as a systemd credential")
        } else {
            format!("create it: install -m 600 -o {DAEMON} /dev/null {shown}, then write the {word} into it")
        };
        Wrong::new(format!("cannot read the {word}: {shown}: {error}")).help(help)
    };
    if private {
        let mode = fs::metadata(&path).map_err(unreadable)?.permissions().mode();
        if mode & OTHERS != 0 {
            let mode = mode & 0o777;
            return Err(Wrong::new(format!(
                "{shown} has mode {mode:03o}: others than its owner can get at it"
            ))
            .help(format!(
                "chmod 600 {shown}; under systemd its owner must be {DAEMON}: chown {DAEMON} {shown}"
            )));
        }
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Wrong::new(format!("{shown} is empty")).help(format!("write the {word} into it")));
    }
    Ok((line.to_vec(), shown))
}
