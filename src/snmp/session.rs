//! The session with the master agent: connect, open, register, answer, tell, and again where it ends
//! (RFC 2741 sections 7.1 and 7.2). Only this file and `connection` touch the world.
//!
//! Whoever is to be told or asked is never waited for by the daemon: this is a task of its own. The daemon
//! is asked how everything stands once a second, however many rows a manager reads; a little more often while
//! states change.

use super::connection::{Awaited, Link, PATIENCE};
use super::memory::Memory;
use super::oid::Oid;
use super::pdu::{Body, Pdu};
use super::traps::{self, Trap};
use super::tree::Tree;
use super::view::View;
use super::writes::{self, Change};
use super::{Facts, Master, Settings, answer};
use crate::agent::config::Config;
use crate::agent::status::Status;
use crate::agent::{Response, Transition};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

/// The first pause before the master agent is looked for again. Doubles.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest such pause.
const RETRY_LONGEST: Duration = Duration::from_secs(15);
/// How long the daemon may take to say how everything stands: less than there is for the last traps.
const ASKED_WITHIN: Duration = Duration::from_millis(500);
/// For how long what was said still holds.
const FRESH: Duration = Duration::from_secs(1);
/// The same once a state has changed.
const FRESHER: Duration = Duration::from_millis(100);
/// How often refused packets are looked for, where traps tell of them.
const LOOK: Duration = Duration::from_secs(5);
/// Traps that wait at most for a master agent, and how long: then they are news no more.
const WAITING: usize = 64;
const NEWS: Duration = Duration::from_secs(30);

/// `Close` because this process ends.
const SHUTDOWN: u8 = 5;
/// `genErr`
const NO_ANSWER: u16 = 5;
/// Nothing was tested that could be set, or nothing set that could be taken back.
const COMMIT_FAILED: u16 = 14;
const UNDO_FAILED: u16 = 15;
/// The subtree is somebody else's already.
const DUPLICATE: u16 = 263;
/// The priority of a registration that nobody has chosen.
const USUAL: u8 = 127;

/// How it goes, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The master agent asks here from now on.
    Served(String),
    /// It does not, or not for all; what to do about it.
    Trouble(String),
}

enum Said {
    Facts(Box<Facts>),
    Transition(Box<Transition>),
    Finish,
}

/// A sub-agent that runs.
pub struct Subagent {
    settings: Settings,
    said: UnboundedSender<Said>,
    task: JoinHandle<()>,
}

impl Subagent {
    /// Starts one. `ask` lets the daemon say how everything stands, `adopt` has it run by what a manager has
    /// set, and `report` is told how it goes. Needs a runtime.
    pub fn start(
        settings: Settings,
        facts: Facts,
        ask: impl Fn(oneshot::Sender<Response>) + Send + Sync + 'static,
        adopt: impl Fn(Config) + Send + Sync + 'static,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> Self {
        let (said, hears) = unbounded_channel();
        let session = Session {
            settings: settings.clone(),
            facts,
            ask: Box::new(ask),
            adopt: Box::new(adopt),
            set: None,
            report: Box::new(report),
            hears,
            memory: Memory::default(),
            traps: VecDeque::new(),
            seen: None,
            changed: false,
            tree: None,
            look: Instant::now(),
            before: None,
            uptime: None,
            silent: false,
        };
        Subagent { settings, said, task: tokio::spawn(session.run()) }
    }

    /// What it serves, and to whom.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// These hold from now on.
    pub fn know(&self, facts: Facts) {
        self.say(Said::Facts(Box::new(facts)));
    }

    /// A router or a group has changed its state.
    pub fn tell(&self, transition: &Transition) {
        self.say(Said::Transition(Box::new(transition.clone())));
    }

    /// Sends what is still to be told, and ends; at the latest after `within`.
    pub async fn finish(mut self, within: Duration) {
        self.say(Said::Finish);
        if timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }

    fn say(&self, said: Said) {
        // Fails only once the task has ended.
        let _ = self.said.send(said);
    }
}

/// What a failure is called, with its mend.
fn unreachable(master: &Master, error: &io::Error) -> String {
    let mend = match (error.kind(), master) {
        (io::ErrorKind::PermissionDenied, _) => {
            "let this user in: in snmpd.conf agentXPerms 0660 0755 root GROUP, with its group"
        }
        (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, _) => {
            "start snmpd, with `master agentx` in its snmpd.conf"
        }
        _ => "see whether snmpd runs, with `master agentx` in its snmpd.conf",
    };
    format!("SNMP: no master agent at {master}: {error}; {mend}; trying again and again")
}

/// How a session ended.
enum Ended {
    Finished,
    /// Why, and whether it was in use before.
    Lost(String, bool),
}

/// The snapshot, and the interfaces as they were then.
struct Seen {
    at: Instant,
    status: Box<Status>,
    links: BTreeMap<String, u32>,
}

struct Session {
    settings: Settings,
    facts: Facts,
    ask: Box<dyn Fn(oneshot::Sender<Response>) + Send + Sync>,
    adopt: Box<dyn Fn(Config) + Send + Sync>,
    /// What a manager wants to set, or what takes back what it has; and for which of its questions.
    set: Option<(u32, Vec<Change>)>,
    report: Box<dyn Fn(Report) + Send + Sync>,
    hears: UnboundedReceiver<Said>,
    memory: Memory,
    traps: VecDeque<(Instant, Trap)>,
    seen: Option<Seen>,
    /// A state has changed since.
    changed: bool,
    /// What is made of it, once somebody has asked.
    tree: Option<Tree>,
    /// When to look for refused packets next.
    look: Instant,
    /// What was seen the last time.
    before: Option<Box<Status>>,
    /// How long the master agent said that it runs, and when.
    uptime: Option<(Instant, u32)>,
    /// That there is no master agent was told.
    silent: bool,
}

impl Session {
    async fn run(mut self) {
        let mut pause = RETRY_FIRST;
        loop {
            let master = self.settings.master.clone();
            let opened = timeout(PATIENCE, Link::open(&master)).await;
            let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
            let ended = match opened.unwrap_or_else(late) {
                Ok(link) => self.serve(link).await,
                Err(error) => Ended::Lost(unreachable(&master, &error), false),
            };
            let Ended::Lost(why, used) = ended else { return };
            if used {
                pause = RETRY_FIRST;
            }
            if !std::mem::replace(&mut self.silent, true) {
                (self.report)(Report::Trouble(why));
            }
            if !self.rest(Instant::now() + pause).await {
                return;
            }
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    }

    /// Hears what is said until then. Whether to go on.
    async fn rest(&mut self, until: Instant) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(until.into()) => return true,
                said = self.hears.recv() => {
                    if !self.hear(said).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn serve(&mut self, mut link: Link) -> Ended {
        let lost = |error: io::Error, used: bool, master: &Master| {
            let what = if used { "lost the master agent" } else { "nothing is served by the master agent" };
            Ended::Lost(format!("SNMP: {what} at {master}: {error}; trying again and again"), used)
        };
        for subtree in self.settings.subtrees() {
            let awaited = Awaited::Registered(subtree.clone());
            let body = Body::Register { timeout: 0, priority: USUAL, subtree };
            if let Err(error) = link.ask(body, Some(awaited)).await {
                return lost(error, false, &self.settings.master);
            }
        }
        loop {
            let turned = self.turn(&mut link).await;
            let used = link.registered > 0;
            match turned {
                Ok(true) => {}
                Ok(false) => {
                    let _ = self.flush(&mut link).await;
                    let _ = link.ask(Body::Close { reason: SHUTDOWN }, None).await;
                    let _ = link.to.shutdown().await;
                    return Ended::Finished;
                }
                Err(error) => return lost(error, used, &self.settings.master),
            }
        }
    }

    /// Does whatever comes first. Whether to go on.
    async fn turn(&mut self, link: &mut Link) -> io::Result<bool> {
        self.flush(link).await?;
        let due = self.look_at().map_or(link.due(), |look| look.min(link.due()));
        tokio::select! {
            come = link.messages.next() => {
                let come = come?;
                link.heard = Instant::now();
                self.take(come, link).await?;
            }
            said = self.hears.recv() => return Ok(self.hear(said).await),
            () = sleep_until(due.into()) => {
                if self.look_at().is_some_and(|look| look <= Instant::now()) {
                    self.look().await;
                } else if link.awaited.values().any(|awaited| matches!(awaited, Awaited::Alive(_))) {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
                } else {
                    link.ask(Body::Ping, Some(Awaited::Alive(Instant::now()))).await?;
                }
            }
        }
        Ok(true)
    }

    /// Takes a message of the master agent.
    async fn take(&mut self, come: Pdu, link: &mut Link) -> io::Result<()> {
        match &come.body {
            Body::Response { uptime, error, .. } => {
                self.uptime = Some((Instant::now(), *uptime));
                if let Some(Awaited::Registered(subtree)) = link.awaited.remove(&come.packet) {
                    self.registered(&subtree, *error, link)?;
                }
                Ok(())
            }
            Body::Close { .. } => Err(io::Error::other("it has ended the session")),
            Body::TestSet(_) | Body::CommitSet | Body::UndoSet | Body::CleanupSet => {
                let Some((error, index)) = self.write(&come).await else { return Ok(()) };
                let body = Body::Response { uptime: 0, error, index, bindings: Vec::new() };
                link.send(&Pdu { context: None, body, ..come }).await
            }
            body => {
                let stands = !answer::asks(body) || self.look_it_up().await;
                let nothing = Tree::default();
                let tree = self.tree.as_ref().unwrap_or(&nothing);
                let none = Body::Response { uptime: 0, error: NO_ANSWER, index: 0, bindings: Vec::new() };
                let answered =
                    if stands { answer::answer(body, come.context.is_some(), tree) } else { Some(none) };
                match answered {
                    Some(body) => link.send(&Pdu { context: None, body, ..come }).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// Tests, sets, takes back (RFC 2741 section 7.2.4). Which error there is, and with which binding; `None`
    /// where no answer is wanted.
    async fn write(&mut self, come: &Pdu) -> Option<(u16, u16)> {
        let known = self.set.take().filter(|(transaction, _)| *transaction == come.transaction);
        let failed = match &come.body {
            Body::TestSet(_) if come.context.is_some() => return Some((answer::UNSUPPORTED_CONTEXT, 0)),
            Body::TestSet(bindings) => {
                self.see(FRESH).await;
                let found = self.view().map(|view| writes::changes(bindings, &view));
                return Some(match found {
                    None => (NO_ANSWER, 0),
                    Some(Err(error)) => error,
                    Some(Ok(changes)) => {
                        self.set = Some((come.transaction, changes));
                        (0, 0)
                    }
                });
            }
            Body::CommitSet => COMMIT_FAILED,
            Body::UndoSet => UNDO_FAILED,
            _ => return None,
        };
        let Some((transaction, changes)) = known else { return Some((failed, 1)) };
        self.set = Some((transaction, writes::apply(&changes, &mut self.facts.config)));
        (self.seen, self.tree) = (None, None);
        (self.adopt)(self.facts.config.clone());
        for change in &changes {
            let line = format!("SNMP: a manager sets {change}, until the configuration is read again");
            (self.report)(Report::Served(line));
        }
        Some((0, 0))
    }

    /// Somebody else may serve a part, another program for keepalived's load balancer for instance.
    fn registered(&mut self, subtree: &Oid, error: u16, link: &mut Link) -> io::Result<()> {
        match error {
            0 => link.registered += 1,
            DUPLICATE => link.refused.push(format!("{subtree} is served by another program already")),
            other => link.refused.push(format!("{subtree} is refused with error {other}")),
        }
        if link.awaited.values().any(|awaited| matches!(awaited, Awaited::Registered(_))) {
            return Ok(());
        }
        let refused = std::mem::take(&mut link.refused).join("; ");
        if link.registered == 0 {
            return Err(io::Error::other(refused));
        }
        let again = std::mem::take(&mut self.silent);
        let word = if again { "again" } else { "now" };
        let master = &self.settings.master;
        (self.report)(Report::Served(format!("SNMP: the master agent at {master} asks here {word}")));
        if !refused.is_empty() {
            (self.report)(Report::Trouble(format!("SNMP: not everything is served: {refused}")));
        }
        Ok(())
    }

    /// Sends the traps that wait.
    async fn flush(&mut self, link: &mut Link) -> io::Result<()> {
        while let Some((since, trap)) = self.traps.pop_front() {
            if since.elapsed() <= NEWS {
                link.ask(Body::Notify(trap), None).await?;
            }
        }
        Ok(())
    }

    /// Hears what the daemon says. Whether to go on.
    async fn hear(&mut self, said: Option<Said>) -> bool {
        match said {
            None | Some(Said::Finish) => return false,
            Some(Said::Facts(facts)) => {
                self.facts = *facts;
                (self.seen, self.tree) = (None, None);
            }
            Some(Said::Transition(transition)) => {
                let now = Instant::now();
                self.memory.transition(&transition, now);
                // What was seen may be older than this.
                self.changed = true;
                if self.settings.traps && self.settings.keepalived {
                    self.queue(vec![traps::of_change(&transition, &self.facts)], now);
                }
                if traps::is_new_master(&transition, &self.settings) {
                    self.queue_new_master(&transition, now).await;
                }
            }
        }
        true
    }

    /// Of many that change at once the daemon is asked once, unless what was seen is too old for one of them.
    async fn queue_new_master(&mut self, transition: &Transition, now: Instant) {
        for age in [FRESH, Duration::ZERO] {
            if !self.see(age).await {
                return;
            }
            let view = self.view();
            let traps = view.map(|view| traps::of_new_master(transition, &self.settings, &view));
            let traps = traps.unwrap_or_default();
            if !traps.is_empty() {
                return self.queue(traps, now);
            }
        }
    }

    fn queue(&mut self, traps: Vec<Trap>, now: Instant) {
        self.traps.extend(traps.into_iter().map(|trap| (now, trap)));
        let spare = self.traps.len().saturating_sub(WAITING);
        self.traps.drain(..spare);
    }

    /// When to look for refused packets.
    fn look_at(&self) -> Option<Instant> {
        let wanted = self.settings.traps && (self.settings.rfc2787 || self.settings.rfc6527);
        wanted.then_some(self.look)
    }

    async fn look(&mut self) {
        let now = Instant::now();
        self.look = now + LOOK;
        if !self.see(Duration::ZERO).await {
            return;
        }
        if let Some((before, view)) = self.before.as_ref().zip(self.view()) {
            let (traps, errors) = traps::of_refusals(before, &self.settings, &view);
            traps::remember(errors, &mut self.memory);
            self.queue(traps, now);
        }
        self.before = self.seen.as_ref().map(|seen| seen.status.clone());
    }

    fn view(&self) -> Option<View<'_>> {
        let seen = self.seen.as_ref()?;
        let now = Instant::now();
        let uptime = self.uptime.map_or(0, |(at, uptime)| {
            let since = u32::try_from(now.saturating_duration_since(at).as_millis() / 10).unwrap_or(u32::MAX);
            uptime.saturating_add(since)
        });
        Some(View::new(&seen.status, &self.facts, &self.memory, &seen.links, (now, uptime)))
    }

    /// Has a tree that is fresh enough. Whether there is one.
    async fn look_it_up(&mut self) -> bool {
        if !self.see(if self.changed { FRESHER } else { FRESH }).await {
            return false;
        }
        if self.tree.is_none() {
            self.tree = self.view().map(|view| self.settings.tree(&view));
        }
        self.tree.is_some()
    }

    /// Has a snapshot that is not older than this. Whether there is one.
    async fn see(&mut self, age: Duration) -> bool {
        if self.seen.as_ref().is_some_and(|seen| seen.at.elapsed() <= age) {
            return true;
        }
        let (to, answered) = oneshot::channel();
        self.changed = false;
        (self.ask)(to);
        let Ok(Ok(Response::Status(status))) = timeout(ASKED_WITHIN, answered).await else { return false };
        let named =
            |link: &nix::net::if_::Interface| (link.name().to_string_lossy().into_owned(), link.index());
        let links = nix::net::if_::if_nameindex();
        let links = links.map(|links| links.iter().map(named).collect()).unwrap_or_default();
        (self.seen, self.tree) = (Some(Seen { at: Instant::now(), status, links }), None);
        true
    }
}
