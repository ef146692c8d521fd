//! Drops packets to addresses that this host holds for another: `Accept_Mode` False of RFC 9568. Refuses new
//! connections to addresses that are about to go.
//!
//! Tables of Locum's own in nftables, and nobody else's rules are touched. Linux 5.12 and later
//! remove them with the socket that made them, so a crash leaves nothing behind. On older ones the next
//! start removes them.

use super::netlink::{DATAGRAM, Refusal, append};
use super::nftables::{self, Step};
use netlink_packet_core::{NLM_F_ACK, NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily, NetfilterSubsystem,
};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// The table where the kernel knows no owners. Where it does, each process has one.
const TABLE: &str = "locum";
/// That of [`Shut`].
const DRAIN: &str = "locum_drain";
/// The longest wait for an answer.
const PATIENCE: TimeVal = TimeVal::new(5, 0);
const SOCKET_BUFFER: usize = 1 << 20;

/// The table, as long as there is something to refuse.
#[derive(Default)]
pub(super) struct Firewall {
    table: Option<Table>,
    refused: BTreeSet<IpAddr>,
}

impl Firewall {
    /// Makes it true that packets to and from these addresses are dropped, and of no others. `Err`: none
    /// are dropped, and one line says why.
    pub(super) fn refuse(&mut self, wanted: BTreeSet<IpAddr>) -> Result<(), String> {
        if wanted == self.refused {
            return Ok(());
        }
        let table = self.table.take();
        let before = std::mem::take(&mut self.refused);
        let about = |refusal| format!("packets to the addresses cannot be refused: {refusal}");
        self.table = match table {
            Some(table) if wanted.is_empty() => {
                table.remove().map_err(about)?;
                None
            }
            Some(mut table) => {
                let added: Vec<IpAddr> = wanted.difference(&before).copied().collect();
                let removed: Vec<IpAddr> = before.difference(&wanted).copied().collect();
                table.change(&added, &removed).map_err(about)?;
                Some(table)
            }
            None => Some(Table::create(TABLE, nftables::create, &wanted).map_err(about)?),
        };
        self.refused = wanted;
        Ok(())
    }

    /// Removes what an earlier process has left where the kernel does not.
    pub(super) fn sweep(&self) {
        if self.table.is_none() {
            // Mostly there is none, and without nftables there is nothing to remove it from.
            let _ = Table::open(TABLE, false).map(Table::remove);
        }
        let _ = Table::open(DRAIN, false).map(Table::remove);
    }
}

/// New TCP connections to some ports are refused, as long as it lives.
pub(super) struct Shut(Table);

impl Shut {
    /// Refuses them from now on, to these ports of these addresses. `Err`: none is, and one line says why.
    pub(super) fn new(addresses: &BTreeSet<IpAddr>, ports: &[u16]) -> Result<Self, String> {
        let table = Table::create(DRAIN, |name, owned| nftables::drain(name, owned, ports), addresses);
        table.map(Shut).map_err(|refusal| format!("new connections cannot be refused: {refusal}"))
    }

    /// Refuses no more.
    pub(super) fn open(self) -> Result<(), String> {
        self.0.remove().map_err(|refusal| format!("new connections are still refused: {refusal}"))
    }
}

struct Table {
    socket: Socket,
    name: String,
    owned: bool,
    sequence: u32,
}

impl Table {
    /// With what `make` makes of its name and whether it is owned, and these addresses.
    fn create(
        name: &str,
        make: impl Fn(&str, bool) -> Vec<Step>,
        addresses: &BTreeSet<IpAddr>,
    ) -> Result<Self, Refusal> {
        let create_as = |owned| {
            let mut table = Table::open(name, owned).map_err(|error| Refusal::from(&error))?;
            let addresses: Vec<IpAddr> = addresses.iter().copied().collect();
            let mut steps = make(&table.name, owned);
            steps.extend(nftables::add(&table.name, &addresses));
            table.commit(steps)?;
            Ok(table)
        };
        match create_as(true) {
            // An unknown flag.
            Err(Refusal { errno: Errno::EOPNOTSUPP | Errno::EINVAL, .. }) => create_as(false),
            result => result,
        }
    }

    fn open(name: &str, owned: bool) -> io::Result<Self> {
        let socket = Socket::new(NETLINK_NETFILTER)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
        setsockopt(&socket, sockopt::SendTimeout, &PATIENCE)?;
        // A batch goes in one piece. Where there are few addresses the usual size will do.
        let _ = setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER);
        socket.set_cap_ack(true)?;
        let _ = socket.set_ext_ack(true);
        let name = if owned { format!("{name}_{}", std::process::id()) } else { name.to_owned() };
        Ok(Table { socket, name, owned, sequence: 0 })
    }

    fn change(&mut self, added: &[IpAddr], removed: &[IpAddr]) -> Result<(), Refusal> {
        let steps = nftables::add(&self.name, added).chain(nftables::remove(&self.name, removed)).collect();
        self.commit(steps)
    }

    /// An owned one goes with its socket, as it is dropped here.
    fn remove(mut self) -> Result<(), Refusal> {
        if self.owned { Ok(()) } else { self.commit(vec![nftables::delete(&self.name)]) }
    }

    /// All the steps or none. After a refusal late answers may come: this table is not used any more.
    fn commit(&mut self, steps: Vec<Step>) -> Result<(), Refusal> {
        let mut batch = Vec::new();
        let last = steps.len();
        self.append(ControlMessage::BatchBegin, 0, &mut batch);
        for (place, (message, flags)) in (1..).zip(steps) {
            let ack = if place == last { NLM_F_ACK } else { 0 };
            self.append(message, flags | ack, &mut batch);
        }
        let acknowledged = self.sequence;
        self.append(ControlMessage::BatchEnd, 0, &mut batch);
        let exchange = || -> io::Result<Result<(), Refusal>> {
            self.socket.send(&batch, 0)?;
            let mut answer = Vec::with_capacity(DATAGRAM);
            loop {
                answer.clear();
                self.socket.recv(&mut answer, 0)?;
                if let Some(result) = verdict(&answer, acknowledged) {
                    return Ok(result);
                }
            }
        };
        exchange().unwrap_or_else(|error| Err(Refusal::from(&error)))
    }

    fn append(&mut self, message: impl Into<NetfilterMessageInner>, flags: u16, batch: &mut Vec<u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let inner = message.into();
        let header = match inner {
            NetfilterMessageInner::None(_) => {
                let subsystem = u8::from(NetfilterSubsystem::NfTables);
                NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, subsystem.into())
            }
            _ => NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0),
        };
        append(NetfilterMessage::new(header, inner), flags, self.sequence, batch);
    }
}

/// What a datagram says of the batch: the first refusal, or that all was done; `None` where neither.
fn verdict(mut datagram: &[u8], acknowledged: u32) -> Option<Result<(), Refusal>> {
    while let Ok(next) = NetlinkBuffer::new_checked(datagram) {
        if let Ok(message) = NetlinkMessage::<NetfilterMessage>::deserialize(datagram)
            && let NetlinkPayload::Error(error) = &message.payload
        {
            match Refusal::or_ok(message.header.flags, error) {
                Ok(()) if message.header.sequence_number == acknowledged => return Some(Ok(())),
                Ok(()) => {}
                refused => return Some(refused),
            }
        }
        let length = usize::try_from(next.length()).ok()?;
        datagram = datagram.get(length.next_multiple_of(4)..)?;
    }
    None
}
