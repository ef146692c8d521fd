//! Planned moves: `locum handover` and `locum resume`.

use crate::lab::{LONG, Lab, VIP, VIP6, wait_until};
use crate::locum::{Router, settle};

#[test]
fn a_handover_moves_the_address_without_a_client_noticing_and_resume_brings_it_back() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&Router::new(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());

    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    settle(2);
    let (code, said) = a.cli(&["handover"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("web: moved to {}", lab["b"].ipv4())), "{said}");
    assert!(said.contains(", gap ") && said.ends_with(" ms\n"), "somebody was asked and answered: {said}");
    lab.wait_owner(VIP, &["b"]);
    settle(5);
    let (timeline, outage) = (watch.end(), probe.end());
    println!("handover: {outage}; {timeline}; {said}");
    assert_eq!(lab.owners(VIP), ["b"], "a stays out, though it is stronger");
    assert_eq!(a.router()["drained"], true);
    assert_eq!(timeline.time_with(0).as_nanos(), 0, "{timeline}");

    let (watch, probe) = (lab.watch(VIP), lab["client"].probe(VIP));
    let (code, said) = a.cli(&["resume", "web"]);
    assert_eq!(code, Some(0), "{said}");
    lab.wait_owner(VIP, &["a"]);
    b.wait_state("BACKUP");
    settle(2);
    println!("resume: {}; {}; {said}", probe.end(), watch.end());
    assert_eq!(a.router()["drained"], false);
}

#[test]
fn several_addresses_are_never_nowhere_and_the_old_master_goes_once_all_are_announced() {
    let lab = Lab::new(&["a", "b", "client"]);
    let addresses = [VIP, VIP6, "10.77.0.101", "10.77.0.102", "fd77::101"];
    let router = |priority| Router::new(priority).with("addresses", &format!("{addresses:?}"));
    let a = lab["a"].locum(&router(150));
    lab.wait_owner(VIP6, &["a"]);
    let b = lab["b"].locum(&router(100));
    wait_until("b hears a", LONG, || {
        let instances = b.router()["instances"].clone();
        instances.as_array().unwrap().iter().all(|instance| instance["master"].is_string())
    });
    let watches = addresses.map(|address| (address, lab.watch(address)));
    settle(2);
    let (code, said) = a.cli(&["handover"]);
    assert_eq!(code, Some(0), "{said}");
    for (address, watch) in watches {
        lab.wait_owner(address, &["b"]);
        let timeline = watch.end();
        println!("{address}: {timeline}");
        assert_eq!(timeline.time_with(0).as_nanos(), 0, "{address}: {timeline}");
    }
}

#[test]
fn the_gap_is_measured_for_an_ipv6_address_too() {
    let lab = Lab::new(&["a", "b", "client"]);
    let six = |priority| Router::new(priority).with("addresses", &format!(r#"["{VIP6}"]"#));
    let a = lab["a"].locum(&six(150));
    lab.wait_owner(VIP6, &["a"]);
    let b = lab["b"].locum(&six(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"].is_string());
    let (code, said) = a.cli(&["handover"]);
    println!("{said}");
    assert_eq!((code, lab.owners(VIP6)), (Some(0), vec!["b"]), "{said}");
    assert!(said.contains(", gap ") && said.ends_with(" ms\n"), "somebody was asked and answered: {said}");
}

#[test]
fn a_handover_that_nobody_answers_comes_back_and_says_so() {
    let lab = Lab::new(&["a", "client"]);
    let a = lab["a"].locum(&Router::new(150));
    lab.wait_owner(VIP, &["a"]);
    let probe = lab["client"].probe(VIP);
    let (code, said) = a.cli(&["handover"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nobody took the addresses"), "{said}");
    assert_eq!(a.state(), "MASTER");
    println!("nobody took it: {}", probe.end());
}

#[test]
fn a_handover_of_what_is_not_here_is_refused_in_one_line() {
    let lab = Lab::new(&["a"]);
    let a = lab["a"].locum(&Router::new(150));
    a.wait_state("MASTER");
    let (code, said) = a.cli(&["handover", "mail"]);
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("mail"), "{said}");
}
