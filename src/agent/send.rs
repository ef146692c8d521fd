//! An advert goes out, and what has to be listened to.

use super::Agent;
use super::effect::{Effect, Listen, Outgoing, Will};
use crate::time::Time;
use crate::vrrp::auth::{Auth, Seal};
use crate::vrrp::packet::{Draft, Parcel};
use crate::vrrp::{Advert, Family, PROTOCOL, Vrid, ah};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Interface, its index, family and IP protocol.
type Place<'a> = (&'a str, u32, Family, u8);

impl Agent {
    /// Whether there is somebody to say farewell in our place: with every advert of a Master comes the
    /// farewell that would follow it, if that is another than before.
    pub fn will(&mut self, wanted: bool) {
        self.willed = wanted;
    }

    /// One advert is sealed once, and becomes one datagram to the group or one to each peer.
    pub(super) fn advertise(
        &mut self,
        now: Time,
        index: usize,
        member: usize,
        advert: &Advert,
        effects: &mut Vec<Effect>,
    ) {
        let clock = self.wall_clock(now);
        let form = self.routers[index].checksum(member);
        let router = &mut self.routers[index];
        let patience = super::patience(&router.config);
        let member = &mut router.members[member];
        let instance = &self.sets[router.set].group.members()[member.seat];
        let config = instance.config();
        let (Some(source), Some(interface)) = (instance.source(), &router.link) else { return };
        let mac = if router.config.virtual_mac.own() && !router.config.adverts_from_base {
            Some(router.config.vrid.mac(member.family))
        } else {
            self.links.known().get(&**interface).and_then(|link| link.mac)
        };
        let group = [config.family.group()];
        let destinations = if config.peers.is_empty() { &group[..] } else { &config.peers };
        let parcels = |advert: &Advert, seal: &Seal, due: Option<Time>| {
            let draft = Draft::new(advert, source, &config.auth, seal);
            let outgoing = |destination: &IpAddr| {
                let Parcel { protocol, identification, payload } = draft.to(*destination, form);
                Outgoing {
                    instance: member.id,
                    due,
                    interface: interface.clone(),
                    source,
                    destination: *destination,
                    mac,
                    ttl: if destination.is_multicast() { u8::MAX } else { router.config.ttl },
                    protocol,
                    identification,
                    payload,
                }
            };
            destinations.iter().map(outgoing).collect::<Vec<_>>()
        };
        let Some(seal) = member.ledger.next(&config.auth, source, clock) else { return };
        self.keeping.news |= seal != Seal::None;
        effects.extend(parcels(advert, &seal, self.due).into_iter().map(Effect::Send));
        if self.willed && advert.priority.is_some() {
            // It is the next advert that could leave; the one that does leave next has the number again.
            if let Some(seal) = member.ledger.clone().next(&config.auth, source, clock) {
                let farewell = parcels(&Advert { priority: None, ..advert.clone() }, &seal, None);
                let will = Will { vrid: advert.vrid, farewell, patience, linger: config.linger() };
                effects.push(Effect::Will(member.id, will));
            }
        }
        member.sent += 1;
        member.farewells_sent += u64::from(advert.priority.is_none());
        self.remember(now, false, effects);
    }

    /// The sockets that the routers need now. One that demands an authentication header listens for adverts
    /// without one as well, so that they are refused and counted.
    pub(super) fn listen(&mut self, effects: &mut Vec<Effect>) {
        let mut wanted: BTreeMap<Place<'_>, (bool, BTreeSet<Vrid>)> = BTreeMap::new();
        for router in &self.routers {
            let Some(link) = router.link.as_deref().and_then(|name| self.links.known().get(name)) else {
                continue;
            };
            let ah = matches!(router.config.auth, Auth::Ah(_)).then_some(ah::PROTOCOL);
            for member in &router.members {
                for protocol in [PROTOCOL].into_iter().chain(ah) {
                    let key = (&*link.name, link.index, member.family, protocol);
                    let entry = wanted.entry(key).or_default();
                    entry.0 |= router.config.peers.is_empty();
                    entry.1.insert(router.config.vrid);
                }
            }
        }
        let listen = |((interface, index, family, protocol), (multicast, vrids)): ((&str, _, _, _), _)| {
            Listen { interface: interface.to_owned(), index, family, protocol, multicast, vrids }
        };
        let wanted: BTreeSet<Listen> = wanted.into_iter().map(listen).collect();
        if wanted != self.listening {
            self.listening.clone_from(&wanted);
            self.sockets.retain(|(interface, family), _| {
                wanted.iter().any(|l| l.interface == *interface && l.family == *family)
            });
            effects.push(Effect::Listen(wanted));
        }
    }
}
