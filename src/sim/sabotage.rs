//! Faults planted into an agent on purpose, to see that a law catches each. Never on by itself.
//!
//! The agent itself is untouched: what goes in and what comes out is tampered with, so that it
//! looks as if its core were broken in that way.

use super::networks::Network;
use super::node::Node;
use super::setup::first_key;
use super::wire;
use super::world::Arrival;
use crate::agent::{Config, Datagram, Effect, Input, InstanceId, Standing};
use crate::time::Time;
use crate::vrrp::Family;
use crate::vrrp::auth::Auth;
use crate::vrrp::sequence::AntiReplay;
use std::time::Duration;

/// A way in which the core could be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Addresses are never given up.
    KeepAddresses,
    /// Becoming Master does not put the addresses up.
    HoldNothing,
    /// Farewells are not heard.
    DeafToFarewells,
    /// Of two equal priorities both think they win.
    NoTieBreak,
    /// Timers run out on whole seconds only.
    WholeSeconds,
    /// All timers run twice as fast.
    FastClock,
    /// The interval goes onto the wire in another unit.
    WrongUnit,
    /// Checksums are not verified.
    BelieveAnything,
    /// A lower Master is obeyed like a better one.
    NeverPreempt,
    /// Every second advert is left out.
    Stammer,
    /// Every second hook is left out.
    ForgetHooks,
    /// A timer that ran out is not set again.
    StuckTimer,
    /// Every load of the configuration starts anew.
    AmnesiaOnReload,
    /// Requests are not answered.
    NoAnswers,
    /// Nobody says that it has stopped.
    NeverStops,
    /// A Backup hears nobody but the first Master it ever heard, so that all Backups take over.
    DeafToNewcomers,
    /// A voter, or store, that starts again has forgotten what it granted, and grants at once.
    ForgetfulVoter,
    /// A voter grants to whoever asks.
    GenerousVoter,
    /// The kernel's lease is renewed with every turn of the core, whatever the voters say.
    LongLease,
    /// The claim goes back while the addresses are still there.
    EarlyRelease,
    /// A guardian gives the claim back and leaves the addresses to the kernel.
    HastyGuardian,
    /// Clocks differ by more than the claim's margin.
    WildClocks,
    /// What comes by the second path is not heard.
    DeafThere,
    /// Farewells do not take the second path.
    MuteThere,
    /// Whoever fails too often takes its addresses back at once.
    Undamped,
    /// A Master that has only just come keeps nothing.
    Unheld,
    /// Whoever has failed too often never takes them back.
    DampedForEver,
    /// One host never signs by another key than its first.
    OldKey,
}

impl Sabotage {
    /// What an agent is configured to be instead.
    pub(super) fn configured(self, node: usize, config: &mut Config) {
        for router in &mut config.routers {
            match self {
                Sabotage::Undamped => router.damping = None,
                Sabotage::Unheld => {
                    if let Some(damping) = &mut router.damping {
                        damping.hold = Duration::ZERO;
                    }
                }
                Sabotage::OldKey if node == 0 && matches!(router.auth, Auth::Hmac(_)) => {
                    router.auth = first_key(AntiReplay::Monotonic);
                }
                Sabotage::DampedForEver => {
                    if let Some(damping) = &mut router.damping {
                        damping.pause *= 1000;
                    }
                }
                _ => {}
            }
        }
    }

    /// When a tick meant for `at` comes.
    pub(super) fn tick_at(self, _node: usize, at: Time) -> Time {
        const SECOND: u64 = 1_000_000_000;
        match self {
            Sabotage::WholeSeconds => Time::from_nanos(at.as_nanos().div_ceil(SECOND) * SECOND),
            Sabotage::FastClock => Time::from_nanos(at.as_nanos().div_ceil(2)),
            _ => at,
        }
    }

    /// The time an agent is told.
    pub(super) fn clock(self, _node: usize, now: Time) -> Time {
        match self {
            Sabotage::FastClock => Time::from_nanos(now.as_nanos() * 2),
            _ => now,
        }
    }

    /// What an agent is told instead of `arrival`.
    pub(super) fn incoming(self, node: &mut Node, mut arrival: Arrival) -> Option<Arrival> {
        if self == Sabotage::StuckTimer && arrival.input == Input::Tick {
            let input = Input::Announced { instance: InstanceId(0), sent: 0, failed: 0 };
            return Some(Arrival { input, ..arrival });
        }
        if let Input::Datagram(datagram) = &mut arrival.input {
            let at = wire::message_at(datagram);
            let [first, vrid, heard, ..] = *datagram.packet.get(at..)? else { return Some(arrival) };
            let ours = node.config.routers.iter().find(|r| r.vrid.get() == vrid);
            let own = ours.map_or(0, |router| router.priority.get());
            match self {
                Sabotage::DeafToFarewells if heard == 0 => return None,
                Sabotage::DeafThere if node.network(&datagram.interface) == Network::Second => return None,
                Sabotage::NoTieBreak if heard == own && own > 1 => say(datagram, first >> 4, own - 1),
                Sabotage::BelieveAnything => say(datagram, first >> 4, heard),
                Sabotage::DeafToNewcomers => {
                    let master = node.standing.values().any(|standing| *standing == Standing::Master);
                    let followed =
                        node.followed.entry(Family::of(datagram.source)).or_insert(datagram.source);
                    return (master || *followed == datagram.source).then_some(arrival);
                }
                Sabotage::NeverPreempt if heard < own && heard > 0 => say(datagram, first >> 4, own),
                _ => {}
            }
        }
        Some(arrival)
    }

    /// What is done instead of `effects`.
    pub(super) fn outgoing(self, node: &mut Node, effects: &mut Vec<Effect>) {
        let mut second = |is: fn(&Effect) -> bool| {
            effects.retain(|effect| {
                node.odd ^= is(effect);
                !is(effect) || node.odd
            });
        };
        match self {
            Sabotage::Stammer => return second(|effect| matches!(effect, Effect::Send(_))),
            Sabotage::ForgetHooks => return second(|effect| matches!(effect, Effect::Notify(_))),
            _ => {}
        }
        effects.retain(|effect| match self {
            Sabotage::KeepAddresses => !matches!(effect, Effect::Release { .. }),
            Sabotage::HoldNothing => !matches!(effect, Effect::Hold { .. }),
            Sabotage::NoAnswers => !matches!(effect, Effect::Reply(..)),
            Sabotage::NeverStops => *effect != Effect::Stopped,
            Sabotage::MuteThere => !matches!(effect, Effect::Send(out)
                if wire::message(out).get(2) == Some(&0) && node.network(&out.interface) == Network::Second),
            _ => true,
        });
        for effect in effects {
            if let (Sabotage::WrongUnit, Effect::Send(out)) = (self, effect)
                && let Some(byte) = out.payload.get_mut(4)
            {
                *byte ^= 1;
                let version = out.payload[0] >> 4;
                wire::seal(&mut out.payload, version, out.source, out.destination);
            }
        }
    }
}

/// Makes a packet say another priority, with a right checksum.
fn say(datagram: &mut Datagram, version: u8, priority: u8) {
    let (at, source, destination) = (wire::message_at(datagram), datagram.source, datagram.destination);
    if let Some(message) = datagram.packet.get_mut(at..).filter(|message| message.len() >= 8) {
        message[2] = priority;
        wire::seal(message, version, source, destination);
    }
}
