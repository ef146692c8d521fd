//! Looks at this host and its network for [`crate::doctor`] and [`crate::drill`]: reads, listens and asks, and
//! changes nothing.
//!
//! No policy: what is seen is told as it is, and where something cannot be seen, why not. Nothing here waits
//! for ever.

mod echo;
mod managers;
mod privileges;
mod tool;
mod wire;

pub use echo::{Client, ECHO, Target};
pub use privileges::{of_daemon, own as own_privileges};
pub use wire::{ask, first_answer, listen};

use crate::agent::Link;
use crate::agent::config::Config;
use crate::doctor::filter::{Chain, Filter};
use crate::doctor::kernel::Settings;
use crate::doctor::network_manager::Managed;
use crate::doctor::{iptables, nft};
use crate::net::{link, sysctl};
use crate::vrrp::Family;
use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};
use tokio::runtime::Builder;
use tool::run;

/// What was seen of this host; `Err` says why something was not.
#[derive(Clone, Debug)]
pub struct Host {
    /// The interfaces, with their own addresses.
    pub links: Result<Vec<Link>, String>,
    /// The kernel's settings of each.
    pub settings: Vec<Settings>,
    /// Who else manages them.
    pub managed: Result<Vec<Managed>, String>,
    /// The packet filters.
    pub filter: Result<Filter, String>,
    /// Whether the clock is kept right.
    pub synchronized: Result<bool, String>,
}

/// Looks at the host, in the network namespace of the calling thread. Blocks, for seconds at most.
#[must_use]
pub fn host(config: &Config) -> Host {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Host::unseen(&error.to_string()),
    };
    runtime.block_on(async {
        let vips = config.routers.iter().flat_map(|router| router.vips.iter().chain(&router.excluded));
        // On kernels that cannot mark them these pass for own ones otherwise.
        let placed: BTreeSet<_> = vips.map(|vip| vip.address).collect();
        let links = link::list(Arc::new(RwLock::new(placed))).await;
        let links = links.map_err(|error| format!("the kernel does not list them: {error}"));
        let known = links.as_deref().unwrap_or_default();
        Host {
            settings: known.iter().map(|link| settings(&link.name)).collect(),
            managed: managers::managed(known),
            filter: filter().await,
            synchronized: synchronized().await,
            links,
        }
    })
}

/// The links of this host, in the network namespace of the calling thread, with their addresses.
///
/// # Errors
/// In one line, where the kernel does not list them.
pub fn links() -> Result<Vec<Link>, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let links = runtime.block_on(link::list(Arc::default()));
    links.map_err(|error| format!("the kernel does not list this host's interfaces: {error}"))
}

impl Host {
    /// Nothing can be looked at.
    #[must_use]
    pub fn unseen(why: &str) -> Self {
        let why = why.to_owned();
        Host {
            links: Err(why.clone()),
            settings: Vec::new(),
            managed: Err(why.clone()),
            filter: Err(why.clone()),
            synchronized: Err(why),
        }
    }
}

fn settings(interface: &str) -> Settings {
    let ipv4 = |name| sysctl::greater("ipv4", interface, name);
    Settings {
        interface: interface.to_owned(),
        rp_filter: ipv4("rp_filter"),
        arp_ignore: ipv4("arp_ignore"),
        arp_announce: ipv4("arp_announce"),
        ipv6_off: sysctl::one("ipv6", interface, "disable_ipv6") == Some(1),
    }
}

/// All that filters packets here. What iptables of today writes into nftables its own tool tells better.
async fn filter() -> Result<Filter, String> {
    let mut filter = Filter::default();
    let mut seen = match run("nft", &["-j", "list", "ruleset"]).await {
        Ok(text) => {
            filter = nft(&text)?;
            Ok(())
        }
        Err(why) => Err(why),
    };
    for (tool, family) in [
        ("iptables-legacy", Family::Ipv4),
        ("ip6tables-legacy", Family::Ipv6),
        ("iptables", Family::Ipv4),
        ("ip6tables", Family::Ipv6),
    ] {
        let Ok(text) = run(&format!("{tool}-save"), &[]).await else { continue };
        let read = iptables(&text, tool, family).chains;
        if text.contains("(nf_tables)") {
            let again = |chain: &Chain| {
                let here = |own: &Chain| (&own.family, &own.table) == (&chain.family, &chain.table);
                chain.tool == "nft" && read.iter().any(here)
            };
            filter.chains.retain(|chain| !again(chain));
        }
        filter.chains.extend(read);
        seen = Ok(());
    }
    seen.map(|()| filter)
}

/// What systemd or chrony says of the kernel's clock.
async fn synchronized() -> Result<bool, String> {
    let systemd = run("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await;
    match systemd.as_deref().map(str::trim) {
        Ok("yes") => return Ok(true),
        Ok("no") => return Ok(false),
        _ => {}
    }
    match run("chronyc", &["-c", "tracking"]).await {
        Ok(text) => Ok(!text.contains("Not synchronised")),
        Err(why) => Err(format!("{}; {why}", systemd.err().unwrap_or_default())),
    }
}
