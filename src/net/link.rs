//! Links and their addresses, as they change: rtnetlink's groups, reported as plain facts.
//!
//! No policy here. What the kernel says of a link is taken from the message itself; when an address
//! that is not Locum's comes, goes or changes, the link's addresses are read anew, so that their
//! order is the kernel's. When messages were lost, everything is read anew.

use super::Placed;
use super::local_route::{HELD, LocalRoute};
use super::netlink::{AddressFact, LinkFact, MARK, Message, framed};
use super::rtnl::{closed, dump};
use crate::agent::{Link, LinkAddress};
use futures_util::{Stream, StreamExt};
use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_sys::{AsyncSocket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::MulticastGroup;
use socket2::{SockFilter, SockRef};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::PoisonError;

/// Holds the messages of about 60,000 addresses. With a small buffer the kernel would also slow
/// down whoever changes addresses while it is more than half full.
pub const RECEIVE_BUFFER: usize = 16 << 20;
/// Messages taken at one go: a storm must not put off the report for ever.
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
    /// Messages of the kernel were lost: of addresses that have gone not all may be told of.
    Lost,
    /// An address, Locum's or not, has gone from an interface; or Locum's route that stood for one.
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
    let mut watcher = Watcher::new(placed, report);
    match watcher.run(buffer).await {
        Ok(never) => match never {},
        Err(error) => io::Error::new(error.kind(), format!("cannot watch the links of this host: {error}")),
    }
}

/// The links of the network namespace of the calling thread, once. `placed` as in [`watch`].
///
/// # Errors
/// Those of the kernel.
pub async fn list(placed: Placed) -> io::Result<Vec<Link>> {
    let mut watcher = Watcher::new(placed, |_| {});
    watcher.resync().await?;
    Ok(watcher.known.into_values().map(|known| known.link).collect())
}

type Incoming = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr);

/// The connection, which has to be polled, and what it hears.
fn subscribe(buffer: usize) -> io::Result<(impl Future<Output = ()>, impl Stream<Item = Incoming> + Unpin)> {
    let (mut connection, _, messages) = rtnetlink::new_multicast_connection(&[])?;
    let socket = connection.socket_mut().socket_mut();
    // Before joining: a group delivers from the first moment.
    if setsockopt(socket, sockopt::RcvBufForce, &buffer).is_err() {
        setsockopt(socket, sockopt::RcvBuf, &buffer)?;
    }
    SockRef::from(&*socket).attach_filter(&filter())?;
    for group in [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
    ] {
        socket.add_membership(group as u32)?;
    }
    Ok((connection, messages))
}

/// Of all routes only those that stood for an address of Locum's and have gone: a host may have a million
/// others, and they change all day. And of addresses no news of one with Locum's mark: whoever puts it there knows.
/// Of five thousand that come, each would wake this process while the kernel is busy with the next, and the kernel
/// takes a tenth longer for all.
fn filter() -> [SockFilter; 15] {
    const TYPE_AT: u32 = 4;
    const PROTOCOL_AT: u32 = 16 + 5;
    /// Behind the headers of netlink and of an address.
    const ATTRIBUTES_AT: u32 = 16 + 8;
    // Loaded as if it came from a network.
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let load = |size: u16, at: u32| (size, 0, 0, at);
    let jump = |value: u32, then: u8, otherwise: u8| (0x15, then, otherwise, value);
    let [half, byte, byte_there] = [0x28, 0x30, 0x50];
    [
        load(half, TYPE_AT),
        jump(kind(nix::libc::RTM_NEWROUTE), 12, 0),
        jump(kind(nix::libc::RTM_DELROUTE), 1, 0),
        jump(kind(nix::libc::RTM_NEWADDR), 2, 9),
        load(byte, PROTOCOL_AT),
        jump(u32::from(HELD), 7, 8),
        // The kernel finds the attribute of the number in X, from A on.
        load(0x01, IFA_PROTO),
        load(0x00, ATTRIBUTES_AT),
        load(0x20, SKF_AD_NLATTR),
        jump(0, 3, 0),
        load(0x07, 0),
        load(byte_there, 4),
        jump(u32::from(MARK), 1, 0),
        (0x06, 0, 0, u32::MAX),
        (0x06, 0, 0, 0),
    ]
    .map(|(code, then, otherwise, value)| SockFilter::new(code, then, otherwise, value))
}

/// `linux/filter.h`: a load from there finds an attribute.
const SKF_AD_NLATTR: u32 = u32::MAX - 0xfff + 12;
/// `linux/if_addr.h`.
const IFA_PROTO: u32 = 11;

struct Known {
    link: Link,
    /// Locum's own addresses on it, as far as they were read, or are told of.
    placed: BTreeSet<(IpAddr, u8)>,
}

struct Watcher<F> {
    known: BTreeMap<u32, Known>,
    /// What the other side has been told, by name.
    reported: BTreeMap<String, Link>,
    /// Addresses found gone and not told yet.
    gone: Vec<Report>,
    ready: bool,
    placed: Placed,
    report: F,
}

impl<F: Fn(Report)> Watcher<F> {
    fn new(placed: Placed, report: F) -> Self {
        let (known, reported, gone) = <_>::default();
        Watcher { known, reported, gone, ready: false, placed, report }
    }

    /// After a loss with a new subscription: what waits in the old one is older than what was lost,
    /// and must not be believed after everything has been read anew.
    async fn run(&mut self, buffer: usize) -> io::Result<Infallible> {
        loop {
            let (connection, messages) = subscribe(buffer)?;
            tokio::select! {
                () = connection => return Err(closed()),
                lost = self.follow(messages) => lost?,
            }
            (self.report)(Report::Lost);
        }
    }

    /// Returns when messages were lost.
    async fn follow(&mut self, messages: impl Stream<Item = Incoming> + Unpin) -> io::Result<()> {
        self.resync().await?;
        self.tell();
        if !std::mem::replace(&mut self.ready, true) {
            (self.report)(Report::Ready);
        }
        let mut arrivals = messages.ready_chunks(DRAIN);
        while let Some(arrived) = arrivals.next().await {
            let mut stale = BTreeSet::new();
            for message in arrived.into_iter().filter_map(|(message, _)| framed(message)) {
                if matches!(message.message, Message::Lost) {
                    return Ok(());
                }
                self.apply(message.message, &mut stale);
            }
            for index in stale {
                let addresses = addresses(index).await?;
                self.replace(index, addresses.iter());
            }
            self.tell();
        }
        Err(closed())
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
                let ours = self.ours(&fact);
                let Some(known) = self.known.get_mut(&fact.index) else {
                    return;
                };
                if !known.placed.remove(&(fact.address, fact.prefix)) && !ours {
                    stale.insert(fact.index);
                }
                let (interface, address, prefix) = (known.link.name.clone(), fact.address, fact.prefix);
                self.gone.push(Report::AddressGone { interface, address, prefix });
            }
            Message::LocalRouteGone(LocalRoute { index, address }) => {
                let Some(known) = self.known.get(&index) else { return };
                let (interface, address) = (known.link.name.clone(), address.into());
                self.gone.push(Report::AddressGone { interface, address, prefix: 32 });
            }
            Message::LocalRoute(_) | Message::Done(_) | Message::Answer(_) | Message::Lost => {}
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
        fact.moves() || placed.contains(&fact.address)
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
        let (links, addresses) = (links().await?, addresses(0).await?);
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

async fn links() -> io::Result<Vec<LinkFact>> {
    let mut question = LinkMessage::default();
    question.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    dump(RouteNetlinkMessage::GetLink(question), |message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(LinkFact::of(link)),
        _ => None,
    })
    .await
}

/// The addresses of one link, or with number 0 of all, in the kernel's order.
async fn addresses(index: u32) -> io::Result<Vec<AddressFact>> {
    let mut question = AddressMessage::default();
    question.header.index = index;
    let found = dump(RouteNetlinkMessage::GetAddress(question), |message| match message {
        RouteNetlinkMessage::NewAddress(address) => AddressFact::of(address),
        _ => None,
    });
    // Kernels before 4.20 do not filter.
    let wanted = |fact: &AddressFact| index == 0 || fact.index == index;
    Ok(found.await?.into_iter().filter(wanted).collect())
}
