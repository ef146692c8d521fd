//! A process takes the place of another, of the same host and a moment later: a new version, mostly.
//!
//! The old one says what it is and holds, and sends an advert of each Master; nothing is given up. The new
//! one goes on as Master where its configuration still says so and less than an interval has passed since
//! that advert: no Backup can have missed more than one. Everybody else starts as ever.

use super::Agent;
use super::claim_relay::Part;
use super::config;
use super::effect::Effect;
use super::memory::Memory;
use super::router::Router;
use super::set::Seat;
use super::transition::RouterName;
use crate::health::{CheckName, Known};
use crate::time::Time;
use crate::vrrp::auth::Auth;
use crate::vrrp::instance::{Event, Instance, State};
use crate::vrrp::succession::Followers;
use crate::vrrp::why::Why;
use crate::vrrp::{Family, Version, Vrid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What one process hands to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// When every Master advertised last.
    at: Time,
    masters: Vec<Mastership>,
    /// Routers that the operator has taken out.
    drained: Vec<RouterName>,
    checks: Vec<(CheckName, Known)>,
    /// What would outlive any process.
    memory: Memory,
    /// Its part in the vote.
    #[serde(default)]
    part: Option<Part>,
}

/// One instance that was Master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mastership {
    interface: String,
    vrid: Vrid,
    family: Family,
    version: u8,
    since: Time,
    why: Why,
    /// They say so again in half a minute only: until then the next process would name nobody.
    #[serde(default)]
    followers: Followers,
}

impl Mastership {
    fn is_of(&self, router: &config::Router, family: Family) -> bool {
        self.interface == router.interface.to_string()
            && (self.vrid, self.family, self.version) == (router.vrid, family, number(router.version))
    }
}

const fn number(version: Version) -> u8 {
    match version {
        Version::V2 => 2,
        Version::V3 => 3,
    }
}

impl Agent {
    /// Hands over to the next process what this one is. Whoever is stopping has nothing to hand over.
    pub(super) fn replace(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.stopping {
            return;
        }
        let mut relay = Relay {
            at: now,
            masters: Vec::new(),
            drained: Vec::new(),
            checks: Vec::new(),
            memory: Memory::default(),
            part: None,
        };
        for set in 0..self.sets.len() {
            // Part of a group is as good as nothing: who is on the way out goes on with that.
            if self.sets[set].group.members().iter().all(Instance::is_master) {
                self.pass(now, set, &Event::Remind, effects);
                let seats = self.sets[set].seats.iter().zip(self.sets[set].group.members());
                relay.masters.extend(seats.map(|(seat, instance)| {
                    let Router { config, members, .. } = &self.routers[seat.router];
                    Mastership {
                        interface: config.interface.to_string(),
                        vrid: config.vrid,
                        family: instance.config().family,
                        version: number(config.version),
                        since: instance.since(),
                        why: instance.why().clone(),
                        followers: members[seat.member].followers.clone(),
                    }
                }));
            }
        }
        for router in &self.routers {
            if router.drained {
                relay.drained.push(router.config.name.clone());
            }
            if matches!(router.config.auth, Auth::Hmac(_) | Auth::Ah(_)) {
                router.lay_by(&mut relay.memory);
            }
        }
        relay.checks = self.checks.iter().map(|(name, check)| (name.clone(), check.known())).collect();
        relay.part = self.part(now);
        effects.push(Effect::Replace(Box::new(relay)));
    }

    /// Takes in what the process before this one was. What it was Master of is decided once the links are
    /// known.
    pub(super) fn expect(&mut self, now: Time, relay: Box<Relay>, effects: &mut Vec<Effect>) {
        self.remembered(relay.memory.clone());
        for router in &mut self.routers {
            router.drained |= relay.drained.contains(&router.config.name);
        }
        for (name, known) in &relay.checks {
            if let Some(check) = self.checks.get_mut(name) {
                check.recall(known.clone());
            }
        }
        if let Some(part) = &relay.part {
            self.play(now, relay.at, part, effects);
        }
        // The host has not just come up.
        self.start_at = None;
        self.relay = Some(relay);
    }

    /// Whether all of a set were Master in the process before this one, and none has done anything since.
    pub(super) fn was_master(&self, set: usize) -> bool {
        let set = &self.sets[set];
        let was = |relay: &Relay| {
            set.seats.iter().zip(set.group.members()).all(|(seat, instance)| {
                let router = &self.routers[seat.router];
                *instance.state() == State::Initialize
                    && !router.drained
                    && relay.of(&router.config, instance.config().family).is_some()
            })
        };
        self.relay.as_deref().is_some_and(was)
    }

    /// Goes on as the Master that the process before this one was. Later it would be a takeover: others
    /// may have missed too many adverts by then.
    pub(super) fn take_up(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let masters: Vec<usize> = (0..self.sets.len()).filter(|set| self.was_master(*set)).collect();
        let Some(relay) = self.relay.take() else { return };
        for set in masters {
            let members = self.sets[set].group.members();
            let shortest = members.iter().map(|member| member.config().interval.duration()).min();
            let in_time = relay.at <= now && shortest.is_some_and(|interval| now.since(relay.at) < interval);
            if in_time && self.resume_claim(now, set, relay.part.as_ref()) {
                self.go_on(now, set, &relay, effects);
            } else {
                self.settle_set(now, set, effects);
            }
        }
        effects.push(Effect::Sweep);
    }

    /// Nobody is told of it: nothing has changed.
    fn go_on(&mut self, now: Time, set: usize, relay: &Relay, effects: &mut Vec<Effect>) {
        for place in 0..self.sets[set].seats.len() {
            let Seat { router, member } = self.sets[set].seats[place];
            let family = self.sets[set].group.members()[place].config().family;
            let Some(Mastership { since, why, followers, .. }) =
                relay.of(&self.routers[router].config, family)
            else {
                continue;
            };
            self.routers[router].members[member].followers.clone_from(followers);
            let event = Event::Continue { since: *since, why: why.clone() };
            for (place, action) in self.sets[set].group.handle_member(now, place, event) {
                self.act(now, set, place, action, effects);
            }
        }
        self.file(set);
    }
}

impl Relay {
    /// Whether it was handed out within so long.
    #[must_use]
    pub fn is_of_the_last(&self, now: Time, span: Duration) -> bool {
        self.at <= now && now.since(self.at) <= span
    }

    fn of(&self, router: &config::Router, family: Family) -> Option<&Mastership> {
        self.masters.iter().find(|master| master.is_of(router, family))
    }
}
