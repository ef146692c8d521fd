//! The self-test of virtual MAC addresses: what this host answers to ARP for an address that has one.
//!
//! A host cannot ask itself, so it looks at its answers to others. RFC 9568 section 8.1.2 wants the virtual
//! MAC address in each. Another interface may answer with its own as well: on the same network, or since
//! somebody has changed its settings. Whoever believes that one loses the address at the next failover.
//!
//! To look costs a little for every packet of the host: it is done for a minute after an announcement, and
//! on, for as long as something is wrong. What to do about it is not decided here.

use super::aside::Aside;
use nix::errno::Errno;
use nix::net::if_::if_indextoname;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};
use pnet::packet::arp::{ArpOperations, ArpPacket};
use pnet::packet::ethernet::EtherTypes;
use pnet::util::MacAddr;
use socket2::{SockFilter, SockRef};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long to look after an announcement: caches of neighbours ask again within that time.
const WATCH: Duration = Duration::from_secs(60);
/// How often to look.
const EVERY: Duration = Duration::from_secs(1);
/// Answers that are judged at one look; the next one judges the others.
const MOST: usize = 256;
/// `linux/if_packet.h`: leaves this host.
const PACKET_OUTGOING: u8 = 4;

/// Looks, after [`Answers::watch`].
#[derive(Default)]
pub(super) struct Answers {
    watch: Option<Watch>,
    /// What was last seen of each owner.
    verdicts: BTreeMap<u32, Verdict>,
}

struct Watch {
    socket: Aside,
    next: Instant,
    until: Instant,
}

/// What the answers for the addresses of one owner carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The virtual MAC address, all of them.
    Right,
    /// This one does not.
    Wrong(Answer),
}

/// An answer that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The interface that it left by, by its number.
    pub(super) index: u32,
    /// Where it says that the address is.
    pub(super) mac: MacAddr,
    pub(super) address: Ipv4Addr,
}

impl Answer {
    /// The name of the interface that it left by, or its number where that has gone.
    pub(super) fn interface(&self) -> String {
        if_indextoname(self.index)
            .map_or_else(|_| format!("interface {}", self.index), |name| name.to_string_lossy().into_owned())
    }

    /// A line about a wrong one that left by `interface`, whose settings were at fault where `mended`.
    pub(super) fn tell(&self, interface: &str, mended: bool) -> String {
        let Answer { address, mac, .. } = self;
        let what = if mended {
            format!("settings of {interface} had been changed, and are set again")
        } else {
            format!("set net.ipv4.conf.{interface}.arp_ignore to 1, or take {interface} off this network")
        };
        format!(
            "{interface} answered by ARP that {address} is at {mac}, beside the virtual MAC address: {what}"
        )
    }
}

impl Answers {
    /// Looks for a while from now on.
    pub(super) fn watch(&mut self, now: Instant) -> io::Result<()> {
        match &mut self.watch {
            Some(watch) => watch.until = now + WATCH,
            None => {
                self.watch = Some(Watch { socket: open()?.into(), next: now + EVERY, until: now + WATCH });
            }
        }
        Ok(())
    }

    /// This owner has nothing more that could be asked for.
    pub(super) fn forget(&mut self, owner: u32) {
        self.verdicts.remove(&owner);
    }

    /// When to look next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.watch.as_ref().map(|watch| watch.next)
    }

    /// Judges what has left since the last look, where `virtual_mac` knows whose an address is, and the MAC
    /// address that it has. Returns what is otherwise than before.
    pub(super) fn look(
        &mut self,
        now: Instant,
        virtual_mac: impl Fn(Ipv4Addr) -> Option<(u32, MacAddr)>,
    ) -> Vec<(u32, Verdict)> {
        let Some(watch) = &mut self.watch else { return Vec::new() };
        watch.next = now + EVERY;
        let mut seen = BTreeMap::new();
        for _ in 0..MOST {
            match watch.take() {
                Ok(Some(answer)) => {
                    let Some((owner, mac)) = virtual_mac(answer.address) else { continue };
                    let verdict = seen.entry(owner).or_insert(Verdict::Right);
                    if answer.mac != mac && *verdict == Verdict::Right {
                        *verdict = Verdict::Wrong(answer);
                    }
                }
                Ok(None) => {}
                Err(_) => break,
            }
        }
        let is_news = |(owner, verdict): &(u32, Verdict)| {
            self.verdicts.insert(*owner, verdict.clone()).as_ref() != Some(verdict)
        };
        let news = seen.into_iter().filter(is_news).collect();
        let wrong = self.verdicts.values().any(|verdict| *verdict != Verdict::Right);
        self.watch.take_if(|watch| watch.until <= now && !wrong);
        news
    }
}

impl Watch {
    /// The next answer that left; `None` for what is none. Never waits.
    fn take(&self) -> Result<Option<Answer>, Errno> {
        let mut bytes = [0; ArpPacket::minimum_packet_size()];
        let (length, from) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut bytes)?;
        let outgoing = |from: &LinkAddr| {
            from.pkttype() == PACKET_OUTGOING && u16::from_be(from.protocol()) == EtherTypes::Arp.0
        };
        // What came before the filter was there may be anything.
        let Some(from) = from.filter(outgoing) else { return Ok(None) };
        let answer = bytes.get(..length).and_then(ArpPacket::new);
        let answer = answer.filter(|arp| arp.get_operation() == ArpOperations::Reply);
        Ok(answer.map(|arp| Answer {
            index: u32::try_from(from.ifindex()).unwrap_or(0),
            mac: arp.get_sender_hw_addr(),
            address: arp.get_sender_proto_addr(),
        }))
    }
}

/// A socket that gets the ARP answers that leave this host, by whatever interface.
fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
    SockRef::from(&socket).attach_filter(&filter())?;
    Ok(socket)
}

fn filter() -> [SockFilter; 8] {
    /// `linux/filter.h`: loads from there tell of the packet what is not in it.
    const ABOUT: u32 = u32::MAX - 0xfff;
    const PROTOCOL: u32 = ABOUT;
    const PACKET_TYPE: u32 = ABOUT + 4;
    /// In an ARP packet.
    const OPERATION_AT: u32 = 6;
    let load = |size: u16, at: u32| SockFilter::new(size, 0, 0, at);
    let unless = |value: u32, over: u8| SockFilter::new(0x15, 0, over, value);
    [
        load(0x20, PACKET_TYPE),
        unless(u32::from(PACKET_OUTGOING), 5),
        load(0x20, PROTOCOL),
        unless(u32::from(EtherTypes::Arp.0), 3),
        load(0x28, OPERATION_AT),
        unless(u32::from(ArpOperations::Reply.0), 1),
        load(0x06, u32::MAX),
        load(0x06, 0),
    ]
}
