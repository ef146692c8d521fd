//! Reads the record back: the oldest file first, and whatever is no line is told and left out.
//!
//! The daemon may write and rotate at the same time. The files are opened from the newest to the oldest, so
//! that one that moves on meanwhile is met twice and not never, and known again by its inode.

use super::entry::Entry;
use super::file::rotated;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The most files that are looked for; more are never kept.
const MOST: u32 = 1000;
/// How often the files are looked for at most, while the writer goes on to the next meanwhile.
const LOOKS: u32 = 16;

/// What the files say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The oldest first.
    pub lines: Vec<Line>,
    /// What could not be read.
    pub damage: Vec<Damage>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// As it stands there.
    pub text: String,
    /// What it says.
    pub entry: Entry,
}

/// A line that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// In which file.
    pub path: PathBuf,
    /// Where, counted from 1.
    pub line: usize,
    /// Whether it is the end of the file and has no end itself: a crash, or it is being written.
    pub torn: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { path, line, torn } = self;
        let what = if *torn {
            "ends in the middle, by a crash or because it is being written"
        } else {
            "makes no sense"
        };
        write!(f, "{}:{line} {what}; left out", path.display())
    }
}

/// Reads the file at `path` and the full ones beside it.
///
/// # Errors
/// The first file that is there and cannot be read, or `path` itself where there is none at all.
pub fn read(path: &Path) -> Result<Record, (PathBuf, io::Error)> {
    let newest = || open(path).map(|(_, identity)| identity).ok();
    let mut looks = 0;
    let files = loop {
        let before = newest();
        let files = open_all(path)?;
        looks += 1;
        // Where the writer began another meanwhile, they may have been met in another order.
        if newest() == before || looks == LOOKS {
            break files;
        }
    };
    let mut record = Record::default();
    for (name, mut file) in files.into_iter().rev() {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| (name.clone(), error))?;
        let mut one = parse(&bytes, &name);
        record.lines.append(&mut one.lines);
        record.damage.append(&mut one.damage);
    }
    Ok(record)
}

/// Those that there are, the newest first.
fn open_all(path: &Path) -> Result<Vec<(PathBuf, File)>, (PathBuf, io::Error)> {
    let mut files: Vec<(PathBuf, File)> = Vec::new();
    let mut known = BTreeSet::new();
    for age in 0..=MOST {
        let name = if age == 0 { path.to_owned() } else { rotated(path, age) };
        match open(&name) {
            Ok((file, identity)) => {
                if known.insert(identity) {
                    files.push((name, file));
                }
            }
            // At the moment of a rotation there is none at the path.
            Err(error) if error.kind() == io::ErrorKind::NotFound && age == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err((name, error)),
        }
    }
    if files.is_empty() {
        return Err((path.to_owned(), io::ErrorKind::NotFound.into()));
    }
    Ok(files)
}

/// The lines of one file, which `path` names in what is damaged.
#[must_use]
pub fn parse(bytes: &[u8], path: &Path) -> Record {
    let mut record = Record::default();
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if let Some((text, entry)) = whole(line) {
            record.lines.push(Line { text: text.to_owned(), entry });
        } else {
            let torn = !line.ends_with(b"\n");
            record.damage.push(Damage { path: path.to_owned(), line: number + 1, torn });
        }
    }
    record
}

/// The entries of one file, the last first; each is read when it is asked for. What cannot be read is left out.
pub(super) fn backwards(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.split_inclusive(|byte| *byte == b'\n').rev().filter_map(|line| Some(whole(line)?.1))
}

/// What a line says, with its end.
fn whole(line: &[u8]) -> Option<(&str, Entry)> {
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    Some((text, serde_json::from_str(text).ok()?))
}

/// The last entries: what the last `most` bytes say of the file at `path` and of the full one before it. What cannot
/// be read is left out.
#[must_use]
pub fn recent(path: &Path, most: u64) -> Vec<Entry> {
    let (mut known, mut left, mut tails) = (None, most, Vec::new());
    for name in [path.to_owned(), rotated(path, 1)] {
        let Ok((file, identity)) = open(&name) else { continue };
        // One that has moved on meanwhile is met again.
        if known.replace(identity) != Some(identity) {
            let tail = tail(file, left).unwrap_or_default();
            left = left.saturating_sub(tail.len() as u64);
            tails.push(parse(&tail, &name).lines);
        }
    }
    tails.into_iter().rev().flatten().map(|line| line.entry).collect()
}

/// The whole lines in the last `most` bytes.
fn tail(mut file: File, most: u64) -> io::Result<Vec<u8>> {
    let cut = file.metadata()?.len().saturating_sub(most);
    // One byte more: the end of a line before them.
    file.seek(SeekFrom::Start(cut.saturating_sub(1)))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if cut > 0 {
        let begins = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..begins);
    }
    Ok(bytes)
}

/// All of a file.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.0.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<(File, (u64, u64))> {
    // A pipe would make us wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, (metadata.dev(), metadata.ino())))
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}
