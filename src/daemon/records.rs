//! Records of DNS in the daemon: the core tells what happens to roles and checks, and on the tasks' thread each
//! record has a clerk that hears what to write.

use super::inbox::{Arrival, Inbox};
use super::perform::Performer;
use super::tasks::Command;
use crate::agent::effect::{CheckChange, Note};
use crate::agent::incident::Kind;
use crate::agent::status::{RouterStatus, Status};
use crate::agent::{Incident, Input, Request, Response, Subject, Ticket, Transition};
use crate::control::{Asked, Question};
use crate::dns::clerk::{Report, Written};
use crate::dns::{Clerk, Fact, Facts, Record};
use crate::history::{Event, Order};
use std::collections::BTreeMap;
use tracing::{info, warn};

/// All of them, on the tasks' thread.
pub(super) struct Records {
    inbox: Inbox,
    facts: Facts,
    clerks: Vec<Clerk>,
}

impl Records {
    pub(super) fn new(inbox: &Inbox) -> Self {
        Records { inbox: inbox.clone(), facts: Facts::default(), clerks: Vec::new() }
    }

    /// Makes these the records from now on. Those that stay as they are do not notice.
    pub(super) fn adopt(&mut self, records: Vec<Record>) {
        let old = std::mem::take(&mut self.clerks);
        self.clerks = old.into_iter().filter(|clerk| records.contains(clerk.record())).collect();
        for record in records {
            if !self.clerks.iter().any(|clerk| *clerk.record() == record) {
                let (to, name) = (self.inbox.clone(), record.name.clone());
                let clerk = Clerk::start(record, move |report| said(&to, &name, report));
                clerk.wish(clerk.record().plan.wish(&self.facts));
                self.clerks.push(clerk);
            }
        }
    }

    pub(super) fn learn(&mut self, fact: Fact) {
        if let Fact::Rival(router) = &fact {
            let follow = self.clerks.iter().filter(|clerk| clerk.record().plan.follows(router));
            return follow.for_each(Clerk::heard);
        }
        self.facts.learn(fact);
        for clerk in &self.clerks {
            clerk.wish(clerk.record().plan.wish(&self.facts));
        }
    }

    /// Answers whoever tests or sets a record, once that has ended.
    pub(super) fn answer(&self, asked: Asked) {
        let named = |wanted: &str| self.clerks.iter().find(|clerk| clerk.record().name == wanted);
        let none = |wanted: &str| vec![format!("there is no [dns.{wanted}]; `locum dns status` lists them")];
        match asked.question.clone() {
            Question::DnsTest { record } => {
                let chosen: Vec<_> = match &record {
                    Some(wanted) => named(wanted).into_iter().collect(),
                    None => self.clerks.iter().collect(),
                };
                if chosen.is_empty() {
                    let all = || vec!["the configuration has no [dns.NAME]".to_owned()];
                    let lines = record.map_or_else(all, |wanted| none(&wanted));
                    let _ = asked.answer.send(Response::Refused { lines });
                    return;
                }
                let tests: Vec<_> = chosen.into_iter().map(|clerk| tokio::spawn(clerk.test())).collect();
                tokio::spawn(async move {
                    let (mut good, mut bad) = (Vec::new(), Vec::new());
                    for test in tests {
                        match test.await {
                            Ok(Ok(line)) => good.push(line),
                            Ok(Err(line)) => bad.push(line),
                            Err(error) => bad.push(error.to_string()),
                        }
                    }
                    let failed = !bad.is_empty();
                    bad.extend(good);
                    let lines = bad;
                    let answer = if failed { Response::Refused { lines } } else { Response::Done { lines } };
                    let _ = asked.answer.send(answer);
                });
            }
            Question::DnsSet { record, address } => {
                let inbox = self.inbox.clone();
                let Some(clerk) = named(&record) else { return refuse(&inbox, asked, none(&record)) };
                let set = clerk.set(address);
                tokio::spawn(async move {
                    match set.await {
                        Ok(line) => drop(asked.answer.send(Response::Done { lines: vec![line] })),
                        Err(line) => refuse(&inbox, asked, vec![line]),
                    }
                });
            }
            _ => {}
        }
    }
}

fn refuse(inbox: &Inbox, asked: Asked, lines: Vec<String>) {
    inbox.put(Arrival::Happened(Event::Refused { order: Order::DnsSet, lines: lines.clone() }));
    let _ = asked.answer.send(Response::Refused { lines });
}

fn said(inbox: &Inbox, record: &str, report: Report) {
    // Whoever looks at what happened that night finds it there, too.
    if let Some(Err(text)) = report.line.clone().filter(|_| report.status.contested) {
        inbox.put(Arrival::Happened(Event::Trouble { text }));
    }
    match report.line {
        Some(Ok(line)) => info!(target: "locum::dns", "{line}"),
        Some(Err(line)) => warn!(target: "locum::dns", "{line}"),
        None => {}
    }
    if let Some(Written { record: name, was, now }) = report.written {
        let record = record.to_owned();
        inbox.put(Arrival::Happened(Event::DnsWritten { record, name, was, now }));
    }
    inbox.put(Arrival::Dns(report.status));
}

impl Performer {
    /// Makes records those of the configuration.
    pub(super) fn adopt_records(&self) {
        self.tasks.command(Command::Records(self.details.records.clone()));
        self.ask_survey();
    }

    /// Has the core asked how everything stands, where somebody wants to know.
    pub(super) fn ask_survey(&self) {
        if !self.details.records.is_empty() {
            self.inbox.put(Arrival::Survey);
        }
    }

    /// Asks the agent how everything stands.
    pub(super) fn survey(&mut self) -> Input {
        let ticket = self.next_ticket();
        self.surveyed = Some(ticket);
        Input::Request(ticket, Request::Status)
    }

    /// Whether this answers a survey, which is passed on then.
    pub(super) fn is_survey(&mut self, ticket: Ticket, response: &Response) -> bool {
        let Response::Status(status) = response else { return false };
        let ours = self.surveyed == Some(ticket);
        if ours {
            self.surveyed = None;
            self.tasks.command(Command::Learn(Fact::All(facts(status))));
        }
        ours
    }

    pub(super) fn learn_role(&self, transition: &Transition) {
        self.learn(Fact::Role(transition.subject.clone(), transition.to));
    }

    pub(super) fn learn_check(&self, note: &Note) {
        if let Note::Check(CheckChange { check, to, .. }) = note {
            self.learn(Fact::Check(check.clone(), *to));
        }
    }

    pub(super) fn learn_rival(&self, incident: &Incident) {
        if let Kind::HeardLower { .. } = incident.kind {
            self.learn(Fact::Rival(incident.router.clone()));
        }
    }

    fn learn(&self, fact: Fact) {
        if !self.details.records.is_empty() {
            self.tasks.command(Command::Learn(fact));
        }
    }
}

fn facts(status: &Status) -> Facts {
    let mut roles = BTreeMap::new();
    for RouterStatus { name, group, state, .. } in &status.routers {
        roles.insert(Subject::Router(name.clone()), *state);
        if let Some(group) = group {
            // A group is what all of its routers are.
            let whole = roles.entry(Subject::Group(group.clone())).or_insert(*state);
            *whole = (*whole).min(*state);
        }
    }
    Facts { roles, checks: status.checks.iter().map(|check| (check.name.clone(), check.state)).collect() }
}
