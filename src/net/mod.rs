//! What touches the network: raw sockets, addresses, announcements, links.
//!
//! Doers hold no policy: they are told what should be true and report what happened.

pub mod address;
mod along;
pub mod announce;
mod answers;
pub mod aside;
mod connections;
#[doc(hidden)]
pub mod decoders;
mod duty;
pub mod ear;
pub mod etcd;
mod firewall;
mod frame;
mod journal;
pub mod leftover;
pub mod link;
pub mod live;
mod local_route;
pub mod lookout;
mod macvlan;
mod marks;
pub mod namespace;
mod netlink;
mod netlink_socket;
mod nftables;
mod pace;
pub mod probe;
mod queue;
pub mod raw_socket;
mod renewal;
mod renewer;
mod route;
mod routing;
mod rtnl;
mod rule;
mod settle;
pub mod sysctl;
mod taking;
mod telling;
pub mod vote_socket;
mod wanted;
mod worker;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};

/// The addresses that Locum has put on this host: written by [`address::Holder`], read by
/// [`link::watch`], which leaves them out of a link's own addresses. Kernels since 5.18 also carry
/// a mark in the address itself; this list is what tells them apart on older ones.
pub type Placed = Arc<RwLock<BTreeSet<IpAddr>>>;
