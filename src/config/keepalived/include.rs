//! `include` and its stricter kin: the files of a configuration as one list of lines.
//!
//! Paths begin beside the including file. Depth, number and size of the files are bounded, and a
//! file never contains itself.

use super::expand::{self, meant_for};
use super::pattern;
use super::report::Report;
use super::text::{Comment, Line, lines};
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep files may include files.
const DEPTH: usize = 32;
/// How many files one configuration may have.
const FILES: usize = 4096;
/// How many bytes all files may have together.
const BYTES: usize = 16 * 1024 * 1024;

/// The words that include, and what each makes an error of.
const WORDS: [(&str, Checks); 6] = [
    ("include", Checks { read: false, matches: false, wildcard: false, brace: false }),
    ("includer", Checks { read: true, matches: false, wildcard: false, brace: false }),
    ("includem", Checks { read: false, matches: true, wildcard: false, brace: false }),
    ("includew", Checks { read: false, matches: true, wildcard: true, brace: false }),
    ("includeb", Checks { read: false, matches: false, wildcard: false, brace: true }),
    ("includea", ALL),
];
const ALL: Checks = Checks { read: true, matches: true, wildcard: true, brace: true };

#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "four checks, each on or off, as keepalived counts them")]
struct Checks {
    /// A file that cannot be read.
    read: bool,
    /// A path without wildcards that matches nothing.
    matches: bool,
    /// A path with wildcards that matches nothing.
    wildcard: bool,
    /// One of `{a,b}` that matches nothing.
    brace: bool,
}

/// Everything that one file and the files it includes hold.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) lines: Vec<Line>,
    pub(super) comments: Vec<Comment>,
}

/// Reads a file's text; bytes that are not UTF-8 are replaced.
pub(super) fn read(path: &Path, most: usize) -> io::Result<String> {
    // Without waiting for the other end, should the path be a FIFO.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::other(format!("larger than {most} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads the main file.
pub(super) fn read_main(path: &Path) -> io::Result<String> {
    read(path, BYTES)
}

/// The lines of `text`, which stands in `path` and is in the report already, with all it includes.
pub(super) fn gather(text: &str, path: &Path, who: &expand::Reader, report: &Report) -> Gathered {
    let mut reader = Reader {
        report,
        who,
        within: vec![real(path)],
        files: 1,
        left: BYTES,
        full: false,
        gathered: Gathered::default(),
    };
    reader.file(text, 0, path);
    reader.gathered
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The folder that relative paths of `path` begin in; never empty.
pub(super) fn folder(path: &Path) -> PathBuf {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::canonicalize(above).unwrap_or_else(|_| above.to_owned())
}

struct Reader<'a> {
    report: &'a Report,
    who: &'a expand::Reader,
    /// The files being read, the main one first.
    within: Vec<PathBuf>,
    files: usize,
    left: usize,
    /// There were too many; told once.
    full: bool,
    gathered: Gathered,
}

impl Reader<'_> {
    fn file(&mut self, text: &str, start: usize, path: &Path) {
        let folder: Arc<Path> = folder(path).into();
        let (lines, comments) = lines(text, start, &folder, self.report);
        self.gathered.comments.extend(comments);
        for mut line in lines {
            let begins = |rest: &str| rest.starts_with('@') || word(rest).is_some();
            if let Some(at) = line.behind_brace(begins) {
                self.gathered.lines.push(line.slice(0..at));
                line = line.slice(at..line.text.len());
            }
            let meant = meant_for(&self.who.config_id, &line);
            match meant.as_ref().and_then(including) {
                Some((_, pattern)) if self.who.all_files => self.include(ALL, &pattern, &folder),
                Some((checks, pattern)) => self.include(checks, &pattern, &folder),
                None => self.gathered.lines.push(line),
            }
        }
    }

    fn include(&mut self, checks: Checks, pattern: &Line, folder: &Path) {
        if self.full {
            return;
        }
        let (written, span) = (pattern.text.trim_matches('"'), pattern.whole());
        if written.is_empty() {
            self.report.refuse(&span, "this includes nothing", "name a file, or remove the line");
            return;
        }
        let Some(alternatives) = pattern::alternatives(written) else {
            self.report.refuse(&span, "this has too many alternatives in braces", "name fewer files a line");
            return;
        };
        let mut found = Vec::new();
        for alternative in &alternatives {
            let matched = pattern::files(&folder.join(alternative));
            if matched.is_empty() && checks.brace && alternatives.len() > 1 {
                let message = format!("no file is \"{alternative}\", which this asks for");
                self.report.missing(&span, message, "create it, or remove the alternative");
            }
            found.extend(matched);
        }
        match alternatives.len() {
            _ if !found.is_empty() => {}
            1 => self.nothing(checks, written, pattern),
            // What asks for every alternative has told of each.
            _ if checks.brace => {}
            _ => self.nothing(Checks { matches: false, ..checks }, written, pattern),
        }
        for path in found {
            self.one(checks, &path, pattern);
        }
    }

    /// keepalived says nothing of a plain include that finds nothing; a name without wildcards is a slip.
    fn nothing(&self, checks: Checks, written: &str, pattern: &Line) {
        let message = format!("there is no file \"{written}\" to include");
        let help = "create it, or mend the path; it begins beside the including file";
        match (pattern::has_wildcards(written), checks) {
            (true, Checks { wildcard: true, .. }) | (false, Checks { matches: true, .. }) => {
                self.report.missing(&pattern.whole(), message, help);
            }
            (false, _) => self.report.warning(&pattern.whole(), message, help),
            (true, _) => {}
        }
    }

    fn one(&mut self, checks: Checks, path: &Path, pattern: &Line) {
        let (span, shown, real) = (pattern.whole(), path.display(), real(path));
        if self.within.contains(&real) {
            let message = format!("{shown} includes itself, here or by way of others");
            self.report.error(&span, message, "remove this line");
            return;
        }
        if self.within.len() >= DEPTH || self.files >= FILES {
            if !self.full {
                let message = format!("too many files: {DEPTH} deep and {FILES} in all are read");
                self.report.error(&span, message, "include fewer");
            }
            self.full = true;
            return;
        }
        self.files += 1;
        match read(path, self.left) {
            Ok(text) => {
                self.left -= text.len().min(self.left);
                let start = self.report.sink.join(path, &text);
                self.within.push(real);
                self.file(&text, start, path);
                self.within.pop();
            }
            Err(error) => {
                let message = format!("cannot read {shown}: {error}");
                if checks.read {
                    self.report.missing(&span, message, "let the daemon's user read it, or remove the line");
                } else {
                    self.report.warning(
                        &span,
                        message,
                        "let the daemon's user read it; keepalived goes on without",
                    );
                }
            }
        }
    }
}

/// What the first word of `text` makes an error of, if it includes, and what stands behind it.
fn word(text: &str) -> Option<(&Checks, &str)> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    WORDS.iter().find(|(name, _)| *name == word).map(|(_, checks)| (checks, rest))
}

/// What a line includes, if it is such a line.
fn including(line: &Line) -> Option<(Checks, Line)> {
    let line = line.trimmed();
    let (checks, rest) = word(&line.text)?;
    let mut path = line.slice(line.text.len() - rest.len()..line.text.len()).trimmed();
    if path.text.is_empty() {
        // Nothing to point at but the word itself.
        path.make("", &line.whole());
    }
    Some((*checks, path))
}
