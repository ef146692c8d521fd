//! What stands outside the large blocks: `static_*`, `track_group`, `interface_up_down_delays` and `garp_group`.

use super::document::{Document, Instance, LinkDelay, Pacing, Track, TrackGroup, Written};
use super::holds;
use super::report::Report;
use super::routing;
use super::statement::Statement;
use super::tree::Word;
use super::value;
use crate::agent::config::Pace;
use crate::config::fixed::Fixed;
use crate::config::pace;
use crate::config::problem::Finding;
use crate::config::suggest::nearest;
use crate::vrrp::Family;
use serde_spanned::Spanned;
use std::time::Duration;

/// The longest pause of announcements, in seconds.
const LONGEST: f64 = 4294.0;
/// Where static addresses go that name no interface, unless `default_interface` says another.
const DEFAULT_INTERFACE: &str = "eth0";

/// `IF down [up]`, a line each.
pub(super) fn delays(statement: &Statement<'_>, list: &mut Vec<LinkDelay>) {
    for node in statement.members() {
        let line = Statement { node, ..*statement };
        let delay = |word: &Word| value::seconds(0.0, 255.0)(word);
        let Some(interface) = node.words.first() else { continue };
        let (down, up) = (line.required(0, delay), line.argument(1, delay));
        if node.arguments().len() == 1 {
            let help = "write it: IF DOWN UP";
            line.trap(&node.span(), "a delay up that is not written is 0, whatever the manual says", help);
        }
        line.no_more_than(2);
        let Some(down) = down else { continue };
        match value::interface(interface) {
            Ok(name) => list.push(LinkDelay {
                interface: Spanned::new(interface.span.clone(), name),
                down: down.into_inner(),
                up: up.map_or(Duration::ZERO, Spanned::into_inner),
            }),
            Err(wrong) => line.wrong(interface, wrong),
        }
    }
}

/// `garp_group`
pub(super) fn pacing(statement: &Statement<'_>) -> Pacing {
    let mut pacing = Pacing::default();
    for node in statement.members() {
        let line = Statement { node, ..*statement };
        match node.keyword() {
            "garp_interval" => line.one(&mut pacing.garp_interval, value::seconds(0.0, LONGEST)),
            "gna_interval" => line.one(&mut pacing.gna_interval, value::seconds(0.0, LONGEST)),
            "interface" => pacing.interfaces.extend(line.required(0, value::interface)),
            "interfaces" => {
                let words = line.words().map(|word| Spanned::new(word.span.clone(), word.text.clone()));
                pacing.interfaces.extend(words);
            }
            other => {
                let help = "a garp_group has garp_interval, gna_interval, interface and interfaces";
                line.report().refuse(&node.span(), format!("unknown keyword {other} in garp_group"), help);
            }
        }
    }
    pacing
}

/// `track_group`
pub(super) fn track_group(statement: &Statement<'_>) -> Option<TrackGroup> {
    let mut group = TrackGroup { name: statement.title()?, group: Vec::new() };
    for node in statement.members() {
        let line = Statement { node, ..*statement };
        if node.keyword() == "group" {
            let words = line.words().map(|word| Spanned::new(word.span.clone(), word.text.clone()));
            group.group.extend(words);
        } else {
            let message = format!("unknown keyword {} in track_group", node.keyword());
            line.report().refuse(&node.span(), message, "a track_group has group { NAME … } alone");
        }
    }
    Some(group)
}

/// Takes `track_group` from what moves with an instance: keepalived does not know it there.
pub(super) fn only_static(statement: &Statement<'_>, group: &mut Written<String>) {
    if !statement.name.starts_with("static_")
        && let Some(group) = group.take()
    {
        let message = "only static entries have a track_group: this moves with its instance anyway";
        statement.report().refuse(&group.span(), message, "remove it");
    }
}

/// The interfaces that static entries name together with a `track_group`, and that group.
pub(super) fn tied(document: &Document) -> impl Iterator<Item = (&str, &Spanned<String>)> {
    let addresses = document.static_addresses.iter();
    let addresses = addresses.map(|it| (&it.track_group, name(&it.dev).or(Some(default(document)))));
    let routes = document.static_routes.iter().map(|it| (&it.track_group, name(&it.dev)));
    let rules = document.static_rules.iter().map(|it| (&it.track_group, name(&it.iif)));
    addresses.chain(routes).chain(rules).filter_map(|(group, interface)| Some((interface?, group.as_ref()?)))
}

/// What `instance` tracks by its track groups: without its interface a static entry is not there.
pub(super) fn tracks(document: &Document, instance: &Instance) -> Vec<Track> {
    let member = |group: &&TrackGroup| group.group.iter().any(|it| it.get_ref() == instance.name.get_ref());
    let groups: Vec<_> = document.track_groups.iter().filter(member).map(|it| it.name.get_ref()).collect();
    let own = instance.interface.as_ref().filter(|_| instance.dont_track_primary.is_none());
    let tied = tied(document).filter(|(interface, group)| {
        groups.contains(&group.get_ref()) && own.is_none_or(|own| own.get_ref() != interface)
    });
    tied.map(|(name, group)| Track { name: Spanned::new(group.span(), name.to_owned()), weight: None })
        .collect()
}

/// Tells of names that do not exist, and of entries that no interface belongs to.
fn judge_groups(document: &Document, report: &Report) {
    for group in &document.track_groups {
        if group.group.is_empty() {
            report.flaw(
                &group.name.span(),
                "a track_group of no instance changes nothing",
                "add: group { NAME }",
            );
        }
        for member in &group.group {
            let known = document.instances.iter().map(|instance| instance.name.get_ref().as_str());
            if !known.clone().any(|known| known == member.get_ref()) {
                let help = nearest(member.get_ref(), known)
                    .map_or("add it, or remove the name".to_owned(), |near| format!("did you mean {near}?"));
                report.warning(
                    &member.span(),
                    format!("there is no vrrp_instance {}", member.get_ref()),
                    help,
                );
            }
        }
    }
    let routes = document.static_routes.iter().map(|it| (&it.track_group, it.dev.is_some(), "dev"));
    let rules = document.static_rules.iter().map(|it| (&it.track_group, it.iif.is_some(), "iif"));
    let addresses = document.static_addresses.iter().map(|it| (&it.track_group, true, "dev"));
    for (written, has, word) in addresses.chain(routes).chain(rules) {
        let Some(written) = written else { continue };
        let mut known = document.track_groups.iter().map(|group| &group.name);
        let found = known.clone().find(|name| name.get_ref() == written.get_ref());
        if let Some(group) = found.filter(|group| group.span().start > written.span().start) {
            let message = "keepalived does otherwise here: it does not find a track_group that stands further down; \
                           Locum does what is written";
            let finding = Finding::warning(&written.span(), message).also(&group.span(), "here");
            report.count_flaw();
            report.add(finding.help("move the track_group before it"), &written.span());
        } else if found.is_none() {
            let help = nearest(written.get_ref(), known.by_ref().map(|name| name.get_ref().as_str()))
                .map_or("add it, or remove the word".to_owned(), |near| format!("did you mean {near}?"));
            report.refuse(&written.span(), format!("there is no track_group {}", written.get_ref()), help);
        }
        if !has {
            let message = "no interface is named here, so that the track_group has none to watch";
            report.refuse(&written.span(), message, format!("add: {word} IF"));
        }
    }
}

#[expect(clippy::ref_option, reason = "it is asked of fields")]
fn name(written: &Written<String>) -> Option<&str> {
    Some(written.as_ref()?.get_ref())
}

fn default(document: &Document) -> &str {
    document.global.default_interface.as_ref().map_or(DEFAULT_INTERFACE, |name| name.get_ref())
}

/// What is held as long as the daemon runs.
pub(super) fn fixed(document: &Document, report: &Report) -> Fixed {
    let routing = routing::Router { family: Family::Ipv4, report };
    judge_groups(document, report);
    Fixed {
        interface: Some(default(document).to_owned()),
        addresses: document
            .static_addresses
            .iter()
            .map(|address| holds::vip(address, true, report))
            .collect(),
        routes: document.static_routes.iter().filter_map(|route| routing.route(route)).collect(),
        rules: document.static_rules.iter().filter_map(|rule| routing.rule(rule)).collect(),
    }
}

/// Pauses of announcements, of `garp_group` and of `global_defs` for all other interfaces.
pub(super) fn paces(document: &Document, report: &Report) -> Vec<Pace> {
    let pause =
        |written: &Written<Duration>| written.as_ref().map_or(Duration::ZERO, |pause| *pause.get_ref());
    let mut written = Vec::new();
    for group in &document.pacing {
        let Some(first) = group.interfaces.first() else { continue };
        if group.garp_interval.is_none() && group.gna_interval.is_none() {
            report.flaw(&first.span(), "this garp_group has no pause", "add: garp_interval 0.001");
        }
        let (arp, na) = (pause(&group.garp_interval), pause(&group.gna_interval));
        written.push(pace::Written { span: first.span(), interfaces: group.interfaces.clone(), arp, na });
    }
    let global = &document.global;
    let (arp, na) = (pause(&global.vrrp_garp_interval), pause(&global.vrrp_gna_interval));
    written.push(pace::Written { span: 0..0, interfaces: Vec::new(), arp, na });
    pace::paces(&written, |finding, span| report.refuse_finding(finding, span))
}
