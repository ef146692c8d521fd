//! Two networks between the hosts, where routers have a second path: which one a packet takes, and what is
//! wrong with either. In most worlds there is the first alone.

use super::lan::{Copy, Lan};
use super::node::Node;
use super::rng::Rng;
use super::world::World;
use crate::agent::{Input, Link};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    First,
    Second,
}

impl Network {
    pub const BOTH: &[Network] = &[Network::First, Network::Second];
}

impl Node {
    /// The network that an interface is on.
    pub(super) fn network(&self, interface: &str) -> Network {
        let mut paths = self.config.routers.iter().filter_map(|router| router.second_path.as_ref());
        if paths.any(|path| path.interface == interface) { Network::Second } else { Network::First }
    }

    /// Whether it has a carrier there.
    pub(super) fn is_on(&self, network: Network) -> bool {
        self.links.iter().any(|link| link.up && self.network(&link.name) == network)
    }
}

impl World {
    /// What is between the hosts there, and what chance does to it.
    pub(super) fn lan_and_chance(&mut self, network: Network) -> (&mut Lan, &mut Rng) {
        match &mut self.second {
            Some(second) if network == Network::Second => (second, &mut self.rng),
            _ => (&mut self.lan, &mut self.rng),
        }
    }

    /// What is between the hosts there.
    pub(super) fn lan_of(&mut self, network: Network) -> &mut Lan {
        self.lan_and_chance(network).0
    }

    /// The arrivals at `to` of one packet that `from` sends there now.
    pub(super) fn carry(&mut self, network: Network, from: usize, to: usize) -> Vec<Copy> {
        let now = self.now;
        let (lan, rng) = self.lan_and_chance(network);
        lan.carry(rng, now, from, to)
    }

    /// The networks that there are.
    pub(super) fn networks(&self) -> &'static [Network] {
        if self.second.is_some() { Network::BOTH } else { &[Network::First] }
    }

    /// One of them; no chance is drawn where there is no choice.
    pub(super) fn any_network(&mut self) -> Network {
        match self.networks() {
            [one] => *one,
            all => self.rng.pick(all),
        }
    }

    /// Nobody reaches anybody there any more, though all have a carrier.
    pub(super) fn sever(&mut self, network: Network) {
        let text = format!("nothing passes on the {network:?} network");
        self.trace.note(self.now, "all", b'Y', text.as_bytes(), || text.clone());
        let sides = (0..self.members()).collect();
        self.lan_of(network).sides = sides;
    }

    /// Whether nobody reaches anybody there.
    pub(super) fn is_severed(&self, network: Network) -> bool {
        let lan = if network == Network::First { Some(&self.lan) } else { self.second.as_ref() };
        lan.is_none_or(|lan| !lan.sides.is_empty())
    }

    /// A node's interfaces lose or regain their carrier.
    pub fn set_link(&mut self, node: usize, up: bool) {
        self.set_links(node, Network::BOTH, up);
    }

    /// Those on these networks do.
    pub(super) fn set_links(&mut self, node: usize, networks: &[Network], up: bool) {
        self.trace.note(self.now, &self.nodes[node].name, b'L', &[u8::from(up)], || {
            format!("link {} ({networks:?})", if up { "up" } else { "down" })
        });
        let host = &mut self.nodes[node];
        let on = |link: &&Link| networks.contains(&host.network(&link.name));
        let names: Vec<String> = host.links.iter().filter(on).map(|link| link.name.clone()).collect();
        // They are gone before anybody is told of one.
        for link in host.links.iter_mut().filter(|link| names.contains(&link.name)) {
            link.up = up;
        }
        let links = host.links.iter().filter(|link| names.contains(&link.name)).cloned();
        for link in links.collect::<Vec<_>>() {
            self.give(node, Input::Link(link));
        }
    }
}
