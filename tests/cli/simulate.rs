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
