//! Drills on live hosts that move addresses away from this one and back: handover, a dead service, a killed daemon.

use super::drill_live::{Live, supervised};
use super::drill_watch::{Seen, ms};
use crate::agent::status::RouterStatus;
use crate::agent::{Request, RouterName, Standing, Subject};
use crate::config::worst_case;
use crate::control::{Answer, LONGEST_WAIT, Question};
use crate::drill::{Gap, Kind, Outage, Run};
use crate::survey::{Client, Target, first_answer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What goes before an event and comes after it, for the client to see.
const CALM: Duration = Duration::from_millis(400);
/// What everything may take beside the timers of the protocol: a daemon that starts, a slow host.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest that a command of the operator may take.
const COMMAND: Duration = Duration::from_mins(1);

/// One router on its way.
struct Moving<'a> {
    router: &'a RouterStatus,
    client: Option<Client>,
    /// Finds when another host answers for the address.
    asked: Option<JoinHandle<Result<Option<Duration>, String>>>,
}

/// One of them, while it is done.
struct Course<'a> {
    live: &'a Live<'a>,
    before: Seen,
    began: Instant,
    moving: Vec<Moving<'a>>,
    /// How long the addresses may take to go, or to come back.
    limit: Duration,
    run: Run,
}

/// Does one of them, and undoes it whatever has come of it.
pub(super) fn run(live: &Live<'_>, kind: Kind) -> Run {
    let names: Vec<_> = live.routers.iter().map(|router| &*router.name.0).collect();
    let names = names.join(", ");
    let what = match kind {
        Kind::Failover => format!("handover of {names}, and back"),
        Kind::Service => format!("the service behind {names} is stopped, and started again"),
        _ => format!("the daemon here is killed, with {names}"),
    };
    let run = Run { what, ..Run::default() };
    let before = match live.watch.look() {
        Ok(before) => before,
        Err(why) => return Run { problems: vec![why], ..run },
    };
    let limit = limit(live);
    let moving: Vec<_> = live.routers.iter().map(Moving::new).collect();
    thread::sleep(CALM);
    let mut course = Course { live, before, began: Instant::now(), moving, limit, run };
    if kind != Kind::Daemon || live.routers.iter().any(|router| router.state == Standing::Master) {
        for one in &mut course.moving {
            one.ask(limit);
        }
    }
    match kind {
        Kind::Failover => course.failover(),
        Kind::Service => course.service(),
        _ => course.daemon(),
    }
    course.back();
    thread::sleep(CALM);
    course.end(kind)
}

/// How long the addresses may take to go, or to come back.
fn limit(live: &Live<'_>) -> Duration {
    let routers = live.config.agent.routers.iter();
    let each = routers.map(|router| {
        let hold = router.damping.map_or(Duration::ZERO, |damping| damping.hold);
        worst_case(router, live.config).total + router.manner.preempt_delay + hold
    });
    each.max().unwrap_or_default() + PATIENCE
}

impl<'a> Moving<'a> {
    fn new(router: &'a RouterStatus) -> Self {
        let client = address(router).map(|address| Client::begin(Target::Host(address), None));
        Moving { router, client, asked: None }
    }

    fn ask(&mut self, limit: Duration) {
        let (Some(address), Some(interface)) = (address(self.router), self.router.interface.clone()) else {
            return;
        };
        self.asked = Some(thread::spawn(move || first_answer(&interface, address, limit)));
    }

    /// When another host answered, since this was begun, in milliseconds.
    fn answered(&mut self, run: &mut Run) -> Option<f64> {
        let name = &self.router.name;
        match self.asked.take().map(JoinHandle::join) {
            Some(Ok(Ok(Some(after)))) => {
                let after = after.as_secs_f64() * 1000.0;
                run.happened(after, format!("another host answers for {name}"));
                return Some(after);
            }
            Some(Ok(Ok(None))) => run.problems.push(format!("{name}: no other host answers for the address")),
            Some(Ok(Err(why))) => run.notes.push(format!("{name}: not asked for: {why}")),
            Some(Err(_)) => run.notes.push(format!("{name}: not asked for")),
            None => run.notes.push(format!("{name}: no address to ask for")),
        }
        None
    }
}

/// What is asked for.
fn address(router: &RouterStatus) -> Option<IpAddr> {
    router.addresses.first().map(|address| address.address)
}

fn worse(outage: &mut Option<Outage>, other: Outage) {
    if outage.as_ref().is_none_or(|outage| other.longest_ms > outage.longest_ms) {
        *outage = Some(other);
    }
}

impl Course<'_> {
    /// Something happens now.
    fn now(&mut self, what: impl Into<String>) {
        self.run.happened(ms(self.began, Instant::now()), what);
    }

    /// When the latest of them answered elsewhere; `None` where that is not known of one.
    fn latest(&mut self) -> Option<f64> {
        let run = &mut self.run;
        let all: Vec<_> = self.moving.iter_mut().map(|one| one.answered(run)).collect();
        all.into_iter().try_fold(0.0, |latest: f64, one| Some(latest.max(one?)))
    }

    fn failover(&mut self) {
        self.run.happened(0.0, "locum handover");
        let router = self.live.named.map(|name| RouterName(name.into()));
        let question = Question::Agent(Request::Handover { router: router.clone() });
        match self.live.watch.ask(&question, LONGEST_WAIT) {
            Ok(Answer::Moved { routers }) => {
                for moved in &routers {
                    match moved.successor {
                        Some(host) => self.run.notes.push(format!(
                            "{}: {host} took over {:.1} ms after the farewell",
                            moved.router, moved.took_ms
                        )),
                        None => {
                            self.run.problems.push(format!("{}: nobody took the addresses", moved.router));
                        }
                    }
                }
                if routers.iter().all(|moved| moved.successor.is_some()) {
                    self.run.measured.takeover_ms = self.latest();
                }
                self.told();
            }
            Ok(Answer::Refused { lines }) => self.run.problems.extend(lines),
            Ok(_) => self.run.problems.push("the daemon answered something else than was asked".to_owned()),
            Err(why) => self.run.problems.push(why),
        }
        thread::sleep(CALM);
        self.now("locum resume");
        match self.live.watch.ask(&Question::Agent(Request::Resume { router }), LONGEST_WAIT) {
            // Where nothing was handed over there is nothing to resume.
            Ok(Answer::Refused { lines }) if self.run.problems.is_empty() => self.run.left.extend(lines),
            Ok(_) => {}
            Err(why) => self.run.left.push(format!("{why}; then: locum resume")),
        }
    }

    fn service(&mut self) {
        let (live, settings) = (self.live, &self.live.config.details.drill);
        self.run.happened(0.0, "service_stop");
        let stopped = command(settings.service_stop.as_deref().unwrap_or_default());
        let gone = |seen: &Seen| live.routers.iter().all(|router| !seen.is(&router.name.0, Standing::Master));
        let lost = stopped.and_then(|()| live.watch.wait("the addresses leave this host", self.limit, gone));
        match lost {
            Ok(seen) => {
                let lost = live.routers.iter().map(|router| seen.since(&router.name.0)).max();
                let detection = ms(self.began, lost.unwrap_or(self.began));
                self.run.measured.detection_ms = Some(detection);
                self.run.happened(detection, "this host finds it out and gives up the addresses");
                self.run.measured.takeover_ms = self.latest().map(|at| (at - detection).max(0.0));
                self.told();
            }
            Err(why) => self.run.problems.push(why),
        }
        thread::sleep(CALM);
        self.now("service_start");
        if let Err(why) = command(settings.service_start.as_deref().unwrap_or_default()) {
            self.run.left.push(format!("{why}: start the service by hand"));
        }
    }

    fn daemon(&mut self) {
        let pid = match supervised(&self.before) {
            Ok(pid) => pid,
            Err(why) => return self.run.problems.push(why),
        };
        self.run.happened(0.0, format!("the daemon {pid} is killed"));
        if let Err(errno) = kill(Pid::from_raw(pid), Signal::SIGKILL) {
            return self.run.problems.push(format!("the daemon cannot be killed: {errno}; run as root"));
        }
        let other = |seen: &Seen| seen.status.daemon.get("pid").is_some_and(|now| *now != pid.to_string());
        match self.live.watch.wait("another daemon answers", self.limit, other) {
            Ok(_) => self.now("another daemon answers"),
            Err(why) => self.run.left.push(format!("{why}: systemctl start locum")),
        }
        if self.moving.iter().any(|one| one.asked.is_some()) {
            self.run.measured.takeover_ms = self.latest();
        }
    }

    /// How long hooks and messages of this host took, where there are any for what its routers are now.
    fn told(&mut self) {
        let (live, run) = (self.live, &mut self.run);
        let details = &live.config.details;
        let seen = match live.watch.look() {
            Ok(seen) => seen,
            Err(why) => return run.problems.push(why),
        };
        for router in &live.routers {
            let name = &router.name;
            let hook = details.hooks.get(&Subject::Router(name.clone())).is_some_and(|hooks| {
                let own = if seen.is(&name.0, Standing::Fault) { &hooks.fault } else { &hooks.backup };
                hooks.any.is_some() || own.is_some()
            });
            if !hook && details.told.receivers.is_empty() {
                run.notes.push(format!("{name}: no hook and no message is for this, so nobody is told"));
                continue;
            }
            match live.watch.notified(&name.0, &self.before, seen.since(&name.0)) {
                Some(took) => {
                    let worst = run.measured.notification_ms.unwrap_or_default().max(took);
                    run.measured.notification_ms = Some(worst);
                }
                None if hook => run.problems.push(format!("{name}: the hook was not done within 10 s")),
                // It may be for others, or for worse.
                None => run.notes.push(format!("{name}: no message was sent within 10 s")),
            }
        }
    }

    /// Waits until every router is what it was before.
    fn back(&mut self) {
        let (live, run) = (self.live, &mut self.run);
        for router in &live.routers {
            let name = &*router.name.0;
            let own = live.config.agent.routers.iter().find(|own| own.name == router.name);
            let comes_back = own.is_none_or(|own| own.preempt || own.priority.is_owner());
            let held = |now: &RouterStatus| {
                router.addresses.iter().zip(&now.addresses).all(|(was, is)| is.held || !was.held)
            };
            let as_before = |seen: &Seen| {
                seen.router(name).is_some_and(|now| {
                    let kept = now.state == Standing::Backup && !comes_back;
                    !now.drained && (kept || now.state == router.state && held(now))
                })
            };
            match live.watch.wait(&format!("{name} is {} again", router.state), self.limit, as_before) {
                Ok(seen) if seen.is(name, router.state) => {
                    run.happened(ms(self.began, seen.since(name)), format!("{name} is {} again", router.state));
                }
                Ok(_) => run.notes.push(format!(
                    "{name} takes part again and stays BACKUP, for it does not preempt: locum handover on the other \
                     host moves it back"
                )),
                Err(why) => run.left.push(format!("{why}: locum status tells why")),
            }
        }
    }

    /// What clients have noticed meanwhile.
    fn end(mut self, kind: Kind) -> Run {
        let run = &mut self.run;
        for one in &mut self.moving {
            match one.client.take().map(|client| client.end(self.began)) {
                Some(Ok(outage)) => worse(&mut run.measured.outage, outage),
                Some(Err(why)) => run.notes.push(format!("{}: {why}", one.router.name)),
                None => run.notes.push(format!("{} has no address to ask", one.router.name)),
            }
        }
        if kind == Kind::Service
            && let (Some(outage), Some(detection), Some(takeover)) =
                (&mut run.measured.outage, run.measured.detection_ms, run.measured.takeover_ms)
        {
            // Whoever uses the service gets no answer from the first moment, though the host does answer.
            let gap = Gap { from_ms: 0.0, to_ms: detection + takeover };
            outage.longest_ms = outage.longest_ms.max(gap.length());
            outage.gaps.push(gap);
            let line = "the outage counts from the stop until another host answers for the address";
            run.notes.push(line.to_owned());
        }
        run.notes.push("the client is on this host, and asks for echoes once a millisecond".to_owned());
        self.run
    }
}

/// Runs a command of the operator to its end.
fn command(words: &[String]) -> Result<(), String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty: write one into [drill]")?;
    let about = |why: String| format!("{}: {why}", words.join(" "));
    let mut command = Command::new(program);
    // In a group of its own Ctrl-C does not end it half-way.
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|error| about(error.to_string()))?;
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(ended)) if ended.success() => return Ok(()),
            Ok(Some(ended)) => return Err(about(ended.to_string())),
            Ok(None) if began.elapsed() < COMMAND => thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(about(format!("not done within {} s", COMMAND.as_secs())));
            }
            Err(error) => return Err(about(error.to_string())),
        }
    }
}
