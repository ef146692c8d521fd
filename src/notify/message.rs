//! Messages on transitions: who receives which, and what they say. How they wait is in `waiting`, how they
//! leave in `messenger`.

use super::mail::{self, Mail};
use super::post::Post;
use super::template::{Escape, Field, Template};
use crate::agent::{Standing, Subject, Transition};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Routers that a summary names at most; the others are counted.
const NAMED: usize = 20;
/// The longest reason, in characters: it can quote what another machine said, and a line of a mail may have
/// 998 bytes.
const LONGEST_REASON: usize = 200;

/// How bad a transition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing moved, nothing broke.
    Info,
    /// Addresses come or go.
    Warning,
    /// A router cannot take part any more.
    Critical,
}

impl Severity {
    /// That of a transition between these.
    #[must_use]
    pub const fn of(from: Standing, to: Standing) -> Self {
        match (from, to) {
            (_, Standing::Fault) => Severity::Critical,
            (Standing::Master, _) | (_, Standing::Master) => Severity::Warning,
            _ => Severity::Info,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        })
    }
}

/// One who is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: String,
    /// What this host is called.
    pub node: String,
    /// The new states that it is told of.
    pub on: BTreeSet<Standing>,
    /// Nothing that is less bad is told.
    pub severity: Severity,
    /// The routers and groups that it is told of.
    pub subjects: BTreeSet<Subject>,
    /// The sentence for one transition.
    pub text: Template,
    /// How messages leave.
    pub way: Way,
    /// How long one attempt over HTTP may take; a mail has a time of its own.
    pub timeout: Duration,
    /// Attempts beyond the first.
    pub retries: u32,
    /// The pause before the first of them; doubles, up to five minutes.
    pub backoff: Duration,
    /// The same transition of a router is told once within this time.
    pub window: Duration,
    /// Where more transitions wait than this, one summary tells of all of them.
    pub storm: usize,
}

/// How messages leave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// As a mail.
    Mail(Box<Mail>),
    /// As a request of HTTP.
    Post(Box<Post>),
}

impl Receiver {
    /// Whether it is told of `transition`.
    #[must_use]
    pub fn wants(&self, transition: &Transition) -> bool {
        let Transition { subject, from, to, .. } = transition;
        self.subjects.contains(subject) && self.on.contains(to) && Severity::of(*from, *to) >= self.severity
    }

    /// What `field` is in a message that tells of `batch`; `markup`: what the sentence is escaped for.
    pub(super) fn value(&self, field: Field, markup: Escape, batch: &Batch) -> String {
        let last = batch.last();
        let each = |value: fn(&News) -> String| {
            let named: Vec<_> = batch.news.iter().take(NAMED).map(value).collect();
            more(named.join(", "), batch.news.len())
        };
        match field {
            Field::Router => each(|news| news.subject.name().to_owned()),
            Field::From => each(|news| news.from.to_string()),
            Field::To => each(|news| news.to.to_string()),
            Field::Reason if batch.storm => "too many to tell each".to_owned(),
            Field::Reason => last.reason.clone(),
            Field::Node => self.node.clone(),
            Field::Priority => last.priority.to_string(),
            Field::Addresses => {
                let all = batch.news.iter().flat_map(|news| &news.addresses).map(IpAddr::to_string);
                all.collect::<Vec<_>>().join(" ")
            }
            Field::Time => last.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Field::Severity => batch.severity().to_string(),
            Field::Count => batch.count().to_string(),
            Field::Text if batch.storm => markup.apply(&batch.summary(&self.node)),
            Field::Text => self.text.fill(markup, |field| match field {
                // It is this very text.
                Field::Text => String::new(),
                other => self.value(other, markup, batch),
            }),
        }
    }

    /// A mail about `batch`.
    pub(super) fn mail(&self, batch: &Batch) -> mail::Message {
        let last = batch.last();
        if batch.storm {
            let subject = format!("[{}] VRRP summary - {} transitions", self.node, batch.count());
            mail::Message::new(subject, batch.summary(&self.node), last.at)
        } else {
            mail::Message::of(last, &self.node)
        }
    }
}

/// `text`, which names [`NAMED`] of `all` at most.
fn more(text: String, all: usize) -> String {
    if all > NAMED { format!("{text} and {} more", all - NAMED) } else { text }
}

/// A transition as it waits to be told, or several of one router in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whose.
    pub subject: Subject,
    /// What it was, before the first.
    pub from: Standing,
    /// What it is, after the last.
    pub to: Standing,
    /// Why the last happened.
    pub reason: String,
    /// The effective priority then.
    pub priority: u8,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// When the last happened.
    pub at: Timestamp,
    /// The worst of them.
    pub severity: Severity,
    /// How many there were.
    pub count: u64,
}

impl News {
    /// Of one transition.
    #[must_use]
    pub fn of(transition: &Transition, at: Timestamp) -> Self {
        let Transition { subject, from, to, why, priority, addresses, .. } = transition;
        News {
            subject: subject.clone(),
            from: *from,
            to: *to,
            reason: super::one_line(&why.to_string()).chars().take(LONGEST_REASON).collect(),
            priority: *priority,
            addresses: addresses.clone(),
            at,
            severity: Severity::of(*from, *to),
            count: 1,
        }
    }

    /// Both as one: what was before this, what is after `later`.
    pub(super) fn followed_by(self, later: News) -> News {
        News {
            from: self.from,
            count: self.count + later.count,
            severity: self.severity.max(later.severity),
            ..later
        }
    }
}

/// What one message tells of; never nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) news: Vec<News>,
    /// Too many waited to tell each.
    pub(super) storm: bool,
}

impl Batch {
    fn last(&self) -> &News {
        self.news.iter().max_by_key(|news| news.at).unwrap_or(&self.news[0])
    }

    /// How many transitions.
    pub(super) fn count(&self) -> u64 {
        self.news.iter().map(|news| news.count).sum()
    }

    fn severity(&self) -> Severity {
        self.news.iter().map(|news| news.severity).max().unwrap_or(Severity::Info)
    }

    fn summary(&self, node: &str) -> String {
        let lines = self.news.iter().take(NAMED).map(|news| {
            let News { subject, to, count, .. } = news;
            format!("{subject}: {to} now, after {count} transition{}", if *count == 1 { "" } else { "s" })
        });
        let lines = more(lines.collect::<Vec<_>>().join("\n"), self.news.len());
        format!("{node}: {} transitions.\n{lines}", self.count())
    }
}
