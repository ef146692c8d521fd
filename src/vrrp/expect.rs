//! What a receiver expects of an advert, beyond being well-formed: RFC 9568 section 7.1, RFC 3768
//! section 7.1. Judges and remembers nothing.

use super::auth::Auth;
use super::envelope::Envelope;
use super::hmac::Origin;
use super::packet::Message;
use super::refusal::{Refusal, Remark};
use super::{Advert, Interval, Priority, Version, Vrid};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What the receiving instance expects of a packet.
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The version it speaks.
    pub version: Version,
    /// Its virtual router.
    pub vrid: Vrid,
    /// Its own interval: version 2 must equal it, version 3 is only remarked on.
    pub interval: Interval,
    /// It owns the addresses (priority 255).
    pub owner: bool,
    /// An owner believes nobody else, in version 3 either.
    pub owner_ignores: bool,
    /// It advertises no address: neither need the others.
    pub bare: bool,
    /// How it speaks to the others.
    pub reach: Reach<'a>,
    /// The lowest TTL or hop limit to accept; `None` is 255 for multicast, any for unicast.
    pub min_ttl: Option<u8>,
    /// The same of single peers, with the highest.
    pub ttls: &'a [(IpAddr, RangeInclusive<u8>)],
    /// How it knows the others.
    pub auth: &'a Auth,
    /// The wall clock, since the Unix epoch, for signatures only: without it none is believed.
    pub clock: Option<Duration>,
    /// Its own addresses, in any order, to compare; empty compares nothing.
    pub addresses: &'a [IpAddr],
    /// Refuse what the RFC forbids but the field does: a first IPv6 address that is not
    /// link-local (erratum 8300). Otherwise remarked on.
    pub strict: bool,
}

/// Where adverts go to and come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    /// This group, mostly that of the family.
    Multicast(IpAddr),
    /// These peers and nobody else.
    Unicast(&'a [IpAddr]),
}

impl Expect<'_> {
    /// Whether a well-formed message is for us, and from somebody who may send it.
    pub(super) fn admit(
        &self,
        envelope: &Envelope<'_>,
        message: &Message<'_>,
        is_word: bool,
    ) -> Result<(), Refusal> {
        self.version_and_vrid(&message.advert)?;
        self.path(envelope, is_word)?;
        self.authentication(envelope, message)
    }

    fn version_and_vrid(&self, advert: &Advert) -> Result<(), Refusal> {
        if advert.version != self.version {
            return Err(Refusal::Version);
        }
        if advert.vrid != self.vrid {
            return Err(Refusal::VridUnknown);
        }
        Ok(())
    }

    /// The smallest TTL or hop limit that is accepted; 0 for any.
    #[must_use]
    pub fn least_ttl(&self) -> u8 {
        match self.reach {
            Reach::Multicast(_) => self.min_ttl.unwrap_or(u8::MAX),
            Reach::Unicast(_) => self.min_ttl.unwrap_or(0),
        }
    }

    /// Where it came from, how far, and where it was sent to: a word goes to one host, whatever adverts do.
    fn path(&self, envelope: &Envelope<'_>, is_word: bool) -> Result<(), Refusal> {
        let Envelope { source, destination, ttl, .. } = *envelope;
        let own = self.ttls.iter().find(|(peer, _)| *peer == source).map(|(_, bounds)| bounds.clone());
        // A TTL the kernel did not tell is as good as none at all.
        if !own.unwrap_or(self.least_ttl()..=u8::MAX).contains(&ttl.unwrap_or(0)) {
            return Err(Refusal::Ttl);
        }
        match self.reach {
            _ if is_word && destination.is_multicast() => Err(Refusal::MulticastDestination),
            Reach::Multicast(_) if !is_word && !destination.is_multicast() => {
                Err(Refusal::UnicastDestination)
            }
            Reach::Multicast(group) if !is_word && destination != group => Err(Refusal::BadDestination),
            // RFC 9568 5.1.2.1; over unicast keepalived sends from any address.
            Reach::Multicast(_) if !link_local_in_ipv6(source) => Err(Refusal::SourceNotLinkLocal),
            Reach::Unicast(_) if destination.is_multicast() => Err(Refusal::MulticastDestination),
            Reach::Unicast(peers) if !peers.contains(&source) => Err(Refusal::NotAPeer),
            _ => Ok(()),
        }
    }

    fn authentication(&self, envelope: &Envelope<'_>, message: &Message<'_>) -> Result<(), Refusal> {
        let version = message.advert.version;
        if version == Version::V2 && message.auth_type != self.auth.wire_type() {
            return Err(Refusal::AuthType);
        }
        match (self.auth, envelope.ah, envelope.source) {
            (Auth::Ah(secret), Some(header), IpAddr::V4(source)) => header.verify(secret, source),
            (Auth::Ah(_), ..) | (_, Some(_), _) => Err(Refusal::AuthType),
            (Auth::Hmac(ring), ..) => match message.trailer {
                None if ring.demands() => Err(Refusal::Unsigned),
                None => Ok(()),
                Some(trailer) => {
                    let origin = Origin { source: envelope.source, version: self.version, vrid: self.vrid };
                    let clock = self.clock.ok_or(Refusal::Stale)?;
                    ring.verify(message.bytes, trailer, origin, clock)?;
                    Ok(())
                }
            },
            (auth, ..) if version == Version::V2 && !auth.admits(message.auth_data) => {
                Err(Refusal::WrongPassword)
            }
            _ => Ok(()),
        }
    }

    /// Judges what a message says: refuses it, or says what is odd about it.
    pub(super) fn content(&self, advert: &Advert) -> Result<Vec<Remark>, Refusal> {
        let mut remarks = Vec::new();
        if advert.interval != self.interval {
            match advert.version {
                Version::V2 => return Err(Refusal::IntervalMismatch),
                Version::V3 => remarks.push(Remark::OtherInterval),
            }
        }
        if self.owner {
            // RFC 3768 7.1 discards; erratum 8298 of RFC 9568 lets the addresses decide.
            match advert.version {
                Version::V2 => return Err(Refusal::LocalOwner),
                Version::V3 if self.owner_ignores => return Err(Refusal::LocalOwner),
                Version::V3 if advert.priority == Some(Priority::OWNER) => {
                    remarks.push(Remark::OwnerConflict);
                }
                Version::V3 => {}
            }
        }
        if first_not_link_local(advert) {
            if self.strict {
                return Err(Refusal::FirstNotLinkLocal);
            }
            // Worth a word only where we do it right ourselves.
            if self.addresses.first().is_none_or(|ours| link_local_in_ipv6(*ours)) {
                remarks.push(Remark::FirstNotLinkLocal);
            }
        }
        // Never a reason to drop, though RFC 3768 7.1 allows it: while addresses are being rolled
        // out to one router after the other, dropping would make two Masters.
        if !self.addresses.is_empty() && !same_addresses(self.addresses, &advert.addresses) {
            remarks.push(Remark::OtherAddresses);
        }
        Ok(remarks)
    }
}

/// The order of the list means nothing (RFC 9568 section 5.2.9).
fn same_addresses(ours: &[IpAddr], theirs: &[IpAddr]) -> bool {
    let sorted = |list: &[IpAddr]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    ours == theirs || sorted(ours) == sorted(theirs)
}

/// Whether an IPv6 message breaks erratum 8300.
pub(super) fn first_not_link_local(advert: &Advert) -> bool {
    advert.addresses.first().is_some_and(|first| !link_local_in_ipv6(*first))
}

/// Link-local, or IPv4, where nothing of the kind is asked.
fn link_local_in_ipv6(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}
