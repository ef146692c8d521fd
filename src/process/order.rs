//! What the daemon and a starter say to each other, a message each: bytes and back. Both are the same program, but a
//! starter runs as somebody who may not be trusted: nothing that it says is more than a few numbers.

use super::Command;
use super::Inherit;
use nix::libc::ENOEXEC;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeWriter};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{self, Stdio};

/// Where a script finds its programs, whatever the daemon was started with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The language a script speaks: messages that can be searched for, any character in names.
const LANG: &str = "C.UTF-8";
/// The longest order that a starter takes, bytes.
pub(super) const LONGEST: usize = 32 << 10;
/// How long what a starter says is, bytes.
pub(super) const SHORT: usize = 13;

/// What to start, in full: nothing else is handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) argv: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl Order {
    pub(super) fn of(command: &Command) -> Self {
        let mut environment: Vec<(OsString, OsString)> = match command.inherit {
            Inherit::Nothing => vec![("PATH".into(), PATH.into()), ("LANG".into(), LANG.into())],
            Inherit::Environment => {
                let left_out = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];
                env::vars_os().filter(|(name, _)| !left_out.iter().any(|left| name == left)).collect()
            }
        };
        let besides = command.environment.iter();
        environment.extend(besides.map(|(name, value)| (name.into(), value.into())));
        Order { argv: command.argv.iter().map(OsString::from).collect(), environment }
    }

    /// Starts it by `spawn`, with its words going to `output`.
    pub(super) fn start<T>(
        &self,
        output: &PipeWriter,
        spawn: impl Fn(process::Command) -> io::Result<T>,
    ) -> io::Result<T> {
        let prepared = |program: &OsStr, arguments: &[OsString]| -> io::Result<process::Command> {
            let mut command = process::Command::new(program);
            command.args(arguments).env_clear().current_dir("/").process_group(0);
            command.envs(self.environment.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
            Ok(command)
        };
        let (program, arguments) = self.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        match spawn(prepared(program, arguments)?) {
            // As execvp(3) does, which what starts it here does not.
            Err(error) if error.raw_os_error() == Some(ENOEXEC) => {
                spawn(prepared(OsStr::new("/bin/sh"), &self.argv)?)
            }
            done => done,
        }
    }

    /// `None` where no starter could read it.
    pub(super) fn to_bytes(&self, id: u64) -> Option<Vec<u8>> {
        let mut bytes = id.to_le_bytes().to_vec();
        bytes.extend(u32::try_from(self.argv.len()).ok()?.to_le_bytes());
        let pairs = self.environment.iter().flat_map(|(name, value)| [name, value]);
        for word in self.argv.iter().chain(pairs) {
            if word.as_bytes().contains(&0) {
                return None;
            }
            bytes.extend(word.as_bytes());
            bytes.push(0);
        }
        (bytes.len() <= LONGEST).then_some(bytes)
    }

    /// With its number.
    pub(super) fn read(bytes: &[u8]) -> Option<(u64, Self)> {
        let (id, bytes) = bytes.split_first_chunk()?;
        let (count, bytes) = bytes.split_first_chunk()?;
        let words = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0);
        let mut argv: Vec<_> = words.map(|word| OsStr::from_bytes(word).to_owned()).collect();
        let count = usize::try_from(u32::from_le_bytes(*count)).ok().filter(|count| *count <= argv.len())?;
        let pairs = argv.split_off(count);
        let environment = pairs.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Some((u64::from_le_bytes(*id), Order { argv, environment }))
    }
}

/// What a starter says of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It runs, with this process id.
    Started(i32),
    /// It does not: the system's number of the error.
    Failed(i32),
    /// It has ended, with this status as of `wait(2)`.
    Ended(i32),
}

impl Word {
    pub(super) fn to_bytes(self, id: u64) -> [u8; SHORT] {
        let (kind, number) = match self {
            Word::Started(process) => (0, process),
            Word::Failed(error) => (1, error),
            Word::Ended(status) => (2, status),
        };
        let mut bytes = [kind; SHORT];
        bytes[..8].copy_from_slice(&id.to_le_bytes());
        bytes[9..].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    /// With the number of the order.
    pub(super) fn read(bytes: &[u8]) -> Option<(u64, Self)> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (kind, number) = rest.split_first()?;
        let number = i32::from_le_bytes(number.try_into().ok()?);
        let word = match kind {
            // No process, and whole groups of them.
            0 if number > 1 => Word::Started(number),
            1 => Word::Failed(number),
            2 => Word::Ended(number),
            _ => return None,
        };
        Some((u64::from_le_bytes(*id), word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(argv: &[&str]) -> Order {
        let environment = vec![("A".into(), "b=c".into()), ("EMPTY".into(), "".into())];
        Order { argv: argv.iter().map(OsString::from).collect(), environment }
    }

    #[test]
    fn an_order_is_read_as_it_was_given() {
        let given = order(&["/bin/x", "", "two words"]);
        assert_eq!(Order::read(&given.to_bytes(7).unwrap()), Some((7, given)));
        assert_eq!(order(&["/bin/x", "a\0b"]).to_bytes(7), None);
        assert_eq!(order(&["/bin/x", &"y".repeat(LONGEST)]).to_bytes(7), None);
    }

    #[test]
    fn whatever_a_starter_says_is_a_word_or_nothing() {
        for word in [Word::Started(2), Word::Failed(13), Word::Ended(256)] {
            let bytes = word.to_bytes(u64::MAX);
            assert_eq!(Word::read(&bytes), Some((u64::MAX, word)));
            assert_eq!(Word::read(&bytes[..SHORT - 1]), None);
        }
        // To signal the group 1 or 0 or -1 would hit others.
        for process in [1, 0, -1, i32::MIN] {
            assert_eq!(Word::read(&Word::Started(process).to_bytes(1)), None, "{process}");
        }
        assert_eq!(Word::read(&[3; SHORT]), None);
    }
}
