//! An explanation for people.

use super::{Explanation, Role, Scene, Wire};
use crate::config::show;
use crate::vrrp::Family;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for role in &self.roles {
            role.fmt(f)?;
            writeln!(f)?;
        }
        if self.wire.is_empty() {
            return writeln!(f, "nothing is sent: no router takes part");
        }
        writeln!(f, "on the wire")?;
        for wire in &self.wire {
            wire.fmt(f)?;
        }
        writeln!(f, "\nthrough the firewall, nftables")?;
        lines(f, &self.firewall.nftables)?;
        writeln!(f, "or iptables")?;
        lines(f, &self.firewall.iptables)?;
        if !self.firewall.own.is_empty() {
            writeln!(f, "\nmade by Locum itself, in nftables")?;
        }
        lines(f, &self.firewall.own)
    }
}

fn lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: what it will do", self.name)?;
        writeln!(f, "  {}", self.against)?;
        lines(f, &self.about)?;
        self.election.iter().chain(&self.checks).try_for_each(|scene| scene.fmt(f))
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}: {}", self.when, self.outcome)
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wire { router, family, vrid, version, protocol, ttl, bytes, .. } = self;
        let to: Vec<_> = self.destinations.iter().map(IpAddr::to_string).collect();
        let how = if self.destinations.iter().any(IpAddr::is_multicast) { "multicast" } else { "unicast" };
        let hops = if *family == Family::Ipv4 { "TTL" } else { "hop limit" };
        let interval = show(Duration::from_millis(self.interval_ms.into()));
        writeln!(
            f,
            "  {router}: VRRP version {version} over {family}, VRID {vrid}, {how} to {}",
            to.join(", ")
        )?;
        write!(f, "    one advert of {bytes} bytes every {interval}, IP protocol {protocol}, {hops} {ttl}")?;
        match self.min_ttl {
            0 => writeln!(f, " (any is accepted)")?,
            u8::MAX => writeln!(f, " (no other is accepted)")?,
            least => writeln!(f, " ({least} and more are accepted)")?,
        }
        match (&self.source, &self.source_mac) {
            (None, None) => {}
            (Some(source), None) => writeln!(f, "    from {source}")?,
            (None, Some(mac)) => writeln!(f, "    from the virtual MAC address {mac}")?,
            (Some(source), Some(mac)) => writeln!(f, "    from {source} and the virtual MAC address {mac}")?,
        }
        writeln!(f, "    authentication: {}", self.authentication)?;
        if let Some(checksum) = &self.checksum {
            writeln!(f, "    checksum: {checksum}")?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "    {remark}"))
    }
}
