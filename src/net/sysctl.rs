//! Settings of the kernel that are changed for a while, and what they were before.

use super::journal::replace;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const NET: &str = "/proc/sys/net";

/// Sets `family/conf/interface/name` and says nothing where this kernel has no such thing.
pub(super) fn set(family: &str, interface: &str, name: &str, value: &str) -> Result<(), String> {
    let path = path(family, interface, name);
    match fs::read_to_string(&path) {
        Err(_) => Ok(()),
        Ok(is) if is.trim() == value => Ok(()),
        Ok(_) => write(&path, value),
    }
}

/// What is in force where the greater of the settings for all interfaces and for one counts; `None` where
/// this kernel has no such thing.
#[must_use]
pub fn greater(family: &str, interface: &str, name: &str) -> Option<i32> {
    ["all", interface].into_iter().filter_map(|interface| one(family, interface, name)).max()
}

/// What is set for one interface; `None` where this kernel has no such thing.
#[must_use]
pub fn one(family: &str, interface: &str, name: &str) -> Option<i32> {
    fs::read_to_string(path(family, interface, name)).ok()?.trim().parse().ok()
}

fn write(path: &Path, value: &str) -> Result<(), String> {
    fs::write(path, value).map_err(|error| {
        let mend = match error.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                "; let the service write there: ReadWritePaths=/proc/sys/net"
            }
            _ => "",
        };
        format!("cannot set {} to {value}: {error}{mend}", path.display())
    })
}

fn path(family: &str, interface: &str, name: &str) -> PathBuf {
    // Not a name with dots: an interface may be called eth0.5.
    Path::new(NET).join(family).join("conf").join(interface).join(name)
}

/// Settings that were changed, with what they were, in the order in which that was done. A file remembers them,
/// in a directory that a reboot empties: after a crash, and in a program that takes the place of this one,
/// they are still known.
#[derive(Debug, Default)]
pub(super) struct Settings {
    file: Option<PathBuf>,
    changed: Vec<Changed>,
}

#[derive(Debug)]
struct Changed {
    /// For whom: an interface, or the whole host where it is empty.
    owner: String,
    path: PathBuf,
    was: String,
    is: String,
    /// By this process, or taken over by it.
    needed: bool,
}

impl Settings {
    /// Reads what an earlier process has left; nothing where there is no file.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        Settings { file, changed: text.lines().filter_map(Changed::parse).collect() }
    }

    /// What an earlier process changed for this owner goes on being needed.
    pub(super) fn begin(&mut self, owner: &str) {
        for changed in self.changed.iter_mut().filter(|changed| changed.owner == owner) {
            changed.needed = true;
        }
    }

    /// Sets an IPv4 setting of an interface and remembers what it was. Returns whether it was another.
    pub(super) fn set(
        &mut self,
        owner: &str,
        interface: &str,
        name: &str,
        value: &str,
    ) -> Result<bool, String> {
        let path = path("ipv4", interface, name);
        let about = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let now = fs::read_to_string(&path).map_err(about)?.trim().to_owned();
        if now == value {
            return Ok(false);
        }
        // Who has changed it since knows better what it is to be afterwards.
        self.changed.retain(|changed| changed.path != path);
        let (owner, is) = (owner.to_owned(), value.to_owned());
        self.changed.push(Changed { owner, path: path.clone(), was: now, is, needed: true });
        // Without the file a crash leaves something behind; without the setting nothing works.
        let _ = self.remember();
        write(&path, value).map(|()| true)
    }

    /// The greater of the settings for all interfaces and for one is in force: turns the former into
    /// the same on each, so that a single one can be exempt.
    pub(super) fn scatter(&mut self, owner: &str, name: &str) -> Result<(), String> {
        let number = |interface: &str| -> u32 {
            let text = fs::read_to_string(path("ipv4", interface, name)).unwrap_or_default();
            text.trim().parse().unwrap_or(0)
        };
        let all = number("all");
        if all == 0 {
            return Ok(());
        }
        let interfaces = fs::read_dir(Path::new(NET).join("ipv4/conf")).map_err(|error| error.to_string())?;
        for interface in interfaces.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            // Those of others come and go; one that has just gone needs nothing.
            if interface != "all" && number(&interface) < all {
                let _ = self.set(owner, &interface, name, &all.to_string());
            }
        }
        self.set(owner, "all", name, "0").map(drop)
    }

    /// Makes what was changed for an owner as it was, unless somebody else has changed it meanwhile.
    pub(super) fn restore(&mut self, owner: &str) {
        self.undo(|changed| changed.owner == owner);
    }

    /// The same with all that nobody needs any more.
    pub(super) fn sweep(&mut self) {
        self.undo(|changed| !changed.needed);
    }

    fn undo(&mut self, chosen: impl Fn(&Changed) -> bool) {
        let (undone, kept) = std::mem::take(&mut self.changed).into_iter().partition(chosen);
        let undone: Vec<Changed> = undone;
        self.changed = kept;
        for Changed { path, was, is, .. } in undone.iter().rev() {
            if fs::read_to_string(path).is_ok_and(|now| now.trim() == is) {
                // An interface that has gone needs nothing.
                let _ = fs::write(path, was);
            }
        }
        if !undone.is_empty() {
            let _ = self.remember();
        }
    }

    /// Makes the file say this, at once and wholly; an empty list removes it.
    fn remember(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if self.changed.is_empty() {
            return fs::remove_file(file);
        }
        replace(file, &self.changed.iter().map(ToString::to_string).collect::<String>())
    }
}

impl Changed {
    fn parse(line: &str) -> Option<Self> {
        let [owner, path, was, is] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        // Nothing else is written to, whatever stands in the file.
        let path = Some(PathBuf::from(path)).filter(|path| path.starts_with(NET))?;
        let [owner, was, is] = [owner, was, is].map(str::to_owned);
        Some(Changed { owner, path, was, is, needed: false })
    }
}

/// A line of the file.
impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\t{}\t{}\t{}", self.owner, self.path.display(), self.was, self.is)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        self.undo(|changed| changed.needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_leads_nowhere_else() {
        let line = "eth0\t/proc/sys/net/ipv4/conf/eth0/arp_ignore\t0\t1\n";
        let changed = Changed::parse(line.trim_end()).unwrap();
        assert_eq!((changed.to_string().as_str(), changed.needed), (line, false));
        for bad in ["", "eth0\t/etc/passwd\t0\t1", "eth0\t/proc/sys/net/x\t0", "a\tb\tc\td\te"] {
            assert!(Changed::parse(bad).is_none(), "{bad}");
        }
    }
}
