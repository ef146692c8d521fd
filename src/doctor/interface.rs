//! The interface of each router: there, up, and with an address to send from.

use super::Report;
use super::network::place;
use crate::agent::Link;
use crate::agent::config::{Interface, Router};
use crate::vrrp::Family;
use std::net::IpAddr;

const WHY: &str = "the router is in FAULT, and takes nothing";

/// Judges where each router is, and its second path.
pub fn judge(routers: &[Router], links: &[Link], report: &mut Report) {
    for router in routers {
        let name = &router.name;
        match place(router, links) {
            None => missing(router, links, report),
            Some(link) if !link.up && !router.ignore_link => {
                let what = format!("{name}: {} is down, or has no carrier", link.name);
                report.trouble(
                    "interface.down",
                    what,
                    WHY,
                    format!("ip link set {} up, and see its cable", link.name),
                );
            }
            Some(link) => sources(router, link, report),
        }
        let Some(path) = &router.second_path else { continue };
        match links.iter().find(|link| link.name == path.interface) {
            Some(link) if link.up => {
                report.fine("interface.second-path", format!("{name}: second path {} is up", link.name));
            }
            _ => {
                let what = format!("{name}: second path {} is down, or not there", path.interface);
                let why = "one cut cable then makes a second Master";
                report.doubt(
                    "interface.second-path",
                    what,
                    why,
                    format!("ip link set {} up", path.interface),
                );
            }
        }
    }
}

fn missing(router: &Router, links: &[Link], report: &mut Report) {
    let there: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
    let (what, mend) = match &router.interface {
        Interface::Named(interface) => (
            format!("{}: there is no interface {interface}", router.name),
            format!("make it, or write interface = one of these: {}", there.join(", ")),
        ),
        Interface::Subnet(..) => (
            format!("{}: there is no interface {}", router.name, router.interface),
            "ip address add an own address of that subnet".to_owned(),
        ),
    };
    report.trouble("interface.missing", what, WHY, mend);
}

fn sources(router: &Router, link: &Link, report: &mut Report) {
    let (name, interface) = (&router.name, &link.name);
    for family in router.families() {
        let own: Vec<_> = link.addresses.iter().filter(|own| Family::of(own.address) == family).collect();
        let named = router.sources.iter().find(|source| Family::of(**source) == family);
        let link_local = |address: IpAddr| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let usable = match named {
            Some(source) => own.iter().find(|own| own.address == *source),
            None => own.iter().find(|own| !router.peers.is_empty() || link_local(own.address)),
        };
        let what = match (usable, named) {
            (Some(own), _) if !own.tentative => {
                report.fine("interface", format!("{name}: {interface} is up, with {}", own.address));
                continue;
            }
            (Some(own), _) => format!("{name}: {} of {interface} is tentative, or a duplicate", own.address),
            (None, Some(source)) => format!("{name}: {interface} does not have the source address {source}"),
            (None, None) => format!("{name}: {interface} has no own {family} address to send from"),
        };
        // A source may stand elsewhere on this host.
        let mend = format!("give {interface} an own {family} address, which is no virtual one");
        if named.is_some() {
            report.doubt("interface.source", what, WHY, mend);
        } else {
            report.trouble("interface.source", what, WHY, mend);
        }
    }
}
