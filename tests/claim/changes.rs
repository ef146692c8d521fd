//! A vote that goes on while the nodes change: another process in the place of one, other voters, another key,
//! other intervals. Whole agents in the model, whose laws see to it that never two hold.

use locum::agent::config::Claims;
use locum::agent::{Config, Standing};
use locum::config::{self, Secrets};
use locum::sim::{Lan, Node, Rng, Trace, World, links_for, seat_of};
use locum::time::Time;
use std::fs;
use std::path::Path;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const C: &str = "10.1.0.3";
const D: &str = "10.1.0.4";
const ALL: [&str; 3] = ["10.1.0.1", "10.1.0.2", C];

/// Node `place` of those that vote on 10.1.0.1 and on: all that are named but itself are its voters.
fn config(place: u8, voters: &[&str], more: &str, key: &str, router: &str) -> Config {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("hex:{key}")).unwrap();
    let own = format!("10.1.0.{}", place + 1);
    let others = voters.iter().filter(|voter| **voter != own).enumerate();
    let others: Vec<_> = others.map(|(name, voter)| format!("v{name} = '{voter}'")).collect();
    let text = format!(
        "[claim]\nlisten = '{own}'\nkey = 'file:{}'\nvoters = {{ {} }}\n{more}\n\
         [router.web]\ninterface = 'eth0'\nvrid = 51\nquorum = 'require'\npriority = {}\n\
         addresses = ['10.0.0.100']\n{router}\n",
        file.path().display(),
        others.join(", "),
        150 - 40 * place,
    );
    config::parse(&text, Path::new("changes.toml"), Secrets::MustRead).unwrap().config.agent
}

fn usual(place: u8) -> Config {
    config(place, &ALL, "", HEX, "")
}

/// Three that vote, of whom A is Master.
fn settled(config: impl Fn(u8) -> Config) -> World {
    let mut world = World::new(Lan::clean(Duration::from_micros(100)), Rng::new(1), Trace::new(false));
    for (place, name) in [(0, "a"), (1, "b"), (2, "c")] {
        let config = config(place);
        let links = links_for(&config, place);
        world.nodes.push(Node::new(name, config, links));
        world.start(usize::from(place));
    }
    world.run_for(SECOND * 60);
    assert_eq!(masters(&world), ["a"]);
    world
}

fn masters(world: &World) -> Vec<&str> {
    let seat = seat_of(&world.nodes[0].config.routers[0]).unwrap();
    world.nodes.iter().filter(|node| node.is_master(seat)).map(|node| node.name.as_str()).collect()
}

/// A was Master all the time since then, and nobody else.
fn nothing_happened(world: &World, since: Time) {
    let changes: Vec<_> = world.changes.iter().filter(|change| change.at >= since).collect();
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(masters(world), ["a"]);
    assert!(world.laws.are_kept(), "{:?}", world.laws.breaches());
}

/// Its voters and it have never said a word to each other: each believes the other from the second one on.
#[test]
fn whoever_asks_for_the_first_time_takes_over_as_soon_as_without_a_vote() {
    let mut world = settled(usual);
    let last = world.sent.iter().rev().find(|sent| sent.node == 0).unwrap().at;
    world.crash(0, false);
    // RFC 9568 6.1: three adverts, and the skew of priority 110.
    b_takes_over(&mut world, last, SECOND * 3 + SECOND * (256 - 110) / 256);
}

/// After so long, and whatever that takes besides.
fn b_takes_over(world: &mut World, since: Time, expected: Duration) {
    world.run_for(SECOND * 5);
    let taken = world.changes.iter().rev().find(|change| change.to == Standing::Master).unwrap();
    assert_eq!(world.nodes[taken.node].name, "b");
    let took = taken.at.since(since);
    assert!((expected..expected + Duration::from_millis(5)).contains(&took), "{took:?} and not {expected:?}");
}

#[test]
fn after_a_crash_under_a_guardian_the_claim_is_free_and_whoever_was_named_waits_for_nothing() {
    let mut world = settled(usual);
    let crashed = world.now;
    world.crash(0, true);
    b_takes_over(&mut world, crashed, Duration::ZERO);
    assert!(world.laws.are_kept(), "{:?}", world.laws.breaches());
}

#[test]
fn a_master_that_nobody_answers_keeps_the_address_for_as_long_as_whole_seconds_fit_into_its_claim() {
    let mut world = settled(usual);
    let asked = world.sent.iter().rev().find(|sent| sent.node == 0).unwrap().at;
    world.crash(1, true);
    world.crash(2, true);
    let mut keeps_at = |millis| {
        world.run_until(asked + Duration::from_millis(millis));
        world.keeps(0, [10, 0, 0, 100].into())
    };
    // Renewed with the last answer alone it would be gone after two seconds, and 350 ms at most.
    assert!(keeps_at(2450));
    // 95 % of three intervals, as its claim.
    assert!(!keeps_at(2850));
}

#[test]
fn a_master_replaced_in_time_goes_on_with_its_claim() {
    let mut world = settled(usual);
    let began = world.now;
    for _ in 0..3 {
        world.replace(0, Duration::from_millis(900));
        world.run_for(SECOND * 5);
    }
    world.changes.retain(|change| change.to != Standing::Stop && change.why != "goes on");
    nothing_happened(&world, began);
}

#[test]
fn the_voter_of_a_process_in_the_place_of_another_is_not_silent() {
    let mut world = settled(usual);
    let began = world.now;
    world.crash(1, true);
    // With B gone, A needs C, whose voter would be silent for as long as a claim lasts.
    for _ in 0..5 {
        world.replace(2, Duration::from_millis(100));
        world.run_for(SECOND * 2);
    }
    world.changes.retain(|change| change.node == 0);
    nothing_happened(&world, began);
}

#[test]
fn a_master_replaced_too_late_gives_way() {
    let mut world = settled(usual);
    world.replace(0, SECOND * 8);
    world.run_for(SECOND * 7);
    assert_eq!(masters(&world), ["b"]);
    world.run_for(SECOND * 20);
    assert_eq!(masters(&world), ["a"], "it is the stronger one");
    assert!(world.laws.are_kept(), "{:?}", world.laws.breaches());
}

#[test]
fn one_voter_may_come_and_another_go_while_a_master_holds() {
    let mut world = settled(usual);
    let began = world.now;
    for voters in
        [&["10.1.0.1", "10.1.0.2", C, D][..], &["10.1.0.1", "10.1.0.2", C], &["10.1.0.1", "10.1.0.2"]]
    {
        for place in [2, 1, 0] {
            if place == 2 && !voters.contains(&C) {
                world.crash(2, true);
                continue;
            }
            world.reload(place.into(), config(place, voters, "", HEX, ""));
            world.run_for(SECOND * 2);
        }
        world.run_for(SECOND * 5);
    }
    world.changes.retain(|change| change.node != 2);
    nothing_happened(&world, began);
}

#[test]
fn a_key_is_changed_on_one_after_the_other_while_a_master_holds() {
    let mut world = settled(usual);
    let began = world.now;
    let another = HEX.replace("00", "77");
    world.reload(2, config(2, &ALL, "", &another, ""));
    world.run_for(SECOND * 10);
    world.reload(1, config(1, &ALL, "", &another, ""));
    // Nobody but itself believes A now, and it has a claim for less than three seconds.
    world.run_for(SECOND);
    world.reload(0, config(0, &ALL, "", &another, ""));
    world.run_for(SECOND * 10);
    nothing_happened(&world, began);
}

#[test]
fn a_claim_lasts_as_long_as_the_intervals_of_a_reload_want() {
    let mut world = settled(usual);
    let began = world.now;
    for interval in ["200ms", "1s", "300ms"] {
        for place in [2, 1, 0] {
            world.reload(place.into(), config(place, &ALL, "", HEX, &format!("interval = '{interval}'")));
        }
        world.run_for(SECOND * 20);
    }
    nothing_happened(&world, began);
}

#[test]
fn voters_started_anew_with_shorter_intervals_remember_what_they_granted_for_longer_ones() {
    let more = "longest_interval = '3s'";
    let with = |interval: &str, place| config(place, &ALL, more, HEX, &format!("interval = '{interval}'"));
    let mut world = settled(|place| with("3s", place));
    let began = world.now;
    // It has a claim for more than eight seconds from its last advert on, and cannot step down.
    world.freeze(0);
    for place in [1, 2] {
        world.crash(place, true);
        world.nodes[place].config = with("100ms", u8::try_from(place).unwrap());
        world.start(place);
    }
    world.run_for(SECOND * 20);
    assert!(world.laws.are_kept(), "{:?}", world.laws.breaches());
    let taken = world.changes.iter().find(|change| change.at > began && change.to == Standing::Master);
    assert_eq!(taken.map(|change| change.node), Some(1), "{:?}", world.changes);
}

#[test]
fn what_cannot_follow_while_others_vote_is_refused_in_one_line() {
    let claims = |place, voters: &[&str]| config(place, voters, "", HEX, "").claims.unwrap();
    let said = |old: &Claims, new: &Claims| old.can_become(Some(new)).expect_err("it is refused");
    let old = claims(0, &ALL);
    for voters in [&["10.1.0.1", "10.1.0.2"][..], &ALL, &["10.1.0.1", "10.1.0.2", C, D]] {
        assert_eq!(old.can_become(Some(&claims(0, voters))), Ok(()));
    }
    assert_eq!(old.can_become(None), Ok(()));
    assert_eq!(
        said(&old, &claims(0, &["10.1.0.1", "10.1.0.2", D])),
        "[claim] changes 2 voters at once (10.1.0.3:5112, 10.1.0.4:5112), so that old and new ones could let two \
         hold: add or remove one, reload on every server, then the next"
    );
    assert!(
        said(&old, &claims(1, &ALL)).starts_with("listen in [claim] is 10.1.0.2:5112 and was 10.1.0.1:5112")
    );
    let etcd = "[claim]\nstore = 'etcd'\nendpoints = ['http://10.0.0.5:2379']\n";
    let etcd =
        config::parse(etcd, Path::new("etcd.toml"), Secrets::MustRead).unwrap().config.agent.claims.unwrap();
    assert!(said(&old, &etcd).contains("stop locum on every server, then start it"));
    assert!(said(&etcd, &old).contains("stop locum on every server, then start it"));
}
