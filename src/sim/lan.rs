//! The one LAN between the nodes: what gets through, when, and how often.

use super::rng::Rng;
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A LAN and what is wrong with it at the moment.
#[derive(Clone, Debug)]
pub struct Lan {
    /// The shortest and longest one-way delay.
    pub delay: (Duration, Duration),
    /// No packet overtakes another one from the same sender to the same receiver.
    pub ordered: bool,
    /// Lost packets in a thousand.
    pub loss: u64,
    /// Doubled packets in a thousand.
    pub twins: u64,
    /// Packets in a thousand that arrive with one bit flipped.
    pub flips: u64,
    /// Directions nothing passes in.
    pub blocked: BTreeSet<(usize, usize)>,
    /// The side each node is on; nothing passes between sides. Empty where all hear all.
    pub sides: Vec<usize>,
    /// The next packets in a direction that are lost.
    pub swallow: BTreeMap<(usize, usize), u32>,
    /// Directions nothing passes in until then.
    pub deaf_until: BTreeMap<(usize, usize), Time>,
    /// Directions with an extra delay for packets sent until then.
    pub slow_until: BTreeMap<(usize, usize), (Time, Duration)>,
    /// Of the same farewell sent twice at once only one passes, and nobody is named to be next: for comparing with
    /// a reference that sends one and names nobody.
    pub one_farewell: bool,
    latest: BTreeMap<(usize, usize), Time>,
}

/// One arrival of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub after: Duration,
    pub flipped: bool,
}

impl Lan {
    /// A LAN without faults and with a fixed delay.
    #[must_use]
    pub fn clean(delay: Duration) -> Self {
        Lan {
            delay: (delay, delay),
            ordered: false,
            loss: 0,
            twins: 0,
            flips: 0,
            blocked: BTreeSet::new(),
            sides: Vec::new(),
            swallow: BTreeMap::new(),
            deaf_until: BTreeMap::new(),
            slow_until: BTreeMap::new(),
            one_farewell: false,
            latest: BTreeMap::new(),
        }
    }

    /// The arrivals at node `to` of one packet that node `from` sends at `now`.
    pub(super) fn carry(&mut self, rng: &mut Rng, now: Time, from: usize, to: usize) -> Vec<Copy> {
        if let Some(left) = self.swallow.get_mut(&(from, to)).filter(|left| **left > 0) {
            *left -= 1;
            return Vec::new();
        }
        let apart = self.sides.get(from) != self.sides.get(to);
        let deaf = self.deaf_until.get(&(from, to)).is_some_and(|until| now < *until);
        if apart || deaf || self.blocked.contains(&(from, to)) || rng.chance(self.loss) {
            return Vec::new();
        }
        let slow = self.slow_until.get(&(from, to)).filter(|(until, _)| now < *until);
        let extra = slow.map_or(Duration::ZERO, |(_, extra)| *extra);
        let copies = if rng.chance(self.twins) { 2 } else { 1 };
        (0..copies).map(|_| self.copy(rng, now + extra, (from, to), now)).collect()
    }

    fn copy(&mut self, rng: &mut Rng, leaves: Time, way: (usize, usize), now: Time) -> Copy {
        let soonest = leaves + self.delay(rng);
        let latest = self.latest.entry(way).or_default();
        let at = if self.ordered { soonest.max(*latest) } else { soonest };
        *latest = at.max(*latest);
        Copy { after: at.since(now), flipped: rng.chance(self.flips) }
    }

    fn delay(&self, rng: &mut Rng) -> Duration {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.between(nanos(self.delay.0), nanos(self.delay.1)))
    }
}
