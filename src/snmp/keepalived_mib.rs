//! KEEPALIVED-MIB, its part for VRRP: this program, groups, routers and their addresses, under the numbers
//! and in the order that keepalived has them. Pure. Checks are in `keepalived_checks`, routes and rules in
//! `keepalived_routes`.
//!
//! Left out is what Locum has not: LVS.

use super::facts::{Mail, Scripts};
use super::oid::Value;
use super::rows::Rows;
use super::view::{View, kind};
use super::{keepalived_checks, keepalived_routes};
use crate::agent::config::{Group, Router};
use crate::agent::status::RouterStatus;
use crate::agent::{RouterName, Standing, Subject};
use crate::vrrp::auth::Auth;
use crate::vrrp::{Family, Version, Vip};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// What to register for: `global` and `vrrp`.
pub(super) const SUBTREES: &[&[u32]] = &[GLOBAL, &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2]];
const GLOBAL: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 1];
/// `routerId`
pub(super) const NODE: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 1, 2, 0];
const MAIL: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 1, 3];
const RECIPIENT: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 1, 3, 5, 1];
/// `vrrpSyncGroupEntry`
pub(super) const GROUP: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 1, 1];
const MEMBER: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 2, 1];
/// `vrrpInstanceEntry`
pub(super) const ROUTER: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 3, 1];
const ADDRESS: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 6, 1];
/// `vrrpTraps`
pub(super) const TRAPS: &[u32] = &[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 10, 0];
/// Columns that traps carry as well.
pub(super) const ROUTER_NAME: u32 = 2;
pub(super) const ROUTER_STATE: u32 = 4;
pub(super) const ROUTER_INITIAL: u32 = 5;
/// Columns that can be set, or could be.
pub(super) const ROUTER_PRIORITY: u32 = 7;
pub(super) const ROUTER_PREEMPT: u32 = 13;
pub(super) const ROUTER_ACCEPT: u32 = 27;
pub(super) const GROUP_NAME: u32 = 2;
pub(super) const GROUP_STATE: u32 = 3;
/// keepalived's yes and no.
const YES: Value = Value::Integer(1);
const NO: Value = Value::Integer(2);

pub(super) fn put(view: &View<'_>, traps: bool, rows: &mut Rows) {
    global(view, traps, rows);
    groups(view, rows);
    addresses(view, 0, &view.facts.config.fixed.vips, rows, |vip| Place {
        link: vip.dev.clone().or_else(|| Some(view.facts.config.fixed.interface.clone())),
        held: true,
        advertised: false,
    });
    let fixed = &view.facts.config.fixed;
    keepalived_routes::put(view, 0, (&fixed.routes, &fixed.rules), true, rows);
    for (number, now, router) in view.routers() {
        let moved = (router.routes.as_slice(), router.rules.as_slice());
        keepalived_routes::put(view, number, moved, now.state == Standing::Master, rows);
        instance(view, number, now, router, rows);
        let held: BTreeMap<_, _> = now.addresses.iter().map(|one| (one.address, one.held)).collect();
        let own = own_link(now, router);
        let all: Vec<Vip> = router.vips.iter().chain(&router.excluded).cloned().collect();
        let advertised = router.vips.len();
        let mut place = 0;
        addresses(view, number, &all, rows, |vip| {
            place += 1;
            Place {
                link: vip.dev.clone().or_else(|| own.clone()),
                held: held.get(&vip.address).copied().unwrap_or_default(),
                advertised: place <= advertised,
            }
        });
    }
    keepalived_checks::put(view, rows);
}

fn global(view: &View<'_>, traps: bool, rows: &mut Rows) {
    let facts = view.facts;
    rows.scalar(GLOBAL, 1, Value::text(&facts.version));
    rows.scalar(GLOBAL, 2, Value::text(&facts.node));
    if let Some(mail) = &facts.mail {
        put_mail(mail, rows);
    }
    rows.scalar(GLOBAL, 4, Value::either(traps, 1, 2));
    // Links are watched by netlink; there is no D-Bus; interfaces may come and go.
    rows.scalar(GLOBAL, 5, Value::Integer(1));
    rows.scalar(GLOBAL, 8, Value::text(facts.namespace.as_deref().unwrap_or_default()));
    rows.scalar(GLOBAL, 9, Value::truth(false));
    rows.scalar(GLOBAL, 10, Value::truth(true));
}

fn put_mail(mail: &Mail, rows: &mut Rows) {
    const DNS: i32 = 16;
    let (kind, host) = match mail.host.parse::<IpAddr>() {
        Ok(address) => (i32::from(kind(Family::of(address))), Value::address(address)),
        Err(_) => (DNS, Value::text(&mail.host)),
    };
    rows.scalar(MAIL, 1, Value::Integer(kind));
    rows.scalar(MAIL, 2, host);
    rows.scalar(MAIL, 3, Value::number(mail.timeout.as_secs()));
    rows.scalar(MAIL, 4, Value::text(&mail.from));
    for (number, to) in (1..).zip(&mail.to) {
        rows.put(RECIPIENT, 2, &[number], Value::text(to));
    }
    rows.scalar(MAIL, 6, Value::number(mail.port));
    rows.scalar(MAIL, 7, Value::either(mail.faults, 1, 2));
    // Whether mails are sent where nothing is said: "unset", for each router and group says it.
    for default in [8, 9, 10] {
        rows.scalar(MAIL, default, Value::Integer(3));
    }
}

fn groups(view: &View<'_>, rows: &mut Rows) {
    let states: BTreeMap<_, _> = view.status.routers.iter().map(|now| (&now.name, now.state)).collect();
    for (number, group) in (1..).zip(&view.facts.config.groups) {
        let subject = Subject::Group(group.name.clone());
        let scripts = view.facts.scripts.get(&subject);
        let line = |of: fn(&Scripts) -> &Option<String>| scripts.and_then(of_script(of));
        let columns = [
            (GROUP_NAME, Some(Value::text(&group.name.0))),
            (GROUP_STATE, Some(Value::Integer(state(standing(group, &states))))),
            (4, Some(Value::either(view.facts.mailed.contains(&subject), 1, 2))),
            (5, Some(Value::either(scripts.is_some(), 1, 2))),
            (6, line(|scripts| &scripts.master)),
            (7, line(|scripts| &scripts.backup)),
            (8, line(|scripts| &scripts.fault)),
            (9, line(|scripts| &scripts.any)),
            // Weights of members count each with its member.
            (10, Some(NO)),
            (11, line(|scripts| &scripts.stop)),
        ];
        rows.row(GROUP, &[number], columns);
        for (member, name) in (1..).zip(&group.routers) {
            rows.put(MEMBER, 2, &[number, member], Value::text(&name.0));
        }
    }
}

/// All members are Master, or the group is what the least of them is.
fn standing(group: &Group, states: &BTreeMap<&RouterName, Standing>) -> Standing {
    group.routers.iter().filter_map(|name| states.get(name).copied()).min().unwrap_or(Standing::Stop)
}

fn of_script(of: fn(&Scripts) -> &Option<String>) -> impl Fn(&Scripts) -> Option<Value> {
    move |scripts| of(scripts).as_deref().map(Value::text)
}

fn instance(view: &View<'_>, number: u32, now: &RouterStatus, router: &Router, rows: &mut Rows) {
    let subject = Subject::Router(now.name.clone());
    let scripts = view.facts.scripts.get(&subject);
    let line = |of: fn(&Scripts) -> &Option<String>| scripts.and_then(of_script(of));
    let family = router.families().first().copied().unwrap_or(Family::Ipv4);
    let multicast = now.instances.first().is_some_and(|instance| !instance.unicast);
    let garp = router.announce.again.last().map_or(0, std::time::Duration::as_secs);
    let interval = if now.version == Version::V2 { now.interval_ms / 1000 } else { now.interval_ms / 10 };
    let auth = match router.auth {
        Auth::None | Auth::Hmac(_) => 0,
        Auth::Pass(_) => 1,
        Auth::Ah(_) => 2,
    };
    let columns = [
        (ROUTER_NAME, Some(Value::text(&now.name.0))),
        (3, Some(Value::number(now.vrid))),
        (ROUTER_STATE, Some(Value::Integer(state(now.state)))),
        (ROUTER_INITIAL, Some(Value::Integer(initial(router)))),
        (6, Some(Value::Integer(state(now.state)))),
        (ROUTER_PRIORITY, Some(Value::Integer(i32::from(now.priority.base)))),
        (8, Some(Value::Integer(i32::from(now.priority.effective)))),
        (9, Some(Value::either(now.addresses.iter().all(|address| address.held), 1, 2))),
        (10, Some(Value::text(&own_link(now, router).unwrap_or_default()))),
        (11, Some(Value::either(!router.ignore_link, 1, 2))),
        (12, Some(Value::number(interval))),
        (ROUTER_PREEMPT, Some(Value::either(router.preempt, 1, 2))),
        (14, Some(Value::number(router.manner.preempt_delay.as_secs()))),
        (15, Some(Value::Integer(auth))),
        (16, Some(NO)),
        (18, now.group.as_ref().map(|group| Value::text(&group.0))),
        (19, Some(Value::number(garp))),
        (20, Some(Value::either(view.facts.mailed.contains(&subject), 1, 2))),
        (21, Some(Value::either(scripts.is_some(), 1, 2))),
        (22, line(|scripts| &scripts.master)),
        (23, line(|scripts| &scripts.backup)),
        (24, line(|scripts| &scripts.fault)),
        (25, line(|scripts| &scripts.stop)),
        (26, line(|scripts| &scripts.any)),
        (ROUTER_ACCEPT, Some(Value::truth(router.accept))),
        (28, Some(NO)),
        (29, Some(NO)),
        (30, Some(Value::either(now.version == Version::V2, 2, 3))),
        (31, line(|scripts| &scripts.rx_lower)),
        (33, Some(NO)),
        (34, multicast.then(|| Value::Integer(i32::from(kind(family))))),
        (35, multicast.then(|| Value::address(router.group(family)))),
    ];
    rows.row(ROUTER, &[number], columns);
}

/// Where one address is.
struct Place {
    link: Option<String>,
    held: bool,
    advertised: bool,
}

fn addresses(
    view: &View<'_>,
    number: u32,
    vips: &[Vip],
    rows: &mut Rows,
    mut place: impl FnMut(&Vip) -> Place,
) {
    for (at, vip) in (1..).zip(vips) {
        let Place { link, held, advertised } = place(vip);
        let link = link.unwrap_or_default();
        let columns = [
            (2, Some(Value::Integer(i32::from(kind(Family::of(vip.address)))))),
            (3, Some(Value::address(vip.address))),
            // None is set.
            (4, vip.address.is_ipv4().then(|| Value::address(Ipv4Addr::UNSPECIFIED.into()))),
            (5, Some(Value::number(vip.prefix))),
            (6, Some(Value::Integer(scope(vip.scope)))),
            (7, view.link(&link).map(|link| Value::Integer(i32::try_from(link).unwrap_or(i32::MAX)))),
            (8, Some(Value::text(&link))),
            (9, vip.label.as_deref().map(Value::text)),
            (10, Some(if held { YES } else { NO })),
            (11, Some(if advertised { YES } else { NO })),
        ];
        rows.row(ADDRESS, &[number, at], columns);
    }
}

/// The interface that has the addresses.
fn own_link(now: &RouterStatus, router: &Router) -> Option<String> {
    let base = now.interface.clone()?;
    let family = *router.families().first()?;
    if router.virtual_mac.own() {
        return router.holding(family, base).vmac.map(|vmac| vmac.name);
    }
    Some(base)
}

/// keepalived's number of a state.
pub(super) const fn state(state: Standing) -> i32 {
    match state {
        Standing::Stop => 0,
        Standing::Backup => 1,
        Standing::Master => 2,
        Standing::Fault => 3,
    }
}

/// What it hopes to be when it starts.
pub(super) fn initial(router: &Router) -> i32 {
    state(if router.manner.eager { Standing::Master } else { Standing::Backup })
}

/// `InetScopeType` of a kernel's scope.
pub(super) const fn scope(kernel: u8) -> i32 {
    match kernel {
        200 => 5,
        253 => 2,
        254 => 1,
        _ => 14,
    }
}
