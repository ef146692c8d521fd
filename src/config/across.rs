//! Rules between routers, and between routers and checks.

use super::address::Address;
use super::file::{File, Group, Router};
use super::problem::{Finding, Sink};
use super::suggest::nearest;
use super::tracking::{self, Track};
use super::virtual_interface;
use crate::agent::config::Interface;
use crate::agent::{Install, RouterName};
use crate::dns::Record;
use crate::drill::Settings as Drill;
use crate::health::OnFail;
use crate::vrrp::{Family, Priority};
use serde_spanned::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Warns of a file that nothing is held by.
pub(super) fn nothing(routers: &[Router], records: &[Record], sink: &Sink) {
    if routers.is_empty() && records.is_empty() && !sink.has_errors() {
        let finding = Finding::warning(&(0..0), "this file has no router: nothing will be held");
        sink.add(finding.help("add a section [router.NAME]"));
    }
}

/// Reports every rule that is broken between the parts of a file.
pub(super) fn across(
    routers: &[Router],
    checks: &[Spanned<String>],
    records: &[Record],
    drill: &Drill,
    sink: &Sink,
) {
    same_addresses(routers, sink);
    for (place, router) in routers.iter().enumerate() {
        for earlier in &routers[..place] {
            same_virtual_router(earlier, router, sink);
            silenced(earlier, router, sink);
            virtual_interface::apart(earlier, router, sink);
        }
        tracking::judge(router, checks, sink);
    }
    let tracked: Vec<_> = routers
        .iter()
        .flat_map(|router| &router.tracks)
        .map(|track| track.check.get_ref().as_str())
        .chain(records.iter().flat_map(Record::checks))
        .chain(drill.ready.iter().map(|check| &*check.0))
        .collect();
    super::checks::unused(checks.iter(), &tracked, sink);
}

fn same_virtual_router(earlier: &Router, later: &Router, sink: &Sink) {
    let (Some(first), Some(second)) = (&earlier.vrid, &later.vrid) else { return };
    let ways = |router: &Router| {
        let path = router.second_path.as_ref().and_then(|path| path.interface.as_ref());
        let second = path.map(|name| Interface::Named(name.get_ref().clone()));
        let own = router.interface.as_ref().map(|interface| interface.get_ref().clone());
        own.into_iter().chain(second).collect::<Vec<_>>()
    };
    let others = ways(later);
    if first.get_ref() != second.get_ref() || !ways(earlier).iter().any(|way| others.contains(way)) {
        return;
    }
    // The virtual MAC address is made of the number: there is one of it.
    let one_mac = [earlier, later].iter().all(|router| router.virtual_mac.own());
    let one_way = earlier.second_path.is_none() && later.second_path.is_none();
    let has = |router: &Router, family| {
        let bare = router.vips.is_empty() && router.family == Some(family);
        bare || router.vips.iter().any(|address| Family::of(address.vip.address) == family)
    };
    let apart = |family| one_way && !one_mac && !hear_the_same(earlier, later, family);
    let shared = |family: &Family| has(earlier, *family) && has(later, *family) && !apart(*family);
    let Some(family) = [Family::Ipv4, Family::Ipv6].into_iter().find(shared) else { return };
    let (name, vrid) = (earlier.name.get_ref(), second.get_ref());
    let message = format!("VRID {vrid} of {family} on this interface is router {name}'s already");
    let finding = Finding::error(&second.span(), message).also(&first.span(), "first here");
    sink.add(
        finding.help("give this router another number, 1 to 255, the same on every host, or other peers"),
    );
}

/// Whether one advert could be for both: of a group, or of a peer that both have.
fn hear_the_same(one: &Router, other: &Router, family: Family) -> bool {
    let peers = |router: &Router| {
        let list = router.peers.iter().flat_map(Spanned::get_ref);
        list.map(|peer| *peer.get_ref()).collect::<BTreeSet<_>>()
    };
    let group = |router: &Router| {
        let mut written = router.groups.iter().map(|group| *group.get_ref());
        written.find(|group| Family::of(*group) == family).unwrap_or_else(|| family.group())
    };
    let (ours, theirs) = (peers(one), peers(other));
    match (ours.is_empty(), theirs.is_empty()) {
        (true, true) => group(one) == group(other),
        (false, false) => !ours.is_disjoint(&theirs),
        _ => false,
    }
}

fn same_addresses(routers: &[Router], sink: &Sink) {
    let mut holders: BTreeMap<IpAddr, (usize, &Address)> = BTreeMap::new();
    for (place, router) in routers.iter().enumerate() {
        for address in router.held() {
            let ip = address.vip.address;
            let (holder, first) = *holders.entry(ip).or_insert((place, address));
            // Twice in one router is told of elsewhere.
            if holder != place
                && let Some(earlier) = routers.get(holder)
            {
                let message = format!("{ip} is held by router {} already", earlier.name.get_ref());
                let finding = Finding::error(&address.span, message).also(&first.span, "first here");
                sink.add(finding.help("one router holds an address: remove one"));
            }
        }
    }
}

/// With a virtual MAC address on it an interface answers ARP for its own addresses alone.
fn silenced(one: &Router, other: &Router, sink: &Sink) {
    let pairs = [(one, other), (other, one)];
    let routes = |(routes, vmac): &(&Router, &Router)| {
        routes.install() == Install::LocalRoute && vmac.virtual_mac.own()
    };
    let Some((silent, vmac)) = pairs.into_iter().find(routes) else { return };
    let (Some(install), Some(interface), Some(theirs)) =
        (&silent.install, &silent.interface, &vmac.interface)
    else {
        return;
    };
    if interface.get_ref() == theirs.get_ref() {
        let name = vmac.name.get_ref();
        let message =
            format!("router {name} has virtual_mac on this interface, which then answers for no local route");
        let finding = Finding::error(&install.span(), message).also(&vmac.name.span(), "that router");
        sink.add(finding.help("write virtual_mac = true here too instead of this line, or remove it there"));
    }
}

/// The routers of a group; reports those that do not exist or are in two groups.
pub(super) fn members(group: &Group, file: &File<'_>, sink: &Sink) -> Vec<RouterName> {
    let mut members: Vec<RouterName> = Vec::new();
    for written in &group.routers {
        let name = written.get_ref().as_str();
        let found = file.routers.iter().map(|router| router.name.get_ref()).find(|known| &*known.0 == name);
        let Some(found) = found else {
            let finding = Finding::error(&written.span(), format!("there is no router \"{name}\""));
            let near = nearest(name, file.routers.iter().map(|router| &*router.name.get_ref().0));
            let help = near
                .map_or(format!("add a section [router.{name}]"), |near| format!("did you mean \"{near}\"?"));
            sink.add(finding.help(help));
            continue;
        };
        let again = members.contains(found);
        let mine = |other: &&Group| other.name.span() != group.name.span();
        let elsewhere = file.groups.iter().filter(mine).flat_map(|other| &other.routers);
        let elsewhere = elsewhere.into_iter().find(|other| other.get_ref() == name);
        if let Some(other) = elsewhere {
            let finding = Finding::error(&written.span(), format!("router {name} is in two groups"));
            sink.add(finding.also(&other.span(), "also here").help("a router shares one role: remove one"));
        } else if again {
            let finding = Finding::error(&written.span(), format!("router {name} stands here twice"));
            sink.add(finding.help("remove one"));
        }
        members.push(found.clone());
    }
    one_role(&members, &file.routers, sink);
    if members.len() == 1 {
        let finding = Finding::warning(&group.name.span(), "a group of one router changes nothing");
        sink.add(finding.help("name the routers that are to share its role, or remove the group"));
    }
    members
}

/// Warns of what keeps the routers of a group apart, though they share one role.
pub(super) fn one_role(members: &[RouterName], routers: &[Router], sink: &Sink) {
    let routers: Vec<&Router> =
        routers.iter().filter(|router| members.contains(router.name.get_ref())).collect();
    let priority = |router: &Router| {
        let written = router.priority.as_ref();
        let value = written.map_or(Priority::DEFAULT, |written| *written.get_ref());
        (value, written.map_or(router.name.span(), Spanned::span))
    };
    super::damping::of_one_role(&routers, sink);
    let Some(first) = routers.first() else { return };
    if let Some(other) = routers.iter().find(|router| priority(router).0 != priority(first).0) {
        let (name, lead) = (other.name.get_ref(), first.name.get_ref());
        let ((theirs, place), (ours, span)) = (priority(other), priority(first));
        let message = format!("{name} has priority {theirs} and {lead} {ours}, and they share one role");
        let finding = Finding::warning(&place, message).also(&span, "the other");
        sink.add(finding.help("write the same priority in all of the group, so that one host wins with all"));
    }
    let weighs = |router: &Router, check: &str| {
        let weight = |track: &Track| matches!(track.on_fail, OnFail::Weight(_));
        router.tracks.iter().any(|track| track.check.get_ref() == check && weight(track))
    };
    for track in routers.iter().flat_map(|router| &router.tracks) {
        let check = track.check.get_ref();
        let without = routers.iter().find(|router| !weighs(router, check));
        if let (OnFail::Weight(_), Some(without)) = (track.on_fail, without) {
            let name = without.name.get_ref();
            let message =
                format!("this weight moves nothing: {name} shares the role, and keeps its priority");
            let finding = Finding::warning(&track.span, message);
            sink.add(finding.help("track it in every router of the group, or without a weight"));
        }
    }
}
