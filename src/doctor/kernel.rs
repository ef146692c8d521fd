//! Settings of the kernel that lose adverts, or have nobody find the address: ip-sysctl of its documentation.

use super::Report;
use super::network::{place, reaches};
use crate::agent::config::Router;
use crate::agent::{Install, Link};
use std::net::IpAddr;

/// What is in force on one interface; `None` where this kernel has no such thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub interface: String,
    /// Whether packets are dropped whose sender is not to be reached by where they come in: 1 strictly.
    pub rp_filter: Option<i32>,
    /// Which ARP requests are answered.
    pub arp_ignore: Option<i32>,
    /// From which address ARP requests are sent.
    pub arp_announce: Option<i32>,
    /// Whether IPv6 is turned off.
    pub ipv6_off: bool,
}

/// Judges the settings of each router's interface.
pub fn judge(routers: &[Router], links: &[Link], settings: &[Settings], report: &mut Report) {
    for router in routers {
        let Some(link) = place(router, links) else { continue };
        let Some(settings) = settings.iter().find(|one| one.interface == link.name) else { continue };
        let before = report.findings.len();
        reverse_path(router, link, settings, report);
        answers(router, link, settings, report);
        flux(router, link, links, settings, report);
        if settings.ipv6_off && router.vips.iter().any(|vip| vip.address.is_ipv6()) {
            let what = format!("IPv6 is turned off on {}, and {} has IPv6 addresses", link.name, router.name);
            let mend = set(&link.name, "ipv6", "disable_ipv6", 0);
            report.trouble("kernel.ipv6", what, "the router is in FAULT, and takes nothing", mend);
        }
        if report.findings.len() == before {
            report.fine("kernel", format!("the settings of {} suit {}", link.name, router.name));
        }
    }
}

/// Packets of peers of other networks, where their way back is not this interface.
fn reverse_path(router: &Router, link: &Link, settings: &Settings, report: &mut Report) {
    const STRICT: i32 = 1;
    let far = |peer: &&IpAddr| peer.is_ipv4() && !reaches(link, **peer);
    let Some(peer) = router.peers.iter().find(far) else { return };
    if settings.rp_filter == Some(STRICT) {
        let what =
            format!("rp_filter is strict on {}, and peer {peer} is in none of its networks", link.name);
        let why = "where the way back to the peer is another interface, the kernel drops its adverts without a word";
        report.doubt("kernel.rp-filter", what, why, set(&link.name, "ipv4", "rp_filter", 2));
    }
}

/// Whether anybody is told where the address is.
fn answers(router: &Router, link: &Link, settings: &Settings, report: &mut Report) {
    // An interface of its own has settings of its own.
    let here = || router.vips.iter().chain(&router.excluded).filter(|vip| vip.address.is_ipv4());
    if router.virtual_mac.own() || here().next().is_none() {
        return;
    }
    let alone = || here().find(|vip| vip.prefix == 32);
    let (level, local) = (settings.arp_ignore.unwrap_or(0), router.install == Install::LocalRoute);
    let lost = match level {
        8 => Some("no ARP request at all is answered".to_owned()),
        1.. if local => Some("no ARP request for a local route is answered".to_owned()),
        2 => alone()
            .map(|vip| format!("nobody is in one subnet with {vip}, so no ARP request for it is answered")),
        _ => None,
    };
    if let Some(lost) = lost {
        let what = format!("arp_ignore is {level} on {}: {lost}", link.name);
        let why = "the Master has the address, and nobody finds it";
        let mend = set(&link.name, "ipv4", "arp_ignore", i32::from(!local));
        report.trouble("kernel.arp-ignore", what, why, format!("{mend}; the value for all counts as well"));
    }
}

/// Two interfaces in one network answer for each other.
fn flux(router: &Router, link: &Link, links: &[Link], settings: &Settings, report: &mut Report) {
    let own = link.addresses.iter().filter(|own| own.address.is_ipv4());
    let twin = |other: &&Link| {
        other.name != link.name && other.up && own.clone().any(|own| reaches(other, own.address))
    };
    let Some(other) = links.iter().find(twin) else { return };
    let holds_ipv4 = router.vips.iter().any(|vip| vip.address.is_ipv4());
    if holds_ipv4 && settings.arp_ignore == Some(0) && !router.virtual_mac.own() {
        let what =
            format!("{} and {} are in one network, and each answers ARP for both", link.name, other.name);
        let why = "clients may learn the address behind the wrong interface, and lose it with that one";
        let mend =
            format!("{}; {}", set("all", "ipv4", "arp_ignore", 1), set("all", "ipv4", "arp_announce", 2));
        report.doubt("kernel.arp-flux", what, why, mend);
    }
}

/// With slashes: the name of an interface may have dots.
fn set(interface: &str, family: &str, name: &str, value: i32) -> String {
    format!("sysctl -w net/{family}/conf/{interface}/{name}={value}, and the same line in /etc/sysctl.d/")
}
