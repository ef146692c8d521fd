//! Rules between routers, and between routers and checks.

use super::file::{File, Group, Router};
use super::lint::unequal;
use super::problem::{Finding, Sink};
use super::suggest::nearest;
use crate::agent::RouterName;
use crate::vrrp::{Family, Priority};
use serde_spanned::Spanned;

/// Reports every rule that is broken between the parts of a file.
pub(super) fn across(routers: &[Router], checks: &[Spanned<String>], sink: &Sink) {
    for (place, router) in routers.iter().enumerate() {
        for earlier in &routers[..place] {
            same_virtual_router(earlier, router, sink);
            same_address(earlier, router, sink);
        }
        tracks(router, checks, sink);
    }
    let tracked: Vec<_> = routers
        .iter()
        .flat_map(|router| &router.tracks)
        .map(|track| track.check.get_ref().as_str())
        .collect();
    super::checks::unused(checks.iter(), &tracked, sink);
}

fn same_virtual_router(earlier: &Router, later: &Router, sink: &Sink) {
    let (Some(first), Some(second)) = (&earlier.vrid, &later.vrid) else { return };
    let (Some(interface), Some(other)) = (&earlier.interface, &later.interface) else { return };
    if first.get_ref() != second.get_ref() || interface.get_ref() != other.get_ref() {
        return;
    }
    let has =
        |router: &Router, family| router.vips.iter().any(|address| Family::of(address.vip.address) == family);
    let shared = |family: &Family| has(earlier, *family) && has(later, *family);
    let Some(family) = [Family::Ipv4, Family::Ipv6].into_iter().find(shared) else { return };
    let (name, vrid) = (earlier.name.get_ref(), second.get_ref());
    let message = format!("VRID {vrid} of {family} on this interface is router {name}'s already");
    let finding = Finding::error(&second.span(), message).also(&first.span(), "first here");
    sink.add(finding.help("give this router another number, 1 to 255, the same on every host"));
}

fn same_address(earlier: &Router, later: &Router, sink: &Sink) {
    for address in later.held() {
        let first = earlier.held().find(|other| other.vip.address == address.vip.address);
        if let Some(first) = first {
            let (ip, name) = (address.vip.address, earlier.name.get_ref());
            let finding = Finding::error(&address.span, format!("{ip} is held by router {name} already"));
            sink.add(finding.also(&first.span, "first here").help("one router holds an address: remove one"));
        }
    }
}

fn tracks(router: &Router, checks: &[Spanned<String>], sink: &Sink) {
    for (place, track) in router.tracks.iter().enumerate() {
        let name = track.check.get_ref();
        if !checks.iter().any(|check| check.get_ref() == name) {
            let finding = Finding::error(&track.check.span(), format!("there is no check \"{name}\""));
            let near = nearest(name, checks.iter().map(|check| check.get_ref().as_str()));
            sink.add(match near {
                Some(near) => finding.help(format!("did you mean \"{near}\"?")),
                None => finding.help(format!("add a section [check.{name}]")),
            });
        }
        let earlier = router.tracks.iter().take(place).find(|other| other.check.get_ref() == name);
        if let Some(first) = earlier {
            let finding = Finding::error(&track.span, format!("check {name} stands here twice"));
            sink.add(finding.also(&first.span, "first here").help("remove one"));
        }
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
    let routers = file.routers.iter().filter(|router| members.contains(router.name.get_ref()));
    let priority = |router: &'_ Router| {
        let (value, span) = match &router.priority {
            Some(written) => (*written.get_ref(), written.span()),
            None => (Priority::DEFAULT, router.name.span()),
        };
        (router.name.get_ref().to_string(), value.get(), span)
    };
    if let Some(finding) = unequal(&routers.map(priority).collect::<Vec<_>>()) {
        sink.add(finding);
    }
    if members.len() == 1 {
        let finding = Finding::warning(&group.name.span(), "a group of one router changes nothing");
        sink.add(finding.help("name the routers that are to share its role, or remove the group"));
    }
    members
}
