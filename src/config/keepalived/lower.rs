//! The document becomes what the agent runs by. What is not done yet is told of by `keywords`; here
//! is what is done, and where it differs from keepalived.

use super::checks;
use super::document::{Command, Document, Group as Written, Notify, is_on};
use super::holds::Holders;
use super::inspection::Inspection;
use super::report::Report;
use super::router;
use super::runs::{INHERIT, Runner};
use super::statics;
use super::tells;
use crate::agent::config::{Group, GroupName, LinkDelay};
use crate::agent::{self, RouterName, Subject};
use crate::config::problem::Finding;
use crate::config::suggest::nearest;
use crate::config::tracking::{self, Track};
use crate::config::{
    Config, Control, Details, Dumped, Identity, Journal, Scheduling, across, file, fingerprint, host_name,
    lint,
};
use crate::drill::{Objectives, Settings as Drill};
use crate::health;
use crate::notify;
use serde_spanned::Spanned;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a hook may take; keepalived has no limit.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// The configuration that the document stands for.
pub(super) fn lower(document: &Document, report: &Report) -> (Config, Inspection) {
    let runner = Runner::new(document, report);
    let mut config = Config {
        agent: agent::config::Config {
            start_delay: start_delay(document),
            link_delays: link_delays(document),
            paces: statics::paces(document, report),
            ..agent::config::Config::default()
        },
        details: Details {
            checks: BTreeMap::new(),
            hooks: BTreeMap::new(),
            told: tells::told(document, &runner, report),
            records: Vec::new(),
            control: Control { path: identity(document).socket(), group: None },
            identity: identity(document),
            journal: Journal::default(),
            store: None,
            vote_path: None,
            snmp: tells::snmp(document, report),
            http: None,
            scheduling: Scheduling {
                realtime: document.global.vrrp_rt_priority.as_ref().map(|priority| *priority.get_ref()),
                lock_memory: is_on(&document.global.vrrp_no_swap),
            },
            node: document.global.router_id.as_ref().map_or_else(host_name, |id| id.get_ref().clone()),
            objectives: Objectives::default(),
            drill: Drill::default(),
            max_failover: BTreeMap::new(),
            dumped: BTreeMap::new(),
            peer_priority: BTreeMap::new(),
        },
    };
    checks::checks(document, &runner, report, &mut config);
    let parts = routers(document, &runner, report, &mut config);
    groups(document, &parts, &runner, report, &mut config);
    if parts.is_empty() && !report.sink.has_errors() {
        let (message, help) = if document.instances.is_empty() {
            ("this file has no vrrp_instance: nothing will be held", "add a vrrp_instance")
        } else {
            ("every vrrp_instance is left out: nothing will be held", "mend what is left out")
        };
        report.sink.add(Finding::warning(&(0..0), message).help(help));
    }
    let inspection = Inspection::new(document, &runner, report);
    (config, inspection)
}

fn identity(document: &Document) -> Identity {
    let name = |written: &Option<Spanned<String>>| written.as_ref().map(|name| name.get_ref().clone());
    Identity { namespace: name(&document.net_namespace), instance: name(&document.instance) }
}

fn start_delay(document: &Document) -> Duration {
    let time = |written: &Option<Spanned<Duration>>| written.as_ref().map(|time| *time.get_ref());
    let global = &document.global;
    crate::config::start_delay(time(&global.vrrp_startup_delay), time(&global.vrrp_delay_after_boot))
}

fn link_delays(document: &Document) -> BTreeMap<String, LinkDelay> {
    let delays = document.delays.iter();
    delays
        .map(|delay| (delay.interface.get_ref().clone(), LinkDelay { down: delay.down, up: delay.up }))
        .collect()
}

/// Adds the routers, and returns them as the other front door would have read them.
fn routers(
    document: &Document,
    runner: &Runner<'_>,
    report: &Report,
    config: &mut Config,
) -> Vec<file::Router> {
    let (mut parts, mut rest, mut holders) = (Vec::new(), Vec::new(), Holders::new());
    for instance in &document.instances {
        if let Some((part, trust)) = router::router(instance, document, (&mut holders, config), report) {
            parts.push(part);
            rest.push((instance, trust));
        }
    }
    let known = |part: &Track| part.check.clone();
    let names: Vec<_> = parts.iter().flat_map(|part| part.tracks.iter().map(known)).collect();
    across::across(&parts, &names, &[], &Drill::default(), &report.sink);
    config.agent.fixed = statics::fixed(document, report)
        .holding(&parts, |finding, span| report.add(finding.softened(), span));
    for (part, (instance, trust)) in parts.iter().zip(&rest) {
        let name = part.name.get_ref();
        let hooks = hooks(&instance.notify, runner);
        let subject = Subject::Router(name.clone());
        tells::add(subject.clone(), &instance.notify, document, &mut config.details.told);
        let print = fingerprint(&hooks, &config.details.told, &subject);
        if hooks != notify::Hooks::default() {
            config.details.hooks.insert(subject, hooks);
        }
        let dumped = router::dumped(instance, document);
        if dumped != Dumped::default() {
            config.details.dumped.insert(name.clone(), dumped);
        }
        if let Some(mut router) = router::judged(part, trust, report) {
            router.fingerprint = print;
            lint::lint(part, &router, config, &report.sink);
            config.agent.routers.push(router);
        }
    }
    parts
}

fn hooks(notify: &Notify, runner: &Runner<'_>) -> notify::Hooks {
    let script = |written: &Option<Spanned<Command>>| {
        let (command, user) = runner.hook(written.as_ref()?)?;
        Some(notify::Script { command, user, inherit: INHERIT, timeout: HOOK_TIMEOUT })
    };
    notify::Hooks {
        master: script(&notify.master),
        backup: script(&notify.backup),
        fault: script(&notify.fault),
        stop: script(&notify.stop),
        any: script(&notify.any),
        rx_lower: script(&notify.master_rx_lower_pri),
        dual_master: None,
    }
}

fn groups(
    document: &Document,
    parts: &[file::Router],
    runner: &Runner<'_>,
    report: &Report,
    config: &mut Config,
) {
    let mut taken: Vec<Spanned<String>> = Vec::new();
    for written in &document.groups {
        let routers = members(written, document, (parts, config), &mut taken, report);
        let hooks = hooks(&written.notify, runner);
        if routers.is_empty() {
            continue;
        }
        let name = GroupName(written.name.get_ref().as_str().into());
        let subject = Subject::Group(name.clone());
        tells::add(subject.clone(), &written.notify, document, &mut config.details.told);
        let print = fingerprint(&hooks, &config.details.told, &subject);
        if hooks != notify::Hooks::default() {
            config.details.hooks.insert(subject, hooks);
        }
        let tracks = shared(&routers, parts);
        config.agent.groups.push(Group { name, routers, tracks, fingerprint: print });
    }
}

/// What all of these track by their group; nothing where one of them does otherwise: then each has its own.
fn shared(members: &[RouterName], parts: &[file::Router]) -> Vec<health::Track> {
    let parts = parts.iter().filter(|part| members.contains(part.name.get_ref()));
    let mut all = parts.map(|part| tracking::judged(part.tracks.iter().filter(|track| track.shared)));
    let first = all.next().unwrap_or_default();
    if all.all(|other| other == first) { first } else { Vec::new() }
}

fn members(
    group: &Written,
    document: &Document,
    (parts, config): (&[file::Router], &Config),
    taken: &mut Vec<Spanned<String>>,
    report: &Report,
) -> Vec<RouterName> {
    let mut members = Vec::new();
    for written in &group.group {
        let (name, span) = (written.get_ref(), written.span());
        let known = document.instances.iter().map(|instance| instance.name.get_ref().as_str());
        if !known.clone().any(|known| known == name) {
            let help = nearest(name, known)
                .map_or("add it, or remove the name".to_owned(), |near| format!("did you mean {near}?"));
            report.refuse(&span, format!("there is no vrrp_instance {name}"), help);
        } else if let Some(first) = taken.iter().find(|other| other.get_ref() == name) {
            let finding = Finding::error(&span, format!("instance {name} is in a sync group already"));
            let finding =
                finding.also(&first.span(), "here").help("an instance shares one state: remove one");
            report.refuse_finding(finding, &span);
        } else {
            taken.push(written.clone());
            // One that cannot be used was told of where it stands.
            members.extend(
                config
                    .agent
                    .routers
                    .iter()
                    .map(|router| &router.name)
                    .find(|known| *known.0 == **name)
                    .cloned(),
            );
        }
    }
    across::one_role(&members, parts, &report.sink);
    if group.group.len() == 1 {
        report.flaw(
            &group.name.span(),
            "a sync group of one instance changes nothing",
            "name the instances that are to share its state",
        );
    }
    members
}
