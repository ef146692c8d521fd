//! A host with one router, a wall clock, and the packets that came from it.

use locum::agent::status::{InstanceStatus, RouterStatus};
use locum::agent::{
    Agent, Config, Datagram, Effect, Input, Link, LinkAddress, Memory, Note, Outgoing, Standing,
};
use locum::config::{self, Secrets};
use locum::time::Time;
use locum::vrrp::auth::{Auth, Secret};
use locum::vrrp::hmac::{Key, Keyring, Mode};
use locum::vrrp::sequence::AntiReplay;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::Path;
use std::time::Duration;

/// What the wall clock reads when everything starts.
pub const START: Duration = Duration::from_secs(0x6800_0000);
pub const SECOND: Duration = Duration::from_secs(1);

pub fn key(id: u8, byte: u8) -> Key {
    Key::new(NonZeroU8::new(id).unwrap(), Secret::new([byte; 32])).unwrap()
}

pub fn ring(keys: Vec<Key>, active: u8, anti_replay: AntiReplay, mode: Mode) -> Auth {
    Auth::Hmac(Keyring::new(keys, NonZeroU8::new(active).unwrap(), anti_replay, mode).unwrap())
}

/// One key, five seconds, everything enforced.
pub fn usual() -> Auth {
    ring(vec![key(1, 7)], 1, AntiReplay::Time(5), Mode::Enforce)
}

/// `[router.web]` of version 3 over IPv4, with more lines.
pub fn web(priority: u8, auth: Auth, more: &str) -> Config {
    config("['10.0.0.100']", priority, auth, more)
}

pub fn config(addresses: &str, priority: u8, auth: Auth, more: &str) -> Config {
    let text = format!(
        "[router.web]\ninterface = 'eth0'\nvrid = 51\npriority = {priority}\naddresses = {addresses}\n{more}\n"
    );
    let mut config = config::parse(&text, Path::new("test.toml"), Secrets::MustRead).unwrap().config.agent;
    config.routers[0].auth = auth;
    config
}

pub struct Host {
    pub agent: Agent,
    pub now: Time,
    /// Packets not taken yet.
    pub sent: Vec<Outgoing>,
    pub notes: Vec<Note>,
    pub kept: Vec<Memory>,
    pub stopped: bool,
}

impl Host {
    /// Number `n` of its network, with a clock that is `ahead` milliseconds before the true one.
    pub fn new(n: u8, config: &Config, ahead: i64) -> Host {
        let mut host = Host::without_clock(n, config);
        host.set_clock(ahead);
        host
    }

    pub fn without_clock(n: u8, config: &Config) -> Host {
        let (agent, effects) = Agent::new(config, Time::ZERO);
        let mut host =
            Host { agent, now: Time::ZERO, sent: vec![], notes: vec![], kept: vec![], stopped: false };
        host.take(effects);
        let own = |address: String| LinkAddress {
            address: address.parse().unwrap(),
            prefix: 24,
            tentative: false,
            secondary: false,
        };
        let addresses = vec![own(format!("10.0.0.{n}")), own(format!("fe80::{n}"))];
        let link = Link { name: "eth0".to_owned(), index: 2, up: true, mac: None, mtu: 1500, addresses };
        host.give(Input::Link(link));
        host.give(Input::LinksReady);
        host
    }

    /// Tells it that its clock is `ahead` milliseconds before the true one from now on.
    pub fn set_clock(&mut self, ahead: i64) {
        let offset = Duration::from_millis(ahead.unsigned_abs());
        let true_one = START + self.now.since(Time::ZERO);
        let clock = if ahead < 0 { true_one.checked_sub(offset).unwrap() } else { true_one + offset };
        self.give(Input::Clock(clock));
    }

    pub fn give(&mut self, input: Input) {
        let effects = self.agent.handle(self.now, input);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(outgoing) => self.sent.push(outgoing),
                Effect::Note(note) => self.notes.push(note),
                Effect::Remember(memory) => {
                    assert!(!self.stopped, "too late to be kept");
                    self.kept.push(memory);
                }
                Effect::Stopped => self.stopped = true,
                _ => {}
            }
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.agent.deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.give(Input::Tick);
        }
        self.now = end;
    }

    /// Becomes Master by itself, and returns what it then advertised.
    pub fn lead(&mut self) -> Vec<Outgoing> {
        self.wait(SECOND * 5);
        assert_eq!(self.standing(), Standing::Master);
        assert!(!self.sent.is_empty());
        std::mem::take(&mut self.sent)
    }

    /// Its next advert to everyone, at the moment it is sent.
    pub fn advertise(&mut self) -> Vec<Outgoing> {
        self.sent.clear();
        while self.sent.is_empty() {
            let (at, _) = self.agent.deadline().expect("a Master advertises");
            self.now = self.now.max(at);
            self.give(Input::Tick);
        }
        std::mem::take(&mut self.sent)
    }

    pub fn hear(&mut self, outgoing: &Outgoing) {
        self.give(Input::Datagram(arrives(outgoing)));
    }

    pub fn router(&self) -> RouterStatus {
        self.agent.status(self.now).routers.remove(0)
    }

    pub fn instance(&self) -> InstanceStatus {
        self.router().instances.remove(0)
    }

    pub fn standing(&self) -> Standing {
        self.router().state
    }

    pub fn heard(&self) -> u64 {
        self.instance().heard
    }

    /// How many packets it refused for this reason.
    pub fn refused(&self, reason: &str) -> u64 {
        self.instance().refused.get(reason).copied().unwrap_or(0)
    }
}

/// A sent packet as a receiver's kernel hands it over.
pub fn arrives(outgoing: &Outgoing) -> Datagram {
    let Outgoing { source, destination, protocol, identification, ref payload, .. } = *outgoing;
    let packet = match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut packet = vec![0x45, 0xC0];
            packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
            packet.extend(identification.to_be_bytes());
            packet.extend([0, 0, 255, protocol, 0, 0]);
            packet.extend(from.octets().into_iter().chain(to.octets()));
            let words: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
            let folded = (words & 0xFFFF) + (words >> 16);
            let sum = !u16::try_from((folded & 0xFFFF) + (folded >> 16)).unwrap();
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet.extend(payload);
            packet
        }
        _ => payload.clone(),
    };
    Datagram { interface: "eth0".into(), source, destination, ttl: Some(255), packet }
}
