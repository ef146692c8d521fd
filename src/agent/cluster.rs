//! What the nodes of a cluster say of themselves, side by side, and whether two of them say the same thing that
//! only one may. Computed from their statuses alone: who asks for these is `peers`.

use super::answer::Answer;
use super::live::Snapshot;
use crate::agent::Standing;
use crate::agent::status::{Overall, RouterStatus, Status};
use serde::Serialize;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
}

impl Node {
    /// The node that answers.
    #[must_use]
    pub fn own(snapshot: &Snapshot) -> Self {
        Node::said(None, &snapshot.status, snapshot.age())
    }

    /// What a node has said, this long ago.
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

    fn name(&self) -> &str {
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
        Router {
            name: router.name.to_string(),
            state: router.state,
            since_ms: router.since_ms,
            why: router.why.clone(),
            drained: router.drained,
            priority: router.priority.effective,
            addresses: router.addresses.iter().map(|it| it.address).collect(),
        }
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

/// What `/peers` says.
pub(super) fn answer(nodes: &[Node]) -> Answer {
    Answer::json(true, &json!({ "rivals": rivals(nodes), "nodes": nodes }))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
