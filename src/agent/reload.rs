//! A new configuration: what changes, for whom, and nothing for the rest.
//!
//! Routers are matched by identity (interface, VRID, family, whom they hear) and not by name, so a renamed router
//! keeps its role. An equal configuration has no effects at all.

use super::Agent;
use super::config::{Config, Group as WantedGroup, GroupName, Router as Wanted};
use super::effect::{Effect, InstanceId, Note};
use super::request::{Response, Ticket};
use super::router::Router;
use super::set::{Seat, Set};
use super::settle::News;
use super::transition::{RouterName, Standing};
use crate::claim::Office;
use crate::claim::quorum::Quorum;
use crate::health::{self, Health};
use crate::time::Time;
use crate::vrrp::Version;
use crate::vrrp::auth::Auth;
use crate::vrrp::group::Group;
use crate::vrrp::instance::{Action, Event, Instance, Manner};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a reload means for one router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing at all.
    Keep,
    /// Other parameters; state and timers stay.
    Retune(Vec<String>),
    /// What was agreed on with the peers changes: farewell, and a fresh start as Backup.
    Restart(Vec<String>),
    /// New.
    Add,
    /// No longer there: farewell.
    Remove,
}

/// What `new` changes about `old`, one line each, for people.
#[must_use]
pub fn compare(old: &Wanted, new: &Wanted) -> Change {
    if old == new {
        return Change::Keep;
    }
    let mut lines = Vec::new();
    let mut note = |what: &str, from: String, to: String| {
        if from != to {
            lines.push(format!("{what} {from} -> {to}"));
        }
    };
    let list = |values: &mut dyn Iterator<Item = String>| {
        let all: Vec<_> = values.collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    };
    note("name", old.name.to_string(), new.name.to_string());
    note("priority", old.priority.to_string(), new.priority.to_string());
    note("interval", old.interval.to_string(), new.interval.to_string());
    note("preempt", old.preempt.to_string(), new.preempt.to_string());
    // A lease has whole seconds.
    let lease =
        |router: &Wanted| router.manner.lease.map_or("off".to_owned(), |it| format!("{}s", it.as_secs()));
    note("lease", lease(old), lease(new));
    note("checksum", old.checksum.to_string(), new.checksum.to_string());
    let min_ttl = |router: &Wanted| router.min_ttl.map_or("not set".to_owned(), |least| least.to_string());
    note("min_ttl", min_ttl(old), min_ttl(new));
    note("ttl", old.ttl.to_string(), new.ttl.to_string());
    note("strict", old.strict.to_string(), new.strict.to_string());
    let ips = |all: &[IpAddr]| list(&mut all.iter().map(ToString::to_string));
    note("source", ips(&old.sources), ips(&new.sources));
    // Losing advert answered or not, as the version has it: with another version that is no news.
    let manner = |router: &Wanted| Manner {
        lease: None,
        answer_losing: router.manner.answer_losing == (router.version == Version::V3),
        ..router.manner.clone()
    };
    let vips = |router: &Wanted| list(&mut router.vips.iter().map(ToString::to_string));
    note("addresses", vips(old), vips(new));
    note("version", old.version.to_string(), new.version.to_string());
    note("peers", ips(&old.peers), ips(&new.peers));
    note("multicast_group", ips(&old.groups), ips(&new.groups));
    let second = |router: &Wanted| router.second_path.as_ref().map_or("none".to_owned(), ToString::to_string);
    note("second_path", second(old), second(new));
    note("authentication", old.auth.to_string(), new.auth.to_string());
    for (changed, what) in [
        (old.ttls != new.ttls, "TTLs of peers"),
        (vips(old) == vips(new) && old.vips != new.vips, "what is said of addresses"),
        (old.tracks != new.tracks, "checks"),
        (old.excluded != new.excluded, "addresses that are not advertised"),
        (old.named != new.named, "addresses that are not held"),
        (old.ignore_link != new.ignore_link, "ignore_link"),
        (old.routes != new.routes || old.rules != new.rules, "routes and rules"),
        (old.install != new.install, "install"),
        (old.virtual_mac != new.virtual_mac, "virtual_mac"),
        (old.virtual_interface != new.virtual_interface, "virtual_interface"),
        (old.adverts_from_base != new.adverts_from_base, "adverts_from_base"),
        (old.family != new.family, "family"),
        (old.accept != new.accept, "accept"),
        (old.quorum != new.quorum, "quorum"),
        (old.close_connections != new.close_connections, "close_connections"),
        (old.drain_ports != new.drain_ports, "drain_ports"),
        (manner(old) != manner(new), "manner (preempt_delay, down_adverts, …)"),
        (old.auth != new.auth && old.auth.to_string() == new.auth.to_string(), "secrets of authentication"),
        (old.barred != new.barred, "secrets"),
        (old.announce != new.announce, "announcing"),
        (old.fingerprint != new.fingerprint, "hooks"),
    ] {
        if changed {
            lines.push(format!("{what} changed"));
        }
    }
    if old.version != new.version
        || old.families() != new.families()
        || old.peers.is_empty() != new.peers.is_empty()
    {
        Change::Restart(lines)
    } else {
        Change::Retune(lines)
    }
}

impl Agent {
    /// What `config` would change, one line a router or check; empty for an equal configuration.
    #[must_use]
    pub fn plan(&self, config: &Config) -> Vec<String> {
        let mut plan = Vec::new();
        let failover = |index| match self.standing(index) {
            Standing::Master => " (MASTER here: the addresses move)",
            _ => "",
        };
        for router in &config.routers {
            let name = &router.name;
            match self.matching(router) {
                None => plan.push(format!("{name}: added")),
                Some(index) => match compare(&self.routers[index].config, router) {
                    Change::Retune(lines) => plan.push(format!("{name}: {}", lines.join("; "))),
                    Change::Restart(lines) => {
                        let lines = lines.join("; ");
                        plan.push(format!("{name}: starts anew: {lines}{}", failover(index)));
                    }
                    Change::Keep | Change::Add | Change::Remove => {}
                },
            }
        }
        for (index, router) in self.routers.iter().enumerate() {
            if !config.routers.iter().any(|new| same(&router.config, new)) {
                plan.push(format!("{}: removed, says farewell{}", router.config.name, failover(index)));
            }
        }
        for check in &config.checks {
            match self.checks.get(&check.name) {
                None => plan.push(format!("check {}: added", check.name)),
                Some(old) if old.config() != check => plan.push(format!("check {}: changed", check.name)),
                Some(_) => {}
            }
        }
        let gone = self.check_order.iter().filter(|n| !config.checks.iter().any(|c| c.name == **n));
        plan.extend(gone.map(|name| format!("check {name}: removed")));
        if self.links.delays != config.link_delays {
            plan.push("link delays: changed".to_owned());
        }
        if self.start_delay != config.start_delay {
            plan.push("start_delay: changed, for the next start".to_owned());
        }
        if self.paces != config.paces {
            plan.push("pauses of announcements: changed".to_owned());
        }
        if self.voting != config.claims {
            plan.push("who grants claims: changed".to_owned());
        }
        if *self.fixed.holding() != config.fixed {
            plan.push("what is static: changed".to_owned());
        }
        plan.extend(self.plan_groups(config));
        plan
    }

    fn plan_groups(&self, config: &Config) -> Vec<String> {
        let find =
            |groups: &[WantedGroup], name: &GroupName| groups.iter().find(|g| g.name == *name).cloned();
        let changed = |group: &WantedGroup| match find(&self.groups, &group.name) {
            None => Some(format!("group {}: added", group.name)),
            Some(old) if old != *group => Some(format!("group {}: changed", group.name)),
            Some(_) => None,
        };
        let gone = self.groups.iter().filter(|old| find(&config.groups, &old.name).is_none());
        let gone = gone.map(|old| format!("group {}: removed", old.name));
        config.groups.iter().filter_map(changed).chain(gone).collect()
    }

    pub(super) fn reload(
        &mut self,
        now: Time,
        (ticket, dry_run): (Option<Ticket>, bool),
        besides: Vec<String>,
        config: &Config,
        effects: &mut Vec<Effect>,
    ) {
        let mut lines = self.plan(config);
        let concerned = !lines.is_empty();
        lines.extend(besides);
        if !dry_run && !lines.is_empty() && !self.stopping {
            effects.push(Effect::Note(Note::Reloaded(lines.clone())));
            if concerned {
                effects.extend(self.adopt(now, config));
            }
        }
        if lines.is_empty() {
            lines.push("nothing changes".to_owned());
        }
        if let Some(ticket) = ticket {
            effects.push(Effect::Reply(ticket, Box::new(Response::Done { lines })));
        }
    }

    /// Makes `config` the one in force. Untouched routers and checks do not notice.
    pub(super) fn adopt(&mut self, now: Time, config: &Config) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.paces != config.paces {
            self.paces.clone_from(&config.paces);
            effects.push(Effect::Pace(config.paces.clone()));
        }
        self.start_delay = config.start_delay;
        effects.extend(self.fixed.adopt(&config.fixed));
        self.adopt_checks(now, config, &mut effects);
        self.links.delays.clone_from(&config.link_delays);
        let vips = config.routers.iter().flat_map(|router| router.vips.iter().chain(&router.excluded));
        self.vips = vips.map(|vip| vip.address).collect();
        let kept: Vec<Option<usize>> = config
            .routers
            .iter()
            .map(|wanted| self.matching(wanted).filter(|old| !self.restarts(*old, wanted)))
            .collect();
        for index in (0..self.routers.len()).filter(|index| !kept.contains(&Some(*index))) {
            self.dismiss(now, index, &mut effects);
            self.routers[index].lay_by(&mut self.keeping.absent);
        }
        let mut instances = self.unseat();
        let mut old: Vec<Option<Router>> = std::mem::take(&mut self.routers).into_iter().map(Some).collect();
        let mut retuned = Vec::new();
        self.routers.reserve_exact(config.routers.len());
        for (wanted, kept) in config.routers.iter().zip(kept) {
            let kept = kept.and_then(|index| old[index].take());
            retuned.push(kept.as_ref().is_some_and(|router| router.config != *wanted));
            let (next, absent) = (&mut self.next_id, &mut self.keeping.absent);
            self.routers.push(kept.unwrap_or_else(|| {
                let mut router = Router::new(wanted.clone(), || Self::next_id(next));
                router.recall(absent);
                router
            }));
        }
        self.groups.clone_from(&config.groups);
        self.signs = config.routers.iter().any(|router| matches!(router.auth, Auth::Hmac(_)));
        self.seat(now, config, &mut instances);
        for (index, wanted) in config.routers.iter().enumerate().filter(|(index, _)| retuned[*index]) {
            self.retune(now, index, wanted, &mut effects);
        }
        self.lapse_claims();
        self.adopt_claims(now, config.claims.as_ref(), &mut effects);
        self.relink(now, News::All, &mut effects);
        effects
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Config {
        let checks = self.check_order.iter().filter_map(|name| self.checks.get(name));
        Config {
            routers: self.routers.iter().map(|router| router.config.clone()).collect(),
            checks: checks.map(|check| check.config().clone()).collect(),
            groups: self.groups.clone(),
            start_delay: self.start_delay,
            link_delays: self.links.delays.clone(),
            fixed: self.fixed.holding().clone(),
            paces: self.paces.clone(),
            claims: self.voting.clone(),
        }
    }

    /// Takes every instance off its seat.
    fn unseat(&mut self) -> BTreeMap<InstanceId, Instance> {
        let mut instances = BTreeMap::new();
        for set in std::mem::take(&mut self.sets) {
            for (seat, instance) in set.seats.into_iter().zip(set.group.into_members()) {
                instances.insert(self.routers[seat.router].members[seat.member].id, instance);
            }
        }
        self.deadlines.clear();
        self.by_id.clear();
        self.by_vrid.clear();
        instances
    }

    /// Gives every instance a seat: one set for each group, and one for each router in none.
    fn seat(&mut self, now: Time, config: &Config, instances: &mut BTreeMap<InstanceId, Instance>) {
        let place = |name: &RouterName| config.routers.iter().position(|router| router.name == *name);
        let mut wanted: Vec<(Option<GroupName>, Vec<usize>)> = config
            .groups
            .iter()
            .map(|group| (Some(group.name.clone()), group.routers.iter().filter_map(place).collect()))
            .collect();
        let alone = |index: &usize| !wanted.iter().any(|(_, routers)| routers.contains(index));
        let alone: Vec<usize> = (0..self.routers.len()).filter(alone).collect();
        wanted.extend(alone.into_iter().map(|index| (None, vec![index])));
        self.sets.reserve_exact(wanted.len());
        for (name, routers) in wanted {
            // Exactly: most sets have one member, and a vector that grows takes room for four at first.
            let all = routers.iter().map(|index| self.routers[*index].members.len()).sum();
            let (mut seats, mut members) = (SmallVec::with_capacity(all), Vec::with_capacity(all));
            for index in routers {
                let router = &mut self.routers[index];
                router.set = self.sets.len();
                for (place, member) in router.members.iter_mut().enumerate() {
                    member.seat = members.len();
                    let fresh = || Instance::new(router.config.instance(member.family), now);
                    members.push(instances.remove(&member.id).unwrap_or_else(fresh));
                    let seat = Seat { router: index, member: place };
                    seats.push(seat);
                    self.by_id.insert(member.id, seat);
                    let key = (router.config.vrid, member.family);
                    self.by_vrid.entry(key).or_default().push(seat);
                }
            }
            let mut set = Set::new(name, Group::new(members), seats);
            set.group.stay_awake(now);
            set.office = self.office(&set);
            self.sets.push(set);
            let place = self.sets.len() - 1;
            self.sets[place].term = self.term(place);
            self.file(place);
        }
    }

    /// What a set's claim is for: its group or its router, by name, where a quorum is wanted.
    fn office(&self, set: &Set) -> Option<(Office, Quorum)> {
        let first = &self.routers[*set.routers.first()?].config;
        let name = set.name.as_ref().map_or(&first.name.0, |name| &name.0);
        Office::new(name).map(|office| (office, first.quorum)).filter(|(_, quorum)| *quorum != Quorum::Off)
    }

    fn restarts(&self, old: usize, wanted: &Wanted) -> bool {
        matches!(compare(&self.routers[old].config, wanted), Change::Restart(_))
    }

    fn adopt_checks(&mut self, now: Time, config: &Config, effects: &mut Vec<Effect>) {
        let mut old = std::mem::take(&mut self.checks);
        for check in &config.checks {
            let health = Self::adopt_check(now, old.remove(&check.name), check, effects);
            self.checks.insert(check.name.clone(), health);
        }
        let probed = old.into_iter().filter(|(_, check)| check.config().link.is_none());
        effects.extend(probed.map(|(name, _)| Effect::Unwatch(name)));
        self.check_order = config.checks.iter().map(|check| check.name.clone()).collect();
    }

    fn adopt_check(
        now: Time,
        old: Option<Health>,
        wanted: &health::Config,
        effects: &mut Vec<Effect>,
    ) -> Health {
        let probes_the_same = |old: &Health| old.config().fingerprint == wanted.fingerprint;
        let probed_before = old.as_ref().is_some_and(|old| old.config().link.is_none());
        if wanted.link.is_some() {
            effects.extend(probed_before.then(|| Effect::Unwatch(wanted.name.clone())));
        } else if !old.as_ref().is_some_and(probes_the_same) {
            let settled = wanted.rise.max(wanted.fall);
            effects.push(Effect::Watch { check: wanted.name.clone(), settled });
        }
        match old {
            // A changed probe keeps its standing until it has a result: a reload drops nothing.
            Some(mut health) => {
                health.retune(wanted.clone());
                health
            }
            None => Health::new(wanted.clone(), now),
        }
    }

    fn retune(&mut self, now: Time, index: usize, wanted: &Wanted, effects: &mut Vec<Effect>) {
        let old = std::mem::replace(&mut self.routers[index].config, wanted.clone());
        let families: Vec<_> = self.routers[index].members.iter().map(|member| member.family).collect();
        for (member, family) in families.into_iter().enumerate() {
            let event = Event::Retune(Box::new(wanted.instance(family)));
            self.pass_member(now, index, member, event, effects);
            let place = self.routers[index].members[member].seat;
            // What adverts do not tell of (prefix, label, excluded) the instance does not know.
            let holds = |router: &Wanted| router.holding(family, String::new());
            let changed = holds(&old) != holds(wanted) || old.quorum != wanted.quorum;
            // Who has given its claim away is about to leave, and puts nothing anew.
            let gave = self.gave_its_claim(self.routers[index].set);
            if changed && !gave && self.instance(index, member).holds() {
                for action in [Action::Hold, Action::Announce(wanted.announce.count)] {
                    self.act(now, self.routers[index].set, place, action, effects);
                }
            }
        }
    }

    /// A router leaves: farewell and release at once, for its successor is somebody else's to name.
    fn dismiss(&mut self, now: Time, index: usize, effects: &mut Vec<Effect>) {
        for member in 0..self.routers[index].members.len() {
            let event = Event::Shutdown { wait: std::time::Duration::ZERO };
            self.pass_member(now, index, member, event, effects);
        }
    }

    fn matching(&self, wanted: &Wanted) -> Option<usize> {
        self.routers.iter().position(|router| same(&router.config, wanted))
    }
}

fn same(a: &Wanted, b: &Wanted) -> bool {
    a.interface == b.interface && a.shares_number_with(b) && (a.name == b.name || a.hears_same_as(b))
}
