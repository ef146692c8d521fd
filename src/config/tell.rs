//! `[agent]`'s `notify_fifo` and `mail`: whom the daemon tells besides hooks.

use super::file::{self, own_command};
use super::hooks::{Usual, may_run, user};
use super::problem::{Finding, Sink};
use super::router::Keys;
use super::secret;
use super::section::{Section, Value, Wrong};
use super::value::{choice, flag, host, host_and_port, path, some_time, text};
use crate::agent::{RouterName, Subject};
use crate::notify::fifo::Fifo;
use crate::notify::mail::{Mail, Mailbox};
use crate::notify::message::Receiver;
use crate::notify::smtp::{Login, Security, Transport};
use crate::notify::{Script, User};
use crate::stream::tls;
use crate::vrrp::auth::Secret;
use serde_spanned::Spanned;
use std::collections::BTreeSet;
use std::time::Duration;

/// Readable and writable by its owner alone, as keepalived's.
const MODE: u32 = 0o600;
/// SMTP.
const PORT: u16 = 25;
/// SMTP over TLS from the start.
const TLS_PORT: u16 = 465;
const SECURITIES: &[(&str, Security)] =
    &[("plain", Security::Plain), ("starttls", Security::StartTls), ("tls", Security::Tls)];
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
    /// Whom messages go to.
    pub receivers: Vec<Receiver>,
    /// `mail` is written and cannot be used, which has been told of.
    pub(super) mail_is_lost: bool,
}

/// What `[agent]` says of it, and whether changes of priority are written.
pub(super) fn told(agent: &mut file::Agent<'_>, host_name: &str, keys: &Keys<'_>) -> (Told, bool) {
    let (sections, mail) = (std::mem::take(&mut agent.notify_fifos), agent.mail.take());
    let (mut fifos, mut priorities): (Vec<Fifo>, _) = (Vec::new(), false);
    for section in sections {
        let (span, sink) = (section.span.clone(), section.sink());
        let Some((fifo, changes)) = fifo_of(section, agent.scripts()) else { continue };
        if fifos.iter().any(|other| other.path == fifo.path) {
            let finding = Finding::error(&span, "this FIFO stands here twice: every event would come twice");
            sink.add(finding.help("name another, or remove one"));
        }
        priorities |= changes;
        fifos.push(fifo);
    }
    let written = mail.is_some();
    let mail = mail.and_then(|section| {
        let faults = section.optional("faults", flag).is_none_or(Spanned::into_inner);
        let mail = mail_of(&section, host_name, keys);
        section.finish();
        Some(Mail { faults, ..mail? })
    });
    let mail_is_lost = written && mail.is_none();
    (Told { fifos, mail, mail_is_lost, ..Told::default() }, priorities)
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
            (Some(wanted), None) if *wanted.get_ref() && !self.mail_is_lost => {
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

/// The FIFO, and whether changes of priority are written to it.
fn fifo_of(section: Section<'_>, scripts: Usual<'_>) -> Option<(Fifo, bool)> {
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
            let by = script.user.as_ref().or(named.as_ref()).or(scripts.user);
            let user = user(by, &script.words.span(), sink);
            may_run(&script.words, user.as_ref(), sink);
            Some(Script {
                command: script.words.get_ref().clone(),
                user: user?,
                inherit: scripts.inherit,
                timeout: START_WITHIN,
            })
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
pub(super) fn mail_of(section: &Section<'_>, host_name: &str, keys: &Keys<'_>) -> Option<Mail> {
    let relay = section.optional("relay", host_and_port(Some(PORT))).map(Spanned::into_inner);
    let helo = section.optional("helo", host).map(Spanned::into_inner);
    let from = section.optional("from", mailbox);
    let to = section.one_or_more("to", mailbox);
    if section.raw("to").is_none() {
        section.missing("to", "to = \"ann@example.org\"");
    }
    let timeout = section.optional("timeout", some_time).map_or(TIMEOUT, Spanned::into_inner);
    nobody(to.as_ref(), section.sink());
    let relay = relay.map_or_else(|| ("localhost".to_owned(), PORT), |relay| (relay.host, relay.port));
    let transport = transport(section, relay.1, keys);
    let from = match from {
        Some(from) => from.into_inner(),
        None => Mailbox::parse(&format!("locum@{host_name}"))?,
    };
    Some(Mail {
        relay,
        transport: transport?,
        helo: helo.unwrap_or_else(|| host_name.to_owned()),
        from,
        to: to?.into_inner().into_iter().map(Spanned::into_inner).collect(),
        timeout,
        faults: true,
    })
}

/// How the relay is spoken to: with a password always encrypted, unless the opposite is written.
fn transport(section: &Section<'_>, port: u16, keys: &Keys<'_>) -> Option<Transport> {
    let security = section.optional("security", choice(SECURITIES));
    let user = section.optional("user", text);
    let reference = section.optional("password", text);
    let verify = section.optional("verify", flag).is_none_or(Spanned::into_inner);
    let ca_file = section.optional("ca_file", path).map(Spanned::into_inner);
    let usual = match &user {
        _ if port == TLS_PORT => Security::Tls,
        Some(_) => Security::StartTls,
        None => Security::Plain,
    };
    if let (Some(security), Some(user)) = (&security, &user)
        && *security.get_ref() == Security::Plain
    {
        let message = format!("the password of {} goes to the relay in the clear", user.get_ref());
        let finding = Finding::warning(&security.span(), message);
        section.sink().add(finding.help("write security = \"starttls\" or \"tls\""));
    }
    let login = match (user, reference) {
        (Some(user), Some(reference)) => {
            let read = secret::text("password", reference.get_ref(), keys.directory, keys.credentials);
            let password = keys.judge(&reference, read, section.sink())?;
            Some(Login { user: user.into_inner(), password: Secret::new(password.into_bytes()) })
        }
        (Some(_), None) => {
            section.missing("password", "password = \"file:/etc/locum/relay.pass\"");
            None
        }
        (None, Some(_)) => {
            section.missing("user", "user = \"locum\"");
            None
        }
        (None, None) => None,
    };
    let security = security.map_or(usual, Spanned::into_inner);
    Some(Transport { security, tls: tls::Config { verify, ca_file }, login })
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
