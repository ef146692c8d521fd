//! Who may name whom: the four rules of the house, read off the sources. See `src/lib.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each part may name of the others. A part that is not here may not exist.
const MAY: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("vrrp", &["time"]),
    ("health", &["time"]),
    ("claim", &["time"]),
    ("agent", &["vrrp", "health", "claim", "time"]),
    ("process", &["time"]),
    ("stream", &[]),
    ("net", &["agent", "vrrp", "claim", "time"]),
    ("check", &["process", "stream", "health", "vrrp", "time"]),
    ("notify", &["process", "stream", "agent", "vrrp", "time"]),
    ("dns", &["stream", "agent", "health", "vrrp"]),
    ("history", &["agent", "health", "vrrp"]),
    ("snmp", &["stream", "agent", "health", "vrrp"]),
    ("web", &["stream", "agent", "health", "vrrp"]),
    (
        "config",
        &[
            "agent", "vrrp", "health", "claim", "time", "check", "net", "notify", "process", "stream",
            "history", "snmp", "web", "dns", "drill",
        ],
    ),
    ("control", &["agent", "time"]),
    ("sim", &["agent", "vrrp", "health", "claim", "time"]),
    ("explain", &["agent", "vrrp", "health", "claim", "time", "check", "config", "sim"]),
    ("doctor", &["agent", "vrrp", "health", "claim", "time", "check", "notify", "config", "explain"]),
    ("drill", &["agent", "health"]),
    ("survey", &["doctor", "drill", "agent", "vrrp", "net"]),
    ("lab", &[]),
    (
        "daemon",
        &[
            "agent", "vrrp", "health", "claim", "time", "net", "check", "notify", "process", "history",
            "snmp", "config", "control", "web", "dns", "VERSION",
        ],
    ),
    (
        "cli",
        &[
            "agent", "vrrp", "health", "claim", "time", "net", "check", "notify", "history", "snmp",
            "config", "control", "sim", "daemon", "explain", "doctor", "drill", "survey", "lab", "VERSION",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// The doctor and drills decide as well: facts in, findings and reports out.
const DECIDERS: &[&str] = &["time", "vrrp", "health", "claim", "agent", "doctor", "drill"];

/// What no decider may name: runtimes, sockets, clocks, chance, logs, and whatever has no order.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "nix",
    "socket2",
    "rtnetlink",
    "netlink",
    "pnet",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "rand",
    "println",
    "eprintln",
    "print!",
    "dbg",
    "tracing",
    "log",
];

/// Files that may contain unsafe code.
const UNSAFE: &[&str] = &["daemon/trim.rs"];

const LONGEST: usize = 500;

struct Source {
    /// Relative to `src`, with slashes.
    path: String,
    /// The first folder, or the file's own name.
    part: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries: BTreeSet<PathBuf> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                let part = relative.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
                found.push(Source { path: relative, part, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(found.len() > 50, "only {} sources were found", found.len());
    found
}

impl Source {
    /// The lines that say something to the compiler, numbered: no comments, no strings.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.text.lines().enumerate().map(|(number, line)| (number + 1, without_words(line)))
    }

    fn complain(&self, complaints: &mut Vec<String>, number: usize, what: &str) {
        complaints.push(format!("src/{}:{number}: {what}", self.path));
    }
}

/// A line without its comment and without what stands between quotes.
fn without_words(line: &str) -> String {
    let mut code = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in line.char_indices() {
        if !quoted && line[at..].starts_with("//") {
            break;
        }
        // A quote as a character is no quote.
        let as_letter = line[..at].ends_with('\'') || line[..at].ends_with("'\\");
        if letter == '"' && !escaped && !as_letter {
            quoted = !quoted;
        } else if !quoted {
            code.push(letter);
        }
        escaped = letter == '\\' && !escaped;
    }
    code
}

/// Whether `name` stands in `code` as a whole word.
fn names(code: &str, name: &str) -> bool {
    let part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(name).any(|(at, _)| {
        !code[..at].ends_with(part_of_word) && !code[at + name.len()..].starts_with(part_of_word)
    })
}

/// What follows each `crate::`, braces taken apart.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, name) in code.match_indices("crate::") {
        let rest = &code[at + name.len()..];
        let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(list));
        let count = if rest.starts_with('{') { usize::MAX } else { 1 };
        let first_word = |item: &str| {
            let item = item.trim();
            let end = item.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(item.len());
            item[..end].to_owned()
        };
        found.extend(list.split(',').take(count).map(first_word).filter(|word| !word.is_empty()));
    }
    found
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn nothing_that_decides_names_a_runtime_a_socket_a_clock_or_chance() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| DECIDERS.contains(&&*source.part)) {
        for (number, code) in source.code() {
            for name in FORBIDDEN.iter().filter(|name| names(&code, name)) {
                source.complain(&mut complaints, number, &format!("a decider names {name}"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_part_imports_only_what_it_may() {
    let mut complaints = Vec::new();
    for source in sources() {
        let Some((_, may)) = MAY.iter().find(|(part, _)| *part == source.part) else {
            source.complain(&mut complaints, 1, "a part that the list of this test does not know");
            continue;
        };
        for (number, code) in source.code() {
            if code.contains("crate::{") && !code.contains('}') {
                source.complain(&mut complaints, number, "imports of several parts are one line each");
            }
            for import in imports(&code).iter().filter(|import| **import != source.part) {
                if !may.contains(&&**import) {
                    source.complain(&mut complaints, number, &format!("{} names {import}", source.part));
                }
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn only_the_loop_and_the_simulator_have_an_agent() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !["agent", "daemon", "sim"].contains(&&*s.part)) {
        for (number, code) in source.code() {
            if names(&code, "agent::Agent") || (code.contains("agent::{") && names(&code, "Agent")) {
                source.complain(&mut complaints, number, "names the Agent itself");
            }
        }
    }
    assert_none(&complaints);
}

/// The control socket, HTTP and what people are shown read plain answers, never the configuration of the
/// agent or its machinery.
#[test]
fn control_web_and_show_read_requests_and_status_only() {
    let plain = [
        "request",
        "status",
        "cluster",
        "transition",
        "Request",
        "Response",
        "Ticket",
        "Standing",
        "RouterName",
    ];
    let mut complaints = Vec::new();
    for source in
        sources().iter().filter(|s| matches!(&*s.part, "control" | "web") || s.path == "cli/show.rs")
    {
        for (number, code) in source.code() {
            for (at, name) in code.match_indices("crate::agent::") {
                let rest = &code[at + name.len()..];
                for import in imports(&format!("crate::{rest}")) {
                    if !plain.contains(&&*import) {
                        source.complain(&mut complaints, number, &format!("names agent::{import}"));
                    }
                }
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_file_says_what_lives_in_it() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !source.text.starts_with("//!")) {
        source.complain(&mut complaints, 1, "does not begin with //!");
    }
    assert_none(&complaints);
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let mut complaints = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST {
            source.complain(&mut complaints, lines, "is too long");
        }
    }
    assert_none(&complaints);
}

#[test]
fn no_code_is_unsafe() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !UNSAFE.contains(&&*source.path)) {
        for (number, code) in source.code() {
            if names(&code, "unsafe") || code.contains("allow(unsafe") {
                source.complain(&mut complaints, number, "is unsafe");
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn folders_are_one_deep() {
    // A language of its own, which nobody but its two doors need know.
    const LANGUAGE: &str = "config/keepalived/";
    let mut complaints = Vec::new();
    let deep = |path: &str| path.strip_prefix(LANGUAGE).unwrap_or(path).matches('/').count() > 1;
    for source in sources().iter().filter(|source| deep(&source.path)) {
        source.complain(&mut complaints, 1, "lies too deep");
    }
    assert_none(&complaints);
}

#[test]
fn this_test_sees_what_it_looks_for() {
    assert!(names("use tokio::net;", "tokio") && !names("let tokios = 1;", "tokio"));
    assert_eq!(without_words("let a = \"tokio\"; // tokio"), "let a = ; ");
    assert_eq!(without_words("if c == '\"' { tokio() }"), "if c == '\"' { tokio() }");
    assert_eq!(imports("use crate::net::link::Link;"), ["net"]);
    assert_eq!(imports("use crate::{agent, check::Check};"), ["agent", "check"]);
    assert!(imports("use super::net;").is_empty());
}
