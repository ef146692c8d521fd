//! `locum doctor`: what it prints and how it ends. What it finds on real networks is in `netns`.

use crate::program::{Ran, command};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GOOD: &str = "[router.web]\ninterface = \"none7\"\nvrid = 51\naddresses = [\"10.0.0.100\"]\n";

/// Without listening, and without a daemon.
fn doctor(text: &str, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("locum.toml");
    fs::write(&file, text).unwrap();
    let mut command = command(&["doctor", "--listen", "0s", "-c"]);
    command.arg(&file).arg("--socket").arg(folder.path().join("none")).args(more);
    command.output().unwrap().into()
}

#[test]
fn troubles_come_first_then_doubts_then_what_was_not_looked_at_and_what_is_fine_is_counted() {
    let ran = doctor(GOOD, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{ran:?}");
    let at = |words: &str| ran.out.find(words).unwrap_or_else(|| panic!("no {words}: {ran:?}"));
    let trouble = at("trouble: web: there is no interface none7 [interface.missing]\n  why: ");
    let doubt = at("doubt: the daemon is not running");
    let unseen = at("not looked at: what is on the wire: it was not listened to\n");
    let fine = at("looked at are fine\n");
    assert!(trouble < doubt && doubt < unseen && unseen < fine, "{ran:?}");
    assert!(
        ran.out.contains("\n  mend: systemctl start locum\n") && !ran.out.contains("\nfine: "),
        "{ran:?}"
    );
    assert!(!ran.out.contains('\x1b'), "colours belong on terminals: {ran:?}");
    assert!(doctor(GOOD, &["--verbose"]).out.contains("\nfine: "), "{ran:?}");
}

#[test]
fn a_configuration_that_cannot_be_used_ends_with_2_and_its_problems() {
    let ran = doctor(&format!("{GOOD}priority = 300\n"), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""), "{ran:?}");
    assert!(ran.out.starts_with("trouble: ") && ran.out.contains("locum.toml:5: "), "{ran:?}");
    let missing: Ran = command(&["doctor", "-c", "/nonexistent.toml"]).output().unwrap().into();
    assert!(missing.code == 2 && missing.out.contains("cannot read /nonexistent.toml"), "{missing:?}");
    let peer = doctor(GOOD, &["--peer", "/nonexistent.toml"]);
    assert!(peer.code == 2 && peer.complaint().contains("/nonexistent.toml"), "{peer:?}");
}

#[test]
fn a_script_that_others_may_change_is_trouble_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = folder.path().join("hook");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = doctor(&format!("{GOOD}notify = {{ any = \"{}\" }}\n", script.display()), &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.out.contains(&format!("chmod o-w {}", script.display())), "{ran:?}");
}

#[test]
fn json_says_the_same_with_names_that_its_page_knows() {
    let ran = doctor(GOOD, &["--json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &json["schema"], &json["worst"]), (1, &1.into(), &"trouble".into()));
    let findings = json["findings"].as_array().unwrap();
    let count = |severity: &str| findings.iter().filter(|one| one["severity"] == severity).count();
    assert_eq!(json["troubles"], count("trouble"));
    assert_eq!(json["doubts"], count("doubt"));
    assert_eq!(json["fine"], count("fine"));
    assert!(json["not_looked_at"][0]["why"].is_string(), "{json}");
    let page = fs::read_to_string(page()).unwrap();
    for finding in findings {
        assert!(page.contains(&format!("| `{}` |", finding["id"].as_str().unwrap())), "{finding}");
    }
}

fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/doctor-json.md")
}

/// A name stands right behind the call; those that are made of a refusal's have no row of their own.
#[test]
fn the_page_has_every_finding_there_is_and_no_other() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    let mut named = BTreeSet::new();
    for entry in fs::read_dir(sources).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for call in ["report.trouble(", "report.doubt(", "report.fine("] {
            for (_, rest) in text.match_indices(call).map(|(at, _)| text.split_at(at + call.len())) {
                let quoted = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                named.extend(quoted.map(str::to_owned));
            }
        }
    }
    let page = fs::read_to_string(page()).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(documented, named);
}
