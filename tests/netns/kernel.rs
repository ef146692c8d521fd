//! What a host's kernel says it has, asked over netlink; and who had an address, over time.

use crate::lab::Lab;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The addresses of one host.
pub struct Kernel {
    socket: Arc<Mutex<Socket>>,
}

/// An address on some interface.
pub struct Held {
    pub address: IpAddr,
    pub tentative: bool,
}

impl Kernel {
    /// The kernel of the network that the calling thread is in.
    pub fn open() -> Kernel {
        let socket = Socket::new(NETLINK_ROUTE).unwrap();
        Kernel { socket: Arc::new(Mutex::new(socket)) }
    }

    pub fn addresses(&self) -> Vec<Held> {
        let socket = self.socket.lock().unwrap();
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetAddress(AddressMessage::default()));
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        socket.send(&bytes, 0).unwrap();
        let mut found = Vec::new();
        loop {
            let (bytes, _) = socket.recv_from_full().unwrap();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).unwrap();
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) => {
                        found.extend(held(&address));
                    }
                    NetlinkPayload::Done(_) => return found,
                    other => panic!("netlink: {other:?}"),
                }
                let length = (message.header.length as usize).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }

    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses().iter().any(|held| held.address == address)
    }
}

fn held(message: &AddressMessage) -> Option<Held> {
    let tentative = message.attributes.iter().any(
        |attribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Tentative)),
    );
    let address =
        |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = address(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        address(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    Some(Held { address, tentative })
}

/// Watches who has an address, every few milliseconds.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Timeline>,
}

/// How many hosts had the address, and from when on; each entry differs from the one before.
pub struct Timeline {
    steps: Vec<(Duration, usize)>,
    end: Duration,
}

impl Lab {
    /// Begins to watch who has `address`.
    pub fn watch(&self, address: &str) -> Watch {
        const EVERY: Duration = Duration::from_millis(2);
        let address: IpAddr = address.parse().unwrap();
        let share = |host: &crate::lab::Host| Kernel { socket: Arc::clone(&host.kernel.socket) };
        let kernels: Vec<Kernel> = self.hosts().iter().map(share).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let begin = Instant::now();
            let mut steps: Vec<(Duration, usize)> = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let owners = kernels.iter().filter(|kernel| kernel.has(address)).count();
                if steps.last().is_none_or(|(_, before)| *before != owners) {
                    steps.push((begin.elapsed(), owners));
                }
                thread::sleep(EVERY);
            }
            Timeline { steps, end: begin.elapsed() }
        });
        Watch { stop, thread }
    }
}

impl Watch {
    pub fn end(self) -> Timeline {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Timeline {
    /// How long it was watched, from the first look on.
    pub fn whole(&self) -> Duration {
        self.end.saturating_sub(self.steps.first().map_or(Duration::ZERO, |(at, _)| *at))
    }

    /// How long there were so many owners, in all.
    pub fn time_with(&self, owners: usize) -> Duration {
        let ends = self.steps.iter().skip(1).map(|(at, _)| *at).chain([self.end]);
        let lasting = |((from, count), to): (&(Duration, usize), Duration)| {
            if *count == owners { to.saturating_sub(*from) } else { Duration::ZERO }
        };
        self.steps.iter().zip(ends).map(lasting).sum()
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("owners")?;
        self.steps.iter().try_for_each(|(at, owners)| write!(f, " {owners} from {} ms", at.as_millis()))
    }
}
