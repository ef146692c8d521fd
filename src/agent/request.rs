//! What can be asked of the agent, and what it answers. Client and server share these very types.

use super::cluster::Cluster;
use super::status::Status;
use super::transition::RouterName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Whom to answer: a number that the asking side chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// How does everything stand?
    Status,
    /// Move the addresses of one router, or of all, to another host, and stay out.
    Handover {
        /// Which; all where `None`.
        router: Option<RouterName>,
    },
    /// Take part again.
    Resume {
        /// Which; all where `None`.
        router: Option<RouterName>,
    },
    /// Forget how often it failed: it may take its addresses back.
    Ack {
        /// Which; all where `None`.
        router: Option<RouterName>,
    },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    /// The whole state.
    Status(Box<Status>),
    /// How the nodes of the cluster stand, as each says itself.
    Cluster(Cluster),
    /// How each handover ended.
    Moved {
        /// One entry a router.
        routers: Vec<Moved>,
    },
    /// Done; a line for each thing that was done.
    Done {
        /// For people.
        lines: Vec<String>,
    },
    /// Not done, and why.
    Refused {
        /// One line for each reason, with its mend.
        lines: Vec<String>,
    },
}

/// How one handover ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The router.
    pub router: RouterName,
    /// The host that was heard as Master; `None` where nobody took the addresses.
    pub successor: Option<IpAddr>,
    /// Whether the addresses are here again.
    pub back: bool,
    /// From the farewell to the successor's first advert, in milliseconds.
    pub took_ms: f64,
    /// Where whoever has them answers for them; `None` where there is no such interface now.
    pub interface: Option<String>,
    /// Those of that interface.
    pub addresses: Vec<IpAddr>,
}
