//! The daemon's end of the connection to its guardian: what to do in its place is put on a list there.
//!
//! Nothing here waits: a guardian that does not read is one that is behind, and the daemon goes on.

use super::foster;
use super::inbox::Inbox;
use super::store::Consulting;
use super::word::{self, LONGEST};
use super::{Guarding, Overrides, managed};
use crate::agent::{Holding, Will};
use crate::claim::VoterId;
use crate::config::Details;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, getsockopt, send, socketpair, sockopt};
use nix::unistd::dup2_stdin;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use tracing::warn;

/// How long a guardian may take to read a few words, in milliseconds; more than a busy machine keeps it from that.
const READS_WITHIN: u16 = 5;
/// How long it may take to end, in milliseconds.
const ENDS_WITHIN: u16 = 1000;

/// A connection between a daemon and its guardian.
pub(super) fn connection() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// The guardian, as the daemon sees it.
pub(super) struct Ward {
    /// `None` while there is none.
    to: Option<OwnedFd>,
    /// How each list begins.
    anew: Vec<u8>,
    /// What it has been told, so that nothing is told twice, and everything to the next.
    holds: BTreeMap<u32, Box<[u8]>>,
    farewells: BTreeMap<u32, Box<[u8]>>,
    /// Where voters are by another path.
    paths: BTreeMap<VoterId, SocketAddr>,
    /// Where a store takes their place.
    store: Option<Consulting>,
    /// Of these it has not taken everything yet.
    behind: BTreeSet<u32>,
    complained: bool,
}

impl Ward {
    /// Takes up the connection at standard input, where there is one: of the guardian that has started this
    /// process, or of the one that its predecessor had. Else a guardian is started.
    pub(super) fn of(overrides: &Overrides, details: &Details, inbox: &Inbox) -> Option<Self> {
        if overrides.guardian == Guarding::No {
            return None;
        }
        let connect = || -> io::Result<Option<OwnedFd>> {
            let to = io::stdin().as_fd().try_clone_to_owned()?;
            let to = getsockopt(&to, sockopt::SockType)
                .is_ok_and(|kind| kind == SockType::SeqPacket)
                .then_some(to);
            let first = to.as_ref().map(OwnedFd::try_clone).transpose()?;
            foster::watch(first, overrides.directory.clone(), inbox.clone())?;
            Ok(to)
        };
        let to = connect().inspect_err(|error| warn!("without a guardian: {error}")).ok()?;
        let (holds, farewells, behind) = Default::default();
        let restarts = overrides.guardian == Guarding::Restarts;
        let anew = word::anew(details.identity.namespace.as_deref(), &details.control.path, restarts);
        let paths = details.vote_path.as_ref().map(|path| path.others.clone()).unwrap_or_default();
        let mut ward =
            Ward { to: None, anew, holds, farewells, paths, store: None, behind, complained: false };
        if let Some(to) = to {
            ward.found(to);
        }
        Some(ward)
    }

    /// Claims come from this store from now on.
    pub(super) fn consults(&mut self, store: Option<Consulting>) {
        self.store = store;
    }

    /// The guardian has gone.
    pub(super) fn lost(&mut self) {
        self.to = None;
    }

    /// There is another, who knows nothing yet.
    pub(super) fn found(&mut self, to: OwnedFd) {
        // Where the program that takes the place of this one finds it.
        if let Err(error) = dup2_stdin(&to) {
            warn!("the guardian is lost with the next restart in place: {error}");
        }
        self.to = Some(to);
        self.tell(&self.anew.clone());
        self.behind = self.holds.keys().chain(self.farewells.keys()).copied().collect();
        self.catch_up();
    }

    /// Tells what it could not take before: a thousand routers at once are more than it is woken for.
    pub(super) fn catch_up(&mut self) {
        while let Some(instance) = self.behind.first().copied() {
            let known = [self.holds.get(&instance), self.farewells.get(&instance)];
            let words: Vec<Box<[u8]>> = known.into_iter().flatten().cloned().collect();
            let gone = words.is_empty().then(|| word::releases(instance).into());
            if !words.iter().chain(&gone).all(|word| self.tell(word)) {
                break;
            }
            self.behind.remove(&instance);
        }
    }

    /// For the status.
    pub(super) fn fact(&self) -> (&'static str, String) {
        ("guardian", if self.to.is_some() { "watches" } else { "gone" }.to_owned())
    }

    pub(super) fn holds(&mut self, instance: u32, holding: &Holding) {
        // What is this host's own moves nowhere, and nobody waits for its farewell.
        if holding.own {
            return;
        }
        let addresses = holding.vips.iter().map(|vip| vip.address).collect();
        let word = word::holds(
            instance,
            &addresses,
            holding.vmacs().map(|vmac| vmac.name.as_str()),
            holding.close_connections,
        )
        .into_boxed_slice();
        if self.holds.get(&instance) != Some(&word) {
            self.tell_of(instance, &word);
            self.holds.insert(instance, word);
        }
    }

    pub(super) fn farewell(&mut self, instance: u32, will: &Will) {
        let store = self.store.as_ref();
        let posts: Vec<Vec<_>> = will
            .releases
            .iter()
            .map(|release| store.into_iter().flat_map(|store| store.last_posts(release)).collect())
            .collect();
        let word = word::farewell(instance, will, &self.paths, &posts).into_boxed_slice();
        if self.farewells.get(&instance) != Some(&word) {
            self.tell_of(instance, &word);
            self.farewells.insert(instance, word);
        }
    }

    pub(super) fn releases(&mut self, instance: u32) {
        self.holds.remove(&instance);
        self.farewells.remove(&instance);
        self.tell_of(instance, &word::releases(instance));
    }

    /// This process ends by itself, with this code.
    pub(super) fn ends(&mut self, code: u8) {
        self.tell(&word::ends(code));
        // Nothing of a service may be left once its main process has ended; where that is ours, no guardian has to
        // wait for it.
        if managed()
            && let Some(to) = &self.to
        {
            let mut end = [PollFd::new(to.as_fd(), PollFlags::empty())];
            let _ = poll(&mut end, ENDS_WITHIN);
        }
    }

    fn tell_of(&mut self, instance: u32, word: &[u8]) {
        if !self.tell(word) {
            self.behind.insert(instance);
        }
    }

    /// Whether nothing is left to be told: it is, or there is nobody, or it is too long to be taken ever.
    fn tell(&mut self, word: &[u8]) -> bool {
        let Some(to) = &self.to else { return true };
        let told =
            if word.len() > LONGEST { Err(Errno::EMSGSIZE) } else { send_soon(to, word, self.complained) };
        match told {
            Ok(()) => self.complained = false,
            Err(error) if !self.complained => {
                self.complained = true;
                warn!("the guardian's list is not up to date: {error}");
            }
            Err(_) => {}
        }
        told != Err(Errno::EAGAIN)
    }
}

/// The kernel keeps some ten words for who does not read: whoever has more waits for him, unless he is known to hang.
fn send_soon(to: &OwnedFd, word: &[u8], hangs: bool) -> nix::Result<()> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match send(to.as_raw_fd(), word, flags) {
        Err(Errno::EAGAIN) if !hangs => {
            poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLOUT)], READS_WITHIN)?;
            send(to.as_raw_fd(), word, flags)
        }
        done => done,
    }
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::word::{Word, read};
    use super::*;
    use nix::sys::socket::recv;

    #[test]
    fn a_guardian_that_slept_hears_of_a_thousand_routers_all_the_same() {
        let (to, guardian) = connection().unwrap();
        let mut ward = Ward {
            to: Some(to),
            anew: Vec::new(),
            holds: BTreeMap::new(),
            farewells: BTreeMap::new(),
            paths: BTreeMap::new(),
            store: None,
            behind: BTreeSet::new(),
            complained: false,
        };
        let mut heard = BTreeSet::new();
        let mut hear = || {
            let mut bytes = vec![0; LONGEST];
            while let Ok(length) = recv(guardian.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                match read(&bytes[..length]) {
                    Some((instance, Word::Holds(_))) => heard.insert(instance),
                    Some((instance, Word::Releases)) => heard.remove(&instance),
                    _ => panic!("{length} bytes"),
                };
            }
            heard.len()
        };
        for instance in 0..1000 {
            ward.holds(instance, &Holding::default());
        }
        ward.releases(999);
        ward.releases(0);
        assert!(hear() < 900);
        for _ in 0..1000 {
            ward.catch_up();
            hear();
        }
        assert_eq!((hear(), ward.behind.len()), (998, 0));
    }
}
