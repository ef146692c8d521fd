//! Warnings: what is allowed and seldom meant. And the one promise that is an error when broken.

use super::Config;
use super::file;
use super::problem::{Finding, Sink, Span};
use super::timeline::{Cause, Timeline, can_fall_below, reach, worst_case};
use super::value::{network, show};
use crate::agent::config::Router;
use crate::agent::holding::{MOST_LEASED, can_be_leased, ends_with_claim, is_crowd};
use crate::claim::quorum::Quorum;
use crate::health::OnFail;
use crate::vrrp::interval::lease_ends;
use crate::vrrp::{Family, Vip};
use std::time::Duration;

/// Below this an advert costs more than it brings, with [`MANY`] addresses in it.
const SHORT: Duration = Duration::from_millis(100);
const MANY: usize = 20;

/// Everything to say about one router.
pub(super) fn lint(part: &file::Router, router: &Router, config: &Config, sink: &Sink) {
    weights(part, router, sink);
    max_failover(part, router, config, sink);
    if let Some(interval) = &part.interval
        && *interval.get_ref() < SHORT
        && router.vips.len() > MANY
    {
        let message =
            format!("{} addresses in an advert every {}", router.vips.len(), show(*interval.get_ref()));
        sink.add(Finding::warning(&interval.span(), message).help("write an interval of 100ms or more"));
    }
    if let Some(ttl) = &part.min_ttl
        && *ttl.get_ref() < 255
        && router.peers.is_empty()
    {
        let finding = Finding::warning(
            &ttl.span(),
            "this lets hosts of other networks take part (RFC 9568 section 5.1.1.3)",
        );
        sink.add(finding.help("remove the line: adverts by multicast come with a TTL of 255"));
    }
    if let Some(preempt) = &part.preempt
        && !*preempt.get_ref()
        && router.priority.is_owner()
    {
        let finding = Finding::warning(
            &preempt.span(),
            "priority 255 preempts whatever this says (RFC 9568 section 6.1)",
        );
        sink.add(finding.help("write a priority of 254 or less, or remove this line"));
    }
    ttl(part, router, sink);
    closeness(part, router, sink);
    waiting(part, router, sink);
    lease(part, router, sink);
    outlasts(part, router, config, sink);
    strict(part, router, sink);
    addresses(part, router, sink);
}

/// One that was written, and ends when another host has the addresses already.
fn lease(part: &file::Router, router: &Router, sink: &Sink) {
    let (Some(written), Some(lease)) = (&part.lease, router.manner.lease) else { return };
    let silence = router.interval.duration() * u32::from(router.manner.down_adverts);
    let ends = lease_ends(lease);
    if ends <= silence {
        return;
    }
    let best = router.interval.lease(router.manner.down_adverts);
    let help = if lease_ends(best) <= silence {
        format!("write lease = \"{}\" or remove the line", show(best))
    } else {
        "the kernel counts in whole seconds: write an interval of 450ms or more".to_owned()
    };
    let message = format!(
        "a dead daemon keeps the addresses for up to {}, and a Backup takes over after {}",
        show(ends),
        show(silence)
    );
    sink.add(Finding::warning(&written.span(), message).help(help));
}

/// What may stay though the claim on it is over, when a Master is cut off and then frozen or killed.
fn outlasts(part: &file::Router, router: &Router, config: &Config, sink: &Sink) {
    let Some(claims) = config.agent.claims.as_ref().filter(|_| router.quorum == Quorum::Require) else {
        return;
    };
    let claim = claims.ttl(router.interval.duration());
    let is_crowd = is_crowd(router.all_vips());
    let unleased = |vip: &&Vip| !can_be_leased(vip.address, vip.prefix, router.install, || is_crowd);
    let (what, help) = match (router.manner.lease, router.all_vips().find(unleased)) {
        (_, Some(vip)) if vip.address.is_ipv4() => {
            ("local routes have no lease".to_owned(), "write install = \"address\"".to_owned())
        }
        (_, Some(vip)) if vip.prefix < 128 => {
            (format!("{vip} has no lease"), format!("write {}/128", vip.address))
        }
        (_, Some(_)) => (
            format!("more than {MOST_LEASED} IPv6 addresses have no lease"),
            "divide them among several routers".to_owned(),
        ),
        (None, None) => ("the addresses have no lease".to_owned(), "remove the line lease".to_owned()),
        (Some(_), None) if !ends_with_claim(claim, router.interval) => (
            "the claim is too short for a lease of whole seconds".to_owned(),
            "write an interval of 600ms or more".to_owned(),
        ),
        _ => return,
    };
    let message = format!("{what}: a Master that is cut off and then frozen keeps it beside the new one");
    let span = part.quorum.as_ref().map_or_else(|| part.name.span(), serde_spanned::Spanned::span);
    sink.add(Finding::warning(&span, message).help(help));
}

/// Times that never count, and one that counts too soon.
fn waiting(part: &file::Router, router: &Router, sink: &Sink) {
    if let Some(delay) = part.preempt_delay.as_ref().filter(|delay| !delay.get_ref().is_zero()) {
        let never = if router.priority.is_owner() {
            Some(("priority 255 waits for nothing", "remove it, or write a priority of 254 or less"))
        } else if !router.preempt {
            Some(("nothing is preempted here", "remove it, or let this router preempt"))
        } else {
            None
        };
        if let Some((why, help)) = never {
            let finding = Finding::warning(&delay.span(), format!("{why}, so preempt_delay has no effect"));
            sink.add(finding.help(help));
        }
    }
    if let Some(count) = part.down_adverts.as_ref().filter(|count| *count.get_ref() == 1) {
        let finding = Finding::warning(&count.span(), "one lost advert is enough for a takeover");
        sink.add(finding.help("write 2 or more; for a faster failover a shorter interval"));
    }
}

/// A script that ends well whatever it finds: people print a verdict, and only the exit code counts.
pub(super) fn never_fails(command: &[String], span: &Span) -> Option<Finding> {
    /// Programs that cannot say no.
    const YES: [&str; 4] = ["true", "echo", "printf", ":"];
    let program = command.first()?.rsplit('/').next()?;
    let message = format!("{program} always succeeds, so this check never fails");
    let finding = Finding::warning(span, message).help(
        "name a script that ends with exit code 1 when the service is down; what it prints does not count",
    );
    YES.contains(&program).then_some(finding)
}

fn addresses(part: &file::Router, router: &Router, sink: &Sink) {
    for family in router.families() {
        let first_unnamed =
            part.vips.iter().filter(|address| Family::of(address.vip.address) == family).nth(255);
        if let Some(address) = first_unnamed {
            let message =
                format!("an advert has room for 255 {family} addresses: this and later ones are not in it");
            sink.add(
                Finding::warning(&address.span, message)
                    .help("they are held all the same; or make a second router"),
            );
        }
    }
    for address in part.held() {
        let (ip, prefix) = (address.vip.address, address.vip.prefix);
        if ip.is_ipv4() && prefix < 31 && network(ip, prefix) == ip {
            let finding = Finding::warning(
                &address.span,
                format!("{ip} is the name of the network {ip}/{prefix} itself"),
            );
            sink.add(finding.help("write an address inside it"));
        }
    }
}

fn strict(part: &file::Router, router: &Router, sink: &Sink) {
    let six = part.vips.iter().find(|address| Family::of(address.vip.address) == Family::Ipv6);
    let Some(first) = six.filter(|_| router.strict) else { return };
    if first.vip.address.to_string().starts_with("fe80") {
        return;
    }
    let finding = Finding::warning(
        &first.span,
        "strict peers refuse adverts whose first IPv6 address is not link-local (RFC 9568 section 5.2.9)",
    );
    sink.add(finding.help("put an address of fe80::/10 first, or remove strict"));
}

fn weights(part: &file::Router, router: &Router, sink: &Sink) {
    let weighted: Vec<_> =
        part.tracks.iter().filter_map(|track| weight(track).map(|weight| (track, weight))).collect();
    let Some((first, _)) = weighted.first() else { return };
    if router.priority.is_owner() {
        let finding = Finding::warning(&first.span, "weights do not change priority 255, the owner's");
        sink.add(finding.help("write a priority of 254 or less"));
        return;
    }
    if !router.preempt {
        let message = "weights without preemption move nothing: a Master of lower priority is left alone";
        let finding = Finding::warning(&first.span, message);
        sink.add(finding.help("track the check without a weight, or have every host preempt"));
    }
    let (best, worst) = reach(router.priority, &router.tracks);
    let span = part.priority.as_ref().map_or(first.span.clone(), serde_spanned::Spanned::span);
    clamped(best, worst, &span, sink);
    match part.peer_priority {
        Some(peer) if !can_fall_below(peer, (best, worst)) => {
            let message = format!(
                "all weighted checks down leave priority {worst}, not below the peer's {peer}: no failover"
            );
            sink.add(Finding::warning(&first.span, message).help("make the weights larger"));
        }
        Some(_) => {}
        None => {
            for (track, weight) in weighted.iter().filter(|(_, weight)| weight.abs() < 2) {
                let message = format!("a weight of {weight} moves little: it ties with a priority one below");
                let finding = Finding::warning(&track.span, message);
                sink.add(finding.help("make it larger than the distance between the hosts' priorities"));
            }
        }
    }
}

fn weight(track: &super::tracking::Track) -> Option<i32> {
    match track.on_fail {
        OnFail::Weight(weight) => Some(weight),
        OnFail::Fault | OnFail::Times(_) => None,
    }
}

fn clamped(best: i32, worst: i32, span: &Span, sink: &Sink) {
    if best > 254 {
        let message = format!("priority and weights reach {best}, and are cut to 254");
        sink.add(
            Finding::warning(span, message)
                .help("lower the priority or the weights, so that every check still counts"),
        );
    }
    if worst < 1 {
        let message = format!("priority and weights reach {worst}, and are cut to 1");
        sink.add(
            Finding::warning(span, message)
                .help("raise the priority or lower the weights, so that every check still counts"),
        );
    }
}

fn max_failover(part: &file::Router, router: &Router, config: &Config, sink: &Sink) {
    let Some(promise) = &part.max_failover else { return };
    let worst = worst_case(router, config);
    if worst.total <= *promise.get_ref() {
        return;
    }
    let help = format!("lower {}, or promise less", lower(&worst, router, config));
    sink.add(Finding::error(&promise.span(), format!("a failover can take longer, when {worst}")).help(help));
}

/// What makes the worst case shorter.
fn lower(worst: &Timeline, router: &Router, config: &Config) -> String {
    let Cause::Check(name) = &worst.cause else {
        return "the router's interval or down_adverts".to_owned();
    };
    if !router.manner.preempt_delay.is_zero() && worst.election == router.manner.preempt_delay {
        return "preempt_delay on every host".to_owned();
    }
    match config.agent.checks.iter().find(|check| check.name == *name).and_then(|check| check.link.as_ref()) {
        Some(link) => format!("down_delay of [link.{link}]"),
        None => format!("interval, timeout, retries or fall of check {name}"),
    }
}

/// Two Backups whose timers end closer to each other than a host keeps time can both become Master.
fn closeness(part: &file::Router, router: &Router, sink: &Sink) {
    /// How late a timer or an advert may well be: less is not told apart.
    const TOLD_APART: Duration = Duration::from_millis(1);
    let (Some(peer), own) = (part.peer_priority, router.priority) else { return };
    let span = part.priority.as_ref().map_or_else(|| part.name.span(), serde_spanned::Spanned::span);
    if peer == own {
        let message = format!(
            "a peer has priority {own} too: which of the two is Master their addresses say, after both have been"
        );
        let help = "give each host a priority of its own (RFC 9568 section 8.3.2)";
        return sink.add(Finding::warning(&span, message).help(help));
    }
    if own.is_owner() || peer.is_owner() {
        return;
    }
    let skew = |priority| router.interval.skew(router.version, priority);
    let apart = skew(own).abs_diff(skew(peer));
    if apart < TOLD_APART {
        let message = format!(
            "at an interval of {} Backups of priority {own} and {peer} take over within {apart:.0?}: both may",
            router.interval
        );
        let help = "put the priorities further apart, such as 150 and 100 (RFC 9568 section 8.3.2)";
        sink.add(Finding::warning(&span, message).help(help));
    }
}

/// What is sent and then not accepted by the twin of this host.
fn ttl(part: &file::Router, router: &Router, sink: &Sink) {
    let (Some(sent), Some(least)) = (&part.ttl, &part.min_ttl) else { return };
    if router.peers.is_empty() || sent.get_ref() >= least.get_ref() {
        return;
    }
    let message = format!(
        "adverts leave with a TTL of {}, and a peer of this configuration accepts none below {}",
        sent.get_ref(),
        least.get_ref()
    );
    let finding = Finding::warning(&sent.span(), message).also(&least.span(), "at least");
    sink.add(finding.help("remove ttl, or lower min_ttl by the routers in between on every host"));
}
