//! `[claim]` with `store = "etcd"`: where the etcd is, who asks it, and for how long it is to grant.

use super::claim::{Granting, unreadable};
use super::problem::{Finding, Sink};
use super::router::Keys;
use super::secret;
use super::section::{Section, Value, Wrong};
use super::value::{duration, show, text};
use crate::agent::config::{Claims, Store};
use crate::claim::{Ttl, etcd};
use crate::net::etcd::{Endpoint, Login, Settings};
use serde_spanned::Spanned;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// What is for an etcd alone.
pub(super) const KEYS: [&str; 5] = ["endpoints", "prefix", "user", "password", "ttl"];

/// Where an etcd listens for clients, if nothing else is said.
const PORT: u16 = 2379;
/// What keys begin with, if nothing else is said.
const PREFIX: &str = "/locum/";
/// For how long it grants at least: it gets over the choice of a new leader, which takes one to three seconds.
const USUAL: Ttl = Ttl::from_millis(5000).unwrap();
const LONGEST: u32 = 60;

/// As written.
pub(super) struct Written {
    endpoints: Vec<Spanned<Endpoint>>,
    prefix: Option<String>,
    user: Option<Spanned<String>>,
    password: Option<Spanned<String>>,
    ttl: Option<Ttl>,
    span: Range<usize>,
}

pub(super) fn read(section: &Section<'_>, span: Range<usize>) -> Written {
    let endpoints = section.list("endpoints", endpoint);
    match &endpoints {
        None if section.raw("endpoints").is_some() => {}
        Some(all) if !all.get_ref().is_empty() => {}
        _ => section.missing("endpoints", "endpoints = [\"http://10.0.0.5:2379\"]"),
    }
    Written {
        endpoints: endpoints.map(Spanned::into_inner).unwrap_or_default(),
        prefix: section.optional("prefix", text).map(Spanned::into_inner),
        user: section.optional("user", text),
        password: section.optional("password", text),
        ttl: section.optional("ttl", seconds).map(Spanned::into_inner),
        span,
    }
}

/// `http://ADDRESS`, with a port or without. No name: who does not answer must not take the claim along.
fn endpoint(value: &Value<'_>) -> Result<Endpoint, Wrong> {
    let text = text(value)?;
    if text.starts_with("https://") {
        let wrong = Wrong::new(format!("\"{text}\": Locum speaks no TLS to an etcd"));
        return Err(
            wrong.help("write http:// and an address on a network that is yours alone, or of a tunnel")
        );
    }
    let address = text.strip_prefix("http://").and_then(|rest| address(rest.trim_end_matches('/')));
    match address {
        Some(address) => Ok(Endpoint { name: format!("http://{address}").into(), address }),
        None => Err(Wrong::new(format!("\"{text}\" is no endpoint of an etcd"))
            .help("write \"http://10.0.0.5:2379\", or \"http://[2001:db8::5]:2379\": an address, no name")),
    }
}

fn address(text: &str) -> Option<SocketAddr> {
    let alone = || {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        bare.unwrap_or(text).parse().map(|address: IpAddr| SocketAddr::new(address, PORT))
    };
    let whole: SocketAddr = text.parse().or_else(|_| alone()).ok()?;
    let one_host = !whole.ip().is_unspecified() && !whole.ip().is_multicast() && whole.port() != 0;
    one_host.then_some(whole)
}

fn seconds(value: &Value<'_>) -> Result<Ttl, Wrong> {
    let time = duration(value)?;
    let whole = u32::try_from(time.as_secs()).ok().filter(|_| time.subsec_nanos() == 0);
    let fits = whole.filter(|seconds| (etcd::LEAST..=LONGEST).contains(seconds));
    fits.and_then(|seconds| Ttl::from_millis(seconds * 1000)).ok_or_else(|| {
        let least = etcd::LEAST;
        Wrong::new(format!("this is {}, wanted whole seconds from {least}s to {LONGEST}s", show(time)))
    })
}

impl Written {
    pub(super) fn settings(&self, keys: &Keys<'_>, sink: &Sink) -> Granting {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for endpoint in &self.endpoints {
            if endpoints.contains(endpoint.get_ref()) {
                let message = format!("{} is there twice", endpoint.get_ref().name);
                sink.add(Finding::error(&endpoint.span(), message).help("name each endpoint once"));
            }
            endpoints.push(endpoint.get_ref().clone());
        }
        let login = match (&self.user, &self.password) {
            (None, None) => None,
            (Some(user), Some(reference)) => {
                match secret::login(reference.get_ref(), keys.directory, keys.credentials) {
                    Ok(password) => Some(Login { user: user.get_ref().clone(), password }),
                    Err(wrong) => return Err(unreadable(reference, wrong, keys, sink)),
                }
            }
            (one, other) => {
                let span = one.as_ref().or(other.as_ref()).map_or(self.span.clone(), Spanned::span);
                let finding = Finding::error(&span, "a user needs a password, and a password a user");
                sink.add(finding.help("write both: user = \"locum\", password = \"file:etcd.pass\""));
                None
            }
        };
        let mut prefix = self.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let names = endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        let ttl = self.ttl.unwrap_or(USUAL);
        let claims = Claims::Store(Store { endpoints: names, prefix: prefix.as_str().into(), ttl });
        Ok((claims, Some(Settings { endpoints, prefix, login })))
    }
}
