//! Checks of kind `tcp`, and what all network checks share: names, addresses, sources.

use super::ping::isolated;
use super::{AMPLE, BRIEF, closed, failure, silent, verdict, verdict_within};
use locum::check::{Probe, Schedule, Spec, Target, probe_once, tcp};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpListener;

fn to(target: Target) -> Probe {
    Probe::Tcp(tcp::Config { target })
}

#[tokio::test]
async fn a_listening_port_passes() {
    assert_eq!(verdict(to(silent().await)).await, Ok(()));
}

#[tokio::test]
async fn a_port_over_ipv6_passes() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(verdict(to(Target::new("::1", port))).await, Ok(()));
}

#[tokio::test]
async fn a_closed_port_is_refused_by_its_address() {
    let target = closed().await;
    assert_eq!(failure(to(target.clone())).await, format!("connection refused by {target}"));
}

/// The kernel may give our end the very port that is asked for; here it has no other.
#[test]
fn a_connection_that_meets_itself_is_no_listener() {
    assert!(nix::unistd::geteuid().is_root(), "this test makes a network namespace: run the tests as root");
    isolated(&["link set lo up"], || async {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000").unwrap();
        let text = failure(to(Target::new("127.0.0.1", 40000))).await;
        assert_eq!(text, "connection refused by 127.0.0.1:40000");
    });
}

/// A listener whose queue is full drops what else comes, like a host that is cut off.
#[tokio::test]
async fn a_host_that_does_not_answer_fails_by_the_timeout() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _taken = std::net::TcpStream::connect(address).unwrap();
    let target = Target::new("127.0.0.1", address.port());
    let text = verdict_within(BRIEF, to(target)).await.unwrap_err();
    assert_eq!(text, "no answer within 300ms: waited for the connection");
}

#[tokio::test]
async fn a_name_is_resolved() {
    let target = Target::new("localhost", silent().await.port);
    assert_eq!(verdict(to(target)).await, Ok(()));
}

#[tokio::test]
async fn a_name_that_does_not_exist_fails_by_name() {
    let text = failure(to(Target::new("no-such-host.invalid", 80))).await;
    assert!(text.starts_with("cannot resolve no-such-host.invalid: "), "{text}");
}

fn from(source: &str, target: Target) -> Spec {
    let source = Some(source.parse().unwrap());
    Spec { probe: to(target), schedule: Schedule { source, timeout: AMPLE, ..Schedule::default() } }
}

#[tokio::test]
async fn the_connection_comes_from_the_configured_source() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let spec = from("127.0.0.77", Target::new("127.0.0.1", listener.local_addr().unwrap().port()));
    let (outcome, accepted) = tokio::join!(probe_once(&spec), listener.accept());
    assert_eq!(outcome.verdict, Ok(()));
    assert_eq!(accepted.unwrap().1.ip(), "127.0.0.77".parse::<IpAddr>().unwrap());
}

#[tokio::test]
async fn a_source_that_is_not_ours_fails_by_its_address() {
    let outcome = probe_once(&from("192.0.2.1", silent().await)).await;
    let text = outcome.verdict.unwrap_err();
    assert_eq!(text, "cannot use source address 192.0.2.1: cannot assign requested address");
}

#[tokio::test]
async fn a_source_of_the_other_family_reaches_no_address() {
    let outcome = probe_once(&from("::1", silent().await)).await;
    let text = outcome.verdict.unwrap_err();
    assert_eq!(text, "127.0.0.1 has no address of the family of the source ::1");
}

#[tokio::test]
async fn an_interface_that_is_not_there_fails_by_its_name() {
    let schedule = Schedule { device: Some("nowhere0".to_owned()), ..Schedule::default() };
    let outcome = probe_once(&Spec { probe: to(silent().await), schedule }).await;
    let text = outcome.verdict.unwrap_err();
    assert!(text.starts_with("cannot use interface nowhere0: "), "{text}");
}
