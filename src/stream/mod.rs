//! Connections as probes, messages and records need them: TLS on top of them, HTTP, and their errors in words.

pub mod dial;
pub mod http;
pub mod retry;
pub mod tls;

use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection of any kind, with TLS or without.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An error of a connection to `whom`, for people.
#[must_use]
pub fn said(error: &io::Error, whom: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused by {whom}"),
        io::ErrorKind::ConnectionReset => format!("connection reset by {whom}"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => format!("connection closed by {whom}"),
        _ => format!("{whom}: {}", plain(error)),
    }
}

/// An error without its number: "permission denied", not "Permission denied (os error 13)".
#[must_use]
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !text.chars().nth(1).is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_said_without_numbers_and_in_small_letters() {
        let error = io::Error::from_raw_os_error(nix::libc::EACCES);
        assert_eq!(plain(&error), "permission denied");
        assert_eq!(plain(&io::Error::other("TLS is odd")), "TLS is odd");
    }
}
