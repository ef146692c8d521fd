//! One `vrrp_instance` becomes a router: one family, the defaults of keepalived, and the rules that
//! the other front door has too.

use super::announcing;
use super::checks;
use super::document::{Document, Instance};
use super::holds::{self, Holders};
use super::peers;
use super::report::Report;
use super::routing;
use super::trust::{self, Trust};
use super::vmac;
use crate::agent::RouterName;
use crate::agent::config::{Interface, Router};
use crate::config::problem::Span;
use crate::config::{Config, Dumped, Secrets, file, router as front};
use crate::vrrp::{ChecksumPolicy, Family, Interval, Priority, Version, Vrid};
use serde_spanned::Spanned;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// The router, as the other front door would have read it; `None` where it cannot be, which is told of.
pub(super) fn router(
    instance: &Instance,
    document: &Document,
    (holders, config): (&mut Holders, &Config),
    report: &Report,
) -> Option<(file::Router, Trust)> {
    let name = instance.name.get_ref();
    let family = family(instance);
    let version = version(instance, document, family, report);
    let strict = strict(instance, document);
    if !has_addresses(instance, version, strict.is_some(), report) {
        return None;
    }
    traps(instance, document, strict.as_ref(), report);
    told_by_both(instance, document, report);
    let mut auth = trust::trust(instance, version, strict.is_some(), report);
    let group = group(instance, document, family, report);
    let peers = peers::peers(instance, family, &mut auth, report);
    let unicast = peers.is_some();
    let sources = peers::source(instance, unicast, family, &mut auth, report);
    let usual = &document.global.advertising;
    let number = instance.virtual_router_id.as_ref();
    if number.is_none() {
        report.error(
            &instance.name.span(),
            format!("instance {name} has no virtual_router_id"),
            "add: virtual_router_id 51",
        );
    }
    let routing = routing::Router { family, report };
    let holds = holds::holds(instance, family, holders, report);
    let part = file::Router {
        name: Spanned::new(instance.name.span(), RouterName(name.as_str().into())),
        interface: interface(instance, report),
        vrid: number.and_then(|number| Some(Spanned::new(number.span(), Vrid::new(*number.get_ref())?))),
        version: Some(Spanned::new(
            instance.version.as_ref().map_or(instance.name.span(), Spanned::span),
            version,
        )),
        priority: priority(instance),
        peer_priority: None,
        interval: Some(interval(instance, version, report)),
        preempt: Some(preempt(instance)),
        preempt_delay: instance.preempt_delay.clone(),
        down_adverts: instance
            .advertising
            .down_timer_adverts
            .as_ref()
            .or(usual.down_timer_adverts.as_ref())
            .cloned(),
        answer_losing: Some(
            !either(instance.advertising.lower_prio_no_advert.as_ref(), usual.lower_prio_no_advert.as_ref())
                .unwrap_or(strict.is_some()),
        ),
        owner_ignores: either(
            instance.advertising.owner_ignore_adverts.as_ref(),
            usual.owner_ignore_adverts.as_ref(),
        )
        .unwrap_or(strict.is_some()),
        parting_advert: either(
            instance.advertising.higher_prio_send_advert.as_ref(),
            usual.higher_prio_send_advert.as_ref(),
        )
        .unwrap_or(false),
        eager: instance.is_master(),
        barred: auth.barred.take(),
        family: Some(family),
        vips: holds.vips,
        excluded: holds.excluded,
        named: holds.named,
        routes: instance.virtual_routes.iter().filter_map(|route| routing.route(route)).collect(),
        rules: instance.virtual_rules.iter().filter_map(|rule| routing.rule(rule)).collect(),
        install: None,
        lease: None,
        virtual_mac: holds::virtual_mac(instance, report),
        virtual_interface: vmac::written(instance, document, strict.is_some(), report),
        adverts_from_base: from_base(instance, unicast, report),
        accept: instance.accept.as_ref().map_or(strict.is_none(), |accept| *accept.get_ref()),
        close_connections: true,
        drain_ports: BTreeSet::new(),
        quorum: None,
        ignore_link: instance.dont_track_primary.is_some(),
        peers,
        distances: peers::distances(instance, report),
        groups: group.filter(|_| !unicast).into_iter().collect(),
        second_path: None,
        sources,
        // 0 is as good as none, in keepalived too.
        ttl: instance.unicast_ttl.clone().filter(|ttl| *ttl.get_ref() > 0),
        min_ttl: None,
        checksum: match instance.v3_checksum_as_v2.as_ref().or(document.global.v3_checksum_as_v2.as_ref()) {
            None => ChecksumPolicy::Auto,
            Some(flag) if *flag.get_ref() => ChecksumPolicy::Rfc9568,
            Some(_) => ChecksumPolicy::Pseudo,
        },
        auth: None,
        strict: false,
        announce: announcing::announcing(instance, document, strict.is_some(), report),
        tracks: checks::tracks(instance, document, config, report),
        damping: None,
        max_failover: None,
        notify: file::Notify::default(),
    };
    Some((part, auth))
}

/// The router itself, by the rules of the other front door; its secrets may stand in keepalived.conf.
pub(super) fn judged(part: &file::Router, trust: &Trust, report: &Report) -> Option<Router> {
    let keys = front::Keys { directory: Path::new("/"), credentials: None, policy: Secrets::MustRead };
    let mut router = front::router(part, &keys, 0, &report.sink)?;
    router.auth = trust.auth.clone();
    Some(router)
}

/// That of its addresses; without any, that of whom it speaks to.
fn family(instance: &Instance) -> Family {
    let first = instance.virtual_ipaddress.first().map(|first| first.address);
    let peer = instance.unicast_peer.as_ref().and_then(|peers| peers.get_ref().first());
    let sources = [&instance.unicast_src_ip, &instance.mcast_src_ip].into_iter().flatten();
    let known = sources.chain(peer.map(|peer| &peer.address)).map(|known| *known.get_ref());
    first.into_iter().chain(known).next().map_or(Family::Ipv4, Family::of)
}

/// Whether adverts name an address, or keepalived elects without one, if not without a word; with version 3 or
/// in strict mode it ends there.
fn has_addresses(instance: &Instance, version: Version, strict: bool, report: &Report) -> bool {
    if !instance.virtual_ipaddress.is_empty() || instance.no_virtual_ipaddress.is_some() {
        return true;
    }
    // Where its addresses are wrong, that was told of.
    if !report.sink.has_errors_in(&instance.span) {
        let message = format!("instance {} has no virtual_ipaddress", instance.name.get_ref());
        let help = "add: virtual_ipaddress { 10.0.0.100 }; or no_virtual_ipaddress for an election without";
        report.refuse(&instance.name.span(), message, help);
    }
    version == Version::V2 && !strict
}

fn version(instance: &Instance, document: &Document, family: Family, report: &Report) -> Version {
    let written =
        instance.version.as_ref().or(document.global.vrrp_version.as_ref()).map(|version| *version.get_ref());
    match (written, family) {
        (Some(2), Family::Ipv6) => {
            if let Some(own) = &instance.version {
                report.refuse(
                    &own.span(),
                    "version 2 of VRRP has no IPv6: keepalived uses version 3",
                    "write version 3",
                );
            }
            Version::V3
        }
        (Some(3), _) | (_, Family::Ipv6) => Version::V3,
        _ => Version::V2,
    }
}

/// Where keepalived does not do what is written.
fn traps(instance: &Instance, document: &Document, strict: Option<&Span>, report: &Report) {
    let trap = |span: &Span, keepalived: &str, help: &str| {
        let message = format!("keepalived does otherwise here: {keepalived}; Locum does what is written");
        report.flaw(span, message, help);
    };
    let owner = instance.priority() == 255;
    let never = instance.nopreempt.as_ref().filter(|_| !*preempt(instance).get_ref());
    if let Some(nopreempt) = never.filter(|_| instance.is_master()) {
        trap(&nopreempt.span(), "state MASTER turns nopreempt off", "write state BACKUP");
    }
    if let Some(delay) = instance.preempt_delay.as_ref().filter(|delay| !delay.get_ref().is_zero()) {
        if instance.is_master() && *preempt(instance).get_ref() && !owner {
            trap(&delay.span(), "state MASTER turns preempt_delay off", "write state BACKUP");
        } else if strict.is_some() {
            trap(&delay.span(), "strict mode turns preempt_delay off", "remove vrrp_strict");
        }
    }
    if let Some(state) = instance.state.as_ref().filter(|_| owner && instance.priority.is_none()) {
        let message =
            "state MASTER without a priority is priority 255, the owner of the addresses, as in keepalived";
        report.warning(&state.span(), message, "add: priority 150");
    }
    if let Some(strict) = strict {
        if instance.accept.is_none() && !owner {
            let message = "strict mode drops all packets to the addresses of others, as in keepalived";
            report.warning(strict, message, "write accept in the instance, or remove vrrp_strict");
        }
        if let Some(state) = instance.state.as_ref().filter(|_| instance.is_master() && !owner) {
            trap(
                &state.span(),
                "strict mode has no state MASTER but with priority 255",
                "write state BACKUP",
            );
        }
        let first = instance.virtual_ipaddress.first();
        let beyond = |ip| matches!(ip, IpAddr::V6(ip) if !ip.is_unicast_link_local());
        if let Some(first) = first.filter(|first| beyond(first.address)) {
            report.flaw(
                &first.span,
                "the first IPv6 address is not link-local, as RFC 9568 asks for",
                "put one of fe80::/10 first",
            );
        }
        if let Some(peers) = &instance.unicast_peer {
            let message =
                "keepalived does otherwise here: strict mode has no unicast; Locum does what is written";
            report.warning(&peers.span(), message, "remove vrrp_strict");
        }
    }
    let weighted = checks::weighted(instance, document);
    if let (true, Some(track)) = (groups_alone_count(instance, document), weighted) {
        let help = "track it in the vrrp_sync_group, or write sync_group_tracking_weight there";
        trap(&track, "weights of instances in a sync group do not count", help);
    }
}

/// Whether adverts leave from the interface below; by unicast they always do.
fn from_base(instance: &Instance, unicast: bool, report: &Report) -> bool {
    if let Some(base) = instance.vmac_xmit_base.as_ref().filter(|_| instance.use_vmac.is_none()) {
        report.flaw(&base.span(), "vmac_xmit_base without use_vmac changes nothing", "remove it");
    }
    if let (true, Some(vmac), None) = (unicast, &instance.use_vmac, &instance.vmac_xmit_base) {
        let message = "by unicast, adverts leave from the interface below, as in keepalived";
        report.flaw(&vmac.span(), message, "add: vmac_xmit_base");
        return true;
    }
    instance.vmac_xmit_base.is_some()
}

/// What both front doors tell of, and keepalived tells of too.
fn told_by_both(instance: &Instance, document: &Document, report: &Report) {
    let owner = instance.priority() == 255;
    let preempts = *preempt(instance).get_ref();
    let delays = instance.preempt_delay.as_ref().is_some_and(|delay| !delay.get_ref().is_zero());
    let told = [
        owner && !preempts,
        owner && checks::weighted(instance, document).is_some(),
        !owner && !preempts && delays,
    ];
    told.iter().filter(|told| **told).for_each(|_| report.count_flaw());
}

/// Whether it is in a sync group all of whose instances have weights, where only those of the group count.
fn groups_alone_count(instance: &Instance, document: &Document) -> bool {
    let weighs = |name: &Spanned<String>| {
        let mut all = document.instances.iter();
        all.any(|it| it.name.get_ref() == name.get_ref() && checks::weighted(it, document).is_some())
    };
    let mine = |name: &Spanned<String>| name.get_ref() == instance.name.get_ref();
    let mut groups = document.groups.iter().filter(|group| group.member_weights.is_none());
    groups.any(|group| group.group.iter().any(mine) && group.group.iter().all(weighs))
}

/// What only dumps tell of.
pub(super) fn dumped(instance: &Instance, document: &Document) -> Dumped {
    let skip = instance.skip_check_adv_addr.as_ref().or(document.global.vrrp_skip_check_adv_addr.as_ref());
    Dumped {
        strict_mode: strict(instance, document).is_some(),
        skip_check_adv_addr: skip.is_some_and(|flag| *flag.get_ref()),
    }
}

/// Where strict mode is asked for, if it is.
fn strict(instance: &Instance, document: &Document) -> Option<Span> {
    let written = instance.strict_mode.as_ref().or(document.global.vrrp_strict.as_ref());
    written.filter(|flag| *flag.get_ref()).map(Spanned::span)
}

/// Another multicast group than the usual one, of the instance or of all.
fn group(
    instance: &Instance,
    document: &Document,
    family: Family,
    report: &Report,
) -> Option<Spanned<IpAddr>> {
    let own = instance.mcast_dst_ip.as_ref().filter(|own| {
        let fits = Family::of(*own.get_ref()) == family;
        if !fits {
            let message = format!("{} is no group of {family}, as the addresses are", own.get_ref());
            report.refuse(&own.span(), message, "write one of their family");
        }
        fits
    });
    let global = match family {
        Family::Ipv4 => &document.global.vrrp_mcast_group4,
        Family::Ipv6 => &document.global.vrrp_mcast_group6,
    };
    own.or(global.as_ref()).filter(|group| *group.get_ref() != family.group()).cloned()
}

fn interface(instance: &Instance, report: &Report) -> Option<Spanned<Interface>> {
    if let Some(named) = &instance.interface {
        if named.get_ref() == "lo" {
            report.refuse(&named.span(), "VRRP does not run on the loopback interface", "name another");
        }
        return Some(Spanned::new(named.span(), Interface::Named(named.get_ref().clone())));
    }
    if let Some(source) = instance.unicast_src_ip.as_ref().filter(|_| instance.unicast_peer.is_some()) {
        let length = super::value::longest(*source.get_ref());
        return Some(Spanned::new(source.span(), Interface::Subnet(*source.get_ref(), length)));
    }
    let message = format!("instance {} has no interface", instance.name.get_ref());
    report.error(&instance.name.span(), message, "add: interface eth0");
    None
}

fn priority(instance: &Instance) -> Option<Spanned<Priority>> {
    let span = instance.priority.as_ref().map_or(instance.name.span(), Spanned::span);
    Priority::new(instance.priority()).map(|priority| Spanned::new(span, priority))
}

/// Rounded to what the version carries, which is told of.
fn interval(instance: &Instance, version: Version, report: &Report) -> Spanned<Duration> {
    let Some(written) = &instance.advert_int else {
        return Spanned::new(instance.name.span(), Duration::from_secs(1));
    };
    let (step, most, rule) = match version {
        Version::V2 => (100, 25_500, "version 2 of VRRP counts in whole seconds, 1 to 255"),
        Version::V3 => (1, 4095, "version 3 of VRRP counts in steps of 10 ms, 0.01 to 40.95"),
    };
    let micros = u64::try_from(written.get_ref().as_micros()).unwrap_or(u64::MAX);
    let hundredths = ((micros + step * 5_000) / (step * 10_000) * step).clamp(step, most);
    let rounded = Duration::from_millis(hundredths * 10);
    if rounded != *written.get_ref() {
        let rounded = Interval::from_centiseconds(u16::try_from(hundredths).unwrap_or(u16::MAX))
            .unwrap_or(Interval::SECOND);
        let message = format!("{rule}: keepalived makes {rounded} of this");
        report.refuse(&written.span(), message, "write that, or another version");
    }
    Spanned::new(written.span(), rounded)
}

/// The later of `preempt` and `nopreempt` counts.
fn preempt(instance: &Instance) -> Spanned<bool> {
    match (&instance.nopreempt, &instance.preempt) {
        (Some(no), yes) if yes.as_ref().is_none_or(|yes| yes.span().start < no.span().start) => {
            Spanned::new(no.span(), false)
        }
        (_, Some(yes)) => Spanned::new(yes.span(), true),
        _ => Spanned::new(instance.name.span(), true),
    }
}

/// What the instance says, or `global_defs`.
pub(super) fn either<T: Copy>(own: Option<&Spanned<T>>, usual: Option<&Spanned<T>>) -> Option<T> {
    own.or(usual).map(|value| *value.get_ref())
}
