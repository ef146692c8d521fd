//! `locum simulate`: small runs.

use crate::program::{Ran, command};
use std::fs;
use std::path::Path;

#[test]
fn a_scenario_file_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    fs::write(&file, "{}").unwrap();
    for path in [file.as_path(), Path::new("/nonexistent.json")] {
        let ran: Ran = command(&["simulate", "--scenario"]).arg(path).output().unwrap().into();
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(ran.complaint().starts_with(&format!("{}: ", path.display())), "{ran:?}");
    }
}

#[test]
fn a_scenario_is_told_and_passes_as_it_expects() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/scenarios.json");
    let ran: Ran = command(&["simulate", "--scenario"]).arg(&file).output().unwrap().into();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.contains("\npassed: ") && !ran.out.contains("FAILED"), "{ran:?}");
}

#[test]
fn a_scenario_that_expects_something_else_fails() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/scenarios.json");
    let text = fs::read_to_string(file).unwrap();
    let wrong = text.replace(r#""to": "Active""#, r#""to": "Backup""#);
    assert!(wrong != text, "the scenarios are written otherwise");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.json");
    fs::write(&path, wrong).unwrap();
    let ran: Ran = command(&["simulate", "--scenario"]).arg(&path).output().unwrap().into();
    assert_eq!((ran.code, ran.out.contains("FAILED: ")), (1, true), "{ran:?}");
}

#[test]
fn a_seed_does_the_same_again() {
    let run = |seed: &str| -> Ran {
        command(&["simulate", "--seeds", "2", "--seed", seed]).output().unwrap().into()
    };
    let first = run("7");
    assert_eq!((first.code, first.err.as_str()), (0, ""), "{first:?}");
    assert!(first.out.starts_with("2 runs, ") && first.out.ends_with("every law was kept\n"), "{first:?}");
    assert_eq!(run("7").out, first.out);
}

#[test]
fn as_many_runs_are_made_as_asked_for_behind_the_last_seed_too() {
    let last = u64::MAX.to_string();
    let ran: Ran = command(&["simulate", "--seeds", "2", "--seed", &last]).output().unwrap().into();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("2 runs, "), "{ran:?}");
}

#[test]
fn the_nodes_may_be_given_by_their_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = command(&["simulate", "--seeds", "1"]);
    for (name, priority) in [("a.toml", 150), ("b.toml", 100)] {
        let router = "[router.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n";
        fs::write(folder.path().join(name), format!("{router}priority = {priority}\n")).unwrap();
        run.arg("--config").arg(folder.path().join(name));
    }
    let ran: Ran = run.output().unwrap().into();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let missing: Ran =
        command(&["simulate", "--seeds", "1", "--config", "/none.toml"]).output().unwrap().into();
    assert_eq!(missing.code, 1);
    assert_eq!(missing.complaint(), "/none.toml cannot be used; `locum check /none.toml` says why");
}
