//! What must never happen, checked after every step of every node.
//!
//! Laws about the end of a run, and about how long a takeover took, are in `judge`: they need to
//! know what was done to the world.

use super::node::{Held, Node, Seat, seat_of};
use super::world::{Arrival, Packet};
use crate::agent::config::Router;
use crate::agent::{Effect, Input, InstanceId, Outgoing, Standing, Subject};
use crate::claim::quorum::Quorum;
use crate::time::Time;
use crate::vrrp::auth::Auth;
use crate::vrrp::{Family, Interval, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// A rule that holds in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// Addresses are held exactly while Master or Leaving.
    Holding,
    /// After healing there is exactly one Master, and with preemption it is the best.
    OneMaster,
    /// After one clean loss there is exactly one takeover, in the time RFC 9568 6.1 gives it.
    Takeover,
    /// Two nodes that have heard each other are not both Master.
    TwoMasters,
    /// After a tick the deadline lies in the future.
    Deadline,
    /// Loading an equal configuration has no effects.
    EqualReload,
    /// An invalid packet causes no answer and moves no deadline.
    InvalidPacket,
    /// What a hook is told to come from is what it was told last.
    Alternation,
    /// A Master says the configured interval and priority from its own address, once an interval.
    Rhythm,
    /// Every question is answered, and once.
    Answers,
    /// Only held addresses are announced.
    Announcing,
    /// Whoever stops gives everything up, and in time.
    Stopping,
    /// The routers of one group have one role.
    OneRole,
    /// The same seed gives the same run.
    Determinism,
    /// Where a quorum is required never two have an address.
    TwoHolders,
    /// As long as one of two networks is whole, nothing moves.
    SecondPath,
    /// Whoever fails too often as Master takes nothing back for a pause, and does after it.
    Damping,
    /// No bytes make anything panic.
    Panic,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Law::Holding => "addresses are held exactly while Master or Leaving",
            Law::OneMaster => "after healing there is exactly one Master, the best",
            Law::Takeover => "a clean loss causes exactly one takeover, in time",
            Law::TwoMasters => "nodes that have heard each other are not both Master",
            Law::Deadline => "after a tick the deadline lies in the future",
            Law::EqualReload => "loading an equal configuration has no effects",
            Law::InvalidPacket => "an invalid packet causes no answer and moves no deadline",
            Law::Alternation => "each transition begins where the last one ended",
            Law::Rhythm => "a Master advertises what it is configured to, once an interval",
            Law::Answers => "every question is answered once",
            Law::Announcing => "only held addresses are announced",
            Law::Stopping => "whoever stops gives everything up in time",
            Law::OneRole => "the routers of a group have one role",
            Law::Determinism => "the same seed gives the same run",
            Law::TwoHolders => "where a quorum is required never two have an address",
            Law::SecondPath => "while one of two networks is whole nothing moves",
            Law::Damping => "who fails too often takes nothing back for a pause, nor anybody from who has just come, and then it does",
            Law::Panic => "nothing panics",
        })
    }
}

/// A law that was broken, where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub law: Law,
    /// When.
    pub at: Time,
    /// By whom; empty for all together.
    pub node: String,
    /// How, in one line.
    pub text: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach { law, at, node, text } = self;
        write!(f, "{} {node}: {text} (law: {law})", super::trace::clock(*at))
    }
}

/// One call of an agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub node: usize,
    pub now: Time,
    pub packet: Option<Packet>,
    pub tick: bool,
    pub before: Option<Time>,
}

/// The laws and what they need to remember.
#[derive(Debug, Default)]
pub struct Laws {
    /// Leaves out the laws that two routers with contradicting configurations cannot keep.
    pub lenient: bool,
    /// Nothing is judged.
    pub suspended: bool,
    /// By how many thousandths clocks may differ.
    pub drift: u32,
    breaches: Vec<Breach>,
    /// Who heard whom, in which seat and family, since both are Master.
    /// The times are the first and the last of an unbroken row.
    heard: BTreeMap<(Seat, Family, usize, usize), (Time, Time)>,
    since: BTreeMap<(Seat, usize), Time>,
}

impl Laws {
    /// Whether none was broken so far.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.suspended || self.breaches.is_empty()
    }

    /// What was broken.
    #[must_use]
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    pub(super) fn broken(&mut self, law: Law, at: Time, node: &Node, text: String) {
        self.breaches.push(Breach { law, at, node: node.name.clone(), text });
    }

    pub(super) fn broken_by_all(&mut self, law: Law, at: Time, text: String) {
        self.breaches.push(Breach { law, at, node: "all".to_owned(), text });
    }

    /// Nothing that was heard by or from `node` counts any longer.
    pub(super) fn forget(&mut self, node: usize) {
        self.heard.retain(|(_, _, a, b), _| *a != node && *b != node);
        self.since.retain(|(_, other), _| *other != node);
    }

    /// Before a node handles an arrival: notes who hears whom while both are Master.
    pub(super) fn arriving(&mut self, nodes: &[Node], node: usize, now: Time, arrival: &Arrival) {
        let Arrival { input: Input::Datagram(datagram), packet: Some(packet) } = arrival else { return };
        let Packet { from: Some(from), sent, valid: true } = *packet else { return };
        let family = Family::of(datagram.source);
        let message = datagram.packet.get(super::wire::message_at(datagram)..).unwrap_or_default();
        let [_, vrid, priority, ..] = *message else { return };
        let seats = nodes[node].config.routers.iter().filter(|r| r.vrid.get() == vrid);
        let Some(seat) = seats.filter(|r| r.families().contains(&family)).find_map(seat_of) else { return };
        let both = nodes[from].leads(seat) && nodes[node].leads(seat);
        let since = |node| self.since.get(&(seat, node)).copied().unwrap_or(Time::ZERO);
        if priority > 0 && both && sent >= since(from) && sent >= since(node) {
            // By the shorter of their intervals: who hears nothing for two of its own begins to count anew.
            let routers = [from, node].into_iter().flat_map(|node| &nodes[node].config.routers);
            let intervals = routers.filter(|r| seat_of(r) == Some(seat)).map(|r| r.interval.duration());
            let pause = intervals.min().unwrap_or_default() * 2;
            let row = self.heard.entry((seat, family, from, node)).or_insert((now, now));
            // A row that losses have broken begins anew.
            *row = if now.since(row.1) > pause { (now, now) } else { (row.0, now) };
        }
    }

    /// After a node has handled an input, before its effects are carried out.
    pub(super) fn answered(&mut self, nodes: &[Node], step: &Step, after: Option<Time>, effects: &[Effect]) {
        let node = &nodes[step.node];
        if step.tick && after.is_some_and(|at| at <= step.now) {
            let text = format!("the deadline stayed in the past, at {after:?}");
            self.broken(Law::Deadline, step.now, node, text);
        }
        if step.packet.is_some_and(|packet| !packet.valid) {
            let silent = effects.iter().all(|effect| matches!(effect, Effect::Note(_)));
            if !silent || after != step.before {
                let text = format!("an invalid packet did {effects:?}, or moved a deadline");
                self.broken(Law::InvalidPacket, step.now, node, text);
            }
        }
    }

    /// After a node's effects were carried out.
    pub(super) fn settled(&mut self, nodes: &[Node], step: &Step) {
        let node = &nodes[step.node];
        if node.agent.is_none() {
            return;
        }
        for router in &node.config.routers {
            if let Some(text) = wrongly_held(node, router, step.now) {
                self.broken(Law::Holding, step.now, node, text);
            }
        }
        if self.lenient {
            return;
        }
        let met = self.heard.iter().find_map(|((seat, family, a, b), one)| {
            let other = self.heard.get(&(*seat, *family, *b, *a))?;
            // All but the first instance of a group leave ties to the first for a while.
            let router = node.config.routers.iter().find(|r| seat_of(r) == Some(*seat))?;
            let group = node.config.groups.iter().find(|group| group.routers.contains(&router.name));
            let leads = group.is_none_or(|group| group.routers.first() == Some(&router.name));
            // What is delivered may still be refused until the sequences agree.
            let sealed = matches!(router.auth, Auth::Ah(_) | Auth::Hmac(_));
            let first = leads && *family == seat.1 && !sealed;
            let patience = if first { Duration::ZERO } else { router.interval.duration() * 3 };
            let late = one.1.min(other.1).since(one.0.max(other.0)) >= patience;
            let ours = *a == step.node || *b == step.node;
            (ours && late && nodes[*a].leads(*seat) && nodes[*b].leads(*seat))
                .then_some((*seat, *family, *a, *b))
        });
        if let Some((seat, family, a, b)) = met {
            let (a, b) = (&nodes[a].name, &nodes[b].name);
            let text = format!("{a} and {b} heard each other by {family} and both stay Master of {}", seat.0);
            self.broken(Law::TwoMasters, step.now, node, text);
        }
        if let Some(since) = node.stopping.filter(|since| step.now.since(*since) > PATIENCE) {
            let text = format!("still not stopped after {:?}", step.now.since(since));
            self.broken(Law::Stopping, step.now, node, text);
        }
    }

    /// A hook was told so.
    pub(super) fn notified(
        &mut self,
        node: &Node,
        now: Time,
        subject: &Subject,
        from: Standing,
        to: Standing,
    ) {
        let last = node.told.get(subject).copied().unwrap_or(Standing::Stop);
        if from != last || from == to {
            let text =
                format!("a hook of {subject} was told {from} -> {to}, but {last} was the last it knew");
            self.broken(Law::Alternation, now, node, text);
        }
    }

    pub(super) fn announced(&mut self, node: &Node, now: Time, instance: InstanceId) {
        if !node.held.contains_key(&instance) {
            let text = format!("announced addresses of {instance:?} that it does not hold");
            self.broken(Law::Announcing, now, node, text);
        }
    }

    /// An advert leaves. Also notes that a farewell was said, and the rhythm.
    pub(super) fn sent(&mut self, nodes: &mut [Node], index: usize, now: Time, out: &Outgoing, seat: Seat) {
        let node = &mut nodes[index];
        let [first, _, priority, _, fifth, sixth, ..] = *super::wire::message(out) else { return };
        let Some(router) = node.config.routers.iter().find(|r| seat_of(r) == Some(seat)).cloned() else {
            return;
        };
        if !node.has_own(out.source) {
            let text = format!("sends from {}, which is not its own", out.source);
            self.broken(Law::Rhythm, now, node, text);
        }
        if priority == 0 {
            if let Some(held) = node.held.get_mut(&out.instance) {
                held.leaving.get_or_insert(now);
            }
            node.rhythm.remove(&out.instance);
            return;
        }
        let version = if router.version == Version::V2 { 2 } else { 3 };
        let centiseconds = router.interval.centiseconds();
        let interval = if version == 2 { u16::from(sixth) * 100 } else { u16::from_be_bytes([fifth, sixth]) };
        if first >> 4 != version || interval != centiseconds {
            let text = format!("says version {}, interval {interval} cs, not {centiseconds}", first >> 4);
            self.broken(Law::Rhythm, now, node, text);
        }
        if let Some(held) = node.held.get_mut(&out.instance) {
            held.leaving = None;
        } else if router.quorum != Quorum::Off && node.standing.get(&router.name) == Some(&Standing::Backup) {
            // Perhaps no Master's: a better one tells a Master of itself, before it has the claim.
            return;
        }
        let last = node.rhythm.insert(out.instance, now).filter(|_| now > node.retuned_until);
        let gap = last.map(|last| now.since(last));
        let interval = router.interval.duration();
        if let Some(gap) = gap.filter(|gap| *gap > interval + interval * self.drift / 1000 + JITTER) {
            let text = format!("was silent for {gap:?}, its interval is {}", router.interval);
            self.broken(Law::Rhythm, now, node, text);
        }
        // A changed priority begins a new argument.
        if node.said.insert(out.instance, priority).is_some_and(|last| last != priority) {
            self.moved(seat, index, now);
        }
    }

    /// A role or a priority changed: what was heard before does not count, nor what was sent before.
    pub(super) fn moved(&mut self, seat: Seat, node: usize, now: Time) {
        self.heard.retain(|(other, _, a, b), _| *other != seat || (*a != node && *b != node));
        self.since.insert((seat, node), now);
    }

    pub(super) fn stopped(&mut self, node: &Node, now: Time) {
        if !node.held.is_empty() || node.stopping.is_none() {
            self.broken(Law::Stopping, now, node, "stopped with addresses still held, or unasked".to_owned());
        }
    }

    /// At the end of a run: nobody may wait for an answer any longer.
    pub(super) fn unanswered(&mut self, nodes: &[Node], now: Time) {
        for node in nodes.iter().filter(|node| node.is_awake()) {
            if let Some((ticket, asked)) = node.tickets.first_key_value() {
                let text = format!("{ticket:?} was never answered, asked {:?} ago", now.since(*asked));
                self.broken(Law::Answers, now, node, text);
            }
        }
    }
}

/// The longest that a stopping process may take; see `agent::patience`.
const PATIENCE: Duration = Duration::from_secs(6);
/// What an exact clock may differ by.
const JITTER: Duration = Duration::from_micros(1);

/// What is wrong about the addresses that `node` holds for `router`.
fn wrongly_held(node: &Node, router: &Router, now: Time) -> Option<String> {
    let seat = seat_of(router)?;
    let name = &router.name;
    // A group waits for the successor of its slowest.
    let group = node.config.groups.iter().find(|group| group.routers.contains(name));
    let moves = |other: &&Router| group.is_some_and(|group| group.routers.contains(&other.name));
    let others = node.config.routers.iter().filter(moves);
    let slowest = others.map(|other| other.interval).fold(router.interval, Interval::max);
    let limit = slowest.duration() * 4 + PATIENCE;
    let held: Vec<&Held> = node.held.values().filter(|held| held.seat == seat).collect();
    match node.standing.get(name) {
        Some(Standing::Master) => {
            let addresses: BTreeSet<IpAddr> = held.iter().flat_map(|held| held.addresses.clone()).collect();
            let wanted: BTreeSet<IpAddr> =
                router.vips.iter().chain(&router.excluded).map(|vip| vip.address).collect();
            // On its way out it keeps what it had, whatever is configured meanwhile.
            let soon = |held: &&Held| held.leaving.is_some_and(|since| now.since(since) <= limit);
            if !held.is_empty() && held.iter().all(soon) {
                return None;
            }
            (addresses != wanted).then(|| format!("{name} is Master and holds {addresses:?}, not {wanted:?}"))
        }
        // The last family of a router on its way out may still wait for its successor.
        other => held.iter().find_map(|held| {
            let late = held.leaving.is_none_or(|since| now.since(since) > limit);
            late.then(|| format!("{name} is {other:?} and holds {:?}", held.addresses))
        }),
    }
}
