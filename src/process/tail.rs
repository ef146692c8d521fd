//! The end of what a process said: read as it comes, so that it never blocks, kept bounded.

use std::future::pending;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// How much of the output is kept, bytes.
const KEPT: usize = 4096;
/// How much a pipe holds, bytes: more than this cannot have been written before the end.
const PIPE: usize = 65_536;

/// The last bytes of an output.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        if let Some(excess) = self.bytes.len().checked_sub(KEPT + 1) {
            self.bytes.drain(..=excess);
            self.cut = true;
        }
    }

    /// As text; where something was cut off, from the next whole line on.
    pub(super) fn into_text(self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let whole = match text.split_once('\n') {
            Some((_, rest)) if self.cut && !rest.trim().is_empty() => rest,
            _ => &text,
        };
        whole.trim_end().to_owned()
    }
}

/// The reading end of a process's standard output and error.
#[derive(Debug)]
pub(super) struct Output(Option<Receiver>);

impl Output {
    /// Must be called on the runtime.
    pub(super) fn new(reader: PipeReader) -> io::Result<Self> {
        Receiver::from_owned_fd(OwnedFd::from(reader)).map(|receiver| Output(Some(receiver)))
    }

    /// Waits for more and keeps it; for ever once there is no more. Cancel safe.
    pub(super) async fn read(&mut self, tail: &mut Tail) {
        let Some(receiver) = &mut self.0 else {
            return pending().await;
        };
        let mut buffer = [0; KEPT];
        match receiver.read(&mut buffer).await {
            Ok(count) if count > 0 => tail.push(buffer.get(..count).unwrap_or_default()),
            _ => self.0 = None,
        }
    }

    /// Takes what is there now. Where processes in the background still hold the other end, their
    /// output is read and dropped from here on: closing it would kill them at their next word.
    pub(super) fn drain(&mut self, tail: &mut Tail) {
        let Some(mut receiver) = self.0.take() else { return };
        let mut buffer = [0; KEPT];
        for _ in 0..=PIPE / KEPT {
            match receiver.try_read(&mut buffer) {
                Ok(count) if count > 0 => tail.push(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                _ => return,
            }
        }
        tokio::spawn(
            async move { while matches!(receiver.read(&mut buffer).await, Ok(count) if count > 0) {} },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_whole_lines() {
        let mut tail = Tail::default();
        for number in 0..2000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let text = tail.into_text();
        assert!(text.len() <= KEPT && text.len() > KEPT - 16, "{}", text.len());
        assert!(text.starts_with("line 1") && text.ends_with("line 1999"), "{text}");
    }

    #[test]
    fn one_endless_line_is_cut_but_not_lost() {
        let mut tail = Tail::default();
        tail.push(&[b'x'; 3 * KEPT]);
        assert_eq!(tail.into_text(), "x".repeat(KEPT));
    }

    #[test]
    fn bytes_that_are_not_text_do_no_harm() {
        let mut tail = Tail::default();
        tail.push(b"caf\xe9\n");
        assert_eq!(tail.into_text(), "caf\u{fffd}");
    }
}
