//! One seed is one run: a random world, faults, healing, one clean loss, and the laws throughout.

use super::faults;
use super::judge::{self, Loss};
use super::laws::{Breach, Law};
use super::node::Node;
use super::rng::Rng;
use super::sabotage::Sabotage;
use super::setup;
use super::trace::Trace;
use super::world::World;
use crate::agent::Config;
use crate::time::Time;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How one seed is run.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Run<'a> {
    /// The nodes' configurations; random ones where `None`.
    pub configs: Option<&'a [Config]>,
    /// Random nodes are under a quorum.
    pub voting: bool,
    /// An etcd grants it, and nobody votes.
    pub store: bool,
    /// Random nodes are on two networks, and adverts and votes take both.
    pub second_path: bool,
    /// Random nodes that fail too often take nothing back for a while.
    pub damping: bool,
    /// Keep readable lines.
    pub keep: bool,
    /// A fault planted on purpose.
    pub sabotage: Option<Sabotage>,
}

/// A seed that broke a law.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The first law broken, and how.
    pub breach: Breach,
    /// What happened before, a line each.
    pub lines: Vec<String>,
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Seeds run.
    pub count: u64,
    /// Those that broke a law.
    pub failures: Vec<Failure>,
    /// How long each clean takeover took.
    pub takeovers: Vec<Duration>,
    /// How many changes of state there were.
    pub changes: usize,
}

impl Outcome {
    /// For people: what was run, how takeovers went, what failed and how to see it again.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{} runs, {} changes of state\n", self.count, self.changes);
        let mut sorted = self.takeovers.clone();
        sorted.sort_unstable();
        if let (Some(least), Some(most)) = (sorted.first(), sorted.last()) {
            let median = sorted[sorted.len() / 2];
            let _ = writeln!(
                text,
                "{} clean takeovers: from {least:.1?} to {most:.1?}, {median:.1?} in the middle",
                sorted.len()
            );
        }
        for Failure { seed, breach, lines } in &self.failures {
            let _ = writeln!(text, "\nseed {seed} FAILED: {breach}");
            for line in &lines[lines.len().saturating_sub(40)..] {
                let _ = writeln!(text, "  {line}");
            }
        }
        let verdict = if self.failures.is_empty() { "every law was kept" } else { "laws were BROKEN" };
        let _ = writeln!(text, "{verdict}");
        text
    }

    /// Puts two outcomes together.
    pub fn add(&mut self, other: Outcome) {
        self.count += other.count;
        self.failures.extend(other.failures);
        self.takeovers.extend(other.takeovers);
        self.changes += other.changes;
    }
}

/// Runs `count` seeds from `first` on; behind the last comes 0.
#[must_use]
pub fn run_seeds(first: u64, count: u64, run: Run<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    for further in 0..count {
        outcome.add(run_seed(first.wrapping_add(further), run));
    }
    outcome
}

/// Runs one seed; one that fails is run again for its readable lines.
#[must_use]
pub fn run_seed(seed: u64, run: Run<'_>) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| play(seed, run)));
    let (breach, takeovers, changes) = if let Ok(Played { world, takeovers }) = played {
        let breach = world.laws.breaches().first().cloned();
        (breach.map(|breach| (breach, world.trace.lines().to_vec())), takeovers, world.changes.len())
    } else {
        let text = "panicked; the message is above".to_owned();
        let breach = Breach { law: Law::Panic, at: Time::ZERO, node: "all".to_owned(), text };
        (Some((breach, Vec::new())), Vec::new(), 0)
    };
    let failures = match breach {
        Some((breach, _)) if !run.keep && breach.law != Law::Panic => {
            return Outcome { count: 1, ..run_seed(seed, Run { keep: true, ..run }) };
        }
        Some((breach, lines)) => vec![Failure { seed, breach, lines }],
        None => Vec::new(),
    };
    Outcome { count: 1, failures, takeovers, changes }
}

/// The number that stands for everything that happened in a run of `seed`.
#[must_use]
pub fn fingerprint(seed: u64, run: Run<'_>) -> u64 {
    play(seed, run).world.trace.hash()
}

struct Played {
    world: World,
    takeovers: Vec<Duration>,
}

fn play(seed: u64, run: Run<'_>) -> Played {
    let mut rng = Rng::new(seed);
    let mut nodes = match run.configs {
        Some(configs) => setup::given(configs),
        None if run.voting => setup::voting(&mut rng),
        None => setup::random(&mut rng),
    };
    if run.store {
        setup::ask_a_store(&mut nodes);
    }
    if run.second_path {
        setup::second_network(&mut nodes);
    }
    if run.damping {
        setup::damp(&mut rng, &mut nodes);
    }
    let configs: Vec<Config> = nodes.iter().map(|node| node.config.clone()).collect();
    let lan = faults::healthy();
    let mut world = World::new(lan, rng, Trace::new(run.keep));
    world.second = setup::has_second_path(&nodes).then(faults::healthy);
    world.sabotage = run.sabotage;
    describe(&mut world, nodes);
    world.appoint();
    if run.voting {
        drift(&mut world);
    }
    let mut takeovers = Vec::new();
    chaos(&mut world);
    let quiet = world.laws.are_kept() && quiet(&mut world, &configs) && tried(&mut world);
    if quiet && (run.voting || world.store.is_some()) {
        takeovers.extend(judge::loss_under_a_quorum(&mut world));
    } else if quiet {
        let loss = world.rng.pick(Loss::fit(&world));
        if let Some((lost, took)) = judge::clean_loss(&mut world, loss) {
            takeovers = took;
            if world.laws.are_kept() {
                judge::mend(&mut world, lost, loss);
                calm(&mut world);
                let (down, hold) = (judge::longest_down(&world), judge::longest_hold(&world));
                world.run_for(down * 3 + hold * 2);
                settled(&mut world);
            }
        }
    }
    Played { world, takeovers }
}

/// Clocks differ by up to a hundredth each way.
fn drift(world: &mut World) {
    const MOST: i64 = 10;
    let most = if world.sabotage == Some(Sabotage::WildClocks) { 25 * MOST } else { MOST };
    let speeds: Vec<i64> = (0..world.members()).map(|_| world.rng.pick(&[-most, 0, most])).collect();
    world.set_speeds(&speeds);
    world.laws.drift = u32::try_from(2 * most).unwrap_or_default();
}

/// Puts the nodes into the world and tells who they are.
fn describe(world: &mut World, nodes: Vec<Node>) {
    for node in nodes {
        for router in &node.config.routers {
            world.trace.note(world.now, &node.name, b'D', &[router.priority.get()], || {
                format!(
                    "{}: version {}, {:?}, priority {}, every {}, preempt {}, {} peers, at {:?}",
                    router.name,
                    router.version,
                    router.families(),
                    router.priority,
                    router.interval,
                    router.preempt,
                    router.peers.len(),
                    node.links[0].addresses.iter().map(|a| a.address).collect::<Vec<_>>(),
                )
            });
        }
        world.nodes.push(node);
    }
}

fn chaos(world: &mut World) {
    let down = judge::longest_down(world);
    for node in 0..world.nodes.len() {
        let pause = world.rng.pick(&[0, 0, 1, 700]);
        world.run_for(Duration::from_millis(pause));
        world.start(node);
    }
    let length = down * u32::try_from(world.rng.between(2, 8)).unwrap_or(2);
    let end = world.now + length;
    faults::strike(world, end);
}

/// Mends everything, waits, and judges. False where a law was broken.
fn quiet(world: &mut World, configs: &[Config]) -> bool {
    let contested = world.has_stepped_back();
    faults::heal(world, configs);
    let (down, hold) = (judge::longest_down(world), judge::longest_hold(world));
    // Who takes over meanwhile has a hold of its own.
    world.run_for(down * 3 + hold * 2);
    if contested {
        // Twice stepped back: ten seconds, then twenty, and some more for what they led to.
        world.run_for(Duration::from_secs(60));
    }
    settled(world);
    world.laws.are_kept()
}

/// What else is tried where all is well. False where a law was broken.
fn tried(world: &mut World) -> bool {
    judge::flapping(world);
    if world.laws.are_kept() && judge::is_joined_twice(world) {
        judge::one_network(world);
    }
    world.laws.are_kept()
}

/// Networks are joined again, and nothing is held against anybody.
fn calm(world: &mut World) {
    for network in world.networks() {
        world.lan_of(*network).sides.clear();
    }
    for node in 0..world.nodes.len() {
        faults::acknowledge(world, node);
    }
}

fn settled(world: &mut World) {
    if !world.laws.are_kept() {
        return;
    }
    judge::one_master(world);
    judge::one_role(world);
    let down = judge::longest_down(world);
    judge::still(world, down, Law::OneMaster);
    let (now, World { laws, nodes, .. }) = (world.now, world);
    laws.unanswered(nodes, now);
}
