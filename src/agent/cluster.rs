//! What the nodes of a cluster say of themselves, side by side, and whether two of them say the same thing that
//! only one may. Computed from their statuses alone: who asks for these is `web::Peers`.

use super::status::{Overall, RouterStatus, Status};
use super::transition::Standing;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// All nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// One line for each two of them that are both Master of the same.
    pub rivals: Vec<String>,
    /// First the one that says all this; none where nobody is asked.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// Of these, which are compared.
    #[must_use]
    pub fn of(nodes: Vec<Node>) -> Self {
        Cluster { rivals: rivals(&nodes), nodes }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Where it is asked; `None` for the one that says all this.
    pub peer: Option<String>,
    /// What it calls itself; `None` where it has not said so.
    pub node: Option<String>,
    /// How old at the most what it says is, in milliseconds; `None` where it says nothing.
    pub age_ms: Option<u64>,
    /// How long ago it was last heard, in milliseconds; `None` where it never was.
    pub heard_ms: Option<u64>,
    /// Why it is not known how it stands, in one line.
    pub error: Option<String>,
    /// What all of it comes to.
    pub health: Option<Overall>,
    /// Its routers; none where it says nothing, whatever it said before.
    pub routers: Vec<Router>,
}

/// A router of a node, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Router {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: Standing,
    /// How long it has been so, in milliseconds.
    pub since_ms: u64,
    /// Why it is so, in one line.
    pub why: String,
    /// Taken out by the operator.
    pub drained: bool,
    /// What is advertised.
    pub priority: u8,
    /// Its virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The hosts whose valid adverts it heard of late.
    #[serde(default)]
    pub hears: Vec<IpAddr>,
    /// After how long without adverts a host counts as not heard, in milliseconds.
    #[serde(default)]
    pub patience_ms: u64,
}

impl Node {
    /// What a node has said, this long ago; `peer` is where it is asked.
    #[must_use]
    pub fn said(peer: Option<String>, status: &Status, age: Duration) -> Self {
        Node {
            peer,
            node: status.daemon.get("node").cloned(),
            age_ms: None,
            heard_ms: None,
            error: None,
            health: Some(status.health),
            routers: status.routers.iter().map(Router::of).collect(),
        }
        .aged(age)
    }

    /// The same, this long ago.
    #[must_use]
    pub fn aged(self, age: Duration) -> Self {
        let age = Some(millis(age));
        Node { age_ms: age, heard_ms: age, ..self }
    }

    /// A node that says nothing.
    #[must_use]
    pub fn silent(peer: String, error: String, heard: Option<Duration>) -> Self {
        let heard_ms = heard.map(millis);
        let error = Some(error);
        Node {
            peer: Some(peer),
            node: None,
            age_ms: None,
            heard_ms,
            error,
            health: None,
            routers: Vec::new(),
        }
    }

    /// What people know it by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.node.as_deref().or(self.peer.as_deref()).unwrap_or("this node")
    }

    /// The routers that were Master all through the last `span`.
    fn masters(&self, span: u64) -> impl Iterator<Item = &Router> {
        let long = move |router: &&Router| router.state == Standing::Master && router.since_ms >= span;
        self.routers.iter().filter(long)
    }
}

impl Router {
    fn of(router: &RouterStatus) -> Self {
        // As many as a Backup waits for, and one.
        let patience = 4 * u64::from(router.interval_ms);
        let peers = router.instances.iter().flat_map(|instance| &instance.peers);
        let heard = peers.filter(|peer| peer.heard_ms.is_some_and(|ago| ago <= patience));
        Router {
            hears: heard.map(|peer| peer.address).collect(),
            patience_ms: patience,
            name: router.name.to_string(),
            state: router.state,
            since_ms: router.since_ms,
            why: router.why.clone(),
            drained: router.drained,
            priority: router.priority.effective,
            addresses: router.addresses.iter().map(|it| it.address).collect(),
        }
    }

    /// Whether the other is the same router on another node.
    #[must_use]
    pub fn is(&self, other: &Router) -> bool {
        self.shared(other).is_some()
    }

    /// An address that both are for or, without any, their name: the same router on two nodes.
    fn shared(&self, other: &Router) -> Option<String> {
        if self.addresses.is_empty() && other.addresses.is_empty() {
            return (self.name == other.name).then(|| format!("router {}", self.name));
        }
        self.addresses.iter().find(|it| other.addresses.contains(it)).map(ToString::to_string)
    }
}

/// One line for each two nodes that are both Master of the same.
///
/// They were not asked in one moment: who hands over is no second Master. Only where both have been it for longer
/// than the older answer is old were they at the same time.
#[must_use]
pub fn rivals(nodes: &[Node]) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, one) in nodes.iter().enumerate() {
        for other in nodes.iter().skip(at + 1) {
            let (Some(first), Some(second)) = (one.age_ms, other.age_ms) else { continue };
            let span = first.max(second);
            let shared = one.masters(span).flat_map(|mine| {
                other.masters(span).filter_map(|theirs| mine.shared(theirs)).collect::<Vec<_>>()
            });
            let line = |what| format!("{what}: {} and {} are both MASTER", one.name(), other.name());
            lines.extend(shared.map(line));
        }
    }
    lines
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
