//! Words between Locums beside the adverts: who follows, and who is next.

use crate::desk::{ABOVE, BELOW, Desk, OWN, SECOND, advert, handover, ip, words};
use locum::agent::{Effect, Standing};
use locum::sim::wire::Crafted;
use std::net::IpAddr;
use std::time::Duration;

/// A word as it comes in: of its own type, for one host, with the VRID where the count is.
fn word(source: &str, kind: u8, priority: u8) -> Crafted {
    let (destination, addresses) = (ip(OWN), Vec::new());
    Crafted { destination, kind, vrid: 0, count: Some(51), addresses, ..advert(source, priority) }
}

const FOLLOWS: u8 = 14;
const NEXT: u8 = 15;

/// Where each word goes, its type, VRID byte, priority and count byte.
fn words_of(effects: &[Effect]) -> Vec<(IpAddr, [u8; 4])> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(out) if out.payload[1] == 0 => Some(out),
        _ => None,
    });
    sent.map(|out| (out.destination, [out.payload[0], out.payload[1], out.payload[2], out.payload[3]]))
        .collect()
}

// Ours: a Backup tells its Master that it is there, whenever there is a new one, and not at every advert.
#[test]
fn a_backup_tells_its_master_that_it_follows() {
    let mut desk = Desk::backup("");
    desk.agent.succession(true);
    let told = desk.hear(&advert(ABOVE, 200));
    assert_eq!(words_of(&told), [(ip(ABOVE), [0x3E, 0, 100, 51])]);
    for pause in [1, 1] {
        assert_eq!(words_of(&desk.hear(&advert(ABOVE, 200))), []);
        desk.wait(SECOND * pause);
        assert_eq!(words_of(&desk.hear(&advert(ABOVE, 200))).len(), 1);
    }
    for second in 1..30 {
        desk.wait(SECOND);
        assert_eq!(words_of(&desk.hear(&advert(ABOVE, 200))), [], "after {second} s");
    }
    desk.wait(SECOND);
    assert_eq!(words_of(&desk.hear(&advert(ABOVE, 200))).len(), 1, "what is read quickly is told of as well");
    assert_eq!(words_of(&desk.hear(&advert(BELOW, 210)))[0].0, ip(BELOW));
    let mut silent = Desk::backup("peers = ['10.0.0.9']");
    silent.agent.succession(true);
    let peer = Crafted { destination: ip(OWN), ..advert(ABOVE, 200) };
    assert_eq!(words_of(&silent.hear(&peer)), [], "the only other host needs no word");
}

// Ours: the best of those who said so is named, before the farewell, and once.
#[test]
fn a_master_that_leaves_names_the_best_of_its_followers_first() {
    let mut desk = Desk::master("");
    desk.agent.succession(true);
    let farewells = [ip("224.0.0.18"); 2];
    for (source, priority) in [("10.0.0.3", 90), (ABOVE, 80), ("10.0.0.2", 90)] {
        desk.unmoved(|desk| desk.hear(&word(source, FOLLOWS, priority)));
    }
    let effects = desk.ask(handover());
    let to = |effect: &Effect| match effect {
        Effect::Send(out) => Some(out.destination),
        _ => None,
    };
    let all: Vec<_> = effects.iter().filter_map(to).collect();
    assert_eq!((all[0], &all[1..]), (ip("10.0.0.3"), &farewells[..]));
    assert_eq!(words_of(&effects), [(ip("10.0.0.3"), [0x3F, 0, 100, 51])]);
}

// Ours: so does its guardian, should it be killed.
#[test]
fn the_farewell_of_a_master_that_is_killed_names_its_best_follower_first() {
    let mut desk = Desk::master("");
    desk.agent.succession(true);
    desk.agent.will(true);
    desk.unmoved(|desk| desk.hear(&word(BELOW, FOLLOWS, 90)));
    let effects = desk.wait(SECOND);
    let will = effects.iter().find_map(|(_, effect)| match effect {
        Effect::Will(_, will) => Some(will),
        _ => None,
    });
    let said: Vec<_> =
        will.unwrap().farewell.iter().map(|out| (out.destination, &out.payload[..4])).collect();
    assert_eq!(said, [(ip(BELOW), &[0x3F, 0, 100, 51][..]), (ip("224.0.0.18"), &[0x31, 51, 0, 1])]);
}

// Ours: cut off from each other, both were Master; the better one may hear no advert of the other's.
#[test]
fn a_master_that_steps_back_says_so_and_the_better_one_announces_again() {
    let mut other = Desk::master("");
    other.agent.succession(true);
    let said = other.hear(&advert(ABOVE, 200));
    assert_eq!(words_of(&said)[0], (ip(ABOVE), [0x3D, 0, 100, 51]));
    let mut desk = Desk::master("");
    desk.agent.succession(true);
    let yields = word(BELOW, 13, 90);
    desk.unmoved(|desk| desk.hear(&yields));
    desk.wait(SECOND * 10);
    assert!(words(&desk.hear(&yields)).contains(&"announce"));
    assert_eq!(desk.state(), Standing::Master);
    assert_eq!(words(&desk.hear(&yields)), [""; 0], "and not for each");
    desk.wait(SECOND * 10);
    assert_eq!(words(&desk.hear(&Crafted { ttl: 254, ..yields })), ["note"], "nor for those from far away");
}

// Ours: who is named waits no skew, whether it hears the farewell to all before or after.
#[test]
fn a_backup_that_its_master_names_takes_over_at_once() {
    for farewell_first in [false, true] {
        let mut desk = Desk::backup("priority = 1");
        desk.agent.succession(true);
        desk.hear(&advert(ABOVE, 200));
        if farewell_first {
            desk.hear(&advert(ABOVE, 0));
            assert!(desk.due() > SECOND / 2, "the skew: {:?}", desk.due());
        }
        desk.hear(&word(ABOVE, NEXT, 200));
        desk.hear(&advert(ABOVE, 0));
        assert_eq!(desk.due(), Duration::from_micros(500));
        desk.wait(SECOND);
        assert_eq!(desk.state(), Standing::Master);
    }
}

// Ours: the word may have waited for the neighbour's answer until its Master was back.
#[test]
fn a_word_without_a_farewell_moves_nobody() {
    let mut desk = Desk::backup("priority = 1");
    desk.agent.succession(true);
    desk.hear(&advert(ABOVE, 200));
    let due = desk.due();
    desk.hear(&word(ABOVE, NEXT, 200));
    assert_eq!(desk.due(), due);
    desk.wait(SECOND / 2);
    desk.hear(&advert(ABOVE, 0));
    assert!(desk.due() > SECOND / 2, "the skew, of a farewell that is another: {:?}", desk.due());
}

// Ours: a word is believed where an advert would be, and only of the Master that is followed.
#[test]
fn words_of_strangers_and_from_far_away_name_nobody() {
    let mut desk = Desk::backup("");
    desk.agent.succession(true);
    desk.hear(&advert(ABOVE, 200));
    desk.unmoved(|desk| desk.hear(&word(BELOW, NEXT, 255)));
    desk.unmoved(|desk| desk.hear(&Crafted { ttl: 254, ..word(ABOVE, NEXT, 200) }));
    assert_eq!(desk.refused("ttl"), 1);
    let group = Crafted { destination: ip("224.0.0.18"), ..word(ABOVE, NEXT, 200) };
    desk.unmoved(|desk| desk.hear(&group));
    assert_eq!(desk.refused("multicast-destination"), 1);
    desk.unmoved(|desk| desk.hear(&Crafted { bad_checksum: true, ..word(ABOVE, NEXT, 200) }));
    assert_eq!(desk.refused("checksum"), 1);
    desk.unmoved(|desk| desk.hear(&Crafted { kind: 12, ..word(ABOVE, NEXT, 200) }));

    let mut other = Desk::master("");
    other.agent.succession(true);
    other.hear(&Crafted { ttl: 254, ..word(ABOVE, FOLLOWS, 200) });
    assert_eq!(words_of(&other.ask(handover())), []);
}
