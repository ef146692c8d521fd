//! Times what the kernel does with addresses and links: each event of `rtnetlink` as it is read.
//!
//! The kernel puts no time on its events. They are read at once, in the order of the changes, by a
//! process that does nothing else until nothing comes any more: to take one apart lasts longer than
//! the kernel takes for the next. Its times come from the clock that stamps captured packets.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// `RTNLGRP_*`: links, addresses and routes of both families.
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// How soon the end of its time is noticed, and that nothing comes any more.
const NOTICE: TimeVal = TimeVal::new(0, 20_000);
/// So long nothing is taken apart while more comes.
const BACKLOG: Duration = Duration::from_secs(1);
const BUFFER: usize = 64 << 20;

/// When to end.
pub struct Plan {
    /// Only addresses that begin so are looked at.
    pub prefix: String,
    /// So many were added.
    pub added: Option<usize>,
    /// So many went.
    pub gone: Option<usize>,
    pub length: Duration,
}

/// What was seen, in its order.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub events: Vec<Event>,
    /// The kernel had more than was read in time: the report is not complete.
    pub overrun: bool,
}

/// One change.
#[derive(Debug, Serialize)]
pub struct Event {
    /// Seconds since 1970.
    pub at: f64,
    /// `address`, `route` (of the kind local: packets to it are ours) or `link`.
    pub kind: &'static str,
    /// Else it went.
    pub added: bool,
    /// The address, or the name of the link.
    pub what: String,
    /// The number of the interface.
    pub interface: u32,
}

/// Says `ready` once it listens, then watches until the plan is fulfilled.
pub fn watch(plan: &Plan) -> io::Result<Report> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &NOTICE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    println!("ready");
    io::stdout().flush()?;
    let (mut report, end) = (Report::default(), Instant::now() + plan.length);
    let mut seen = Seen { plan, added: BTreeSet::new(), gone: BTreeSet::new() };
    let (mut backlog, mut since) = (Vec::new(), Instant::now());
    let mut buffer = Vec::with_capacity(1 << 16);
    while Instant::now() < end && !seen.all() {
        buffer.clear();
        let quiet = match socket.recv(&mut buffer, 0) {
            Ok(_) => {
                let now = jiff::Timestamp::now().as_duration();
                if backlog.is_empty() {
                    since = Instant::now();
                }
                backlog.push((Duration::try_from(now).unwrap_or_default().as_secs_f64(), buffer.clone()));
                false
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => true,
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                report.overrun = true;
                false
            }
            Err(error) => return Err(error),
        };
        if quiet || since.elapsed() > BACKLOG {
            for (at, bytes) in backlog.drain(..) {
                seen.note(at, &bytes, &mut report);
            }
        }
    }
    for (at, bytes) in backlog {
        seen.note(at, &bytes, &mut report);
    }
    Ok(report)
}

/// What the plan asks for, as far as it came.
struct Seen<'a> {
    plan: &'a Plan,
    added: BTreeSet<String>,
    gone: BTreeSet<String>,
}

impl Seen<'_> {
    fn all(&self) -> bool {
        let over = |wanted: Option<usize>, seen: &BTreeSet<_>| wanted.is_some_and(|n| seen.len() >= n);
        over(self.plan.added, &self.added) || over(self.plan.gone, &self.gone)
    }

    fn note(&mut self, at: f64, bytes: &[u8], report: &mut Report) {
        for mut event in events(bytes) {
            event.at = at;
            if event.kind != "link" {
                if !event.what.starts_with(&self.plan.prefix) {
                    continue;
                }
                let Seen { added, gone, .. } = self;
                let (now, before) = if event.added { (added, gone) } else { (gone, added) };
                before.remove(&event.what);
                now.insert(event.what.clone());
            }
            report.events.push(event);
        }
    }
}

/// The events of a datagram, as yet without a time. What cannot be read is none.
fn events(mut bytes: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX).next_multiple_of(4);
        if let NetlinkPayload::InnerMessage(inner) = message.payload {
            found.extend(event(&inner));
        }
        bytes = bytes.get(length.max(16)..).unwrap_or_default();
    }
    found
}

fn event(message: &RouteNetlinkMessage) -> Option<Event> {
    use RouteNetlinkMessage::{DelAddress, DelLink, DelRoute, NewAddress, NewLink, NewRoute};
    let (kind, added) = match message {
        NewAddress(_) => ("address", true),
        DelAddress(_) => ("address", false),
        NewRoute(_) => ("route", true),
        DelRoute(_) => ("route", false),
        NewLink(_) => ("link", true),
        DelLink(_) => ("link", false),
        _ => return None,
    };
    let (what, interface) = match message {
        NewAddress(of) | DelAddress(of) => address(of)?,
        NewRoute(of) | DelRoute(of) => route(of)?,
        NewLink(of) | DelLink(of) => link(of)?,
        _ => return None,
    };
    Some(Event { at: 0.0, kind, added, what, interface })
}

fn address(message: &AddressMessage) -> Option<(String, u32)> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = find(|attribute| if let AddressAttribute::Local(ip) = attribute { Some(*ip) } else { None });
    let found = local.or_else(|| {
        find(|attribute| if let AddressAttribute::Address(ip) = attribute { Some(*ip) } else { None })
    })?;
    Some((found.to_string(), message.header.index))
}

fn route(message: &RouteMessage) -> Option<(String, u32)> {
    if message.header.kind != RouteType::Local {
        return None;
    }
    let to = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Destination(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })?;
    let by = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    Some((to.to_string(), by.unwrap_or_default()))
}

fn link(message: &LinkMessage) -> Option<(String, u32)> {
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    Some((name, message.header.index))
}
