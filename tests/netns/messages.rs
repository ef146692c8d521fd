//! Messages whose receivers all hang: the address moves as fast as without them, and nothing shows a secret.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{Locum, Router, settle};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
/// Not what is promised, which is 50 ms: what a machine that does other things as well must keep.
const GENEROUS: Duration = Duration::from_millis(500);

/// One receiver of each kind, at a server that accepts and says nothing, and one at an address that nobody has.
fn hanging(server: &str) -> String {
    format!(
        "[message.chat]\ntype = 'slack'\nurl = 'https://{server}/hush'\ntimeout = '60s'\n\
         [message.hook]\ntype = 'webhook'\nurl = 'http://{server}/hush'\ntimeout = '60s'\n\
         [message.admins]\ntype = 'mail'\nto = 'root'\nrelay = '{server}'\ntimeout = '60s'\n\
         [message.pager]\ntype = 'sms'\nurl = 'http://{server}/hush?text={{text}}'\ntimeout = '60s'\n\
         [message.nobody]\ntype = 'webhook'\nurl = 'http://10.77.0.250/hush'\ntimeout = '60s'\n"
    )
}

/// How long `b` takes to have the address once `a` hands it over; the median of some rounds.
fn handover(lab: &Lab, a: &Locum<'_>, b: &Locum<'_>) -> Duration {
    let address = VIP.parse().unwrap();
    let round = |_| {
        wait_until("b is Backup", LONG, || b.state() == "BACKUP");
        settle(5);
        let began = Instant::now();
        let there = thread::scope(|scope| {
            let order = scope.spawn(|| a.cli(&["handover"]));
            while !lab["b"].kernel.has(address) {
                assert!(began.elapsed() < LONG, "b has the address");
                thread::sleep(Duration::from_millis(1));
            }
            let there = began.elapsed();
            assert_eq!(order.join().unwrap().0, Some(0));
            there
        });
        a.cli(&["resume"]);
        lab.wait_owner(VIP, &["a"]);
        there
    };
    let mut times: Vec<_> = (0..ROUNDS).map(round).collect();
    times.sort();
    times[ROUNDS / 2]
}

/// How long `b` takes once `a` is killed.
fn crash(lab: &Lab, a: &mut Locum<'_>) -> Duration {
    let began = Instant::now();
    a.kill9();
    wait_until("b has the address", LONG, || lab["b"].kernel.has(VIP.parse().unwrap()));
    began.elapsed()
}

/// A web server on the client that answers so to whatever it is asked, and what it was asked.
fn web(lab: &Lab, port: u16, answer: &'static str) -> Arc<Mutex<Vec<String>>> {
    let listener = lab["client"].within(|| TcpListener::bind(("10.77.0.3", port)).unwrap());
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let sink = Arc::clone(&asked);
    // It ends with the test.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            // All that is sent ends with this.
            while !text.ends_with('}') {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).unwrap();
                assert!(length > 0, "the end of {text}");
                text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            }
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").unwrap();
            sink.lock().unwrap().push(text);
        }
    });
    asked
}

#[test]
fn a_change_of_state_reaches_who_is_to_know_and_the_status_says_who_does_not_take_it() {
    let lab = Lab::new(&["a", "b", "client"]);
    let (good, bad) = (web(&lab, 80, "200 OK"), web(&lab, 81, "401 Unauthorized"));
    let to =
        |name, port| format!("[message.{name}]\ntype = 'webhook'\nurl = 'http://10.77.0.3:{port}/hush'\n");
    let wanted = |both: &str| Router::new(100).and(both);
    let a = lab["a"].locum(&wanted(&(to("good", 80) + "on = 'master'\n" + &to("bad", 81))));
    wait_until("it is told", LONG, || a.status()["messages"][0]["sent"] == 1);
    let asked = good.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(
        asked[0].starts_with("POST /hush HTTP/1.1\r\n") && asked[0].contains(r#""to": "MASTER""#),
        "{asked:?}"
    );

    wait_until("it refuses", LONG, || a.status()["messages"][1]["dropped"] == 2);
    let (code, page) = a.cli(&["status"]);
    assert_eq!(code, Some(1), "{page}");
    assert!(page.contains("- message bad: http://10.77.0.3:81: status 401\n"), "{page}");
    assert_eq!(bad.lock().unwrap().len(), 2, "one attempt each");

    let (code, said) = a.reload(&wanted(&to("other", 80)).toml());
    assert_eq!(code, Some(0), "{said}");
    wait_until("there is another", LONG, || a.status()["messages"][0]["name"] == "other");
    let status = a.status();
    assert_eq!((&status["health"], status["messages"].as_array().unwrap().len()), (&"healthy".into(), 1));
    let _b = lab["b"].locum(&Router::new(200));
    wait_until("it is told", LONG, || a.status()["messages"][0]["sent"] == 1);
    let last = good.lock().unwrap().last().cloned().unwrap();
    assert!(last.contains(r#""from": "MASTER", "to": "BACKUP""#), "{last}");
}

#[test]
fn a_takeover_takes_no_longer_while_every_receiver_hangs() {
    let lab = Lab::new(&["a", "b", "client"]);
    let server = lab["client"].within(|| TcpListener::bind("10.77.0.3:2525").unwrap());
    let server = server.local_addr().unwrap().to_string();
    let times = ["", &hanging(&server)].map(|sections| {
        let mut a = lab["a"].locum(&Router::new(150).and(sections));
        lab.wait_owner(VIP, &["a"]);
        let b = lab["b"].locum(&Router::new(100).and(sections));
        wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
        let planned = handover(&lab, &a, &b);
        wait_until("b is Backup", LONG, || b.state() == "BACKUP");
        let crashed = crash(&lab, &mut a);
        let status = b.status();
        let receivers = status["messages"].as_array().unwrap();
        for receiver in receivers {
            let told = receiver["waiting"].as_u64().unwrap() + receiver["failed"].as_u64().unwrap();
            assert!(receiver["sent"] == 0 && told > 0, "it hangs: {receiver}");
        }
        assert_eq!(receivers.len(), if sections.is_empty() { 0 } else { 5 });
        let shown = format!("{status} {} {}", b.process.log(), b.cli(&["status"]).1);
        assert!(!shown.contains("hush"), "{shown}");
        (planned, crashed)
    });
    let [without, with] = times;
    println!("b has the address, after a handover (median of {ROUNDS}) and after a crash:");
    println!("  without messages {:>6.1?} {:>6.1?}", without.0, without.1);
    println!("  all of them hang {:>6.1?} {:>6.1?}", with.0, with.1);
    assert!(with.0 < without.0 + GENEROUS && with.1 < without.1 + GENEROUS, "{times:?}");
}
