//! `[dns.NAME]`: what is read, and what is wrong with it. Keys stay where they are.

use super::{config, router, said};
use locum::agent::config::GroupName;
use locum::agent::{RouterName, Subject};
use locum::dns::rfc2136::Algorithm;
use locum::dns::{Choice, Plan, Provider, Record};
use locum::health::CheckName;
use locum::vrrp::Family;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;

/// Two checks, and a place with a key in base 64 and a token.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(TempDir::new().unwrap());
        place.write("key", "aHVzaGh1c2g=");
        place.write("token", "hushhush");
        place
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A file with this `[dns.www]`; KEY and TOKEN stand for references.
    fn text(&self, lines: &str) -> String {
        let at = |name| format!("'file:{}'", self.0.path().join(name).display());
        let lines = lines.replace("KEY", &at("key")).replace("TOKEN", &at("token"));
        format!(
            "{}[check.app]\ntype = 'link'\ninterface = 'eth0'\n[check.db]\ntype = 'link'\ninterface = 'eth1'\n\
             [dns.www]\n{lines}\n",
            router("checks = ['app', 'db']")
        )
    }

    fn record(&self, lines: &str) -> Record {
        config(&self.text(lines)).details.records.remove(0)
    }

    fn said(&self, lines: &str) -> String {
        said(&self.text(lines))
    }
}

const SERVER: &str = "type = 'rfc2136'\nname = 'WWW.Example.org.'\nzone = 'example.org'\nserver = '10.0.0.53'\n\
                      key_name = 'locum'\nkey = KEY\n";
const MASTER: &str = "router = 'web'\naddress = '192.0.2.1'\n";

#[test]
fn a_record_follows_the_master_of_a_router() {
    let record = Place::new().record(&format!("{SERVER}{MASTER}"));
    let choices = vec![Choice { address: [192, 0, 2, 1].into(), checks: Vec::new() }];
    assert_eq!(record.plan, Plan { role: Some(Subject::Router(RouterName("web".into()))), choices });
    assert_eq!((record.to_string(), record.ttl), ("www.example.org A".to_owned(), 5));
    assert_eq!((record.family, record.timeout), (Family::Ipv4, Duration::from_secs(5)));
    let Provider::Rfc2136(server) = record.provider else { panic!("{record:?}") };
    assert_eq!((server.target, server.algorithm), (("10.0.0.53".to_owned(), 53), Algorithm::Sha256));
    assert_eq!(server.key.expose(), b"hushhush");
}

#[test]
fn a_record_follows_the_master_of_a_whole_group() {
    let place = Place::new();
    let lines = |who: &str| format!("{SERVER}{who}address = '192.0.2.1'\n[group.pair]\nrouters = ['web']\n");
    let record = place.record(&lines("group = 'pair'\n"));
    assert_eq!(record.plan.role, Some(Subject::Group(GroupName("pair".into()))));
    let wrong = place.said(&lines("group = 'pairs'\n"));
    assert!(
        wrong.contains("there is no group \"pairs\"") && wrong.contains("did you mean \"pair\"?"),
        "{wrong}"
    );
    let both = place.said(&lines("group = 'pair'\nrouter = 'web'\n"));
    assert!(both.contains("there is `router`, and `group` as well"), "{both}");
}

#[test]
fn a_record_may_follow_checks_alone() {
    let record = Place::new().record(&format!(
        "{SERVER}choices = [{{ address = '2001:db8::1', checks = 'app' }}, {{ address = '2001:db8::2' }}]\n"
    ));
    let choice = |last: u16, checks| Choice { address: [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into(), checks };
    let choices = vec![choice(1, vec![CheckName("app".into())]), choice(2, vec![])];
    assert_eq!((record.plan, record.family), (Plan { role: None, choices }, Family::Ipv6));
}

#[test]
fn each_provider_has_its_place_and_its_shortest_ttl() {
    let place = Place::new();
    for (lines, host, path, ttl) in [
        ("type = 'cloudflare'\nzone = 'abc1'\ntoken = TOKEN\n", "api.cloudflare.com", "/client/v4", 60),
        (
            "type = 'route53'\nzone = 'Z1'\naccess_key = 'AK'\nsecret_key = TOKEN\n",
            "route53.amazonaws.com",
            "",
            5,
        ),
        ("type = 'digitalocean'\nzone = 'example.org'\ntoken = TOKEN\n", "api.digitalocean.com", "", 30),
    ] {
        let record = place.record(&format!("{lines}name = 'www.example.org'\n{MASTER}"));
        let api = match &record.provider {
            Provider::Cloudflare(account) => &account.api,
            Provider::Route53(account) => &account.api,
            Provider::DigitalOcean(account) => &account.api,
            other @ Provider::Rfc2136(_) => panic!("{other:?}"),
        };
        assert_eq!((api.target.0.as_str(), api.path.as_str(), record.ttl), (host, path, ttl));
        assert!(api.tls.is_some() && !format!("{record:?}").contains("hush"), "{record:?}");
    }
    let other = place.record(&format!(
        "type = 'digitalocean'\nname = 'www.example.org'\nzone = 'example.org'\ntoken = TOKEN\n\
         url = 'http://127.0.0.1:8080/api/'\n{MASTER}"
    ));
    let Provider::DigitalOcean(account) = other.provider else { panic!("{other:?}") };
    assert_eq!((account.api.target.1, account.api.tls, account.api.path), (8080, None, "/api".to_owned()));
}

#[test]
fn what_cannot_be_is_said_with_its_mend() {
    let place = Place::new();
    for (lines, wanted) in [
        (format!("{SERVER}address = '192.0.2.1'\n"), "nothing says when this host writes its address"),
        (format!("{SERVER}router = 'web'\n"), "add: address = \"192.0.2.1\", this host's own"),
        (format!("{SERVER}router = 'wbe'\naddress = '192.0.2.1'\n"), "did you mean \"web\"?"),
        (
            format!("{SERVER}choices = [{{ address = '192.0.2.1', checks = ['ap'] }}]\n"),
            "there is no check \"ap\"",
        ),
        (
            format!("{SERVER}choices = [{{ address = '192.0.2.1' }}, {{ address = '2001:db8::1' }}]\n"),
            "write a [dns.NAME] for each family",
        ),
        (format!("{SERVER}{MASTER}ttl = '1500ms'\n"), "`ttl` is no number of whole seconds"),
        (format!("{SERVER}{MASTER}ttl = '1h'\n"), "for 3600 s after a move clients may go where"),
        (format!("{SERVER}{MASTER}tlt = '5s'\n"), "did you mean `ttl`?"),
        (format!("{SERVER}{MASTER}choices = []\n"), "there is `address`, and `choices` as well"),
        (
            format!("{}{MASTER}", SERVER.replace("'example.org'", "'example.net'")),
            "is not in the zone example.net",
        ),
        (
            format!("{}{MASTER}", SERVER.replace("KEY", "'aHVzaGh1c2g='")),
            "does not stand in the configuration",
        ),
        (format!("{}{MASTER}", SERVER.replace("KEY", "TOKEN1")), "TOKEN1"),
        (
            format!("type = 'cloudflare'\nname = 'www.example.org'\nzone = 'a/b'\ntoken = TOKEN\n{MASTER}"),
            "something else than letters and digits",
        ),
        (
            format!("type = 'cloudflare'\nname = 'w.org'\nzone = 'a'\ntoken = TOKEN\nttl = '5s'\n{MASTER}"),
            "write \"60s\" or more",
        ),
        (
            format!(
                "type = 'cloudflare'\nname = 'w.org'\nzone = 'a'\ntoken = TOKEN\nurl = 'http://h'\n{MASTER}"
            ),
            "go over the network in the clear",
        ),
    ] {
        let lines = if wanted == "TOKEN1" { lines.replace("TOKEN1", "TOKEN") } else { lines };
        let wanted = if wanted == "TOKEN1" { "the key of [dns] is no base 64" } else { wanted };
        if wanted.contains("base 64") {
            place.write("token", "no base 64!");
        }
        let said = place.said(&lines);
        assert!(said.contains(wanted) && !said.contains("hush"), "{wanted}:\n{said}");
        place.write("token", "hushhush");
    }
    let twice = format!("{SERVER}{MASTER}[dns.again]\n{SERVER}{MASTER}");
    assert!(place.said(&twice).contains("www.example.org A is written by [dns.www] as well"));
}
