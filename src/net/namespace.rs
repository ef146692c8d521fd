//! Network namespaces by name, as `ip netns` keeps them.

use nix::sched::{CloneFlags, setns};
use smallvec::SmallVec;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// Where the namespaces with a name are.
const NAMED: &str = "/run/netns";

/// Why this process is not in the namespace that it is meant to be in. One line for people.
#[derive(Debug, thiserror::Error)]
pub enum Outside {
    /// There is none, or it cannot be looked at.
    #[error("network namespace {0}: {1}; see: ip netns list")]
    Missing(String, io::Error),
    /// It may not be entered.
    #[error(
        "network namespace {0} cannot be entered: {1}; run as root, or start the daemon in it \
         (systemd: NetworkNamespacePath={NAMED}/{0}; by hand: ip netns exec {0} locum run …)"
    )]
    Refused(String, io::Error),
}

/// Moves the calling thread into the namespace called `name`, and with it every thread and process that it
/// starts later on: call before any other thread is there. Who is in it already needs no privilege.
///
/// # Errors
/// There is no such namespace, or no right to enter it.
pub fn enter(name: &str) -> Result<(), Outside> {
    let missing = |error| Outside::Missing(name.to_owned(), error);
    // A guardian comes here, which allocates nothing.
    let path: SmallVec<[u8; 256]> = NAMED.bytes().chain(*b"/").chain(name.bytes()).collect();
    let handle = File::open(OsStr::from_bytes(&path)).map_err(missing)?;
    let number = |found: &fs::Metadata| (found.dev(), found.ino());
    let there = handle.metadata().map_err(missing)?;
    if fs::metadata("/proc/thread-self/ns/net").is_ok_and(|here| number(&here) == number(&there)) {
        return Ok(());
    }
    setns(handle, CloneFlags::CLONE_NEWNET).map_err(|error| Outside::Refused(name.to_owned(), error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_there_is_named_with_the_way_to_see_those_that_are() {
        let line = enter("no-such-place").unwrap_err().to_string();
        assert!(line.starts_with("network namespace no-such-place: No such file"), "{line}");
        assert!(line.ends_with("ip netns list"), "{line}");
    }
}
