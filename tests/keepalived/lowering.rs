//! What the agent runs by.

use crate::spoken::{config, instance, options, said};
use locum::agent::config::Interface;
use locum::agent::{Subject, VirtualMac};
use locum::check::Probe;
use locum::check::file::Make;
use locum::config::Scheduling;
use locum::config::keepalived::parse;
use locum::health::{Initial, OnFail};
use locum::notify::Inherit;
use locum::process::resolve_user;
use locum::snmp::{Master, Settings};
use locum::vrrp::auth::Auth;
use locum::vrrp::{ChecksumPolicy, Family, Version};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

#[test]
fn an_instance_has_the_defaults_of_keepalived() {
    let config = config(&instance(""));
    let router = &config.agent.routers[0];
    assert_eq!(&*router.name.0, "web");
    assert_eq!(
        (router.version, router.priority.get(), router.interval.centiseconds()),
        (Version::V2, 100, 100)
    );
    assert_eq!(router.interface, Interface::Named("eth0".to_owned()));
    assert!(router.preempt && router.peers.is_empty() && !router.strict && !router.manner.eager);
    assert_eq!(router.vips[0].to_string(), "10.0.0.100/32");
    assert_eq!(*router.announce.again, [Duration::from_secs(5)]);
    assert_eq!((router.announce.refresh, router.announce.count), (None, 5));
    assert_eq!((router.checksum, &router.auth), (ChecksumPolicy::Auto, &Auth::None));
}

#[test]
fn everything_an_instance_says_reaches_the_agent() {
    let config = config(&instance(
        "state MASTER\n priority 150\n version 3\n advert_int 0.25\n preempt_delay 3\n down_timer_adverts 4\n lower_prio_no_advert\n \
         higher_prio_send_advert\n dont_track_primary\n garp_master_delay 0\n garp_master_repeat 2\n garp_master_refresh 60\n \
         v3_checksum_as_v2\n unicast_src_ip 10.0.0.1\n unicast_peer {\n 10.0.0.2 min_ttl 250\n 10.0.0.3 min_ttl 240\n }\n \
         virtual_ipaddress_excluded {\n 2001:db8::1/64 dev eth1\n }",
    ));
    let router = &config.agent.routers[0];
    assert_eq!(
        (router.version, router.priority.get(), router.interval.centiseconds()),
        (Version::V3, 150, 25)
    );
    assert_eq!((router.manner.preempt_delay, router.manner.down_adverts), (Duration::from_secs(3), 4));
    assert!(
        router.manner.eager
            && router.manner.parting_advert
            && !router.manner.answer_losing
            && router.ignore_link
    );
    assert!(router.announce.again.is_empty());
    assert_eq!((router.announce.refresh, router.announce.count), (Some(Duration::from_mins(1)), 2));
    assert_eq!(router.checksum, ChecksumPolicy::Rfc9568);
    assert_eq!((router.peers.len(), router.sources.len(), router.min_ttl), (2, 1, None));
    assert_eq!(router.excluded[0].to_string(), "2001:db8::1/64 on eth1");
}

#[test]
fn each_peer_has_ttls_of_its_own() {
    let text = "unicast_src_ip 10.0.0.1\n unicast_peer {\n 10.0.0.2 min_ttl 255\n 10.0.0.3 min_ttl 60 max_ttl 64\n \
                10.0.0.4 max_ttl 9\n 10.0.0.5\n }";
    let router = config(&instance(text)).agent.routers.remove(0);
    let ip = |last| std::net::IpAddr::from([10, 0, 0, last]);
    assert_eq!(router.ttls, [(ip(2), 255..=255), (ip(3), 60..=64), (ip(4), 0..=9)]);
    assert_eq!(said(&instance(text)), [""; 0]);
    let crossed = "unicast_src_ip 10.0.0.1\n unicast_peer {\n 10.0.0.2 min_ttl 9 max_ttl 3\n }";
    assert!(said(&instance(crossed)).iter().any(|line| line.contains("nothing is heard of 10.0.0.2")));
}

#[test]
fn without_an_interface_the_source_address_names_it() {
    let text = "vrrp_instance a {\n virtual_router_id 1\n unicast_src_ip 10.0.0.1\n unicast_peer { 10.0.0.2 }\n virtual_ipaddress { 10.0.0.9 }\n}";
    assert_eq!(config(text).agent.routers[0].interface, Interface::Subnet("10.0.0.1".parse().unwrap(), 32));
}

#[test]
fn scripts_become_checks_with_their_weights() {
    let script = "vrrp_script c {\n script \"/bin/true -x\"\n interval 3\n timeout 2\n fall 4\n weight -20\n init_fail\n}\n\
                  vrrp_script f {\n script </etc/passwd\n}\n";
    let config =
        config(&(script.to_owned() + &instance("track_script {\n c\n c2\n f\n}").replace("c2\n", "")));
    let counted = &config.agent.checks[0];
    assert_eq!((counted.rise, counted.fall, counted.initial), (1, 4, Initial::Down));
    let spec = &config.details.checks[&counted.name];
    assert_eq!(
        (spec.schedule.interval, spec.schedule.timeout),
        (Duration::from_secs(3), Duration::from_secs(2))
    );
    let Probe::Script(probe) = &spec.probe else { panic!("{spec:?}") };
    assert_eq!(
        (probe.argv.as_slice(), probe.user.name.as_str()),
        (["/bin/true".to_owned(), "-x".to_owned()].as_slice(), "root")
    );
    let on_fail: Vec<_> = config.agent.routers[0].tracks.iter().map(|track| track.on_fail).collect();
    assert_eq!(on_fail, [OnFail::Weight(-20), OnFail::Fault]);
    assert!(
        matches!(&config.details.checks[&config.agent.checks[1].name].probe, Probe::File(file) if file.readable)
    );
}

#[test]
fn a_reversed_weight_counts_the_other_way_round() {
    let script = "vrrp_script c {\n script \"/bin/true\"\n rise 2\n fall 3\n}\n";
    let config = config(&(script.to_owned() + &instance("track_script {\n c weight 30 reverse\n}")));
    let [counted] = config.agent.checks.as_slice() else { panic!() };
    assert_eq!((&*counted.name.0, counted.inverse, counted.rise, counted.fall), ("c.reverse", true, 3, 2));
    assert_eq!(config.agent.routers[0].tracks[0].on_fail, OnFail::Weight(-30));
}

#[test]
fn programs_without_a_path_are_looked_for() {
    let script = "vrrp_script c {\n script \"true x\"\n}\n";
    let config = config(&(script.to_owned() + &instance("track_script { c }")));
    let Probe::Script(probe) = &config.details.checks.values().next().unwrap().probe else { panic!() };
    assert!(probe.argv[0].ends_with("/bin/true"), "{:?}", probe.argv);
}

#[test]
fn interfaces_processes_and_files_are_tracked() {
    let text = "vrrp_track_process p {\n process haproxy\n quorum 2\n quorum_max 4\n terminate_delay 1\n weight 5\n}\n\
                track_file n {\n file /run/n\n}\n";
    let lines =
        "track_interface {\n eth0\n eth1 weight -5\n}\ntrack_process {\n p\n}\ntrack_file {\n n weight 2\n}";
    let config = config(&(text.to_owned() + &instance(lines)));
    let tracks: Vec<_> =
        config.agent.routers[0].tracks.iter().map(|track| (track.check.to_string(), track.on_fail)).collect();
    let wanted = [
        ("process.p", OnFail::Weight(5)),
        ("file.n", OnFail::Times(2)),
        ("interface.eth1", OnFail::Weight(-5)),
    ];
    assert_eq!(tracks, wanted.map(|(name, on_fail)| (name.to_owned(), on_fail)));
    let process = config.agent.checks.iter().find(|check| &*check.name.0 == "process.p").unwrap();
    assert_eq!((process.rise, process.fall), (1, 3));
    let Probe::Process(probe) = &config.details.checks[&process.name].probe else { panic!() };
    assert_eq!((probe.name.as_deref(), probe.min, probe.max), (Some("haproxy"), 2, Some(4)));
    let link = config.agent.checks.iter().find(|check| &*check.name.0 == "interface.eth1").unwrap();
    assert_eq!(link.link.as_deref(), Some("eth1"));
}

#[test]
fn what_a_process_is_given_counts_with_its_whole_command_line() {
    let looked_for = |lines: &str| {
        let text =
            format!("vrrp_track_process p {{\n {lines}\n}}\n{}", instance("track_process { p weight 9 }"));
        let config = config(&text);
        let Probe::Process(probe) = &config.details.checks.values().next().unwrap().probe else { panic!() };
        (probe.name.clone(), probe.command.as_ref().map(|pattern| pattern.as_str().to_owned()))
    };
    let run_as = |command: &str| (None, Some(command.to_owned()));
    assert_eq!(looked_for("process /bin/x -a \"b c\" d.e"), run_as(r"^/bin/x \-a b c d\.e$"));
    assert_eq!(looked_for("process x 77\n param_match initial"), run_as("^x 77"));
    assert_eq!(looked_for("process x 77\n param_match partial"), run_as("^x 77( |$)"));
    assert_eq!(looked_for("process x\n param_match"), run_as("^x$"));
    assert_eq!(looked_for("process x\n full_command"), run_as("^x( |$)"));
    assert_eq!(looked_for("process x"), (Some("x".to_owned()), None));
}

#[test]
fn a_session_of_bfd_is_tracked_with_its_weight_or_as_a_fault() {
    let text = "bfd_instance gate {\n neighbor_ip 10.0.0.254\n source_ip 10.0.0.1\n min_tx 12.5\n weight 20\n}\n\
                bfd_instance plain {\n neighbour_ip 10.0.0.253\n}\n";
    let config = config(&(text.to_owned() + &instance("track_bfd {\n gate\n plain\n}")));
    let tracks: Vec<_> =
        config.agent.routers[0].tracks.iter().map(|track| (track.check.to_string(), track.on_fail)).collect();
    let wanted = [("bfd.gate", OnFail::Weight(20)), ("bfd.plain", OnFail::Fault)];
    assert_eq!(tracks, wanted.map(|(name, on_fail)| (name.to_owned(), on_fail)));
    let spec = |name: &str| config.details.checks.iter().find(|(known, _)| &*known.0 == name).unwrap().1;
    let Probe::Bfd(gate) = &spec("bfd.gate").probe else { panic!() };
    assert_eq!(
        (gate.neighbor.to_string(), gate.timing.multiplier, gate.ttl),
        ("10.0.0.254".to_owned(), 5, 255)
    );
    let [min_tx, min_rx, idle_tx] = [12_500, 10_000, 1_000_000].map(Duration::from_micros);
    assert_eq!((gate.timing.min_tx, gate.timing.min_rx, gate.timing.idle_tx), (min_tx, min_rx, idle_tx));
    assert_eq!(spec("bfd.gate").schedule.source, Some("10.0.0.1".parse().unwrap()));
}

#[test]
fn a_session_of_bfd_that_cannot_be_held_is_refused_with_the_mend() {
    let said = |lines: &str| {
        let text = format!("bfd_instance gate {{\n{lines}\n}}\n{}", instance("track_bfd {\n gate\n}"));
        parse(&text, Path::new("x.conf"), &options()).unwrap_err().to_string()
    };
    assert!(said("min_rx 10").contains("BFD session gate has no neighbour"));
    assert!(said("neighbor_ip 10.0.0.1\n source_ip fe80::1").contains("are of different families"));
    assert!(said("neighbor_ip fe80::1").contains("name the link behind it: ADDRESS%INTERFACE"));
    assert!(said("neighbor_ip 10.0.0.1\n multiplier 0").contains("a whole number from 1 to 255"));
}

#[test]
fn a_sync_group_shares_trackers_and_has_hooks_of_its_own() {
    let text = "vrrp_script c {\n script \"/bin/true\"\n}\nvrrp_sync_group g {\n group {\n web\n db\n }\n track_script { c }\n notify \"/bin/true group\"\n}\n\
                vrrp_instance db {\n interface eth0\n virtual_router_id 52\n virtual_ipaddress { 10.0.0.101 }\n}\n";
    let config = config(
        &(instance("notify_master \"/bin/true m\"\n notify_master_rx_lower_pri \"/bin/true l\"") + text),
    );
    assert_eq!(config.agent.groups[0].routers.len(), 2);
    assert!(config.agent.routers.iter().all(|router| router.tracks.len() == 1));
    let hooks = &config.details.hooks[&Subject::Group(config.agent.groups[0].name.clone())];
    assert_eq!(hooks.any.as_ref().unwrap().command, ["/bin/true", "group"]);
    let hooks = &config.details.hooks[&Subject::Router(config.agent.routers[0].name.clone())];
    assert!(hooks.master.is_some() && hooks.rx_lower.is_some() && hooks.any.is_none());
}

#[test]
fn keys_headers_and_passwords_reach_the_agent() {
    let auth = |lines: &str| config(&instance(lines)).agent.routers[0].auth.clone();
    let password = "authentication {\n auth_type PASS\n auth_pass 1111\n}";
    assert!(matches!(auth(password), Auth::Pass(secret) if secret.expose() == b"1111"));
    assert!(matches!(auth(&password.replace("PASS\n", "AH\n")), Auth::Ah(_)));
    let hmac = "auth_hmac {\n key 2 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n active_key 2\n}";
    assert!(matches!(auth(hmac), Auth::Hmac(ring) if ring.active().id().get() == 2 && ring.demands()));
}

#[test]
fn snmp_is_served_as_keepalived_would() {
    let snmp = |lines: &str| config(&format!("global_defs {{\n{lines}\n}}\n{}", instance(""))).details.snmp;
    let none = Settings::default();
    assert_eq!(snmp("enable_traps\n snmp_socket unix:/run/x"), None);
    assert_eq!(snmp("enable_snmp_vrrp"), Some(Settings { keepalived: true, ..none.clone() }));
    assert_eq!(snmp("enable_snmp_keepalived"), snmp("enable_snmp_vrrp"));
    assert_eq!(snmp("enable_snmp_rfcv2"), Some(Settings { rfc2787: true, ..none.clone() }));
    assert_eq!(snmp("enable_snmp_rfcv3"), Some(Settings { rfc6527: true, ..none }));
    let master = Master::Tcp("localhost".to_owned(), 705);
    let all = Settings { master, keepalived: true, rfc2787: true, rfc6527: true, traps: true };
    assert_eq!(
        snmp("enable_snmp_vrrp\n enable_snmp_rfc\n enable_traps\n snmp_socket tcp:localhost:705"),
        Some(all)
    );
}

#[test]
fn fifos_and_mails_reach_their_doers() {
    let text = "global_defs {\n notify_fifo /run/k.fifo nobody\n notify_fifo_script \"/bin/cat\"\n vrrp_notify_priority_changes\n \
                smtp_server 192.0.2.1\n notification_email { a@example.org }\n notification_email_from b@example.org\n smtp_alert\n no_email_faults\n}\n";
    let told = config(&(instance("") + text)).details.told;
    assert_eq!(told.fifos.len(), 1);
    assert!(told.fifos[0].owner.is_some_and(|(user, _)| user != 0) && told.fifos[0].reader.is_some());
    let mail = told.mail.unwrap();
    assert_eq!(
        (mail.relay, mail.to[0].address.as_str(), mail.faults),
        (("192.0.2.1".to_owned(), 25), "a@example.org", false)
    );
    assert_eq!((told.mailed.len(), told.priorities.len()), (1, 1));
}

#[test]
fn intervals_that_the_version_cannot_carry_are_told_of() {
    let lines = said(&instance("advert_int 0.5"));
    assert!(
        lines
            .iter()
            .any(|line| line.contains("counts in whole seconds") && line.contains("makes 1s of this")),
        "{lines:?}"
    );
}

#[test]
fn an_equal_file_makes_an_equal_configuration() {
    let text = include_str!("conf/global.conf").replace("nobody nogroup", "root")
        + &instance("notify \"/bin/true\"");
    assert_eq!(config(&text), config(&text));
}

#[test]
fn the_door_is_chosen_by_name_or_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let is = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        locum::config::is_keepalived(&path)
    };
    assert!(is("a.conf", "x = 1") && !is("a.toml", "vrrp_instance a {\n}"));
    assert!(
        is("a", "! comment = 1\n\nvrrp_instance a {\n}") && is("b", "$A=1\n") && is("c", "@low priority=1")
    );
    assert!(!is("d", "# comment\n[agent]\n") && !is("e", "agent.node = \"x\"\n") && !is("f", ""));
    let conf = folder.path().join("k.conf");
    std::fs::write(&conf, instance("")).unwrap();
    let loaded = locum::config::load(&conf, locum::config::Secrets::MustRead).unwrap();
    assert_eq!(loaded.config.agent.routers.len(), 1);
}

#[test]
fn announcements_have_the_defaults_of_keepalived_and_what_is_written() {
    let announce = |text: &str| config(text).agent.routers.remove(0).announce;
    let seconds = Duration::from_secs;
    let usual = announce(&instance(""));
    assert_eq!((usual.count, usual.refresh_count, usual.losing_count), (5, 1, 5));
    assert_eq!((usual.losing_again, usual.elsewhere), (Some(seconds(5)), None));
    let own = announce(&instance(
        "garp_master_refresh_repeat 2\n garp_lower_prio_delay 7\n garp_lower_prio_repeat 0\n garp_extra_if all 30",
    ));
    assert_eq!((own.count, own.refresh_count, own.losing_count), (5, 2, 0));
    assert_eq!((own.losing_again, own.elsewhere), (Some(seconds(7)), Some(seconds(30))));
    let global = "global_defs {\n vrrp_garp_master_repeat 3\n vrrp_garp_lower_prio_repeat 2\n vrrp_garp_extra_if all 9\n}\n";
    let global = announce(&(global.to_owned() + &instance("garp_lower_prio_repeat 4")));
    assert_eq!((global.count, global.losing_count, global.elsewhere), (3, 4, Some(seconds(9))));
    let few = announce(&("global_defs {\n vrrp_min_garp\n}\n".to_owned() + &instance("")));
    assert_eq!((few.count, few.losing_count, few.again.len(), few.losing_again), (1, 1, 0, None));
    let strict = announce(&instance("strict_mode"));
    assert_eq!((strict.count, strict.losing_count), (5, 0));
    assert!(said(&instance("garp_extra_if 30")).iter().any(|line| line.contains("there are none here")));
}

#[test]
fn pauses_of_announcements_are_for_groups_of_interfaces_and_for_all_others() {
    let text = "global_defs {\n vrrp_garp_interval 0.01\n}\n\
                garp_group {\n garp_interval 0.1\n gna_interval 0.2\n interfaces {\n eth0\n eth1\n }\n}\n";
    let paces = config(&(text.to_owned() + &instance(""))).agent.paces;
    let milliseconds = Duration::from_millis;
    let shown: Vec<_> = paces.iter().map(|pace| (pace.interfaces.len(), pace.arp, pace.na)).collect();
    assert_eq!(shown, [(2, milliseconds(100), milliseconds(200)), (0, milliseconds(10), milliseconds(0))]);
    let sample = "global_defs {\n vrrp_garp_interval 0\n vrrp_gna_interval 0\n}\n".to_owned() + &instance("");
    assert_eq!((config(&sample).agent.paces.len(), said(&sample).len()), (0, 0));
    let twice = "garp_group {\n garp_interval 1\n interface eth0\n}\n".repeat(2) + &instance("");
    assert!(said(&twice).iter().any(|line| line.contains("interface eth0 has its pauses already")));
}

#[test]
fn adverts_leave_as_is_written() {
    let one = |text: &str| config(text).agent.routers.remove(0);
    let usual = one(&instance("use_vmac"));
    assert_eq!((usual.virtual_mac.own(), usual.adverts_from_base, usual.ttl), (true, false, 255));
    let own = one(&instance("use_vmac\n vmac_xmit_base\n garp_extra_if 7"));
    assert_eq!((own.virtual_mac.own(), own.adverts_from_base), (true, true));
    assert_eq!(own.announce.elsewhere, Some(Duration::from_secs(7)));
    let far = one(&instance("unicast_src_ip 10.0.0.1\n unicast_peer {\n 10.0.0.2\n }\n unicast_ttl 5"));
    assert_eq!(far.ttl, 5);
}

#[test]
fn a_losing_advert_is_answered_in_both_versions_unless_strict_or_told_otherwise() {
    let answers = |lines: &str| config(&instance(lines)).agent.routers[0].manner.answer_losing;
    for version in ["version 2", "version 3"] {
        assert!(answers(version), "{version}");
        assert!(!answers(&format!("{version}\n lower_prio_no_advert")), "{version}");
        assert!(!answers(&format!("{version}\n strict_mode")), "{version}");
        assert!(answers(&format!("{version}\n strict_mode\n lower_prio_no_advert off")), "{version}");
    }
}

#[test]
fn scripts_have_the_environment_of_the_daemon() {
    let text = instance("notify \"/bin/true\"\n track_script {\n c\n }");
    let details = config(&format!("vrrp_script c {{\n script /bin/true\n user root\n}}\n{text}")).details;
    let Probe::Script(script) = &details.checks.values().next().unwrap().probe else { panic!("{details:?}") };
    assert_eq!(script.inherit, Inherit::Environment);
    let hooks = details.hooks.values().next().unwrap();
    assert_eq!(hooks.any.as_ref().unwrap().inherit, Inherit::Environment);
}

#[test]
fn the_group_is_that_of_the_instance_or_of_all_and_none_with_peers() {
    let groups = |global: &str, lines: &str| {
        let text = format!("global_defs {{\n{global}\n}}\n{}", instance(lines));
        config(&text).agent.routers.remove(0).groups
    };
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(groups("", ""), Vec::<IpAddr>::new());
    assert_eq!(groups("vrrp_mcast_group4 224.0.0.81", ""), [address("224.0.0.81")]);
    assert_eq!(groups("vrrp_mcast_group6 ff02::81", ""), Vec::<IpAddr>::new());
    assert_eq!(groups("vrrp_mcast_group4 224.0.0.81", "mcast_dst_ip 224.0.0.82"), [address("224.0.0.82")]);
    assert_eq!(groups("vrrp_mcast_group4 224.0.0.81", "mcast_dst_ip 224.0.0.18"), Vec::<IpAddr>::new());
    assert_eq!(groups("", "mcast_dst_ip 224.0.0.82\n unicast_peer {\n 10.0.0.2\n }"), Vec::<IpAddr>::new());
}

#[test]
fn an_election_without_addresses_is_one_when_it_is_asked_for() {
    let bare =
        |lines: &str| format!("vrrp_instance a {{\n interface eth0\n virtual_router_id 1\n{lines}\n}}\n");
    let families = |lines: &str| config(&bare(lines)).agent.routers.remove(0).families();
    assert_eq!(families("no_virtual_ipaddress"), [Family::Ipv4]);
    assert_eq!(families("no_virtual_ipaddress\n mcast_src_ip fe80::1"), [Family::Ipv6]);
    let excluded = "no_virtual_ipaddress\n virtual_ipaddress_excluded {\n 10.0.0.100\n }";
    assert_eq!(config(&bare(excluded)).agent.routers[0].excluded.len(), 1);
    assert!(
        said(&bare("")).iter().any(|line| line.contains("no_virtual_ipaddress for an election without")),
        "{:?}",
        said(&bare(""))
    );
}

#[test]
fn what_would_be_another_mac_address_than_meant_is_refused_with_the_reason() {
    let refused = |lines: &str, why: &str| {
        let said = said(&instance(lines));
        assert!(
            said.iter().any(|line| line.contains(": error: ") && line.contains(why)),
            "{lines}: {said:#?}"
        );
    };
    refused("use_ipvlan", "the addresses are on the interface itself");
    let elsewhere = "virtual_ipaddress_excluded {\n 10.1.0.1 dev eth1\n }";
    let which = |lines: &str| config(&instance(lines)).agent.routers[0].virtual_mac;
    assert_eq!(which("use_vmac\n use_vmac_addr"), VirtualMac::Own);
    assert_eq!(which(&format!("use_vmac\n {elsewhere}")), VirtualMac::Own);
    assert_eq!(which(&format!("use_vmac\n use_vmac_addr\n {elsewhere}")), VirtualMac::Everywhere);
    assert_eq!(which(&format!("use_vmac_addr\n {elsewhere}")), VirtualMac::Elsewhere);
}

#[test]
fn an_owner_believes_others_unless_it_is_told_not_to_or_strict() {
    let ignores = |lines: &str| config(&instance(lines)).agent.routers.remove(0).manner.owner_ignores;
    assert_eq!(
        ["", "owner_ignore_adverts", "strict_mode", "strict_mode\n owner_ignore_adverts off"].map(ignores),
        [false, true, true, false]
    );
}

#[test]
fn scheduling_is_as_is_written() {
    let scheduling = |text: &str| config(&(text.to_owned() + &instance(""))).details.scheduling;
    assert_eq!(scheduling(""), Scheduling::default());
    let written = scheduling("global_defs {\n vrrp_rt_priority 50\n vrrp_no_swap\n}\n");
    assert_eq!(written, Scheduling { realtime: Some(50), lock_memory: true });
}

#[test]
fn a_tracked_file_is_made_when_it_is_to_be() {
    let made = |line: &str| {
        let text = format!("track_file f {{\n file /run/f\n{line}\n}}\n{}", instance("track_file {\n f\n }"));
        let config = config(&text);
        let Probe::File(file) = &config.details.checks.values().next().unwrap().probe else {
            panic!("{text}")
        };
        file.make
    };
    assert_eq!(made(""), None);
    assert_eq!(made("init_file"), Some(Make { number: 0, overwrite: false }));
    assert_eq!(made("init_file -5 overwrite"), Some(Make { number: -5, overwrite: true }));
}

#[test]
fn scripts_run_in_all_groups_of_their_user_where_that_is_asked_for() {
    let user = |text: &str| {
        let config = config(text);
        let hooks = config.details.hooks.into_values().next().unwrap();
        let user = hooks.any.unwrap().user;
        (user.name, user.gid, user.groups)
    };
    let notify = |rest: &str| instance(&format!("notify \"/bin/true\" {rest}"));
    let nobody = resolve_user("nobody").unwrap();
    let daemon = resolve_user("daemon").unwrap();
    assert_eq!(user(&notify("nobody")), ("nobody".to_owned(), nobody.gid, vec![]));
    assert_eq!(user(&notify("nobody daemon")), ("nobody".to_owned(), daemon.gid, vec![]));
    assert_eq!(user(&notify("nobody :daemon")), ("nobody".to_owned(), daemon.gid, vec![daemon.gid]));
    let all =
        |rest: &str| format!("global_defs {{\n set_supplementary_groups {rest}\n}}\n{}", notify("nobody"));
    assert_eq!(user(&all("")), ("nobody".to_owned(), nobody.gid, vec![nobody.gid]));
    assert_eq!(user(&all("off")), ("nobody".to_owned(), nobody.gid, vec![]));
}
