//! Updates (RFC 2136) of a real BIND and a real Knot: signed, with what was read as their prerequisite.

use super::{A, B, HUSH, Kept, record, until};
use data_encoding::BASE64;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{RData, RecordType};
use locum::dns::rfc2136::{Algorithm, Server};
use locum::dns::{Provider, Record};
use locum::vrrp::auth::Secret;
use std::fs;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bind,
    Knot,
}

/// A name server of the zone `example`, in which `www` does not exist. It ends with this.
struct NameServer {
    kind: Kind,
    port: u16,
    directory: TempDir,
    process: Option<Child>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl NameServer {
    async fn start(kind: Kind) -> NameServer {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let zone = "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n\
                    two 5 A 192.0.2.8\ntwo 5 A 192.0.2.9\nalias CNAME ns\n";
        let (path, key) = (directory.path().display().to_string(), BASE64.encode(HUSH.as_bytes()));
        fs::write(directory.path().join("example.zone"), zone).unwrap();
        let config = match kind {
            Kind::Bind => format!(
                "key \"mover\" {{ algorithm hmac-sha256; secret \"{key}\"; }};\n\
                 key \"reader\" {{ algorithm hmac-sha256; secret \"{key}\"; }};\n\
                 options {{ directory \"{path}\"; listen-on port {port} {{ 127.0.0.1; }};\n\
                 listen-on-v6 {{ none; }}; pid-file none; session-keyfile none; recursion no;\n\
                 dnssec-validation no; }};\ncontrols {{ }};\n\
                 zone \"example\" {{ type primary; file \"example.zone\";\n\
                 update-policy {{ grant mover name www.example A; grant mover name two.example A; }}; }};\n"
            ),
            Kind::Knot => format!(
                "server:\n  listen: 127.0.0.1@{port}\n  rundir: {path}\n\
                 database:\n  storage: {path}\nlog:\n  - target: stderr\n    any: error\n\
                 key:\n  - id: mover\n    algorithm: hmac-sha256\n    secret: {key}\n\
                 \x20 - id: reader\n    algorithm: hmac-sha256\n    secret: {key}\n\
                 acl:\n  - id: move\n    key: mover\n    action: update\n\
                 \x20 - id: read\n    key: [mover, reader]\n    action: query\n\
                 zone:\n  - domain: example\n    storage: {path}\n    file: example.zone\n\
                 \x20   acl: [move, read]\n    zonefile-sync: -1\n    journal-content: all\n"
            ),
        };
        fs::write(directory.path().join("server.conf"), config).unwrap();
        let mut server = NameServer { kind, port, directory, process: None };
        server.go_on().await;
        server
    }

    /// Starts it again, with what it had.
    async fn go_on(&mut self) {
        let file = self.directory.path().join("server.conf");
        let mut command = match self.kind {
            Kind::Bind => Command::new("/usr/sbin/named"),
            Kind::Knot => Command::new("/usr/sbin/knotd"),
        };
        match self.kind {
            Kind::Bind => command.arg("-f").arg("-c").arg(file),
            Kind::Knot => command.arg("-c").arg(file),
        };
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.unwrap_or_else(|error| panic!("{:?}: {error}", self.kind)));
        until("the name server answers", || {
            self.ask("example.", RecordType::SOA).is_some_and(|found| !found.is_empty())
        })
        .await;
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// What one query gives; `None` without an answer.
    fn ask(&self, name: &str, kind: RecordType) -> Option<Vec<RData>> {
        let mut query = Message::query();
        query.add_query(Query::query(name.parse().unwrap(), kind));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        let mut buffer = [0; 4096];
        let answer = socket.send(&query.to_vec().unwrap()).and_then(|_| socket.recv(&mut buffer));
        let answer = answer.ok().map(|length| Message::from_vec(&buffer[..length]).unwrap());
        Some(answer?.answers.into_iter().map(|record| record.data).collect())
    }

    /// What a query gives, asked again where nobody answers.
    fn answer(&self, name: &str, kind: RecordType) -> Vec<RData> {
        (0..20).find_map(|_| self.ask(name, kind)).expect("an answer")
    }

    fn dig(&self, name: &str) -> String {
        let mut found: Vec<_> = self.answer(&format!("{name}.example."), RecordType::A);
        found.sort_by_key(ToString::to_string);
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// How often the zone was changed.
    fn serial(&self) -> u32 {
        match &self.answer("example.", RecordType::SOA)[..] {
            [RData::SOA(soa)] => soa.serial,
            other => panic!("{other:?}"),
        }
    }

    fn keeps(&self, name: &str, key: &str, secret: &str) -> Record {
        record(
            &format!("{name}.example"),
            Provider::Rfc2136(Server {
                target: ("127.0.0.1".to_owned(), self.port),
                zone: "example".to_owned(),
                key_name: key.to_owned(),
                algorithm: Algorithm::Sha256,
                key: Secret::new(secret.as_bytes()),
            }),
        )
    }

    fn kept(&self, name: &str) -> Kept {
        Kept::start(self.keeps(name, "mover", HUSH))
    }
}

const BOTH: [Kind; 2] = [Kind::Bind, Kind::Knot];

#[tokio::test]
async fn a_record_is_made_changed_and_left_alone_where_it_is_as_wished() {
    for kind in BOTH {
        let server = NameServer::start(kind).await;
        let (kept, before) = (server.kept("www"), server.serial());
        kept.clerk.wish(Some(A));
        kept.until_it_holds(A).await;
        assert_eq!((server.dig("www"), server.serial()), ("192.0.2.1".to_owned(), before + 1), "{kind:?}");
        kept.clerk.wish(Some(B));
        kept.until_it_holds(B).await;
        assert_eq!((server.dig("www"), server.serial()), ("192.0.2.2".to_owned(), before + 2), "{kind:?}");
        let was: Vec<_> = kept.written().into_iter().map(|written| (written.was, written.now)).collect();
        assert_eq!(was, [(vec![], A), (vec![A], B)]);

        let other = server.kept("www");
        other.clerk.wish(Some(B));
        other.until_it_holds(B).await;
        assert_eq!(
            (other.status().written, server.serial()),
            (0, before + 2),
            "{kind:?}: nothing was to be done"
        );
    }
}

#[tokio::test]
async fn of_several_addresses_one_is_left() {
    for kind in BOTH {
        let server = NameServer::start(kind).await;
        assert_eq!(server.dig("two"), "192.0.2.8 192.0.2.9");
        let kept = server.kept("two");
        kept.clerk.wish(Some(A));
        kept.until_it_holds(A).await;
        assert_eq!(server.dig("two"), "192.0.2.1", "{kind:?}");
    }
}

#[tokio::test]
async fn after_an_outage_of_the_name_server_there_is_exactly_one_write_and_it_is_the_last_wish() {
    for kind in BOTH {
        let mut server = NameServer::start(kind).await;
        let (kept, before) = (server.kept("www"), server.serial());
        server.stop();
        for wish in [Some(A), None, Some(B), Some(A), None, Some(B)] {
            kept.clerk.wish(wish);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        kept.until("it fails", |status| status.failing && status.failed > 0 && status.waiting).await;
        server.go_on().await;
        kept.until_it_holds(B).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((server.dig("www"), server.serial()), ("192.0.2.2".to_owned(), before + 1), "{kind:?}");
        assert_eq!((kept.status().written, kept.status().failing), (1, false));
    }
}

#[tokio::test]
async fn who_has_lost_the_role_during_an_outage_writes_nothing_after_it() {
    for kind in BOTH {
        let mut server = NameServer::start(kind).await;
        let (kept, before) = (server.kept("www"), server.serial());
        server.stop();
        kept.clerk.wish(Some(A));
        kept.until("it fails", |status| status.failing).await;
        kept.clerk.wish(None);
        server.go_on().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!((server.serial(), kept.status().failing), (before, false), "{kind:?}");
    }
}

/// Both read before either writes, most of the time; whoever loses reads again.
#[tokio::test]
async fn two_that_write_at_once_leave_one_address_each_time() {
    for kind in BOTH {
        let server = NameServer::start(kind).await;
        let (one, two) = (server.kept("www"), server.kept("www"));
        for (first, second) in [(A, B), (B, A), (A, B), (B, A), (A, B)] {
            one.clerk.wish(Some(first));
            two.clerk.wish(Some(second));
            one.until_it_holds(first).await;
            two.until_it_holds(second).await;
            let held = server.dig("www");
            assert!(held.parse::<IpAddr>().is_ok(), "{kind:?}: one address and no two: {held}");
        }
    }
}

#[tokio::test]
async fn a_test_proves_key_and_permission_and_changes_nothing() {
    for kind in BOTH {
        let server = NameServer::start(kind).await;
        let before = server.serial();
        let said = server.kept("www").clerk.test().await;
        assert_eq!(said.as_deref(), Ok("dns www: www.example A holds nothing; it could be written"));
        let said = server.kept("two").clerk.test().await.unwrap();
        assert_eq!(said, "dns www: two.example A holds 192.0.2.8, 192.0.2.9; it could be written");
        for (name, key, secret, wanted) in [
            ("www", "reader", HUSH, "the key reader"),
            ("www", "nobody", HUSH, "the key nobody is unknown to it"),
            ("www", "mover", "hushhush", "the key mover is unknown to it"),
            ("alias", "mover", HUSH, "alias.example is an alias"),
        ] {
            let said = Kept::start(server.keeps(name, key, secret)).clerk.test().await.unwrap_err();
            assert!(said.contains(wanted) && !said.contains("hush"), "{kind:?}: {said}");
        }
        assert_eq!((server.serial(), server.dig("www")), (before, String::new()), "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_set_by_hand_stays_until_there_is_another_wish() {
    let server = NameServer::start(Kind::Bind).await;
    let kept = server.kept("www");
    kept.clerk.wish(Some(A));
    kept.until_it_holds(A).await;
    let said = kept.clerk.set(B).await;
    assert_eq!(said.as_deref(), Ok("dns www: www.example A holds 192.0.2.2, it held 192.0.2.1"));
    kept.clerk.wish(Some(A));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(server.dig("www"), "192.0.2.2");
    kept.clerk.wish(None);
    kept.clerk.wish(Some(A));
    kept.until_it_holds(A).await;
    assert_eq!(server.dig("www"), "192.0.2.1", "the role has come back");
    let said = kept.clerk.set("2001:db8::1".parse().unwrap()).await;
    assert_eq!(said.unwrap_err(), "dns www: www.example A cannot hold 2001:db8::1");
}

#[tokio::test]
async fn two_masters_that_do_not_hear_each_other_leave_the_record_to_one_and_say_so() {
    for kind in BOTH {
        let server = NameServer::start(kind).await;
        let looking = || Kept::looking(server.keeps("www", "mover", HUSH), Duration::from_millis(100));
        let (a, b) = (looking(), looking());
        a.clerk.wish(Some(A));
        a.until_it_holds(A).await;
        b.clerk.wish(Some(B));
        until("one leaves it", || a.status().contested || b.status().contested).await;
        let (left, other, held) = if a.status().contested { (&a, &b, B) } else { (&b, &a, A) };
        other.until("it holds", |status| !status.waiting).await;
        let before = server.serial();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = (server.serial(), server.dig("www"));
        assert_eq!(now, (before, held.to_string()), "{kind:?}: nobody writes any more");
        assert!(left.status().failing && !other.status().failing, "{:?}", left.status());
        let said: Vec<_> =
            left.reports.lock().unwrap().iter().filter_map(|it| it.line.clone()?.err()).collect();
        assert!(said.len() == 1 && said[0].contains("another host is Master as well"), "{said:?}");
        // The cut is over: the one hears the other, which gives way.
        other.clerk.wish(None);
        left.clerk.heard();
        left.until("it is written", |status| !status.contested && !status.waiting && !status.failing).await;
        assert_ne!(server.dig("www"), held.to_string(), "{kind:?}");
    }
}
