//! Drills on live hosts, of the daemon of this one: what may be done now, and the steps one after the other.

use super::drill_watch::{Seen, Watch, ms};
use super::ending::Ending;
use super::{Failure, complain, doctor, drill_moves};
use crate::agent::status::RouterStatus;
use crate::agent::{Request, Standing};
use crate::config::Config;
use crate::control::{Answer, ClientError, LONGEST_WAIT, Question, ask};
use crate::doctor::{Report as Findings, Severity, examine};
use crate::drill::{Kind, Objectives, Others, Outcome, Run, Step, meant, peers, refusal, unready};
use crate::health;
use crate::net::namespace;
use crate::survey::first_answer;
use jiff::Zoned;
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a host may take to answer.
const ANSWERS: Duration = Duration::from_secs(1);
/// How long to listen to adverts.
const LISTEN: Duration = Duration::from_secs(4);
/// What a drill of connectivity looks at, of what the doctor finds.
const CONNECTIVITY: [&str; 9] = [
    "interface",
    "firewall",
    "wire",
    "address",
    "cluster",
    "daemon.deaf",
    "daemon.send-errors",
    "daemon.second-path",
    "daemon.dual-master",
];

/// Why there is nothing to drill with.
pub(super) enum Why {
    /// The daemon gives no answer.
    Silent(String),
    /// Anything else.
    Refused(String),
}

/// Why one kind is not done.
pub(super) struct Refusal {
    pub(super) why: String,
    /// It should be, and something is in the way.
    pub(super) hinders: bool,
}

/// The kinds in their order, and why one is not done.
pub(super) type Plan = Vec<(Kind, Option<Refusal>)>;

/// The daemon of this host, and what is known of it before.
pub(super) struct Live<'a> {
    pub(super) config: &'a Config,
    pub(super) watch: Watch,
    pub(super) routers: Vec<RouterStatus>,
    pub(super) named: Option<&'a str>,
    before: Seen,
}

impl<'a> Live<'a> {
    /// Asks the daemon. To be called before any other thread is there.
    pub(super) fn find(config: &'a Config, socket: PathBuf, named: Option<&'a str>) -> Result<Self, Why> {
        if let Some(name) = &config.details.identity.namespace {
            namespace::enter(name).map_err(|outside| Why::Refused(outside.to_string()))?;
        }
        let question = Question::Agent(Request::Status);
        match ask(&socket, &question, Duration::from_secs(5)) {
            Err(error @ ClientError::NotAllowed(_)) => return Err(Why::Refused(error.to_string())),
            Err(error) => return Err(Why::Silent(error.to_string())),
            Ok(_) => {}
        }
        let watch = Watch { socket };
        let before = watch.look().map_err(Why::Silent)?;
        let routers = meant(&before.status, named).map_err(Why::Refused)?;
        let routers = routers.into_iter().cloned().collect();
        Ok(Live { config, watch, routers, named, before })
    }

    /// What is done, and what is not. `asked`: by name.
    pub(super) fn plan(&self, kinds: &[Kind], asked: bool, now: bool) -> Plan {
        let moves = kinds.iter().any(|kind| kind.moves());
        let others = if moves { self.others() } else { Others::default() };
        kinds.iter().map(|kind| (*kind, self.refused(*kind, &others, asked, now))).collect()
    }

    fn refused(&self, kind: Kind, others: &Others, asked: bool, now: bool) -> Option<Refusal> {
        let settings = &self.config.details.drill;
        let not_here = |why: &str| Some(Refusal { why: why.to_owned(), hinders: false });
        if kind == Kind::Dns && self.before.status.dns.is_empty() {
            return not_here("the configuration has no [dns.NAME]: nothing to ask");
        }
        let routers: Vec<_> = self.routers.iter().collect();
        if let Some(why) = refusal(kind, &routers, others, asked) {
            // Each host of a pair has the same schedule, and one of them is Backup.
            let backup = |router: &&RouterStatus| router.state == Standing::Backup && !router.drained;
            return Some(Refusal { why, hinders: !routers.iter().any(backup) });
        }
        if kind == Kind::Service && settings.service_stop.is_none() {
            return not_here(
                "how the service is stopped is not known: write [drill] with service_stop = [\"…\"] and \
                 service_start = [\"…\"], or use --lab",
            );
        }
        if kind == Kind::Daemon
            && let Err(why) = supervised(&self.before)
        {
            return Some(Refusal { why, hinders: asked });
        }
        let window =
            settings.window.filter(|window| kind.moves() && !now && !window.has(Zoned::now().time()));
        window.map(|window| Refusal {
            why: format!("it is not the time: the window is from {window}; wait for it, or add --now"),
            hinders: true,
        })
    }

    /// Whether other hosts are ready: by checks, and by whether those that are known answer as neighbours.
    fn others(&self) -> Others {
        let known = self.routers.iter().flat_map(|router| {
            let interface = &router.interface;
            peers(router).into_iter().map(move |peer| (peer, interface.clone()))
        });
        let known: BTreeMap<_, _> = known.collect();
        // Who is asked through a router does not answer, and who cannot ask does not know.
        let answers = |(peer, interface): (IpAddr, Option<String>)| {
            let answer = interface.map(|interface| first_answer(&interface, peer, ANSWERS));
            (peer, matches!(answer, Some(Ok(Some(_)))))
        };
        let ready = &self.config.details.drill.ready;
        Others {
            answers: known.into_iter().map(answers).collect(),
            checked: !ready.is_empty(),
            unready: unready(&self.before.status, ready),
        }
    }

    /// What is to be confirmed.
    pub(super) fn question(&self, plan: &Plan) -> String {
        let kinds = plan.iter().filter(|(kind, refusal)| kind.moves() && refusal.is_none());
        let kinds: Vec<_> = kinds.map(|(kind, _)| kind.name()).collect();
        let names: Vec<_> = self.routers.iter().map(|router| &*router.name.0).collect();
        format!("{} of {} on live hosts: move the addresses now?", kinds.join(", "), names.join(", "))
    }

    /// Does them, one after the other. Ctrl-C ends it after the step that goes on, which is undone first. Returns why
    /// it ended early as well.
    pub(super) fn steps(
        &self,
        plan: Plan,
        objectives: &Objectives,
    ) -> Result<(Vec<Step>, Option<&'static str>), Failure> {
        let ending = Ending::watch();
        let mut ending =
            ending.map_err(|error| Failure::Other(format!("signals cannot be taken: {error}")))?;
        let mut told = || ending.asked().then_some("it was ended by a signal");
        let (mut ended, mut steps) = (None, Vec::new());
        for (kind, refusal) in plan {
            ended = ended.or_else(&mut told);
            if let Some(why) = refusal.map(|refusal| refusal.why).or_else(|| ended.map(str::to_owned)) {
                steps.push(Step::skipped(kind, why));
                continue;
            }
            let step = Step::of(kind, self.step(kind), objectives);
            if step.outcome == Outcome::NotRestored {
                for line in &step.problems {
                    complain(line);
                }
                ended = Some("the step before it could not be undone");
            }
            steps.push(step);
        }
        Ok((steps, ended.or_else(told)))
    }

    fn step(&self, kind: Kind) -> Run {
        match kind {
            Kind::Connectivity => self.connectivity(),
            Kind::Health => self.health(),
            Kind::Dns => self.dns(),
            Kind::Failover | Kind::Service | Kind::Daemon => drill_moves::run(self, kind),
        }
    }

    fn connectivity(&self) -> Run {
        let mut run = Run { what: "what the doctor finds of the network".to_owned(), ..Run::default() };
        let facts = doctor::facts(self.config, Some(self.watch.socket.clone()), LISTEN);
        let mut findings = Findings::default();
        examine(self.config, &[], &facts, &mut findings);
        let about =
            |id: &str| CONNECTIVITY.iter().any(|part| id == *part || id.starts_with(&format!("{part}.")));
        for finding in findings.findings.iter().filter(|finding| about(&finding.id)) {
            let line = format!("{} [{}]", finding.what, finding.id);
            if finding.severity == Severity::Trouble { &mut run.problems } else { &mut run.notes }.push(line);
        }
        for router in &self.routers {
            for peer in router.instances.iter().flat_map(|instance| &instance.peers) {
                let heard =
                    peer.heard_ms.map(|age| format!("last heard {}", super::span::span(age) + " ago"));
                let heard = heard.unwrap_or_else(|| "never heard".to_owned());
                run.notes
                    .push(format!("{}: {} {heard}, {} adverts", router.name, peer.address, peer.adverts));
            }
        }
        run
    }

    /// Every check passes, and that is no old news.
    fn health(&self) -> Run {
        let mut run = Run { what: "every check, as it stands".to_owned(), ..Run::default() };
        let seen = match self.watch.look() {
            Ok(seen) => seen,
            Err(why) => return Run { problems: vec![why], ..run },
        };
        for check in &seen.status.checks {
            let name = &check.name;
            let spec = self.config.details.checks.get(name);
            let oldest = spec.map(|spec| spec.worst_detection(1) + Duration::from_secs(1));
            let old = |age: u64| oldest.is_some_and(|oldest| Duration::from_millis(age) > oldest);
            let age = check.checked_ms;
            match (check.state, age) {
                (health::Standing::Up, Some(age)) if old(age) => run.problems.push(format!(
                    "check {name} is up, but its last result is {} old",
                    super::span::span(age)
                )),
                (health::Standing::Up, _) => {
                    let took =
                        check.latency_ms.map_or_else(String::new, |took| format!(", took {took:.1} ms"));
                    let age = age.map_or_else(String::new, |age| format!(", {} ago", super::span::span(age)));
                    run.notes.push(format!("check {name} passes{age}{took}"));
                }
                (state, _) => {
                    let why = check.error.as_deref().unwrap_or("it has no result yet");
                    run.problems.push(format!("check {name} is {state}: {why}"));
                }
            }
        }
        if seen.status.checks.is_empty() {
            run.notes.push("the configuration has no [check.NAME]".to_owned());
        }
        run
    }

    fn dns(&self) -> Run {
        let mut run = Run { what: "writing what is there already".to_owned(), ..Run::default() };
        let began = Instant::now();
        match self.watch.ask(&Question::DnsTest { record: None }, LONGEST_WAIT) {
            Ok(Answer::Done { lines }) => run.notes.extend(lines),
            Ok(Answer::Refused { lines }) => run.problems.extend(lines),
            Ok(_) => run.problems.push("the daemon answered something else than was asked".to_owned()),
            Err(why) => run.problems.push(why),
        }
        run.happened(ms(began, Instant::now()), "the providers have answered");
        run
    }
}

/// The daemon's process.
///
/// # Errors
/// Nobody would start it again.
pub(super) fn supervised(seen: &Seen) -> Result<i32, String> {
    let pid = seen.status.daemon.get("pid").and_then(|pid| pid.parse::<i32>().ok());
    let pid = pid.ok_or("the daemon does not say which process it is: update it")?;
    let read = |pid: i32, what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let text = |pid, what| String::from_utf8_lossy(&read(pid, what)).into_owned();
    let parent = text(pid, "status");
    let parent = parent.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok());
    // A guardian is the same program, and its arguments are not those of a daemon under one.
    let same = |parent: i32| {
        let program = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).ok();
        program(parent).is_some() && program(parent) == program(pid)
    };
    let unit = text(pid, "cgroup").lines().any(|line| line.trim_end().ends_with(".service"));
    let managed = read(pid, "environ").split(|byte| *byte == 0).any(|one| one.starts_with(b"NOTIFY_SOCKET="));
    if parent.is_some_and(same) || unit && managed {
        return Ok(pid);
    }
    Err("nobody would start the daemon again: run it by its systemd unit, or without --no-guardian"
        .to_owned())
}
