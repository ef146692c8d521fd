//! Before a takeover from silence: whether anybody answers for the address still (RFC 5227, RFC 4862).
//!
//! Whoever was not heard to go, and of whom no majority says that it is gone, may hold the address yet: its daemon is
//! dead, or its adverts are lost. The neighbours are asked shortly before the Master counts as gone, so that it costs
//! no time. An answer is told of and puts nothing off: a switch may answer for whom it knew (RFC 9161), a kernel for
//! a daemon that is dead, and anybody could keep a Backup from ever taking over.

use super::Agent;
use super::effect::{Effect, Inquiry};
use super::rivals::{Rival, Sighting};
use crate::time::Time;
use crate::vrrp::instance::{Instance, State, Wait};
use crate::vrrp::why::Why;
use std::time::Duration;

/// The most and the least time from the question to the takeover: a tenth of an interval in between, and never more
/// than one. Neighbours on one network answer within a millisecond; the sockets take longer.
const LONGEST: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_millis(50);

impl Agent {
    /// When a set is to ask, and when it takes over.
    fn asks_at(&self, set: usize) -> Option<(Time, Time)> {
        let Some((at, Wait::TakeOver)) = self.sets[set].group.deadline() else { return None };
        if self.sets[set].office.is_some() || self.sets[set].asked == Some(at) {
            return None;
        }
        let silent = |member: &Instance| match member.state() {
            State::Backup { down_at, cause: Why::Silence, .. } => *down_at == at,
            _ => false,
        };
        let last = self.sets[set].group.members().iter().find(|member| silent(member))?;
        let interval = last.config().interval.duration();
        Some((at - (interval / 10).clamp(SHORTEST, LONGEST).min(interval), at))
    }

    /// When a set has something to ask.
    pub(super) fn ask_deadline(&self, set: usize) -> Option<Time> {
        self.asks_at(set).map(|(asks, _)| asks)
    }

    /// Asks for one address of each member, where that is due.
    pub(super) fn ask_ahead(&mut self, now: Time, set: usize, effects: &mut Vec<Effect>) {
        let Some((_, at)) = self.asks_at(set).filter(|(asks, _)| *asks <= now) else { return };
        self.sets[set].asked = Some(at);
        if at <= now {
            return;
        }
        for seat in &self.sets[set].seats {
            let router = &self.routers[seat.router];
            let member = &router.members[seat.member];
            let mut own = router.config.held_by(member.family).filter(|vip| vip.dev.is_none());
            let link = router.link.as_ref().and_then(|name| self.links.known().get(&**name));
            if let (Some(vip), Some(link)) = (own.next(), link)
                && let Some(mac) = link.mac
            {
                let (instance, index, address) = (member.id, link.index, vip.address);
                effects.push(Effect::AskAhead(Inquiry {
                    instance,
                    index,
                    mac,
                    address,
                    within: at.since(now),
                }));
            }
        }
    }

    /// Somebody has answered a Backup.
    pub(super) fn answered_ahead(&mut self, now: Time, (index, member): (usize, usize), sighting: Sighting) {
        if matches!(self.instance(index, member).state(), State::Backup { .. }) {
            self.routers[index].members[member].answered = Some(Box::new((now, sighting)));
        }
    }

    /// It has taken over from a Master that was not heard to go: whoever has answered a moment ago is another holder.
    pub(super) fn tell_answered(
        &mut self,
        now: Time,
        (index, member): (usize, usize),
        effects: &mut Vec<Effect>,
    ) {
        let answered = self.routers[index].members[member].answered.take().map(|answered| *answered);
        if let Some((_, Sighting { address, mac, .. })) = answered.filter(|(at, _)| now.since(*at) <= LONGEST)
        {
            self.rivalled(now, index, Rival::Holder { address, mac }, effects);
        }
    }
}
