//! HTTP: metrics, health, roles and events, for monitors, load balancers and people. Off unless configured.
//!
//! Every answer comes from the live core, at once, or is 503: `live` asks it, and nothing is kept. What is
//! said is made of that one status by functions without any I/O: `answer`, `health`, `metrics`,
//! `agent_check`. How the other nodes stand `peers` asks them. The `page` for people is made of the same answers, in
//! their browser. The rest lets nobody who asks cost anybody else anything: `clients` counts connections, `connection`
//! gives each its time, `stall` ends those who do not read, `host` refuses pages of others. Runs on a thread of its own,
//! which the daemon makes; HTTP/1.1 (RFC 9112), server-sent events (WHATWG HTML), bearer tokens (RFC 6750).

pub mod agent_check;
pub mod answer;
mod clients;
mod connection;
pub mod events;
mod exposition;
mod health;
mod host;
pub mod live;
pub mod metrics;
mod page;
mod past;
mod peers;
mod ports;
mod stall;
mod tls;

pub use events::Hub;
pub use live::{Live, Snapshot};
pub use past::Read;
pub use peers::{Peer, Peers};
pub use ports::{Report, Sources, serve};
pub use tls::Tls;

use crate::vrrp::auth::Secret;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The usual port, on the loopback address.
pub const PORT: u16 = 5113;

/// How old an answer can be, in milliseconds.
const AGE: &str = "locum-age-ms";

/// What is served, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where.
    pub listen: Vec<Listen>,
    /// By this certificate; in the clear where `None`. Not on unix sockets.
    pub tls: Option<Tls>,
    /// To whoever shows this; to everybody where `None`. On unix sockets the file's mode says who may.
    pub token: Option<Secret>,
    /// Where `HAProxy` asks by its agent-check.
    pub agent_check: Option<SocketAddr>,
    /// The names that clients may call this host by, besides its addresses, in small letters. Asked for where nothing else
    /// guards: in the clear, over TCP, without a token.
    pub names: Vec<String>,
    /// The other nodes of the cluster, as far as they are asked how they stand.
    pub peers: Vec<Peer>,
}

impl Default for Settings {
    /// Loopback alone, in the clear.
    fn default() -> Self {
        let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
        Settings {
            listen: vec![Listen::Tcp(own)],
            tls: None,
            token: None,
            agent_check: None,
            names: Vec::new(),
            peers: Vec::new(),
        }
    }
}

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether other hosts can come here.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Listen::Tcp(address) if !address.ip().is_loopback())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
