//! `[dns.NAME]`: records that move, who writes them and where they are kept.

use super::checks::{certificates, url_of};
use super::file::{bad_name, is_name};
use super::problem::{Finding, Sink};
use super::router::Keys;
use super::secret;
use super::section::{Section, Value, Wrong};
use super::suggest::nearest;
use super::value::{choice, host_and_port, ip, some_time, text};
use crate::agent::config::GroupName;
use crate::agent::{RouterName, Subject};
use crate::dns::rfc2136::{self, Algorithm};
use crate::dns::signature::Credentials;
use crate::dns::{Api, Choice, Plan, Provider, Record, cloudflare, digitalocean, route53};
use crate::health::CheckName;
use crate::vrrp::Family;
use crate::vrrp::auth::Secret;
use data_encoding::BASE64;
use serde_spanned::Spanned;
use std::time::Duration;

/// How long resolvers remember a record, in seconds.
const TTL: u32 = 5;
/// A longer one makes a move late, in seconds.
const LONG_TTL: u32 = 60;
/// The most that DNS has room for (RFC 2181 section 8).
const LONGEST_TTL: u64 = 0x7fff_ffff;
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// DNS.
const PORT: u16 = 53;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rfc2136,
    Cloudflare,
    Route53,
    DigitalOcean,
}

const KINDS: &[(&str, Kind)] = &[
    ("rfc2136", Kind::Rfc2136),
    ("cloudflare", Kind::Cloudflare),
    ("route53", Kind::Route53),
    ("digitalocean", Kind::DigitalOcean),
];
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("hmac-sha256", Algorithm::Sha256),
    ("hmac-sha384", Algorithm::Sha384),
    ("hmac-sha512", Algorithm::Sha512),
];

impl Kind {
    /// The shortest TTL that is taken there, in seconds.
    const fn least_ttl(self) -> u32 {
        match self {
            Kind::Rfc2136 | Kind::Route53 => 0,
            Kind::Cloudflare => 60,
            Kind::DigitalOcean => 30,
        }
    }

    /// Where the interface is by itself.
    const fn url(self) -> &'static str {
        match self {
            Kind::Rfc2136 => "",
            Kind::Cloudflare => "https://api.cloudflare.com/client/v4",
            Kind::Route53 => "https://route53.amazonaws.com",
            Kind::DigitalOcean => "https://api.digitalocean.com",
        }
    }
}

/// What else is in the file.
pub(super) struct Known<'a> {
    pub(super) routers: Vec<&'a str>,
    pub(super) groups: Vec<&'a str>,
    pub(super) checks: Vec<&'a str>,
}

/// One record; `None` where it is wrong, which is reported.
pub(super) fn record(
    name: Spanned<String>,
    section: Section<'_>,
    known: &Known<'_>,
    keys: &Keys<'_>,
) -> Option<Record> {
    if !is_name(name.get_ref()) {
        section.sink().add(bad_name(&name));
    }
    // Without its type the other keys mean nothing, so none of them is called unknown.
    let kind = section.required("type", "type = \"rfc2136\"", choice(KINDS))?.into_inner();
    let host = section.required("name", "name = \"www.example.org\"", domain);
    let ttl = section.optional("ttl", ttl);
    let timeout = section.optional("timeout", some_time).map_or(TIMEOUT, Spanned::into_inner);
    if let Some(ttl) = ttl.as_ref().filter(|ttl| *ttl.get_ref() < kind.least_ttl()) {
        let finding = Finding::error(&ttl.span(), "`ttl` is shorter than is taken there");
        section.sink().add(finding.help(format!("write \"{}s\" or more", kind.least_ttl())));
    }
    if let Some(ttl) = ttl.as_ref().filter(|ttl| *ttl.get_ref() > LONG_TTL) {
        let message = format!("for {} s after a move clients may go where the address was", ttl.get_ref());
        let finding = Finding::warning(&ttl.span(), message);
        section.sink().add(finding.help("write a shorter `ttl`, such as \"5s\""));
    }
    let plan = plan(&section, known);
    let provider = provider(&section, kind, host.as_ref(), keys);
    section.finish();
    let (plan, host) = (plan?, host?.into_inner());
    let family = plan.choices.first().map(|choice| Family::of(choice.address))?;
    Some(Record {
        name: name.into_inner(),
        host,
        family,
        ttl: ttl.map_or(TTL.max(kind.least_ttl()), Spanned::into_inner),
        plan,
        provider: provider?,
        timeout,
    })
}

/// Two records that would write the same one.
pub(super) fn distinct(records: &[Record], names: &[(String, super::Span)], sink: &Sink) {
    for (at, record) in records.iter().enumerate() {
        let same = |other: &&Record| other.host == record.host && other.family == record.family;
        let Some(earlier) = records.iter().take(at).find(same) else { continue };
        let Some((_, span)) = names.iter().find(|(name, _)| *name == record.name) else { continue };
        let finding = Finding::error(span, format!("{record} is written by [dns.{}] as well", earlier.name));
        sink.add(finding.help("remove one, or give it another name or address family"));
    }
}

fn plan(section: &Section<'_>, known: &Known<'_>) -> Option<Plan> {
    let router = section.optional("router", text);
    if let Some(router) = &router {
        must_be("router", router, &known.routers, section.sink());
    }
    let group = section.optional("group", text);
    if let Some(group) = &group {
        must_be("group", group, &known.groups, section.sink());
        if router.is_some() {
            let finding = Finding::error(&group.span(), "there is `router`, and `group` as well");
            section
                .sink()
                .add(finding.help("remove one: the Master of the whole group writes, or that of one router"));
        }
    }
    let address = section.optional("address", ip);
    let written = section.raw("choices").is_some();
    let members = if written { section.members("choices", "a list of tables") } else { None };
    let choices: Vec<_> =
        members.unwrap_or_default().iter().filter_map(|value| one_choice(section, value, known)).collect();
    match (&address, written) {
        (None, false) => section.missing("address", "address = \"192.0.2.1\", this host's own"),
        (Some(address), true) => {
            let finding = Finding::error(&address.span(), "there is `address`, and `choices` as well");
            section.sink().add(finding.help("put it into `choices`, or remove these"));
        }
        (Some(address), false) if router.is_none() && group.is_none() => {
            let finding = Finding::error(&address.span(), "nothing says when this host writes its address");
            let help = "add router = \"NAME\" or group = \"NAME\", whose Master writes; or write choices = [{ address = …, checks = […] }, …]";
            section.sink().add(finding.help(help));
        }
        (None, true) if choices.is_empty() => {
            let finding = Finding::error(&section.span, format!("{} has no good choice", section.title));
            section
                .sink()
                .add(finding.help("write choices = [{ address = \"192.0.2.1\", checks = [\"app\"] }, …]"));
        }
        _ => {}
    }
    let families: Vec<_> = choices.iter().map(|choice| choice.address.is_ipv4()).collect();
    if families.contains(&true) && families.contains(&false) {
        let finding = Finding::error(&section.span, "`choices` has IPv4 and IPv6 addresses");
        section.sink().add(finding.help("write a [dns.NAME] for each family"));
    }
    let own = address.map(|address| Choice { address: address.into_inner(), checks: Vec::new() });
    let choices: Vec<_> = own.into_iter().chain(choices).collect();
    let router = router.map(|router| Subject::Router(RouterName(router.into_inner().into())));
    let group = || group.map(|group| Subject::Group(GroupName(group.into_inner().into())));
    let role = router.or_else(group);
    (!choices.is_empty()).then_some(Plan { role, choices })
}

fn one_choice<'a>(section: &Section<'a>, value: &'a Value<'a>, known: &Known<'_>) -> Option<Choice> {
    let table = section.inner("choices", value, format!("a choice of {}", section.title))?;
    let address = table.required("address", "address = \"192.0.2.1\"", ip);
    let checks = table.one_or_more("checks", text).map(Spanned::into_inner).unwrap_or_default();
    for check in &checks {
        must_be("check", check, &known.checks, table.sink());
    }
    table.finish();
    let checks = checks.into_iter().map(|check| CheckName(check.into_inner().into())).collect();
    Some(Choice { address: address?.into_inner(), checks })
}

pub(super) fn must_be(what: &str, name: &Spanned<String>, known: &[&str], sink: &Sink) {
    if !known.contains(&name.get_ref().as_str()) {
        let near = nearest(name.get_ref(), known.iter().copied());
        let help = near
            .map_or_else(|| "add it, or name another".to_owned(), |near| format!("did you mean \"{near}\"?"));
        let finding = Finding::error(&name.span(), format!("there is no {what} \"{}\"", name.get_ref()));
        sink.add(finding.help(help));
    }
}

fn provider(
    section: &Section<'_>,
    kind: Kind,
    host: Option<&Spanned<String>>,
    keys: &Keys<'_>,
) -> Option<Provider> {
    match kind {
        Kind::Rfc2136 => {
            let target = section.required("server", "server = \"10.0.0.53\"", host_and_port(Some(PORT)));
            let zone = zone(section, host);
            let key_name = section.required("key_name", "key_name = \"locum\"", domain);
            let algorithm = section.optional("algorithm", choice(ALGORITHMS));
            let key = tsig(section, keys);
            let target = target?.into_inner();
            Some(Provider::Rfc2136(rfc2136::Server {
                target: (target.host, target.port),
                zone: zone?,
                key_name: key_name?.into_inner(),
                algorithm: algorithm.map(Spanned::into_inner).unwrap_or_default(),
                key: key?,
            }))
        }
        Kind::Cloudflare => {
            let (api, zone) = (api(section, kind), word(section, "zone", "zone = \"0123…\", the zone's ID"));
            let token = held(section, "token", "token = \"file:/etc/locum/dns.token\"", keys);
            Some(Provider::Cloudflare(cloudflare::Account { api: api?, zone: zone?, token: token? }))
        }
        Kind::DigitalOcean => {
            let (api, zone) = (api(section, kind), zone(section, host));
            let token = held(section, "token", "token = \"file:/etc/locum/dns.token\"", keys);
            Some(Provider::DigitalOcean(digitalocean::Account { api: api?, domain: zone?, token: token? }))
        }
        Kind::Route53 => {
            let (api, zone) = (api(section, kind), word(section, "zone", "zone = \"Z148QEXAMPLE8V\""));
            let id = word(section, "access_key", "access_key = \"AKIDEXAMPLE\"");
            let key = held(section, "secret_key", "secret_key = \"file:/etc/locum/aws.key\"", keys);
            let credentials = Credentials { id: id?, key: key? };
            Some(Provider::Route53(route53::Account { api: api?, zone: zone?, credentials }))
        }
    }
}

/// `zone`, which the record has to be in.
fn zone(section: &Section<'_>, host: Option<&Spanned<String>>) -> Option<String> {
    let zone = section.required("zone", "zone = \"example.org\"", domain)?;
    let inside = |host: &str| {
        host.strip_suffix(zone.get_ref().as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if let Some(host) = host.filter(|host| !inside(host.get_ref())) {
        let message = format!("{} is not in the zone {}", host.get_ref(), zone.get_ref());
        section.sink().add(Finding::error(&host.span(), message).help("write the whole name"));
    }
    Some(zone.into_inner())
}

/// A word that stands in a path or a header.
fn word(section: &Section<'_>, key: &'static str, example: &str) -> Option<String> {
    let read = |value: &Value<'_>| {
        let word = text(value)?;
        let good = !word.is_empty() && word.chars().all(|letter| letter.is_ascii_alphanumeric());
        if good { Ok(word) } else { Err(Wrong::new("this has something else than letters and digits")) }
    };
    section.required(key, example, read).map(Spanned::into_inner)
}

/// A secret, which stands in a file or a credential.
fn held(section: &Section<'_>, key: &'static str, example: &str, keys: &Keys<'_>) -> Option<Secret> {
    let reference = section.required(key, example, text)?;
    let read = secret::text(key, reference.get_ref(), keys.directory, keys.credentials);
    let read = keys.judge(&reference, read, section.sink())?;
    Some(Secret::new(read.into_bytes()))
}

/// The key that messages are signed with: base 64, as `tsig-keygen` and `keymgr -t` print it.
fn tsig(section: &Section<'_>, keys: &Keys<'_>) -> Option<Secret> {
    let reference = section.required("key", "key = \"file:/etc/locum/dns.key\"", text)?;
    let read = secret::text("key", reference.get_ref(), keys.directory, keys.credentials);
    let read = read.and_then(|text| {
        let bytes = BASE64.decode(text.trim().as_bytes()).ok().filter(|bytes| !bytes.is_empty());
        let wrong = Wrong::new("the key of [dns] is no base 64");
        bytes.ok_or_else(|| wrong.help("write what tsig-keygen prints behind `secret`, without quotes"))
    });
    keys.judge(&reference, read, section.sink()).map(Secret::new)
}

/// `url`: another place than the provider's own, for tests and proxies.
fn api(section: &Section<'_>, kind: Kind) -> Option<Api> {
    let whole = |text: &str| {
        let (target, encrypted, path) = url_of(text, "http", "https")?;
        let path = path.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(((target.host, target.port), encrypted, path))
    };
    let written = section.optional("url", |value| whole(&text(value)?));
    let encrypted = written.as_ref().is_none_or(|url| url.get_ref().1);
    if let Some(url) = written.as_ref().filter(|_| !encrypted) {
        let message = "the credentials go over the network in the clear, or nearly so";
        section.sink().add(Finding::warning(&url.span(), message).help("write the url with https://"));
    }
    let tls = certificates(section, encrypted, "http", "https");
    let (target, encrypted, path) = match written {
        Some(url) => url.into_inner(),
        None if section.raw("url").is_some() => return None,
        None => whole(kind.url()).ok()?,
    };
    Some(Api { target, tls: encrypted.then_some(tls), path })
}

/// A name in DNS, in small letters and without a dot at its end.
fn domain(value: &Value<'_>) -> Result<String, Wrong> {
    let text = text(value)?;
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if rfc2136::is_name(&name) && name.chars().all(fits) {
        return Ok(name);
    }
    Err(Wrong::new(format!("\"{text}\" is no name of a record")).help("write it like \"www.example.org\""))
}

/// Whole seconds.
fn ttl(value: &Value<'_>) -> Result<u32, Wrong> {
    let span = some_time(value)?;
    let whole = span.subsec_nanos() == 0 && span.as_secs() <= LONGEST_TTL;
    let seconds = u32::try_from(span.as_secs()).ok().filter(|_| whole);
    seconds.ok_or_else(|| Wrong::new("this is no number of whole seconds").help("write it like \"5s\""))
}
