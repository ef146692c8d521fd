//! The store in the model: what nodes ask it, one thing after the other about an office, and the way there and back.
//!
//! On the LAN it comes behind the witnesses. What is lost or too late on one way may have been done for all that.

use super::etcd::Etcd;
use super::networks::Network;
use super::node::Clock;
use super::world::{Happening, World};
use crate::agent::{Consulted, Input};
use crate::claim::etcd::{Errand, Place, Post, Reply, patience};
use crate::claim::{Office, Plea};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a node waits for an answer to a release, and how soon it looks again whether it is awake.
const RELEASE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(10);

/// An etcd, and what is under way to it.
#[derive(Debug, Default)]
pub(super) struct Store {
    etcd: Etcd,
    pub(super) clock: Clock,
    /// It answers. What it keeps outlasts its process.
    pub(super) runs: bool,
    desks: BTreeMap<Desk, Queue>,
    errands: BTreeMap<u64, (Desk, Errand)>,
    last: u64,
}

/// Where one life of a node asks about one office.
type Desk = (usize, u32, Office);

#[derive(Debug, Default)]
struct Queue {
    busy: bool,
    waiting: VecDeque<Plea>,
}

/// A message on its way to the store, or back.
#[derive(Debug)]
pub(super) enum Message {
    There(usize, Post),
    Back(u16, String),
}

impl Store {
    /// It starts, with all that it kept, if it does not forget that.
    pub(super) fn start(&mut self, forgets: bool) {
        self.runs = true;
        if forgets {
            self.etcd = Etcd::default();
        }
    }
}

impl World {
    /// A node asks.
    pub(super) fn plead(&mut self, node: usize, plea: Plea) {
        let office = match &plea {
            Plea::Request(request) => request.office.clone(),
            Plea::Release(release) => release.office.clone(),
        };
        let desk = (node, self.nodes[node].life, office);
        let Some(store) = &mut self.store else { return };
        store.desks.entry(desk.clone()).or_default().waiting.push_back(plea);
        self.serve(&desk);
    }

    /// The next one at a desk has its turn.
    fn serve(&mut self, desk: &Desk) {
        let (name, session) = (&self.nodes[desk.0].name, self.nodes[desk.0].session);
        let Some(store) = &mut self.store else { return };
        let Some(queue) = store.desks.get_mut(desk).filter(|queue| !queue.busy) else { return };
        let Some(plea) = queue.waiting.pop_front() else { return };
        queue.busy = true;
        store.last += 1;
        let number = store.last;
        let late = match &plea {
            Plea::Request(request) => patience(request.ttl),
            Plea::Release(_) => RELEASE,
        };
        let place = Place { prefix: "/".to_owned(), node: name.clone(), session };
        store.errands.insert(number, (desk.clone(), Errand::new(&place, plea)));
        self.later(late, Happening::Late { number });
        self.post(number);
    }

    fn post(&mut self, number: u64) {
        let Some((desk, errand)) = self.store.as_ref().and_then(|store| store.errands.get(&number)) else {
            return;
        };
        let message = Message::There(desk.0, errand.post());
        let (from, to) = (desk.0, self.members() - 1);
        self.send_errand(number, from, to, message);
    }

    fn send_errand(&mut self, number: u64, from: usize, to: usize, message: Message) {
        let node = from.min(to);
        let connected = self.nodes.get(node).is_none_or(|node| node.is_on(Network::First));
        // A connection delivers once, or not at all.
        let copy = self.lan.carry(&mut self.rng, self.now, from, to).into_iter().next();
        if let Some(copy) = copy.filter(|_| connected) {
            self.later(copy.after, Happening::Errand { number, message });
        }
    }

    /// A message arrives.
    pub(super) fn errand(&mut self, number: u64, message: Message) {
        match message {
            Message::There(node, post) => {
                let (now, to) = (self.now, self.members() - 1);
                let Some(store) = self.store.as_mut().filter(|store| store.runs) else { return };
                let (status, body) = store.etcd.answer(store.clock.reads(now), &post);
                self.send_errand(number, to, node, Message::Back(status, body));
            }
            Message::Back(status, body) => {
                let Some(store) = &mut self.store else { return };
                let Some((desk, errand)) = store.errands.get_mut(&number) else { return };
                if self.nodes[desk.0].frozen {
                    let message = Message::Back(status, body);
                    return self.later(LOOK, Happening::Errand { number, message });
                }
                match errand.hear(status, body.as_bytes()) {
                    Ok(None) if self.nodes[desk.0].life == desk.1 => self.post(number),
                    Ok(None) => drop(store.errands.remove(&number)),
                    Ok(Some(reply)) => self.done(number, Ok(reply)),
                    Err(line) => self.done(number, Err(line)),
                }
            }
        }
    }

    /// An errand has taken too long.
    pub(super) fn late(&mut self, number: u64) {
        let asker = self.store.as_ref().and_then(|store| store.errands.get(&number));
        let Some((desk, _)) = asker else { return };
        if self.nodes[desk.0].frozen {
            return self.later(LOOK, Happening::Late { number });
        }
        self.done(number, Err("no answer in time".to_owned()));
    }

    fn done(&mut self, number: u64, said: Result<Reply, String>) {
        let Some(store) = &mut self.store else { return };
        let Some((desk, _)) = store.errands.remove(&number) else { return };
        if let Some(queue) = store.desks.get_mut(&desk) {
            queue.busy = false;
        }
        let (node, life, office) = desk.clone();
        if self.nodes[node].life == life {
            let consulted = Consulted { office, endpoint: "etcd".into(), said };
            self.report(Duration::ZERO, node, Input::Consulted(consulted));
        }
        self.serve(&desk);
    }
}
