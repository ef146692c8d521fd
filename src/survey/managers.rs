//! Which network manager has which interface: read off the files that they keep while they run.
//!
//! systemd-networkd keeps a file a link in /run/systemd/netif/links, `NetworkManager` one in
//! /run/NetworkManager/devices, by the index of the interface.

use crate::agent::Link;
use crate::doctor::network_manager::{Managed, Manager};
use std::fs;
use std::path::{Path, PathBuf};

/// Where systemd looks for files, the most important place first.
const PLACES: [&str; 4] = ["etc", "run", "usr/local/lib", "usr/lib"];

/// Who has which of `links`.
///
/// # Errors
/// One line: this network is not the one that they manage.
pub(super) fn managed(links: &[Link]) -> Result<Vec<Managed>, String> {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
    match (namespace("self"), namespace("1")) {
        (Ok(own), Ok(first)) if own != first => {
            Err("this network namespace is not that of process 1".to_owned())
        }
        // Only root may look: then it is taken for the same.
        _ => Ok(managed_below(Path::new("/"), links)),
    }
}

/// The same with all files below `root`.
fn managed_below(root: &Path, links: &[Link]) -> Vec<Managed> {
    let by = |link: &Link| {
        let both = [networkd(root, link), network_manager(root, link)];
        both.into_iter().flatten().map(|by| Managed { interface: link.name.clone(), by }).collect::<Vec<_>>()
    };
    links.iter().flat_map(by).collect()
}

/// A unit that runs has a control group, of either version.
fn runs(root: &Path, unit: &str) -> bool {
    ["sys/fs/cgroup/system.slice", "sys/fs/cgroup/systemd/system.slice", "sys/fs/cgroup/unified/system.slice"]
        .iter()
        .any(|place| root.join(place).join(unit).exists())
}

fn networkd(root: &Path, link: &Link) -> Option<Manager> {
    if !runs(root, "systemd-networkd.service") {
        return None;
    }
    let state = fs::read_to_string(root.join(format!("run/systemd/netif/links/{}", link.index))).ok()?;
    let value = |key: &str| state.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let file = value("NETWORK_FILE").filter(|_| value("ADMIN_STATE") != Some("unmanaged"))?;
    let name = Path::new(file).file_name()?.to_string_lossy().into_owned();
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let mut texts: Vec<String> = fs::read_to_string(below(Path::new(file))).into_iter().collect();
    texts.extend(drop_ins(root, &format!("systemd/network/{name}.d")));
    let whole = PLACES
        .iter()
        .find_map(|place| fs::read_to_string(root.join(place).join("systemd/networkd.conf")).ok());
    let global = whole.into_iter().chain(drop_ins(root, "systemd/networkd.conf.d")).collect();
    Some(Manager::Networkd { file: file.to_owned(), texts, global })
}

/// The texts of a folder of drop-ins, in the order of their names; of two with one name the more important.
fn drop_ins(root: &Path, folder: &str) -> Vec<String> {
    let mut found: Vec<PathBuf> = Vec::new();
    for place in PLACES {
        let entries = fs::read_dir(root.join(place).join(folder)).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let is_new = !found.iter().any(|known| known.file_name() == path.file_name());
            if is_new && path.extension().is_some_and(|extension| extension == "conf") {
                found.push(path);
            }
        }
    }
    found.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    found.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

fn network_manager(root: &Path, link: &Link) -> Option<Manager> {
    if !runs(root, "NetworkManager.service") {
        return None;
    }
    let state = fs::read_to_string(root.join(format!("run/NetworkManager/devices/{}", link.index))).ok()?;
    state.lines().any(|line| line.trim() == "managed=true").then_some(Manager::NetworkManager)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32) -> Link {
        Link { name: format!("eth{index}"), index, up: true, mac: None, mtu: 1500, addresses: Vec::new() }
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn an_interface_of_networkd_is_told_with_its_file_and_drop_ins() {
        let root = tempfile::tempdir().unwrap();
        let links = [link(2), link(3)];
        let state = "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-a.network\n";
        write(root.path(), "run/systemd/netif/links/2", state);
        write(root.path(), "run/systemd/netif/links/3", "ADMIN_STATE=unmanaged\n");
        write(root.path(), "run/systemd/network/10-a.network", "a");
        write(root.path(), "usr/lib/systemd/network/10-a.network.d/b.conf", "not this");
        write(root.path(), "etc/systemd/network/10-a.network.d/b.conf", "b");
        write(root.path(), "etc/systemd/networkd.conf", "c");
        assert_eq!(managed_below(root.path(), &links), [], "it does not run");
        fs::create_dir_all(root.path().join("sys/fs/cgroup/system.slice/systemd-networkd.service")).unwrap();
        let by = Manager::Networkd {
            file: "/run/systemd/network/10-a.network".to_owned(),
            texts: vec!["a".to_owned(), "b".to_owned()],
            global: vec!["c".to_owned()],
        };
        assert_eq!(managed_below(root.path(), &links), [Managed { interface: "eth2".to_owned(), by }]);
    }

    #[test]
    fn an_interface_of_network_manager_is_told_where_it_is_managed_and_that_runs() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/fs/cgroup/system.slice/NetworkManager.service")).unwrap();
        write(root.path(), "run/NetworkManager/devices/2", "[device]\nmanaged=true\n");
        write(root.path(), "run/NetworkManager/devices/3", "[device]\nmanaged=false\n");
        let managed = managed_below(root.path(), &[link(2), link(3)]);
        assert_eq!(managed, [Managed { interface: "eth2".to_owned(), by: Manager::NetworkManager }]);
    }
}
