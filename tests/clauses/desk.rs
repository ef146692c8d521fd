//! One agent on a desk: a router, an interface, a clock to turn, and packets to show it.

use locum::agent::status::RouterStatus;
use locum::agent::{
    Agent, Config, Effect, Input, Link, LinkAddress, Note, Request, Response, RouterName, Standing, Ticket,
};
use locum::config::{self, Secrets};
use locum::sim::wire::Crafted;
use locum::time::Time;
use locum::vrrp::instance::Wait;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// How long a Backup of priority 100 waits for its Master, at an interval of a second.
pub const DOWN_100: Duration = Duration::from_nanos(3_609_375_000);
pub const SECOND: Duration = Duration::from_secs(1);
/// The agent's own address, and its neighbours' with smaller and greater ones.
pub const OWN: &str = "10.0.0.5";
pub const BELOW: &str = "10.0.0.2";
pub const ABOVE: &str = "10.0.0.9";

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `[router.web]` with these lines more; VRID 51, one IPv4 address unless they say so.
pub fn config(more: &str) -> Config {
    let addresses = if more.contains("addresses") { "" } else { "addresses = ['10.0.0.100']" };
    let text = format!("[router.web]\ninterface = 'eth0'\nvrid = 51\n{addresses}\n{more}\n");
    config::parse(&text, Path::new("desk.toml"), Secrets::MustRead).unwrap().config.agent
}

/// The interface, with or without a carrier.
pub fn eth0(up: bool) -> Link {
    let own = |address: &str, prefix| LinkAddress {
        address: ip(address),
        prefix,
        tentative: false,
        secondary: false,
    };
    Link {
        name: "eth0".to_owned(),
        index: 2,
        up,
        mac: Some([2, 0, 0, 0, 0, 5]),
        mtu: 1500,
        addresses: vec![own(OWN, 24), own("fe80::5", 64)],
    }
}

/// A valid version 3 advert over IPv4: one second, the router's address.
pub fn advert(source: &str, priority: u8) -> Crafted {
    Crafted {
        source: ip(source),
        destination: ip("224.0.0.18"),
        ttl: 255,
        version: 3,
        kind: 1,
        vrid: 51,
        priority,
        count: None,
        interval: [0, 100],
        addresses: vec![ip("10.0.0.100")],
        tail: Vec::new(),
        cut: 0,
        bad_checksum: false,
    }
}

/// The same over IPv6.
pub fn advert6(source: &str, priority: u8) -> Crafted {
    let addresses = vec![ip("fe80::100")];
    Crafted { destination: ip("ff02::12"), addresses, ..advert(source, priority) }
}

/// The same of version 2, without authentication.
pub fn advert2(source: &str, priority: u8) -> Crafted {
    Crafted { version: 2, interval: [0, 1], tail: vec![0; 8], ..advert(source, priority) }
}

pub struct Desk {
    pub agent: Agent,
    pub now: Time,
}

impl Desk {
    /// An agent that knows nothing of any interface yet.
    pub fn new(config: &Config) -> Self {
        let (agent, effects) = Agent::new(config, Time::ZERO);
        assert!(effects.iter().all(|effect| matches!(effect, Effect::Watch { .. })), "{effects:?}");
        Desk { agent, now: Time::ZERO }
    }

    /// An agent that has started, and what it did.
    pub fn start(config: &Config) -> (Self, Vec<Effect>) {
        let mut desk = Desk::new(config);
        let mut effects = desk.give(Input::Link(eth0(true)));
        effects.extend(desk.give(Input::LinksReady));
        (desk, effects)
    }

    /// A Backup with these lines in its configuration.
    pub fn backup(more: &str) -> Self {
        let (desk, _) = Desk::start(&config(more));
        assert_eq!(desk.state(), Standing::Backup);
        desk
    }

    /// A Master with these lines in its configuration, a moment after its first advert.
    pub fn master(more: &str) -> Self {
        let mut desk = Desk::backup(more);
        desk.wait(desk.due());
        assert_eq!(desk.state(), Standing::Master);
        desk
    }

    pub fn give(&mut self, input: Input) -> Vec<Effect> {
        self.agent.handle(self.now, input)
    }

    pub fn hear(&mut self, advert: &Crafted) -> Vec<Effect> {
        self.give(Input::Datagram(advert.datagram("eth0")))
    }

    /// How long until the next deadline, but for a question: it is asked a tenth of a second before a takeover.
    pub fn due(&self) -> Duration {
        self.due_at().expect("a deadline").since(self.now)
    }

    fn due_at(&self) -> Option<Time> {
        let (at, wait) = self.agent.deadline()?;
        Some(if wait == Wait::Ask { at + SECOND / 10 } else { at })
    }

    /// Lets time pass, with every tick on its time.
    pub fn wait(&mut self, span: Duration) -> Vec<(Time, Effect)> {
        let end = self.now + span;
        let mut effects = Vec::new();
        while let Some((at, _)) = self.agent.deadline().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            let now = self.now;
            effects.extend(self.give(Input::Tick).into_iter().map(|effect| (now, effect)));
        }
        self.now = end;
        effects
    }

    pub fn status(&self) -> RouterStatus {
        self.agent.status(self.now).routers.remove(0)
    }

    pub fn state(&self) -> Standing {
        self.status().state
    }

    pub fn refused(&self, reason: &str) -> u64 {
        self.status().instances.iter().filter_map(|i| i.refused.get(reason)).sum()
    }

    pub fn discarded(&self, reason: &str) -> u64 {
        self.status().instances.iter().filter_map(|i| i.discarded.get(reason)).sum()
    }

    pub fn heard(&self) -> u64 {
        self.status().instances.iter().map(|instance| instance.heard).sum()
    }

    pub fn ask(&mut self, request: Request) -> Vec<Effect> {
        self.give(Input::Request(Ticket(1), request))
    }

    /// Nothing about the protocol was done or moved by `act`.
    pub fn unmoved(&mut self, act: impl FnOnce(&mut Desk) -> Vec<Effect>) {
        let before = (self.due_at(), self.state());
        let effects = act(self);
        assert!(effects.iter().all(|effect| matches!(effect, Effect::Note(_))), "{effects:?}");
        assert_eq!((self.due_at(), self.state()), before);
    }
}

/// The priorities of the adverts among these, in order.
pub fn adverts<'a>(effects: impl IntoIterator<Item = &'a Effect>) -> Vec<u8> {
    let priority = |effect: &Effect| match effect {
        Effect::Send(out) => Some(out.payload[2]),
        _ => None,
    };
    effects.into_iter().filter_map(priority).collect()
}

/// Effects as words, for their order; but for those that only the record is to know.
pub fn words<'a>(effects: impl IntoIterator<Item = &'a Effect>) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect {
        Effect::Send(_) => "send",
        Effect::Hold { .. } => "hold",
        Effect::Claimed { .. } => "claimed",
        Effect::Release { .. } => "release",
        Effect::Ask { .. } => "ask",
        Effect::AskAhead(_) => "ask ahead",
        Effect::Announce { .. } | Effect::AnnounceElsewhere { .. } => "announce",
        Effect::Evict(_) => "evict",
        Effect::Pace(_) => "pace",
        Effect::Vote(_) | Effect::Ballot { .. } | Effect::Consult(_) | Effect::Plead(_) => "vote",
        Effect::Notify(_) => "notify",
        Effect::Note(_) => "note",
        Effect::Listen(_) => "listen",
        Effect::Reply(..) => "reply",
        Effect::Tell(_) => "tell",
        Effect::Remember(_) => "remember",
        Effect::Watch { .. } => "watch",
        Effect::Unwatch(_) => "unwatch",
        Effect::Replace(_) => "replace",
        Effect::Sweep => "sweep",
        Effect::Will(..) => "will",
        Effect::Stopped => "stopped",
    };
    let recorded =
        |effect: &&Effect| matches!(effect, Effect::Note(Note::MasterHeard { .. } | Note::LastHeard { .. }));
    effects.into_iter().filter(|effect| !recorded(effect)).map(word).collect()
}

/// The answer among these effects.
pub fn answer(effects: &[Effect]) -> Option<&Response> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply(_, response) => Some(&**response),
        _ => None,
    })
}

pub fn handover() -> Request {
    Request::Handover { router: Some(RouterName("web".into())) }
}

/// Where a handover ended, once it did: the successor, or nobody.
pub fn moved_to(effects: &[Effect]) -> Option<Vec<IpAddr>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Reply(_, response) => match &**response {
            Response::Moved { routers } => Some(routers.iter().filter_map(|r| r.successor).collect()),
            _ => None,
        },
        _ => None,
    })
}
