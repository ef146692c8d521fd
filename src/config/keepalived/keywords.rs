//! Every keyword of keepalived.conf, where it may stand, how common it is, and what Locum does.
//!
//! This is the one list of what is not done: what becomes done changes its row here to `Done`.

use Block::{Authentication, Bfd, File, Global, Group, Hmac, Instance, Process, Script, Top};
use Does::{Done, Effect, Instead, Later, Lvs};
use Grade::{A, B, C};

const DUMPS: &str = "what signals ask for is dumped where and how it is without this";
const FIREWALL: &str = "rules of the firewall are made with nftables, in a table of Locum's own";
const VMACS: &str = "such interfaces are called vrrp.NUMBER and vrrp6.NUMBER";

/// Where a keyword may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Outside all blocks.
    Top,
    Global,
    Script,
    Process,
    File,
    Bfd,
    Group,
    Instance,
    Authentication,
    Hmac,
}

impl Block {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Top => "keepalived.conf outside of blocks",
            Global => "global_defs",
            Script => "vrrp_script",
            Process => "vrrp_track_process",
            File => "track_file",
            Bfd => "bfd_instance",
            Group => "vrrp_sync_group",
            Instance => "vrrp_instance",
            Authentication => "authentication",
            Hmac => "auth_hmac",
        }
    }
}

/// How common a keyword is in configurations that people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// In nearly every file.
    A,
    /// Common.
    B,
    /// Rare.
    C,
}

/// What Locum does with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// What keepalived does, or a warning where it is read that says how it differs.
    Done,
    /// Reads it into the document, and nothing more yet; with the effect of that.
    Later(&'static str),
    /// Knows the name only; with the effect of that.
    Effect(&'static str),
    /// It belongs to the load balancer.
    Lvs,
    /// It is the old name of this one.
    Instead(&'static str),
}

/// One keyword.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyword {
    pub(super) block: Block,
    pub(super) name: &'static str,
    pub(super) grade: Grade,
    pub(super) does: Does,
}

/// The keyword `name` of `block`.
pub(super) fn find(block: Block, name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.block == block && keyword.name == name)
}

/// The keywords of `block`, the common ones first.
pub(super) fn of(block: Block) -> impl Iterator<Item = &'static Keyword> {
    [A, B, C].into_iter().flat_map(move |grade| {
        KEYWORDS.iter().filter(move |keyword| keyword.block == block && keyword.grade == grade)
    })
}

/// Whether keepalived complains of a keyword that is not done here, for it is no longer done there.
pub(super) fn is_gone(keyword: &Keyword) -> bool {
    const GONE: [(Block, &str); 3] =
        [(Instance, "linkbeat_use_polling"), (Global, "vrrp_iptables"), (Global, "vrrp_ipsets")];
    GONE.contains(&(keyword.block, keyword.name))
}

/// Another block that has a keyword of this name.
pub(super) fn elsewhere(block: Block, name: &str) -> Option<Block> {
    KEYWORDS
        .iter()
        .find(|keyword| keyword.block != block && keyword.name == name)
        .map(|keyword| keyword.block)
}

const fn row(block: Block, name: &'static str, grade: Grade, does: Does) -> Keyword {
    Keyword { block, name, grade, does }
}

#[rustfmt::skip]
const KEYWORDS: &[Keyword] = &[
    row(Top, "global_defs", A, Done),
    row(Top, "vrrp_script", A, Done),
    row(Top, "vrrp_instance", A, Done),
    row(Top, "vrrp_sync_group", B, Done),
    row(Top, "vrrp_track_process", B, Done),
    row(Top, "track_file", C, Done),
    row(Top, "vrrp_track_file", C, Instead("track_file")),
    row(Top, "static_ipaddress", C, Done),
    row(Top, "static_routes", C, Done),
    row(Top, "static_rules", C, Done),
    row(Top, "net_namespace", B, Done),
    row(Top, "instance", C, Done),
    row(Top, "interface_up_down_delays", C, Done),
    row(Top, "garp_group", C, Done),
    row(Top, "track_group", C, Done),
    row(Top, "bfd_instance", B, Done),
    row(Top, "use_pid_dir", C, Effect("pid files stay where they are")),
    row(Top, "linkbeat_use_polling", C, Effect("links are watched by netlink, not polled")),
    row(Top, "linkbeat_interfaces", C, Effect("links are watched by netlink, not polled")),
    row(Top, "child_wait_time", C, Effect("Locum has no child to wait for")),
    row(Top, "virtual_server", C, Lvs),
    row(Top, "virtual_server_group", C, Lvs),
    row(Top, "SSL", C, Lvs),
    row(Top, "local_address_group", C, Lvs),
    row(Top, "net_namespace_ipvs", C, Lvs),
    row(Top, "namespace_with_ipsets", C, Lvs),
    row(Global, "router_id", A, Done),
    row(Global, "notification_email", B, Done),
    row(Global, "notification_email_from", B, Done),
    row(Global, "smtp_server", B, Done),
    row(Global, "smtp_connect_timeout", B, Done),
    row(Global, "smtp_helo_name", C, Done),
    row(Global, "smtp_alert", C, Done),
    row(Global, "smtp_alert_vrrp", C, Done),
    row(Global, "no_email_faults", C, Done),
    row(Global, "script_user", B, Done),
    row(Global, "enable_script_security", B, Done),
    row(Global, "vrrp_version", B, Done),
    row(Global, "vrrp_strict", B, Done),
    row(Global, "vrrp_skip_check_adv_addr", B, Done),
    row(Global, "vrrp_garp_master_delay", B, Done),
    row(Global, "vrrp_garp_master_repeat", B, Done),
    row(Global, "vrrp_garp_master_refresh", B, Done),
    row(Global, "vrrp_garp_master_refresh_repeat", C, Done),
    row(Global, "vrrp_garp_lower_prio_delay", C, Done),
    row(Global, "vrrp_garp_lower_prio_repeat", C, Done),
    row(Global, "vrrp_garp_interval", B, Done),
    row(Global, "vrrp_gna_interval", B, Done),
    row(Global, "vrrp_min_garp", C, Done),
    row(Global, "vrrp_garp_extra_if", C, Done),
    row(Global, "vrrp_vmac_garp_intvl", C, Instead("vrrp_garp_extra_if")),
    row(Global, "vrrp_mcast_group4", C, Done),
    row(Global, "vrrp_mcast_group6", C, Done),
    row(Global, "vrrp_check_unicast_src", C, Done),
    row(Global, "v3_checksum_as_v2", C, Done),
    row(Global, "vrrp_down_timer_adverts", C, Done),
    row(Global, "vrrp_lower_prio_no_advert", C, Done),
    row(Global, "vrrp_higher_prio_send_advert", C, Done),
    row(Global, "vrrp_owner_ignore_adverts", C, Done),
    row(Global, "vrrp_startup_delay", C, Done),
    row(Global, "vrrp_delay_after_boot", C, Done),
    row(Global, "default_interface", C, Done),
    row(Global, "dynamic_interfaces", B, Done),
    row(Global, "vrrp_rt_priority", C, Done),
    row(Global, "vrrp_no_swap", C, Done),
    row(Global, "notify_fifo", C, Done),
    row(Global, "notify_fifo_script", C, Done),
    row(Global, "vrrp_notify_fifo", C, Done),
    row(Global, "vrrp_notify_fifo_script", C, Done),
    row(Global, "vrrp_notify_priority_changes", C, Done),
    row(Global, "fifo_write_vrrp_states_on_reload", C, Later("a reload writes nothing to the FIFO but changes")),
    row(Global, "set_supplementary_groups", C, Done),
    row(Global, "use_symlink_paths", C, Effect("every symbolic link on the way to a script is looked at")),
    row(Global, "startup_script", C, Effect("it is not run; use ExecStartPre and ExecStopPost of the unit")),
    row(Global, "shutdown_script", C, Effect("it is not run; use ExecStartPre and ExecStopPost of the unit")),
    row(Global, "startup_script_timeout", C, Effect("it is not run; use ExecStartPre and ExecStopPost of the unit")),
    row(Global, "shutdown_script_timeout", C, Effect("it is not run; use ExecStartPre and ExecStopPost of the unit")),
    row(Global, "process_names", C, Effect("processes keep their names")),
    row(Global, "process_name", C, Effect("processes keep their names")),
    row(Global, "vrrp_process_name", C, Effect("processes keep their names")),
    row(Global, "bfd_process_name", C, Effect("processes keep their names")),
    row(Global, "umask", C, Effect("files have the modes Locum gives them")),
    row(Global, "tmp_config_directory", C, Effect("Locum keeps no copy of the file")),
    row(Global, "config_save_dir", C, Effect("Locum keeps no copy of the file")),
    row(Global, "data_use_instance", C, Effect("Locum keeps no copy of the file")),
    row(Global, "state_dump_file", C, Effect(DUMPS)),
    row(Global, "stats_dump_file", C, Effect(DUMPS)),
    row(Global, "json_dump_file", C, Effect(DUMPS)),
    row(Global, "state_file_location", C, Effect(DUMPS)),
    row(Global, "stats_file_location", C, Effect(DUMPS)),
    row(Global, "json_file_location", C, Effect(DUMPS)),
    row(Global, "json_version", C, Effect("the JSON dump is in the first version")),
    row(Global, "random_seed", C, Effect("${_RANDOM} draws by host and place")),
    row(Global, "reload_check_config", B, Done),
    row(Global, "reload_time_file", C, Effect("nothing is reloaded by the clock")),
    row(Global, "reload_repeat", C, Effect("nothing is reloaded by the clock")),
    row(Global, "reload_file", C, Effect("nothing is reloaded by the clock")),
    row(Global, "iproute_usr_dir", C, Effect("names of tables are looked up in /etc/iproute2 and /usr/share/iproute2")),
    row(Global, "iproute_etc_dir", C, Effect("names of tables are looked up in /etc/iproute2 and /usr/share/iproute2")),
    row(Global, "include_check", C, Effect("plain includes go on without what is missing, with a warning")),
    row(Global, "log_unknown_vrids", C, Effect("adverts of other routers are counted, not logged")),
    row(Global, "vmac_prefix", C, Effect(VMACS)),
    row(Global, "vmac_addr_prefix", C, Effect(VMACS)),
    row(Global, "disable_local_igmp", C, Effect("IGMP is left to the kernel")),
    row(Global, "nftables", C, Effect(FIREWALL)),
    row(Global, "nftables_priority", C, Effect(FIREWALL)),
    row(Global, "nftables_counters", C, Effect(FIREWALL)),
    row(Global, "nftables_ifindex", C, Effect(FIREWALL)),
    row(Global, "vrrp_iptables", C, Effect(FIREWALL)),
    row(Global, "vrrp_ipsets", C, Effect(FIREWALL)),
    row(Global, "max_auto_priority", C, Effect("Locum schedules itself: see its unit")),
    row(Global, "min_auto_priority_delay", C, Effect("Locum schedules itself: see its unit")),
    row(Global, "vrrp_priority", C, Effect("Locum schedules itself: see its unit")),
    row(Global, "vrrp_rlimit_rttime", C, Effect("Locum schedules itself: see its unit")),
    row(Global, "vrrp_cpu_affinity", C, Effect("Locum schedules itself: see its unit")),
    row(Global, "bfd_priority", C, Effect("sessions of BFD are held by the one process that there is")),
    row(Global, "bfd_no_swap", C, Effect("sessions of BFD are held by the one process that there is")),
    row(Global, "bfd_rt_priority", C, Effect("sessions of BFD are held by the one process that there is")),
    row(Global, "bfd_cpu_affinity", C, Effect("sessions of BFD are held by the one process that there is")),
    row(Global, "bfd_rlimit_rttime", C, Effect("sessions of BFD are held by the one process that there is")),
    row(Global, "vrrp_netlink_cmd_rcv_bufs", C, Effect("Locum sizes its own buffers")),
    row(Global, "vrrp_netlink_monitor_rcv_bufs", C, Effect("Locum sizes its own buffers")),
    row(Global, "vrrp_netlink_cmd_rcv_bufs_force", C, Effect("Locum sizes its own buffers")),
    row(Global, "vrrp_netlink_monitor_rcv_bufs_force", C, Effect("Locum sizes its own buffers")),
    row(Global, "process_monitor_rcv_bufs", C, Effect("Locum sizes its own buffers")),
    row(Global, "process_monitor_rcv_bufs_force", C, Effect("Locum sizes its own buffers")),
    row(Global, "vrrp_rx_bufs_policy", C, Effect("Locum sizes its own buffers")),
    row(Global, "vrrp_rx_bufs_multiplier", C, Effect("Locum sizes its own buffers")),
    row(Global, "enable_snmp_vrrp", B, Done),
    row(Global, "enable_snmp_rfc", B, Done),
    row(Global, "enable_snmp_rfcv2", B, Done),
    row(Global, "enable_snmp_rfcv3", B, Done),
    row(Global, "enable_snmp_keepalived", B, Instead("enable_snmp_vrrp")),
    row(Global, "enable_traps", B, Done),
    row(Global, "snmp_socket", B, Done),
    row(Global, "enable_dbus", C, Effect("there is no D-Bus")),
    row(Global, "dbus_service_name", C, Effect("there is no D-Bus")),
    row(Global, "dbus_no_interface_name", C, Effect("there is no D-Bus")),
    row(Global, "lvs_sync_daemon", C, Lvs),
    row(Global, "lvs_timeouts", C, Lvs),
    row(Global, "lvs_flush", C, Lvs),
    row(Global, "lvs_flush_on_stop", C, Lvs),
    row(Global, "lvs_flush_onstop", C, Lvs),
    row(Global, "lvs_notify_fifo", C, Lvs),
    row(Global, "lvs_notify_fifo_script", C, Lvs),
    row(Global, "lvs_netlink_cmd_rcv_bufs", C, Lvs),
    row(Global, "lvs_netlink_monitor_rcv_bufs", C, Lvs),
    row(Global, "lvs_netlink_cmd_rcv_bufs_force", C, Lvs),
    row(Global, "lvs_netlink_monitor_rcv_bufs_force", C, Lvs),
    row(Global, "lvs_process_name", C, Lvs),
    row(Global, "lvs_id", C, Lvs),
    row(Global, "checker_process_name", C, Lvs),
    row(Global, "checker_priority", C, Lvs),
    row(Global, "checker_no_swap", C, Lvs),
    row(Global, "checker_rt_priority", C, Lvs),
    row(Global, "checker_cpu_affinity", C, Lvs),
    row(Global, "checker_rlimit_rttime", C, Lvs),
    row(Global, "smtp_alert_checker", C, Lvs),
    row(Global, "checker_log_all_failures", C, Lvs),
    row(Global, "rs_init_notifies", C, Lvs),
    row(Global, "no_checker_emails", C, Lvs),
    row(Global, "enable_snmp_checker", C, Lvs),
    row(Global, "snmp_vs_stats_update_interval", C, Lvs),
    row(Global, "snmp_rs_stats_update_interval", C, Lvs),
    row(Global, "nftables_ipvs", C, Lvs),
    row(Script, "script", A, Done),
    row(Script, "interval", A, Done),
    row(Script, "weight", A, Done),
    row(Script, "timeout", B, Done),
    row(Script, "rise", B, Done),
    row(Script, "fall", B, Done),
    row(Script, "user", B, Done),
    row(Script, "init_fail", C, Done),
    row(Process, "process", B, Done),
    row(Process, "weight", B, Done),
    row(Process, "param_match", C, Done),
    row(Process, "quorum", C, Done),
    row(Process, "quorum_max", C, Done),
    row(Process, "fork_delay", C, Done),
    row(Process, "terminate_delay", C, Done),
    row(Process, "delay", C, Done),
    row(Process, "full_command", C, Done),
    row(File, "file", C, Done),
    row(File, "weight", C, Done),
    row(File, "init_file", C, Done),
    row(Bfd, "neighbor_ip", B, Done),
    row(Bfd, "neighbour_ip", B, Done),
    row(Bfd, "source_ip", B, Done),
    row(Bfd, "min_rx", B, Done),
    row(Bfd, "min_tx", B, Done),
    row(Bfd, "idle_tx", C, Done),
    row(Bfd, "multiplier", B, Done),
    row(Bfd, "passive", C, Done),
    row(Bfd, "ttl", C, Done),
    row(Bfd, "hoplimit", C, Done),
    row(Bfd, "max_hops", C, Done),
    row(Bfd, "multihop", C, Done),
    row(Bfd, "weight", C, Done),
    row(Bfd, "vrrp", C, Done),
    row(Bfd, "checker", C, Lvs),
    row(Group, "group", B, Done),
    row(Group, "track_script", C, Done),
    row(Group, "track_interface", C, Done),
    row(Group, "track_file", C, Done),
    row(Group, "track_process", C, Done),
    row(Group, "track_bfd", C, Done),
    row(Group, "notify_master", B, Done),
    row(Group, "notify_backup", B, Done),
    row(Group, "notify_fault", B, Done),
    row(Group, "notify_stop", B, Done),
    row(Group, "notify", B, Done),
    row(Group, "notify_priority_changes", C, Done),
    row(Group, "smtp_alert", B, Done),
    row(Group, "global_tracking", C, Effect("none: trackers of members count with their weights")),
    row(Group, "sync_group_tracking_weight", C, Done),
    row(Group, "notify_deleted", C, Effect("keepalived does not know it here either, whatever its manual says")),
    row(Instance, "state", A, Done),
    row(Instance, "interface", A, Done),
    row(Instance, "virtual_router_id", A, Done),
    row(Instance, "priority", A, Done),
    row(Instance, "advert_int", A, Done),
    row(Instance, "virtual_ipaddress", A, Done),
    row(Instance, "version", B, Done),
    row(Instance, "virtual_ipaddress_excluded", B, Done),
    row(Instance, "no_virtual_ipaddress", C, Done),
    row(Instance, "virtual_routes", B, Done),
    row(Instance, "virtual_rules", B, Done),
    row(Instance, "authentication", A, Done),
    row(Instance, "nopreempt", A, Done),
    row(Instance, "auth_hmac", C, Done),
    row(Instance, "preempt", C, Done),
    row(Instance, "preempt_delay", B, Done),
    row(Instance, "strict_mode", C, Done),
    row(Instance, "accept", B, Done),
    row(Instance, "no_accept", B, Done),
    row(Instance, "debug", C, Effect("none, in keepalived either")),
    row(Instance, "native_ipv6", C, Effect("none: the addresses say the family")),
    row(Instance, "mcast_src_ip", B, Done),
    row(Instance, "mcast_dst_ip", C, Done),
    row(Instance, "track_src_ip", C, Effect("none: a source that is missing is always a fault")),
    row(Instance, "vrf", C, Effect("the instance uses its interface's VRF")),
    row(Instance, "unicast_src_ip", A, Done),
    row(Instance, "unicast_peer", A, Done),
    row(Instance, "unicast_ttl", C, Done),
    row(Instance, "unicast_fault_no_peer", C, Done),
    row(Instance, "check_unicast_src", C, Done),
    row(Instance, "old_unicast_checksum", C, Effect("the checksum is as in version 3 of VRRP")),
    row(Instance, "v3_checksum_as_v2", C, Done),
    row(Instance, "track_script", A, Done),
    row(Instance, "track_interface", A, Done),
    row(Instance, "track_file", C, Done),
    row(Instance, "track_process", B, Done),
    row(Instance, "track_bfd", C, Done),
    row(Instance, "dont_track_primary", B, Done),
    row(Instance, "linkbeat_use_polling", C, Effect("links are watched by netlink, not polled")),
    row(Instance, "use_vmac", B, Done),
    row(Instance, "use_vmac_addr", C, Done),
    row(Instance, "use_ipvlan", C, Done),
    row(Instance, "vmac_xmit_base", B, Done),
    row(Instance, "promote_secondaries", C, Effect("set it by sysctl: net.ipv4.conf.IF.promote_secondaries")),
    row(Instance, "garp_master_delay", B, Done),
    row(Instance, "garp_master_repeat", B, Done),
    row(Instance, "garp_master_refresh", B, Done),
    row(Instance, "garp_master_refresh_repeat", C, Done),
    row(Instance, "garp_lower_prio_delay", C, Done),
    row(Instance, "garp_lower_prio_repeat", C, Done),
    row(Instance, "garp_extra_if", C, Done),
    row(Instance, "vmac_garp_intvl", C, Instead("garp_extra_if")),
    row(Instance, "down_timer_adverts", C, Done),
    row(Instance, "lower_prio_no_advert", C, Done),
    row(Instance, "higher_prio_send_advert", C, Done),
    row(Instance, "owner_ignore_adverts", C, Done),
    row(Instance, "timer_expired_backup", C, Effect("a Master that was late keeps its role until it hears a better advert")),
    row(Instance, "thread_timer_expired", C, Instead("timer_expired_backup")),
    row(Instance, "skip_check_adv_addr", C, Done),
    row(Instance, "kernel_rx_buf_size", C, Effect("Locum sizes its own buffers")),
    row(Instance, "notify_master", A, Done),
    row(Instance, "notify_backup", A, Done),
    row(Instance, "notify_fault", A, Done),
    row(Instance, "notify", A, Done),
    row(Instance, "notify_stop", B, Done),
    row(Instance, "notify_deleted", C, Later("an instance that a reload removes stops like any other")),
    row(Instance, "notify_master_rx_lower_pri", C, Done),
    row(Instance, "notify_priority_changes", C, Done),
    row(Instance, "smtp_alert", B, Done),
    row(Instance, "lvs_sync_daemon_interface", C, Lvs),
    row(Authentication, "auth_type", A, Done),
    row(Authentication, "auth_pass", A, Done),
    row(Hmac, "key", C, Done),
    row(Hmac, "active_key", C, Done),
    row(Hmac, "anti_replay", C, Done),
    row(Hmac, "time_window", C, Done),
    row(Hmac, "mode", C, Done),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keyword_stands_twice_and_every_other_name_exists() {
        for (place, keyword) in KEYWORDS.iter().enumerate() {
            let again = KEYWORDS[..place]
                .iter()
                .any(|other| other.block == keyword.block && other.name == keyword.name);
            assert!(!again, "{keyword:?}");
            if let Instead(name) = keyword.does {
                assert!(find(keyword.block, name).is_some(), "{keyword:?}");
            }
        }
    }

    #[test]
    fn suggestions_name_the_common_keywords_first() {
        assert_eq!(of(Instance).next().map(|keyword| keyword.grade), Some(A));
        assert_eq!(elsewhere(Top, "enable_script_security"), Some(Global));
    }
}
