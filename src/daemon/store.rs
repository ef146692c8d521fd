//! Carries pleas to the store and its answers back: an office at a time, one endpoint after the other.
//!
//! Each office has a task of its own, so that none waits for another, and in it one plea waits for the one before.

use super::inbox::{Arrival, Inbox};
use crate::agent::{Consulted, Input};
use crate::claim::etcd::{self, Errand, Place, Reply, patience};
use crate::claim::{Office, Plea, Release};
use crate::net::etcd::{Connection, Endpoint, Login, Settings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

/// How long to try to give an office back.
const RELEASE: Duration = Duration::from_secs(1);

/// Whom to ask, and as whom.
#[derive(Clone)]
pub(super) struct Consulting {
    settings: Settings,
    place: Place,
}

impl Consulting {
    pub(super) fn new(settings: Settings, node: &str, session: u64) -> Self {
        let place = Place { prefix: settings.prefix.clone(), node: node.to_owned(), session };
        Consulting { settings, place }
    }

    /// What gives this back from a process that has no more than a connection, to each endpoint. None where a user has to
    /// log in first.
    pub(super) fn last_posts(&self, release: &Release) -> impl Iterator<Item = (SocketAddr, Vec<u8>)> {
        let post = Errand::new(&self.place, Plea::Release(release.clone())).post();
        let endpoints = self.settings.endpoints.iter().filter(|_| self.settings.login.is_none());
        endpoints.map(move |endpoint| (endpoint.address, post.whole(&endpoint.address.to_string())))
    }

    /// Puts pleas until no more can come, and then those that are left.
    pub(super) async fn serve(self, mut pleas: UnboundedReceiver<Plea>, inbox: Inbox) {
        let consulting = Arc::new(self);
        let mut desks: BTreeMap<Office, UnboundedSender<Plea>> = BTreeMap::new();
        let mut clerks = JoinSet::new();
        while let Some(plea) = pleas.recv().await {
            let desk = desks.entry(office(&plea).clone()).or_insert_with_key(|office| {
                let (desk, queue) = unbounded_channel();
                clerks.spawn(Clerk::new(consulting.clone(), office.clone(), inbox.clone()).serve(queue));
                desk
            });
            // Its clerk ends only after us.
            let _ = desk.send(plea);
        }
        drop(desks);
        while clerks.join_next().await.is_some() {}
    }
}

fn office(plea: &Plea) -> &Office {
    match plea {
        Plea::Request(request) => &request.office,
        Plea::Release(release) => &release.office,
    }
}

/// Puts the pleas of one office.
struct Clerk {
    consulting: Arc<Consulting>,
    office: Office,
    inbox: Inbox,
    /// The endpoint that answered last.
    at: usize,
    token: Option<String>,
    /// What was wrong with each endpoint, as was logged.
    logged: BTreeMap<Arc<str>, String>,
}

impl Clerk {
    fn new(consulting: Arc<Consulting>, office: Office, inbox: Inbox) -> Self {
        Clerk { consulting, office, inbox, at: 0, token: None, logged: BTreeMap::new() }
    }

    async fn serve(mut self, mut queue: UnboundedReceiver<Plea>) {
        while let Some(first) = queue.recv().await {
            let waiting: Vec<Plea> =
                std::iter::once(first).chain(std::iter::from_fn(|| queue.try_recv().ok())).collect();
            let last = waiting.len() - 1;
            for (place, plea) in waiting.into_iter().enumerate() {
                // What was asked while nobody answered is asked once, as it was asked last.
                if place == last || matches!(plea, Plea::Release(_)) {
                    self.put(&plea).await;
                }
            }
        }
    }

    /// Asks one endpoint after the other, until one answers.
    async fn put(&mut self, plea: &Plea) {
        let consulting = self.consulting.clone();
        let patience = match plea {
            Plea::Request(request) => patience(request.ttl),
            Plea::Release(_) => RELEASE,
        };
        let endpoints = &consulting.settings.endpoints;
        let count = endpoints.len();
        let each = patience / u32::try_from(count).unwrap_or(u32::MAX);
        for _ in 0..count {
            let Some(endpoint) = endpoints.get(self.at) else { return };
            let said = timeout(each, self.ask(endpoint, plea)).await;
            let said = said.unwrap_or_else(|_| Err(format!("no answer within {} ms", each.as_millis())));
            self.log(endpoint, &said);
            let answered = said.is_ok();
            let (office, endpoint) = (self.office.clone(), endpoint.name.clone());
            self.inbox.put(Arrival::Input(Input::Consulted(Consulted { office, endpoint, said })));
            if answered {
                return;
            }
            self.at = (self.at + 1) % count;
            // It may be of an endpoint that is no more, or too old.
            self.token = None;
        }
    }

    async fn ask(&mut self, endpoint: &Endpoint, plea: &Plea) -> Result<Reply, String> {
        let mut connection = Connection::open(endpoint.address).await?;
        if let (Some(login), None) = (&self.consulting.settings.login, &self.token) {
            self.token = Some(enter(&mut connection, login).await?);
        }
        let mut errand = Errand::new(&self.consulting.place, plea.clone());
        loop {
            let (status, body) = connection.post(&errand.post(), self.token.as_deref()).await?;
            if let Some(reply) = errand.hear(status, &body)? {
                return Ok(reply);
            }
        }
    }

    /// Logs what is wrong with an endpoint once, and when it is over.
    fn log(&mut self, endpoint: &Endpoint, said: &Result<Reply, String>) {
        let (office, name) = (self.office.name(), &endpoint.name);
        let wrong = match said {
            Ok(reply) => reply.remark.as_ref(),
            Err(line) => Some(line),
        };
        match wrong {
            Some(line) => {
                let before = self.logged.insert(name.clone(), line.clone());
                if before.as_ref() != Some(line) {
                    warn!(target: "locum::claim", office, "{name}: {line}");
                }
            }
            None if self.logged.remove(name).is_some() => {
                info!(target: "locum::claim", office, "{name} answers");
            }
            None => {}
        }
    }
}

async fn enter(connection: &mut Connection, login: &Login) -> Result<String, String> {
    let password = String::from_utf8_lossy(login.password.expose());
    let (status, body) = connection.post(&etcd::authenticate(&login.user, &password), None).await?;
    etcd::token(status, &body)
}
