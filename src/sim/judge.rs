//! Laws about the end of a phase: who is Master after healing, and how a clean takeover went.

use super::laws::Law;
use super::networks::Network;
use super::node::{Node, Seat, seat_of};
use super::world::{Change, World};
use crate::agent::config::Router;
use crate::agent::damping::Damping;
use crate::agent::{Request, RouterName, Standing};
use crate::health::{CheckName, OnFail};
use crate::time::Time;
use crate::vrrp::auth::Auth;
use crate::vrrp::config::LONE_WAIT;
use crate::vrrp::{Family, Interval, Priority, Version};
use std::collections::BTreeSet;
use std::time::Duration;

/// How a Master is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The process vanishes.
    Crash,
    /// Its links go down.
    LinkDown,
    /// The link of the first of two networks goes down.
    FirstLinkDown,
    /// It is told to stop.
    Stop,
    /// An operator moves the addresses.
    Handover,
}

impl Loss {
    pub const ALL: &[Loss] = &[Loss::Crash, Loss::LinkDown, Loss::Stop, Loss::Handover];
    const BY_TWO: &[Loss] =
        &[Loss::Crash, Loss::LinkDown, Loss::FirstLinkDown, Loss::FirstLinkDown, Loss::Stop, Loss::Handover];

    /// Those of them whose moment can be told in advance: a carrier may be waited out, or ignored.
    pub fn fit(world: &World) -> &'static [Loss] {
        let waits = |node: &Node| !node.config.link_delays.is_empty();
        let ignores = |node: &Node| node.config.routers.iter().any(|router| router.ignore_link);
        let carrier = !world.nodes.iter().any(|node| waits(node) || ignores(node));
        match carrier {
            true if world.second.is_some() => Loss::BY_TWO,
            true => Loss::ALL,
            false => &[Loss::Crash, Loss::Stop, Loss::Handover],
        }
    }

    /// Whether the Master leaves in order.
    const fn is_planned(self) -> bool {
        matches!(self, Loss::Stop | Loss::Handover)
    }

    /// Whether the others hear its farewell.
    fn is_told(self, world: &World) -> bool {
        let by_second = self == Loss::FirstLinkDown && !world.is_severed(Network::Second);
        self.is_planned() || by_second
    }
}

/// Every seat that a node takes.
pub(super) fn seats(world: &World) -> BTreeSet<Seat> {
    world.nodes.iter().flat_map(|node| node.config.routers.iter().filter_map(seat_of)).collect()
}

pub(super) fn router(node: &Node, seat: Seat) -> Option<&Router> {
    node.config.routers.iter().find(|router| seat_of(router) == Some(seat))
}

/// The routers that move with `seat`: itself, or its whole group.
fn role(node: &Node, seat: Seat) -> Vec<&Router> {
    let Some(own) = router(node, seat) else { return Vec::new() };
    let group = node.config.groups.iter().find(|group| group.routers.contains(&own.name));
    let names = group.map_or_else(|| vec![own.name.clone()], |group| group.routers.clone());
    node.config.routers.iter().filter(|router| names.contains(&router.name)).collect()
}

/// The longest down interval among all routers.
pub(super) fn longest_down(world: &World) -> Duration {
    let least = Priority::new(1).unwrap_or(Priority::DEFAULT);
    let routers = world.nodes.iter().flat_map(|node| &node.config.routers);
    let longest = routers.map(|r| down(r, r.interval, least) + r.manner.preempt_delay).max();
    let delays = world.nodes.iter().map(|node| node.config.start_delay).max();
    longest.unwrap_or_default() + delays.unwrap_or_default()
}

/// The longest time for which any Master keeps what it has.
pub(super) fn longest_hold(world: &World) -> Duration {
    let routers = world.nodes.iter().flat_map(|node| &node.config.routers);
    routers.filter_map(|router| Some(router.damping?.hold)).max().unwrap_or_default()
}

/// How long a Master may be silent before `router` with this priority takes over.
fn down(router: &Router, interval: Interval, priority: Priority) -> Duration {
    interval.down_after(router.manner.down_adverts, router.version, priority)
}

/// The priority while every check passes.
fn priority(router: &Router) -> Priority {
    let added = router.tracks.iter().map(|track| match track.on_fail {
        OnFail::Weight(weight) => weight.max(0),
        OnFail::Fault | OnFail::Times(_) => 0,
    });
    router.priority.adjusted(added.sum())
}

/// Law: exactly one Master in each seat, of the best priority where all preempt.
pub(super) fn one_master(world: &mut World) {
    for seat in seats(world) {
        let candidates: Vec<_> =
            world.nodes.iter().filter_map(|node| Some((node, router(node, seat)?))).collect();
        let masters: Vec<_> = candidates.iter().filter(|(node, _)| node.is_master(seat)).collect();
        let names: Vec<_> = masters.iter().map(|(node, _)| node.name.clone()).collect();
        let best = candidates.iter().map(|(_, router)| priority(router)).max();
        let preempts = |r: &&Router| r.preempt || r.priority.is_owner();
        let all_preempt = candidates.iter().all(|(node, _)| role(node, seat).iter().all(preempts));
        let text = match masters[..] {
            [(_, router)] if !all_preempt || Some(priority(router)) == best => continue,
            [(_, router)] => {
                format!("{names:?} with priority {} leads {}, not the best", priority(router), seat.0)
            }
            _ => format!("the Masters of {} are {names:?}", seat.0),
        };
        world.laws.broken_by_all(Law::OneMaster, world.now, text);
    }
}

/// Law: the routers of a group are all Master, or none.
pub(super) fn one_role(world: &mut World) {
    let leads = |node: &Node, name: &RouterName| node.standing.get(name) == Some(&Standing::Master);
    for node in &world.nodes {
        for group in &node.config.groups {
            let masters = group.routers.iter().filter(|name| leads(node, name)).count();
            if masters != 0 && masters != group.routers.len() {
                let text =
                    format!("{masters} of {} routers of {} are Master", group.routers.len(), group.name);
                world.laws.broken(Law::OneRole, world.now, node, text);
            }
        }
    }
}

/// Whether every router has a second path.
pub(super) fn is_joined_twice(world: &World) -> bool {
    let mut routers = world.nodes.iter().flat_map(|node| &node.config.routers);
    world.second.is_some() && routers.all(|router| router.second_path.is_some())
}

/// Law: one of two networks is cut, and nothing moves. It stays so.
pub(super) fn one_network(world: &mut World) {
    let cut = world.any_network();
    world.sever(cut);
    still(world, longest_down(world) * 2, Law::SecondPath);
}

/// Law: a Master fails, and takes nothing back from one that has only just come; it fails as often as is too often, and
/// takes nothing back for a pause; then it does, or nobody waits for that.
pub(super) fn flapping(world: &mut World) {
    let Some((node, seat, damping)) = flapper(world) else { return };
    let Damping { pause, hold, .. } = damping;
    let down = longest_down(world);
    for _ in 1..damping.failures {
        fail(world, node, down);
        let heard = world.now;
        takes_nothing_back(world, (node, seat), heard, hold);
        world.run_for(hold / 25 + down * 3);
    }
    let failed = world.now;
    fail(world, node, down);
    takes_nothing_back(world, (node, seat), failed, pause);
    if world.laws.are_kept() && world.rng.chance(500) {
        world.run_for(pause / 25 + down * 3);
        if !world.nodes[node].is_master(seat) {
            let text = format!("did not take {} back after {pause:?}", seat.0);
            world.laws.broken(Law::Damping, world.now, &world.nodes[node], text);
        }
    }
}

/// Waits for nearly so long since then: its clock may be too fast.
fn takes_nothing_back(world: &mut World, (node, seat): (usize, Seat), since: Time, span: Duration) {
    let before = world.changes.len();
    world.run_until(since + span * 49 / 50);
    let back = |change: &Change| change.node == node && change.seat == seat && change.to == Standing::Master;
    if world.changes[before..].iter().any(back) {
        let text = format!("took {} back within {span:?}", seat.0);
        world.laws.broken(Law::Damping, world.now, &world.nodes[node], text);
    }
}

fn fail(world: &mut World, node: usize, down: Duration) {
    world.set_link(node, false);
    world.run_for(down * 2);
    world.set_link(node, true);
}

/// A Master with damping that has to take back whatever it loses, if it may.
fn flapper(world: &World) -> Option<(usize, Seat, Damping)> {
    let all: Vec<Seat> = seats(world).into_iter().collect();
    let preempts = |node: &Node, seat| role(node, seat).iter().all(|router| router.preempt);
    let all_preempt = all.iter().all(|seat| world.nodes.iter().all(|node| preempts(node, *seat)));
    let fit = all_preempt && Loss::fit(world).contains(&Loss::LinkDown);
    let of = |seat: Seat| {
        let at = world.nodes.iter().position(|node| node.is_master(seat))?;
        let own = router(&world.nodes[at], seat)?;
        let others = world.nodes.iter().enumerate().filter(|(other, _)| *other != at);
        // Where intervals differ, who comes back may not wait long enough to hear the Master.
        let below = |r: &Router| priority(r) < priority(own) && r.interval == own.interval;
        let best = others.filter_map(|(_, other)| router(other, seat)).all(below);
        let damping = own.damping.filter(|_| best && !own.priority.is_owner())?;
        Some((at, seat, damping))
    };
    all.iter().filter(|_| fit).find_map(|seat| of(*seat))
}

/// Law: nothing moves any longer.
pub(super) fn still(world: &mut World, span: Duration, law: Law) {
    let before = world.changes.len();
    world.run_for(span);
    if let Some(change) = world.changes.get(before).cloned() {
        let name = &world.nodes[change.node].name;
        let text = format!("{name} went {} -> {} in quiet times: {}", change.from, change.to, change.why);
        world.laws.broken_by_all(law, change.at, text);
    }
}

/// Law: the Master of one seat is lost, and there is exactly one takeover, by the best of the
/// rest, at the moment the RFC's arithmetic gives. Returns who was lost, and how long it took.
pub(super) fn clean_loss(world: &mut World, means: Loss) -> Option<(usize, Vec<Duration>)> {
    let all: Vec<Seat> = seats(world).into_iter().collect();
    let seat = all[world.rng.below(all.len())];
    let lost = world.nodes.iter().position(|node| node.is_master(seat))?;
    let led: Vec<Seat> = all.into_iter().filter(|seat| world.nodes[lost].is_master(*seat)).collect();
    let plans: Vec<Plan> = led.iter().filter_map(|seat| Plan::make(world, *seat, lost, means)).collect();
    let before = world.changes.len();
    lose(world, lost, means);
    world.run_for(longest_down(world) * 2);
    let mut took = Vec::new();
    for plan in plans {
        match plan.judge(world, before) {
            Ok(span) => took.push(span),
            Err(text) => world.laws.broken_by_all(Law::Takeover, world.now, format!("{means:?}: {text}")),
        }
    }
    Some((lost, took))
}

/// Law: a Master under a quorum dies with all its host has, or only its process, and another has the addresses
/// once the claim of the first and its own down interval are over; after its skew, where a guardian has given the
/// claim back. Returns how long each took.
pub(super) fn loss_under_a_quorum(world: &mut World) -> Vec<Duration> {
    let swept = world.rng.chance(500);
    let all: Vec<Seat> = seats(world).into_iter().collect();
    let seat = all[world.rng.below(all.len())];
    let Some(lost) = world.nodes.iter().position(|node| node.is_master(seat)) else { return Vec::new() };
    let led: Vec<Seat> = all.into_iter().filter(|seat| world.nodes[lost].is_master(*seat)).collect();
    let (at, before) = (world.now, world.changes.len());
    let gives_back = swept && world.nodes[lost].wills.values().any(|will| !will.pleas.is_empty());
    world.crash(lost, swept);
    world.run_for(longest_down(world) * 2);
    let mut took = Vec::new();
    for seat in led {
        let least = Priority::new(1).unwrap_or(Priority::DEFAULT);
        let over = |node: &Node| {
            let claim = |interval| node.config.claims.as_ref().map(|claims| claims.ttl(interval).grant());
            let each = role(node, seat).into_iter().map(move |router| {
                if gives_back {
                    // No skew is longer.
                    return router.interval.max(Interval::SECOND).duration();
                }
                let claim = claim(router.interval.duration()).unwrap_or_default();
                down(router, router.interval, least).max(claim)
            });
            each.max()
        };
        let over = world.nodes.iter().filter_map(over).max();
        // Asked for twice, should the votes have been split, and on a clock that is slow.
        let bound = (over.unwrap_or_default() + Duration::from_millis(500)) * 51 / 50;
        let taken = |change: &&Change| change.seat == seat && change.to == Standing::Master;
        match world.changes[before..].iter().find(taken).map(|change| change.at.since(at)) {
            Some(span) if span <= bound => took.push(span),
            other => {
                let text = format!("{} was taken after {other:?}, and not within {bound:?}", seat.0);
                world.laws.broken_by_all(Law::Takeover, world.now, text);
            }
        }
    }
    took
}

fn lose(world: &mut World, node: usize, means: Loss) {
    match means {
        Loss::Crash => world.crash(node, true),
        Loss::LinkDown => world.set_link(node, false),
        Loss::FirstLinkDown => world.set_links(node, &[Network::First], false),
        Loss::Stop => world.stop(node, false),
        Loss::Handover => world.ask(node, Request::Handover { router: None }),
    }
}

/// Mends what [`clean_loss`] did.
pub(super) fn mend(world: &mut World, node: usize, means: Loss) {
    match means {
        Loss::Crash | Loss::Stop => world.start(node),
        Loss::LinkDown | Loss::FirstLinkDown => world.set_link(node, true),
        Loss::Handover => world.ask(node, Request::Resume { router: None }),
    }
    world.nodes[node].failing.remove(&CheckName("web".into()));
}

/// What the RFC's arithmetic says about one takeover.
struct Plan {
    seat: Seat,
    lost: usize,
    planned: bool,
    /// Whom the Master names, in one family at least.
    named: BTreeSet<usize>,
    /// Whether the nodes have different intervals.
    uneven: bool,
    /// Whether the takeover may come early: in a group of which only a part preempts, that part
    /// has long been ready.
    early: bool,
    /// When it happened.
    at: Time,
    /// Who comes next and when, soonest first, but for the delay of the LAN.
    queue: Vec<(Time, usize)>,
}

impl Plan {
    fn make(world: &World, seat: Seat, lost: usize, means: Loss) -> Option<Self> {
        let theirs = router(&world.nodes[lost], seat)?.interval;
        let due = |node: &Node| {
            let each = role(node, seat).into_iter().filter_map(|router| due(world, router, lost, means));
            each.max()
        };
        let others = world.nodes.iter().enumerate().filter(|(node, _)| *node != lost);
        let mut queue: Vec<_> = others.filter_map(|(place, node)| Some((due(node)?, place))).collect();
        queue.sort_unstable();
        let uneven = world.nodes.iter().filter_map(|n| router(n, seat)).any(|r| r.interval != theirs);
        let roles = || world.nodes.iter().flat_map(|node| role(node, seat));
        // Who comes back with headers has heard nobody's sequence, where it is an owner or another member made
        // its rival yield: until its own has grown, that member is followed by nobody.
        let deaf = |r: &Router| matches!(r.auth, Auth::Ah(_));
        let grouped = world.nodes.iter().any(|node| role(node, seat).len() > 1);
        let early =
            (roles().any(|r| r.preempt) && roles().any(|r| !r.preempt)) || (grouped && roles().any(deaf));
        let (planned, at) = (means.is_planned(), world.now);
        let named = if means.is_told(world) { named(world, seat, lost) } else { BTreeSet::new() };
        (!queue.is_empty()).then_some(Plan { seat, lost, planned, named, uneven, early, at, queue })
    }

    fn judge(&self, world: &World, before: usize) -> Result<Duration, String> {
        let changes = || world.changes[before..].iter().filter(|change| change.seat == self.seat);
        let takeovers: Vec<_> = changes().filter(|change| change.to == Standing::Master).collect();
        let vrid = self.seat.0;
        let Some(first) = takeovers.first() else {
            return Err(format!("nobody took over {vrid}"));
        };
        let (least, most) = world.lan.delay;
        let due = self.queue[0].0;
        // Who was named does not wait its skew, unless it has other things to do.
        let soonest = if self.named.is_empty() { due } else { self.at + LONE_WAIT };
        let (earliest, latest) = (soonest + least, due + most);
        if (first.at < earliest || first.at > latest) && !self.early {
            let (took, should) = (first.at.since(self.at), latest.since(self.at));
            return Err(format!("{vrid} was taken over after {took:?}, not {should:?}"));
        }
        // Whoever follows within the LAN's delays cannot know yet.
        let near = self.queue.iter().filter(|(at, _)| *at <= due + most * 2).count();
        // Where intervals differ, whoever comes next may have learned one that is too short
        // (RFC 9568 5.2.7): with several at once they may argue for a while.
        // A better one that the Master did not know takes it from whom it has named.
        let better = usize::from(self.named.iter().any(|named| *named != self.queue[0].1));
        if takeovers.len() > near + better && !(near > 1 && self.uneven) && !self.early {
            let names: Vec<_> = takeovers.iter().map(|change| &world.nodes[change.node].name).collect();
            return Err(format!("{vrid} was taken over {} times, by {names:?}", takeovers.len()));
        }
        if near == 1 && !self.early && better == 0 && first.node != self.queue[0].1 {
            return Err(format!("{vrid} was taken over by {}, not the best", world.nodes[first.node].name));
        }
        let masters = world.nodes.iter().filter(|node| node.is_master(self.seat)).count();
        if masters != 1 {
            return Err(format!("{vrid} has {masters} Masters after its takeover"));
        }
        let left = changes().find(|change| change.node == self.lost && change.from == Standing::Master);
        if self.planned && left.is_some_and(|left| left.at < first.at) {
            return Err(format!("nobody held the addresses of {vrid} for a while, though it was planned"));
        }
        Ok(first.at.since(self.at))
    }
}

/// Whom the Master names, for each of the routers that move together and in each family.
fn named(world: &World, seat: Seat, lost: usize) -> BTreeSet<usize> {
    let Some(agent) = &world.nodes[lost].agent else { return BTreeSet::new() };
    let now = world.agent_time(lost);
    let roles = role(&world.nodes[lost], seat);
    let named = roles.iter().flat_map(|router| agent.successors(now, &router.name));
    named.filter_map(|next| world.nodes.iter().position(|node| node.has_address(next))).collect()
}

/// When `router` takes over from `lost`, but for the delay of the LAN: RFC 9568 6.1 and 6.4.2.
fn due(world: &World, router: &Router, lost: usize, means: Loss) -> Option<Time> {
    let seat = seat_of(router)?;
    let theirs = self::router(&world.nodes[lost], seat)?.interval;
    let latest = |family| {
        let mut adverts = world.sent.iter().rev();
        adverts.find(|s| s.node == lost && s.seat == seat && s.family == family).map(|s| s.at)
    };
    let interval = if router.version == Version::V3 { theirs } else { router.interval };
    if means.is_told(world) {
        // Whose one peer leaves has nobody to wait for.
        let peers = |family| router.peers.iter().filter(move |peer| Family::of(**peer) == family).count();
        let by_second =
            |family| router.second_path.as_ref().is_some_and(|path| path.peers_of(family).count() == 1);
        let lone = router.families().into_iter().all(|family| peers(family) == 1 || by_second(family));
        let skew = if lone { LONE_WAIT } else { interval.skew(router.version, priority(router)) };
        return Some(world.now + skew);
    }
    let since = router.families().into_iter().filter_map(latest).max()?;
    Some(since + down(router, interval, priority(router)))
}
