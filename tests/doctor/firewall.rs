//! Rules as nft and iptables print them, and what they do to adverts and votes.

use crate::{assert_fine, assert_found, config, judged, secret};
use locum::agent::config::Claims;
use locum::config::Config;
use locum::doctor::Severity::{Doubt, Trouble};
use locum::doctor::filter::Filter;
use locum::doctor::{Report, firewall, iptables, nft};
use locum::explain::wires;
use locum::vrrp::Family;
use serde_json::{Value, json};

/// A ruleset of one chain `input` of table `inet fw` with this policy and these rules, and what stands beside.
fn ruleset(policy: &str, rules: &[Value], beside: &[Value]) -> Filter {
    let chain = json!({ "family": "inet", "table": "fw", "name": "input", "handle": 1, "type": "filter",
                        "hook": "input", "prio": 0, "policy": policy });
    let mut items = vec![json!({ "chain": chain })];
    items.extend_from_slice(beside);
    items.extend(rules.iter().zip(2..).map(|(expr, handle)| rule("input", handle, expr)));
    nft(&json!({ "nftables": items }).to_string()).unwrap()
}

fn rule(chain: &str, handle: u32, expr: &Value) -> Value {
    json!({ "rule": { "family": "inet", "table": "fw", "chain": chain, "handle": handle, "expr": expr } })
}

fn is(left: &Value, right: &Value) -> Value {
    json!({ "match": { "op": "==", "left": left, "right": right } })
}

fn meta(key: &str, right: &Value) -> Value {
    is(&json!({ "meta": { "key": key } }), right)
}

fn payload(protocol: &str, field: &str, right: &Value) -> Value {
    is(&json!({ "payload": { "protocol": protocol, "field": field } }), right)
}

fn verdict(name: &str) -> Value {
    json!({ name: null })
}

fn of(config: &Config, filter: &Filter) -> Report {
    judged(|report| firewall::judge(filter, &wires(config), config, report))
}

/// What becomes of adverts by multicast.
fn multicast(policy: &str, rules: &[Value]) -> Report {
    of(&config("", ""), &ruleset(policy, rules, &[]))
}

#[test]
fn a_policy_that_drops_is_trouble_unless_a_rule_accepts_the_protocol_by_whatever_name() {
    let mend = "nft 'insert rule inet fw input iifname \"eth0\" meta l4proto 112 accept'";
    assert_found(
        &multicast("drop", &[]),
        Trouble,
        "firewall",
        &["its policy", "chain input of table inet fw", mend],
    );
    for accepted in [
        meta("l4proto", &json!("vrrp")),
        meta("l4proto", &json!(112)),
        payload("ip", "protocol", &json!({ "set": ["tcp", "vrrp"] })),
        payload("ip", "daddr", &json!({ "prefix": { "addr": "224.0.0.0", "len": 4 } })),
        payload("ip", "daddr", &json!({ "range": ["224.0.0.1", "224.0.0.20"] })),
        meta("iifname", &json!("eth*")),
        meta("pkttype", &json!("multicast")),
        is(&json!({ "ct": { "key": "state" } }), &json!(["established", "new"])),
    ] {
        assert_fine(&multicast("drop", &[json!([accepted, verdict("accept")])]), "firewall");
    }
    for other in [
        meta("l4proto", &json!("tcp")),
        payload("ip6", "nexthdr", &json!("vrrp")),
        payload("ip", "daddr", &json!("224.0.0.1")),
        payload("udp", "dport", &json!(112)),
        meta("iifname", &json!("eth1")),
        is(&json!({ "ct": { "key": "state" } }), &json!({ "set": ["established", "related"] })),
        is(&json!({ "ct": { "key": "status" } }), &json!("dnat")),
    ] {
        assert_found(&multicast("drop", &[json!([other, verdict("accept")])]), Trouble, "firewall", &[]);
    }
}

#[test]
fn the_first_rule_that_decides_counts() {
    let vrrp = |name: &str| json!([meta("l4proto", &json!("vrrp")), { "counter": {} }, verdict(name)]);
    assert_found(
        &multicast("accept", &[vrrp("drop"), vrrp("accept")]),
        Trouble,
        "firewall",
        &["with handle 2"],
    );
    assert_fine(&multicast("accept", &[vrrp("accept"), vrrp("reject")]), "firewall");
    let not_tcp =
        json!({ "match": { "op": "!=", "left": { "meta": { "key": "l4proto" } }, "right": "tcp" } });
    assert_found(
        &multicast("accept", &[json!([not_tcp, { "reject": {} }])]),
        Trouble,
        "firewall",
        &["handle 2"],
    );
}

#[test]
fn chains_are_followed_there_and_back_and_maps_and_sets_are_looked_into() {
    let extra = json!({ "chain": { "family": "inet", "table": "fw", "name": "extra", "handle": 9 } });
    let set = json!({ "set": { "family": "inet", "table": "fw", "name": "ours", "elem": ["eth0", "eth1"] } });
    let accept = rule("extra", 10, &json!([meta("iifname", &json!("@ours")), verdict("accept")]));
    let beside = [extra.clone(), set.clone(), accept];
    for call in [
        json!([{ "jump": { "target": "extra" } }]),
        json!([{ "vmap": { "key": { "meta": { "key": "l4proto" } },
                           "data": { "set": [["tcp", { "drop": null }], ["vrrp", { "goto": { "target": "extra" } }]] } } }]),
    ] {
        assert_fine(&of(&config("", ""), &ruleset("drop", &[call], &beside)), "firewall");
    }
    let back = rule("extra", 10, &json!([verdict("return")]));
    let jump = json!([{ "jump": { "target": "extra" } }]);
    let filter = ruleset("drop", &[jump], &[extra, set, back]);
    assert_found(&of(&config("", ""), &filter), Trouble, "firewall", &["its policy"]);
}

#[test]
fn a_chain_that_calls_itself_ends() {
    let jump = json!([{ "jump": { "target": "input" } }]);
    assert_found(&multicast("drop", &[jump]), Trouble, "firewall", &["its policy"]);
}

#[test]
fn where_only_a_rule_that_is_not_understood_lets_adverts_in_it_is_a_doubt() {
    let limited = json!([meta("l4proto", &json!(112)), { "limit": { "rate": 9 } }, verdict("accept")]);
    assert_found(&multicast("drop", &[limited]), Doubt, "firewall", &["not understood"]);
    let blocked = json!([payload("ip", "saddr", &json!("10.9.9.9")), verdict("drop")]);
    assert_fine(&multicast("accept", &[blocked]), "firewall");
}

#[test]
fn adverts_by_unicast_must_leave_as_well_and_those_to_a_group_go_by_no_filter() {
    let output = json!({ "chain": { "family": "ip", "table": "fw", "name": "out", "type": "filter", "hook": "output",
                                    "policy": "drop" } });
    let filter = nft(&json!({ "nftables": [output] }).to_string()).unwrap();
    assert_fine(&of(&config("", ""), &filter), "firewall");
    let unicast = config("peers = [\"10.0.0.2\"]", "");
    assert_found(&of(&unicast, &filter), Trouble, "firewall", &["out by eth0", "oifname \"eth0\""]);
}

#[test]
fn peers_are_let_in_by_their_address() {
    let unicast = config("peers = [\"10.0.0.2\", \"10.0.0.3\"]", "");
    let from = |addresses: Value| json!([payload("ip", "saddr", &addresses), verdict("accept")]);
    let only = ruleset("drop", &[from(json!("10.0.0.2"))], &[]);
    assert_found(&of(&unicast, &only), Trouble, "firewall", &["in by eth0"]);
    let both = ruleset("drop", &[from(json!({ "set": ["10.0.0.2", "10.0.0.3"] }))], &[]);
    assert_fine(&of(&unicast, &both), "firewall");
}

#[test]
fn votes_need_their_port_by_every_path() {
    let key = secret(&"k".repeat(32));
    let claim = format!(
        "[claim]\nlisten = \"10.0.0.1\"\nkey = \"file:{}\"\nwitness = \"w\"\n\
         voters = {{ b = \"10.0.0.2\", w = \"10.0.0.3\" }}\n\
         second_path = {{ listen = \"10.1.0.1\", voters = {{ b = \"10.1.0.2\" }} }}",
        key.path().display()
    );
    let config = config("", &claim);
    let Some(Claims::Vote(vote)) = &config.agent.claims else { panic!("no vote") };
    let port = vote.own.port;
    let vrrp = json!([meta("l4proto", &json!("vrrp")), verdict("accept")]);
    let report = of(&config, &ruleset("drop", std::slice::from_ref(&vrrp), &[]));
    let mend = format!("udp dport {port} accept");
    let lost: Vec<_> = report.of(Trouble).collect();
    assert!(lost.iter().all(|one| one.mend.contains(&mend)), "{report:#?}");
    let from: Vec<_> = lost.iter().filter_map(|one| one.what.split("votes from ").nth(1)).collect();
    let others = ["10.0.0.2 ", "10.0.0.3 ", "10.1.0.2 "];
    assert!(
        from.len() == 3 && from.iter().zip(others).all(|(is, other)| is.starts_with(other)),
        "{report:#?}"
    );
    let votes = json!([payload("udp", "dport", &json!(port)), verdict("accept")]);
    assert_fine(&of(&config, &ruleset("drop", &[vrrp, votes], &[])), "firewall");
}

#[test]
fn rules_of_iptables_are_read() {
    let saved = |policy: &str, rules: &str| {
        iptables(
            &format!("# by hand\n*filter\n:INPUT {policy} [0:0]\n:extra - [0:0]\n{rules}\nCOMMIT\n"),
            "iptables",
            Family::Ipv4,
        )
    };
    let mend = "iptables -t filter -I INPUT -i eth0 -p 112 -j ACCEPT";
    assert_found(
        &of(&config("", ""), &saved("DROP", "")),
        Trouble,
        "firewall",
        &["iptables chain INPUT", mend],
    );
    for rules in [
        "-A INPUT -p vrrp -j ACCEPT",
        "-A INPUT -p 112 -m comment --comment \"the other one\" -j ACCEPT",
        "-A INPUT -d 224.0.0.0/8 -i eth+ -j ACCEPT",
        "-A INPUT ! -i lo -j extra\n-A extra ! -p tcp -j ACCEPT",
        "-A INPUT -m addrtype --dst-type MULTICAST -j ACCEPT",
    ] {
        assert_fine(&of(&config("", ""), &saved("DROP", rules)), "firewall");
    }
    for rules in [
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -s 10.0.0.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -i lo -j ACCEPT\n-A INPUT -j LOG --log-prefix x\n-A INPUT -g extra\n-A extra -j RETURN",
    ] {
        assert_found(&of(&config("", ""), &saved("DROP", rules)), Trouble, "firewall", &[]);
    }
    let drops = saved("ACCEPT", "-A INPUT -p vrrp -j DROP");
    assert_found(&of(&config("", ""), &drops), Trouble, "firewall", &["-A INPUT -p vrrp -j DROP"]);
    let unknown = saved("DROP", "-A INPUT -p vrrp -m recent --set -j ACCEPT");
    assert_found(&of(&config("", ""), &unknown), Doubt, "firewall", &[]);
}

#[test]
fn a_filter_of_ipv6_does_nothing_to_ipv4() {
    let saved = iptables("*filter\n:INPUT DROP [0:0]\n", "ip6tables", Family::Ipv6);
    assert_fine(&of(&config("", ""), &saved), "firewall");
    let ipv6 = config("addresses = [\"fe80::5\", \"fd00::5\"]", "");
    assert_found(&of(&ipv6, &saved), Trouble, "firewall", &["ip6tables -t filter -I INPUT"]);
}
