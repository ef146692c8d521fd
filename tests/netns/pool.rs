//! A pool of a thousand addresses as local routes: held, answered for, put back, given up, swept.

use crate::lab::{Host, LONG, Lab, SOON, VIP, wait_until};
use crate::locum::{Locum, Router};

const POOL: usize = 1000;

fn pooled(number: usize) -> String {
    format!("10.80.{}.{}", number / 250, number % 250 + 1)
}

/// Adverts name one address; the pool goes with it.
fn pool(router: Router) -> Router {
    let pool = (0..POOL).map(|number| format!(r#"{{ address = "{}", advertise = false }}"#, pooled(number)));
    let pool: Vec<String> = pool.collect();
    router.with("addresses", &format!(r#"["{VIP}", {}]"#, pool.join(", ")))
}

fn local_routes(host: &Host) -> usize {
    host.run("ip route show table local proto 113").lines().count()
}

fn lab() -> Lab {
    let lab = Lab::new(&["a", "client"]);
    lab["client"].ip("route add 10.80.0.0/16 dev eth0");
    lab
}

fn wait_held(a: &Locum<'_>) {
    wait_until("all of the pool is held", LONG, || {
        let router = a.router();
        let mut addresses = router["addresses"].as_array().unwrap().iter();
        router["state"] == "MASTER" && addresses.all(|address| address["held"] == true)
    });
}

#[test]
fn a_pool_of_local_routes_answers_is_put_back_and_leaves_nothing() {
    let lab = lab();
    let (a, client) = (&lab["a"], &lab["client"]);
    let mut locum = a.locum(&pool(Router::new(100).with("install", r#""local-route""#)));
    wait_held(&locum);
    assert_eq!(local_routes(a), POOL + 1);
    assert_eq!(lab.owners(VIP), [""; 0], "it is no address of an interface");
    for address in [VIP, &pooled(0), &pooled(POOL - 1)] {
        assert!(client.pings(address), "{address}");
        assert_eq!(client.neighbour(address), Some(a.mac()));
    }
    wait_until("all of it is announced", SOON, || {
        locum.router()["instances"][0]["announced"].as_u64() >= Some(POOL as u64 + 1)
    });

    // The kernel tells: nobody waits for the next comparison.
    a.ip(&format!("route del local {} dev eth0 table local", pooled(7)));
    wait_until("it is put back", SOON, || local_routes(a) == POOL + 1);
    wait_until("it is counted", SOON, || {
        let router = locum.router();
        router["addresses"].as_array().unwrap().iter().any(|address| address["restored"] == 1)
    });
    assert!(client.pings(&pooled(7)));

    locum.kill9();
    assert_eq!(local_routes(a), POOL + 1, "a crash leaves them behind");
    locum.write(&Router::new(100).with("addresses", r#"["10.77.0.101"]"#).toml());
    locum.restart();
    wait_until("they are swept", SOON, || local_routes(a) == 0);
    lab.wait_owner("10.77.0.101", &["a"]);
    assert!(locum.stop().success());
}

#[test]
fn a_reload_makes_local_routes_of_addresses_and_back_and_stopping_removes_both() {
    let lab = lab();
    let (a, client) = (&lab["a"], &lab["client"]);
    let addresses = pool(Router::new(100));
    let mut locum = a.locum(&addresses);
    wait_held(&locum);
    lab.wait_owner(&pooled(POOL - 1), &["a"]);
    let (code, said) = locum.reload(&addresses.clone().with("install", r#""local-route""#).toml());
    assert!(code == Some(0) && said.contains("install changed"), "{said}");
    wait_until("all are local routes", LONG, || local_routes(a) == POOL + 1);
    wait_until("none is an address", LONG, || lab.owners(&pooled(POOL - 1)).is_empty());
    assert!(client.pings(&pooled(POOL - 1)));
    assert_eq!(locum.reload(&addresses.toml()).0, Some(0));
    lab.wait_owner(&pooled(POOL - 1), &["a"]);
    wait_until("none is a local route", LONG, || local_routes(a) == 0);
    assert_eq!(locum.became_master(), 1);
    assert!(locum.stop().success());
    assert_eq!(lab.owners(&pooled(POOL - 1)), [""; 0]);
}

#[test]
fn an_interface_that_would_not_answer_for_local_routes_is_a_fault_with_its_mend() {
    let lab = lab();
    lab["a"].sysctl("net/ipv4/conf/eth0/arp_ignore", "1");
    let locum = lab["a"].locum(&pool(Router::new(100).with("install", r#""local-route""#)));
    locum.wait_state("FAULT");
    assert!(locum.why().contains("net.ipv4.conf.eth0.arp_ignore"), "{}", locum.why());
    wait_until("nothing is held", SOON, || local_routes(&lab["a"]) == 0);
}
