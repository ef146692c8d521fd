//! Records of DNS that move with a router, or with checks alone: real daemons, and a real BIND that hangs.

use crate::lab::{LONG, Lab, VIP, need, wait_until};
use crate::locum::{Locum, Router, settle};
use crate::process::Process;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{RData, RecordType};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;

/// `hush-hush-hush-hush`
const KEY: &str = "aHVzaC1odXNoLWh1c2gtaHVzaA==";

/// BIND on the client, for the zone `example`, in which `www` does not exist.
struct NameServer<'a> {
    process: Process,
    directory: TempDir,
    lab: &'a Lab,
}

impl<'a> NameServer<'a> {
    fn start(lab: &'a Lab) -> Self {
        need("named", "bind9");
        let directory = TempDir::new().unwrap();
        let path = directory.path().display().to_string();
        let zone = "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 10.77.0.3\n";
        fs::write(directory.path().join("example.zone"), zone).unwrap();
        let config = format!(
            "key \"mover\" {{ algorithm hmac-sha256; secret \"{KEY}\"; }};\n\
             options {{ directory \"{path}\"; listen-on {{ 10.77.0.3; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile none; recursion no; dnssec-validation no; }};\n\
             controls {{ }};\nzone \"example\" {{ type primary; file \"example.zone\";\n\
             update-policy {{ grant mover name www.example A; }}; }};\n"
        );
        let file = directory.path().join("named.conf");
        fs::write(&file, config).unwrap();
        let key = directory.path().join("key");
        fs::write(&key, KEY).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = lab["client"].command("named");
        command.arg("-f").arg("-c").arg(&file);
        let server = NameServer { process: Process::start("client/named", command), directory, lab };
        wait_until("the name server answers", LONG, || {
            server.ask("example.", RecordType::SOA).is_some_and(|found| !found.is_empty())
        });
        server
    }

    /// What one query gives; `None` without an answer.
    fn ask(&self, name: &str, kind: RecordType) -> Option<Vec<RData>> {
        let mut query = Message::query();
        query.add_query(Query::query(name.parse().unwrap(), kind));
        self.lab["client"].within(|| {
            let socket = UdpSocket::bind("10.77.0.3:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            socket.connect("10.77.0.3:53").unwrap();
            let mut buffer = [0; 4096];
            let answer = socket.send(&query.to_vec().unwrap()).and_then(|_| socket.recv(&mut buffer));
            let answer = answer.ok().map(|length| Message::from_vec(&buffer[..length]).unwrap());
            Some(answer?.answers.into_iter().map(|record| record.data).collect())
        })
    }

    /// What a query gives, asked again where nobody answers.
    fn answer(&self, name: &str, kind: RecordType) -> Vec<RData> {
        (0..20).find_map(|_| self.ask(name, kind)).expect("an answer")
    }

    fn www(&self) -> String {
        let found = self.answer("www.example.", RecordType::A);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// How often the zone was changed, and once more.
    fn serial(&self) -> u32 {
        match &self.answer("example.", RecordType::SOA)[..] {
            [RData::SOA(soa)] => soa.serial,
            other => panic!("{other:?}"),
        }
    }

    fn wait_www(&self, address: &str) {
        wait_until(&format!("www is {address}"), LONG, || self.www() == address);
    }

    /// `[dns.www]` with these lines.
    fn section(&self, lines: &str) -> String {
        let key = self.directory.path().join("key");
        format!(
            "[dns.www]\ntype = 'rfc2136'\nname = 'www.example'\nzone = 'example'\nserver = '10.77.0.3'\n\
             key_name = 'mover'\nkey = 'file:{}'\ntimeout = '1s'\n{lines}\n",
            key.display()
        )
    }

    fn follows(&self, priority: u8, address: &str) -> Router {
        // Longer than a busy machine stands still: what is written is counted.
        Router::new(priority)
            .with("interval", "'500ms'")
            .and(&self.section(&format!("router = 'web'\naddress = '{address}'")))
    }
}

/// What the status says of the record.
fn www(locum: &Locum<'_>) -> Value {
    locum.status()["dns"][0].clone()
}

/// The events of this kind in the record of what happened.
fn events(locum: &Locum<'_>, kind: &str) -> Vec<Value> {
    let (_, text) = locum.cli(&["history", "--json"]);
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["event"] == kind).collect()
}

#[test]
fn a_record_follows_the_master_and_a_name_server_that_hangs_holds_up_no_address() {
    let lab = Lab::new(&["a", "b", "client"]);
    let server = NameServer::start(&lab);
    let mut a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let (code, said) = a.reload(&server.follows(150, "192.0.2.1").toml());
    assert_eq!(code, Some(0), "{said}");
    server.wait_www("192.0.2.1");
    let b = lab["b"].locum(&server.follows(100, "192.0.2.2"));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    settle(10);
    assert_eq!((www(&b)["wanted"].clone(), server.serial()), (Value::Null, 2), "a Backup writes nothing");

    server.process.signal(Signal::SIGSTOP);
    a.kill9();
    lab.wait_owner(VIP, &["b"]);
    wait_until("it cannot be written", LONG, || www(&b)["failing"] == true && www(&b)["waiting"] == true);
    let (code, page) = b.cli(&["status"]);
    assert!(code == Some(1) && page.contains("- dns www: no answer within 1s\n"), "{page}");
    let (code, page) = b.cli(&["dns", "status"]);
    assert!(code == Some(1) && page.contains("192.0.2.2 waits to be written"), "{page}");
    server.process.signal(Signal::SIGCONT);
    server.wait_www("192.0.2.2");
    wait_until("b knows", LONG, || www(&b)["holds"] == "192.0.2.2");
    settle(20);
    assert_eq!((server.serial(), b.status()["health"].clone()), (3, json!("healthy")), "exactly one write");
    let written = events(&b, "dns_written");
    assert_eq!((written.len(), &written[0]["was"]), (1, &json!(["192.0.2.1"])), "{written:?}");

    let shown = format!("{} {} {}", b.status(), b.process.log(), b.cli(&["history"]).1);
    assert!(!shown.contains("hush") && !shown.contains(KEY), "{shown}");
    let a = lab["a"].locum(&server.follows(150, "192.0.2.1"));
    lab.wait_owner(VIP, &["a"]);
    server.wait_www("192.0.2.1");
    assert_eq!(a.cli(&["restart"]).0, Some(0));
    wait_until("the next program knows", LONG, || www(&a)["holds"] == "192.0.2.1");
    assert_eq!((server.serial(), www(&a)["written"].clone()), (4, json!(0)), "nothing was to be done");
}

#[test]
fn without_a_virtual_address_checks_alone_say_what_a_record_holds_and_a_person_may_say_otherwise() {
    let lab = Lab::new(&["a", "b", "client"]);
    let server = NameServer::start(&lab);
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name);
    let check = |name| {
        format!(
            "[check.{name}]\ntype = 'file'\npath = '{}'\ninterval = '100ms'\nrise = 1\nfall = 1\n",
            path(name).display()
        )
    };
    let choices = "choices = [{ address = '192.0.2.1', checks = ['first'] }, \
                   { address = '192.0.2.2', checks = ['second'] }]";
    let apart = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
    let journal = format!("[journal]\nhealth = {:?}\ndns = {:?}\n", path("health"), path("dns"));
    let toml = server.section(choices) + &check("first") + &check("second") + &journal;
    let a = lab["a"].locum_toml(&toml);
    assert_eq!(a.cli(&["log", "trace", "1h"]).0, Some(0));
    let (code, said) = a.cli(&["dns", "test"]);
    assert_eq!((code, said.trim()), (Some(0), "dns www: www.example A holds nothing; it could be written"));
    settle(10);
    assert_eq!((server.www(), server.serial()), (String::new(), 1), "neither is well");

    fs::write(path("second"), "").unwrap();
    server.wait_www("192.0.2.2");
    fs::write(path("first"), "").unwrap();
    server.wait_www("192.0.2.1");
    fs::remove_file(path("first")).unwrap();
    server.wait_www("192.0.2.2");
    fs::remove_file(path("second")).unwrap();
    settle(10);
    assert_eq!((server.www(), server.serial()), ("192.0.2.2".to_owned(), 4), "none is better");

    let (code, said) = a.cli(&["dns", "set", "www", "192.0.2.9"]);
    assert!(code == Some(2) && said.contains("add --yes"), "{said}");
    assert_eq!(server.www(), "192.0.2.2");
    let (code, said) = a.cli(&["dns", "set", "--yes", "www", "192.0.2.9"]);
    assert_eq!((code, said.trim()), (Some(0), "dns www: www.example A holds 192.0.2.9, it held 192.0.2.2"));
    assert_eq!(server.www(), "192.0.2.9");
    let (ordered, written) = (events(&a, "dns_ordered"), events(&a, "dns_written"));
    assert_eq!((ordered.len(), &ordered[0]["by"]["uid"]), (1, &json!(0)), "{ordered:?}");
    assert_eq!(written.last().unwrap()["now"], "192.0.2.9");
    // Each kind in its own file, and nothing else there.
    wait_until("the write stands there", LONG, || apart("dns").contains("\"now\":\"192.0.2.9\""));
    let kinds = |name: &str| {
        let event =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
        apart(name).lines().map(event).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        (kinds("health"), kinds("dns")),
        (["check".to_owned()].into(), ["dns_ordered", "dns_written"].map(str::to_owned).into())
    );
    assert!(
        apart("health").contains("\"check\":\"second\"") && apart("dns").contains("\"was\":[\"192.0.2.2\"]")
    );
    let (code, said) = a.cli(&["dns", "set", "--yes", "ww", "192.0.2.9"]);
    assert!(code == Some(1) && said.contains("there is no [dns.ww]"), "{said}");
    wait_until("it is told", LONG, || events(&a, "refused").iter().any(|it| it["order"] == "dns_set"));
    assert!(!a.process.log().contains("signing"), "what libraries handle is theirs: {}", a.process.log());
    fs::write(path("first"), "").unwrap();
    server.wait_www("192.0.2.1");
}

#[test]
fn a_record_follows_the_master_of_a_whole_group() {
    let lab = Lab::new(&["a", "b", "client"]);
    let server = NameServer::start(&lab);
    let pair = |priority: u8, more: &str| {
        Router::new(priority).with("interval", "'500ms'").and(&format!(
            "[router.db]\ninterface = 'eth0'\nvrid = 52\npriority = {priority}\ninterval = '500ms'\n\
             addresses = ['10.77.0.101']\n[group.pair]\nrouters = ['web', 'db']\n{more}"
        ))
    };
    let follows = |address: &str| server.section(&format!("group = 'pair'\naddress = '{address}'"));
    // Of one that is Master already it learns by asking, of the other by what happens.
    let mut a = lab["a"].locum(&pair(150, ""));
    lab.wait_owner("10.77.0.101", &["a"]);
    let (code, said) = a.reload(&pair(150, &follows("192.0.2.1")).toml());
    assert_eq!(code, Some(0), "{said}");
    server.wait_www("192.0.2.1");
    let b = lab["b"].locum(&pair(100, &follows("192.0.2.2")));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    a.kill9();
    lab.wait_owner("10.77.0.101", &["b"]);
    server.wait_www("192.0.2.2");
}
