//! What happens to one of many routers is judged for that one: the work does not grow with the others.

use locum::agent::{Agent, Input, Link, LinkAddress};
use locum::config::{self, Secrets};
use locum::health::{CheckName, Outcome};
use locum::time::Time;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const MANY: u8 = 200;

fn link(name: &str, index: u32, up: bool) -> Input {
    let address = [10, 0, 0, 1].into();
    let own = LinkAddress { address, prefix: 24, tentative: false, secondary: false };
    Input::Link(Link { name: name.to_owned(), index, up, mac: None, mtu: 1500, addresses: vec![own] })
}

/// Routers on an interface each, all of them at work; the first tracks a check.
fn agent() -> Agent {
    let mut text = "[check.app]\ntype = 'tcp'\ntarget = '10.0.0.9:80'\n".to_owned();
    for number in 1..=MANY {
        let checks = if number == 1 { "checks = [{ check = 'app', weight = -10 }]" } else { "" };
        writeln!(
            text,
            "[router.r{number}]\ninterface = 'eth{number}'\nvrid = 7\n{checks}\naddresses = ['10.1.0.{number}']"
        )
        .unwrap();
    }
    let config = config::parse(&text, Path::new("many.toml"), Secrets::MustRead).unwrap().config.agent;
    let (mut agent, _) = Agent::new(&config, Time::ZERO);
    for number in 1..=MANY {
        drop(agent.handle(Time::ZERO, link(&format!("eth{number}"), number.into(), true)));
    }
    assert_eq!(agent.judged(), 0, "before all interfaces are known nobody is judged");
    drop(agent.handle(Time::ZERO, Input::LinksReady));
    assert_eq!(agent.judged(), u64::from(MANY), "each once");
    agent
}

/// How many routers are judged for this.
fn work(agent: &mut Agent, input: Input) -> u64 {
    let before = agent.judged();
    drop(agent.handle(Time::ZERO, input));
    agent.judged() - before
}

#[test]
fn an_interface_concerns_its_own_routers() {
    let mut agent = agent();
    assert_eq!(work(&mut agent, link("eth3", 3, false)), 1);
    assert_eq!(work(&mut agent, Input::LinkGone("eth3".to_owned())), 1);
    // Virtual MAC addresses come with an interface for each router, as often as it becomes Master.
    assert_eq!(work(&mut agent, link("vrrp.51", 1000, true)), 0);
    assert_eq!(work(&mut agent, Input::LinkGone("vrrp.51".to_owned())), 0);
}

#[test]
fn a_result_concerns_the_routers_that_track_the_check() {
    let mut agent = agent();
    let verdict = Err("refused".to_owned());
    let outcome = Outcome { verdict, latency: Duration::ZERO, value: None };
    assert_eq!(work(&mut agent, Input::Outcome(CheckName("app".into()), outcome)), 1);
}
