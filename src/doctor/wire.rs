//! What was heard on the wire: other clusters with our number, adverts that are refused, two Masters, none.

use super::Report;
use super::heard::{Heard, Sender};
use super::network::place;
use super::refusals::{WHY, mend};
use super::verdict::Verdict;
use crate::agent::config::{Config, Router};
use crate::agent::status::Status;
use crate::agent::{Link, Standing};
use crate::vrrp::packet::Remark;
use crate::vrrp::{Checksum, ChecksumPolicy, Family, Vrid};
use std::net::IpAddr;
use std::time::Duration;

/// So many intervals have to be listened to before silence means anything.
pub(super) const ENOUGH: u32 = 3;
/// Two Masters at once for so many adverts are no election.
const LASTING: usize = 3;

/// Judges what was heard while listening. `status` is that of the daemon afterwards, where one answers.
pub fn judge(config: &Config, links: &[Link], heard: &Heard, status: Option<&Status>, report: &mut Report) {
    for router in &config.routers {
        let Some(link) = place(router, links) else { continue };
        for family in router.families() {
            let on = |sender: &&Sender| sender.interface == link.name && sender.family == family;
            let here: Vec<&Sender> = heard.senders.iter().filter(on).collect();
            let view = View { router, family, link, here, heard };
            view.judge(status, report);
        }
    }
}

/// One router in one family, and what was heard on its interface.
struct View<'a> {
    router: &'a Router,
    family: Family,
    link: &'a Link,
    /// Those on its interface, whatever their VRID.
    here: Vec<&'a Sender>,
    heard: &'a Heard,
}

impl View<'_> {
    fn judge(&self, status: Option<&Status>, report: &mut Report) {
        let name = &self.router.name;
        let (mut believed, before) = (Vec::new(), report.findings.len());
        for sender in &self.here {
            if sender.vrid != Some(self.router.vrid) {
                self.other_number(sender, report);
            } else if sender.ours {
                believed.push(*sender);
            } else if self.is_foreign(sender) {
                self.foreign(sender, report);
            } else if self.judged(sender, report) {
                believed.push(*sender);
            }
        }
        self.masters(&believed, report);
        if believed.is_empty() && report.findings.len() == before {
            self.silence(status, report);
        }
        if report.findings.len() == before {
            for sender in believed {
                let who = if sender.ours { "this host".to_owned() } else { sender.source.to_string() };
                let what =
                    format!("{name}: {who} advertises on {}, {} adverts heard", self.link.name, sender.count);
                report.fine("wire", what);
            }
        }
    }

    /// Whether it advertises nothing of ours: another cluster.
    fn is_foreign(&self, sender: &Sender) -> bool {
        let own: Vec<IpAddr> = self.router.named_of(self.family).collect();
        !own.is_empty()
            && !sender.addresses.is_empty()
            && !sender.addresses.iter().any(|address| own.contains(address))
    }

    fn foreign(&self, sender: &Sender, report: &mut Report) {
        let Router { name, vrid, .. } = self.router;
        let addresses: Vec<_> = sender.addresses.iter().map(ToString::to_string).collect();
        let what = format!(
            "{} uses VRID {vrid} on {} as well, for {}: another cluster",
            sender.source,
            self.link.name,
            addresses.join(", ")
        );
        let mend = match self.free() {
            Some(free) => {
                format!("write vrid = {free} for {name} on all its hosts: nobody was heard with it")
            }
            None => format!("give {name} another vrid on all its hosts"),
        };
        if self.router.peers.is_empty() {
            let why = "each believes the other's adverts: one of the clusters has no Master";
            report.trouble("wire.foreign-vrid", what, why, mend);
        } else {
            let why = "here only peers are believed; the other cluster, or a virtual MAC address, may suffer";
            report.doubt("wire.foreign-vrid", what, why, mend);
        }
    }

    /// A VRID that nobody was heard with.
    fn free(&self) -> Option<Vrid> {
        let after = self.router.vrid.get();
        let mut others = (after..=u8::MAX).chain(1..after).filter_map(Vrid::new);
        others.find(|vrid| {
            *vrid != self.router.vrid && !self.heard.senders.iter().any(|one| one.vrid == Some(*vrid))
        })
    }

    /// Our address under another number.
    fn other_number(&self, sender: &Sender, report: &mut Report) {
        let Router { name, vrid, .. } = self.router;
        let common = self.router.named_of(self.family).find(|own| sender.addresses.contains(own));
        let (Some(address), Some(other)) = (common, sender.vrid) else { return };
        if !sender.ours {
            let what = format!(
                "{} advertises {address} with VRID {other}, and {name} has VRID {vrid}",
                sender.source
            );
            let why = "they do not know of each other, and both take the address";
            report.trouble(
                "wire.vrid",
                what,
                why,
                format!("write vrid = {vrid} there, or vrid = {other} here"),
            );
        }
    }

    /// Whether it is believed here, and what is odd about it.
    fn judged(&self, sender: &Sender, report: &mut Report) -> bool {
        let (name, source) = (&self.router.name, sender.source);
        match &sender.verdict {
            Some(Verdict::Refused(_, refusal)) => {
                let what =
                    format!("{name} refuses the adverts of {source}, {} heard: {refusal}", sender.count);
                report.trouble(
                    format!("wire.{}", refusal.name()),
                    what,
                    WHY,
                    mend(*refusal, self.router, source),
                );
                false
            }
            Some(Verdict::Barred(_, why)) => {
                report.unseen(format!("whether {name} believes {source}"), why);
                true
            }
            Some(Verdict::Accepted(_, remarks)) => {
                for remark in remarks {
                    self.odd(*remark, sender, report);
                }
                self.sum(sender, report);
                true
            }
            Some(Verdict::Nobody) | None => false,
        }
    }

    fn odd(&self, remark: Remark, sender: &Sender, report: &mut Report) {
        let (name, source) = (&self.router.name, sender.source);
        let what = format!("{name}: of {source}: {remark}");
        let id = format!("wire.{}", remark.name());
        match remark {
            Remark::OtherAddresses => {
                let why = "after a failover some addresses are on no host";
                report.doubt(id, what, why, format!("write the same addresses for {name} on every host"));
            }
            Remark::OtherInterval => {
                let why = "how long a failover takes depends on who was Master";
                report.doubt(id, what, why, format!("write the same interval for {name} on every host"));
            }
            Remark::OwnerConflict | Remark::TwoOwners => {
                let why = "each says that the addresses are its own, and neither gives way";
                report.trouble(id, what, why, "write a priority of 254 or less on all hosts but one");
            }
            Remark::FirstNotLinkLocal | Remark::Password => {}
        }
    }

    /// Which reading of the checksum it speaks, where ours is fixed.
    fn sum(&self, sender: &Sender, report: &mut Report) {
        let (name, source) = (&self.router.name, sender.source);
        let (ours, theirs) = match (self.router.checksum, sender.checksum) {
            (ChecksumPolicy::Pseudo, Some(Checksum::Rfc9568)) => ("with the pseudo-header", "without it"),
            (ChecksumPolicy::Rfc9568, Some(Checksum::Pseudo)) => ("without the pseudo-header", "with it"),
            _ => return,
        };
        let what = format!("{name} sums its adverts {ours}, and {source} {theirs}");
        let why = "both are believed here; a strict peer refuses ours, and becomes Master as well";
        report.doubt(
            "wire.checksum-reading",
            what,
            why,
            "write checksum = \"auto\", which answers as it hears",
        );
    }

    /// Several that go on: they do not hear each other.
    fn masters(&self, believed: &[&Sender], report: &mut Report) {
        let interval = self.router.interval.duration();
        let lasts = |sender: &&&Sender| {
            sender.count >= LASTING && sender.priority != 0 && sender.last + interval * 2 > self.heard.end
        };
        let masters: Vec<_> = believed.iter().filter(lasts).collect();
        if masters.len() < 2 {
            return;
        }
        let named = masters.iter().map(|sender| {
            let whose = if sender.ours { "this host, " } else { "" };
            format!("{} ({whose}priority {})", sender.source, sender.priority)
        });
        let named: Vec<_> = named.collect();
        let what = format!("{} has several Masters at once: {}", self.router.name, named.join(" and "));
        let why = "they do not hear or do not believe each other, and each has the addresses";
        let mend = "run locum doctor on each of them: the one that does not hear has the firewall, key or peer that is wrong";
        report.trouble("wire.two-masters", what, why, mend);
    }

    fn silence(&self, status: Option<&Status>, report: &mut Report) {
        let (name, place, interval) = (&self.router.name, &self.link.name, self.router.interval.duration());
        let span = self.heard.span;
        if self.router.barred.is_some() {
            return;
        }
        if self.router.second_path.is_some() {
            report
                .unseen(format!("whether anybody advertises {name}"), "it may come by the second path alone");
            return;
        }
        if span < interval * ENOUGH {
            let what = format!("whether anybody advertises {name}");
            let seconds = (interval * (ENOUGH + 1)).as_secs().max(1);
            report.unseen(what, format!("it advertises every {}: --listen {seconds}s", self.router.interval));
            return;
        }
        let standing = status.into_iter().flat_map(|status| &status.routers).find(|one| one.name == *name);
        let since = |ms: u64| Duration::from_millis(ms) > span;
        match standing.map(|router| (router.state, since(router.since_ms))) {
            Some((Standing::Master, true)) => {
                let what =
                    format!("{name} is MASTER here, and no {} advert of it left by {place}", self.family);
                let why = "the others hear nothing, and take the addresses as well";
                report.trouble(
                    "wire.not-sent",
                    what,
                    why,
                    "see last_send_error in locum status --json, and its log",
                );
            }
            Some((Standing::Master, false)) => {}
            _ => {
                let what = format!("nobody advertises {name}, VRID {}, on {place}", self.router.vrid);
                let why = "no host is Master, or its adverts do not arrive: multicast that a switch keeps back, \
                           a peer that sends elsewhere";
                let mend = "start the daemons; if one of them is MASTER, run locum doctor there, and ask the \
                            network's people for IGMP snooping, or write peers";
                report.doubt("wire.silence", what, why, mend);
            }
        }
    }
}
