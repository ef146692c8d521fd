//! The daemon's end of the connection to its guardian: what to do in its place is put on a list there.
//!
//! Nothing here waits: a guardian that does not read is one that is behind, and the daemon goes on.

use super::foster;
use super::inbox::Inbox;
use super::{Guarding, Overrides};
use crate::agent::{Holding, Outgoing, Will};
use crate::config::Details;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, getsockopt, send, socketpair, sockopt};
use nix::unistd::dup2_stdin;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;
use tracing::warn;

/// The longest word in bytes: what a socket takes at once by default, and a little less.
pub(super) const LONGEST: usize = 192 << 10;

/// What the guardian is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// The list begins anew, of a daemon in this network namespace, where it is not the guardian's own, that
    /// answers at this socket, and who is to start it again.
    Anew { namespace: Option<String>, control: PathBuf, restarts: bool },
    /// This instance has these addresses and these interfaces of our own making; and whether the connections of
    /// the addresses end with them.
    Holds {
        instance: u32,
        addresses: BTreeSet<IpAddr>,
        interfaces: Vec<String>,
        // Daemons of before say nothing of it.
        #[serde(default)]
        closes: bool,
    },
    /// This is its farewell now, for how long its addresses stay where no other Master is heard, and for how long
    /// once one is.
    Farewell { instance: u32, vrid: u8, packets: Vec<Packet>, patience: Duration, linger: Duration },
    /// It has nothing any more.
    Releases { instance: u32 },
    /// The daemon ends by itself, with this exit code.
    Ends { code: u8 },
}

/// A packet that is ready to leave, but for its IP header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packet {
    pub interface: String,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub mac: Option<[u8; 6]>,
    pub ttl: u8,
    pub protocol: u8,
    pub identification: u16,
    pub payload: Vec<u8>,
}

impl From<&Outgoing> for Packet {
    fn from(outgoing: &Outgoing) -> Self {
        Packet {
            interface: outgoing.interface.to_string(),
            source: outgoing.source,
            destination: outgoing.destination,
            mac: outgoing.mac,
            ttl: outgoing.ttl,
            protocol: outgoing.protocol,
            identification: outgoing.identification,
            payload: outgoing.payload.clone(),
        }
    }
}

/// A connection between a daemon and its guardian.
pub(super) fn connection() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// The guardian, as the daemon sees it.
pub(super) struct Ward {
    /// `None` while there is none.
    to: Option<OwnedFd>,
    /// How each list begins.
    anew: Word,
    /// What it has been told, so that nothing is told twice, and everything to the next.
    holds: BTreeMap<u32, Word>,
    farewells: BTreeMap<u32, Word>,
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
        let (namespace, control) = (details.identity.namespace.clone(), details.control.path.clone());
        let (holds, farewells) = Default::default();
        let anew = Word::Anew { namespace, control, restarts: overrides.guardian == Guarding::Restarts };
        let mut ward = Ward { to: None, anew, holds, farewells, complained: false };
        if let Some(to) = to {
            ward.found(to);
        }
        Some(ward)
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
        let (holds, farewells) = (std::mem::take(&mut self.holds), std::mem::take(&mut self.farewells));
        holds.values().chain(farewells.values()).for_each(|word| self.tell(word));
        (self.holds, self.farewells) = (holds, farewells);
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
        let interfaces = holding.vmacs().map(|vmac| vmac.name.clone()).collect();
        let closes = holding.close_connections;
        let word = Word::Holds { instance, addresses, interfaces, closes };
        if self.holds.get(&instance) != Some(&word) {
            self.tell(&word);
            self.holds.insert(instance, word);
        }
    }

    pub(super) fn farewell(&mut self, instance: u32, will: &Will) {
        let Will { vrid, farewell, patience, linger } = will;
        let packets = farewell.iter().map(Packet::from).collect();
        let (vrid, patience, linger) = (vrid.get(), *patience, *linger);
        let word = Word::Farewell { instance, vrid, packets, patience, linger };
        if self.farewells.get(&instance) != Some(&word) {
            self.tell(&word);
            self.farewells.insert(instance, word);
        }
    }

    pub(super) fn releases(&mut self, instance: u32) {
        self.holds.remove(&instance);
        self.farewells.remove(&instance);
        self.tell(&Word::Releases { instance });
    }

    /// This process ends by itself, with this code.
    pub(super) fn ends(&mut self, code: u8) {
        self.tell(&Word::Ends { code });
    }

    fn tell(&mut self, word: &Word) {
        let (Some(to), Ok(text)) = (&self.to, serde_json::to_vec(word)) else { return };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let told = if text.len() > LONGEST {
            Err(Errno::EMSGSIZE)
        } else {
            send(to.as_raw_fd(), &text, flags).map(drop)
        };
        match told {
            Ok(()) => self.complained = false,
            Err(error) if !self.complained => {
                self.complained = true;
                warn!("the guardian's list is not up to date: {error}");
            }
            Err(_) => {}
        }
    }
}
