//! RFC 9568, with its verified errata.

use crate::desk::{
    ABOVE, BELOW, DOWN_100, Desk, OWN, SECOND, advert, advert6, adverts, config, eth0, ip, words,
};
use locum::agent::{Effect, Input, Note, Standing};
use locum::health::{CheckName, Outcome};
use locum::sim::wire::Crafted;
use locum::time::Time;
use std::time::Duration;

const SKEW_100: Duration = Duration::from_nanos(609_375_000);

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

// 1: IPv4 and IPv6 virtual routers are separate, also with the same VRID.
#[test]
fn the_same_number_in_the_other_family_is_another_router() {
    let mut desk = Desk::backup("");
    desk.unmoved(|desk| desk.hear(&advert6("fe80::9", 200)));
    assert_eq!(desk.heard(), 0);
}

// 5.1.1.3, 5.1.2.3, 7.1: TTL or hop limit 255, else discard.
#[test]
fn what_came_through_a_router_is_refused() {
    let mut desk = Desk::backup("");
    desk.unmoved(|desk| desk.hear(&Crafted { ttl: 254, ..advert(ABOVE, 200) }));
    assert_eq!(desk.refused("ttl"), 1);
    let mut desk = Desk::backup("addresses = ['fe80::100']");
    desk.unmoved(|desk| desk.hear(&Crafted { ttl: 254, ..advert6("fe80::9", 200) }));
    assert_eq!(desk.refused("ttl"), 1);
}

// 5.1.2.3: a hop limit that the kernel did not tell is none.
#[test]
fn an_untold_hop_limit_is_refused() {
    let mut desk = Desk::backup("addresses = ['fe80::100']");
    let mut datagram = advert6("fe80::9", 200).datagram("eth0");
    datagram.ttl = None;
    desk.unmoved(|desk| desk.give(Input::Datagram(datagram)));
    assert_eq!(desk.refused("ttl"), 1);
}

// 5.2.1, 7.1: version 3.
#[test]
fn other_versions_are_refused() {
    let mut desk = Desk::backup("");
    desk.unmoved(|desk| desk.hear(&crate::desk::advert2(ABOVE, 200)));
    desk.unmoved(|desk| desk.hear(&Crafted { version: 4, ..advert(ABOVE, 200) }));
    assert_eq!(desk.refused("version"), 2);
}

// 5.2.2: an unknown type must be discarded.
#[test]
fn an_unknown_type_is_refused() {
    let mut desk = Desk::backup("");
    desk.unmoved(|desk| desk.hear(&Crafted { kind: 2, ..advert(ABOVE, 200) }));
    assert_eq!(desk.refused("type"), 1);
}

// 5.2.4: whoever is not the owner has 1..=254, whatever is tracked.
#[test]
fn weights_keep_the_priority_between_1_and_254() {
    for (weight, priority, expected) in [(-250, 100, 1), (250, 100, 254), (-20, 255, 255)] {
        let line = format!(
            "priority = {priority}\nchecks = [{{ check = 'a', weight = {weight} }}]\n\
            [check.a]\ntype = 'tcp'\ntarget = '10.0.0.1:80'"
        );
        let (mut desk, _) = Desk::start(&config(&line));
        let verdict = if weight > 0 { Ok(()) } else { Err("refused".to_owned()) };
        for _ in 0..5 {
            let outcome = Outcome { verdict: verdict.clone(), latency: Duration::ZERO, value: None };
            desk.give(Input::Outcome(CheckName("a".into()), outcome));
        }
        assert_eq!(desk.status().priority.effective, expected);
    }
}

// 5.2.5, erratum 8299: a count of 0 is ignored.
#[test]
fn an_advert_without_addresses_is_refused() {
    let mut desk = Desk::backup("");
    desk.unmoved(|desk| desk.hear(&Crafted { count: Some(0), ..advert(ABOVE, 200) }));
    assert_eq!(desk.refused("count-zero"), 1);
}

// 5.2.6: reserved bits are ignored.
#[test]
fn the_interval_is_in_the_low_twelve_bits() {
    let mut desk = Desk::backup("");
    desk.hear(&Crafted { interval: [0xF0, 50], ..advert(ABOVE, 200) });
    assert_eq!(desk.due(), DOWN_100 / 2);
}

// 5.2.9: the list of addresses is for people, never for the election.
#[test]
fn other_addresses_are_noted_and_followed_all_the_same() {
    let mut desk = Desk::backup("");
    desk.wait(SECOND);
    let effects =
        desk.hear(&Crafted { addresses: vec![ip("10.0.0.7"), ip("10.0.0.8")], ..advert(ABOVE, 200) });
    assert_eq!(words(&effects), ["note"]);
    assert_eq!((desk.heard(), desk.due()), (1, DOWN_100));
}

// 6.1: Skew_Time and Active_Down_Interval, to the microsecond: neighbours must not share a skew.
#[test]
fn neighbouring_priorities_take_over_four_milliseconds_apart() {
    let due = |priority| Desk::backup(&format!("priority = {priority}")).due();
    assert_eq!(due(100), DOWN_100);
    assert_eq!(due(100), due(101) + Duration::from_nanos(3_906_250));
    assert_eq!(
        Desk::backup("priority = 1\ninterval = '40.95s'").due(),
        Duration::from_nanos(163_640_039_062)
    );
}

// 6.2: the timers belong to their states.
#[test]
fn a_timer_of_a_state_that_was_left_never_fires() {
    let mut desk = Desk::backup("");
    desk.wait(SECOND * 2);
    desk.give(Input::Link(eth0(false)));
    assert_eq!(desk.wait(SECOND * 10), []);
    desk.give(Input::Link(eth0(true)));
    assert_eq!(desk.due(), DOWN_100);
}

// 6.4.1: in Initialize adverts are ignored.
#[test]
fn without_a_link_nothing_is_heard() {
    let mut desk = Desk::backup("");
    desk.give(Input::Link(eth0(false)));
    desk.unmoved(|desk| desk.hear(&advert(ABOVE, 200)));
    assert_eq!(desk.discarded("not-taking-part"), 1);
}

// 6.4.1, 8.1.2: the owner advertises, holds and announces at once, in this order.
#[test]
fn the_owner_starts_as_master() {
    let (desk, effects) = Desk::start(&config("priority = 255"));
    let of_protocol: Vec<_> = words(&effects).into_iter().filter(|word| *word != "listen").collect();
    assert_eq!(of_protocol, ["send", "hold", "announce", "notify"]);
    assert_eq!((adverts(&effects), desk.state()), (vec![255], Standing::Master));
}

// 6.4.1: everybody else becomes Backup and says nothing.
#[test]
fn others_start_as_backup_in_silence() {
    let (desk, effects) = Desk::start(&config(""));
    assert!(adverts(&effects).is_empty());
    assert_eq!((desk.state(), desk.due()), (Standing::Backup, DOWN_100));
}

// 6.4.2: Shutdown.
#[test]
fn a_backup_stops_without_a_word() {
    let mut desk = Desk::backup("");
    assert_eq!(words(&desk.give(Input::Stop { at_once: false })), ["notify", "stopped"]);
}

// 6.4.2: the timer fires: first the advert, then the addresses, then their announcement; then the
// router's own interval.
#[test]
fn a_takeover_advertises_first_and_announces_last() {
    let mut desk = Desk::backup("");
    desk.hear(&Crafted { interval: [0, 200], ..advert(ABOVE, 200) });
    let effects: Vec<Effect> = desk.wait(desk.due()).into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(words(&effects), ["ask ahead", "send", "hold", "announce", "notify"]);
    let Effect::Send(out) = &effects[1] else { panic!("{effects:?}") };
    assert_eq!(out.payload[4..6], [0, 100], "its own interval, not the learned one");
}

// 6.4.2: priority 0 sets the timer to Skew_Time of the stored interval; nothing is learned.
#[test]
fn a_farewell_leaves_the_skew_of_the_learned_interval() {
    let mut desk = Desk::backup("");
    desk.hear(&Crafted { interval: [0, 200], ..advert(ABOVE, 200) });
    desk.hear(&Crafted { interval: [0, 10], ..advert(ABOVE, 0) });
    assert_eq!(desk.due(), SKEW_100 * 2);
}

// 6.4.2, and ours: only the Master that we follow can say farewell, and once.
#[test]
fn a_strangers_farewell_and_a_second_one_move_nothing() {
    let mut desk = Desk::backup("");
    desk.hear(&advert(ABOVE, 200));
    desk.unmoved(|desk| desk.hear(&advert(BELOW, 0)));
    desk.hear(&advert(ABOVE, 0));
    desk.wait(SKEW_100 / 2);
    desk.unmoved(|desk| desk.hear(&advert(ABOVE, 0)));
    assert_eq!(desk.discarded("strangers-farewell"), 2);
}

// 6.4.2: an advert that is no lower is learned from, and restarts the timer.
#[test]
fn a_backup_learns_the_interval_and_starts_anew() {
    let mut desk = Desk::backup("");
    desk.wait(SECOND * 2);
    desk.hear(&Crafted { interval: [0, 50], ..advert(ABOVE, 200) });
    assert_eq!(desk.due(), DOWN_100 / 2);
    let mut waits = Desk::backup("preempt = false");
    waits.wait(SECOND);
    waits.hear(&Crafted { interval: [0, 50], ..advert(ABOVE, 1) });
    assert_eq!(waits.due(), DOWN_100 / 2);
}

// 6.4.2: with Preempt_Mode a lower advert is discarded: the timer runs on, nothing is learned.
#[test]
fn a_lower_master_does_not_delay_who_preempts_it() {
    let mut desk = Desk::backup("");
    desk.wait(SECOND);
    desk.unmoved(|desk| desk.hear(&Crafted { interval: [0, 1], ..advert(ABOVE, 99) }));
    assert_eq!((desk.due() + SECOND, desk.discarded("lower-priority")), (DOWN_100, 1));
}

// 6.4.2: an invalid packet restarts no timer.
#[test]
fn an_invalid_packet_moves_no_timer_of_a_backup_or_a_master() {
    for mut desk in [Desk::backup(""), Desk::master("")] {
        desk.wait(Duration::from_millis(100));
        desk.unmoved(|desk| desk.hear(&Crafted { bad_checksum: true, ..advert(ABOVE, 255) }));
        desk.unmoved(|desk| desk.hear(&Crafted { cut: 1, ..advert(ABOVE, 255) }));
        assert_eq!((desk.refused("checksum"), desk.refused("truncated")), (1, 1));
    }
}

// 6.4.2: a Backup does not compare addresses.
#[test]
fn an_equal_priority_is_followed_by_a_backup_whatever_the_address() {
    for source in [BELOW, ABOVE] {
        let mut desk = Desk::backup("");
        desk.wait(SECOND);
        desk.hear(&advert(source, 100));
        assert_eq!(desk.due(), DOWN_100);
    }
}

// 6.4.3: Shutdown: priority 0, then Initialize. Ours: the addresses stay until the successor is heard.
#[test]
fn a_master_says_farewell_and_gives_up_when_its_successor_is_heard() {
    let mut desk = Desk::master("");
    let effects = desk.give(Input::Stop { at_once: false });
    assert_eq!(adverts(&effects), [0, 0]);
    assert!(!words(&effects).contains(&"release"));
    desk.hear(&advert(ABOVE, 90));
    let rest: Vec<Effect> = desk.wait(SECOND).into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(words(&rest), ["release", "notify", "stopped"]);
    let at_once = Desk::master("").give(Input::Stop { at_once: true });
    assert_eq!(words(&at_once), ["send", "send", "release", "notify", "stopped"]);
}

// 6.4.3: Adver_Timer, without drift.
#[test]
fn a_master_advertises_once_an_interval_and_does_not_drift() {
    let mut desk = Desk::master("");
    let start = desk.now;
    desk.now = desk.now + micros(1_300);
    let mut sent = Vec::new();
    for _ in 0..10 {
        // Each tick comes late.
        desk.now = desk.agent.deadline().unwrap().0 + micros(1_300);
        let now = desk.now;
        sent.extend(adverts(&desk.give(Input::Tick)).iter().map(|_| now));
    }
    let nth: Vec<Time> = (1..).map(|n| start + SECOND * n + micros(1_300)).take(sent.len()).collect();
    assert!(sent.len() >= 3, "{sent:?}");
    assert_eq!(sent, nth);
}

// 6.4.3: priority 0 received: send at once and restart Adver_Timer.
#[test]
fn a_master_answers_a_farewell_at_once() {
    let mut desk = Desk::master("");
    desk.wait(Duration::from_millis(700));
    assert_eq!(adverts(&desk.hear(&advert(ABOVE, 0))), [100]);
    let now = desk.now;
    let next = desk.wait(SECOND * 2).into_iter().find(|(_, effect)| matches!(effect, Effect::Send(_)));
    assert_eq!(next.map(|(at, _)| at), Some(now + SECOND));
}

// 6.4.3: higher, or equal from the greater address: learn, arm the timer, Backup, give up.
#[test]
fn a_master_yields_to_the_better_and_learns_its_interval() {
    for (source, priority) in [(BELOW, 101), (ABOVE, 100), (ABOVE, 255)] {
        let mut desk = Desk::master("");
        let effects = desk.hear(&Crafted { interval: [0, 50], ..advert(source, priority) });
        let of_protocol: Vec<_> = words(&effects).into_iter().filter(|word| *word != "note").collect();
        assert_eq!(of_protocol, ["release", "notify"], "{source} {priority}");
        assert_eq!((desk.state(), desk.due()), (Standing::Backup, DOWN_100 / 2));
    }
}

// 6.4.3: addresses are compared unsigned, in network order, and it is the packet's source that counts.
#[test]
fn the_greater_source_wins_as_an_unsigned_number() {
    for (source, yields) in [("fe80::4", false), ("fe80::10", true), ("fe80:0:0:0:8000::1", true)] {
        let mut desk = Desk::master("addresses = ['fe80::100']");
        desk.hear(&advert6(source, 100));
        let expected = if yields { Standing::Backup } else { Standing::Master };
        assert_eq!(desk.state(), expected, "{source} against fe80::5");
    }
}

// 6.4.3: Preempt_Mode is not consulted in Active.
#[test]
fn a_master_that_does_not_preempt_yields_all_the_same() {
    let mut desk = Desk::master("preempt = false");
    desk.hear(&advert(BELOW, 101));
    assert_eq!(desk.state(), Standing::Backup);
}

// 6.4.3, new in RFC 9568: a losing advert is answered at once; Adver_Timer runs on.
#[test]
fn a_losing_advert_is_answered_at_once_without_touching_the_rhythm() {
    let mut desk = Desk::master("");
    let start = desk.now;
    desk.wait(Duration::from_millis(700));
    let effects = desk.hear(&advert(ABOVE, 99));
    assert_eq!((adverts(&effects), desk.discarded("losing")), (vec![100], 1));
    // And again announced: somebody else may have drawn the traffic.
    assert!(words(&effects).contains(&"announce"));
    let next = desk.wait(SECOND).into_iter().find(|(_, effect)| matches!(effect, Effect::Send(_)));
    assert_eq!(next.map(|(at, _)| at), Some(start + SECOND));
}

// 6.4.3: a prudent limit on those answers.
#[test]
fn a_flood_of_losing_adverts_is_not_answered_one_by_one() {
    let mut desk = Desk::master("");
    let answers: usize = (0..100).map(|_| adverts(&desk.hear(&advert(BELOW, 99))).len()).sum();
    assert_eq!((answers, desk.discarded("losing")), (1, 100));
}

// 6.4.3: our own packet, looped back, is nobody's.
#[test]
fn a_looped_advert_of_our_own_moves_nothing() {
    for mut desk in [Desk::backup(""), Desk::master("")] {
        desk.unmoved(|desk| desk.hear(&advert(OWN, 100)));
        assert_eq!((desk.discarded("own"), desk.heard()), (1, 0));
    }
}

// 6.4.3: whoever leaves Active gives up the addresses, on every path.
#[test]
fn every_way_out_of_master_gives_the_addresses_up() {
    type Way = fn(&mut Desk) -> Vec<Effect>;
    let ways: [(&str, Way); 6] = [
        ("a better advert", |desk| desk.hear(&advert(ABOVE, 200))),
        ("the link", |desk| desk.give(Input::Link(eth0(false)))),
        ("the interface", |desk| desk.give(Input::LinkGone("eth0".to_owned()))),
        ("a stop", |desk| desk.give(Input::Stop { at_once: true })),
        ("a reload", |desk| {
            let config = Box::default();
            desk.give(Input::Reload { ticket: None, dry_run: false, besides: Vec::new(), config })
        }),
        ("addresses that cannot be held", |desk| {
            let Some((_, Effect::Announce { instance, .. })) =
                desk.wait(SECOND).into_iter().find(|(_, effect)| matches!(effect, Effect::Announce { .. }))
            else {
                panic!("no announcement");
            };
            desk.give(Input::Held { instance, result: Err("no".to_owned()) })
        }),
    ];
    for (name, way) in ways {
        let mut desk = Desk::master("");
        let effects = way(&mut desk);
        let count = words(&effects).iter().filter(|word| **word == "release").count();
        assert_eq!(count, 1, "{name}: {:?}", words(&effects));
    }
}

// 7.1, erratum 8298: another VRID on this interface, or ours on another one, is not ours.
#[test]
fn the_number_counts_on_its_own_interface_only() {
    let mut desk = Desk::backup("");
    desk.unmoved(|desk| desk.hear(&Crafted { vrid: 52, ..advert(ABOVE, 200) }));
    desk.unmoved(|desk| desk.give(Input::Datagram(advert(ABOVE, 200).datagram("eth1"))));
    assert_eq!(desk.heard(), 0);
}

// 7.1, erratum 8298, 8.3.2: two owners: processed, noted, the addresses decide.
#[test]
fn of_two_owners_the_greater_address_stays_and_both_are_told() {
    let (mut desk, _) = Desk::start(&config("priority = 255"));
    let effects = desk.hear(&advert(BELOW, 255));
    assert!(words(&effects).contains(&"note"));
    assert_eq!(desk.state(), Standing::Master);
    desk.hear(&advert(ABOVE, 255));
    assert_eq!(desk.state(), Standing::Backup);
}

// 8.3.2: a Backup as well tells of several that claim priority 255, once of each.
#[test]
fn a_backup_tells_of_two_others_that_claim_to_own_the_addresses() {
    let mut desk = Desk::backup("");
    let remarked = |effects: &[Effect]| {
        let two = |effect: &Effect| matches!(effect, Effect::Note(Note::Warning(_, line)) if line.contains("so does another"));
        effects.iter().any(two)
    };
    assert!(!remarked(&desk.hear(&advert(ABOVE, 255))));
    assert!(remarked(&desk.hear(&advert(BELOW, 255))));
    assert!(remarked(&desk.hear(&advert(ABOVE, 255))));
    assert!(!remarked(&desk.hear(&advert(BELOW, 255))));
    // Of one that is gone nothing is said any more.
    desk.wait(SECOND * 4);
    desk.hear(&advert(ABOVE, 255));
    let remarks = &desk.status().instances[0].peers;
    assert!(remarks.iter().any(|peer| peer.remarks.is_empty()), "{remarks:?}");
}

// 7.1, erratum 8301: an interval of 0 is discarded.
#[test]
fn an_interval_of_zero_is_refused() {
    let mut desk = Desk::backup("");
    desk.unmoved(|desk| desk.hear(&Crafted { interval: [0, 0], ..advert(ABOVE, 200) }));
    assert_eq!(desk.refused("interval-zero"), 1);
}

// 7.1: another interval is noted, not dropped.
#[test]
fn another_interval_is_noted_once_and_followed() {
    let mut desk = Desk::backup("");
    let slower = Crafted { interval: [0, 200], ..advert(ABOVE, 200) };
    assert_eq!(words(&desk.hear(&slower)), ["note"]);
    assert_eq!(words(&desk.hear(&slower)), Vec::<&str>::new());
    assert_eq!(desk.heard(), 2);
}

// 7.1: refusals are logged, rate limited.
#[test]
fn refusals_are_told_the_first_the_tenth_and_the_hundredth_time() {
    let mut desk = Desk::backup("");
    let bad = Crafted { bad_checksum: true, ..advert(ABOVE, 200) };
    let told = (0..500).filter(|_| !desk.hear(&bad).is_empty()).count();
    assert_eq!((told, desk.refused("checksum")), (3, 500));
}

// 8.3.2: whoever has our priority is worth a warning.
#[test]
fn a_neighbour_of_the_same_priority_is_remarked_on() {
    let mut desk = Desk::backup("");
    desk.hear(&advert(ABOVE, 100));
    let remarks = &desk.status().instances[0].peers[0].remarks;
    assert!(remarks.iter().any(|remark| remark.contains("our priority")), "{remarks:?}");
}
