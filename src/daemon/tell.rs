//! Everybody who is told of events, on the tasks' thread: hooks, FIFOs, mails, receivers of messages, SNMP,
//! in this order.
//!
//! Each has a queue of its own, so none waits for another: a slow script delays no line.

use super::inbox::{Arrival, Inbox};
use super::mib::{self, Setup};
use crate::agent::{HookEnd, Incident, Input, Subject, Transition};
use crate::config::Told;
use crate::notify::fifo::{self, Writer};
use crate::notify::mail::{Mailer, Message};
use crate::notify::message::Receiver;
use crate::notify::messenger::{self, Messenger};
use crate::notify::{self, Hooks};
use crate::snmp::Subagent;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::{info, warn};

/// How long a FIFO that a reload takes away may still be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// All of them.
pub(super) struct Tellers {
    inbox: Inbox,
    hooks: BTreeMap<Subject, notify::Runner>,
    fifos: Vec<Writer>,
    mailer: Option<Mailer>,
    messengers: Vec<Messenger>,
    subagent: Option<Subagent>,
}

impl Tellers {
    pub(super) fn new(inbox: &Inbox) -> Self {
        Tellers {
            inbox: inbox.clone(),
            hooks: BTreeMap::new(),
            fifos: Vec::new(),
            mailer: None,
            messengers: Vec::new(),
            subagent: None,
        }
    }

    /// Makes these the FIFOs, mails and receivers from now on. Those that stay as they are do not notice.
    pub(super) async fn adopt(&mut self, told: Told) {
        let (stay, leave): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.fifos).into_iter().partition(|old| told.fifos.contains(old.fifo()));
        self.fifos = stay;
        for old in leave {
            // Before another one comes to the same path.
            old.finish(LAST_LINES).await;
        }
        for new in told.fifos {
            if !self.fifos.iter().any(|old| *old.fifo() == new) {
                self.fifos.push(Writer::start(new, |report| warn!(target: "locum::notify", "{report}")));
            }
        }
        if self.mailer.as_ref().map(Mailer::mail) != told.mail.as_ref() {
            if let Some(old) = self.mailer.take() {
                tokio::spawn(old.finish(LAST_LINES));
            }
            self.mailer = told
                .mail
                .map(|mail| Mailer::start(mail, |report| warn!(target: "locum::notify", "{report}")));
        }
        self.message(told.receivers);
    }

    /// Makes these the receivers of messages from now on.
    fn message(&mut self, receivers: Vec<Receiver>) {
        let (stay, leave): (Vec<_>, Vec<_>) = std::mem::take(&mut self.messengers)
            .into_iter()
            .partition(|old| receivers.contains(old.receiver()));
        self.messengers = stay;
        for old in leave {
            tokio::spawn(old.finish(LAST_LINES));
        }
        for new in receivers {
            if !self.messengers.iter().any(|old| *old.receiver() == new) {
                let to = self.inbox.clone();
                self.messengers.push(Messenger::start(new, move |report| said(&to, report)));
            }
        }
    }

    /// Makes this the SNMP from now on.
    pub(super) async fn serve(&mut self, setup: Option<Box<Setup>>) {
        let wanted = setup.as_ref().map(|setup| &setup.settings);
        if self.subagent.as_ref().map(Subagent::settings) != wanted
            && let Some(old) = self.subagent.take()
        {
            // Before another one asks for the same subtrees.
            old.finish(LAST_LINES).await;
        }
        mib::adopt(&mut self.subagent, setup, &self.inbox);
    }

    pub(super) fn notify(&mut self, transition: &Transition, hooks: Option<&Hooks>, mail: Option<Message>) {
        if let Some(hooks) = hooks {
            self.runner(&transition.subject).notify(transition, hooks);
        }
        for fifo in &self.fifos {
            fifo.tell(fifo::transition_line(transition));
        }
        if let (Some(mailer), Some(mail)) = (&self.mailer, mail) {
            mailer.send(mail);
        }
        let now = Timestamp::now();
        for messenger in &self.messengers {
            messenger.tell(transition, now);
        }
        if let Some(subagent) = &self.subagent {
            subagent.tell(transition);
        }
    }

    /// `write`: whether FIFOs are told.
    pub(super) fn tell(&mut self, incident: &Incident, hooks: Option<&Hooks>, write: bool) {
        if let Some(hooks) = hooks {
            self.runner(&Subject::Router(incident.router.clone())).tell(incident, hooks);
        }
        let line = fifo::incident_line(incident).filter(|_| write);
        let Some(line) = line else { return };
        for fifo in &self.fifos {
            fifo.tell(line.clone());
        }
    }

    /// Lets all of them end, each at most for so long.
    pub(super) async fn finish(self, within: Duration) {
        let hooks = self.hooks.into_values().map(|runner| tokio::spawn(runner.finish(within)));
        let fifos = self.fifos.into_iter().map(|fifo| tokio::spawn(fifo.finish(within)));
        let mails = self.mailer.into_iter().map(|mailer| tokio::spawn(mailer.finish(within)));
        let messages = self.messengers.into_iter().map(|messenger| tokio::spawn(messenger.finish(within)));
        let snmp = self.subagent.into_iter().map(|subagent| tokio::spawn(subagent.finish(LAST_LINES)));
        for task in hooks.chain(fifos).chain(mails).chain(messages).chain(snmp).collect::<Vec<_>>() {
            let _ = task.await;
        }
    }

    fn runner(&mut self, subject: &Subject) -> &notify::Runner {
        let inbox = &self.inbox;
        self.hooks.entry(subject.clone()).or_insert_with(|| {
            let to = inbox.clone();
            let report = move |report| to.put(Arrival::Input(Input::HookEnded(hook_end(report))));
            notify::Runner::start(subject.clone(), report)
        })
    }
}

fn said(inbox: &Inbox, report: messenger::Report) {
    match report.line {
        Some(Ok(line)) => info!(target: "locum::notify", "{line}"),
        Some(Err(line)) => warn!(target: "locum::notify", "{line}"),
        None => {}
    }
    if let Some(status) = report.status {
        inbox.put(Arrival::Receiver(status));
    }
}

fn hook_end(report: notify::Report) -> HookEnd {
    let failed = report.result != notify::Ended::Exit(0);
    let ended = match report.output.lines().last() {
        Some(line) if failed => format!("{}: {line}", report.result),
        _ => report.result.to_string(),
    };
    if failed {
        warn!(target: "locum::notify", subject = %report.subject, state = %report.state, script = %report.script, "hook: {ended}");
    } else {
        info!(target: "locum::notify", subject = %report.subject, state = %report.state, script = %report.script, "hook: {ended}");
    }
    HookEnd {
        subject: report.subject,
        script: report.script,
        ended,
        failed,
        took: report.took,
        skipped: report.skipped,
    }
}
