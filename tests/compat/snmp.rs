//! SNMP by a master agent that does as the test wants: sessions, rows, traps, and what goes wrong.

use crate::{AMPLE, until};
use locum::agent::status::Status;
use locum::agent::{Agent, Input, Link, LinkAddress, Response, RouterName, Standing, Subject, Transition};
use locum::config::{self, Config, Secrets};
use locum::daemon::mib::facts;
use locum::snmp::oid::{Binding, Oid, Value};
use locum::snmp::pdu::{Body, HEADER, Order, Pdu, Range};
use locum::snmp::session::Report;
use locum::snmp::{Facts, Master, Settings, Subagent};
use locum::time::Time;
use locum::vrrp::why::Why;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Two families, a group, every kind of check; on the one interface that is everywhere.
const TEXT: &str = "[router.web]\ninterface = 'lo'\nvrid = 7\npriority = 150\n\
    addresses = ['10.0.0.100/24', 'fd00::100', { address = '10.0.0.9', advertise = false }]\n\
    checks = [{ check = 'app', weight = 5 }, { check = 'run', weight = 1 }, { check = 'there', weight = 1 },\n\
    { check = 'cable', weight = 2 }]\nnotify = { any = ['/bin/true', 'x'] }\n\
    [router.old]\ninterface = 'lo'\nvrid = 8\nversion = 2\naddresses = ['10.0.0.200', '10.0.0.201']\n\
    preempt = false\ninterval = '2s'\n\
    [group.both]\nrouters = ['web', 'old']\n\
    [check.app]\ntype = 'tcp'\ntarget = '127.0.0.1:1'\n[check.run]\ntype = 'process'\nname = 'x'\n\
    [check.there]\ntype = 'file'\npath = '/x'\n[check.cable]\ntype = 'link'\ninterface = 'lo'\n";

fn loaded() -> (Config, Status) {
    let config = config::parse(TEXT, Path::new("test.toml"), Secrets::MustRead).expect("it is good").config;
    let (mut agent, _) = Agent::new(&config.agent, Time::ZERO);
    let address = |address: &str| LinkAddress {
        address: address.parse().expect("an address"),
        prefix: 24,
        tentative: false,
        secondary: false,
    };
    let addresses = vec![address("10.0.0.1"), address("fe80::1")];
    let link = Link { name: "lo".to_owned(), index: 1, up: true, mac: None, mtu: 1500, addresses };
    for input in [Input::Link(link), Input::LinksReady] {
        drop(agent.handle(Time::ZERO, input));
    }
    let status = agent.status(Time::ZERO + Duration::from_millis(500));
    (config, status)
}

/// A sub-agent under test, and what it said and asked.
struct Setup {
    subagent: Subagent,
    reports: Arc<Mutex<Vec<Report>>>,
    asked: Arc<AtomicUsize>,
    adopted: Arc<Mutex<Vec<locum::agent::config::Config>>>,
    status: Arc<Mutex<Status>>,
    listener: UnixListener,
    path: std::path::PathBuf,
    _dir: TempDir,
}

impl Setup {
    fn new() -> Setup {
        Setup::with(true)
    }

    fn with(traps: bool) -> Setup {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("master");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (config, status) = loaded();
        let facts = Facts { node: "here".to_owned(), ..facts(&config) };
        let master = Master::Unix(path.clone());
        let settings = Settings { master, keepalived: true, rfc2787: true, rfc6527: true, traps };
        let (reports, asked) = (Arc::<Mutex<Vec<Report>>>::default(), Arc::<AtomicUsize>::default());
        let status = Arc::new(Mutex::new(status));
        let (now, count, heard) = (status.clone(), asked.clone(), reports.clone());
        let ask = move |answer: tokio::sync::oneshot::Sender<Response>| {
            count.fetch_add(1, Ordering::Relaxed);
            let _ = answer.send(Response::Status(Box::new(now.lock().unwrap().clone())));
        };
        let report = move |report| heard.lock().unwrap().push(report);
        let adopted = Arc::<Mutex<Vec<_>>>::default();
        let to = adopted.clone();
        let adopt = move |config| to.lock().unwrap().push(config);
        let subagent = Subagent::start(settings, facts, ask, adopt, report);
        Setup { subagent, reports, asked, adopted, status, listener, path, _dir: dir }
    }

    fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap().clone()
    }

    /// Takes a connection and opens the session; each subtree is answered with this error.
    async fn accept(&self, error: impl Fn(&Oid) -> u16) -> Connection {
        let (stream, _) =
            timeout(AMPLE, self.listener.accept()).await.expect("it comes").expect("a connection");
        let mut connection = Connection { stream, packet: 100 };
        let open = connection.read().await;
        assert!(matches!(&open.body, Body::Open { description, .. } if description == b"locum"), "{open:?}");
        connection.respond(&Pdu { session: 42, ..open }, 0).await;
        for _ in 0..4 {
            let register = connection.read().await;
            let Body::Register { subtree, priority: 127, .. } = &register.body else {
                panic!("{register:?}")
            };
            assert_eq!(register.session, 42);
            let error = error(subtree);
            connection.respond(&register, error).await;
        }
        connection
    }
}

/// The master agent's end.
struct Connection {
    stream: UnixStream,
    packet: u32,
}

impl Connection {
    async fn read(&mut self) -> Pdu {
        let read = async {
            let mut message = vec![0; HEADER];
            self.stream.read_exact(&mut message).await.expect("a header");
            let length = Pdu::length(message.first_chunk().expect("a header")).expect("a length");
            message.resize(length, 0);
            self.stream.read_exact(&mut message[HEADER..]).await.expect("the rest");
            Pdu::decode(&message).expect("a message")
        };
        timeout(AMPLE, read).await.expect("a message in time")
    }

    async fn write(&mut self, pdu: &Pdu) {
        self.stream.write_all(&pdu.encode()).await.expect("it reads");
    }

    async fn respond(&mut self, to: &Pdu, error: u16) {
        let body = Body::Response { uptime: 4200, error, index: 0, bindings: Vec::new() };
        self.write(&Pdu { body, ..to.clone() }).await;
    }

    async fn ask(&mut self, order: Order, body: Body) -> (u16, Vec<Binding>) {
        self.packet += 1;
        let (session, transaction, packet) = (42, 5, self.packet);
        self.write(&Pdu { order, session, transaction, packet, context: None, body }).await;
        let answer = self.read().await;
        assert_eq!((answer.packet, answer.transaction, answer.session, answer.order), (packet, 5, 42, order));
        let Body::Response { error, bindings, .. } = answer.body else { panic!("{answer:?}") };
        (error, bindings)
    }

    /// The error of a part of a set.
    async fn set(&mut self, body: Body) -> u16 {
        self.ask(Order::Little, body).await.0
    }

    async fn next(&mut self, from: &Oid) -> Binding {
        let range = Range { from: from.clone(), include: false, to: Oid::default() };
        self.ask(Order::Little, Body::GetNext(vec![range])).await.1.remove(0)
    }

    /// Everything from the begin to the end.
    async fn walk(&mut self) -> Vec<Binding> {
        let (mut all, mut at) = (Vec::new(), Oid::default());
        for _ in 0..10_000 {
            let found = self.next(&at).await;
            if found.value == Value::EndOfView {
                return all;
            }
            at = found.name.clone();
            all.push(found);
        }
        panic!("a walk without an end");
    }

    /// The next trap, answered.
    async fn trap(&mut self) -> Vec<String> {
        let notify = self.read().await;
        self.respond(&notify, 0).await;
        let Body::Notify(bindings) = notify.body else { panic!("{notify:?}") };
        bindings.into_iter().map(|binding| format!("{} {:?}", binding.name, binding.value)).collect()
    }
}

fn served(_: &Oid) -> u16 {
    0
}

fn transition(name: &str, to: Standing, why: Why) -> Transition {
    Transition {
        subject: Subject::Router(RouterName(name.into())),
        from: Standing::Backup,
        to,
        why,
        priority: 100,
        addresses: Vec::new(),
        peer: None,
        term: None,
    }
}

#[tokio::test]
async fn a_walk_meets_every_row_once_in_order_and_asks_the_daemon_only_now_and_then() {
    let setup = Setup::with(false);
    let mut master = setup.accept(served).await;
    let began = std::time::Instant::now();
    let all = master.walk().await;
    let most = 1 + usize::try_from(began.elapsed().as_secs()).expect("short");
    assert!(all.len() > 200, "{} rows", all.len());
    assert!(all.is_sorted_by(|one, other| one.name < other.name));
    assert!(setup.asked.load(Ordering::Relaxed) <= most, "{} of {most}", setup.asked.load(Ordering::Relaxed));
    let at: BTreeMap<String, Value> = all.into_iter().map(|row| (row.name.to_string(), row.value)).collect();
    let keepalived = "1.3.6.1.4.1.9586.100.5";
    let number = |name: &str| match &at.get(&format!("{keepalived}.{name}")) {
        Some(Value::Integer(number)) => i64::from(*number),
        Some(Value::Gauge(number)) => i64::from(*number),
        other => panic!("{name}: {other:?}"),
    };
    let text = |name: &str| match &at.get(&format!("{keepalived}.{name}")) {
        Some(Value::Octets(text)) => String::from_utf8(text.clone()).expect("a text"),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(
        (text("1.2.0"), text("2.3.1.2.1"), text("2.3.1.26.1")),
        ("here".into(), "web".into(), "'/bin/true' 'x'".into())
    );
    assert!(text("1.1.0").starts_with("Locum "));
    // Version 3 counts in hundredths, version 2 in seconds.
    assert_eq!((number("2.3.1.12.1"), number("2.3.1.12.2")), (100, 2));
    assert_eq!((number("2.3.1.13.1"), number("2.3.1.13.2"), number("2.3.1.30.2")), (1, 2, 2));
    assert_eq!(
        (text("2.1.1.2.1"), text("2.2.1.2.1.1"), text("2.2.1.2.1.2")),
        ("both".into(), "web".into(), "old".into())
    );
    // Two advertised addresses and one that is only held.
    assert_eq!((number("2.6.1.11.1.1"), number("2.6.1.11.1.2"), number("2.6.1.11.1.3")), (1, 1, 2));
    assert_eq!(
        (text("2.9.1.2.1"), text("2.13.1.2.1"), text("2.21.1.2.1")),
        ("app".into(), "there".into(), "run".into())
    );
    assert_eq!(
        (text("2.5.1.2.1.1"), number("2.5.1.3.1.1"), text("2.4.1.1.1.1")),
        ("app".into(), 5, "lo".into())
    );
    // The RFCs: version 2 in the one, and a row for each family in the other.
    let has = |name: &str| at.contains_key(name);
    assert!(has("1.3.6.1.2.1.68.1.3.1.3.1.8") && !has("1.3.6.1.2.1.68.1.3.1.3.1.7"));
    for row in ["1.7.1", "1.7.2", "1.8.1"] {
        assert!(has(&format!("1.3.6.1.2.1.207.1.1.1.1.6.{row}")), "{row}");
        assert!(has(&format!("1.3.6.1.2.1.207.1.2.5.1.13.{row}")), "{row}");
    }
    let mac = Value::Octets(vec![0, 0, 0x5e, 0, 2, 7]);
    assert_eq!(at["1.3.6.1.2.1.207.1.1.1.1.5.1.7.2"], mac);
    assert!(has("1.3.6.1.2.1.68.1.4.1.2.1.8.10.0.0.201"));
    assert!(!has("1.3.6.1.2.1.207.1.1.2.1.2.1.7.1.10.0.0.9"));
}

#[tokio::test]
async fn questions_are_answered_in_their_byte_order() {
    let setup = Setup::new();
    let mut master = setup.accept(served).await;
    let priority = Oid::from(&[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 3, 1, 7, 1][..]);
    let range = Range { from: priority.clone(), include: true, to: Oid::default() };
    for order in [Order::Network, Order::Little] {
        let (error, found) = master.ask(order, Body::Get(vec![range.clone()])).await;
        assert_eq!((error, &found[0].value), (0, &Value::Integer(150)));
    }
}

/// RFC 2741 section 7.2.4: all or nothing, and nothing that was not tested.
#[tokio::test]
async fn what_is_set_was_tested_is_adopted_and_can_be_taken_back() {
    let setup = Setup::new();
    let mut master = setup.accept(served).await;
    let name = |column| Oid::from(&[1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 3, 1, column, 1][..]);
    let wanted = |column, value| Binding { name: name(column), value: Value::Integer(value) };
    let adopted = || -> Vec<(u8, bool)> {
        let configs = setup.adopted.lock().unwrap();
        configs.iter().map(|config| (config.routers[0].priority.get(), config.routers[0].preempt)).collect()
    };
    assert_eq!(master.set(Body::TestSet(vec![wanted(7, 200), wanted(13, 9)])).await, 10);
    assert_eq!(master.set(Body::CommitSet).await, 14);
    assert_eq!(master.set(Body::UndoSet).await, 15);
    assert_eq!(adopted(), []);
    assert_eq!(master.set(Body::TestSet(vec![wanted(7, 200), wanted(13, 2)])).await, 0);
    assert_eq!(adopted(), [], "a test changes nothing");
    assert_eq!(master.set(Body::CommitSet).await, 0);
    assert_eq!(master.set(Body::UndoSet).await, 0);
    assert_eq!(adopted(), [(200, false), (150, true)]);
    assert_eq!(master.set(Body::UndoSet).await, 0, "and back");
    master
        .write(&Pdu {
            order: Order::Little,
            session: 42,
            transaction: 5,
            packet: 1,
            context: None,
            body: Body::CleanupSet,
        })
        .await;
    assert_eq!(master.set(Body::CommitSet).await, 14, "nothing is kept");
}

#[tokio::test]
async fn a_subtree_of_somebody_else_is_told_of_and_the_others_are_served() {
    let setup = Setup::new();
    let global = |subtree: &Oid| if subtree.to_string().ends_with("100.5.1") { 263 } else { 0 };
    let mut master = setup.accept(global).await;
    master.next(&Oid::default()).await;
    let reports = setup.reports();
    let [Report::Served(_), Report::Trouble(line)] = reports.as_slice() else { panic!("{reports:?}") };
    assert!(line.contains("1.3.6.1.4.1.9586.100.5.1 is served by another program already"), "{line}");
}

#[tokio::test]
async fn a_master_agent_that_goes_is_told_of_once_and_found_again() {
    let setup = Setup::new();
    drop(setup.accept(served).await);
    // Refused in every part: as good as none.
    drop(setup.accept(|_| 263).await);
    // Something else altogether.
    let (mut stream, _) = setup.listener.accept().await.expect("it comes again");
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("it reads");
    drop(stream);
    let mut master = setup.accept(served).await;
    master.next(&Oid::default()).await;
    let reports = setup.reports();
    let [Report::Served(first), Report::Trouble(lost), Report::Served(again)] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    let at = setup.path.display();
    assert_eq!(first, &format!("SNMP: the master agent at unix:{at} asks here now"));
    assert!(
        lost.contains("lost the master agent") && lost.contains("it has closed the connection"),
        "{lost}"
    );
    assert!(again.ends_with("asks here again"), "{again}");
}

#[tokio::test]
async fn traps_of_a_new_master_come_in_order_and_the_last_before_the_farewell() {
    let setup = Setup::new();
    let mut master = setup.accept(served).await;
    setup.subagent.tell(&transition("old", Standing::Master, Why::Silence));
    let first = master.trap().await;
    assert_eq!(first[0], "1.3.6.1.6.3.1.1.4.1.0 Oid(Oid([1, 3, 6, 1, 4, 1, 9586, 100, 5, 2, 10, 0, 2]))");
    assert_eq!(first[2], "1.3.6.1.4.1.9586.100.5.2.3.1.4 Integer(2)");
    assert_eq!(first[4], "1.3.6.1.4.1.9586.100.5.1.2.0 Octets([104, 101, 114, 101])");
    let second = master.trap().await;
    assert_eq!(second[1], "1.3.6.1.2.1.68.1.3.1.7.1.8 Ipv4([10, 0, 0, 1])");
    let third = master.trap().await;
    assert_eq!(
        third[1..],
        [
            "1.3.6.1.2.1.207.1.1.1.1.3.1.8.1 Octets([10, 0, 0, 1])",
            "1.3.6.1.2.1.207.1.2.5.1.2.1.8.1 Integer(3)"
        ]
    );
    setup.subagent.tell(&transition("old", Standing::Stop, Why::Stopped));
    let ended = tokio::spawn(setup.subagent.finish(AMPLE));
    let Body::Notify(last) = master.read().await.body else { panic!("no trap") };
    assert_eq!(last[2].value, Value::Integer(5));
    assert_eq!(master.read().await.body, Body::Close { reason: 5 });
    ended.await.expect("it ends");
}

#[tokio::test]
async fn what_happened_while_there_was_no_master_agent_is_told_when_it_is_back() {
    let setup = Setup::new();
    setup.subagent.tell(&transition("web", Standing::Fault, Why::Started));
    let mut master = setup.accept(served).await;
    assert_eq!(master.trap().await[2], "1.3.6.1.4.1.9586.100.5.2.3.1.4 Integer(3)");
}

#[tokio::test]
async fn packets_that_are_refused_have_their_traps_once() {
    let setup = Setup::new();
    let mut master = setup.accept(served).await;
    until("it has looked", || setup.asked.load(Ordering::Relaxed) > 0).await;
    {
        let mut status = setup.status.lock().unwrap();
        let instance = &mut status.routers[1].instances[0];
        instance.refused = [("ttl".to_owned(), 3), ("wrong-password".to_owned(), 2)].into();
        let peer = r#"{"address":"10.0.0.7","heard_ms":null,"priority":null,"interval_ms":null,"adverts":0,
            "refused":{"wrong-password":2},"last_refused":null,"last_refused_ms":null,"remarks":[]}"#;
        instance.peers.push(serde_json::from_str(peer).expect("a peer"));
    }
    assert_eq!(
        master.trap().await[1..],
        ["1.3.6.1.2.1.68.1.5.0 Ipv4([10, 0, 0, 7])", "1.3.6.1.2.1.68.1.6.0 Integer(3)"]
    );
    assert_eq!(master.trap().await[1..], ["1.3.6.1.2.1.207.1.2.5.1.6.1.8.1 Integer(1)"]);
    let looked = setup.asked.load(Ordering::Relaxed);
    until("it has looked again", || setup.asked.load(Ordering::Relaxed) > looked).await;
    let last = Oid::from(&[1, 3, 6, 1, 2, 1, 207, 1, 2, 5, 1, 6, 1, 8, 0][..]);
    // An answer, and no trap before it.
    assert_eq!(master.next(&last).await.value, Value::Integer(1));
}

#[tokio::test]
async fn a_master_agent_that_hangs_is_left_for_a_new_connection() {
    let setup = Setup::new();
    let mut master = setup.accept(served).await;
    let ping = master.read().await;
    assert_eq!(ping.body, Body::Ping);
    // Answered once, and then no more.
    master.respond(&ping, 0).await;
    assert_eq!(master.read().await.body, Body::Ping);
    let mut again = setup.accept(served).await;
    again.next(&Oid::default()).await;
    let reports = setup.reports();
    let [_, Report::Trouble(lost), Report::Served(_)] = reports.as_slice() else { panic!("{reports:?}") };
    assert!(lost.contains("it does not answer"), "{lost}");
}
