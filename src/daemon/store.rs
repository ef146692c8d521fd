//! Carries pleas to the store and its answers back: an office at a time, one endpoint after the other.
//!
//! Each office has a task of its own, so that none waits for another, and in it one plea after the other, so that
//! a renewal on its way cannot come behind the release.

use super::inbox::{Arrival, Inbox};
use crate::agent::{Consulted, Input};
use crate::claim::etcd::{self, Errand, Place, Reply, patience};
use crate::claim::{Office, Plea};
use crate::net::etcd::{Connection, Endpoint, Login, Settings};
use std::collections::BTreeMap;
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
struct Whom {
    settings: Arc<Settings>,
    place: Arc<Place>,
    inbox: Inbox,
}

/// The claims' way to the store.
pub(super) struct Store {
    whom: Whom,
    desks: BTreeMap<Office, UnboundedSender<Plea>>,
    tasks: JoinSet<()>,
}

impl Store {
    pub(super) fn new(settings: Settings, node: String, session: u64, inbox: &Inbox) -> Self {
        let place = Place { prefix: settings.prefix.clone(), node, session };
        let whom = Whom { settings: Arc::new(settings), place: Arc::new(place), inbox: inbox.clone() };
        Store { whom, desks: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Puts a plea, after those before it.
    pub(super) fn plead(&mut self, plea: Plea) {
        let office = office(&plea).clone();
        let (whom, tasks) = (&self.whom, &mut self.tasks);
        let desk = self.desks.entry(office).or_insert_with_key(|office| {
            let (desk, queue) = unbounded_channel();
            tasks.spawn(Clerk::new(whom.clone(), office.clone()).serve(queue));
            desk
        });
        // Its task ends only with us.
        let _ = desk.send(plea);
    }

    /// Waits until everything was put that is to be put, at most `within`.
    pub(super) async fn finish(mut self, within: Duration) {
        self.desks.clear();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(within, all).await;
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
    whom: Whom,
    office: Office,
    /// The endpoint that answered last.
    at: usize,
    token: Option<String>,
    /// What went wrong last, as was logged.
    logged: Option<String>,
}

impl Clerk {
    fn new(whom: Whom, office: Office) -> Self {
        Clerk { whom, office, at: 0, token: None, logged: None }
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
        let settings = self.whom.settings.clone();
        let patience = match plea {
            Plea::Request(request) => patience(request.ttl),
            Plea::Release(_) => RELEASE,
        };
        let count = settings.endpoints.len();
        let each = patience / u32::try_from(count).unwrap_or(u32::MAX);
        for _ in 0..count {
            let Some(endpoint) = settings.endpoints.get(self.at) else { return };
            let said = timeout(each, self.ask(endpoint, plea)).await;
            let said = said.unwrap_or_else(|_| Err(format!("no answer within {} ms", each.as_millis())));
            self.log(endpoint, &said);
            let answered = said.is_ok();
            let (office, endpoint) = (self.office.clone(), endpoint.name.clone());
            self.whom.inbox.put(Arrival::Input(Input::Consulted(Consulted { office, endpoint, said })));
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
        if let (Some(login), None) = (&self.whom.settings.login, &self.token) {
            self.token = Some(enter(&mut connection, login).await?);
        }
        let mut errand = Errand::new(&self.whom.place, plea.clone());
        loop {
            let (status, body) = connection.post(&errand.post(), self.token.as_deref()).await?;
            if let Some(reply) = errand.hear(status, &body)? {
                return Ok(reply);
            }
        }
    }

    /// Logs what is wrong once, and when it is over.
    fn log(&mut self, endpoint: &Endpoint, said: &Result<Reply, String>) {
        let (office, name) = (&self.office, &endpoint.name);
        let wrong = match said {
            Ok(reply) => reply.remark.as_ref(),
            Err(line) => Some(line),
        };
        let wrong = wrong.map(|line| format!("{name}: {line}"));
        match &wrong {
            Some(line) if self.logged.as_ref() != Some(line) => {
                warn!(office = office.name(), "the claim: {line}");
            }
            None if self.logged.is_some() => info!(office = office.name(), "the claim: {name} answers"),
            _ => {}
        }
        self.logged = wrong;
    }
}

async fn enter(connection: &mut Connection, login: &Login) -> Result<String, String> {
    let password = String::from_utf8_lossy(login.password.expose());
    let (status, body) = connection.post(&etcd::authenticate(&login.user, &password), None).await?;
    etcd::token(status, &body)
}
