//! `locum restart`: a program takes the place of another, and nobody notices.

use crate::lab::{LONG, Lab, VIP, VIP6, wait_until};
use crate::locum::{Locum, Router, settle};
use std::fs;

/// The new program has some time to start, even on a busy machine.
fn slow(priority: u8) -> Router {
    Router::new(priority).with("interval", r#""500ms""#)
}

/// Restarts `a`, Master before and after, whose peer `stays` what it is. Nobody may notice.
fn unnoticed(lab: &Lab, a: &Locum<'_>, vip: &str, stays: impl FnOnce() -> bool) {
    wait_until("the client knows where it is", LONG, || lab["client"].pings(vip));
    let capture = lab["client"].capture();
    let (watch, probe) = (lab.watch(vip), lab["client"].probe(vip));
    settle(5);
    let since = a.router()["since"].clone();
    let starts = a.process.log().matches(" runs").count();
    let (code, said) = a.cli(&["restart"]);
    assert_eq!((code, said.as_str()), (Some(0), "locum 0.1.0 runs\n"));
    settle(15);
    let (timeline, outage, packets) = (watch.end(), probe.end(), capture.end());
    println!("restart: {outage}; {timeline}");
    assert_eq!(a.process.log().matches(" runs").count(), starts + 1, "it is another program");
    assert_eq!(timeline.time_with(1), timeline.whole(), "the address stays: {timeline}");
    assert_eq!(outage.lost, 0, "{outage}");
    assert!(stays(), "its peer noticed");
    let sent = packets.priorities(&lab["a"].ipv4());
    assert!(sent.len() > 2 && sent.iter().all(|priority| *priority == 150), "{sent:?}");
    assert_eq!((a.state(), a.router()["since"].clone()), ("MASTER".to_owned(), since));
    assert!(!a.files().contains(&"locum.relay".to_owned()), "{:?}", a.files());
}

fn descriptors(locum: &Locum<'_>) -> usize {
    fs::read_dir(format!("/proc/{}/fd", locum.process.pid())).unwrap().count()
}

#[test]
fn a_master_started_anew_in_place_stays_master_without_its_backup_noticing() {
    let lab = Lab::new(&["a", "b", "client"]);
    let mut a = lab["a"].locum(&slow(150));
    lab.wait_owner(VIP, &["a"]);
    let b = lab["b"].locum(&slow(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    let open = descriptors(&a);
    for _ in 0..3 {
        unnoticed(&lab, &a, VIP, || b.state() == "BACKUP" && b.became_master() == 0);
    }
    // One is for whoever asks it something at the moment.
    assert!(descriptors(&a) <= open + 1, "nothing of the old programs stays open");
    // It has not forgotten how to give up.
    assert!(a.stop().success());
    lab.wait_owner(VIP, &["b"]);
}

#[test]
fn keepalived_as_the_backup_does_not_notice_either() {
    let lab = Lab::new(&["a", "b", "client"]);
    let a = lab["a"].locum(&slow(150));
    lab.wait_owner(VIP, &["a"]);
    let instance = crate::neighbour::Instance { interval: "0.5", ..crate::neighbour::Instance::new(100) };
    let b = lab["b"].keepalived(&instance);
    unnoticed(&lab, &a, VIP, || b.is("BACKUP") && !b.process.log().contains("MASTER STATE"));
}

#[test]
fn both_families_on_the_virtual_mac_address_stay() {
    let lab = Lab::new(&["a", "b", "client"]);
    let both = format!(r#"["{VIP}", "fe80::100", "{VIP6}"]"#);
    let virtual_mac = |priority| slow(priority).with("addresses", &both).with("virtual_mac", "true");
    let a = lab["a"].locum(&virtual_mac(150));
    lab.wait_owner(VIP6, &["a"]);
    let b = lab["b"].locum(&virtual_mac(100));
    wait_until("b hears a", LONG, || b.router()["instances"][0]["master"] == lab["a"].ipv4());
    let sixth = lab.watch(VIP6);
    unnoticed(&lab, &a, VIP, || b.state() == "BACKUP" && b.became_master() == 0);
    let timeline = sixth.end();
    assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
}

#[test]
fn a_configuration_that_the_new_program_does_not_take_keeps_the_old_one_going() {
    let lab = Lab::new(&["a", "client"]);
    let a = lab["a"].locum(&slow(150));
    lab.wait_owner(VIP, &["a"]);
    let watch = lab.watch(VIP);
    a.write(&slow(150).with("vrid", "999").toml());
    let (code, said) = a.cli(&["restart"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not take the configuration") && said.contains("999"), "{said}");
    assert_eq!((a.state(), a.became_master()), ("MASTER".to_owned(), 1));
    a.write(&slow(140).toml());
    let (code, said) = a.cli(&["restart"]);
    assert_eq!(code, Some(0), "{said}");
    a.wait_state("MASTER");
    assert_eq!(a.router()["priority"]["effective"], 140);
    let timeline = watch.end();
    assert_eq!(timeline.time_with(1), timeline.whole(), "{timeline}");
}
