//! `[agent]`'s `notify_fifo` and `mail`: whom the daemon tells besides hooks.

use super::file::{self, own_command};
use super::hooks::{may_run, user};
use super::problem::{Finding, Sink};
use super::section::{Section, Value, Wrong};
use super::value::{flag, host, host_and_port, path, some_time, text};
use crate::agent::{RouterName, Subject};
use crate::notify::fifo::Fifo;
use crate::notify::mail::{Mail, Mailbox};
use crate::notify::{Script, User};
use serde_spanned::Spanned;
use std::collections::BTreeSet;
use std::time::Duration;

/// Readable and writable by its owner alone, as keepalived's.
const MODE: u32 = 0o600;
/// SMTP.
const PORT: u16 = 25;
/// How long a relay may take for one mail.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a reader may take to start; once started it has no limit.
const START_WITHIN: Duration = Duration::from_secs(30);

/// Whom the daemon tells of events besides hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The FIFOs that every event is written to.
    pub fifos: Vec<Fifo>,
    /// The routers whose changes of priority are written there as well.
    pub priorities: BTreeSet<RouterName>,
    /// How mails leave.
    pub mail: Option<Mail>,
    /// The routers and groups that mails tell of.
    pub mailed: BTreeSet<Subject>,
}

/// What `[agent]` says of it, and whether changes of priority are written.
pub(super) fn told(agent: &mut file::Agent<'_>, host_name: &str) -> (Told, bool) {
    let (sections, mail) = (std::mem::take(&mut agent.notify_fifos), agent.mail.take());
    let (mut fifos, mut priorities): (Vec<Fifo>, _) = (Vec::new(), false);
    for section in sections {
        let (span, sink) = (section.span.clone(), section.sink());
        let Some((fifo, changes)) = fifo_of(section, agent.script_user.as_ref()) else { continue };
        if fifos.iter().any(|other| other.path == fifo.path) {
            let finding = Finding::error(&span, "this FIFO stands here twice: every event would come twice");
            sink.add(finding.help("name another, or remove one"));
        }
        priorities |= changes;
        fifos.push(fifo);
    }
    let mail = mail.and_then(|section| mail_of(section, host_name));
    (Told { fifos, mail, ..Told::default() }, priorities)
}

impl Told {
    /// Adds a router or a group, as its `notify` says; `priorities` is what a router does that does not
    /// say whether its changes of priority are written.
    pub(super) fn add(&mut self, subject: Subject, notify: &file::Notify, priorities: bool, sink: &Sink) {
        if let Some(wanted) = notify.priority_changes.as_ref().filter(|wanted| *wanted.get_ref())
            && self.fifos.is_empty()
        {
            let finding = Finding::error(&wanted.span(), "there is no FIFO to write them to");
            sink.add(finding.help("add to [agent]: notify_fifo = { path = \"/run/locum/events\" }"));
        }
        if let Subject::Router(name) = &subject
            && notify.priority_changes.as_ref().map_or(priorities, |wanted| *wanted.get_ref())
        {
            self.priorities.insert(name.clone());
        }
        match (&notify.mail, &self.mail) {
            (Some(wanted), None) if *wanted.get_ref() => {
                let finding = Finding::error(&wanted.span(), "nothing says where mails go");
                sink.add(finding.help("add to [agent]: mail = { to = \"ann@example.org\" }"));
            }
            (wanted, Some(_)) if wanted.as_ref().is_none_or(|wanted| *wanted.get_ref()) => {
                self.mailed.insert(subject);
            }
            _ => {}
        }
    }
}

/// The FIFO, and whether changes of priority are written to it. `script_user` is the user of
/// `[agent]`.
fn fifo_of(section: Section<'_>, script_user: Option<&Spanned<String>>) -> Option<(Fifo, bool)> {
    let sink = section.sink();
    let path = section.required("path", "path = \"/run/locum/events\"", path);
    let named = section.optional("user", text);
    let group = section.optional("group", text).and_then(|group| super::group_id(&group, sink));
    let mode = section.optional("mode", mode).map_or(MODE, Spanned::into_inner);
    let script = own_command(&section, "script");
    let priorities = section.optional("priority_changes", flag).is_some_and(Spanned::into_inner);
    section.finish();
    let path = path?.into_inner();
    let reader = match &script {
        Some(script) => {
            let by = script.user.as_ref().or(named.as_ref()).or(script_user);
            let user = user(by, &script.words.span(), sink)?;
            may_run(&script.words, &user, sink);
            Some(Script { command: script.words.get_ref().clone(), user, timeout: START_WITHIN })
        }
        None => None,
    };
    // A reader that may not open the FIFO is of no use, so it is its user's.
    let owner = match &named {
        Some(named) => Some(user(Some(named), &named.span(), sink)?),
        None => reader.as_ref().map(|reader| reader.user.clone()),
    };
    let owner = (owner.is_some() || group.is_some()).then(|| {
        let user = owner.unwrap_or_else(User::own);
        (user.uid, group.unwrap_or(user.gid))
    });
    Some((Fifo { path, owner, mode, reader }, priorities))
}

/// Permissions as people write them: `"0640"`.
fn mode(value: &Value<'_>) -> Result<u32, Wrong> {
    let text = text(value)?;
    let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| Wrong::new(format!("\"{text}\" is no file mode")).help("write it like \"0640\""))
}

/// How mails leave. `host_name` stands where nothing else is written.
fn mail_of(section: Section<'_>, host_name: &str) -> Option<Mail> {
    let relay = section.optional("relay", host_and_port(Some(PORT))).map(Spanned::into_inner);
    let helo = section.optional("helo", host).map(Spanned::into_inner);
    let from = section.optional("from", mailbox);
    let to = section.one_or_more("to", mailbox);
    if section.raw("to").is_none() {
        section.missing("to", "to = \"ann@example.org\"");
    }
    let timeout = section.optional("timeout", some_time).map_or(TIMEOUT, Spanned::into_inner);
    let faults = section.optional("faults", flag).is_none_or(Spanned::into_inner);
    nobody(to.as_ref(), section.sink());
    section.finish();
    let from = match from {
        Some(from) => from.into_inner(),
        None => Mailbox::parse(&format!("locum@{host_name}"))?,
    };
    Some(Mail {
        relay: relay.map_or_else(|| ("localhost".to_owned(), PORT), |relay| (relay.host, relay.port)),
        helo: helo.unwrap_or_else(|| host_name.to_owned()),
        from,
        to: to?.into_inner().into_iter().map(Spanned::into_inner).collect(),
        timeout,
        faults,
    })
}

fn nobody(to: Option<&Spanned<Vec<Spanned<Mailbox>>>>, sink: &Sink) {
    if let Some(to) = to.filter(|to| to.get_ref().is_empty()) {
        let finding = Finding::error(&to.span(), "nobody would get these mails");
        sink.add(finding.help("name a recipient, such as \"ann@example.org\", or remove `mail`"));
    }
}

fn mailbox(value: &Value<'_>) -> Result<Mailbox, Wrong> {
    let text = text(value)?;
    Mailbox::parse(&text).ok_or_else(|| {
        Wrong::new(format!("\"{}\" is no mail address", text.escape_debug()))
            .help("write it like \"ann@example.org\" or \"Ann <ann@example.org>\"")
    })
}
