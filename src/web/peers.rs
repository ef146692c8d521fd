//! Asks the other nodes of the cluster how they stand, each by its own `/status`, when somebody asks here and not
//! otherwise. However many ask, every node has one question at a time. An answer serves for half a second; of one
//! that does not come nothing is said but that: no state is kept.

use super::live::{FRESH, Live, Snapshot, clock};
use crate::agent::cluster::{Cluster, Node};
use crate::agent::status::Status;
use crate::stream::dial::Lane;
use crate::stream::http::{authority, exchange};
use crate::stream::retry::judge;
use crate::stream::tls;
use crate::vrrp::auth::Secret;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue};
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long one may take to answer.
const WITHIN: Duration = Duration::from_secs(1);
/// How long an answer serves for those who ask next.
const SERVES: Duration = Duration::from_millis(500);
/// The longest status, in bytes: several times that of 255 routers.
const LONGEST: usize = 2 << 20;
/// The longest word on what is wrong, in characters.
const WORDS: usize = 200;

/// Another node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Host and port of its HTTP.
    pub target: (String, u16),
    /// TLS; plain when absent.
    pub tls: Option<tls::Config>,
    /// What it wants to be shown.
    pub token: Option<Secret>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encrypted = self.tls.is_some();
        let scheme = if encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}", authority(&self.target, encrypted))
    }
}

/// All of them.
#[derive(Debug)]
pub struct Peers {
    asked: Mutex<Vec<Asked>>,
    /// One for all of them: names that nobody looks up hold up other peers, and not messages and records of DNS.
    lane: Lane,
}

#[derive(Debug)]
struct Asked {
    peer: Peer,
    /// When it was last asked, when that ended, and with what.
    at: Duration,
    until: Option<Duration>,
    said: Result<Told, String>,
    /// When what it last said was true.
    heard: Option<Duration>,
}

/// What is kept of a status.
#[derive(Debug)]
struct Told {
    node: Node,
    /// The daemon's process.
    pid: Option<String>,
    /// How old it was when it was told.
    age: Duration,
}

impl Peers {
    /// These. Nobody is asked yet.
    #[must_use]
    pub fn new(peers: &[Peer]) -> Self {
        let asked = |peer: &Peer| {
            let said = Err("not asked yet".to_owned());
            Asked { peer: peer.clone(), at: Duration::ZERO, until: None, said, heard: None }
        };
        Peers { asked: Mutex::new(peers.iter().map(asked).collect()), lane: Lane::default() }
    }

    /// Every node: first this one, then the others, in the order of the configuration; and how old at the most what
    /// this one says is. Who finds itself among them leaves it out. `None` where the core does not answer in time.
    pub async fn cluster(&self, live: &Live) -> Option<(Cluster, Duration)> {
        let mut all = self.asked.lock().await;
        join_all(all.iter_mut().map(|asked| asked.ask(&self.lane))).await;
        // Only now: what was true before the others were waited for may be true no more.
        let own = live.snapshot().await?;
        let Snapshot { status, .. } = &*own;
        let others = all.iter().filter(|asked| !asked.is(status)).map(Asked::node);
        let nodes = std::iter::once(Node::said(None, status, own.age())).chain(others).collect();
        Some((Cluster::of(nodes), own.age()))
    }
}

impl Asked {
    async fn ask(&mut self, lane: &Lane) {
        let now = clock();
        if self.until.is_some_and(|until| now.saturating_sub(until) < SERVES) {
            return;
        }
        let said = timeout(WITHIN, self.peer.status(lane)).await;
        let said = said.unwrap_or_else(|_| Err(format!("no answer within {}s", WITHIN.as_secs())));
        (self.at, self.until) = (now, Some(clock()));
        self.said = said.map_err(|why| why.chars().take(WORDS).collect());
        if let Ok(told) = &self.said {
            self.heard = Some(now.saturating_sub(told.age));
        }
    }

    /// Whether it is the one that asks.
    fn is(&self, own: &Status) -> bool {
        let (node, pid) = (own.daemon.get("node"), own.daemon.get("pid"));
        let same = |told: &Told| (told.node.node.as_ref(), told.pid.as_ref()) == (node, pid);
        pid.is_some() && self.said.as_ref().is_ok_and(same)
    }

    fn node(&self) -> Node {
        let now = clock();
        match &self.said {
            Ok(Told { node, age, .. }) => node.clone().aged(*age + now.saturating_sub(self.at)),
            Err(why) => {
                Node::silent(self.peer.to_string(), why.clone(), self.heard.map(|at| now.saturating_sub(at)))
            }
        }
    }
}

impl Peer {
    async fn status(&self, lane: &Lane) -> Result<Told, String> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = hyper::Uri::from_static("/status");
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(&authority(&self.target, self.tls.is_some()));
        headers.insert(HOST, host.map_err(|_| "it is no host")?);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if let Some(token) = &self.token {
            let shown = [b"Bearer ", token.expose()].concat();
            let mut shown =
                HeaderValue::from_bytes(&shown).map_err(|_| "its token cannot be shown in a header")?;
            shown.set_sensitive(true);
            headers.insert(AUTHORIZATION, shown);
        }
        let answer = exchange(&self.target, self.tls.as_ref(), request, WITHIN, LONGEST, lane).await;
        let answer = answer.map_err(|refusal| refusal.why().to_owned())?;
        judge(answer.status().as_u16(), None).map_err(|refusal| refusal.why().to_owned())?;
        let age = answer.headers().get(super::AGE).and_then(|age| age.to_str().ok()?.parse().ok());
        let age = age.map(Duration::from_millis).ok_or("it does not say how old its answer is")?;
        if age > FRESH {
            return Err("its answer is too old".to_owned());
        }
        let status = serde_json::from_slice::<Status>(answer.body());
        let status = status.map_err(|error| format!("its answer is no status: {error}"))?;
        let node = Node::said(Some(self.to_string()), &status, age);
        Ok(Told { node, pid: status.daemon.get("pid").cloned(), age })
    }
}
