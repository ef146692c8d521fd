//! One `[router.NAME]`: from what is written to what the agent decides by, with the rules that can
//! be judged by this router alone.

use super::Secrets;
use super::auth;
use super::damping;
use super::file;
use super::groups;
use super::problem::{Finding, Sink};
use super::secret;
use super::section::Wrong;
use super::tracking;
use super::value::show;
use crate::agent::Install;
use crate::agent::config::{Interface, Router};
use crate::claim::quorum::Quorum;
use crate::vrrp::instance::Manner;
use crate::vrrp::{Family, Interval, Priority, Version};
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// With a longer one a dead daemon might as well have none.
const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

/// Where secrets are looked for, and what follows when one cannot be read.
pub(super) struct Keys<'a> {
    pub(super) directory: &'a Path,
    pub(super) credentials: Option<&'a OsStr>,
    pub(super) policy: Secrets,
}

impl Keys<'_> {
    /// What was `read` where `reference` leads, of something that routers can do without: where nothing could
    /// be, an error; or a warning, where a daemon is to run without it.
    pub(super) fn judge<T>(
        &self,
        reference: &Spanned<String>,
        read: Result<T, Wrong>,
        sink: &Sink,
    ) -> Option<T> {
        read.map_err(|wrong| {
            let spared = self.policy == Secrets::BarRouter && secret::is_reference(reference.get_ref());
            let finding = if spared { Finding::warning } else { Finding::error };
            let finding = finding(&reference.span(), wrong.message);
            sink.add(match wrong.help {
                Some(help) => finding.help(help),
                None => finding,
            });
        })
        .ok()
    }

    /// `written`, or what the file or credential holds that it names; which is called `word`. Or in one line
    /// why that cannot be read, which is [judged](Keys::judge).
    pub(super) fn kept(
        &self,
        word: &'static str,
        written: &Spanned<String>,
        sink: &Sink,
    ) -> Result<String, String> {
        if !secret::is_reference(written.get_ref()) {
            return Ok(written.get_ref().clone());
        }
        let read = secret::text(word, written.get_ref(), self.directory, self.credentials);
        let why = read.as_ref().map_or_else(|wrong| wrong.message.clone(), |_| String::new());
        self.judge(written, read, sink).ok_or(why)
    }
}

/// The router, or `None` where something it cannot be without is missing, which is reported.
pub(super) fn router(part: &file::Router, keys: &Keys<'_>, fingerprint: u64, sink: &Sink) -> Option<Router> {
    let version = part.version.as_ref().map_or(Version::V3, |version| *version.get_ref());
    versions(part, version, sink);
    damping::lint(part, sink);
    vips(part, sink);
    install(part, sink);
    peers(part, sink);
    sources(part, sink);
    groups::groups(part, sink);
    let interval = interval(part, version, sink);
    let usual = interval.unwrap_or(Interval::SECOND);
    let min_ttl = part.min_ttl.as_ref().map(|ttl| *ttl.get_ref());
    let (auth, barred) = auth::auth(part, version, usual, keys, sink);
    let lease = lease(part, usual, sink);
    let second_path = part.second_path.as_ref().and_then(|path| path.judged(part, sink));
    Some(Router {
        name: part.name.get_ref().clone(),
        interface: part.interface.as_ref()?.get_ref().clone(),
        vrid: *part.vrid.as_ref()?.get_ref(),
        version,
        priority: part.priority.as_ref().map_or(Priority::DEFAULT, |priority| *priority.get_ref()),
        interval: interval?,
        preempt: part.preempt.as_ref().is_none_or(|preempt| *preempt.get_ref()),
        vips: part.vips.iter().map(|address| address.vip.clone()).collect(),
        excluded: part.excluded.iter().map(|address| address.vip.clone()).collect(),
        named: part.named.iter().map(|address| address.vip.address).collect(),
        family: part.family.filter(|_| part.vips.is_empty()),
        ignore_link: part.ignore_link,
        routes: part.routes.clone(),
        rules: part.rules.clone(),
        install: part.install(),
        virtual_mac: part.virtual_mac,
        virtual_interface: part.virtual_interface.judged(part, sink),
        adverts_from_base: part.adverts_from_base,
        accept: part.accept,
        close_connections: part.close_connections,
        drain_ports: part.drain_ports.clone(),
        quorum: Quorum::Off,
        peers: part.peers.iter().flat_map(Spanned::get_ref).map(|peer| *peer.get_ref()).collect(),
        groups: part.groups.iter().map(|group| *group.get_ref()).collect(),
        second_path,
        sources: part.sources.iter().map(|source| *source.get_ref()).collect(),
        ttl: part.ttl.as_ref().map_or(u8::MAX, |ttl| *ttl.get_ref()),
        min_ttl,
        ttls: part.distances.iter().map(|distance| distance.bounds(min_ttl)).collect(),
        checksum: part.checksum,
        auth,
        strict: part.strict,
        manner: Manner { lease, ..manner(part, version) },
        announce: part.announce.clone(),
        damping: part.damping.as_ref().map(|damping| *damping.get_ref()),
        tracks: tracking::judged(&part.tracks),
        barred: part.barred.clone().or(barred),
        fingerprint,
    })
}

fn manner(part: &file::Router, version: Version) -> Manner {
    let usual = Manner::default();
    Manner {
        preempt_delay: part.preempt_delay.as_ref().map_or(usual.preempt_delay, |delay| *delay.get_ref()),
        down_adverts: part.down_adverts.as_ref().map_or(usual.down_adverts, |count| *count.get_ref()),
        answer_losing: part.answer_losing.unwrap_or(version == Version::V3),
        owner_ignores: part.owner_ignores,
        parting_advert: part.parting_advert,
        eager: part.eager,
        lease: None,
        lone_backup: usual.lone_backup,
        goes_on: usual.goes_on,
    }
}

/// How long the kernel keeps what nobody renews. Without a word it is as long as is safe.
fn lease(part: &file::Router, interval: Interval, sink: &Sink) -> Option<Duration> {
    let routes = part.install.as_ref().filter(|_| part.install() == Install::LocalRoute);
    let down_adverts = part.down_adverts.as_ref().map_or(Manner::default().down_adverts, |it| *it.get_ref());
    let Some(written) = &part.lease else {
        return routes.is_none().then(|| interval.lease(down_adverts));
    };
    let lease = (*written.get_ref())?;
    let refuse = |message, help: &str| sink.add(Finding::error(&written.span(), message).help(help));
    if let Some(install) = routes {
        let message = "a route has no lifetime in the kernel: only the guardian takes it from a dead daemon";
        let finding = Finding::error(&written.span(), message).also(&install.span(), "because of this");
        sink.add(finding.help("remove this line, or write install = \"address\""));
    } else if lease.subsec_nanos() != 0 {
        let message = format!("the kernel counts lifetimes in whole seconds, it cannot do {}", show(lease));
        refuse(message, "write whole seconds, such as \"2s\", or \"off\"");
    } else if lease > LONGEST_LEASE {
        refuse(format!("a lease of {} is none", show(lease)), "write at most \"1d\", or \"off\"");
    }
    Some(lease)
}

fn versions(part: &file::Router, version: Version, sink: &Sink) {
    if version == Version::V3 {
        return;
    }
    for six in part.vips.iter().filter(|address| address.vip.address.is_ipv6()) {
        let finding = Finding::error(&six.span, "version 2 of VRRP has no IPv6");
        sink.add(finding.help("write version = 3, or move this address to a router of version 3"));
    }
}

fn interval(part: &file::Router, version: Version, sink: &Sink) -> Option<Interval> {
    let Some(written) = &part.interval else { return Some(Interval::SECOND) };
    let time = *written.get_ref();
    let hundredths = Duration::from_millis(10);
    let steps = time.as_nanos() / hundredths.as_nanos();
    let exact = time.as_nanos().is_multiple_of(hundredths.as_nanos());
    let found = u16::try_from(steps).ok().filter(|_| exact).and_then(Interval::from_centiseconds);
    if let Some(interval) = found.filter(|interval| interval.fits(version)) {
        return Some(interval);
    }
    let (rule, mend) = match version {
        Version::V2 if found.is_some() => {
            ("version 2 of VRRP counts in whole seconds", "write whole seconds, 1s to 255s, or version = 3")
        }
        Version::V2 => ("version 2 of VRRP counts in whole seconds", "write 1s to 255s"),
        Version::V3 => {
            ("version 3 of VRRP counts in steps of 10 ms", "write 10ms to 40.95s, such as \"500ms\"")
        }
    };
    let message = format!("{rule}: it cannot carry an interval of {}", shown(time));
    sink.add(Finding::error(&written.span(), message).help(mend));
    None
}

/// As [`show`], but for the smallest of times.
fn shown(time: Duration) -> String {
    if time.as_nanos().is_multiple_of(1_000_000) { show(time) } else { format!("{time:?}") }
}

fn vips(part: &file::Router, sink: &Sink) {
    let besides = part.excluded.first().or(part.named.first());
    if let (true, None, Some(first)) = (part.vips.is_empty(), part.family, besides) {
        let finding = Finding::error(&first.span, "no address of this router is held and advertised");
        sink.add(finding.help("hold and advertise one at least: the others follow it"));
    }
    for address in part.named.iter().filter(|address| !address.advertise) {
        let finding = Finding::error(&address.span, "an address that is neither held nor advertised is none");
        sink.add(finding.help("remove it, or one of the two words"));
    }
    let mut seen = BTreeMap::new();
    for address in part.held() {
        let ip = address.vip.address;
        if let Some(why) = unusable(ip) {
            sink.add(Finding::error(&address.span, format!("{ip} {why}, it cannot be held")));
        }
        let first = *seen.entry(ip).or_insert(address);
        if first.span != address.span {
            let finding = Finding::error(&address.span, format!("{ip} stands here twice"));
            sink.add(finding.also(&first.span, "first here").help("remove one"));
        }
        label(part, address, sink);
    }
}

/// What a route cannot be that stands for an address.
fn install(part: &file::Router, sink: &Sink) {
    let Some(install) = part.install.as_ref().filter(|_| part.install() == Install::LocalRoute) else {
        return;
    };
    let other = "or write install = \"address\"";
    if part.has_virtual_mac() {
        let message = "an interface with the virtual MAC address takes thousands of addresses as fast, and \
                       answers for no local route";
        sink.add(Finding::error(&install.span(), message).help("remove this line, or virtual_mac"));
    }
    for address in part.held() {
        let (ip, prefix) = (address.vip.address, address.vip.prefix);
        let refuse = |why: String, help: &str| {
            sink.add(Finding::error(&address.span, why).also(&install.span(), "because of this").help(help));
        };
        if ip.is_ipv6() {
            let help = format!("move it to a router of its own, {other}");
            refuse(format!("{ip}: nobody would answer neighbour discovery for a local route of IPv6"), &help);
        } else if prefix != 32 {
            let help = format!("write {ip} without a prefix length, {other}");
            refuse(format!("a local route of {ip}/{prefix} would take the whole network"), &help);
        } else if address.label.is_some() || address.vip.scope != 0 {
            refuse(
                format!("{ip}: a local route has no label and no scope"),
                &format!("remove them, {other}"),
            );
        }
    }
}

/// Whether this is an IPv6 address that VRRP by multicast cannot come from.
pub(super) fn is_beyond_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(six) if !six.is_unicast_link_local())
}

pub(super) fn unusable(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("means any address"),
        _ if address.is_multicast() => Some("is a multicast address"),
        _ if address.is_loopback() => Some("is a loopback address"),
        IpAddr::V4(four) if four.is_broadcast() => Some("is the broadcast address"),
        _ => None,
    }
}

fn label(part: &file::Router, address: &file::Address, sink: &Sink) {
    let (Some(label), Some(span)) = (&address.vip.label, &address.label) else { return };
    if address.vip.address.is_ipv6() {
        let finding = Finding::error(span, "only IPv4 addresses have labels");
        sink.add(finding.help("remove the label"));
    } else if label.len() > 15 {
        let message = format!("label \"{label}\" has {} bytes, the kernel takes 15", label.len());
        sink.add(Finding::error(span, message).help("shorten it"));
    }
    let own = match part.interface.as_ref().map(Spanned::get_ref) {
        Some(Interface::Named(name)) => Some(name),
        _ => None,
    };
    if let Some(dev) = address.vip.dev.as_ref().or(own)
        && !label.starts_with(dev.as_str())
    {
        let finding = Finding::warning(
            span,
            format!("label \"{label}\" does not begin with {dev}, and old tools hide the address"),
        );
        sink.add(finding.help(format!("write \"{dev}:NAME\"")));
    }
}

fn peers(part: &file::Router, sink: &Sink) {
    let Some(peers) = &part.peers else { return };
    if peers.get_ref().is_empty() {
        let finding = Finding::error(&peers.span(), "an empty list of peers: nobody would hear this router");
        sink.add(finding.help("name the peers, such as [\"10.0.0.2\"], or remove the line for multicast"));
        return;
    }
    let bare = |family| part.vips.is_empty() && part.family == Some(family);
    let has =
        |family| bare(family) || part.vips.iter().any(|address| Family::of(address.vip.address) == family);
    for (place, peer) in peers.get_ref().iter().enumerate() {
        let ip = *peer.get_ref();
        let family = Family::of(ip);
        let refuse = |why: String, help: &str| sink.add(Finding::error(&peer.span(), why).help(help));
        if let Some(why) = unusable(ip) {
            refuse(format!("{ip} {why}, no peer has it"), "name the peer's own address");
        } else if !has(family) && !part.vips.is_empty() {
            refuse(
                format!("this router has no {family} address, so a peer of {family} hears nothing"),
                "remove it",
            );
        }
        if part.vips.iter().any(|address| address.vip.address == ip) {
            refuse(format!("{ip} is a virtual address, no peer's own"), "name the peer's own address");
        }
        if part.sources.iter().any(|source| *source.get_ref() == ip) {
            refuse(
                format!("{ip} is the source of this host, no peer"),
                "remove it; name the other hosts only",
            );
        }
        if peers.get_ref().iter().take(place).any(|other| *other.get_ref() == ip) {
            refuse(format!("peer {ip} stands here twice"), "remove one");
        }
    }
    for family in [Family::Ipv4, Family::Ipv6] {
        if has(family) && !peers.get_ref().iter().any(|peer| Family::of(*peer.get_ref()) == family) {
            let message =
                format!("this router has {family} addresses, but no {family} peer would hear of them");
            sink.add(
                Finding::error(&peers.span(), message).help(format!("add the {family} address of each peer")),
            );
        }
    }
}

fn sources(part: &file::Router, sink: &Sink) {
    for (place, source) in part.sources.iter().enumerate() {
        let ip = *source.get_ref();
        let family = Family::of(ip);
        let refuse = |why: String, help: &str| sink.add(Finding::error(&source.span(), why).help(help));
        if let Some(why) = unusable(ip) {
            refuse(format!("{ip} {why}, adverts cannot come from it"), "name an own address of this host");
        }
        if part.peers.is_none() && is_beyond_link(ip) {
            refuse(
                format!(
                    "{ip} is not link-local: by multicast no peer believes it (RFC 9568 section 5.1.2.1)"
                ),
                "remove the line, and the interface's own fe80:: address is taken; or name that one",
            );
        }
        if part.held().any(|address| address.vip.address == ip) {
            refuse(
                format!("{ip} is a virtual address: it comes and goes"),
                "name an own address of this host",
            );
        }
        if part.sources.iter().take(place).any(|other| Family::of(*other.get_ref()) == family) {
            refuse(format!("a second source of {family}"), "name one source a family");
        }
    }
}
