//! Who is due next, and when: one deadline for each set, the earliest always at hand.
//!
//! A heap that knows each set's place in it, so that an advert, which puts off a deadline, moves one
//! entry and leaves nothing stale behind. Nothing is allocated but for a new set.

use super::Agent;
use crate::time::{Time, first};
use crate::vrrp::instance::Wait;

/// Not in the heap.
const NOWHERE: usize = usize::MAX;

impl Agent {
    /// When to tick at the latest.
    #[must_use]
    pub fn due_at(&self) -> Option<Time> {
        let own = self.deadlines.first().map(|(at, _)| at);
        if self.stopping {
            return own;
        }
        first([own, self.retry_at, self.links.deadline(), self.start_at, self.judge_at])
    }

    /// The same, and what for.
    #[must_use]
    pub fn deadline(&self) -> Option<(Time, Wait)> {
        let at = self.due_at()?;
        let set = self.deadlines.first().filter(|(first, _)| *first == at);
        let Some((_, set)) = set else { return Some((at, Wait::Heal)) };
        if self.ask_deadline(set) == Some(at) {
            return Some((at, Wait::Ask));
        }
        Some((at, self.sets[set].group.deadline().map_or(Wait::Heal, |(_, wait)| wait)))
    }
}

/// The deadlines of sets, by their place in the agent's list.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// No entry is later than those at twice its place and one or two more.
    heap: Vec<(Time, usize)>,
    /// The place of each set in the heap, or [`NOWHERE`].
    places: Vec<usize>,
}

impl Deadlines {
    pub fn clear(&mut self) {
        self.heap.clear();
        self.places.clear();
    }

    /// The earliest, and whose it is.
    pub fn first(&self) -> Option<(Time, usize)> {
        self.heap.first().copied()
    }

    /// Gives `set` this deadline and no other.
    pub fn file(&mut self, set: usize, at: Option<Time>) {
        if self.places.len() <= set {
            self.places.resize(set + 1, NOWHERE);
        }
        let place = self.places[set];
        match (at, self.heap.get_mut(place)) {
            (Some(at), Some(entry)) => {
                entry.0 = at;
                self.mend(place);
            }
            (Some(at), None) => {
                self.places[set] = self.heap.len();
                self.heap.push((at, set));
                self.mend(self.heap.len() - 1);
            }
            (None, Some(_)) => {
                self.heap.swap_remove(place);
                self.places[set] = NOWHERE;
                if let Some((_, moved)) = self.heap.get(place) {
                    self.places[*moved] = place;
                    self.mend(place);
                }
            }
            (None, None) => {}
        }
    }

    /// Moves the one entry that may stand wrong to where it belongs.
    fn mend(&mut self, mut place: usize) {
        while place > 0 && self.heap[place] < self.heap[(place - 1) / 2] {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        loop {
            let below = 2 * place + 1..(2 * place + 3).min(self.heap.len());
            let Some(least) = below.min_by_key(|below| self.heap[*below]) else { return };
            if self.heap[place] <= self.heap[least] {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[self.heap[a].1] = a;
        self.places[self.heap[b].1] = b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn the_first_is_always_the_earliest(
            filed in prop::collection::vec((0..12_usize, prop::option::of(0..50_u64)), 1..200),
        ) {
            let mut deadlines = Deadlines::default();
            let mut known = BTreeMap::new();
            for (set, at) in filed {
                let at = at.map(Time::from_nanos);
                deadlines.file(set, at);
                match at {
                    Some(at) => known.insert(set, at),
                    None => known.remove(&set),
                };
                let earliest = known.iter().map(|(set, at)| (*at, *set)).min();
                prop_assert_eq!(deadlines.first(), earliest);
                prop_assert_eq!(deadlines.heap.len(), known.len());
            }
        }
    }
}
