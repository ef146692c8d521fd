//! What the pairs are configured by: one text for both hosts, which differ by `@first` and `@second`.

use crate::lab::{VIP, VIP6};
use std::path::Path;

/// The address of the second network.
pub const VIP_B: &str = "10.78.0.100";

/// What is cut where the link ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Cable,
    /// That of the second network.
    SecondCable,
    /// A tracked interface, `tracked0`.
    Tracked,
}

/// When `first` takes its place back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Back {
    AtOnce,
    Later,
    Never,
}

/// One kind of pair.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    version: u8,
    interval: &'static str,
    vip: &'static str,
    instance: String,
    script: &'static str,
    after: String,
    pub link: Link,
    /// The first instance has an address in the second network.
    pub spread: bool,
    /// Which addresses answer with the virtual MAC address.
    pub virtual_mac: &'static [&'static str],
    /// The state of `first` when its link is cut, and when its check fails.
    pub link_state: &'static str,
    pub check_state: &'static str,
    pub back: Back,
}

impl Case {
    /// Version 3 over IPv4, with a script that has no weight.
    fn new(name: &'static str) -> Case {
        Case {
            name,
            version: 3,
            interval: "0.1",
            vip: VIP,
            instance: String::new(),
            script: "",
            after: String::new(),
            link: Link::Cable,
            spread: false,
            virtual_mac: &[],
            link_state: "FAULT",
            check_state: "FAULT",
            back: Back::AtOnce,
        }
    }

    fn version_2(name: &'static str) -> Case {
        Case { version: 2, interval: "1", ..Case::new(name) }
    }

    /// Whoever takes over by mistake keeps the place, so a busy machine gets longer to be heard in.
    fn slow(name: &'static str, back: Back) -> Case {
        Case { interval: "0.5", back, ..Case::new(name) }
    }

    /// With more lines of the instance.
    fn with(mut self, lines: &str) -> Case {
        self.instance.push_str(lines);
        self.instance.push('\n');
        self
    }

    pub fn instances(&self) -> &'static [&'static str] {
        if self.link == Link::SecondCable { &["web", "db"] } else { &["web"] }
    }

    pub fn vips(&self) -> Vec<&'static str> {
        [self.vip].into_iter().chain(self.has_second_network().then_some(VIP_B)).collect()
    }

    pub fn has_second_network(&self) -> bool {
        self.spread || self.link == Link::SecondCable
    }

    /// The file for both hosts, whose checks look into a directory each under `dir`.
    pub fn text(&self, dir: &Path) -> String {
        let Case { version, interval, vip, instance, script, after, back, .. } = self;
        // state MASTER would turn off what the others are about.
        let state =
            if *back == Back::AtOnce { "@first state MASTER\n @second state BACKUP" } else { "state BACKUP" };
        let dir = dir.display();
        format!(
            "global_defs {{\n vrrp_version {version}\n script_user root\n}}\n\
             vrrp_script app {{\n @first script \"/usr/bin/test -e {dir}/first/well\"\n \
             @second script \"/usr/bin/test -e {dir}/second/well\"\n interval 1\n timeout 5\n {script}\n}}\n\
             vrrp_instance web {{\n {state}\n interface eth0\n virtual_router_id 51\n \
             @first priority 150\n @second priority 100\n advert_int {interval}\n \
             virtual_ipaddress {{\n {vip}\n }}\n track_script {{\n app\n }}\n{instance}}}\n{after}"
        )
    }
}

/// Every case; those that take longest first.
pub fn all() -> Vec<Case> {
    let auth = |kind| format!("authentication {{\n auth_type {kind}\n auth_pass tops3cre\n}}");
    let unicast = "@first unicast_src_ip 10.77.0.1\n@second unicast_src_ip 10.77.0.2\n\
                   unicast_peer {\n @first 10.77.0.2\n @second 10.77.0.1\n}";
    let group = "vrrp_sync_group all {\n group {\n web\n db\n }\n}\n".to_owned();
    let db = format!(
        "vrrp_instance db {{\n @first state MASTER\n @second state BACKUP\n interface eth1\n \
         virtual_router_id 52\n @first priority 150\n @second priority 100\n advert_int 0.1\n \
         virtual_ipaddress {{\n {VIP_B}\n }}\n}}\n"
    );
    vec![
        Case::slow("preempt_delay", Back::Later).with("preempt_delay 7"),
        Case::slow("nopreempt", Back::Never).with("nopreempt"),
        Case::version_2("v2"),
        Case::version_2("v2 PASS").with(&auth("PASS")),
        Case::version_2("v2 AH").with(&auth("AH")),
        Case::new("v3, track_script without weight"),
        Case { vip: VIP6, ..Case::new("v3 IPv6") },
        Case::new("unicast").with(unicast),
        Case::new("a group of its own").with("mcast_dst_ip 224.0.0.81"),
        Case { vip: VIP6, ..Case::new("v3 IPv6, a group of its own") }.with("mcast_dst_ip ff02::81"),
        Case { virtual_mac: &[VIP], ..Case::new("vmac") }.with("use_vmac vrrp51"),
        Case { spread: true, virtual_mac: &[VIP_B], ..Case::new("use_vmac_addr") }
            .with(&format!("use_vmac_addr\nvirtual_ipaddress_excluded {{\n {VIP_B}/24 dev eth1\n}}")),
        Case { link: Link::SecondCable, after: db + &group, ..Case::new("sync group") },
        Case { script: "weight -60", check_state: "BACKUP", ..Case::new("track_script, weight") },
        Case { link: Link::Tracked, ..Case::new("track_interface") }.with("track_interface {\n tracked0\n}"),
        Case { link: Link::Tracked, link_state: "BACKUP", ..Case::new("track_interface, weight") }
            .with("track_interface {\n tracked0 weight -60\n}"),
    ]
}
