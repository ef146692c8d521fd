//! `[message.NAME]`: who receives messages on transitions, and how they leave.

use super::checks;
use super::file::{bad_name, inner, is_name};
use super::problem::{Finding, Sink};
use super::router::Keys;
use super::secret;
use super::section::{Section, Value, Wrong};
use super::suggest::nearest;
use super::tell::mail_of;
use super::value::{choice, duration, number, some_time, text};
use crate::agent::config::GroupName;
use crate::agent::{RouterName, Standing, Subject};
use crate::notify::message::{Receiver, Severity, Way};
use crate::notify::post::Post;
use crate::notify::template::{Escape, FIELDS, Field, Template};
use serde_spanned::Spanned;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// With pauses that double up to five minutes: about an hour.
const RETRIES: u32 = 20;
const BACKOFF: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(60);
const STORM: usize = 10;
const TEXT: &str = "{node}: {router} is {to}, it was {from}: {reason}";
/// What a webhook is sent where nothing is written.
const JSON: &str = r#"{"router": "{router}", "from": "{from}", "to": "{to}", "reason": "{reason}",
 "node": "{node}", "priority": {priority}, "addresses": "{addresses}", "time": "{time}",
 "severity": "{severity}", "count": {count}, "text": "{text}"}"#;
const SLACK: &str = r#"{"text": "{text}"}"#;
const FORM: &str = "application/x-www-form-urlencoded";

const KINDS: &[(&str, Kind)] =
    &[("mail", Kind::Mail), ("slack", Kind::Slack), ("webhook", Kind::Webhook), ("sms", Kind::Sms)];
const STATES: &[(&str, Standing)] = &[
    ("master", Standing::Master),
    ("backup", Standing::Backup),
    ("fault", Standing::Fault),
    ("stop", Standing::Stop),
];
const SEVERITIES: &[(&str, Severity)] =
    &[("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mail,
    Slack,
    Webhook,
    Sms,
}

/// Whom receivers can be told of.
pub(super) struct Known {
    pub(super) routers: Vec<RouterName>,
    pub(super) groups: Vec<GroupName>,
    /// What this host is called.
    pub(super) node: String,
    /// What the kernel calls it.
    pub(super) host_name: String,
}

/// One receiver; `None` where it is wrong, which is reported.
pub(super) fn receiver(
    name: Spanned<String>,
    section: Section<'_>,
    known: &Known,
    keys: &Keys<'_>,
) -> Option<Receiver> {
    if !is_name(name.get_ref()) {
        section.sink().add(bad_name(&name));
    }
    // Without its type the other keys mean nothing, so none of them is called unknown.
    let kind = section.required("type", "type = \"webhook\"", choice(KINDS))?.into_inner();
    let on = section.one_or_more("on", choice(STATES)).map(Spanned::into_inner);
    let on = on.map(|states| states.into_iter().map(Spanned::into_inner).collect());
    let severity = inner(section.optional("severity", choice(SEVERITIES))).unwrap_or(Severity::Info);
    let subjects = subjects(&section, known);
    let sentence = if kind == Kind::Mail { None } else { inner(section.optional("text", sentence)) };
    let timeout = inner(section.optional("timeout", some_time)).unwrap_or(TIMEOUT);
    let retries = inner(section.optional("retries", number(0, 1000))).unwrap_or(RETRIES);
    let backoff = inner(section.optional("backoff", some_time)).unwrap_or(BACKOFF);
    let window = inner(section.optional("window", duration)).unwrap_or(WINDOW);
    let storm = inner(section.optional("storm", number(1, 1000))).unwrap_or(STORM);
    let way = match kind {
        Kind::Mail => mail_of(&section, &known.host_name, keys).map(|mail| Way::Mail(mail.into())),
        _ => post(&section, kind, keys).map(|post| Way::Post(post.into())),
    };
    section.finish();
    Some(Receiver {
        name: name.into_inner(),
        node: known.node.clone(),
        on: on.unwrap_or_else(|| STATES.iter().map(|(_, state)| *state).collect()),
        severity,
        subjects,
        text: sentence.or_else(|| Template::parse(TEXT).ok())?,
        way: way?,
        timeout,
        retries,
        backoff,
        window,
        storm,
    })
}

/// All routers where none are named; groups only where they are, since their routers tell the same.
fn subjects(section: &Section<'_>, known: &Known) -> BTreeSet<Subject> {
    let routers = section.one_or_more("routers", text).map(Spanned::into_inner);
    let groups = section.one_or_more("groups", text).map(Spanned::into_inner);
    let must_be = |names: Vec<&str>, name: &Spanned<String>| {
        if !names.contains(&name.get_ref().as_str()) {
            let message = format!("there is no \"{}\" to tell of", name.get_ref());
            let near = nearest(name.get_ref(), names.iter().copied());
            let help = near.map(|near| format!("did you mean \"{near}\"?"));
            let help = help.unwrap_or_else(|| "add it, or name another".to_owned());
            section.sink().add(Finding::error(&name.span(), message).help(help));
        }
    };
    if routers.is_none() && groups.is_none() {
        return known.routers.iter().cloned().map(Subject::Router).collect();
    }
    let mut subjects = BTreeSet::new();
    for name in routers.into_iter().flatten() {
        must_be(known.routers.iter().map(|name| &*name.0).collect(), &name);
        subjects.insert(Subject::Router(RouterName(name.into_inner().into())));
    }
    for name in groups.into_iter().flatten() {
        must_be(known.groups.iter().map(|name| &*name.0).collect(), &name);
        subjects.insert(Subject::Group(GroupName(name.into_inner().into())));
    }
    subjects
}

/// A template, unknown places being errors.
fn template(value: &Value<'_>) -> Result<Template, Wrong> {
    read_template(&text(value)?)
}

fn read_template(text: &str) -> Result<Template, Wrong> {
    Template::parse(text).map_err(|word| {
        let names = || FIELDS.iter().map(|(name, _)| *name);
        let all = || names().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" ");
        let near = nearest(&word, names()).map(|near| format!("did you mean {{{near}}}?"));
        let help = near.unwrap_or_else(|| format!("there are: {}", all()));
        Wrong::new(format!("nothing is known for {{{word}}}")).help(help)
    })
}

/// The template that `{text}` stands for.
fn sentence(value: &Value<'_>) -> Result<Template, Wrong> {
    let template = template(value)?;
    if template.has(Field::Text) {
        return Err(
            Wrong::new("this is what {text} stands for").help("write another place, such as {router}")
        );
    }
    Ok(template)
}

fn post(section: &Section<'_>, kind: Kind, keys: &Keys<'_>) -> Option<Post> {
    let url = url(section, keys);
    let encrypted = url.as_ref().is_none_or(|url| url.encrypted);
    let tls = checks::certificates(section, encrypted, "http", "https");
    let free = kind != Kind::Slack;
    let method = if free { section.optional("method", text) } else { None };
    let written = if free { section.optional("body", template) } else { None };
    let content_type = if free { inner(section.optional("content_type", text)) } else { None };
    let headers = if free { checks::headers(section, keys).ok() } else { Some(Vec::new()) };
    let key = match if free { section.optional("key", text) } else { None } {
        None => None,
        Some(reference) => {
            let key = secret::key(reference.get_ref(), keys.directory, keys.credentials);
            Some(keys.judge(&reference, key, section.sink())?)
        }
    };
    let body_span = written.as_ref().map(Spanned::span);
    let json = || "application/json".to_owned();
    let body = match (kind, inner(written)) {
        (Kind::Slack, _) => Some((Template::parse(SLACK).ok()?, json())),
        (Kind::Sms, None) => None,
        (Kind::Sms, Some(body)) => Some((body, content_type.unwrap_or_else(|| FORM.to_owned()))),
        (_, None) => Some((Template::parse(JSON).ok()?, json())),
        (_, Some(body)) => Some((body, content_type.unwrap_or_else(json))),
    };
    let usual = if body.is_some() { "POST" } else { "GET" };
    let Url { span, host, port, encrypted, path } = url?;
    let post = Post {
        target: (host, port),
        tls: encrypted.then_some(tls),
        path,
        method: inner(method).map_or_else(|| usual.to_owned(), |method| method.to_uppercase()),
        headers: headers?,
        body,
        markup: if kind == Kind::Slack { Escape::Slack } else { Escape::Plain },
        key,
    };
    may_be_sent(&post, &span, body_span.as_ref(), section.sink());
    Some(post)
}

/// Fills the request in once: what cannot be sent is told now.
fn may_be_sent(post: &Post, span: &super::Span, body: Option<&super::Span>, sink: &Sink) {
    let sample = |field| match field {
        Field::Priority | Field::Count => "1".to_owned(),
        _ => "a \"b\"".to_owned(),
    };
    if let Err(why) = post.request(sample, 0) {
        sink.add(Finding::error(span, format!("no message can be sent: {why}")));
    }
    if let (Some((template, kind)), Some(span)) = (&post.body, body)
        && Post::escape(kind) == Escape::Json
        && let Err(error) = serde_json::from_str::<serde_json::Value>(&template.fill(Escape::Json, sample))
    {
        let place = format!("line {} column {}", error.line(), error.column());
        let finding =
            Finding::error(span, format!("this is no JSON once it is filled in: see {place} of it"));
        sink.add(finding.help("put quotes around all but {priority} and {count}, or write content_type"));
    }
}

struct Url {
    span: super::Span,
    host: String,
    port: u16,
    encrypted: bool,
    path: Template,
}

/// `url`: itself, or where it is kept, since many a URL is a secret. Messages do not repeat it.
fn url(section: &Section<'_>, keys: &Keys<'_>) -> Option<Url> {
    let example = "url = \"https://HOST/PATH\", or \"file:/etc/locum/NAME.secret\"";
    let written = section.required("url", example, text)?;
    let kept = keys.kept("url", &written, section.sink()).ok()?;
    let ((target, encrypted, _), path) = match split(&kept) {
        Ok(read) => read,
        Err(wrong) => {
            section.wrong("url", section.raw("url")?, wrong);
            return None;
        }
    };
    Some(Url { span: written.span(), host: target.host, port: target.port, encrypted, path })
}

type Whole = ((crate::check::Target, bool, String), Template);

fn split(url: &str) -> Result<Whole, Wrong> {
    let begins = url.find("://").map_or(0, |at| at + 3);
    let ends = url[begins..].find(['/', '?', '#']).map_or(url.len(), |at| begins + at);
    let (origin, path) = url.split_at(ends);
    let origin = checks::url_of(origin, "http", "https")?;
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok((origin, read_template(&path)?))
}
