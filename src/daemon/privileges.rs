//! What the process may do: checked before anything else, so that the reason is one line.

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{Gid, getgroups, setgroups};
use std::io;
use std::sync::OnceLock;

const NEEDED: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// Whether addresses can be changed and raw sockets opened. Also keeps what the process may do from
/// its scripts: ambient capabilities would outlive the change of user. Call before any thread starts.
pub(super) fn check() -> Result<(), String> {
    let effective = caps::read(None, CapSet::Effective)
        .map_err(|error| format!("cannot read the capabilities of this process: {error}"))?;
    if let Some(names) = missing(&effective) {
        return Err(format!(
            "missing {names}: run as root, or give the process these capabilities \
             (systemd: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
        ));
    }
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set).map_err(|error| format!("cannot drop capabilities for scripts: {error}"))?;
    }
    Ok(())
}

/// Nor is a script to be in the daemon's groups, which may read its secrets. Call once the control
/// socket has its group.
pub(super) fn leave_groups() -> io::Result<()> {
    let effective = caps::read(None, CapSet::Effective).unwrap_or_default();
    if effective.contains(&Capability::CAP_SETGID) {
        let groups = getgroups()?;
        setgroups(&[])?;
        // Called once.
        let _ = LEFT.set(groups);
    }
    Ok(())
}

/// The groups that were left.
static LEFT: OnceLock<Vec<Gid>> = OnceLock::new();

/// Gives the program that takes the place of this one what this one was given. Of the calling thread only.
pub(super) fn pass_on() -> Result<(), String> {
    if let Some(groups) = LEFT.get() {
        setgroups(groups).map_err(|error| format!("cannot take up the groups again: {error}"))?;
    }
    pass_capabilities_on()
}

/// Gives what the calling thread starts from now on what this process was given. Of that thread only.
pub(super) fn pass_to_children() -> Result<(), String> {
    if let Some(groups) = LEFT.get() {
        let groups: Vec<_> =
            groups.iter().map(|group| rustix::process::Gid::from_raw(group.as_raw())).collect();
        rustix::thread::set_thread_groups(&groups)
            .map_err(|error| format!("cannot take up the groups again: {error}"))?;
    }
    pass_capabilities_on()
}

fn pass_capabilities_on() -> Result<(), String> {
    let pass = || -> Result<(), caps::errors::CapsError> {
        let permitted = caps::read(None, CapSet::Permitted)?;
        caps::set(None, CapSet::Inheritable, &permitted)?;
        caps::set(None, CapSet::Ambient, &permitted)
    };
    pass().map_err(|error| format!("cannot pass capabilities on: {error}"))
}

fn missing(effective: &CapsHashSet) -> Option<String> {
    let missing = NEEDED.iter().filter(|needed| !effective.contains(needed));
    let names: Vec<String> = missing.map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        let with = |capabilities: &[Capability]| missing(&capabilities.iter().copied().collect());
        assert_eq!(with(&NEEDED), None);
        assert_eq!(with(&[Capability::CAP_NET_ADMIN]).as_deref(), Some("CAP_NET_RAW"));
        assert_eq!(with(&[]).as_deref(), Some("CAP_NET_ADMIN and CAP_NET_RAW"));
    }
}
