//! RFC 3768, and the password of RFC 2338.

use crate::desk::{ABOVE, BELOW, Desk, SECOND, advert, advert2, adverts, config, words};
use locum::agent::{Config, Effect, Input, Standing};
use locum::sim::wire::Crafted;
use locum::vrrp::auth::{Auth, Secret};
use std::time::Duration;

const TWO: &str = "version = 2";
const DOWN_100: Duration = Duration::from_nanos(3_609_375_000);
const SKEW_100: Duration = Duration::from_nanos(609_375_000);

fn with_password() -> Config {
    let mut config = config(TWO);
    config.routers[0].auth = Auth::Pass(Secret::new(*b"s3cr3t"));
    config
}

// 5.2.3: TTL 255.
#[test]
fn what_came_through_a_router_is_refused() {
    let mut desk = Desk::backup(TWO);
    desk.unmoved(|desk| desk.hear(&Crafted { ttl: 254, ..advert2(ABOVE, 200) }));
    assert_eq!(desk.refused("ttl"), 1);
}

// 5.3.1, 7.1: version 2.
#[test]
fn version_3_is_refused() {
    let mut desk = Desk::backup(TWO);
    desk.unmoved(|desk| desk.hear(&advert(ABOVE, 200)));
    assert_eq!(desk.refused("version"), 1);
}

// 5.3.2: an unknown type must be discarded.
#[test]
fn an_unknown_type_is_refused() {
    let mut desk = Desk::backup(TWO);
    desk.unmoved(|desk| desk.hear(&Crafted { kind: 7, ..advert2(ABOVE, 200) }));
    assert_eq!(desk.refused("type"), 1);
}

// 5.3.6: another authentication type must be discarded.
#[test]
fn another_authentication_is_refused() {
    let mut desk = Desk::backup(TWO);
    desk.unmoved(|desk| desk.hear(&Crafted { interval: [1, 1], ..advert2(ABOVE, 200) }));
    assert_eq!(desk.refused("auth-type"), 1);
}

// 5.3.6.1: without authentication its data is ignored on receipt, and zero on sending.
#[test]
fn authentication_data_without_authentication_is_ignored() {
    let mut desk = Desk::backup(TWO);
    desk.hear(&Crafted { tail: b"whatever".to_vec(), ..advert2(ABOVE, 200) });
    assert_eq!(desk.heard(), 1);
    let effects: Vec<Effect> = desk.wait(SECOND * 5).into_iter().map(|(_, effect)| effect).collect();
    let Some(Effect::Send(out)) = effects.get(1) else { panic!("{effects:?}") };
    assert_eq!(out.payload[out.payload.len() - 8..], [0; 8]);
}

// RFC 2338 5.3.6.2: the password is compared whole.
#[test]
fn another_password_is_refused_and_the_same_one_followed() {
    let (mut desk, _) = Desk::start(&with_password());
    let said = |password: &[u8]| Crafted { interval: [1, 1], tail: password.to_vec(), ..advert2(ABOVE, 200) };
    desk.unmoved(|desk| desk.hear(&said(b"s3cr3u\0\0")));
    assert_eq!((desk.refused("wrong-password"), desk.heard()), (1, 0));
    desk.hear(&said(b"s3cr3t\0\0"));
    assert_eq!(desk.heard(), 1);
}

// 5.3.8: the checksum covers the authentication data and no pseudo-header.
#[test]
fn a_wrong_checksum_is_refused() {
    let mut desk = Desk::backup(TWO);
    desk.unmoved(|desk| desk.hear(&Crafted { bad_checksum: true, ..advert2(ABOVE, 200) }));
    assert_eq!(desk.refused("checksum"), 1);
}

// 6.1: Skew_Time is a part of one second whatever the interval, and nothing is learned.
#[test]
fn the_skew_does_not_grow_with_the_interval() {
    assert_eq!(Desk::backup(TWO).due(), DOWN_100);
    let mut slow = Desk::backup("version = 2\ninterval = '10s'");
    assert_eq!(slow.due(), SECOND * 30 + SKEW_100);
    slow.wait(SECOND);
    slow.hear(&Crafted { interval: [0, 10], ..advert2(ABOVE, 200) });
    assert_eq!(slow.due(), SECOND * 30 + SKEW_100);
}

// 6.4.1: the owner starts as Master.
#[test]
fn the_owner_starts_as_master() {
    let (desk, effects) = Desk::start(&config("version = 2\npriority = 255"));
    assert_eq!((adverts(&effects), desk.state()), (vec![255], Standing::Master));
}

// 6.4.1: everybody else becomes Backup and says nothing.
#[test]
fn others_start_as_backup_in_silence() {
    let (desk, effects) = Desk::start(&config(TWO));
    assert_eq!((adverts(&effects), desk.state()), (Vec::new(), Standing::Backup));
}

// 6.4.2: Shutdown.
#[test]
fn a_backup_stops_without_a_word() {
    assert_eq!(words(&Desk::backup(TWO).give(Input::Stop { at_once: false })), ["notify", "stopped"]);
}

// 6.4.2: the timer fires.
#[test]
fn a_takeover_advertises_first_and_announces_last() {
    let mut desk = Desk::backup(TWO);
    let effects: Vec<Effect> = desk.wait(DOWN_100).into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(words(&effects), ["ask ahead", "send", "hold", "announce", "notify"]);
}

// 6.4.2: priority 0 sets the timer to Skew_Time.
#[test]
fn a_farewell_leaves_the_skew() {
    let mut desk = Desk::backup(TWO);
    desk.hear(&advert2(ABOVE, 200));
    desk.hear(&advert2(ABOVE, 0));
    assert_eq!(desk.due(), SKEW_100);
}

// 6.4.2: an advert that is no lower restarts the timer.
#[test]
fn a_master_that_is_no_lower_is_followed() {
    for (more, priority) in [(TWO, 100), ("version = 2\npreempt = false", 1)] {
        let mut desk = Desk::backup(more);
        desk.wait(SECOND);
        desk.hear(&advert2(BELOW, priority));
        assert_eq!(desk.due(), DOWN_100);
    }
}

// 6.4.2: with Preempt_Mode a lower advert is discarded.
#[test]
fn a_lower_master_does_not_delay_who_preempts_it() {
    let mut desk = Desk::backup(TWO);
    desk.wait(SECOND);
    desk.unmoved(|desk| desk.hear(&advert2(ABOVE, 99)));
}

// 6.4.3: Shutdown: priority 0.
#[test]
fn a_master_says_farewell() {
    assert_eq!(adverts(&Desk::master(TWO).give(Input::Stop { at_once: true })), [0, 0]);
}

// 6.4.3: priority 0 received: send at once.
#[test]
fn a_master_answers_a_farewell_at_once() {
    assert_eq!(adverts(&Desk::master(TWO).hear(&advert2(ABOVE, 0))), [100]);
}

// 6.4.3: higher, or equal from the greater address.
#[test]
fn a_master_yields_to_the_better_only() {
    for (source, priority, yields) in [(BELOW, 101, true), (ABOVE, 100, true), (BELOW, 100, false)] {
        let mut desk = Desk::master(TWO);
        desk.hear(&advert2(source, priority));
        assert_eq!(desk.state() == Standing::Backup, yields, "{source} {priority}");
    }
}

// 6.4.3: a losing advert is discarded in silence. Ours: the addresses are announced again.
#[test]
fn a_losing_advert_is_not_answered() {
    let mut desk = Desk::master(TWO);
    let effects = desk.hear(&advert2(ABOVE, 99));
    assert_eq!((adverts(&effects), desk.discarded("losing")), (Vec::new(), 1));
}

// 7.1: a complete packet has its authentication data.
#[test]
fn a_packet_without_its_last_eight_bytes_is_refused() {
    let mut desk = Desk::backup(TWO);
    desk.unmoved(|desk| desk.hear(&Crafted { tail: Vec::new(), ..advert2(ABOVE, 200) }));
    assert_eq!(desk.refused("truncated"), 1);
}

// 7.1: the owner obeys nobody; two owners stay Master side by side.
#[test]
fn the_owner_refuses_everybody() {
    let (mut desk, _) = Desk::start(&config("version = 2\npriority = 255"));
    desk.unmoved(|desk| desk.hear(&advert2(ABOVE, 255)));
    assert_eq!(desk.refused("local-owner"), 1);
}

// 7.1 (a MAY that we do not take): another list of addresses is noted, never dropped.
#[test]
fn other_addresses_are_followed_all_the_same() {
    let mut desk = Desk::backup(TWO);
    let other = Crafted { addresses: vec![crate::desk::ip("10.0.0.7")], ..advert2(ABOVE, 200) };
    assert_eq!(words(&desk.hear(&other)), ["note"]);
    assert_eq!(desk.heard(), 1);
}

// 7.1: the interval must be the local one.
#[test]
fn another_interval_is_refused() {
    let mut desk = Desk::backup(TWO);
    desk.unmoved(|desk| desk.hear(&Crafted { interval: [0, 2], ..advert2(ABOVE, 200) }));
    assert_eq!(desk.refused("interval-mismatch"), 1);
}
