//! Which scripts are refused, and in which words.

use crate::{Place, is_root, mode, user};
use locum::process::{User, resolve_user, vet};
use nix::unistd::{Gid, Group, Uid, User as Account, chown};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const BODY: &str = "exit 0";

fn refusal(path: impl AsRef<Path>, user: &User) -> String {
    vet(path.as_ref(), user).expect_err("must be refused")
}

/// `place/hooks/run`, with the directory's path.
fn nested(place: &Place) -> (PathBuf, PathBuf) {
    let hooks = place.path().join("hooks");
    fs::create_dir(&hooks).expect("a directory");
    mode(&hooks, 0o755);
    let script = place.script("hooks/run", BODY);
    (hooks, script.into())
}

#[test]
fn a_tidy_script_is_accepted_through_links_and_dots_too() {
    let place = Place::new();
    let (hooks, script) = nested(&place);
    assert_eq!(vet(&script, &user()), Ok(()));
    assert_eq!(vet(Path::new("/bin/sh"), &user()), Ok(()), "in a linked directory, and a link itself");
    symlink("hooks/../hooks/run", place.path().join("relative")).expect("a link");
    symlink(&hooks, place.path().join("absolute")).expect("a link");
    assert_eq!(vet(&place.path().join("relative"), &user()), Ok(()));
    assert_eq!(vet(&place.path().join("absolute/run"), &user()), Ok(()));
    assert_eq!(vet(&place.path().join("absolute/../hooks/run"), &user()), Ok(()));
}

#[test]
fn a_path_that_leads_to_no_script_is_refused() {
    let place = Place::new();
    let (hooks, script) = nested(&place);
    let (here, user) = (place.path().display(), user());
    assert_eq!(refusal("hooks/run", &user), "hooks/run is not an absolute path: write it from / on");
    let lost = place.path().join("lost/run");
    assert_eq!(refusal(lost, &user), format!("{here}/lost does not exist: create it or mend the path"));
    assert_eq!(
        refusal(&hooks, &user),
        format!("{here}/hooks is not a regular file: name a script or program")
    );
    assert_eq!(
        refusal(script.join("deeper"), &user),
        format!("{here}/hooks/run is not a directory: mend the path")
    );
    fs::write(hooks.join("empty"), "").expect("a file");
    mode(&hooks.join("empty"), 0o755);
    assert_eq!(
        refusal(hooks.join("empty"), &user),
        format!("{here}/hooks/empty is empty: write the script, or name another")
    );
    symlink("gone", place.path().join("dangling")).expect("a link");
    assert_eq!(
        refusal(place.path().join("dangling"), &user),
        format!("{here}/gone does not exist: create it or mend the path")
    );
    symlink("loop", place.path().join("loop")).expect("a link");
    assert_eq!(
        refusal(place.path().join("loop"), &user),
        format!("{here}/loop goes through too many symbolic links: mend the link")
    );
}

#[test]
fn a_script_that_its_user_cannot_run_is_refused() {
    let place = Place::new();
    let (hooks, script) = nested(&place);
    let (name, path) = (user().name, script.display());
    let class = if is_root() { 'o' } else { 'u' };
    mode(&script, 0o644);
    assert_eq!(refusal(&script, &user()), format!("{path} cannot be run by {name}: chmod {class}+x {path}"));
    mode(&script, if is_root() { 0o744 } else { 0o655 });
    assert!(refusal(&script, &user()).contains("cannot be run"), "the x of another class does not count");
    mode(&script, 0o755);
    if is_root() {
        mode(&hooks, 0o744);
        let hooks = hooks.display();
        assert_eq!(
            refusal(&script, &user()),
            format!("{hooks} cannot be entered by {name}: chmod o+x {hooks}")
        );
        let root = resolve_user("root").expect("root");
        assert_eq!(vet(&script, &root), Ok(()), "root enters anything");
        mode(&script, 0o644);
        assert!(refusal(&script, &root).contains("cannot be run by root: chmod u+x"));
    }
}

#[test]
fn what_everyone_can_write_is_refused_unless_sticky() {
    let place = Place::new();
    let (hooks, script) = nested(&place);
    let path = script.display();
    mode(&script, 0o757);
    assert_eq!(refusal(&script, &user()), format!("{path} is writable by everyone: chmod o-w {path}"));
    mode(&script, 0o1757);
    assert!(refusal(&script, &user()).contains("writable by everyone"), "sticky says nothing of files");
    mode(&script, 0o755);
    mode(&hooks, 0o757);
    let dir = hooks.display();
    assert_eq!(refusal(&script, &user()), format!("{dir} is writable by everyone: chmod o-w {dir}"));
    mode(&hooks, 0o1757);
    assert_eq!(vet(&script, &user()), Ok(()));
}

#[test]
fn what_a_group_can_write_is_refused_unless_it_is_roots() {
    assert!(is_root(), "only root can give files away: run the tests as root");
    let place = Place::new();
    let (hooks, script) = nested(&place);
    let group = Group::from_gid(Gid::from_raw(user().gid)).expect("groups").expect("a group");
    mode(&hooks, 0o775);
    assert_eq!(vet(&script, &user()), Ok(()));
    chown(&hooks, None, Some(group.gid)).expect("root may");
    let (dir, name) = (hooks.display(), group.name);
    assert_eq!(refusal(&script, &user()), format!("{dir} is writable by group {name}: chmod g-w {dir}"));
    mode(&hooks, 0o755);
    chown(&script, None, Some(group.gid)).expect("root may");
    mode(&script, 0o775);
    let path = script.display();
    assert_eq!(refusal(&script, &user()), format!("{path} is writable by group {name}: chmod g-w {path}"));
}

#[test]
fn what_a_stranger_owns_is_refused_on_both_sides_of_a_link() {
    assert!(is_root(), "only root can give files away: run the tests as root");
    let place = Place::new();
    let (hooks, script) = nested(&place);
    let daemon = Account::from_name("daemon").expect("users").expect("every machine has daemon");
    let own = |path: &Path, uid: Uid| chown(path, Some(uid), None).expect("root may");
    let root = resolve_user("root").expect("root");
    let (dir, path) = (hooks.display(), script.display());

    own(&script, Uid::from_raw(user().uid));
    assert_eq!(vet(&script, &user()), Ok(()), "its own user may own it");
    assert_eq!(
        refusal(&script, &root),
        format!("{path} is owned by nobody, not by root: chown -h root {path}")
    );
    own(&script, daemon.uid);
    assert_eq!(
        refusal(&script, &user()),
        format!("{path} is owned by daemon, not by root or nobody: chown -h root {path}")
    );
    own(&script, Uid::from_raw(0));
    own(&hooks, daemon.uid);
    symlink(&script, place.path().join("link")).expect("a link");
    let refused = format!("{dir} is owned by daemon, not by root or nobody: chown -h root {dir}");
    assert_eq!(refusal(&script, &user()), refused);
    assert_eq!(refusal(place.path().join("link"), &user()), refused, "the target's directories count");

    own(&hooks, Uid::from_raw(0));
    symlink("/bin/true", place.out("stranger")).expect("a link");
    let link = place.out("stranger");
    nix::unistd::fchownat(
        nix::fcntl::AT_FDCWD,
        &link,
        Some(daemon.uid),
        None,
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )
    .expect("root may");
    let name = link.display();
    assert_eq!(
        refusal(&link, &user()),
        format!("{name} is owned by daemon, not by root or nobody: chown -h root {name}"),
        "a sticky directory lets strangers make links"
    );
}
