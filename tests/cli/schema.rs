//! The documented fields of `locum status --json` are the fields that it has.

use crate::canned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Maps whose keys are names of other things: check names, counters.
const OPEN: [&str; 3] = ["refused", "discarded", "daemon"];

/// `routers[].peers[].address` and so on, of everything in `value`.
fn fields(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, inner) in object {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                if !OPEN.contains(&name.as_str()) {
                    fields(inner, &path, found);
                }
                found.insert(path);
            }
        }
        Value::Array(list) => {
            for inner in list {
                fields(inner, &format!("{at}[]"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    let mut there = BTreeSet::new();
    fields(&serde_json::to_value(canned::degraded()).unwrap(), "", &mut there);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/status-json.md");
    let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(field, _)| field.to_owned())
        .collect();
    let undocumented: Vec<_> = there.difference(&documented).collect();
    let imaginary: Vec<_> = documented.difference(&there).collect();
    assert!(undocumented.is_empty() && imaginary.is_empty(), "missing {undocumented:?}, extra {imaginary:?}");
}
