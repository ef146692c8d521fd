//! What `locum convert` writes means the same: both files are read, and what the agent and its doers
//! would run by is compared as a whole.

use crate::corpus::corpus;
use crate::spoken::{instance, options};
use locum::config::keepalived::{Converted, Options, convert_text};
use locum::config::{Config, Secrets, parse};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What was converted, and what is made of it.
#[track_caller]
fn both(text: &str, path: &Path, options: &Options) -> (Converted, Config) {
    let converted = convert_text(text, path, options).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let folder = tempfile::tempdir().unwrap();
    for secret in &converted.secrets {
        let file = folder.path().join(&secret.name);
        fs::write(&file, secret.line.expose()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    match parse(&converted.toml, &folder.path().join("locum.toml"), Secrets::MustRead) {
        Ok(loaded) => (converted, loaded.config),
        Err(problems) => panic!("{problems}\n{}", converted.toml),
    }
}

/// Converts, and compares all there is to compare.
#[track_caller]
fn same(text: &str, path: &Path, options: &Options) -> Converted {
    let (converted, config) = both(text, path, options);
    if config != converted.config {
        let lines = |config: &Config| format!("{config:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
        let (here, there) = (lines(&config), lines(&converted.config));
        let other: Vec<_> = here.iter().zip(&there).filter(|(one, other)| one != other).take(10).collect();
        panic!("{other:#?}\n{}", converted.toml);
    }
    assert!(converted.is_same(&config));
    converted
}

#[track_caller]
fn converted(text: &str) -> Converted {
    same(text, Path::new("k.conf"), &options())
}

/// Instances without interfaces: placeholders that nobody has filled in.
const ENDS: [&str; 2] = ["014", "041"];

/// With programs that every machine has, so that scripts and hooks are there to be compared.
fn runnable(text: &str) -> String {
    let line = |line: &str| {
        let keyword = line.split_whitespace().next().unwrap_or_default();
        let runs = keyword == "script" || keyword.starts_with("notify") && !keyword.contains("fifo");
        match line.find('/').filter(|_| runs && !keyword.contains("email")) {
            Some(at) => {
                let (before, path) = line.split_at(at);
                let rest = path
                    .find(|c: char| c.is_whitespace() || "\"'".contains(c))
                    .map_or("", |end| &path[end..]);
                format!("{before}/bin/true{rest}")
            }
            None => line.replace("keepalived_script", "nobody"),
        }
    };
    text.lines().map(|written| line(written) + "\n").collect()
}

#[test]
fn every_configuration_that_people_use_means_the_same_in_toml() {
    let lenient = Options { lenient: true, ..options() };
    let (mut scripts, mut compared) = (0, 0);
    let paths = corpus();
    for path in &paths {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let name = path.file_name().unwrap().to_string_lossy();
        for text in [runnable(&text), text] {
            // As ever: no daemon runs with these.
            if ENDS.iter().any(|number| name.starts_with(number)) {
                assert!(convert_text(&text, path, &lenient).is_err(), "{name} can be converted");
                continue;
            }
            let converted = same(&text, path, &lenient);
            scripts += converted.config.details.checks.len() + converted.config.details.hooks.len();
            compared += 1;
        }
    }
    assert!(paths.is_empty() || (compared > 60 && scripts > 40), "{compared} files, {scripts} scripts");
}

#[test]
fn samples_mean_the_same_in_toml() {
    let lenient = Options { lenient: true, ..options() };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keepalived/conf");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = runnable(&fs::read_to_string(&path).unwrap());
        same(&text, &path, &lenient);
    }
}

const GLOBAL: &str = "global_defs {
 router_id lb1
 script_user root
 notification_email { root@localhost \"Ann <ann@example.org>\" }
 notification_email_from lb1@example.org
 smtp_server 192.0.2.1 587
 smtp_helo_name lb1.example.org
 smtp_connect_timeout 20
 smtp_alert
 notify_fifo /run/k.fifo nobody
 notify_fifo_script \"/bin/cat -u\"
 vrrp_notify_fifo /run/v.fifo
 vrrp_notify_fifo_script /bin/cat nobody
 vrrp_notify_priority_changes
 vrrp_startup_delay 2.0005
 vrrp_version 3
 vrrp_garp_interval 0.01
 vrrp_gna_interval 0.02
}
interface_up_down_delays { eth0.5 2 3.25 }
garp_group { garp_interval 0.5
 interfaces eth1 eth2 }
static_ipaddress { 10.0.0.5/24 dev eth1 scope link
 2001:db8::5/64 }
static_routes { 10.3.0.0/16 via 10.0.0.1 }
static_rules { from 10.3.0.0/16 lookup 7 }
vrrp_script c {
 script \"/bin/true 'a b' \\\"q\\\"\"
 interval 0.0015
 timeout 3
 fall 3
 rise 2000
 init_fail
}
vrrp_script r {
 script /bin/true
 user nobody
 interval 4
}
vrrp_script f { script </etc/passwd }
vrrp_track_process p {
 process \"/usr/sbin/nginx -g daemon\"
 full_command
 param_match initial
 quorum 2
 quorum_max 9
 fork_delay 3
}
track_file n { file /run/n }
bfd_instance gate {
 neighbor_ip 10.0.0.254
 source_ip 10.0.0.1
 min_rx 50
 min_tx 12.5
 idle_tx 2000
 multiplier 3
 passive
 ttl 64
 max_hops 3
 multihop
 weight 9
}
bfd_instance plain { neighbour_ip fe80::254%eth0 }
vrrp_sync_group both {
 group { web six }
 notify_fault \"/bin/true fault\"
 notify /bin/true nobody
 smtp_alert off
}
";

const INSTANCE: &str = "vrrp_instance web {
 state MASTER
 interface eth0
 virtual_router_id 7
 priority 150
 advert_int 0.25
 preempt_delay 30
 down_timer_adverts 5
 lower_prio_no_advert
 higher_prio_send_advert
 dont_track_primary
 no_accept
 use_vmac web7 02:00:00:00:00:07 group 9
 vmac_xmit_base
 unicast_ttl 9
 owner_ignore_adverts
 v3_checksum_as_v2
 garp_master_delay 2
 garp_master_repeat 7
 garp_master_refresh 60
 garp_master_refresh_repeat 2
 garp_lower_prio_delay 4
 garp_lower_prio_repeat 3
 garp_extra_if all 90
 unicast_src_ip 10.0.0.1
 unicast_peer { 10.0.0.2 min_ttl 250
 10.0.0.3 min_ttl 240 max_ttl 250
 10.0.0.4 max_ttl 9
 10.0.0.5 }
 virtual_ipaddress { 10.0.0.100/24 dev eth1 label eth1:web scope nowhere
 10.0.0.101 scope 77 }
 virtual_ipaddress_excluded { fe80::9 dev eth0
 10.0.0.9/24 brd + peer 10.9.0.1 noprefixroute no_track
 10.0.0.10 dev eth7 use_vmac
 2001:db8::9/64 home -nodad mngtmpaddr preferred_lft 5
 2001:db8::10 preferred_lft forever }
 virtual_routes { 10.1.0.0/16 via 10.0.0.1 dev eth0 src 10.0.0.100 metric 5 table 9 scope site tos 4 mtu lock 1400 quickack 1
 10.4.0.0/16 via 10.0.0.1 dev eth0 realms 1/2 congctl lock reno features ecn
 default nexthop via 10.0.0.1 weight 3 realms 4 nexthop via 10.0.0.2 dev eth0 onlink
 unreachable 10.9.0.0/16
 2001:db8:1::/48 dev eth0 hoplimit 9 congctl bbr pref low }
 virtual_rules { from 10.1.0.0/16 to 10.2.0.0/16 iif eth0 table 100 priority 40000
 not fwmark 5/0xff oif eth1 blackhole priority 7
 from all to 10.5.0.0/16 ipproto tcp sport 80-89 dport 443 uidrange 5-9 goto 50000 priority 9
 from 10.1.0.0/16 l3mdev tunnel-id 5 realms 3/4 priority 12
 inet6 tos 4 table 9 suppress_prefixlength 3 suppress_ifgroup 2 priority 11 }
 track_script { c weight -20
 r reverse
 f }
 track_process { p weight 254 }
 track_bfd { gate weight -7 reverse
 plain }
 track_file { n weight -2 }
 track_interface { eth5 weight 5 reverse
 eth6 }
 notify_master \"/bin/true 'm x'\"
 notify_master_rx_lower_pri /bin/true nobody
 notify_priority_changes
}
vrrp_instance six {
 interface eth0
 virtual_router_id 8
 nopreempt
 virtual_ipaddress { 2001:db8::100/64 }
 notify_stop /bin/true nobody nogroup
 notify_fault /bin/true nobody :nogroup
 notify_backup /bin/true nobody :daemon
 notify_priority_changes off
 smtp_alert off
}
";

#[test]
fn all_that_can_be_said_means_the_same_in_toml() {
    let found =
        same(&format!("{GLOBAL}{INSTANCE}"), Path::new("k.conf"), &Options { lenient: true, ..options() });
    let agent = &found.config.agent;
    let router = &agent.routers[0];
    let known = (router.routes.len(), router.rules.len(), router.tracks.len(), agent.groups.len());
    assert_eq!(known, (5, 5, 9, 1), "{:#?}", found.lost);
    let told = &found.config.details.told;
    assert_eq!((told.fifos.len(), told.mailed.len(), told.priorities.len()), (2, 1, 1));
    assert_eq!(agent.fixed.vips.len(), 2);
}

#[test]
fn what_a_group_tracks_means_the_same_in_toml() {
    let group =
        "vrrp_sync_group g {\n group {\n web\n db\n }\n track_interface {\n eth1 weight 2\n lo\n }\n}\n";
    let other = "vrrp_instance db {\n interface eth0\n virtual_router_id 52\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n";
    let text = |own: &str| format!("{group}{}{other}", instance(own));
    let groups = |own: &str| converted(&text(own)).config.agent.groups[0].tracks.len();
    assert_eq!(groups(""), 2);
    // One that has it otherwise: then each has its own.
    for own in ["eth1 weight 5", "eth1 weight 2", "lo\n eth1"] {
        assert_eq!(groups(&format!("track_interface {{\n {own}\n}}")), 0, "{own}");
    }
}

#[test]
fn an_election_without_addresses_means_the_same_in_toml() {
    let text = instance("no_virtual_ipaddress").replace("virtual_ipaddress { 10.0.0.100 }", "");
    let found = converted(&text);
    assert!(found.config.agent.routers[0].vips.is_empty() && found.toml.contains("addresses = []\n"));
    let lines = "virtual_ipaddress_excluded {\n 10.0.0.9/24\n 2001:db8::9/64\n}";
    let text = instance(lines).replace("virtual_ipaddress { 10.0.0.100 }", "");
    let lenient = Options { lenient: true, ..options() };
    let found = same(&text, Path::new("k.conf"), &lenient);
    assert_eq!(found.config.agent.routers[0].excluded.len(), 2);
}

#[test]
fn secrets_go_into_files_of_their_own() {
    let pass = converted(&instance(
        "authentication {\n auth_type PASS\n auth_pass sesame-open\n}\n#auth_pass older",
    ));
    let [file] = pass.secrets.as_slice() else { panic!("{pass:?}") };
    assert_eq!((file.name.as_str(), file.line.expose()), ("web.pass", b"sesame-o".as_slice()));
    let ah = converted(&instance("authentication {\n auth_type AH\n auth_pass hush\n}"));
    assert_eq!(ah.secrets.len(), 1);
    let (one, two) = ("k".repeat(32), format!("hex:{}", "0f".repeat(64)));
    let keys = format!("key 1 {one}\n key 2 {two}\n active_key 2");
    for more in ["", "anti_replay monotonic", "time_window 30", "mode permissive", "mode receive-only"] {
        let hmac = converted(&instance(&format!("auth_hmac {{\n {keys}\n {more}\n}}")));
        assert_eq!(hmac.secrets.len(), 2, "{more}");
        for text in [&hmac.toml, &format!("{hmac:?}")] {
            assert!(!text.contains("kkkk") && !text.contains("0f0f"), "{text}");
        }
    }
    for text in [&pass.toml, &ah.toml, &format!("{pass:?} {ah:?}")] {
        assert!(!text.contains("sesame") && !text.contains("hush") && !text.contains("older"), "{text}");
    }
}

#[test]
fn comments_and_order_stay() {
    let text = "! the file\n# of lb1\nvrrp_script c {\n script /bin/true # cheap\n}\n# the site\nvrrp_instance web {\n \
                # first\n priority 150 ! ours\n interface eth0\n virtual_router_id 7\n # all of it\n virtual_ipaddress {\n \
                10.0.0.100 # web\n # and\n 10.0.0.101\n }\n track_script { c }\n # last\n}\n# bye\n";
    let text = format!("global_defs {{\n script_user nobody\n}}\n{text}");
    let toml = converted(&text).toml;
    let wanted = "[agent]\ninherit_environment = true\n\n# the file\n# of lb1\n[check.c]\ntype = \"script\"\ncommand = [\"/bin/true\"]  # cheap\n\
                  interval = \"1s\"\ntimeout = \"1s\"\nfall = 1\n\n# the site\n[router.web]\n# first\npriority = 150  # ours\n\
                  interface = \"eth0\"\nvrid = 7\n# all of it\naddresses = [\n    \"10.0.0.100\",  # web\n    # and\n    \
                  \"10.0.0.101\",\n]\nchecks = [\"c\"]\nversion = 2\ninterval = \"1s\"\n\
                  answer_losing = true\nannounce = { count = 5, again = [\"5s\"], refresh = \"off\", losing_again = \"5s\" }\n# last\n\n# bye\n";
    assert_eq!(toml, wanted);
}

#[test]
fn what_is_lost_is_told_and_stands_in_the_file() {
    let text = instance("notify_deleted\n nonsense")
        + "virtual_server 10.0.0.100 80 {\n # comment\n lb_algo rr\n}\n";
    let lenient = Options { lenient: true, ..options() };
    let found = same(&text, Path::new("k.conf"), &lenient);
    for wanted in ["notify_deleted: an instance that", "unknown keyword nonsense", "no load is balanced"] {
        let told =
            found.lost.iter().find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{found:#?}"));
        assert!(told.starts_with("k.conf:"), "{told}");
        assert!(found.toml.contains(&format!("# not converted: {wanted}")), "{}", found.toml);
    }
    assert!(!found.toml.contains("# comment"), "{}", found.toml);
    assert!(convert_text(&text, Path::new("k.conf"), &options()).is_err());
}

#[test]
fn a_name_that_toml_cannot_have_is_changed_and_told() {
    let text = instance("").replace("vrrp_instance web", "vrrp_instance \"web é\"");
    let (found, config) = both(&text, Path::new("k.conf"), &options());
    assert_eq!(&*config.agent.routers[0].name.0, "web__");
    assert_eq!(
        (found.renamed, found.lost.as_slice()),
        (true, ["k.conf: \"web é\" is called web__ now".to_owned()].as_slice())
    );
}

#[test]
fn comments_of_included_files_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let part = instance("# inside").replace("script_user", "# above\n script_user");
    fs::write(folder.path().join("part.conf"), part).unwrap();
    let main = folder.path().join("k.conf");
    let found = same("# main\ninclude part.conf\n# end\n", &main, &options());
    for line in ["# main\n", "# above\n", "# inside\n", "# end\n"] {
        assert!(found.toml.contains(line), "{line}{}", found.toml);
    }
}

#[test]
fn scheduling_and_files_to_make_mean_the_same_in_toml() {
    let text = "global_defs {\n vrrp_rt_priority 50\n vrrp_no_swap\n}\n\
                track_file f {\n file /run/f\n init_file 5 overwrite\n}\n";
    converted(&(text.to_owned() + &instance("track_file {\n f\n }")));
}

#[test]
fn snmp_is_converted_with_what_it_serves() {
    let text = "global_defs {\n enable_snmp_rfc   # for the graphs\n snmp_socket tcp:localhost:705\n enable_traps\n}\n";
    let converted = converted(&(text.to_owned() + &instance("")));
    // What nobody wrote comes last.
    let expected = "[snmp]\nrfc2787 = true\nrfc6527 = true  # for the graphs\nsocket = \"tcp:localhost:705\"\n\
        traps = true\nkeepalived = false\n";
    assert!(converted.toml.contains(expected), "{}", converted.toml);
    assert!(converted.lost.is_empty(), "{:?}", converted.lost);
}
