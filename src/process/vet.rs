//! Whether a script may be run as a user: nobody else may be able to change what would run.

use super::user::{User, group_name, user_name};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Symbolic links followed in one path; as many as the kernel follows.
const LINKS: u32 = 40;
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Refuses a script that anyone but root and `user` could replace or change, or that `user` cannot
/// run. Looks at the file, at every directory above it, and the same for every symbolic link in
/// between. Blocks while the file system answers.
///
/// # Errors
/// One line for people: the path element, what is wrong with it, and the mend.
pub fn vet(path: &Path, user: &User) -> Result<(), String> {
    if !path.is_absolute() {
        return Err(format!("{} is not an absolute path: write it from / on", path.display()));
    }
    let mut ahead = reversed(path);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    let mut last = look(&here)?;
    writers(&here, &last, user)?;
    while let Some(name) = ahead.pop() {
        enterable(&here, &last, user)?;
        if name == ".." {
            here.pop();
            last = look(&here)?;
            continue;
        }
        let next = here.join(&name);
        let found = look(&next)?;
        if found.is_symlink() {
            links += 1;
            if links > LINKS {
                return Err(format!(
                    "{} goes through too many symbolic links: mend the link",
                    path.display()
                ));
            }
            owner(&next, &found, user)?;
            let target = fs::read_link(&next).map_err(|error| unreadable(&next, &error))?;
            if target.is_absolute() {
                here = PathBuf::from("/");
                last = look(&here)?;
            }
            ahead.extend(reversed(&target));
            continue;
        }
        writers(&next, &found, user)?;
        here = next;
        last = found;
    }
    runnable(&here, &last, user)
}

/// The names in a path, the first one last.
fn reversed(path: &Path) -> Vec<OsString> {
    path.components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

fn look(path: &Path) -> Result<Metadata, String> {
    fs::symlink_metadata(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    if error.kind() == io::ErrorKind::NotFound {
        format!("{path} does not exist: create it or mend the path")
    } else {
        format!("{path} cannot be looked at ({error}): mend the permissions of what it is in")
    }
}

fn owner(path: &Path, found: &Metadata, user: &User) -> Result<(), String> {
    if found.uid() == 0 || found.uid() == user.uid {
        return Ok(());
    }
    let (path, name) = (path.display(), user_name(found.uid()));
    let or_user = if user.uid == 0 { String::new() } else { format!(" or {}", user.name) };
    Err(format!("{path} is owned by {name}, not by root{or_user}: chown -h root {path}"))
}

/// Nobody but root and `user` may change it. In a sticky directory others may add names but not
/// replace those of root and `user`, and whose each name is, is looked at in its turn.
fn writers(path: &Path, found: &Metadata, user: &User) -> Result<(), String> {
    owner(path, found, user)?;
    let mode = found.mode();
    if found.is_dir() && mode & STICKY != 0 {
        return Ok(());
    }
    let path = path.display();
    if mode & OTHERS_WRITE != 0 {
        return Err(format!("{path} is writable by everyone: chmod o-w {path}"));
    }
    if mode & GROUP_WRITES != 0 && found.gid() != 0 {
        let group = group_name(found.gid());
        return Err(format!("{path} is writable by group {group}: chmod g-w {path}"));
    }
    Ok(())
}

/// The letter of the class whose x bit counts for `user`, where that bit is missing.
fn no_x(found: &Metadata, user: &User) -> Option<char> {
    let (class, bits) = match () {
        () if user.uid == 0 => ('u', 0o111),
        () if found.uid() == user.uid => ('u', 0o100),
        () if found.gid() == user.gid || user.groups.contains(&found.gid()) => ('g', 0o010),
        () => ('o', 0o001),
    };
    (found.mode() & bits == 0).then_some(class)
}

fn enterable(path: &Path, found: &Metadata, user: &User) -> Result<(), String> {
    let (path, name) = (path.display(), &user.name);
    if !found.is_dir() {
        return Err(format!("{path} is not a directory: mend the path"));
    }
    match no_x(found, user) {
        // Root may enter any directory.
        Some(class) if user.uid != 0 => {
            Err(format!("{path} cannot be entered by {name}: chmod {class}+x {path}"))
        }
        _ => Ok(()),
    }
}

fn runnable(path: &Path, found: &Metadata, user: &User) -> Result<(), String> {
    let (path, name) = (path.display(), &user.name);
    if !found.is_file() {
        return Err(format!("{path} is not a regular file: name a script or program"));
    }
    match no_x(found, user) {
        Some(class) => Err(format!("{path} cannot be run by {name}: chmod {class}+x {path}")),
        // A shell would run it, and call that success.
        None if found.len() == 0 => Err(format!("{path} is empty: write the script, or name another")),
        None => Ok(()),
    }
}
