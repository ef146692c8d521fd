//! `locum convert`: what it writes, where, and what it says of it.

use crate::program::{Ran, command, locum};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const SPOKEN: &str = "# the site\nvrrp_instance web {\n interface eth0\n virtual_router_id 51\n \
                      authentication {\n auth_type PASS\n auth_pass sesame\n }\n virtual_ipaddress {\n 10.0.0.100\n }\n";

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keepalived.conf"), text).unwrap();
    folder
}

fn convert(folder: &Path, more: &[&str]) -> Ran {
    let mut command = command(&["convert"]);
    command.arg(folder.join("keepalived.conf")).args(more).current_dir(folder).output().unwrap().into()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_written_passes_check_and_its_secret_is_its_owner_s_alone() {
    let folder = folder(&format!("{SPOKEN}}}\n"));
    let ran = convert(folder.path(), &["-o", "locum.toml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    assert_eq!(ran.complaint(), "./web.pass holds a secret of the configuration");
    let toml = folder.path().join("locum.toml");
    assert!(fs::read_to_string(&toml).unwrap().starts_with("# the site\n[router.web]\n"));
    assert_eq!(fs::read_to_string(folder.path().join("web.pass")).unwrap(), "sesame\n");
    assert_eq!(mode(&folder.path().join("web.pass")), 0o600);
    let ran = locum(&["check", toml.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn standard_output_may_be_a_file_and_else_no_secret_is_written() {
    let folder = folder(&format!("{SPOKEN}}}\n"));
    let ran = convert(folder.path(), &[]);
    assert_eq!(
        (ran.code, ran.complaint().starts_with("secrets are not written: web.pass;")),
        (1, true),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("auth = { pass = \"file:web.pass\" }\n") && !ran.out.contains("sesame"),
        "{ran:?}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let toml = folder.path().join("locum.toml");
    let mut command = command(&["convert"]);
    command.arg(folder.path().join("keepalived.conf")).stdout(File::create(&toml).unwrap());
    let ran: Ran = command.output().unwrap().into();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(mode(&folder.path().join("web.pass")), 0o600);
    assert_eq!(locum(&["check", toml.to_str().unwrap()]).code, 0);
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let folder = folder(&format!("{SPOKEN}}}\n"));
    let toml = folder.path().join("locum.toml");
    fs::write(&toml, "precious").unwrap();
    let ran = convert(folder.path(), &["-o", "locum.toml"]);
    assert!(ran.code == 1 && ran.err.contains("cannot write locum.toml: "), "{ran:?}");
    assert_eq!(fs::read_to_string(&toml).unwrap(), "precious");
    fs::remove_file(&toml).unwrap();
    let ran = convert(folder.path(), &["-o", "locum.toml"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "the same secret is there already: {ran:?}");

    fs::remove_file(&toml).unwrap();
    fs::write(folder.path().join("web.pass"), "other\n").unwrap();
    let ran = convert(folder.path(), &["-o", "locum.toml"]);
    assert!(ran.code == 1 && ran.complaint().starts_with("cannot write ./web.pass: "), "{ran:?}");
}

#[test]
fn what_is_lost_is_told_and_what_is_wrong_is_an_error_unless_left_out() {
    let folder = folder(&format!("{SPOKEN} nonsense\n}}\nvirtual_server 10.0.0.100 80 {{\n}}\n"));
    let ran = convert(folder.path(), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("--lenient") && ran.err.contains("--vrrp-only"), "{ran:?}");
    let ran = convert(folder.path(), &["--lenient", "--vrrp-only", "-o", "locum.toml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("conf:12:2: not converted: unknown keyword nonsense"), "{ran:?}");
    assert!(ran.err.contains("conf:14:1: not converted: no load is balanced"), "{ran:?}");
}

#[test]
fn toml_is_not_converted() {
    let folder = folder("");
    let file = folder.path().join("locum.toml");
    fs::write(&file, "").unwrap();
    let ran = locum(&["convert", file.to_str().unwrap()]);
    assert!(ran.code == 1 && ran.complaint().ends_with("is TOML already"), "{ran:?}");
}
