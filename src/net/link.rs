//! Links and their addresses, as they change: rtnetlink's groups, reported as plain facts.
//!
//! No policy here. What the kernel says of a link is taken from the message itself; when an address
//! that is not Locum's comes, goes or changes, the link's addresses are read anew, so that their
//! order is the kernel's. When messages were lost, everything is read anew.

use super::Placed;
use super::netlink::{AddressFact, DATAGRAM, LinkFact, Message, messages};
use super::netlink_socket::Netlink;
use crate::agent::{Link, LinkAddress};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use nix::libc::{ENOBUFS, MSG_DONTWAIT, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_LINK};
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::PoisonError;

/// Holds the messages of about 60,000 addresses. With a small buffer the kernel would also slow
/// down whoever changes addresses while it is more than half full.
pub const RECEIVE_BUFFER: usize = 16 << 20;
/// Datagrams taken at one go: a storm must not put off the report for ever.
const DRAIN: usize = 4096;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Everything about one interface: at the start, and whenever anything of it has changed. A new
    /// `index` under a known name is an interface made anew.
    Link(Link),
    /// The interface of this name is gone, or has another name now.
    Gone(String),
    /// Every interface has been reported once.
    Ready,
    /// An address, Locum's or not, has gone from an interface.
    AddressGone {
        /// The interface it was on.
        interface: String,
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
}

/// Watches the links of the network namespace of the calling thread and reports until it fails.
/// `placed` tells Locum's addresses apart where the kernel has no mark for them.
///
/// # Errors
/// Returns only when the kernel's messages cannot be read any longer.
pub async fn watch(placed: Placed, report: impl Fn(Report) + Send + 'static) -> io::Error {
    watch_with(RECEIVE_BUFFER, placed, report).await
}

/// [`watch`] with another receive buffer, in bytes.
///
/// # Errors
/// As [`watch`].
pub async fn watch_with(
    buffer: usize,
    placed: Placed,
    report: impl Fn(Report) + Send + 'static,
) -> io::Error {
    let mut watcher =
        Watcher { known: BTreeMap::new(), reported: BTreeMap::new(), gone: Vec::new(), placed, report };
    match watcher.run(buffer).await {
        Ok(never) => match never {},
        Err(error) => io::Error::new(error.kind(), format!("cannot watch the links of this host: {error}")),
    }
}

fn subscribe(buffer: usize) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    let netlink = socket.socket_mut();
    // Before joining: a group delivers from the first moment.
    if setsockopt(netlink, sockopt::RcvBufForce, &buffer).is_err() {
        setsockopt(netlink, sockopt::RcvBuf, &buffer)?;
    }
    netlink.bind(&SocketAddr::new(0, 0))?;
    for group in [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] {
        netlink.add_membership(group)?;
    }
    Ok(socket)
}

struct Known {
    link: Link,
    /// Locum's own addresses on it.
    placed: BTreeSet<(IpAddr, u8)>,
}

struct Watcher<F> {
    known: BTreeMap<u32, Known>,
    /// What the other side has been told, by name.
    reported: BTreeMap<String, Link>,
    /// Addresses found gone and not told yet.
    gone: Vec<Report>,
    placed: Placed,
    report: F,
}

impl<F: Fn(Report)> Watcher<F> {
    async fn run(&mut self, buffer: usize) -> io::Result<Infallible> {
        let socket = subscribe(buffer)?;
        self.resync().await?;
        self.tell();
        (self.report)(Report::Ready);
        let mut datagram = Vec::with_capacity(DATAGRAM);
        loop {
            datagram.clear();
            let arrived = socket.recv(&mut datagram).await;
            let (lost, stale) = self.drain(&socket, arrived, &mut datagram)?;
            if lost {
                self.resync().await?;
            } else {
                for index in stale {
                    let addresses = ask(move |netlink| netlink.addresses(Some(index))).await?;
                    self.replace(index, addresses.iter());
                }
            }
            self.tell();
        }
    }

    /// Takes in what has arrived and what waits behind it. Returns whether messages were lost, and
    /// the links whose addresses have to be read anew.
    ///
    /// After a loss the queue is emptied to the end: what is left in it is older than what was lost,
    /// and must not be believed after the resync. The kernel adds nothing until it is empty.
    fn drain(
        &mut self,
        socket: &TokioSocket,
        mut arrived: io::Result<()>,
        datagram: &mut Vec<u8>,
    ) -> io::Result<(bool, BTreeSet<u32>)> {
        let (mut lost, mut stale, mut taken) = (false, BTreeSet::new(), 0);
        loop {
            match arrived {
                Ok(()) => {
                    for framed in messages(datagram) {
                        self.apply(framed.message, &mut stale);
                    }
                }
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => lost = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((lost, stale)),
                Err(error) => return Err(error),
            }
            taken += 1;
            if taken >= DRAIN && !lost {
                return Ok((lost, stale));
            }
            datagram.clear();
            arrived = socket.socket_ref().recv(datagram, MSG_DONTWAIT).map(drop);
        }
    }

    fn apply(&mut self, message: Message, stale: &mut BTreeSet<u32>) {
        match message {
            Message::Link(fact) => {
                if !self.known.contains_key(&fact.index) {
                    stale.insert(fact.index);
                }
                self.learn(fact);
            }
            Message::LinkGone(index) => {
                self.known.remove(&index);
                stale.remove(&index);
            }
            Message::Address(fact) => {
                let ours = self.ours(&fact);
                let Some(known) = self.known.get_mut(&fact.index) else {
                    return;
                };
                if ours {
                    known.placed.insert((fact.address, fact.prefix));
                } else {
                    stale.insert(fact.index);
                }
            }
            Message::AddressGone(fact) => {
                let Some(known) = self.known.get_mut(&fact.index) else {
                    return;
                };
                if !known.placed.remove(&(fact.address, fact.prefix)) {
                    stale.insert(fact.index);
                }
                let (interface, address, prefix) = (known.link.name.clone(), fact.address, fact.prefix);
                self.gone.push(Report::AddressGone { interface, address, prefix });
            }
            Message::Done(_) | Message::Answer(_) => {}
        }
    }

    /// Some messages (wireless events) say only a part: the rest stays as it was.
    fn learn(&mut self, fact: LinkFact) {
        let index = fact.index;
        if let Some(known) = self.known.get_mut(&index) {
            let link = &mut known.link;
            link.up = fact.up;
            link.name = fact.name.unwrap_or_else(|| link.name.clone());
            link.mac = fact.mac.or(link.mac);
            link.mtu = fact.mtu.unwrap_or(link.mtu);
        } else if let Some(name) = fact.name {
            let mtu = fact.mtu.unwrap_or_default();
            let link = Link { name, index, up: fact.up, mac: fact.mac, mtu, addresses: Vec::new() };
            self.known.insert(index, Known { link, placed: BTreeSet::new() });
        }
    }

    fn ours(&self, fact: &AddressFact) -> bool {
        let placed = self.placed.read().unwrap_or_else(PoisonError::into_inner);
        fact.marked() || placed.contains(&fact.address)
    }

    /// Puts `addresses` in the place of what was known of the link.
    fn replace<'a>(&mut self, index: u32, addresses: impl Iterator<Item = &'a AddressFact>) {
        let (ours, own): (Vec<_>, Vec<_>) = addresses.partition(|fact| self.ours(fact));
        let Some(known) = self.known.get_mut(&index) else {
            return;
        };
        let placed: BTreeSet<_> = ours.iter().map(|fact| (fact.address, fact.prefix)).collect();
        let own: Vec<LinkAddress> = own
            .iter()
            .map(|fact| LinkAddress {
                address: fact.address,
                prefix: fact.prefix,
                tentative: fact.tentative(),
                secondary: fact.secondary(),
            })
            .collect();
        for (address, prefix) in known.placed.difference(&placed) {
            let interface = known.link.name.clone();
            self.gone.push(Report::AddressGone { interface, address: *address, prefix: *prefix });
        }
        known.placed = placed;
        known.link.addresses = own;
    }

    async fn resync(&mut self) -> io::Result<()> {
        let (links, addresses) = ask(|netlink| Ok((netlink.links()?, netlink.addresses(None)?))).await?;
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        self.known.retain(|index, _| present.contains(index));
        for link in links {
            self.learn(link);
        }
        for index in present {
            self.replace(index, addresses.iter().filter(|fact| fact.index == index));
        }
        Ok(())
    }

    fn tell(&mut self) {
        for gone in self.gone.drain(..) {
            (self.report)(gone);
        }
        let names: BTreeSet<&str> = self.known.values().map(|known| known.link.name.as_str()).collect();
        let vanished: Vec<String> =
            self.reported.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        for name in vanished {
            self.reported.remove(&name);
            (self.report)(Report::Gone(name));
        }
        for Known { link, .. } in self.known.values() {
            if self.reported.get(&link.name) != Some(link) {
                self.reported.insert(link.name.clone(), link.clone());
                (self.report)(Report::Link(link.clone()));
            }
        }
    }
}

/// Asks on a thread of its own: the kernel answers late while others change much.
async fn ask<T: Send + 'static>(
    question: impl FnOnce(&mut Netlink) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(move || question(&mut Netlink::open()?)).await.map_err(io::Error::other)?
}
