//! Checks of kind `ping`, on loopback and in network namespaces that end with their thread. Raw
//! sockets and namespaces are root's: without it, the check must say so.

use super::{AMPLE, BRIEF};
use locum::check::{Probe, Schedule, Spec, ping, probe_once};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::process::Command;
use std::time::Duration;

fn spec(host: &str, timeout: Duration) -> Spec {
    let probe = Probe::Ping(ping::Config { host: host.to_owned() });
    Spec { probe, schedule: Schedule { timeout, ..Schedule::default() } }
}

async fn verdict(host: &str, timeout: Duration) -> Result<(), String> {
    probe_once(&spec(host, timeout)).await.verdict
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs `test` in a network namespace of its own, prepared by `ip`, which vanishes with the thread.
pub(super) fn isolated<F: Future<Output = ()>>(commands: &[&str], test: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            for command in commands {
                let status = Command::new("ip").args(command.split(' ')).status().unwrap();
                assert!(status.success(), "ip {command}");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test());
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[tokio::test]
async fn loopback_answers_over_both_families() {
    for host in ["127.0.0.1", "::1", "localhost"] {
        let verdict = verdict(host, AMPLE).await;
        if is_root() {
            assert_eq!(verdict, Ok(()), "{host}");
        } else {
            assert!(verdict.unwrap_err().starts_with("cannot open a socket: "));
        }
    }
}

#[tokio::test]
async fn pings_at_the_same_time_do_not_take_each_others_answers() {
    assert!(is_root(), "this test makes a network namespace: run the tests as root");
    let pings: Vec<_> = (0..50).map(|_| tokio::spawn(async { verdict("127.0.0.1", AMPLE).await })).collect();
    for ping in pings {
        assert_eq!(ping.await.unwrap(), Ok(()));
    }
}

#[test]
fn a_host_that_does_not_answer_fails_by_the_timeout() {
    assert!(is_root(), "this test makes a network namespace: run the tests as root");
    isolated(&["link set lo up"], || async {
        assert_eq!(verdict("127.0.0.1", AMPLE).await, Ok(()));
        // Only this namespace's.
        fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap();
        fs::write("/proc/sys/net/ipv6/icmp/echo_ignore_all", "1").unwrap();
        let text = "no answer within 300ms: waited for the echo";
        // The request itself comes back on loopback, and must not pass for the reply.
        assert_eq!(verdict("127.0.0.1", BRIEF).await.unwrap_err(), text);
        assert_eq!(verdict("::1", BRIEF).await.unwrap_err(), text);
    });
}

#[test]
fn a_host_that_cannot_be_reached_fails_at_once() {
    assert!(is_root(), "this test makes a network namespace: run the tests as root");
    isolated(&["link set lo up"], || async {
        assert_eq!(verdict("192.0.2.1", AMPLE).await.unwrap_err(), "192.0.2.1: network is unreachable");
        assert_eq!(verdict("2001:db8::1", AMPLE).await.unwrap_err(), "2001:db8::1: network is unreachable");
    });
}

#[test]
fn an_address_nobody_has_fails_by_the_timeout() {
    assert!(is_root(), "this test makes a network namespace: run the tests as root");
    let wire = [
        "link add wire0 type veth peer name wire1",
        "addr add 192.0.2.1/24 dev wire0",
        "link set wire0 up",
        "link set wire1 up",
    ];
    isolated(&wire, || async {
        let text = "no answer within 300ms: waited for the echo";
        assert_eq!(verdict("192.0.2.2", BRIEF).await.unwrap_err(), text);
    });
}

#[test]
fn source_and_interface_are_as_configured() {
    assert!(is_root(), "this test makes a network namespace: run the tests as root");
    isolated(&["link set lo up", "addr add 192.0.2.1/32 dev lo"], || async {
        let from = |source: &str, device: &str| {
            let mut spec = spec("127.0.0.1", AMPLE);
            spec.schedule.source = Some(source.parse().unwrap());
            spec.schedule.device = Some(device.to_owned());
            spec
        };
        assert_eq!(probe_once(&from("192.0.2.1", "lo")).await.verdict, Ok(()));
        let text = probe_once(&from("192.0.2.9", "lo")).await.verdict.unwrap_err();
        assert_eq!(text, "cannot use source address 192.0.2.9: cannot assign requested address");
    });
}
