//! What the agent tells besides transitions: losing adverts, and priorities that change.

use locum::agent::incident::Kind;
use locum::agent::{Agent, Datagram, Effect, Incident, Input, Link, LinkAddress, Standing};
use locum::config::{self, Config, Secrets};
use locum::health::{CheckName, Outcome};
use locum::time::Time;
use locum::vrrp::auth::Auth;
use locum::vrrp::packet::encode;
use locum::vrrp::{Advert, Checksum, GROUP_V4, Interval, Priority, Version, Vrid};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// One router of priority 100 with a check that takes 60 from it, and what it told of.
pub(crate) struct Host {
    pub(crate) agent: Agent,
    pub(crate) config: Config,
    pub(crate) now: Time,
    told: Vec<Incident>,
}

impl Host {
    /// Master by itself.
    fn new() -> Host {
        let mut host = Host::of(
            "[router.web]\ninterface = 'eth0'\nvrid = 7\naddresses = ['10.0.0.100']\n\
                    checks = [{ check = 'app', weight = -60 }]\n\
                    [check.app]\ntype = 'tcp'\ntarget = '127.0.0.1:1'\nfall = 1\n",
        );
        host.check(Ok(()));
        host.wait(Duration::from_secs(5));
        assert_eq!(host.standing(), Standing::Master);
        assert_eq!(host.told, []);
        host
    }

    /// What is configured by `text`, with an eth0 that works.
    pub(crate) fn of(text: &str) -> Host {
        let loaded = config::parse(text, Path::new("test.toml"), Secrets::MustRead).expect("it is good");
        let (agent, _) = Agent::new(&loaded.config.agent, Time::ZERO);
        let mut host = Host { agent, config: loaded.config, now: Time::ZERO, told: Vec::new() };
        let address = LinkAddress { address: ip("10.0.0.1"), prefix: 24, tentative: false, secondary: false };
        for (index, name) in [(2, "eth0"), (3, "eth1")] {
            let (name, addresses) = (name.to_owned(), vec![address.clone()]);
            host.give(Input::Link(Link { name, index, up: true, mac: None, mtu: 1500, addresses }));
        }
        host.give(Input::LinksReady);
        host
    }

    pub(crate) fn give(&mut self, input: Input) {
        for effect in self.agent.handle(self.now, input) {
            // Of every holder beside this one `tests/clauses/rivals.rs` tells.
            if let Effect::Tell(incident) = effect
                && !matches!(incident.kind, Kind::DualMaster { .. })
            {
                self.told.push(incident);
            }
        }
    }

    pub(crate) fn check(&mut self, verdict: Result<(), String>) {
        let outcome = Outcome { verdict, latency: Duration::from_millis(1), value: None };
        self.give(Input::Outcome(CheckName("app".into()), outcome));
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.agent.deadline().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.give(Input::Tick);
        }
        self.now = end;
    }

    pub(crate) fn hear(&mut self, source: &str, priority: u8) {
        let advert = Advert {
            version: Version::V3,
            vrid: Vrid::new(7).expect("a number"),
            priority: Priority::new(priority),
            interval: Interval::SECOND,
            addresses: [ip("10.0.0.100")].into(),
        };
        let (source, group) = (ip(source), IpAddr::V4(GROUP_V4));
        let message = encode(&advert, source, group, Checksum::Pseudo, &Auth::None);
        let IpAddr::V4(from) = source else { panic!("IPv4") };
        let length = u16::try_from(20 + message.len()).expect("short").to_be_bytes();
        let mut packet = vec![0x45, 0xc0, length[0], length[1], 0, 0, 0, 0, 255, 112, 0, 0];
        packet.extend(from.octets());
        packet.extend(GROUP_V4.octets());
        let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("small");
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(message);
        let interface = "eth0".to_owned();
        self.give(Input::Datagram(Datagram {
            interface: interface.into(),
            source,
            destination: group,
            ttl: Some(255),
            packet,
        }));
    }

    fn standing(&self) -> Standing {
        self.agent.status(self.now).routers[0].state
    }

    fn kinds(&mut self) -> Vec<(Kind, Standing, u8)> {
        std::mem::take(&mut self.told).into_iter().map(|i| (i.kind, i.standing, i.priority)).collect()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_master_tells_of_a_losing_advert_once_an_interval() {
    let mut host = Host::new();
    let lower = || (Kind::HeardLower { source: ip("10.0.0.2"), priority: 50 }, Standing::Master, 100);
    for _ in 0..5 {
        host.hear("10.0.0.2", 50);
    }
    assert_eq!(host.kinds(), [lower()]);
    host.wait(Duration::from_millis(900));
    host.hear("10.0.0.2", 50);
    assert_eq!(host.kinds(), []);
    host.wait(Duration::from_millis(100));
    host.hear("10.0.0.2", 50);
    assert_eq!(host.kinds(), [lower()]);
}

#[test]
fn a_farewell_or_a_better_advert_is_no_losing_one() {
    let mut host = Host::new();
    host.hear("10.0.0.2", 0);
    assert_eq!((host.kinds(), host.standing()), (vec![], Standing::Master));
    host.hear("10.0.0.2", 200);
    assert_eq!((host.kinds(), host.standing()), (vec![], Standing::Backup));
    host.hear("10.0.0.3", 50);
    assert_eq!(host.kinds(), [], "a Backup does not tell");
}

#[test]
fn an_advert_of_our_own_priority_is_below_us_only_from_the_smaller_address() {
    let mut host = Host::new();
    host.hear("10.0.0.0", 100);
    assert_eq!(host.kinds().len(), 1);
    host.hear("10.0.0.2", 100);
    assert_eq!((host.kinds(), host.standing()), (vec![], Standing::Backup));
}

#[test]
fn a_changed_priority_is_told_as_master_and_as_backup_and_only_then() {
    let mut host = Host::new();
    host.check(Err("refused".to_owned()));
    host.check(Err("refused".to_owned()));
    assert_eq!(host.kinds(), [(Kind::PriorityChanged { from: 100 }, Standing::Master, 40)]);
    host.hear("10.0.0.2", 50);
    assert_eq!(host.standing(), Standing::Backup);
    host.check(Ok(()));
    assert_eq!(host.kinds(), [(Kind::PriorityChanged { from: 40 }, Standing::Backup, 100)]);
    host.give(Input::LinkGone("eth0".to_owned()));
    host.check(Err("refused".to_owned()));
    assert_eq!((host.kinds(), host.standing()), (vec![], Standing::Fault));
}

#[test]
fn farewells_are_counted() {
    let mut host = Host::new();
    host.hear("10.0.0.2", 0);
    host.hear("10.0.0.2", 50);
    host.give(Input::Stop { at_once: true });
    let status = host.agent.status(host.now);
    let instance = &status.routers[0].instances[0];
    assert_eq!((instance.heard, instance.farewells_heard, instance.farewells_sent), (2, 1, 2));
}
