//! Plays a scenario with real agents and compares what came of it with what was expected.
//!
//! The expected timelines come from a reference that releases at once and sends one farewell where
//! Locum waits for its successor and sends two. So a stop is one at once, and the LAN lets one
//! of two farewells pass.

use super::lan::Lan;
use super::node::{Node, Seat, link, seat_of};
use super::rng::Rng;
use super::scenario::{Event, File, Member, Move, Names, Op, Packet, Said, Scenario, VirtualRouter};
use super::setup::plain;
use super::trace::{Trace, clock};
use super::wire::Crafted;
use super::world::{Sent, World};
use crate::agent::config::Router;
use crate::agent::{Config, RouterName, Standing};
use crate::time::Time;
use crate::vrrp::instance::Manner;
use crate::vrrp::{Family, Interval, Priority, Version, Vip, Vrid};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// What became of one scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its short name.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// What happened, a line each.
    pub timeline: Vec<String>,
    /// What differs from what was expected, a line each. Empty: it passed.
    pub failures: Vec<String>,
    /// How many expectations were compared.
    pub compared: usize,
}

impl Report {
    /// Whether everything was as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.compared > 0
    }

    /// For people: the timeline, and how it compares.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.id, self.title);
        for line in &self.timeline {
            let _ = writeln!(text, "  {line}");
        }
        for line in &self.failures {
            let _ = writeln!(text, "  differs: {line}");
        }
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        let _ = writeln!(text, "{verdict}: {} expectations, {} differ", self.compared, self.failures.len());
        text
    }
}

/// Plays the scenario or scenarios in `text`. An error names what is wrong with the file.
pub fn run_scenario(text: &str) -> Result<Vec<Report>, String> {
    let file: File = serde_json::from_str(text).map_err(|error| format!("no scenario file: {error}"))?;
    match file {
        File::One(scenario) => Ok(vec![play(&scenario)?]),
        File::Many { scenarios, .. } => scenarios.iter().map(play).collect(),
    }
}

/// Plays one scenario.
pub fn play(scenario: &Scenario) -> Result<Report, String> {
    let wrong = |problem: String| format!("scenario {}: {problem}", scenario.id);
    let mut stage = Stage::set(scenario).map_err(wrong)?;
    for event in &scenario.events {
        // What the scenario does comes before anything else of the same moment.
        stage.world.run_until(time(event.t_us) - Duration::from_nanos(1));
        stage.world.now = time(event.t_us);
        stage.happen(event).map_err(wrong)?;
    }
    stage.world.run_until(time(scenario.end_us));
    let (compared, failures) = stage.compare(scenario);
    let timeline = stage.world.trace.lines().to_vec();
    Ok(Report { id: scenario.id.clone(), title: scenario.title.clone(), timeline, failures, compared })
}

struct Stage<'a> {
    scenario: &'a Scenario,
    world: World,
    seats: Vec<Seat>,
}

impl<'a> Stage<'a> {
    fn set(scenario: &'a Scenario) -> Result<Self, String> {
        let mut lan = Lan::clean(span(scenario.link_delay_us));
        lan.one_farewell = true;
        let mut world = World::new(lan, Rng::new(0), Trace::new(true));
        world.laws.lenient = true;
        // They count adverts to the microsecond, and the RFCs know no time to install.
        world.holding = Duration::ZERO;
        let mut seats = Vec::new();
        for (place, vr) in scenario.vrs.iter().enumerate() {
            let name = RouterName(format!("vr{place}").into());
            for member in &vr.nodes {
                let router = router(name.clone(), vr, member)?;
                seats.push(seat_of(&router).ok_or("a virtual router without addresses")?);
                let at = world.nodes.iter().position(|node| node.name == member.name).unwrap_or_else(|| {
                    let place = u8::try_from(world.nodes.len()).unwrap_or(u8::MAX);
                    let links = vec![link("lan", place, Vec::new())];
                    world.nodes.push(Node::new(member.name.clone(), Config::default(), links));
                    world.nodes.len() - 1
                });
                let node = &mut world.nodes[at];
                node.links[0].addresses.extend(link("lan", 0, vec![member.ip]).addresses);
                let mut config = node.config.clone();
                config.routers.push(router);
                node.configure(config);
            }
            seats.truncate(place + 1);
        }
        Ok(Stage { scenario, world, seats })
    }

    fn node(&self, name: &str) -> Result<usize, String> {
        let found = self.world.nodes.iter().position(|node| node.name == name);
        found.ok_or_else(|| format!("there is no node {name}"))
    }

    fn nodes(&self, names: Option<&Names>) -> Result<Vec<usize>, String> {
        match names {
            None => Ok((0..self.world.nodes.len()).collect()),
            Some(names) => names.list().iter().map(|name| self.node(name)).collect(),
        }
    }

    fn pairs(&self, from: Option<&Names>, to: Option<&Names>) -> Result<Vec<(usize, usize)>, String> {
        let to = self.nodes(to)?;
        Ok(self.nodes(from)?.iter().flat_map(|from| to.iter().map(|to| (*from, *to))).collect())
    }

    fn happen(&mut self, event: &Event) -> Result<(), String> {
        match &event.op {
            Op::Start { node } => self.world.start(self.node(node)?),
            Op::Stop { node } => self.world.stop(self.node(node)?, true),
            Op::Crash { node } => self.world.crash(self.node(node)?, true),
            Op::LinkDown { node } => self.world.set_link(self.node(node)?, false),
            Op::LinkUp { node } => self.world.set_link(self.node(node)?, true),
            Op::Partition { groups } => {
                let mut sides = vec![groups.len(); self.world.nodes.len()];
                for (side, group) in groups.iter().enumerate() {
                    for name in group {
                        sides[self.node(name)?] = side;
                    }
                }
                self.world.lan.sides = sides;
            }
            Op::Heal {} => self.world.lan.sides.clear(),
            Op::Loss { from, to, count, until_us } => {
                for pair in self.pairs(from.as_ref(), to.as_ref())? {
                    match (count, until_us) {
                        (Some(count), _) => drop(self.world.lan.swallow.insert(pair, *count)),
                        (None, Some(until)) => drop(self.world.lan.deaf_until.insert(pair, time(*until))),
                        (None, None) => return Err("loss needs count or until_us".to_owned()),
                    }
                }
            }
            Op::Delay { from, to, delay_us, until_us } => {
                let until = until_us.map_or(Time::from_nanos(u64::MAX), time);
                for pair in self.pairs(from.as_ref(), to.as_ref())? {
                    self.world.lan.slow_until.insert(pair, (until, span(*delay_us)));
                }
            }
            Op::SetPriority { node, vr, priority } => {
                let priority = Priority::new(*priority).ok_or("priority 0 cannot be configured")?;
                self.configure(node, *vr, |router| router.priority = priority)?;
            }
            Op::SetInterval { node, vr, interval_cs } => {
                let interval = interval(*interval_cs)?;
                self.configure(node, *vr, |router| router.interval = interval)?;
            }
            Op::SetPreempt { node, vr, preempt } => {
                self.configure(node, *vr, |router| router.preempt = *preempt)?;
            }
            Op::Inject { to, vr, packet } => self.inject(to, *vr, packet)?,
        }
        Ok(())
    }

    fn configure(
        &mut self,
        node: &str,
        vr: Option<usize>,
        change: impl Fn(&mut Router),
    ) -> Result<(), String> {
        let node = self.node(node)?;
        let mut config = self.world.nodes[node].config.clone();
        let ours = |router: &&mut Router| vr.is_none_or(|vr| seat_of(router).as_ref() == self.seats.get(vr));
        config.routers.iter_mut().filter(ours).for_each(change);
        self.world.reload(node, config);
        Ok(())
    }

    fn inject(&mut self, to: &Names, vr: usize, packet: &Packet) -> Result<(), String> {
        let vr = self.scenario.vrs.get(vr).ok_or_else(|| format!("there is no virtual router {vr}"))?;
        let crafted = craft(vr, packet)?;
        for node in self.nodes(Some(to))? {
            // What is refused must leave no mark; what is only odd may.
            let valid = packet.defect.is_none() && packet.interval_cs > 0 && packet.version == vr.version;
            self.world.inject(Duration::ZERO, node, crafted.datagram("lan"), valid);
        }
        Ok(())
    }

    fn compare(&self, scenario: &Scenario) -> (usize, Vec<String>) {
        let (mut compared, mut failures) = (0, Vec::new());
        let mut expect = |what: Option<String>| {
            compared += 1;
            failures.extend(what);
        };
        for window in &scenario.expect.windows {
            if let Some((from, to)) = window.assert_sans_io {
                expect(self.window(window.vr, &window.active, time(from), time(to)));
            }
        }
        for wanted in &scenario.expect.transitions {
            expect(self.transition(wanted));
        }
        for wanted in &scenario.expect.advertisements {
            expect(self.advert(wanted));
        }
        for (whose, wanted) in &scenario.expect.advertisements_total {
            expect(self.total(whose, *wanted));
        }
        for (vr, active) in scenario.expect.final_active.iter().flatten().enumerate() {
            expect(self.window(vr, active, self.world.now, self.world.now));
        }
        failures.extend(self.world.laws.breaches().iter().map(ToString::to_string));
        (compared, failures)
    }

    /// Who is Master of `vr` at `at`, changes of that moment included.
    fn masters(&self, vr: usize, at: Time) -> BTreeSet<String> {
        let mut masters = BTreeSet::new();
        for change in self.world.changes.iter().filter(|c| c.at <= at && Some(&c.seat) == self.seats.get(vr))
        {
            let name = self.world.nodes[change.node].name.clone();
            if change.to == Standing::Master {
                masters.insert(name)
            } else {
                masters.remove(&name)
            };
        }
        masters
    }

    fn window(&self, vr: usize, active: &[String], from: Time, to: Time) -> Option<String> {
        let wanted: BTreeSet<String> = active.iter().cloned().collect();
        let changes = self.world.changes.iter().map(|change| change.at).filter(|at| from < *at && *at < to);
        let different = std::iter::once(from).chain(changes).find(|at| self.masters(vr, *at) != wanted)?;
        let found = self.masters(vr, different);
        Some(format!("{}: vr {vr}: Masters are {found:?}, expected {wanted:?}", clock(different)))
    }

    fn transition(&self, wanted: &Move) -> Option<String> {
        const ROUND: f64 = 10_000.0;
        let (least, most) = wanted.bounds_us.unwrap_or((wanted.t_us - ROUND, wanted.t_us + ROUND));
        let found = self.world.changes.iter().any(|change| {
            let at = micros(change.at);
            (least..=most).contains(&at)
                && self.world.nodes[change.node].name == wanted.node
                && Some(&change.seat) == self.seats.get(wanted.vr)
                && word(change.from) == wanted.from
                && word(change.to) == wanted.to
        });
        let Move { vr, node, from, to, .. } = wanted;
        (!found).then(|| format!("{}: vr {vr}: no {from} -> {to} of {node}", clock(time(wanted.t_us))))
    }

    /// Two things are ours: a Master tells a changed priority at once, and answers losing adverts
    /// at most once in a sixteenth of its interval.
    fn total(&self, whose: &str, wanted: usize) -> Option<String> {
        let name = whose.split_once('/').map_or(whose, |(_, name)| name);
        let place = |seat| self.seats.iter().position(|other| *other == seat).unwrap_or_default();
        let ours =
            |sent: &&Sent| format!("{}/{}", place(sent.seat), self.world.nodes[sent.node].name) == whose;
        let told = |event: &&Event| matches!(&event.op, Op::SetPriority { node, .. } if node == name);
        let answer = |said: &&Said| said.node == name && said.why.starts_with("assert");
        let more = self.scenario.events.iter().filter(told).count();
        let answers = self.scenario.expect.advertisements.iter().filter(answer).count();
        let found = self.world.sent.iter().filter(ours).count();
        let right = (wanted.saturating_sub(answers.saturating_sub(1))..=wanted + more).contains(&found);
        (!right).then(|| format!("{whose} sent {found} adverts, expected {wanted}"))
    }

    fn advert(&self, wanted: &Said) -> Option<String> {
        const ROUND: f64 = 10_000.0;
        let found = self.world.sent.iter().any(|sent| {
            (micros(sent.at) - wanted.t_us).abs() <= ROUND
                && self.world.nodes[sent.node].name == wanted.node
                && Some(&sent.seat) == self.seats.get(wanted.vr)
                && sent.priority == wanted.priority
        });
        let Said { vr, node, priority, .. } = wanted;
        let at = clock(time(wanted.t_us));
        (!found).then(|| format!("{at}: vr {vr}: no advert of {node} with priority {priority}"))
    }
}

/// A state in the words of the scenarios.
const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Stop | Standing::Fault => "Initialize",
        Standing::Backup => "Backup",
        Standing::Master => "Active",
    }
}

fn router(name: RouterName, vr: &VirtualRouter, member: &Member) -> Result<Router, String> {
    let version = version(vr.version)?;
    let vip = |address: &std::net::IpAddr| {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Vip::new(*address, prefix)
    };
    Ok(Router {
        // Scenarios follow the RFCs, which know no going on.
        manner: Manner { goes_on: false, answer_losing: version == Version::V3, ..Manner::default() },
        version,
        priority: Priority::new(member.priority).ok_or("priority 0 cannot be configured")?,
        interval: interval(member.interval_cs)?,
        preempt: member.preempt,
        vips: vr.vips.iter().map(vip).collect(),
        sources: vec![member.ip],
        ..plain(name, "lan", Vrid::new(vr.vrid).ok_or("VRID 0")?)
    })
}

fn craft(vr: &VirtualRouter, packet: &Packet) -> Result<Crafted, String> {
    let Packet { src, priority, interval_cs, version, .. } = *packet;
    let interval = match version {
        2 => [0, u8::try_from(interval_cs / 100).unwrap_or(u8::MAX)],
        // Bits above the twelve are reserved: receivers ignore them.
        _ => (interval_cs | if packet.defect.is_none() { 0xF000 } else { 0 }).to_be_bytes(),
    };
    let mut crafted = Crafted {
        source: src,
        destination: Family::of(src).group(),
        ttl: u8::MAX,
        version,
        kind: 1,
        vrid: packet.vrid.unwrap_or(vr.vrid),
        priority,
        count: None,
        interval,
        addresses: vr.vips.clone(),
        tail: if version == 2 { vec![0; 8] } else { Vec::new() },
        cut: 0,
        bad_checksum: false,
    };
    match packet.defect.as_deref() {
        None => {}
        Some("checksum" | "bad-checksum") => crafted.bad_checksum = true,
        Some("type2" | "type") => crafted.kind = 2,
        Some("count0" | "count-zero") => crafted.count = Some(0),
        Some("count" | "count-too-big") => crafted.count = Some(9),
        Some("truncated") => crafted.cut = 4,
        Some("trailing" | "trailing-bytes") => crafted.tail.extend([0; 4]),
        Some("ttl" | "ttl254" | "bad-ttl") => crafted.ttl = 254,
        Some("vrid" | "bad-vrid") => crafted.vrid ^= 1,
        Some("version" | "bad-version") => crafted.version = 4,
        Some("auth" | "auth-type" | "auth1") => crafted.interval[0] = 1,
        Some("interval0" | "interval-zero") => crafted.interval = [0, 0],
        Some(other) => return Err(format!("unknown defect {other}")),
    }
    Ok(crafted)
}

fn version(number: u8) -> Result<Version, String> {
    match number {
        2 => Ok(Version::V2),
        3 => Ok(Version::V3),
        _ => Err(format!("there is no version {number}")),
    }
}

fn interval(centiseconds: u16) -> Result<Interval, String> {
    Interval::from_centiseconds(centiseconds).ok_or_else(|| format!("no interval has {centiseconds} cs"))
}

fn span(micros: f64) -> Duration {
    Duration::from_secs_f64((micros / 1e6).max(0.0))
}

fn time(micros: f64) -> Time {
    Time::ZERO + span(micros)
}

fn micros(at: Time) -> f64 {
    at.since(Time::ZERO).as_secs_f64() * 1e6
}
