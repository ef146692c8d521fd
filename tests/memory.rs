//! What one more router costs in memory, of the part that decides.

use locum::agent::{Agent, Input, Link, LinkAddress};
use locum::config::{self, Secrets};
use locum::time::Time;
use peak_alloc::PeakAlloc;
use std::fmt::Write;
use std::path::Path;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// An interface has so many.
const EACH: usize = 255;

/// Bytes of an agent with `interfaces` full of routers that are Backup.
fn bytes(interfaces: u8) -> usize {
    let mut text = String::new();
    for (interface, vrid) in
        (0..interfaces).flat_map(|interface| (1..=EACH).map(move |vrid| (interface, vrid)))
    {
        writeln!(
            text,
            "[router.r{interface}-{vrid}]\ninterface = 'eth{interface}'\nvrid = {vrid}\naddresses = ['10.{interface}.1.{vrid}']"
        )
        .unwrap();
    }
    let config = config::parse(&text, Path::new("many.toml"), Secrets::MustRead).unwrap().config.agent;
    drop(text);
    let before = ALLOCATED.current_usage();
    let (mut agent, effects) = Agent::new(&config, Time::ZERO);
    drop(effects);
    for index in 0..interfaces {
        let own =
            LinkAddress { address: [10, index, 0, 1].into(), prefix: 16, tentative: false, secondary: false };
        let (name, index) = (format!("eth{index}"), u32::from(index) + 1);
        let link = Link { name, index, up: true, mac: None, mtu: 1500, addresses: vec![own] };
        drop(agent.handle(Time::ZERO, Input::Link(link)));
    }
    drop(agent.handle(Time::ZERO, Input::LinksReady));
    assert_eq!(agent.judged(), u64::try_from(EACH).unwrap() * u64::from(interfaces), "each is at work");
    ALLOCATED.current_usage() - before
}

#[test]
fn one_more_router_takes_three_kibibytes_of_what_decides_however_many_there_are() {
    let (few, many) = (bytes(1), bytes(5));
    let more = (many - few) / (4 * EACH);
    assert!(more <= 3 << 10, "{more} bytes: {few} of {EACH} routers, {many} of {}", 5 * EACH);
}
