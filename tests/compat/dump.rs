//! The dumps: what exporters read of them is there, right, and where they look for it.

use crate::incidents::Host;
use crate::readers;
use jiff::Timestamp;
use locum::agent::{Input, InstanceId};
use locum::daemon::dump::{Cleared, counters, data, json, stats};
use serde_json::{Value, json};
use std::time::Duration;

const TEXT: &str = "[router.web]\ninterface = 'eth0'\nvrid = 7\npriority = 150\n\
    addresses = ['10.0.0.100/24', { address = '10.0.0.101', dev = 'eth1' }]\n\
    checks = [{ check = 'app', weight = -60 }]\nnotify = { any = '/bin/true', master = ['/bin/true', 'up'] }\n\
    [router.db]\ninterface = 'eth0'\nvrid = 8\naddresses = ['10.0.0.200']\n\
    preempt = false\ninterval = '500ms'\n\
    [check.app]\ntype = 'tcp'\ntarget = '127.0.0.1:1'\n";

fn host() -> Host {
    let mut host = Host::of(TEXT);
    host.check(Ok(()));
    host.wait(Duration::from_secs(10));
    host
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

#[test]
fn the_json_dump_is_what_exporters_decode() {
    let mut host = host();
    host.hear("10.0.0.2", 0);
    let status = host.agent.status(host.now);
    let text = json(&status, &host.config, &Cleared::new(), at(1_000_000));
    let entries = readers::json(&text);
    let [web, db] = entries.as_slice() else { panic!("{text}") };
    assert_eq!((web.data.iname.as_str(), web.data.ifp_ifname.as_str()), ("web", "eth0"));
    assert_eq!((web.data.vrid, web.data.state, web.data.wantstate, web.data.garp_delay), (7, 2, 2, 5));
    assert!(web.data.last_transition > 999_989.0 && web.data.last_transition < 1_000_000.0);
    assert_eq!(web.data.vips[0], "10.0.0.100/24 dev eth0 scope global");
    assert_eq!(web.data.vips[1], "10.0.0.101 dev eth1 scope global");
    assert_eq!((web.stats["become_master"], web.stats["pri_zero_rcvd"], web.stats["advert_rcvd"]), (1, 1, 1));
    assert!(web.stats["advert_sent"] > 5 && db.stats["advert_sent"] > web.stats["advert_sent"]);
    assert_eq!(db.data.iname, "db");
}

#[test]
fn every_field_has_the_type_that_keepalived_gives_it() {
    let host = host();
    let status = host.agent.status(host.now);
    let text = json(&status, &host.config, &Cleared::new(), at(1_000_000));
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let (web, db) = (&all[0]["data"], &all[1]["data"]);
    for (key, wanted) in [
        ("dont_track_primary", json!(0)),
        ("skip_check_adv_addr", json!(0)),
        ("strict_mode", json!(0)),
        ("vmac_ifname", json!("")),
        ("master_priority", json!(0)),
        ("garp_refresh", json!(60)),
        ("garp_rep", json!(1)),
        ("lower_prio_no_advert", json!(0)),
        ("higher_prio_send_advert", json!(0)),
        ("base_priority", json!(150)),
        ("effective_priority", json!(150)),
        ("vipset", json!(false)),
        ("promote_secondaries", json!(false)),
        ("adver_int", json!(1)),
        ("master_adver_int", json!(1)),
        ("accept", json!(1)),
        ("nopreempt", json!(false)),
        ("version", json!(3)),
        ("smtp_alert", json!(false)),
        ("notify_deleted", json!(false)),
        ("script", json!("'/bin/true'")),
        ("script_master", json!("'/bin/true' 'up'")),
        ("track_script", Value::Null),
        ("auth_type", json!(0)),
    ] {
        assert_eq!(web[key], wanted, "{key}");
    }
    assert_eq!(
        (&db["nopreempt"], &db["adver_int"], &db["script"]),
        (&json!(true), &json!(0.5), &Value::Null)
    );
}

#[test]
fn the_data_dump_has_every_property_where_each_exporter_looks() {
    let mut host = host();
    host.hear("10.0.0.2", 200);
    host.give(Input::Released { instance: InstanceId(1) });
    host.check(Err("refused".to_owned()));
    host.check(Err("refused".to_owned()));
    let status = host.agent.status(host.now);
    let text = data(&status, &host.config, at(1_000_000));
    let (properties, vips) = &readers::data(&text)["web"];
    assert_eq!(vips.len(), 2);
    assert_eq!(vips[0], "10.0.0.100/24 dev eth0 scope global");
    let strict = readers::data_strictly(&text);
    assert_eq!(strict.iter().map(|router| router["name"].as_str()).collect::<Vec<_>>(), ["web", "db"]);
    for properties in [properties, &strict[0]] {
        for (key, wanted) in [
            ("State", "BACKUP"),
            ("Wantstate", "BACKUP"),
            ("Interface", "eth0"),
            ("Virtual Router ID", "7"),
            ("Gratuitous ARP delay", "5"),
            ("Effective priority", "90"),
            ("Master priority", "200"),
            ("Master router", "10.0.0.2"),
        ] {
            assert_eq!(properties[key], wanted, "{key}");
        }
        let transition = properties["Last transition"].split(' ').next().expect("a number");
        assert!((transition.parse::<f64>().expect("a number") - 1_000_000.0).abs() < 1.0);
    }
    assert_eq!(readers::scripts(&text), [("app".to_owned(), "BAD".to_owned(), "idle".to_owned())]);
}

#[test]
fn every_state_has_keepalived_s_word_and_number() {
    let mut host = Host::of(TEXT);
    let mut seen = Vec::new();
    let mut look = |host: &Host| {
        let status = host.agent.status(host.now);
        let text = json(&status, &host.config, &Cleared::new(), at(1));
        let properties = readers::data(&data(&status, &host.config, at(1)))["db"].0["State"].clone();
        seen.push((readers::json(&text)[1].data.state, properties));
    };
    look(&host);
    host.wait(Duration::from_secs(10));
    look(&host);
    host.give(Input::LinkGone("eth0".to_owned()));
    look(&host);
    host.give(Input::Stop { at_once: true });
    look(&host);
    let wanted = [(1, "BACKUP"), (2, "MASTER"), (3, "FAULT"), (0, "INIT")];
    assert_eq!(seen, wanted.map(|(number, word)| (number, word.to_owned())));
}

#[test]
fn cleared_counters_count_from_zero_and_the_daemons_own_go_on() {
    let mut host = host();
    let before = host.agent.status(host.now);
    let text = stats(&before, &Cleared::new());
    let web = &readers::stats(&text)["web"];
    assert_eq!((web["Became master"], web["Released master"]), (1, 0));
    assert!(web["Advertisements/Sent"] > 0);
    assert_eq!(readers::stats(&text).len(), 2);

    let cleared = counters(&before);
    host.hear("10.0.0.2", 200);
    let after = host.agent.status(host.now);
    let web = &readers::stats(&stats(&after, &cleared))["web"];
    assert_eq!((web["Became master"], web["Released master"], web["Advertisements/Sent"]), (0, 1, 0));
    assert_eq!((web["Advertisements/Received"], web["Priority Zero/Sent"]), (1, 0));
    assert_eq!(after.routers[0].became_master, 1);
}

#[test]
fn what_was_refused_is_counted_under_keepalived_s_names() {
    let host = host();
    let mut status = host.agent.status(host.now);
    let refused = [("ttl", 1), ("wrong-password", 2), ("truncated", 3), ("auth-type", 4), ("unsigned", 5)];
    status.routers[0].instances[0].refused = refused.map(|(name, count)| (name.to_owned(), count)).into();
    let entries = readers::json(&json(&status, &host.config, &Cleared::new(), at(1)));
    let names = ["ip_ttl_err", "auth_failure", "packet_len_err", "authtype_mismatch", "auth_ext_missing"];
    assert_eq!(names.map(|name| entries[0].stats[name]), [1, 2, 3, 4, 5]);
}
