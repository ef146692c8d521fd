//! What stands outside the large blocks: `static_*`, `interface_up_down_delays` and `garp_group`.

use super::document::{Document, LinkDelay, Pacing, Written};
use super::holds;
use super::report::Report;
use super::routing;
use super::statement::Statement;
use super::tree::Word;
use super::value;
use crate::agent::config::Pace;
use crate::config::fixed::Fixed;
use crate::config::pace;
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

/// What is held as long as the daemon runs.
pub(super) fn fixed(document: &Document, report: &Report) -> Fixed {
    let routing = routing::Router { family: Family::Ipv4, report };
    let default = document.global.default_interface.as_ref().map(Spanned::get_ref);
    Fixed {
        interface: Some(default.map_or(DEFAULT_INTERFACE, String::as_str).to_owned()),
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
