//! This host's file against that of another host: whether either would believe the other.
//!
//! No rule of the protocol is written down here a second time: an advert is made as one of the two would
//! make it, and read as the other one would.

use super::Report;
use super::network::place;
use super::refusals::{WHY, mend};
use crate::agent::Link;
use crate::agent::config::{Claims, Config, Router, Vote};
use crate::explain::Peer;
use crate::vrrp::auth::Auth;
use crate::vrrp::ledger::Ledger;
use crate::vrrp::packet::{Draft, Envelope, Refusal, Remark, parse};
use crate::vrrp::{Advert, Checksum, Family};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Judges each router of this host beside its counterpart in the peer's file. `clock` is the wall clock,
/// since the Unix epoch; both files are read as if the hosts agreed on it.
pub fn judge(own: &Config, links: &[Link], peer: &Peer, clock: Duration, report: &mut Report) {
    for router in &own.routers {
        let Some(theirs) = counterpart(router, &peer.rules.routers) else {
            missing(router, peer, report);
            continue;
        };
        let before = report.findings.len();
        let barred = [router, theirs].into_iter().find_map(|router| router.barred.as_ref());
        if let Some(why) = barred {
            report.unseen(format!("whether {} and {} believe each other", router.name, peer.name), why);
        } else {
            for family in router.families() {
                let pair = Pair { router, theirs, file: &peer.name, family, links, clock };
                pair.judge(report);
            }
        }
        priorities(router, theirs, &peer.name, report);
        holdings(router, theirs, &peer.name, report);
        if report.findings.len() == before && barred.is_none() {
            report.fine("peer-file", format!("{} and {} agree", router.name, peer.name));
        }
    }
    let known = |theirs: &&Router| !own.routers.iter().any(|router| meets(router, theirs));
    for theirs in peer.rules.routers.iter().filter(known) {
        let (name, vrid) = (&theirs.name, theirs.vrid);
        // Told from the other end where the addresses show which router is meant.
        if !own.routers.iter().any(|router| shared(router, theirs).is_some()) {
            let what = format!("{}: router {name}, VRID {vrid}, is not in this host's file", peer.name);
            let why = "nobody takes its addresses when that host fails";
            report.doubt(
                "peer-file.router",
                what,
                why,
                format!("write router {name} here as well, or remove it there"),
            );
        }
    }
    claims(own, peer, report);
}

fn missing(router: &Router, peer: &Peer, report: &mut Report) {
    let (name, vrid, file) = (&router.name, router.vrid, &peer.name);
    let meant = peer.rules.routers.iter().find_map(|theirs| Some((theirs, shared(router, theirs)?)));
    if let Some((theirs, address)) = meant {
        let what = format!("{name} has VRID {vrid}, and {file} holds {address} under VRID {}", theirs.vrid);
        let why = "they do not know of each other, and both take the address";
        report.trouble(
            "peer-file.vrid",
            what,
            why,
            format!("write vrid = {vrid} in {file}, or its number here"),
        );
    } else {
        let what = format!("{name}, VRID {vrid}, is not in {file}");
        let why = "nobody takes the addresses when this host fails";
        report.doubt("peer-file.router", what, why, format!("write router {name} in {file} as well"));
    }
}

/// The same virtual router there: by VRID and family, and where several are, on the same interface.
fn counterpart<'a>(router: &Router, theirs: &'a [Router]) -> Option<&'a Router> {
    let all = || theirs.iter().filter(|other| meets(router, other));
    all().find(|other| other.interface == router.interface).or_else(|| all().next())
}

fn meets(router: &Router, other: &Router) -> bool {
    router.vrid == other.vrid && router.families().iter().any(|family| other.families().contains(family))
}

/// An address that both hold.
fn shared(router: &Router, theirs: &Router) -> Option<IpAddr> {
    let mut all = router.vips.iter().chain(&router.excluded).map(|vip| vip.address);
    all.find(|address| theirs.vips.iter().chain(&theirs.excluded).any(|vip| vip.address == *address))
}

fn priorities(router: &Router, theirs: &Router, file: &str, report: &mut Report) {
    if router.priority != theirs.priority {
        return;
    }
    let (name, priority) = (&router.name, router.priority);
    let what = format!("{name} has priority {priority} here and in {file}");
    if priority.is_owner() {
        let why = "each says that the addresses are its own, and neither gives way";
        report.trouble(
            "peer-file.priority",
            what,
            why,
            "write a priority of 254 or less on all hosts but one",
        );
    } else {
        let why =
            "the greater of their own addresses decides who is Master, which nobody reads off the files";
        report.doubt("peer-file.priority", what, why, "write another priority on one of them, 20 apart");
    }
}

/// What is held beside what adverts say, and how.
fn holdings(router: &Router, theirs: &Router, file: &str, report: &mut Report) {
    let all = |router: &Router| {
        let mut all: Vec<_> = router
            .vips
            .iter()
            .chain(&router.excluded)
            .map(|vip| format!("{}/{}", vip.address, vip.prefix))
            .collect();
        all.sort();
        all
    };
    let (ours, others) = (all(router), all(theirs));
    let only =
        |these: &[String], those: &[String]| these.iter().find(|address| !those.contains(address)).cloned();
    let one = only(&ours, &others).map(|address| (address, "not there"));
    if let Some((address, place)) = one.or(only(&others, &ours).map(|address| (address, "not here"))) {
        let what = format!("{} and {file} hold different addresses: {address} is {place}", router.name);
        let why = "after a failover that address is missing, or is in another network";
        report.doubt(
            "peer-file.addresses",
            what,
            why,
            "write the same addresses, with their prefix lengths, on both",
        );
    }
    if router.quorum != theirs.quorum {
        let what = format!("{} has another quorum in {file} than here", router.name);
        let why = "who asks no voters takes the addresses though another has their leave";
        report.trouble("peer-file.quorum", what, why, "write the same quorum on every host");
    }
}

fn claims(own: &Config, peer: &Peer, report: &mut Report) {
    let file = &peer.name;
    let why = "neither asks whom the other one asks: both may hold the addresses, or nobody";
    match (&own.claims, &peer.rules.claims) {
        (Some(Claims::Vote(ours)), Some(Claims::Vote(theirs))) => votes(ours, theirs, file, report),
        (Some(Claims::Store(ours)), Some(Claims::Store(theirs))) => {
            if ours.endpoints.iter().any(|endpoint| theirs.endpoints.contains(endpoint)) {
                report.fine("peer-file.claim", format!("[claim] and that of {file} name one etcd"));
            } else {
                let what = format!("[claim]: no endpoint of the etcd here is one in {file}");
                report.doubt("peer-file.claim", what, why, "write the same endpoints on every host");
            }
        }
        (Some(_), Some(_)) => {
            let what = format!("[claim]: one asks voters and the other an etcd, here and in {file}");
            report.trouble("peer-file.claim", what, why, "write the same kind of [claim] on every host");
        }
        (Some(_), None) | (None, _) => {}
    }
}

fn votes(ours: &Vote, theirs: &Vote, file: &str, report: &mut Report) {
    let why = "their votes do not count for each other, and nobody gets a majority";
    if ours.key != theirs.key {
        let what = format!("the key of [claim] differs from that of {file}");
        report.trouble("peer-file.claim", what, why, "copy the key file to every voter");
    } else if !ours.others.contains(&theirs.own) || !theirs.others.contains(&ours.own) {
        let (here, there) = (ours.own, theirs.own);
        let what =
            format!("[claim]: {here} votes here and {there} in {file}, and one does not know the other");
        report.trouble(
            "peer-file.claim",
            what,
            why,
            "write each host's listen among the voters of the other",
        );
    } else {
        report.fine("peer-file.claim", format!("[claim] and that of {file} agree"));
    }
}

/// One router in one family on two hosts.
struct Pair<'a> {
    router: &'a Router,
    theirs: &'a Router,
    file: &'a str,
    family: Family,
    links: &'a [Link],
    clock: Duration,
}

impl Pair<'_> {
    fn judge(&self, report: &mut Report) {
        let Pair { router, theirs, file, family, .. } = *self;
        let (here, there) = (self.here(), self.there());
        if !router.peers.is_empty() && !theirs.peers.is_empty() && there.is_none() {
            let what = format!("whether {} sends its adverts to the address of {file}", router.name);
            report.unseen(what, "the file does not say from where it sends: write source there");
        }
        self.aim(here, there, report);
        // Who does not say from where it sends may send from where it is expected.
        let nobody =
            [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into()];
        let nobody = nobody.into_iter().find(|address| Family::of(*address) == family);
        let expected =
            |by: &Router| by.peers.iter().copied().find(|peer| Family::of(*peer) == family).or(nobody);
        let (Some(here), Some(there)) =
            (here.or_else(|| expected(theirs)), there.or_else(|| expected(router)))
        else {
            return;
        };
        let ours = self.read(theirs, router, there, here);
        let others = self.read(router, theirs, here, there);
        let name = &router.name;
        match (ours, others) {
            (Err(one), Err(other)) if one == other => {
                let what = format!("{name} and {file} refuse each other's {family} adverts: {one}");
                refused(one, what, mend(one, router, there), report);
            }
            (ours, others) => {
                match ours {
                    Ok(remarks) => self.remarks(&remarks, report),
                    Err(refusal) => {
                        let what = format!("{name} refuses the {family} adverts of {file}: {refusal}");
                        refused(refusal, what, mend(refusal, router, there), report);
                    }
                }
                if let Err(refusal) = others {
                    let what = format!("{file} refuses the {family} adverts of {name}: {refusal}");
                    let mend = mend(refusal, theirs, here);
                    refused(refusal, what, format!("on the host of {file}: {mend}"), report);
                }
            }
        }
    }

    fn remarks(&self, remarks: &[Remark], report: &mut Report) {
        let Pair { router, theirs, file, .. } = self;
        if remarks.contains(&Remark::OtherInterval) {
            let what = format!(
                "{} advertises every {} here, and in {file} every {}",
                router.name, router.interval, theirs.interval
            );
            let why = "how long a failover takes depends on who was Master";
            report.doubt("peer-file.other-interval", what, why, "write the same interval on every host");
        }
    }

    /// From where this host sends.
    fn here(&self) -> Option<IpAddr> {
        let own = place(self.router, self.links).into_iter().flat_map(|link| &link.addresses);
        let usable = own.map(|own| own.address).find(|own| match (self.family, own) {
            (Family::Ipv4, IpAddr::V4(_)) => true,
            (Family::Ipv6, IpAddr::V6(address)) => {
                !self.router.peers.is_empty() || address.is_unicast_link_local()
            }
            _ => false,
        });
        source(self.router, self.family).or(usable)
    }

    /// From where the other one says that it sends.
    fn there(&self) -> Option<IpAddr> {
        source(self.theirs, self.family)
    }

    /// Whether each sends to where the other one is.
    fn aim(&self, here: Option<IpAddr>, there: Option<IpAddr>, report: &mut Report) {
        let Pair { router, theirs, file, family, .. } = *self;
        let misses = |by: &Router, target: Option<IpAddr>| {
            let listed: Vec<_> = by.peers.iter().filter(|peer| Family::of(**peer) == family).collect();
            target.filter(|target| !listed.is_empty() && !listed.contains(&target))
        };
        // What the other refuses for that is told by itself.
        if let Some(there) = misses(router, there) {
            let what = format!("{} does not send to {there}, from where {file} sends", router.name);
            let mend = format!("write \"{there}\" among the peers of {} here", router.name);
            report.trouble("peer-file.peers", what, WHY, mend);
        }
        if let Some(here) = misses(theirs, here) {
            let what = format!("{file} does not send to {here}, which is this host");
            let mend = format!("write \"{here}\" among the peers of {} there", theirs.name);
            report.trouble("peer-file.peers", what, WHY, mend);
        }
    }

    /// What `reader` makes of an advert of `sender`.
    fn read(
        &self,
        sender: &Router,
        reader: &Router,
        from: IpAddr,
        to: IpAddr,
    ) -> Result<Vec<Remark>, Refusal> {
        let mut settings = reader.instance(self.family);
        let mut auth = sender.auth.clone();
        if matches!(auth, Auth::Ah(_)) || matches!(settings.auth, Auth::Ah(_)) {
            // An authentication header covers the IP header as well, and there is none.
            if auth != settings.auth {
                let both = matches!((&auth, &settings.auth), (Auth::Ah(_), Auth::Ah(_)));
                return Err(if both { Refusal::BadDigest } else { Refusal::AuthType });
            }
            auth = Auth::None;
            settings.auth = Auth::None;
        }
        let unicast = sender.peers.iter().any(|peer| Family::of(*peer) == self.family);
        let (destination, ttl) =
            if unicast { (to, sender.ttl) } else { (sender.group(self.family), u8::MAX) };
        let advert = Advert {
            version: sender.version,
            vrid: sender.vrid,
            priority: Some(sender.priority),
            interval: sender.interval,
            addresses: sender.instance(self.family).addresses,
        };
        let seal = Ledger::default().next(&auth, from, Some(self.clock)).unwrap_or_default();
        let payload = Draft::new(&advert, from, &auth, &seal).to(destination, Checksum::Pseudo).payload;
        let envelope = Envelope { source: from, destination, ttl: Some(ttl), ah: None, payload: &payload };
        parse(&envelope, &settings.expect(Some(self.clock))).map(|heard| heard.remarks)
    }
}

fn refused(refusal: Refusal, what: String, mend: String, report: &mut Report) {
    report.trouble(format!("peer-file.{}", refusal.name()), what, WHY, mend);
}

fn source(router: &Router, family: Family) -> Option<IpAddr> {
    router.sources.iter().copied().find(|source| Family::of(*source) == family)
}
