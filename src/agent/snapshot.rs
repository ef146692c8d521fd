//! Builds [`Status`] from what the agent knows. Looks, never touches.

use super::Agent;
use super::peers::{by_name, millis};
use super::router::{Member, Router};
use super::status::{
    AddressStatus, CheckStatus, CountsStatus, IN_USE, InstanceStatus, LatenessStatus, Overall, PASSED,
    PriorityStatus, ResultsStatus, RouterStatus, SCHEMA, Status, TrackStatus, TransitionStatus,
};
use super::transition::Standing;
use crate::health::{self, Health};
use crate::time::Time;
use crate::vrrp::instance::{Discard, Instance, State, Wait};
use crate::vrrp::packet::Refusal;
use std::collections::BTreeMap;
use std::time::Duration;

impl Agent {
    /// Everything as it stands at `now`.
    #[must_use]
    pub fn status(&self, now: Time) -> Status {
        let routers: Vec<_> = self.routers.iter().map(|router| self.router_status(now, router)).collect();
        let checks = self.check_order.iter().filter_map(|name| self.checks.get(name));
        let checks: Vec<_> = checks.map(|check| check_status(now, check)).collect();
        let (health, complaints) = judge(&routers, &checks, self.fixed.trouble());
        Status {
            schema: SCHEMA,
            health,
            complaints,
            routers,
            checks,
            skipped: Vec::new(),
            messages: Vec::new(),
            dns: Vec::new(),
            lateness: LatenessStatus::default(),
            counts: CountsStatus::default(),
            daemon: BTreeMap::new(),
        }
    }

    fn router_status(&self, now: Time, router: &Router) -> RouterStatus {
        let config = &router.config;
        let since = router.instances(&self.sets).map(Instance::since).max().unwrap_or(now);
        let standing = router.standing(&self.sets);
        let (waits_for, waits_at) = self.waits(router, standing);
        RouterStatus {
            name: config.name.clone(),
            state: standing,
            since_ms: millis(now.since(since)),
            why: router.why(&self.sets).to_string(),
            group: self.sets[router.set].name.clone(),
            drained: router.drained,
            damped_ms: self.paused(now, router.set).map(|until| millis(until.since(now))),
            hold_ms: self.held_off(now, router.set).map(|until| millis(until.since(now))),
            failures: self.failures(now, router.set),
            waits_for,
            waits_ms: waits_at.map(|at| millis(at.since(now))),
            interface: router.link.as_deref().map(str::to_owned),
            vrid: config.vrid.get(),
            version: config.version,
            interval_ms: u32::from(config.interval.centiseconds()) * 10,
            authentication: config.auth.to_string(),
            claim: self.claim_status(now, router.set),
            claim_trouble: self.claim_trouble(now, router.set),
            priority: self.priority_status(router),
            addresses: self.addresses(router),
            instances: router
                .instances(&self.sets)
                .zip(&router.members)
                .map(|(instance, member)| InstanceStatus {
                    second_path: self.second_path(now, router, instance, member),
                    ..instance_status(now, instance, member)
                })
                .collect(),
            hooks: router.hooks.clone(),
            became_master: router.became_master,
            left_master: router.left_master,
            dual_master_seen: router.dual_masters,
            rivals: router.rivals.status(now),
            transitions: transitions(router),
            detected_ms: router.takeover.detected.map(exactly),
            recovered_ms: router.takeover.recovered.map(exactly),
            hold_errors: router.hold_errors,
            vote: self.vote(now, router.set),
        }
    }

    /// What there is to say of the router's second path.
    fn second_path(
        &self,
        now: Time,
        router: &Router,
        instance: &Instance,
        member: &Member,
    ) -> Option<String> {
        let path = router.config.second_path.as_ref()?;
        let recent = now - instance.config().interval.duration() * 4;
        let source = path.source(self.links.known(), member.family, &self.vips).err();
        let socket = || self.sockets.get(&(path.interface.clone(), member.family)).cloned();
        let ways = || member.heard.trouble(recent, router.link.as_deref(), &path.interface);
        let unusable = source.or_else(socket).map(|line| format!("no second path: {line}"));
        Some(unusable.or_else(ways).unwrap_or_else(|| IN_USE.to_owned()))
    }

    fn priority_status(&self, router: &Router) -> PriorityStatus {
        let tracks = router.config.tracks.iter().map(|track| {
            let state = self.checks.get(&track.check).map_or(health::Standing::Pending, Health::standing);
            TrackStatus {
                check: track.check.clone(),
                state,
                adds: track.contribution(state, self.checks.get(&track.check).map_or(0, Health::value)),
                fault: track.on_fail == health::OnFail::Fault,
            }
        });
        PriorityStatus {
            effective: router.priority(&self.checks).get(),
            base: router.config.priority.get(),
            tracks: tracks.collect(),
        }
    }

    fn addresses(&self, router: &Router) -> Vec<AddressStatus> {
        let status = |vip: &crate::vrrp::Vip| {
            let member = router.members.iter().find(|m| m.family == crate::vrrp::Family::of(vip.address));
            AddressStatus {
                address: vip.address,
                prefix: vip.prefix,
                held: member.is_some_and(|member| member.held || member.giving > 0),
                restored: member.and_then(|m| m.restored.get(&vip.address)).copied().unwrap_or(0),
                intruded: self.is_intruded(router, vip.address),
                evicted: router.evictions.counts.get(&vip.address).copied().unwrap_or(0),
                lease_ms: router.config.lease_of(vip).map(millis),
            }
        };
        router.config.vips.iter().chain(&router.config.excluded).map(status).collect()
    }

    /// What a router waits for, in words, and until when.
    fn waits(&self, router: &Router, standing: Standing) -> (String, Option<Time>) {
        if let Some(at) = self.start_at {
            return ("the end of the start delay".to_owned(), Some(at));
        }
        if let Some(check) = router.awaits(standing, &self.checks) {
            return (format!("the first result of check {}", check.config().name), None);
        }
        if let Some((_, at)) = &router.contested {
            return ("the next attempt to hold the addresses".to_owned(), Some(*at));
        }
        if self.sets[router.set].withheld {
            let at = self.claim_deadline(router.set);
            return ("its claim to be granted".to_owned(), at);
        }
        let group = &self.sets[router.set].group;
        let deadlines = group.members().iter().filter_map(Instance::deadline);
        // A Backup of a group takes over when the last of its Masters has gone.
        let last = deadlines.filter(|(_, wait)| *wait == Wait::TakeOver).max_by_key(|(at, _)| *at);
        match if standing == Standing::Backup { last } else { group.deadline() } {
            Some((at, wait)) => (describe(wait, router.instances(&self.sets)), Some(at)),
            None => (idle(standing).to_owned(), None),
        }
    }
}

fn describe<'a>(wait: Wait, mut instances: impl Iterator<Item = &'a Instance>) -> String {
    match wait {
        Wait::TakeOver => {
            let master = instances.find_map(|instance| match instance.state() {
                State::Backup { master, .. } => *master,
                _ => None,
            });
            master.map_or("to take over unless a Master is heard".to_owned(), |master| {
                format!("to take over unless {master} is heard")
            })
        }
        Wait::Advertise => "its next advert".to_owned(),
        Wait::Announce => "its next announcement".to_owned(),
        Wait::Successor => "its successor's first advert".to_owned(),
        Wait::Ask => "asking who has its addresses".to_owned(),
        Wait::Heal => "the end of a pause".to_owned(),
    }
}

const fn idle(standing: Standing) -> &'static str {
    match standing {
        Standing::Backup => "the operator's resume",
        Standing::Fault => "the fault to heal",
        Standing::Master | Standing::Stop => "",
    }
}

fn transitions(router: &Router) -> Vec<TransitionStatus> {
    let counted = router.transitions.iter();
    counted
        .map(|((to, cause), count)| TransitionStatus { to: *to, cause: (*cause).to_owned(), count: *count })
        .collect()
}

/// Milliseconds with their fractions.
fn exactly(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

fn instance_status(now: Time, instance: &Instance, member: &Member) -> InstanceStatus {
    let recent = now - instance.config().interval.duration() * 4;
    let master = match instance.state() {
        State::Master { .. } | State::Leaving { .. } => instance.source(),
        State::Backup { master: Some(master), .. } => Some(*master),
        _ => member.peers.latest(recent),
    };
    InstanceStatus {
        family: member.family,
        source: instance.source(),
        master,
        unicast: !instance.config().peers.is_empty(),
        peers: member.peers.status(now, &instance.config().peers),
        sent: member.sent,
        heard: member.peers.heard,
        farewells_sent: member.farewells_sent,
        farewells_heard: member.farewells_heard,
        send_errors: member.send_errors,
        last_send_error: member.last_send_error.as_ref().map(|(_, error)| error.clone()),
        last_send_error_ms: member.last_send_error.as_ref().map(|(at, _)| millis(now.since(*at))),
        refused: by_name(&member.peers.refused, Refusal::name),
        discarded: by_name(&member.peers.discarded, Discard::name),
        announced: member.announced,
        announce_errors: member.announce_errors,
        arp_test: member.answers.clone().map(|answers| answers.err().unwrap_or_else(|| PASSED.to_owned())),
        second_path: None,
    }
}

fn check_status(now: Time, check: &Health) -> CheckStatus {
    let last = check.last();
    let tally = check.tally();
    CheckStatus {
        name: check.config().name.clone(),
        state: check.standing(),
        since_ms: millis(now.since(check.since())),
        number: last.and_then(|(_, outcome)| outcome.value),
        error: last.and_then(|(_, outcome)| outcome.verdict.clone().err()),
        latency_ms: last.map(|(_, outcome)| exactly(outcome.latency)),
        checked_ms: last.map(|(at, _)| millis(now.since(*at))),
        results: ResultsStatus {
            passed: tally.passed,
            failed: tally.failed,
            latency_sum_ms: exactly(tally.latency),
            latency: tally.spans.to_vec(),
        },
    }
}

/// What all of it comes to, with a line for each thing that is not as it should be.
fn judge(routers: &[RouterStatus], checks: &[CheckStatus], fixed: Option<&str>) -> (Overall, Vec<String>) {
    let mut complaints = Vec::new();
    let mut worst = Overall::Healthy;
    let mut complain = |level: Overall, line: String| {
        worst = worst.max(level);
        complaints.push(line);
    };
    for router in routers {
        let name = &router.name;
        match router.state {
            Standing::Fault | Standing::Stop => complain(Overall::Fault, format!("{name}: {}", router.why)),
            Standing::Backup if router.drained => {
                complain(Overall::Degraded, format!("{name}: handed over; `locum resume {name}` ends it"));
            }
            Standing::Master if router.addresses.iter().any(|address| !address.held) => {
                complain(Overall::Degraded, format!("{name}: MASTER, but not all addresses are up yet"));
            }
            Standing::Backup | Standing::Master => {}
        }
        if let Some(ms) = router.damped_ms {
            let (failures, seconds) = (router.failures, ms.div_ceil(1000));
            let line = format!(
                "{name}: failed {failures} times: takes nothing back for {seconds} s; `locum ack {name}` ends it"
            );
            complain(Overall::Degraded, line);
        }
        for line in &router.claim_trouble {
            complain(Overall::Degraded, format!("{name}: {line}"));
        }
        for address in router.addresses.iter().filter(|address| address.intruded) {
            let line = format!(
                "{name}: something else has put {} on this host, which does not hold it: take it away",
                address.address
            );
            complain(Overall::Degraded, line);
        }
        for line in wire(router) {
            complain(Overall::Degraded, format!("{name}: {line}"));
        }
        if let Some(last) = router.hooks.last.as_ref().filter(|_| router.hooks.last_failed) {
            complain(Overall::Degraded, format!("{name}: the last hook failed: {last}"));
        }
    }
    if let Some(line) = fixed {
        complain(Overall::Degraded, format!("static: {line}"));
    }
    for check in checks.iter().filter(|check| check.state == health::Standing::Down) {
        let error = check.error.as_deref().unwrap_or("inverse check passes");
        complain(Overall::Degraded, format!("check {}: {error}", check.name));
    }
    (worst, complaints)
}

/// How long another holder is worth a complaint: caches of neighbours may still name it.
const NEWS_MS: u64 = 60_000;

/// What is wrong between this router and the others now. What is four intervals old is history.
fn wire(router: &RouterStatus) -> Vec<String> {
    let recent = |ms: Option<u64>| ms.is_some_and(|ms| ms < 4 * u64::from(router.interval_ms));
    let mut lines = Vec::new();
    for rival in router.rivals.iter().filter(|rival| rival.seen_ms < NEWS_MS) {
        if let (Some(mac), Some(address)) = (&rival.mac, rival.address) {
            lines.push(format!("{mac} says that it has {address} too: find that host and take it away"));
        }
    }
    for instance in &router.instances {
        if let Some(error) = instance.last_send_error.as_ref().filter(|_| recent(instance.last_send_error_ms))
        {
            lines.push(format!("adverts cannot be sent: {error}"));
        }
        lines.extend(instance.arp_test.clone().filter(|test| test != PASSED));
        lines.extend(instance.second_path.clone().filter(|path| path != IN_USE));
        for peer in &instance.peers {
            if let (Some(ahead), Some(window)) = (peer.clock_ms, peer.clock_window_ms)
                && ahead.unsigned_abs() > window / 2
            {
                lines.push(format!("the clock of {} is {ahead:+} ms off ours: mend it", peer.address));
            }
            if let Some(why) = peer.last_refused.as_ref().filter(|_| recent(peer.last_refused_ms)) {
                lines.push(format!("packets from {} are refused: {why}", peer.address));
            }
        }
    }
    lines
}
