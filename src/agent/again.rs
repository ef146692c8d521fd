//! The same advert once more: nearly all that a Backup hears. What it did the last time it does again, only
//! later, so nothing of it is read anew.
//!
//! Whatever else comes in between makes the next advert one that is read (RFC 9568 6.4.2).

use super::Agent;
use super::effect::Datagram;
use crate::time::Time;
use crate::vrrp::auth::Seal;
use crate::vrrp::instance::State;
use crate::vrrp::packet::{self, Heard};
use crate::vrrp::why::Why;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A packet as it came in, not copied yet.
#[derive(Clone, Copy, Debug)]
pub struct Came<'a> {
    /// Where.
    pub interface: &'a Arc<str>,
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// TTL or hop limit, as the kernel tells.
    pub ttl: Option<u8>,
    /// IPv4: the whole packet with its header. IPv6: the VRRP message.
    pub packet: &'a [u8],
}

impl<'a> Came<'a> {
    /// One that was kept.
    #[must_use]
    pub fn of(kept: &'a Datagram) -> Self {
        let Datagram { interface, source, destination, ttl, packet } = kept;
        Came { interface, source: *source, destination: *destination, ttl: *ttl, packet }
    }

    /// A copy that can be kept.
    #[must_use]
    pub fn kept(&self) -> Datagram {
        Datagram {
            interface: Arc::clone(self.interface),
            source: self.source,
            destination: self.destination,
            ttl: self.ttl,
            packet: self.packet.to_vec(),
        }
    }

    fn is(&self, other: &Datagram) -> bool {
        let repeats = match self.source {
            IpAddr::V4(_) => packet::repeats_ipv4(self.packet, &other.packet),
            IpAddr::V6(_) => self.packet == other.packet,
        };
        repeats
            && self.ttl == other.ttl
            && self.source == other.source
            && self.destination == other.destination
            && *self.interface == other.interface
    }
}

/// An advert that put off a takeover, and nothing more.
#[derive(Debug)]
pub(super) struct Again {
    datagram: Datagram,
    router: usize,
    member: usize,
    /// For how long.
    wait: Duration,
}

impl Agent {
    /// Does what the last advert did, if this one is the same and nothing else has happened since. `false`:
    /// nothing was done, it is to be handled.
    pub fn again(&mut self, now: Time, came: &Came<'_>) -> bool {
        let Some(again) = self.again.as_ref().filter(|again| came.is(&again.datagram)) else { return false };
        let router = &mut self.routers[again.router];
        let member = &mut router.members[again.member];
        let at = now + again.wait;
        // Whoever is late has to be told so first.
        if !self.sets[router.set].group.put_off(member.seat, now, at) {
            return false;
        }
        member.peers.hear_again(now, came.source);
        self.deadlines.file(router.set, Some(at));
        true
    }

    /// Keeps an advert whose next of kin is one of those, now that it was heard.
    pub(super) fn keep(
        &mut self,
        now: Time,
        datagram: &Datagram,
        (index, member): (usize, usize),
        heard: &Heard,
    ) {
        let router = &self.routers[index];
        let set = &self.sets[router.set];
        let [instance] = set.group.members() else { return };
        let alone = set.name.is_none() && set.office.is_none() && router.handover.is_none();
        let plain = heard.seal == Seal::None && instance.source() != Some(heard.source);
        let quiet = !self.keeping.news && !self.stopping && self.relay.is_none();
        if !(alone && plain && quiet) {
            return;
        }
        if let State::Backup { master, down_at, preempt_at: None, cause: Why::Silence, .. } = instance.state()
            && *master == Some(heard.source)
            && heard.advert.priority.is_some_and(|theirs| theirs >= instance.priority())
        {
            let wait = down_at.since(now);
            self.again = Some(Again { datagram: datagram.clone(), router: index, member, wait });
        }
    }
}
