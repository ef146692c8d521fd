//! The famous mistakes, a file each in `mistakes/`, of both front doors. The first two lines of a file say
//! what is said of it, and where, and the mend. Beside each lies a good neighbour, `NAME.good.toml` or
//! `.good.conf`: the same thing as it was meant, of which nothing is said.

use locum::config::{Loaded, Problem, Problems, Secrets, is_keepalived, keepalived, parse};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn said(path: &Path) -> Vec<Problem> {
    let text = fs::read_to_string(path).unwrap();
    let loaded = if is_keepalived(path) {
        keepalived::parse(&text, path, &keepalived::Options::default())
    } else {
        parse(&text, path, Secrets::MustRead)
    };
    match loaded {
        Ok(Loaded { warnings, .. }) => warnings,
        Err(Problems(problems)) => problems,
    }
}

fn files() -> BTreeSet<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/mistakes");
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn is_good(path: &Path) -> bool {
    path.file_name().unwrap().to_str().unwrap().contains(".good.")
}

fn show(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n  ")
}

#[test]
fn each_mistake_is_told_with_its_line_and_its_mend() {
    let mut wrong = Vec::new();
    for path in files().iter().filter(|path| !is_good(path)) {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines().map(|line| line.trim_start_matches("# "));
        let (line, message) = lines.next().unwrap().strip_prefix("line ").unwrap().split_once(": ").unwrap();
        let mend = lines.next().unwrap().strip_prefix("mend: ").unwrap();
        let line: usize = line.parse().unwrap();
        let told = |problem: &Problem| {
            let help = problem.help.as_deref().unwrap_or_default();
            problem.line == line && problem.message.contains(message) && help.contains(mend)
        };
        let mut said = said(path);
        // How to go on without mending is told once a file.
        said.retain(|problem| !problem.help.as_ref().is_some_and(|help| help.ends_with("--lenient")));
        if said.len() != 1 || !said.iter().all(told) {
            let (path, said) = (path.display(), show(&said));
            wrong.push(format!("{path}: wanted line {line}: {message} ({mend})\n  {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn of_a_good_neighbour_nothing_is_said() {
    let mut wrong = Vec::new();
    for path in files().iter().filter(|path| is_good(path)) {
        let said = said(path);
        if !said.is_empty() {
            wrong.push(format!("{}:\n  {}", path.display(), show(&said)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_mistake_has_a_good_neighbour() {
    let files = files();
    let bad: Vec<_> = files.iter().filter(|path| !is_good(path)).collect();
    assert!(bad.len() >= 31, "only {} mistakes were found", bad.len());
    assert_eq!(files.len(), bad.len() * 2);
    for path in bad {
        let extension = path.extension().unwrap().to_str().unwrap();
        let neighbour = path.with_extension(format!("good.{extension}"));
        assert!(files.contains(&neighbour), "{} is missing", neighbour.display());
    }
}
