//! With FRR's vrrpd on the other host, version 3 over both families.
//!
//! FRR keeps the addresses on macvlan devices and turns these on and off, so who has the address is
//! read from its log and Locum's status, not from the kernel.

use crate::lab::{LONG, Lab, VIP, VIP6, wait_until};
use crate::locum::{Router, settle};
use crate::rivals::recorded;

fn both(priority: u8) -> Router {
    let addresses = format!(r#"["{VIP}", "{VIP6}"]"#);
    Router::new(priority).with("addresses", &addresses)
}

#[test]
fn a_stronger_locum_takes_over_from_frr_and_gives_back_by_farewell() {
    let lab = Lab::new(&["a", "b", "client"]);
    let frr = lab["b"].frr(100);
    frr.wait("IPv4", "Master");
    frr.wait("IPv6", "Master");
    let mut a = lab["a"].locum(&both(150));
    lab.wait_owner(VIP6, &["a", "b"]);
    a.wait_state("MASTER");
    frr.wait("IPv4", "Backup");
    frr.wait("IPv6", "Backup");
    assert!(lab["client"].pings(VIP) && lab["client"].pings(VIP6));
    assert_eq!(lab["client"].neighbour(VIP), Some(lab["a"].mac()));
    settle(5);
    assert_eq!((a.state(), a.refused_at_all()), ("MASTER".to_owned(), 0), "{:#}", a.router());
    assert_eq!(recorded(&a), [0; 0], "FRR gave up in order");
    a.stop();
    frr.wait("IPv4", "Master");
    frr.wait("IPv6", "Master");
    wait_until("the client asks FRR", LONG, || {
        lab["client"].neighbour(VIP).is_some_and(|mac| mac.starts_with("00:00:5e:00:01"))
    });
}

#[test]
fn a_stronger_frr_takes_over_from_locum_and_gives_back_by_farewell() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&both(100));
    a.wait_state("MASTER");
    let mut frr = lab["b"].frr(200);
    a.wait_state("BACKUP");
    frr.wait("IPv4", "Master");
    frr.wait("IPv6", "Master");
    wait_until("FRR has it alone", LONG, || {
        !lab.owners(VIP).contains(&"a") && !lab.owners(VIP6).contains(&"a")
    });
    assert!(lab["client"].pings(VIP) && lab["client"].pings(VIP6));
    settle(5);
    assert_eq!((a.state(), a.refused_at_all()), ("BACKUP".to_owned(), 0));
    frr.stop();
    a.wait_state("MASTER");
    assert!(a.why().contains("said farewell"), "{}", a.why());
    assert_eq!(recorded(&a), [0; 0], "FRR took and gave in order");
    wait_until("the client asks locum", LONG, || lab["client"].neighbour(VIP) == Some(lab["a"].mac()));
}
