//! Network managers that remove what they did not put there: systemd-networkd, `NetworkManager`.

use super::Report;
use super::network::place;
use crate::agent::Link;
use crate::agent::config::Router;

/// Who manages an interface, of those that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// Its name.
    pub interface: String,
    /// By whom.
    pub by: Manager,
}

/// A network manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manager {
    /// systemd-networkd, by this file.
    Networkd {
        /// The path of the `.network` file.
        file: String,
        /// Its text and that of its drop-ins, in the order in which they count.
        texts: Vec<String>,
        /// The texts of `networkd.conf` and its drop-ins, in the order in which they count.
        global: Vec<String>,
    },
    /// `NetworkManager`.
    NetworkManager,
}

/// Judges who manages the interface of each router.
pub fn judge(routers: &[Router], links: &[Link], managed: &[Managed], report: &mut Report) {
    for router in routers {
        let Some(link) = place(router, links) else { continue };
        let mut managers = managed.iter().filter(|one| one.interface == link.name).peekable();
        if managers.peek().is_none() {
            let what = format!("no network manager is known to remove addresses from {}", link.name);
            report.fine("network-manager", what);
        }
        for Managed { by, .. } in managers {
            match by {
                Manager::Networkd { file, texts, global } => {
                    networkd(router, &link.name, file, texts, report);
                    foreign(router, global, report);
                }
                Manager::NetworkManager => network_manager(router, &link.name, report),
            }
        }
    }
}

fn networkd(router: &Router, interface: &str, file: &str, texts: &[String], report: &mut Report) {
    let keep = setting(texts, "[Network]", "KeepConfiguration").map(str::to_lowercase);
    let leased = router.manner.lease.is_some();
    // To networkd an address that ends by itself is one of DHCP, and "static" does not keep it.
    let kept = match keep.as_deref() {
        Some("yes" | "true" | "1" | "on") => true,
        Some("static") => !leased,
        _ => false,
    };
    if kept {
        report.fine("network-manager", format!("systemd-networkd keeps addresses on {interface}"));
        return;
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let what = match &keep {
        Some(value) => format!(
            "systemd-networkd manages {interface} with KeepConfiguration={value}, which does not keep leased addresses"
        ),
        None => format!(
            "systemd-networkd manages {interface} ({file}), and removes addresses that are not its own"
        ),
    };
    let mend = format!(
        "mkdir -p /etc/systemd/network/{name}.d && printf '[Network]\\nKeepConfiguration=yes\\n' \
         >/etc/systemd/network/{name}.d/locum.conf && networkctl reload"
    );
    let why =
        "at its restart, at an upgrade for instance, the addresses are gone until the daemon puts them back";
    report.doubt("network-manager.networkd", what, why, mend);
}

/// Routes and rules have a switch for all interfaces.
fn foreign(router: &Router, global: &[String], report: &mut Report) {
    let off = |key| {
        let value = setting(global, "[Network]", key).map(str::to_lowercase);
        value.is_some_and(|value| ["no", "false", "0", "off"].contains(&value.as_str()))
    };
    for (key, has, what) in [
        ("ManageForeignRoutes", !router.routes.is_empty(), "routes"),
        ("ManageForeignRoutingPolicyRules", !router.rules.is_empty(), "rules"),
    ] {
        if has && !off(key) {
            let what = format!(
                "systemd-networkd removes {what} that are not its own, and {} has {what}",
                router.name
            );
            let why =
                format!("at its restart the {what} of the Master are gone until the daemon puts them back");
            let mend = format!(
                "mkdir -p /etc/systemd/networkd.conf.d && printf '[Network]\\n{key}=no\\n' \
                 >/etc/systemd/networkd.conf.d/locum-{key}.conf && systemctl restart systemd-networkd"
            );
            report.doubt("network-manager.networkd", what, why, mend);
        }
    }
}

fn network_manager(router: &Router, interface: &str, report: &mut Report) {
    let what = format!("NetworkManager manages {interface}, where {} has its addresses", router.name);
    let why = "when it sets the interface up anew (nmcli connection up), the addresses are gone until the daemon \
               puts them back";
    let mend = format!(
        "have something else set up {interface}, and: printf '[keyfile]\\nunmanaged-devices=interface-name:{interface}\\n' \
         >/etc/NetworkManager/conf.d/locum.conf && nmcli general reload"
    );
    report.doubt("network-manager.nm", what, why, mend);
}

/// The last value of a key in a section of these texts.
fn setting<'a>(texts: &'a [String], section: &str, key: &str) -> Option<&'a str> {
    let mut found = None;
    for text in texts {
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == section;
            } else if let Some((name, value)) = line.split_once('=').filter(|_| inside)
                && name.trim() == key
            {
                found = Some(value.trim());
            }
        }
    }
    found.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::setting;

    #[test]
    fn the_last_file_that_says_something_counts_and_comments_do_not() {
        let texts = [
            "[Match]\nName=eth0\n[Network]\nKeepConfiguration=no\n#KeepConfiguration=yes\n".to_owned(),
            "[Network]\nKeepConfiguration = static\n[Route]\nKeepConfiguration=dhcp".to_owned(),
        ];
        assert_eq!(setting(&texts, "[Network]", "KeepConfiguration"), Some("static"));
        assert_eq!(setting(&texts[..1], "[Network]", "KeepConfiguration"), Some("no"));
        assert_eq!(setting(&texts, "[Network]", "DHCP"), None);
    }
}
