//! What can go wrong, when it does, and how all of it is mended.

use super::judge;
use super::lan::Lan;
use super::networks::Network;
use super::node::Node;
use super::setup::vip;
use super::wire;
use super::world::World;
use crate::agent::config::{Claims, Router};
use crate::agent::{Config, Datagram, Input, Request, Standing};
use crate::health::CheckName;
use crate::time::Time;
use crate::vrrp::{Family, Priority, Version};
use std::net::IpAddr;
use std::time::Duration;

/// One thing that happens to the world.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Loss,
    SlowLan,
    Twins,
    Flips,
    OneWay,
    Partition,
    CalmLan,
    Crash { swept: bool },
    Start,
    Freeze,
    Thaw,
    LinkDown,
    LinkUp,
    HoldFails,
    AddressRemoved,
    Contest,
    CheckFails,
    CheckPasses,
    SocketFails,
    SocketWorks,
    Handover,
    Resume,
    ClockSet,
    ReloadEqual,
    ReloadRetuned,
    RouterRemoved,
    Stop { at_once: bool },
    Status,
    Noise,
    Shortened,
    WitnessDown,
    WitnessUp,
    Split,
}

/// Where there is a witness, or a store, these as well.
const WITNESSED: &[Fault] =
    &[Fault::WitnessDown, Fault::WitnessUp, Fault::WitnessUp, Fault::Split, Fault::Split, Fault::Split];

const ALL: &[Fault] = &[
    Fault::Loss,
    Fault::SlowLan,
    Fault::Twins,
    Fault::Flips,
    Fault::OneWay,
    Fault::Partition,
    Fault::Partition,
    Fault::CalmLan,
    Fault::CalmLan,
    Fault::Crash { swept: true },
    Fault::Crash { swept: false },
    Fault::Start,
    Fault::Start,
    Fault::Freeze,
    Fault::Thaw,
    Fault::LinkDown,
    Fault::LinkUp,
    Fault::HoldFails,
    Fault::AddressRemoved,
    Fault::Contest,
    Fault::CheckFails,
    Fault::CheckPasses,
    Fault::SocketFails,
    Fault::SocketWorks,
    Fault::Handover,
    Fault::Resume,
    Fault::ClockSet,
    Fault::ReloadEqual,
    Fault::ReloadRetuned,
    Fault::RouterRemoved,
    Fault::Stop { at_once: false },
    Fault::Stop { at_once: true },
    Fault::Status,
    Fault::Noise,
    Fault::Shortened,
];

/// Lets faults happen at random moments until `end`.
pub(super) fn strike(world: &mut World, end: Time) {
    let count = world.rng.between(3, 14);
    let span = u64::try_from(end.since(world.now).as_nanos()).unwrap_or(u64::MAX);
    let start = world.now;
    let witnessed = if world.grants_elsewhere() { WITNESSED } else { &[] };
    let all = [ALL, witnessed].concat();
    let mut moments: Vec<u64> = (0..count).map(|_| world.rng.between(0, span)).collect();
    moments.sort_unstable();
    for moment in moments {
        world.run_until(start + Duration::from_nanos(moment));
        let fault = world.rng.pick(&all);
        let node = world.rng.below(world.nodes.len());
        happen(world, fault, node);
    }
    world.run_until(end);
}

fn happen(world: &mut World, fault: Fault, node: usize) {
    let other = (node + 1 + world.rng.below(world.nodes.len().saturating_sub(1))) % world.nodes.len();
    let awake = world.nodes[node].is_awake();
    let text = format!("{fault:?}");
    world.trace.note(world.now, &world.nodes[node].name, b'F', text.as_bytes(), || format!("[{text}]"));
    match fault {
        Fault::Loss
        | Fault::SlowLan
        | Fault::Twins
        | Fault::Flips
        | Fault::OneWay
        | Fault::Partition
        | Fault::CalmLan => {
            let network = world.any_network();
            disturb(world, network, fault, (node, other));
        }
        Fault::Crash { swept } => world.crash(node, swept),
        Fault::Start if world.nodes[node].agent.is_none() => world.start(node),
        // Drawn without a draw: the seeds mean the same.
        Fault::Start if awake => {
            world.replace(node, Duration::from_nanos(world.now.as_nanos() % 1_500_000_000));
        }
        Fault::Freeze if awake => world.freeze(node),
        Fault::Thaw if world.nodes[node].frozen => world.thaw(node),
        Fault::LinkDown => cable(world, node, false),
        Fault::LinkUp => cable(world, node, true),
        Fault::HoldFails => world.nodes[node].refusals = 1,
        Fault::AddressRemoved => remove_address(world, node),
        Fault::Contest => (0..7).for_each(|_| remove_address(world, node)),
        Fault::CheckFails => drop(world.nodes[node].failing.insert(CheckName("web".into()))),
        Fault::CheckPasses => world.nodes[node].failing.clear(),
        Fault::SocketFails => socket(world, node, Err("cannot open a socket: no buffers".to_owned())),
        Fault::SocketWorks => socket(world, node, Ok(())),
        Fault::Handover => world.ask(node, Request::Handover { router: None }),
        Fault::Resume => world.ask(node, Request::Resume { router: None }),
        // Clocks may differ by less than signatures allow.
        Fault::ClockSet => {
            let ahead = Duration::from_millis(world.rng.between(0, 20_000));
            world.set_clock(node, ahead);
        }
        Fault::ReloadEqual => world.reload_equal(node),
        Fault::ReloadRetuned if awake => retune(world, node),
        Fault::RouterRemoved if awake => {
            let mut config = world.nodes[node].config.clone();
            if config.routers.len() > 1 && config.groups.is_empty() {
                config.routers.pop();
                world.reload(node, config);
            }
        }
        Fault::Stop { at_once } if awake => world.stop(node, at_once),
        Fault::Status => {
            world.ask(node, Request::Status);
            // In the same draw: the seeds mean the same where nothing is signed.
            world.roll_keys(Duration::from_nanos(world.now.as_nanos() % 500_000_000));
        }
        Fault::Noise => noise(world, node),
        Fault::Shortened => shortened(world, node),
        Fault::WitnessDown => world.stop_granting(),
        Fault::WitnessUp => world.start_granting(),
        Fault::Split => split(world),
        _ => {}
    }
}

/// Something is wrong, or nothing any more, with what is between the hosts there.
fn disturb(world: &mut World, network: Network, fault: Fault, way: (usize, usize)) {
    let members = world.members();
    let (lan, rng) = world.lan_and_chance(network);
    match fault {
        Fault::Loss => lan.loss = rng.between(10, 500),
        Fault::SlowLan => {
            lan.delay.1 = Duration::from_micros(rng.between(500, 400_000));
            lan.ordered = rng.chance(500);
        }
        Fault::Twins => lan.twins = rng.between(10, 800),
        Fault::Flips => lan.flips = rng.between(10, 800),
        Fault::OneWay => drop(lan.blocked.insert(way)),
        Fault::Partition => lan.sides = (0..members).map(|_| rng.below(2)).collect(),
        _ => *lan = healthy(),
    }
}

/// A cable is pulled or plugged in; where a host has two, one of them or both.
fn cable(world: &mut World, node: usize, up: bool) {
    let both = world.second.is_none() || world.rng.chance(500);
    let one = world.any_network();
    world.set_links(node, if both { Network::BOTH } else { std::slice::from_ref(&one) }, up);
}

/// A healthy LAN.
pub(super) fn healthy() -> Lan {
    let mut lan = Lan::clean(Duration::ZERO);
    lan.ordered = true;
    lan.delay = (Duration::from_micros(50), Duration::from_micros(300));
    lan
}

/// Nothing around the processes is wrong any longer.
fn mend(world: &mut World) {
    for network in world.networks() {
        *world.lan_of(*network) = healthy();
    }
    if !world.grants() {
        world.start_granting();
    }
    for node in 0..world.nodes.len() {
        if world.nodes[node].frozen {
            world.thaw(node);
        }
        world.nodes[node].failing.clear();
        world.nodes[node].refusals = 0;
        if world.nodes[node].links.iter().any(|link| !link.up) {
            world.set_link(node, true);
        }
        socket(world, node, Ok(()));
    }
}

/// Everything is mended: every process runs and takes part, nothing is lost any longer. Processes
/// that are about to stop are given the time to.
pub(super) fn heal(world: &mut World, configs: &[Config]) {
    mend(world);
    world.run_for(Duration::from_secs(7));
    for (node, config) in configs.iter().enumerate() {
        let mut whole = world.nodes[node].config.clone();
        whole.routers.extend(config.routers.iter().skip(whole.routers.len()).cloned());
        world.adopt_keys(&mut whole);
        if world.nodes[node].agent.is_none() {
            world.nodes[node].configure(whole);
            world.start(node);
        } else if whole != world.nodes[node].config {
            world.reload(node, whole);
        }
    }
    // A handover that is under way ends by itself; only then it can be resumed from.
    world.run_for(Duration::from_secs(10));
    for node in 0..world.nodes.len() {
        world.ask(node, Request::Resume { router: None });
        acknowledge(world, node);
    }
}

/// Somebody has seen to it, where anything is held against a host that fails.
pub(super) fn acknowledge(world: &mut World, node: usize) {
    if world.nodes[node].config.routers.iter().any(|router| router.damping.is_some()) {
        world.ask(node, Request::Ack { router: None });
    }
}

/// A Master and its longest interval.
fn master(world: &World) -> Option<(usize, Duration)> {
    let is_master = |node: &Node| node.standing.values().any(|standing| *standing == Standing::Master);
    let at = world.nodes.iter().position(|node| node.is_awake() && is_master(node))?;
    let intervals = world.nodes[at].config.routers.iter().map(|router| router.interval.duration());
    Some((at, intervals.max()?))
}

/// A Master and another node do not hear each other, so that this one takes over as soon as the voters let it.
/// Then one of them starts again, or the Master is cut off from them as well, or frozen soon after.
fn split(world: &mut World) {
    mend(world);
    for node in 0..world.nodes.len() {
        if world.nodes[node].agent.is_none() {
            world.start(node);
        }
    }
    world.run_for(judge::longest_down(world) * 2);
    let Some((node, interval)) = master(world) else { return };
    let (all, nodes) = (world.members(), world.nodes.len());
    let ways = |from: usize, to: usize| (from..to).flat_map(|other| [(node, other), (other, node)]);
    // By the second path they may go on hearing each other, or not.
    let cut = if world.second.is_some() && world.rng.chance(300) { 1 } else { world.networks().len() };
    let cut = &world.networks()[..cut];
    for network in cut {
        world.lan_of(*network).blocked.extend(ways(0, nodes));
    }
    world.run_for(interval * 4);
    let then = world.rng.below(3);
    if then == 0 {
        world.start_granting();
    } else {
        for network in cut {
            world.lan_of(*network).blocked.extend(ways(nodes, all));
        }
        let after = world.rng.between(150, 300);
        world.run_for(interval * u32::try_from(after).unwrap_or(0) / 100);
        if then == 1 && world.nodes[node].is_awake() {
            world.freeze(node);
        }
    }
    world.run_for(interval * 4);
}

fn socket(world: &mut World, node: usize, result: Result<(), String>) {
    let first = world.nodes[node].listening.iter().next().map(|l| (l.interface.clone(), l.family));
    if let Some((interface, family)) = first {
        world.give(node, Input::Socket { interface, family, result });
    }
}

fn remove_address(world: &mut World, node: usize) {
    let first = |node: &Node| {
        let (instance, held) = node.held.iter().next()?;
        Some((*instance, *held.addresses.iter().next()?))
    };
    if let Some((instance, address)) = first(&world.nodes[node]) {
        world.give(node, Input::Restored { instance, address });
    }
}

/// Other priorities, preemption, intervals or addresses, as an operator would reload them. Version 2
/// must agree on the interval and is spared.
fn retune(world: &mut World, node: usize) {
    let mut config = world.nodes[node].config.clone();
    let kind = world.rng.below(4);
    let number = world.rng.between(1, 254);
    let centiseconds = world.rng.pick(&[10, 50, 100]);
    // Of shorter ones the kernel's lease cannot end with the claim.
    let centiseconds = if config.claims.is_some() { centiseconds.max(60) } else { centiseconds };
    let stores = matches!(config.claims, Some(Claims::Store(_)));
    let change = |router: &mut Router| match kind {
        0 if !router.priority.is_owner() => {
            router.priority = u8::try_from(number).ok().and_then(Priority::new).unwrap_or(Priority::DEFAULT);
        }
        1 => router.preempt = !router.preempt,
        // What a store grants for is settled at the start.
        2 if router.version == Version::V3 && !stores => {
            router.interval =
                crate::vrrp::Interval::from_centiseconds(centiseconds).unwrap_or(router.interval);
        }
        _ => {
            let family = router.families()[0];
            let more = vip(family, router.vrid.get() - 1, 5);
            if router.vips.contains(&more) {
                router.vips.retain(|vip| *vip != more);
            } else {
                router.vips.push(more);
            }
        }
    };
    config.routers.iter_mut().for_each(change);
    if config != world.nodes[node].config {
        world.reload(node, config);
    }
}

/// Bytes without any sense.
fn noise(world: &mut World, node: usize) {
    for _ in 0..5 {
        let Some(link) = world.nodes[node].links.first() else { return };
        let (interface, len) = (link.name.clone(), world.rng.below(64));
        let source = stranger(world.rng.pick(&[Family::Ipv4, Family::Ipv6]));
        #[expect(clippy::cast_possible_truncation, reason = "a byte of it is wanted")]
        let packet = (0..len).map(|_| world.rng.draw() as u8).collect();
        let destination = Family::of(source).group();
        let datagram = Datagram { interface: interface.into(), source, destination, ttl: Some(255), packet };
        world.inject(Duration::ZERO, node, datagram, false);
    }
}

/// An advert of priority 254 that lost its end.
fn shortened(world: &mut World, node: usize) {
    let Some(router) = world.nodes[node].config.routers.first() else { return };
    let v3 = router.version == Version::V3;
    let family = router.families()[0];
    let crafted = wire::Crafted {
        source: stranger(family),
        destination: family.group(),
        ttl: 255,
        version: if v3 { 3 } else { 2 },
        kind: 1,
        vrid: router.vrid.get(),
        priority: 254,
        count: Some(1),
        interval: [0, 1],
        addresses: vec![router.vips[0].address],
        tail: if v3 { Vec::new() } else { vec![0; 8] },
        cut: 1 + world.rng.below(4),
        bad_checksum: false,
    };
    let Some(link) = world.nodes[node].links.first() else { return };
    world.inject(Duration::ZERO, node, crafted.datagram(&link.name.clone()), false);
}

/// An address that no node has.
fn stranger(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::from([10, 0, 0, 250]),
        Family::Ipv6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0xfa]),
    }
}
