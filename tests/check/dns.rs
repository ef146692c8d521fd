//! Checks of kind `dns`, against a real BIND and against name servers that misbehave.

use super::{BRIEF, Server, closed, failure, needs, silent, verdict, verdict_within};
use locum::check::{Pattern, Probe, Target, dns};
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tokio::net::UdpSocket;

fn ask(server: &Target, name: &str, record: &str) -> dns::Config {
    let (name, record) = (name.parse().unwrap(), record.parse().unwrap());
    dns::Config { server: server.clone(), name, record, expect: None }
}

fn expect(server: &Target, name: &str, record: &str, pattern: &str) -> Probe {
    Probe::Dns(dns::Config { expect: Some(Pattern::new(pattern).unwrap()), ..ask(server, name, record) })
}

/// BIND with one zone, "example"; `many.example` does not fit into a datagram.
async fn named() -> (Server, Target, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let target = closed().await;
    let mut zone = String::from(
        "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\n@ MX 10 mail\nns A 127.0.0.1\n\
         www A 192.0.2.80\nwww A 192.0.2.81\nwww AAAA 2001:db8::80\nalias CNAME www\nnote TXT \"two words\"\n",
    );
    for last in 1..=100 {
        let _ = writeln!(zone, "many A 198.51.100.{last}");
    }
    std::fs::write(directory.path().join("example.zone"), zone).unwrap();
    let config = format!(
        "options {{ directory \"{}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile none; recursion no; dnssec-validation no; }};\n\
         controls {{ }};\nzone \"example\" {{ type primary; file \"example.zone\"; }};\n",
        directory.path().display(),
        target.port
    );
    let file = directory.path().join("named.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("/usr/sbin/named");
    command.arg("-f").arg("-c").arg(&file).stderr(Stdio::null());
    let server = Server(command.spawn().unwrap());
    for _ in 0..600 {
        if verdict_within(BRIEF, Probe::Dns(ask(&target, "example", "SOA"))).await.is_ok() {
            return (server, target, directory);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("named does not answer on {target}");
}

#[tokio::test]
async fn a_real_server_passes_by_its_answers() {
    needs!("/usr/sbin/named", "-V");
    let (_server, target, _directory) = named().await;
    assert_eq!(verdict(Probe::Dns(ask(&target, "www.example", "A"))).await, Ok(()));
    for (name, record, pattern) in [
        ("www.example", "A", r"^192\.0\.2\.81$"),
        ("WWW.Example.", "AAAA", "^2001:db8::80$"),
        ("example.", "MX", r"^10 mail\.example\.$"),
        ("note.example", "TXT", "two words"),
        ("alias.example", "A", r"^192\.0\.2\.80$"),
        ("alias.example", "CNAME", r"^www\.example\.$"),
    ] {
        assert_eq!(verdict(expect(&target, name, record, pattern)).await, Ok(()), "{name} {record}");
    }
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_comes_over_tcp() {
    needs!("/usr/sbin/named", "-V");
    let (_server, target, _directory) = named().await;
    for last in [1, 50, 100] {
        let pattern = format!(r"^198\.51\.100\.{last}$");
        assert_eq!(verdict(expect(&target, "many.example", "A", &pattern)).await, Ok(()));
    }
}

#[tokio::test]
async fn answers_that_are_not_wanted_fail() {
    needs!("/usr/sbin/named", "-V");
    let (_server, target, _directory) = named().await;
    let text = failure(expect(&target, "www.example", "AAAA", "^2001:db8::81$")).await;
    assert_eq!(text, "www.example AAAA: no answer matches /^2001:db8::81$/: 2001:db8::80");
    let text = failure(expect(&target, "www.example", "MX", "mail")).await;
    assert_eq!(text, "www.example MX: no such record");
    assert_eq!(verdict(Probe::Dns(ask(&target, "www.example", "MX"))).await, Ok(()), "no record is no error");
    let text = failure(Probe::Dns(ask(&target, "missing.example", "A"))).await;
    assert_eq!(text, "missing.example A: Non-Existent Domain");
    let text = failure(Probe::Dns(ask(&target, "other.test", "A"))).await;
    assert_eq!(text, "other.test A: Query Refused");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let target = closed().await;
    let text = failure(Probe::Dns(ask(&target, "www.example", "A"))).await;
    assert_eq!(text, format!("connection refused by {target}"));
}

/// A name server over UDP that answers each query with what `answers` makes of it.
async fn answering(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Target {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in answers(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    Target::new("127.0.0.1", port)
}

/// The query as a response without records: NOERROR, with the given further flags.
fn response(query: &[u8], flags: u8) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80 | flags;
    answer
}

const SILENCE: &str = "no answer within 300ms: waited for the answer";

#[tokio::test]
async fn a_silent_server_fails_by_the_timeout() {
    let target = answering(|_| Vec::new()).await;
    let text = verdict_within(BRIEF, Probe::Dns(ask(&target, "www.example", "A"))).await.unwrap_err();
    assert_eq!(text, SILENCE);
}

#[tokio::test]
async fn what_does_not_answer_our_question_is_not_heard() {
    let strange = |query: &[u8]| {
        let mut other_id = response(query, 0);
        other_id[0] ^= 1;
        let mut other_name = response(query, 0);
        other_name[13] ^= 1;
        vec![other_id, other_name, query.to_vec(), b"garbage".to_vec(), Vec::new()]
    };
    let target = answering(strange).await;
    let probe = || Probe::Dns(ask(&target, "www.example", "A"));
    assert_eq!(verdict_within(BRIEF, probe()).await.unwrap_err(), SILENCE);
    let target = answering(move |query| [strange(query), vec![response(query, 0)]].concat()).await;
    assert_eq!(
        verdict(Probe::Dns(ask(&target, "www.example", "A"))).await,
        Ok(()),
        "the right one comes last"
    );
}

#[tokio::test]
async fn an_answer_cut_short_needs_tcp() {
    let target = answering(|query| vec![response(query, 0x02)]).await;
    let text = failure(Probe::Dns(ask(&target, "www.example", "A"))).await;
    assert_eq!(text, format!("connection refused by {target}"));
}

#[tokio::test]
async fn a_server_that_only_accepts_tcp_does_not_answer() {
    let text = failure(Probe::Dns(ask(&silent().await, "www.example", "A"))).await;
    assert!(text.starts_with("connection refused by "), "{text}");
}
