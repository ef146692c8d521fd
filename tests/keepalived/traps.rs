//! Where keepalived does not do what is written, or what is written is dangerous: told of.

use crate::spoken::{config, instance, options, said};
use locum::config::keepalived::{self, Options, parse};
use locum::vrrp::Priority;
use locum::vrrp::auth::Auth;
use std::path::Path;
use std::time::Duration;

#[track_caller]
fn says(text: &str, wanted: &[&str]) {
    let said = said(text);
    for wanted in wanted {
        assert!(said.iter().any(|line| line.contains(wanted)), "wanted {wanted}\n{said:#?}");
    }
}

#[test]
fn keepalived_doing_otherwise_is_told_of() {
    let otherwise = "keepalived does otherwise here: ";
    let traps = [
        ("state MASTER\n nopreempt", "state MASTER turns nopreempt off"),
        ("state MASTER\n priority 150\n preempt_delay 5", "state MASTER turns preempt_delay off"),
        ("strict_mode\n accept\n unicast_peer { 10.0.0.2 }", "strict mode has no unicast"),
        ("skip_check_adv_addr no", "\"no\" turns skip_check_adv_addr on"),
    ];
    for (lines, wanted) in traps {
        says(&instance(lines), &[&format!("{otherwise}{wanted}")]);
    }
    for word in [
        "v3_checksum_as_v2",
        "vrrp_strict",
        "vrrp_no_swap",
        "vrrp_skip_check_adv_addr",
        "vrrp_check_unicast_src",
    ] {
        let wanted = format!("any use of {word} here turns it on");
        says(&format!("global_defs {{\n {word} off\n}}"), &[&wanted]);
    }
    says(&instance("check_unicast_src no"), &["any use of check_unicast_src here turns it on"]);
    for line in ["script /bin/false -x", "script \"/bin/false\" interval 2"] {
        let text = format!("vrrp_script c {{\n {line}\n}}");
        let skipped = parse(&text, Path::new("k.conf"), &options()).unwrap().skipped;
        assert!(skipped[0].to_string().contains("only /bin/false is the command here"), "{skipped:?}");
    }
    says("vrrp_script c {\n script /bin/false root\n}", &[&format!("{otherwise}a check has no user here")]);
    says("interface_up_down_delays {\n eth0 3\n}", &["a delay up that is not written is 0"]);
    let group = "vrrp_script c {\n script \"/bin/true\"\n weight 5\n}\nvrrp_sync_group g { group { web } }\n";
    says(
        &(group.to_owned() + &instance("track_script { c }")),
        &["weights of instances in a sync group do not count"],
    );
}

#[test]
fn a_sequence_may_stand_behind_a_brace() {
    let text = "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress { ~SEQ(N,1,3) 10.0.0.$N\n 10.0.0.9\n }~LST(Q,1)\n}\n";
    let router = &config(text).agent.routers[0];
    let held: Vec<_> = router.vips.iter().map(|vip| vip.address.to_string()).collect();
    assert_eq!(held, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9"]);
}

#[test]
fn the_first_variable_of_a_sequence_keeps_its_last_value() {
    let addresses = "~SEQ(N,1,2)\n 10.0.0.$N\n ~LST({A,B},{3,4},{5,6}) 10.0.${B}.$A\n 10.0.1.$A\n";
    let text = instance(&("virtual_ipaddress_excluded {\n ".to_owned() + addresses + " }"));
    let router = &config(&text).agent.routers[0];
    let held: Vec<_> = router.excluded.iter().map(|vip| vip.address.to_string()).collect();
    assert_eq!(held, ["10.0.0.2", "10.0.4.3", "10.0.6.5", "10.0.1.5"]);
}

#[test]
fn definitions_and_conditions_may_stand_behind_a_brace() {
    let lines = "virtual_ipaddress_excluded {$A=7\n 10.0.0.$A } @^other $B=77\n priority $B\n\
                 track_interface { @other eth5\n lo weight 9\n}$B=${A}8";
    let router = &config(&instance(lines)).agent.routers[0];
    assert_eq!(router.priority, Priority::new(77).unwrap());
    assert_eq!(router.excluded[0].address.to_string(), "10.0.0.7");
    assert_eq!(router.tracks.len(), 1, "{:?}", router.tracks);
}

/// keepalived looks for the `\\` before it takes comments out.
#[test]
fn a_definition_goes_on_behind_a_comment() {
    let config =
        config(&format!("$B= \\\n# of this host \\\npriority 77 # low \\\nadvert_int 2\n{}", instance("$B")));
    let router = &config.agent.routers[0];
    assert_eq!(
        (router.priority, router.interval.duration()),
        (Priority::new(77).unwrap(), Duration::from_secs(2))
    );
}

#[test]
fn what_is_written_is_done_where_keepalived_does_otherwise() {
    assert!(!config(&instance("state MASTER\n nopreempt")).agent.routers[0].preempt);
    assert!(config(&instance("nopreempt\n preempt")).agent.routers[0].preempt);
}

#[test]
fn unicast_without_peers_becomes_multicast_only_leniently_and_is_listed() {
    says(
        &instance("unicast_src_ip 10.0.0.1"),
        &["error: unicast without a peer: keepalived turns to multicast"],
    );
    says(&instance("unicast_peer {\n }"), &["error: unicast without a peer"]);
    let lenient = Options { lenient: true, ..options() };
    let loaded = keepalived::parse(&instance("unicast_peer {\n }"), Path::new("k.conf"), &lenient).unwrap();
    assert!(loaded.config.agent.routers[0].peers.is_empty());
    assert!(loaded.skipped[0].to_string().contains("unicast without a peer"), "{:?}", loaded.skipped);
    let barred = config(&instance("unicast_peer {\n }\n unicast_fault_no_peer"));
    assert!(barred.agent.routers[0].barred.is_some());
}

#[test]
fn a_key_that_cannot_be_used_bars_the_instance_even_leniently() {
    let lenient = Options { lenient: true, ..options() };
    for lines in [
        "auth_hmac {\n key 1 short\n active_key 1\n}",
        "auth_hmac {\n key 1 file:/nowhere\n active_key 1\n}",
        "auth_hmac {\n}",
        "authentication {\n auth_type PASS\n}",
    ] {
        let loaded = keepalived::parse(&instance(lines), Path::new("k.conf"), &lenient).unwrap();
        assert!(loaded.config.agent.routers[0].barred.is_some(), "{lines}");
        assert!(!loaded.skipped.is_empty(), "{lines}");
        assert!(keepalived::parse(&instance(lines), Path::new("k.conf"), &options()).is_err(), "{lines}");
    }
}

#[test]
fn authentication_that_keepalived_leaves_out_on_the_wire_is_left_out_here_too() {
    for lines in ["version 3", "strict_mode"] {
        let text = instance(&format!("{lines}\n authentication {{\n auth_type PASS\n auth_pass 1111\n}}"));
        assert_eq!(config(&text).agent.routers[0].auth, Auth::None);
        says(&text, &["as in keepalived"]);
    }
}

#[test]
fn the_load_balancer_is_an_error_unless_left_out_on_purpose() {
    let text = instance("") + "virtual_server 10.0.0.100 80 {\n lb_algo rr\n}\nvirtual_server_group g {\n}\n";
    says(
        &text,
        &["warning: known to keepalived, not done by Locum, effect: no load is balanced (2 statements"],
    );
    let strict = Options { vrrp_only: false, ..options() };
    assert!(
        keepalived::parse(&text, Path::new("k.conf"), &strict)
            .unwrap_err()
            .to_string()
            .contains("no load is balanced")
    );
}

#[test]
fn lenient_leaves_out_what_keepalived_does_and_lists_it() {
    let text =
        instance("priority 300\n no_such_keyword\n virtual_ipaddress {\n 10.0.0.101 odd\n nonsense\n }");
    let lenient = Options { lenient: true, ..options() };
    let loaded = keepalived::parse(&text, Path::new("k.conf"), &lenient).unwrap();
    let router = &loaded.config.agent.routers[0];
    assert_eq!((router.priority.get(), router.vips.len()), (100, 2));
    let lines: Vec<_> = loaded.skipped.iter().map(|skipped| skipped.problem.line).collect();
    assert_eq!(lines, [8, 9, 11, 12]);
    let strictly = keepalived::parse(&text, Path::new("k.conf"), &options()).unwrap_err();
    let [_, _, _, _, mend] = strictly.0.as_slice() else { panic!("{strictly}") };
    assert!(
        mend.to_string().contains("wrong in 4 of these places") && mend.to_string().contains("--lenient")
    );
}

#[test]
fn what_is_known_and_not_done_has_its_effect() {
    let wanted =
        "kernel_rx_buf_size: known to keepalived, not done by Locum, effect: Locum sizes its own buffers";
    says(&instance("kernel_rx_buf_size 100000"), &[wanted]);
}

#[test]
fn strict_mode_refuses_packets_as_in_keepalived_and_says_so() {
    let accepts = |lines: &str| config(&instance(lines)).agent.routers[0].accept;
    assert!(
        accepts("")
            && accepts(
                "strict_mode
 accept"
            )
            && !accepts("strict_mode")
            && !accepts("no_accept")
    );
    says(&instance("strict_mode"), &["strict mode drops all packets to the addresses"]);
}

#[test]
fn a_file_that_wants_to_be_checked_is_refused_for_what_would_be_left_out() {
    let lenient = Options { lenient: true, ..options() };
    let read = |word: &str, lines: &str| {
        let text = format!("global_defs {{\n{word}\ndynamic_interfaces\n}}\n{}", instance(lines));
        parse(&text, Path::new("x.conf"), &lenient).unwrap().as_demanded()
    };
    assert_eq!(read("reload_check_config", "").map(|loaded| loaded.skipped.len()), Ok(0));
    assert_eq!(read("", "prioritty 5").map(|loaded| loaded.skipped.len()), Ok(1));
    // `check` says it before the daemon does.
    let group = "vrrp_sync_group g {\n group {\n web\n }\n}\n";
    says(
        &format!("global_defs {{\n reload_check_config\n}}\n{}{group}", instance("")),
        &["the daemon refuses this file"],
    );
    let said = read("reload_check_config", "prioritty 5").unwrap_err().to_string();
    for part in ["a file with findings is refused, and there are some", "unknown keyword prioritty"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_is_missing_is_told_of_in_the_words_of_keepalived() {
    assert_eq!(
        said("global_defs {\n router_id a\n}\n"),
        [
            "k.conf:1:1: warning: this file has no vrrp_instance: nothing will be held (help: add a vrrp_instance)"
        ]
    );
    let weighted = "nopreempt\n track_interface {\n eth1 weight -10\n}";
    says(&instance(weighted), &["(help: track the check without a weight, or have every host preempt)"]);
    says("virtual_server 10.0.0.1 80 {\n}\n", &["no load is balanced (this statement is left out)"]);
}

#[test]
fn a_wrong_value_has_its_mend() {
    for (line, help) in [
        ("state MASTR", "did you mean MASTER?"),
        ("state SLAVE", "write MASTER or BACKUP"),
        ("smtp_alert maybe", "write on or off"),
        ("version 4", "write 3"),
        ("preempt_delay -5", "write 0"),
        ("advert_int abc", "write digits alone, such as 1"),
        ("track_interface {\n eth1 wieght 5\n}", "did you mean weight?"),
    ] {
        says(&instance(line), &[&format!("(help: {help})")]);
    }
}
