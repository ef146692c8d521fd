//! One process takes the place of another: it goes on as the Master that the other was, or it does not.

use locum::agent::{Config, Standing};
use locum::config::{self, Secrets};
use locum::sim::{Lan, Node, Rng, Trace, World, links_for};
use locum::time::Time;
use std::path::Path;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(100);

fn config(text: &str) -> Config {
    let text = format!("[router.web]\ninterface = 'eth0'\nvrid = 51\naddresses = ['10.0.0.100']\n{text}\n");
    config::parse(&text, Path::new("replace.toml"), Secrets::MustRead).unwrap().config.agent
}

/// A Master and its Backup, some time after the election.
fn pair(master: &str) -> World {
    let mut world = World::new(Lan::clean(Duration::from_micros(100)), Rng::new(1), Trace::new(false));
    for (place, (name, text)) in [("a", master), ("b", "priority = 100")].into_iter().enumerate() {
        let config = config(text);
        let links = links_for(&config, u8::try_from(place).unwrap());
        world.nodes.push(Node::new(name, config, links));
    }
    world.start(0);
    world.run_for(SECOND * 5);
    world.start(1);
    world.run_for(SECOND * 10);
    assert_eq!(masters(&world), ["a"]);
    world
}

fn masters(world: &World) -> Vec<&str> {
    let seat = locum::sim::seat_of(&world.nodes[1].config.routers[0]).unwrap();
    world.nodes.iter().filter(|node| node.is_master(seat)).map(|node| node.name.as_str()).collect()
}

/// Everything that node `b` did since.
fn moves_of_b(world: &World, since: Time) -> usize {
    world.changes.iter().filter(|change| change.node == 1 && change.at >= since).count()
}

#[test]
fn a_master_replaced_within_an_interval_goes_on_and_its_backup_stays() {
    for text in ["priority = 150", "priority = 150\npreempt = false", "priority = 255"] {
        let mut world = pair(text);
        let began = world.now;
        world.replace(0, MOMENT * 9);
        world.run_for(SECOND);
        assert_eq!(masters(&world), ["a"], "{text}");
        world.run_for(SECOND * 20);
        assert_eq!((masters(&world), moves_of_b(&world, began)), (vec!["a"], 0), "{text}");
        assert!(world.laws.are_kept(), "{:?}", world.laws.breaches());
    }
}

#[test]
fn a_master_replaced_too_late_begins_as_a_backup() {
    let mut world = pair("priority = 150");
    world.replace(0, SECOND + MOMENT);
    world.run_for(SECOND + MOMENT * 2);
    assert_eq!(masters(&world), Vec::<&str>::new());
    world.run_for(SECOND * 20);
    assert_eq!(masters(&world), ["a"]);
    assert!(world.laws.are_kept(), "{:?}", world.laws.breaches());
}

#[test]
fn who_came_up_meanwhile_is_better_and_answers_at_once() {
    let mut world = pair("priority = 150");
    world.replace(0, MOMENT * 9);
    let mut better = config("priority = 200");
    better.routers[0].preempt = true;
    world.nodes[1].config = better;
    world.start(1);
    world.run_for(SECOND * 20);
    assert_eq!(masters(&world), ["b"]);
    assert!(world.laws.are_kept(), "{:?}", world.laws.breaches());
}

#[test]
fn what_the_checks_had_found_is_known_from_the_first_advert_on() {
    let check = "\n[check.app]\ntype = 'tcp'\ntarget = '10.0.0.1:80'\n";
    let weighed = format!("priority = 90\nchecks = [{{ check = 'app', weight = 60 }}]{check}");
    let mut world = pair(&weighed);
    let began = world.now;
    world.replace(0, MOMENT);
    world.run_for(SECOND * 20);
    assert_eq!((masters(&world), moves_of_b(&world, began)), (vec!["a"], 0));
    let said: Vec<u8> = world.sent.iter().filter(|sent| sent.at >= began).map(|sent| sent.priority).collect();
    assert!(said.len() > 15 && said.iter().all(|priority| *priority == 150), "{said:?}");
}

#[test]
fn whom_the_old_process_knew_the_new_one_names_when_it_leaves() {
    let mut world = pair("priority = 150");
    // Longer than a Backup tells a Master that is new to it.
    world.run_for(SECOND * 10);
    world.replace(0, MOMENT);
    world.run_for(SECOND * 3);
    let began = world.now;
    world.stop(0, false);
    world.run_for(MOMENT);
    assert_eq!(masters(&world), ["b"], "within its skew of 609 ms");
    assert_eq!(moves_of_b(&world, began), 1);
}

#[test]
fn who_was_handed_over_stays_out() {
    let mut world = pair("priority = 150");
    world.ask(0, locum::agent::Request::Handover { router: None });
    world.run_for(SECOND * 5);
    assert_eq!(masters(&world), ["b"]);
    world.replace(0, MOMENT);
    world.run_for(SECOND * 20);
    assert_eq!(masters(&world), ["b"], "the stronger one was taken out by its operator");
}

#[test]
fn who_stops_is_not_replaced() {
    let mut world = pair("priority = 150");
    world.stop(0, false);
    world.replace(0, MOMENT);
    world.run_for(SECOND * 20);
    assert_eq!(masters(&world), ["b"]);
    let stopped = world.changes.iter().rev().find(|change| change.node == 0).unwrap();
    assert_eq!(stopped.to, Standing::Stop);
}
