//! Announcements that keep a distance: some switches drop what comes at once.
//!
//! Knows what waits and when the next may leave; the worker sends it. An address waits as often as the
//! largest announcement of it asked for, so a plan that is faster than its pauses fills no memory.

use crate::agent::config::Pace;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A frame to send.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Frame {
    pub(super) owner: u32,
    pub(super) interface: String,
    pub(super) address: IpAddr,
}

/// What shares one distance: the interfaces of one pace, or one of those that none names.
type Lane = (usize, Option<String>);

#[derive(Debug, Default)]
struct Line {
    free_at: Option<Instant>,
    waiting: VecDeque<Frame>,
}

#[derive(Debug, Default)]
pub(super) struct Pacer {
    paces: Vec<Pace>,
    lines: BTreeMap<Lane, Line>,
}

impl Pacer {
    /// From now on these. What waits is dropped: the next refresh makes up for it.
    pub(super) fn set(&mut self, paces: Vec<Pace>) {
        *self = Pacer { paces, lines: BTreeMap::new() };
    }

    /// Where frames of `interface` line up; `None` where they leave at once.
    pub(super) fn lane(&self, interface: &str) -> Option<Lane> {
        let named = |pace: &Pace| pace.interfaces.contains(interface);
        if let Some(place) = self.paces.iter().position(named) {
            return Some((place, None));
        }
        let place = self.paces.iter().position(|pace| pace.interfaces.is_empty())?;
        Some((place, Some(interface.to_owned())))
    }

    /// Lines up `count` rounds of these frames.
    pub(super) fn queue(&mut self, lane: Lane, frames: &[Frame], count: u8) {
        let Line { waiting: queue, .. } = self.lines.entry(lane).or_default();
        let mut waiting: BTreeMap<Frame, u8> = BTreeMap::new();
        for frame in &*queue {
            let times = waiting.entry(frame.clone()).or_default();
            *times = times.saturating_add(1);
        }
        for round in 0..count {
            let missing = |frame: &&Frame| waiting.get(*frame).copied().unwrap_or(0) <= round;
            queue.extend(frames.iter().filter(missing).cloned());
        }
    }

    /// When a frame may leave.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let waits = self.lines.values().filter(|line| !line.waiting.is_empty());
        waits.map(|line| line.free_at.unwrap_or(now)).min()
    }

    /// A frame that may leave now.
    pub(super) fn take(&mut self, now: Instant) -> Option<Frame> {
        let free = |line: &Line| line.free_at.is_none_or(|at| at <= now) && !line.waiting.is_empty();
        let ((place, _), line) = self.lines.iter_mut().find(|(_, line)| free(line))?;
        let frame = line.waiting.pop_front()?;
        let pause = self.paces.get(*place).map_or(Duration::ZERO, |pace| match frame.address {
            IpAddr::V4(_) => pace.arp,
            IpAddr::V6(_) => pace.na,
        });
        line.free_at = Some(now + pause);
        Some(frame)
    }

    /// What this owner gave up is announced no more.
    pub(super) fn forget(&mut self, owner: u32) {
        for line in self.lines.values_mut() {
            line.waiting.retain(|frame| frame.owner != owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(interfaces: &[&str], arp: u64, na: u64) -> Pace {
        Pace {
            interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
            arp: Duration::from_millis(arp),
            na: Duration::from_millis(na),
        }
    }

    fn frame(interface: &str, address: &str) -> Frame {
        Frame { owner: 1, interface: interface.to_owned(), address: address.parse().unwrap() }
    }

    fn with(distances: &[Pace]) -> Pacer {
        let mut pacer = Pacer::default();
        pacer.set(distances.to_vec());
        pacer
    }

    /// The milliseconds after `start` that everything left at.
    fn play(pacer: &mut Pacer, start: Instant) -> Vec<(u128, String)> {
        let mut left = Vec::new();
        let mut now = start;
        while let Some(at) = pacer.due(now) {
            now = at.max(now);
            while let Some(frame) = pacer.take(now) {
                left.push(((now - start).as_millis(), format!("{} {}", frame.interface, frame.address)));
            }
        }
        left
    }

    #[test]
    fn interfaces_of_one_pace_wait_for_each_other_and_others_do_not() {
        let mut pacer = with(&[pace(&["eth0", "eth1"], 10, 0), pace(&[], 20, 0)]);
        for (name, address) in
            [("eth0", "10.0.0.1"), ("eth1", "10.0.0.2"), ("eth2", "10.0.0.3"), ("eth3", "10.0.0.4")]
        {
            let lane = pacer.lane(name).unwrap();
            pacer.queue(lane, &[frame(name, address)], 2);
        }
        let mut left = play(&mut pacer, Instant::now());
        left.sort();
        let at = |name: &str| -> Vec<u128> {
            left.iter().filter(|(_, what)| what.starts_with(name)).map(|(at, _)| *at).collect()
        };
        assert_eq!((at("eth0"), at("eth1")), (vec![0, 10], vec![20, 30]));
        assert_eq!((at("eth2"), at("eth3")), (vec![0, 20], vec![0, 20]));
    }

    #[test]
    fn each_kind_of_frame_has_its_pause() {
        let mut pacer = with(&[pace(&[], 10, 3)]);
        let lane = pacer.lane("eth0").unwrap();
        let frames = ["10.0.0.1", "2001:db8::1", "10.0.0.2"].map(|address| frame("eth0", address));
        pacer.queue(lane, &frames, 1);
        let left: Vec<u128> = play(&mut pacer, Instant::now()).into_iter().map(|(at, _)| at).collect();
        assert_eq!(left, [0, 10, 13]);
    }

    #[test]
    fn a_plan_faster_than_its_pauses_fills_no_memory_and_starves_no_address() {
        let mut pacer = with(&[pace(&["eth0"], 10, 10)]);
        let frames = ["10.0.0.1", "10.0.0.2"].map(|address| frame("eth0", address));
        let now = Instant::now();
        for _ in 0..3 {
            let lane = pacer.lane("eth0").unwrap();
            pacer.queue(lane, &frames, 2);
        }
        let left: Vec<String> = play(&mut pacer, now).into_iter().map(|(_, what)| what).collect();
        assert_eq!(left, ["eth0 10.0.0.1", "eth0 10.0.0.2", "eth0 10.0.0.1", "eth0 10.0.0.2"]);
        assert_eq!(pacer.lane("eth1"), None);
    }

    #[test]
    fn what_is_given_up_is_not_sent() {
        let mut pacer = with(&[pace(&[], 10, 10)]);
        let lane = pacer.lane("eth0").unwrap();
        pacer.queue(lane, &[frame("eth0", "10.0.0.1")], 5);
        pacer.forget(1);
        assert_eq!(pacer.due(Instant::now()), None);
    }
}
