//! Interfaces with the virtual router's MAC address: RFC 9568 section 7.3.
//!
//! One is there only while this host is Master, so no switch hears the address from two sides, and a
//! Backup joins no groups by it. It is made down, filled, and set up once: the kernel then announces
//! groups and builds routes once, not for every address. With it all its addresses go at once.

use super::rtnl::Rtnl;
use super::sysctl::{self, Settings};
use crate::agent::Vmac;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use rtnetlink::{LinkMacVlan, LinkUnspec};
use std::io;
use std::path::PathBuf;

/// What an interface of ours says of itself (`ip link` shows it): by it a crash's leftovers are found.
const ALIAS: &str = "locum";

/// The interfaces that Locum has made.
pub(super) struct Macvlans {
    rtnl: Rtnl,
    made: Vec<Vmac>,
    /// What was changed for them: for each base, and for the host.
    settings: Settings,
}

/// Whose the settings are that are not one base's.
const HOST: &str = "";

impl Macvlans {
    /// `settings` is the file that remembers over a crash what was changed.
    pub(super) fn new(settings: Option<PathBuf>) -> io::Result<Self> {
        Ok(Macvlans { rtnl: Rtnl::new()?, made: Vec::new(), settings: Settings::open(settings) })
    }

    /// Makes it true that the interface is there, down where it is new. Returns whether it is new.
    /// `Err`: one line naming it and the reason.
    pub(super) fn make(&mut self, vmac: &Vmac, ipv6: bool) -> Result<bool, String> {
        let about = |reason: String| format!("interface {}: {reason}", vmac.name);
        let base = if_nametoindex(vmac.base.as_str())
            .map_err(|_| about(format!("there is no {} to put it on", vmac.base)))?;
        if let Some(present) = self.link(&vmac.name).map_err(about)? {
            let right = is_right(&present, vmac, base);
            if right && self.made.contains(vmac) {
                return Ok(false);
            }
            if !right && !is_ours(&present) {
                let reason = "it is there already and not Locum's: name the virtual one otherwise";
                return Err(about(reason.to_owned()));
            }
            if right && is_ours(&present) && is_up(&present) {
                // The program before this one has finished it.
                self.made.push(vmac.clone());
                self.set_up(vmac, ipv6)?;
                return Ok(false);
            }
            // What an earlier Locum has left may be half made.
            self.delete_link(&vmac.name)?;
        }
        // In private mode the kernel gives all that comes from this MAC address to this interface alone,
        // and the base hears no other Master's adverts: two would never find each other.
        let new = LinkMacVlan::new(&vmac.name, base, MacVlanMode::Vepa).address(vmac.mac.to_vec());
        let new = new.link_group(vmac.group).build();
        self.rtnl
            .change(RouteNetlinkMessage::NewLink(new), NLM_F_CREATE | NLM_F_EXCL)
            .map_err(|refusal| about(refusal.to_string()))?;
        self.made.retain(|made| made.name != vmac.name);
        self.made.push(vmac.clone());
        self.set_up(vmac, ipv6).inspect_err(|_| drop(self.delete(vmac)))?;
        Ok(true)
    }

    /// All that it needs before its first address.
    fn set_up(&mut self, vmac: &Vmac, ipv6: bool) -> Result<(), String> {
        let alias = LinkUnspec::new_with_name(&vmac.name).alias(ALIAS).build();
        self.rtnl
            .change(RouteNetlinkMessage::SetLink(alias), 0)
            .map_err(|refusal| format!("interface {}: {refusal}", vmac.name))?;
        // Answers only for its own addresses, takes packets whose way back is by the base, and keeps
        // what was secondary.
        for (setting, value) in
            [("arp_ignore", "1"), ("accept_local", "1"), ("rp_filter", "0"), ("promote_secondaries", "1")]
        {
            sysctl::set("ipv4", &vmac.name, setting, value)?;
        }
        // No address of its own, and no router found by it.
        for (setting, value) in [("addr_gen_mode", "1"), ("accept_ra", "0"), ("autoconf", "0")] {
            sysctl::set("ipv6", &vmac.name, setting, value)?;
        }
        sysctl::set("ipv6", &vmac.name, "disable_ipv6", if ipv6 { "0" } else { "1" })?;
        self.settings.begin(HOST);
        self.settings.scatter(HOST, "rp_filter")?;
        self.settings.begin(&vmac.base);
        self.quieten(&vmac.base)?;
        // Scattered over it as well, where it was there before.
        sysctl::set("ipv4", &vmac.name, "rp_filter", "0")
    }

    /// The base must not answer for the addresses of the virtual one, nor ask in their name. Returns whether it
    /// could have.
    fn quieten(&mut self, base: &str) -> Result<bool, String> {
        let settings = [("arp_ignore", "1"), ("arp_filter", "1"), ("arp_announce", "2")];
        settings.into_iter().try_fold(false, |changed, (setting, value)| {
            Ok(self.settings.set(base, base, setting, value)? || changed)
        })
    }

    /// Sets again what somebody has changed of this interface, where it is a base. Returns whether anything was.
    pub(super) fn mend(&mut self, interface: &str) -> bool {
        self.made.iter().any(|made| made.base == interface) && self.quieten(interface).unwrap_or(false)
    }

    /// Sets it up. Returns whether it was down.
    pub(super) fn raise(&self, vmac: &Vmac) -> Result<bool, String> {
        let about = |reason: String| format!("cannot set interface {} up: {reason}", vmac.name);
        let link = self.link(&vmac.name).map_err(about)?;
        if link.is_some_and(|link| is_up(&link)) {
            return Ok(false);
        }
        let up = LinkUnspec::new_with_name(&vmac.name).up().build();
        self.rtnl
            .change(RouteNetlinkMessage::SetLink(up), 0)
            .map_err(|refusal| about(refusal.to_string()))?;
        Ok(true)
    }

    /// Removes it and all its addresses, and makes the settings of the base as they were.
    pub(super) fn delete(&mut self, vmac: &Vmac) -> Result<(), String> {
        // Where it could not be made there may be somebody else's.
        if !self.made.contains(vmac) {
            return Ok(());
        }
        self.delete_link(&vmac.name)?;
        self.made.retain(|made| made != vmac);
        if !self.made.iter().any(|made| made.base == vmac.base) {
            self.settings.restore(&vmac.base);
        }
        if self.made.is_empty() {
            self.settings.restore(HOST);
        }
        Ok(())
    }

    fn delete_link(&self, name: &str) -> Result<(), String> {
        let gone = LinkUnspec::new_with_name(name).build();
        match self.rtnl.change(RouteNetlinkMessage::DelLink(gone), 0) {
            // Somebody was faster.
            Err(refusal) if refusal.errno == Errno::ENODEV => Ok(()),
            result => result.map_err(|refusal| format!("cannot remove interface {name}: {refusal}")),
        }
    }

    /// Removes what an earlier Locum has left behind. Returns its names.
    pub(super) fn sweep(&mut self) -> Vec<String> {
        let links = self.rtnl.dump(question(None), |message| match message {
            RouteNetlinkMessage::NewLink(link) if is_ours(&link) => name(link),
            _ => None,
        });
        let mut left = links.unwrap_or_default();
        self.settings.sweep();
        left.retain(|name| self.made.iter().all(|made| made.name != *name) && self.delete_link(name).is_ok());
        left
    }

    fn link(&self, name: &str) -> Result<Option<LinkMessage>, String> {
        Ok(match self.rtnl.get(question(Some(name)))? {
            Some(RouteNetlinkMessage::NewLink(link)) => Some(link),
            _ => None,
        })
    }
}

fn question(name: Option<&str>) -> RouteNetlinkMessage {
    let mut question = LinkMessage::default();
    question.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    question.attributes.extend(name.map(|name| LinkAttribute::IfName(name.to_owned())));
    RouteNetlinkMessage::GetLink(question)
}

fn name(link: LinkMessage) -> Option<String> {
    link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })
}

fn is_up(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up)
}

fn is_macvlan(link: &LinkMessage) -> bool {
    let macvlan = |infos: &[LinkInfo]| infos.contains(&LinkInfo::Kind(InfoKind::MacVlan));
    link.attributes
        .iter()
        .any(|attribute| matches!(attribute, LinkAttribute::LinkInfo(infos) if macvlan(infos)))
}

fn is_ours(link: &LinkMessage) -> bool {
    is_macvlan(link) && link.attributes.contains(&LinkAttribute::IfAlias(ALIAS.to_owned()))
}

/// With this hardware address on this base it is this virtual router's, whoever has made it.
fn is_right(link: &LinkMessage, vmac: &Vmac, base: u32) -> bool {
    let mac = LinkAttribute::Address(vmac.mac.to_vec());
    let wanted = [LinkAttribute::Link(base), mac, LinkAttribute::Group(vmac.group)];
    is_macvlan(link) && wanted.iter().all(|wanted| link.attributes.contains(wanted))
}
