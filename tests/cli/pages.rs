//! `locum generate`: what packages install.

use crate::program::command;
use std::fs;
use std::path::Path;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_command_has_its_man_page_and_every_shell_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("deep/er");
    let output = command(&["generate"]).arg(&into).output().unwrap();
    assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(0), Vec::new(), Vec::new()));
    for page in [
        "",
        "-init",
        "-run",
        "-check",
        "-doctor",
        "-drill",
        "-status",
        "-top",
        "-log",
        "-reload",
        "-restart",
        "-handover",
        "-resume",
        "-ack",
        "-history",
        "-sniff",
        "-simulate",
    ] {
        let text = read(&into.join(format!("man/locum{page}.8")));
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "locum{page}.8: {text}");
    }
    assert!(!into.join("man/locum-generate.8").exists());
    for file in ["locum.bash", "_locum", "locum.fish"] {
        assert!(read(&into.join("completions").join(file)).contains("handover"), "{file}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let ran: crate::program::Ran = command(&["generate", "/proc/none"]).output().unwrap().into();
    assert_eq!(ran.code, 1);
    assert!(ran.complaint().starts_with("cannot write into /proc/none:"), "{ran:?}");
}
