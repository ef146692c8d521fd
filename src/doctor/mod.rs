//! What costs a night, found before: every famous reason for two Masters, none, or an address that nobody
//! finds.
//!
//! Facts in, findings out: nothing here opens, reads or runs anything. One file for each kind of thing that is
//! looked at; [`crate::survey`] gathers the facts. What is not known is [`Unseen`], and never taken for fine.

pub mod address;
pub mod clock;
pub mod cluster;
pub mod configuration;
pub mod daemon;
pub mod filter;
pub mod firewall;
pub mod heard;
pub mod interface;
mod iptables;
pub mod kernel;
pub mod mtu;
mod network;
pub mod network_manager;
mod nft;
pub mod peer_file;
pub mod privileges;
mod refusals;
mod report;
pub mod verdict;
pub mod wire;

pub use iptables::iptables;
pub use network::{place, reaches, within};
pub use nft::nft;
pub use report::{Finding, Report, Severity, Unseen};

use crate::agent::Link;
use crate::agent::cluster::Cluster;
use crate::agent::status::Status;
use crate::config::Config;
use crate::explain::{self, Peer};
use address::Asked;
use daemon::Silent;
use filter::Filter;
use heard::Listened;
use kernel::Settings;
use network_manager::Managed;
use privileges::Privileges;
use std::time::Duration;

/// What is known of this host and its network. Where something is not, the line says why.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The wall clock, since the Unix epoch.
    pub clock: Duration,
    /// What this process may do.
    pub own: Privileges,
    /// What the daemon may do, where one runs.
    pub daemon: Option<Privileges>,
    /// The interfaces.
    pub links: Result<Vec<Link>, String>,
    /// The kernel's settings of each.
    pub settings: Vec<Settings>,
    /// Who else manages them.
    pub managed: Result<Vec<Managed>, String>,
    /// The packet filters.
    pub filter: Result<Filter, String>,
    /// Whether the clock is kept right.
    pub synchronized: Result<bool, String>,
    /// What was on the wire.
    pub heard: Result<Listened, String>,
    /// Who answered for the addresses.
    pub asked: Result<Vec<Asked>, String>,
    /// What the daemon says.
    pub status: Result<Status, Silent>,
    /// What the other hosts say; `None` where they were not asked.
    pub cluster: Option<Cluster>,
}

/// Judges everything about a configuration that can be used.
pub fn examine(config: &Config, peers: &[Peer], facts: &Facts, report: &mut Report) {
    let agent = &config.agent;
    let links = facts.links.as_deref().unwrap_or_default();
    for peer in peers {
        peer_file::judge(agent, links, peer, facts.clock, report);
    }
    privileges::judge(facts.daemon, facts.own, &users(config), report);
    let wires = explain::wires(config);
    match &facts.links {
        Ok(links) => {
            interface::judge(&agent.routers, links, report);
            kernel::judge(&agent.routers, links, &facts.settings, report);
            mtu::judge(&wires, links, report);
        }
        Err(why) => report.unseen("the interfaces", why),
    }
    match &facts.managed {
        Ok(managed) => network_manager::judge(&agent.routers, links, managed, report),
        Err(why) => report.unseen("network managers that remove addresses", why),
    }
    match &facts.filter {
        Ok(filter) => firewall::judge(filter, &wires, config, report),
        Err(why) => report.unseen("the packet filter", why),
    }
    clock::judge(&agent.routers, facts.synchronized.clone(), report);
    let heard = facts.heard.as_ref().map(|listened| listened.by(agent)).map_err(String::as_str);
    match &heard {
        Ok(heard) => wire::judge(agent, links, heard, facts.status.as_ref().ok(), report),
        Err(why) => report.unseen("what is on the wire", *why),
    }
    match (facts.asked.as_deref(), &heard) {
        (Ok(asked), Ok(heard)) => address::judge(agent, heard, asked, report),
        (Err(why), _) => report.unseen("whether another host has the addresses", why),
        (_, Err(why)) => report.unseen("whether another host has the addresses", *why),
    }
    match &facts.status {
        Ok(status) => {
            daemon::judge(agent, status, heard.as_ref().ok(), report);
            cluster::judge(status, facts.cluster.as_ref(), report);
        }
        Err(silent) => daemon::silent(silent, report),
    }
}

/// Who runs the scripts, by name and number.
fn users(config: &Config) -> Vec<(String, u32)> {
    let details = &config.details;
    let hooks = details.hooks.values().flat_map(|hooks| {
        let all = [&hooks.master, &hooks.backup, &hooks.fault, &hooks.stop, &hooks.any, &hooks.rx_lower];
        all.into_iter().flatten().map(|script| &script.user)
    });
    let checks = details.checks.values().filter_map(|spec| match &spec.probe {
        crate::check::Probe::Script(script) => Some(&script.user),
        _ => None,
    });
    hooks.chain(checks).map(|user| (user.name.clone(), user.uid)).collect()
}
