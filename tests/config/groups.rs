//! `[group.NAME]`: routers that share one role.

use super::{claim, config, said};

const ROUTERS: &str = "[router.a]\ninterface = 'eth0'\nvrid = 1\naddresses = ['10.0.0.1']\n\
                       [router.b]\ninterface = 'eth1'\nvrid = 2\naddresses = ['10.1.0.1']\n";

#[test]
fn a_group_names_its_routers() {
    let config = config(&format!("{ROUTERS}[group.gw]\nrouters = ['a', 'b']\n"));
    let names: Vec<_> = config.agent.groups[0].routers.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_router_that_does_not_exist_or_is_in_two_groups_is_an_error() {
    let text = format!("{ROUTERS}[group.x]\nrouters = ['a', 'bb']\n[group.y]\nrouters = ['a', 'b']\n");
    let found = said(&text);
    assert!(found.contains("there is no router \"bb\""), "{found}");
    assert!(found.contains("router a is in two groups"), "{found}");
}

#[test]
fn a_group_of_one_is_a_warning_and_one_without_routers_an_error() {
    let found = said(&format!("{ROUTERS}[group.x]\n[group.y]\nrouters = ['a']\n"));
    assert!(found.contains("[group.x] has no `routers`"), "{found}");
    assert!(found.contains("a group of one router changes nothing"), "{found}");
}

#[test]
fn a_group_has_one_quorum() {
    let (_key, claim) = claim();
    let text = |quorum: &str| format!("{claim}{ROUTERS}{quorum}\n[group.gw]\nrouters = ['a', 'b']\n");
    let found = said(&text("quorum = 'prefer'"));
    assert!(found.contains("b and a share one role, and so one quorum"), "{found}");
    assert_eq!(config(&text("quorum = 'require'")).agent.groups.len(), 1);
}

#[test]
fn a_group_has_one_damping() {
    let text = |first: &str, second: &str| {
        let routers = ROUTERS.replace("[router.b]", &format!("{first}\n[router.b]"));
        format!("{routers}{second}\n[group.gw]\nrouters = ['a', 'b']\n")
    };
    let [two, three] = ["damping = { failures = 2 }", "damping = { failures = 3 }"];
    for (first, second) in [(two, two), ("", three), (two, "")] {
        assert_eq!(said(&text(first, second)), "", "{first} {second}");
    }
    let found = said(&text(two, three));
    assert!(found.contains("b shares one role with a, whose damping counts for both"), "{found}");
}

#[test]
fn what_a_group_tracks_each_of_its_routers_tracks() {
    let check = "[check.up]\ntype = 'file'\npath = '/run/up'\n";
    let text = |own: &str, all: &str| {
        let routers = ROUTERS.replace("[router.b]", &format!("{own}\n[router.b]"));
        format!("{check}{routers}[group.gw]\nrouters = ['a', 'b']\nchecks = [{all}]\n")
    };
    let agent = config(&text("", "{ check = 'up', weight = -20 }")).agent;
    assert_eq!(agent.groups[0].tracks.len(), 1);
    for router in &agent.routers {
        assert_eq!(router.tracks, agent.groups[0].tracks, "{}", router.name);
    }
    let found = said(&text("", "'upp'"));
    assert!(found.contains("there is no check \"upp\"") && found.contains("did you mean \"up\""), "{found}");
    assert_eq!(found.matches("there is no check").count(), 1, "{found}");
    let found = said(&text("checks = ['up']", "'up'"));
    assert!(found.contains("check up stands here twice"), "{found}");
}
