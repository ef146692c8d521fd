//! What a running daemon is told and what gets in its way: reloads, a second daemon, hostile packets.

use crate::lab::{Host, LONG, Lab, SOON, VIP, wait_until};
use crate::locum::{Router, settle};
use locum::vrrp::auth::Auth;
use locum::vrrp::{Advert, Checksum, GROUP_V4, Interval, Priority, Version, Vrid, packet};
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

#[test]
fn reading_an_equal_configuration_again_changes_nothing() {
    let lab = Lab::new(&["a", "client"]);
    let a = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    settle(2);
    let capture = lab["client"].capture();
    let watch = lab.watch(VIP);
    let (code, said) = a.cli(&["reload"]);
    assert_eq!((code, said.as_str()), (Some(0), "nothing changes\n"));
    a.process.signal(Signal::SIGHUP);
    settle(5);
    let packets = capture.end();
    assert_eq!(watch.end().time_with(0), Duration::ZERO);
    assert_eq!(packets.announcements(VIP), 0);
    let sent = packets.priorities(&lab["a"].ipv4());
    assert!(!sent.is_empty() && sent.iter().all(|priority| *priority == 100), "{sent:?}");
    assert_eq!((a.state(), a.became_master()), ("MASTER".to_owned(), 1));
}

#[test]
fn an_address_more_is_added_without_dropping_the_others() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    settle(2);
    let more = format!(r#"["{VIP}", "10.77.0.101"]"#);
    let (code, said) = a.reload(&Router::new(150).with("addresses", &more).toml());
    assert_eq!(code, Some(0), "{said}");
    lab.wait_owner("10.77.0.101", &["a"]);
    assert!(lab["client"].pings("10.77.0.101"));
    a.reload(&Router::new(150).toml());
    lab.wait_owner("10.77.0.101", &[]);
    settle(2);
    let (timeline, outage) = (watch.end(), probe.end());
    println!("reload: {said} {outage}; {timeline}");
    assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
    assert_eq!((a.became_master(), b.became_master()), (1, 0));
}

#[test]
fn a_broken_file_is_refused_with_its_line_and_the_old_one_stays() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let watch = lab.watch(VIP);
    let (code, said) = a.reload(&Router::new(100).with("interval", r#""5ms""#).toml());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("5ms") && said.contains("locum.toml"), "{said}");
    a.process.signal(Signal::SIGHUP);
    wait_until("the log names it", SOON, || a.process.log().contains("5ms"));
    settle(2);
    assert_eq!((a.state(), a.became_master()), ("MASTER".to_owned(), 1));
    assert_eq!(watch.end().time_with(0), Duration::ZERO);
    let (code, said) = a.reload(&Router::new(120).toml());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(a.router()["priority"]["effective"], 120);
}

#[test]
fn a_second_daemon_for_the_same_router_says_so_and_waits_for_the_first_to_end() {
    let lab = Lab::new(&["a", "client"]);
    let mut first = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let watch = lab.watch(VIP);
    let second = lab["a"].locum(&Router::new(200));
    second.wait_state("FAULT");
    assert_eq!(second.why(), "another locum on this host runs VRID 51 on eth0 already: stop one of them");
    settle(5);
    assert_eq!((first.state(), first.became_master()), ("MASTER".to_owned(), 1));
    let timeline = watch.end();
    assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
    assert_eq!(first.router()["addresses"][0]["restored"], 0, "the second swept what the first holds");
    assert!(lab["client"].pings(VIP));
    first.stop();
    second.wait_state("MASTER");
    lab.wait_owner(VIP, &["a"]);
    assert!(lab["client"].pings(VIP));
}

#[test]
fn a_daemon_started_by_mistake_ends_with_the_reason_and_takes_nothing_from_the_first() {
    let lab = Lab::new(&["a"]);
    let first = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let (code, said) = first.again();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another daemon listens there"), "{said}");
    assert_eq!(first.router()["addresses"][0]["restored"], 0);
    assert_eq!((first.state(), first.became_master()), ("MASTER".to_owned(), 1));
}

/// Somebody's idea of an advert that beats everyone.
fn forged() -> Vec<u8> {
    let advert = Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority: Priority::new(255),
        interval: Interval::from_centiseconds(10).unwrap(),
        addresses: [VIP.parse().unwrap()].into(),
    };
    let source = Ipv4Addr::new(10, 77, 0, 2);
    packet::encode(&advert, source.into(), GROUP_V4.into(), Checksum::Pseudo, &Auth::None)
}

/// Sends so many packets to the VRRP group, not faster than a receiver can count.
fn send(host: &Host, ttl: u32, message: &[u8], count: usize) {
    const AT_ONCE: usize = 50;
    host.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112))).unwrap();
        socket.bind_device(Some(b"eth0")).unwrap();
        socket.set_multicast_ttl_v4(ttl).unwrap();
        for number in 0..count {
            socket.send_to(message, &SocketAddrV4::new(GROUP_V4, 0).into()).unwrap();
            if number % AT_ONCE == 0 {
                thread::sleep(Duration::from_millis(5));
            }
        }
    });
}

#[test]
fn forged_packets_move_nothing_and_are_counted() {
    let lab = Lab::new(&["a", "mallory", "client"]);
    let a = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let watch = lab.watch(VIP);
    let mut damaged = forged();
    damaged[6] ^= 0x55;
    send(&lab["mallory"], 255, &damaged, 5000);
    send(&lab["mallory"], 64, &forged(), 10);
    send(&lab["mallory"], 255, &forged()[..7], 10);
    wait_until("they are counted", LONG, || a.refused("ttl") == 10 && a.refused("truncated") == 10);
    println!("{} of 5000 were counted", a.refused("checksum"));
    assert!(a.refused("checksum") > 0);
    assert_eq!((a.state(), a.became_master()), ("MASTER".to_owned(), 1));
    let timeline = watch.end();
    assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
    assert!(lab["client"].pings(VIP));
    assert!(a.process.log().lines().count() < 100, "a flood must not flood the log");
    // Only what is in order moves it.
    send(&lab["mallory"], 255, &forged(), 1);
    wait_until("it obeys", LONG, || a.state() == "BACKUP");
    lab.wait_owner(VIP, &["a"]);
}

#[test]
fn signals_that_ask_keepalived_for_its_state_are_answered_and_end_nothing() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum(&Router::new(100));
    lab.wait_owner(VIP, &["a"]);
    let folder = Path::new(a.config()).parent().unwrap();
    for (signal, name, says) in [
        (Signal::SIGUSR1, "keepalived.data", "State = MASTER"),
        (Signal::SIGUSR2, "keepalived.stats", "Became master: 1"),
    ] {
        a.process.signal(signal);
        let file = folder.join(name);
        wait_until(&format!("{name} is there"), SOON, || file.exists());
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(says), "{text}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!((a.state(), a.became_master()), ("MASTER".to_owned(), 1));
}
