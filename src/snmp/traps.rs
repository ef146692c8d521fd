//! What is told unasked: the traps of the three MIBs. Pure.
//!
//! Those of KEEPALIVED-MIB name columns without a row, as keepalived's do: receivers know them so.

use super::keepalived_mib as keepalived;
use super::memory::Memory;
use super::oid::{Binding, Oid, Value};
use super::view::View;
use super::{Facts, Settings, vrrp_mib, vrrpv3_mib};
use crate::agent::status::{InstanceStatus, PeerStatus, Status, refusals};
use crate::agent::{RouterName, Standing, Subject, Transition};
use crate::vrrp::{Family, Version};

/// What one trap carries.
pub(super) type Trap = Vec<Binding>;

/// `snmpTrapOID.0`
const TRAP: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
/// `shutdown` of `VrrpState`
const SHUTDOWN: i32 = 5;
/// `vrrpTrapAuthErrorType`
const OTHER_TYPE: i32 = 2;
const FAILURE: i32 = 3;
/// `vrrpv3StatisticsProtoErrReason`, and what is counted as that.
const ERRORS: [(i32, &[&str]); 4] =
    [(1, refusals::TTL), (2, refusals::VERSION), (3, refusals::CHECKSUM), (4, refusals::VRID)];

fn trap(parent: &[u32], number: u32) -> Trap {
    let which = Value::Oid(Oid::from(parent).with(&[number]));
    vec![Binding { name: TRAP.into(), value: which }]
}

fn add(trap: &mut Trap, entry: &[u32], column: u32, index: &[u32], value: Value) {
    trap.push(Binding { name: Oid::from(entry).with(&[column]).with(index), value });
}

/// Whether a change of state has traps that need to know how everything stands.
pub(super) fn is_new_master(transition: &Transition, settings: &Settings) -> bool {
    let router = matches!(transition.subject, Subject::Router(_)) && transition.to == Standing::Master;
    settings.traps && router && (settings.rfc2787 || settings.rfc6527)
}

/// Those of the RFCs for a router that has become Master; none by a snapshot from before it had a link.
pub(super) fn of_new_master(transition: &Transition, settings: &Settings, view: &View<'_>) -> Vec<Trap> {
    let mut traps = Vec::new();
    let found = view.status.routers.iter().find(|router| *router.name.0 == *transition.subject.name());
    let Some(router) = found else { return traps };
    for instance in &router.instances {
        let Some((index, own)) = vrrpv3_mib::index(view, router, instance).zip(instance.source) else {
            continue;
        };
        if settings.rfc2787 && router.version == Version::V2 && instance.family == Family::Ipv4 {
            let mut new = trap(vrrp_mib::TRAPS, 1);
            add(&mut new, vrrp_mib::ROUTER, vrrp_mib::MASTER, &index[..2], vrrp_mib::ipv4(own));
            traps.push(new);
        }
        if settings.rfc6527 {
            let mut new = trap(vrrpv3_mib::TRAPS, 1);
            let reason = Value::Integer(view.memory.reason(router));
            add(&mut new, vrrpv3_mib::ROUTER, vrrpv3_mib::MASTER, &index, Value::address(own));
            add(&mut new, vrrpv3_mib::COUNTERS, vrrpv3_mib::REASON, &index, reason);
            traps.push(new);
        }
    }
    traps
}

/// That of KEEPALIVED-MIB for any change of state.
pub(super) fn of_change(transition: &Transition, facts: &Facts) -> Trap {
    let state = match transition.to {
        Standing::Stop => SHUTDOWN,
        other => keepalived::state(other),
    };
    let node = Binding { name: keepalived::NODE.into(), value: Value::text(&facts.node) };
    let mut change = match &transition.subject {
        Subject::Group(name) => {
            let mut change = trap(keepalived::TRAPS, 1);
            add(&mut change, keepalived::GROUP, keepalived::GROUP_NAME, &[], Value::text(&name.0));
            add(&mut change, keepalived::GROUP, keepalived::GROUP_STATE, &[], Value::Integer(state));
            change
        }
        Subject::Router(name) => {
            let mut change = trap(keepalived::TRAPS, 2);
            let router = facts.config.routers.iter().find(|router| router.name == *name);
            let initial = Value::Integer(router.map_or(1, keepalived::initial));
            add(&mut change, keepalived::ROUTER, keepalived::ROUTER_NAME, &[], Value::text(&name.0));
            add(&mut change, keepalived::ROUTER, keepalived::ROUTER_STATE, &[], Value::Integer(state));
            add(&mut change, keepalived::ROUTER, keepalived::ROUTER_INITIAL, &[], initial);
            change
        }
    };
    change.push(node);
    change
}

/// Those of packets that were refused since `before`: one for each router, sender and kind, however many
/// packets there were. And the errors that are to be remembered.
pub(super) fn of_refusals(
    before: &Status,
    settings: &Settings,
    view: &View<'_>,
) -> (Vec<Trap>, Vec<(RouterName, i32)>) {
    let (mut traps, mut errors) = (Vec::new(), Vec::new());
    for now in &view.status.routers {
        let Some(old) = before.routers.iter().find(|old| old.name == now.name) else { continue };
        for instance in &now.instances {
            let Some(was) = old.instances.iter().find(|was| was.family == instance.family) else { continue };
            if settings.rfc2787 && now.version == Version::V2 {
                traps.extend(distrusted(was, instance));
            }
            for (error, names) in ERRORS {
                if instance.refusals(names) <= was.refusals(names) {
                    continue;
                }
                errors.push((now.name.clone(), error));
                if let Some(index) = vrrpv3_mib::index(view, now, instance).filter(|_| settings.rfc6527) {
                    let mut told = trap(vrrpv3_mib::TRAPS, 2);
                    add(&mut told, vrrpv3_mib::COUNTERS, vrrpv3_mib::ERROR, &index, Value::Integer(error));
                    traps.push(told);
                }
            }
        }
    }
    (traps, errors)
}

/// Whoever does not know the secret.
fn distrusted(was: &InstanceStatus, now: &InstanceStatus) -> Vec<Trap> {
    let mut traps = Vec::new();
    for peer in &now.peers {
        let old = was.peers.iter().find(|old| old.address == peer.address);
        let count = |peer: &PeerStatus, names: &[&str]| refusals::sum(&peer.refused, names);
        for (kind, names) in [(OTHER_TYPE, refusals::AUTH_TYPE), (FAILURE, refusals::AUTH_FAILURE)] {
            if count(peer, names) > old.map_or(0, |old| count(old, names)) {
                let mut told = trap(vrrp_mib::TRAPS, 2);
                add(&mut told, vrrp_mib::OPERATIONS, 5, &[0], vrrp_mib::ipv4(peer.address));
                add(&mut told, vrrp_mib::OPERATIONS, 6, &[0], Value::Integer(kind));
                traps.push(told);
            }
        }
    }
    traps
}

/// Keeps what `of_refusals` found.
pub(super) fn remember(errors: Vec<(RouterName, i32)>, memory: &mut Memory) {
    for (router, error) in errors {
        memory.error(&router, error);
    }
}
