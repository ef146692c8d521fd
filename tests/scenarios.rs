//! Every written scenario holds: who is Master when, who changes when, who advertises when.
//!
//! The folder named by `CONFORMANCE_DIR`, else `tests/conformance` and, where it is there,
//! `../shared/conformance`, holds the scenarios.

use locum::sim::run_scenario;
use locum::sim::scenario::File;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("CONFORMANCE_DIR") {
        let named = PathBuf::from(named);
        assert!(named.is_dir(), "CONFORMANCE_DIR names {}, which is no folder", named.display());
        return vec![named];
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = root.join("../shared/conformance");
    let there = shared.is_dir();
    [Some(root.join("tests/conformance")), there.then_some(shared)].into_iter().flatten().collect()
}

fn scenario_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("scenarios") && name.ends_with(".json")
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(is_one).collect();
    files.sort();
    files
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error");
}

#[test]
fn every_scenario_of_every_folder_holds() {
    for folder in folders() {
        let files = scenario_files(&folder);
        assert!(!files.is_empty(), "no scenarios*.json in {}", folder.display());
        let mut failed = Vec::new();
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            if let Ok(File::Many { meta, .. }) = serde_json::from_str(&text) {
                for left_open in meta.implementation_defined {
                    say(&format!("not judged, the protocol leaves it open: {left_open}"));
                }
            }
            let reports = run_scenario(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(!reports.is_empty(), "{} has no scenario", path.display());
            let compared: usize = reports.iter().map(|report| report.compared).sum();
            let count = reports.len();
            failed.extend(reports.into_iter().filter(|report| !report.passed()));
            say(&format!("{count} scenarios, {compared} expectations in {}", path.display()));
        }
        for report in &failed {
            say(&report.text());
        }
        let names: Vec<_> = failed.iter().map(|report| &report.id).collect();
        assert!(failed.is_empty(), "in {}: {names:?}", folder.display());
    }
}

const ONE: &str = r#"{
  "id": "lone", "vrs": [{ "vrid": 10, "version": 3, "family": "ipv4", "vips": ["10.0.0.254"],
    "nodes": [{ "name": "A", "ip": "10.0.0.1", "priority": 100, "interval_cs": 100 }] }],
  "events": [{ "t_us": 0, "op": "start", "node": "A" }], "end_us": 6000000,
  "expect": { "final_active": [["A"]],
    "windows": [{ "vr": 0, "active": ["A"], "assert_sans_io": [3619375, 6000000] }],
    "transitions": [{ "vr": 0, "node": "A", "t_us": 3609375, "from": "Backup", "to": "Active" }],
    "advertisements": [{ "vr": 0, "node": "A", "t_us": 3609375, "priority": 100 }] }
}"#;

#[test]
fn a_single_scenario_is_a_file_too() {
    let reports = run_scenario(ONE).unwrap();
    assert!(reports[0].passed(), "{}", reports[0].text());
    assert_eq!(reports[0].compared, 4);
}

#[test]
fn every_kind_of_expectation_can_fail() {
    let wrong = ONE
        .replace(r#""final_active": [["A"]]"#, r#""final_active": [[]]"#)
        .replace("3619375", "3600000")
        .replace(r#""t_us": 3609375, "from""#, r#""t_us": 3589375, "from""#)
        .replace(r#""priority": 100 }] }"#, r#""priority": 99 }] }"#);
    let report = run_scenario(&wrong).unwrap().remove(0);
    assert_eq!(report.failures.len(), 4, "{}", report.text());
    assert!(!report.passed());
}

#[test]
fn a_scenario_that_names_nobody_or_nothing_known_is_an_error() {
    let unknown_node = ONE.replace(r#""op": "start", "node": "A""#, r#""op": "start", "node": "Z""#);
    assert_eq!(run_scenario(&unknown_node).unwrap_err(), "scenario lone: there is no node Z");
    let unknown_op = ONE.replace(r#""op": "start""#, r#""op": "dance""#);
    assert!(run_scenario(&unknown_op).unwrap_err().contains("no scenario file"));
}
