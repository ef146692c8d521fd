//! Other holders that a Master sees by ARP or neighbour discovery: what counts, what it does, and how little.

use crate::desk::{BELOW, Desk, SECOND, advert, handover, ip, moved_to};
use locum::agent::incident::Kind;
use locum::agent::{Effect, Input, InstanceId, Mac, Rival, Sighting, Standing};
use std::time::Duration;

const VIP: &str = "10.0.0.100";
const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 9]);
/// That of `eth0` on the desk.
const OURS: Mac = Mac([2, 0, 0, 0, 0, 5]);
/// An interval, and what an advert may be late by.
const MOMENT: Duration = Duration::from_millis(1100);
const ALMOST: Duration = Duration::from_nanos(1_099_999_999);

/// A Master that has made all its announcements but the refreshes, and its instance.
fn settled(more: &str) -> (Desk, InstanceId) {
    let mut desk = Desk::master(more);
    let effects = desk.wait(10 * SECOND);
    let send = |(_, effect): &(_, Effect)| match effect {
        Effect::Send(outgoing) => Some(outgoing.instance),
        _ => None,
    };
    let instance = effects.iter().find_map(send).expect("an advert");
    (desk, instance)
}

fn see(desk: &mut Desk, instance: InstanceId, mac: Mac) {
    let effects = desk.give(Input::Sighted(Sighting { instance, address: ip(VIP), mac }));
    assert_eq!(effects, [], "nothing happens but in its turn");
}

/// How often the addresses were announced, and what was told.
fn done<T>(effects: &[(T, Effect)]) -> (usize, Vec<Kind>) {
    let announced = effects.iter().filter(|(_, effect)| matches!(effect, Effect::Announce { .. })).count();
    let told = |(_, effect): &(T, Effect)| match effect {
        Effect::Tell(incident) => Some(incident.kind),
        _ => None,
    };
    (announced, effects.iter().filter_map(told).collect())
}

fn told(mac: Mac, times: u64) -> Kind {
    Kind::DualMaster { rival: Rival::Holder { address: ip(VIP), mac }, times }
}

#[test]
fn another_holder_is_told_of_counted_and_answered_by_an_announcement() {
    let (mut desk, instance) = settled("");
    see(&mut desk, instance, THEIRS);
    assert_eq!(done(&desk.wait(ALMOST)), (0, vec![]));
    assert_eq!(done(&desk.wait(MOMENT.saturating_sub(ALMOST))), (1, vec![told(THEIRS, 1)]));
    let status = desk.status();
    assert_eq!((status.dual_master_seen, status.rivals.len()), (1, 1));
    let rival = &status.rivals[0];
    assert_eq!((rival.address, rival.mac.as_deref()), (Some(ip(VIP)), Some("02:00:00:00:00:09")));
    assert_eq!((rival.source, rival.seen_ms, rival.times), (None, 0, 1));
    let complaints = desk.agent.status(desk.now).complaints;
    let line = "web: 02:00:00:00:00:09 says that it has 10.0.0.100 too: find that host and take it away";
    assert!(complaints.iter().any(|complaint| complaint == line), "{complaints:?}");
}

#[test]
fn who_takes_over_in_order_is_no_other_holder_though_its_announcement_comes_before_its_advert() {
    let (mut desk, instance) = settled("");
    see(&mut desk, instance, THEIRS);
    desk.wait(SECOND);
    desk.hear(&advert(BELOW, 200));
    assert_eq!(desk.state(), Standing::Backup);
    desk.wait(2 * SECOND);
    assert_eq!((desk.status().dual_master_seen, desk.status().rivals.len()), (0, 0));
}

#[test]
fn nor_is_the_one_before_us_that_does_not_know_yet_that_it_has_lost() {
    let mut desk = Desk::master("");
    let instance = settled("").1;
    desk.wait(ALMOST);
    see(&mut desk, instance, THEIRS);
    desk.wait(5 * SECOND);
    assert_eq!(desk.status().dual_master_seen, 0);
    see(&mut desk, instance, THEIRS);
    desk.wait(5 * SECOND);
    assert_eq!(desk.status().dual_master_seen, 1);
}

#[test]
fn frames_of_this_host_that_come_back_to_it_say_nothing() {
    let (mut desk, instance) = settled("");
    see(&mut desk, instance, OURS);
    assert_eq!(done(&desk.wait(5 * SECOND)), (0, vec![]));
    let (mut desk, instance) = settled("virtual_mac = true");
    see(&mut desk, instance, Mac([0, 0, 0x5e, 0, 1, 51]));
    assert_eq!(done(&desk.wait(5 * SECOND)), (0, vec![]));
    assert_eq!(desk.status().dual_master_seen, 0);
}

#[test]
fn whoever_is_on_the_way_out_or_out_looks_for_nobody() {
    let (mut desk, instance) = settled("");
    desk.ask(handover());
    see(&mut desk, instance, THEIRS);
    desk.hear(&advert(BELOW, 50));
    desk.wait(2 * SECOND);
    assert_eq!(desk.state(), Standing::Backup);
    see(&mut desk, instance, THEIRS);
    desk.wait(2 * SECOND);
    assert_eq!(desk.status().dual_master_seen, 0);
}

#[test]
fn once_the_successor_has_told_the_neighbours_whoever_leaves_has_left() {
    let sight = |instance, mac| Input::Sighted(Sighting { instance, address: ip(VIP), mac });
    let leave = |more: &str| {
        let (mut desk, instance) = settled(more);
        desk.ask(handover());
        // Anybody can say so: the successor's advert comes first.
        assert_eq!(desk.give(sight(instance, THEIRS)), []);
        desk.hear(&advert(BELOW, 50));
        assert_eq!(desk.give(sight(instance, OURS)), []);
        let effects = desk.give(sight(instance, THEIRS));
        (desk, moved_to(&effects))
    };
    let (desk, moved) = leave("");
    assert_eq!((moved, desk.state()), (Some(vec![ip(BELOW)]), Standing::Backup));
    // The other address may not be there yet, one that no advert names among them.
    for more in [
        "addresses = ['10.0.0.100', '10.0.0.101']",
        "addresses = ['10.0.0.100', { address = '10.0.0.101', advertise = false }]",
    ] {
        let (mut desk, moved) = leave(more);
        assert_eq!((moved, desk.state()), (None, Standing::Master));
        desk.wait(SECOND);
        assert_eq!(desk.state(), Standing::Backup);
        let (mut desk, _) = leave(more);
        let instance = settled(more).1;
        let last = Sighting { instance, address: ip("10.0.0.101"), mac: THEIRS };
        let moved = moved_to(&desk.give(Input::Sighted(last)));
        assert_eq!((moved, desk.state()), (Some(vec![ip(BELOW)]), Standing::Backup), "{more}");
    }
}

#[test]
fn a_flood_is_answered_once_a_second_and_told_of_once_a_minute() {
    let (mut desk, instance) = settled("announce = { refresh = 'off' }");
    let (mut announced, mut kinds) = (0, Vec::new());
    for _ in 0..1000 {
        for _ in 0..10 {
            see(&mut desk, instance, THEIRS);
        }
        let (more, told) = done(&desk.wait(Duration::from_millis(100)));
        announced += more;
        kinds.extend(told);
    }
    // 100 seconds, less the first moment.
    assert!((98..=100).contains(&announced), "{announced}");
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(kinds[0], told(THEIRS, 1));
    assert_eq!(desk.status().dual_master_seen, u64::try_from(announced).unwrap());
}

#[test]
fn a_rival_that_is_known_is_answered_at_once() {
    let (mut desk, instance) = settled("");
    see(&mut desk, instance, THEIRS);
    desk.wait(4 * SECOND);
    see(&mut desk, instance, THEIRS);
    assert_eq!(done(&desk.wait(Duration::ZERO)).0, 1);
    see(&mut desk, instance, THEIRS);
    assert_eq!(done(&desk.wait(Duration::from_nanos(999_999_999))).0, 0, "but once a second");
    assert_eq!(done(&desk.wait(Duration::from_nanos(1))).0, 1, "whoever spoke last is heard last");
}

#[test]
fn made_up_ethernet_addresses_fill_neither_memory_nor_log() {
    let (mut desk, instance) = settled("");
    let mut kinds = Vec::new();
    for number in 0..300_u16 {
        let [high, low] = number.to_be_bytes();
        see(&mut desk, instance, Mac([2, 1, 1, 1, high, low]));
        kinds.extend(done(&desk.wait(2 * SECOND)).1);
    }
    assert_eq!(desk.status().rivals.len(), 16);
    assert_eq!(desk.status().rivals[0].mac.as_deref(), Some("02:01:01:01:01:2b"), "the latest first");
    assert!((1..=60).contains(&kinds.len()), "{} in ten minutes", kinds.len());
}

#[test]
fn many_addresses_are_announced_again_less_often() {
    let pool: Vec<String> = (0..1000).map(|n| format!("'10.1.{}.{}'", n / 250, n % 250 + 1)).collect();
    let (mut desk, instance) = settled(&format!("addresses = ['{VIP}', {}]", pool.join(", ")));
    let mut announced = 0;
    for _ in 0..33 {
        see(&mut desk, instance, THEIRS);
        announced += done(&desk.wait(SECOND)).0;
    }
    assert!((2..=4).contains(&announced), "{announced} times a thousand in half a minute");
}

#[test]
fn one_that_was_just_preempted_may_advertise_once_more() {
    let mut desk = Desk::master("");
    desk.hear(&advert(BELOW, 50));
    desk.wait(SECOND);
    desk.hear(&advert(BELOW, 50));
    assert_eq!((desk.status().dual_master_seen, desk.discarded("losing")), (0, 2));
    desk.wait(SECOND);
    desk.hear(&advert(BELOW, 50));
    assert_eq!(desk.status().dual_master_seen, 1);
}

#[test]
fn a_master_that_loses_is_told_of_by_the_same_name() {
    let (mut desk, _) = settled("");
    let effects: Vec<_> = desk.hear(&advert(BELOW, 50)).into_iter().map(|effect| ((), effect)).collect();
    let rival = Rival::Master { source: ip(BELOW), priority: 50 };
    let lower = Kind::HeardLower { source: ip(BELOW), priority: 50 };
    assert_eq!(done(&effects).1, [lower, Kind::DualMaster { rival, times: 1 }]);
    assert_eq!(desk.status().rivals[0].source, Some(ip(BELOW)));
}
