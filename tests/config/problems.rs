//! Bad files: what is said of them.

use super::{claim, config, read, router, said, same};
use locum::agent::config::Claims;
use std::fs;
use std::path::Path;

#[test]
fn every_problem_of_a_bad_file_is_told_at_once_with_its_place_and_its_mend() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad.golden");
    let found = said(include_str!("bad.toml"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, format!("{found}\n")).unwrap();
    }
    same(&found, &fs::read_to_string(golden).unwrap());
}

#[test]
fn every_syntax_error_is_told_and_nothing_besides() {
    same(
        &said("a = \nb = 5x\n[router.web\nvrid = 0\n"),
        r#"
error: string values must be quoted, expected literal string
 --> locum.toml:1:5
  |
1 | a = 
  |     ^
  |
  = help: write a value here

error: string values must be quoted, expected literal string
 --> locum.toml:2:5
  |
2 | b = 5x
  |     ^^
  |
  = help: write "5x"

error: unclosed table, expected `]`
 --> locum.toml:3:12
  |
3 | [router.web
  |            ^
  |
  = help: write `]` here
"#,
    );
}

#[test]
fn a_problem_is_one_line_for_logs_and_an_object_for_machines() {
    let problems = read(&router("interval = 1")).unwrap_err();
    let wanted = r#"locum.toml:5:12: error: `interval` has no unit (help: write "1s" or "1ms")"#;
    assert_eq!(problems.to_string(), wanted);
    let wanted = serde_json::json!([{
        "severity": "error", "file": "locum.toml", "line": 5, "column": 12,
        "message": "`interval` has no unit", "help": "write \"1s\" or \"1ms\"",
    }]);
    assert_eq!(problems.to_json(), wanted);
}

/// The messages of the errors in `text`.
fn errors(text: &str) -> Vec<String> {
    let problems = read(text).map(|loaded| loaded.config).unwrap_err().0;
    problems.into_iter().map(|problem| problem.message).collect()
}

/// That router web with `lines` has the one error `wanted`.
#[track_caller]
fn one(lines: &str, wanted: &str) {
    assert_eq!(errors(&router(lines)), [wanted], "{lines}");
}

/// As [`one`], for a router that holds `addresses`.
#[track_caller]
fn holding(addresses: &str, lines: &str, wanted: &str) {
    let text = format!("[router.web]\ninterface = 'eth0'\nvrid = 1\naddresses = [{addresses}]\n{lines}\n");
    assert_eq!(errors(&text), [wanted], "{addresses} {lines}");
}

#[test]
fn intervals_must_fit_the_version() {
    let three = "version 3 of VRRP counts in steps of 10 ms: it cannot carry an interval of";
    for (written, shown) in [("41s", "41s"), ("15ms", "15ms"), ("1us", "1µs"), ("40.96s", "40.96s")] {
        one(&format!("interval = '{written}'"), &format!("{three} {shown}"));
    }
    let two = "version 2 of VRRP counts in whole seconds: it cannot carry an interval of";
    for (written, shown) in [("500ms", "500ms"), ("1500ms", "1.5s"), ("256s", "256s")] {
        one(&format!("version = 2\ninterval = '{written}'"), &format!("{two} {shown}"));
    }
    one("interval = '0s'", "`interval` cannot be zero");
    one("interval = '-1s'", "`interval` cannot be negative");
    one("interval = '1'", "`interval` has no unit");
    one("interval = true", "`interval` is true or false, wanted a duration: \"1s\", \"500ms\", \"1m 30s\"");
}

#[test]
fn a_second_path_leads_elsewhere_and_to_every_peer_by_an_address_of_its_own() {
    let path = |rest: &str| format!("second_path = {{ {rest} }}");
    let to = |peers: &str| path(&format!("interface = 'eth1', peers = {{ {peers} }}"));
    one(&path("interface = 'eth0', peers = { '10.0.0.2' = '10.1.0.2' }"), "eth0 is the first path already");
    one(&path("peers = { '10.0.0.2' = '10.1.0.2' }"), "`second_path` of [router.web] has no `interface`");
    one(&to(""), "a second path to nobody");
    one(&to("b = '10.1.0.2'"), "\"b\" is not an IP address");
    one(&to("'10.0.0.2' = '10.1.0.0/24'"), "\"10.1.0.0/24\" is not an IP address");
    one(&to("'10.0.0.2' = '224.0.0.1'"), "224.0.0.1 is a multicast address, no host has it");
    one(&to("'10.0.0.2' = 'fd00::2'"), "10.0.0.2 and fd00::2 are of two families");
    one(&to("'10.0.0.2' = '10.0.0.100'"), "10.0.0.100 is a virtual address, no host's own");
    one(&to("'10.0.0.2' = '10.1.0.2', '10.0.0.3' = '10.1.0.2'"), "two hosts cannot both be 10.1.0.2 there");
    let listed = format!("peers = ['10.0.0.3']\n{}", to("'10.0.0.2' = '10.1.0.2'"));
    one(&listed, "10.0.0.2 is none of this router's peers");
    let there = "[router.there]\ninterface = 'eth1'\nvrid = 51\naddresses = ['10.1.0.100']\n";
    let both = format!("{}\n{there}", router(&to("'10.0.0.2' = '10.1.0.2'")));
    assert_eq!(errors(&both), ["VRID 51 of IPv4 on this interface is router web's already"]);
}

#[test]
fn votes_take_a_second_path_to_voters_that_there_are() {
    let claim = |path: &str| {
        let head = "[claim]\nlisten = '10.0.0.1'\nkey = 'hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'";
        let voters = "voters = { b = '10.0.0.2', w = '10.0.0.3' }\nwitness = 'w'";
        format!("{}\n{head}\n{voters}\nsecond_path = {{ {path} }}\n", router(""))
    };
    // Before it the key is refused, which must not stand there.
    let said = |path: &str, wanted: &str| assert_eq!(errors(&claim(path)).last().unwrap(), wanted, "{path}");
    said(
        "listen = '10.0.0.1', voters = { b = '10.1.0.2' }",
        "10.0.0.1 is where this host votes by the first path",
    );
    said("listen = '10.1.0.1', voters = { x = '10.1.0.2' }", "there is no voter \"x\"");
    said("listen = '10.1.0.1', voters = { b = '10.0.0.2' }", "voter b is there by the first path");
    said("listen = '10.1.0.1'", "`second_path` of [claim] has no `voters`");
    said("voters = { b = '10.1.0.2' }", "`second_path` of [claim] has no `listen`");
}

#[test]
fn the_interface_of_a_virtual_mac_address_is_there_and_one_routers() {
    one("virtual_interface = { name = 'web51' }", "without virtual_mac nothing is called web51");
    let alone = "virtual_interface = { mac = '02:00:00:00:00:51' }";
    one(alone, "without virtual_mac nothing has this MAC address");
    let made = |what: &str| format!("virtual_mac = true\nvirtual_interface = {{ {what} }}");
    let many = "\"01:00:5e:00:00:51\" is a multicast address, or none at all";
    one(&made("mac = '01:00:5e:00:00:51'"), many);
    one(&made("mac = '02:00:00:00:51'"), "\"02:00:00:00:51\" is not a MAC address");
    let both = made("name = 'web51'");
    holding("'10.0.0.1', '2001:db8::1'", &both, "web51 is one interface, and each family has its own");
    let there = format!("[router.there]\ninterface = 'eth0'\nvrid = 9\naddresses = ['10.1.0.100']\n{both}\n");
    assert_eq!(errors(&format!("{}\n{there}", router(&both))), ["web51 is router web's already"]);
}

#[test]
fn a_peer_is_an_address_with_ttls_that_something_has() {
    one("peers = ['10.0.0.2', { min_ttl = 9 }]", "a peer of [router.web] has no `address`");
    let crossed = "peers = [{ address = '10.0.0.2', min_ttl = 9, max_ttl = 3 }]";
    one(crossed, "min_ttl is above max_ttl: nothing would be heard");
    one(
        "peers = [{ address = '10.0.0.2', max_ttl = 256 }]",
        "`max_ttl` is 256, wanted a whole number from 0 to 255",
    );
}

#[test]
fn numbers_must_be_in_range() {
    one("priority = 0", "`priority` is 0, wanted a whole number from 1 to 255");
    one("priority = 256", "`priority` is 256, wanted a whole number from 1 to 255");
    one("version = 4", "`version` is 4, wanted a whole number from 2 to 3");
    one("min_ttl = -1", "`min_ttl` is -1, wanted a whole number from 0 to 255");
    one("announce = { count = 101 }", "`count` is 101, wanted a whole number from 1 to 100");
    one(
        "priority = 99999999999999999999",
        "`priority` is 99999999999999999999, wanted a whole number from 1 to 255",
    );
}

#[test]
fn addresses_must_be_holdable_and_unique() {
    holding("", "", "a router needs at least one address");
    holding("'0.0.0.0'", "", "0.0.0.0 means any address, it cannot be held");
    holding("'224.0.0.18'", "", "224.0.0.18 is a multicast address, it cannot be held");
    holding("'::1'", "", "::1 is a loopback address, it cannot be held");
    holding("'10.0.0.1/33'", "", "the prefix length of 10.0.0.1 must be 0 to 32");
    holding("'10.0.0.1', '10.0.0.1'", "", "10.0.0.1 stands here twice");
    holding("'::2'", "version = 2", "version 2 of VRRP has no IPv6");
    holding("{ dev = 'eth1' }", "", "an address of [router.web] has no `address`");
}

#[test]
fn what_is_said_of_an_address_is_what_the_kernel_takes() {
    let six =
        |said: &str, wanted: &str| holding(&format!("{{ address = '2001:db8::9', {said} }}"), "", wanted);
    let four = |said: &str, wanted: &str| holding(&format!("{{ address = '10.0.0.1', {said} }}"), "", wanted);
    six("broadcast = '10.0.0.255'", "only IPv4 addresses have a broadcast address, of IPv4");
    six("peer = '10.0.0.2'", "10.0.0.2 and 2001:db8::9 are of two families");
    six("preferred = '1500ms'", "the kernel counts this in whole seconds");
    six("flags = ['mngtmpaddr']", "the kernel has this of IPv6 addresses with /64 alone");
    four("preferred = '5s'", "the kernel prefers all IPv4 addresses");
    four("flags = ['dad']", "the kernel has this of IPv6 addresses alone");
    let routes = "install = 'local-route'\nlease = 'off'";
    let virtual_mac = "{ address = '10.0.0.1', flags = ['virtual_mac'] }";
    let wanted = "an interface with the virtual MAC address takes thousands of addresses as fast, and answers for no \
                  local route";
    holding(virtual_mac, routes, wanted);
}

#[test]
fn labels_are_short_and_of_ipv4() {
    let long = "{ address = '10.0.0.1', label = 'eth0:0123456789a' }";
    holding(long, "", "label \"eth0:0123456789a\" has 16 bytes, the kernel takes 15");
    holding("{ address = '::2', label = 'eth0:x' }", "", "only IPv4 addresses have labels");
}

#[test]
fn peers_must_be_others_and_of_the_families_held() {
    one("peers = []", "an empty list of peers: nobody would hear this router");
    one("peers = ['10.0.0.2', '::2']", "this router has no IPv6 address, so a peer of IPv6 hears nothing");
    one("peers = ['10.0.0.100']", "10.0.0.100 is a virtual address, no peer's own");
    one("peers = ['10.0.0.2', '10.0.0.2']", "peer 10.0.0.2 stands here twice");
    one("peers = ['10.0.0.2']\nsource = '10.0.0.2'", "10.0.0.2 is the source of this host, no peer");
    let lonely = "this router has IPv6 addresses, but no IPv6 peer would hear of them";
    holding("'10.0.0.1', '::2'", "peers = ['10.0.0.2']", lonely);
}

#[test]
fn sources_are_own_addresses_one_a_family() {
    one("source = '10.0.0.100'", "10.0.0.100 is a virtual address: it comes and goes");
    one("source = ['10.0.0.1', '10.0.0.2']", "a second source of IPv4");
    one("source = '10.0.0.1/24'", "\"10.0.0.1/24\" is not an IP address");
}

#[test]
fn passwords_are_of_version_2() {
    let wanted = "version 3 of VRRP has no passwords (RFC 9568 section 9)";
    one("auth = { pass = 'file:x' }", wanted);
    one("auth = { ah = 'file:x' }", "version 3 of VRRP has no authentication header (RFC 9568 section 9)");
}

#[test]
fn authentication_has_one_scheme_and_numbered_keys() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), [7; 32]).unwrap();
    let path = key.path().display().to_string();
    let one_with_key = |lines: &str, wanted: &str| one(&lines.replace("/k'", &format!("{path}'")), wanted);
    one_with_key("auth = {}", "`auth` of [router.web] names no scheme");
    one_with_key(
        "version = 2\nauth = { pass = 'file:/k', ah = 'file:/k' }",
        "`auth` of [router.web] names several schemes",
    );
    one_with_key("auth.hmac = {}", "`hmac` of `auth` of [router.web] has no `keys`");
    one_with_key("auth.hmac = { keys = { 0 = 'file:x' } }", "\"0\" is not the number of a key");
    one_with_key("auth.hmac = { keys = { 1 = 'file:/k', 01 = 'file:/k' } }", "key 1 stands here twice");
    one_with_key(
        "auth.hmac = { keys = { 1 = 'file:/k', 2 = 'file:/k' } }",
        "of several keys, `active` says which one signs",
    );
    one_with_key("auth.hmac = { keys = { 1 = 'file:/k' }, active = 2 }", "there is no key 2");
    one_with_key(
        "auth.hmac = { keys = { 1 = 'file:/k' }, active = 0 }",
        "`active` is 0, wanted a whole number from 1 to 255",
    );
    one_with_key(
        "auth.hmac = { keys = { 1 = 'file:/k' }, anti_replay = 'tme' }",
        "\"tme\" is not known here, wanted one of \"time\", \"monotonic\"",
    );
    one_with_key(
        "auth.hmac = { keys = { 1 = 'file:/k' }, window = '500ms' }",
        "a window has 1 to 300 whole seconds",
    );
    one_with_key(
        "auth.hmac = { keys = { 1 = 'file:/k' }, window = '301s' }",
        "a window has 1 to 300 whole seconds",
    );
    one_with_key(
        "auth.hmac = { keys = { 1 = 'file:/k' }, window = '5s', anti_replay = 'monotonic' }",
        "without a clock there is no window",
    );
}

#[test]
fn interfaces_have_names_or_subnets() {
    let with = |interface: &str| {
        errors(&format!("[router.web]\ninterface = {interface}\nvrid = 1\naddresses = ['10.0.0.1']\n"))
    };
    assert_eq!(with("{ subnet = '10.0.0.1/24' }"), ["10.0.0.1 is an address inside the subnet 10.0.0.0/24"]);
    assert_eq!(with("'a/b'"), ["\"a/b\" is not an interface name"]);
    assert_eq!(
        with("'sixteen-letters-'"),
        ["\"sixteen-letters-\" is longer than the 15 bytes of an interface name"]
    );
}

#[test]
fn a_group_is_multicast_of_a_family_of_the_router_once_and_not_with_peers() {
    one("multicast_group = '10.0.0.9'", "10.0.0.9 is no multicast address");
    one("multicast_group = 'ff02::81'", "this router has no IPv6 address, and nothing to send there");
    one("multicast_group = ['224.0.0.81', '224.0.0.82']", "a second group of IPv4");
    one("multicast_group = '224.0.0.81'\npeers = ['10.0.0.2']", "adverts to peers go to no group");
}

#[test]
fn two_routers_share_neither_number_nor_address() {
    let second = "[router.two]\ninterface = 'eth0'\nvrid = 51\naddresses = ['10.0.0.100']\n";
    let text = format!("{}{second}", router(""));
    let wanted = [
        "VRID 51 of IPv4 on this interface is router web's already",
        "10.0.0.100 is held by router web already",
    ];
    assert_eq!(errors(&text), wanted);
    let other = second.replace("eth0", "eth1").replace("0.100", "0.101");
    assert!(read(&format!("{}{other}", router(""))).is_ok());
    let apart = format!("{}multicast_group = '224.0.0.81'\n", second.replace("0.100", "0.101"));
    assert!(read(&format!("{}{apart}", router(""))).is_ok(), "no advert is for both");
    let six = second.replace("10.0.0.100", "2001:db8::1");
    assert!(read(&format!("{}{six}", router(""))).is_ok(), "another family is another virtual router");
}

#[test]
fn a_promise_that_the_worst_case_breaks_is_an_error() {
    let wanted = "a failover can take longer, when the host dies: 3.997s (3s until noticed, 997ms election)";
    one("max_failover = '3s'", wanted);
    let check = "[check.app]\ntype = 'ping'\nhost = '10.0.0.1'\ninterval = '10s'\n";
    let text = format!("{}{check}", router("max_failover = '4s'\nchecks = ['app']"));
    let wanted =
        "a failover can take longer, when check app fails: 21.997s (21s until noticed, 997ms election)";
    assert_eq!(errors(&text), [wanted]);
}

#[test]
fn a_key_outside_its_named_section_is_told_once() {
    assert_eq!(errors("[router]\nvrid = 1\ninterface = 'eth0'\n"), ["`vrid` stands in [router] itself"]);
}

#[test]
fn names_are_short_and_plain() {
    let text = router("").replace("[router.web]", "[router.'a b']");
    assert_eq!(errors(&text), ["\"a b\" cannot be a name"]);
}

/// The errors of a tracked check app with `lines`.
fn check(lines: &str) -> Vec<String> {
    errors(&format!("{}[check.app]\n{lines}\n", router("checks = ['app']")))
}

#[test]
fn checks_say_what_is_wrong_with_them() {
    assert_eq!(check("type = 'tcp'\ntarget = '10.0.0.1'"), ["`target` has no port"]);
    assert_eq!(check("type = 'tcp'\ntarget = '10.0.0.1:0'"), ["the port must be 1 to 65535"]);
    assert_eq!(check("type = 'tcp'"), ["[check.app] has no `target`"]);
    assert_eq!(check("target = 'h:1'"), ["[check.app] has no `type`"]);
    assert_eq!(
        check("type = 'http'\nurl = 'http://h/'\nverify = false"),
        ["this is about certificates, and the url is http://"]
    );
    assert_eq!(
        check("type = 'http'\nurl = 'http://u:p@h/'"),
        ["`url` is not a good url: it holds a user name"]
    );
    assert_eq!(
        check("type = 'http'\nurl = 'http://h/'\nstatus = '299-200'"),
        ["\"299-200\" is no range of status codes"]
    );
    assert_eq!(
        check("type = 'process'"),
        ["check app can never pass: a process check needs a name, a pidfile or a command"]
    );
    assert_eq!(
        check("type = 'dns'\nserver = '::1'\nname = 'a'\nrecord = 'B'"),
        ["\"B\" is no type of record"]
    );
    assert_eq!(check("type = 'file'\npath = 'x'"), ["x is not an absolute path"]);
}

#[test]
fn scripts_must_be_safe_to_run() {
    let missing = check("type = 'script'\ncommand = '/no/such/script'");
    assert!(missing[0].contains("does not exist"), "{missing:?}");
    let hook = errors(&router("notify = { any = '/no/such/script' }"));
    assert!(hook[0].contains("does not exist"), "{hook:?}");
    let user = errors(&router("notify = { any = '/bin/true', user = 'no-such-user' }"));
    assert!(user[0].starts_with("there is no user \"no-such-user\""), "{user:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let hook = errors(&router(&format!("notify = {{ any = '{}' }}", file.path().display())));
    assert!(hook[0].contains("cannot be run by") || hook[0].contains("is owned by"), "{hook:?}");
}

#[test]
fn voters_grant_for_the_longest_interval_that_they_are_told_of_whatever_that_of_their_own_routers() {
    let (_key, section) = claim();
    let text = |longest: &str, interval: &str| {
        format!("{section}{longest}\n{}", router(&format!("interval = '{interval}'")))
    };
    assert_eq!(errors(&text("", "2s")), ["the voters grant nothing for an interval of 2s"]);
    assert_eq!(errors(&text("longest_interval = '256s'", "1s")), ["no router has so long an interval"]);
    for (longest, interval, milliseconds) in [("", "100ms", 3000), ("longest_interval = '2s'", "2s", 6000)] {
        let claims = config(&text(longest, interval)).agent.claims;
        let Some(Claims::Vote(vote)) = claims else { panic!("{claims:?}") };
        assert_eq!(vote.longest.millis(), milliseconds, "{longest}");
    }
}
