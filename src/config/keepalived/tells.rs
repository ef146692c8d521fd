//! FIFOs, mails and SNMP: whom the daemon tells of everything, besides hooks.

use super::document::{Command, Document, Fifo as Written, Notify, is_on};
use super::report::Report;
use super::runs::{INHERIT, Runner};
use crate::agent::Subject;
use crate::config::problem::{Finding, Span};
use crate::config::value::is_host;
use crate::config::{Told, host_name};
use crate::notify::Script;
use crate::notify::fifo::Fifo;
use crate::notify::mail::{Mail, Mailbox};
use crate::notify::smtp::Transport;
use crate::process::User;
use crate::snmp::{Master, Settings};
use serde_spanned::Spanned;
use std::path::PathBuf;
use std::time::Duration;

/// Readable and writable by its owner alone.
const MODE: u32 = 0o600;
/// How long a relay may take where nothing is written.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a reader may take to start; once started it has no limit.
const START_WITHIN: Duration = Duration::from_secs(30);

/// What `global_defs` says of it.
pub(super) fn told(document: &Document, runner: &Runner<'_>, report: &Report) -> Told {
    let global = &document.global;
    let both = [
        (&global.notify_fifo, &global.notify_fifo_script),
        (&global.vrrp_notify_fifo, &global.vrrp_notify_fifo_script),
    ];
    let mut fifos: Vec<Fifo> = Vec::new();
    for (written, script) in both {
        let Some(written) = written else { continue };
        let Some(fifo) = fifo(written, script.as_ref(), runner, report) else { continue };
        if fifos.iter().any(|other| other.path == fifo.path) {
            let message = "both FIFOs are the same file: it is written once";
            report.warning(&written.span(), message, "name another, or remove one");
        } else {
            fifos.push(fifo);
        }
    }
    Told { fifos, mail: mail(document, report), ..Told::default() }
}

fn fifo(
    written: &Spanned<Written>,
    script: Option<&Spanned<Command>>,
    runner: &Runner<'_>,
    report: &Report,
) -> Option<Fifo> {
    let Written { path, user, group } = written.get_ref();
    let path = rooted(path, &written.span(), report);
    let reader = script.and_then(|script| runner.hook(script));
    let owner = match user {
        Some(user) => Some(runner.owner(user, group.as_deref(), &written.span())?),
        None => reader.as_ref().map(|(_, user)| user.clone()),
    };
    let reader =
        reader.map(|(command, user)| Script { command, user, inherit: INHERIT, timeout: START_WITHIN });
    Some(Fifo {
        path: PathBuf::from(path),
        owner: owner.map(|user| (user.uid, user.gid)),
        mode: MODE,
        reader,
    })
}

/// A path from / on, where keepalived, as a daemon, begins with a relative one.
pub(super) fn rooted(path: &str, span: &Span, report: &Report) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let path = format!("/{path}");
    report.warning(span, format!("this is {path}, as in keepalived"), "write it from / on");
    path
}

/// How mails leave: where there are recipients and a relay.
fn mail(document: &Document, report: &Report) -> Option<Mail> {
    let global = &document.global;
    let relay = global.smtp_server.as_ref()?;
    let helo = global.smtp_helo_name.as_ref();
    let hosts = [Some((&relay.get_ref().0, relay.span())), helo.map(|name| (name.get_ref(), name.span()))];
    for (host, span) in hosts.into_iter().flatten() {
        if !is_host(host) {
            let name = host.escape_debug();
            let message = format!("\"{name}\" is no IP address or host name, so no mail leaves");
            report.warning(&span, message, "name the relay, or this host");
            return None;
        }
    }
    let mailbox = |written: &Spanned<String>| {
        let found = Mailbox::parse(written.get_ref());
        if found.is_none() {
            let message = format!("\"{}\" is no mail address", written.get_ref().escape_debug());
            report.refuse(
                &written.span(),
                message,
                "write it like ann@example.org, or in quotes: \"Ann <ann@example.org>\"",
            );
        }
        found
    };
    let to: Vec<_> = global.notification_email.iter().filter_map(mailbox).collect();
    let from = global.notification_email_from.as_ref().and_then(mailbox);
    let from = from.or_else(|| Mailbox::parse(&format!("{}@{}", User::own().name, host_name())))?;
    (!to.is_empty()).then(|| Mail {
        relay: relay.get_ref().clone(),
        transport: Transport::default(),
        helo: helo.map_or_else(host_name, |name| name.get_ref().clone()),
        from,
        to,
        timeout: global.smtp_connect_timeout.as_ref().map_or(TIMEOUT, |time| *time.get_ref()),
        faults: !is_on(&global.no_email_faults),
    })
}

/// What is served by SNMP, where anything is; with a socket that cannot be one, nothing.
pub(super) fn snmp(document: &Document, report: &Report) -> Option<Settings> {
    let global = &document.global;
    let master = match &global.snmp_socket {
        None => Some(Master::default()),
        Some(written) => {
            let read = Master::parse(written.get_ref());
            let refuse = |why| {
                let finding = Finding::error(&written.span(), why);
                report.skip(finding.help("remove the line for snmpd's usual one"), &written.span());
            };
            read.map_err(refuse).ok()
        }
    };
    let settings = Settings {
        master: master?,
        keepalived: is_on(&global.enable_snmp_vrrp),
        rfc2787: is_on(&global.enable_snmp_rfcv2),
        rfc6527: is_on(&global.enable_snmp_rfcv3),
        traps: is_on(&global.enable_traps),
    };
    settings.serves().then_some(settings)
}

/// Adds an instance or a group, as it says itself, or `global_defs` for it.
pub(super) fn add(subject: Subject, notify: &Notify, document: &Document, told: &mut Told) {
    let global = &document.global;
    let on = |flags: [&Option<Spanned<bool>>; 3]| {
        flags.into_iter().flatten().next().is_some_and(|flag| *flag.get_ref())
    };
    if let Subject::Router(name) = &subject
        && on([&notify.priority_changes, &global.vrrp_notify_priority_changes, &None])
        && !told.fifos.is_empty()
    {
        told.priorities.insert(name.clone());
    }
    if told.mail.is_some() && on([&notify.smtp_alert, &global.smtp_alert_vrrp, &global.smtp_alert]) {
        told.mailed.insert(subject);
    }
}
