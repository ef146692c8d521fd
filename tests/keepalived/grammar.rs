//! Each block and keyword, in the shapes that people write.

use crate::spoken::{clean, document, instance, options};
use locum::config::keepalived::document::{AuthType, HmacMode, State, Weight};
use locum::config::keepalived::{self, Broadcast, Insertion, Network, Options, RouteKind, Table, parse};
use locum::vrrp::Family;
use serde_spanned::Spanned;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

#[expect(clippy::ref_option, reason = "the fields of the document are such")]
fn get<T: Clone>(written: &Option<Spanned<T>>) -> Option<T> {
    written.as_ref().map(|written| written.get_ref().clone())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn global_defs_are_read() {
    let global = clean(include_str!("conf/global.conf")).global;
    assert_eq!(get(&global.router_id).as_deref(), Some("LVS_DEVEL"));
    let to: Vec<_> = global.notification_email.iter().map(|to| to.get_ref().as_str()).collect();
    assert_eq!(to, ["a@example.org", "Ann <ann@example.org>", "c@example.org"]);
    assert_eq!(get(&global.smtp_server), Some(("192.0.2.1".to_owned(), 587)));
    assert_eq!(get(&global.smtp_connect_timeout), Some(Duration::from_secs(30)));
    assert_eq!(get(&global.script_user), Some(("nobody".to_owned(), Some("nogroup".to_owned()))));
    assert_eq!(get(&global.vrrp_version), Some(3));
    assert_eq!(get(&global.vrrp_startup_delay), Some(Duration::from_millis(5500)));
    assert_eq!(get(&global.advertising.garp_master_repeat), Some(3));
    assert_eq!(get(&global.advertising.garp_master_refresh), Some(Duration::from_mins(1)));
    assert_eq!(get(&global.notify_fifo).map(|fifo| fifo.path).as_deref(), Some("/run/k.fifo"));
    let script = get(&global.notify_fifo_script).unwrap();
    assert_eq!(script.words, ["/usr/bin/cat", "a b"]);
}

#[test]
fn a_quote_that_is_open_inside_a_command_is_told_of_and_the_script_left_out() {
    let text = "vrrp_script a {\n script \"/bin/sh -c 'exit 1\"\n}\n";
    let (document, said) = document(text);
    assert!(document.scripts.iter().all(|script| script.script.is_none()));
    let wanted = "k.conf:2:9: error: the quote ' inside the command is not closed";
    assert!(said.iter().any(|line| line.starts_with(wanted)), "{said:?}");
}

#[test]
fn a_definition_by_itself_is_left_out_by_a_lenient_reader() {
    let text = "$A=$A x\nvrrp_instance a {\n priority 7\n state $A\n}\n";
    let lenient = Options { lenient: true, ..options() };
    let (document, problems, skipped) = keepalived::document(text, Path::new("k.conf"), &lenient);
    assert_eq!((get(&document.instances[0].priority), problems.len()), (Some(7), 0), "{problems:?}");
    assert!(skipped[0].to_string().contains("$A is defined by itself"), "{skipped:?}");
}

#[test]
fn scripts_are_read_in_every_shape() {
    let document = clean(include_str!("conf/scripts.conf"));
    let words: Vec<_> = document
        .scripts
        .iter()
        .map(|script| script.script.as_ref().unwrap().get_ref().words.clone())
        .collect();
    assert_eq!(words[0], ["/usr/bin/killall", "-0", "haproxy"]);
    assert_eq!(words[1], ["killall", "-0", "haproxy"]);
    assert_eq!(words[2], ["/bin/check.sh"]);
    assert_eq!(words[3], ["/bin/echo", "a # b", "c d"]);
    assert_eq!(words[4], ["</etc/ready"]);
    let first = &document.scripts[0];
    assert_eq!(get(&first.interval), Some(Duration::from_millis(500)));
    assert_eq!((get(&first.rise), get(&first.fall)), (Some(2), Some(3)));
    assert_eq!(get(&first.weight), Some(Weight { value: -20, reverse: true }));
    assert_eq!(get(&first.user), Some(("nobody".to_owned(), None)));
    assert!(first.init_fail.is_some());
    assert_eq!(get(&document.scripts[2].user), Some(("daemon".to_owned(), Some(":daemon".to_owned()))));
}

#[test]
fn instances_are_read() {
    let document = clean(include_str!("conf/instance.conf"));
    let web = &document.instances[0];
    assert_eq!(
        (get(&web.state), web.priority(), get(&web.advert_int)),
        (Some(State::Backup), 150, Some(Duration::from_millis(300)))
    );
    assert_eq!(get(&web.interface).as_deref(), Some("eth0"));
    let peers: Vec<_> =
        web.unicast_peer.as_ref().unwrap().get_ref().iter().map(|peer| *peer.address.get_ref()).collect();
    assert_eq!(peers, [ip("10.0.0.2"), ip("10.0.0.3")]);
    assert_eq!(get(&web.unicast_peer.as_ref().unwrap().get_ref()[1].min_ttl), Some(254));
    assert_eq!(get(&web.unicast_src_ip), Some(ip("10.0.0.1")));
    assert_eq!(get(&web.preempt_delay), Some(Duration::from_millis(1500)));
    assert_eq!(web.tracking.scripts[0].name.get_ref(), "chk");
    assert_eq!(get(&web.tracking.scripts[0].weight), Some(Weight { value: -30, reverse: true }));
    assert_eq!(get(&web.tracking.interfaces[0].weight), None);
    assert_eq!(get(&web.notify.master).unwrap().words, ["/etc/keepalived/notify.sh", "master"]);
    assert_eq!(get(&web.notify.deleted), Some(None));
    assert_eq!(get(&web.notify.smtp_alert), Some(true));
    assert_eq!(
        document.groups[0].group.iter().map(|name| name.get_ref().as_str()).collect::<Vec<_>>(),
        ["web", "db"]
    );
    assert_eq!(document.processes[0].process.as_ref().unwrap().get_ref(), &["haproxy"]);
    assert_eq!(get(&document.files[0].init_file), Some((5, true)));
    assert_eq!(document.delays[0].down, Duration::from_secs(2));
}

#[test]
fn addresses_have_all_their_words() {
    let text = "10.0.0.1/24 brd 10.0.0.255 dev eth1 scope link label eth1:web no_track\n 10.0.0.2 brd + peer 10.0.9.9/32\n \
                10.0.0.3/16 -nodad home preferred_lft forever";
    let document = clean(&format!("vrrp_instance a {{\n virtual_ipaddress {{\n {text}\n }}\n}}"));
    let [first, second, third] = document.instances[0].virtual_ipaddress.as_slice() else { panic!() };
    assert_eq!((first.address, first.prefix, get(&first.scope)), (ip("10.0.0.1"), 24, Some(253)));
    assert_eq!(get(&first.brd), Some(Broadcast::At(ip("10.0.0.255"))));
    assert_eq!((get(&first.dev).as_deref(), get(&first.label).as_deref()), (Some("eth1"), Some("eth1:web")));
    assert!(first.no_track && !first.home);
    assert_eq!(
        (second.prefix, get(&second.brd), get(&second.peer)),
        (32, Some(Broadcast::Last), Some((ip("10.0.9.9"), Some(32))))
    );
    assert!(third.dad && third.home && get(&third.preferred_lft) == Some(None));
}

/// The one instance with routes and rules in it.
#[track_caller]
fn routing(lines: &str) -> locum::config::keepalived::document::Instance {
    clean(&instance(lines)).instances.remove(0)
}

#[test]
fn routes_follow_the_grammar_of_ip_route() {
    let found = routing(
        "virtual_routes {\n default via 10.0.0.254 dev eth0 metric 5\n src 10.0.0.1 to 192.0.2.0/24 gw 10.0.0.9 table web append\n \
         blackhole 198.51.100.0/24\n inet6 default via inet6 fe80::1 dev eth0 onlink\n \
         10.1.0.0/16 mtu lock 1400 table 100 nexthop via 10.0.0.8 weight 2 nexthop dev eth1 no_track\n}",
    );
    let [default, net, hole, six, many] = found.virtual_routes.as_slice() else {
        panic!("{:?}", found.virtual_routes)
    };
    assert_eq!(
        (default.to, get(&default.via), get(&default.metric)),
        (Network::All, Some(ip("10.0.0.254")), Some(5))
    );
    assert_eq!(
        (get(&net.src), get(&net.via), get(&net.table)),
        (Some(ip("10.0.0.1")), Some(ip("10.0.0.9")), Some(Table::Name("web".to_owned())))
    );
    assert_eq!((net.to, net.insertion), (Network::Prefix(ip("192.0.2.0"), 24), Insertion::Append));
    assert_eq!((hole.kind, hole.insertion), (RouteKind::Blackhole, Insertion::Prepend));
    assert_eq!((six.family, six.onlink, get(&six.via)), (Some(Family::Ipv6), true, Some(ip("fe80::1"))));
    assert_eq!(many.options, [("mtu".to_owned(), vec!["lock".to_owned(), "1400".to_owned()])]);
    assert_eq!(many.nexthops.len(), 2);
    assert_eq!(get(&many.nexthops[0].weight), Some(2));
    assert!(many.no_track);
}

#[test]
fn rules_follow_the_grammar_of_ip_rule() {
    let found = routing(
        "virtual_rules {\n from 10.0.0.1 table 100 preference 10\n not to 10.2.0.0/16 fwmark 0x7/0xff iif eth0 lookup main priority 11\n \
         from all uidrange 0-99 goto 200 preference 12\n blackhole from 10.3.0.0/24 preference 13\n}",
    );
    let [first, second, third, fourth] = found.virtual_rules.as_slice() else {
        panic!("{:?}", found.virtual_rules)
    };
    assert_eq!(
        (get(&first.from), get(&first.table)),
        (Some(Network::Prefix(ip("10.0.0.1"), 32)), Some(Table::Number(100)))
    );
    assert!(second.inverted && get(&second.fwmark) == Some((7, 0xff)));
    assert_eq!(
        (get(&third.goto), third.options.as_slice()),
        (Some(200), [("uidrange".to_owned(), "0-99".to_owned())].as_slice())
    );
    assert_eq!(get(&fourth.verdict), Some(Some(RouteKind::Blackhole)));
}

#[test]
fn secrets_are_read_and_never_printed() {
    let text = instance(
        "authentication {\n auth_type AH\n auth_pass hush-hus\n}\nauth_hmac {\n key 1 \"hush-hush-hush-hush-hush-hush-hush\"\n \
         active_key 1\n mode receive-only\n time_window 30\n}",
    );
    let document = clean(&text);
    let found = &document.instances[0];
    assert_eq!(get(&found.authentication.as_ref().unwrap().auth_type), Some(AuthType::Ah));
    let hmac = found.auth_hmac.as_ref().unwrap();
    assert_eq!((hmac.keys.len(), get(&hmac.mode)), (1, Some(HmacMode::ReceiveOnly)));
    assert!(!format!("{document:?}").contains("hush"));
}

#[test]
fn definitions_conditions_and_sequences_work_together() {
    let text = "$IF=eth0\n@low $PRIO=150\n@^low $PRIO=100\n~SEQ(n,1,3) vrrp_instance v${n} {\n~SEQ(n,1,3) }\n\
                vrrp_instance w {\n interface $IF\n priority $PRIO\n virtual_ipaddress {\n ~LST({h,d},{1,eth1},{2,eth2}) 10.0.0.${h}/24 dev $d\n }\n}";
    let (document, _) = document(text);
    let last = document.instances.last().unwrap();
    assert_eq!((get(&last.interface).as_deref(), last.priority()), (Some("eth0"), 150));
    let shown: Vec<_> =
        last.virtual_ipaddress.iter().map(|a| (a.address.to_string(), get(&a.dev).unwrap())).collect();
    assert_eq!(
        shown,
        [("10.0.0.1".to_owned(), "eth1".to_owned()), ("10.0.0.2".to_owned(), "eth2".to_owned())]
    );
}

#[test]
fn every_wrong_argument_is_told_of_with_its_place() {
    let cases = [
        ("priority 300", "k.conf:8:10: error: priority is \"300\", wanted a whole number from 1 to 255"),
        ("priority", "k.conf:8:1: error: priority has no value (help: write it on the same line"),
        (
            "priority 100,",
            "k.conf:8:10: error: priority is \"100,\", wanted a whole number from 1 to 255 (help: write 100)",
        ),
        (
            "state master",
            "k.conf:8:7: error: \"master\" is not known here, wanted MASTER or BACKUP (help: did you mean MASTER?)",
        ),
        (
            "advert_int 1s",
            "k.conf:8:12: error: advert_int is \"1s\", wanted seconds from 0.01 to 255 (help: write it without its unit: 1)",
        ),
        (
            "netify_backup \"/x\"",
            "k.conf:8:1: error: unknown keyword netify_backup in vrrp_instance (help: did you mean notify_backup?)",
        ),
        (
            "weight 3",
            "k.conf:8:1: error: unknown keyword weight in vrrp_instance (help: weight belongs into vrrp_script)",
        ),
        (
            "track_script {\n a weight=0\n}",
            "k.conf:9:4: error: unknown word weight=0 after a (help: write weight 0)",
        ),
        (
            "virtual_ipaddress { 10.0.0.1 10.0.0.2 }",
            "k.conf:8:30: error: unknown word 10.0.0.2 after an address (help: write one address a line)",
        ),
        (
            "virtual_ipaddress { 10.0.0.1 dve eth0 }",
            "k.conf:8:30: error: unknown word dve after an address (help: did you mean dev?)",
        ),
        ("virtual_ipaddress 10.0.0.1", "k.conf:8:1: error: virtual_ipaddress has no block"),
        ("notify_master", "k.conf:8:1: error: notify_master has no command"),
        ("notify \"/bin/x", "k.conf:8:8: error: "),
        ("interface <name>", "k.conf:8:11: error: \"<name>\" is not an interface name"),
        ("unicast_peer {\n peer1\n}", "k.conf:9:2: error: \"peer1\" is not an IP address"),
        (
            "authentication {\n auth_type PASSX\n}",
            "k.conf:9:12: error: \"PASSX\" is not known here, wanted PASS or AH",
        ),
        ("virtual_routes {\n 10.0.0.0/33\n}", "k.conf:9:2: error: \"33\" is no prefix length"),
        ("virtual_rules {\n from 10.0.0.1\n}", "k.conf:9:2: error: this rule leads nowhere"),
        ("auth_hmac {\n key 1 short\n}", "k.conf:9:8: error: a key has 32 to 64 bytes, this one has 5"),
    ];
    for (lines, wanted) in cases {
        let (_, said) = document(&instance(lines));
        assert!(said.iter().any(|line| line.starts_with(wanted)), "{lines}: wanted {wanted}\n{said:#?}");
    }
}

/// keepalived says nothing of it, so the file is no worse with Locum; but its author is told.
#[test]
fn what_nobody_reads_is_listed_and_the_file_is_taken() {
    let cases = [
        (
            "state MASTER priority 200",
            "k.conf:8:14: state takes one value: nothing reads the rest of the line",
        ),
        ("nopreempt yes", "k.conf:8:11: nopreempt takes no value: nothing reads the rest of the line"),
        ("notify /nowhere/hook", "k.conf:8:8: /nowhere does not exist"),
    ];
    let hook = (
        "notify killall -0 x",
        "k.conf:8:16: only killall is the command here; what follows is a user and a group",
    );
    for (line, wanted) in cases.into_iter().chain([hook]) {
        let loaded = parse(&instance(line), "k.conf".as_ref(), &crate::spoken::options()).expect(line);
        let listed: Vec<_> = loaded.skipped.iter().map(ToString::to_string).collect();
        assert_eq!(listed, [wanted]);
        assert_eq!(loaded.config.agent.routers.len(), 1, "{line}");
    }
}

#[test]
fn a_problem_is_drawn_with_its_line_and_a_caret() {
    let text = instance("priority 300");
    let (_, problems, _) =
        locum::config::keepalived::document(&text, "k.conf".as_ref(), &crate::spoken::options());
    let drawn = problems[0].render(false);
    assert!(drawn.contains("8 | priority 300") && drawn.contains("^^^"), "{drawn}");
}
