//! The daemon's end of the connection to its guardian: what to do in its place is put on a list there.
//!
//! Nothing here waits: a guardian that does not read is one that is behind, and the daemon goes on.

use super::inbox::{Arrival, Inbox};
use super::scheduling;
use crate::agent::{Holding, Outgoing};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::getppid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;
use tracing::warn;

/// The longest word in bytes: what a socket takes at once by default, and a little less.
pub(super) const LONGEST: usize = 192 << 10;

/// What is said where nobody acts in our place any more.
pub(super) const GONE: &str = "the guardian has gone: nobody says farewell for this daemon if it is killed";

/// What the guardian is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// The list begins anew, of a daemon in this network namespace, where it is not the guardian's own.
    Anew { namespace: Option<String> },
    /// This instance has these addresses and these interfaces of our own making.
    Holds { instance: u32, addresses: BTreeSet<IpAddr>, interfaces: Vec<String> },
    /// This is its farewell now, and for how long its addresses stay where no other Master is heard.
    Farewell { instance: u32, vrid: u8, packets: Vec<Packet>, patience: Duration },
    /// It has nothing any more.
    Releases { instance: u32 },
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

/// The guardian, as the daemon sees it.
pub(super) struct Ward {
    to: OwnedFd,
    /// The farewells that it has, so that none is told twice.
    farewells: BTreeMap<u32, Word>,
    complained: bool,
}

impl Ward {
    /// Takes up the connection at standard input, where `guardian` is the process that started this one.
    pub(super) fn of(guardian: Option<i32>, namespace: Option<String>, inbox: &Inbox) -> Option<Self> {
        if guardian? != getppid().as_raw() {
            warn!("{GONE}");
            return None;
        }
        let connect = || -> io::Result<Self> {
            let to = io::stdin().as_fd().try_clone_to_owned()?;
            let (watched, inbox) = (to.try_clone()?, inbox.clone());
            scheduling::spawn("guardian", move || wait_for_end(&watched, &inbox))?;
            Ok(Ward { to, farewells: BTreeMap::new(), complained: false })
        };
        let mut ward = connect().inspect_err(|error| warn!("no word to the guardian: {error}")).ok()?;
        ward.tell(&Word::Anew { namespace });
        Some(ward)
    }

    pub(super) fn holds(&mut self, instance: u32, holding: &Holding) {
        // What is this host's own moves nowhere, and nobody waits for its farewell.
        if holding.own {
            return;
        }
        let addresses = holding.vips.iter().map(|vip| vip.address).collect();
        let interfaces = holding.vmacs().map(|vmac| vmac.name.clone()).collect();
        self.tell(&Word::Holds { instance, addresses, interfaces });
    }

    pub(super) fn farewell(&mut self, instance: u32, vrid: u8, packets: &[Outgoing], patience: Duration) {
        let packets = packets.iter().map(Packet::from).collect();
        let word = Word::Farewell { instance, vrid, packets, patience };
        if self.farewells.get(&instance) != Some(&word) {
            self.tell(&word);
            self.farewells.insert(instance, word);
        }
    }

    pub(super) fn releases(&mut self, instance: u32) {
        self.farewells.remove(&instance);
        self.tell(&Word::Releases { instance });
    }

    fn tell(&mut self, word: &Word) {
        let Ok(text) = serde_json::to_vec(word) else { return };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let told = if text.len() > LONGEST {
            Err(Errno::EMSGSIZE)
        } else {
            send(self.to.as_raw_fd(), &text, flags).map(drop)
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

fn wait_for_end(connection: &OwnedFd, inbox: &Inbox) {
    // The end is told unasked.
    let mut end = [PollFd::new(connection.as_fd(), PollFlags::empty())];
    while let Err(Errno::EINTR) = poll(&mut end, PollTimeout::NONE) {}
    inbox.put(Arrival::Unguarded);
}
