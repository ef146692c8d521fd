//! Checks of kind `script`, by real scripts.

use super::{AMPLE, failure, verdict, verdict_within};
use locum::check::{Probe, script};
use locum::process::{Inherit, User, resolve_user};
use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::{Pid, geteuid};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A directory that others may enter, for scripts that run as another user.
pub(super) fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A shell script in `directory`.
pub(super) fn script(directory: &Path, body: &str) -> PathBuf {
    let path = directory.join("check.sh");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

pub(super) fn run(path: &Path, arguments: &[&str]) -> Probe {
    run_as(User::own(), path, arguments)
}

fn run_as(user: User, path: &Path, arguments: &[&str]) -> Probe {
    let argv = [&[path.to_str().unwrap()], arguments].concat();
    Probe::Script(script::Config {
        argv: argv.into_iter().map(str::to_owned).collect(),
        user,
        inherit: Inherit::Nothing,
    })
}

/// Whether anything of the process group of that number is left.
pub(super) fn is_gone(group: &str) -> bool {
    killpg(Pid::from_raw(group.trim().parse().unwrap()), None) == Err(Errno::ESRCH)
}

#[tokio::test]
async fn exit_code_zero_passes_and_another_fails_with_the_first_line() {
    let directory = directory();
    let path = script(directory.path(), "echo; echo \"$2 is down\" >&2; echo more; exit $1");
    assert_eq!(verdict(run(&path, &["0", "x"])).await, Ok(()));
    let text = failure(run(&path, &["2", "the database"])).await;
    assert_eq!(text, format!("script {}: exit code 2: the database is down", path.display()));
}

#[tokio::test]
async fn a_script_killed_by_a_signal_fails() {
    let directory = directory();
    let path = script(directory.path(), "kill -SEGV $$");
    let text = failure(run(&path, &[])).await;
    assert_eq!(text, format!("script {}: killed by SIGSEGV", path.display()));
}

#[tokio::test]
async fn what_cannot_be_executed_fails_and_says_why() {
    let directory = directory();
    let path = script(directory.path(), "exit 0");
    let refused = |path: &Path| format!("script {} cannot be executed: ", path.display());
    let missing = directory.path().join("missing");
    let text = failure(run(&missing, &[])).await;
    assert!(text.starts_with(&refused(&missing)), "{text}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let text = failure(run(&path, &[])).await;
    assert!(text.starts_with(&refused(&path)), "{text}");
    fs::write(&path, "#!/no/such/shell\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let text = failure(run(&path, &[])).await;
    assert!(text.starts_with(&refused(&path)), "{text}");
    assert!(failure(run(Path::new("true"), &[])).await.contains("not an absolute path"));
}

#[tokio::test]
async fn it_runs_as_its_user_with_a_clean_environment_and_no_input() {
    let directory = directory();
    let path = script(directory.path(), "id -u; read line && exit 1; env | grep -q ^CARGO && exit 1; exit 9");
    let user = if geteuid().is_root() { resolve_user("nobody").unwrap() } else { User::own() };
    let uid = user.uid;
    let text = failure(run_as(user, &path, &[])).await;
    assert_eq!(text, format!("script {}: exit code 9: {uid}", path.display()));
}

#[tokio::test]
async fn a_script_that_writes_without_end_is_not_stopped_by_a_full_pipe() {
    let directory = directory();
    let path = script(directory.path(), "head -c 1000000 /dev/zero; exit 0");
    assert_eq!(verdict(run(&path, &[])).await, Ok(()));
}

#[tokio::test]
async fn a_process_left_behind_does_not_delay_the_verdict() {
    let directory = directory();
    let path = script(
        directory.path(),
        "sleep 20 & echo $! > child; exit 0"
            .replace("child", &format!("{}/child", directory.path().display()))
            .as_str(),
    );
    let verdict = verdict_within(Duration::from_secs(10), run(&path, &[])).await;
    let child = fs::read_to_string(directory.path().join("child")).unwrap();
    let _ = nix::sys::signal::kill(
        Pid::from_raw(child.trim().parse().unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    );
    assert_eq!(verdict, Ok(()));
}

/// A script that writes its process group into `group`, with a child, both deaf to TERM.
pub(super) const DEAF: &str = "trap '' TERM\n(sleep 60; sleep 60) &\necho $$ > $1\nsleep 60\nsleep 60";

#[tokio::test]
async fn after_the_timeout_nothing_of_its_process_group_is_left() {
    let directory = directory();
    let group = directory.path().join("group");
    let path = script(directory.path(), DEAF);
    let probe = run(&path, &[group.to_str().unwrap()]);
    let text = verdict_within(Duration::from_secs(1), probe).await.unwrap_err();
    assert_eq!(text, format!("script {}: timed out and was killed", path.display()));
    let group = fs::read_to_string(group).unwrap();
    // Killed, but perhaps not yet taken from the process table by whoever inherited it.
    for _ in 0..1000 {
        if is_gone(&group) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("group {group} lives on");
}

#[tokio::test]
async fn a_script_that_heeds_term_may_clean_up() {
    let directory = directory();
    let mark = directory.path().join("cleaned");
    let path = script(directory.path(), "trap 'echo yes > $1; exit 0' TERM\nsleep 60 &\nwait");
    let probe = run(&path, &[mark.to_str().unwrap()]);
    let text = verdict_within(Duration::from_secs(1), probe).await.unwrap_err();
    assert!(
        text.ends_with("timed out and was killed"),
        "an exit code 0 after the timeout is no pass: {text}"
    );
    assert_eq!(fs::read_to_string(mark).unwrap(), "yes\n");
}

#[tokio::test]
async fn a_probe_given_up_kills_its_script() {
    let directory = directory();
    let group = directory.path().join("group");
    let path = script(directory.path(), DEAF);
    let probe = run(&path, &[group.to_str().unwrap()]);
    let running = tokio::spawn(async move { verdict_within(AMPLE, probe).await });
    let group = loop {
        match fs::read_to_string(&group) {
            Ok(text) if text.ends_with('\n') => break text,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(!is_gone(&group));
    running.abort();
    for _ in 0..1000 {
        if is_gone(&group) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("group {group} lives on");
}
