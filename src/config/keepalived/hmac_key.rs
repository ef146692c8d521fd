//! A key of `auth_hmac`: `hex:…`, text, or `file:…` with either in it. Never told of in messages.

use super::tree::Word;
use crate::config::section::Wrong;
use crate::vrrp::auth::Secret;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

/// The bytes a key may have.
const LENGTH: std::ops::RangeInclusive<usize> = 32..=64;
/// As much of a file as holds the longest key.
const FILE: u64 = 138;
/// Permission bits for anyone but the owner.
const OTHERS: u32 = 0o077;

/// Reads a key, and the file it is in.
pub(super) fn key(word: &Word) -> Result<Secret, Wrong> {
    let text = match word.text.strip_prefix("file:") {
        Some(path) => from_file(path)?,
        None => word.text.clone(),
    };
    let bytes = match text.strip_prefix("hex:") {
        Some(digits) => hex(digits).ok_or_else(|| {
            Wrong::new("this is no key: after hex: stand pairs of hexadecimal digits")
                .help("make one: openssl rand -hex 32")
        })?,
        None => text.into_bytes(),
    };
    if LENGTH.contains(&bytes.len()) {
        return Ok(Secret::new(bytes));
    }
    let message =
        format!("a key has {} to {} bytes, this one has {}", LENGTH.start(), LENGTH.end(), bytes.len());
    Err(Wrong::new(message).help("make one: openssl rand -hex 32, and write hex: before it"))
}

fn from_file(path: &str) -> Result<String, Wrong> {
    let unreadable = |error: std::io::Error| {
        Wrong::new(format!("cannot read the key: {path}: {error}")).help("write the key into it, mode 600")
    };
    let file = OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path);
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    // systemd guards credentials itself, with an access list that shows as group permissions.
    let guarded = std::env::var("CREDENTIALS_DIRECTORY").is_ok_and(|folder| path.starts_with(&folder));
    if mode & OTHERS != 0 && !guarded {
        return Err(Wrong::new(format!(
            "{path} has mode {:03o}: others than its owner can get at it",
            mode & 0o777
        ))
        .help(format!("chmod 600 {path}")));
    }
    let mut text = String::new();
    file.map_err(unreadable)?.take(FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Pairs of digits, blanks between them or not.
fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits
        .chars()
        .filter(|sign| !sign.is_whitespace())
        .map(|sign| sign.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, Wrong> {
        let word = Word { text: text.to_owned(), quoted: false, span: 0..0 };
        key(&word).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn keys_are_text_or_hexadecimal_of_32_to_64_bytes() {
        assert_eq!(read(&"k".repeat(32)).unwrap(), [b'k'; 32]);
        assert_eq!(read(&format!("hex:{}", "0f ".repeat(64))).unwrap(), [0x0f; 64]);
        assert!(read(&"k".repeat(31)).is_err() && read(&"k".repeat(65)).is_err());
        assert!(read(&format!("hex:{}", "zz".repeat(32))).is_err());
    }

    #[test]
    fn a_wrong_key_is_not_told() {
        let wrong = read("hush-hush").unwrap_err();
        assert!(!format!("{wrong:?}").contains("hush"), "{wrong:?}");
    }
}
