//! Who is connected to an address that goes is told so, and nobody else is.

use crate::namespace::{Namespace, PATIENCE, Reports};
use locum::agent::Holding;
use locum::net::address::{Holder, Means, Order, Report};
use locum::vrrp::Vip;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const OURS: u32 = 1;
/// Long enough for a reset to arrive, had one been sent.
const QUIET: Duration = Duration::from_millis(200);

fn hold(vips: &[&str], close_connections: bool) -> Order {
    let vip = |address: &&str| {
        let address: IpAddr = address.parse().expect("an address");
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Vip::new(address, prefix)
    };
    let vips = vips.iter().map(vip).collect();
    let holding = Holding { interface: "eth0".to_owned(), vips, close_connections, ..Holding::default() };
    Order::Hold { until: None, owner: OURS, holding }
}

/// A client's end and the server's end of an idle connection to `address`.
fn connect(server: &TcpListener, client: &Namespace, address: &str) -> (TcpStream, TcpStream) {
    let port = server.local_addr().expect("bound").port();
    let to = SocketAddr::new(address.parse().expect("an address"), port);
    let outer = client.run(|| TcpStream::connect_timeout(&to, PATIENCE).expect("a connection"));
    let (inner, _) = server.accept().expect("accepted");
    (outer, inner)
}

/// Whether the other end has ended it; waits for that as long as `patience`.
fn is_reset(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).expect("a timeout");
    match stream.read(&mut [0; 8]) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        other => panic!("neither idle nor reset: {other:?}"),
    }
}

fn start(left: &Namespace, close_connections: bool) -> (Holder, Reports<Report>) {
    let (sender, reports) = Reports::channel();
    let report = move |report| drop(sender.send(report));
    let holder = left.run(|| Holder::start(Means::default(), report).expect("a holder"));
    holder.order(hold(&["10.9.0.100", "2001:db8:9::100"], close_connections));
    assert_eq!(reports.next(), Report::Held { owner: OURS, result: Ok(()) });
    (holder, reports)
}

#[test]
fn idle_clients_of_an_address_that_goes_are_told_and_those_of_the_hosts_own_are_not() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left, true);
    // One for each family, and one for both, whose clients have IPv4 addresses in IPv6's clothes.
    let [v4, v6, both] = ["0.0.0.0:81", "[2001:db8:9::100]:82", "[::]:83"]
        .map(|at| left.run(|| TcpListener::bind(at).expect("a port")));
    let (mut moving, _a) = connect(&v4, &right, "10.9.0.100");
    let (mut moving_v6, _b) = connect(&v6, &right, "2001:db8:9::100");
    let (mut mapped, _c) = connect(&both, &right, "10.9.0.100");
    let (mut own, _d) = connect(&v4, &right, "10.9.0.1");
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), Report::Released { owner: OURS, result: Ok(()) });
    for (what, stream) in [("IPv4", &mut moving), ("IPv6", &mut moving_v6), ("mapped", &mut mapped)] {
        assert!(is_reset(stream, PATIENCE), "{what}");
    }
    assert!(!is_reset(&mut own, QUIET), "the host's own address stays, and so do its connections");
}

#[test]
fn where_it_is_not_wanted_connections_stay_as_they_are() {
    let (left, right) = Namespace::pair();
    let (holder, reports) = start(&left, false);
    let server = left.run(|| TcpListener::bind("0.0.0.0:81").expect("a port"));
    let (mut moving, _inner) = connect(&server, &right, "10.9.0.100");
    holder.order(Order::Release { owner: OURS });
    assert_eq!(reports.next(), Report::Released { owner: OURS, result: Ok(()) });
    assert!(!is_reset(&mut moving, QUIET));
}
