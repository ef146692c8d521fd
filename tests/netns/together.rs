//! Two networks, one role: a sync group hands over and stops with all its routers, and no client notices.

use crate::lab::{LONG, Lab, VIP, wait_until};
use crate::locum::{Locum, Router, settle};

/// On the second network.
const INNER: &str = "10.78.0.100";

fn group(priority: u8) -> String {
    let inner = format!(
        "[router.inner]\ninterface = \"eth1\"\nvrid = 52\npriority = {priority}\ninterval = \"100ms\"\n\
         addresses = [\"{INNER}\"]\n[group.both]\nrouters = [\"web\", \"inner\"]\n"
    );
    Router::new(priority).and(&inner).toml()
}

fn lab() -> Lab {
    let lab = Lab::new(&["a", "b", "client"]);
    lab.second_network();
    lab
}

/// `a` is Master on both networks, and `b` has heard it on both.
fn pair(lab: &Lab) -> (Locum<'_>, Locum<'_>) {
    let a = lab["a"].locum_toml(&group(150));
    lab.wait_owner(VIP, &["a"]);
    lab.wait_owner(INNER, &["a"]);
    let b = lab["b"].locum_toml(&group(100));
    wait_until("b hears a on both", LONG, || {
        let routers = b.status()["routers"].clone();
        routers.as_array().unwrap().iter().all(|router| !router["instances"][0]["master"].is_null())
    });
    (a, b)
}

/// Whatever moves both addresses to `b`: neither is nowhere, and the client misses nothing.
fn moves_both(lab: &Lab, what: &str, moves: impl FnOnce()) {
    assert!(lab["client"].pings(VIP) && lab["client"].pings(INNER));
    let watched = [VIP, INNER].map(|address| (lab.watch(address), lab["client"].probe(address)));
    settle(2);
    moves();
    lab.wait_owner(VIP, &["b"]);
    lab.wait_owner(INNER, &["b"]);
    settle(5);
    for (watch, probe) in watched {
        let (timeline, outage) = (watch.end(), probe.end());
        println!("{what}: {outage}; {timeline}");
        assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");
        assert_eq!(outage.lost, 0, "{outage}");
    }
    assert_eq!((lab.owners(VIP), lab.owners(INNER)), (vec!["b"], vec!["b"]));
}

#[test]
fn a_handover_of_one_router_moves_its_group() {
    let lab = lab();
    let (a, _b) = pair(&lab);
    moves_both(&lab, "handover", || {
        let (code, said) = a.cli(&["handover", "web"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("web: moved to 10.77.0.2") && said.contains("inner: moved to 10.78.0.2"),
            "{said}"
        );
    });
}

#[test]
fn a_stop_waits_for_the_successor_on_both_networks() {
    let lab = lab();
    let (mut a, _b) = pair(&lab);
    moves_both(&lab, "SIGTERM", || assert!(a.stop().success()));
}
