//! What a role is and holds, and whom it is played against.

use super::cast::Cast;
use crate::agent::config::{Claims, Interface, Router};
use crate::claim::quorum::{Quorum, majority};

/// How many addresses are named.
const MOST: usize = 4;

/// In one line, whom it is played against.
pub(super) fn against(cast: &Cast<'_>) -> String {
    let names: Vec<_> = cast.peers.iter().map(|(name, _)| name.as_str()).collect();
    let mut parts = vec![if cast.is_assumed() {
        let priority = cast.assumed;
        format!(
            "assumed: one healthy peer of priority {priority}, else with this same file; --peer FILE takes its real one"
        )
    } else {
        format!("played against {}", names.join(", "))
    }];
    let absent = |name| format!("{name} has no router with this VRID and family, and takes no part");
    parts.extend(cast.absent.iter().map(absent));
    parts.join("; ")
}

/// What the role is and holds, a line each.
pub(super) fn about(cast: &Cast<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for router in &cast.written {
        let named = if cast.is_group { format!("{}: ", router.name) } else { String::new() };
        lines.push(format!("{named}{}", holds(router)));
        lines.extend(router.barred.iter().map(|why| format!("{named}takes no part: {why}")));
        if router.ignore_link {
            lines.push(format!("{named}takes part whatever the state of its interface"));
        }
    }
    if let Some(claims) = cast.claims() {
        let prefers = cast.written.first().is_some_and(|router| router.quorum == Quorum::Prefer);
        lines.push(grants(claims, prefers));
    }
    if cast.is_group {
        lines.push("its routers are Master together, or none of them".to_owned());
    }
    lines
}

/// Who grants what it needs to hold, and what is without that.
fn grants(claims: &Claims, prefers: bool) -> String {
    let (what, without) = match claims {
        Claims::Vote(vote) => {
            let voters = vote.others.len() + 1;
            (format!("the votes of {} of {voters}", majority(voters)), "without any majority in reach")
        }
        Claims::Store(store) => {
            (format!("a lease of etcd at {}", store.endpoints.join(" or ")), "without any answer of it")
        }
    };
    if prefers {
        format!("holding needs {what}; {without} it goes on as plain VRRP")
    } else {
        format!("holding needs {what}; without it nobody holds anything")
    }
}

fn holds(router: &Router) -> String {
    let all: Vec<_> = router.vips.iter().chain(&router.excluded).collect();
    let named = all.iter().take(MOST).map(|vip| vip.address.to_string());
    let more = [
        (all.len().saturating_sub(MOST), "more address", "es"),
        (router.routes.len(), "route", "s"),
        (router.rules.len(), "rule", "s"),
    ];
    let counted = more.into_iter().filter(|(count, ..)| *count > 0);
    let counted =
        counted.map(|(count, what, s)| format!("{count} {what}{}", if count == 1 { "" } else { s }));
    let mut held: Vec<_> = named.chain(counted).collect();
    if held.is_empty() {
        held.push("no address".to_owned());
    }
    let place = match &router.interface {
        Interface::Named(name) => format!("on {name}"),
        Interface::Subnet(..) => format!("on the interface {}", router.interface),
    };
    let with_mac = router.families().into_iter().filter_map(|it| router.holding(it, String::new()).vmac);
    let with_mac: Vec<_> = with_mac.map(|vmac| vmac.name).collect();
    let place = match with_mac.as_slice() {
        [] => place,
        all => format!("on {}, with the virtual MAC address, {place}", all.join(" and ")),
    };
    format!("the Master holds {} {place}", held.join(", "))
}
