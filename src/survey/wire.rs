//! Listens to adverts, and asks who has the addresses.

use crate::agent::Link;
use crate::agent::config::Config;
use crate::doctor::address::Asked;
use crate::doctor::heard::{Listened, Seen};
use crate::doctor::{place, reaches};
use crate::net::live::Live;
use crate::net::probe;
use nix::ifaddrs::getifaddrs;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The most packets kept of one interface: a hundred routers, and a hundred adverts a second of each.
const MOST: usize = 50_000;
/// How long answers are waited for, of each family.
const PATIENCE: Duration = Duration::from_millis(500);
/// The most addresses asked for on one interface; each is a question to many.
const ADDRESSES: usize = 256;

/// What comes and goes on the interfaces of the routers within `span`. Needs `CAP_NET_RAW`.
///
/// # Errors
/// One line.
pub fn listen(config: &Config, links: &[Link], span: Duration) -> Result<Listened, String> {
    if span.is_zero() {
        return Err("it was not listened to".to_owned());
    }
    let places = config.routers.iter().filter_map(|router| place(router, links)).filter(|link| link.up);
    let names: BTreeSet<&str> = places.map(|link| link.name.as_str()).collect();
    let groups = config.routers.iter().flat_map(|router| router.groups.iter().copied()).collect();
    let end = Instant::now() + span;
    let each = thread::scope(|scope| {
        let listeners: Vec<_> = names.iter().map(|name| scope.spawn(|| hear(name, &groups, end))).collect();
        let ended =
            listeners.into_iter().map(|one| one.join().map_err(|_| "a listener broke off".to_owned()));
        ended.map(|result| result.and_then(|heard| heard)).collect::<Result<Vec<_>, String>>()
    })?;
    Ok(Listened { span, end: now(), seen: each.into_iter().flatten().collect() })
}

fn hear(name: &str, groups: &BTreeSet<IpAddr>, end: Instant) -> Result<Vec<Seen>, String> {
    let mut live = Live::open(Some(name), groups)?;
    let mut seen = Vec::new();
    while seen.len() < MOST {
        let Some(packet) = live.next(Some(end))? else { break };
        let (interface, packet_bytes) = (packet.interface.clone(), packet.packet.to_vec());
        seen.push(Seen { interface, ours: packet.ours, mac: packet.mac, at: now(), packet: packet_bytes });
    }
    Ok(seen)
}

/// Who answers for the addresses of the routers and of their peers, by ARP or as a neighbour. `held` are those that this host has, whatever the
/// kernel shows as its addresses. Needs `CAP_NET_RAW`.
///
/// # Errors
/// One line.
pub fn ask(config: &Config, links: &[Link], held: &BTreeSet<IpAddr>) -> Result<Vec<Asked>, String> {
    let own = getifaddrs().map_err(|error| error.to_string())?;
    let own = own.filter_map(|entry| {
        let address = entry.address?;
        let ipv4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        ipv4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))
    });
    let own: BTreeSet<IpAddr> = own.chain(held.iter().copied()).collect();
    let mut wanted: BTreeMap<u32, (&Link, BTreeSet<IpAddr>)> = BTreeMap::new();
    for (link, address) in places(config, links) {
        let (_, addresses) = wanted.entry(link.index).or_insert((link, BTreeSet::new()));
        if addresses.len() < ADDRESSES {
            addresses.insert(address);
        }
    }
    let mut asked = Vec::new();
    for (index, (link, addresses)) in wanted {
        // Without Ethernet nobody can be asked.
        let Some(mac) = link.mac else { continue };
        let answers = probe::ask(index, mac, &addresses, PATIENCE)
            .map_err(|error| format!("asking on {}: {error}; run as root", link.name))?;
        asked.extend(addresses.into_iter().map(|address| Asked {
            address,
            interface: link.name.clone(),
            held: own.contains(&address),
            answers: answers.get(&address).into_iter().flatten().copied().collect(),
        }));
    }
    Ok(asked)
}

/// How long it takes from now until another host answers for `address`, by ARP or as a neighbour, on `interface`; `None` where nobody
/// does `within` that time. Needs `CAP_NET_RAW`.
///
/// # Errors
/// One line.
pub fn first_answer(interface: &str, address: IpAddr, within: Duration) -> Result<Option<Duration>, String> {
    let mut links = getifaddrs().map_err(|error| error.to_string())?;
    let link = links.find_map(|entry| {
        let link = *entry.address?.as_link_addr()?;
        (entry.interface_name == interface).then_some(link)
    });
    let link = link.ok_or_else(|| format!("{interface} is not in this network namespace"))?;
    let (index, mac) = (u32::try_from(link.ifindex()).unwrap_or_default(), link.addr());
    let mac = mac.ok_or_else(|| format!("{interface} has no MAC address"))?;
    probe::first(index, mac, address, within)
        .map_err(|error| format!("asking on {interface}: {error}; run as root"))
}

/// Each address of a router and each peer of its network, and the interface for both, where that is up.
fn places<'a>(config: &'a Config, links: &'a [Link]) -> impl Iterator<Item = (&'a Link, IpAddr)> {
    let each = config.routers.iter().filter_map(|router| Some((router, place(router, links)?)));
    each.filter(|(_, link)| link.up).flat_map(|(router, link)| {
        // What stands on another interface is not asked for here.
        let here = router.vips.iter().filter(|vip| vip.dev.as_ref().is_none_or(|dev| *dev == link.name));
        let peers = router.peers.iter().copied().filter(|peer| reaches(link, *peer));
        here.map(|vip| vip.address).chain(peers).map(move |address| (link, address))
    })
}

/// The wall clock, since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
