//! Raw VRRP sockets: what leaves one host arrives at the other, and nothing else does.

use crate::announcements::listen;
use crate::namespace::{Namespace, PATIENCE};
use locum::net::raw_socket::{Outgoing, RawSocket, Received};
use locum::vrrp::{Family, Vrid};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

fn vrids(list: &[u8]) -> BTreeSet<Vrid> {
    list.iter().filter_map(|vrid| Vrid::new(*vrid)).collect()
}

fn usual(family: Family) -> BTreeSet<IpAddr> {
    BTreeSet::from([family.group()])
}

pub(crate) fn open(namespace: &Namespace, family: Family, multicast: bool, list: &[u8]) -> RawSocket {
    let index = namespace.index("eth0");
    let groups = if multicast { usual(family) } else { BTreeSet::new() };
    namespace.run(|| RawSocket::open("eth0", index, family, 112, groups, vrids(list)).expect("a socket"))
}

pub(crate) fn advert(source: &str, destination: IpAddr, vrid: u8) -> Outgoing<'static> {
    let source = source.parse().expect("an address");
    let payload = vec![0x31, vrid, 100, 0, 0, 100, 0xbe, 0xef];
    Outgoing { source, destination, ttl: 255, protocol: 112, identification: 0, payload: payload.into() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The next datagram, and room for it that the test gives away.
pub(crate) fn wait(socket: &RawSocket) -> Received<'static> {
    let buffer = Box::leak(Box::new([0; 2048]));
    let mut fds = [PollFd::new(socket.fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(PATIENCE).expect("short enough");
    assert_eq!(poll(&mut fds, timeout).expect("poll"), 1, "nothing arrived");
    socket.receive(buffer).expect("receive").expect("a datagram")
}

fn nothing_waits(socket: &RawSocket) {
    assert_eq!(socket.receive(&mut [0; 2048]).expect("receive"), None);
}

fn payload<'a>(received: &Received<'a>) -> &'a [u8] {
    match received.source {
        IpAddr::V4(_) => &received.packet[usize::from(received.packet[0] & 15) * 4..],
        IpAddr::V6(_) => received.packet,
    }
}

/// Both ways over the group; the sender does not hear itself.
fn exchange(family: Family, sources: [&str; 2]) {
    let (left, right) = Namespace::pair();
    let (left, right) = (open(&left, family, true, &[7]), open(&right, family, true, &[7]));
    for (from, to, source) in [(&left, &right, sources[0]), (&right, &left, sources[1])] {
        let sent = advert(source, family.group(), 7);
        from.send(&sent).expect("sent");
        let received = wait(to);
        assert_eq!((received.source, received.destination), (sent.source, family.group()));
        assert_eq!(received.ttl, Some(255));
        assert_eq!(payload(&received), &*sent.payload);
        nothing_waits(to);
        nothing_waits(from);
    }
}

#[test]
fn ipv4_adverts_cross_by_multicast_with_ttl_255_and_exactly_the_chosen_source() {
    // The second is no address of its host at all.
    exchange(Family::Ipv4, ["10.9.0.1", "10.9.0.77"]);
}

#[test]
fn ipv6_adverts_cross_by_multicast_with_hop_limit_255_and_the_chosen_source() {
    exchange(Family::Ipv6, ["fe80::1", "2001:db8:9::2"]);
}

#[test]
fn adverts_to_the_group_leave_with_the_virtual_mac_where_asked_and_others_with_the_hosts_own() {
    for (family, own, peer, mac) in [
        (Family::Ipv4, "10.9.0.1", "10.9.0.2", [0, 0, 0x5e, 0, 1, 7]),
        (Family::Ipv6, "fe80::1", "fe80::2", [0, 0, 0x5e, 0, 2, 7]),
    ] {
        let (left, right) = Namespace::pair();
        let frames = listen(&right);
        let (mut socket, group) = (open(&left, family, true, &[7]), open(&right, family, true, &[7]));
        let sent = advert(own, family.group(), 7);
        // Opens another socket in the namespace where it is called.
        left.run(|| socket.send_from(mac, &sent)).expect("sent");
        let received = wait(&group);
        assert_eq!((received.source, received.destination), (sent.source, family.group()));
        assert_eq!((received.ttl, payload(&received)), (Some(255), &sent.payload[..]));
        nothing_waits(&socket);
        let from = |frames: &OwnedFd| loop {
            let mut buffer = [0; 2048];
            let length = recv(frames.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("a frame in time");
            if buffer[..length].ends_with(&sent.payload) {
                return (buffer[..6].to_vec(), buffer[6..12].to_vec());
            }
        };
        let to_group =
            if family == Family::Ipv4 { [1, 0, 0x5e, 0, 0, 18] } else { [0x33, 0x33, 0, 0, 0, 0x12] };
        assert_eq!(from(&frames), (to_group.to_vec(), mac.to_vec()));

        socket.send_from(mac, &advert(own, ip(peer), 7)).expect("sent");
        assert_eq!(wait(&group).destination, ip(peer));
        assert_ne!(from(&frames).1, mac);
    }
}

#[test]
fn ipv4_adverts_carry_the_header_we_mean() {
    let (left, right) = Namespace::pair();
    let (left, right) = (open(&left, Family::Ipv4, true, &[7]), open(&right, Family::Ipv4, true, &[7]));
    left.send(&advert("10.9.0.1", Family::Ipv4.group(), 7)).expect("sent");
    let packet = wait(&right).packet;
    assert_eq!(packet[..2], [0x45, 0xc0], "version, header length, network control");
    assert_eq!(packet[6..10], [0, 0, 255, 112], "may be fragmented, TTL, protocol");
    let sum: u32 = packet[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "header checksum");
}

#[test]
fn an_advert_in_a_frame_of_our_own_is_to_the_receiver_what_it_is_from_the_kernel() {
    for (family, own) in [(Family::Ipv4, "10.9.0.1"), (Family::Ipv6, "fe80::1")] {
        let (left, right) = Namespace::pair();
        let (mut socket, group) = (open(&left, family, true, &[7]), open(&right, family, true, &[7]));
        let mut sent = advert(own, family.group(), 7);
        // With none the kernel would put one of its own there.
        sent.identification = 0x1234;
        socket.send(&sent).expect("sent");
        let by_the_kernel = wait(&group);
        left.run(|| socket.send_from([2, 0, 0, 0, 0, 1], &sent)).expect("sent");
        assert_eq!(wait(&group), by_the_kernel);

        if family == Family::Ipv4 {
            continue;
        }
        // Longer than a frame: what cannot go in one goes in fragments.
        sent.payload.to_mut().resize(2000, 0);
        left.run(|| socket.send_from([2, 0, 0, 0, 0, 1], &sent)).expect("sent");
        assert_eq!(payload(&wait(&group)), &*sent.payload);
    }
}

#[test]
fn unicast_adverts_cross_and_a_unicast_socket_hears_no_group() {
    for (family, from, to) in [(Family::Ipv4, "10.9.0.1", "10.9.0.2"), (Family::Ipv6, "fe80::1", "fe80::2")] {
        let (left, other) = Namespace::pair();
        let (left, right) = (open(&left, family, false, &[7]), open(&other, family, false, &[7]));
        // The host itself is in the group, by another socket.
        let _member = open(&other, family, true, &[7]);
        left.send(&advert(from, family.group(), 7)).expect("sent");
        left.send(&Outgoing { ttl: 64, ..advert(from, ip(to), 7) }).expect("sent");
        let received = wait(&right);
        assert_eq!((received.source, received.destination), (ip(from), ip(to)));
        assert_eq!(received.ttl, Some(64), "what was sent, for the decider to judge");
        nothing_waits(&right);
    }
}

#[test]
fn a_flood_of_another_vrid_is_dropped_in_the_kernel() {
    for (family, from) in [(Family::Ipv4, "10.9.0.1"), (Family::Ipv6, "fe80::1")] {
        let (left, right) = Namespace::pair();
        let (left, right) = (open(&left, family, true, &[]), open(&right, family, true, &[7, 200]));
        for _ in 0..1000 {
            left.send(&advert(from, family.group(), 8)).expect("sent");
        }
        left.send(&advert(from, family.group(), 200)).expect("sent");
        left.send(&advert(from, family.group(), 7)).expect("sent");
        assert_eq!(payload(&wait(&right))[1], 200);
        assert_eq!(payload(&wait(&right))[1], 7);
        nothing_waits(&right);

        right.set_vrids(&vrids(&[8])).expect("another filter");
        left.send(&advert(from, family.group(), 7)).expect("sent");
        left.send(&advert(from, family.group(), 8)).expect("sent");
        assert_eq!(payload(&wait(&right))[1], 8);
        nothing_waits(&right);
    }
}

#[test]
fn behind_an_authentication_header_the_filter_finds_the_vrid_and_the_header_stays_as_it_is() {
    let (left, right) = Namespace::pair();
    let index = right.index("eth0");
    let right = right
        .run(|| RawSocket::open("eth0", index, Family::Ipv4, 51, usual(Family::Ipv4), vrids(&[7])).unwrap());
    let left = open(&left, Family::Ipv4, true, &[7]);
    let wrapped = |vrid: u8| {
        let mut sent = advert("10.9.0.1", Family::Ipv4.group(), vrid);
        // 7 where VRRP itself would have its VRID.
        let header = [112, 7].into_iter().chain([0; 22]);
        sent.payload = header.chain(sent.payload.into_owned()).collect();
        Outgoing { protocol: 51, identification: 0x1234, ..sent }
    };
    left.send(&wrapped(8)).expect("sent");
    left.send(&advert("10.9.0.1", Family::Ipv4.group(), 7)).expect("sent");
    left.send(&wrapped(7)).expect("sent");
    let received = wait(&right);
    assert_eq!(received.packet[4..10], [0x12, 0x34, 0, 0, 255, 51], "identification, flags, TTL, protocol");
    assert_eq!(payload(&received), &*wrapped(7).payload);
    nothing_waits(&right);
}

#[test]
fn errors_name_the_interface_and_the_reason() {
    let (left, _right) = Namespace::pair();
    let error = left.run(|| {
        RawSocket::open("eth9", 99, Family::Ipv4, 112, usual(Family::Ipv4), vrids(&[7])).expect_err("no eth9")
    });
    assert_eq!(error.to_string(), "eth9, IPv4: cannot open a VRRP socket: No such device");

    let socket = open(&left, Family::Ipv6, true, &[7]);
    let error = socket.send(&advert("fe80::77", Family::Ipv6.group(), 7)).expect_err("not our address");
    assert_eq!(error.to_string(), "eth0, IPv6: cannot send from fe80::77 to ff02::12: Invalid argument");
}
