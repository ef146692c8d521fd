//! Settings of the kernel that are changed for a while, and what they were before.

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
pub(super) fn greater(family: &str, interface: &str, name: &str) -> Option<i32> {
    let read = |interface: &str| fs::read_to_string(path(family, interface, name)).ok()?.trim().parse().ok();
    ["all", interface].into_iter().filter_map(read).max()
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

/// Settings as they were, in the order in which they were changed.
#[derive(Debug, Default)]
pub(super) struct Before(Vec<Changed>);

#[derive(Debug)]
struct Changed {
    path: PathBuf,
    was: String,
    is: String,
}

impl Before {
    /// Sets an IPv4 setting of an interface and remembers what it was.
    pub(super) fn set(&mut self, interface: &str, name: &str, value: &str) -> Result<(), String> {
        let path = path("ipv4", interface, name);
        let about = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let was = fs::read_to_string(&path).map_err(about)?.trim().to_owned();
        if was != value {
            write(&path, value)?;
            self.0.push(Changed { path, was, is: value.to_owned() });
        }
        Ok(())
    }

    /// The greater of the settings for all interfaces and for one is in force: turns the former into
    /// the same on each, so that a single one can be exempt.
    pub(super) fn scatter(&mut self, name: &str) -> Result<(), String> {
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
                let _ = self.set(&interface, name, &all.to_string());
            }
        }
        self.set("all", name, "0")
    }
}

impl Drop for Before {
    /// Makes it as it was, unless somebody else has changed it meanwhile.
    fn drop(&mut self) {
        for Changed { path, was, is } in self.0.iter().rev() {
            if fs::read_to_string(path).is_ok_and(|now| now.trim() == is) {
                // An interface that has gone needs nothing.
                let _ = fs::write(path, was);
            }
        }
    }
}
