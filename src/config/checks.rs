//! `[check.NAME]`: what every check has, and what each kind has of its own.

use super::hooks::{self, Usual};
use super::lint;
use super::problem::{Finding, Sink};
use super::router::Keys;
use super::section::{Section, Value, Wrong};
use super::suggest::nearest;
use super::value::{
    choice, command, flag, host, host_and_port, interface, ip, number, path, pattern, pause, some_pause,
    some_time, text, whole,
};
use crate::check::{Endpoint, Probe, Schedule, Spec, Target};
use crate::check::{bfd, bfd_session, dns, file, http, overlap, ping, process, script, tcp, tls, websocket};
use crate::health::{self, CheckName, Initial};
use hyper::Uri;
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The most results in a row that anything waits for.
const MOST: i64 = 1_000_000;
const INITIAL: &[(&str, Initial)] =
    &[("pending", Initial::Pending), ("up", Initial::Up), ("down", Initial::Down)];
const KINDS: &[(&str, Kind)] = &[
    ("tcp", Kind::Tcp),
    ("http", Kind::Http),
    ("websocket", Kind::Websocket),
    ("script", Kind::Script),
    ("process", Kind::Process),
    ("file", Kind::File),
    ("ping", Kind::Ping),
    ("dns", Kind::Dns),
    ("bfd", Kind::Bfd),
    ("link", Kind::Link),
];

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
    Websocket,
    Script,
    Process,
    File,
    Ping,
    Dns,
    Bfd,
    Link,
}

/// Every check that is right: how it is counted, and what it probes, if anything, by its name.
pub(super) fn checks(
    sections: Vec<(Spanned<String>, Section<'_>)>,
    scripts: Usual<'_>,
    keys: &Keys<'_>,
) -> (Vec<health::Config>, BTreeMap<CheckName, Spec>) {
    let (mut counted, mut specs) = (Vec::new(), BTreeMap::new());
    for (name, section) in sections {
        if let Some((config, spec)) = check(&name, section, scripts, keys) {
            specs.extend(spec.map(|spec| (config.name.clone(), spec)));
            counted.push(config);
        }
    }
    (counted, specs)
}

/// One check in full: how it is counted and what it probes, if anything. `None` where it is wrong,
/// which is reported.
fn check(
    name: &Spanned<String>,
    section: Section<'_>,
    scripts: Usual<'_>,
    keys: &Keys<'_>,
) -> Option<(health::Config, Option<Spec>)> {
    let sink = section.sink();
    if !super::file::is_name(name.get_ref()) {
        sink.add(super::file::bad_name(name));
    }
    let written = section.required("type", "type = \"http\"", choice(KINDS)).map(Spanned::into_inner);
    let Some(kind) = written.or_else(|| meant(&section)) else {
        // Without its type the other keys mean nothing, so none of them is called unknown.
        let _ = (schedule(&section), counting(name, &section));
        return None;
    };
    match kind {
        Kind::Link => return link(name, section).map(|counting| (counting, None)),
        Kind::Bfd => return bfd(name, section).map(|(counting, spec)| (counting, Some(spec))),
        _ => {}
    }
    let mut schedule = schedule(&section);
    if matches!(kind, Kind::Tcp | Kind::Http | Kind::Websocket | Kind::Dns) {
        schedule.overlap = section.optional("overlap", flag).is_some_and(Spanned::into_inner);
    }
    let mut counting = counting(name, &section);
    let probe = match kind {
        Kind::Tcp => target(&section, "target").map(|target| Probe::Tcp(tcp::Config { target })),
        Kind::Http => http(&section, keys).map(Probe::Http),
        Kind::Websocket => websocket(&section, keys).map(Probe::Websocket),
        Kind::Script => script(&section, scripts).map(Probe::Script),
        Kind::Process => Some(Probe::Process(process(&section))),
        Kind::File => file(&section).map(Probe::File),
        Kind::Ping => section
            .required("host", "host = \"10.0.0.1\"", host)
            .map(|host| Probe::Ping(ping::Config { host: host.into_inner() })),
        Kind::Dns => dns(&section).map(Probe::Dns),
        Kind::Bfd | Kind::Link => None,
    };
    section.finish();
    let spec = Spec { probe: probe?, schedule };
    if let Err(why) = spec.validate() {
        sink.add(Finding::error(&name.span(), format!("check {} can never pass: {why}", name.get_ref())));
    }
    if spec.overlaps_too_much() {
        let text = format!("check {} may have more than {} probes at a time", name.get_ref(), overlap::MOST);
        sink.add(Finding::error(&name.span(), text).help("raise its interval, or lower within or timeout"));
    }
    counting.fingerprint = spec.fingerprint();
    // What cannot be asked is down, and never up since the answer is no.
    counting.inverse &= !is_unread(&spec.probe);
    Some((counting, Some(spec)))
}

fn is_unread(probe: &Probe) -> bool {
    match probe {
        Probe::Http(http::Config { endpoint, .. }) | Probe::Websocket(websocket::Config { endpoint, .. }) => {
            endpoint.unread.is_some()
        }
        _ => false,
    }
}

/// The kind that a type that is none was likely meant to be: what else is wrong is then told at once.
fn meant(section: &Section<'_>) -> Option<Kind> {
    let near = nearest(section.raw("type")?.get_ref().as_str()?, KINDS.iter().map(|(word, _)| *word))?;
    KINDS.iter().find(|(word, _)| *word == near).map(|(_, kind)| *kind)
}

fn counting(name: &Spanned<String>, section: &Section<'_>) -> health::Config {
    health::Config {
        name: CheckName(name.get_ref().as_str().into()),
        rise: section.optional("rise", number(1, MOST)).map_or(1, Spanned::into_inner),
        fall: section.optional("fall", number(1, MOST)).map_or(2, Spanned::into_inner),
        initial: section.optional("initial", choice(INITIAL)).map(Spanned::into_inner).unwrap_or_default(),
        inverse: section.optional("inverse", flag).is_some_and(Spanned::into_inner),
        link: None,
        fingerprint: 0,
    }
}

/// The state of an interface, as the kernel tells it: nothing to probe, nothing to count.
fn link(name: &Spanned<String>, section: Section<'_>) -> Option<health::Config> {
    let link = section.required("interface", "interface = \"eth1\"", interface);
    let inverse = section.optional("inverse", flag).is_some_and(Spanned::into_inner);
    section.finish();
    Some(health::Config {
        name: CheckName(name.get_ref().as_str().into()),
        rise: 1,
        fall: 1,
        initial: Initial::Pending,
        inverse,
        link: Some(link?.into_inner()),
        fingerprint: 0,
    })
}

/// A BFD session: it says by itself how it is, so there is no interval, and nothing to count.
fn bfd(name: &Spanned<String>, section: Section<'_>) -> Option<(health::Config, Spec)> {
    let neighbor = section.required("neighbor", "neighbor = \"10.0.0.254\"", ip);
    let or = |key, usual| section.optional(key, some_time).map_or(usual, Spanned::into_inner);
    let usual = bfd_session::Timing::default();
    let timing = bfd_session::Timing {
        min_tx: or("min_tx", usual.min_tx),
        min_rx: or("min_rx", usual.min_rx),
        idle_tx: or("idle_tx", usual.idle_tx),
        multiplier: section
            .optional("multiplier", number(1, 255))
            .map_or(usual.multiplier, Spanned::into_inner),
        passive: section.optional("passive", flag).is_some_and(Spanned::into_inner),
    };
    let ttl = section.optional("ttl", number(1, 255)).map_or(u8::MAX, Spanned::into_inner);
    let max_hops = section.optional("max_hops", number(0, 254)).map_or(0, Spanned::into_inner);
    let multihop = section.optional("multihop", flag).is_some_and(Spanned::into_inner);
    let inverse = section.optional("inverse", flag).is_some_and(Spanned::into_inner);
    let schedule = Schedule {
        source: section.optional("source", ip).map(Spanned::into_inner),
        device: section.optional("dev", interface).map(Spanned::into_inner),
        ..Schedule::default()
    };
    let sink = section.sink();
    section.finish();
    let neighbor = neighbor?.into_inner();
    if schedule.source.is_some_and(|source| source.is_ipv4() != neighbor.is_ipv4()) {
        let finding =
            Finding::error(&name.span(), "neighbor and source are of different families".to_owned());
        sink.add(finding.help("name addresses of one family"));
    }
    if bfd::needs_device(neighbor) && schedule.device.is_none() {
        let finding = Finding::error(&name.span(), format!("neighbor {neighbor} is on every link"));
        sink.add(finding.help("name the link: dev = \"eth0\""));
    }
    let spec =
        Spec { probe: Probe::Bfd(bfd::Config { neighbor, timing, ttl, max_hops, multihop }), schedule };
    let counting = health::Config {
        name: CheckName(name.get_ref().as_str().into()),
        rise: 1,
        fall: 1,
        initial: Initial::Pending,
        inverse,
        link: None,
        fingerprint: spec.fingerprint(),
    };
    Some((counting, spec))
}

fn schedule(section: &Section<'_>) -> Schedule {
    let usual = Schedule::default();
    let or = |key, usual| section.optional(key, some_pause).map_or(usual, Spanned::into_inner);
    let interval = or("interval", usual.interval);
    Schedule {
        interval,
        timeout: or("timeout", usual.timeout.min(interval)),
        retries: section.optional("retries", number(0, 100)).map_or(usual.retries, Spanned::into_inner),
        backoff: section.optional("backoff", pause).map_or(usual.backoff, Spanned::into_inner),
        within: section.optional("within", some_pause).map(Spanned::into_inner),
        overlap: false,
        jitter: section.optional("jitter", pause).map_or(Duration::ZERO, Spanned::into_inner),
        source: section.optional("source", ip).map(Spanned::into_inner),
        device: section.optional("dev", interface).map(Spanned::into_inner),
    }
}

fn target(section: &Section<'_>, key: &'static str) -> Option<Target> {
    let example = format!("{key} = \"10.0.0.1:8080\"");
    section.required(key, &example, host_and_port(None)).map(Spanned::into_inner)
}

fn http(section: &Section<'_>, keys: &Keys<'_>) -> Option<http::Config> {
    let endpoint = endpoint(section, keys, ["http", "https"], "url = \"http://10.0.0.1:8080/health\"");
    let method = section.optional("method", text);
    let status = section.one_or_more("status", status);
    let body = section.optional("body", pattern);
    if let (Some(method), Some(body)) = (&method, &body)
        && method.get_ref().eq_ignore_ascii_case("HEAD")
    {
        let finding = Finding::error(&body.span(), "the answer to HEAD has no body, so this never passes");
        let finding = finding.also(&method.span(), "because of this");
        section.sink().add(finding.help("remove this line, or write method = \"GET\""));
    }
    Some(http::Config {
        endpoint: endpoint?,
        method: method.map_or_else(|| "GET".to_owned(), |method| method.into_inner().to_uppercase()),
        status: status
            .map(|list| list.into_inner().into_iter().map(Spanned::into_inner).collect())
            .unwrap_or_default(),
        body: body.map(Spanned::into_inner),
    })
}

/// A status code, `200`, or a range of them, `"200-299"`.
fn status(value: &Value<'_>) -> Result<RangeInclusive<u16>, Wrong> {
    let Some(text) = value.get_ref().as_str() else {
        let code = whole(100, 599)(value)?;
        let code = u16::try_from(code).map_err(|_| Wrong::new("a status code is 100 to 599"))?;
        return Ok(code..=code);
    };
    let range = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    range.filter(|range| *range.start() >= 100 && *range.end() <= 599 && !range.is_empty()).ok_or_else(|| {
        Wrong::new(format!("\"{text}\" is no range of status codes")).help("write 200, or \"200-299\"")
    })
}

fn websocket(section: &Section<'_>, keys: &Keys<'_>) -> Option<websocket::Config> {
    let endpoint = endpoint(section, keys, ["ws", "wss"], "url = \"ws://10.0.0.1:8080/socket\"");
    let send = section.optional("send", text).map(|send| keys.kept("message", &send, section.sink()));
    let expect = section.optional("expect", pattern).map(Spanned::into_inner);
    let (send, unread) = match send.transpose() {
        Ok(send) => (send, None),
        Err(why) => (None, Some(why)),
    };
    let mut endpoint = endpoint?;
    endpoint.unread = endpoint.unread.or(unread);
    Some(websocket::Config { endpoint, send, expect })
}

/// `url` and the keys around it. The scheme `secure` is the one with TLS.
fn endpoint(
    section: &Section<'_>,
    keys: &Keys<'_>,
    [open, secure]: [&str; 2],
    example: &str,
) -> Option<Endpoint> {
    let url = section.required("url", example, |value| url(value, open, secure));
    let server_name = section.optional("server_name", text).map(Spanned::into_inner);
    let (headers, unread) = match headers(section, keys) {
        Ok(headers) => (headers, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let encrypted = url.as_ref().is_none_or(|url| url.get_ref().1);
    let tls = certificates(section, encrypted, open, secure);
    let (target, encrypted, path) = url?.into_inner();
    Some(Endpoint { target, tls: encrypted.then_some(tls), server_name, path, headers, unread })
}

/// Which certificates are good enough; an error where the url, which begins with `open`, means none.
pub(super) fn certificates(section: &Section<'_>, encrypted: bool, open: &str, secure: &str) -> tls::Config {
    let verify = section.optional("verify", flag);
    let ca_file = section.optional("ca_file", path);
    let spans = [verify.as_ref().map(Spanned::span), ca_file.as_ref().map(Spanned::span)];
    for span in spans.into_iter().flatten().filter(|_| !encrypted) {
        let finding = Finding::error(&span, format!("this is about certificates, and the url is {open}://"));
        section.sink().add(finding.help(format!("write the url with {secure}://, or remove this line")));
    }
    tls::Config { verify: verify.is_none_or(Spanned::into_inner), ca_file: ca_file.map(Spanned::into_inner) }
}

/// Target, whether TLS, path with query.
fn url(value: &Value<'_>, open: &str, secure: &str) -> Result<(Target, bool, String), Wrong> {
    url_of(&text(value)?, open, secure)
}

/// The same, of a text, which messages do not repeat.
pub(super) fn url_of(text: &str, open: &str, secure: &str) -> Result<(Target, bool, String), Wrong> {
    let wrong = |why: &str| {
        Wrong::new(format!("this is not a good url: {why}")).help(format!("write {open}://HOST:PORT/PATH"))
    };
    let behind = text.split_once("://").map_or("", |(_, behind)| behind);
    if text.contains("://") && (behind.is_empty() || behind.starts_with(['/', ':', '?', '#'])) {
        return Err(wrong("it names no host"));
    }
    let uri: Uri = text.parse().map_err(|error: hyper::http::uri::InvalidUri| wrong(&error.to_string()))?;
    let encrypted = match uri.scheme_str() {
        Some(scheme) if scheme == open => false,
        Some(scheme) if scheme == secure => true,
        _ => return Err(wrong(&format!("it does not begin with {open}:// or {secure}://"))),
    };
    let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("it holds a user name").help(
            "send a header instead, from a file that only Locum can read: \
                 headers = { Authorization = \"file:/etc/locum/NAME.secret\" }",
        ));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = match authority.port_u16() {
        Some(port) if port > 0 => port,
        None if authority.as_str().ends_with(authority.host()) => {
            if encrypted {
                443
            } else {
                80
            }
        }
        _ => return Err(wrong("its port is not 1 to 65535")),
    };
    let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    Ok((Target::new(host, port), encrypted, path.to_owned()))
}

/// Names and values, each itself or where it is kept; or why one cannot be read.
pub(super) fn headers(section: &Section<'_>, keys: &Keys<'_>) -> Result<Vec<(String, String)>, String> {
    let written = section.section("headers").map(|table| table.all(text)).unwrap_or_default();
    // All of them, so that all that is wrong is told.
    let kept = |(name, value)| (name, keys.kept("header", &value, section.sink()));
    let all: Vec<(String, Result<String, String>)> = written.into_iter().map(kept).collect();
    all.into_iter().map(|(name, value)| Ok((name, value?))).collect()
}

fn script(section: &Section<'_>, scripts: Usual<'_>) -> Option<script::Config> {
    let command = section.required("command", "command = [\"/path/to/script\", \"argument\"]", command);
    let user = section.optional("user", text);
    let command = command?;
    let user = hooks::user(user.as_ref().or(scripts.user), &command.span(), section.sink());
    hooks::may_run(&command, user.as_ref(), section.sink());
    if let Some(finding) = lint::never_fails(command.get_ref(), &command.span()) {
        section.sink().add(finding);
    }
    Some(script::Config { argv: command.into_inner(), user: user?, inherit: scripts.inherit })
}

fn process(section: &Section<'_>) -> process::Config {
    process::Config {
        name: section.optional("name", text).map(Spanned::into_inner),
        pidfile: section.optional("pidfile", path).map(Spanned::into_inner),
        command: section.optional("command", pattern).map(Spanned::into_inner),
        min: section.optional("min", number(0, 1_000_000)).map_or(1, Spanned::into_inner),
        max: section.optional("max", number(0, 1_000_000)).map(Spanned::into_inner),
    }
}

fn file(section: &Section<'_>) -> Option<file::Config> {
    let path = section.required("path", "path = \"/run/app/ready\"", path);
    let readable = section.optional("readable", flag).filter(|readable| *readable.get_ref());
    let contains = section.optional("contains", pattern);
    let younger_than = section.optional("younger_than", some_time);
    let number = section.optional("number", flag).filter(|number| *number.get_ref());
    let conditions = [
        readable.as_ref().map(Spanned::span),
        contains.as_ref().map(Spanned::span),
        younger_than.as_ref().map(Spanned::span),
    ];
    if let Some(number) = &number {
        for span in conditions.into_iter().flatten() {
            let finding = Finding::error(&span, "a file that a number is read from passes in any case");
            let finding = finding.also(&number.span(), "because of this");
            section.sink().add(finding.help("remove this line, or make it a check of its own"));
        }
    }
    let make = section.section("make").map(|table| {
        let make = file::Make {
            number: table
                .optional("number", self::number(i64::from(i32::MIN), i64::from(i32::MAX)))
                .map_or(0, Spanned::into_inner),
            overwrite: table.optional("overwrite", flag).is_some_and(Spanned::into_inner),
        };
        table.finish();
        make
    });
    Some(file::Config {
        path: path?.into_inner(),
        readable: readable.is_some(),
        contains: contains.map(Spanned::into_inner),
        younger_than: younger_than.map(Spanned::into_inner),
        number: number.is_some(),
        make,
    })
}

fn dns(section: &Section<'_>) -> Option<dns::Config> {
    let server = section.required("server", "server = \"10.0.0.1\"", host_and_port(Some(53)));
    let name = section.required("name", "name = \"www.example.com\"", |value| {
        let name = text(value)?;
        dns::Name::from_utf8(&name)
            .map_err(|error| Wrong::new(format!("\"{name}\" is no domain name: {error}")))
    });
    let record = section.optional("record", |value| {
        let name = text(value)?;
        let wrong = Wrong::new(format!("\"{name}\" is no type of record"));
        name.to_uppercase().parse().map_err(|_| wrong.help("write \"A\", \"AAAA\", \"SOA\", …"))
    });
    let expect = section.optional("expect", pattern).map(Spanned::into_inner);
    Some(dns::Config {
        server: server?.into_inner(),
        name: name?.into_inner(),
        record: record.map_or(dns::RecordType::A, Spanned::into_inner),
        expect,
    })
}

/// Reports the checks that no router tracks, and no record of DNS.
pub(super) fn unused<'a>(names: impl Iterator<Item = &'a Spanned<String>>, tracked: &[&str], sink: &Sink) {
    for name in names.filter(|name| !tracked.contains(&name.get_ref().as_str())) {
        let finding = Finding::warning(&name.span(), format!("no router tracks check {}", name.get_ref()));
        sink.add(
            finding.help(format!("add checks = [\"{}\"] to a router, or remove the check", name.get_ref())),
        );
    }
}
