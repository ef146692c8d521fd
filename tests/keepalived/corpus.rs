//! Configurations that people use: each loads, or fails for the reasons listed here and no other.

use crate::spoken::options;
use locum::config::keepalived::{Options, document, parse};
use locum::config::{Problem, Severity};
use std::fs;
use std::path::{Path, PathBuf};

/// The number a file's name begins with, and what is wrong with the file itself. Strictly read it is
/// refused for all of these, and leniently for none.
#[rustfmt::skip]
const WRONG: &[(&str, &[&str])] = &[
    ("001", &["unknown keyword garp_master_delay"]),
    ("002", &[]),
    ("003", &[]),
    ("004", &[]),
    ("005", &["is not an address"]),
    ("006", &[]),
    ("007", &[]),
    ("008", &["\"Indicamos\" is not an IP address"]),
    ("009", &[]),
    ("010", &[]),
    ("011", &[]),
    ("012", &[]),
    ("013", &[]),
    // Nor does keepalived run with it: instances without number and interface.
    (
        "014",
        &[
            "is not an IP address",
            "wanted a whole number",
            "is not an interface name",
            "has no virtual_router_id",
            "has no interface",
            "unicast without a peer",
        ],
    ),
    ("015", &[]),
    ("016", &[]),
    ("017", &[]),
    ("018", &["is not closed"]),
    ("019", &[]),
    ("020", &["unknown keyword keepalived.conf", "has no virtual_ipaddress"]),
    ("021", &["unknown keyword vrrp_grap_interval"]),
    ("022", &[]),
    ("023", &["is no mail address"]),
    ("024", &[]),
    ("025", &[]),
    ("026", &[]),
    ("027", &[]),
    ("028", &[]),
    ("029", &[]),
    ("030", &["has no virtual_ipaddress"]),
    ("031", &[]),
    ("032", &[]),
    ("033", &[]),
    ("034", &[]),
    ("035", &[]),
    ("036", &[]),
    ("037", &["unknown keyword enable_script_security"]),
    ("038", &[]),
    ("039", &[]),
    ("040", &[]),
    // As 014.
    ("041", &["is not an interface name", "is not an IP address", "has no interface", "unicast without a peer"]),
    ("042", &[]),
    ("043", &[]),
    ("044", &[]),
    ("045", &[]),
    ("046", &[]),
    ("047", &["priority is \"$PRIORITY\"", "BFD session ipsec1 has no neighbour", "there is no bfd_instance ipsec1"]),
    ("048", &[]),
    ("049", &[]),
    ("050", &[]),
];

/// What is wrong with this machine, or with the file, by its scripts and users.
const MISSING: [&str; 5] = [
    "does not exist",
    "there is no program",
    "there is no user",
    "there is no group",
    "no user is named for this, and enable_script_security",
];

/// What keepalived itself ends with.
const ENDS: [&str; 2] = ["has no virtual_router_id", "has no interface"];

pub fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/keepalived/corpus");
    let mut files: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    files
}

fn errors(problems: &[Problem]) -> Vec<String> {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors
        .map(|problem| problem.message.clone())
        .filter(|line| !MISSING.iter().any(|part| line.contains(part)))
        .collect()
}

#[test]
fn every_configuration_loads_or_fails_for_a_known_reason() {
    for path in corpus() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((_, wrong)) = WRONG.iter().find(|(number, _)| name.starts_with(number)) else {
            panic!("{name} is not in the table");
        };
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let found = match parse(&text, &path, &options()) {
            Ok(_) => Vec::new(),
            Err(problems) => errors(&problems.0),
        };
        for part in *wrong {
            assert!(found.iter().any(|line| line.contains(part)), "{name}: wanted {part}\n{found:#?}");
        }
        let odd: Vec<_> = found.iter().filter(|line| !wrong.iter().any(|part| line.contains(part))).collect();
        assert!(odd.is_empty(), "{name}: {odd:#?}");
        leniently(&name, &text, &path);
    }
}

/// And no instance is left out, unless keepalived would not run with the file.
fn leniently(name: &str, text: &str, path: &Path) {
    let lenient = Options { lenient: true, ..options() };
    match parse(text, path, &lenient) {
        Ok(loaded) => {
            let (document, ..) = document(text, path, &lenient);
            assert_eq!(loaded.config.agent.routers.len(), document.instances.len(), "{name}");
        }
        Err(problems) => {
            let found = errors(&problems.0);
            let ends = |line: &&String| ENDS.iter().any(|part| line.contains(part));
            let odd: Vec<_> = found.iter().filter(|line| !ends(line)).collect();
            assert!(odd.is_empty(), "{name}: {odd:#?}");
        }
    }
}
