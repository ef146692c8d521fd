//! `locum sniff` of a live interface, in a network namespace that ends with its thread.

use crate::program::{Ran, command, locum};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Far more than the program needs to start, even on a loaded machine.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

#[test]
fn adverts_are_seen_as_they_come_and_go_and_nothing_else_is() {
    let ran = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run the tests as root");
        assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
        listen_on_lo()
    });
    let ran = ran.join().unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{ran:?}");
    for line in &lines {
        assert_eq!((&line["interface"], &line["source"]), (&"lo".into(), &"127.0.0.1".into()), "{line}");
        assert_eq!(line["malformed"], "truncated", "{line}");
    }
    let ours = lines.iter().filter(|line| line["ours"] == true).count();
    assert_eq!(ours, 2, "each packet leaves and arrives: {ran:?}");
}

/// Sends VRRP, and what is none, until the program has seen enough.
fn listen_on_lo() -> Ran {
    let mut child = command(&["sniff", "--interface", "lo", "--count", "4", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let vrrp = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112))).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..TRIES {
        if child.try_wait().unwrap().is_some() {
            return child.wait_with_output().unwrap().into();
        }
        udp.send_to(b"no VRRP", "127.0.0.1:9").unwrap();
        vrrp.send_to(b"\x31\x33", &SockAddr::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))).unwrap();
        thread::sleep(PAUSE);
    }
    let _ = child.kill();
    panic!("it saw too little: {:?}", child.wait_with_output());
}

#[test]
fn an_interface_that_is_not_there_is_named_with_those_that_are() {
    let ran = locum(&["sniff", "--interface", "none7"]);
    assert_eq!(ran.code, 1);
    assert!(ran.complaint().starts_with("there is no interface none7: there is "), "{ran:?}");
    assert!(ran.complaint().contains("lo"), "{ran:?}");
}
