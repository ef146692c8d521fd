//! An advert goes out, and what has to be listened to.

use super::Agent;
use super::effect::{Effect, InstanceId, Listen, Outgoing, Will};
use crate::time::Time;
use crate::vrrp::auth::{Auth, Seal};
use crate::vrrp::packet::{Draft, Parcel};
use crate::vrrp::succession::Word;
use crate::vrrp::{Advert, Family, PROTOCOL, Vrid, ah};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// One way that an advert takes: from where, and to whom.
pub(super) struct Journey {
    interface: Arc<str>,
    pub source: IpAddr,
    mac: Option<[u8; 6]>,
    destinations: SmallVec<[IpAddr; 4]>,
}

impl Journey {
    /// A copy on this way.
    pub(super) fn outgoing(
        &self,
        instance: InstanceId,
        due: Option<Time>,
        destination: IpAddr,
        ttl: u8,
        parcel: Parcel,
    ) -> Outgoing {
        let Parcel { protocol, identification, payload } = parcel;
        let (interface, source, mac) = (self.interface.clone(), self.source, self.mac);
        Outgoing {
            instance,
            due,
            interface,
            source,
            destination,
            mac,
            ttl,
            protocol,
            identification,
            payload,
        }
    }
}

/// Interface, its index, family and IP protocol.
type Place<'a> = (&'a str, u32, Family, u8);

impl Agent {
    /// Whether there is somebody to say farewell in our place: with every advert of a Master comes the
    /// farewell that would follow it, if that is another than before.
    pub fn will(&mut self, wanted: bool) {
        self.willed = wanted;
    }

    /// One advert is sealed once for each way it takes, and becomes one datagram to the group or one to each peer.
    pub(super) fn advertise(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        advert: &Advert,
        effects: &mut Vec<Effect>,
    ) {
        if advert.priority.is_none() {
            self.name_successor(now, index, member, effects);
        } else {
            self.forget_told(index, member);
        }
        let clock = self.wall_clock(now);
        let form = self.routers[index].checksum(member);
        let ways = self.ways(index, member);
        let next = self.successor(now, index, member);
        let last = self.willed.then(|| self.last_pleas(self.routers[index].set));
        let (pleas, releases) = last.unwrap_or_default();
        let router = &mut self.routers[index];
        let (patience, ttl, word_ttl) = (router.config.patience(), router.config.ttl, router.word_ttl());
        let member = &mut router.members[member];
        let config = self.sets[router.set].group.members()[member.seat].config();
        if ways.is_empty() {
            return;
        }
        let parcels = |advert: &Advert, way: &Journey, seal: &Seal, due: Option<Time>| {
            let draft = Draft::new(advert, way.source, &config.auth, seal);
            let outgoing = |destination: &IpAddr| {
                let ttl = if destination.is_multicast() { u8::MAX } else { ttl };
                way.outgoing(member.id, due, *destination, ttl, draft.to(*destination, form))
            };
            way.destinations.iter().map(outgoing).collect::<Vec<_>>()
        };
        let sources = || ways.iter().map(|way| way.source);
        let Some(seals) = member.ledger.seals(&config.auth, sources(), clock) else { return };
        for (way, seal) in ways.iter().zip(&seals) {
            self.keeping.news |= *seal != Seal::None;
            effects.extend(parcels(advert, way, seal, self.due).into_iter().map(Effect::Send));
        }
        if self.willed && advert.priority.is_some() {
            // It is the next advert that could leave; the one that does leave next has the number again.
            let (mut ledger, last) = (member.ledger.clone(), Advert { priority: None, ..advert.clone() });
            let next = next.zip(ways.first());
            let word = next.and_then(|(to, way)| {
                let seal = ledger.next(&config.auth, way.source, clock)?;
                let word = Draft::word(Word::Next, advert, way.source, &config.auth, &seal);
                Some(way.outgoing(member.id, None, to, word_ttl, word.to(to, form)))
            });
            let seals = ledger.seals(&config.auth, sources(), clock).unwrap_or_default();
            let sealed = ways.iter().zip(&seals);
            let farewells = sealed.flat_map(|(way, seal)| parcels(&last, way, seal, None));
            let farewell = word.into_iter().chain(farewells).collect();
            let will =
                Will { vrid: advert.vrid, pleas, releases, farewell, patience, linger: config.installing() };
            effects.push(Effect::Will(member.id, will));
        }
        member.sent += 1;
        member.farewells_sent += u64::from(advert.priority.is_none());
        self.remember(now, false, effects);
    }

    /// The ways that the adverts of an instance take; none where it has no address to send from.
    pub(super) fn ways(&self, index: usize, member: usize) -> SmallVec<[Journey; 2]> {
        let router = &self.routers[index];
        let (config, family) = (&router.config, router.members[member].family);
        let instance = self.instance(index, member);
        let (Some(source), Some(interface)) = (instance.source(), &router.link) else {
            return SmallVec::new();
        };
        let mac_of = |name: &str| self.links.known().get(name).and_then(|link| link.mac);
        let virtual_mac = config.virtual_mac.own() && !config.adverts_from_base;
        let mac = if virtual_mac { Some(config.mac(family)) } else { mac_of(interface) };
        let peers = &instance.config().peers;
        let group = peers.is_empty().then_some(instance.config().group);
        let destinations = group.into_iter().chain(peers.iter().copied()).collect();
        let first = Journey { interface: interface.clone(), source, mac, destinations };
        let second = config.second_path.as_ref().and_then(|path| {
            let source = path.source(self.links.known(), family, &self.vips).ok()?;
            let (interface, mac) = (path.interface.as_str().into(), mac_of(&path.interface));
            Some(Journey { interface, source, mac, destinations: path.peers_of(family).collect() })
        });
        [first].into_iter().chain(second).collect()
    }

    /// The sockets that the routers need now. Where only some are new they are opened before what was to be done since
    /// `before`: an owner's first advert is among it. Where some are closed, after it: a farewell may be. One that
    /// demands an authentication header listens for adverts without one as well, so that they are refused and counted.
    pub(super) fn listen(&mut self, before: usize, effects: &mut Vec<Effect>) {
        let mut wanted: BTreeMap<Place<'_>, (BTreeSet<IpAddr>, BTreeSet<Vrid>)> = BTreeMap::new();
        for router in &self.routers {
            let second = router.config.second_path.as_ref().map(|path| (path.interface.as_str(), false));
            let first = router.link.as_deref().map(|name| (name, router.config.peers.is_empty()));
            let ah = matches!(router.config.auth, Auth::Ah(_)).then_some(ah::PROTOCOL);
            for (name, grouped) in first.into_iter().chain(second) {
                let Some(link) = self.links.known().get(name) else { continue };
                for (member, protocol) in
                    router.members.iter().flat_map(|m| [PROTOCOL].into_iter().chain(ah).map(move |p| (m, p)))
                {
                    let key = (&*link.name, link.index, member.family, protocol);
                    let entry = wanted.entry(key).or_default();
                    entry.0.extend(grouped.then(|| router.config.group(member.family)));
                    entry.1.insert(router.config.vrid);
                }
            }
        }
        let listen = |((interface, index, family, protocol), (groups, vrids)): ((&str, _, _, _), _)| Listen {
            interface: interface.to_owned(),
            index,
            family,
            protocol,
            groups,
            vrids,
        };
        let wanted: BTreeSet<Listen> = wanted.into_iter().map(listen).collect();
        if wanted != self.listening {
            let place = if wanted.is_superset(&self.listening) { before } else { effects.len() };
            self.listening.clone_from(&wanted);
            self.sockets.retain(|(interface, family), _| {
                wanted.iter().any(|l| l.interface == *interface && l.family == *family)
            });
            effects.insert(place, Effect::Listen(wanted));
        }
    }
}
