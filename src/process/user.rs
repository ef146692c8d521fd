//! Who runs a script: a user of this machine, resolved once, at configuration load.

use caps::{CapSet, Capability};
use nix::unistd::{self, Gid, Group, Uid, getegid, geteuid};
use rustix::process::Gid as ThreadGid;
use rustix::thread;
use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// As in the user database.
    pub name: String,
    /// The numeric user id; 0 is root.
    pub uid: u32,
    /// The numeric id of the primary group.
    pub gid: u32,
    /// The groups besides; usually none, whatever those of the user are.
    pub groups: Vec<u32>,
}

impl User {
    /// The user that the daemon itself runs as.
    #[must_use]
    pub fn own() -> Self {
        let uid = geteuid().as_raw();
        User { name: user_name(uid), uid, gid: getegid().as_raw(), groups: Vec::new() }
    }

    /// The same in all groups that the group database has it in. Blocks while that answers.
    #[must_use]
    pub fn in_all_groups(mut self) -> Self {
        let name = CString::new(self.name.as_str()).ok();
        let found = name.and_then(|name| unistd::getgrouplist(&name, Gid::from_raw(self.gid)).ok());
        self.groups = found.unwrap_or_default().iter().map(|group| group.as_raw()).collect();
        self
    }

    /// Puts the calling thread into this user's groups, for good: what it starts is in them, and stays in them.
    ///
    /// It does not become the user: whoever is that could send the thread signals, and with it the daemon. What it
    /// starts does (a child that is told to becomes a user lets go of all groups, where it may, and here may not).
    fn join_groups_here(&self) -> io::Result<()> {
        let gid = ThreadGid::from_raw(self.gid);
        let groups: Vec<_> = self.groups.iter().map(|group| ThreadGid::from_raw(*group)).collect();
        thread::set_thread_groups(&groups)?;
        thread::set_thread_res_gid(gid, gid, gid)?;
        caps::drop(None, CapSet::Effective, Capability::CAP_SETGID).map_err(io::Error::other)
    }

    /// Has `spawn` start `command` as this user, who is another than the daemon's own.
    pub(super) fn starts<T: Send>(
        &self,
        mut command: Command,
        spawn: impl FnOnce(Command) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        command.uid(self.uid);
        if self.groups.is_empty() {
            // The daemon's groups are dropped with it.
            command.gid(self.gid);
            return spawn(command);
        }
        // The standard library sets further groups only on nightly (and `pre_exec` is unsafe): a thread that has joined
        // them starts it, and ends.
        let runtime = tokio::runtime::Handle::current();
        let start = || {
            let _entered = runtime.enter();
            self.join_groups_here()?;
            spawn(command)
        };
        let died = |_| Err(io::Error::other("the thread that was to start it has died"));
        std::thread::scope(|scope| scope.spawn(start).join().unwrap_or_else(died))
    }

    /// Whether a child runs as this user without any change.
    pub(super) fn is_own(&self) -> bool {
        self.groups.is_empty() && self.uid == geteuid().as_raw() && self.gid == getegid().as_raw()
    }
}

/// Whether this process may start a child as another user.
pub(super) fn may_become_another() -> bool {
    let effective = caps::read(None, CapSet::Effective).unwrap_or_default();
    [Capability::CAP_SETUID, Capability::CAP_SETGID].iter().all(|needed| effective.contains(needed))
}

/// Looks a user up by name. Blocks while the user database answers.
///
/// # Errors
/// One line for people: no such user, or a database that does not answer.
pub fn resolve_user(name: &str) -> Result<User, String> {
    match unistd::User::from_name(name) {
        Ok(Some(user)) => {
            Ok(User { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups: Vec::new() })
        }
        Ok(None) => Err(format!(
            "there is no user \"{name}\" on this machine: create it (useradd --system {name}) or name another"
        )),
        Err(error) => Err(format!("cannot look up user \"{name}\" ({error}): see /etc/nsswitch.conf")),
    }
}

/// The name of a user id, or the number where it has none.
#[must_use]
pub fn user_name(uid: u32) -> String {
    match unistd::User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// The name of a group id, or the number where it has none.
#[must_use]
pub fn group_name(gid: u32) -> String {
    match Group::from_gid(Gid::from_raw(gid)) {
        Ok(Some(group)) => group.name,
        _ => gid.to_string(),
    }
}
